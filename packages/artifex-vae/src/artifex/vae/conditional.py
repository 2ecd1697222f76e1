r"""The conditional VAE.

Sohn, Lee & Yan 2015, "Learning Structured Output Representation using Deep Conditional Generative Models" (NIPS), with the
latent independent of the condition ``c``, as in Kingma et al. 2014 (arXiv:1406.5298), model M2:

    z ~ p(z) = N(0, I),   x ~ p(x | z, c)                            the decoder is given the condition
    q(z | x, c) = N(m(x, c), diag v(x, c))                           and so is the encoder
    log p(x | c) >= E_q[log p(x | z, c)] - KL(q(z | x, c) || p(z))   the conditional ELBO

The condition, a one-hot class or a vector, is put beside the flattened example (dense) or beside an image as constant channels
(conv, resnet), and beside the latent.

Shapes: ``B = batch, C = width of the condition, L = latent, ... = one example, T = steps of an interpolation``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.value_ranges import ValueRange
from artifex.vae.decoders import DecoderConfig
from artifex.vae.encoders import DiagonalGaussian, EncoderConfig, PositiveInt
from artifex.vae.vae import VAE, Given, VAEConfig, checked

__all__ = ["Condition", "ConditionalVAE", "ConditionalVAEConfig"]

Condition = Int[Array, "B"] | Float[Array, "B C"] | np.ndarray | int
"""Class labels, one for each example or one for all; or vectors."""


@config
class ConditionalVAEConfig(VAEConfig):
    """A VAE of ``x`` given a class or a vector.

    Example:
        >>> made = ConditionalVAEConfig(
        ...     encoder=EncoderConfig(hidden_dims=[32], input_shape=(8, 8, 1)),
        ...     decoder=DecoderConfig(hidden_dims=[32]),
        ...     latent_dim=4,
        ...     n_classes=10,
        ... )
        >>> made.condition_width
        10
    """

    n_classes: PositiveInt | None = None
    """The condition is one of this many classes, an integer from 0."""
    condition_dim: PositiveInt | None = None
    """The condition is a vector of this many real numbers."""

    def __post_init__(self) -> None:
        VAEConfig.__post_init__(self)
        if (self.n_classes is None) == (self.condition_dim is None):
            raise ValueError(
                f"n_classes is {self.n_classes} and condition_dim {self.condition_dim}; give one of them: "
                "the number of classes, or the width of the vector that x is conditioned on"
            )

    @property
    def condition_width(self) -> int:
        """``C``: what the networks are given beside ``x`` and ``z``."""
        width = self.n_classes or self.condition_dim
        assert width is not None  # checked above
        return width


class ConditionalVAE(VAE):
    """A VAE whose every method takes the ``condition`` of each example: class labels ``(B,)`` or vectors ``(B, C)``.

    A batch carries it as ``condition``; for a class-conditional model ``label`` does as well.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`ConditionalVAEConfig`.

    Example:
        >>> config = ConditionalVAEConfig(
        ...     encoder=EncoderConfig(hidden_dims=(8,), input_shape=(6,)),
        ...     decoder=DecoderConfig(hidden_dims=(8,)),
        ...     latent_dim=2,
        ...     n_classes=3,
        ... )
        >>> model = ConditionalVAE(config, rngs=nnx.Rngs(0))
        >>> model.generate(4, condition=jnp.array([0, 1, 2, 2])).shape
        (4, 6)
    """

    config: ConditionalVAEConfig

    def __init__(self, config: ConditionalVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, ConditionalVAEConfig):
            raise InvalidTypeError(f"ConditionalVAE takes a ConditionalVAEConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)

    def _network_configs(self, config: VAEConfig) -> tuple[EncoderConfig, DecoderConfig]:
        assert isinstance(config, ConditionalVAEConfig)
        shape, latent_dim = config.encoder.sizes()
        width = config.condition_width
        wider = (*shape[:-1], shape[-1] + width) if config.encoder_type != "dense" else (math.prod(shape) + width,)
        return config.encoder.replace(input_shape=wider), config.decoder.replace(latent_dim=latent_dim + width)

    def _posterior(self, x: Float[Array, "B ..."], given: Given) -> DiagonalGaussian:
        c = self._vectors(given)
        x = checked(x, self.shape, "x")
        if self.config.encoder_type == "dense":
            return self.encoder(jnp.concatenate([jax.lax.collapse(x, 1), c.astype(x.dtype)], axis=-1))
        channels = jnp.broadcast_to(c[:, None, None], (*x.shape[:-1], c.shape[-1]))
        return self.encoder(jnp.concatenate([x, channels.astype(x.dtype)], axis=-1))

    def _parameters(self, z: Float[Array, "B L"], given: Given) -> Float[Array, "B ..."]:
        c = self._vectors(given)
        return self.decoder(jnp.concatenate([z, c.astype(z.dtype)], axis=-1))

    def __call__(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Condition | None = None,
        label: Int[Array, "B"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """Encode, draw one ``z`` for each example, decode, all given the condition.

        Args:
            x: ``(B, ...)``, in data space.
            condition: class labels ``(B,)`` or vectors ``(B, C)``.
            label: what data sets call the classes: the condition of a class-conditional model that is given no other.
            rngs: stream ``sample`` draws ``z``; the model's own by default.

        Returns:
            What :class:`artifex.vae.VAE` gives.

        Raises:
            InvalidInputError: there is no condition, or one that does not fit.
        """
        if condition is None and self.config.n_classes is not None:
            condition = label
        return self._outputs(x, self._given(condition, x.shape[0]), draw_key(self, rngs))

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """As of any VAE; and of a class-conditional one the classes, in the array that it takes for its condition."""
        ranges = super().value_ranges(batch)
        if self.config.n_classes is None:
            return ranges
        return {**ranges, "condition" if "condition" in batch else "label": range(self.config.n_classes)}

    def conditions_for(self, n_samples: int) -> Int[np.ndarray, "n_samples"] | None:
        """What :meth:`generate` takes where it is given none: classes in turns, 0, 1, 2, ...; None for vectors."""
        return None if self.config.n_classes is None else np.arange(n_samples) % self.config.n_classes

    def encode(self, x: Float[Array, "B ..."], *, condition: Condition | None = None) -> DiagonalGaussian:
        """``q(z | x, c)``: its ``mean`` and ``log_variance``, ``(B, L)`` each."""
        return self._posterior(x, self._given(condition, x.shape[0]))

    def decode(self, z: Float[Array, "B L"], *, condition: Condition | None = None) -> Float[Array, "B ..."]:
        """``E[x | z, c]``, in data space."""
        return self._decoded(z, self._given(condition, z.shape[0]))

    def generate(
        self,
        n_samples: int = 1,
        *,
        condition: Condition | None = None,
        observation_noise: bool = False,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples ..."]:
        """``z ~ N(0, I)``, then ``E[x | z, c]``.

        Args:
            n_samples: how many.
            condition: one for each sample, or one class for all. Without one, classes take turns: 0, 1, 2, ...; a model
                conditioned on vectors has to be given them.
            observation_noise: draw ``x ~ p(x | z, c)`` instead of its mean.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        if condition is None:
            condition = self.conditions_for(n_samples)
        return self._generate(n_samples, self._given(condition, n_samples), observation_noise=observation_noise, rngs=rngs)

    @compiled_method(static=("n_samples", "observation_noise"))
    def _generate(
        self, n_samples: int, given: Given, *, observation_noise: bool, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        return self._generated(n_samples, given, observation_noise, rngs)

    def sample(
        self,
        n_samples: int = 1,
        *,
        condition: Condition | None = None,
        observation_noise: bool = False,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples ..."]:
        """The same as :meth:`generate`."""
        return self.generate(n_samples, condition=condition, observation_noise=observation_noise, rngs=rngs)

    def reconstruct(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Condition | None = None,
        deterministic: bool = True,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B ..."]:
        """``E[x | z, c]`` for the posterior's mean ``z``, or for a draw from the posterior when not ``deterministic``."""
        given = self._given(condition, x.shape[0])
        return self._mean_reconstruction(x, given) if deterministic else self._drawn_reconstruction(x, given, rngs=rngs)

    @compiled_method()
    def _mean_reconstruction(self, x: Float[Array, "B ..."], given: Given) -> Float[Array, "B ..."]:
        return self._decoded(self._posterior(x, given).mean, given)

    @compiled_method()
    def _drawn_reconstruction(
        self, x: Float[Array, "B ..."], given: Given, *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B ..."]:
        return self._decoded(self._posterior(x, given).sample(draw_key(self, rngs)), given)

    def interpolate(
        self,
        x0: Float[Array, "B ..."],
        x1: Float[Array, "B ..."],
        n_steps: int = 8,
        *,
        condition: Condition | None = None,
    ) -> Float[Array, "B T ..."]:
        """Decode ``(1 - t) z0 + t z1`` at ``n_steps`` values of ``t`` from 0 to 1; both ends have the same ``condition``."""
        check_at_least(2, n_steps=n_steps)
        return self._interpolate(x0, x1, self._given(condition, x0.shape[0]), n_steps=n_steps)

    @compiled_method(static=("n_steps",))
    def _interpolate(
        self, x0: Float[Array, "B ..."], x1: Float[Array, "B ..."], given: Given, *, n_steps: int
    ) -> Float[Array, "B T ..."]:
        return self._interpolated(x0, x1, given, n_steps)

    def log_prob(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Condition | None = None,
        num_samples: int = 100,
        chunk_size: int = 1024,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B"]:
        """``log 1/K sum_k p(x | z_k, c) p(z_k) / q(z_k | x, c)``: :meth:`artifex.vae.VAE.log_prob` of ``x`` given ``c``."""
        given = self._given(condition, x.shape[0])
        return self._log_prob(x, given, num_samples=num_samples, chunk_size=chunk_size, rngs=rngs)

    @compiled_method(static=("num_samples", "chunk_size"))
    def _log_prob(
        self, x: Float[Array, "B ..."], given: Given, *, num_samples: int, chunk_size: int, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B"]:
        return self._importance_weighted(x, given, draw_key(self, rngs), num_samples, chunk_size)

    def _given(self, condition: Condition | None, n: int) -> Given:
        """The condition of ``n`` examples, labels ``(n,)`` or vectors ``(n, C)``, alone in a tuple; nothing is computed yet."""
        n_classes, width = self.config.n_classes, self.config.condition_width
        kind = f"class labels below {n_classes} of shape ({n},)" if n_classes else f"vectors of shape ({n}, {width})"
        if condition is None:
            where = "'condition' or 'label'" if n_classes else "'condition'"
            raise InvalidInputError(f"no condition is given; pass condition=... (in data, the array {where}) with {kind}")
        c = condition if isinstance(condition, jax.Array) else np.asarray(condition)
        if n_classes is None:
            if c.shape not in ((n, width), (1, width)) or not jnp.issubdtype(c.dtype, jnp.floating):
                raise InvalidInputError(
                    f"condition is {c.dtype} of shape {c.shape}, expected floating-point {kind}, or one for all"
                )
            return (jnp.broadcast_to(c, (n, width)) if isinstance(c, jax.Array) else np.broadcast_to(c, (n, width)),)
        if c.shape not in ((), (1,), (n,)) or not jnp.issubdtype(c.dtype, jnp.integer):
            raise InvalidInputError(f"condition is {c.dtype} of shape {c.shape}, expected integer {kind}, or one for all")
        # inside a compiled program the values are not known yet: there, `_vectors` sees to them
        if not isinstance(c, Tracer) and c.size and not np.isin(c, np.arange(n_classes)).all():
            low, high = np.min(c), np.max(c)
            raise InvalidInputError(f"condition holds classes from {low} to {high}, expected 0 to {n_classes - 1}")
        if c.shape == (n,):
            return (c,)
        return (jnp.broadcast_to(c, (n,)) if isinstance(c, Tracer) else np.broadcast_to(np.asarray(c), (n,)),)

    def _vectors(self, given: Given) -> Float[Array, "n C"]:
        """The condition as vectors: one-hot classes, or what was given."""
        (c,) = given
        if self.config.n_classes is None:
            return jnp.asarray(c)
        # a class that is none is NaN, at which training stops, and not a vector of zeros, on which it would go on
        known = (c >= 0) & (c < self.config.n_classes)
        return jnp.where(known[:, None], jax.nn.one_hot(c, self.config.n_classes), jnp.nan)
