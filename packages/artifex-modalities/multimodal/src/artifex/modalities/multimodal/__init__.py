"""Several kinds of data at once: any modalities as one, ways to fuse them, and how well they agree. Imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.multimodal import datasets as datasets, metrics as metrics
    from artifex.modalities.multimodal.adapter import (
        MultiModalModel as MultiModalModel,
        MultiModalModelAdapter as MultiModalModelAdapter,
    )
    from artifex.modalities.multimodal.config import (
        LettersConfig as LettersConfig,
        ModalityPartConfig as ModalityPartConfig,
        MultiModalModalityConfig as MultiModalModalityConfig,
        WavesConfig as WavesConfig,
    )
    from artifex.modalities.multimodal.constraints import (
        Violation as Violation,
        presence as presence,
        violations as violations,
    )
    from artifex.modalities.multimodal.encoders import (
        EncoderPartConfig as EncoderPartConfig,
        JointEncoder as JointEncoder,
        JointEncoderConfig as JointEncoderConfig,
        contrastive_loss as contrastive_loss,
    )
    from artifex.modalities.multimodal.fusion import (
        AttentionFusion as AttentionFusion,
        AttentionFusionConfig as AttentionFusionConfig,
        ConcatenationFusion as ConcatenationFusion,
        ConcatenationFusionConfig as ConcatenationFusionConfig,
        GatedFusion as GatedFusion,
        GatedFusionConfig as GatedFusionConfig,
        HierarchicalFusion as HierarchicalFusion,
        HierarchicalFusionConfig as HierarchicalFusionConfig,
    )
    from artifex.modalities.multimodal.modality import (
        MultiModalModality as MultiModalModality,
    )
    from artifex.modalities.multimodal.simple import (
        Letters as Letters,
        Waves as Waves,
    )

_HOMES = {
    "adapter": (
        "MultiModalModel",
        "MultiModalModelAdapter",
    ),
    "config": (
        "LettersConfig",
        "ModalityPartConfig",
        "MultiModalModalityConfig",
        "WavesConfig",
    ),
    "constraints": (
        "Violation",
        "presence",
        "violations",
    ),
    "encoders": (
        "EncoderPartConfig",
        "JointEncoder",
        "JointEncoderConfig",
        "contrastive_loss",
    ),
    "fusion": (
        "AttentionFusion",
        "AttentionFusionConfig",
        "ConcatenationFusion",
        "ConcatenationFusionConfig",
        "GatedFusion",
        "GatedFusionConfig",
        "HierarchicalFusion",
        "HierarchicalFusionConfig",
    ),
    "modality": ("MultiModalModality",),
    "simple": (
        "Letters",
        "Waves",
    ),
}

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        **{name: f"artifex.modalities.multimodal.{module}" for module, names in _HOMES.items() for name in names},
        "datasets": "artifex.modalities.multimodal.datasets",
        "metrics": "artifex.modalities.multimodal.metrics",
    },
)
