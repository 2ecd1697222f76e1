"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from typing import Any

from artifex.core.plugins import ComponentEntry, DatasetEntry, LossEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.multimodal"


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """``multimodal``, and two small kinds of data for its parts."""
    kinds = {
        "multimodal": (
            "modality:MultiModalModality",
            "MultiModalModality",
            "Several modalities in one example; parts may be missing.",
        ),
        "letters": ("simple:Letters", "Letters", "Short words as one-hot letters."),
        "waves": ("simple:Waves", "Waves", "Short waveforms in [-1, 1]; samples as WAV."),
    }
    return [
        ModalityEntry(name=name, modality=f"{_HERE}.{target}", config=f"{_HERE}.config:{config}Config", summary=summary)
        for name, (target, config, summary) in kinds.items()
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of several kinds of data."""
    kinds = {
        "digit_words": ("digit_words:DigitWords", "Digits, their words and their tones; no download."),
        "paired_folders": ("paired_folders:PairedFolders", "A folder for each part; files of one name belong together."),
        "json_lines_pairs": ("json_lines:JsonLinesPairs", "JSON lines of the paths of files that belong together."),
        "side_by_side": ("side_by_side:SideBySide", "Other data sets as one; rows of one number belong together."),
    }
    return [
        DatasetEntry(
            name=name,
            dataset=f"{_HERE}.datasets.{target}",
            config=f"{_HERE}.datasets.{target}Config",
            modality="multimodal",
            summary=summary,
        )
        for name, (target, summary) in kinds.items()
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """Ways to fuse parts."""
    kinds = {
        "concatenation": ("Concatenation", "Linear map of all parts; learned vectors where one is missing."),
        "attention": ("Attention", "A learned summary attends to the parts."),
        "gated": ("Gated", "Gated multimodal unit."),
        "hierarchical": ("Hierarchical", "Gated units within groups of parts, then among the groups."),
    }
    return [
        ComponentEntry(
            slot="fusion",
            name=name,
            component=f"{_HERE}.fusion:{cls}Fusion",
            config=f"{_HERE}.fusion:{cls}FusionConfig",
            summary=summary,
        )
        for name, (cls, summary) in kinds.items()
    ]


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """The loss of encoders into one space."""
    return [
        LossEntry(
            name="parts_contrastive",
            loss=f"{_HERE}.encoders:contrastive_loss",
            family="multimodal",
            paper="Radford et al. 2021, arXiv:2103.00020",
            summary="Each part has to find its example's other parts in the batch.",
        )
    ]


def _of_embeddings(name: str, target: str, summary: str, *, higher: bool, **fields: Any) -> MetricEntry:
    """Of every model, of whatever family, that embeds the parts of an example in one space."""
    return MetricEntry(
        name=name,
        metric=f"{_HERE}.metrics:{target}",
        needs=("embeddings",),
        capabilities=("embed_parts",),
        higher_is_better=higher,
        modality="multimodal",
        summary=summary,
        **fields,
    )


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Retrieval and agreement."""
    wang = "Wang & Isola 2020, arXiv:2005.10242"
    near = {"higher": True, "tolerance": 0.01, "lowest": 0, "highest": 1}
    return [
        _of_embeddings("recall_at_1", "RECALL_AT_1", "How often the nearest is the right one.", **near),
        _of_embeddings("recall_at_5", "RECALL_AT_5", "How often the right one is among the five nearest.", **near),
        _of_embeddings("median_rank", "MEDIAN_RANK", "Median rank of the right one.", higher=False, tolerance=0.5, lowest=1),
        _of_embeddings(
            "alignment",
            "ALIGNMENT",
            "Mean squared distance of pairs on the unit sphere.",
            higher=False,
            paper=wang,
            lowest=0,
            highest=4,
        ),
        _of_embeddings(
            "uniformity",
            "UNIFORMITY",
            "How evenly embeddings fill the unit sphere.",
            higher=False,
            paper=wang,
            min_examples=2,
            lowest=-8,  # of the logarithm of exp(-2 d²), d at most 2
            highest=0,
        ),
        MetricEntry(
            name="cross_modal_consistency",
            metric=f"{_HERE}.metrics:cross_modal_consistency",
            needs=("samples", "references", "labels"),
            higher_is_better=True,
            modality="multimodal",
            space="host",
            compares="sets",
            tolerance=0.01,
            lowest=0,
            highest=1,
            summary="How often the parts of a sample are of one class.",
        ),
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """The suite of digits and words."""
    return [SuiteEntry(name="digit-words", file=f"{_HERE}:suites/digit_words.yaml", summary="Digits with their words.")]
