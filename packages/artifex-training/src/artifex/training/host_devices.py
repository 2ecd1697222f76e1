"""Threads for the virtual devices that a CPU poses as, where somebody asks for them.

One device uses all cores of a CPU, for convolutions too (:func:`artifex.core.compilation.convolution_options`), and is quicker
there than several that share them (``benchmarks/cpu_devices.py``): virtual devices are for rehearsals of a mesh.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

import jax

from artifex.core.host_threads import reserve_threads

__all__ = ["set_cpu_devices"]


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
