"""How many virtual devices a CPU should pose as for a given step.

XLA runs a convolution on one thread a CPU device, whatever the number of cores, so a model made of convolutions gains from one
virtual device a core with the batch split over them. A model of matrix products gains nothing: those use all cores already.
The choice is made from the step's jaxpr, before JAX starts its backend, because the number of devices cannot change afterwards.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from artifex.core.host_limits import whole_cores
from artifex.core.host_threads import reserve_threads
from artifex.core.mesh import devices_for

__all__ = ["Advice", "advise", "count_flops", "set_cpu_devices"]

WORTH_SPLITTING = 5e8
"""Floating-point operations of convolutions in a step from which splitting pays; below, synchronising the devices eats the
gain. Measured by ``benchmarks/cpu_devices.py``: no gain at 0.1 to 0.4 GFLOP, 1.5 times as fast at 0.8."""

WORTH_THE_REST = 0.2
"""Share of the convolutions in all operations from which splitting pays: the matrix products gain nothing, and the gradients of
their weights have to be summed over the devices. A convolutional VAE has 0.3: some of its layers run as matrix products."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A number of CPU devices, and the reason in words."""

    devices: int
    reason: str


def advise(step: Callable[..., Any], *arguments: Any, batch_size: int, cores: int | None = None) -> Advice:
    """How many CPU devices ``step(*arguments)`` (arrays or their shapes) should have. Traces it; starts nothing."""
    cores = whole_cores() if cores is None else cores
    flops = count_flops(jax.make_jaxpr(step)(*arguments).jaxpr)
    convolutions, products = flops["conv"], flops["dot"]
    share = convolutions / max(convolutions + products, 1)
    what = f"convolutions do {share:.0%} of {(convolutions + products) / 1e9:.2g} GFLOP a step"
    if cores == 1 or share < WORTH_THE_REST or convolutions < WORTH_SPLITTING:
        return Advice(1, f"one CPU device: {what}")
    devices = devices_for(batch_size, cores)
    if devices == 1:
        return Advice(1, f"one CPU device: {what}, but batch_size {batch_size} does not split over {cores} cores")
    return Advice(devices, f"{devices} CPU devices, one a core: {what}, and XLA runs each on one thread a device")


def set_cpu_devices(count: int) -> None:
    """Make the CPU pose as ``count`` devices, unless their number was chosen already or JAX has started and it is too late.

    Either way there will be threads enough for them (:mod:`artifex.core.host_threads`): devices that starve each other in an
    all-reduce abort the process.
    """
    chosen = _chosen_devices()
    reserve_threads(count if chosen is None else chosen)
    if chosen is None:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def _chosen_devices() -> int | None:
    """The number that the user set, for JAX or in XLA's own flag."""
    flags: Any = jax.config  # its flags are attributes that the type checker does not see
    if flags.jax_num_cpu_devices != -1:
        return flags.jax_num_cpu_devices
    found = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return int(found[-1]) if found else None


def count_flops(jaxpr: Any) -> dict[str, float]:
    """Floating-point operations of convolutions (``conv``) and matrix products (``dot``) in ``jaxpr`` and those inside it."""
    total = {"conv": 0.0, "dot": 0.0}
    for equation in jaxpr.eqns:
        out = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = equation.params["dimension_numbers"].rhs_spec[0]
            # input dilation (transposed convolutions, gradients) puts zeros between the inputs, which cost nothing useful
            zeros = math.prod(equation.params["lhs_dilation"])
            total["conv"] += 2 * out * math.prod(kernel) / kernel[features] / zeros
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            lhs = equation.invars[0].aval.shape
            total["dot"] += 2 * out * math.prod(lhs[axis] for axis in contracted)
        for inner, times in _inner(equation):
            for name, value in count_flops(inner).items():
                total[name] += times * value
    return total


def _inner(equation: Any) -> list[tuple[Any, float]]:
    """The jaxprs inside an equation, with how often each runs; of the branches of a ``cond``, the most expensive."""
    if equation.primitive.name == "cond":
        branches = [branch.jaxpr for branch in equation.params["branches"]]
        return [(max(branches, key=lambda branch: sum(count_flops(branch).values())), 1.0)]
    times = float(equation.params["length"]) if equation.primitive.name == "scan" else 1.0
    found = []
    for value in equation.params.values():
        jaxpr = getattr(value, "jaxpr", value)
        if hasattr(jaxpr, "eqns"):
            found.append((jaxpr, times))
    return found
