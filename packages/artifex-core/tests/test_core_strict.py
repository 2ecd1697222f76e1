"""The strict plugin: what it sets, what it keeps away, and that it costs nothing to tests without JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from artifex.core.host_limits import whole_cores
from artifex.core.testing import user_environment
from artifex.core.testing.strict import QUICK_TO_COMPILE


def run_pytest(folder: Path, test: str, options: str = "-p artifex.core.testing.strict", **variables: str) -> tuple[int, str]:
    """Run one test in a process of its own; its exit status and output."""
    (folder / "test_inner.py").write_text(test)
    (folder / "pytest.ini").write_text(f"[pytest]\naddopts = -q -p no:cacheprovider {options}\nfilterwarnings = error\n")
    environment = user_environment() | variables
    command = [sys.executable, "-m", "pytest"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_there_are_eight_devices() -> None:
    if jax.default_backend() != "cpu":
        pytest.skip("JAX_PLATFORMS asks for an accelerator")
    assert jax.device_count() == 8


def test_there_are_two_threads_for_every_device_and_one_for_a_core() -> None:
    assert int(os.environ["NPROC"]) >= 2 * 8 + whole_cores()


def test_arrays_of_different_rank_do_not_broadcast() -> None:
    with pytest.raises(ValueError, match="rank_promotion"):
        jnp.ones(3) + jnp.ones((2, 3))


def test_the_compilation_cache_keeps_quick_compilations_too() -> None:
    assert jax.config.jax_compilation_cache_dir == os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0


def test_tests_are_compiled_quickly_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    assert jax.config.read("jax_disable_most_optimizations") is (os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1")
    if os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1":  # jax 0.10 is the newest for Python 3.11
        flags = os.environ["XLA_FLAGS"].split()
        assert all((flag in flags) is (sys.version_info < (3, 12)) for flag in QUICK_TO_COMPILE)
    test = f"""
import os
import jax

def test_optimised():
    assert not jax.config.read("jax_disable_most_optimizations")
    assert not any(flag in os.environ.get("XLA_FLAGS", "") for flag in {QUICK_TO_COMPILE!r})
"""
    status, output = run_pytest(tmp_path, test, JAX_DISABLE_MOST_OPTIMIZATIONS="0", XLA_FLAGS="")
    assert status == 0, output


def test_compiled_programs_are_let_go_of_after_each_file(tmp_path: Path) -> None:
    (tmp_path / "counted.py").write_text("import jax\ntraces = []\n@jax.jit\ndef f(x):\n    traces.append(1)\n    return x\n")
    test = "import counted\n\ndef test_f():\n    counted.f(1.0)\n    counted.f(2.0)\n    assert len(counted.traces) == {n}\n"
    (tmp_path / "test_a.py").write_text(test.format(n=1))
    (tmp_path / "test_b.py").write_text(test.format(n=2))
    status, output = run_pytest(tmp_path, "def test_nothing(): ...", PYTHONPATH=str(tmp_path))
    assert status == 0, output


def test_the_users_settings_are_out_of_reach_and_jax_is_not_imported(tmp_path: Path) -> None:
    test = """
import os, sys

def test_clean():
    assert "jax" not in sys.modules
    assert not [name for name in os.environ if name.startswith("ARTIFEX_")]
    assert "host_platform_device_count" not in os.environ["XLA_FLAGS"]
    assert "--xla_cpu_enable_fast_math=false" in os.environ["XLA_FLAGS"]
"""
    flags = "--xla_force_host_platform_device_count=3 --xla_cpu_enable_fast_math=false"
    status, output = run_pytest(tmp_path, test, ARTIFEX_DISABLE_PLUGINS="vae", XLA_FLAGS=flags)
    assert status == 0, output


def test_coming_after_jax_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import jax\npytest_plugins = ['artifex.core.testing.strict']\n")
    status, output = run_pytest(tmp_path, "def test_nothing(): ...", options="")
    assert status != 0
    assert "load the plugin with -p" in output


def test_a_users_process_sees_no_strict_numerics() -> None:
    program = "import jax; print(jax.device_count(), jax.config.jax_numpy_rank_promotion)"
    done = subprocess.run([sys.executable, "-c", program], env=user_environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "allow"]
    assert "NPROC" not in user_environment()
