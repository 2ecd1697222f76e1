r"""The vector-quantised VAE.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (arXiv:1711.00937):

    z = encoder(x),   k = argmin_j |z - e_j|^2,   z_q = e_k          one code at each position of a small image
    loss = -log p(x | z_q) + beta |z - stop_gradient(z_q)|^2         equation 3, summed over elements, averaged over the batch

The codes follow the encoder by moving averages instead of the loss's middle term (:mod:`artifex.vae.codebook`).

Shapes: ``B = batch, H W C = an image, h w = positions of codes, D = size of a code, K = codes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Int
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import Conv, ConvTranspose, ParamDType, activation as activation_named
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.vae.codebook import Codebook, codebook_perplexity, straight_through
from artifex.vae.encoders import PositiveInt, halvings
from artifex.vae.likelihoods import BernoulliConfig, LikelihoodField, accumulated, create_likelihood, values_of
from artifex.vae.vae import checked

__all__ = ["VQVAE", "CodePrior", "VQVAEConfig"]


@config
class VQVAEConfig(Config):
    """A VQ-VAE of images.

    Example:
        >>> VQVAEConfig(input_shape=(28, 28, 1), hidden_dims=(32, 64)).code_shape
        (7, 7)
    """

    input_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Height, width and channels of an image."""
    hidden_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    """Channels of the encoder's convolutions, each of which halves height and width; the decoder goes the way backwards."""
    activation: str = "relu"
    """Name of the nonlinearity after each hidden layer."""
    codebook_size: Annotated[int, Field(ge=2)] = 512
    """How many codes there are."""
    code_dim: PositiveInt = 64
    """Size of a code."""
    commitment_weight: Annotated[float, Field(ge=0)] = 0.25
    """Weight of the encoder's distance from its codes."""
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Of the moving averages that codes are made of."""
    restart_below: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """A code used less than this fraction of the average starts again at one of the encoder's outputs; 0 never restarts one."""
    likelihood: LikelihoodField = BernoulliConfig()
    """What the decoder's output means: `bernoulli`, `gaussian`, `discretized_logistic`, or a dict of its `kind` and fields."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Codes and losses stay in float32."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built

    @property
    def code_shape(self) -> tuple[int, int]:
        """``(h, w)``: how many codes make an image."""
        return halvings(self.input_shape, len(self.hidden_dims))[-1]


class CodePrior(Protocol):
    """What draws codes: any model of integers, ``(n, h, w)``, with a channel ``(n, h, w, 1)``, or in rows ``(n, h * w)``."""

    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> jax.Array: ...


class VQVAE(nnx.Module):
    """A VQ-VAE.

    It is built for evaluation. The trainer sees to the rest; a loop of one's own calls ``model.train()`` first, without which
    the codebook would stand still.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`VQVAEConfig`.

    Example:
        >>> config = VQVAEConfig(input_shape=(8, 8, 1), hidden_dims=(16,), codebook_size=32, code_dim=4)
        >>> model = VQVAE(config, rngs=nnx.Rngs(0))
        >>> codes = model.encode(jnp.zeros((3, 8, 8, 1)))
        >>> codes.shape, model.decode(codes).shape
        ((3, 4, 4), (3, 8, 8, 1))
    """

    def __init__(self, config: VQVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, VQVAEConfig):
            raise InvalidTypeError(f"VQVAE takes a VQVAEConfig, got {type(config).__name__}: {config!r}")
        kinds: dict[str, Any] = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.likelihood = create_likelihood(config.likelihood, param_dtype=config.param_dtype)
        self.encoder = CodeEncoder(config, **kinds)
        self.decoder = CodeDecoder(config, n_parameters=self.likelihood.n_parameters, **kinds)
        height, width = config.code_shape
        averages = {"decay": config.decay, "restart_below": config.restart_below}
        self.codebook = Codebook(config.codebook_size, config.code_dim, height * width, **averages, rngs=rngs)
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B H W C"], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Encode, take the nearest codes, decode. In training the codebook moves; in evaluation nothing is drawn or changed.

        Args:
            x: ``(B, H, W, C)``, in data space.
            rngs: stream ``sample`` draws where dead codes start again; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, H, W, C)``, the mean of ``p(x | z_q)``; ``parameters``, the likelihood's; ``indices`` of
            the codes ``(B, h, w)``; ``commitment`` ``(B,)``, the squared distance of the encoder's outputs from them.
        """
        z = self.encoder(checked(x, self.config.input_shape, "x"))
        indices = self.codebook.nearest(z)
        quantized = self.codebook.look_up(indices)
        parameters = self.decoder(straight_through(z, quantized))
        distance = accumulated(z) - jax.lax.stop_gradient(quantized)
        if not self.codebook.use_running_average:
            flat = jax.lax.collapse(z, 1, -1)
            self.codebook.update(flat, jax.lax.collapse(indices, 1), draw_key(self, rngs))
        return {
            "reconstruction": self.likelihood.mean(parameters),
            "parameters": parameters,
            "indices": indices,
            "commitment": jnp.sum(jnp.square(distance), axis=(1, 2, 3)),
        }

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` as the likelihood has it (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        return values_of(self.likelihood)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B [-log p(x | z_q) + beta |z - z_q|^2]``, nats an example where the likelihood is concerned.

        Returns:
            ``loss``; ``reconstruction_loss``, minus the log likelihood; ``commitment``, before its weight; ``perplexity`` of
            the batch's codes.
        """
        log_prob = self.likelihood.log_prob(batch["x"], outputs["parameters"])
        reconstruction = -jnp.mean(jnp.sum(log_prob, axis=(1, 2, 3)))
        commitment = jnp.mean(outputs["commitment"])
        return {
            "loss": reconstruction + self.config.commitment_weight * commitment,
            "reconstruction_loss": reconstruction,
            "commitment": commitment,
            "perplexity": codebook_perplexity(outputs["indices"], self.config.codebook_size),
        }

    @compiled_method()
    def encode(self, x: Float[Array, "B H W C"]) -> Int[Array, "B h w"]:
        """Indices of the codes."""
        return self.codebook.nearest(self.encoder(checked(x, self.config.input_shape, "x")))

    def decode(self, indices: Int[Array, "B h w"]) -> Float[Array, "B H W C"]:
        """``E[x | z_q]`` from indices of codes, in data space.

        Raises:
            InvalidInputError: ``indices`` are not integers of shape ``(B, h, w)``, or no codes.
        """
        return self._decode(self._checked_codes(indices, "indices"))

    def _checked_codes(self, indices: Array, what: str) -> Int[Array, "B h w"]:
        indices, shape, size = jnp.asarray(indices), self.config.code_shape, self.config.codebook_size
        if indices.shape[1:] != shape or not jnp.issubdtype(indices.dtype, jnp.integer):
            raise InvalidInputError(
                f"{what} are {indices.dtype} of shape {indices.shape}, expected integers below {size} "
                f"of shape (batch, {', '.join(map(str, shape))})"
            )
        # inside a compiled program the values are not known yet
        if not isinstance(indices, Tracer) and indices.size:
            low, high = np.min(indices), np.max(indices)
            if low < 0 or high >= size:
                raise InvalidInputError(f"{what} hold codes from {low} to {high}, expected 0 to {size - 1}")
        return indices

    @compiled_method()
    def _decode(self, indices: Int[Array, "B h w"]) -> Float[Array, "B H W C"]:
        return self._decoded(indices)

    def _decoded(self, indices: Int[Array, "B h w"]) -> Float[Array, "B H W C"]:
        return self.likelihood.mean(self.decoder(self.codebook.look_up(indices)))

    @compiled_method()
    def reconstruct(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """``E[x | z_q]`` for the codes of ``x``."""
        z = self.encoder(checked(x, self.config.input_shape, "x"))
        return self.likelihood.mean(self.decoder(self.codebook.look_up(self.codebook.nearest(z))))

    def generate(
        self, n_samples: int = 1, *, prior: CodePrior | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples H W C"]:
        """Codes from a prior, then ``E[x | z_q]``.

        Args:
            n_samples: how many.
            prior: a model of the codes that :meth:`encode` gives, trained on them like any other model on its data. Without
                one, each position's code is drawn on its own, by its frequency in training: images from this baseline do not
                hang together.
            rngs: stream ``sample``; the model's own, and the prior's own, by default.

        Raises:
            InvalidInputError: the prior's samples are not ``n_samples`` times ``h * w`` integers, or no codes.
        """
        check_at_least(1, n_samples=n_samples)
        if prior is None:
            return self._generate(n_samples, rngs=rngs)
        codes, (h, w) = jnp.asarray(prior.generate(n_samples, rngs=rngs)), self.config.code_shape
        if codes.shape in ((n_samples, h * w), (n_samples, h, w, 1)):
            codes = codes.reshape(n_samples, h, w)
        codes = self._checked_codes(codes, f"{type(prior).__name__}'s samples")
        return self._decode(codes)

    @compiled_method(static=("n_samples",))
    def _generate(self, n_samples: int, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples H W C"]:
        return self._decoded(self._independent_codes(n_samples, rngs=rngs))

    def _independent_codes(self, n_samples: int, *, rngs: nnx.Rngs | None = None) -> Int[Array, "n_samples h w"]:
        logits = jnp.log(self.codebook.frequencies[...])  # (P, K)
        codes = jax.random.categorical(draw_key(self, rngs), logits, shape=(n_samples, len(logits)))
        return codes.reshape(n_samples, *self.config.code_shape)


class CodeEncoder(nnx.Module):
    """Convolutions of stride two, one more at the smallest size, and a linear map of each position to ``D``."""

    def __init__(self, config: VQVAEConfig, *, dtype: Any, param_dtype: Any, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        widths = (config.input_shape[-1], *config.hidden_dims)
        self.activation = activation_named(config.activation)
        self.layers = nnx.List([Conv(i, o, (3, 3), strides=2, padding=1, **kinds) for i, o in pairwise(widths)])
        self.layers.append(Conv(widths[-1], widths[-1], **kinds))
        self.head = Conv(widths[-1], config.code_dim, (1, 1), **kinds)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        for layer in self.layers:
            x = self.activation(layer(x))
        return self.head(x)


class CodeDecoder(nnx.Module):
    """The encoder's way backwards; after each doubling the image is cropped to the size that the encoder had there."""

    def __init__(self, config: VQVAEConfig, *, n_parameters: int, dtype: Any, param_dtype: Any, rngs: nnx.Rngs):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        *channels, last = (n_parameters * config.input_shape[-1], *config.hidden_dims)
        self.sizes = tuple(halvings(config.input_shape, len(config.hidden_dims))[:-1])
        self.activation = activation_named(config.activation)
        self.stem = Conv(config.code_dim, last, **kinds)
        widths = (last, *reversed(channels))
        self.layers = nnx.List([ConvTranspose(i, o, (4, 4), strides=2, **kinds) for i, o in pairwise(widths)])

    def __call__(self, z: Float[Array, "B h w D"]) -> Float[Array, "B H W P*C"]:
        h = self.stem(z)
        for layer, (height, width) in zip(self.layers, reversed(self.sizes), strict=True):
            h = layer(self.activation(h))[:, :height, :width]
        return h
