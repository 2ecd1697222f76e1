"""What every registered data set that needs no file of the user's keeps to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from artifex.core import plugins
from artifex.core.errors import ArtifexError, InvalidInputError

NAMES = plugins.registry().names("dataset")
ELSEWHERE = {  # made of the user's files, of another data set, of a run, or of a package that the tests do without
    "audio_folder",
    "backbones",
    "codes",
    "huggingface",
    "huggingface_text",
    "idx",
    "image_folder",
    "json_lines",
    "json_lines_pairs",
    "molecules",
    "moses_molecules",
    "npz",
    "paired_folders",
    "protein",
    "qm9",
    "qm9_molecules",
    "series_file",
    "side_by_side",
    "table_file",
    "text_files",
}


NEEDS = {
    "density": {"density": "two_moons"},
    "made_series": {"process": "sines"},
    "shipped_table": {"table": "wine"},
    "sklearn_table": {"table": "diabetes"},
}
"""Fields without a default."""
ON_A_GRID = {"solid_voxels"}
"""Values are 0 and 1 on a coarse grid: two draws may be the same."""


@cache
def made(name: str) -> Any:
    entry = plugins.registry().get("dataset", name)
    return plugins.resolve(entry.dataset)(plugins.resolve(entry.config).from_dict(NEEDS.get(name, {})))


@pytest.mark.parametrize("name", sorted(set(NAMES) - ELSEWHERE))
def test_an_embedded_data_set(name: str) -> None:
    data = made(name)
    assert data.splits[0] == "train"
    assert set(data.splits) <= {"train", "test", "validation"}
    rows: dict[str, np.ndarray] = {}
    for split in data.splits:
        arrays, again = data.arrays(split), data.arrays(split)
        assert "x" in arrays
        assert {len(values) for values in arrays.values()} == {len(arrays["x"])}
        for key, values in arrays.items():
            assert len(values) > 0
            np.testing.assert_array_equal(values, again[key])
        rows[split] = arrays["x"]
    if "test" in rows and name not in ON_A_GRID and np.issubdtype(rows["train"].dtype, np.floating):
        train, test = ({row.tobytes() for row in np.ascontiguousarray(rows[split])} for split in ("train", "test"))
        assert not train & test
    with pytest.raises(InvalidInputError, match=rf"has no split 'tset'; its splits are {', '.join(data.splits)}"):
        data.arrays("tset")


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_any_other_says_what_it_needs(name: str) -> None:
    entry = plugins.registry().get("dataset", name)
    with pytest.raises((ArtifexError, ValidationError)):
        plugins.resolve(entry.dataset)(plugins.resolve(entry.config).from_dict({})).arrays("train")
