r"""Samplers: pure functions of a denoiser, from noise to an example, each one scan over the noise levels.

A denoiser ``D = denoise(x, t)`` gives the mean of ``x_0`` given ``x_t = alpha x_0 + sigma e``, and so the noise
``e = (x - alpha D) / sigma`` and the score ``-e / sigma``. Levels ``(t_i, alpha_i, sigma_i)`` go from noisy to clean; they are
NumPy arrays, so that every coefficient below is computed in float64 before anything is compiled.

    ddpm               draws from q(x_s | x_t, D)                       Ho et al. 2020, arXiv:2006.11239, algorithm 2
    ddim               alpha_s D + sqrt(sigma_s^2 - v) e + sqrt(v) z    Song et al. 2020, arXiv:2010.02502, equation 12
    euler, heun        dx/dr = e for x / alpha and r = sigma / alpha    Karras et al. 2022, arXiv:2206.00364, algorithm 1
    dpm_solver_pp_2m   a line in log(alpha / sigma) through the last two D    Lu et al. 2022, arXiv:2211.01095, algorithm 2
    edm_stochastic     heun, with noise added before each step          Karras et al. 2022, algorithm 2
    probability_flow   Runge-Kutta of order four in log r, likelihood included    Song et al. 2020, arXiv:2011.13456, appendix D

From one level to the next each of them makes ``x_s = a x_t + b D + c z`` of a denoised ``D`` (one, or a mixture of two) and
noise ``z``. Where next to no signal is left (``alpha < 1e-3``) the ratio ``r`` is huge or infinite; there ``heun`` averages the
slopes along the path itself, ``D`` over ``alpha`` and ``e`` over ``sigma``.

Shapes: ``B = batch, ... = one example, N = steps``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.diffusion.processes import Levels

__all__ = ["Denoiser", "ddim", "ddpm", "dpm_solver_pp_2m", "edm_stochastic", "euler", "heun", "probability_flow", "runge_kutta"]

Denoiser = Callable[[Array, Array], Array]
"""``denoise(x, t)`` of ``(B, ...)`` and a scalar: the mean of ``x_0``."""
LEAST_ALPHA = 1e-3
"""Signal below which steps in ``sigma / alpha`` would be too long."""
Noisy = Float[Array, "B ..."]


def ddpm(denoise: Denoiser, x: Noisy, levels: Levels, key: Array, *, variance: str = "small") -> Noisy:
    """``x_s ~ q(x_s | x_t, x_0 = D)``, a normal distribution (arXiv:2006.11239, equation 7): ancestral sampling.

    With ``k = alpha_t / alpha_s`` and ``w = sigma_t^2 - k^2 sigma_s^2`` its mean is
    ``(k sigma_s^2 x_t + alpha_s w D) / sigma_t^2``. Nothing is drawn at the last step.

    Args:
        denoise: the denoiser.
        x: ``(B, ...)``, at the first level.
        levels: ``N + 1`` of them, the last of which is where to go.
        key: of the noise.
        variance: ``small``, ``w sigma_s^2 / sigma_t^2``, or ``large``, ``w``: right for data that are one point, or standard
            normal ones.

    Returns:
        ``(B, ...)``, at the last level.

    Example:
        >>> from artifex.diffusion.processes import VarianceExploding, VarianceExplodingConfig
        >>> levels = VarianceExploding(VarianceExplodingConfig()).levels(5, None).to_the_end()
        >>> x = ddpm(lambda x, t: jnp.full_like(x, 0.7), jnp.full((1, 1), 80.0), levels, jax.random.key(0))  # one point
        >>> round(float(x[0, 0]), 4)
        0.7
    """
    (_, alpha_t, sigma_t), (_, alpha_s, sigma_s) = _pairs(levels)
    keep = alpha_t / alpha_s
    added = np.maximum(sigma_t**2 - keep**2 * sigma_s**2, 0)
    spread = np.sqrt(added) if variance == "large" else np.sqrt(added) * sigma_s / sigma_t
    spread[-1] = 0 if levels.sigma[-1] == 0 else spread[-1]
    return _linear_steps(denoise, x, levels, key, keep * sigma_s**2 / sigma_t**2, alpha_s * added / sigma_t**2, spread)


def ddim(denoise: Denoiser, x: Noisy, levels: Levels, key: Array | None = None, *, eta: float = 0.0) -> Noisy:
    """``x_s = alpha_s D + sqrt(sigma_s^2 - v) e + sqrt(v) z`` (arXiv:2010.02502, equations 12 and 16).

    ``v`` is ``eta^2`` times the variance that :func:`ddpm` draws with: with ``eta = 1`` they are the same, with 0 nothing is
    drawn, and it is a solver of order one, :func:`euler`.

    Args:
        denoise: the denoiser.
        x: ``(B, ...)``, at the first level.
        levels: ``N + 1`` of them.
        key: of the noise; needed where ``eta`` is not zero.
        eta: how much of the noise is drawn anew, 0 to 1.

    Returns:
        ``(B, ...)``, at the last level.

    Raises:
        InvalidInputError: ``eta`` is not zero, and there is no key.

    Example:
        >>> from artifex.diffusion.processes import VarianceExploding, VarianceExplodingConfig
        >>> levels = VarianceExploding(VarianceExplodingConfig()).levels(5, None).to_the_end()
        >>> x = ddim(lambda x, t: jnp.full_like(x, 0.7), jnp.full((1, 1), 80.0), levels)  # data are one point
        >>> round(float(x[0, 0]), 4)
        0.7
    """
    if eta and key is None:
        raise InvalidInputError(f"eta is {eta}, for which noise is drawn; give a key, or eta=0")
    (_, alpha_t, sigma_t), (_, alpha_s, sigma_s) = _pairs(levels)
    added = np.maximum(sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2, 0)
    spread = eta * np.sqrt(added) * sigma_s / sigma_t
    kept = np.sqrt(np.maximum(sigma_s**2 - spread**2, 0)) / sigma_t  # of x - alpha_t D, which is sigma_t e
    return _linear_steps(denoise, x, levels, key if eta else None, kept, alpha_s - kept * alpha_t, spread)


def euler(denoise: Denoiser, x: Noisy, levels: Levels) -> Noisy:
    """``x_s = x_t + (alpha_s - alpha_t) D + (sigma_s - sigma_t) e``: order one.

    In ``x / alpha`` and ``sigma / alpha`` it is Euler's method, and so it is in ``t`` on a straight path: the same numbers as
    :func:`ddim` without noise.
    """
    return ddim(denoise, x, levels)


def _linear_steps(
    denoise: Denoiser, x: Noisy, levels: Levels, key: Array | None, a: np.ndarray, b: np.ndarray, c: np.ndarray
) -> Noisy:
    """``x <- a x + b D + c z`` once for each of ``a``, ``b``, ``c``."""

    def step(x: Noisy, scanned: Any) -> tuple[Noisy, None]:
        i, t, a, b, c = scanned
        x_next = a * x + b * denoise(x, t)
        if key is not None:
            x_next += c * jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
        return x_next, None

    return jax.lax.scan(step, x, (jnp.arange(len(a)), *_arrays(x, levels.t[:-1], a, b, c)))[0]


def heun(denoise: Denoiser, x: Noisy, levels: Levels) -> Noisy:
    """Euler's step, corrected by the slope at its end (arXiv:2206.00364, algorithm 1): order two, ``2 N - 1`` denoised.

    Args:
        denoise: the denoiser.
        x: ``(B, ...)``, at the first level.
        levels: ``N + 1`` of them. A last one without noise is reached by Euler's step, for there is no slope at it.

    Returns:
        ``(B, ...)``, at the last level.

    Example:
        >>> from artifex.diffusion.processes import VarianceExploding, VarianceExplodingConfig
        >>> levels = VarianceExploding(VarianceExplodingConfig()).levels(40, None).to_the_end()
        >>> x = heun(lambda x, t: x / (1 + t**2), jnp.full((1, 1), 80.0), levels)  # data are standard normal
        >>> round(float(x[0, 0]), 1)
        1.0
    """
    return _second_order(denoise, x, levels, levels)


def edm_stochastic(
    denoise: Denoiser, x: Noisy, levels: Levels, raised: Levels, key: Array, *, noise_scale: float = 1.0
) -> Noisy:
    """:func:`heun` from a level that is raised by fresh noise before each step (arXiv:2206.00364, algorithm 2).

    Args:
        denoise: the denoiser.
        x: ``(B, ...)``, at the first level.
        levels: ``N + 1`` of them.
        raised: ``N``: the levels that each step starts from after noise was added; never cleaner than ``levels``.
        key: of the noise.
        noise_scale: ``S_noise``, standard deviation of what is added, in units of what the level asks for.

    Returns:
        ``(B, ...)``, at the last level.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        keep = np.where(levels.alpha[:-1] > 0, raised.alpha / levels.alpha[:-1], 1.0)
    added = noise_scale * np.sqrt(np.maximum(raised.sigma**2 - (keep * levels.sigma[:-1]) ** 2, 0))

    def raise_level(x: Noisy, i: Array, keep: Array, added: Array) -> Noisy:
        return keep * x + added * jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)

    return _second_order(denoise, x, levels, raised, raise_level, keep, added)


def _second_order(
    denoise: Denoiser,
    x: Noisy,
    levels: Levels,
    starts: Levels,
    before: Callable[..., Noisy] | None = None,
    keep: np.ndarray | float = 1.0,
    added: np.ndarray | float = 0.0,
) -> Noisy:
    """Heun's method from ``starts`` (after ``before``) to the levels behind: steps that predict and that correct take turns."""
    n = len(levels.t) - 1
    start, end = Levels(*(column[:n] for column in starts)), Levels(*(column[1:] for column in levels))
    signal = start.alpha > LEAST_ALPHA
    grow = end.alpha / np.where(signal, start.alpha, 1)
    # the slope is e, over sigma / alpha; or D over alpha and e over sigma, along the path
    a, b = np.where(signal, grow, 1), np.where(signal, 0, end.alpha - start.alpha)
    c = end.sigma - start.sigma * np.where(signal, grow, 1)
    zeros, ones = np.zeros(n), np.ones(n)
    predicting = (*start, keep * ones, added * ones, zeros, end.alpha, end.sigma, zeros)
    correcting = (*end, ones, zeros, a, b / 2, c / 2, ones)
    columns = [np.stack(pair, axis=1).ravel() for pair in zip(predicting, correcting, strict=True)]
    total = 2 * n - int(end.sigma[-1] == 0)

    def step(state: tuple[Noisy, ...], scanned: Any) -> tuple[tuple[Noisy, ...], None]:
        x, x_start, denoised_start, noise_start = state
        i, t, alpha, sigma, keep, added, a, b, c, both = scanned
        x = x if before is None else before(x, i, keep, added)
        denoised = denoise(x, t)
        noise = (x - alpha * denoised) / sigma
        x_next = a * x_start + b * (denoised + both * denoised_start) + c * (noise + both * noise_start)
        return (x_next, x, denoised, noise), None

    scanned = (jnp.arange(total), *_arrays(x, *(column[:total] for column in columns)))
    return jax.lax.scan(step, (x, *(jnp.zeros_like(x) for _ in range(3))), scanned)[0][0]


def dpm_solver_pp_2m(denoise: Denoiser, x: Noisy, levels: Levels) -> Noisy:
    """``x_s = sigma_s / sigma_t x_t + (alpha_s - alpha_t sigma_s / sigma_t) D``, ``D`` drawn on from the last two denoised.

    ``D = (1 + 1 / 2r) D_t - 1 / 2r D_before`` with ``r`` the last step's length in ``log(alpha / sigma)`` over this one's:
    order two at one denoised a step (arXiv:2211.01095, algorithm 2). The first step, and one that arrives where no noise is
    left, are of order one.

    Args:
        denoise: the denoiser.
        x: ``(B, ...)``, at the first level.
        levels: ``N + 1`` of them.

    Returns:
        ``(B, ...)``, at the last level.

    Example:
        >>> from artifex.diffusion.processes import VarianceExploding, VarianceExplodingConfig
        >>> levels = VarianceExploding(VarianceExplodingConfig()).levels(5, None).to_the_end()
        >>> x = dpm_solver_pp_2m(lambda x, t: jnp.full_like(x, 0.7), jnp.full((1, 1), 80.0), levels)  # data are one point
        >>> round(float(x[0, 0]), 4)
        0.7
    """
    (_, alpha_t, sigma_t), (_, alpha_s, sigma_s) = _pairs(levels)
    with np.errstate(divide="ignore"):
        length = np.diff(np.log(levels.alpha) - np.log(levels.sigma))
    more = np.zeros(len(length))  # 1 / 2r
    more[1:] = np.where(np.isfinite(length[1:]) & np.isfinite(length[:-1]), length[1:] / (2 * length[:-1]), 0)
    a = sigma_s / sigma_t

    def step(state: tuple[Noisy, Noisy], scanned: Any) -> tuple[tuple[Noisy, Noisy], None]:
        x, denoised_before = state
        t, a, b, more = scanned
        denoised = denoise(x, t)
        return (a * x + b * (denoised + more * (denoised - denoised_before)), denoised), None

    columns = _arrays(x, levels.t[:-1], a, alpha_s - alpha_t * a, more)
    return jax.lax.scan(step, (x, jnp.zeros_like(x)), columns)[0][0]


def probability_flow(denoise: Denoiser, x: Noisy, levels: Levels) -> Noisy:
    """``d(x / alpha) / dl = x / alpha - D`` in ``l = log(sigma / alpha)``, by Runge-Kutta steps of order four.

    Song et al. 2020 (arXiv:2011.13456), equation 13. Forwards and backwards it is the same map but for the
    steps' error, and what it maps keeps its likelihood (:mod:`artifex.diffusion.likelihood`).

    Args:
        denoise: the denoiser.
        x: ``(B, ...)``, at the first level.
        levels: ``2 N + 1`` of them in equal steps of ``l``: each second one is the middle of a step.

    Returns:
        ``(B, ...)``, at the last level.

    Example:
        >>> from artifex.diffusion.processes import VarianceExploding, VarianceExplodingConfig
        >>> levels = VarianceExploding(VarianceExplodingConfig()).levels(41, "log_ratio")
        >>> x = probability_flow(lambda x, t: x / (1 + t**2), jnp.full((1, 1), 80.0), levels)  # data are standard normal
        >>> round(float(x[0, 0]), 2)
        1.0
    """

    def velocity(x: Noisy, level: tuple[Array, Array]) -> Noisy:
        t, alpha = level
        return x - denoise(alpha * x, t)

    return levels.alpha[-1] * runge_kutta(velocity, x / levels.alpha[0], levels)


def runge_kutta(velocity: Callable[[Any, tuple[Array, Array]], Any], state: Any, levels: Levels) -> Any:
    """Steps of order four of ``d(state)/dl = velocity(state, (t, alpha))`` over all levels, two at a time.

    Raises:
        InvalidInputError: the number of levels is even, or their steps are not equal.
    """
    log_ratio = np.log(levels.ratio)
    length = (log_ratio[-1] - log_ratio[0]) / ((len(log_ratio) - 1) // 2)
    if len(log_ratio) % 2 == 0 or not np.allclose(np.diff(log_ratio), length / 2, rtol=1e-3):
        raise InvalidInputError(
            "the probability flow takes 2 N + 1 levels in equal steps of log(sigma / alpha), such as "
            f"process.levels(2 * n + 1, 'log_ratio'); got {len(log_ratio)} from {log_ratio[0]:.3g} to {log_ratio[-1]:.3g}"
        )

    def step(carried: tuple[Any, Any, Any], scanned: Any) -> tuple[tuple[Any, Any, Any], None]:
        state, slope, total = carried
        t, alpha, reach, weight, done = scanned
        slope = velocity(_added(state, reach, slope), (t, alpha))
        total = _added(total, weight, slope)
        state = _added(state, done, total)
        return (state, slope, jax.tree.map(lambda a: (1 - jnp.sign(jnp.abs(done))) * a, total)), None

    n = (len(log_ratio) - 1) // 2
    stages = [np.stack((column[:-2:2], column[1:-1:2], column[1:-1:2], column[2::2]), axis=1) for column in levels[:2]]
    constants = ((0, length / 2, length / 2, length), (1 / 6, 1 / 3, 1 / 3, 1 / 6), (0, 0, 0, length))
    columns = [stage.ravel() for stage in stages] + [np.tile(constant, n) for constant in constants]
    zeros = jax.tree.map(jnp.zeros_like, state)
    return jax.lax.scan(step, (state, zeros, zeros), tuple(jnp.asarray(column, jnp.float32) for column in columns))[0][0]


def _added(state: Any, factor: Array, change: Any) -> Any:
    return jax.tree.map(lambda a, b: a + factor * b, state, change)


def _pairs(levels: Levels) -> tuple[Levels, Levels]:
    """The levels that steps start from, and those that they lead to."""
    return Levels(*(column[:-1] for column in levels)), Levels(*(column[1:] for column in levels))


def _arrays(x: Noisy, *columns: np.ndarray) -> tuple[Array, ...]:
    """Coefficients in the type of what they multiply."""
    return tuple(jnp.asarray(column, x.dtype) for column in columns)
