"""Documented longer path of :mod:`artifex.core.mesh` and :mod:`artifex.core.sharding`."""

from artifex.core.mesh import ShardingConfig

__all__ = ["ShardingConfig"]
