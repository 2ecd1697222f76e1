r"""The deep convolutional GAN.

Radford, Metz & Chintala 2015, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks"
(arXiv:1511.06434): a GAN whose networks are strided convolutions with batch norm, all but the generator's last and the
discriminator's first; ReLU in the generator, tanh at its end, leaky ReLU of slope 0.2 in the discriminator; weights start from
N(0, 0.02²). Adam with a learning rate of 2e-4 and ``b1`` = 0.5 trains it.

Images have any size: each doubling is cropped to the size that as many halvings of the image have, 4, 7, 14, 28.
"""

from __future__ import annotations

from artifex.core.config import config
from artifex.gan.discriminators import ConvDiscriminatorConfig
from artifex.gan.gan import AdversarialConfig, AdversarialModel
from artifex.gan.generators import ConvGeneratorConfig

__all__ = ["DCGAN", "DCGANConfig"]


@config
class DCGANConfig(AdversarialConfig):
    """A DCGAN.

    Example:
        >>> made = DCGANConfig(
        ...     generator=ConvGeneratorConfig(latent_dim=20, hidden_dims=(32, 16, 8), output_shape=(1, 28, 28)),
        ...     discriminator=ConvDiscriminatorConfig(hidden_dims=(8, 16, 32)),
        ... )
        >>> made.generator.sizes()
        ((4, 4), (7, 7), (14, 14), (28, 28))
    """

    generator: ConvGeneratorConfig
    """From a latent to an image."""
    discriminator: ConvDiscriminatorConfig
    """From an image to a logit."""


class DCGAN(AdversarialModel):
    """The deep convolutional GAN of Radford et al. 2015.

    Args:
        config: what to build.
        rngs: random streams, as :class:`artifex.gan.gan.AdversarialModel` has them.

    Example:
        >>> from flax import nnx
        >>> config = DCGANConfig(
        ...     generator=ConvGeneratorConfig(latent_dim=4, hidden_dims=(8,), output_shape=(1, 6, 6)),
        ...     discriminator=ConvDiscriminatorConfig(hidden_dims=(8,)),
        ... )
        >>> DCGAN(config, rngs=nnx.Rngs(0)).generate(3).shape
        (3, 1, 6, 6)
    """

    CONFIG = DCGANConfig
