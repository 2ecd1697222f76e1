"""Milliseconds of a transformer's training step and of generating: Artifex, transformers' GPT-2 (eager and compiled).

    python benchmarks/ar_speed.py [--what train generate pixel_cnn wavenet] [--quick]

Needs `torch`, `transformers` and `artifex-ar`. A few minutes on two cores.

The transformer has 6 layers of width 256, 8 heads, a vocabulary of 256; a step is forward, backward and Adam on a batch of
8 × 256 tokens in memory; generating makes 256 new tokens behind a prompt of 8, batch 4. A PixelCNN of 64 channels and 8 layers
draws 4 images of 28 × 28; a WaveNet of 20 layers × 64 channels draws 1000 samples of 256 levels. `wavenet` needs
wavenet_vocoder beside torch: `pip install --no-deps --no-build-isolation wavenet_vocoder==0.1.1`. Every row is a process of its
own on the same cores, and the rows take turns (`rounds.py`). "Compiled" is `torch.compile`, for generating with a static cache.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
from rounds import Contestant, Run, measure, table

LAYERS, WIDTH, HEADS, VOCABULARY = 6, 256, 8, 256
PROMPT, NEW = 8, 256
STEPS = {"train": 5, "generate": 1, "pixel_cnn": 1, "wavenet": 1}


def main() -> None:
    """Time the rows and print one table a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--only", nargs="+", help="rows that contain one of these words")
    parser.add_argument("--threads", type=int, default=2, help="cores that every row may use")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one step and two rounds: shows that it runs, not how fast")
    arguments = parser.parse_args()
    for what in arguments.what:
        steps, rounds = (1, 2) if arguments.quick else (STEPS[what], arguments.rounds)
        rows = [row for row in _rows(what) if not arguments.only or any(word in row.label for word in arguments.only)]
        timings = measure(rows, steps=steps, rounds=rounds, threads=arguments.threads)
        print(f"\n{what}, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}\n")
        print(table(timings, baseline=rows[0].label), flush=True)


def _rows(what: str) -> list[Contestant]:
    if what == "pixel_cnn":
        return [Contestant("Artifex", artifex_pixel_cnn)]
    if what == "wavenet":
        return [Contestant("Artifex", artifex_wavenet), Contestant("wavenet_vocoder", vocoder_wavenet)]
    return [
        Contestant("Artifex", artifex_transformer, {"what": what}),
        Contestant("transformers, eager", torch_transformer, {"what": what, "compiled": False}),
        Contestant("transformers, compiled", torch_transformer, {"what": what, "compiled": True}),
    ]


def tokens(length: int, batch: int) -> np.ndarray:
    """What they say does not matter to the time."""
    return np.random.default_rng(0).integers(0, VOCABULARY, (batch, length)).astype(np.int32)


def artifex_transformer(what: str, threads: int) -> Run:
    del threads  # XLA takes the cores that the process has
    import jax
    import optax
    from bare_jax import bare_loop
    from flax import nnx

    from artifex.ar import TransformerAR, TransformerARConfig

    config = TransformerARConfig(
        vocab_size=VOCABULARY,
        context_length=PROMPT + NEW,
        num_layers=LAYERS,
        embed_dim=WIDTH,
        num_heads=HEADS,
        start_token=0,
    )
    model = TransformerAR(config, rngs=nnx.Rngs(0))
    if what == "train":
        return bare_loop(model, tokens(256, 8), optax.adam(1e-3))
    prompt = tokens(PROMPT, 4)

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(model.generate(4, prompt=prompt, max_new_tokens=NEW, rngs=nnx.Rngs(0)))

    return run


def torch_transformer(what: str, compiled: bool, threads: int) -> Run:
    """transformers' GPT-2, its loss and `generate`, with its cache, and static shapes where it is compiled."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(threads)
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    settings = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=PROMPT + NEW,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        bos_token_id=0,
        eos_token_id=None,
        **off,
    )
    model: Any = GPT2LMHeadModel(settings)
    if what == "train":
        x, optimizer = torch.from_numpy(tokens(256, 8)).long(), torch.optim.Adam(model.parameters(), 1e-3)
        called = torch.compile(model) if compiled else model

        def train(steps: int) -> None:
            for _ in range(steps):
                optimizer.zero_grad()
                called(input_ids=x, labels=x).loss.backward()
                optimizer.step()

        return train
    model.eval()
    prompt = torch.from_numpy(tokens(PROMPT, 4)).long()
    asked = {"attention_mask": torch.ones_like(prompt), "max_new_tokens": NEW, "do_sample": True, "pad_token_id": 0}
    if compiled:
        model.forward = torch.compile(model.forward)
        asked["cache_implementation"] = "static"

    def run(steps: int) -> None:
        with torch.no_grad():
            for _ in range(steps):
                model.generate(prompt, top_k=0, **asked)

    return run


def artifex_pixel_cnn(threads: int) -> Run:
    del threads
    import jax
    from flax import nnx

    from artifex.ar import PixelCNN, PixelCNNConfig

    model = PixelCNN(PixelCNNConfig(image_shape=(28, 28, 1), hidden_channels=64, num_layers=8), rngs=nnx.Rngs(0))

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(model.generate(4, rngs=nnx.Rngs(0)))

    return run


def artifex_wavenet(threads: int) -> Run:
    del threads
    import jax
    from flax import nnx

    from artifex.ar import WaveNet, WaveNetConfig

    model = WaveNet(WaveNetConfig(length=1000), rngs=nnx.Rngs(0))

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(model.generate(1, rngs=nnx.Rngs(0)))

    return run


def vocoder_wavenet(threads: int) -> Run:
    """wavenet_vocoder's network of the same size, its weight normalisation folded in, as its authors draw."""
    import torch
    from wavenet_vocoder import WaveNet

    torch.set_num_threads(threads)
    network = WaveNet(
        out_channels=256, layers=20, stacks=2, residual_channels=64, gate_channels=128, skip_out_channels=64, kernel_size=2,
        dropout=0.0,
    ).eval()  # fmt: skip
    network.make_generation_fast_()

    def run(steps: int) -> None:
        with torch.no_grad():
            for _ in range(steps):
                network.incremental_forward(T=1000)

    return run


if __name__ == "__main__":
    main()
