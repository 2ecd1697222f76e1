"""Shardings on eight virtual devices: what lies where, how many bytes, and the same numbers as on one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

from artifex.core.errors import InvalidInputError
from artifex.core.mesh import DeviceMeshManager, ShardingConfig
from artifex.core.nn import MLP, Conv
from artifex.core.sharding import batch_sharding, create_sharded, shard_like_params, shardings


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = Conv(3, 16, rngs=rngs)
        self.mlp = MLP(16, (64,), 6, rngs=rngs)
        self.rngs = rngs.fork()

    def __call__(self, x):
        return self.mlp(jnp.mean(self.conv(x), axis=(1, 2)))


def make():
    return Net(rngs=nnx.Rngs(0))


def mesh_of(**fields):
    return DeviceMeshManager().mesh_for(ShardingConfig(**fields))


def specs(mesh, **options):
    placed = nnx.to_flat_state(shardings(nnx.eval_shape(make), mesh, **options))
    return {".".join(map(str, path)): sharding.spec for path, sharding in placed if "rngs" not in path}


def test_data_parallel_is_replicated():
    assert {tuple(axis for axis in spec if axis) for spec in specs(mesh_of(), fsdp_min_weight_size=0).values()} == {()}


def test_tensor_parallel_follows_the_rules():
    found = specs(mesh_of(tensor_parallel_size=4))
    assert found["mlp.layers.0.kernel"] == P(None, "tensor")
    assert found["mlp.layers.0.bias"] == P("tensor")
    assert found["mlp.layers.1.kernel"] == P("tensor", None)
    assert found["conv.kernel"] == P(None, None, None, "tensor")
    other = specs(mesh_of(tensor_parallel_size=4), rules={"embed": "tensor"})
    assert other["mlp.layers.0.kernel"] == P("tensor", None)
    assert other["mlp.layers.1.kernel"] == P(None, None)  # 6 outputs do not divide by 4


def test_fsdp_divides_the_largest_free_axis_of_large_arrays():
    found = specs(mesh_of(fsdp_enabled=True), fsdp_min_weight_size=100)
    assert found["mlp.layers.0.kernel"] == P(None, "fsdp")
    assert found["mlp.layers.1.kernel"] == P("fsdp", None)
    assert found["conv.kernel"] == P(None, None, None, "fsdp")
    assert found["mlp.layers.0.bias"] == P(None)
    both = specs(mesh_of(fsdp_enabled=True, tensor_parallel_size=2), fsdp_min_weight_size=100)
    assert both["mlp.layers.0.kernel"] == P("fsdp", "tensor")
    assert both["conv.kernel"] == P(None, None, None, "tensor")  # neither 3 divides by 4


def test_streams_are_on_every_device():
    placed = shardings(nnx.eval_shape(make), mesh_of(fsdp_enabled=True), fsdp_min_weight_size=0)
    assert all(sharding.is_fully_replicated for sharding in jax.tree.leaves(placed["rngs"]))


@pytest.mark.parametrize(
    "fields",
    [{}, {"fsdp_enabled": True}, {"tensor_parallel_size": 8}, {"fsdp_enabled": True, "tensor_parallel_size": 2}],
    ids=str,
)
def test_sharded_model_is_the_model(fields):
    mesh = mesh_of(**fields)
    model = create_sharded(make, mesh, fsdp_min_weight_size=100)
    alone = jax.jit(lambda: nnx.as_pure(nnx.state(make(), nnx.Param)))()
    jax.tree.map(np.testing.assert_array_equal, nnx.as_pure(nnx.state(model, nnx.Param)), alone)

    x = jax.random.normal(jax.random.key(1), (16, 4, 4, 3))
    graph, state = nnx.split(model)
    forward = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    spread = forward(nnx.as_pure(state), jax.device_put(x, batch_sharding(mesh)))
    np.testing.assert_allclose(spread, make()(x), rtol=1e-5, atol=1e-6)  # sums of 64 in another order


def test_bytes_a_device_holds():
    kernel = create_sharded(make, mesh_of(fsdp_enabled=True), fsdp_min_weight_size=100).mlp.layers[0].kernel[...]
    assert {shard.data.nbytes for shard in kernel.addressable_shards} == {kernel.nbytes // 8}
    whole = create_sharded(make, mesh_of(fsdp_enabled=True)).mlp.layers[0].kernel[...]
    assert {shard.data.nbytes for shard in whole.addressable_shards} == {whole.nbytes}


def test_batch_is_divided_over_data_and_fsdp():
    for fields in ({}, {"fsdp_enabled": True}):
        x = jax.device_put(jnp.zeros((16, 3)), batch_sharding(mesh_of(**fields)))
        assert {shard.data.shape for shard in x.addressable_shards} == {(2, 3)}
    assert batch_sharding(jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))).spec == P(("data",))


def test_optimizer_state_lies_where_its_parameters_lie():
    mesh = mesh_of(fsdp_enabled=True)
    params = nnx.as_pure(nnx.state(nnx.eval_shape(make), nnx.Param))
    placed = shardings(nnx.state(nnx.eval_shape(make), nnx.Param), mesh, fsdp_min_weight_size=100)
    # What optimisers keep: copies of the tree, a copy with holes, factored moments of other shapes, counters.
    state = (
        {"count": jax.ShapeDtypeStruct((), jnp.int32), "mu": params, "nu": params},
        {"masked": {"mlp": {"layers": {0: {"kernel": params["mlp"]["layers"][0]["kernel"]}}}}},
        {"v_row": jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[:-1], leaf.dtype), params)},
    )
    first, masked, factored = shard_like_params(state, params, placed)
    assert jax.tree.leaves(first["mu"]) == jax.tree.leaves(first["nu"]) == jax.tree.leaves(placed)
    assert first["count"].is_fully_replicated
    assert masked["masked"]["mlp"]["layers"][0]["kernel"].spec == P(None, "fsdp")
    assert all(sharding.is_fully_replicated for sharding in jax.tree.leaves(factored))


def test_refusals():
    mesh = mesh_of()
    with pytest.raises(InvalidInputError, match=r"'mlp' -> 'tensr' .* Did you mean 'tensor'"):
        shardings(nnx.eval_shape(make), mesh, {"mlp": "tensr"})
    wrong = {"w": nnx.Param(jnp.zeros((2, 3)), logical_axes=("embed",))}
    with pytest.raises(InvalidInputError, match=r"\['w'\] has shape \(2, 3\) and logical axes \('embed',\)"):
        shardings(wrong, mesh)
    with pytest.raises(InvalidInputError, match="no parameter"):
        shard_like_params({"count": jnp.zeros(())}, {}, {})


def test_a_mesh_with_fewer_axes():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    placed = shardings(nnx.eval_shape(make), mesh)
    assert all(isinstance(sharding, NamedSharding) and sharding.is_fully_replicated for sharding in jax.tree.leaves(placed))
