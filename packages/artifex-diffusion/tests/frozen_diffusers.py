"""What diffusers makes of schedules, sampler steps, and small networks with random weights: for `test_diffusion_diffusers.py`.

    python packages/artifex-diffusion/tests/frozen_diffusers.py

writes `frozen_diffusers.npz` beside itself, for the everyday tests; the tests marked `reference` call these functions.
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
SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
STEPS, TOTAL = 10, 1000


def tables() -> dict[str, np.ndarray]:
    """``abar`` of every schedule, and with zero terminal signal-to-noise ratio."""
    made = {}
    for name, theirs in SCHEDULES.items():
        ends = {"beta_start": 0.00085, "beta_end": 0.012} if name == "scaled_linear" else {}
        scheduler = diffusers.DDIMScheduler(beta_schedule=theirs, **ends)
        made[f"table/{name}"] = scheduler.alphas_cumprod.numpy()
    rescaled = diffusers.DDIMScheduler(beta_schedule="linear", rescale_betas_zero_snr=True)
    return {**made, "table/zero_terminal_snr": rescaled.alphas_cumprod.numpy()}


def predicted(x: torch.Tensor) -> torch.Tensor:
    """Stands for a network that predicts noise."""
    return torch.tanh(1.3 * x) + 0.1 * x


def trajectories() -> dict[str, np.ndarray]:
    """The sample before and after every step, in their own units (``sigma`` schedulers keep ``x / alpha``)."""
    betas = {"beta_start": 1e-4, "beta_end": 0.02}  # their samplers' defaults differ
    common: dict[str, Any] = {"num_train_timesteps": TOTAL, "timestep_spacing": "trailing", **betas}
    kinds = {
        "ddpm": (diffusers.DDPMScheduler, {"clip_sample": False}),
        "ddim": (diffusers.DDIMScheduler, {"clip_sample": False}),
        "euler": (diffusers.EulerDiscreteScheduler, {}),
        "heun": (diffusers.HeunDiscreteScheduler, {}),
        "dpm_solver_pp_2m": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    }
    made: dict[str, np.ndarray] = {}
    start = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    for kind, (cls, more) in kinds.items():
        scheduler = cls(**common, **more)
        scheduler.set_timesteps(STEPS)
        x, kept, noises = start.clone(), [], []
        if kind in ("euler", "heun"):  # theirs begin at this level with another standard deviation; ours is given
            x = x * (scheduler.sigmas[0] ** 2 + 1) ** 0.5
        kept.append(x.clone())
        for t in scheduler.timesteps:
            inner = scheduler.scale_model_input(x, t)
            more_arguments = {}
            if kind == "ddpm":
                generator = torch.Generator().manual_seed(int(t))
                noises.append(torch.randn(x.shape, generator=torch.Generator().manual_seed(int(t))))
                more_arguments = {"generator": generator}
            x = scheduler.step(predicted(inner), t, x, **more_arguments).prev_sample
            kept.append(x.clone())
        made[f"steps/{kind}"] = torch.stack(kept).numpy()
        made[f"times/{kind}"] = np.asarray(scheduler.timesteps, np.float64)
        if noises:
            made[f"noise/{kind}"] = torch.stack(noises).numpy()
    return made


UNETS: dict[str, dict[str, Any]] = {
    "plain": {
        "sample_size": 8,
        "in_channels": 2,
        "out_channels": 2,
        "block_out_channels": (4, 8),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "attention_head_dim": 4,
        "num_class_embeds": 3,
    },
    "scale_shift": {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (4, 8),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
        "norm_num_groups": 2,
        "attention_head_dim": None,
        "attn_norm_num_groups": 2,
        "resnet_time_scale_shift": "scale_shift",
    },
    "context": {
        "sample_size": 8,
        "in_channels": 2,
        "out_channels": 2,
        "block_out_channels": (4, 8),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 2,
        "attention_head_dim": 2,  # their name for the number of heads
        "cross_attention_dim": 6,
    },
}
DIT: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 2,
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "patch_size": 2,
    "num_embeds_ada_norm": 3,
    "norm_num_groups": 2,
}


def network(kind: str) -> dict[str, np.ndarray]:
    """Settings, weights, inputs and output of a small network with random weights."""
    torch.manual_seed(0)
    cls = {"context": diffusers.UNet2DConditionModel, "dit": diffusers.DiTTransformer2DModel}.get(kind, diffusers.UNet2DModel)
    settings = DIT if kind == "dit" else UNETS[kind]
    model = cls(**settings).eval()
    if kind == "dit":  # one embedding for all blocks, as in the paper; theirs has a copy in each
        for block in model.transformer_blocks[1:]:
            block.norm1.emb.load_state_dict(model.transformer_blocks[0].norm1.emb.state_dict())
    with torch.no_grad():
        for name, weight in model.named_parameters():  # in half precision, so that the frozen file is small
            more = 0 if ".emb." in name else 0.1 * torch.randn_like(weight)
            weight.add_(more).copy_(weight.half().float())
    size, channels = settings["sample_size"], settings["in_channels"]
    x, t = torch.randn(3, channels, size, size), torch.tensor([3, 250, 999])
    given = {"context": torch.randn(3, 5, 6), "scale_shift": None}.get(kind, torch.tensor([0, 2, 1]))
    arguments = {} if given is None else {"encoder_hidden_states" if kind == "context" else "class_labels": given}
    with torch.no_grad():
        out = model(x, t, **arguments).sample
    state = {name: value for name, value in model.state_dict().items() if not (kind == "dit" and name == "pos_embed.pos_embed")}
    made = {
        "settings": np.array(json.dumps({"_class_name": cls.__name__, **dict(model.config)}, default=str)),
        "shapes": np.array(json.dumps({name: tuple(value.shape) for name, value in state.items()})),
        "weights": np.concatenate([value.half().numpy().ravel() for value in state.values()]),
        "x": x.movedim(1, -1).numpy(),
        "t": t.numpy(),
        "out": out.movedim(1, -1).numpy(),
    }
    return made if given is None else {**made, "given": given.numpy()}


def everything() -> dict[str, np.ndarray]:
    networks = {f"{kind}/{name}": value for kind in (*UNETS, "dit") for name, value in network(kind).items()}
    return {**tables(), **trajectories(), **networks}


if __name__ == "__main__":
    np.savez_compressed(FROZEN, **everything())
