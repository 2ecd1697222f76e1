"""What all distributions' tests share where they run together, in this workspace."""

from __future__ import annotations

import pytest

from artifex.core.testing.conformance import ModelConformance

CONTAINED = {"test_sharded_data"}
"""Conformance checks that others contain: the checks of sharded parameters divide the batch as well."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the night what another check of the same model proves every day."""
    for item in items:
        of = getattr(item, "cls", None)
        if of is not None and issubclass(of, ModelConformance) and item.name.partition("[")[0] in CONTAINED:
            item.add_marker(pytest.mark.nightly)
