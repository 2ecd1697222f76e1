"""Documented longer path of :mod:`artifex.core.mesh`."""

from artifex.core.mesh import DeviceMeshManager

__all__ = ["DeviceMeshManager"]
