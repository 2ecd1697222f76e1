"""Twenty-five Gaussians, every adversarial loss: how many modes a generator finds, and how many of its samples are good.

    python benchmarks/gan_modes.py [--losses wasserstein ...] [--seeds 3] [--torch] [--quick]
    python benchmarks/gan_modes.py --runs runs/gan-ring runs/wgan-grid

Needs `artifex-gan` and `artifex-training`; `--torch` needs `torch` and adds a non-saturating GAN written in it. About
half a minute a seed and loss on two cores. `--runs` scores trained runs on a mixture of Gaussians instead.

The data: a grid of 25 Gaussians of standard deviation 0.05 from -4 to 4. All alike: generator 2-128-128-128-2, discriminator
2-128-128-128-1, ReLU, 15 000 steps of 128 points, in each of which both move once; Adam without momentum, a cosine for the
learning rate, a moving average of the generator. Then 2500 samples: a mode is found where a sample lies within three standard
deviations of it, and such a sample is good (Srivastava et al. 2017, arXiv:1705.07761). 98.9 % of the data themselves are.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

STEPS, BATCH, LATENT, WIDTHS = 15_000, 128, 2, (128, 128, 128)
ADAM = {"learning_rate": 1e-3, "b1": 0.0, "b2": 0.99}
N_SAMPLES = 2500
SETTINGS: dict[str, dict[str, Any]] = {
    "wasserstein": {"gradient_penalty": 0.1},
    "non_saturating": {"r1": 0.1},
    "minimax": {"r1": 0.1},
    "hinge": {"r1": 0.1},
    "least_squares": {"r1": 0.1},
    "relativistic": {"r1": 0.1, "r2": 0.1},
}
"""What goes with each loss: the penalty that its authors, or those after them, train it with."""


def main() -> None:
    """Train every loss with every seed, or read runs, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--torch", action="store_true", help="add a non-saturating GAN in PyTorch")
    parser.add_argument("--quick", action="store_true", help="few steps: shows that it runs, not how well")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="score these instead")
    arguments = parser.parse_args()
    if arguments.runs:
        print("| run | modes | good samples |\n|---|---|---|")
        for run in arguments.runs:
            print(_scored(run), flush=True)
        return
    steps = 20 if arguments.quick else STEPS
    print("| loss | with | modes of 25, each seed | good samples, each seed | s a run |\n|---|---|---|---|---|", flush=True)
    for loss in arguments.losses:
        told = ", ".join(f"{name} {value}" for name, value in SETTINGS[loss].items())
        _row(loss, told, [_artifex(loss, seed, steps) for seed in range(arguments.seeds)])
    if arguments.torch:
        _row("non_saturating, torch", "no penalty", [_torch(seed, steps) for seed in range(arguments.seeds)])


def _row(name: str, told: str, runs: list[tuple[np.ndarray, float]]) -> None:
    from artifex.core.densities import GridOfGaussians
    from artifex.gan import metrics

    density = GridOfGaussians()
    scores = [
        f(samples, density.means(), density.noise)
        for f in (metrics.modes_covered, metrics.high_quality_share)
        for samples, _ in runs
    ]
    modes, good = scores[: len(runs)], scores[len(runs) :]
    shown = " ".join(str(int(m)) for m in modes), " ".join(f"{100 * float(g):.1f} %" for g in good)
    print(f"| {name} | {told} | {shown[0]} | {shown[1]} | {np.mean([s for _, s in runs]):.0f} |", flush=True)


def _scored(run: Path) -> str:
    """A row for a trained run."""
    from flax import nnx

    from artifex.core.densities import DENSITIES
    from artifex.gan import metrics
    from artifex.training.runs import load_run

    config, model, _ = load_run(run)
    density: Any = DENSITIES[config.data.dataset.density]()
    samples, means = model.generate(N_SAMPLES, rngs=nnx.Rngs(1)), density.means()
    modes = int(metrics.modes_covered(samples, means, density.noise))
    good = float(metrics.high_quality_share(samples, means, density.noise))
    return f"| {run.name} | {modes} of {len(means)} | {100 * good:.1f} % |"


def _artifex(loss: str, seed: int, steps: int) -> tuple[np.ndarray, float]:
    """Samples of a trained model, and the seconds that it took."""
    from flax import nnx

    from artifex.core.densities import DensitySamples, DensitySamplesConfig
    from artifex.gan import GAN, DiscriminatorConfig, GANConfig, GeneratorConfig
    from artifex.training import Trainer, TrainerConfig

    config = GANConfig(
        generator=GeneratorConfig(latent_dim=LATENT, hidden_dims=WIDTHS, output_shape=(2,)),
        discriminator=DiscriminatorConfig(hidden_dims=WIDTHS, activation="relu"),
        loss=loss,  # type: ignore[arg-type]
        **SETTINGS[loss],
    )
    data = DensitySamples(DensitySamplesConfig(density="grid_of_gaussians", n_train=256 * 2000, seed=seed))
    training = TrainerConfig(
        steps=steps,
        batch_size=BATCH,
        optimizer={  # type: ignore[arg-type]
            "learning_rate": ADAM["learning_rate"],
            "options": {"b1": ADAM["b1"], "b2": ADAM["b2"]},
            "scheduler": {"scheduler_type": "cosine"},
        },
        ema_decay=0.999,
        ema_parameters=("generator",),
        log_every=1000,
    )
    began = time.perf_counter()
    trainer = Trainer(GAN(config, rngs=nnx.Rngs(seed)), training, seed=seed)
    trainer.fit(data.arrays("train"))
    samples = trainer.evaluation_model().generate(N_SAMPLES, rngs=nnx.Rngs(1))
    return np.asarray(samples), time.perf_counter() - began


def _torch(seed: int, steps: int) -> tuple[np.ndarray, float]:
    """The same by hand in PyTorch, non-saturating, as its tutorials have it."""
    import torch
    from torch import nn

    from artifex.core.densities import DensitySamples, DensitySamplesConfig

    torch.manual_seed(seed)
    data = DensitySamples(DensitySamplesConfig(density="grid_of_gaussians", n_train=256 * 2000, seed=seed))
    points = torch.tensor(data.arrays("train")["x"])

    def mlp(n_in: int, n_out: int) -> nn.Sequential:
        widths = (n_in, *WIDTHS)
        hidden = [m for i, o in pairwise(widths) for m in (nn.Linear(i, o), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(widths[-1], n_out))

    generator, discriminator = mlp(LATENT, 2), mlp(2, 1)
    betas = (ADAM["b1"], ADAM["b2"])
    adam = [torch.optim.Adam(net.parameters(), lr=ADAM["learning_rate"], betas=betas) for net in (generator, discriminator)]
    rates = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) for optimizer in adam]
    plus = nn.functional.softplus
    began = time.perf_counter()
    for _ in range(steps):
        real = points[torch.randint(len(points), (BATCH,))]
        fake = generator(torch.randn(BATCH, LATENT)).detach()
        adam[1].zero_grad()
        (plus(-discriminator(real)).mean() + plus(discriminator(fake)).mean()).backward()
        adam[1].step()
        adam[0].zero_grad()
        plus(-discriminator(generator(torch.randn(BATCH, LATENT)))).mean().backward()
        adam[0].step()
        for rate in rates:
            rate.step()
    with torch.no_grad():
        return generator(torch.randn(N_SAMPLES, LATENT)).numpy(), time.perf_counter() - began


if __name__ == "__main__":
    main()
