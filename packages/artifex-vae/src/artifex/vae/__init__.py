"""Variational autoencoders. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.vae import likelihoods as likelihoods, losses as losses, metrics as metrics
    from artifex.vae.beta import BetaVAE as BetaVAE, BetaVAEConfig as BetaVAEConfig, CapacityConfig as CapacityConfig
    from artifex.vae.beta_tc import BetaTCVAE as BetaTCVAE, BetaTCVAEConfig as BetaTCVAEConfig
    from artifex.vae.codes import Codes as Codes, CodesConfig as CodesConfig
    from artifex.vae.conditional import ConditionalVAE as ConditionalVAE, ConditionalVAEConfig as ConditionalVAEConfig
    from artifex.vae.decoders import (
        ConvDecoder as ConvDecoder,
        DecoderConfig as DecoderConfig,
        DenseDecoder as DenseDecoder,
        ResNetDecoder as ResNetDecoder,
    )
    from artifex.vae.diffusers_weights import load_diffusers as load_diffusers, save_diffusers as save_diffusers
    from artifex.vae.encoders import (
        ConvEncoder as ConvEncoder,
        DenseEncoder as DenseEncoder,
        DiagonalGaussian as DiagonalGaussian,
        EncoderConfig as EncoderConfig,
        ResNetEncoder as ResNetEncoder,
    )
    from artifex.vae.hierarchical import (
        HierarchicalVAE as HierarchicalVAE,
        HierarchicalVAEConfig as HierarchicalVAEConfig,
    )
    from artifex.vae.iwae import IWAE as IWAE, IWAEConfig as IWAEConfig
    from artifex.vae.joint import (
        JointPartConfig as JointPartConfig,
        JointVAE as JointVAE,
        JointVAEConfig as JointVAEConfig,
    )
    from artifex.vae.kl_autoencoder import KLAutoencoder as KLAutoencoder, KLAutoencoderConfig as KLAutoencoderConfig
    from artifex.vae.likelihoods import (
        Bernoulli as Bernoulli,
        BernoulliConfig as BernoulliConfig,
        DiscretizedLogistic as DiscretizedLogistic,
        DiscretizedLogisticConfig as DiscretizedLogisticConfig,
        Gaussian as Gaussian,
        GaussianConfig as GaussianConfig,
        Laplace as Laplace,
        LaplaceConfig as LaplaceConfig,
    )
    from artifex.vae.vae import VAE as VAE, VAEConfig as VAEConfig
    from artifex.vae.vqvae import VQVAE as VQVAE, VQVAEConfig as VQVAEConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Bernoulli": "artifex.vae.likelihoods",
        "BernoulliConfig": "artifex.vae.likelihoods",
        "BetaTCVAE": "artifex.vae.beta_tc",
        "BetaTCVAEConfig": "artifex.vae.beta_tc",
        "BetaVAE": "artifex.vae.beta",
        "BetaVAEConfig": "artifex.vae.beta",
        "CapacityConfig": "artifex.vae.beta",
        "Codes": "artifex.vae.codes",
        "CodesConfig": "artifex.vae.codes",
        "ConditionalVAE": "artifex.vae.conditional",
        "ConditionalVAEConfig": "artifex.vae.conditional",
        "ConvDecoder": "artifex.vae.decoders",
        "ConvEncoder": "artifex.vae.encoders",
        "DecoderConfig": "artifex.vae.decoders",
        "DenseDecoder": "artifex.vae.decoders",
        "DenseEncoder": "artifex.vae.encoders",
        "DiagonalGaussian": "artifex.vae.encoders",
        "DiscretizedLogistic": "artifex.vae.likelihoods",
        "DiscretizedLogisticConfig": "artifex.vae.likelihoods",
        "EncoderConfig": "artifex.vae.encoders",
        "Gaussian": "artifex.vae.likelihoods",
        "GaussianConfig": "artifex.vae.likelihoods",
        "HierarchicalVAE": "artifex.vae.hierarchical",
        "HierarchicalVAEConfig": "artifex.vae.hierarchical",
        "IWAE": "artifex.vae.iwae",
        "JointPartConfig": "artifex.vae.joint",
        "JointVAE": "artifex.vae.joint",
        "JointVAEConfig": "artifex.vae.joint",
        "IWAEConfig": "artifex.vae.iwae",
        "KLAutoencoder": "artifex.vae.kl_autoencoder",
        "KLAutoencoderConfig": "artifex.vae.kl_autoencoder",
        "Laplace": "artifex.vae.likelihoods",
        "LaplaceConfig": "artifex.vae.likelihoods",
        "ResNetDecoder": "artifex.vae.decoders",
        "ResNetEncoder": "artifex.vae.encoders",
        "VAE": "artifex.vae.vae",
        "VAEConfig": "artifex.vae.vae",
        "VQVAE": "artifex.vae.vqvae",
        "VQVAEConfig": "artifex.vae.vqvae",
        "likelihoods": "artifex.vae.likelihoods",
        "load_diffusers": "artifex.vae.diffusers_weights",
        "losses": "artifex.vae.losses",
        "metrics": "artifex.vae.metrics",
        "save_diffusers": "artifex.vae.diffusers_weights",
    },
)
