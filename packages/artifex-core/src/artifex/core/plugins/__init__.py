"""The plugin system: what a distribution registers, and where everything installed is found.

A plugin is a plain module named by an entry point in the group ``artifex``. It declares the versions of this interface that it
was written for and implements hooks that return entries:

.. code-block:: python

    from artifex.core.plugins import ModelEntry, hookimpl

    ARTIFEX_API = (1, 1)  # the lowest and the highest API version it works with

    @hookimpl
    def artifex_models():
        return [ModelEntry(name="mine", model="my_package.model:Mine", config="my_package.model:MineConfig", family="mine")]
"""

from artifex.core.plugins import index
from artifex.core.plugins.entries import (
    CallbackEntry,
    CommandEntry,
    ComponentEntry,
    DatasetEntry,
    Entry,
    ExtensionEntry,
    LiveTarget,
    LossEntry,
    MetricEntry,
    ModalityEntry,
    ModelEntry,
    PresetEntry,
    SuiteEntry,
    resolve,
)
from artifex.core.plugins.hookspecs import KINDS, hook_name, hookimpl
from artifex.core.plugins.manager import API_VERSION, Failure, Plugin, PluginWarning, load_plugins
from artifex.core.plugins.registration import register_model
from artifex.core.plugins.registry import Registry, entry_key, refresh, registry

__all__ = [
    "API_VERSION",
    "KINDS",
    "CallbackEntry",
    "CommandEntry",
    "ComponentEntry",
    "DatasetEntry",
    "Entry",
    "ExtensionEntry",
    "Failure",
    "LiveTarget",
    "LossEntry",
    "MetricEntry",
    "ModalityEntry",
    "ModelEntry",
    "Plugin",
    "PluginWarning",
    "PresetEntry",
    "Registry",
    "SuiteEntry",
    "entry_key",
    "hook_name",
    "hookimpl",
    "index",
    "load_plugins",
    "refresh",
    "register_model",
    "registry",
    "resolve",
]
