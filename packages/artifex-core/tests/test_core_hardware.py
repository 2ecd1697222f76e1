"""The hardware as it is; memory by the compiler's account, held against the arrays; advice that follows from both."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec as P

from artifex.core.errors import InvalidInputError
from artifex.core.hardware import HardwareDetector, HardwareSpecs, MemoryUsage
from artifex.core.host_limits import host_memory, usable_cores
from artifex.core.mesh import DeviceMeshManager, ShardingConfig

GIB = 2**30
SPECS = HardwareSpecs(
    platform="gpu",
    device_kind="a kind",
    device_count=8,
    local_device_count=4,
    process_count=2,
    device_memory=10 * GIB,
    host_memory=64 * GIB,
    cores=7.5,
)


def test_the_hardware_is_what_jax_and_the_system_say():
    found = HardwareDetector().detect_hardware()
    assert found.platform == jax.default_backend()
    assert (found.device_count, found.local_device_count) == (len(jax.devices()), len(jax.local_devices()))
    assert found.process_count == 1
    assert found.device_kind == jax.devices()[0].device_kind
    assert (found.host_memory, found.cores) == (host_memory(), usable_cores())
    if jax.devices()[0].memory_stats() is None:
        assert found.device_memory is None
        assert found.memory_per_device == host_memory() // len(jax.devices())  # which share it


def devices_with(limits, monkeypatch):
    """Devices that report these limits of memory."""
    stats = [None if limit is None else {"bytes_limit": limit} for limit in limits]
    devices = [SimpleNamespace(device_kind="a kind", memory_stats=lambda said=said: said) for said in stats]
    for name, value in {"default_backend": "gpu", "devices": devices, "local_devices": devices}.items():
        monkeypatch.setattr(jax, name, lambda value=value: value)


def test_the_smallest_device_counts(monkeypatch):
    devices_with([5, 3, 4], monkeypatch)
    assert HardwareDetector().detect_hardware().device_memory == 3


def test_a_device_that_does_not_say_makes_memory_unknown(monkeypatch):
    devices_with([5, None], monkeypatch)
    found = HardwareDetector().detect_hardware()
    assert found.device_memory is found.memory_per_device is None
    assert "memory of a device: unknown" in str(found)


def test_the_table_says_what_is_known_and_what_is_not():
    assert str(SPECS).splitlines() == [
        "devices: 8 × a kind (gpu), in 2 processes",
        "memory of a device: 10.00 GiB",
        "memory of the host: 64.00 GiB",
        "cores: 7.5",
    ]
    nothing = str(replace(SPECS, process_count=1, device_memory=None, host_memory=None, cores=None))
    assert nothing.count("unknown") == 3
    assert "in 1 process\n" in nothing
    assert "memory of a device: part of the host's" in str(replace(SPECS, platform="cpu", device_memory=None))


def test_speed_is_measured(monkeypatch):
    """Operations by the formula over the shortest of the times that a clock shows."""
    ticks = iter([0.0, 9.0, 10.0, 10.5, 20.0, 22.0])  # three products, of 9, 0.5 and 2 seconds
    monkeypatch.setattr("artifex.core.hardware.time.perf_counter", lambda: next(ticks))
    assert HardwareDetector().measure_matmul_flops(size=4, repeats=3, device=jax.devices()[1]) == 2 * 4**3 / 0.5
    with pytest.raises(InvalidInputError, match="at least 1, got 0 and 5"):
        HardwareDetector().measure_matmul_flops(size=0)


def on_a_device(tree):
    """Bytes of the arrays of ``tree`` that the first device holds."""
    return sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("donate", [False, True], ids=["kept", "donated"])
@pytest.mark.parametrize("devices", [1, 8])
def test_memory_is_the_compilers_account_and_that_of_the_arrays(donate, devices):
    """A descent of two matrices over a batch, FSDP where there are devices: what goes in and comes out is known exactly."""
    mesh = DeviceMeshManager().mesh_for(ShardingConfig(data_parallel_size=devices, fsdp_enabled=True))
    rows, columns = (NamedSharding(mesh, P(*spec)) for spec in [("fsdp", None), (None, "fsdp")])
    params = {"a": jax.device_put(np.ones((64, 128), np.float32), rows), "b": jax.device_put(np.ones((128, 64)), columns)}
    batch = jax.device_put(np.ones((32, 64), np.float32), rows)

    def descend(params, batch):
        def loss(params):
            return jnp.mean((jnp.tanh(batch @ params["a"]) @ params["b"]) ** 2)

        return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))

    layout = {"a": rows, "b": columns}
    step = jax.jit(descend, donate_argnums=(0,) if donate else (), out_shardings=layout)
    found = HardwareDetector().compiled_memory(step, params, batch)
    analysis = step.lower(params, batch).compile().memory_analysis()
    assert found.arguments == analysis.argument_size_in_bytes == on_a_device((params, batch))
    assert found.arguments == 4 * (2 * 64 * 128 + 32 * 64) // devices
    assert found.temporaries == analysis.temp_size_in_bytes > 0
    given = on_a_device(params)
    after = step(params, batch)
    assert 0 <= found.outputs - on_a_device(after) <= 64  # a tuple's table of pointers
    assert found.aliased == (given if donate else 0)
    assert found.total == analysis.argument_size_in_bytes + found.outputs - found.aliased + analysis.temp_size_in_bytes
    if donate:
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(params))


def test_memory_from_shapes_alone():
    mesh = DeviceMeshManager().mesh_for(ShardingConfig())
    shape = jax.ShapeDtypeStruct((1024, 256), jnp.float32, sharding=NamedSharding(mesh, P("data")))
    found = HardwareDetector().compiled_memory(lambda x: 2 * x, shape)
    assert found.arguments == found.outputs == 1024 * 256 * 4 // 8
    assert found.aliased == 0


def test_a_compiler_that_keeps_no_account(monkeypatch):
    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", lambda self: None)
    assert HardwareDetector().compiled_memory(lambda x: x, jnp.ones(3)) is None


def usage_of(state, activations):
    """A model whose step needs so much: FSDP divides the state, devices and parts divide the activations."""

    def usage(sharding, accumulate):
        held = state // sharding.data_parallel_size if sharding.fsdp_enabled else state
        scratch = activations // sharding.data_parallel_size // accumulate
        return MemoryUsage(arguments=held, outputs=held, aliased=held, temporaries=scratch)

    return usage


@pytest.mark.parametrize(
    ("state", "activations", "fsdp", "accumulate", "reason"),
    [
        (2, 64, False, 1, "data parallel over 8: a step needs 10.00 GiB of the 10.00 GiB on each device"),
        (3, 64, True, 1, "FSDP over 8: a step needs 8.38 GiB of the 10.00 GiB on each device; what costs less needs 11.00 GiB"),
        (8, 160, True, 4, "FSDP over 8, each batch in 4 parts: a step needs 6.00 GiB"),
    ],
    ids=["fits as it is", "state too large", "activations too large"],
)
def test_the_cheapest_that_fits_is_proposed(state, activations, fsdp, accumulate, reason):
    found = HardwareDetector().sharding_that_fits(usage_of(state * GIB, activations * GIB), batch_size=64, specs=SPECS)
    assert found.sharding == ShardingConfig(data_parallel_size=8, fsdp_enabled=fsdp)
    assert found.accumulate == accumulate
    assert found.reason.startswith(reason)
    assert found.usage == usage_of(state * GIB, activations * GIB)(found.sharding, accumulate)


def test_the_batch_decides_how_many_devices_there_are():
    for batch_size, devices in [(6, 6), (20, 5), (7, 7), (11, 1), (16, 8)]:
        found = HardwareDetector().sharding_that_fits(usage_of(1, 1), batch_size=batch_size, specs=SPECS)
        assert found.sharding.data_parallel_size == devices


def test_one_device_has_no_fsdp():
    one = replace(SPECS, device_count=1)
    found = HardwareDetector().sharding_that_fits(usage_of(1 * GIB, 18 * GIB), batch_size=4, specs=one)
    assert (found.sharding, found.accumulate) == (ShardingConfig(data_parallel_size=1), 2)
    assert found.reason.startswith("one device, each batch in 2 parts: a step needs 10.00 GiB of the 10.00 GiB")


def test_where_memory_is_unknown_nothing_is_decided_about_it():
    unknown = replace(SPECS, device_memory=None)
    found = HardwareDetector().sharding_that_fits(usage_of(10**15, 1), batch_size=8, specs=unknown)
    assert (found.sharding, found.accumulate) == (ShardingConfig(data_parallel_size=8), 1)
    assert "the memory of a device is unknown, so nothing is said about FSDP" in found.reason
    silent = HardwareDetector().sharding_that_fits(lambda sharding, accumulate: None, batch_size=8, specs=SPECS)
    assert silent.usage is None
    assert "the memory that the step needs is unknown" in silent.reason


def test_nothing_fits():
    with pytest.raises(InvalidInputError, match=r"batch_size 24 needs 20\.\d+ GiB on each of 8 devices at the least, "):
        HardwareDetector().sharding_that_fits(usage_of(160 * GIB, 1 * GIB), batch_size=24, specs=SPECS)


def adam_step(layers, batch_size):
    """A step of Adam on a multilayer perceptron, with the shapes that it is given: parameters, two moments, a batch."""
    weights = [jax.ShapeDtypeStruct(shape, jnp.float32) for pair in pairwise(layers) for shape in (pair, pair[1:])]

    def step(weights, first, second, x):
        def loss(weights):
            h = x
            for w, b in batched(weights):
                h = jnp.tanh(h @ w + b[None])
            return jnp.mean((h - x) ** 2)

        gradients = jax.grad(loss)(weights)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.99 * v + 0.01 * g**2 for v, g in zip(second, gradients, strict=True)]
        return [w - m / (jnp.sqrt(v) + 1e-8) for w, m, v in zip(weights, first, second, strict=True)], first, second

    x = jax.ShapeDtypeStruct((batch_size, layers[0]), jnp.float32)
    return jax.jit(step, donate_argnums=(0, 1, 2)), (weights, weights, weights, x)


def batched(weights):
    return zip(weights[::2], weights[1::2], strict=True)


@pytest.mark.parametrize(("layers", "batch_size"), [((64, 128, 64), 1), ((64, 256, 16, 256, 64), 32)])
def test_the_bound_from_two_numbers_holds_for_a_perceptron(layers, batch_size):
    """The compiler's own account of a training step stays below it; parameters and moments alone are three quarters of 16 P."""
    step, arguments = adam_step(layers, batch_size)
    parameters = sum(int(np.prod(w.shape)) for w in arguments[0])
    bound = HardwareDetector().estimate_memory_usage(batch_size, parameters)
    needed = HardwareDetector().compiled_memory(step, *arguments).total
    assert 12 * parameters <= needed <= bound
    assert bound == 16 * parameters + 4 * batch_size * parameters


def test_numbers_below_one_are_refused():
    with pytest.raises(InvalidInputError, match="batch_size is at least 1, got 0"):
        HardwareDetector().estimate_memory_usage(0, "7b")
    with pytest.raises(InvalidInputError, match="no number of parameters"):
        HardwareDetector().estimate_memory_usage(1, "huge")


@pytest.mark.parametrize(
    ("parameters", "fsdp"), [(10 * 2**30 // 16, False), (10 * 2**30 // 16 + 1, True), (8 * 10 * 2**30 // 16, True)]
)
def test_the_training_state_of_a_model_decides_between_data_parallelism_and_fsdp(parameters, fsdp):
    """A device of 10 GiB holds 16 bytes for each of 10 GiB / 16 parameters, and no more. Nothing is allocated."""
    model = nnx.eval_shape(lambda: Vector(parameters))
    found = HardwareDetector().get_optimal_configuration(model, specs=SPECS)
    assert found.sharding == ShardingConfig(data_parallel_size=8, fsdp_enabled=fsdp)
    assert (found.accumulate, found.usage) == (1, None)
    assert found.reason.startswith("FSDP: the" if fsdp else "data parallelism: the")


class Vector(nnx.Module):
    def __init__(self, size):
        self.vector = nnx.Param(jnp.zeros(size))


def test_a_training_state_that_fits_nowhere_or_that_nothing_is_known_about():
    model = nnx.eval_shape(lambda: Vector(8 * 10 * 2**30 // 16 + 1))
    with pytest.raises(
        InvalidInputError, match=r"Vector keeps 80.00 GiB \(5,368,709,121 parameters\), and there are 10.00 GiB on each of 8"
    ):
        HardwareDetector().get_optimal_configuration(model, specs=SPECS)
    unknown = HardwareDetector().get_optimal_configuration(model, specs=replace(SPECS, device_memory=None))
    assert unknown.sharding == ShardingConfig(data_parallel_size=8)
    assert unknown.reason.endswith("with unknown on each of 8 devices")
