"""What artifex-gan registers."""

from __future__ import annotations

from artifex.core.plugins import ModelEntry, hookimpl

ARTIFEX_API = (1, 1)


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    return []
