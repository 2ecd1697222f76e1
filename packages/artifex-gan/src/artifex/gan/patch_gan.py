r"""Paired image translation with discriminators of patches, at one or several scales.

Isola et al. 2016, "Image-to-Image Translation with Conditional Adversarial Networks" (arXiv:1611.07004), equations 1
to 4; Wang et al. 2017, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs" (arXiv:1711.11585),
section 3.2, for several scales:

    min_G max_{D_1 ... D_K}  sum_k game(G, D_k) + w |x - G(c)|_1

``D_k`` is given condition and image, side by side, at ``1 / 2^(k - 1)`` of their size. A batch holds pairs: ``condition`` and
``x``.

Shapes: ``B = batch, ... = one image, h w = positions of patches``.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.compilation import compiled_method
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.objectives import Losses
from artifex.core.protocols import Batch
from artifex.gan.cycle_gan import condition_of, distance
from artifex.gan.gan import Weight, checked, diversity, evaluated
from artifex.gan.layers import DataFormat, PositiveInt, Shape, hwc
from artifex.gan.losses import LOSSES, LossName, accuracies
from artifex.gan.translators import (
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    ResNetGenerator,
    ResNetGeneratorConfig,
    check_levels,
)

__all__ = ["PatchGAN", "PatchGANConfig"]


@config
class PatchGANConfig(Config):
    """A translation of ``condition`` to ``x``.

    Example:
        >>> PatchGANConfig(shape=(3, 32, 32), condition_shape=(1, 32, 32), n_scales=2).l1_weight
        100.0
    """

    shape: Shape
    """Shape of `x`: (channels, height, width) unless `data_format` says otherwise."""
    condition_shape: Shape | None = None
    """Shape of `condition`, of the same height and width; that of `x` where it is left out."""
    data_format: DataFormat = "channels_first"
    """Axes of both: (channels, height, width), or (height, width, channels) as the image modality has them."""
    generator: ResNetGeneratorConfig = Field(default_factory=ResNetGeneratorConfig)
    """From `condition` to `x`."""
    discriminator: PatchDiscriminatorConfig = Field(default_factory=PatchDiscriminatorConfig)
    """Of each scale."""
    n_scales: PositiveInt = 1
    """Discriminators, each at half the size of the one before."""
    loss: LossName = "non_saturating"
    """Both sides of every game."""
    l1_weight: Weight = 100.0
    """Weight of the distance from what was asked for."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        condition_shape = self.condition_shape or self.shape
        sizes = [hwc(shape, self.data_format)[:2] for shape in (self.shape, condition_shape)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"shape is {self.shape} and condition_shape {condition_shape}; height and width have to be equal")
        if min(sizes[0]) < 2 ** (self.n_scales - 1):
            raise ValueError(
                f"n_scales is {self.n_scales}, but images of {sizes[0][0]} × {sizes[0][1]} cannot be halved that often"
            )
        check_levels(self.generator, self.discriminator, sizes[0], self.n_scales)
        object.__setattr__(self, "condition_shape", condition_shape)


class ScaleDiscriminators(nnx.Module):
    """A discriminator of patches for each scale."""

    def __init__(self, config: PatchGANConfig, channels: int, **kinds: Any):
        self.networks = nnx.List(
            [PatchDiscriminator(config.discriminator, channels, channels_first=False, **kinds) for _ in range(config.n_scales)]
        )

    def __call__(self, pair: Float[Array, "B H W C"]) -> tuple[Float[Array, "B h w"], ...]:
        logits = []
        for i, network in enumerate(self.networks):
            pair = nnx.avg_pool(pair, (2, 2), strides=(2, 2)) if i else pair
            logits.append(network(pair))
        return tuple(logits)


class PatchGAN(nnx.Module):
    """The translation of Isola et al. 2016, without its noise: one ``x`` for each condition.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`PatchGANConfig`.

    Example:
        >>> config = PatchGANConfig(
        ...     shape=(3, 8, 8),
        ...     condition_shape=(1, 8, 8),
        ...     generator=ResNetGeneratorConfig(hidden_dims=(4, 8), n_blocks=1, stem_size=3),
        ...     discriminator=PatchDiscriminatorConfig(hidden_dims=(4, 8)),
        ... )
        >>> PatchGAN(config, rngs=nnx.Rngs(0)).generate(2, condition=jnp.zeros((2, 1, 8, 8))).shape
        (2, 3, 8, 8)
    """

    def __init__(self, config: PatchGANConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, PatchGANConfig):
            raise InvalidTypeError(f"PatchGAN takes a PatchGANConfig, got {type(config).__name__}: {config!r}")
        kinds: dict[str, Any] = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        assert config.condition_shape is not None
        self.config = config
        self.shape, self.condition_shape = config.shape, config.condition_shape
        self.generator = ResNetGenerator(
            config.generator, self.condition_shape, self.shape, data_format=config.data_format, **kinds
        )
        channels = sum(hwc(shape, config.data_format)[2] for shape in (self.shape, self.condition_shape))
        self.discriminator = ScaleDiscriminators(config, channels, **kinds)
        self.rngs = rngs.fork()

    def __call__(
        self, x: Float[Array, "B ..."], *, condition: Float[Array, "B ..."], rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Translate ``condition``, and judge both pairs, as in evaluation.

        Args:
            x: ``(B, ...)``, what was asked for.
            condition: ``(B, ...)``.
            rngs: nothing is drawn.

        Returns:
            ``translated`` ``(B, ...)``; ``logits`` and ``translated_logits`` ``(B, h, w)`` of the first scale.

        Raises:
            InvalidInputError: ``x`` or ``condition`` is not a batch of images of its shape.
        """
        del rngs
        model, (x, condition) = evaluated(self), self._images({"x": x, "condition": condition})
        translated = model.generator(condition)
        return {
            "translated": translated,
            "logits": model.discriminator(self._side_by_side(condition, x))[0],
            "translated_logits": model.discriminator(self._side_by_side(condition, translated))[0],
        }

    def generate(
        self, n_samples: int = 1, *, condition: Float[Array, "n_samples ..."] | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """``condition`` as ``x``.

        Args:
            n_samples: how many images that is.
            condition: what is translated.
            rngs: nothing is drawn.

        Raises:
            InvalidInputError: there is no condition, or not as many images of its shape.
        """
        del rngs
        given = condition_of(condition, n_samples, self.condition_shape)
        return self._translate(checked(given, self.condition_shape, "condition", self.config.data_format))

    @compiled_method()
    def _translate(self, condition: Array) -> Array:
        return evaluated(self.generator)(condition)

    def discriminator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> Losses:
        """The losses of all scales' discriminators, added up.

        Args:
            batch: holds ``x`` and ``condition``.
            rngs: nothing is drawn.

        Returns:
            ``loss``; ``real_accuracy`` and ``fake_accuracy``, shares of patches taken for what they are; ``diversity``,
            how far translations lie apart beside real images, of no weight where the batch is one pair.
        """
        del rngs
        rule, (x, condition) = LOSSES[self.config.loss], self._images(batch)
        fake = jax.lax.stop_gradient(self.generator(condition))
        real_logits, fake_logits = (self.discriminator(self._side_by_side(condition, y)) for y in (x, fake))
        pairs = list(zip(real_logits, fake_logits, strict=True))
        right = [accuracies(*pair, boundary=rule.boundary) for pair in pairs]
        names = ("real_accuracy", "fake_accuracy")
        terms = {name: jnp.mean(jnp.stack([r[i] for r in right])) for i, name in enumerate(names)}
        loss = sum((rule.discriminator(*pair) for pair in pairs), jnp.zeros(()))
        return {"loss": loss, **terms, "diversity": diversity(fake, x)}

    def generator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """The generator's losses: of the games at all scales, and of the distance.

        Args:
            batch: holds ``x`` and ``condition``.
            rngs: nothing is drawn.

        Returns:
            ``loss``; ``adversarial``, summed over the scales, and ``l1``, unweighted.
        """
        del rngs
        rule, (x, condition) = LOSSES[self.config.loss], self._images(batch)
        fake = self.generator(condition)
        sides = [self.discriminator(self._side_by_side(condition, y)) for y in ((x, fake) if rule.relative else (fake,))]
        adversarial = sum((rule.generator(*logits) for logits in zip(*sides, strict=True)), jnp.zeros(()))
        l1 = distance(fake, x)
        return {"loss": adversarial + self.config.l1_weight * l1, "adversarial": adversarial, "l1": l1}

    def _side_by_side(self, condition: Array, x: Array) -> Float[Array, "B H W C"]:
        pair = (condition, x.astype(condition.dtype))
        if self.config.data_format == "channels_first":
            return jnp.concatenate(pair, axis=1).transpose(0, 2, 3, 1)
        return jnp.concatenate(pair, axis=-1)

    def _images(self, batch: Batch) -> tuple[Array, Array]:
        if "condition" not in batch:
            raise InvalidInputError(f"a PatchGAN's batch holds pairs, x and condition; got {sorted(batch)}")
        dtype = jax.tree.leaves(nnx.state(self.generator, nnx.Param))[0].dtype
        x, condition = (
            checked(batch[key], shape, key, self.config.data_format).astype(dtype)
            for key, shape in (("x", self.shape), ("condition", self.condition_shape))
        )
        if x.shape[0] != condition.shape[0]:
            raise InvalidInputError(
                f"x holds {x.shape[0]} images and condition {condition.shape[0]}; they are pairs: give as many"
            )
        return x, condition
