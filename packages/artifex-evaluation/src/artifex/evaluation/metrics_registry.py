"""The metrics that the installed plugins register: looked up by name, and chosen by what applies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from artifex.core import plugins
from artifex.core.measuring.choice import Facts, obstacle
from artifex.core.plugins.entries import MetricEntry
from artifex.core.plugins.registry import Registry

__all__ = ["MetricsRegistry"]


class MetricsRegistry:
    """Every registered metric.

    Args:
        registry: of plugins; by default of everything installed.

    Example:
        >>> metrics = MetricsRegistry()
        >>> metrics.get("energy_distance").compares
        'sets'
        >>> facts = Facts(modality="vector", available=frozenset({"samples", "references"}), examples=100)
        >>> "energy_distance" in [entry.name for entry in metrics.choose(facts)[0]]
        True
    """

    def __init__(self, registry: Registry | None = None):
        self._registry = registry

    @property
    def registry(self) -> Registry:
        """The plugins' registry."""
        return plugins.registry() if self._registry is None else self._registry

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def names(self, *, modality: str | None = None, family: str | None = None) -> list[str]:
        """Sorted names; of a modality or a family alone, with what will do for any."""
        wanted = {"modality": modality, "family": family}
        chosen = {field: {"", value} for field, value in wanted.items() if value is not None}
        names = self.registry.names("metric")
        return [n for n in names if all(getattr(self.get(n), field) in values for field, values in chosen.items())]

    def get(self, name: str) -> MetricEntry:
        """The entry of a metric.

        Raises:
            UnknownNameError: there is none of that name; the message has close ones, or the distribution to install.
        """
        return self.registry.get("metric", name)

    def version(self, name: str) -> str:
        """Version of the distribution that registers a metric."""
        return self.registry.owner("metric", name).version

    def distribution(self, name: str) -> str:
        """The distribution that registers a metric."""
        return self.registry.owner("metric", name).distribution

    def choose(self, facts: Facts) -> tuple[list[MetricEntry], dict[str, str]]:
        """The metrics that apply, and for each of the others what keeps it away."""
        entries = [self.get(name) for name in self.names()]
        reasons = {entry.name: obstacle(entry, facts) for entry in entries}
        return [entry for entry in entries if not reasons[entry.name]], {n: why for n, why in reasons.items() if why}

    def named(self, names: Sequence[str]) -> list[MetricEntry]:
        """Entries of metrics that were asked for; what does not say whether it compares pairs or sets compares sets."""
        entries = [self.get(name) for name in dict.fromkeys(names)]
        return [entry if entry.compares else dataclasses.replace(entry, compares="sets") for entry in entries]
