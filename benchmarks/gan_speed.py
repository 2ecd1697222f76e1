"""Milliseconds a training step of a DCGAN, 64 × 64 × 3, batch 32: PyTorch beside Artifex.

    python benchmarks/gan_speed.py [--threads 2] [--rounds 6] [--compiled] [--quick]

Needs `torch`, `artifex-gan` and `artifex-training` (`nox -s bench` sets them up). About three minutes on two cores.

The networks are those of PyTorch's own example (examples/dcgan), 64 channels wide; a step moves the discriminator
on a batch of real and one of generated images, then the generator, both by Adam. PyTorch makes one batch of images a step and
shows it to both, as its example does; Artifex draws one for each. Every row is a process of its own on the same cores, and the
rows take turns (`rounds.py`).
"""

from __future__ import annotations

import argparse
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
from rounds import Contestant, Run, measure, table

BATCH, LATENT_DIM, SIZE = 32, 100, 64
WIDTHS = (64, 128, 256, 512)


def main() -> None:
    """Time the rows and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="one step a round: shows that it runs, not how fast")
    parser.add_argument("--compiled", action="store_true", help="PyTorch compiled too, where its inductor can")
    arguments = parser.parse_args()
    threads = arguments.threads
    rows = [
        Contestant("torch, eager", torch_loop, {"compiled": False}),
        *([Contestant("torch, compiled", torch_loop, {"compiled": True})] if arguments.compiled else []),
        Contestant("Artifex's trainer", artifex_training, {"devices": 1}),
        Contestant(f"Artifex's trainer, {threads} host devices", artifex_training, {"devices": threads}),
    ]
    steps, rounds = (1, 1) if arguments.quick else (3, arguments.rounds)
    timings = measure(rows, steps=steps, rounds=rounds, threads=threads)
    print(f"DCGAN {SIZE} × {SIZE}, batch {BATCH}, {threads} threads, medians of {rounds} rounds of {steps} steps\n")
    print(table(timings, baseline="torch, eager"))
    print("\nMilliseconds of processor, all cores together, medians:")
    for label, timing in timings.items():
        print(f"  {label}: {statistics.median(timing.processor_rounds_ms):.0f}")


def images(count: int) -> np.ndarray:
    """Noise in [-1, 1], ``(count, 3, 64, 64)``: the time of a step does not hang on what is drawn."""
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, SIZE, SIZE)).astype(np.float32)


def torch_loop(compiled: bool, threads: int) -> Run:
    """The example's loop on one batch in memory."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    up: list[Any] = [nn.ConvTranspose2d(LATENT_DIM, WIDTHS[-1], 4, 1, 0, bias=False), nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU(True)]
    for i, o in pairwise(WIDTHS[::-1]):
        up += [nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(True)]
    generator: Any = nn.Sequential(*up, nn.ConvTranspose2d(WIDTHS[0], 3, 4, 2, 1, bias=False), nn.Tanh())
    down: list[Any] = [nn.Conv2d(3, WIDTHS[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for i, o in pairwise(WIDTHS):
        down += [nn.Conv2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.LeakyReLU(0.2, True)]
    discriminator: Any = nn.Sequential(*down, nn.Conv2d(WIDTHS[-1], 1, 4, 1, 0, bias=False))
    adam = [torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator)]
    if compiled:
        generator, discriminator = torch.compile(generator), torch.compile(discriminator)
    entropy, real = nn.functional.binary_cross_entropy_with_logits, torch.as_tensor(images(BATCH))
    ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)

    def run(steps: int) -> None:
        for _ in range(steps):
            fake = generator(torch.randn(BATCH, LATENT_DIM, 1, 1))
            adam[1].zero_grad(set_to_none=True)
            entropy(discriminator(real).flatten(), ones).backward()
            entropy(discriminator(fake.detach()).flatten(), zeros).backward()
            adam[1].step()
            adam[0].zero_grad(set_to_none=True)
            entropy(discriminator(fake).flatten(), ones).backward()
            adam[0].step()

    return run


def artifex_training(devices: int, threads: int) -> Run:
    """Artifex's model under its trainer: loader, logs and progress bar included."""
    del threads
    from artifex.training.host_devices import set_cpu_devices

    set_cpu_devices(devices)  # before JAX starts
    from flax import nnx
    from trainer_runs import trainer_loop

    from artifex.gan import DCGAN, ConvDiscriminatorConfig, ConvGeneratorConfig, DCGANConfig

    shape = (3, SIZE, SIZE)
    config = DCGANConfig(
        generator=ConvGeneratorConfig(latent_dim=LATENT_DIM, hidden_dims=WIDTHS[::-1], output_shape=shape),
        discriminator=ConvDiscriminatorConfig(hidden_dims=WIDTHS, input_shape=shape),
    )
    model = DCGAN(config, rngs=nnx.Rngs(0))
    return trainer_loop(model, images(4 * BATCH), batch_size=BATCH, learning_rate=2e-4, devices=devices)


if __name__ == "__main__":
    main()
