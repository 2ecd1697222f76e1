r"""The beta-VAE, and its annealed capacity.

Higgins et al. 2017, "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework" (ICLR):

    loss = beta KL(q(z | x) || p(z)) - E_q[log p(x | z)]

Burgess et al. 2018, "Understanding disentangling in beta-VAE" (arXiv:1804.03599), where the divergence follows a capacity C
that rises linearly with the training step t:

    loss = gamma |KL(q(z | x) || p(z)) - C(t)| - E_q[log p(x | z)],   C(t) = nats * min(t / steps, 1)

Shapes: ``B = batch``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import Batch
from artifex.vae import losses
from artifex.vae.vae import VAE, VAEConfig, averages

__all__ = ["BetaVAE", "BetaVAEConfig", "CapacityConfig"]


@config
class CapacityConfig(Config):
    """The annealed capacity of Burgess et al.; the defaults are the paper's for dSprites."""

    nats: Annotated[float, Field(ge=0)] = 25.0
    """What the capacity rises to."""
    steps: Annotated[int, Field(gt=0)] = 100_000
    """Training steps in which it gets there from zero."""
    gamma: Annotated[float, Field(ge=0)] = 1000.0
    """How strongly the divergence is held at the capacity."""


@config
class BetaVAEConfig(VAEConfig):
    """A VAE whose divergence is weighted by `beta`, or held at a rising `capacity`."""

    beta: Annotated[float, Field(ge=0)] | None = None
    """Weight of the divergence; 4 unless a `capacity` is given, which takes its place."""
    capacity: CapacityConfig | None = None
    """The annealed capacity of Burgess et al. 2018, instead of `beta`."""

    def __post_init__(self) -> None:
        VAEConfig.__post_init__(self)
        if self.kl_weight != 1.0:
            raise ValueError(f"kl_weight is {self.kl_weight}, but here beta weights the divergence; leave kl_weight out")
        if self.beta is not None and self.capacity is not None:
            raise ValueError(f"beta is {self.beta} and a capacity is given; the capacity objective has no beta: leave one out")
        if self.beta is None and self.capacity is None:
            object.__setattr__(self, "beta", 4.0)


class BetaVAE(VAE):
    """A VAE trained for disentangled latents. Everything but the loss is :class:`artifex.vae.VAE`'s.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`BetaVAEConfig`.
    """

    def __init__(self, config: BetaVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, BetaVAEConfig):
            raise InvalidTypeError(f"BetaVAE takes a BetaVAEConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)
        self.beta, self.annealing = config.beta, config.capacity

    def loss_fn(
        self, batch: Batch, outputs: Mapping[str, Array], *, step: int | Array | None = None
    ) -> dict[str, Float[Array, ""]]:
        """The objective at the head of this file, in nats an example.

        Args:
            batch: holds ``x``.
            outputs: what the model made of it.
            step: number of the training step, from which an annealed capacity follows; without one it plays no part.

        Returns:
            ``loss``, ``reconstruction_loss``, ``kl``, ``elbo``, and with an annealed capacity its present value, ``capacity``.

        Raises:
            InvalidInputError: the capacity is annealed and no ``step`` is given.
        """
        log_likelihood, kl = self.elbo_terms(batch["x"], outputs)
        if self.annealing is None:
            assert self.beta is not None  # the config saw to it
            return {"loss": losses.beta_objective(log_likelihood, kl, self.beta), **averages(log_likelihood, kl)}
        if step is None:
            raise InvalidInputError("no step is given, but the capacity follows the training step; call loss_fn(..., step=...)")
        capacity = losses.annealed_capacity(step, final=self.annealing.nats, steps=self.annealing.steps)
        loss = losses.capacity_objective(log_likelihood, kl, capacity=capacity, gamma=self.annealing.gamma)
        return {"loss": loss, "capacity": capacity, **averages(log_likelihood, kl)}
