"""Virtual CPU devices: operations counted exactly, advice that follows from them, and nothing started on the way."""

import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from artifex.core import host_limits
from artifex.core.host_limits import whole_cores
from artifex.core.testing import user_environment
from artifex.training import host_devices
from artifex.training.host_devices import WORTH_SPLITTING, advise, count_flops

X, K = jax.ShapeDtypeStruct((8, 10, 12, 6), jnp.float32), jax.ShapeDtypeStruct((3, 5, 6, 4), jnp.float32)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def flops(function, *arguments):
    return count_flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def conv(x, k, strides=(1, 1), padding="SAME", **options):
    return lax.conv_general_dilated(x, k, strides, padding, dimension_numbers=LAYOUT, **options)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # 2 x (outputs) x (kernel height x width x input channels)
        (conv, 2 * (8 * 10 * 12 * 4) * (3 * 5 * 6)),
        (lambda x, k: conv(x, k, (2, 2)), 2 * (8 * 5 * 6 * 4) * (3 * 5 * 6)),
        (lambda x, k: conv(x, k, padding="VALID"), 2 * (8 * 8 * 8 * 4) * (3 * 5 * 6)),
        (lambda x, k: conv(x, k[:, :, :3], feature_group_count=2), 2 * (8 * 10 * 12 * 4) * (3 * 5 * 3)),
    ],
    ids=["same", "strided", "valid", "grouped"],
)
def test_a_convolution_by_its_formula(function, expected):
    assert flops(function, X, K) == {"conv": expected, "dot": 0}


def test_backward_passes_cost_as_much_as_the_forward_pass_each():
    forward = flops(conv, X, K)["conv"]
    both = flops(jax.grad(lambda x, k: conv(x, k).sum(), argnums=(0, 1)), X, K)
    assert both["conv"] == 3 * forward


def test_zeros_between_the_inputs_of_a_transposed_convolution_are_free():
    found = flops(lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=LAYOUT), X, K)
    assert found["conv"] == 2 * (8 * 20 * 24 * 4) * (3 * 5 * 6) / 4


def test_a_matrix_product_by_its_formula():
    a, b = jnp.ones((7, 5)), jnp.ones((5, 3))
    assert flops(jnp.matmul, a, b) == {"conv": 0, "dot": 2 * 7 * 5 * 3}
    batched = flops(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), jnp.ones((4, 7, 5)), jnp.ones((4, 5, 3)))
    assert batched["dot"] == 4 * 2 * 7 * 5 * 3
    dense_step = flops(jax.grad(lambda w: (jnp.ones((128, 784)) @ w).sum()), jnp.ones((784, 400)))
    assert dense_step["dot"] in (2 * 128 * 784 * 400, 2 * 2 * 128 * 784 * 400)  # the forward pass may be dead code


def test_what_is_inside_counts_as_often_as_it_runs():
    w = jnp.ones((6, 6))
    once = 2 * 6 * 6 * 6
    assert flops(jax.jit(lambda w: w @ w), w)["dot"] == once
    assert flops(jax.checkpoint(lambda w: w @ w), w)["dot"] == once
    assert flops(lambda w: lax.scan(lambda c, _: (c @ w, None), w, length=5)[0], w)["dot"] == 5 * once
    assert flops(lambda w: lax.cond(w[0, 0] > 0, lambda v: v @ v @ v, lambda v: v @ v, w), w)["dot"] == 2 * once
    assert flops(lambda w: lax.fori_loop(0, 3, lambda _, c: c @ w, w), w)["dot"] == 3 * once
    assert flops(jax.vmap(lambda w: w @ w), jnp.ones((2, 6, 6)))["dot"] == 2 * once


def big(x, k):
    return conv(conv(x, k), jnp.zeros((3, 3, 4, 6))).sum()


def big_inputs(batch):
    return jax.ShapeDtypeStruct((batch, 96, 96, 6), jnp.float32), K


def test_convolutions_get_a_device_a_core():
    advice = advise(big, *big_inputs(64), batch_size=64, cores=4)
    assert advice.devices == 4
    assert advice.reason.startswith("4 CPU devices")
    assert "convolutions do 100% of" in advice.reason


@pytest.mark.parametrize(
    ("function", "inputs", "options", "reason"),
    [
        (big, big_inputs(64), {"batch_size": 64, "cores": 1}, "one CPU device"),
        (big, big_inputs(61), {"batch_size": 61, "cores": 2}, "batch_size 61 does not split over 2 cores"),
        (lambda w: w @ w, (jnp.ones((8, 8)),), {"batch_size": 64, "cores": 4}, "convolutions do 0% of"),
        (conv, (X, K), {"batch_size": 8, "cores": 2}, "one CPU device"),
    ],
    ids=["one core", "indivisible", "dense", "small"],
)
def test_one_device_where_more_would_not_help(function, inputs, options, reason):
    advice = advise(function, *inputs, **options)
    assert advice.devices == 1
    assert reason in advice.reason


def test_the_batch_decides_how_many_cores_can_be_used():
    assert advise(big, *big_inputs(66), batch_size=66, cores=4).devices == 3


def test_a_quota_of_two_cores_gets_two_devices(monkeypatch):
    """However many cores the machine has: more devices than the quota pays for would stop each other."""
    monkeypatch.setattr(host_limits, "usable_cores", lambda root=None: 2.5)
    advice = advise(big, *big_inputs(64), batch_size=64)
    assert (advice.devices, advice.reason[:30]) == (2, "2 CPU devices, one a core: con")


def test_the_examples_lie_on_either_side_of_the_threshold():
    assert flops(conv, X, K)["conv"] < WORTH_SPLITTING < flops(big, *big_inputs(61))["conv"]


PROGRAM = """
import jax, jax.numpy as jnp
from jax._src import xla_bridge
from artifex.training.host_devices import advise, set_cpu_devices

x, w = jax.ShapeDtypeStruct((8, 4), jnp.float32), jax.ShapeDtypeStruct((4, 2), jnp.float32)
advice = advise(lambda x, w: (x @ w).sum(), x, w, batch_size=8)
assert not xla_bridge.backends_are_initialized(), "started"
set_cpu_devices(2)
print(len(jax.devices()))
set_cpu_devices(3)
print(len(jax.devices()))
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["2", "2"]),
        ({"JAX_NUM_CPU_DEVICES": "4"}, ["4", "4"]),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, ["3", "3"]),
    ],
    ids=["free", "chosen for jax", "chosen for xla"],
)
def test_nothing_starts_before_the_choice_and_the_users_own_choice_stands(environment, expected):
    variables = user_environment() | {"JAX_PLATFORMS": "cpu"} | environment
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.split() == expected, done.stderr


TWO_DEVICES_ON_TWO_CORES = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from artifex.training.host_devices import set_cpu_devices

set_cpu_devices(2)
mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Auto,))
whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
keys = jax.random.split(jax.random.key(0), 4)
sizes = (784, 400, 20, 400, 784)
weights = jax.device_put([0.05 * jax.random.normal(k, s) for k, s in zip(keys, zip(sizes, sizes[1:]))], whole)
x = jax.device_put(jax.random.uniform(jax.random.key(1), (128, 784)), split)

@jax.jit
def step(weights, x):
    def loss(weights):
        h = x
        for w in weights:
            h = jnp.tanh(h @ w)
        return jnp.mean((h - x) ** 2)
    return jax.tree.map(lambda w, g: w - 0.1 * g, weights, jax.grad(loss)(weights))  # g is summed over the devices

for _ in range(STEPS):
    weights = step(weights, x)
assert bool(jnp.isfinite(jax.block_until_ready(weights)[0]).all())
print(len(jax.devices()), "finished")
"""


@pytest.mark.nightly
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot pin a process to two cores")
@pytest.mark.parametrize(("environment", "devices"), [({}, 2), ({"JAX_NUM_CPU_DEVICES": "8"}, 8)], ids=["ours", "the user's"])
def test_devices_do_not_starve_each_other_in_an_all_reduce(environment, devices):
    """Without threads to spare, XLA aborts this process within its first steps.

    With eight devices it takes two threads for each: one in the all-reduce, and one that hands out the step 32 steps ahead.
    """
    variables = user_environment() | {"JAX_PLATFORMS": "cpu"} | environment
    program = TWO_DEVICES_ON_TWO_CORES.replace("STEPS", str(800 // devices))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.split() == [str(devices), "finished"], done.stderr[-2000:]


@pytest.mark.parametrize(
    ("environment", "chosen", "least"),
    [
        ({}, 3, 3),
        ({"JAX_NUM_CPU_DEVICES": "5"}, 1, 5),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}, 1, 4),
        ({"NPROC": "1"}, 3, 3),
    ],
    ids=["ours", "chosen for jax", "chosen for xla", "too small a pool"],
)
def test_there_are_threads_for_every_device(pool_size, environment, chosen, least):
    assert int(pool_size(chosen, environment)) == whole_cores() + 2 * least


def test_one_device_and_a_larger_pool_are_left_as_they_are(pool_size):
    assert pool_size(1, {}) is None
    assert pool_size(2, {"NPROC": "1000"}) == "1000"


@pytest.fixture
def pool_size(monkeypatch):
    """The pool's size after a choice, by JAX's flag and the environment as a process of its own would have them."""

    def read(devices, environment):
        for name in ("NPROC", "XLA_FLAGS"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        chosen = int(environment.get("JAX_NUM_CPU_DEVICES", -1))
        flags = SimpleNamespace(jax_num_cpu_devices=chosen, update=lambda *change: None)
        monkeypatch.setattr(host_devices, "jax", SimpleNamespace(config=flags))
        host_devices.set_cpu_devices(devices)
        return os.environ.get("NPROC")

    return read
