"""What diffusers' ``AutoencoderKL`` makes of random weights: for `test_vae_diffusers.py`.

    python packages/artifex-vae/tests/frozen_diffusers.py

writes `frozen_diffusers.npz` beside itself, from which the everyday tests read; the tests marked `reference` call :func:`case`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

FROZEN = Path(__file__).with_name("frozen_diffusers.npz")
COMMON: dict[str, Any] = {
    "block_out_channels": (2, 4),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "norm_num_groups": 2,  # one channel a group at the first level, which our own rule would not choose
    "sample_size": 8,
}
KINDS: dict[str, dict[str, Any]] = {
    "sd": {"latent_channels": 2, "scaling_factor": 0.18215},
    "sd3": {
        "latent_channels": 3,
        "scaling_factor": 1.5305,
        "shift_factor": 0.0609,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    },
}


def outputs(model: Any, x: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and log variance of images, and what latents decode to, channels last; in the network's own units."""
    with torch.no_grad():
        q = model.encode(torch.from_numpy(x).movedim(-1, 1)).latent_dist
        decoded = model.decode(torch.from_numpy(z).movedim(-1, 1)).sample
    return {name: v.movedim(1, -1).numpy() for name, v in (("mean", q.mean), ("logvar", q.logvar), ("decoded", decoded))}


def case(kind: str) -> dict[str, np.ndarray]:
    """Settings, weights, inputs and outputs."""
    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(**COMMON, **KINDS[kind]).eval()
    with torch.no_grad():
        for weight in model.parameters():  # in half precision, so that the frozen file is small
            weight.add_(0.1 * torch.randn_like(weight)).copy_(weight.half().float())
    x = torch.rand(2, 8, 8, 3).mul(2).sub(1).numpy()
    z = torch.randn(2, 4, 4, KINDS[kind]["latent_channels"]).numpy()
    state = model.state_dict()
    shapes = json.dumps({name: tuple(value.shape) for name, value in state.items()})
    weights = np.concatenate([value.half().numpy().ravel() for value in state.values()])
    settings = np.array(json.dumps(dict(model.config)))
    given = {"shapes": np.array(shapes), "weights": weights, "settings": settings, "x": x, "z": z}
    return given | outputs(model, x, z)


if __name__ == "__main__":
    np.savez_compressed(FROZEN, **{f"{kind}/{name}": value for kind in KINDS for name, value in case(kind).items()})
