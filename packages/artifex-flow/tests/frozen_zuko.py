"""What zuko's flows give, in float64: the reference of `test_flow_zuko.py`.

    python packages/artifex-flow/tests/frozen_zuko.py

writes `frozen_zuko.npz` beside itself, from which the everyday tests read. The tests marked `reference` call :func:`case`,
so that the frozen arrays are known to be what the installed zuko gives.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
zuko = pytest.importorskip("zuko")

FROZEN = Path(__file__).with_name("frozen_zuko.npz")
DIM, SIZES = 4, {"transforms": 3, "hidden_features": (9, 7)}
FLOWS = {
    "maf": lambda: zuko.flows.MAF(DIM, **SIZES),
    "maf_random": lambda: zuko.flows.MAF(DIM, randperm=True, **SIZES),
    "maf_conditional": lambda: zuko.flows.MAF(DIM, 2, **SIZES),
    "nsf": lambda: zuko.flows.NSF(DIM, bins=5, **SIZES),
    "nsf_random_conditional": lambda: zuko.flows.NSF(DIM, 2, bins=8, randperm=True, **SIZES),
}


def case(name: str) -> dict[str, np.ndarray]:
    """Weights, inputs within and beyond the splines' bound, what they become, and their log densities."""
    torch.manual_seed(0)
    flow = FLOWS[name]().double()
    with torch.no_grad():
        for parameter in flow.parameters():  # away from the start: densities that are far from normal
            parameter.mul_(2.0)
        x = 2.5 * torch.randn(32, DIM, dtype=torch.float64)
        condition = torch.randn(32, 2, dtype=torch.float64)
        distribution = flow(condition) if "conditional" in name else flow()
        made = {"x": x, "condition": condition, "z": distribution.transform(x), "log_prob": distribution.log_prob(x)}
        made |= {f"state/{key}": value for key, value in flow.state_dict().items()}
    return {key: value.numpy() for key, value in made.items()}


if __name__ == "__main__":
    np.savez_compressed(FROZEN, **{f"{name}/{key}": value for name in FLOWS for key, value in case(name).items()})
