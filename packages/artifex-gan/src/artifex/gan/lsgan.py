r"""The least-squares GAN.

Mao et al. 2017, "Least Squares Generative Adversarial Networks" (arXiv:1611.04076), equation 9:

    min_D  1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2,      min_G  1/2 E (D(G(z)) - 1)^2

whose generator is pulled towards the boundary by examples that lie far on the right side of it, too.
"""

from __future__ import annotations

from typing import Literal

from artifex.core.config import config
from artifex.gan.gan import AdversarialConfig, AdversarialModel

__all__ = ["LSGAN", "LSGANConfig"]


@config
class LSGANConfig(AdversarialConfig):
    """An LSGAN.

    Example:
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> LSGANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(32,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(32,)),
        ... ).loss
        'least_squares'
    """

    loss: Literal["least_squares"] = "least_squares"
    """Squared distances from 1 and 0."""


class LSGAN(AdversarialModel):
    """The least-squares GAN of Mao et al. 2017.

    Args:
        config: what to build.
        rngs: random streams, as :class:`artifex.gan.gan.AdversarialModel` has them.

    Example:
        >>> from flax import nnx
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> config = LSGANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(8,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(8,)),
        ... )
        >>> LSGAN(config, rngs=nnx.Rngs(0)).generate(3).shape
        (3, 2)
    """

    CONFIG = LSGANConfig
