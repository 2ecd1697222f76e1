"""Milliseconds of a U-Net's training step and of a DDIM step: Artifex and diffusers on PyTorch.

    python benchmarks/diffusion_speed.py [--what train ddim calls] [--quick]

Needs `torch`, `diffusers` and `artifex-diffusion`. About five minutes on two cores.

The U-Net of 32 × 32 × 3 images has levels of (64, 128) channels, two residual blocks each, no attention, batch 16. A step is
forward, backward and Adam on one batch in memory, compiled as the trainer compiles it. `ddim` draws 16 images in 50 steps with
`generate`; figures are milliseconds a network call. `calls` sets those beside as many calls of the bare network in one compiled
loop: what a sampler adds to it. Every row is a process of its own on the same cores, and the rows take turns (`rounds.py`).
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
from rounds import Contestant, Run, measure, table

SIZE, CHANNELS, WIDTHS, BLOCKS, BATCH, DDIM_STEPS = 32, 3, (64, 128), 2, 16, 50
THREADS = 2


def main() -> None:
    """Time the rows and print one table a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", default=["train", "ddim", "calls"], choices=["train", "ddim", "calls"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    for what in arguments.what:
        rows = ROWS[what]
        timings = measure(
            rows, steps=2 if what == "train" else DDIM_STEPS, rounds=1 if arguments.quick else arguments.rounds, threads=THREADS
        )
        print(f"\n{what}\n\n{table(timings, baseline=rows[-1].label)}", flush=True)


def artifex_run(*, threads: int, task: str) -> Run:
    """Training steps, a draw of so many DDIM steps, or so many calls of the network."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    from artifex.core.compilation import convolution_options
    from artifex.diffusion import DDIMConfig, DDIMModel, DDIMSamplerConfig, UNetBackboneConfig

    del threads  # the process is held to its cores
    backbone = UNetBackboneConfig(hidden_dims=WIDTHS, blocks_per_level=BLOCKS, middle_attention=False)
    config = DDIMConfig(input_shape=(SIZE, SIZE, CHANNELS), backbone=backbone, sampler=DDIMSamplerConfig(steps=DDIM_STEPS))
    model = DDIMModel(config, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, SIZE, SIZE, CHANNELS)), jnp.float32)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.as_pure(params), nnx.as_pure(rest)
    optimizer = optax.adam(1e-4)

    @partial(jax.jit, compiler_options=convolution_options("cpu"))
    def train(params: Any, state: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            made = nnx.merge(graph, params, rest)
            return made.loss_fn({"x": x}, made(x, rngs=nnx.Rngs(key)))["loss"]

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    @partial(jax.jit, compiler_options=convolution_options("cpu"))
    def calls(params: Any, x: Any) -> Any:
        made = nnx.merge(graph, params, rest)
        return jax.lax.scan(
            lambda x, t: (made.network(x, jnp.broadcast_to(t, (BATCH,))), None), x, jnp.arange(float(DDIM_STEPS))
        )[0]

    state = optimizer.init(params)

    def run(steps: int) -> None:
        nonlocal params, state
        if task == "train":
            for i in range(steps):
                params, state = train(params, state, jax.random.key(i))
            jax.block_until_ready(params)
        else:
            jax.block_until_ready(model.generate(BATCH) if task == "ddim" else calls(params, x))

    return run


def diffusers_run(*, threads: int, task: str) -> Run:
    """The same with diffusers."""
    import torch
    from diffusers import DDIMScheduler, UNet2DModel

    torch.set_num_threads(threads)
    model = UNet2DModel(
        sample_size=SIZE, in_channels=CHANNELS, out_channels=CHANNELS, block_out_channels=WIDTHS, layers_per_block=BLOCKS,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, add_attention=False, norm_num_groups=16,
    )  # fmt: skip
    x = torch.randn(BATCH, CHANNELS, SIZE, SIZE)
    optimizer, scheduler = torch.optim.Adam(model.parameters(), 1e-4), DDIMScheduler()
    scheduler.set_timesteps(DDIM_STEPS)

    def train() -> None:
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (BATCH,))
        optimizer.zero_grad()
        (model(scheduler.add_noise(x, noise, t), t).sample - noise).square().mean().backward()
        optimizer.step()

    @torch.no_grad()
    def draw() -> None:
        image = x
        for t in scheduler.timesteps:
            image = scheduler.step(model(image, t).sample, t, image).prev_sample

    def run(steps: int) -> None:
        if task == "train":
            for _ in range(steps):
                train()
        else:
            draw()

    return run


ROWS = {
    "train": [Contestant("Artifex", artifex_run, {"task": "train"}), Contestant("diffusers", diffusers_run, {"task": "train"})],
    "ddim": [Contestant("Artifex", artifex_run, {"task": "ddim"}), Contestant("diffusers", diffusers_run, {"task": "ddim"})],
    "calls": [
        Contestant("DDIM in 50 steps", artifex_run, {"task": "ddim"}),
        Contestant("50 calls of the network", artifex_run, {"task": "calls"}),
    ],
}

if __name__ == "__main__":
    main()
