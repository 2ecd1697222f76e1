r"""The Wasserstein GAN with a gradient penalty.

Arjovsky, Chintala & Bottou 2017, "Wasserstein GAN" (arXiv:1701.07875); Gulrajani et al. 2017, "Improved Training of Wasserstein
GANs" (arXiv:1704.00028), algorithm 1:

    min_G max_D  E D(x) - E D(G(z)),   |D(x) - D(y)| <= |x - y|        the earth mover's distance
    penalty = 10 E (|grad D(u x + (1 - u) G(z))| - 1)^2                in place of the constraint

Five critic steps for each of the generator, no batch norm in the critic; Adam with ``b1`` = 0 or 0.5, ``b2`` = 0.9.
"""

from __future__ import annotations

from typing import Literal

from artifex.core.config import config
from artifex.gan.gan import AdversarialConfig, AdversarialModel, Weight
from artifex.gan.layers import PositiveInt

__all__ = ["WGAN", "WGANConfig"]


@config
class WGANConfig(AdversarialConfig):
    """A WGAN.

    Example:
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> made = WGANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(32,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(32,)),
        ... )
        >>> made.n_critic, made.gradient_penalty
        (5, 10.0)
    """

    loss: Literal["wasserstein"] = "wasserstein"
    """The earth mover's distance."""
    n_critic: PositiveInt = 5
    """The generator moves at each so-many-th step, the critic at every step."""
    gradient_penalty: Weight = 10.0
    """Weight of the squared distance of the critic's slope from 1, between real and generated examples."""

    def __post_init__(self) -> None:
        AdversarialConfig.__post_init__(self)
        if not self.is_penalised:
            raise ValueError(
                "nothing holds the critic's slope, without which its distance has no bound; give gradient_penalty, r1 or r2 a "
                "weight"
            )


class WGAN(AdversarialModel):
    """The Wasserstein GAN of Arjovsky et al. 2017, with the penalty of Gulrajani et al. 2017.

    Args:
        config: what to build.
        rngs: random streams, as :class:`artifex.gan.gan.AdversarialModel` has them.

    Example:
        >>> from flax import nnx
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> config = WGANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(8,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(8,)),
        ... )
        >>> model = WGAN(config, rngs=nnx.Rngs(0))
        >>> [(objective.name, objective.every) for objective in model.objectives()]
        [('discriminator', 1), ('generator', 5)]
    """

    CONFIG = WGANConfig
