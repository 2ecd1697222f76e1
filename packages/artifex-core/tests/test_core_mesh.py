"""Meshes: sizes, axes, refusals that name the way out, and the rule for transformers."""

import math

import jax
import pytest
from jax.sharding import AxisType
from pydantic import ValidationError

from artifex.core.errors import InvalidInputError
from artifex.core.mesh import MESH_AXES, DeviceMeshManager, ShardingConfig


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({}, (8, 1, 1, 1, 1)),
        ({"fsdp_enabled": True}, (1, 8, 1, 1, 1)),
        ({"tensor_parallel_size": 2}, (4, 1, 2, 1, 1)),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "fsdp_enabled": True}, (1, 2, 2, 2, 1)),
        ({"expert_parallel_size": 8}, (1, 1, 1, 1, 8)),
        ({"data_parallel_size": 2}, (2, 1, 1, 1, 1)),
    ],
)
def test_sizes(fields, sizes):
    manager = DeviceMeshManager()
    mesh = manager.create_mesh(ShardingConfig(**fields))
    assert mesh.axis_names == MESH_AXES
    assert tuple(mesh.shape.values()) == sizes
    assert manager.validate_mesh_config(ShardingConfig(**fields)) == dict(mesh.shape)
    assert mesh.axis_types == (AxisType.Auto,) * 5
    assert set(mesh.devices.flat) == set(jax.devices()[: math.prod(sizes)])


def test_devices_given():
    mesh = DeviceMeshManager(jax.devices()[2:6]).create_mesh(ShardingConfig(tensor_parallel_size=2))
    assert tuple(mesh.shape.values()) == (2, 1, 2, 1, 1)
    assert set(mesh.devices.flat) == set(jax.devices()[2:6])


def test_refusals_name_the_way_out():
    manager = DeviceMeshManager()
    with pytest.raises(InvalidInputError, match=r"tensor_parallel_size 3 .* 8 devices .* 1, 2, 4, 8"):
        manager.validate_mesh_config(ShardingConfig(tensor_parallel_size=3), 8)
    with pytest.raises(InvalidInputError, match=r"data_parallel_size 4 with tensor_parallel_size 4 needs 16 devices"):
        manager.create_mesh(ShardingConfig(data_parallel_size=4, tensor_parallel_size=4))
    for field in ("data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size", "expert_parallel_size"):
        with pytest.raises(ValidationError, match=field):
            ShardingConfig(**{field: 0})


def test_other_processes_may_not_be_left_out():
    class Elsewhere:
        def __init__(self, process_index):
            self.process_index = process_index

    manager = DeviceMeshManager([Elsewhere(0), Elsewhere(1)])
    with pytest.raises(InvalidInputError, match="every process"):
        manager.create_mesh(ShardingConfig(data_parallel_size=1))


def test_the_simplest_sharding_that_fits_a_transformer():
    # 1e9 parameters in 20 layers: state 16e9 bytes, a layer's parameters and gradients 0.4e9.
    def propose(memory, n_heads=12):
        return DeviceMeshManager().optimize_for_transformer(10**9, 20, n_heads, n_devices=8, memory_per_device=int(memory))

    assert propose(16e9) == ShardingConfig(data_parallel_size=8)
    assert propose(15.9e9) == propose(2.4e9) == ShardingConfig(data_parallel_size=8, fsdp_enabled=True)
    assert propose(2.3e9) == ShardingConfig(data_parallel_size=4, tensor_parallel_size=2, fsdp_enabled=True)
    assert propose(2.1e9) == ShardingConfig(data_parallel_size=2, tensor_parallel_size=4, fsdp_enabled=True)
    with pytest.raises(InvalidInputError, match="1,000,000,000 parameters on 8 devices"):
        propose(2.0e9)
    with pytest.raises(InvalidInputError, match="GiB"):
        propose(2.3e9, n_heads=3)  # three heads cannot be shared by two devices


def test_transformer_refusals():
    with pytest.raises(InvalidInputError, match="memory_per_device"):
        DeviceMeshManager(jax.devices("cpu")).optimize_for_transformer(10, 1, 1)
    with pytest.raises(InvalidInputError, match="n_layers"):
        DeviceMeshManager().optimize_for_transformer(10, 0, 1, memory_per_device=100)
