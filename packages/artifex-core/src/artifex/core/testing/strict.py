"""Strict numerics for tests: a pytest plugin, loaded with ``-p artifex.core.testing.strict``.

It speaks to JAX through the environment alone, so that tests which never import JAX do not pay for it:

- eight virtual CPU devices, so that sharded can be compared with unsharded everywhere, and threads enough for them;
- broadcasting arrays of different rank raises;
- what is compiled once is kept on disk (in ``JAX_COMPILATION_CACHE_DIR``, or else in the user's cache folder);
- programs are compiled with few optimisations, because a test compiles much and computes little
  (``JAX_DISABLE_MOST_OPTIMIZATIONS=0`` for those that users' programs get);
- compiled programs are let go of after each file of tests;
- the user's own ``ARTIFEX_*`` settings are out of reach.

The report ends with the conformance checks that were waived, and why.

Tests run on the CPU unless ``JAX_PLATFORMS`` says otherwise. A test that starts a process as a user would passes
``env=user_environment()``:

    >>> "JAX_NUM_CPU_DEVICES" in user_environment()
    False
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

from artifex.core.host_threads import POOL_SIZE, enough_threads

DEVICES = 8
NUMERICS = {"JAX_NUM_CPU_DEVICES": str(DEVICES), "JAX_NUMPY_RANK_PROMOTION": "raise"}
"""What makes the tests strict."""
OPTIMIZATIONS = "JAX_DISABLE_MOST_OPTIMIZATIONS"
QUICK_TO_COMPILE = ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")
"""The first makes compiling for CPUs twice as quick; the second, one module a program where it would be divided for threads,
takes off another quarter. Later releases of XLA than 0.10 do not know the first, and end the process."""
WAIVED = "waived: "
"""What the reason of a waived conformance check begins with."""


def _settings() -> dict[str, str]:
    """All that JAX reads from the environment when it is first imported."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return NUMERICS | {
        POOL_SIZE: str(enough_threads(DEVICES)),
        OPTIMIZATIONS: os.environ.get(OPTIMIZATIONS) or "1",
        "JAX_COMPILATION_CACHE_DIR": os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(user_cache / "artifex" / "jax-tests"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS") or "cpu",
    }


def user_environment() -> dict[str, str]:
    """The environment of a user's own process: without the strict numerics, still with what makes compiling quick."""
    return {name: value for name, value in os.environ.items() if name not in {*NUMERICS, POOL_SIZE}}


def pytest_addoption() -> None:
    """Set the environment. No option is added: this is the one hook that comes before other installed plugins are imported."""
    settings = _settings()
    if "jax" in sys.modules and any(os.environ.get(name) != value for name, value in settings.items()):
        raise RuntimeError(
            "jax was imported before artifex.core.testing.strict, and reads its settings only once; "
            "load the plugin with -p, on pytest's command line or in addopts"
        )
    for name in [name for name in os.environ if name.startswith("ARTIFEX_")]:
        del os.environ[name]
    # XLA's own flag for the number of devices contradicts JAX's; one of the two has to go.
    flags = [flag for flag in os.environ.pop("XLA_FLAGS", "").split() if "host_platform_device_count" not in flag]
    if settings[OPTIMIZATIONS] == "1" and importlib.metadata.version("jaxlib").startswith("0.10."):
        flags.extend(QUICK_TO_COMPILE)
    os.environ["XLA_FLAGS"] = " ".join(flags)
    os.environ.update(settings)


def pytest_runtest_teardown(item: Any, nextitem: Any) -> None:
    """Let go of what was compiled for a file of tests that is done; hundreds of files' programs would fill the memory."""
    if "jax" in sys.modules and nextitem is not None and nextitem.path != item.path:
        sys.modules["jax"].clear_caches()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name every waived conformance check and its reason, whatever ``-r`` says."""
    failed = terminalreporter.stats.get("xfailed", [])
    waived = [f"{report.nodeid}: {report.wasxfail}" for report in failed if report.wasxfail.startswith(WAIVED)]
    if waived:
        terminalreporter.section("waived conformance checks", sep="-")
        for line in waived:
            terminalreporter.line(line)
