"""Documented longer path of :mod:`artifex.core.mesh` and :mod:`artifex.core.sharding`."""

from artifex.core.mesh import ShardingConfig
from artifex.core.sharding import DEFAULT_RULES, batch_sharding, create_sharded, shardings

__all__ = ["DEFAULT_RULES", "ShardingConfig", "batch_sharding", "create_sharded", "shardings"]
