"""What all distributions' tests share where they run together, in this workspace: what runs when."""

from __future__ import annotations

import pytest

from artifex.core.testing.conformance import ModelConformance

CONTAINED = {"test_sharded_data"}
"""Conformance checks that others contain: the checks of sharded parameters divide the batch as well."""
ON_ONE_MODEL = {"test_any_batch_size", "test_bfloat16", "test_sharded_fsdp", "test_sharded_tensor"}
"""Conformance checks that compile a step anew: every day of the first model of each file, at night of them all."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the night what another check proves every day, and to ``nox -s docs`` what the documentation shows."""
    first: dict[tuple[object, str], str] = {}
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.shown)
        name, _, case = item.name.removesuffix("]").partition("[")
        daily = item.get_closest_marker("daily")
        if daily is not None and case not in daily.args:
            item.add_marker(pytest.mark.nightly)
        of = getattr(item, "cls", None)
        if of is None or not issubclass(of, ModelConformance) or item.get_closest_marker("nightly"):
            continue
        if name in CONTAINED or (name in ON_ONE_MODEL and first.setdefault((item.path, name), item.nodeid) != item.nodeid):
            item.add_marker(pytest.mark.nightly)
