"""Virtual CPU devices: the user's own choice stands, there are threads for all of them, and nothing is started on the way."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from artifex.core.host_limits import whole_cores
from artifex.core.testing import user_environment
from artifex.training import host_devices

PROGRAM = """
import jax
from jax._src import xla_bridge
from artifex.training.host_devices import set_cpu_devices

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
