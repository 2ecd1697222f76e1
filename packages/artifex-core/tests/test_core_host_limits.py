"""Limits of control groups, read from trees of files as Linux lays them out."""

import math
import os

import pytest

from artifex.core import host_limits
from artifex.core.host_limits import host_memory, usable_cores, whole_cores

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A file system with these files, on a machine of 64 GiB and eight cores."""
    sizes = {"SC_PHYS_PAGES": 64 * GIB // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)

    def make(groups, files):
        texts = {"proc/self/cgroup": groups} | {f"sys/fs/cgroup/{path}": text for path, text in files.items()}
        for path, text in texts.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(f"{text}\n")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("groups", "files", "memory", "cores"),
    [
        ("0::/", {}, 64 * GIB, 8),
        ("0::/", {"memory.max": "max", "cpu.max": "max 100000"}, 64 * GIB, 8),
        ("0::/", {"memory.max": 4 * GIB, "cpu.max": "150000 100000"}, 4 * GIB, 1.5),
        ("0::/a/b", {"a/memory.max": 2 * GIB, "a/b/memory.max": 3 * GIB, "a/b/cpu.max": "max 100000"}, 2 * GIB, 8),
        ("0::/not/seen/from/here", {"memory.max": 5 * GIB}, 5 * GIB, 8),
        ("0::/", {"memory.max": 99 * GIB, "cpu.max": "1600000 100000"}, 64 * GIB, 8),
        (
            "4:memory:/x\n2:cpuacct,cpu:/y\n0::/",
            {
                "memory/x/memory.limit_in_bytes": 6 * GIB,
                "memory/memory.limit_in_bytes": 2**63 - 4096,
                "cpu/y/cpu.cfs_quota_us": 50000,
                "cpu/y/cpu.cfs_period_us": 100000,
                "cpu/cpu.cfs_quota_us": -1,
                "cpu/cpu.cfs_period_us": 100000,
            },
            6 * GIB,
            0.5,
        ),
    ],
    ids=["none", "no limit", "version 2", "the tighter group above", "path of another namespace", "looser", "version 1"],
)
def test_the_lowest_limit_counts(machine, groups, files, memory, cores):
    root = machine(groups, files)
    assert (host_memory(root), usable_cores(root)) == (memory, cores)
    assert whole_cores(root) == max(1, math.floor(cores))


def test_everything_that_divides_work_among_cores_heeds_the_quota(machine, monkeypatch):
    """A quota of two cores on a machine of eight: as many devices, threads and CPUs."""
    from artifex.core import devices, host_threads

    root = machine("0::/", {"cpu.max": "200000 100000"})
    monkeypatch.setattr(host_limits, "usable_cores", lambda _root=None: usable_cores(root))
    monkeypatch.delenv("NPROC", raising=False)
    assert devices.DeviceManager().get_device_info()["cpu_count"] == 2
    assert host_threads.enough_threads(4) == 2 + 2 * 4


def test_a_system_that_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (host_memory(tmp_path), usable_cores(tmp_path)) == (None, None)
    assert whole_cores(tmp_path) == 1


def test_here():
    """On the machine that runs the tests: no more than it has, and something."""
    assert 0 < usable_cores() <= os.cpu_count()
    assert host_memory() > 2**26
