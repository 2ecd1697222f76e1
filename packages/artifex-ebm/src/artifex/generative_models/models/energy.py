"""The documented long path of :mod:`artifex.ebm`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ebm.buffer import SampleBufferConfig as SampleBufferConfig
    from artifex.ebm.conditional import ConditionalEBM as ConditionalEBM, ConditionalEBMConfig as ConditionalEBMConfig
    from artifex.ebm.deep_ebm import DeepEBM as DeepEBM, DeepEBMConfig as DeepEBMConfig
    from artifex.ebm.ebm import EBM as EBM, EBMConfig as EBMConfig
    from artifex.ebm.energies import (
        EnergyConfig as EnergyConfig,
        EnergyNetworkConfig as EnergyNetworkConfig,
        MixtureEnergyConfig as MixtureEnergyConfig,
        ProductOfEnergiesConfig as ProductOfEnergiesConfig,
        QuadraticEnergyConfig as QuadraticEnergyConfig,
    )
    from artifex.ebm.image_energies import ConvEnergyConfig as ConvEnergyConfig, ResNetEnergyConfig as ResNetEnergyConfig
    from artifex.ebm.jem import JEM as JEM, JEMConfig as JEMConfig
    from artifex.ebm.mcmc import MCMCConfig as MCMCConfig
    from artifex.ebm.objectives import (
        ContrastiveDivergenceConfig as ContrastiveDivergenceConfig,
        DenoisingScoreMatchingConfig as DenoisingScoreMatchingConfig,
        EnergyObjectiveConfig as EnergyObjectiveConfig,
        NoiseContrastiveConfig as NoiseContrastiveConfig,
        SlicedScoreMatchingConfig as SlicedScoreMatchingConfig,
    )
    from artifex.ebm.rbm import RBM as RBM, RBMConfig as RBMConfig
    from artifex.ebm.references import (
        GaussianReferenceConfig as GaussianReferenceConfig,
        UniformReferenceConfig as UniformReferenceConfig,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ConditionalEBM": "artifex.ebm.conditional",
        "ConditionalEBMConfig": "artifex.ebm.conditional",
        "ContrastiveDivergenceConfig": "artifex.ebm.objectives",
        "ConvEnergyConfig": "artifex.ebm.image_energies",
        "DeepEBM": "artifex.ebm.deep_ebm",
        "DeepEBMConfig": "artifex.ebm.deep_ebm",
        "DenoisingScoreMatchingConfig": "artifex.ebm.objectives",
        "EBM": "artifex.ebm.ebm",
        "EBMConfig": "artifex.ebm.ebm",
        "EnergyConfig": "artifex.ebm.energies",
        "EnergyNetworkConfig": "artifex.ebm.energies",
        "EnergyObjectiveConfig": "artifex.ebm.objectives",
        "GaussianReferenceConfig": "artifex.ebm.references",
        "JEM": "artifex.ebm.jem",
        "JEMConfig": "artifex.ebm.jem",
        "MCMCConfig": "artifex.ebm.mcmc",
        "MixtureEnergyConfig": "artifex.ebm.energies",
        "NoiseContrastiveConfig": "artifex.ebm.objectives",
        "ProductOfEnergiesConfig": "artifex.ebm.energies",
        "QuadraticEnergyConfig": "artifex.ebm.energies",
        "RBM": "artifex.ebm.rbm",
        "RBMConfig": "artifex.ebm.rbm",
        "ResNetEnergyConfig": "artifex.ebm.image_energies",
        "SampleBufferConfig": "artifex.ebm.buffer",
        "SlicedScoreMatchingConfig": "artifex.ebm.objectives",
        "UniformReferenceConfig": "artifex.ebm.references",
    },
)
