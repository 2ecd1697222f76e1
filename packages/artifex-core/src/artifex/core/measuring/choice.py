"""Which of the registered metrics apply to a model and its data, and what keeps the others from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from artifex.core.plugins.entries import MetricEntry

__all__ = ["Facts", "applicable", "obstacle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a model and its data, as far as metrics ask.

    Example:
        >>> facts = Facts(family="vae", capabilities=frozenset({"encode"}), available=frozenset({"references", "model"}))
        >>> entry = MetricEntry(name="spread", metric="m:spread", needs=("references",), higher_is_better=True, family="gan")
        >>> obstacle(entry, facts)
        "it measures models of the family 'gan', and this one is of 'vae'"
    """

    modality: str = ""
    """Name of the modality; ``vector`` for plain vectors of numbers, which have none; empty for other arrays."""
    representation: str = ""
    """``representation`` of the modality's config; empty where it has none."""
    family: str = ""
    """Of the model; empty where there is none or it is not registered."""
    model: str = ""
    """The model's name in the registry."""
    capabilities: frozenset[str] = frozenset()
    """Capability protocols that the model follows, and what is said of it in its place (``loss_fn``)."""
    available: frozenset[str] = frozenset()
    """What metrics may need and can be given."""
    spaces: frozenset[str] = frozenset({"model", "restored"})
    """Forms that samples and references can be brought into."""
    paired: bool = False
    """Whether each sample has a reference of its own, as reconstructions and translations have."""
    extent: int = 0
    """The least length of an example's axes but the last, in the data's own form: height or width of images."""
    examples: int = 0
    """How many there are."""


def obstacle(entry: MetricEntry, facts: Facts) -> str:
    """Why a metric does not apply, in words; empty where it does."""
    checks = (
        (_other_data, entry.modality not in ("", facts.modality)),
        (_other_representation, bool(entry.representations) and facts.representation not in entry.representations),
        (_other_family, entry.family not in ("", facts.family)),
        (_other_model, bool(entry.models) and facts.model not in entry.models),
        (_lacks, not set(entry.capabilities) <= facts.capabilities),
        (_unpaired, entry.compares == "pairs" and not facts.paired),
        (_undeclared, entry.compares == ""),
        (_not_given, bool(_missing(entry, facts))),
        (_no_form, entry.space not in facts.spaces),
        (_too_small, facts.extent < entry.min_extent),
        (_too_few, facts.examples < entry.min_examples),
    )
    return next((message(entry, facts) for message, fails in checks if fails), "")


def applicable(entries: Iterable[MetricEntry], facts: Facts) -> list[MetricEntry]:
    """Those that apply, in their order."""
    return [entry for entry in entries if not obstacle(entry, facts)]


def _other_data(entry: MetricEntry, facts: Facts) -> str:
    return f"it measures the modality {entry.modality!r}, and the data are {facts.modality or 'of none'}"


def _other_representation(entry: MetricEntry, facts: Facts) -> str:
    given = repr(facts.representation) if facts.representation else "not named"
    return f"it measures data whose representation is {' or '.join(map(repr, entry.representations))}, and theirs is {given}"


def _other_family(entry: MetricEntry, facts: Facts) -> str:
    return f"it measures models of the family {entry.family!r}, and this one is of {facts.family or 'none'!r}"


def _other_model(entry: MetricEntry, facts: Facts) -> str:
    return f"it measures {', '.join(entry.models)}, and this model is {facts.model or 'not registered'}"


def _lacks(entry: MetricEntry, facts: Facts) -> str:
    return f"the model has no {', '.join(sorted(set(entry.capabilities) - facts.capabilities))}"


def _unpaired(entry: MetricEntry, facts: Facts) -> str:
    del entry, facts
    return "it compares each sample with a reference of its own, and samples of this model have none"


def _undeclared(entry: MetricEntry, facts: Facts) -> str:
    del entry, facts
    return "its plugin does not say whether it compares pairs or sets; name it to have it computed on two sets"


def _missing(entry: MetricEntry, facts: Facts) -> set[str]:
    wanted: set[str] = set(entry.needs)
    return wanted - facts.available - ({"samples"} if entry.compares == "pairs" and facts.paired else set())


def _not_given(entry: MetricEntry, facts: Facts) -> str:
    return f"it needs {', '.join(sorted(_missing(entry, facts)))}, which there is not"


def _no_form(entry: MetricEntry, facts: Facts) -> str:
    del facts
    return f"it wants examples in the space {entry.space!r}, which the data's modality does not know"


def _too_small(entry: MetricEntry, facts: Facts) -> str:
    return f"it needs examples of an extent of {entry.min_extent}, and these have {facts.extent}"


def _too_few(entry: MetricEntry, facts: Facts) -> str:
    return f"it means nothing below {entry.min_examples} examples, and there are {facts.examples}"
