"""Meshes: sizes, axes, refusals that name the way out, and the rule for transformers."""

import math

import jax
import pytest
from jax.sharding import AxisType
from pydantic import ValidationError

from artifex.core.errors import InvalidInputError
from artifex.core.mesh import MESH_AXES, DeviceMeshManager, ShardingConfig, devices_for, parameter_count


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({}, (8, 1, 1, 1, 1)),
        ({"fsdp_enabled": True}, (1, 8, 1, 1, 1)),
        ({"tensor_parallel_size": 2}, (4, 1, 2, 1, 1)),
        ({"tensor_parallel_size": 2, "expert_parallel_size": 2, "fsdp_enabled": True}, (1, 2, 2, 1, 2)),
        ({"expert_parallel_size": 8}, (1, 1, 1, 1, 8)),
        ({"data_parallel_size": 2}, (2, 1, 1, 1, 1)),
    ],
)
def test_sizes(fields, sizes):
    manager = DeviceMeshManager()
    mesh = manager.mesh_for(ShardingConfig(**fields))
    assert mesh.axis_names == MESH_AXES
    assert tuple(mesh.shape.values()) == sizes
    assert manager.axis_sizes(ShardingConfig(**fields)) == dict(mesh.shape)
    assert mesh.axis_types == (AxisType.Auto,) * 5
    assert set(mesh.devices.flat) == set(jax.devices()[: math.prod(sizes)])


def test_devices_given():
    mesh = DeviceMeshManager(jax.devices()[2:6]).mesh_for(ShardingConfig(tensor_parallel_size=2))
    assert tuple(mesh.shape.values()) == (2, 1, 2, 1, 1)
    assert set(mesh.devices.flat) == set(jax.devices()[2:6])


def test_refusals_name_the_way_out():
    manager = DeviceMeshManager()
    with pytest.raises(InvalidInputError, match=r"tensor_parallel_size 3 .* 8 devices .* 1, 2, 4, 8"):
        manager.axis_sizes(ShardingConfig(tensor_parallel_size=3), 8)
    with pytest.raises(InvalidInputError, match=r"data_parallel_size 4 with tensor_parallel_size 4 needs 16 devices"):
        manager.mesh_for(ShardingConfig(data_parallel_size=4, tensor_parallel_size=4))
    for field in ("data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size", "expert_parallel_size"):
        with pytest.raises(ValidationError, match=field):
            ShardingConfig(**{field: 0})


def test_a_pipeline_is_refused_until_there_is_a_schedule():
    assert ShardingConfig().pipeline_parallel_size == 1
    with pytest.raises(ValidationError, match=r"(?s)pipeline_parallel_size.*there is no pipeline schedule yet.*fsdp_enabled"):
        ShardingConfig(pipeline_parallel_size=2)


def test_a_mesh_of_any_shape_and_names():
    mesh = DeviceMeshManager().create_mesh((2, 3), ("rows", "columns"))
    assert dict(mesh.shape) == {"rows": 2, "columns": 3}
    assert mesh.axis_types == (AxisType.Auto,) * 2
    assert set(mesh.devices.flat) == set(jax.devices()[:6])
    assert DeviceMeshManager(jax.devices()[5:]).create_mesh([2], ["a"]).devices.tolist() == jax.devices()[5:7]


@pytest.mark.parametrize(
    ("shape", "names", "message"),
    [
        ((3, 4), ("data", "model"), r"a mesh of shape \(3, 4\) needs 12 devices, there are 8; lower a size"),
        ((2, 4), ("data",), r"one name for each size, all different; got \(2, 4\) and \('data',\)"),
        ((2,), ("data", "model"), "one name for each size"),
        ((2, 4), ("data", "data"), "all different"),
        ((4,), "d", r"got \(4,\) and 'd'"),
        ((0, 4), ("data", "model"), r"at least one device along each axis; got \(0, 4\)"),
    ],
)
def test_shapes_that_make_no_mesh(shape, names, message):
    with pytest.raises(InvalidInputError, match=message):
        DeviceMeshManager().create_mesh(shape, names)


@pytest.mark.parametrize(
    ("shape", "count", "fits"),
    [((2, 4), 8, True), ((8,), 8, True), ((3, 4), 8, False), ((2, 2), 8, False), ((-2, -4), 8, False), ((), 1, True)],
)
def test_whether_a_shape_has_a_place_for_each_device(shape, count, fits):
    assert DeviceMeshManager().validate_mesh_config(shape, count) is fits


def test_the_rule_of_thumb_is_that_of_the_megatron_table():
    manager = DeviceMeshManager()
    table = {"1.7b": 1, "3.6b": 2, "7.5b": 4, "18.4b": 8, "39.1b": 8}  # arXiv:2104.04473, table 1; 39.1b also has a pipeline
    for size, tensor in table.items():
        assert manager.optimize_for_transformer(32, size) == (32 // tensor, tensor)
    assert manager.optimize_for_transformer(6, "18.4b") == (3, 2)  # neither 4 nor 8 divides six devices
    assert manager.optimize_for_transformer(8, 7_500_000_000) == manager.optimize_for_transformer(8, "7.5B") == (2, 4)
    assert manager.create_mesh(manager.optimize_for_transformer(8, "7b"), ("data", "model")).size == 8
    with pytest.raises(InvalidInputError, match="device_count must be at least 1, got 0"):
        manager.optimize_for_transformer(0, "7b")


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("7b", 7 * 10**9),
        ("1.1b", 1_100_000_000),
        ("350M", 350 * 10**6),
        ("2k", 2000),
        ("1.8T", 1_800_000_000_000),
        ("1_000", 1000),
    ],
)
def test_parameters_as_people_write_them(written, count):
    assert parameter_count(written) == parameter_count(count) == count


@pytest.mark.parametrize("written", ["", "b", "7 billion", "-7b", "0", 0, "7bb", "_", None, True])
def test_what_is_no_number_of_parameters(written):
    with pytest.raises(InvalidInputError, match="is no number of parameters; write 7000000000, or '7b'"):
        parameter_count(written)


def test_the_largest_number_of_devices_that_a_batch_splits_over():
    assert [devices_for(100, n) for n in (1, 2, 3, 4, 7, 8, 16, 25)] == [1, 2, 2, 4, 5, 5, 10, 25]
    assert devices_for(7, 8) == 7
    assert devices_for(11, 8) == 1


def test_other_processes_may_not_be_left_out():
    class Elsewhere:
        def __init__(self, process_index):
            self.process_index = process_index

    manager = DeviceMeshManager([Elsewhere(0), Elsewhere(1)])
    with pytest.raises(InvalidInputError, match="every process"):
        manager.mesh_for(ShardingConfig(data_parallel_size=1))
    with pytest.raises(InvalidInputError, match=r"every process must take part\. Use all of them"):
        manager.create_mesh((1, 1), ("data", "model"))


def test_the_simplest_sharding_that_fits_a_transformer():
    # 1e9 parameters in 20 layers: state 16e9 bytes, a layer's parameters and gradients 0.4e9.
    def propose(memory, n_heads=12):
        return DeviceMeshManager().sharding_for_transformer(10**9, 20, n_heads, n_devices=8, memory_per_device=int(memory))

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
        DeviceMeshManager(jax.devices("cpu")).sharding_for_transformer(10, 1, 1)
    with pytest.raises(InvalidInputError, match="n_layers"):
        DeviceMeshManager().sharding_for_transformer(10, 0, 1, memory_per_device=100)
