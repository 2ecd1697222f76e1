"""Documented longer path of :mod:`artifex.core.hardware`."""

from artifex.core.hardware import HardwareDetector, HardwareSpecs, MemoryUsage, Recommendation, in_bytes

__all__ = ["HardwareDetector", "HardwareSpecs", "MemoryUsage", "Recommendation", "in_bytes"]
