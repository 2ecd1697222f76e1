r"""Guided diffusion: samples that show their condition more clearly than the data do.

Ho & Salimans 2022, "Classifier-Free Diffusion Guidance" (arXiv:2207.12598), equation 6, and Dhariwal & Nichol 2021, "Diffusion
Models Beat GANs on Image Synthesis" (arXiv:2105.05233), algorithm 2, both said of the denoised example:

    D <- D(x_t) + g (D(x_t, c) - D(x_t))                               one network, whose condition is dropped now and then
    D <- D + s sigma^2 / alpha grad log p(c | x_t)                     a classifier of noisy examples

The first is at hand in every model with a conditional backbone and ``condition_dropout``; here it is the default. The second
needs a classifier, which may be any module or function, trained on noisy examples at all times.

Shapes: ``B = batch, ... = one example, n = samples``.
"""

from __future__ import annotations

import math
import sys
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least, check_number
from artifex.core.compilation import compiled_method
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.diffusion.checks import check_config, checked_sampler
from artifex.diffusion.conditions import Condition
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.parameterizations import ParameterizationField, VConfig
from artifex.diffusion.samplers import Denoiser
from artifex.diffusion.sampling import DPMSolverSamplerConfig, SamplerConfig, SamplerField

__all__ = ["GuidedDiffusionConfig", "GuidedDiffusionModel"]

LEAST_ALPHA = 1e-3
"""Signal from which a classifier is heeded: with none it has nothing to see."""


@config
class GuidedDiffusionConfig(DiffusionConfig):
    """A conditional model whose conditions are dropped in training, and whose samples are guided.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> made = GuidedDiffusionConfig(input_shape=(2,), backbone=MLPBackboneConfig(num_classes=3))
        >>> made.condition_dropout, made.guidance_scale
        (0.1, 2.0)
    """

    parameterization: ParameterizationField = VConfig()
    """What the network predicts: `epsilon`, `x0`, `v`, `velocity`, `edm`, or a dict of its `kind` and fields."""
    sampler: SamplerField = DPMSolverSamplerConfig(steps=25)
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""
    condition_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Probability that an example loses its condition in training; 0 leaves guidance to a classifier."""
    guidance_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = 2.0
    """``g`` of samples that are asked for no other; None for none, which is the same as 1."""

    def __post_init__(self) -> None:
        if self.backbone.condition_shape is None:
            raise ValueError(
                f"guided diffusion is conditional, but the backbone {type(self.backbone).__name__} has no condition; give it "
                "num_classes, or use another model"
            )
        DiffusionConfig.__post_init__(self)


class GuidedDiffusionModel(DensityDiffusion):
    """A conditional model with guidance, by itself or by a classifier.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> config = GuidedDiffusionConfig(input_shape=(2,), backbone=MLPBackboneConfig(hidden_dims=(16,), num_classes=3))
        >>> model = GuidedDiffusionModel(config, rngs=nnx.Rngs(0))
        >>> model.generate(4, condition=2, guidance_scale=3.0).shape
        (4, 2)
    """

    config: GuidedDiffusionConfig

    def __init__(self, config: GuidedDiffusionConfig, *, rngs: nnx.Rngs):
        check_config(self, config, GuidedDiffusionConfig)
        super().__init__(config, rngs=rngs)

    def classifier_guided(
        self,
        n_samples: int,
        classifier: Any,
        *,
        condition: Condition,
        classifier_scale: float = 1.0,
        sampler: SamplerConfig | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n ..."]:
        """Samples that a classifier leads to their class (arXiv:2105.05233, algorithm 2), by the conditional denoiser.

        Args:
            n_samples: how many.
            classifier: ``classifier(x_t, t)`` gives logits or log probabilities ``(n, classes)``, times as the process counts
                them: a module, or a function of JAX.
            condition: the class of each sample, or one for all.
            classifier_scale: ``s``, finite.
            sampler: that of the config by default.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: the model's conditions are no classes, the classifier has others, or the scale is not finite.
            InvalidTypeError: the classifier cannot be called, or the sampler is no sampler's config.
        """
        check_at_least(1, n_samples=n_samples)
        if self.config.backbone.num_classes is None:
            raise InvalidInputError("a classifier leads to classes, but the model's backbone has no num_classes")
        if not callable(classifier):
            raise InvalidTypeError(f"classifier is called as classifier(x, t), got {type(classifier).__name__}")
        check_number("classifier_scale", classifier_scale, "a finite number", above=-math.inf, most=sys.float_info.max)
        given = self._given(condition, None, n_samples)
        graph, state = nnx.split(_evaluating(classifier)) if isinstance(classifier, nnx.Module) else (classifier, None)
        return self._led(
            n_samples, given, nnx.as_pure(state) if state is not None else None, classifier_scale,
            graph=graph, sampler=checked_sampler(self, sampler), rngs=rngs,
        )  # fmt: skip

    @compiled_method(static=("n_samples", "graph", "sampler"))
    def _led(
        self,
        n_samples: int,
        given: Any,
        state: Any,
        scale: Any,
        *,
        graph: Any,
        sampler: SamplerConfig,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n ..."]:
        classifier = graph if state is None else nnx.merge(graph, state)
        return self._sampled(n_samples, self._led_denoiser(given, classifier, scale), sampler, rngs)

    def _led_denoiser(self, given: Array, classifier: Any, scale: Any) -> Denoiser:
        plain = self._denoiser(given, None)

        def denoise(x: Array, t: Array) -> Array:
            times = jnp.broadcast_to(t, (x.shape[0],))
            alpha, sigma = self.process.at(times)

            def log_probability(x: Array) -> Array:
                rows = jax.nn.log_softmax(_checked_logits(classifier(x, times), x.shape[0], self.config.backbone.num_classes))
                return jnp.sum(jnp.take_along_axis(rows, jnp.asarray(given)[:, None], axis=1))

            factor = jnp.where(alpha > LEAST_ALPHA, scale * sigma**2 / jnp.maximum(alpha, LEAST_ALPHA), 0.0)
            slope = jax.grad(log_probability)(x)
            return self._clipped(plain(x, t) + factor.reshape(x.shape[0], *(1,) * (x.ndim - 1)) * slope)

        return denoise


def _evaluating(classifier: nnx.Module) -> nnx.Module:
    """Without dropout, and with the statistics that batch norm has kept: nothing of it changes along a chain."""
    return nnx.view(classifier, deterministic=True, use_running_average=True, raise_if_not_found=False)


def _checked_logits(logits: Any, n: int, num_classes: int | None) -> Float[Array, "n K"]:
    if jnp.shape(logits) != (n, num_classes):
        raise InvalidInputError(
            f"the classifier gives {jnp.shape(logits)} for {n} examples, expected ({n}, {num_classes}): a logit for each class "
            "of the model"
        )
    return logits
