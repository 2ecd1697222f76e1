"""Milliseconds a training step of dense, convolutional and residual VAEs: PyTorch, pythae, bare JAX, and Artifex's trainer.

    python benchmarks/vae_training.py [--quick]

Needs `torch`, `pythae`, `artifex-vae` and `artifex-training` (`nox -s bench` sets them up). About five minutes on two cores.

The models, equal on every side: dense 784-400-20, and 28×28×1 convolutional with widths 32 and 64 of stride 2 and 20 latents,
the same with two residual blocks at each width and nearest-neighbour upsampling;
Bernoulli likelihood, batch 128, Adam. "One batch" rows hold a batch in memory and do nothing but step. The two trainers do what
they do for a user: they shuffle and slice the data, log, and draw their progress bars. Every row is a process of its own on the
same cores, and the rows take turns (`rounds.py`).
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
from rounds import Contestant, Run, measure, table

BATCH, LATENT_DIM, LEARNING_RATE = 128, 20, 1e-3
DATA = 200 * BATCH
HIDDEN = {"dense": (400,), "conv": (32, 64), "resnet": (32, 64)}
STEPS = {"dense": 200, "conv": 20, "resnet": 4}


def main() -> None:
    """Time the rows and print one table a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(HIDDEN), default=list(HIDDEN))
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--quick", action="store_true", help="few steps and rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    for kind in arguments.models:
        steps, rounds = (4, 2) if arguments.quick else (STEPS[kind], 9)
        timings = measure(_rows(kind, arguments.threads), steps=steps, rounds=rounds, threads=arguments.threads)
        print(f"\n{kind} VAE, batch {BATCH}, {arguments.threads} threads, medians of {rounds} rounds of {steps} steps\n")
        print(table(timings, baseline="torch, compiled, one batch"), flush=True)


def _rows(kind: str, threads: int) -> list[Contestant]:
    split = f"{threads} host devices"
    return [
        Contestant("torch, eager, one batch", torch_loop, {"kind": kind, "compiled": False}),
        Contestant("torch, compiled, one batch", torch_loop, {"kind": kind, "compiled": True}),
        Contestant("pythae, one batch", pythae_loop, {"kind": kind}),
        Contestant("pythae's trainer", pythae_training, {"kind": kind}),
        Contestant("Artifex model, bare JAX loop, one batch", jax_loop, {"kind": kind, "devices": 1}),
        Contestant(f"Artifex model, bare JAX loop, one batch, {split}", jax_loop, {"kind": kind, "devices": threads}),
        Contestant("Artifex's trainer", artifex_training, {"kind": kind, "devices": 1}),
        Contestant(f"Artifex's trainer, {split}", artifex_training, {"kind": kind, "devices": threads}),
    ]


def images(count: int) -> np.ndarray:
    """Black and white noise ``(count, 28, 28, 1)``: the time of a step does not hang on what is drawn."""
    return np.random.default_rng(0).integers(0, 2, (count, 28, 28, 1)).astype(np.float32)


def torch_loop(kind: str, compiled: bool, threads: int) -> Run:
    """Forward, backward and Adam on one batch in memory."""
    import torch

    torch.set_num_threads(threads)
    vae = _torch_vae(kind)
    x = torch.as_tensor(_channels_first(images(BATCH)))
    optimizer = torch.optim.Adam(vae.parameters(), lr=LEARNING_RATE)
    loss_of = torch.compile(vae) if compiled else vae

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss_of(x).backward()
            optimizer.step()

    return run


def pythae_loop(kind: str, threads: int) -> Run:
    """pythae's model and loss, stepped as its trainer does, on one batch in memory."""
    import torch
    from pythae_runs import pythae_vae

    torch.set_num_threads(threads)
    vae = pythae_vae(_torch_vae(kind), (1, 28, 28), LATENT_DIM)
    batch = {"data": torch.as_tensor(_channels_first(images(BATCH)))}
    optimizer = torch.optim.Adam(vae.parameters(), lr=LEARNING_RATE)

    def run(steps: int) -> None:
        for _ in range(steps):
            loss = vae(batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def pythae_training(kind: str, threads: int) -> Run:
    """Epochs of ``pythae.trainers.BaseTrainer``, loader, sums and progress bar included."""
    import torch
    from pythae_runs import image_dataset, pythae_trainer, pythae_vae, quiet

    torch.set_num_threads(threads)
    vae = pythae_vae(_torch_vae(kind), (1, 28, 28), LATENT_DIM)
    settings = {"per_device_train_batch_size": BATCH, "learning_rate": LEARNING_RATE}
    trainer = pythae_trainer(vae, _channels_first(images(BATCH)), output_dir=tempfile.mkdtemp(), **settings)
    with quiet():
        trainer.prepare_training()
    data = _channels_first(images(DATA))

    def run(steps: int) -> None:
        trainer.train_loader = trainer.get_train_dataloader(image_dataset(data[: steps * BATCH]))
        with quiet():
            trainer.train_step(epoch=1)

    return run


def jax_loop(kind: str, devices: int, threads: int) -> Run:
    """Artifex's model in a bare `jax.jit` loop on one batch in memory."""
    del threads  # XLA takes the cores that the process has
    _pose_as(devices)
    import optax
    from bare_jax import bare_loop

    return bare_loop(artifex_vae(kind), images(BATCH), optax.adam(LEARNING_RATE))


def artifex_training(kind: str, devices: int, threads: int) -> Run:
    """Artifex's model under its trainer: loader, logs and progress bar included."""
    del threads
    _pose_as(devices)
    from trainer_runs import trainer_loop

    return trainer_loop(artifex_vae(kind), images(DATA), batch_size=BATCH, learning_rate=LEARNING_RATE, devices=devices)


def _pose_as(devices: int) -> None:
    """Make the CPU pose as ``devices``, before JAX starts."""
    from artifex.training.host_devices import set_cpu_devices

    set_cpu_devices(devices)


def artifex_vae(kind: str):
    """Our VAE, of the same form as the others."""
    from flax import nnx

    from artifex.vae import VAE, DecoderConfig, EncoderConfig, VAEConfig

    activation = "silu" if kind == "resnet" else "relu"
    sizes = {"input_shape": (28, 28, 1), "latent_dim": LATENT_DIM}
    config = VAEConfig(
        encoder=EncoderConfig(**sizes, hidden_dims=HIDDEN[kind], activation=activation),
        decoder=DecoderConfig(hidden_dims=HIDDEN[kind][::-1], activation=activation),
        encoder_type=kind,
    )
    return VAE(config, rngs=nnx.Rngs(0))


def _torch_vae(kind: str):
    from torch_vaes import conv_vae, dense_vae, resnet_vae

    return {"dense": dense_vae, "conv": conv_vae, "resnet": resnet_vae}[kind]((1, 28, 28), HIDDEN[kind], LATENT_DIM)


def _channels_first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


if __name__ == "__main__":
    main()
