"""A stranger's plugin: a model, an extractor of features and metrics, so that these tests need no family."""

import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import yaml

from artifex.core import plugins

PLUGIN = """
from artifex.core.plugins import ComponentEntry, MetricEntry, ModelEntry, hookimpl

ARTIFEX_API = (1, 1)
PARTS = "stranger_measures.parts"
PAIRS = {"needs": ("samples", "references"), "compares": "pairs", "higher_is_better": False}
SETS = {"needs": ("samples", "references"), "compares": "sets", "higher_is_better": False}


@hookimpl
def artifex_models():
    return [
        ModelEntry(
            name="shifted", model=f"{PARTS}:Shifted", config=f"{PARTS}:ShiftedConfig", family="stranger",
            capabilities=("log_prob", "reconstruct"),
        )
    ]


@hookimpl
def artifex_components():
    return [
        ComponentEntry(
            slot="feature_extractor", name="squares", component=f"{PARTS}:Squares", config=f"{PARTS}:SquaresConfig"
        )
    ]


@hookimpl
def artifex_metrics():
    return [
        MetricEntry(name="radius", metric=f"{PARTS}:radius", needs=("samples",), higher_is_better=False, family="stranger"),
        MetricEntry(name="rms", metric=f"{PARTS}:rms", **PAIRS, family="stranger", tolerance=0.05),
        MetricEntry(name="worst_error", metric=f"{PARTS}:absolute_error", **PAIRS, family="stranger"),
        MetricEntry(
            name="noisy_nats", metric=f"{PARTS}:noisy_nats", needs=("model", "references", "rngs"), higher_is_better=True,
            family="stranger", tolerance=0.05,
        ),
        MetricEntry(
            name="squares_frechet", metric="artifex.evaluation.metrics:FrechetDistance", **SETS, features="squares",
            family="stranger",
        ),
        MetricEntry(
            name="squares_kernel", metric="artifex.evaluation.metrics:kernel_distance", **SETS, features="squares",
            family="stranger",
        ),
        MetricEntry(name="broken", metric=f"{PARTS}:broken", needs=("samples",), higher_is_better=True, family="nobody"),
        MetricEntry(name="missing", metric=f"{PARTS}:nothing", needs=("samples",), higher_is_better=True, family="nobody"),
        MetricEntry(name="of_images", metric=f"{PARTS}:radius", needs=("samples",), higher_is_better=True, modality="image"),
        MetricEntry(name="of_many", metric=f"{PARTS}:radius", needs=("samples",), higher_is_better=True, min_examples=10**6),
        *(
            MetricEntry(
                name=f"host_{name}", metric=f"{PARTS}:host_{name}", needs=("samples",), compares="samples", space="host",
                higher_is_better=True, family="stranger",
            )
            for name in ("largest", "mean", "words")
        ),
        MetricEntry(name="silent", metric=f"{PARTS}:radius", needs=("samples", "references"), higher_is_better=True),
    ]
"""

PARTS = '''
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.metrics import MeanOf


@config
class ShiftedConfig(Config):
    shift: float = 0.0


class Shifted(nnx.Module):
    """A normal law about (shift, shift)."""

    def __init__(self, config, *, rngs):
        self.config = config
        self.mean = nnx.Param(jnp.full(2, config.shift))

    def __call__(self, x, *, rngs=None):
        return {"error": x - self.mean[None]}

    def generate(self, n_samples=1, *, rngs=None):
        return self.mean[None] + jax.random.normal(rngs.sample(), (n_samples, 2))

    def log_prob(self, x):
        return -jnp.sum((x - self.mean[None]) ** 2, axis=-1) / 2 - jnp.log(2 * jnp.pi)

    def reconstruct(self, x):
        return x + self.mean[None]

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean(outputs["error"] ** 2)}


@config
class SquaresConfig(Config):
    power: int = 2
    weights: str = ""


class Squares:
    """Features x, y, x^2, y^2. Each example whose features are done is written to a file, for a test to read."""

    def __init__(self, config):
        if config.weights and not os.path.isfile(config.weights):
            raise InvalidInputError(f"there are no weights {config.weights}")
        self.power, self.signature = config.power, f"squares:power {config.power}"

    def __call__(self, examples):
        features = np.concatenate([examples, np.power(examples, self.power)], axis=1)
        if file := os.environ.get("STRANGER_COUNTS"):
            time.sleep(float(os.environ.get("STRANGER_SLEEP", "0")))  # the work
            with open(file, "a") as out:
                out.write("".join(f"{row[0]:.9e}\\n" for row in np.asarray(examples)))
        return features


def radius(samples, references=None):
    return np.linalg.norm(np.asarray(samples), axis=-1)


def absolute_error(samples, references):
    return jnp.max(jnp.abs(samples - references), axis=-1)


class RootMeanSquare:
    def statistics(self, batch):
        squares = np.mean(np.square(batch["samples"] - batch["references"]), axis=1)
        return np.stack([squares, np.ones_like(squares)], axis=-1)

    def finalize(self, total):
        return np.sqrt(total[..., 0] / total[..., 1])


rms = RootMeanSquare()


def _noisy(model, references, rngs):
    noise = 0.1 * jax.random.normal(rngs.sample(), references.shape)
    return model.log_prob(references + noise)


noisy_nats = MeanOf(_noisy)


meeting = None


def _met():
    if meeting is not None:
        meeting.wait(60)


def host_largest(samples):
    _met()
    return max(float(word.split()[0]) for word in samples)


def host_mean(samples):
    _met()
    return float(np.mean([float(word.split()[1]) for word in samples]))


class _Words:
    def statistics(self, batch):
        return np.array([[len(word), 1] for word in batch["samples"]])

    def finalize(self, total):
        return total[..., 0] / total[..., 1]


host_words = _Words()


class Words:
    """A modality whose field works on texts."""

    shape = (2,)

    def prepare(self, batch, *, rngs, train):
        return batch

    def save_samples(self, samples, stem):
        raise NotImplementedError

    def to_host(self, x, mask=None):
        return [f"{row[0]:.3f} {row[1]:.3f}" for row in x]


def broken(samples):
    raise RuntimeError("it never works")
'''


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with the plugin installed in it."""
    folder = tmp_path_factory.mktemp("site")
    package = folder / "stranger_measures"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(dedent(PLUGIN))
    (package / "parts.py").write_text(dedent(PARTS))
    info = folder / "stranger_measures-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-measures\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[artifex]\nstranger = stranger_measures.plugin\n")
    return folder


@pytest.fixture(scope="session")
def stranger(site):
    """The plugin's parts, found by the registry."""
    sys.path.insert(0, str(site))
    plugins.refresh()
    import stranger_measures.parts as parts

    yield parts
    sys.path.remove(str(site))
    for name in [name for name in sys.modules if name.startswith("stranger_measures")]:
        del sys.modules[name]
    plugins.refresh()


@pytest.fixture
def points():
    """500 draws of the normal law."""
    return np.random.default_rng(7).normal(size=(500, 2)).astype(np.float32)


@pytest.fixture
def shifted(stranger):
    """Make a model whose law is shifted."""
    from flax import nnx

    return lambda shift=0.0: stranger.Shifted(stranger.ShiftedConfig(shift=shift), rngs=nnx.Rngs(0))


@pytest.fixture
def make_run(shifted, tmp_path):
    """Make a run's folder, as training leaves it."""
    from artifex.core.storage import save_model

    def make(name="run", shift=0.0, **fields):
        folder = tmp_path / name
        save_model(shifted(shift), folder / "model")
        config = {
            "name": name,
            "seed": 3,
            "model": {"kind": "shifted", "shift": shift},
            "data": {"dataset": {"kind": "density", "density": "rings", "n_train": 300, "n_test": 200, "n_validation": 100}},
            "training": {"steps": 1},
            **fields,
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return Path(folder)

    return make
