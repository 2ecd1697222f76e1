"""Runs: built and checked from their config before anything is written, kept in one folder, loaded from it alone."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from artifex.core import plugins
from artifex.core.config import Config
from artifex.core.errors import DataError, InvalidInputError, NonFiniteLossError, RunError
from artifex.core.factory import create_model
from artifex.core.lora import merge_lora
from artifex.core.mesh import ShardingConfig, devices_for
from artifex.core.objectives import value_of
from artifex.core.protocols import ArrayDataset, FitsData, KnowsDensity, ModalityProtocol, NamesClasses, SourceDataset
from artifex.core.sharding import create_sharded
from artifex.core.storage import load_model, save_model, set_weights, write_atomically
from artifex.training.callbacks import Callback, EarlyStopConfig
from artifex.training.callbacks.base import Training, run_folder
from artifex.training.callbacks.registered_metrics import RegisteredMetrics
from artifex.training.checkpoints import CHECKPOINTS, latest_step
from artifex.training.environment import ENVIRONMENT, environment
from artifex.training.host_devices import set_cpu_devices
from artifex.training.learning_rates import jump
from artifex.training.loaders import BucketLoader, Loader, as_loader, batch_shapes
from artifex.training.objectives import objectives_of
from artifex.training.placement import Placement
from artifex.training.processes import ask_first, is_first
from artifex.training.report import RunReport
from artifex.training.run_config import CONFIG_FILE, DataConfig, RunConfig, read_run_config, with_absolute_paths
from artifex.training.run_lock import LOCK_FILE
from artifex.training.seeds import key_for
from artifex.training.state import ModelParts, Variables
from artifex.training.trainer import Trainer
from artifex.training.weights import MODEL, checkpoint_weights

__all__ = ["Run", "build_run", "can_resume", "check_folder", "class_names", "load_run", "new_folder"]

CLASSES_FILE = "classes.json"
"""Names of the classes: label i is the i-th."""


@dataclass(slots=True)
class Run:
    """A run, ready to start or to go on: everything is built and checked, nothing is written yet."""

    config: RunConfig
    trainer: Trainer
    train: Loader
    evaluation: Any
    notes: tuple[str, ...]
    """What was decided for the user, for the terminal."""
    classes: tuple[str, ...] = ()
    """Names of the classes, where the data set knows them."""

    def start(self, folder: Path, *, resume: bool = False) -> dict[str, float]:
        """Train in ``folder``: its config, logs, checkpoints and samples, and at the end the model. Returns the last metrics.

        SIGINT and SIGTERM end it between two steps, with a checkpoint where the run keeps any.

        Raises:
            KeyboardInterrupt: it was ended by a signal, which it carries.
            RunInUseError: another process works in ``folder``.
            RunError: the disk is full, or there is nothing that can be gone on from.
            NonFiniteLossError: the numbers went bad; the message tells how to go on.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if resume and (then := class_names(folder)) and then != self.classes:
            raise RunError(
                f"the run in {folder} cannot be gone on with: its classes were {', '.join(then)} and are "
                f"{', '.join(self.classes) or 'none'} now; make them as they were, or start anew"
            )
        self.trainer.folder = folder
        # the report first: at the end it comes last, when all else is there
        self.trainer.callbacks = (RunReport(self.notes), _Record(self.config, self.classes), *self.trainer.callbacks)
        checkpoints = folder / CHECKPOINTS
        try:
            return self.trainer.fit(self.train, self.evaluation, resume=checkpoints if resume else None)
        except NonFiniteLossError as error:
            if latest_step(checkpoints) is None:
                raise
            advice = f"with a lower rate, for example:\n  {self._more_slowly(folder)}{_and_further_back(checkpoints)}"
            raise NonFiniteLossError(f"{error}; {advice}") from error

    def _more_slowly(self, folder: Path) -> str:
        """The command that goes on with a tenth of every learning rate."""
        training = self.config.training
        optimizers = {f"optimizers.{name}": o for name, o in training.optimizers.items()} or {"optimizer": training.optimizer}
        rates = {name: o.learning_rate for name, o in optimizers.items()} | {
            f"{name}.groups.{i}": group.learning_rate
            for name, o in optimizers.items()
            for i, group in enumerate(o.groups)
            if group.learning_rate is not None
        }
        settings = (f"--set training.{name}.learning_rate={rate / 10:g}" for name, rate in rates.items())
        return f"artifex train --resume {shlex.quote(str(folder))} {' '.join(settings)}"

    def jump(self, folder: Path) -> str:
        """What to say where ``folder`` holds a shorter run, and the learning rate jumps up as it goes on; else empty."""
        step = latest_step(folder / CHECKPOINTS)
        if step is None:
            return ""
        before, trainer = read_run_config(str(folder)).training, self.trainer
        steps_per_epoch = self.train.steps_per_epoch
        return jump(before, self.config.training, trainer.objectives, step=step, steps_per_epoch=steps_per_epoch)

    def is_finished(self, folder: Path) -> bool:
        """Whether ``folder`` holds this run at or past its last step."""
        total = self.config.training.total_steps(self.train.steps_per_epoch)
        return _has_model(folder) and (latest_step(folder / CHECKPOINTS) or 0) >= total


def _and_further_back(checkpoints: Path) -> str:
    """What to do where the newest checkpoint is of numbers that had begun to run away; empty without an earlier one."""
    *_, earlier, newest = [0, 0, *sorted(int(path.name) for path in checkpoints.glob("*") if path.name.isdecimal())]
    if not earlier:
        return ""
    return f"\n  should that fail too, delete {checkpoints / str(newest)}: it then goes on from step {earlier}"


class _Record(Callback):
    """Writes what the run is, once its state is there, and at its end the model.

    A run that cannot start leaves an earlier record as it was.
    """

    def __init__(self, config: RunConfig, classes: tuple[str, ...]):
        self.config, self.classes = config, classes

    def on_start(self, trainer: Training) -> None:
        if not is_first():
            return
        folder = run_folder(trainer, "run")
        write_atomically(folder / CONFIG_FILE, self.config.to_yaml().encode())
        write_atomically(folder / ENVIRONMENT, json.dumps(environment(), indent=2).encode())
        if self.classes:
            names = json.dumps(self.classes, indent=2, ensure_ascii=False)
            write_atomically(folder / CLASSES_FILE, names.encode("utf-8", "surrogatepass"))  # a file's name may be no text
        shutil.rmtree(folder / MODEL, ignore_errors=True)  # of the part that is now gone on from

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if error is not None:
            return
        model = trainer.evaluation_model()  # which takes all processes
        if is_first():
            merge_lora(model)
            save_model(model, run_folder(trainer, "run") / MODEL)


def can_resume(folder: Path) -> bool:
    """Whether ``folder`` is a run's that can go on: it has a checkpoint, or ended before its first one and can start anew."""
    if latest_step(folder / CHECKPOINTS) is not None:
        return True
    return (folder / CONFIG_FILE).is_file() and not _has_model(folder)


def check_folder(output: Path) -> None:
    """Find out whether a run can use ``output``, without touching it.

    Raises:
        RunError: it is a file, holds something, or cannot be written.
    """
    if output.is_dir() and any(path.name != LOCK_FILE for path in output.iterdir()):  # which a process that was killed leaves
        go_on = f"artifex train --resume {shlex.quote(str(output))}"
        raise RunError(f"{output} is not empty; choose a new folder, or go on with its run: {go_on}")
    nearest = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise RunError(f"the run folder {output} cannot be made: {nearest} is a file; choose another with --output")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError(f"the run folder {output} cannot be written: no permission in {nearest}; choose another with --output")


def new_folder(name: str, output: Path | None) -> Path:
    """Make the folder of a new run: ``output``, which must be empty or new, or the next free ``runs/<name>-<n>``.

    In several processes the first one makes it, and tells the others.

    Raises:
        RunError: it holds something already, or cannot be written.
    """
    return Path(ask_first(lambda: str(_new_folder(name, output))))


def _new_folder(name: str, output: Path | None) -> Path:
    first = Path("runs") / f"{name or 'run'}-1"
    check_folder(first.parent / ".new" if output is None else output)
    try:
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            return output
        first.parent.mkdir(parents=True, exist_ok=True)
        for n in itertools.count(1):
            folder = first.with_name(f"{name or 'run'}-{n}".rpartition("/")[2])
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise RunError(
            f"the run folder {error.filename or output} cannot be made: {error.strerror}; choose another with --output"
        ) from error
    raise AssertionError("counting ended")


def load_run(folder: str | Path) -> tuple[RunConfig, Any, Any]:
    """The config, the trained model and the modality of a run, from nothing but its folder.

    A run that goes on, or was cut off before its end, has no saved model yet; the weights of its newest whole checkpoint serve.

    Raises:
        RunError: it is no run folder, or there are no weights in it.
    """
    folder = Path(folder)
    if not (folder / CONFIG_FILE).is_file():
        raise RunError(f"{folder} is no run folder: it has no {CONFIG_FILE}")
    run_config = read_run_config(str(folder))
    modality = _build_modality(run_config.data.modality)
    if _has_model(folder):
        return run_config, _evaluating(load_model(folder / MODEL)), modality
    if latest_step(folder / CHECKPOINTS) is None:
        raise RunError(f"{folder} has neither a model nor a checkpoint: its run ended before its first one")
    model = create_model(run_config.model, rngs=nnx.Rngs(key_for(run_config.seed, "initialise")))
    set_weights(model, checkpoint_weights(folder))
    return run_config, _evaluating(model), modality


def class_names(folder: str | Path) -> tuple[str, ...]:
    """What the classes of a run are called, in the order of their labels; empty where its data set has no names for them.

    Raises:
        RunError: the file with them is damaged.
    """
    file = Path(folder) / CLASSES_FILE
    if not file.is_file():
        return ()
    try:
        names = json.loads(file.read_bytes())
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}; it is a JSON list of names, or can be deleted") from error
    return tuple(map(str, names))


def _evaluating(model: Any) -> Any:
    """The model without dropout, and with running averages in the place of a batch's own."""
    return nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)


def _has_model(folder: Path) -> bool:
    return (folder / MODEL / CONFIG_FILE).is_file()  # which is written last


def build_run(config: RunConfig) -> Run:
    """Load the data, choose the devices, make the model and the trainer, and try one batch's shapes through the loss.

    Relative paths of data are taken from the current folder, and kept as absolute ones in the run's config; so is what the
    modality learns from the training data.
    """
    config = with_absolute_paths(config)
    dataset = _build("dataset", config.data.dataset)
    train_split, evaluation_split = _splits(dataset, config.data)
    examples = _read(dataset, train_split)
    _check_dataset_size(config.model, _length(examples), train_split)
    train = as_loader(examples, batch_size=config.training.batch_size, seed=config.seed)
    evaluation = None if evaluation_split is None else _read(dataset, evaluation_split)
    if evaluation_split is not None:
        _check_alike(dataset, train, evaluation, evaluation_split)
    modality = _build_modality(config.data.modality)
    if isinstance(modality, FitsData):
        modality = modality.fitted(dataset, train_split)
        config = config.replace(data=config.data.replace(modality=modality.config))
    extensions = [_build("extension", c) for c in config.extensions]
    sharding, notes = _choose_mesh(config, train, modality, extensions)
    model = _make_model(config, sharding)
    if evaluation is None and any(isinstance(c, EarlyStopConfig) for c in config.callbacks):
        raise RunError(
            "the early_stop callback needs held-out data, but the data set has no split for it; leave the callback out"
        )
    callbacks = [_build("callback", c) for c in config.callbacks]
    if config.evaluation is not None and config.evaluation.every is not None:
        if evaluation is None:
            raise RunError("evaluation.every needs held-out data, but the data set has no split for it; leave it out")
        density = dataset if isinstance(dataset, KnowsDensity) else None
        callbacks.append(RegisteredMetrics(config.evaluation, evaluation, density))
    trainer = Trainer(
        model, config.training, seed=config.seed, mesh=sharding, modality=modality, extensions=extensions, callbacks=callbacks
    )
    classes = tuple(dataset.classes) if isinstance(dataset, NamesClasses) else ()
    return Run(config, trainer, train, evaluation, notes, classes)


def _make_model(config: RunConfig, sharding: ShardingConfig) -> Any:
    """The model, each array made where it belongs: one that is sharded is never whole on a device."""

    def make() -> Any:
        return create_model(config.model, rngs=nnx.Rngs(key_for(config.seed, "initialise")))

    if not sharding.divides_parameters:
        return make()
    return create_sharded(make, Placement(sharding).mesh, fsdp_min_weight_size=sharding.fsdp_min_weight_size)


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


def _check_alike(dataset: Any, train: Loader, evaluation: Any, split: str) -> None:
    """Held-out examples have to look like those that are trained on; found out now, not at the first evaluation."""
    if _length(evaluation) == 0:
        others = ", ".join(other for other in dataset.splits if other != split)
        raise DataError(
            f"split {split!r} of {type(dataset).__name__} has no examples; "
            f"set data.evaluation_split to another (it has {others})"
        )
    held_out = as_loader(evaluation, batch_size=1, seed=0)
    found, expected = (f"{x.dtype}{list(x.shape[1:])}" for x in map(_stored_example, (held_out, train)))
    if found != expected:
        raise DataError(f"examples of split {split!r} are {found}, those to train on are {expected}; they have to be alike")


def _stored_example(loader: Loader) -> Any:
    """The first ``x``, as it is stored: buckets cut it to different lengths."""
    return loader.arrays["x"] if isinstance(loader, BucketLoader) else next(loader.one_pass())["x"]


def _check_dataset_size(model: Config, size: int, split: str) -> None:
    """A model that has to know how many examples there are (a field ``dataset_size`` of its config) must not be told wrong."""
    told = getattr(model, "dataset_size", None)
    if told is not None and told != size:
        raise RunError(f"model.dataset_size is {told}, but split {split!r} has {size} examples; set it to {size}")


def _length(data: Any) -> int:
    return len(next(iter(data.values()))) if isinstance(data, Mapping) else len(data)


def _choose_mesh(
    config: RunConfig, train: Loader, modality: ModalityProtocol | None, extensions: list[Any]
) -> tuple[ShardingConfig, tuple[str, ...]]:
    """The mesh of the run's config or, where it says nothing, every accelerator that the batch splits over.

    The losses are traced over shapes alone, before JAX starts; a batch that does not fit the model is found out here.
    """
    losses, arguments = _abstract_losses(config, modality, extensions, batch_shapes(train))
    shape = _prepared_shape(modality, arguments)
    try:
        jax.eval_shape(losses, *arguments)
    except InvalidInputError as error:
        fix = _shapes_to_set(config.model, shape)
        advice = f"\n  {fix}, or change how 'data.modality' prepares the examples." if fix else ""
        raise InvalidInputError(f"the data do not fit the model: {error}{advice}") from error
    set_cpu_devices(1)  # a number that the user chose stands; the devices get the threads they need
    if config.mesh is not None or jax.distributed.is_initialized():
        return config.mesh or ShardingConfig(), ()
    if jax.default_backend() == "cpu":  # of which one device uses all cores
        return ShardingConfig(data_parallel_size=1), ()
    there, micro_batch = len(jax.devices()), config.training.batch_size // config.training.accumulate
    note = _idle_devices(config, there)
    return ShardingConfig(data_parallel_size=devices_for(micro_batch, there)), (note,) if note else ()


def _prepared_shape(modality: ModalityProtocol | None, arguments: tuple[Any, ...]) -> tuple[int, ...]:
    """Of one example as the model is given it."""
    _, batch, key = arguments
    if modality is not None:
        batch = jax.eval_shape(lambda batch, key: modality.prepare(batch, rngs=nnx.Rngs(key), train=True), batch, key)
    return batch["x"].shape[1:]


def _shapes_to_set(model: Config, shape: tuple[int, ...], path: str = "model") -> str:
    """Which fields of a model's config to change for examples of another shape; empty where none says theirs."""
    said = []
    for name, value in ((field.name, getattr(model, field.name)) for field in fields(model)):
        if isinstance(value, Config):
            said.append(_shapes_to_set(value, shape, f"{path}.{name}"))
        elif name in ("input_shape", "output_shape", "image_shape", "shape") and value not in (None, shape):
            said.append(f"Set {path}.{name} to {list(shape)}")
        elif name == "input_dim" and len(shape) == 1 and value not in (None, *shape):
            said.append(f"Set {path}.{name} to {shape[0]}")
    return " and ".join(filter(None, said)).replace(" and Set", " and")


def _idle_devices(config: RunConfig, there: int) -> str:
    """What to say where a batch does not split over all the accelerators; empty where it does."""
    batch_size, parts = config.training.batch_size, config.training.accumulate
    used = devices_for(batch_size // parts, there)
    if used == there:
        return ""
    what = f"batch_size {batch_size}" + (f" in {parts} parts" if parts > 1 else "")
    return f"{used} of {there} devices: {what} splits over no more of them; a multiple of {there * parts} would use all"


def _abstract_losses(
    config: RunConfig, modality: ModalityProtocol | None, extensions: list[Any], batch: Any
) -> tuple[Any, tuple[Any, ...]]:
    """Every objective's loss as a function of shapes."""
    model = nnx.eval_shape(lambda: create_model(config.model, rngs=nnx.Rngs(key_for(config.seed, "initialise"))))
    parts, objectives = ModelParts(model), objectives_of(model, extensions)

    def losses(variables: Variables, batch: Any, key: jax.Array) -> list[jax.Array]:
        prepare_key, model_key, stream_key = jax.random.split(key, 3)
        if modality is not None:
            batch = modality.prepare(batch, rngs=nnx.Rngs(prepare_key), train=True)
        made, step = parts.assemble(variables, stream_key, train=True), jax.numpy.zeros([], jax.numpy.int32)
        return [value_of(objective.loss(made, batch, nnx.Rngs(model_key), step)["loss"]) for objective in objectives]

    return losses, (parts.shapes, batch, jax.eval_shape(lambda: key_for(config.seed, "train")))
