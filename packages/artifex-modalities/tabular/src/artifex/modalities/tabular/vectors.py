"""Rows of a table as vectors that a model can learn, and back; every function is pure and runs inside the compiled step.

Shapes: ``B`` rows, ``C`` columns, ``D`` elements of a vector, ``M`` Gaussians, ``K`` levels, ``Q`` quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular.config import TableColumnConfig, TabularModalityConfig

__all__ = ["from_normal_scores", "from_vectors", "learnt", "mode_parts", "to_normal_scores", "to_vectors", "width"]

MODE_WIDTH = 4.0
"""Standard deviations of a Gaussian that its element of -1 to 1 spans, as in CTGAN."""


def to_normal_scores(position: Float[Array, "B"], knots: Float[np.ndarray, "Q"]) -> Float[Array, "B"]:
    """Quantile transform ``z = Phi^-1(F(v))``, with F read off the knots at the levels ``(i + 1/2) / Q``.

    What is tied in the knots is given the middle of its levels. Outside the knots F stays at its ends.

    >>> [round(float(z), 4) for z in to_normal_scores(jnp.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 1.0]))]
    [-0.9674, 0.0, 0.9674]
    """
    levels, own = jnp.asarray(_even_levels(len(knots))), jnp.asarray(knots, jnp.float32)
    first, after = (jnp.searchsorted(own, position, side=side) for side in ("left", "right"))
    before = jnp.clip(first - 1, 0, len(own) - 2)
    gap = own[before + 1] - own[before]
    share = jnp.clip((position - own[before]) / jnp.where(gap > 0, gap, 1.0), 0.0, 1.0)
    between = levels[before] + share * (levels[before + 1] - levels[before])
    last = len(own) - 1
    tied = (levels[jnp.minimum(first, last)] + levels[jnp.clip(after - 1, 0, last)]) / 2
    return ndtri(jnp.where(after > first, tied, between))


def from_normal_scores(z: Float[Array, "B"], knots: Float[np.ndarray, "Q"]) -> Float[Array, "B"]:
    """Undoes :func:`to_normal_scores`: ``v = F^-1(Phi(z))``, within the range of the knots."""
    return jnp.interp(ndtr(z), _even_levels(len(knots)), np.asarray(knots, np.float32))


def _even_levels(n: int) -> np.ndarray:
    return ((np.arange(n) + 0.5) / n).astype(np.float32)


def mode_parts(
    position: Float[Array, "B"], column: TableColumnConfig, key: Array | None
) -> tuple[Float[Array, "B"], Float[Array, "B M"]]:
    """Mode-specific normalisation: the place in one Gaussian of the mixture, ``(v - mu_k) / (4 sigma_k)``, and which, one-hot.

    L. Xu, M. Skoularidou, A. Cuesta-Infante, K. Veeramachaneni 2019, "Modeling tabular data using conditional GAN"
    (arXiv:1907.00503), section 4.2.

    Args:
        position: positions.
        column: with its ``mode_weights``, ``mode_means`` and ``mode_stds``.
        key: of the draw of k from the posterior; without one, the likeliest k is taken.
    """
    weights, means, stds = (np.asarray(v, np.float32) for v in (column.mode_weights, column.mode_means, column.mode_stds))
    scaled = (position[:, None] - means[None, :]) / stds[None, :]
    logits = jnp.log(weights / stds)[None, :] - scaled**2 / 2
    mode = jnp.argmax(logits, axis=-1) if key is None else jax.random.categorical(key, logits)
    chosen = jax.nn.one_hot(mode, len(means), dtype=jnp.float32)
    place = jnp.sum(scaled * chosen, axis=-1) / MODE_WIDTH
    return jnp.clip(place, -1.0, 1.0), chosen


def _from_modes(place: Float[Array, "B"], chosen: Float[Array, "B M"], column: TableColumnConfig) -> Float[Array, "B"]:
    mode = jnp.argmax(chosen, axis=-1)
    means, stds = (jnp.asarray(values, jnp.float32)[mode] for values in (column.mode_means, column.mode_stds))
    return means + jnp.clip(place, -1.0, 1.0) * MODE_WIDTH * stds


def _is_number(column: TableColumnConfig, config: TabularModalityConfig) -> bool:
    """Whether the column has an element of its own among the numbers."""
    return column.is_number or (column.variant == "ordinal" and config.ordinal == "number")


def _choices(column: TableColumnConfig, config: TabularModalityConfig) -> int:
    """Levels to choose from, that of what is missing included; of a numerical column in modes, its Gaussians; else 0."""
    if column.is_number:
        return len(column.mode_means) if config.numerical == "modes" else 0
    return 0 if _is_number(column, config) else column.n_levels + column.missing


def width(config: TabularModalityConfig) -> int:
    """Elements of a row's vector: D.

    >>> smokes = TableColumnConfig(column="smokes", variant="binary", dtype="bool", levels=(False, True))
    >>> width(TabularModalityConfig(columns=(smokes,)))
    1
    """
    numbers = [column for column in config.columns if _is_number(column, config)]
    choices = (_choices(column, config) for column in config.columns)
    return len(numbers) + sum(column.missing for column in numbers) + sum(1 if n == 2 else n for n in choices)


def to_vectors(values: Float[Array, "B C"], config: TabularModalityConfig, key: Array | None = None) -> Float[Array, "B D"]:
    """Vectors of rows, laid out as :class:`TabularModalityConfig` says.

    Args:
        values: positions, numbers of levels, NaN for what is missing.
        config: with its columns.
        key: of noise, and of the choice among Gaussians; without one the likeliest Gaussian is taken.

    Raises:
        InvalidInputError: ``dequantize`` asks for noise, and there is no key.
    """
    if config.dequantize and key is None:
        raise InvalidInputError("dequantize draws noise: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    numbers, missing, choices = [], [], []
    for i, column in enumerate(config.columns):
        own = None if key is None else jax.random.fold_in(key, i)
        value, gap = values[:, i], jnp.isnan(values[:, i])
        if not _is_number(column, config):
            code = jnp.where(gap, column.n_levels, value).astype(jnp.int32)
            choices.append(_one_of(code, _choices(column, config)))
            continue
        number, chosen = _number(jnp.where(gap, 0.0, value), column, config, own)
        numbers.append(jnp.where(gap, 0.0, number))
        if chosen is not None:
            choices.append(_signs(jnp.where(gap[:, None], 0.0, chosen)))
        if column.missing:
            missing.append(jnp.where(gap, 1.0, -1.0))
    discrete = [*(gap[:, None] for gap in missing), *choices]
    if config.dequantize and discrete and key is not None:
        flags, noise = jnp.concatenate(discrete, axis=1), jax.random.fold_in(key, len(config.columns))
        discrete = [flags + jax.random.uniform(noise, flags.shape, minval=-1.0, maxval=1.0)]
    return jnp.concatenate([*(number[:, None] for number in numbers), *discrete], axis=1).astype(jnp.float32)


FINEST = 1e-5
"""Half a step, as a difference of positions, below which values are as good as continuous in float32."""


def _number(
    value: Array, column: TableColumnConfig, config: TabularModalityConfig, key: Array | None
) -> tuple[Array, Array | None]:
    """The element of a number, and its Gaussian where there are several."""
    if config.dequantize and key is not None and (half := _half_step(column)):
        key, noise = jax.random.split(key)
        value = value + jax.random.uniform(noise, value.shape, minval=-half, maxval=half)
    if not column.is_number:
        return (2 * value + 1) / column.n_levels - 1, None
    if config.numerical == "quantile":
        return to_normal_scores(value, np.asarray(column.knots)), None
    if config.numerical == "modes":
        return mode_parts(value, column, key)
    return (value - column.mean) / column.std, None


def _half_step(column: TableColumnConfig) -> float:
    """Half the distance between neighbouring values, as a difference of positions; 0 where they are continuous."""
    if not column.is_number:
        return 0.5
    step = column.step or (0 if column.decimals is None else 10.0**-column.decimals)
    half = 0.5 * step / float(column.high - column.low) if column.high > column.low else 0.0
    return half if half > FINEST else 0.0


def _one_of(code: Array, n: int) -> Array:
    """-1 but for a 1 at ``code``; of two levels, one element: -1 for the first and 1 for the second."""
    return jnp.where(code == 1, 1.0, -1.0)[:, None] if n == 2 else _signs(jax.nn.one_hot(code, n))


def _signs(chosen: Array) -> Array:
    """-1 and 1 for 0 and 1; two elements become the second of them."""
    signs = 2.0 * chosen - 1.0
    return signs[:, 1:] if chosen.shape[1] == 2 else signs


def _both(signs: Array, n: int) -> Array:
    """Undoes what :func:`_signs` does to two elements."""
    return jnp.concatenate([-signs, signs], axis=1) if n == 2 else signs


def from_vectors(x: Float[Array, "B D"], config: TabularModalityConfig) -> Float[Array, "B C"]:
    """Positions, numbers of levels and NaN for what is missing, of vectors in model space: undoes :func:`to_vectors`."""
    columns = config.columns
    numbers = [i for i, column in enumerate(columns) if _is_number(column, config)]
    gaps = [i for i in numbers if columns[i].missing]
    places = {i: x[:, n] for n, i in enumerate(numbers)}
    missing = {i: x[:, len(numbers) + n] > 0 for n, i in enumerate(gaps)}
    chosen, at = {}, len(numbers) + len(gaps)
    for i, column in enumerate(columns):
        if n := _choices(column, config):
            wide = 1 if n == 2 else n
            chosen[i], at = _both(x[:, at : at + wide], n), at + wide
    restored = [_value(i, column, places, missing, chosen, config) for i, column in enumerate(columns)]
    return jnp.stack(restored, axis=1).astype(jnp.float32)


def _value(
    i: int, column: TableColumnConfig, places: dict, missing: dict, chosen: dict, config: TabularModalityConfig
) -> Array:
    if i not in places:
        code = jnp.argmax(chosen[i], axis=1)
        return jnp.where(code == column.n_levels, jnp.nan, code)
    value = _from_number(places[i], column, chosen.get(i), config)
    return jnp.where(missing[i], jnp.nan, value) if i in missing else value


def _from_number(number: Array, column: TableColumnConfig, chosen: Array | None, config: TabularModalityConfig) -> Array:
    if not column.is_number:
        return jnp.clip(jnp.floor((number + 1) / 2 * column.n_levels), 0, column.n_levels - 1)
    if config.numerical == "quantile":
        return from_normal_scores(number, np.asarray(column.knots))
    if chosen is not None:
        return _from_modes(number, chosen, column)
    return number * column.std + column.mean


def learnt(values: np.ndarray, columns: Sequence[TableColumnConfig], config: TabularModalityConfig) -> tuple:
    """The columns with what is learnt of their training rows, ``(N, C)``, for the representation that ``config`` names."""
    return tuple(
        column.replace(**_learnt(values[:, i][~np.isnan(values[:, i])].astype(np.float64), column, config))
        if column.is_number
        else column
        for i, column in enumerate(columns)
    )


def _learnt(there: np.ndarray, column: TableColumnConfig, config: TabularModalityConfig) -> dict[str, object]:
    if config.numerical == "standard":
        std = float(there.std()) if len(there) else 0.0
        return {"mean": float(there.mean()), "std": std if std > 0 else 1.0} if len(there) else {}
    if config.numerical == "quantile":
        levels = np.linspace(0, 1, min(config.n_quantiles, max(len(there), 2)))
        there = _spread(there, _half_step(column)) if config.dequantize else there
        return {"knots": tuple(np.quantile(there, levels).astype(np.float32).tolist()) if len(there) else (0.0, 1.0)}
    return _mixture(there, config) if len(there) else {"mode_weights": (1.0,), "mode_means": (0.5,), "mode_stds": (1.0,)}


def _spread(there: np.ndarray, half: float) -> np.ndarray:
    """Values in order, those that are tied spread evenly over their step, as noise does on average."""
    values, counts = np.unique(there, return_counts=True)
    place = np.concatenate([(2 * np.arange(n) + 1) / n - 1 for n in counts]) if len(counts) else np.zeros(0)
    return np.repeat(values, counts) + half * place


MOST_FITTED = 20_000
"""Rows that a mixture is fitted to at most."""
LEAST_WEIGHT = 0.005
LEAST_STD = 1e-4


def _mixture(there: np.ndarray, config: TabularModalityConfig) -> dict[str, object]:
    """A variational Gaussian mixture, which empties the components that are not needed."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    rows = there[:: max(1, len(there) // MOST_FITTED)]
    n = min(config.n_modes, len(np.unique(rows)))
    mixture = BayesianGaussianMixture(
        n_components=n,
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=1e-3,
        random_state=config.modes_seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the mixture found so far serves as well
        mixture.fit(np.column_stack([rows]))
    kept = mixture.weights_ > min(LEAST_WEIGHT, 0.5 / n)
    weights = mixture.weights_[kept] / mixture.weights_[kept].sum()
    stds = np.maximum(np.sqrt(mixture.covariances_[kept, 0, 0]), LEAST_STD)
    return {
        "mode_weights": tuple(weights.tolist()),
        "mode_means": tuple(mixture.means_[kept, 0].tolist()),
        "mode_stds": tuple(stds.tolist()),
    }
