"""Documented longer path of :class:`artifex.core.mesh.ShardingConfig`."""

from artifex.core.mesh import ShardingConfig

__all__ = ["ShardingConfig"]
