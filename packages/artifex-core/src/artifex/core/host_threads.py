"""Threads for a CPU that poses as several devices. Imports no JAX: it has to come before JAX starts.

XLA's CPU client runs the programs of all its devices in one pool of max(cores, devices) threads, and three things share it. A
device that reaches an all-reduce blocks its thread until the others arrive, those of other processes included. A program is
handed to each device by a thread, which blocks while the device has 32 programs waiting: a loop that runs ahead of its devices
blocks a thread a device that way. And matrix products hand pieces of work to the pool and wait for them. When every thread is
blocked, the one that the others wait for never runs: within a process XLA gives up after 40 seconds and aborts it, processes
that wait for each other hang. With two threads a device on top of those that compute, there is always one left.
"""

from __future__ import annotations

import os

from artifex.core.host_limits import whole_cores

__all__ = ["POOL_SIZE", "enough_threads", "reserve_threads"]

POOL_SIZE = "NPROC"
"""The environment variable that XLA's CPU client takes the size of its pool from, when JAX starts it."""


def enough_threads(devices: int) -> int:
    """A pool's size with which ``devices`` CPU devices cannot starve each other, or the larger one that the user set.

    >>> enough_threads(8) >= whole_cores() + 16
    True
    """
    given = os.environ.get(POOL_SIZE, "")
    return max(whole_cores() + 2 * devices, int(given) if given.isdecimal() else 0)


def reserve_threads(devices: int) -> None:
    """Have XLA make :func:`enough_threads`. Too late, and without effect, once JAX has started."""
    if devices > 1:
        os.environ[POOL_SIZE] = str(enough_threads(devices))
