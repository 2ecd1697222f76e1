"""The smallest model, data set, modality and extension that a run can be made of, for the fixture ``tiny``."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core.config import Config, config
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.extensions import ExtensionConfig


@config
class TinyConfig(Config):
    latent_dim: int = 2
    size: int = 3
    depth: int = 0


class Tiny(nnx.Module):
    """A linear autoencoder, with ``depth`` layers between its two if that is asked for."""

    def __init__(self, config, *, rngs):
        self.config, self.rngs = config, rngs
        self.down = nnx.Linear(config.size, config.latent_dim, rngs=rngs)
        self.up = nnx.Linear(config.latent_dim, config.size, rngs=rngs)
        self.between = nnx.List(nnx.Linear(config.latent_dim, config.latent_dim, rngs=rngs) for _ in range(config.depth))
        self.seen = nnx.BatchStat(jnp.zeros([]))

    def __call__(self, x, *, rngs=None):
        if x.shape[1:] != (self.config.size,):
            raise InvalidInputError(f"Tiny takes x of shape (batch, {self.config.size}), got {x.shape}; set model.size to fit")
        self.seen[...] += 1.0
        hidden = self.down(x)
        for layer in self.between:
            hidden = layer(hidden)
        return {"x": self.up(hidden)}

    def generate(self, n_samples=1, *, rngs=None):
        return self.up(jax.random.normal((rngs or self.rngs).sample(), (n_samples, self.config.latent_dim)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


def tiny_error(model, references):
    """The objective of each example."""
    return jnp.mean((model(references)["x"] - references) ** 2, axis=1)


def tiny_radius(samples):
    return np.linalg.norm(np.asarray(samples), axis=1)


def tiny_broken(samples):
    raise RuntimeError("it never works")


@config
class TinyDataConfig(Config):
    examples: int = 24
    size: int = 3
    held_out_size: int | None = 3
    held_out_examples: int = 5
    folder: Path | None = None
    read_singly: bool = False
    bad_value: bool = False
    classes: tuple[str, ...] = ()


class TinyData:
    """Points on a line through the origin."""

    def __init__(self, config):
        if config.folder is not None and not config.folder.is_dir():
            raise DataError(f"there is no folder {config.folder}; set data.dataset.folder")
        self.config = config
        if config.read_singly:
            self.source = lambda split: [{"x": row} for row in self._points(split)["x"]]
        else:
            self.arrays = self._points

    @property
    def classes(self):
        return self.config.classes

    @property
    def splits(self):
        return ("train",) if self.config.held_out_size is None else ("train", "test")

    def _points(self, split):
        c = self.config
        n, size = (c.examples, c.size) if split == "train" else (c.held_out_examples, c.held_out_size)
        x = np.linspace(-1, 1, n)[:, None] * np.arange(1, size + 1)[None] if n else np.zeros((0, size))
        if c.bad_value:
            x[0] = np.nan
        return {"x": x.astype(np.float32)}


@config
class TinyModalityConfig(Config):
    scale: float = 1.0


class TinyModality:
    shape = (3,)

    def __init__(self, config):
        self.config = config

    def prepare(self, batch, *, rngs, train):
        return {**batch, "x": batch["x"] * self.config.scale}

    def save_samples(self, samples, stem):
        path = stem.with_name(f"{stem.name}.txt")
        np.savetxt(path, samples)
        return path


class TinyExtension:
    def __init__(self, config):
        self.config = config

    def apply(self, model, inputs, outputs):
        return {"one": jnp.ones([])}

    def compute_loss(self, batch, outputs):
        return {"loss": outputs["one"]}


TinyExtensionConfig = ExtensionConfig
