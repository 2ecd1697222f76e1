"""Privacy, usefulness and what is wrong on its face: against brute force, SciPy and scikit-learn, and what the figures have
to say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from artifex.core.errors import InvalidInputError
from artifex.modalities.tabular import metrics
from artifex.modalities.tabular.datasets import MixedTable, MixedTableConfig
from artifex.modalities.tabular.metrics.privacy import roc_auc


def cases(every_day: int) -> pytest.MarkDecorator:
    """So many random tables, a thousand of them nightly."""
    return pytest.mark.parametrize("n", [every_day, pytest.param(1000, marks=pytest.mark.nightly)])


@pytest.fixture(scope="module")
def data() -> MixedTable:
    return MixedTable(MixedTableConfig(n_train=1500, n_test=1500, n_validation=1500))


def test_copies_of_the_training_rows_are_found_out_and_fresh_draws_are_not(data: MixedTable) -> None:
    train, holdout, fresh = (data.table(split) for split in ("train", "test", "validation"))
    assert metrics.membership_auc(train, train, holdout) >= 0.95
    assert abs(metrics.membership_auc(fresh, train, holdout) - 0.5) <= 0.03
    half = pd.concat([train[:750], fresh[:750]], ignore_index=True)
    assert 0.65 < metrics.membership_auc(half, train, holdout) < 0.85


@cases(20)
def test_distances_are_those_of_brute_force(n: int) -> None:
    """Distances by hand: standard deviations, and 1 between two levels."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        made, real = (
            pd.DataFrame({"a": rng.normal(size=rows), "b": rng.integers(0, 9, rows), "c": rng.choice(list("uvw"), rows)})
            for rows in (int(rng.integers(1, 31)), int(rng.integers(2, 41)))
        )
        if real[["a", "b"]].nunique().min() < 2:
            continue  # a constant has no standard deviation
        parts = []
        for name in "ab":
            one, other = (side[name].to_numpy(float)[:, None] / real[name].std(ddof=0) for side in (made, real))
            parts.append(cdist(one, other) ** 2)
        parts.append((made["c"].to_numpy()[:, None] != real["c"].to_numpy()[None, :]).astype(float))
        expected = np.sort(np.sqrt(sum(parts)), axis=1)
        np.testing.assert_allclose(metrics.distance_to_closest_record(made, real), expected[:, 0], atol=1e-12)
        ratio = np.divide(expected[:, 0], expected[:, 1], out=np.ones(len(made)), where=expected[:, 1] > 0)
        np.testing.assert_allclose(metrics.nearest_neighbour_ratio(made, real), ratio, atol=1e-12)


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        p, n = (np.round(rng.normal(size=rng.integers(1, 30)), int(rng.integers(0, 3))) for _ in range(2))
        labels = np.repeat([1, 0], [len(p), len(n)])
        assert roc_auc(p, n) == pytest.approx(roc_auc_score(labels, np.concatenate([p, n])), abs=1e-12)


def test_gaps_dates_and_single_rows_have_distances() -> None:
    days = pd.to_datetime(["2020-01-01", None, "2020-03-01"])
    table = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": ["x", None, "y"], "c": days})
    np.testing.assert_array_equal(metrics.distance_to_closest_record(table, table), 0)
    assert metrics.distance_to_closest_record(table[:1], table[1:2])[0] > 1
    constant = pd.DataFrame({"a": [5.0, 5.0]})
    np.testing.assert_array_equal(metrics.nearest_neighbour_ratio(constant, constant), 1)
    nothing = pd.DataFrame({"a": [np.nan]})
    np.testing.assert_array_equal(metrics.distance_to_closest_record(nothing, nothing), 0)
    with pytest.raises(InvalidInputError, match="two training rows"):
        metrics.nearest_neighbour_ratio(constant, constant[:1])


@cases(100)
def test_the_smallest_group_is_counted(n: int) -> None:
    for seed in range(n):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame({"a": rng.choice(list("xy"), 30), "b": rng.choice(["u", None], 30), "c": rng.normal(size=30)})
        groups: dict = {}
        for row in zip(table["a"], table["b"].isna(), strict=True):
            groups[row] = groups.get(row, 0) + 1
        assert metrics.k_anonymity(table, identifiers=["a", "b"]) == min(groups.values())
    assert metrics.k_anonymity(pd.DataFrame({"a": [1.0, 2.0]})) == 2
    with pytest.raises(InvalidInputError, match="no column 'z'"):
        metrics.k_anonymity(table, identifiers=["z"])


def test_usefulness_is_that_of_a_forest_trained_by_hand(data: MixedTable) -> None:
    from sklearn.ensemble import RandomForestRegressor

    train, test = (data.table(split)[["age", "spending", "savings"]] for split in ("train", "test"))
    made = train.sample(400, random_state=0)
    found = metrics.utility(made, train, test, seed=3)
    assert (found.target, found.score) == ("savings", "R2")
    for table, figure in ((made, found.synthetic), (train, found.real)):
        # the columns of the inputs stand in another order than there, with flags of gaps that are none: of no use to a tree
        fitted, tested = (side - train.median() for side in (table, test))
        x, x_test = (
            np.concatenate([np.stack([side[c], 0 * side[c]], 1) for c in ("age", "spending")], 1) for side in (fitted, tested)
        )
        forest = RandomForestRegressor(100, random_state=3).fit(x, fitted["savings"])
        assert figure == pytest.approx(forest.score(x_test, tested["savings"]))


def random_table(rng: np.random.Generator, rows: int, target: str) -> pd.DataFrame:
    """Numbers and levels, both with gaps, and a target that depends on them."""
    a, c = rng.normal(size=rows), rng.choice(list("uvw"), rows)
    signal = a + (c == "u") + 0.3 * rng.normal(size=rows)
    made = pd.DataFrame({"a": a, "b": rng.integers(0, 5, rows).astype(float), "c": c})
    made = made.mask(rng.random(made.shape) < 0.1)
    return made.assign(
        y=signal if target == "number" else np.where(signal > 0.8, "high", np.where(signal > 0, "middle", "low"))
    )


def inputs_by_hand(table: pd.DataFrame, real: pd.DataFrame) -> np.ndarray:
    """Numbers from the real median on, gaps there, and whether there is one; levels one-hot as they come up, and one more."""
    parts = [column for name in "ab" for column in ((table[name] - real[name].median()).fillna(0), table[name].isna())]
    levels = [*real["c"].dropna().unique(), "other"]
    known = table["c"].where(table["c"].isin(levels), "other")
    return np.column_stack([*parts, *((known == level) for level in levels)]).astype(float)


@pytest.mark.parametrize("target", ["number", "levels"])
@cases(20)
def test_training_on_samples_is_scikit_learns_by_hand(n: int, target: str) -> None:
    """Inputs by pandas, scores by scikit-learn. Five trees: with the hundred of the default a thousand tables take minutes."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.metrics import r2_score, recall_score

    for seed in range(n):
        rng = np.random.default_rng(seed)
        made, real, test = (random_table(rng, int(rng.integers(40, 80)), target) for _ in range(3))
        middle = np.median(real["y"]) if target == "number" else 0.0
        for table, figure in ((made, metrics.train_synthetic_test_real), (real, metrics.train_real_test_real)):
            forest = (RandomForestRegressor if target == "number" else RandomForestClassifier)(5, random_state=0)
            answers = table["y"] - middle if target == "number" else table["y"]
            found = forest.fit(inputs_by_hand(table, real), answers).predict(inputs_by_hand(test, real))
            if target == "number":
                wanted = r2_score(test["y"] - middle, found)
            else:  # balanced accuracy: the mean recall of the levels that stand there
                wanted = recall_score(test["y"], found, labels=sorted(set(test["y"])), average="macro")
            assert figure(made, real, test, trees=5) == pytest.approx(wanted, abs=1e-12)


def test_usefulness_falls_when_columns_come_apart(data: MixedTable) -> None:
    names = ["age", "education", "income", "region", "spending", "member"]
    train, test = (data.table(split)[names] for split in ("train", "test"))
    good = metrics.utility(train[:700], train[700:], test)
    assert good.score == "balanced accuracy"
    assert abs(good.synthetic - good.real) < 0.05
    shuffled = train.assign(member=train["member"].sample(frac=1, random_state=0).to_numpy())
    bad = metrics.utility(shuffled, train, test)
    assert bad.synthetic < 0.55 < bad.real - 0.05
    assert metrics.train_real_test_real(shuffled, train, test) == bad.real
    with pytest.raises(InvalidInputError, match="no column 'z' to predict"):
        metrics.utility(train, train, test, target="z")
    with pytest.raises(InvalidInputError, match="only column"):
        metrics.utility(train[["age"]], train[["age"]], test[["age"]])
    with pytest.raises(InvalidInputError, match="samples has no value of the column 'income'"):
        metrics.utility(train.assign(income=np.nan), train, test, target="income")


def test_what_is_wrong_on_its_face() -> None:
    real = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan], "b": ["x", "y", "y", None]})
    made = pd.DataFrame({"a": [1.0, 1.0, 9.0, np.nan], "b": ["x", "x", "z", None]})
    assert metrics.completeness(made) == 6 / 8
    assert metrics.duplicates(made) == 1 / 4
    assert metrics.training_copies(made, real) == 3 / 4  # a row of gaps is one too
    assert metrics.in_range(made, real) == 4 / 6
    assert metrics.missing_similarity(made.fillna({"a": 0.0}), real) == 1 - 0.25 / 2
    assert np.isnan(metrics.in_range(made[3:], real))
    assert metrics.completeness(made[3:]) == 0.0


@pytest.mark.parametrize("cases", [100, pytest.param(1000, marks=pytest.mark.nightly)])
def test_random_tables_are_counted_as_by_hand(cases: int) -> None:
    """Gaps, ties, constants, single rows and letters of any script, by loops over rows."""
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        letters = rng.choice([None, *"aß天"], 3)
        made, real = (
            pd.DataFrame(
                {
                    "n": rng.choice([1.0, 2.0, 7.5, np.nan], n),
                    "s": pd.Series(rng.choice([*letters, "z"], n), dtype="object"),
                    "t": rng.choice([True, False], n),
                }
            )
            for n in rng.integers(1, 9, 2)
        )
        rows, others = (
            [tuple(None if v is None or v != v else v for v in row) for row in side.itertuples(index=False)]
            for side in (made, real)
        )
        cells = [cell for row in rows for cell in row]
        assert metrics.completeness(made) == np.mean([cell is not None for cell in cells])
        assert metrics.duplicates(made) == np.mean([row in rows[:i] for i, row in enumerate(rows)])
        assert metrics.training_copies(made, real) == np.mean([row in others for row in rows])
        shares = [[np.mean([row[c] is None for row in side]) for c in range(3)] for side in (rows, others)]
        assert metrics.missing_similarity(made, real) == pytest.approx(1 - np.abs(np.subtract(*shares)).mean())
        known = [[row[c] for row in others if row[c] is not None] for c in range(3)]
        fits = [min(known[0], default=9) <= row[0] <= max(known[0], default=0) for row in rows if row[0] is not None]
        fits += [row[c] in known[c] for c in (1, 2) for row in rows if row[c] is not None]
        assert metrics.in_range(made, real) == pytest.approx(np.mean(fits))
        groups = [sum(other[1:] == row[1:] for other in rows) for row in rows]
        assert metrics.k_anonymity(made, identifiers=["s", "t"]) == min(groups)


EDGES = {
    "one row": lambda table: table[:1],
    "constant": lambda table: table.assign(a=1.0, b="x", c=table["c"][0], d=True),
    "all missing": lambda table: table.assign(a=np.nan, b=None, c=pd.NaT),
    "non-Latin": lambda table: table.assign(b=np.resize(["天", "ß"], len(table))),
    "numbers alone": lambda table: table[["a"]],
    "levels alone": lambda table: table[["b"]],
    "dates alone": lambda table: table[["c"]],
}


@pytest.mark.parametrize("case", EDGES)
def test_every_registered_metric_has_a_figure_or_one_clear_error_at_the_edges(case: str) -> None:
    """And warns of nothing, which is an error here."""
    from artifex.core.plugins import resolve
    from artifex.modalities.tabular.plugin import artifex_metrics

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(list("xyz"), 60), "c": pd.date_range("2020", periods=60)})
    table["d"] = rng.choice([True, False], 60)
    edge = EDGES[case](table)
    for entry in artifex_metrics():
        for given in (
            dict.fromkeys(entry.needs, edge),
            {need: edge if need == "samples" else table[list(edge)] for need in entry.needs},
        ):
            try:
                figure = resolve(entry.metric)(**given)
            except InvalidInputError:
                continue
            assert np.shape(figure) in ((), (len(edge),)), entry.name
            assert not np.isinf(figure).any(), entry.name
