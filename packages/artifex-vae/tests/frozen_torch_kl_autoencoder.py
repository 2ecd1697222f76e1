"""What PyTorch makes of a small KL autoencoder and a small residual VAE, in float64: for `test_vae_resnet_reference_torch.py`.

    python packages/artifex-vae/tests/frozen_torch_kl_autoencoder.py

writes `frozen_torch_kl_autoencoder.npz` beside itself, from which the everyday tests read. The tests marked `reference` call
:func:`case`, so that the frozen arrays are known to be what the installed PyTorch gives.

The networks are written as PyTorch's users write them, channels first; sizes on the way are odd and even: 7 4, 6 3. Parts have
the names of ours, so that weights can be carried over by name. Weights are drawn anew, none is zero, and kept in float32.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

FROZEN = Path(__file__).with_name("frozen_torch_kl_autoencoder.npz")
SHAPE, WIDTHS, LATENTS = (7, 6, 2), (4, 8), 3  # H W C, the largest size first, latent channels or latents
GROUPS = {4: 1, 8: 2}  # four channels in each
BATCH, KL_WEIGHT = 3, 0.1


class Norm(nn.GroupNorm):
    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS[channels], channels, eps=1e-6)


class Block(nn.Module):
    """SiLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([Norm(c_in), Norm(c_out)])
        self.first, self.second = nn.Conv2d(c_in, c_out, 3, padding=1), nn.Conv2d(c_out, c_out, 3, padding=1)
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x):
        h = self.first(F.silu(self.norms[0](x)))
        return self.shortcut(x) + self.second(F.silu(self.norms[1](h)))


class Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.query, self.key, self.value, self.output = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.query, self.key, self.value))
        weights = torch.softmax(torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5, dim=-1)
        return x + self.output(torch.einsum("bij,bcj->bci", weights, v).reshape(x.shape))


class Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.attention, self.after = Block(channels, channels), Attention(channels), Block(channels, channels)

    def forward(self, h):
        return self.after(self.attention(self.before(h)))


def halved(layer, x):
    """Stride two; zeros only behind an even size, as latent diffusion has them, and at both ends of an odd one."""
    height, width = x.shape[2:]
    return layer(F.pad(x, (width % 2, 1, height % 2, 1)))


class Down(nn.Module):
    def __init__(self, channels: int, stem_stride: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, WIDTHS[0], 3, stride=stem_stride)
        self.levels = nn.ModuleList(nn.Sequential(Block(i, o)) for i, o in pairwise([WIDTHS[0], *WIDTHS]))
        self.halvings = nn.ModuleList([nn.Conv2d(WIDTHS[0], WIDTHS[0], 3, stride=2)])

    def forward(self, x):
        h = halved(self.stem, x) if self.stem.stride == (2, 2) else self.stem(F.pad(x, (1, 1, 1, 1)))
        return self.levels[1](halved(self.halvings[0], self.levels[0](h)))


class Up(nn.Module):
    def __init__(self, channels: int, blocks: int, sizes: list[tuple[int, int]]) -> None:
        super().__init__()
        up, self.sizes = WIDTHS[::-1], sizes
        made = [[Block(i, o), *(Block(o, o) for _ in range(blocks - 1))] for i, o in pairwise([up[0], *up])]
        self.levels = nn.ModuleList(nn.Sequential(*level) for level in made)
        self.doublings = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width, _ in zip(up, sizes, strict=False))
        self.norm, self.head = Norm(up[-1]), nn.Conv2d(up[-1], channels, 3, padding=1)

    def forward(self, h):
        for i, level in enumerate(self.levels):
            h = level(h)
            if i < len(self.sizes):
                height, width = self.sizes[i]
                h = self.doublings[i](F.interpolate(h, scale_factor=2, mode="nearest"))[:, :, :height, :width]
        return self.head(F.silu(self.norm(h)))


class KLEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.middle = Down(SHAPE[-1], 1), Middle(WIDTHS[-1])
        self.norm, self.head = Norm(WIDTHS[-1]), nn.Conv2d(WIDTHS[-1], 2 * LATENTS, 3, padding=1)

    def forward(self, x):
        return self.head(F.silu(self.norm(self.middle(self.trunk(x))))).chunk(2, dim=1)


class KLDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(LATENTS, WIDTHS[-1], 3, padding=1)
        self.middle, self.trunk = Middle(WIDTHS[-1]), Up(SHAPE[-1], 2, [(7, 6)])

    def forward(self, z):
        return self.trunk(self.middle(self.stem(z)))


class FlatEncoder(nn.Module):
    """Of a residual VAE: 7 6, then 4 3, then 2 2, then a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.norm = Down(SHAPE[-1], 2), Norm(WIDTHS[-1])
        self.head = nn.Linear(WIDTHS[-1] * 2 * 2, 2 * LATENTS)

    def forward(self, x):
        return self.head(F.silu(self.norm(self.trunk(x))).flatten(1)).chunk(2, dim=1)


class FlatDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.trunk = nn.Linear(LATENTS, WIDTHS[-1] * 2 * 2), Up(SHAPE[-1], 1, [(4, 3), (7, 6)])

    def forward(self, z):
        return self.trunk(self.stem(z).reshape(len(z), WIDTHS[-1], 2, 2))


class Autoencoder(nn.Module):
    """Laplace noise of one learned scale."""

    def __init__(self, encoder: Any, decoder: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.likelihood = nn.ParameterDict({"log_scale": torch.tensor(-0.3)})

    def forward(self, x, noise):
        x = x.movedim(-1, 1)
        mean, log_variance = self.encoder(x)
        q = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
        p = torch.distributions.Normal(torch.zeros(()).to(x), torch.ones(()).to(x))
        z = mean + q.stddev * (noise.movedim(-1, 1) if noise.ndim == 4 else noise)
        parameters = self.decoder(z)
        log_prob = torch.distributions.Laplace(parameters, self.likelihood["log_scale"].exp()).log_prob(x)
        log_likelihood = log_prob.flatten(1).sum(1)
        kl = torch.distributions.kl_divergence(q, p).flatten(1).sum(1)
        images = {"mean": mean, "log_variance": log_variance, "z": z, "parameters": parameters}
        made = {name: value.movedim(1, -1) if value.ndim == 4 else value for name, value in images.items()}
        return {**made, "log_likelihood": log_likelihood, "kl": kl, "loss": (KL_WEIGHT * kl - log_likelihood).mean()}


def case(kind: str) -> dict[str, np.ndarray]:
    """Weights, inputs, noise; the networks' outputs, the terms of the loss; ``g.w`` and ``|g|`` of each gradient."""
    torch.manual_seed(0)
    parts = {"kl": (KLEncoder, KLDecoder), "flat": (FlatEncoder, FlatDecoder)}[kind]
    model = Autoencoder(*(part() for part in parts))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    made = {f"weight/{name}": value.clone() for name, value in model.state_dict().items()}
    made["x"] = torch.rand(BATCH, *SHAPE)
    made["noise"] = torch.randn(BATCH, *{"kl": (4, 3, LATENTS), "flat": (LATENTS,)}[kind])
    model = model.double()
    made |= model(made["x"].double(), made["noise"].double())
    made["loss"].backward()
    for name, weight in model.named_parameters():
        made[f"gradient/{name}"] = torch.stack([(weight.grad * weight).sum(), weight.grad.norm()])
    return {name: value.detach().numpy() for name, value in made.items()}


if __name__ == "__main__":
    np.savez_compressed(FROZEN, **{f"{kind}/{name}": value for kind in ("kl", "flat") for name, value in case(kind).items()})
