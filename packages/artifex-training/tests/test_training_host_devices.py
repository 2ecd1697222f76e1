"""Virtual CPU devices: operations counted exactly, advice that follows from them, and nothing started on the way."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from artifex.core.testing import user_environment
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
