"""Every preset: says what it is, parses, builds, and has a finite loss on its own data."""

from __future__ import annotations

import importlib.util
import math
from importlib import resources
from pathlib import Path

import pytest

from artifex.core import plugins

pytest.importorskip("artifex.training")  # the distribution stands without it; its presets need it

PRESETS = {
    entry.name: entry for entry, plugin in plugins.registry().entries("preset") if plugin.distribution == "artifex-geometric"
}
THESEUS = Path("/usr/share/doc/theseus/examples")
SMALLER = ["training.batch_size=8", "data.dataset.n_train=16", "data.dataset.n_held_out=8"]


@pytest.mark.parametrize("name", PRESETS)
def test_its_head_gives_command_run_time_and_expected_figure(name: str) -> None:
    package, _, file = PRESETS[name].file.partition(":")
    head = [line for line in resources.files(package).joinpath(file).read_text().splitlines() if line.startswith("#")]
    assert head[0] == f"# artifex train {name}"
    assert "Run time:" in "".join(head)
    assert "Expect" in "".join(head)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["traced", "compiled"])
@pytest.mark.parametrize("name", PRESETS)
def test_it_builds_and_its_first_batch_has_a_finite_loss(name: str, compiled: bool, tmp_path: Path) -> None:
    """What ``artifex train NAME --dry-run`` does, with small batches; every day as far as shapes tell."""
    from artifex.training.dry_run import dry_run
    from artifex.training.run_config import read_run_config
    from artifex.training.runs import build_run

    if "theseus" in name and not (THESEUS.is_dir() and importlib.util.find_spec("gemmi")):
        pytest.skip("needs Debian's theseus-examples and gemmi; test_geometric_datasets.py reads files like them")
    written = {"backbone-flow-structures": structures_in, "equivariant-diffusion-qm9": molecules_in}
    smaller = written[name](tmp_path) if name in written else SMALLER[: 1 if "theseus" in name else None]
    config = read_run_config(name, smaller)
    assert config.name == name
    run = build_run(config)  # which traces a whole step
    if compiled:
        losses = dry_run(run).losses
        assert losses
        assert all(map(math.isfinite, losses.values())), losses


def structures_in(folder: Path) -> list[str]:
    """Settings of a run on made chains of 64 residues and more, written to files."""
    proteins = pytest.importorskip("artifex.modalities.protein")
    chains = proteins.datasets.ProteinFoldsConfig(n_train=16, n_held_out=1, min_seq_length=64, max_seq_length=80)
    for i, protein in enumerate(proteins.datasets.ProteinFolds(chains).split("train")):
        proteins.write_proteins(protein, folder / f"chain_{i}.pdb")
    return ["training.batch_size=8", f"data.dataset.data_dir={folder}"]


def molecules_in(folder: Path) -> list[str]:
    """Settings of a run on methane and water, 24 of each, written as qm9pack's files are."""
    methane = ["C,H,H,H,H", [[0, 0, 0], [0.63, 0.63, 0.63], [-0.63, -0.63, 0.63], [-0.63, 0.63, -0.63], [0.63, -0.63, -0.63]]]
    water = ["O,H,H", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]]
    head = "XYZ_file,Index,SMILES,InChi,N_atoms,Stoichiometry,Elements,XYZ_Ang"
    rows = [f'm,1,S,,{len(xyz)},,"{[*letters.split(",")]}","{xyz}"' for letters, xyz in (methane, water)]
    for part in (1, 2, 3):
        (folder / f"qm9_part{part}.csv").write_text("\n".join([head, *(rows * 8)]) + "\n")
    evaluation = "data.evaluation_split=train"  # the other splits are what follows the first 100 000
    return ["training.batch_size=8", f"data.dataset.folder={folder}", evaluation]


def test_qm9s_preset_is_a_run_file() -> None:
    from artifex.training.run_config import read_run_config

    config = read_run_config("equivariant-diffusion-qm9")
    assert config.model.max_points == 29
    assert sum(config.model.size_counts) == 130_831
