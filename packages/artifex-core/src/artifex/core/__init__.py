"""The thin core of Artifex. Names are imported on first use, so that ``import artifex.core`` costs nothing."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core import nn as nn, plugins as plugins, testing as testing
    from artifex.core.config import Config as Config, Registered as Registered
    from artifex.core.devices import DeviceManager as DeviceManager
    from artifex.core.errors import ArtifexError as ArtifexError
    from artifex.core.factory import create_model as create_model
    from artifex.core.frozen import Frozen as Frozen, freeze as freeze
    from artifex.core.hardware import HardwareDetector as HardwareDetector, HardwareSpecs as HardwareSpecs
    from artifex.core.mesh import DeviceMeshManager as DeviceMeshManager, ShardingConfig as ShardingConfig
    from artifex.core.plugins import register_model as register_model
    from artifex.core.storage import load_model as load_model, save_model as save_model

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "ArtifexError": "artifex.core.errors",
        "Config": "artifex.core.config",
        "DeviceManager": "artifex.core.devices",
        "DeviceMeshManager": "artifex.core.mesh",
        "Frozen": "artifex.core.frozen",
        "HardwareDetector": "artifex.core.hardware",
        "HardwareSpecs": "artifex.core.hardware",
        "Registered": "artifex.core.config",
        "ShardingConfig": "artifex.core.mesh",
        "create_model": "artifex.core.factory",
        "freeze": "artifex.core.frozen",
        "load_model": "artifex.core.storage",
        "nn": "artifex.core.nn",
        "plugins": "artifex.core.plugins",
        "register_model": "artifex.core.plugins",
        "save_model": "artifex.core.storage",
        "testing": "artifex.core.testing",
    },
)
