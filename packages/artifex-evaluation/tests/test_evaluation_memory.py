"""50 000 images of 32 × 32, Fréchet and kernel distance of 512 features: the whole process below 1.5 GB."""

import json
import subprocess
import sys
from textwrap import dedent

import pytest

from artifex.core.testing import user_environment

PLUGIN = """
from artifex.core.plugins import ComponentEntry, MetricEntry, hookimpl

ARTIFEX_API = (1, 1)
SETS = {"needs": ("samples", "references"), "compares": "sets", "higher_is_better": False, "features": "random_network"}


@hookimpl
def artifex_components():
    return [
        ComponentEntry(
            slot="feature_extractor", name="random_network", component="many_images:RandomNetwork",
            config="many_images:RandomNetworkConfig",
        )
    ]


@hookimpl
def artifex_metrics():
    home = "artifex.evaluation.metrics"
    return [
        MetricEntry(name="many_frechet", metric=f"{home}:FrechetDistance", **SETS),
        MetricEntry(name="many_kernel", metric=f"{home}:kernel_distance", **SETS),
    ]
"""

PROGRAM = """
import json
import resource
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core.config import Config, config
from artifex.core.measuring import EvaluationConfig
from artifex.evaluation import EvaluationPipeline

N = 50_000


@config
class RandomNetworkConfig(Config):
    '''Nothing to set.'''


class RandomNetwork:
    '''Two strided convolutions with random weights, 512 features.'''

    signature = "random:0:none"

    def __init__(self, config):
        a, b = jax.random.split(jax.random.key(0))
        self.kernels = jax.random.normal(a, (8, 8, 3, 16)) / 14, jax.random.normal(b, (2, 2, 16, 128)) / 8

    def __call__(self, examples):
        return _features(jnp.asarray(examples), *self.kernels)


@jax.jit
def _features(x, a, b):
    for kernel, stride in ((a, 8), (b, 2)):
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.nn.relu(jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=dimensions))
    return x.reshape(len(x), -1)


class Noise(nnx.Module):
    def __call__(self, x, *, rngs=None):
        return {}

    def generate(self, n_samples=1, *, rngs):
        return jax.random.uniform(rngs.sample(), (n_samples, 32, 32, 3))


class Bytes:
    shape = (32, 32, 3)

    def prepare(self, batch, *, rngs, train):
        return {**batch, "x": jnp.asarray(batch["x"], jnp.float32) / 255}

    def save_samples(self, samples, stem):
        raise NotImplementedError


if __name__ == "__main__":
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = {"x": np.random.default_rng(0).integers(0, 256, (N, 32, 32, 3), dtype=np.uint8)}
    started = time.perf_counter()
    config = EvaluationConfig(metrics=("many_frechet", "many_kernel"), n_samples=N, batch_size=500)
    result = EvaluationPipeline(config, folder=sys.argv[1]).evaluate(Noise(), data, Bytes())
    assert result.ok, result.failures
    print(json.dumps({
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": time.perf_counter() - started,
        **{name: r.value for name, r in result.items()},
    }))
"""


@pytest.mark.nightly
def test_fifty_thousand_images_fit_into_one_and_a_half_gigabytes(tmp_path):
    (tmp_path / "many_images.py").write_text(dedent(PROGRAM))
    (tmp_path / "many_images_plugin.py").write_text(dedent(PLUGIN))
    info = tmp_path / "many_images-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: many-images\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[artifex]\nmany_images = many_images_plugin\n")
    environment = {**user_environment(), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "many_images.py"), str(tmp_path / "columns")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["peak"] < 1.5e9
    assert abs(found["many_frechet"]) < 0.05  # of the same law but for rounding to bytes
    assert abs(found["many_kernel"]) < 0.01
