"""What PyTorch makes of two small VAEs, in float64: the reference of `test_vae_reference_torch.py`.

    python packages/artifex-vae/tests/frozen_torch_vae.py

writes `frozen_torch_vae.npz` beside itself, from which the everyday tests read. The tests marked `reference` call :func:`case`,
so that the frozen arrays are known to be what the installed PyTorch gives.

The networks are written as PyTorch's own users write them, channels first. (Decoders crop, where a size on the way is odd.)
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

FROZEN = Path(__file__).with_name("frozen_torch_vae.npz")
SHAPES = {"dense": (4, 3, 2), "conv": (6, 10, 2)}  # H W C; the conv sizes are even, then odd: 6 10, 3 5, 2 3
LATENT_DIM, BATCH, STEPS, LEARNING_RATE = 3, 4, 20, 1e-2


class Dense(torch.nn.Module):
    """``D - 12 - 8 - 2 L`` and ``L - 8 - 12 - D``, ReLU."""

    def __init__(self) -> None:
        super().__init__()
        size = prod(SHAPES["dense"])
        self.encoder = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in pairwise([size, 12, 8, 2 * LATENT_DIM]))
        self.decoder = torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in pairwise([LATENT_DIM, 8, 12, size]))

    def encode(self, x):
        *hidden, head = self.encoder
        h = x.flatten(1)
        for layer in hidden:
            h = torch.relu(layer(h))
        return head(h).chunk(2, dim=1)

    def logits(self, z):
        *hidden, head = self.decoder
        for layer in hidden:
            z = torch.relu(layer(z))
        return head(z).reshape(len(z), *SHAPES["dense"])


class Conv(torch.nn.Module):
    """Two 3×3 convolutions of stride 2, a linear map; back by 4×4 transposed ones, cropped to the sizes of the way down."""

    def __init__(self) -> None:
        super().__init__()
        channels = SHAPES["conv"][-1]
        down = [torch.nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in pairwise([channels, 3, 5])]
        up = [torch.nn.ConvTranspose2d(i, o, 4, stride=2, padding=1) for i, o in pairwise([5, 3, channels])]
        self.encoder = torch.nn.ModuleList([*down, torch.nn.Linear(5 * 2 * 3, 2 * LATENT_DIM)])
        self.decoder = torch.nn.ModuleList([torch.nn.Linear(LATENT_DIM, 5 * 2 * 3), *up])

    def encode(self, x):
        *hidden, head = self.encoder
        h = x.movedim(-1, 1)
        for layer in hidden:
            h = torch.relu(layer(h))
        return head(h.flatten(1)).chunk(2, dim=1)

    def logits(self, z):
        stem, *up = self.decoder
        h = stem(z).reshape(len(z), 5, 2, 3)
        for layer, (height, width) in zip(up, [(3, 5), (6, 10)], strict=True):
            h = layer(torch.relu(h))[:, :, :height, :width]
        return h.movedim(1, -1)


def case(kind: str) -> dict[str, np.ndarray]:
    """Weights, inputs, noise; the networks' outputs, the terms of the ELBO, the gradients; the losses of 20 steps of Adam."""
    torch.manual_seed(0)
    vae = {"dense": Dense, "conv": Conv}[kind]().double()
    pattern = torch.rand(SHAPES[kind], dtype=torch.float64).square()  # something to learn
    x = torch.bernoulli(pattern.expand(STEPS, BATCH, *SHAPES[kind]))
    noise = torch.randn(STEPS, BATCH, LATENT_DIM, dtype=torch.float64)
    made = {"x": x, "noise": noise} | {f"weight/{name}": value.clone() for name, value in vae.state_dict().items()}
    made |= _forward(vae, x[0], noise[0])
    made["loss"].backward()
    made |= {f"gradient/{name}": value.grad.clone() for name, value in vae.named_parameters()}
    made["losses"] = _train(vae, x, noise)
    return {name: value.detach().numpy() for name, value in made.items()}


def _forward(vae: Any, x: Any, noise: Any) -> dict[str, Any]:
    mean, log_variance = vae.encode(x)
    q = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    p = torch.distributions.Normal(torch.zeros(()).to(x), torch.ones(()).to(x))
    z = mean + q.stddev * noise
    logits = vae.logits(z)
    log_likelihood = torch.distributions.Bernoulli(logits=logits).log_prob(x).flatten(1).sum(1)
    kl = torch.distributions.kl_divergence(q, p).sum(1)
    log_importance_ratio = (p.log_prob(z) - q.log_prob(z)).sum(1)
    return {
        "mean": mean,
        "log_variance": log_variance,
        "z": z,
        "parameters": logits,
        "log_likelihood": log_likelihood,
        "kl": kl,
        "log_importance_ratio": log_importance_ratio,
        "loss": (kl - log_likelihood).mean(),
    }


def _train(vae: Any, x: Any, noise: Any) -> Any:
    optimizer = torch.optim.Adam(vae.parameters(), lr=LEARNING_RATE)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        losses.append(_forward(vae, x[step], noise[step])["loss"])
        losses[-1].backward()
        optimizer.step()
    return torch.stack(losses)


if __name__ == "__main__":
    np.savez_compressed(FROZEN, **{f"{kind}/{name}": value for kind in SHAPES for name, value in case(kind).items()})
