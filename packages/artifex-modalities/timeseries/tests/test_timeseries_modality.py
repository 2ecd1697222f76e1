"""Series as a model sees them: gaps against pandas' rules written out, scales from the training series alone, round trips,
masks."""

from __future__ import annotations

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import protocols
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.modalities.timeseries import TimeseriesModality, TimeseriesModalityConfig, TimeseriesModelAdapter, transforms
from artifex.modalities.timeseries.datasets import MadeSeries, MadeSeriesConfig


def holed(seed: int, shape=(6, 15, 2), share: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return np.where(rng.random(shape) < share, np.nan, x)


def by_hand(column: np.ndarray, how: str) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(column))
    if not len(known):
        return np.zeros_like(column)
    steps = np.arange(len(column))
    if how == "linear":
        return np.interp(steps, known, column[known])
    return np.array([column[known[known <= t][-1]] if (known <= t).any() else column[known[0]] for t in steps])


@pytest.mark.parametrize("how", ["forward", "linear"])
def test_gaps_are_filled(how: str) -> None:
    fill = jax.jit({"forward": transforms.fill_forward, "linear": transforms.fill_linear}[how])
    for seed in range(100):
        x = holed(seed, share=[0.0, 0.4, 0.9, 1.0][seed % 4])
        expected = np.stack([np.stack([by_hand(c, how) for c in one.T], 1) for one in x])
        np.testing.assert_allclose(fill(jnp.asarray(x, jnp.float32)), expected, atol=1e-6)


@pytest.mark.parametrize("scaling", ["standard", "range", "none"])
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("flatten", [False, True])
def test_round_trips(scaling: str, difference: bool, flatten: bool) -> None:
    x = 100 + 5 * np.cumsum(np.random.default_rng(0).normal(size=(20, 12, 3)), axis=1)
    config = TimeseriesModalityConfig(length=12, scaling=scaling, difference=difference, flatten=flatten)
    modality = TimeseriesModality.fit(x, config)
    made = modality.prepare({"x": x}, train=True)
    assert "mask" not in made
    assert made["x"].shape == (20, *modality.shape)
    np.testing.assert_allclose(modality.restore(made["x"]), x, atol=2e-4)  # float32 of 100, summed over twelve steps
    if scaling == "standard" and not difference:
        np.testing.assert_allclose(np.asarray(made["x"]).reshape(20, 12, 3).std((0, 1)), 1, atol=1e-4)
    if scaling == "range" and not difference:
        np.testing.assert_allclose([made["x"].min(), made["x"].max()], [-1, 1], atol=1e-5)


def test_differences_are_standardised_apart_from_the_first_value() -> None:
    x = 100 + np.cumsum(np.random.default_rng(0).normal(2, 3, size=(500, 12, 1)), axis=1)
    modality = TimeseriesModality.fit(x, TimeseriesModalityConfig(length=12, difference=True))
    made = np.asarray(modality.prepare({"x": x}, train=True)["x"])
    np.testing.assert_allclose([made[:, 0].mean(), made[:, 1:].mean()], 0, atol=1e-4)
    np.testing.assert_allclose([made[:, 0].std(), made[:, 1:].std()], 1, atol=1e-4)


def test_shorter_series_are_padded_and_what_stands_there_counts_for_nothing() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(n, 2)) for n in (3, 5, 8)]
    adapter = TimeseriesModelAdapter(TimeseriesModality.fit(series, TimeseriesModalityConfig(length=10)))
    batch = adapter.preprocess(series)
    assert np.asarray(batch["mask"]).sum(1).tolist() == [3, 5, 8]
    assert (np.asarray(batch["x"])[~np.asarray(batch["mask"])] == 0).all()
    stored = {"x": np.full((3, 10, 2), np.inf, np.float32), "mask": np.asarray(batch["mask"])}
    for row, one in zip(stored["x"], series, strict=True):
        row[: len(one)] = one
    np.testing.assert_array_equal(adapter.modality.prepare(stored, train=False)["x"], batch["x"])
    for one, other in zip(adapter.postprocess(batch["x"], batch["mask"]), series, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_gaps_come_back_from_their_channels() -> None:
    x = holed(0, (50, 8, 2), share=0.2)
    x[..., 1] = 1.0 + np.arange(8)
    modality = TimeseriesModality.fit(x, TimeseriesModalityConfig(length=8, missing="mask"))
    assert modality.shape == (8, 3)  # of the second channel nothing is missing
    made = modality.prepare({"x": x}, train=False)["x"]
    np.testing.assert_allclose(modality.restore(made), x, atol=1e-6)
    assert set(np.unique(np.asarray(made)[..., 2])) == {-1.0, 1.0}
    with pytest.raises(InvalidInputError, match=r"x\[7\] has a gap in 'channel_1', which has none among the training series"):
        modality.check({"x": np.full((1, 8, 2), np.nan)}, first_row=7)


def test_learns_from_the_training_split_alone_and_its_config_restores_it() -> None:
    class Two:
        channels = ("a",)

        def arrays(self, split: str):
            return {"x": np.array([[[0.0], [2.0]]] if split == "train" else [[[100.0], [200.0]]], np.float32)}

    modality = TimeseriesModality(TimeseriesModalityConfig(length=2)).fitted(Two(), "train")
    assert (modality.channels[0].centre, modality.channels[0].scale) == (1.0, 1.0)
    assert modality.fitted(Two(), "train") is modality
    again = TimeseriesModality(TimeseriesModalityConfig.from_yaml(modality.config.to_yaml()))
    assert again == modality
    assert hash(again) == hash(modality)
    other = Two()
    other.channels = ("b",)
    with pytest.raises(DataError, match="has learnt the channels a, but the data set has b"):
        modality.fitted(other, "train")
    with pytest.raises(DataError, match="needs a data set of series"):
        TimeseriesModality(TimeseriesModalityConfig(length=2)).fitted(object(), "train")


def test_learnt_scales_leave_gaps_and_padding_out() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(3, 2, size=(n, 1)) for n in (4, 9)]
    series[1][2] = np.nan
    values = np.concatenate(series)
    channel = TimeseriesModality.fit(series).channels[0]
    assert channel.centre == pytest.approx(np.nanmean(values))
    assert channel.scale == pytest.approx(np.nanstd(values))
    assert channel.gaps
    assert TimeseriesModality.fit(np.ones((2, 3))).channels[0].scale == 1.0


def test_samples_are_written_as_lines_that_the_data_set_reads_and_as_curves(tmp_path) -> None:
    from artifex.modalities.timeseries.datasets import SeriesFile, SeriesFileConfig

    x = holed(0, (30, 8, 2), share=0.1)
    modality = TimeseriesModality.fit(x, TimeseriesModalityConfig(length=8, missing="mask"), names=("cold", "warm"))
    samples = np.asarray(modality.prepare({"x": x}, train=False)["x"])
    path = modality.save_samples(samples, tmp_path / "new" / "v1.5")
    assert path.name == "v1.5.csv"
    with path.open() as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["series", "step", "cold", "warm"]
    assert len(lines) == 1 + 30 * 8
    data = SeriesFile(SeriesFileConfig(file=path, series="series", step="step", test_fraction=0, validation_fraction=0))
    read = data.arrays("train")["x"]
    np.testing.assert_allclose(np.sort(read[~np.isnan(read)]), np.sort(x[~np.isnan(x)]), atol=1e-5)
    curves = modality.draw_samples(samples, tmp_path / "other" / "v1.5")
    assert curves.name == "v1.5.svg"
    text = curves.read_text()
    assert text.count("<path") == 24 * 2
    assert ">cold<" in text
    assert "nan" not in text


def test_follows_the_protocols_and_the_adapter_carries_a_model() -> None:
    x = np.random.default_rng(0).normal(size=(5, 6, 1))
    modality = TimeseriesModality.fit(x)
    for protocol in ("ModalityProtocol", "FitsData", "Restores", "HasHostForm", "ChecksData", "DrawsSamples"):
        assert isinstance(modality, getattr(protocols, protocol))

    class Same(nnx.Module):
        def __call__(self, x, *, rngs=None):
            return {"x": x}

        def generate(self, n_samples=1, *, rngs=None):
            return jnp.full((n_samples, 6, 1), jnp.nan).at[0].set(0.0)

        def reconstruct(self, x):
            return x

    adapter = TimeseriesModelAdapter(modality)
    model = adapter.adapt_model(Same())
    assert isinstance(adapter, protocols.ModelAdapter)
    np.testing.assert_allclose(np.stack(model.reconstruct(x)), x, atol=1e-6)
    made = model.generate(3)
    assert made[1] is None
    assert made[2] is None
    np.testing.assert_allclose(made[0], x.mean(), atol=1e-6)
    assert not isinstance(model, protocols.HasLogProb)
    with pytest.raises(InvalidTypeError, match="takes a TimeseriesModality, got int"):
        TimeseriesModelAdapter(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match="a model with __call__ and generate"):
        adapter.adapt_model(object())  # pyright: ignore[reportArgumentType]


def test_wrong_input_is_told() -> None:
    modality = TimeseriesModality.fit(np.zeros((2, 4, 2)))
    with pytest.raises(InvalidTypeError, match="takes a TimeseriesModalityConfig, got dict"):
        TimeseriesModality({})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="has not learnt its series yet"):
        TimeseriesModality(TimeseriesModalityConfig(length=3)).shape  # noqa: B018
    with pytest.raises(InvalidInputError, match="has the key 'x'"):
        modality.prepare({}, train=False)
    with pytest.raises(InvalidInputError, match=r"\(batch, up to 4, 2\), got \(1, 5, 2\); for longer ones set the modality's"):
        modality.prepare({"x": np.zeros((1, 5, 2))}, train=False)
    with pytest.raises(InvalidInputError, match=r"series of shape \(N, 4, 2\)"):
        modality.restore(jnp.zeros((1, 4)))
    bad = np.zeros((2, 4, 2))
    bad[1, 2, 0] = np.inf
    with pytest.raises(InvalidInputError, match=r"x\[11\] holds inf at step 2 in 'channel_0'"):
        modality.check({"x": bad}, first_row=10)
    with pytest.raises(InvalidInputError, match=r"mask\[1\] is False throughout"):
        modality.check({"x": np.zeros((2, 4, 2)), "mask": np.array([[True] * 4, [False] * 4])})
    modality.check({"x": bad[:1]})
    with pytest.raises(InvalidInputError, match="3 names for 2 channels"):
        TimeseriesModality.fit(np.zeros((2, 4, 2)), names="abc")
    with pytest.raises(ValueError, match="difference needs a value at every step"):
        TimeseriesModalityConfig(length=3, difference=True, missing="mask")
    with pytest.raises(ValueError, match="given twice: a"):
        TimeseriesModalityConfig.from_dict({"length": 3, "channels": [{"channel": "a"}, {"channel": "a"}]})


@pytest.mark.parametrize("process", ["sines", "arma", "regimes"])
def test_made_series_are_drawn_anew_for_each_split_and_seed(process: str) -> None:
    config = MadeSeriesConfig(process=process, n_train=50, n_test=50, n_channels=2)
    one, other = MadeSeries(config), MadeSeries(config.replace(data_seed=1))
    assert one.arrays("train")["x"].shape == (50, 24, 2)
    np.testing.assert_array_equal(one.arrays("train")["x"], MadeSeries(config).arrays("train")["x"])
    assert (one.arrays("train")["x"] != one.arrays("test")["x"]).all()
    assert (one.arrays("train")["x"] != other.arrays("train")["x"]).all()
    with pytest.raises(InvalidInputError, match=r"no split 'tset'; .*did you mean 'test'"):
        one.arrays("tset")


def test_regimes_are_calm_and_lively() -> None:
    from artifex.modalities.timeseries.datasets.made import regimes

    x = regimes(np.random.default_rng(0), 300, 400, 1)[..., 0]
    changes = np.abs(np.diff(x, axis=1))
    rolling = changes.reshape(300, -1, 1)[:, :399].reshape(300, 21, 19).mean(2)
    assert np.mean(rolling < 0.2) > 0.2
    assert np.mean(rolling > 0.6) > 0.2  # two kinds of stretch, few between
