r"""Denoising diffusion implicit models: a DDPM drawn in few steps, without fresh noise.

Song, Meng & Ermon 2020, "Denoising Diffusion Implicit Models" (arXiv:2010.02502):

    x_s = alpha_s D(x_t, t) + sqrt(sigma_s^2 - v) e(x_t, t) + sqrt(v) z                  equation 12, v = eta^2 of a DDPM's

Trained as a DDPM is (their theorem 1). With ``eta = 0`` noise and example are two ends of one map, so that examples can be
encoded as the noise they come from (section 4.3) and interpolated there.

Shapes: ``B = batch, ... = one example, T = steps of an interpolation``.
"""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method
from artifex.core.config import config
from artifex.core.errors import InvalidInputError
from artifex.diffusion import samplers
from artifex.diffusion.checks import check_config
from artifex.diffusion.conditions import Condition
from artifex.diffusion.diffusion import DensityDiffusion, DiffusionConfig
from artifex.diffusion.processes import check_steps, of_kind
from artifex.diffusion.sampling import DDIMSamplerConfig, SamplerField, log_levels
from artifex.diffusion.schedules import NoiseScheduleConfig

__all__ = ["DDIMConfig", "DDIMModel"]


@config
class DDIMConfig(DiffusionConfig):
    """A DDIM: 50 deterministic steps unless fields say otherwise.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> DDIMConfig(input_shape=(2,), backbone=MLPBackboneConfig()).sampler.steps
        50
    """

    noise_schedule: Annotated[NoiseScheduleConfig, of_kind("variance_preserving")] = NoiseScheduleConfig()
    """How the noise grows, and in how many steps."""
    sampler: SamplerField = DDIMSamplerConfig()
    """How samples are drawn: `ddpm`, `ddim`, `euler`, `heun`, `dpm_solver_pp_2m`, `edm`, `probability_flow`, or a dict."""


class DDIMModel(DensityDiffusion):
    """A denoising diffusion implicit model.

    Example:
        >>> from artifex.diffusion.mlp import MLPBackboneConfig
        >>> model = DDIMModel(DDIMConfig(input_shape=(2,), backbone=MLPBackboneConfig(hidden_dims=(16,))), rngs=nnx.Rngs(0))
        >>> model.interpolate(jnp.zeros((3, 2)), jnp.ones((3, 2)), n_steps=5).shape
        (3, 5, 2)
    """

    config: DDIMConfig

    def __init__(self, config: DDIMConfig, *, rngs: nnx.Rngs):
        check_config(self, config, DDIMConfig)
        super().__init__(config, rngs=rngs)

    def interpolate(
        self,
        x0: Float[Array, "B ..."],
        x1: Float[Array, "B ..."],
        n_steps: int = 8,
        *,
        condition: Condition | None = None,
        steps: int = 20,
    ) -> Float[Array, "B T ..."]:
        """Examples between two, drawn from noise between the noise that they come from (section 5.3).

        Along the great circle, on which noise keeps its length (Shoemake 1985). The ends are ``x0`` and ``x1`` again, but for
        the solver's error.

        Args:
            x0: ``(B, ...)``.
            x1: of the same shape.
            n_steps: examples on the way, both ends among them.
            condition: of each pair.
            steps: of the probability flow, of order four, there and back.

        Raises:
            InvalidInputError: the examples do not fit the model or each other, the condition does not fit, or a number is out
                of range.
        """
        check_at_least(2, n_steps=n_steps)
        check_steps(steps)
        x0, x1 = self._checked(x0), self._checked(x1)
        if x0.shape != x1.shape:
            raise InvalidInputError(f"x0 has shape {x0.shape} and x1 {x1.shape}; give an end for each beginning")
        return self._interpolated(x0, x1, self._given(condition, None, x0.shape[0]), n_steps=n_steps, steps=steps)

    @compiled_method(static=("n_steps", "steps"))
    def _interpolated(self, x0: Array, x1: Array, given: Any, *, n_steps: int, steps: int) -> Float[Array, "B T ..."]:
        levels = log_levels(self.process, steps)
        upwards = type(levels)(*(column[::-1] for column in levels))
        plain = self._denoiser(given, None)
        start, end = (samplers.probability_flow(plain, levels.alpha[-1] * x, upwards) for x in (x0, x1))
        between = great_circle(start, end, n_steps)  # (B, T, ...)
        repeated = None if given is None else jnp.repeat(jnp.asarray(given), n_steps, axis=0)
        flat = jax.lax.collapse(between, 0, 2)
        made = samplers.probability_flow(self._denoiser(repeated, None), flat, levels) / levels.alpha[-1]
        return made.reshape(between.shape)


def great_circle(a: Float[Array, "B ..."], b: Float[Array, "B ..."], n: int) -> Float[Array, "B n ..."]:
    """``(sin((1 - u) w) a + sin(u w) b) / sin w`` with ``w`` the angle between, ``u`` from 0 to 1; a line where they agree.

    Example:
        >>> halfway = great_circle(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]]), 3)[0, 1]
        >>> [round(float(value), 4) for value in halfway]
        [0.7071, 0.7071]
    """
    axes = tuple(range(1, a.ndim))
    norms = jnp.sqrt(jnp.sum(a**2, axes, keepdims=True) * jnp.sum(b**2, axes, keepdims=True))
    cosine = jnp.clip(jnp.sum(a * b, axes, keepdims=True) / jnp.maximum(norms, 1e-12), -1, 1)
    angle = jnp.arccos(jnp.clip(cosine, -1 + 1e-6, 1 - 1e-6))[:, None]  # (B, 1, ...)
    u = jnp.linspace(0.0, 1.0, n, dtype=a.dtype).reshape(1, n, *(1,) * (a.ndim - 1))
    return (jnp.sin((1 - u) * angle) * a[:, None] + jnp.sin(u * angle) * b[:, None]) / jnp.sin(angle)
