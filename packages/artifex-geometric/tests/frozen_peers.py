"""Small random layers of egnn-pytorch and invariant-point-attention, and what they make: frozen_peers.npz.

Runs with PyTorch and the two packages alone::

    pip install torch==2.13.0 einops
    pip install --no-deps egnn-pytorch==0.2.8 invariant-point-attention==0.2.2
    python frozen_peers.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


def egnn_case(gated: bool) -> Arrays:
    """One layer on two sets of six points, the second of which has four."""
    import torch
    from egnn_pytorch import EGNN

    torch.manual_seed(0)
    layer = EGNN(dim=6, edge_dim=2, m_dim=5, soft_edges=gated, norm_feats=gated, init_eps=0.3).eval()
    h, x, edges = torch.randn(2, 6, 6), torch.randn(2, 6, 3), torch.randn(2, 6, 6, 2)
    mask = torch.arange(6)[None] < torch.tensor([[6], [4]])
    with torch.no_grad():
        features, points = layer(h, x, edges=edges, mask=mask)
    return _arrays(layer, h=h, x=x, edges=edges, mask=mask, features=features, points=points)


def attention_case() -> Arrays:
    """Invariant point attention on two chains of five, the second of which has three."""
    import torch
    from invariant_point_attention import InvariantPointAttention

    torch.manual_seed(1)
    layer = InvariantPointAttention(
        dim=6, heads=2, scalar_key_dim=4, scalar_value_dim=4, point_key_dim=3, point_value_dim=2, pairwise_repr_dim=5
    ).eval()
    h, pairs, points = torch.randn(2, 5, 6), torch.randn(2, 5, 5, 5), torch.randn(2, 5, 3)
    rotations = torch.linalg.qr(torch.randn(2, 5, 3, 3))[0]
    rotations = rotations * torch.linalg.det(rotations)[..., None, None].sign()
    mask = torch.arange(5)[None] < torch.tensor([[5], [3]])
    with torch.no_grad():
        layer.point_weights.add_(torch.tensor([0.3, -0.4]))
        out = layer(h, pairs, rotations=rotations, translations=points, mask=mask)
    return _arrays(layer, h=h, pairs=pairs, points=points, rotations=rotations, mask=mask, out=out)


def case(name: str) -> Arrays:
    """One of ``egnn``, ``egnn_gated``, ``attention``."""
    return attention_case() if name == "attention" else egnn_case(name == "egnn_gated")


def _arrays(layer: Any, **given: Any) -> Arrays:
    weights = {f"w.{name}": value.numpy() for name, value in layer.state_dict().items()}
    return weights | {name: value.numpy() for name, value in given.items()}


if __name__ == "__main__":
    found = {f"{name}/{key}": array for name in ("egnn", "egnn_gated", "attention") for key, array in case(name).items()}
    np.savez_compressed(Path(__file__).with_name("frozen_peers.npz"), **found)
