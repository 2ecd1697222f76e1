"""What artifex-geometric registers."""

from __future__ import annotations

from artifex.core.plugins import (
    ComponentEntry,
    DatasetEntry,
    MetricEntry,
    ModelEntry,
    PresetEntry,
    hookimpl,
)

ARTIFEX_API = (1, 1)

HOME = "artifex.geometric"


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    return [
        ModelEntry(
            name="equivariant_diffusion",
            model=f"{HOME}.equivariant_diffusion:EquivariantDiffusion",
            config=f"{HOME}.equivariant_diffusion:EquivariantDiffusionConfig",
            family="geometric",
            capabilities=("log_prob",),
            paper="Hoogeboom et al. 2022, arXiv:2203.17003",
            summary="Molecules: diffusion of positions without centre of mass, and of types.",
        ),
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """The networks."""
    return [
        ComponentEntry(
            slot="geometric_network",
            name="egnn",
            component=f"{HOME}.egnn:EGNN",
            config=f"{HOME}.egnn:EGNNConfig",
            summary="Messages between all points; vectors turn with the points.",
        ),
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    edm = "Hoogeboom et al. 2022, arXiv:2203.17003"
    return [
        MetricEntry(
            name="stable_atoms",
            metric=f"{HOME}.molecules:stable_atoms",
            needs=("samples",),
            higher_is_better=True,
            paper=edm,
            summary="The share of atoms that have as many bonds as they should.",
        ),
        MetricEntry(
            name="stable_molecules",
            metric=f"{HOME}.molecules:stable_molecules",
            needs=("samples",),
            higher_is_better=True,
            paper=edm,
            summary="The share of molecules all of whose atoms are stable.",
        ),
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """The data sets."""
    return [
        DatasetEntry(
            name="qm9",
            dataset=f"{HOME}.datasets.qm9:QM9",
            config=f"{HOME}.datasets.qm9:QM9Config",
            summary="130 831 small molecules, from the package qm9pack (extra).",
        ),
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {"equivariant-diffusion-qm9": "An equivariant diffusion of the molecules of QM9."}
    return [
        PresetEntry(name=name, file=f"{HOME}:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
