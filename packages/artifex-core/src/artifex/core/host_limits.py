"""What the operating system lets this process have: memory and cores, after the limits of containers and schedulers.

A container or a batch job is usually a control group: a folder below ``/sys/fs/cgroup`` whose files hold its limits, and which
stands within the limits of the folders above it. Version 2 keeps all limits in one tree, version 1 a tree for each resource;
both are read. Imports no JAX.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["host_memory", "usable_cores", "whole_cores"]

ROOT = Path("/")


def host_memory(root: Path = ROOT) -> int | None:
    """Bytes of memory that this process may use: what the machine has, or the lowest limit of its control groups.

    None where the system tells neither. ``root`` is where the file system begins.
    """
    texts = (*_settings(root, "memory.max", ""), *_settings(root, "memory.limit_in_bytes", "memory"))
    limits = [int(text) for text in texts if text.isdecimal()]  # which "max", no limit, is not
    return min((limit for limit in (_physical_memory(), *limits) if limit), default=None)


def usable_cores(root: Path = ROOT) -> float | None:
    """Cores that this process may keep busy: those it may run on, or the time that its control groups grant if that is less.

    None where the system does not tell. ``root`` is where the file system begins.
    """
    allowed = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min((cores for cores in (allowed, *_core_quotas(root)) if cores), default=None)


def whole_cores(root: Path = ROOT) -> int:
    """:func:`usable_cores` as a number of things that compute at once, such as devices or threads: rounded down, at least one.

    Everything that divides work among cores asks here. A thread more than a quota pays for is stopped for part of the time, and
    those that wait for it stop too. ``root`` is where the file system begins.
    """
    return max(1, int(usable_cores(root) or 1))


def _core_quotas(root: Path) -> Iterator[float]:
    """Microseconds of computing over microseconds of time, for each control group that limits it."""
    version_2 = (text.split() for text in _settings(root, "cpu.max", ""))
    version_1 = zip(_settings(root, "cpu.cfs_quota_us", "cpu"), _settings(root, "cpu.cfs_period_us", "cpu"), strict=True)
    for quota, period in (*version_2, *version_1):
        if quota.isdecimal():  # neither "max" nor "-1", which mean no limit
            yield int(quota) / int(period)


def _settings(root: Path, file: str, controller: str) -> Iterator[str]:
    """Contents of ``file`` in the control group of this process and in all those above it."""
    mount = root / "sys/fs/cgroup" / controller
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            # a container that sees only its own part of the tree may be told its path in the whole one: then the root counts
            inner = mount / path.lstrip("/")
            for folder in (inner, *inner.parents):
                if folder.is_relative_to(mount) and (folder / file).is_file():
                    yield (folder / file).read_text().strip()


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # a system without them
        return None
