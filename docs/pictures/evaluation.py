"""A picture of an evaluation: two models of two moons beside each other, each metric with its interval.

    python docs/pictures/evaluation.py [--seed 0] [--epochs 15] [--output docs/pictures]

A flow trained for long and one trained for a tenth as long, on fresh draws of the density.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from flax import nnx
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from artifex.core import create_model
from artifex.core.densities import DensitySamples, DensitySamplesConfig
from artifex.evaluation import EvaluationConfig, EvaluationPipeline
from artifex.flow import NeuralSplineFlowConfig
from artifex.training import Trainer, TrainerConfig

METRICS = ("divergence", "energy_distance", "sample_precision", "sample_coverage")


def main(seed: int, epochs: int, output: Path) -> None:
    """Train, measure and draw."""
    data = DensitySamples(DensitySamplesConfig(density="two_moons", n_train=20_000, n_test=2000))
    config = NeuralSplineFlowConfig(input_dim=2, num_transforms=2, hidden_dims=(32, 32), reach=5.0)
    pipeline = EvaluationPipeline(EvaluationConfig(metrics=METRICS, n_samples=2000), seed=seed)
    results, samples = {}, {}
    for name, length in (("short", max(1, epochs // 10)), ("long", epochs)):
        model = create_model(config, rngs=nnx.Rngs(seed))
        training = TrainerConfig(epochs=length, batch_size=500, optimizer={"learning_rate": 3e-3})
        Trainer(model, training, seed=seed).fit(data.arrays("train"))
        results[name] = pipeline.evaluate(model, data.arrays("test"), density=data)
        samples[name] = np.asarray(model.generate(2000, rngs=nnx.Rngs(seed)))
    _draw(results, samples, data.arrays("test")["x"], output / "evaluation.png")


def _draw(results: dict, samples: dict, references: np.ndarray, path: Path) -> None:
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=(1.5, 1))
    panels = {"short": samples["short"], "long": samples["long"], "data": references}
    for place, (name, points) in zip(above.subplots(1, 3, sharex=True, sharey=True), panels.items(), strict=True):
        place.plot(points[:, 0], points[:, 1], ".", markersize=1.5, color="#0072b2")
        place.set(title=name, xlim=(-4, 5), ylim=(-3, 4))
    for place, metric in zip(below.subplots(1, len(METRICS)), METRICS, strict=True):
        for i, result in enumerate(results.values()):
            r = result[metric]
            reach = [[max(0, r.value - r.low)], [max(0, r.high - r.value)]]
            place.errorbar(r.value, i, xerr=reach, fmt="o", capsize=3, color=("#d55e00", "#0072b2")[i])
        place.set_yticks(range(len(results)), list(results))
        place.set(title=metric, ylim=(-0.5, len(results) - 0.5))
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.epochs, arguments.output)
