"""Runs: built and checked from their config before anything is written, kept in one folder, loaded from it alone."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from artifex.core import plugins
from artifex.core.config import Config
from artifex.core.devices import DeviceManager
from artifex.core.errors import DataError, RunError
from artifex.core.factory import create_model
from artifex.core.mesh import ShardingConfig
from artifex.core.protocols import ArrayDataset, ModalityProtocol, SourceDataset
from artifex.core.storage import load_model, save_model, write_atomically
from artifex.training.host_devices import advise, set_cpu_devices
from artifex.training.loaders import Loader, as_loader
from artifex.training.objectives import objectives_of
from artifex.training.run_config import CONFIG_FILE, DataConfig, RunConfig, read_run_config
from artifex.training.seeds import key_for
from artifex.training.state import ModelParts
from artifex.training.trainer import Trainer

__all__ = ["Run", "build_run", "load_run", "new_folder"]


@dataclass(slots=True)
class Run:
    """A run, ready to start or to go on: everything is built and checked, nothing is written yet."""

    config: RunConfig
    trainer: Trainer
    train: Any
    evaluation: Any
    notes: tuple[str, ...]
    """What was decided for the user, for the terminal."""

    def start(self, folder: Path, *, resume: bool = False) -> dict[str, float]:
        """Train in ``folder``: its config, logs, checkpoints and samples, and at the end the model."""
        self.trainer.folder = folder
        write_atomically(folder / CONFIG_FILE, self.config.to_yaml().encode())
        write_atomically(folder / "environment.json", json.dumps(_environment(), indent=2).encode())
        metrics = self.trainer.fit(self.train, self.evaluation, resume=folder / "checkpoints" if resume else None)
        save_model(self.trainer.evaluation_model(), folder / "model")
        return metrics


def new_folder(name: str, output: Path | None) -> Path:
    """Make the folder of a new run: ``output``, which must be empty or new, or the next free ``runs/<name>-<n>``.

    Raises:
        RunError: it holds something already, or cannot be written.
    """
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            if any(output.iterdir()):
                raise RunError(f"{output} is not empty; choose a new folder, or go on with its run: artifex train --resume {output}")
            if not os.access(output, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied", str(output))
            return output
        n = 1
        while True:
            folder = Path("runs") / f"{name or 'run'}-{n}"
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()
            except FileExistsError:
                n += 1
            else:
                return folder
    except OSError as error:
        raise RunError(f"the run folder {error.filename or output} cannot be written: {error.strerror}; choose another with --output") from error


def load_run(folder: str | Path) -> tuple[RunConfig, Any, Any]:
    """The config, the trained model and the modality of a run, from nothing but its folder.

    A run that was cut off before its end has no saved model yet; its newest checkpoint serves.
    """
    folder = Path(folder)
    if not (folder / CONFIG_FILE).is_file():
        raise RunError(f"{folder} is no run folder: it has no {CONFIG_FILE}")
    run_config = read_run_config(str(folder))
    if (folder / "model").is_dir():
        return run_config, load_model(folder / "model"), _build_modality(run_config.data.modality)
    if not (folder / "checkpoints").is_dir():
        raise RunError(f"{folder} has neither a model nor checkpoints: its run ended before its first checkpoint")
    run = build_run(run_config)
    run.trainer.restore(run.train, folder / "checkpoints")
    return run_config, run.trainer.evaluation_model(), run.trainer.modality


def _environment() -> dict[str, Any]:
    """What the run ran on, for whoever has to repeat it."""
    info = DeviceManager().get_device_info()
    ours = sorted({plugin.distribution for plugin in plugins.registry().plugins.values()})
    versions = {name: metadata.version(name) for name in ["jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", *ours]}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "backend": info["backend"],
        "devices": [str(device) for device in info["jax_devices"]],
        "versions": versions,
    }


def build_run(config: RunConfig) -> Run:
    """Load the data, choose the devices, make the model and the trainer, and try one batch's shapes through the loss."""
    dataset = _build("dataset", config.data.dataset)
    train_split, evaluation_split = _splits(dataset, config.data)
    train = as_loader(_read(dataset, train_split), batch_size=config.training.batch_size, seed=config.seed)
    evaluation = None if evaluation_split is None else _read(dataset, evaluation_split)
    modality = _build_modality(config.data.modality)
    extensions = [_build("extension", c) for c in config.extensions]
    sharding, notes = _choose_mesh(config, train, modality, extensions)
    model = create_model(config.model, rngs=nnx.Rngs(key_for(config.seed, "initialise")))
    callbacks = [_build("callback", c) for c in config.callbacks]
    trainer = Trainer(
        model, config.training, seed=config.seed, mesh=sharding, modality=modality, extensions=extensions, callbacks=callbacks
    )
    return Run(config, trainer, train, evaluation, notes)


def _build_modality(config: Config | None) -> ModalityProtocol | None:
    """The modality that ``config`` describes."""
    return None if config is None else _build("modality", config)


def _build(kind: str, config: Config) -> Any:
    entry = plugins.registry().entry_of_config(kind, type(config))
    return plugins.resolve(getattr(entry, kind))(config)


def _splits(dataset: Any, data: DataConfig) -> tuple[str, str | None]:
    """The splits to train and to evaluate on."""
    splits = tuple(dataset.splits)
    for field in ("train_split", "evaluation_split"):
        wanted = getattr(data, field)
        if wanted is not None and wanted not in splits:
            raise DataError(f"data.{field} is {wanted!r}, but the data set has {', '.join(splits)}")
    return data.train_split, data.evaluation_split or next((s for s in ("validation", "test") if s in splits), None)


def _read(dataset: Any, split: str) -> Any:
    if isinstance(dataset, ArrayDataset):
        return dataset.arrays(split)
    if isinstance(dataset, SourceDataset):
        return dataset.source(split)
    raise DataError(f"{type(dataset).__name__} is no data set: it has neither arrays(split) nor source(split)")


def _choose_mesh(
    config: RunConfig, train: Loader, modality: ModalityProtocol | None, extensions: list[Any]
) -> tuple[ShardingConfig, tuple[str, ...]]:
    """The mesh of the run's config or, where it says nothing, the one that suits the model and the machine.

    The step is traced over shapes alone, before JAX starts; a batch that does not fit the model is found out here.
    """
    first = next(train.one_pass())
    size = config.training.batch_size
    batch = {key: jax.ShapeDtypeStruct((size, *np.shape(value)[1:]), np.asarray(value).dtype) for key, value in first.items()}
    step, arguments = _abstract_step(config, modality, extensions, batch)
    if config.mesh is not None:
        jax.eval_shape(step, *arguments)
        return config.mesh, ()
    advice = advise(step, *arguments, batch_size=size // config.training.accumulate)
    in_time = set_cpu_devices(advice.devices)
    if jax.default_backend() != "cpu":
        return ShardingConfig(), ()
    if not in_time:
        return ShardingConfig(), (f"{len(jax.devices())} CPU devices, because JAX had started already (advised: {advice.devices})",)
    return ShardingConfig(), (advice.reason,)


def _abstract_step(config: RunConfig, modality: ModalityProtocol | None, extensions: list[Any], batch: Any) -> tuple[Any, tuple[Any, ...]]:
    """One forward and backward pass as a function of shapes."""
    model = nnx.eval_shape(lambda: create_model(config.model, rngs=nnx.Rngs(0)))
    parts, objectives = ModelParts(model), objectives_of(model, extensions)

    def loss(params: Any, rest: Any, batch: Any, key: jax.Array, index: int) -> jax.Array:
        prepare_key, model_key, stream_key = jax.random.split(key, 3)
        if modality is not None:
            batch = modality.prepare(batch, rngs=nnx.Rngs(prepare_key), train=True)
        made = parts.assemble(params, rest, stream_key, train=True)
        return objectives[index].loss(made, batch, nnx.Rngs(model_key), jax.numpy.zeros([], jax.numpy.int32))["loss"]

    def step(params: Any, rest: Any, batch: Any, key: jax.Array) -> Any:
        return [jax.grad(partial(loss, index=i))(params, rest, batch, key) for i in range(len(objectives))]

    return step, (parts.params, parts.rest, batch, jax.eval_shape(lambda: jax.random.key(0)))
