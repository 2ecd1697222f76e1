"""Convolutions in artifex.core.nn: how many times faster than XLA's own form, forward and backward, on the CPU.

    python benchmarks/core_nn.py                            # one device
    python benchmarks/core_nn.py --devices 2                # the batch split over two

Takes about a minute. The forms take turns, and the figure is the ratio of their medians, so that a busy machine slows both
alike. Above 1 the fast form wins. ``artifex.core.nn`` follows this table: sub-pixel transposed convolution from two output
channels on, XLA's own form for the rest.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from artifex.core.host_threads import reserve_threads
from artifex.core.nn import convolution as cv

ROUNDS = 15

# input (batch, height, width, channels), output channels, kernel size, stride
CONVOLUTIONS = [
    ((128, 28, 28, 1), 32, 3, 2),
    ((128, 28, 28, 1), 32, 3, 1),
    ((128, 28, 28, 3), 32, 3, 1),
    ((128, 28, 28, 4), 32, 3, 1),
    ((128, 14, 14, 32), 64, 3, 2),
    ((128, 14, 14, 32), 1, 3, 1),
]
TRANSPOSED = [
    ((128, 7, 7, 64), 32, 4, 2),
    ((128, 7, 7, 64), 64, 3, 2),
    ((128, 14, 14, 64), 32, 4, 2),
    ((128, 14, 14, 32), 3, 4, 2),
    ((128, 14, 14, 32), 2, 4, 2),
    ((128, 14, 14, 32), 1, 4, 2),
]


def training_pass(form: Callable[..., jax.Array], stride: int, *, wants_input_gradient: bool) -> Callable[..., object]:
    """Value and gradients; a first layer, with few channels, has no use for its input's."""

    def loss(kernel: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(form(x, kernel, stride)))

    return jax.jit(jax.value_and_grad(loss, (0, 1) if wants_input_gradient else 0))


def medians(passes: dict[str, Callable[..., object]], *arrays: jax.Array) -> dict[str, float]:
    """Milliseconds of each, timed in turn after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(ROUNDS + 1):
        for name, run in passes.items():
            start = perf_counter()
            jax.block_until_ready(run(*arrays))
            taken[name].append(1e3 * (perf_counter() - start))
    return {name: statistics.median(times[1:]) for name, times in taken.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1, help="virtual CPU devices")
    devices = parser.parse_args().devices
    reserve_threads(devices)
    jax.config.update("jax_num_cpu_devices", devices)
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    print(f"{jax.device_count()} device(s)\n\n| | plain, ms | fast, ms | ratio |\n|---|---|---|---|")
    cases = [("conv", cv.conv, cv.patches_conv, case) for case in CONVOLUTIONS]
    cases += [("transposed", cv.plain_conv_transpose, cv.subpixel_conv_transpose, case) for case in TRANSPOSED]
    for name, plain, fast, (shape, n_out, size, stride) in cases:
        keys = jax.random.split(jax.random.key(0))
        x = jax.device_put(jax.random.normal(keys[0], shape), NamedSharding(mesh, PartitionSpec("data")))
        kernel = jax.random.normal(keys[1], (size, size, shape[-1], n_out)) / (size * shape[-1])
        kernel = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
        forms = {"plain": plain, "fast": fast}
        passes = {label: training_pass(form, stride, wants_input_gradient=shape[-1] > 4) for label, form in forms.items()}
        ms = medians(passes, kernel, x)
        label = f"{name} {size}x{size} / {stride}, {shape} to {n_out}"
        print(f"| {label} | {ms['plain']:.1f} | {ms['fast']:.1f} | {ms['plain'] / ms['fast']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
