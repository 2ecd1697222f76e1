r"""One latent for several kinds of data: a VAE whose posterior is a product or a mixture of experts, one for each part.

    product   q(z | x_1 ... x_M) = N(0, I) prod_m N(z; m_m, v_m) / Z        Wu & Goodman 2018, arXiv:1802.05335 (MVAE)
    mixture   q(z | x_1 ... x_M) = 1/M sum_m N(z; m_m, v_m)                 Shi et al. 2019, arXiv:1911.03393 (MMVAE)

Only parts that are there count, in the posterior as in the likelihood: an image without its word is an example too, and a part
that is missing is decoded from the others. The objectives, with ``E_q`` by one draw:

    product   ELBO(all that is there) + sum_m ELBO(x_m alone)                      Wu & Goodman, equation 5, every single part
    mixture   1/M sum_m E_{q_m}[sum_n log p(x_n | z) + log p(z) - log q(z | x)]    Shi et al., equation 3 with one draw

An example is one vector ``x``, its parts flattened one after the other, and ``mask`` says which elements are there.

Shapes: ``B = batch, M = parts, D = all elements of an example, L = latent, S = posteriors that are drawn from (1 + M
for a product, M for a mixture), P = parameters of all likelihoods``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange
from artifex.vae import losses
from artifex.vae.decoders import DecoderConfig, DenseDecoder
from artifex.vae.encoders import DenseEncoder, DiagonalGaussian, EncoderConfig, PositiveInt
from artifex.vae.likelihoods import (
    BernoulliConfig,
    LikelihoodField,
    accumulated,
    create_likelihood,
    gaussian_log_prob,
    values_of,
)
from artifex.vae.vae import checked

__all__ = ["JointPartConfig", "JointVAE", "JointVAEConfig", "mixture_log_prob", "product_of_experts"]

Mask = Bool[Array, "B D"]


@config
class JointPartConfig(Config):
    """One kind of data in a joint VAE: its networks, which are dense, and its likelihood."""

    part: Annotated[str, Field(min_length=1)]
    """What it is called."""
    encoder: EncoderConfig
    """From the part to its expert; its `input_shape` is the shape of the part. `latent_dim` is left out."""
    decoder: DecoderConfig
    """From the shared latent to the parameters of the likelihood."""
    likelihood: LikelihoodField = BernoulliConfig()
    """What the decoder's output means: `bernoulli`, `gaussian`, or a dict of its `kind` and fields."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Of its log likelihood in the loss: a small part is not to drown in a large one."""


@config
class JointVAEConfig(Config):
    """A joint VAE of two kinds of data or more.

    Example:
        >>> part = {"encoder": {"hidden_dims": [8], "input_shape": [4]}, "decoder": {"hidden_dims": [8]}}
        >>> made = JointVAEConfig.from_dict({"parts": [{"part": "a", **part}, {"part": "b", **part}], "latent_dim": 2})
        >>> made.size
        8
    """

    parts: Annotated[tuple[JointPartConfig, ...], Field(min_length=2)]
    """In the order in which they stand in an example."""
    latent_dim: PositiveInt
    """Number of latent variables, which all parts share."""
    experts: Literal["product", "mixture"] = "product"
    """How the parts' posteriors become one."""
    kl_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the divergence in the loss; 1 makes it a sum of negative ELBOs."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        names = [part.part for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError(f"the parts are called {', '.join(names)}; give each a name of its own")
        object.__setattr__(self, "parts", tuple(self._completed(part) for part in self.parts))

    def _completed(self, part: JointPartConfig) -> JointPartConfig:
        shapes = {shape for shape in (part.encoder.input_shape, part.decoder.output_shape) if shape is not None}
        if len(shapes) != 1:
            said = " and ".join(map(str, shapes)) or "nowhere"
            raise ValueError(f"the shape of part {part.part!r} is given as {said}; give encoder.input_shape, once")
        for field, given in (("encoder", part.encoder.latent_dim), ("decoder", part.decoder.latent_dim)):
            if given not in (None, self.latent_dim):
                raise ValueError(
                    f"{field}.latent_dim of part {part.part!r} is {given}, and latent_dim {self.latent_dim}; leave it out"
                )
        (shape,) = shapes
        return part.replace(
            encoder=part.encoder.replace(input_shape=shape, latent_dim=self.latent_dim),
            decoder=part.decoder.replace(output_shape=shape, latent_dim=self.latent_dim),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Elements of each part."""
        return tuple(math.prod(part.encoder.sizes()[0]) for part in self.parts)

    @property
    def size(self) -> int:
        """Elements of an example."""
        return sum(self.sizes)


def product_of_experts(experts: DiagonalGaussian, present: Bool[Array, "B ... M"]) -> DiagonalGaussian:
    """``N(0, I) prod_m N(m_m, v_m)`` over the experts that are present: precisions add up, the prior's one among them.

    Args:
        experts: ``(B, M, L)``.
        present: which of them count.

    Returns:
        ``(B, ..., L)``.

    >>> two = DiagonalGaussian(jnp.array([[[3.0], [9.0]]]), jnp.zeros((1, 2, 1)))
    >>> product_of_experts(two, jnp.array([[True, False]])).mean.item()
    1.5
    """
    counted = present[..., None].astype(jnp.float32)  # (B, ..., M, 1)
    extra = (1,) * (present.ndim - 2)
    mean, log_variance = (accumulated(a).reshape(a.shape[0], *extra, *a.shape[1:]) for a in experts)
    precisions = counted * jnp.exp(-log_variance)
    total = 1.0 + jnp.sum(precisions, axis=-2)
    return DiagonalGaussian(jnp.sum(precisions * mean, axis=-2) / total, -jnp.log(total))


def mixture_log_prob(z: Float[Array, "B S L"], experts: DiagonalGaussian, weights: Float[Array, "B M"]) -> Float[Array, "B S"]:
    """``log sum_m w_m N(z; m_m, v_m)``, nats; experts of weight zero do not count."""
    mean, log_variance = (accumulated(a)[:, None] for a in experts)  # (B, 1, M, L)
    each = jnp.sum(gaussian_log_prob(z[:, :, None], mean, jnp.exp(0.5 * log_variance)), axis=-1)  # (B, S, M)
    there = weights[:, None] > 0
    scores = jnp.where(there, each + jnp.log(jnp.where(there, weights[:, None], 1.0)), -jnp.inf)
    none = ~jnp.any(there, axis=-1)
    return jnp.where(none, 0.0, jax.nn.logsumexp(jnp.where(none[..., None], 0.0, scores), axis=-1))


class JointVAE(nnx.Module):
    """A VAE of several kinds of data with one latent.

    Args:
        config: what to build.
        rngs: streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a method
            is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`JointVAEConfig`.

    Example:
        >>> part = {"encoder": {"hidden_dims": [8], "input_shape": [4]}, "decoder": {"hidden_dims": [8]}}
        >>> config = JointVAEConfig.from_dict({"parts": [{"part": "a", **part}, {"part": "b", **part}], "latent_dim": 2})
        >>> model = JointVAE(config, rngs=nnx.Rngs(0))
        >>> only_a = jnp.arange(8)[None] < 4
        >>> model.reconstruct(jnp.zeros((1, 8)), mask=only_a).shape  # b too, from a
        (1, 8)
    """

    def __init__(self, config: JointVAEConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, JointVAEConfig):
            raise InvalidTypeError(f"JointVAE takes a JointVAEConfig, got {type(config).__name__}: {config!r}")
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        likelihoods = [create_likelihood(part.likelihood, param_dtype=config.param_dtype) for part in config.parts]
        self.config = config
        self.likelihoods = nnx.List(likelihoods)
        self.encoders = nnx.List([DenseEncoder(part.encoder, **kinds) for part in config.parts])
        self.decoders = nnx.List(
            [
                DenseDecoder(part.decoder, n_parameters=likelihood.n_parameters, **kinds)
                for part, likelihood in zip(config.parts, likelihoods, strict=True)
            ]
        )
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B D"], *, mask: Mask | None = None, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Encode each part, draw from the posteriors that the objective is an expectation over, decode.

        Args:
            x: parts one after the other.
            mask: true where there is something; a part counts if any of its elements does. Everything is there by default.
            rngs: stream ``sample`` draws ``z``; the model's own by default.

        Returns:
            ``reconstruction`` ``(B, D)``; ``parameters`` ``(B, S, P)`` of the likelihoods and ``z`` ``(B, S, L)``, at each;
            the experts' ``mean`` and ``log_variance`` ``(B, M, L)``.

        Raises:
            InvalidInputError: ``x`` is not a batch of such examples, or the mask has another shape.
        """
        x, mask = self._checked(x, mask)
        experts, present = self._experts(x, mask), self._present(mask)
        drawn = self._drawn_from(experts, present)
        z = drawn.sample(draw_key(self, rngs)).astype(experts.mean.dtype)
        parameters = self._parameters(z)
        weights = (
            _shares(present) if self.config.experts == "mixture" else jnp.zeros((1, drawn.mean.shape[1])).at[0, 0].set(1.0)
        )
        mean = jnp.sum(weights[..., None] * self._means(parameters), axis=1)
        return {
            "reconstruction": mean.astype(x.dtype),
            "parameters": parameters,
            "z": z,
            "mean": experts.mean,
            "log_variance": experts.log_variance,
        }

    def _checked(self, x: Array, mask: Array | None) -> tuple[Array, Array]:
        """Examples with zeros where nothing is, and a mask."""
        x = checked(x, (self.config.size,), "x")
        if mask is None:
            return x, jnp.ones(x.shape, bool)
        mask = jnp.asarray(mask)
        if mask.shape != x.shape:
            raise InvalidInputError(f"mask has shape {mask.shape} and x {x.shape}; it says of each element whether it is there")
        mask = mask.astype(bool)
        return jnp.where(mask, x, jnp.zeros((), x.dtype)), mask

    def _split(self, x: Array, sizes: Sequence[int] | None = None) -> list[Array]:
        """The last axis by parts."""
        return jnp.split(x, list(accumulate(self.config.sizes if sizes is None else sizes))[:-1], axis=-1)

    def _present(self, mask: Array) -> Bool[Array, "B M"]:
        return jnp.stack([jnp.any(part, axis=-1) for part in self._split(mask)], axis=-1)

    def _experts(self, x: Array, mask: Array) -> DiagonalGaussian:
        """Of each part ``(B, M, L)``; of a missing one, a standard normal."""
        parts = [encoder(part) for encoder, part in zip(self.encoders, self._split(x), strict=True)]
        present = self._present(mask)[..., None]
        mean, log_variance = (jnp.stack(each, axis=1) for each in zip(*parts, strict=True))
        return DiagonalGaussian(*(jnp.where(present, a, jnp.zeros((), a.dtype)) for a in (mean, log_variance)))

    def _drawn_from(self, experts: DiagonalGaussian, present: Array) -> DiagonalGaussian:
        """The posteriors ``(B, S, L)``: the experts of a mixture; of a product, all together and each alone."""
        if self.config.experts == "mixture":
            return experts
        return product_of_experts(experts, _subsets(present))

    def _parameters(self, z: Float[Array, "B S L"]) -> Float[Array, "B S P"]:
        flat = jax.lax.collapse(z, 0, 2)
        return jnp.concatenate(
            [decoder(flat).reshape(*z.shape[:2], math.prod(decoder.shape)) for decoder in self.decoders], axis=-1
        )

    def _by_part(self, parameters: Float[Array, "B S P"]) -> list[Array]:
        """Parameters of each part, in the shape that its likelihood reads."""
        shapes = [decoder.shape for decoder in self.decoders]
        flat = self._split(parameters, [math.prod(shape) for shape in shapes])
        return [part.reshape(*part.shape[:2], *shape) for part, shape in zip(flat, shapes, strict=True)]

    def _means(self, parameters: Float[Array, "B S P"]) -> Float[Array, "B S D"]:
        means = [likelihood.mean(p) for likelihood, p in zip(self.likelihoods, self._by_part(parameters), strict=True)]
        return jnp.concatenate([_flat(mean) for mean in means], axis=-1)

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` within what all likelihoods together span, where each has bounds."""
        del batch
        ranges = [values_of(likelihood).get("x") for likelihood in self.likelihoods]
        known = [r for r in ranges if isinstance(r, Interval)]
        if len(known) < len(ranges):
            return {}
        low, high = min(r.low for r in known), max(r.high for r in known)
        return {"x": Interval(low, high, slack=max(r.slack for r in known))}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """Minus the objective of the module's docstring, nats an example.

        Args:
            batch: holds ``x`` and, where parts may be missing, ``mask``.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``elbo`` of all that is there; ``reconstruction_loss``, minus its log likelihood, and ``kl``.
        """
        x, mask = self._checked(batch["x"], batch.get("mask"))
        present = self._present(mask)
        each = self._log_likelihoods(x, mask, outputs["parameters"])  # (B, S, M)
        experts = DiagonalGaussian(outputs["mean"], outputs["log_variance"])
        if self.config.experts == "mixture":
            weights = _shares(present)
            z = accumulated(outputs["z"])
            prior = jnp.sum(gaussian_log_prob(z, jnp.zeros(()), jnp.ones(())), axis=-1)
            kl = jnp.sum(weights * (mixture_log_prob(z, experts, weights) - prior), axis=1)
            likelihood = jnp.sum(weights * jnp.sum(each, axis=-1), axis=1)
            loss = losses.beta_objective(likelihood, kl, self.config.kl_weight)
        else:
            subsets = _subsets(present)
            divergences = losses.gaussian_kl(*product_of_experts(experts, subsets))  # (B, S)
            likelihoods = jnp.sum(jnp.where(subsets, each, 0.0), axis=-1)
            alone = jnp.where(jnp.sum(present, axis=-1, keepdims=True) > 1, jnp.any(subsets[:, 1:], axis=-1), False)
            counted = jnp.concatenate([jnp.ones_like(alone[:, :1]), alone], axis=1)
            of_likelihoods, of_divergences = (jnp.sum(jnp.where(counted, a, 0.0), axis=1) for a in (likelihoods, divergences))
            loss = losses.beta_objective(of_likelihoods, of_divergences, self.config.kl_weight)
            likelihood, kl = likelihoods[:, 0], divergences[:, 0]
        return {
            "loss": loss,
            "elbo": jnp.mean(losses.elbo(likelihood, kl)),
            "reconstruction_loss": -jnp.mean(likelihood),
            "kl": jnp.mean(kl),
        }

    def _log_likelihoods(self, x: Array, mask: Array, parameters: Array) -> Float[Array, "B S M"]:
        """``w_m log p(x_m | z)`` of what is there, at each draw."""
        rows = zip(
            self.config.parts, self.likelihoods, self._split(x), self._split(mask), self._by_part(parameters), strict=True
        )
        summed = []
        for part, likelihood, values, there, p in rows:
            shape = part.encoder.sizes()[0]
            data = jnp.broadcast_to(values.reshape(values.shape[0], 1, *shape), (*p.shape[:2], *shape))
            each = _flat(likelihood.log_prob(data, p))
            summed.append(part.weight * jnp.sum(jnp.where(there[:, None], each, 0.0), axis=-1))
        return jnp.stack(summed, axis=-1)

    def encode(self, x: Float[Array, "B D"], *, mask: Mask | None = None) -> DiagonalGaussian:
        """``q(z | x)`` of what is there ``(B, L)``; of a mixture, the Gaussian with its mean and variances."""
        x, mask = self._checked(x, mask)
        experts, present = self._experts(x, mask), self._present(mask)
        if self.config.experts == "product":
            return product_of_experts(experts, present)
        weights = _shares(present)[..., None]
        none = ~jnp.any(present, axis=-1, keepdims=True)
        mean = jnp.sum(weights * experts.mean, axis=1)
        spread = jnp.exp(experts.log_variance) + jnp.square(experts.mean - mean[:, None])
        return DiagonalGaussian(mean, jnp.log(jnp.where(none, 1.0, jnp.sum(weights * spread, axis=1))))

    def embed_parts(self, x: Float[Array, "B D"], *, mask: Mask | None = None) -> Float[Array, "B M L"]:
        """The mean of ``q(z | x_m)`` of each part alone; zero, the prior's, where it is missing."""
        x, mask = self._checked(x, mask)
        experts, present = self._experts(x, mask), self._present(mask)
        if self.config.experts == "mixture":
            return experts.mean
        return product_of_experts(experts, _subsets(present)[:, 1:]).mean

    def decode(self, z: Float[Array, "B L"]) -> Float[Array, "B D"]:
        """``E[x | z]`` of every part, in data space."""
        z = checked(z, (self.config.latent_dim,), "z")
        return self._means(self._parameters(z[:, None]))[:, 0]

    @compiled_method()
    def reconstruct(self, x: Float[Array, "B D"], *, mask: Mask | None = None) -> Float[Array, "B D"]:
        """Every part from what is there, by the posterior's mean: one part from another, where that is missing."""
        return self.decode(self.encode(x, mask=mask).mean.astype(jnp.asarray(x).dtype))

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples D"]:
        """``z ~ N(0, I)``, then ``E[x | z]`` of every part."""
        check_at_least(1, n_samples=n_samples)
        return self.decode(jax.random.normal(draw_key(self, rngs), (n_samples, self.config.latent_dim)))


def _flat(x: Array) -> Array:
    """``(B, S, ...)`` as ``(B, S, elements)``; there may be no examples."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _subsets(present: Bool[Array, "B M"]) -> Bool[Array, "B S M"]:
    """All that is there, then each part alone."""
    alone = jnp.eye(present.shape[1], dtype=bool)[None] & present[:, None]
    return jnp.concatenate([present[:, None], alone], axis=1)


def _shares(present: Bool[Array, "B M"]) -> Float[Array, "B M"]:
    """Equal weights of the parts that are there."""
    counted = present.astype(jnp.float32)
    return counted / jnp.maximum(jnp.sum(counted, axis=-1, keepdims=True), 1.0)
