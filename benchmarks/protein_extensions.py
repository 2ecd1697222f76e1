"""What the extensions of bond lengths and angles do for a flow of backbones: the same training without and with them.

    python benchmarks/protein_extensions.py [--steps 1500] [--weight 5] [--structures FOLDER] [--seeds 0 1 2] [--quick]

Needs `artifex-geometric`, `artifex-training` and `artifex-modalities-protein`. Without `--structures` the chains are made:
helices, strands and turns of 20 to 32 residues; with it, stretches of 32 residues from a folder of PDB or mmCIF files. About
five minutes of a core for each seed. It prints, for 256 samples each: the share of peptide bonds C-N within four standard
deviations of their mean, the same of the two angles across that bond (other bonds and angles are ideal by the model's
construction), of all bonds, and of residues in coarse regions of the Ramachandran plane; last, what the extensions change, as
the mean over seeds and the least and the largest of them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

LENGTH, SAMPLES = 32, 256


def main() -> None:
    """Train each way with every seed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--weight", type=float, default=5.0, help="of each extension")
    parser.add_argument("--structures", type=Path, help="a folder of PDB or mmCIF files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    given = parser.parse_args()
    steps = 10 if given.quick else given.steps
    print("| seed | weight | sound C-N | sound angles at C-N | sound bonds | coarse Ramachandran | s |\n" + 7 * "|---" + "|")
    changes = []
    for seed in given.seeds:
        found = []
        for weight in (0.0, given.weight):
            started = time.perf_counter()
            samples = sampled(given.structures, steps, weight, seed, 8 if given.quick else SAMPLES)
            found.append(100 * np.array(shares(samples)))
            shown = " | ".join(f"{share:.1f} %" for share in found[-1])
            print(f"| {seed} | {weight:g} | {shown} | {time.perf_counter() - started:.0f} |", flush=True)
        changes.append(found[1] - found[0])
    spread = zip(np.mean(changes, axis=0), np.min(changes, axis=0), np.max(changes, axis=0), strict=True)
    print(
        "| all | change | " + " | ".join(f"{mean:+.1f} ({least:+.1f} to {most:+.1f})" for mean, least, most in spread) + " | |"
    )


def sampled(folder: Path | None, steps: int, weight: float, seed: int, n_samples: int) -> list[Any]:
    """Proteins from a model that was trained with extensions of this weight; 0 is without."""
    from artifex.geometric import BackboneFlow, BackboneFlowConfig, InvariantPointAttentionConfig
    from artifex.modalities.protein import (
        BondAngleExtension,
        BondAngleExtensionConfig,
        BondLengthExtension,
        BondLengthExtensionConfig,
        ProteinModality,
        ProteinModalityConfig,
    )
    from artifex.training import Trainer, TrainerConfig

    network = InvariantPointAttentionConfig(features=64, layers=3, scalars=8, value_points=4, pair_features=16)
    arrays, longest = data(folder, seed)
    modality = ProteinModality(ProteinModalityConfig(max_seq_length=longest, crop=LENGTH, rotate=True))
    model = BackboneFlow(BackboneFlowConfig(max_residues=LENGTH, network=network), rngs=nnx.Rngs(seed))
    extensions = (
        BondLengthExtension(BondLengthExtensionConfig(weight=weight, since=0.5)),
        BondAngleExtension(BondAngleExtensionConfig(weight=weight, since=0.5)),
    )
    optimizer = {"optimizer_type": "adam", "learning_rate": 1e-3, "clip_norm": 1.0, "scheduler": {"scheduler_type": "cosine"}}
    config = TrainerConfig.from_dict({"steps": steps, "batch_size": 16, "optimizer": optimizer})
    trainer = Trainer(model, config, seed=seed, modality=modality, extensions=extensions if weight else ())
    trainer.fit(arrays)
    lengths = arrays["mask"].sum(axis=1).clip(max=LENGTH)
    sizes = np.random.default_rng(seed).choice(lengths, n_samples)
    x, mask = model.sample_sets(n_samples, sizes=sizes, rngs=nnx.Rngs(seed))
    return [protein for protein in modality.to_host(np.asarray(x), np.asarray(mask)) if protein is not None]


def data(folder: Path | None, seed: int) -> tuple[dict[str, np.ndarray], int]:
    """The training split, and how long its examples may be."""
    from artifex.modalities.protein.datasets import ProteinDataset, ProteinDatasetConfig, ProteinFolds, ProteinFoldsConfig

    if folder is None:
        folds = ProteinFolds(ProteinFoldsConfig(n_train=2048, min_seq_length=20, max_seq_length=LENGTH, seed=seed))
        return folds.arrays("train"), LENGTH
    config = ProteinDatasetConfig(max_seq_length=384, min_seq_length=LENGTH, residue_types=False, bucket_step=None)
    return ProteinDataset(config, data_dir=folder).arrays("train"), 384


def shares(proteins: list[Any]) -> tuple[float, float, float, float]:
    """Sound C-N, sound angles at it, sound bonds, residues in coarse regions."""
    from artifex.modalities.protein import metrics
    from artifex.modalities.protein.constraints import measure

    sound = {"bonds": [], "angles": []}
    for protein in proteins:
        measured = measure(protein)
        for kind, columns in (("bonds", [3]), ("angles", [2, 3])):
            found = getattr(measured, kind)
            off = np.abs(found.value - found.ideal) / found.sigma
            sound[kind].append((off <= metrics.SIGMAS)[:, columns][found.there[:, columns]])
    of_links = (float(np.mean(np.concatenate(sound[kind]))) for kind in ("bonds", "angles"))
    batch = {"samples": proteins}
    of_all = (m.finalize(m.statistics(batch).sum(axis=0)) for m in (metrics.sound_bonds, metrics.coarse_ramachandran))
    return (*of_links, *(float(share) for share in of_all))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
