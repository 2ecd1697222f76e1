"""Energy-based models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ebm import diagnostics as diagnostics, losses as losses, samplers as samplers
    from artifex.ebm.buffer import SampleBuffer as SampleBuffer, SampleBufferConfig as SampleBufferConfig
    from artifex.ebm.conditional import ConditionalEBM as ConditionalEBM, ConditionalEBMConfig as ConditionalEBMConfig
    from artifex.ebm.deep_ebm import DeepEBM as DeepEBM, DeepEBMConfig as DeepEBMConfig
    from artifex.ebm.ebm import EBM as EBM, EBMConfig as EBMConfig
    from artifex.ebm.energies import (
        EnergyConfig as EnergyConfig,
        EnergyNetwork as EnergyNetwork,
        EnergyNetworkConfig as EnergyNetworkConfig,
        MixtureEnergy as MixtureEnergy,
        MixtureEnergyConfig as MixtureEnergyConfig,
        ProductOfEnergies as ProductOfEnergies,
        ProductOfEnergiesConfig as ProductOfEnergiesConfig,
        QuadraticEnergy as QuadraticEnergy,
        QuadraticEnergyConfig as QuadraticEnergyConfig,
    )
    from artifex.ebm.image_energies import (
        ConvEnergy as ConvEnergy,
        ConvEnergyConfig as ConvEnergyConfig,
        ResNetEnergy as ResNetEnergy,
        ResNetEnergyConfig as ResNetEnergyConfig,
    )
    from artifex.ebm.jem import JEM as JEM, JEMConfig as JEMConfig
    from artifex.ebm.mcmc import MCMCConfig as MCMCConfig, sample_chains as sample_chains
    from artifex.ebm.objectives import (
        ContrastiveDivergenceConfig as ContrastiveDivergenceConfig,
        DenoisingScoreMatchingConfig as DenoisingScoreMatchingConfig,
        EnergyObjectiveConfig as EnergyObjectiveConfig,
        NoiseContrastiveConfig as NoiseContrastiveConfig,
        SlicedScoreMatchingConfig as SlicedScoreMatchingConfig,
    )
    from artifex.ebm.partition import (
        LogPartition as LogPartition,
        annealed_importance_sampling as annealed_importance_sampling,
        tempered_smc as tempered_smc,
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
        "ConvEnergy": "artifex.ebm.image_energies",
        "ConvEnergyConfig": "artifex.ebm.image_energies",
        "DeepEBM": "artifex.ebm.deep_ebm",
        "DeepEBMConfig": "artifex.ebm.deep_ebm",
        "DenoisingScoreMatchingConfig": "artifex.ebm.objectives",
        "EBM": "artifex.ebm.ebm",
        "EBMConfig": "artifex.ebm.ebm",
        "EnergyConfig": "artifex.ebm.energies",
        "EnergyNetwork": "artifex.ebm.energies",
        "EnergyNetworkConfig": "artifex.ebm.energies",
        "EnergyObjectiveConfig": "artifex.ebm.objectives",
        "GaussianReferenceConfig": "artifex.ebm.references",
        "JEM": "artifex.ebm.jem",
        "JEMConfig": "artifex.ebm.jem",
        "LogPartition": "artifex.ebm.partition",
        "MCMCConfig": "artifex.ebm.mcmc",
        "MixtureEnergy": "artifex.ebm.energies",
        "MixtureEnergyConfig": "artifex.ebm.energies",
        "NoiseContrastiveConfig": "artifex.ebm.objectives",
        "ProductOfEnergies": "artifex.ebm.energies",
        "ProductOfEnergiesConfig": "artifex.ebm.energies",
        "QuadraticEnergy": "artifex.ebm.energies",
        "QuadraticEnergyConfig": "artifex.ebm.energies",
        "RBM": "artifex.ebm.rbm",
        "RBMConfig": "artifex.ebm.rbm",
        "ResNetEnergy": "artifex.ebm.image_energies",
        "ResNetEnergyConfig": "artifex.ebm.image_energies",
        "SampleBuffer": "artifex.ebm.buffer",
        "SampleBufferConfig": "artifex.ebm.buffer",
        "SlicedScoreMatchingConfig": "artifex.ebm.objectives",
        "UniformReferenceConfig": "artifex.ebm.references",
        "annealed_importance_sampling": "artifex.ebm.partition",
        "diagnostics": "artifex.ebm.diagnostics",
        "losses": "artifex.ebm.losses",
        "sample_chains": "artifex.ebm.mcmc",
        "samplers": "artifex.ebm.samplers",
        "tempered_smc": "artifex.ebm.partition",
    },
)
