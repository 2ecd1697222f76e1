"""What imports no JAX, and what starts no backend: one process that tries everything, and says what it found after each."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys

found = {}

def imported(name):
    found[name] = sorted({"jax", "flax"} & set(sys.modules))

from artifex.core.mesh import ShardingConfig
ShardingConfig()
imported("ShardingConfig")
from artifex.core.nn import ACTIVATIONS
imported("ACTIVATIONS")

import jax, jax.numpy as jnp
from flax import nnx
from jax._src import xla_bridge

def started(name):
    found[name] = xla_bridge.backends_are_initialized()

from artifex.core import DeviceManager, HardwareDetector
DeviceManager()
started("DeviceManager")
HardwareDetector()
started("HardwareDetector")

from artifex.core.nn import Conv, ConvTranspose

def make():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(Conv(1, 8, strides=2, rngs=rngs), ConvTranspose(8, 3, rngs=rngs))

graph, state = nnx.split(nnx.eval_shape(make))
x = jax.ShapeDtypeStruct((2, 8, 8, 1), jnp.float32)
jax.make_jaxpr(jax.grad(lambda state, x: jnp.sum(nnx.merge(graph, state)(x)) ** 2))(state, x)
started("tracing layers")
jnp.zeros(1)
started("an array")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["ShardingConfig", "ACTIVATIONS"])
def test_it_imports_no_jax(found: dict[str, object], name: str) -> None:
    assert found[name] == []


@pytest.mark.parametrize("name", ["DeviceManager", "HardwareDetector", "tracing layers"])
def test_it_starts_no_backend(found: dict[str, object], name: str) -> None:
    assert found[name] is False
    assert found["an array"] is True  # the process can tell
