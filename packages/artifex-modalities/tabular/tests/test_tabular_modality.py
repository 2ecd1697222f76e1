"""Rows as vectors: against scikit-learn's transformers, round trips in every form, and what is refused."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import nnx
from sklearn.preprocessing import StandardScaler

from artifex.core import protocols
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError, RunWarning
from artifex.modalities.tabular import TableRow, TabularModality, TabularModalityConfig
from artifex.modalities.tabular.datasets import FrameTable, MixedTable, MixedTableConfig
from artifex.modalities.tabular.vectors import from_normal_scores, mode_parts, to_normal_scores

FORMS = [
    {"numerical": numerical, "dequantize": dequantize, "ordinal": ordinal}
    for numerical in ("standard", "quantile", "modes")
    for dequantize in (False, True)
    for ordinal in ("number", "levels")
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return MixedTable(MixedTableConfig(n_train=300)).table("train")


def test_follows_the_protocols(table) -> None:
    modality = TabularModality.fit(table)
    for protocol in ("ModalityProtocol", "FitsData", "Restores", "HasHostForm", "ChecksData"):
        assert isinstance(modality, getattr(protocols, protocol))
    assert TabularModality() == TabularModality(TabularModalityConfig()) == TabularModality(None)  # pyright: ignore


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values())))
def test_round_trips_in_every_form(form: dict, table: pd.DataFrame) -> None:
    modality = TabularModality.fit(table, TabularModalityConfig(**form))

    @jax.jit
    def prepare(x, key):
        return modality.prepare({"x": x}, rngs=nnx.Rngs(key), train=True)["x"]

    x = prepare(modality.encode(table), jax.random.key(0))
    assert x.shape == (300, *modality.shape)
    assert x.dtype == jnp.float32
    back = modality.to_frame(x)
    assert (back.dtypes == table.dtypes).all()
    for name in ("education", "region", "member", "age", "joined"):
        assert back[name].equals(table[name]), name
    for name in ("income", "spending", "savings", "turnover"):
        there = table[name].notna()
        assert (back[name].notna() == there).all()
        # float32 keeps 1e-6 of the range through the transform; noise of a cent may fall to the neighbouring one
        np.testing.assert_allclose(back[name][there], table[name][there], atol=0.011 + 3e-6 * table[name].max())


def test_standard_numbers_are_scikit_learns(table) -> None:
    numbers = table[["age", "spending"]]
    modality = TabularModality.fit(numbers)
    x = modality.prepare({"x": modality.encode(numbers)}, train=False)["x"]
    np.testing.assert_allclose(x, StandardScaler().fit_transform(numbers), atol=2e-5)  # float32 positions in units of their std


def test_normal_scores_are_the_ranks(table) -> None:
    from scipy.stats import norm, rankdata

    values = np.random.default_rng(0).gamma(2.0, size=501)
    knots = np.sort(values).astype(np.float32)
    z = to_normal_scores(jnp.asarray(values, jnp.float32), knots)
    expected = norm.ppf((rankdata(values) - 0.5) / 501)
    np.testing.assert_allclose(z, expected, atol=1e-4)  # the inverse of the normal distribution in float32, at its tails
    np.testing.assert_allclose(from_normal_scores(z, knots), values, atol=1e-4)


def test_ties_are_given_the_middle_of_their_levels_and_come_back() -> None:
    knots = np.array([0, 0, 0, 1, 1, 3, 4, 4, 4, 4], np.float32)
    z = to_normal_scores(jnp.array([0.0, 1.0, 4.0]), knots)
    from scipy.stats import norm

    np.testing.assert_allclose(z, norm.ppf([0.15, 0.4, 0.8]), atol=1e-5)
    np.testing.assert_allclose(from_normal_scores(z, knots), [0.0, 1.0, 4.0], atol=1e-6)


def test_gaussians_are_chosen_by_their_posterior_probability() -> None:
    """Against scikit-learn's own mixture: the likeliest component, and the frequencies of those that are drawn."""
    from sklearn.mixture import GaussianMixture

    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 600), rng.normal(3, 0.5, 400)])
    modality = TabularModality.fit(pd.DataFrame({"a": values}), TabularModalityConfig(numerical="modes", n_modes=4))
    column = modality.columns[0]
    oracle = GaussianMixture(len(column.mode_means))
    oracle.weights_, oracle.means_ = np.array(column.mode_weights), np.array(column.mode_means)[:, None]
    oracle.covariances_ = np.array(column.mode_stds)[:, None, None] ** 2
    oracle.precisions_cholesky_ = 1 / np.array(column.mode_stds)[:, None, None]
    positions = jnp.asarray(modality.encode(pd.DataFrame({"a": values}))[:, 0])
    _, likeliest = mode_parts(positions, column, None)
    assert (np.argmax(likeliest, axis=1) == oracle.predict(np.asarray(positions, np.float64)[:, None])).mean() > 0.998
    places, drawn = mode_parts(jnp.full(4000, positions[7]), column, jax.random.key(0))
    expected = oracle.predict_proba(np.asarray(positions[7:8], np.float64)[:, None])[0]
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=5 * 0.5 / np.sqrt(4000))  # five standard errors at most
    assert np.abs(places).max() <= 1


def test_no_noise_without_being_asked(table) -> None:
    modality = TabularModality.fit(table)
    rows = modality.encode(table)
    one, other = (modality.prepare({"x": rows}, rngs=nnx.Rngs(seed), train=True)["x"] for seed in (0, 1))
    np.testing.assert_array_equal(one, other)
    noisy = TabularModality.fit(table, TabularModalityConfig(dequantize=True))
    one, other = (noisy.prepare({"x": rows}, rngs=nnx.Rngs(seed), train=False)["x"] for seed in (0, 1))
    levels = np.asarray(one[:, -4:])  # region
    assert (one != other).any(axis=0).all() or (one != other).mean() > 0.5
    assert np.abs(levels).max() <= 2
    assert 0.9 < np.std(levels - np.sign(levels)) * np.sqrt(3) < 1.1  # uniform on a width of 2


def test_learns_from_the_training_split_alone_and_only_once() -> None:
    data = FrameTable(
        {"train": pd.DataFrame({"a": [0.0, 10.0], "b": ["x", "y"]}), "test": pd.DataFrame({"a": [99.0], "b": ["x"]})}
    )
    modality = TabularModality().fitted(data, "train")
    assert (modality.columns[0].low, modality.columns[0].high) == (0.0, 10.0)
    assert modality.fitted(data, "train") is modality
    again = TabularModality(TabularModalityConfig.from_yaml(modality.config.to_yaml()))
    assert again == modality
    assert hash(again) == hash(modality)
    with pytest.raises(DataError, match=r"'b' has levels \['x', 'z'\].*learnt \['x', 'y'\]: the table has changed"):
        modality.fitted(FrameTable({"train": pd.DataFrame({"a": [0.0, 10.0], "b": ["x", "z"]})}), "train")
    with pytest.raises(DataError, match="learnt the columns a, b, but the data set has a"):
        modality.fitted(FrameTable({"train": pd.DataFrame({"a": [0.0]})}), "train")
    with pytest.raises(DataError, match="needs a data set of tables"):
        TabularModality().fitted(object(), "train")


def test_rows_know_their_table(table) -> None:
    modality = TabularModality.fit(table)
    x = np.array(modality.prepare({"x": modality.encode(table)}, train=False)["x"])
    x[1, 0] = np.nan
    rows = modality.to_host(x)
    assert rows[1] is None
    assert isinstance(rows[0], TableRow)
    assert dict(rows[0]) == dict(table.iloc[0])
    assert list(rows[0]) == list(table.columns)
    with pytest.raises(KeyError):
        rows[0]["nothing"]


def test_rows_of_unequal_length_are_told(table) -> None:
    modality = TabularModality.fit(table)
    with pytest.raises(InvalidInputError, match=rf"shape \(batch, {table.shape[1]}\), got \(2, 'unequal'\); write"):
        modality.prepare({"x": [[0.0], [0.0, 1.0]]}, train=False)


def test_files_are_read_back_as_they_were(table, tmp_path) -> None:
    modality = TabularModality.fit(table)
    x = modality.prepare({"x": modality.encode(table)}, train=False)["x"]
    path = modality.save_samples(np.asarray(x), tmp_path / "new" / "some.thing")
    assert path == tmp_path / "new" / "some.thing.csv"
    read = pd.read_csv(path)
    assert list(read.columns) == list(table.columns)
    np.testing.assert_array_equal(read["age"], table["age"])
    broken = np.array(x)
    broken[5, 3] = np.inf
    with pytest.warns(RunWarning, match="1 of 300 samples"):
        assert len(modality.to_frame(broken)) == 299


def test_samples_out_of_range_are_moved_to_its_ends_or_left() -> None:
    table = pd.DataFrame({"a": [0, 10], "b": [1.5, 2.5]})
    for clip, expected in ((True, [10, 2.5]), (False, [20, 3.5])):
        modality = TabularModality.fit(table, TabularModalityConfig(clip=clip))
        far = modality.prepare({"x": np.array([[2.0, 2.0]], np.float32)}, train=False)["x"]
        assert modality.to_frame(far).iloc[0].tolist() == expected


def test_wrong_input_is_told(table) -> None:
    modality, rows = TabularModality.fit(table), TabularModality.fit(table).encode(table)
    with pytest.raises(InvalidTypeError, match="takes a TabularModalityConfig, got dict"):
        TabularModality({})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match=r"rngs=nnx\.Rngs"):
        TabularModality(rngs=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="has not learnt a table yet"):
        TabularModality().shape  # noqa: B018
    with pytest.raises(InvalidInputError, match="has the key 'x'"):
        modality.prepare({"y": rows}, train=False)
    with pytest.raises(InvalidInputError, match=r"shape \(batch, 9\), got \(300, 8\)"):
        modality.prepare({"x": rows[:, :-1]}, train=False)
    with pytest.raises(InvalidInputError, match=r"rows of shape \(N, 13\)"):
        modality.restore(jnp.zeros((2, 4)))
    with pytest.raises(InvalidInputError, match="stream 'sample'"):
        TabularModality.fit(table, TabularModalityConfig(dequantize=True)).prepare({"x": rows}, train=False)
    with pytest.raises(InvalidInputError, match="have no mask"):
        modality.to_host(np.zeros((1, 13)), np.ones(1, bool))
    bad = rows.copy()
    bad[2, 2] = 9
    with pytest.raises(InvalidInputError, match=r"x\[102\] holds 9 in column 'region', which has levels 0 to 3 and no gaps"):
        modality.check({"x": bad}, first_row=100)
    bad = rows.copy()
    bad[4, 0] = np.nan
    with pytest.raises(InvalidInputError, match=r"x\[4\] holds nan in column 'age', which has finite positions and no gaps"):
        modality.check({"x": bad})
    modality.check({"x": rows})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "numerical", "low": 3, "high": 2}, "goes from low=3 to high=2"),
        ({"variant": "categorical"}, "at least one level"),
        ({"variant": "numerical", "levels": ("a",)}, "no levels"),
    ],
)
def test_impossible_columns_are_refused(fields: dict, message: str) -> None:
    from artifex.modalities.tabular import TableColumnConfig

    with pytest.raises(ValueError, match=message):
        TableColumnConfig(column="a", dtype="int64", **fields)
    column = TableColumnConfig(column="a", dtype="int64", variant="numerical")
    with pytest.raises(ValueError, match="given twice: a"):
        TabularModalityConfig(columns=(column, column))
