r"""The variational autoencoder.

Kingma & Welling 2013, "Auto-Encoding Variational Bayes" (arXiv:1312.6114); Rezende et al. 2014 (arXiv:1401.4082).

    z ~ p(z) = N(0, I),   x ~ p(x | z)                                    the model: a decoder and a likelihood
    q(z | x) = N(m(x), diag v(x)),   z = m(x) + sqrt(v(x)) e,   e ~ N(0, I)    the encoder, reparameterised
    log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))                  the ELBO, which training raises
    log p(x) ~= log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)              importance weighting, which :meth:`VAE.log_prob` uses

Shapes: ``B = batch, L = latent, ... = one example (H W C for images), K = importance samples, T = steps of an interpolation``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.vae import losses
from artifex.vae.decoders import ConvDecoder, DecoderConfig, DenseDecoder, ResNetDecoder
from artifex.vae.encoders import (
    ConvEncoder,
    DenseEncoder,
    DiagonalGaussian,
    EncoderConfig,
    PositiveInt,
    ResNetEncoder,
)
from artifex.vae.likelihoods import BernoulliConfig, LikelihoodField, create_likelihood, values_of

__all__ = ["VAE", "VAEConfig"]

Given = tuple[Array | np.ndarray, ...]
"""What a conditional model is given beside ``x``, one row for each example; empty for any other."""

NETWORKS: dict[str, tuple[Any, Any]] = {
    "dense": (DenseEncoder, DenseDecoder),
    "conv": (ConvEncoder, ConvDecoder),
    "resnet": (ResNetEncoder, ResNetDecoder),
}


@config
class VAEConfig(Config):
    """A VAE. The latent size and the shape of an example may be given once, anywhere: each part takes them from the others.

    Example:
        >>> made = VAEConfig(
        ...     encoder=EncoderConfig(hidden_dims=[32, 64], latent_dim=16),
        ...     decoder=DecoderConfig(hidden_dims=[64, 32], output_dim=(28, 28, 1)),
        ... )
        >>> made.latent_dim, made.encoder.input_shape
        (16, (28, 28, 1))
    """

    encoder: EncoderConfig
    """From an example to the posterior of its latent."""
    decoder: DecoderConfig
    """From a latent to the parameters of the likelihood."""
    latent_dim: PositiveInt | None = None
    """Number of latent variables."""
    encoder_type: Literal["dense", "conv", "resnet"] = "dense"
    """Multilayer perceptrons, convolutions, or convolutions in residual blocks; for encoder and decoder."""
    likelihood: LikelihoodField = BernoulliConfig()
    """What the decoder's output means: `bernoulli`, `gaussian`, `discretized_logistic`, or a dict of its `kind` and fields."""
    kl_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the divergence in the loss; 1 makes the loss minus the ELBO."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        encoder, decoder = self.encoder, self.decoder
        shape = _agreed({"encoder.input_shape": encoder.input_shape, "decoder.output_shape": decoder.output_shape})
        latent_dim = _agreed(
            {"latent_dim": self.latent_dim, "encoder.latent_dim": encoder.latent_dim, "decoder.latent_dim": decoder.latent_dim}
        )
        if self.encoder_type != "dense":
            hidden_dims = {"encoder": encoder.hidden_dims, "decoder": decoder.hidden_dims}
            _check_convolutional(self.encoder_type, shape, hidden_dims)
        if self.encoder_type != "resnet":
            _check_no_blocks(self.encoder_type, {"encoder": encoder.blocks_per_level, "decoder": decoder.blocks_per_level})
        object.__setattr__(self, "latent_dim", latent_dim)
        object.__setattr__(self, "encoder", encoder.replace(input_shape=shape, latent_dim=latent_dim))
        object.__setattr__(self, "decoder", decoder.replace(output_shape=shape, latent_dim=latent_dim))


def _agreed(given: Mapping[str, Any]) -> Any:
    """The one value that all the fields agree on which have any."""
    known = {field: value for field, value in given.items() if value is not None}
    if not known:
        raise ValueError(f"nobody knows {' or '.join(given)}; give one of them")
    if len(set(known.values())) > 1:
        said = ", ".join(f"{field} is {value}" for field, value in known.items())
        raise ValueError(f"{said}; these have to be equal: mend one, or leave all but one out")
    return next(iter(known.values()))


def _check_convolutional(kind: str, shape: tuple[int, ...], hidden_dims: Mapping[str, tuple[int, ...]]) -> None:
    if len(shape) != 3:
        raise ValueError(
            f"encoder_type {kind!r} takes images, (height, width, channels), but the shape of one example is {shape}; "
            "use 'dense'"
        )
    for part, widths in hidden_dims.items():
        if not widths:
            raise ValueError(f"encoder_type {kind!r} needs an entry in {part}.hidden_dims, got none; add one, or use 'dense'")


def _check_no_blocks(kind: str, blocks: Mapping[str, int | None]) -> None:
    for part, given in blocks.items():
        if given is not None:
            raise ValueError(
                f"{part}.blocks_per_level is {given}, but encoder_type {kind!r} has no residual blocks; leave it out, or "
                "use 'resnet'"
            )


class VAE(nnx.Module):
    """A variational autoencoder.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs`` (``default`` stands in for both).

    Raises:
        InvalidTypeError: ``config`` is not a :class:`VAEConfig`.

    Example:
        >>> config = VAEConfig(
        ...     encoder=EncoderConfig(hidden_dims=(8,), input_shape=(6, 6, 1)),
        ...     decoder=DecoderConfig(hidden_dims=(8,)),
        ...     latent_dim=2,
        ... )
        >>> model = VAE(config, rngs=nnx.Rngs(0))
        >>> outputs = model(jnp.zeros((3, 6, 6, 1)))
        >>> {name: value.shape for name, value in outputs.items()}
        {'reconstruction': (3, 6, 6, 1), 'parameters': (3, 6, 6, 1), 'z': (3, 2), 'mean': (3, 2), 'log_variance': (3, 2)}
        >>> model.sample(n_samples=4).shape
        (4, 6, 6, 1)
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, VAEConfig):
            raise InvalidTypeError(f"{type(self).__name__} takes a VAEConfig, got {type(config).__name__}: {config!r}")
        encoder, decoder = NETWORKS[config.encoder_type]
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.shape, self.latent_dim = config.encoder.sizes()
        self.likelihood = create_likelihood(config.likelihood, param_dtype=config.param_dtype)
        encoder_config, decoder_config = self._network_configs(config)
        self.encoder = encoder(encoder_config, **kinds)
        self.decoder = decoder(decoder_config, n_parameters=self.likelihood.n_parameters, **kinds)
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B ..."], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Encode, draw one ``z`` for each example, decode.

        Args:
            x: ``(B, ...)``, in data space.
            rngs: stream ``sample`` draws ``z``; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, ...)``, the mean of ``p(x | z)``; ``parameters``, the likelihood's, as the decoder gave
            them; ``z``, ``mean`` and ``log_variance`` ``(B, L)``.

        Raises:
            InvalidInputError: ``x`` is not a batch of examples of the model's shape.
        """
        return self._outputs(x, (), draw_key(self, rngs))

    # A conditional model is this one with `given`, its condition, beside x and z: it overrides the first three below.

    def _network_configs(self, config: VAEConfig) -> tuple[EncoderConfig, DecoderConfig]:
        """What the two networks are built from."""
        return config.encoder, config.decoder

    def _posterior(self, x: Float[Array, "B ..."], given: Given) -> DiagonalGaussian:
        del given
        return self.encoder(checked(x, self.shape, "x"))

    def _parameters(self, z: Float[Array, "B L"], given: Given) -> Float[Array, "B ..."]:
        """The likelihood's, at ``z``."""
        del given
        return self.decoder(z)

    def _outputs(self, x: Float[Array, "B ..."], given: Given, key: Array) -> dict[str, Array]:
        posterior = self._posterior(x, given)
        z = posterior.sample(key)
        parameters = self._parameters(z, given)
        return {
            "reconstruction": self.likelihood.mean(parameters),
            "parameters": parameters,
            "z": z,
            "mean": posterior.mean,
            "log_variance": posterior.log_variance,
        }

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` as the likelihood has it (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return values_of(self.likelihood)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B [kl_weight KL(q(z | x) || p(z)) - log p(x | z)]`` in nats an example, with one ``z`` for each.

        Args:
            batch: holds ``x``.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``reconstruction_loss``, minus the log likelihood; ``kl``; ``elbo``.
        """
        log_likelihood, kl = self.elbo_terms(batch["x"], outputs)
        loss = losses.beta_objective(log_likelihood, kl, self.config.kl_weight)
        return {"loss": loss, **averages(log_likelihood, kl)}

    def elbo_terms(self, x: Float[Array, "B ..."], outputs: Mapping[str, Array]) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """``log p(x | z)`` and ``KL(q(z | x) || p(z))`` of each example, nats."""
        log_likelihood = self._summed(self.likelihood.log_prob(x, outputs["parameters"]))
        return log_likelihood, losses.gaussian_kl(outputs["mean"], outputs["log_variance"])

    def encode(self, x: Float[Array, "B ..."]) -> DiagonalGaussian:
        """``q(z | x)``: its ``mean`` and ``log_variance``, ``(B, L)`` each.

        Raises:
            InvalidInputError: ``x`` is not a batch of examples of the model's shape.
        """
        return self._posterior(x, ())

    def decode(self, z: Float[Array, "B L"]) -> Float[Array, "B ..."]:
        """``E[x | z]``, in data space.

        Raises:
            InvalidInputError: ``z`` is not ``(B, L)``.
        """
        return self._decoded(z, ())

    def _decoded(self, z: Float[Array, "B L"], given: Given) -> Float[Array, "B ..."]:
        return self.likelihood.mean(self._parameters(checked(z, (self.latent_dim,), "z"), given))

    @compiled_method(static=("n_samples", "observation_noise"))
    def generate(
        self, n_samples: int = 1, *, observation_noise: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """``z ~ N(0, I)``, then ``E[x | z]``.

        Args:
            n_samples: how many.
            observation_noise: draw ``x ~ p(x | z)`` instead of its mean, which is what people usually look at.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        return self._generated(n_samples, (), observation_noise, rngs)

    def _generated(
        self, n_samples: int, given: Given, observation_noise: bool, rngs: nnx.Rngs | None
    ) -> Float[Array, "n_samples ..."]:
        z = jax.random.normal(draw_key(self, rngs), (n_samples, self.latent_dim))
        parameters = self._parameters(z, given)
        return (
            self.likelihood.sample(parameters, draw_key(self, rngs)) if observation_noise else self.likelihood.mean(parameters)
        )

    def sample(
        self, n_samples: int = 1, *, observation_noise: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """The same as :meth:`generate`."""
        return self.generate(n_samples, observation_noise=observation_noise, rngs=rngs)

    def reconstruct(
        self, x: Float[Array, "B ..."], *, deterministic: bool = True, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B ..."]:
        """``E[x | z]`` for the posterior's mean ``z``, or for a draw from the posterior when not ``deterministic``.

        Args:
            x: ``(B, ...)``.
            deterministic: nothing is drawn then, and no random stream is needed.
            rngs: stream ``sample`` of a draw; the model's own by default.
        """
        return self._reconstruct_mean(x) if deterministic else self._reconstruct_draw(x, rngs=rngs)

    @compiled_method()
    def _reconstruct_mean(self, x: Float[Array, "B ..."]) -> Float[Array, "B ..."]:
        return self.decode(self.encode(x).mean)

    @compiled_method()
    def _reconstruct_draw(self, x: Float[Array, "B ..."], *, rngs: nnx.Rngs | None = None) -> Float[Array, "B ..."]:
        return self.decode(self.encode(x).sample(draw_key(self, rngs)))

    @compiled_method(static=("n_steps",))
    def interpolate(self, x0: Float[Array, "B ..."], x1: Float[Array, "B ..."], n_steps: int = 8) -> Float[Array, "B T ..."]:
        """Decode ``(1 - t) z0 + t z1`` at ``n_steps`` values of ``t`` from 0 to 1, between the posteriors' means.

        The ends are the reconstructions of ``x0`` and ``x1``.
        """
        check_at_least(2, n_steps=n_steps)
        return self._interpolated(x0, x1, (), n_steps)

    def _interpolated(
        self, x0: Float[Array, "B ..."], x1: Float[Array, "B ..."], given: Given, n_steps: int
    ) -> Float[Array, "B T ..."]:
        if jnp.shape(x0) != jnp.shape(x1):
            raise InvalidInputError(f"x0 has shape {jnp.shape(x0)} and x1 {jnp.shape(x1)}; every path has two ends")
        z0, z1 = self._posterior(x0, given).mean[:, None], self._posterior(x1, given).mean[:, None]  # (B, 1, L)
        t = jnp.linspace(0.0, 1.0, n_steps, dtype=z0.dtype)[None, :, None]  # (1, T, 1)
        z = (1 - t) * z0 + t * z1  # (B, T, L)
        given = tuple(jnp.repeat(c, n_steps, axis=0) for c in given)
        return self._decoded(jax.lax.collapse(z, 0, 2), given).reshape(*z.shape[:2], *self.shape)

    @compiled_method(static=("num_samples", "chunk_size"))
    def log_prob(
        self, x: Float[Array, "B ..."], *, num_samples: int = 100, chunk_size: int = 1024, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B"]:
        r"""``log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)``, a lower bound of ``log p(x)`` on average, tight as K grows.

        Burda et al. 2015 (arXiv:1509.00519), equation 8. One compiled program maps over chunks of examples and, for each, scans
        over chunks of samples: the memory it takes grows neither with ``K`` nor with ``B``.

        Args:
            x: ``(B, ...)``.
            num_samples: ``K``.
            chunk_size: how many latents are decoded at a time, of all examples together.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            nats for each example, float32.
        """
        return self._importance_weighted(x, (), draw_key(self, rngs), num_samples, chunk_size)

    def _importance_weighted(
        self, x: Float[Array, "B ..."], given: Given, key: Array, num_samples: int, chunk_size: int
    ) -> Float[Array, "B"]:
        check_at_least(1, num_samples=num_samples, chunk_size=chunk_size)
        x = checked(x, self.shape, "x")
        return losses.importance_weighted(self._log_weights, (x, given), key, num_samples=num_samples, chunk_size=chunk_size)

    def _log_weights(self, example: tuple[Array, Given], key: Array, n: int) -> Float[Array, "K"]:
        """``log p(x | z) + log p(z) - log q(z | x)`` of one example at ``n`` draws of ``z``."""
        x, given = jax.tree.map(lambda a: a[None], example)
        posterior = self._posterior(x, given)
        noise = jax.random.normal(key, (n, self.latent_dim))
        z = posterior.reparameterize(noise)
        parameters = self._parameters(z, tuple(jnp.repeat(c, n, axis=0) for c in given))
        log_likelihood = self._summed(self.likelihood.log_prob(x, parameters))
        return log_likelihood + losses.log_importance_ratio(noise, z, posterior.log_variance)

    def _summed(self, log_probs: Float[Array, "B ..."]) -> Float[Array, "B"]:
        return jnp.sum(log_probs, axis=tuple(range(-len(self.shape), 0)))


def averages(log_likelihood: Float[Array, "B"], kl: Float[Array, "B"]) -> dict[str, Float[Array, ""]]:
    """What every VAE reports beside its loss, nats an example."""
    return {
        "reconstruction_loss": -jnp.mean(log_likelihood),
        "kl": jnp.mean(kl),
        "elbo": jnp.mean(losses.elbo(log_likelihood, kl)),
    }


def checked(x: Array, shape: tuple[int, ...], what: str) -> Array:
    """``x`` if it is a batch of floating-point arrays of ``shape``, else an error."""
    x = jnp.asarray(x)
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape:
        hint = f"; add a batch axis: {what}[None]" if x.shape == shape else ""
        if x.ndim > 1 and math.prod(x.shape[1:]) == math.prod(shape):
            hint = f"; reshape it: {what}.reshape(-1, {', '.join(map(str, shape))})"
        raise InvalidInputError(f"{what} has shape {x.shape}, expected (batch, {', '.join(map(str, shape))}){hint}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"{what} is {x.dtype}, expected floating point in data space; scale it to floats")
    return x
