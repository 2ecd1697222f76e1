"""The VAEs of the benchmarks in plain PyTorch.

Dense: ``D - hidden... - L`` and back, ReLU. Conv: 3×3 convolutions of stride 2, a linear map each way, and 4×4 transposed
convolutions of stride 2, ReLU. ResNet: a 3×3 convolution of stride 2 and two pre-activation residual blocks (group norm with
four channels a group, SiLU) at each width, a linear map each way, and back by nearest-neighbour upsampling and 3×3
convolutions. Bernoulli likelihood with logits, diagonal Gaussian posterior, standard normal prior; the loss is minus the ELBO
in nats, averaged over the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TorchVAE(nn.Module):
    """A trunk, two linear heads for mean and log variance, and a decoder to logits."""

    def __init__(self, trunk: nn.Module, width: int, latent_dim: int, decoder: nn.Module) -> None:
        super().__init__()
        self.trunk, self.decoder = trunk, decoder
        self.mean, self.log_var = nn.Linear(width, latent_dim), nn.Linear(width, latent_dim)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.mean(h), self.log_var(h)

    def forward(self, x: Tensor) -> Tensor:
        """-ELBO = -log p(x|z) + KL(q(z|x) || p(z)), nats an example."""
        mean, log_var = self.encode(x)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = self.decoder(z)
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum() / len(x)
        return distortion + kl


def dense_vae(shape: Sequence[int], hidden: Sequence[int], latent_dim: int) -> TorchVAE:
    """``prod(shape) - hidden - latent_dim - reversed(hidden) - prod(shape)``."""
    size = prod(shape)
    trunk = nn.Sequential(nn.Flatten(), *_mlp([size, *hidden]))
    decoder = nn.Sequential(*_mlp([latent_dim, *reversed(hidden)]), nn.Linear(hidden[0], size), nn.Unflatten(1, tuple(shape)))
    return TorchVAE(trunk, hidden[-1], latent_dim, decoder)


def conv_vae(shape: Sequence[int], hidden: Sequence[int], latent_dim: int) -> TorchVAE:
    """Halves the ``(C, H, W)`` image at every width of ``hidden``, and doubles it back."""
    channels, height, width = shape
    grid = (hidden[-1], height // 2 ** len(hidden), width // 2 ** len(hidden))
    down = [channels, *hidden]
    up = [*reversed(hidden), channels]
    trunk: list[nn.Module] = []
    for c_in, c_out in pairwise(down):
        trunk += [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), nn.ReLU()]
    decoder: list[nn.Module] = [nn.Linear(latent_dim, prod(grid)), nn.ReLU(), nn.Unflatten(1, grid)]
    for c_in, c_out in pairwise(up):
        decoder += [nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1), nn.ReLU()]
    return TorchVAE(nn.Sequential(*trunk, nn.Flatten()), prod(grid), latent_dim, nn.Sequential(*decoder[:-1]))


class ResidualBlock(nn.Module):
    """Group norm, SiLU, 3×3 convolution, twice, beside a shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_activated(c_in, c_out), *_activated(c_out, c_out))
        self.shortcut = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.branch(x)


def _activated(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.GroupNorm(c_in // 4, c_in, eps=1e-6), nn.SiLU(), nn.Conv2d(c_in, c_out, 3, padding=1)]


def resnet_vae(shape: Sequence[int], hidden: Sequence[int], latent_dim: int, blocks: int = 2) -> TorchVAE:
    """Halves the ``(C, H, W)`` image before the blocks of every width of ``hidden``, and doubles it back behind them."""
    channels, height, width = shape
    grid = (hidden[-1], height // 2 ** len(hidden), width // 2 ** len(hidden))
    trunk: list[nn.Module] = [nn.Conv2d(channels, hidden[0], 3, stride=2, padding=1)]
    for i, (before, c) in enumerate(pairwise([hidden[0], *hidden])):
        trunk += [nn.Conv2d(before, before, 3, stride=2, padding=1)] if i else []
        trunk += [ResidualBlock(before, c), *(ResidualBlock(c, c) for _ in range(blocks - 1))]
    trunk += [nn.GroupNorm(hidden[-1] // 4, hidden[-1], eps=1e-6), nn.SiLU(), nn.Flatten()]
    decoder: list[nn.Module] = [nn.Linear(latent_dim, prod(grid)), nn.Unflatten(1, grid)]
    for before, c in pairwise([hidden[-1], *reversed(hidden)]):
        decoder += [ResidualBlock(before, c), *(ResidualBlock(c, c) for _ in range(blocks - 1))]
        decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(c, c, 3, padding=1)]
    return TorchVAE(nn.Sequential(*trunk), prod(grid), latent_dim, nn.Sequential(*decoder, *_activated(hidden[0], channels)))


def _mlp(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for d_in, d_out in pairwise(widths):
        layers += [nn.Linear(d_in, d_out), nn.ReLU()]
    return layers
