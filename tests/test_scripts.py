"""The scripts of the repository run."""

import json
import subprocess
import sys
from pathlib import Path

from artifex.core.testing import user_environment

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_the_gpu_check_speaks_json():
    command = [sys.executable, str(SCRIPTS / "verify_gpu_setup.py"), "--json"]
    done = subprocess.run(command, env=user_environment(), capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert (found["platform"], found["hardware"]["platform"]) == ("cpu", "cpu")
    assert found["matmul_flops"] > 1e6  # no machine is slower
    assert done.returncode == bool(found["problems"])
