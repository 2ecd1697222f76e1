r"""The cycle-consistent GAN: translation between two kinds of images of which no pairs are known.

Zhu, Park, Isola & Efros 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
(arXiv:1703.10593), equations 1 to 3:

    G: condition -> x,   F: x -> condition,   D_x and D_c judge
    loss = game(G, D_x) + game(F, D_c) + w_cycle (|F(G(c)) - c|_1 + |G(F(x)) - x|_1)
           + w_identity (|G(x) - x|_1 + |F(c) - c|_1)

with least squares for the games, and a pool of earlier translations for the discriminators (section 4). A batch holds ``x`` and
``condition``, which need not belong together.

Shapes: ``B = batch, ... = one image, h w = positions of patches``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.objectives import Losses, WeightedMean
from artifex.core.protocols import Batch
from artifex.gan.gan import Weight, as_array, checked, diversity, evaluated
from artifex.gan.image_pool import ImagePool
from artifex.gan.layers import DataFormat, PositiveInt, Shape, hwc
from artifex.gan.losses import LOSSES, LossName, accuracies
from artifex.gan.translators import (
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    ResNetGenerator,
    ResNetGeneratorConfig,
    check_levels,
)

__all__ = ["CycleGAN", "CycleGANConfig"]


@config
class CycleGANConfig(Config):
    """A CycleGAN.

    Example:
        >>> made = CycleGANConfig(
        ...     shape=(3, 16, 16),
        ...     generator=ResNetGeneratorConfig(hidden_dims=(8, 16), n_blocks=2),
        ...     discriminator=PatchDiscriminatorConfig(hidden_dims=(8, 16)),
        ... )
        >>> made.condition_shape
        (3, 16, 16)
    """

    shape: Shape
    """Shape of `x`: (channels, height, width) unless `data_format` says otherwise."""
    condition_shape: Shape | None = None
    """Shape of `condition`, of the same height and width; that of `x` where it is left out."""
    data_format: DataFormat = "channels_first"
    """Axes of both: (channels, height, width), or (height, width, channels) as the image modality has them."""
    generator: ResNetGeneratorConfig = Field(default_factory=ResNetGeneratorConfig)
    """Of either direction."""
    discriminator: PatchDiscriminatorConfig = Field(default_factory=PatchDiscriminatorConfig)
    """Of either kind of images."""
    loss: LossName = "least_squares"
    """Both sides of both games."""
    cycle_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    """Weight of the distance from an image to what comes back, there and back. The paper's is 10, beside squares that it does
    not halve; ours are (Mao et al.'s equation 9)."""
    identity_weight: Weight = 0.0
    """Weight of the distance from an image to what a translation to its own kind makes of it; the paper's is half of
    `cycle_weight`, where colours are to stay."""
    pool_size: PositiveInt = 64
    """Earlier translations that each discriminator may be shown again; at least the batch's size."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        condition_shape = self.condition_shape or self.shape
        sizes = [hwc(shape, self.data_format) for shape in (self.shape, condition_shape)]
        if sizes[0][:2] != sizes[1][:2]:
            raise ValueError(f"shape is {self.shape} and condition_shape {condition_shape}; height and width have to be equal")
        check_levels(self.generator, self.discriminator, sizes[0][:2])
        if self.identity_weight and sizes[0] != sizes[1]:
            raise ValueError(
                f"identity_weight is {self.identity_weight}, but x has {sizes[0][2]} channels and condition {sizes[1][2]}: "
                "neither network can be given its own images; leave it out"
            )
        object.__setattr__(self, "condition_shape", condition_shape)


class Pair(nnx.Module):
    """One network for ``x``, one for ``condition``: the generators that make them, or the discriminators that judge them."""

    def __init__(self, x: nnx.Module, condition: nnx.Module):
        self.x, self.condition = x, condition


class CycleGAN(nnx.Module):
    """The cycle-consistent GAN of Zhu et al. 2017.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`CycleGANConfig`.

    Example:
        >>> config = CycleGANConfig(
        ...     shape=(8, 8, 1),
        ...     data_format="channels_last",
        ...     generator=ResNetGeneratorConfig(hidden_dims=(4, 8), n_blocks=1, stem_size=3),
        ...     discriminator=PatchDiscriminatorConfig(hidden_dims=(4, 8)),
        ... )
        >>> CycleGAN(config, rngs=nnx.Rngs(0)).generate(2, condition=jnp.zeros((2, 8, 8, 1))).shape
        (2, 8, 8, 1)
    """

    def __init__(self, config: CycleGANConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, CycleGANConfig):
            raise InvalidTypeError(f"CycleGAN takes a CycleGANConfig, got {type(config).__name__}: {config!r}")
        kinds: dict[str, Any] = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        assert config.condition_shape is not None
        shapes = (config.shape, config.condition_shape)
        self.config = config
        self.shape, self.condition_shape = shapes
        generators = [
            ResNetGenerator(config.generator, i, o, data_format=config.data_format, **kinds) for i, o in (shapes[::-1], shapes)
        ]
        first = config.data_format == "channels_first"
        discriminators = [
            PatchDiscriminator(config.discriminator, hwc(s, config.data_format)[2], channels_first=first, **kinds)
            for s in shapes
        ]
        self.generator, self.discriminator = Pair(*generators), Pair(*discriminators)
        self.pool = Pair(*(ImagePool(config.pool_size, shape) for shape in shapes))
        self.rngs = rngs.fork()

    def __call__(self, x: Float[Array, "B ..."], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """There and back, as in evaluation.

        Args:
            x: ``(B, ...)``.
            rngs: nothing is drawn.

        Returns:
            ``translated``, ``x`` as a ``condition``; ``returned`` ``(B, ...)``, that as ``x`` again; ``logits``
            ``(B, h, w)`` of ``x``.

        Raises:
            InvalidInputError: ``x`` is not a batch of images of the model's shape.
        """
        del rngs
        model, x = evaluated(self), self._checked(x, "x")
        translated = model.generator.condition(x)
        return {
            "translated": translated,
            "returned": model.generator.x(translated),
            "logits": model.discriminator.x(x),
        }

    def translate(self, images: Float[Array, "B ..."], *, to: Literal["x", "condition"] = "x") -> Float[Array, "B ..."]:
        """Images of one kind as images of the other.

        Args:
            images: of the other kind than ``to``.
            to: which.

        Raises:
            InvalidInputError: the images do not have that kind's shape, or there is no such kind.
        """
        if to not in ("x", "condition"):
            raise InvalidInputError(f"to is {to!r}; images are translated to 'x' or to 'condition'")
        return self._translate(self._checked(images, "condition" if to == "x" else "x"), to=to)

    @compiled_method(static=("to",))
    def _translate(self, images: Array, *, to: str) -> Array:
        return getattr(evaluated(self.generator), to)(images)

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
        return self.translate(condition_of(condition, n_samples, self.condition_shape))

    def discriminator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> Losses:
        """The losses of both discriminators, added up.

        Args:
            batch: holds ``x`` and ``condition``.
            rngs: stream ``sample`` chooses from the pools.

        Returns:
            ``loss``; ``real_accuracy`` and ``fake_accuracy``, shares of patches taken for what they are; ``diversity``,
            how far translations to ``x`` lie apart beside real ones, of no weight where the batch is one
            image.
        """
        rule, images = LOSSES[self.config.loss], self._images(batch)
        found: list[dict[str, Array]] = []
        spread: Array | WeightedMean = jnp.zeros(())
        for kind, other in (("x", "condition"), ("condition", "x")):
            fake = jax.lax.stop_gradient(getattr(self.generator, kind)(images[other]))
            seen = getattr(self.pool, kind).exchange(fake, draw_key(self, rngs))
            judge = getattr(self.discriminator, kind)
            logits = judge(images[kind]), judge(seen)
            right = accuracies(*logits, boundary=rule.boundary)
            found.append({"loss": rule.discriminator(*logits), "real_accuracy": right[0], "fake_accuracy": right[1]})
            if kind == "x":
                spread = diversity(fake, images[kind])
        accuracy = {name: (found[0][name] + found[1][name]) / 2 for name in ("real_accuracy", "fake_accuracy")}
        return {"loss": found[0]["loss"] + found[1]["loss"], **accuracy, "diversity": spread}

    def generator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """The losses of both generators: of the games, of the cycles, of identities.

        Args:
            batch: holds ``x`` and ``condition``.
            rngs: nothing is drawn.

        Returns:
            ``loss``; ``adversarial``, ``cycle`` and, if it weighs anything, ``identity``, unweighted sums of both directions.
        """
        del rngs
        config, images = self.config, self._images(batch)
        terms = {"adversarial": jnp.zeros(()), "cycle": jnp.zeros(())}
        for kind, other in (("x", "condition"), ("condition", "x")):
            to_kind, to_other = (getattr(self.generator, name) for name in (kind, other))
            fake = to_kind(images[other])
            terms["adversarial"] += self._game(kind, images[kind], fake)
            terms["cycle"] += distance(to_other(fake), images[other])
            if config.identity_weight:
                terms["identity"] = terms.get("identity", 0.0) + distance(to_kind(images[kind]), images[kind])
        weights = {"adversarial": 1.0, "cycle": config.cycle_weight, "identity": config.identity_weight}
        return {"loss": sum((weights[name] * term for name, term in terms.items()), jnp.zeros(())), **terms}

    def _game(self, kind: str, real: Array, fake: Array) -> Array:
        rule, judge = LOSSES[self.config.loss], getattr(self.discriminator, kind)
        return rule.generator(judge(real), judge(fake)) if rule.relative else rule.generator(judge(fake))

    def _images(self, batch: Batch) -> dict[str, Array]:
        if "condition" not in batch:
            raise InvalidInputError(f"a CycleGAN's batch holds x and condition, images of two kinds; got {sorted(batch)}")
        return {kind: self._checked(batch[kind], kind) for kind in ("x", "condition")}

    def _checked(self, images: Array, kind: str) -> Array:
        shape = self.shape if kind == "x" else self.condition_shape
        dtype = jax.tree.leaves(nnx.state(self.generator, nnx.Param))[0].dtype
        return checked(images, shape, kind, self.config.data_format).astype(dtype)


def condition_of(condition: Array | None, n_samples: int, shape: tuple[int, ...]) -> Array:
    """The images that a translation is to start from, as many as it has to make."""
    check_at_least(1, n_samples=n_samples)
    wanted = f"condition=images of shape ({n_samples}, {', '.join(map(str, shape))})"
    if condition is None:
        raise InvalidInputError(f"a translation starts from images; pass {wanted}")
    given = as_array(condition, "condition")
    if given.ndim < 2:
        raise InvalidInputError(f"condition has shape {given.shape}, which is no batch of images; pass {wanted}")
    if given.shape[0] != n_samples:
        raise InvalidInputError(f"{given.shape[0]} images are given for {n_samples} samples; pass {wanted}")
    return given


def distance(a: Array, b: Array) -> Float[Array, ""]:
    """Mean absolute difference, in float32."""
    return jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))
