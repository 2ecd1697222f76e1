"""Everything that the installed plugins register, by kind and name."""

from __future__ import annotations

import difflib
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from artifex.core.errors import PluginConflictError, PluginError, UnknownNameError
from artifex.core.plugins import index
from artifex.core.plugins.entries import ComponentEntry, Entry, LiveTarget, ModelEntry, resolve
from artifex.core.plugins.hookspecs import KINDS, hook_name
from artifex.core.plugins.manager import (
    DISABLE_VARIABLE,
    Failure,
    LoadedPlugins,
    Plugin,
    PluginWarning,
    load_plugins,
    normalized,
)

THIS_PROCESS = Plugin("register_model", "", "this process", "")
"""Whose entries those are that no plugin gave."""

_models_of_this_process: dict[str, ModelEntry] = {}
"""What ``register_model`` was given, by name: a registry that is built anew has them too."""


class Registry:
    """Entries by kind (``model``, ``loss``, ``dataset`` …) and name, each with the plugin it came from."""

    def __init__(self, loaded: LoadedPlugins):
        self.plugins = loaded.plugins
        self.failures: list[Failure] = list(loaded.failures)
        self.disabled = loaded.disabled
        self._entries: dict[str, dict[str, list[tuple[Any, Plugin]]]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            self._collect(kind, getattr(loaded.manager.hook, hook_name(kind)).get_hookimpls())

    def _collect(self, kind: str, implementations: Sequence[Any]) -> None:
        """Call implementations one at a time, so that each entry's owner is known and a broken one stops nobody else."""
        for implementation in implementations:
            plugin = self.plugins[implementation.plugin_name]
            expected = f"it has to return a list of {KINDS[kind].__name__}"
            try:
                given = implementation.function()
                entries = list(given) if isinstance(given, Iterable) else None
            except (Exception, SystemExit) as error:  # a stranger's hook may raise anything
                self._fail(plugin, f"{hook_name(kind)}() raised {type(error).__name__}: {error}", traceback.format_exc())
                continue
            if entries is None:
                self._fail(plugin, f"{hook_name(kind)}() returned {given!r}; {expected}")
                continue
            for entry in entries:
                if not isinstance(entry, KINDS[kind]):
                    self._fail(plugin, f"{hook_name(kind)}() gave a {type(entry).__name__}, {entry!r}; {expected}")
                elif kind == "command" and entry.name in index.BUILT_IN_COMMANDS:
                    self._fail(plugin, f"the command {entry.name!r} is artifex-core's own; choose another name")
                else:
                    self._entries[kind].setdefault(entry_key(entry), []).append((entry, plugin))

    def _fail(self, plugin: Plugin, reason: str, details: str = "") -> None:
        self.failures.append(Failure(plugin, reason, details, partly=True))

    def register_model(self, entry: ModelEntry) -> None:
        """Add a model of this process, or put it in the place of the one that this process registered under its name before.

        Raises:
            PluginConflictError: a plugin has a model of that name, or another model has that config.
        """
        models = self._entries["model"]
        plugins = [found for found in models.get(entry.name, ()) if found[1] is not THIS_PROCESS]
        if plugins:
            raise PluginConflictError(_conflict("model", entry.name, [*plugins, (entry, THIS_PROCESS)]))
        config = resolve(entry.config)
        shared = [name for name in self.names("model") if name != entry.name and self._has_config("model", name, config)]
        if shared:
            raise PluginConflictError(_shared_config("model", config, [*shared, entry.name]))
        models[entry.name] = [(entry, THIS_PROCESS)]

    def names(self, kind: str, *, slot: str | None = None) -> list[str]:
        """Sorted names of the entries of ``kind``; of components, those of ``slot``."""
        prefix = f"{slot}/" if kind == "component" and slot else ""
        return sorted(key.removeprefix(prefix) for key in self._kind(kind) if key.startswith(prefix))

    def get(self, kind: str, name: str) -> Any:
        """The entry called ``name``.

        Raises:
            UnknownNameError: no plugin registers it.
            PluginConflictError: more than one does.
        """
        found = self._kind(kind).get(name)
        if not found:
            raise UnknownNameError(self._unknown(kind, name))
        if len(found) > 1:
            raise PluginConflictError(_conflict(kind, name, found))
        return found[0][0]

    def find(self, name: str) -> str:
        """The first kind among which ``name`` is registered; if there is none, an error with close matches over all kinds."""
        everything = sorted({known for kind in KINDS for known in self.names(kind)})
        for kind in KINDS:
            if name in self._entries[kind]:
                return kind
        if providers := {distribution for (_, known), distribution in index.DISTRIBUTION_OF.items() if known == name}:
            raise UnknownNameError(f"nothing called {name!r} is installed; {self._remedy(min(providers))}")
        close = difflib.get_close_matches(name, everything, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else "`artifex list` shows what is"
        raise UnknownNameError(f"nothing called {name!r} is installed; {hint}")

    def owner(self, kind: str, name: str) -> Plugin:
        """The plugin that registers ``name``."""
        self.get(kind, name)
        return self._kind(kind)[name][0][1]

    def entries(self, kind: str) -> Iterator[tuple[Any, Plugin]]:
        """Every entry of ``kind`` with its plugin, by name; entries in conflict included."""
        for name in sorted(self._kind(kind)):
            yield from self._kind(kind)[name]

    def conflicts(self) -> list[str]:
        """One message for each name that more than one plugin claims."""
        return [
            _conflict(kind, name, found)
            for kind, by_name in self._entries.items()
            for name, found in sorted(by_name.items())
            if len(found) > 1
        ]

    def kinds_with_config(self, slot: str) -> list[str]:
        """What a config field open for ``slot`` accepts as its ``kind``."""
        return self.names(slot) if slot in KINDS else self.names("component", slot=slot)

    def entry_for_slot(self, slot: str, kind: str) -> Any:
        """The entry that ``kind`` names in a field open for ``slot``."""
        return self.get(slot, kind) if slot in KINDS else self.get("component", f"{slot}/{kind}")

    def config_class(self, slot: str, kind: str) -> Any:
        """The config class behind ``kind``, imported now."""
        return resolve(self.entry_for_slot(slot, kind).config)

    def entry_of_config(self, slot: str, cls: type) -> Any:
        """The entry whose config is exactly ``cls``.

        Raises:
            UnknownNameError: no plugin registers it.
            PluginConflictError: several entries share it, or two plugins claim the entry's name.
        """
        matches = [kind for kind in self.kinds_with_config(slot) if self._has_config(slot, kind, cls)]
        if len(matches) > 1:
            raise PluginConflictError(_shared_config(slot, cls, matches))
        if matches:
            return self.entry_for_slot(slot, matches[0])
        if slot == "model" and (newer := self._registered_anew(cls)):
            raise UnknownNameError(
                f"this {cls.__name__} is of an earlier registration of {newer!r}; make the config anew, with the class as it "
                "is now"
            )
        missing = "".join(f"; {problem}" for problem in self._absent())
        raise UnknownNameError(
            f"no installed plugin registers a {slot} with the config {cls.__module__}.{cls.__qualname__}; "
            f"register one through the hook {hook_name(slot if slot in KINDS else 'component')}(){missing}"
        )

    def _has_config(self, slot: str, kind: str, cls: type) -> bool:
        """Whether ``cls`` is the config of an entry called ``kind``."""
        candidates = self._kind(slot)[kind] if slot in KINDS else self._kind("component")[f"{slot}/{kind}"]
        return any(_names(entry.config, cls) for entry, _ in candidates)

    def _registered_anew(self, cls: type) -> str:
        """The model whose config ``cls`` was, before this process registered it with a newer class of the same name."""
        mine = (entry for entry, plugin in self.entries("model") if plugin is THIS_PROCESS)
        return next((entry.name for entry in mine if entry.config == LiveTarget(cls)), "")

    def kind_of(self, slot: str, cls: type) -> str:
        """The name under which the config class ``cls`` is registered."""
        return self.entry_of_config(slot, cls).name

    def _kind(self, kind: str) -> dict[str, list[tuple[Any, Plugin]]]:
        if kind not in self._entries:
            raise UnknownNameError(f"there are no entries of kind {kind!r}; the kinds are {', '.join(KINDS)}")
        return self._entries[kind]

    def _unknown(self, kind: str, name: str) -> str:
        names = self.names(kind)
        message = f"no installed plugin has a {kind} called {name!r}"
        if kind == "component" and "/" in name:
            slot, _, name = name.partition("/")
            names = self.names(kind, slot=slot)
            message = f"no installed plugin has a {slot} called {name!r}"
        if provider := index.DISTRIBUTION_OF.get((kind, name)):
            return f"{message}; {self._remedy(provider)}"
        if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
            return f"{message}; did you mean {' or '.join(repr(c) for c in close)}?"
        return f"{message}; installed: {', '.join(names) or 'none'}"

    def _remedy(self, distribution: str) -> str:
        """How to get what ``distribution``, one of ours, provides."""
        name = normalized(distribution)
        if any(normalized(plugin.distribution) == name for plugin in self.disabled):
            return f"it is part of {distribution}, which {DISABLE_VARIABLE} switches off"
        if failed := [failure for failure in self.failures if normalized(failure.plugin.distribution) == name]:
            return f"it is part of {distribution}, but {failed[0]}"
        if have := [plugin for plugin in self.plugins.values() if normalized(plugin.distribution) == name]:
            return f"{have[0]} does not have it yet: pip install --upgrade {distribution}"
        return f"it is part of {distribution}: pip install {distribution}"

    def _absent(self) -> list[str]:
        """Plugins that are installed and offer nothing, each with the reason."""
        off = [f"plugin '{plugin.name}' of {plugin} is switched off by {DISABLE_VARIABLE}" for plugin in self.disabled]
        return off + [str(failure) for failure in self.failures]


def entry_key(entry: Any) -> str:
    """The name under which ``entry`` is found among its kind: ``slot/name`` for a component."""
    return f"{entry.slot}/{entry.name}" if isinstance(entry, ComponentEntry) else entry.name


def _shared_config(slot: str, cls: type, names: Sequence[str]) -> str:
    return f"{cls.__name__} is the config of {' and '.join(names)}; each {slot} needs a config of its own"


def _conflict(kind: str, name: str, found: list[tuple[Entry, Plugin]]) -> str:
    owners = sorted({str(plugin) for _, plugin in found})
    if len(owners) == 1:
        return f"{kind} {name!r} is registered {len(found)} times by {owners[0]}; its author has to rename one"
    if THIS_PROCESS in (plugin for _, plugin in found):
        return f"{kind} {name!r} is claimed by {' and '.join(owners)}; register yours under another name"
    names = sorted({plugin.distribution for _, plugin in found})
    switch = " or ".join(f"{DISABLE_VARIABLE}={distribution}" for distribution in names)
    return f"{kind} {name!r} is claimed by {' and '.join(owners)}; switch one off ({switch}) or uninstall it"


def _names(target: str, cls: type) -> bool:
    """Whether ``target`` is ``cls``. Imports no more than it must: a class in hand has its own module loaded."""
    if isinstance(target, LiveTarget):
        return target.cls is cls
    if target == f"{cls.__module__}:{cls.__qualname__}":
        return True
    module, _, attribute = target.partition(":")
    if attribute != cls.__qualname__ and module not in sys.modules:
        return False
    try:
        return resolve(target) is cls
    except PluginError:  # a stranger's broken target is not what is looked for
        return False


@cache
def registry() -> Registry:
    """The registry of everything installed: built on first use, then kept. Problems are warned of once."""
    made = Registry(load_plugins())
    for entry in _models_of_this_process.values():
        try:
            made.register_model(entry)
        except PluginConflictError as error:
            made.failures.append(Failure(THIS_PROCESS, str(error)))
    for problem in [*map(str, made.failures), *made.conflicts()]:
        warnings.warn(problem, PluginWarning, stacklevel=2)
    return made


def register_in_this_process(entry: ModelEntry) -> None:
    """Add ``entry`` to the registry of everything installed, and to those that replace it later."""
    registry().register_model(entry)
    _models_of_this_process[entry.name] = entry


def refresh() -> Registry:
    """Look again, after distributions were installed or removed in this process."""
    registry.cache_clear()
    return registry()
