r"""The hierarchical VAE with top-down inference (the ladder VAE), and free bits.

Sønderby et al. 2016, "Ladder Variational Autoencoders" (arXiv:1602.02282), levels ``i = 1`` (next to the data) to ``n`` (top):

    p(x, z) = p(x | z_1) p(z_1 | z_2) ... p(z_{n-1} | z_n) p(z_n),   p(z_n) = N(0, I)              the model
    d_i = bottom-up features of x,   (m_i, v_i) made of d_i,   (m_p, v_p) the prior's, made of z_{i+1}
    q(z_i | z_{i+1}, x) = N((m_i / v_i + m_p / v_p) v, v),   1 / v = 1 / v_i + 1 / v_p      equations 17-19: precisions add up
    ELBO = E_q[log p(x | z_1) - sum_i KL(q(z_i | z_{i+1}, x) || p(z_i | z_{i+1}))]

The top level's posterior is made of the features alone. Free bits (Kingma et al. 2016, arXiv:1606.04934, appendix C.8) replace
each level's divergence in the loss by ``max(lambda, mean_B KL_i)``: nothing is gained by a level that carries less.

Shapes: ``B = batch, L = latents of a level, K = importance samples, ... = one example``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidTypeError
from artifex.core.nn import MLP, ParamDType, activation as activation_named
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.vae import losses
from artifex.vae.encoders import DiagonalGaussian, PositiveInt, Shape
from artifex.vae.likelihoods import (
    BernoulliConfig,
    LikelihoodField,
    accumulated,
    create_likelihood,
    gaussian_log_prob,
    values_of,
)
from artifex.vae.vae import averages, checked

__all__ = ["HierarchicalVAE", "HierarchicalVAEConfig", "gaussian_divergence", "precision_weighted"]

Levels = Annotated[tuple[PositiveInt, ...], Field(min_length=2)]


@config
class HierarchicalVAEConfig(Config):
    """A hierarchical VAE of dense networks, one entry a level, from the data upwards."""

    input_shape: Shape
    """Shape of one example."""
    latent_dims: Levels
    """Number of latent variables of each level, the one next to the data first."""
    hidden_dims: Levels
    """Width of the hidden layer of each level's networks, the one next to the data first."""
    activation: str = "relu"
    """Name of the nonlinearity."""
    free_nats: Annotated[float, Field(ge=0)] = 0.0
    """Divergence of each level, in nats, below which the loss does not reward less."""
    likelihood: LikelihoodField = BernoulliConfig()
    """What the decoder's output means: `bernoulli`, `gaussian`, `discretized_logistic`, or a dict of its `kind` and fields."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built
        if len(self.latent_dims) != len(self.hidden_dims):
            levels = f"latent_dims has {len(self.latent_dims)} levels, hidden_dims {len(self.hidden_dims)}"
            raise ValueError(f"{levels}; give each one entry a level")


def precision_weighted(likelihood: DiagonalGaussian, prior: DiagonalGaussian) -> DiagonalGaussian:
    r"""``1 / v = 1 / v_1 + 1 / v_2``, ``m = (m_1 / v_1 + m_2 / v_2) v``: the normalised product of two Gaussians.

    Sønderby et al. 2016 (arXiv:1602.02282), equations 17-18.
    """
    a, b = accumulated(likelihood.log_variance), accumulated(prior.log_variance)
    log_variance = -jnp.logaddexp(-a, -b)
    mean = jnp.exp(log_variance - a) * likelihood.mean + jnp.exp(log_variance - b) * prior.mean
    return DiagonalGaussian(mean, log_variance)


def gaussian_divergence(q: DiagonalGaussian, p: DiagonalGaussian) -> Float[Array, "..."]:
    r"""``KL(q || p) = 1/2 sum_j (v_q / v_p + (m_q - m_p)^2 / v_p - 1 - log v_q / v_p)``, nats.

    The divergence of ``(m_q - m_p) / sqrt(v_p)`` and ``v_q / v_p`` from the standard normal.
    """
    q_log, p_log = accumulated(q.log_variance), accumulated(p.log_variance)
    return losses.gaussian_kl((accumulated(q.mean) - p.mean) * jnp.exp(-0.5 * p_log), q_log - p_log)


class HierarchicalVAE(nnx.Module):
    """A VAE of several stochastic levels.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`HierarchicalVAEConfig`.

    Example:
        >>> config = HierarchicalVAEConfig(input_shape=(6,), latent_dims=(4, 2), hidden_dims=(16, 8))
        >>> model = HierarchicalVAE(config, rngs=nnx.Rngs(0))
        >>> {name: value.shape for name, value in model(jnp.zeros((3, 6))).items()}
        {'reconstruction': (3, 6), 'parameters': (3, 6), 'kl_levels': (3, 2)}
    """

    def __init__(self, config: HierarchicalVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, HierarchicalVAEConfig):
            raise InvalidTypeError(f"HierarchicalVAE takes a HierarchicalVAEConfig, got {type(config).__name__}: {config!r}")
        self.config, self.shape = config, config.input_shape
        self.activation = activation_named(config.activation)
        self.likelihood = create_likelihood(config.likelihood, param_dtype=config.param_dtype)
        kinds: dict[str, Any] = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        hidden, latents = config.hidden_dims, config.latent_dims
        own = {"activation": config.activation, **kinds}
        sizes = (math.prod(self.shape), *hidden)
        self.bottom_up = nnx.List([MLP(i, (o,), o, **own) for i, o in pairwise(sizes)])
        self.posteriors = nnx.List([MLP(h, (), 2 * n, **kinds) for h, n in zip(hidden, latents, strict=True)])
        downwards = zip(latents[1:], hidden, latents, strict=False)
        self.priors = nnx.List([MLP(above, (h, h), 2 * n, **own) for above, h, n in downwards])
        self.output_shape = (*self.shape[:-1], self.likelihood.n_parameters * self.shape[-1])
        self.decoder = MLP(latents[0], (hidden[0], hidden[0]), math.prod(self.output_shape), **own)
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B ..."], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Features upwards, one draw of each level downwards, decode.

        Args:
            x: ``(B, ...)``, in data space.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, ...)``, the mean of ``p(x | z_1)``; ``parameters``, the likelihood's; ``kl_levels``
            ``(B, n)``, each level's divergence, the one next to the data first.
        """
        levels = self._descend(self._features(x), draw_key(self, rngs))
        parameters = self._decode(levels[0][2])
        kl = jnp.stack([gaussian_divergence(q, p) for q, p, _ in levels], axis=-1)
        return {"reconstruction": self.likelihood.mean(parameters), "parameters": parameters, "kl_levels": kl}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` as the likelihood has it (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return values_of(self.likelihood)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B -log p(x | z_1) + sum_i max(lambda, mean_B KL_i)``, nats an example.

        Returns:
            ``loss``; ``reconstruction_loss``; ``kl`` and ``elbo`` without free bits; ``kl_1``, ``kl_2`` ... of each level.
        """
        log_likelihood, kl = self.elbo_terms(batch["x"], outputs)
        levels = jnp.mean(outputs["kl_levels"], axis=0)
        loss = jnp.sum(jnp.maximum(self.config.free_nats, levels)) - jnp.mean(log_likelihood)
        return {"loss": loss, **averages(log_likelihood, kl), **{f"kl_{i}": value for i, value in enumerate(levels, 1)}}

    def elbo_terms(self, x: Float[Array, "B ..."], outputs: Mapping[str, Array]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """``log p(x | z_1)`` and the sum of the levels' divergences of each example, nats."""
        return self._log_likelihood(x, outputs["parameters"]), jnp.sum(outputs["kl_levels"], axis=-1)

    @compiled_method(static=("n_samples", "observation_noise"))
    def generate(
        self, n_samples: int = 1, *, observation_noise: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """Every level from its prior, the top one first, then ``E[x | z_1]``.

        Args:
            n_samples: how many.
            observation_noise: draw ``x ~ p(x | z_1)`` instead of its mean.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        z = jax.random.normal(draw_key(self, rngs), (n_samples, self.config.latent_dims[-1]))
        for network in reversed(self.priors):
            z = gaussian_of(network(z)).sample(draw_key(self, rngs))
        parameters = self._decode(z)
        return (
            self.likelihood.sample(parameters, draw_key(self, rngs)) if observation_noise else self.likelihood.mean(parameters)
        )

    @compiled_method()
    def reconstruct(self, x: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
        """``E[x | z_1]`` with every level at its posterior's mean."""
        return self.likelihood.mean(self._decode(self._descend(self._features(x), None)[0][2]))

    @compiled_method(static=("num_samples", "chunk_size"))
    def log_prob(
        self, x: Float[Array, "B ..."], *, num_samples: int = 100, chunk_size: int = 1024, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B"]:
        """``log 1/K sum_k p(x, z_k) / q(z_k | x)`` over all levels together: a bound of ``log p(x)``, tight as ``K`` grows.

        Burda et al. 2015 (arXiv:1509.00519), equation 8. Arguments as in :meth:`artifex.vae.VAE.log_prob`.
        """
        check_at_least(1, num_samples=num_samples, chunk_size=chunk_size)
        x = checked(x, self.shape, "x")
        key = draw_key(self, rngs)
        return losses.importance_weighted(self._log_weights, x, key, num_samples=num_samples, chunk_size=chunk_size)

    def _log_weights(self, x: Float[Array, "..."], key: Array, n: int) -> Float[Array, "K"]:
        # in float32 from here on: the densities are those of the very z that was drawn
        features = [accumulated(jnp.repeat(h, n, axis=0)) for h in self._features(x[None])]
        levels = self._descend(features, key)
        ratios = [_log_density(p, z) - _log_density(q, z) for q, p, z in levels]
        return self._log_likelihood(x[None], self._decode(levels[0][2])) + sum(ratios)

    def _features(self, x: Float[Array, "B ..."]) -> list[Array]:
        """Of each level, bottom-up and deterministic."""
        h = jax.lax.collapse(checked(x, self.shape, "x"), 1)
        features = []
        for network in self.bottom_up:
            h = self.activation(network(h))
            features.append(h)
        return features

    def _descend(self, features: list[Array], key: Array | None) -> list[tuple[DiagonalGaussian, DiagonalGaussian, Array]]:
        """Posterior, prior and ``z`` of each level, drawn from the top downwards; the means where there is no ``key``.

        Every ``z`` has the features' type, so that the way down is computed in what the way up was.
        """
        dtype = features[0].dtype
        keys = [None] * len(features) if key is None else list(jax.random.split(key, len(features)))
        top = gaussian_of(self.posteriors[-1](features[-1]))
        normal = DiagonalGaussian(jnp.zeros_like(top.mean), jnp.zeros_like(top.log_variance))
        levels = [(top, normal, _drawn(top, keys[-1], dtype))]
        for i in reversed(range(len(features) - 1)):
            prior = gaussian_of(self.priors[i](levels[0][2]))
            posterior = precision_weighted(gaussian_of(self.posteriors[i](features[i])), prior)
            levels.insert(0, (posterior, prior, _drawn(posterior, keys[i], dtype)))
        return levels

    def _decode(self, z: Float[Array, "B L"]) -> Float[Array, "B ..."]:
        return self.decoder(z).reshape(z.shape[0], *self.output_shape)

    def _log_likelihood(self, x: Float[Array, "B ..."], parameters: Array) -> Float[Array, "B"]:
        return jnp.sum(self.likelihood.log_prob(x, parameters), axis=tuple(range(-len(self.shape), 0)))


def gaussian_of(parameters: Float[Array, "B 2*L"]) -> DiagonalGaussian:
    """Mean and log variance, side by side in a network's output."""
    return DiagonalGaussian(*jnp.split(parameters, 2, axis=-1))


def _drawn(gaussian: DiagonalGaussian, key: Array | None, dtype: Any) -> Array:
    if key is None:
        return gaussian.mean.astype(dtype)
    return gaussian.reparameterize(jax.random.normal(key, gaussian.mean.shape)).astype(dtype)


def _log_density(gaussian: DiagonalGaussian, z: Float[Array, "K L"]) -> Float[Array, "K"]:
    scale = jnp.exp(0.5 * accumulated(gaussian.log_variance))
    return jnp.sum(gaussian_log_prob(z, gaussian.mean, scale), axis=-1)
