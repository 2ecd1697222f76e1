"""Documented longer paths of the core: devices, hardware, protocols, configs, the registry. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.devices import DeviceManager as DeviceManager
    from artifex.core.hardware import HardwareDetector as HardwareDetector, HardwareSpecs as HardwareSpecs
    from artifex.core.plugins import register_model as register_model

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "DeviceManager": "artifex.core.devices",
        "HardwareDetector": "artifex.core.hardware",
        "HardwareSpecs": "artifex.core.hardware",
        "register_model": "artifex.core.plugins",
    },
)
