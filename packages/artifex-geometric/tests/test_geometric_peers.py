"""EGNN with the weights of egnn-pytorch, invariant point attention with those of invariant-point-attention: the same numbers.

One layer in float32: 1e-5 is some hundred roundings.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.geometric.egnn import EGNNLayer
from artifex.geometric.invariant_point_attention import InvariantPointAttention

TESTS = Path(__file__).parent
Arrays = dict[str, np.ndarray]


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def case(request: pytest.FixtureRequest, name: str) -> Arrays:
    if request.param == "live":
        pytest.importorskip("egnn_pytorch")
        pytest.importorskip("invariant_point_attention")
        return runpy.run_path(str(TESTS / "frozen_peers.py"))["case"](name)
    with np.load(TESTS / "frozen_peers.npz") as file:
        return {key.removeprefix(f"{name}/"): file[key] for key in file.files if key.startswith(f"{name}/")}


def put(layer: Any, weight: np.ndarray, bias: np.ndarray | None = None) -> None:
    """PyTorch's ``(out, in)`` into a linear layer."""
    assert layer.kernel[...].shape == weight.T.shape
    layer.kernel[...] = jnp.asarray(weight.T)
    if bias is not None:
        layer.bias[...] = jnp.asarray(bias)


@pytest.mark.parametrize("name", ["egnn", "egnn_gated"])
def test_a_layer_of_egnn_pytorch(case: Arrays, name: str):
    gated, w = name == "egnn_gated", {key.removeprefix("w."): value for key, value in case.items() if key.startswith("w.")}
    layer = EGNNLayer(
        6,
        edge_features=2,
        message_features=5,
        edge_hidden=w["edge_mlp.0.weight"].shape[0],
        coordinate_hidden=20,
        node_hidden=12,
        gated=gated,
        self_edges=True,
        normed=gated,
        rngs=nnx.Rngs(0),
    )
    first = w["edge_mlp.0.weight"]  # columns: the receiver's features, the sender's, the distance, the edge's
    put(layer.receiver, first[:, :6])
    put(layer.sender, first[:, 6:12])
    put(layer.pair, first[:, 12:], w["edge_mlp.0.bias"])
    put(layer.message, w["edge_mlp.3.weight"], w["edge_mlp.3.bias"])
    put(layer.push, w["coors_mlp.0.weight"], w["coors_mlp.0.bias"])
    put(layer.weight, w["coors_mlp.3.weight"], w["coors_mlp.3.bias"])
    put(layer.node.layers[0], w["node_mlp.0.weight"], w["node_mlp.0.bias"])
    put(layer.node.layers[1], w["node_mlp.3.weight"], w["node_mlp.3.bias"])
    if gated:
        put(layer.gate, w["edge_gate.0.weight"], w["edge_gate.0.bias"])
        layer.norm.scale[...], layer.norm.bias[...] = jnp.asarray(w["node_norm.weight"]), jnp.asarray(w["node_norm.bias"])
    given = (jnp.asarray(case[key]) for key in ("h", "x", "mask", "edges"))
    features, points = layer(*given)
    there = case["mask"]
    assert_allclose(np.asarray(features)[there], case["features"][there], atol=1e-5 * np.abs(case["features"]).max())
    if not gated:  # there the gate weighs what moves the points as well; here, as in the papers, the sum of messages alone
        assert_allclose(np.asarray(points)[there], case["points"][there], atol=1e-5 * np.abs(case["points"]).max())


@pytest.mark.filterwarnings("ignore:.*torch.cuda.amp.autocast:FutureWarning")  # which the package still says
@pytest.mark.parametrize("name", ["attention"])
def test_attention_of_invariant_point_attention(case: Arrays, name: str):
    w = {key.removeprefix("w."): value for key, value in case.items() if key.startswith("w.")}
    layer = InvariantPointAttention(6, heads=2, scalars=4, query_points=3, value_points=2, pair_features=5, rngs=nnx.Rngs(0))
    for ours, theirs in (("query", "scalar_q"), ("key", "scalar_k"), ("value", "scalar_v")):
        put(getattr(layer, ours), w[f"to_{theirs}.weight"])
        put(getattr(layer, f"{ours}_point"), w[f"to_{theirs.replace('scalar', 'point')}.weight"])
    put(layer.pair_bias, w["to_pairwise_attn_bias.0.weight"], w["to_pairwise_attn_bias.0.bias"])
    put(layer.out, w["to_out.weight"], w["to_out.bias"])
    layer.point_weight[...] = jnp.asarray(w["point_weights"])
    # there a row vector is turned by r, here a column vector by its transpose
    rotations = np.swapaxes(case["rotations"], -1, -2)
    given = (jnp.asarray(a) for a in (case["h"], case["pairs"], rotations, case["points"], case["mask"]))
    there = case["mask"]
    assert_allclose(np.asarray(layer(*given))[there], case["out"][there], atol=1e-5 * np.abs(case["out"]).max())
