r"""The KL autoencoder of images: the first stage of latent diffusion.

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv:2112.10752), section 3.1 and appendix
G, regularisation "KL":

    q(z | x) = N(m(x), diag v(x)),   z an image of latents, smaller by 2^(levels - 1) in height and width
    loss = -log p(x | z) + w KL(q(z | x) || N(0, I)),   w = 1e-6        summed over elements, averaged over the batch
    -log p(x | z) = sum |x - decoder(z)| / b + log 2b                    b one learned number, log b their "logvar"
    s = 1 / std(z) over a batch's elements and all dimensions            what brings latents to unit variance (appendix G)

The likelihood is the slot that every VAE here has, and the default fills it as they do, with a Laplace density: any other may
take its place, and the unweighted loss stays a bound in nats. Their perceptual and adversarial terms are no part of the model.
A perceptual term is added in training by an extension (:class:`artifex.core.extensions.ModelExtension`, whose ``compute_loss``
sees ``x`` and ``reconstruction``); a patch discriminator needs a model of two objectives around this one
(:class:`artifex.core.protocols.AdversarialModelProtocol`).

The networks are theirs: residual blocks, one more of them at each level of the decoder, at the smallest size two blocks with
attention between, sizes halved by strided convolutions and doubled by repeating neighbours. Their 1×1 convolutions on either
side of the latent follow and precede a convolution without anything between, and are left out unless the config asks for them.
:func:`artifex.vae.diffusers_weights.load_diffusers` reads the autoencoders of Stable Diffusion.

Shapes: ``B = batch, H W C = an image, h w = the smallest size, Z = latent channels``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import Conv, ParamDType, activation as activation_named
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.vae import losses
from artifex.vae.encoders import DiagonalGaussian, PositiveInt, halvings, start_at_unit_variance
from artifex.vae.layers import BLOCKS_PER_LEVEL, AttentionBlock, Downward, GroupedActivation, ResidualBlock, Upward
from artifex.vae.likelihoods import LaplaceConfig, LikelihoodField, accumulated, create_likelihood, values_of
from artifex.vae.vae import averages, checked

__all__ = ["KLAutoencoder", "KLAutoencoderConfig", "LatentPrior", "unit_scale"]


@config
class KLAutoencoderConfig(Config):
    """A KL autoencoder of images.

    Example:
        >>> KLAutoencoderConfig(input_shape=(28, 28, 1), hidden_dims=(32, 64, 64)).latent_shape
        (7, 7, 4)
    """

    input_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Height, width and channels of an image."""
    hidden_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    """Channels of each level of the encoder, the first at the image's own size; height and width halve from one to the next,
    rounded up. The decoder goes the way backwards."""
    latent_channels: PositiveInt = 4
    """Latent variables at each position."""
    blocks_per_level: PositiveInt = BLOCKS_PER_LEVEL
    """Residual blocks of each level of the encoder; the decoder has one more."""
    attention: bool = True
    """Whether positions look at each other, once in the encoder and once in the decoder, at the smallest size."""
    norm_groups: PositiveInt | None = None
    """Groups of every group norm, a divisor of all `hidden_dims`; None for 32, or as many as leave four channels in a group."""
    quant_conv: bool = False
    """A 1×1 convolution behind the encoder, over means and log variances."""
    post_quant_conv: bool = False
    """A 1×1 convolution before the decoder."""
    activation: str = "silu"
    """Name of the nonlinearity before each convolution."""
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6
    """Weight of the divergence in the loss: small, for it only has to keep latents from drifting far from the origin."""
    likelihood: LikelihoodField = LaplaceConfig()
    """What the decoder's output means: `laplace`, `gaussian`, `bernoulli`, or a dict of its `kind` and fields."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built
        odd = [width for width in self.hidden_dims if width % (self.norm_groups or 1)]
        if odd:
            raise ValueError(f"norm_groups is {self.norm_groups}, which does not divide {odd} of hidden_dims")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """``(h, w, Z)``: the shape of one image's latents."""
        return (*halvings(self.input_shape, len(self.hidden_dims) - 1)[-1], self.latent_channels)


def unit_scale(z: Float[Array, "..."]) -> Float[Array, ""]:
    """``s = 1 / std(z)`` over all elements: ``s z`` has unit variance.

    Rombach et al. 2022 (arXiv:2112.10752), appendix G.

    Raises:
        InvalidInputError: ``z`` has fewer than two elements.

    Example:
        >>> float(unit_scale(jnp.array([3.0, 5.0, 3.0, 5.0])))
        1.0
    """
    if z.size < 2:
        raise InvalidInputError(f"z has shape {z.shape}; a standard deviation takes two elements at least")
    return 1 / jnp.std(accumulated(z))


class LatentPrior(Protocol):
    """What draws latents in the units of :meth:`KLAutoencoder.encode`: shape ``(n, h, w, Z)``, or flattened."""

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array: ...


class KLAutoencoder(nnx.Module):
    """A KL autoencoder.

    :meth:`encode`, :meth:`decode` and :meth:`generate` share one unit of latents: the network's, less ``latent_shift``, times
    ``latent_scale``, which are 0 and 1 until :meth:`set_latent_scale` measures the scale, or both are loaded. They are saved
    with the model, and play no part in its loss.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`KLAutoencoderConfig`.

    Example:
        >>> config = KLAutoencoderConfig(input_shape=(8, 8, 1), hidden_dims=(8, 16), latent_channels=2, blocks_per_level=1)
        >>> model = KLAutoencoder(config, rngs=nnx.Rngs(0))
        >>> posterior = model.encode(jnp.zeros((3, 8, 8, 1)))
        >>> posterior.mean.shape, model.decode(posterior.mean).shape
        ((3, 4, 4, 2), (3, 8, 8, 1))
    """

    def __init__(self, config: KLAutoencoderConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, KLAutoencoderConfig):
            raise InvalidTypeError(f"KLAutoencoder takes a KLAutoencoderConfig, got {type(config).__name__}: {config!r}")
        kinds: dict[str, Any] = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.likelihood = create_likelihood(config.likelihood, param_dtype=config.param_dtype)
        self.encoder = LatentEncoder(config, **kinds)
        self.decoder = LatentDecoder(config, n_parameters=self.likelihood.n_parameters, **kinds)
        self.latent_scale = nnx.Variable(jnp.ones(()))
        self.latent_shift = nnx.Variable(jnp.zeros(()))
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B H W C"], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Encode, draw one ``z`` for each image, decode.

        Args:
            x: ``(B, H, W, C)``, in data space.
            rngs: stream ``sample`` draws ``z``; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, H, W, C)``, the mean of ``p(x | z)``; ``parameters``, the likelihood's; ``z``, ``mean`` and
            ``log_variance`` ``(B, h, w, Z)``, before any scale.

        Raises:
            InvalidInputError: ``x`` is not a batch of images of the model's shape.
        """
        posterior = self.encoder(checked(x, self.config.input_shape, "x"))
        z = posterior.sample(draw_key(self, rngs))
        parameters = self.decoder(z)
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
        """``mean_B [kl_weight KL(q(z | x) || p(z)) - log p(x | z)]`` in nats an image.

        Returns:
            ``loss``; ``reconstruction_loss``, minus the log likelihood; ``kl``, before its weight; ``elbo``.
        """
        log_likelihood, kl = self.elbo_terms(batch["x"], outputs)
        return {"loss": losses.beta_objective(log_likelihood, kl, self.config.kl_weight), **averages(log_likelihood, kl)}

    def elbo_terms(
        self, x: Float[Array, "B H W C"], outputs: Mapping[str, Array]
    ) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
        """``log p(x | z)`` and ``KL(q(z | x) || p(z))`` of each image, nats."""
        log_likelihood = jnp.sum(self.likelihood.log_prob(x, outputs["parameters"]), axis=(1, 2, 3))
        mean, log_variance = (jax.lax.collapse(outputs[name], 1) for name in ("mean", "log_variance"))
        return log_likelihood, losses.gaussian_kl(mean, log_variance)

    @compiled_method()
    def encode(self, x: Float[Array, "B H W C"]) -> DiagonalGaussian:
        """``q(s (z - shift) | x)``: mean and log variance, ``(B, h, w, Z)`` each, in units of ``latent_scale``.

        Raises:
            InvalidInputError: ``x`` is not a batch of images of the model's shape.
        """
        return self._encoded(x)

    @compiled_method()
    def decode(self, z: Float[Array, "B h w Z"]) -> Float[Array, "B H W C"]:
        """``E[x | z]``, in data space, from latents in units of ``latent_scale``.

        Raises:
            InvalidInputError: ``z`` is not ``(B, h, w, Z)``.
        """
        return self._decoded(z)

    def reconstruct(
        self, x: Float[Array, "B H W C"], *, deterministic: bool = True, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B H W C"]:
        """``E[x | z]`` for the posterior's mean ``z``, or for a draw from the posterior when not ``deterministic``.

        Args:
            x: ``(B, H, W, C)``.
            deterministic: nothing is drawn then, and no random stream is needed.
            rngs: stream ``sample`` of a draw; the model's own by default.
        """
        return self._reconstruct_mean(x) if deterministic else self._reconstruct_draw(x, rngs=rngs)

    @compiled_method()
    def _reconstruct_mean(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        return self._decoded(self._encoded(x).mean)

    @compiled_method()
    def _reconstruct_draw(self, x: Float[Array, "B H W C"], *, rngs: nnx.Rngs | None = None) -> Float[Array, "B H W C"]:
        return self._decoded(self._encoded(x).sample(draw_key(self, rngs)))

    def generate(
        self, n_samples: int = 1, *, prior: LatentPrior | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples H W C"]:
        """Latents from a prior, then ``E[x | z]``.

        Args:
            n_samples: how many.
            prior: a model of the latents that :meth:`encode` gives. Without one they are drawn from ``N(0, I)`` in the same
                units: with so little weight on the divergence, images from this baseline do not hang together.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: the prior's samples are not ``n_samples`` times ``(h, w, Z)``.
        """
        check_at_least(1, n_samples=n_samples)
        if prior is None:
            return self._generate(n_samples, rngs=rngs)
        z, shape = jnp.asarray(prior.generate(n_samples, rngs=rngs)), (n_samples, *self.config.latent_shape)
        if z.shape not in (shape, (n_samples, math.prod(shape[1:]))):
            raise InvalidInputError(f"the prior's samples have shape {z.shape}, expected {shape}, or flattened")
        return self.decode(z.reshape(shape))

    @compiled_method(static=("n_samples",))
    def _generate(self, n_samples: int, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples H W C"]:
        return self._decoded(jax.random.normal(draw_key(self, rngs), (n_samples, *self.config.latent_shape)))

    def set_latent_scale(self, x: Float[Array, "B H W C"], *, rngs: nnx.Rngs | None = None) -> Float[Array, ""]:
        """Measure :func:`unit_scale` of the latents of ``x`` and keep it: :meth:`encode` gives unit variance from now on.

        Args:
            x: ``(B, H, W, C)``; they take the first batch of the training data.
            rngs: stream ``sample`` draws a latent for each image; the model's own by default.

        Returns:
            The scale, the new value of ``latent_scale``.
        """
        self.latent_scale[...] = self._measured_scale(x, rngs=rngs)
        return self.latent_scale[...]

    @compiled_method()
    def _measured_scale(self, x: Float[Array, "B H W C"], *, rngs: nnx.Rngs | None = None) -> Float[Array, ""]:
        return unit_scale(self.encoder(checked(x, self.config.input_shape, "x")).sample(draw_key(self, rngs)))

    def _encoded(self, x: Float[Array, "B H W C"]) -> DiagonalGaussian:
        mean, log_variance = self.encoder(checked(x, self.config.input_shape, "x"))
        scale, shift = self.latent_scale[...].astype(mean.dtype), self.latent_shift[...].astype(mean.dtype)
        return DiagonalGaussian((mean - shift) * scale, log_variance + 2 * jnp.log(scale))

    def _decoded(self, z: Float[Array, "B h w Z"]) -> Float[Array, "B H W C"]:
        z = checked(z, self.config.latent_shape, "z")
        return self.likelihood.mean(
            self.decoder(z / self.latent_scale[...].astype(z.dtype) + self.latent_shift[...].astype(z.dtype))
        )


class Middle(nnx.Module):
    """At the smallest size: a residual block, attention where there is any, a residual block."""

    def __init__(self, config: KLAutoencoderConfig, **kinds: Any):
        width, activation = config.hidden_dims[-1], activation_named(config.activation)
        self.before, self.after = (
            ResidualBlock(width, width, activation=activation, groups=config.norm_groups, **kinds) for _ in range(2)
        )
        self.attention = AttentionBlock(width, groups=config.norm_groups, **kinds) if config.attention else None

    def __call__(self, h: Float[Array, "B h w D"]) -> Float[Array, "B h w D"]:
        h = self.before(h)
        return self.after(h if self.attention is None else self.attention(h))


class LatentEncoder(nnx.Module):
    """Levels downwards, the middle, then a convolution to means and log variances."""

    def __init__(self, config: KLAutoencoderConfig, *, dtype: Any, param_dtype: Any, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype}
        widths, activation = config.hidden_dims, activation_named(config.activation)
        channels, blocks = config.input_shape[-1], config.blocks_per_level
        normed: dict[str, Any] = {"activation": activation, "groups": config.norm_groups, **kinds}
        self.trunk = Downward(channels, widths, blocks, stem_stride=1, rngs=rngs, **normed)
        self.middle = Middle(config, rngs=rngs, **kinds)
        self.norm = GroupedActivation(widths[-1], **normed)
        self.head = Conv(widths[-1], 2 * config.latent_channels, rngs=rngs, **kinds)
        start_at_unit_variance(self.head.kernel, config.latent_channels)
        self.quant = _quant(2 * config.latent_channels, rngs=rngs, **kinds) if config.quant_conv else None

    def __call__(self, x: Float[Array, "B H W C"]) -> DiagonalGaussian:
        h = self.head(self.norm(self.middle(self.trunk(x))))
        return DiagonalGaussian(*jnp.split(h if self.quant is None else self.quant(h), 2, axis=-1))


class LatentDecoder(nnx.Module):
    """A convolution, the middle, then levels upwards."""

    def __init__(self, config: KLAutoencoderConfig, *, n_parameters: int, dtype: Any, param_dtype: Any, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        channels = n_parameters * config.input_shape[-1]
        widths, activation = config.hidden_dims[::-1], activation_named(config.activation)
        sizes = halvings(config.input_shape, len(widths) - 1)[-2::-1]
        self.post_quant = _quant(config.latent_channels, **kinds) if config.post_quant_conv else None
        self.stem = Conv(config.latent_channels, widths[0], **kinds)
        self.middle = Middle(config, **kinds)
        normed: dict[str, Any] = {"activation": activation, "groups": config.norm_groups, **kinds}
        self.trunk = Upward(widths, channels, config.blocks_per_level + 1, sizes=sizes, **normed)

    def __call__(self, z: Float[Array, "B h w Z"]) -> Float[Array, "B H W P*C"]:
        return self.trunk(self.middle(self.stem(z if self.post_quant is None else self.post_quant(z))))


def _quant(channels: int, **kinds: Any) -> Conv:
    """A 1×1 convolution that starts as the identity, so that it leaves the start of its neighbours as it is."""
    made = Conv(channels, channels, (1, 1), **kinds)
    made.kernel[...] = jnp.eye(channels, dtype=made.kernel[...].dtype)[None, None]
    return made
