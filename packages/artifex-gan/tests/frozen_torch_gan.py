"""What PyTorch makes of a small DCGAN and of penalties: the reference of `test_gan_reference_torch.py`.

    python packages/artifex-gan/tests/frozen_torch_gan.py

writes `frozen_torch_gan.npz` beside itself, from which the everyday tests read. The tests marked `reference` call :func:`case`,
so that the frozen arrays are known to be what the installed PyTorch gives.

The networks are written as PyTorch's own example has them (examples/dcgan), narrower and for images of 16 × 16.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

FROZEN = Path(__file__).with_name("frozen_torch_gan.npz")
LATENT, WIDTH, BATCH = 5, 4, 6


def generator() -> torch.nn.Module:
    """5 × 1 × 1 to 2 × 16 × 16."""
    return nn.Sequential(
        nn.ConvTranspose2d(LATENT, 2 * WIDTH, 4, 1, 0, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ReLU(True),
        nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(True),
        nn.ConvTranspose2d(WIDTH, 2, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def discriminator() -> torch.nn.Module:
    """2 × 16 × 16 to a logit."""
    return nn.Sequential(
        nn.Conv2d(2, WIDTH, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * WIDTH),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(2 * WIDTH, 1, 4, 1, 0, bias=False),
    )


def critic() -> torch.nn.Module:
    """The discriminator without its batch norm, for penalties; tanh, which has a second derivative."""
    return nn.Sequential(
        nn.Conv2d(2, WIDTH, 4, 2, 1),
        nn.Tanh(),
        nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1),
        nn.Tanh(),
        nn.Conv2d(2 * WIDTH, 1, 4, 1, 0),
    )


def dcgan() -> dict[str, np.ndarray]:
    """Weights, latents, and what comes of them in training and in evaluation."""
    torch.manual_seed(0)
    made, nets = {}, {"generator": generator(), "discriminator": discriminator()}
    for name, net in nets.items():
        for parameter in net.parameters():
            nn.init.normal_(parameter, 0.3, 0.4)
        made |= {f"{name}/{key}": value.detach().clone().numpy() for key, value in net.state_dict().items()}
    z = torch.randn(BATCH, LATENT)
    real = torch.rand(BATCH, 2, 16, 16) * 2 - 1
    made |= {"z": z.numpy(), "real": real.numpy()}
    with torch.no_grad():
        for mode in ("train", "evaluate"):
            for net in nets.values():
                net.train(mode == "train")
            images = nets["generator"](z[:, :, None, None])
            made[f"{mode}/images"] = images.numpy()
            made[f"{mode}/logits"] = nets["discriminator"](real).flatten().numpy()
            made[f"{mode}/fake_logits"] = nets["discriminator"](images).flatten().numpy()
    for name, net in nets.items():
        made |= {f"after/{name}/{key}": value.numpy() for key, value in net.state_dict().items() if "running" in key}
    return made


def slopes() -> dict[str, np.ndarray]:
    """Penalties by autograd, and their gradients with respect to the critic's parameters."""
    torch.manual_seed(1)
    net = critic()
    made = {f"critic/{key}": value.detach().numpy() for key, value in net.state_dict().items()}
    points = torch.randn(BATCH, 2, 16, 16)
    made["points"] = points.numpy()
    for name in ("slope", "r1"):
        x = points.clone().requires_grad_(True)
        (grads,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        squares = grads.flatten(1).pow(2).sum(1)
        value = (squares.sqrt() - 1).pow(2).mean() if name == "slope" else 0.5 * squares.mean()
        net.zero_grad()
        value.backward()
        made[f"{name}/value"] = np.asarray(value.item())
        made |= {f"{name}/gradient/{key}": p.grad.clone().numpy() for key, p in net.named_parameters() if p.grad is not None}
    return made


def losses() -> dict[str, np.ndarray]:
    """Losses as PyTorch's functions give them."""
    torch.manual_seed(2)
    real, fake = 3 * torch.randn(7), 3 * torch.randn(7)
    ones, zeros = torch.ones(7), torch.zeros(7)
    entropy, square = nn.functional.binary_cross_entropy_with_logits, nn.functional.mse_loss
    return {
        "real": real.numpy(),
        "fake": fake.numpy(),
        "logistic_discriminator": (entropy(real, ones) + entropy(fake, zeros)).numpy(),
        "non_saturating_generator": entropy(fake, ones).numpy(),
        "minimax_generator": (-entropy(fake, zeros)).numpy(),
        "least_squares_discriminator": (0.5 * (square(real, ones) + square(fake, zeros))).numpy(),
        "least_squares_generator": (0.5 * square(fake, ones)).numpy(),
        "hinge_discriminator": (nn.functional.relu(1 - real).mean() + nn.functional.relu(1 + fake).mean()).numpy(),
        "hinge_generator": (-fake.mean()).numpy(),
        "wasserstein_discriminator": (fake.mean() - real.mean()).numpy(),
        "wasserstein_generator": (-fake.mean()).numpy(),
        "relativistic_discriminator": entropy(real - fake, ones).numpy(),
        "relativistic_generator": entropy(fake - real, ones).numpy(),
    }


class Residual(nn.Module):
    """A residual block of Johnson et al. 2016 with edges reflected, as CycleGAN has it."""

    def __init__(self, width: int):
        super().__init__()
        layers = [(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=False), normed(width)) for _ in range(2)]
        self.block = nn.Sequential(*layers[0], nn.ReLU(), *layers[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x)


def normed(width: int) -> torch.nn.Module:
    """An instance norm with a scale and a bias."""
    return nn.InstanceNorm2d(width, affine=True)


def translators() -> dict[str, np.ndarray]:
    """A residual generator and a discriminator of patches on images of 10 × 12: weights by number, and what comes of them."""
    torch.manual_seed(3)
    w = WIDTH
    nets = {
        "generator": nn.Sequential(
            *(nn.ReflectionPad2d(2), nn.Conv2d(2, w, 5, bias=False), normed(w), nn.ReLU()),
            *(nn.Conv2d(w, 2 * w, 3, 2, 1, bias=False), normed(2 * w), nn.ReLU()),
            *(Residual(2 * w), Residual(2 * w)),
            *(nn.Upsample(scale_factor=2), nn.Conv2d(2 * w, w, 3, 1, 1, bias=False), normed(w), nn.ReLU()),
            *(nn.ReflectionPad2d(2), nn.Conv2d(w, 3, 5), nn.Tanh()),
        ),
        "discriminator": nn.Sequential(
            *(nn.Conv2d(2, w, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(w, 2 * w, 4, bias=False), normed(2 * w), nn.LeakyReLU(0.2)),
            *(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(2 * w, 1, 4)),
        ),
    }
    x = torch.rand(BATCH, 2, 10, 12) * 2 - 1
    made = {"x": x.numpy()}
    for name, net in nets.items():
        for parameter in net.parameters():
            nn.init.normal_(parameter, 0.1, 0.3)
        made |= {f"{name}/{i:02d}": parameter.detach().numpy() for i, parameter in enumerate(net.parameters())}
        with torch.no_grad():
            made[f"{name}_output"] = net(x).numpy()
    return made


CASES = {"dcgan": dcgan, "slopes": slopes, "losses": losses, "translators": translators}


def case(name: str) -> dict[str, np.ndarray]:
    """What PyTorch gives for one of :data:`CASES`."""
    return CASES[name]()


if __name__ == "__main__":
    np.savez_compressed(FROZEN, **{f"{name}/{key}": value for name in CASES for key, value in case(name).items()})
