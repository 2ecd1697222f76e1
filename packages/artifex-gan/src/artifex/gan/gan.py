r"""Generative adversarial networks, and what all of this family share.

Goodfellow et al. 2014, "Generative Adversarial Nets" (arXiv:1406.2661).

    z ~ N(0, I),   x = G(z)                     the generator
    min_G max_D  E log s(D(x)) + E log(1 - s(D(G(z))))      the game, s the logistic function (equation 1)

Here D gives logits. A training step moves the discriminator, then, at every ``n_critic``-th step, the generator, each with an
optimiser of its own, all in one compiled program. Other losses: :mod:`artifex.gan.losses`; penalties on D's slope:
:mod:`artifex.gan.penalties`, which come in at every ``penalty_every``-th step with as many times the weight (lazy
regularisation: Karras et al. 2019, arXiv:1912.04958, appendix B).

Shapes: ``B = batch, L = latent, ... = one example``.
"""

from __future__ import annotations

import math
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
from artifex.core.objectives import Losses, Objective, WeightedMean
from artifex.core.protocols import Batch
from artifex.core.pure import functional
from artifex.gan import penalties
from artifex.gan.augment import Change, augment
from artifex.gan.discriminators import DiscriminatorField, create_discriminator
from artifex.gan.generators import GeneratorField, create_generator
from artifex.gan.layers import PositiveInt
from artifex.gan.losses import LOSSES, LossName, accuracies
from artifex.gan.metrics import relative_spread

__all__ = ["GAN", "AdversarialConfig", "AdversarialModel", "GANConfig"]

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Given = tuple[Array, ...]
"""What a conditional model is given beside ``z`` and ``x``; empty for any other."""


@config
class AdversarialConfig(Config):
    """What the adversarial models of one latent and one discriminator have in common."""

    generator: GeneratorField
    """From a latent to an example."""
    discriminator: DiscriminatorField
    """From an example to a logit."""
    loss: LossName = "non_saturating"
    """Both sides of the game."""
    n_critic: PositiveInt = 1
    """The generator moves at each so-many-th step, the discriminator at every step."""
    gradient_penalty: Weight = 0.0
    """Weight of the squared distance of the discriminator's slope from 1, between real and generated examples."""
    r1: Weight = 0.0
    """Weight of half the squared slope at real examples."""
    r2: Weight = 0.0
    """Weight of half the squared slope at generated examples."""
    penalty_every: PositiveInt = 1
    """Penalties come in at each so-many-th step, with as many times the weight."""
    augment: tuple[Change, ...] = ()
    """Differentiable changes of all images that the discriminator sees: `color`, `translation`, `cutout`. Images of networks
    that have no `data_format` are (height, width, channels)."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the networks compute in. None follows the parameters. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        generator, discriminator = self.generator, self.discriminator
        shape = _agreed(generator.output_shape, discriminator.input_shape)
        formats = [getattr(part, "data_format", None) for part in (generator, discriminator)]
        if None not in formats and formats[0] != formats[1]:
            raise ValueError(
                f"generator.data_format is {formats[0]!r} and discriminator.data_format {formats[1]!r}; they have to be equal"
            )
        if self.is_penalised and discriminator.norm == "batch":
            raise ValueError(
                "discriminator.norm is 'batch', by which one example's logit depends on the others: a penalty on the slope of "
                "each example makes no sense there; use 'layer', 'instance' or 'none'"
            )
        if not self.is_penalised and self.penalty_every > 1:
            raise ValueError(f"penalty_every is {self.penalty_every}, but there is no penalty; set a weight, or leave it out")
        if self.augment and len(shape) != 3:
            raise ValueError(f"augment changes images, but the shape of one example is {shape}; leave it out")
        norm = "none" if self.is_penalised and discriminator.norm is None else discriminator.norm
        object.__setattr__(self, "generator", generator.replace(output_shape=shape))
        object.__setattr__(self, "discriminator", discriminator.replace(input_shape=shape, norm=norm))

    @property
    def data_format(self) -> str | None:
        """Axes of an example, as whichever network has it says; None where neither does."""
        formats = [getattr(part, "data_format", None) for part in (self.generator, self.discriminator)]
        return formats[0] or formats[1]

    @property
    def is_penalised(self) -> bool:
        """Whether there is any penalty."""
        return max(self.gradient_penalty, self.r1, self.r2) > 0


def _agreed(output_shape: tuple[int, ...] | None, input_shape: tuple[int, ...] | None) -> tuple[int, ...]:
    shape = output_shape or input_shape
    if shape is None:
        raise ValueError("nobody knows the shape of an example; give generator.output_shape or discriminator.input_shape")
    if (input_shape or shape) != shape:
        raise ValueError(
            f"generator.output_shape is {output_shape} and discriminator.input_shape {input_shape}; these have to be equal: "
            "mend one, or leave one out"
        )
    return shape


class AdversarialModel(nnx.Module):
    """A generator, a discriminator, and the game between them: the base of this family's models.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs`` (``default`` stands in for both).

    Raises:
        InvalidTypeError: ``config`` is not this model's.
    """

    CONFIG: type[AdversarialConfig] = AdversarialConfig

    def __init__(self, config: Any, *, rngs: nnx.Rngs):
        if not isinstance(config, self.CONFIG):
            raise InvalidTypeError(
                f"{type(self).__name__} takes a {self.CONFIG.__name__}, got {type(config).__name__}: {config!r}"
            )
        self.config = config
        self.shape, self.latent_dim = config.generator.shape(), config.generator.latent_dim
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.generator, self.discriminator = self._networks(config, **kinds)
        self.rngs = rngs.fork()

    # A conditional model is this one with `given`, its condition, beside z and x: it overrides the next two.

    def _networks(self, config: AdversarialConfig, **kinds: Any) -> tuple[Any, Any]:
        judge = create_discriminator(config.discriminator, head_bias=has_zero(config), **kinds)
        return create_generator(config.generator, **kinds), judge

    def _given(self, batch: Batch) -> Given:
        """What the networks are given of a batch beside ``x``."""
        del batch
        return ()

    def __call__(self, x: Float[Array, "B ..."], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Judge ``x``, and as many samples, as in evaluation: running averages stay as they are.

        Args:
            x: ``(B, ...)``.
            rngs: stream ``sample`` draws the latents; the model's own by default.

        Returns:
            ``logits`` ``(B,)`` of ``x``; ``samples`` ``(B, ...)`` and ``sample_logits`` ``(B,)``.

        Raises:
            InvalidInputError: ``x`` is not a batch of examples of the model's shape.
        """
        return self._outputs(x, (), draw_key(self, rngs))

    def _outputs(self, x: Array, given: Given, key: Array) -> dict[str, Array]:
        model, x = evaluated(self), self._real(x)
        samples = model.generator(self._latents(x.shape[0], key), *given)
        return {
            "logits": model.discriminator(x, *given),
            "samples": samples,
            "sample_logits": model.discriminator(samples, *given),
        }

    @compiled_method(static=("n_samples",))
    def generate(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples ..."]:
        """``G(z)``, ``z ~ N(0, I)``, with batch norm's running averages.

        Args:
            n_samples: how many.
            rngs: stream ``sample``; the model's own by default.
        """
        return self._generated(n_samples, (), draw_key(self, rngs))

    def sample(self, n_samples: int = 1, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples ..."]:
        """The same as :meth:`generate`."""
        return self.generate(n_samples, rngs=rngs)

    def _generated(self, n_samples: int, given: Given, key: Array) -> Float[Array, "n_samples ..."]:
        check_at_least(1, n_samples=n_samples)
        return evaluated(self.generator)(self._latents(n_samples, key), *given).astype(jnp.float32)

    def objectives(self) -> tuple[Objective, ...]:
        """The discriminator's, the penalty's where it comes in at some steps only, the generator's."""
        made = [Objective(_discriminator_loss, "discriminator", "discriminator")]
        if self.config.penalty_every > 1:
            every = self.config.penalty_every
            made.append(Objective(_penalty_loss, "penalty", "discriminator", every=every, optimizer="discriminator"))
        made.append(Objective(_generator_loss, "generator", "generator", every=self.config.n_critic))
        return tuple(made)

    def discriminator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> Losses:
        """The discriminator's loss, with the penalties where they come in at every step.

        Args:
            batch: holds ``x``.
            rngs: stream ``sample``.

        Returns:
            ``loss``; ``real_accuracy`` and ``fake_accuracy``, shares that were taken for what they are; ``diversity``, how far
            generated examples lie apart beside real ones (:func:`artifex.gan.metrics.relative_spread`), of no weight where the
            batch is one example; each penalty.
        """
        real, given = self._real(batch["x"]), self._given(batch)
        fake = jax.lax.stop_gradient(self._fakes(real, given, rngs))
        seen = self._augmented(real, rngs), self._augmented(fake, rngs)
        # one after the other, so that batch norm does not mix them
        logits = self.discriminator(seen[0], *given), self.discriminator(seen[1], *given)
        rule = LOSSES[self.config.loss]
        loss = rule.discriminator(*logits)
        found = self._penalties(*seen, given, rngs) if self.config.penalty_every == 1 else {}
        right = accuracies(*logits, boundary=rule.boundary)
        terms = {"real_accuracy": right[0], "fake_accuracy": right[1], "diversity": diversity(fake, real)}
        return {"loss": loss + self._weighted(found), **terms, **found}

    def penalty_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """The penalties alone, ``penalty_every`` times as heavy: ``loss`` and each of them."""
        real, given = self._real(batch["x"]), self._given(batch)
        fake = jax.lax.stop_gradient(self._fakes(real, given, rngs))
        seen = self._augmented(real, rngs), self._augmented(fake, rngs)
        found = self._penalties(*seen, given, rngs)
        return {"loss": self.config.penalty_every * self._weighted(found), **found}

    def generator_objective(self, batch: Batch, *, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """The generator's loss, ``loss``."""
        real, given = self._real(batch["x"]), self._given(batch)
        fake_logits = self.discriminator(self._augmented(self._fakes(real, given, rngs), rngs), *given)
        rule = LOSSES[self.config.loss]
        if not rule.relative:
            return {"loss": rule.generator(fake_logits)}
        return {"loss": rule.generator(self.discriminator(self._augmented(real, rngs), *given), fake_logits)}

    def _penalties(self, real: Array, fake: Array, given: Given, rngs: nnx.Rngs) -> dict[str, Float[Array, ""]]:
        """Those that weigh anything, by name."""
        judge, made = functional(self.discriminator), {}

        def score(x: Array) -> Array:
            return judge(x, *given)

        if self.config.gradient_penalty:
            made["gradient_penalty"] = penalties.gradient_penalty(score, real, fake, draw_key(self, rngs))
        if self.config.r1:
            made["r1"] = penalties.r1(score, real)
        if self.config.r2:
            made["r2"] = penalties.r2(score, fake)
        return made

    def _weighted(self, found: dict[str, Array]) -> Array:
        return sum((getattr(self.config, name) * value for name, value in found.items()), jnp.zeros(()))

    def _latents(self, n: int, key: Array) -> Float[Array, "n L"]:
        return jax.random.normal(key, (n, self.latent_dim), self._dtype())

    def _fakes(self, real: Array, given: Given, rngs: nnx.Rngs) -> Float[Array, "B ..."]:
        """As many generated examples as there are real ones."""
        return self.generator(self._latents(real.shape[0], draw_key(self, rngs)), *given).astype(real.dtype)

    def _augmented(self, x: Array, rngs: nnx.Rngs) -> Array:
        """What the discriminator sees of ``x``."""
        if not self.config.augment:
            return x
        axis = 1 if self.config.data_format == "channels_first" else -1
        return augment(x, self.config.augment, draw_key(self, rngs), channel_axis=axis)

    def _real(self, x: Array) -> Float[Array, "B ..."]:
        """``x``, checked, in the type of the parameters."""
        return checked(x, self.shape, "x", self.config.data_format).astype(self._dtype())

    def _dtype(self) -> Any:
        """Of the parameters as they are now: a trainer may have cast them."""
        return jax.tree.leaves(nnx.state(self.discriminator, nnx.Param))[0].dtype


def has_zero(config: AdversarialConfig) -> bool:
    """Whether a logit means something by itself, and not only beside others."""
    return LOSSES[config.loss].boundary is not None


def _discriminator_loss(model: Any, batch: Batch, rngs: nnx.Rngs, step: Array) -> Losses:
    del step
    return model.discriminator_objective(batch, rngs=rngs)


def _penalty_loss(model: Any, batch: Batch, rngs: nnx.Rngs, step: Array) -> Losses:
    del step
    return model.penalty_objective(batch, rngs=rngs)


def _generator_loss(model: Any, batch: Batch, rngs: nnx.Rngs, step: Array) -> Losses:
    del step
    return model.generator_objective(batch, rngs=rngs)


def evaluated(module: Any) -> Any:
    """``module`` as it is evaluated: with running averages, without dropout."""
    return nnx.view(module, deterministic=True, use_running_average=True, raise_if_not_found=False)


def diversity(fake: Array, real: Array) -> Array | WeightedMean:
    """:func:`artifex.gan.metrics.relative_spread`; a mean of no weight for a batch of one, in which nothing lies apart."""
    nothing = jnp.zeros(())
    return relative_spread(fake, real) if fake.shape[0] > 1 else WeightedMean(nothing, nothing)


def as_array(x: Any, what: str) -> Array:
    """``x`` as an array, or one message."""
    try:
        return jnp.asarray(x)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{what} is a {type(x).__name__} that makes no array of numbers: {error}") from error


def checked(x: Array, shape: tuple[int, ...], what: str, data_format: str | None = None) -> Array:
    """``x`` if it is a batch of floating-point arrays of ``shape``, else an error."""
    x = as_array(x, what)
    if x.ndim != len(shape) + 1 or x.shape[1:] != shape:
        hint = ""
        if x.shape == shape:
            hint = f"; add a batch axis: {what}[None]"
        elif x.ndim > 1 and math.prod(x.shape[1:]) == math.prod(shape):
            hint = f"; reshape it: {what}.reshape(-1, {', '.join(map(str, shape))})"
        if data_format == "channels_first" and x.ndim == 4 and (x.shape[3], *x.shape[1:3]) == shape:
            hint = "; its channels are last: give both networks the shape (height, width, channels), data_format channels_last"
        raise InvalidInputError(f"{what} has shape {x.shape}, expected (batch, {', '.join(map(str, shape))}){hint}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InvalidInputError(f"{what} is {x.dtype}, expected floating point in data space; scale it to floats")
    return x


@config
class GANConfig(AdversarialConfig):
    """A GAN of any networks; dense ones for vectors.

    Example:
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> made = GANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(32,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(32,)),
        ... )
        >>> made.discriminator.input_shape
        (2,)
    """


class GAN(AdversarialModel):
    """The generative adversarial network of Goodfellow et al. 2014.

    Args:
        config: what to build.
        rngs: random streams, as :class:`AdversarialModel` has them.

    Example:
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> config = GANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(32,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(32,)),
        ... )
        >>> GAN(config, rngs=nnx.Rngs(0)).generate(5).shape
        (5, 2)
    """

    CONFIG = GANConfig
