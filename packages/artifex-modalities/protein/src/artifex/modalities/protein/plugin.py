"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

import math

from artifex.core.plugins import DatasetEntry, ExtensionEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.protein"
_TABLE = "Engh & Huber 2001, International Tables for Crystallography F, 18.3"
_AMBER = "Cornell et al. 1995, doi:10.1021/ja00124a002"
_STRUCTURES = ("coordinates", "frames", "dihedrals")


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``protein``."""
    return [
        ModalityEntry(
            name="protein",
            modality=f"{_HERE}.modality:ProteinModality",
            config=f"{_HERE}.config:ProteinModalityConfig",
            summary="Proteins as atoms, frames, dihedrals or letters: crops, rotations; samples as PDB and FASTA files.",
        )
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of proteins."""
    entries = {
        "protein": ("protein_dataset:ProteinDataset", "Chains from a folder of PDB, mmCIF and, for sequences, FASTA files."),
        "protein_folds": ("folds:ProteinFolds", "Made backbones of helices, strands and turns."),
    }
    return [
        DatasetEntry(
            name=name,
            dataset=f"{_HERE}.datasets.{target}",
            config=f"{_HERE}.datasets.{target}Config",
            modality="protein",
            summary=summary,
        )
        for name, (target, summary) in entries.items()
    ]


@hookimpl
def artifex_extensions() -> list[ExtensionEntry]:
    """Penalties on what a model predicts."""
    entries = {
        "bond_length": ("BondLengthExtension", "Holds the backbone's bonds to their lengths."),
        "bond_angle": ("BondAngleExtension", "Holds the backbone's angles to their means."),
    }
    return [
        ExtensionEntry(
            name=name,
            extension=f"{_HERE}.extensions:{cls}",
            config=f"{_HERE}.extensions:{cls}Config",
            summary=summary,
        )
        for name, (cls, summary) in entries.items()
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """A suite on data that need no file."""
    file = f"{_HERE}:suites/protein_folds.yaml"
    return [SuiteEntry(name="protein-folds", file=file, summary="Made backbones: how sound samples are.")]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics of structures and of sequences."""
    return [*_pairs(), *_samples(), *_letters()]


def _pairs() -> list[MetricEntry]:
    zhang = "Zhang & Skolnick 2004, doi:10.1002/prot.20264"
    lddt = "Mariani et al. 2013, doi:10.1093/bioinformatics/btt473"
    entries = {
        "rmsd": (False, "Å", 0.05, "Kabsch 1976, doi:10.1107/S0567739476001873", "Distance of alpha carbons, superimposed."),
        "tm_score": (True, "", 0.005, zhang, "TM-score, normalised by the reference's length."),
        "gdt_ts": (True, "", 0.005, "Zemla 2003, doi:10.1093/nar/gkg571", "Share of alpha carbons within 1, 2, 4 and 8 Å."),
        "lddt": (True, "", 0.005, lddt, "Share of distances within 15 Å that are kept; mirror images keep all."),
        "chirality_agreement": (True, "", 0.005, "", "Share of four alpha carbons that turn as the reference's."),
    }
    return [
        MetricEntry(
            name=f"protein_{name}",
            metric=f"{_HERE}.metrics:{name}",
            needs=("samples", "references"),
            higher_is_better=higher,
            modality="protein",
            representations=_STRUCTURES,
            space="host",
            compares="pairs",
            unit=unit,
            tolerance=tolerance,
            lowest=0,
            highest=math.inf if unit else 1,  # without a unit they are shares
            paper=paper,
            summary=summary,
        )
        for name, (higher, unit, tolerance, paper, summary) in entries.items()
    ]


def _samples() -> list[MetricEntry]:
    word = "Word et al. 1999, doi:10.1006/jmbi.1998.2400"
    entries = {
        "sound_bonds": (True, "", 0.005, _TABLE, "Share of the backbone's bonds within four standard deviations."),
        "sound_angles": (True, "", 0.005, _TABLE, "Share of the backbone's angles within four standard deviations."),
        "coarse_ramachandran": (True, "", 0.005, "", "Share of residues in coarse boxes of the Ramachandran plane."),
        "clash_score": (False, "per 1000 atoms", 0.5, word, "Pairs of heavy atoms that overlap by 0.4 Å."),
        "bond_energy": (False, "kJ/mol", 0.5, _AMBER, "Energy of the backbone's bonds, a residue."),
        "angle_energy": (False, "kJ/mol", 0.5, _AMBER, "Energy of the backbone's angles, a residue."),
        "lennard_jones_energy": (False, "kJ/mol", 0.5, _AMBER, "Van der Waals energy of the backbone, a residue."),
    }
    return [
        MetricEntry(
            name=f"protein_{name}",
            metric=f"{_HERE}.metrics:{name}",
            needs=("samples",),
            higher_is_better=higher,
            modality="protein",
            representations=_STRUCTURES,
            space="host",
            unit=unit,
            tolerance=tolerance,
            lowest=-math.inf if name == "lennard_jones_energy" else 0,
            highest=math.inf if unit else 1,
            paper=paper,
            summary=summary,
        )
        for name, (higher, unit, tolerance, paper, summary) in entries.items()
    ]


def _letters() -> list[MetricEntry]:
    entries = {
        "composition": (("sequence", "secondary"), "Total variation between the frequencies of letters."),
        "dipeptide": (("sequence",), "Total variation between the frequencies of two successive letters."),
    }
    return [
        MetricEntry(
            name=f"protein_{name}_difference",
            metric=f"{_HERE}.metrics:{name}_difference",
            needs=("samples", "references"),
            higher_is_better=False,
            modality="protein",
            representations=representations,
            space="host",
            compares="sets",
            tolerance=0.005,
            lowest=0,
            highest=1,
            summary=summary,
        )
        for name, (representations, summary) in entries.items()
    ]
