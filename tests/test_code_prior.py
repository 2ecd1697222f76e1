"""A stranger's registered model as the prior of a VQ-VAE's codes, from the command line: train, train on codes, sample."""

from __future__ import annotations

import sys
from textwrap import dedent

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from importlib_metadata import entry_points
from PIL import Image

from artifex.core import plugins
from artifex.core.cli import main
from artifex.training import load_run
from artifex.training.samples import save_samples
from artifex.training.seeds import key_for

PLUGIN = """
from artifex.core.plugins import ModelEntry, hookimpl

ARTIFEX_API = (1, 1)


@hookimpl
def artifex_models():
    return [ModelEntry(name="chain", model="stranger.chain:Chain", config="stranger.chain:ChainConfig", family="stranger")]
"""

CHAIN = '''
"""A categorical chain over codes in reading order: p(k) = p_1(k_1) p_2(k_2 | k_1) ..."""
import jax
import jax.numpy as jnp
from flax import nnx

from artifex.core.config import Config, config


@config
class ChainConfig(Config):
    length: int
    codes: int


class Chain(nnx.Module):
    def __init__(self, config, *, rngs):
        self.config, self.rngs = config, rngs.fork()
        self.logits = nnx.Param(jnp.zeros((config.length, config.codes + 1, config.codes)))  # row 0: no code before

    def __call__(self, x, *, rngs=None):
        codes = x.reshape(len(x), -1)
        before = jnp.pad(codes[:, :-1] + 1, ((0, 0), (1, 0)))
        rows = jax.nn.log_softmax(self.logits[...])[jnp.arange(self.config.length)[None], before]
        return {"log_prob": jnp.take_along_axis(rows, codes[..., None], -1)[..., 0].sum(1)}

    def loss_fn(self, batch, outputs):
        return {"loss": -outputs["log_prob"].mean()}

    def generate(self, n_samples=1, *, rngs=None):
        def draw(before, step):
            logits, key = step
            code = jax.random.categorical(key, logits[before])
            return code + 1, code

        keys = jax.random.split((rngs or self.rngs).sample(), self.config.length)
        _, codes = jax.lax.scan(draw, jnp.zeros(n_samples, int), (self.logits[...], keys))
        return codes.T
'''

VQVAE = """
model: {kind: vqvae, input_shape: [8, 8, 1], hidden_dims: [8, 16], codebook_size: 12, code_dim: 4}
data:
  dataset: {kind: digits}
  modality: {kind: image, height: 8, width: 8, binarize: 0.5}
training: {epochs: 8, batch_size: 100, optimizer: {learning_rate: 5e-3}}
callbacks: []
"""
PRIOR = """
model: {kind: chain, length: 4, codes: 12}
data:
  dataset:
    kind: codes
    model: vqvae/model
    dataset: {kind: digits}
    modality: {kind: image, height: 8, width: 8, binarize: 0.5}
training: {epochs: 15, batch_size: 100, optimizer: {learning_rate: 5e-2}}
callbacks: []
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """All that is installed, and one distribution more."""
    (tmp_path / "stranger").mkdir()
    for name, text in (("__init__", ""), ("plugin", PLUGIN), ("chain", CHAIN)):
        (tmp_path / "stranger" / f"{name}.py").write_text(dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "stranger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[artifex]\nstranger = stranger.plugin\n")
    registry = plugins.Registry(plugins.load_plugins(entry_points(group="artifex"), disable=""))
    assert not registry.failures
    monkeypatch.setattr(plugins, "registry", lambda: registry)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "stranger"]:
        del sys.modules[name]


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert not stopped.value.code


@pytest.mark.nightly
def test_a_strangers_model_learns_the_codes_and_draws_them(stranger, capsys):
    (stranger / "vqvae.yaml").write_text(VQVAE)
    (stranger / "prior.yaml").write_text(PRIOR)
    run("train", "vqvae.yaml", "-o", "vqvae")
    run("train", "prior.yaml", "-o", "prior")
    run("sample", "vqvae", "--prior", "prior", "-n", "9", "--seed", "7", "-o", "drawn.png")
    assert capsys.readouterr().out.endswith("9 samples with seed 7: drawn.png\n")

    _, vqvae, modality = load_run("vqvae")
    config, prior, _ = load_run("prior")
    codes = plugins.resolve("artifex.vae.codes:Codes")(config.data.dataset)
    held_out = codes.arrays("test")
    images = modality.prepare(codes._dataset.arrays("test"), rngs=nnx.Rngs(0), train=False)
    np.testing.assert_array_equal(held_out["x"], vqvae.encode(images["x"]))
    np.testing.assert_array_equal(held_out["label"], images["label"])

    train = codes.arrays("train")["x"].reshape(-1, 4)
    frequencies = (np.stack([np.bincount(column, minlength=12) for column in train.T]) + 1) / (len(train) + 12)
    independent = np.log(frequencies)[np.arange(4), held_out["x"].reshape(-1, 4)].sum(1).mean()
    learnt = float(prior(jnp.asarray(held_out["x"]))["log_prob"].mean())
    assert learnt > independent + 0.2  # nats: it knows which code follows which

    key = jax.random.fold_in(key_for(7, "sample"), 0)  # of the first batch
    drawn = vqvae.decode(prior.generate(9, rngs=nnx.Rngs(key)).reshape(9, 2, 2))
    expected = save_samples(modality, drawn, stranger / "expected")
    pixels = [np.asarray(Image.open(path), np.int64) for path in (expected, stranger / "drawn.png")]
    np.testing.assert_allclose(*pixels, atol=1)  # two programs round differently, which a level of 8 bits may show
