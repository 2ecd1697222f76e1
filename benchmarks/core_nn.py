"""Blocks of artifex.core.nn: how many times faster than the plain form, on the CPU.

    python benchmarks/core_nn.py                            # one device
    python benchmarks/core_nn.py --devices 2                # the batch split over two
    python benchmarks/core_nn.py --only normalisations      # one of the tables: convolutions, normalisations

Takes about two minutes. The forms take turns, and the figure is the ratio of their medians, so that a busy machine slows both
alike. Above 1 the fast form wins. ``artifex.core.nn`` follows these tables: sub-pixel transposed convolution from two output
channels on, sub-pixel upsampling convolution, patches for a stride in three dimensions, XLA's own form for other convolutions;
group norm that sums over positions first.

Convolutions: forward and backward. Group norm and SiLU behind it: forward alone, then with backward, beside flax's layer.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from artifex.core.host_threads import reserve_threads
from artifex.core.nn import GroupNorm, convolution as cv, upsampling as up

ROUNDS = 15

# input (batch, height, width, channels), or with a depth too; output channels, kernel size, stride
CONVOLUTIONS = [
    ((128, 28, 28, 1), 32, 3, 2),
    ((128, 28, 28, 1), 32, 3, 1),
    ((128, 28, 28, 3), 32, 3, 1),
    ((128, 28, 28, 4), 32, 3, 1),
    ((128, 14, 14, 32), 64, 3, 2),
    ((128, 14, 14, 32), 1, 3, 1),
    ((32, 12, 12, 12, 1), 16, 4, 2),
    ((32, 6, 6, 6, 16), 32, 4, 2),
    ((8, 16, 16, 16, 16), 16, 3, 1),
]
TRANSPOSED = [
    ((128, 7, 7, 64), 32, 4, 2),
    ((128, 7, 7, 64), 64, 3, 2),
    ((128, 14, 14, 64), 32, 4, 2),
    ((128, 14, 14, 32), 3, 4, 2),
    ((128, 14, 14, 32), 2, 4, 2),
    ((128, 14, 14, 32), 1, 4, 2),
]
UPSAMPLED = [
    ((128, 7, 7, 64), 64, 3, 2),
    ((128, 14, 14, 32), 32, 3, 2),
    ((16, 16, 16, 64), 64, 3, 2),
    ((128, 14, 14, 32), 1, 3, 2),
]

# shape of the input, and how many groups its channels make
NORMALISATIONS = [((16, 32, 32, 64), 16), ((128, 28, 28, 32), 8), ((128, 14, 14, 32), 8), ((128, 7, 7, 64), 16)]


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


def convolutions(mesh: Mesh) -> None:
    """Print the table of the convolutions."""
    print("| | plain, ms | fast, ms | ratio |\n|---|---|---|---|")
    cases = [("conv", cv.plain_conv, cv.patches_conv, case) for case in CONVOLUTIONS]
    cases += [("transposed", cv.plain_conv_transpose, cv.subpixel_conv_transpose, case) for case in TRANSPOSED]
    by_two = (up.plain_upsample_conv, up.subpixel_upsample_conv)
    cases += [("upsampled", *(_without_stride(form) for form in by_two), case) for case in UPSAMPLED]
    for name, plain, fast, (shape, n_out, size, stride) in cases:
        keys = jax.random.split(jax.random.key(0))
        x = jax.device_put(jax.random.normal(keys[0], shape), NamedSharding(mesh, PartitionSpec("data")))
        sizes = (size,) * (len(shape) - 2)
        kernel = jax.random.normal(keys[1], (*sizes, shape[-1], n_out)) / (size * shape[-1])
        kernel = jax.device_put(kernel, NamedSharding(mesh, PartitionSpec()))
        forms = {"plain": plain, "fast": fast}
        passes = {label: training_pass(form, stride, wants_input_gradient=shape[-1] > 4) for label, form in forms.items()}
        ms = medians(passes, kernel, x)
        label = f"{name} {'x'.join(map(str, sizes))} / {stride}, {shape} to {n_out}"
        print(f"| {label} | {ms['plain']:.1f} | {ms['fast']:.1f} | {ms['plain'] / ms['fast']:.2f} |", flush=True)


def _without_stride(form: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    return lambda x, kernel, _: form(x, kernel)


def normalisations(mesh: Mesh) -> None:
    """Print the table of group norm with SiLU behind it."""
    print("| | flax, ms | ours, ms | ratio | flax with backward | ours | ratio |\n|---|---|---|---|---|---|---|")
    for shape, groups in NORMALISATIONS:
        x = jax.device_put(jax.random.normal(jax.random.key(0), shape), NamedSharding(mesh, PartitionSpec("data")))
        layers = {"flax": nnx.GroupNorm(shape[-1], groups, rngs=nnx.Rngs(0)), "ours": GroupNorm(shape[-1], groups)}
        forward, backward = {}, {}
        for name, layer in layers.items():
            forward[name], backward[name] = normalised(layer), gradient_of_normalised(layer)
        state = jax.device_put(nnx.as_pure(nnx.state(layers["ours"])), NamedSharding(mesh, PartitionSpec()))  # the same in both
        cells = []
        for passes in (forward, backward):
            ms = medians(passes, state, x)
            cells += [f"{ms['flax']:.2f}", f"{ms['ours']:.2f}", f"{ms['flax'] / ms['ours']:.2f}"]
        print(f"| {shape}, {groups} groups | {' | '.join(cells)} |", flush=True)


def normalised(layer: nnx.Module) -> Callable[..., jax.Array]:
    """``silu(norm(x))`` from the layer's parameters and ``x``."""
    graph = nnx.graphdef(layer)
    return jax.jit(lambda state, x: nnx.silu(nnx.merge(graph, state)(x)))


def gradient_of_normalised(layer: nnx.Module) -> Callable[..., object]:
    """The gradient in parameters and ``x`` of a sum of squares."""
    form = normalised(layer)
    return jax.jit(jax.grad(lambda state, x: jnp.sum(jnp.square(form(state, x))), (0, 1)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1, help="virtual CPU devices")
    parser.add_argument("--only", choices=["convolutions", "normalisations"], help="one of the tables")
    arguments = parser.parse_args()
    reserve_threads(arguments.devices)
    jax.config.update("jax_num_cpu_devices", arguments.devices)
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    for table in (convolutions, normalisations):
        if arguments.only in (None, table.__name__):
            print(f"\n{table.__name__}, {jax.device_count()} device(s)\n")
            table(mesh)


if __name__ == "__main__":
    main()
