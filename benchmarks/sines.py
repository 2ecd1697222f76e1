"""How good the samples of a run on made series are, beside real series in their place.

    python benchmarks/sines.py [--run RUN] [--n-samples 1000] [--seed 0] [--quick]

Needs `artifex-modalities-timeseries`, `artifex-training` and `artifex-diffusion`. Without `--run` it trains the preset
`edm-sines` first, which takes two minutes. References are the test series;
"real" are training series where the samples stand.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from artifex.modalities.timeseries import metrics
from artifex.modalities.timeseries.datasets import MadeSeries
from artifex.training import build_run, read_run_config
from artifex.training.runs import load_run

FIGURES = (
    "autocorrelation_difference",
    "power_spectrum_distance",
    "marginal_distribution_difference",
    "trend_preservation",
    "seasonality_preservation",
    "discriminative_score",
    "predictive_score",
)


def trained(run: Path | None, quick: bool) -> tuple[Any, Any, Any]:
    """Config, model and modality of a run, or of the preset trained in memory."""
    if run is not None:
        return load_run(run)
    built = build_run(read_run_config("edm-sines", ["callbacks=[]", *(["training.steps=20"] if quick else [])]))
    built.trainer.callbacks = ()  # in memory: nothing to report to a folder
    built.trainer.fit(built.train)
    return built.config, built.trainer.evaluation_model(), built.trainer.modality


def main(run: Path | None, n_samples: int, seed: int, quick: bool) -> None:
    """Draw and print a line for each figure."""
    config, model, modality = trained(run, quick)
    data = MadeSeries(config.data.dataset)
    train, test = data.arrays("train")["x"][:n_samples], data.arrays("test")["x"][:n_samples]
    samples = [one for one in modality.to_host(np.asarray(model.generate(n_samples, rngs=nnx.Rngs(seed)))) if one is not None]
    print(f"{'':34} samples  real")
    for name in FIGURES:
        metric = getattr(metrics, name)
        print(f"{name:34} {metric(samples, test):7.4f}  {metric(train, test):.4f}")
    near, real = (float(metrics.dtw_to_nearest(side[:50], test).mean()) for side in (samples, train))
    print(f"{'dtw_to_nearest, mean of 50':34} {near:7.4f}  {real:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--n-samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="twenty steps, a hundred samples: shows that it runs")
    arguments = parser.parse_args()
    main(arguments.run, 100 if arguments.quick else arguments.n_samples, arguments.seed, arguments.quick)
