"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from artifex.core.plugins import DatasetEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.molecular"


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``molecular``."""
    return [
        ModalityEntry(
            name="molecular",
            modality=f"{_HERE}.modality:MolecularModality",
            config=f"{_HERE}.config:MolecularModalityConfig",
            summary="Molecules as SMILES, SELFIES, graphs or atoms in space; samples as .smi or .sdf files, and drawn.",
        )
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of molecules."""
    entries = {
        "molecules": ("molecule_file:MoleculeFile", "Molecules of an SDF, SMILES or CSV file."),
        "common_molecules": ("packaged:CommonMolecules", "A few hundred common molecules, in the package itself."),
        "qm9_molecules": ("packaged:QM9Molecules", "The SMILES of QM9, from the package qm9pack (extra)."),
        "moses_molecules": ("packaged:MosesMolecules", "MOSES' drug-like molecules, from the package molsets."),
    }
    return [
        DatasetEntry(
            name=name,
            dataset=f"{_HERE}.datasets.{target}",
            config=f"{_HERE}.datasets.{target}Config",
            modality="molecular",
            summary=summary,
        )
        for name, (target, summary) in entries.items()
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """A suite on data that need no file."""
    file = f"{_HERE}:suites/common_molecules.yaml"
    return [SuiteEntry(name="common-molecules", file=file, summary="Common molecules as SMILES.")]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics of molecules."""
    moses, edm = "Polykovskiy et al. 2020, arXiv:1811.12823", "Hoogeboom et al. 2022, arXiv:2203.17003"
    bickerton, ertl = "Bickerton et al. 2012, doi:10.1038/nchem.1243", "Ertl & Schuffenhauer 2009, doi:10.1186/1758-2946-1-8"
    both = ("samples", "references")
    entries = {
        "validity": (("samples",), True, moses, "Share of samples that are molecules."),
        "uniqueness": (("samples",), True, moses, "Share of different molecules among the valid."),
        "qed": (("samples",), True, bickerton, "Mean drug-likeness of the valid."),
        "synthetic_accessibility": (("samples",), False, ertl, "Mean SA score of the valid, 1 easy to 10 hard."),
        "internal_diversity": (("samples",), True, moses, "One less the mean similarity of two valid samples."),
        "novelty": (
            ("samples", "training"),
            True,
            moses,
            "Share of different valid samples that no training molecule equals.",
        ),
        "nearest_similarity": (both, True, moses, "SNN: mean similarity to the nearest reference."),
        "scaffold_similarity": (both, True, moses, "Scaff: cosine between counts of scaffolds."),
        "stable_atoms": (("samples",), True, edm, "Share of atoms in space with as many bonds as they should have."),
        "stable_molecules": (("samples",), True, edm, "Share of molecules in space all of whose atoms are stable."),
    }
    figures = [
        MetricEntry(
            name=f"molecule_{name}",
            metric=f"{_HERE}.metrics:{name}",
            needs=needs,
            higher_is_better=higher,
            modality="molecular",
            space="host",
            compares="sets" if len(needs) > 1 else "samples",  # the training set is another, of any size
            representations=("conformer",) if name.startswith("stable") else (),  # texts leave hydrogens out
            tolerance=0.005,
            lowest=1 if name == "synthetic_accessibility" else 0,
            highest=10 if name == "synthetic_accessibility" else 1,
            paper=paper,
            summary=summary,
        )
        for name, (needs, higher, paper, summary) in entries.items()
    ]
    return [*figures, _chemnet_distance()]


def _chemnet_distance() -> MetricEntry:
    """Without ``compares``: it needs an extra, and is computed where it is asked for."""
    return MetricEntry(
        name="molecule_chemnet_distance",
        metric=f"{_HERE}.chemnet:FRECHET_CHEMNET_DISTANCE",
        needs=("samples", "references"),
        higher_is_better=False,
        modality="molecular",
        space="host",
        min_examples=2,
        tolerance=0.05,
        lowest=0,
        paper="Preuer et al. 2018, doi:10.1021/acs.jcim.8b00234",
        summary="FCD: Fréchet distance of ChemNet's activations (extra fcd).",
    )
