"""The documented long path of :mod:`artifex.vae`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.vae.beta import BetaVAE as BetaVAE, BetaVAEConfig as BetaVAEConfig
    from artifex.vae.beta_tc import BetaTCVAE as BetaTCVAE, BetaTCVAEConfig as BetaTCVAEConfig
    from artifex.vae.conditional import ConditionalVAE as ConditionalVAE, ConditionalVAEConfig as ConditionalVAEConfig
    from artifex.vae.decoders import DecoderConfig as DecoderConfig
    from artifex.vae.encoders import EncoderConfig as EncoderConfig
    from artifex.vae.hierarchical import (
        HierarchicalVAE as HierarchicalVAE,
        HierarchicalVAEConfig as HierarchicalVAEConfig,
    )
    from artifex.vae.iwae import IWAE as IWAE, IWAEConfig as IWAEConfig
    from artifex.vae.kl_autoencoder import KLAutoencoder as KLAutoencoder, KLAutoencoderConfig as KLAutoencoderConfig
    from artifex.vae.vae import VAE as VAE, VAEConfig as VAEConfig
    from artifex.vae.vqvae import VQVAE as VQVAE, VQVAEConfig as VQVAEConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "BetaTCVAE": "artifex.vae.beta_tc",
        "BetaTCVAEConfig": "artifex.vae.beta_tc",
        "BetaVAE": "artifex.vae.beta",
        "BetaVAEConfig": "artifex.vae.beta",
        "ConditionalVAE": "artifex.vae.conditional",
        "ConditionalVAEConfig": "artifex.vae.conditional",
        "DecoderConfig": "artifex.vae.decoders",
        "EncoderConfig": "artifex.vae.encoders",
        "HierarchicalVAE": "artifex.vae.hierarchical",
        "HierarchicalVAEConfig": "artifex.vae.hierarchical",
        "IWAE": "artifex.vae.iwae",
        "IWAEConfig": "artifex.vae.iwae",
        "KLAutoencoder": "artifex.vae.kl_autoencoder",
        "KLAutoencoderConfig": "artifex.vae.kl_autoencoder",
        "VAE": "artifex.vae.vae",
        "VAEConfig": "artifex.vae.vae",
        "VQVAE": "artifex.vae.vqvae",
        "VQVAEConfig": "artifex.vae.vqvae",
    },
)
