"""The documented long path of :mod:`artifex.modalities.multimodal`: the same objects."""

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

_NAMES = (
    "AttentionFusion",
    "AttentionFusionConfig",
    "ConcatenationFusion",
    "ConcatenationFusionConfig",
    "EncoderPartConfig",
    "GatedFusion",
    "GatedFusionConfig",
    "HierarchicalFusion",
    "HierarchicalFusionConfig",
    "JointEncoder",
    "JointEncoderConfig",
    "Letters",
    "LettersConfig",
    "ModalityPartConfig",
    "MultiModalModality",
    "MultiModalModalityConfig",
    "MultiModalModel",
    "MultiModalModelAdapter",
    "Violation",
    "Waves",
    "WavesConfig",
    "contrastive_loss",
    "datasets",
    "metrics",
    "presence",
    "violations",
)

__getattr__, __dir__, __all__ = _lazy.attach(__name__, dict.fromkeys(_NAMES, "artifex.modalities.multimodal"))
