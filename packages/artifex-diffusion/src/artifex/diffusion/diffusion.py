r"""What all diffusion models have in common.

Ho et al. 2020, "Denoising Diffusion Probabilistic Models" (arXiv:2006.11239); Song et al. 2020 (arXiv:2011.13456); Karras et
al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models" (arXiv:2206.00364):

    x_t = alpha(t) x_0 + sigma(t) e                          the process (:mod:`artifex.diffusion.processes`)
    D(x_t, t) = skip x_t + out F(in x_t, t)                  the parameterisation of the network F (:mod:`~.parameterizations`)
    loss = E_{t, x_0, e} w |F - target|^2 / d                whose minimum is D = E[x_0 | x_t]
    score = (alpha D - x_t) / sigma^2 = grad log p_t(x_t)    Tweedie's formula

Process, parameterisation, network and sampler are fields of the config, each open to plugins; a model of a paper is their
defaults. Classes or vectors that examples are conditioned on belong to the network. Where they are dropped now and then in
training, samples may be guided (Ho & Salimans 2022, arXiv:2207.12598, equation 6): ``D = D_none + g (D_condition - D_none)``.

Shapes: ``B = batch, ... = one example, C = width of a condition, n = samples``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import ParamDType
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange
from artifex.diffusion.checks import checked, checked_sampler, checked_scale, checked_times
from artifex.diffusion.conditions import Condition, checked_condition, drop, taking_turns
from artifex.diffusion.networks import BackboneField, PositiveInt, create_network
from artifex.diffusion.parameterizations import (
    EpsilonConfig,
    ParameterizationField,
    create_parameterization,
    min_snr_weight,
)
from artifex.diffusion.processes import ProcessField, check_steps, create_process
from artifex.diffusion.samplers import Denoiser
from artifex.diffusion.sampling import DDPMSamplerConfig, SamplerConfig, SamplerField, create_sampler
from artifex.diffusion.schedules import NoiseScheduleConfig

__all__ = ["Diffusion", "DiffusionConfig", "Shape"]

Shape = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@config
class DiffusionConfig(Config):
    """What the configs of all diffusion models share."""

    input_shape: Shape
    """Shape of one example: `(height, width, channels)`, `(length, channels)` or `(elements,)`."""
    backbone: BackboneField
    """The network: `unet`, `dit`, `unet1d`, `mlp`, with its fields."""
    noise_schedule: ProcessField = NoiseScheduleConfig()
    """The process: `variance_preserving`, `variance_exploding`, `straight`, or a dict of its `kind` and fields."""
    parameterization: ParameterizationField = EpsilonConfig()
    """What the network predicts: `epsilon`, `x0`, `v`, `velocity`, `edm`, or a dict of its `kind` and fields."""
    sampler: SamplerField = DDPMSamplerConfig()
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""
    min_snr_gamma: Positive | None = None
    """Give the error of the denoised example the weight ``min(SNR, gamma)``, 5 in Hang et al. 2023; None for equal weights of
    the network's own error."""
    clip_x0: Positive | None = None
    """Bound that samplers keep denoised examples within, 1 for images in [-1, 1]; None for none."""
    condition_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that an example loses its condition in training, so that samples can be guided, or drawn without one."""
    guidance_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """``g`` of samples that are asked for no other; None for none, which is the same as 1."""
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How far guided examples are brought back to the spread of those without guidance, 0.7 in Lin et al. 2023
    (arXiv:2305.08891, section 3.4), who use it with ``zero_terminal_snr``: strong guidance over-exposes images."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the network computes in. None follows the parameters. Noise, losses and samplers are float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        self.backbone.check_shape(self.network_shape)
        conditional = self.backbone.condition_shape is not None
        if self.condition_dropout and not conditional:
            raise ValueError(
                f"condition_dropout is {self.condition_dropout}, but the backbone has no condition to drop; give it "
                "num_classes, or leave condition_dropout out"
            )
        if self.guidance_scale not in (None, 1.0) and not self.condition_dropout:
            raise ValueError(_no_guidance(self.guidance_scale))
        if self.guidance_rescale and not self.condition_dropout:
            raise ValueError(
                f"guidance_rescale is {self.guidance_rescale}, but the model cannot be guided: condition_dropout is 0; "
                "give it one, 0.1 say, or leave guidance_rescale out"
            )
        process = create_process(self.noise_schedule)
        self.sampler.check(process)
        silent = getattr(self.noise_schedule, "zero_terminal_snr", False) or process.levels(1, None).alpha[0] == 0
        if silent and create_parameterization(self.parameterization).needs_signal:
            raise ValueError(
                "the noise schedule leaves nothing of the example at the last step, where a prediction of the noise says "
                "nothing about it; use parameterization 'v', 'x0' or 'velocity'"
            )

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Shape of what is noised."""
        return self.input_shape


def _no_guidance(scale: float | None) -> str:
    return (
        f"guidance_scale is {scale}, but the model's conditions are never dropped in training (condition_dropout is 0), so it "
        "knows no denoiser without one to guide from; train it with condition_dropout: 0.1, or set guidance_scale to None"
    )


class Diffusion(nnx.Module):
    """A diffusion model.

    Args:
        config: of the model.
        rngs: random streams: ``params`` initialises the network; the model keeps a fork of all of them, whose ``sample`` serves
            whenever a method is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is another model's.
    """

    def __init__(self, config: DiffusionConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.process = create_process(config.noise_schedule)
        self.parameterization = create_parameterization(config.parameterization)
        self.network = create_network(
            config.backbone,
            config.network_shape,
            with_null=config.condition_dropout > 0,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        self.rngs = rngs.fork()

    def __call__(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Condition | None = None,
        label: Int[Array, "B"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """The network's prediction and what it is measured against, at a random time for each example.

        Args:
            x: data ``(B, ...)``.
            condition: classes ``(B,)``, or vectors, for a model that has conditions.
            label: what data sets call the classes: the condition of a class-conditional model that is given no other.
            rngs: stream ``sample`` draws times, noise and dropped conditions; the model's own by default.

        Returns:
            ``prediction`` and ``target`` ``(B, ...)``; ``weight`` ``(B,)``, of their squared distance.

        Raises:
            InvalidInputError: ``x`` or the condition does not fit the model.
        """
        x = self._checked(x)
        return self._predicted(x, self._given(condition, label, x.shape[0]), rngs)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B w mean |prediction - target|^2``.

        Returns:
            ``loss``.
        """
        del batch
        squared = jnp.square(outputs["prediction"] - outputs["target"])
        return {"loss": jnp.mean(outputs["weight"] * jnp.mean(jax.lax.collapse(squared, 1), axis=1))}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """The classes, in the array that serves as the condition; ``x`` within ``clip_x0``, which samplers keep to.

        See :class:`artifex.core.protocols.DeclaresValues`.
        """
        bound, classes = self.config.clip_x0, self.config.backbone.num_classes
        ranges: dict[str, ValueRange] = {} if bound is None else {"x": Interval(-bound, bound, slack=0.01 * bound)}
        return ranges if classes is None else {**ranges, "condition" if "condition" in batch else "label": range(classes)}

    def conditions_for(self, n_samples: int) -> np.ndarray | None:
        """What :meth:`generate` takes where it is given none: classes in turns, 0, 1, 2, ...; None where there are none."""
        return taking_turns(self.config.backbone, n_samples)

    def denoise(
        self, x: Float[Array, "B ..."], t: Float[Array, "B"] | float, *, condition: Condition | None = None
    ) -> Float[Array, "B ..."]:
        """``D(x_t, t) = E[x_0 | x_t]``.

        Args:
            x: ``(B, ...)``, noisy.
            t: times as the process counts them, one for each example or one for all.
            condition: of each example.

        Raises:
            InvalidInputError: ``x``, ``t`` or the condition does not fit.
        """
        x = checked(x, self.config.network_shape)
        return self._denoised(x, checked_times(t, x.shape[0]), self._given(condition, None, x.shape[0]))

    def generate(
        self,
        n_samples: int = 1,
        *,
        condition: Condition | None = None,
        guidance_scale: float | None = None,
        sampler: SamplerConfig | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n ..."]:
        """Noise, denoised step by step.

        Args:
            n_samples: how many.
            condition: one for each sample, or one for all. Without one, classes take turns: 0, 1, 2, ...; a model conditioned
                on vectors has to be given them.
            guidance_scale: ``g``; that of the config by default. 1 asks for the condition as it was learned, 0 for none, more
                for samples that show it more clearly and differ less.
            sampler: that of the config by default; any goes with any model.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: no number of samples, a condition that does not fit, guidance for a model whose conditions were
                never dropped, or a sampler that asks for levels which the process does not have.
            InvalidTypeError: the sampler is no sampler's config.
        """
        check_at_least(1, n_samples=n_samples)
        scale = checked_scale(self.config.guidance_scale if guidance_scale is None else guidance_scale)
        if scale is not None and self.config.backbone.condition_shape is None:
            raise InvalidInputError(f"guidance_scale is {scale}, but the model has no condition to guide to; leave it out")
        if scale is not None and not self.config.condition_dropout:
            raise InvalidInputError(_no_guidance(scale))
        if condition is None:
            condition = self.conditions_for(n_samples)
        given = checked_condition(condition, self.config.backbone, n_samples)
        return self._generate(n_samples, given, scale, sampler=checked_sampler(self, sampler), rngs=rngs)

    def sample(
        self,
        n_samples: int = 1,
        *,
        condition: Condition | None = None,
        guidance_scale: float | None = None,
        sampler: SamplerConfig | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n ..."]:
        """The same as :meth:`generate`."""
        return self.generate(n_samples, condition=condition, guidance_scale=guidance_scale, sampler=sampler, rngs=rngs)

    @compiled_method(static=("n_samples", "sampler"))
    def _generate(
        self, n_samples: int, given: Any, scale: Any, *, sampler: SamplerConfig, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n ..."]:
        return self._sampled(n_samples, self._denoiser(given, scale), sampler, rngs)

    def _sampled(self, n_samples: int, denoise: Denoiser, sampler: SamplerConfig, rngs: nnx.Rngs | None) -> Array:
        noise = jax.random.normal(draw_key(self, rngs), (n_samples, *self.config.network_shape))
        return create_sampler(sampler)(denoise, self.process.start_scale * noise, self.process, draw_key(self, rngs))

    def _denoiser(self, given: Array | None, scale: Any) -> Denoiser:
        """What a sampler calls: clipped, guided by ``scale`` where there is one."""

        def denoise(x: Array, t: Array) -> Array:
            if scale is None or given is None:
                return self._clipped(self._denoised(x, t, given))
            none = drop(given, jnp.ones(x.shape[:1], bool), self.config.backbone)
            both = self._denoised(jnp.concatenate([x, x]), t, jnp.concatenate([jnp.asarray(given), none]))
            with_condition, without = jnp.split(both, 2)
            guided = without + scale * (with_condition - without)
            return self._clipped(rescaled(guided, with_condition, self.config.guidance_rescale))

        return denoise

    def _clipped(self, x: Array) -> Array:
        bound = self.config.clip_x0
        return x if bound is None else jnp.clip(x, -bound, bound)

    def _predicted(self, x: Array, given: Array | None, rngs: nnx.Rngs | None) -> dict[str, Array]:
        t = self.process.training_times(draw_key(self, rngs), (x.shape[0],))
        noise = jax.random.normal(draw_key(self, rngs), x.shape, x.dtype)
        if given is not None and self.config.condition_dropout:
            which = jax.random.bernoulli(draw_key(self, rngs), self.config.condition_dropout, (x.shape[0],))
            given = drop(given, which, self.config.backbone)
        alpha, sigma = self.process.at(t)
        weight = jnp.ones_like(alpha)
        if self.config.min_snr_gamma is not None:
            out = self.parameterization.coefficients(alpha, sigma).out
            weight = min_snr_weight(alpha, sigma, out, self.config.min_snr_gamma)
        alpha, sigma = _like(x, alpha), _like(x, sigma)
        scale = self.parameterization.coefficients(alpha, sigma).scale
        prediction = self._network(scale * (alpha * x + sigma * noise), t, given)
        return {
            "prediction": prediction,
            "target": self.parameterization.target(x, noise, alpha, sigma),
            "weight": weight,
        }

    def _denoised(self, x: Array, t: Array | float, given: Array | None) -> Array:
        t = jnp.broadcast_to(jnp.asarray(t, jnp.float32), (x.shape[0],))
        alpha, sigma = (_like(x, level) for level in self.process.at(t))
        skip, out, scale = self.parameterization.coefficients(alpha, sigma)
        return skip * x + out * self._network(scale * x, t, given)

    def _network(self, x: Array, t: Array, given: Array | None) -> Array:
        """``F``, at least in float32 whatever the network computes in."""
        inner = x if self.config.dtype is None else x.astype(self.config.dtype)
        made = self.network(inner, self.process.label(t), None if given is None else jnp.asarray(given))
        return made.astype(x.dtype)

    def _given(self, condition: Condition | None, label: Array | None, n: int) -> Any:
        """The condition of ``n`` examples, checked."""
        if condition is None and self.config.backbone.num_classes is not None:
            condition = label
        return checked_condition(condition, self.config.backbone, n)

    def _checked(self, x: Array) -> Array:
        """A batch of examples, at least in float32, if it fits."""
        return checked(x, self.config.input_shape)


def rescaled(guided: Float[Array, "B ..."], plain: Float[Array, "B ..."], share: float) -> Float[Array, "B ..."]:
    """``(share std(plain) / std(guided) + 1 - share) guided`` (arXiv:2305.08891, equations 15 and 16); ``std`` of each example.

    Example:
        >>> rescaled(jnp.array([[4.0, -4.0]]), jnp.array([[1.0, -1.0]]), 0.5).tolist()
        [[2.5, -2.5]]
    """
    if not share:
        return guided
    spread, wanted = (jnp.std(x, axis=tuple(range(1, x.ndim)), keepdims=True) for x in (guided, plain))
    return (share * jnp.where(spread > 0, wanted / jnp.where(spread > 0, spread, 1), 1) + 1 - share) * guided


def _like(x: Array, level: Array) -> Array:
    """``(B,)`` with an axis of one for each of an example's, in the type of ``x``."""
    return level.astype(x.dtype).reshape(level.shape[0], *(1,) * (x.ndim - 1))


class DensityDiffusion(Diffusion):
    """A diffusion model of the data themselves: it has a score and, through its probability flow, a likelihood."""

    def score(
        self, x: Float[Array, "B ..."], *, t: Float[Array, "B"] | float | None = None, condition: Condition | None = None
    ) -> Float[Array, "B ..."]:
        """``grad log p_t(x) = (alpha D(x, t) - x) / sigma^2``.

        Args:
            x: ``(B, ...)``.
            t: times as the process counts them; by default that of the least noise, where the density is nearly the data's.
            condition: of each example.

        Raises:
            InvalidInputError: ``x``, ``t`` or the condition does not fit.
        """
        x = self._checked(x)
        t = float(self.process.at_ratio(np.zeros(1)).t[0]) if t is None else t
        return self._score(x, checked_times(t, x.shape[0]), self._given(condition, None, x.shape[0]))

    @compiled_method()
    def _score(self, x: Float[Array, "B ..."], times: Float[Array, "B"], given: Any) -> Float[Array, "B ..."]:
        alpha, sigma = (_like(x, level) for level in self.process.at(times))
        return (alpha * self._denoised(x, times, given) - x) / sigma**2

    def log_prob(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Condition | None = None,
        steps: int = 20,
        exact: bool | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "B"]:
        """``log p(x)`` of what the probability flow draws, nats (:mod:`artifex.diffusion.likelihood`).

        It is that of the denoiser itself: not bounded by ``clip_x0``, and not guided.

        Args:
            x: ``(B, ...)``.
            condition: of each example.
            steps: of order four, with four networks each, and their derivatives. 100 are exact to 1e-3 nat on a Gaussian in two
                dimensions; fewer are quicker and less exact.
            exact: take the whole trace, which costs a derivative for each element, or estimate it; None for exact up to
                64 elements.
            rngs: stream ``sample`` of an estimate; the model's own by default.

        Raises:
            InvalidInputError: ``x`` or the condition does not fit, or there are no steps.
        """
        from artifex.diffusion.likelihood import AT_ONCE

        x = self._checked(x)
        given = self._given(condition, None, x.shape[0])
        whole = math.prod(self.config.input_shape) <= AT_ONCE if exact is None else bool(exact)
        check_steps(steps)
        return self._log_prob(x, given, steps=steps, exact=whole, rngs=rngs)

    @compiled_method(static=("steps", "exact"))
    def _log_prob(
        self, x: Float[Array, "B ..."], given: Any, *, steps: int, exact: bool, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B"]:
        from artifex.diffusion.likelihood import probability_flow_log_prob
        from artifex.diffusion.sampling import log_levels

        key = None if exact else draw_key(self, rngs)
        return probability_flow_log_prob(
            lambda x, t: self._denoised(x, t, given),
            x,
            log_levels(self.process, steps),
            key=key,
        )
