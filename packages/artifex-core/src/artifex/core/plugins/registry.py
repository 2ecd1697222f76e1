"""Everything that the installed plugins register, by kind and name."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from artifex.core.errors import PluginConflictError, UnknownNameError
from artifex.core.plugins import index
from artifex.core.plugins.entries import Entry, resolve
from artifex.core.plugins.hookspecs import KINDS, hook_name
from artifex.core.plugins.manager import Failure, LoadedPlugins, Plugin, PluginWarning, load_plugins


class Registry:
    """Entries by kind (``model``, ``loss``, ``dataset`` …) and name, each with the plugin it came from."""

    def __init__(self, loaded: LoadedPlugins):
        self.plugins = loaded.plugins
        self.failures: list[Failure] = list(loaded.failures)
        self.disabled = loaded.disabled
        self._entries: dict[str, dict[str, list[tuple[Entry, Plugin]]]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            self._collect(kind, getattr(loaded.manager.hook, hook_name(kind)).get_hookimpls())

    def _collect(self, kind: str, implementations: Sequence[Any]) -> None:
        """Call implementations one at a time, so that each entry's owner is known and a broken one stops nobody else."""
        for implementation in implementations:
            plugin = self.plugins[implementation.plugin_name]
            try:
                entries = list(implementation.function())
            except Exception as error:  # a stranger's hook may raise anything
                self.failures.append(Failure(plugin, f"{hook_name(kind)}() raised {type(error).__name__}: {error}"))
                continue
            for entry in entries:
                if not isinstance(entry, KINDS[kind]):
                    given = f"a {type(entry).__name__}: {entry!r}"
                    self.failures.append(Failure(plugin, f"{hook_name(kind)}() gave {given}; it has to give {KINDS[kind].__name__}"))
                    continue
                self._entries[kind].setdefault(_key(kind, entry), []).append((entry, plugin))

    def names(self, kind: str, *, slot: str | None = None) -> list[str]:
        """Sorted names of the entries of ``kind``; of components, those of ``slot``."""
        prefix = f"{slot}/" if kind == "component" and slot else ""
        return sorted(key.removeprefix(prefix) for key in self._kind(kind) if key.startswith(prefix))

    def get(self, kind: str, name: str) -> Any:
        """The entry called ``name``. Raises :class:`UnknownNameError`, or :class:`PluginConflictError` when two plugins claim it."""
        found = self._kind(kind).get(name)
        if not found:
            raise UnknownNameError(self._unknown(kind, name))
        if len(found) > 1:
            raise PluginConflictError(_conflict(kind, name, found))
        return found[0][0]

    def find(self, name: str) -> str:
        """The first kind among which ``name`` is registered. Raises :class:`UnknownNameError` with close matches over all kinds."""
        everything = sorted({known for kind in KINDS for known in self.names(kind)})
        for kind in KINDS:
            if name in self._entries[kind]:
                return kind
        if providers := {distribution for (_, known), distribution in index.DISTRIBUTION_OF.items() if known == name}:
            provider = sorted(providers)[0]
            raise UnknownNameError(f"nothing called {name!r} is installed; it is part of {provider}: pip install {provider}")
        close = difflib.get_close_matches(name, everything, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else "`artifex list` shows what is"
        raise UnknownNameError(f"nothing called {name!r} is installed; {hint}")

    def owner(self, kind: str, name: str) -> Plugin:
        """The plugin that registers ``name``."""
        self.get(kind, name)
        return self._kind(kind)[name][0][1]

    def entries(self, kind: str) -> Iterator[tuple[Entry, Plugin]]:
        """Every entry of ``kind`` with its plugin, by name; entries in conflict included."""
        for name in sorted(self._kind(kind)):
            yield from self._kind(kind)[name]

    def conflicts(self) -> list[str]:
        """One message for each name that more than one plugin claims."""
        return [
            _conflict(kind, name, found) for kind, by_name in self._entries.items() for name, found in sorted(by_name.items()) if len(found) > 1
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
        """The entry whose config is exactly ``cls``. Raises :class:`UnknownNameError` when no plugin registers it."""
        for kind in self.kinds_with_config(slot):
            entry = self.entry_for_slot(slot, kind)
            if entry.config == f"{cls.__module__}:{cls.__qualname__}" or _loaded(entry.config) is cls:
                return entry
        raise UnknownNameError(
            f"no installed plugin registers a {slot} with the config {cls.__module__}.{cls.__qualname__}; "
            f"register one through the hook {hook_name(slot if slot in KINDS else 'component')}()"
        )

    def kind_of(self, slot: str, cls: type) -> str:
        """The name under which the config class ``cls`` is registered."""
        return self.entry_of_config(slot, cls).name

    def _kind(self, kind: str) -> dict[str, list[tuple[Entry, Plugin]]]:
        if kind not in self._entries:
            raise UnknownNameError(f"there are no entries of kind {kind!r}; the kinds are {', '.join(KINDS)}")
        return self._entries[kind]

    def _unknown(self, kind: str, name: str) -> str:
        names = self.names(kind)
        message = f"no installed plugin has a {kind} called {name!r}"
        if provider := index.DISTRIBUTION_OF.get((kind, name)):
            return f"{message}; it is part of {provider}: pip install {provider}"
        if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
            return f"{message}; did you mean {' or '.join(repr(c) for c in close)}?"
        return f"{message}; installed: {', '.join(names) or 'none'}"


def _key(kind: str, entry: Any) -> str:
    return f"{entry.slot}/{entry.name}" if kind == "component" else entry.name


def _conflict(kind: str, name: str, found: list[tuple[Entry, Plugin]]) -> str:
    owners = " and ".join(str(plugin) for _, plugin in found)
    return f"{kind} {name!r} is claimed by {owners}; switch one off with ARTIFEX_DISABLE_PLUGINS={found[-1][1].distribution}, or uninstall it"


def _loaded(target: str) -> Any:
    """What ``target`` names if its module is imported already, else None: a class in hand has its module loaded."""
    module, _, attribute = target.partition(":")
    return getattr(sys.modules.get(module), attribute, None)


@cache
def registry() -> Registry:
    """The registry of everything installed: built on first use, then kept. Problems are warned of once."""
    made = Registry(load_plugins())
    for problem in [*map(str, made.failures), *made.conflicts()]:
        warnings.warn(problem, PluginWarning, stacklevel=2)
    return made


def refresh() -> Registry:
    """Look again, after distributions were installed or removed in this process."""
    registry.cache_clear()
    return registry()
