"""Whether a training step gains from several virtual CPU devices that share the batch: why `artifex train` takes one.

    python benchmarks/cpu_devices.py [--quick]

Needs `artifex-vae` and `artifex-training`. About five minutes on two cores. Convolutional and dense VAEs of several sizes, one
device against one a core, each in processes that take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from artifex.core.host_limits import whole_cores
from artifex.core.host_threads import POOL_SIZE, enough_threads

# kind, side of the image, hidden_dims, batch
SIZES = [
    ("dense", 28, (400,), 128),
    ("dense", 28, (1024, 1024), 256),
    ("conv", 8, (4, 8), 32),
    ("conv", 8, (8, 16), 64),
    ("conv", 16, (8, 16), 64),
    ("conv", 16, (16, 32), 64),
    ("conv", 28, (16, 32), 64),
    ("conv", 28, (32, 64), 32),
    ("conv", 28, (32, 64), 64),
    ("conv", 28, (32, 64), 128),
    ("conv", 32, (64, 128), 128),
    ("conv", 64, (64, 128, 256), 32),
]


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=whole_cores())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of the smallest sizes: shows that it runs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(_time_step(*json.loads(arguments.child))))
        return
    print(f"{'model':<34}{'1 device':>11}{f'{arguments.devices} devices':>12}{'gain':>7}")
    for size in SIZES[2:4] if arguments.quick else SIZES:
        rounds = [
            [_child(size, devices) for devices in (1, arguments.devices)]
            for _ in range(1 if arguments.quick else arguments.rounds)
        ]
        one, many = (statistics.median(pair[i] for pair in rounds) for i in (0, 1))
        kind, side, hidden, batch = size
        name = f"{kind} {side}x{side}, {'-'.join(map(str, hidden))}, batch {batch}"
        print(f"{name:<34}{one:>8.2f} ms{many:>9.2f} ms{one / many:>7.2f}", flush=True)


def _child(size: object, devices: int) -> float:
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    if devices > 1:
        environment[POOL_SIZE] = str(enough_threads(devices))
    command = [sys.executable, __file__, "--child", json.dumps([*size, devices])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _time_step(kind: str, side: int, hidden: list[int], batch: int, devices: int) -> float:
    import jax
    import numpy as np
    from flax import nnx

    from artifex.core import create_model
    from artifex.core.compilation import convolution_options
    from artifex.core.mesh import ShardingConfig
    from artifex.core.sharding import batch_sharding
    from artifex.training import Trainer, TrainerConfig
    from artifex.training.loaders import as_loader
    from artifex.vae import DecoderConfig, EncoderConfig, VAEConfig

    config = VAEConfig(
        encoder=EncoderConfig(input_shape=(side, side, 1), hidden_dims=hidden, latent_dim=20),
        decoder=DecoderConfig(hidden_dims=hidden[::-1]),
        encoder_type=kind,
    )
    x = np.random.default_rng(0).integers(0, 2, (batch * 4, side, side, 1)).astype(np.float32)
    loader = as_loader({"x": x}, batch_size=batch, seed=0)
    sharding = ShardingConfig(data_parallel_size=devices)
    trainer = Trainer(create_model(config, rngs=nnx.Rngs(0)), TrainerConfig(steps=1, batch_size=batch), seed=0, mesh=sharding)
    trainer.compile(loader)
    placed = jax.device_put(next(loader), batch_sharding(trainer.mesh))
    how = {"donate_argnums": 0, "out_shardings": trainer.plan.layout, "compiler_options": convolution_options("cpu")}
    step, state = jax.jit(trainer.plan.program.step, **how), trainer.state
    for _ in range(5):
        state = step(state, placed)
    jax.block_until_ready(state)
    times, end = [], time.perf_counter() + 2.0
    while time.perf_counter() < end or len(times) < 10:
        start = time.perf_counter()
        state = jax.block_until_ready(step(state, placed))
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


if __name__ == "__main__":
    main()
