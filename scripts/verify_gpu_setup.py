"""Does JAX compute on the GPU? ``python scripts/verify_gpu_setup.py [--json]``; exit code 1 when something is wrong.

What ``artifex doctor`` finds, whether a GPU is left unused, and how fast a matrix product runs on the default device. A machine
without a GPU is in order.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from artifex.core.doctor import examine
from artifex.core.hardware import HardwareDetector

DRIVER = Path("/dev/nvidiactl")
"""There where NVIDIA's driver is."""


def main() -> None:
    """Print the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    as_json = parser.parse_args().json
    findings = examine()
    problems = list(findings.problems)
    platform = None if findings.hardware is None else findings.hardware.platform
    if platform == "cpu" and DRIVER.exists():
        remedy = 'pip install "jax[cuda13]", and leave JAX_PLATFORMS unset'
        problems.append(f"{DRIVER} is there, but JAX computes on the CPU: {remedy}")
    speed = None if platform is None else HardwareDetector().measure_matmul_flops()
    if as_json:
        print(json.dumps(findings.as_dict() | {"platform": platform, "matmul_flops": speed, "problems": problems}, indent=2))
    else:
        print(findings, *problems[len(findings.problems) :], sep="\n")
        print(f"platform: {platform or 'unknown'}" + (f", {speed / 1e9:,.0f} GFLOP/s in float32" if speed else ""))
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
