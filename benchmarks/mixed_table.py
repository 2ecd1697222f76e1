"""How good the samples of a run on the made mixed table are, beside real rows in their place.

    python benchmarks/mixed_table.py [--run RUN] [--n-samples 2000] [--seed 0] [--quick]

Needs `artifex-modalities-tabular`, `artifex-training` and `artifex-diffusion`. Without `--run` it trains the preset
`edm-mixed-table` first, which takes four minutes. References are the test rows; "real" are
training rows where the samples stand. Of the membership figure, 0.5 is the best.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from artifex.modalities.tabular import metrics
from artifex.modalities.tabular.datasets import MixedTable
from artifex.training import build_run, read_run_config
from artifex.training.runs import load_run

TARGETS = ("member", "region", "spending")


def trained(run: Path | None, quick: bool) -> tuple[Any, Any, Any]:
    """Config, model and modality of a run, or of the preset trained in memory."""
    if run is not None:
        return load_run(run)
    built = build_run(read_run_config("edm-mixed-table", ["callbacks=[]", *(["training.steps=20"] if quick else [])]))
    built.trainer.callbacks = ()  # in memory: nothing to report to a folder
    built.trainer.fit(built.train)
    return built.config, built.trainer.evaluation_model(), built.trainer.modality


def main(run: Path | None, n_samples: int, seed: int, quick: bool) -> None:
    """Draw and print a line for each figure."""
    config, model, modality = trained(run, quick)
    data = MixedTable(config.data.dataset)
    train, test = data.table("train"), data.table("test")
    samples = modality.to_frame(np.asarray(model.generate(n_samples, rngs=nnx.Rngs(seed))))
    real = train[:n_samples]
    print(f"{'':26} samples  real")
    for name in ("ks_complement", "tv_complement", "correlation_similarity", "contingency_similarity", "in_range"):
        print(f"{name:26} {getattr(metrics, name)(samples, test):7.4f}  {getattr(metrics, name)(real, test):.4f}")
    for target in TARGETS:
        found = metrics.utility(samples, train, test, target=target)
        print(f"{f'{found.score}, {target}':26} {found.synthetic:7.4f}  {found.real:.4f}")
    print(f"{'membership_auc':26} {metrics.membership_auc(samples, train, test):7.4f}")
    print(f"{'training_copies':26} {metrics.training_copies(samples, train):7.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--n-samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="twenty steps, a hundred samples: shows that it runs")
    arguments = parser.parse_args()
    main(arguments.run, 100 if arguments.quick else arguments.n_samples, arguments.seed, arguments.quick)
