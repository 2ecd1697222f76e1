"""Documented longer path of :mod:`artifex.core.devices`."""

from artifex.core.devices import DeviceManager

__all__ = ["DeviceManager"]
