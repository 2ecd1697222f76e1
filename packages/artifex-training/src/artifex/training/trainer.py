"""The trainer: the loop on the host around the compiled step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from artifex.core.errors import InvalidInputError, InvalidTypeError, NonFiniteLossError, RunError
from artifex.core.extensions import ModelExtension
from artifex.core.mesh import DeviceMeshManager, ShardingConfig
from artifex.core.protocols import ModalityProtocol
from artifex.core.sharding import batch_sharding, shard_like_params, shardings as parameter_shardings
from artifex.training.callbacks import Callback
from artifex.training.callbacks.interruption import StopBetweenSteps
from artifex.training.checkpoints import Checkpoints
from artifex.training.loaders import ArrayLoader, HostBatch, Loader, as_loader
from artifex.training.objectives import Objective, objectives_of
from artifex.training.optimizers import learning_rate, make_optimizer
from artifex.training.rate import Rate
from artifex.training.seeds import key_for
from artifex.training.state import Flat, ModelParts, TrainState, dotted
from artifex.training.step import Program
from artifex.training.trainer_config import TrainerConfig

__all__ = ["Trainer", "TrainerConfig"]

ON_DEVICE_BYTES = 2**30
"""Training data in memory are kept on the devices up to this size; larger ones are sent batch by batch."""


class Trainer:
    """Trains a model on data, on whatever mesh of devices there is.

    Args:
        model: any model with an objective (``loss_fn``, or the two of adversarial models). It is trained in place.
        config: how to train.
        seed: root of the data's order and of every draw during training.
        mesh: devices and their roles: a mesh, a :class:`ShardingConfig`, or None for one device.
        modality: prepares stored batches inside the compiled step, and shows samples; None when batches are the model's input.
        extensions: what adds to the model's outputs and loss.
        callbacks: what happens along the way.
        objectives: instead of those the model declares.
        folder: where callbacks write; None keeps everything in memory.

    Example:
        >>> from flax import nnx
        >>> from artifex.training import Trainer, TrainerConfig
        >>> class Mean(nnx.Module):  # the mean of the data, by least squares
        ...     def __init__(self):
        ...         self.mean = nnx.Param(jnp.zeros(2))
        ...     def __call__(self, x, *, rngs=None):
        ...         return {"error": x - self.mean[None]}
        ...     def generate(self, n_samples=1, *, rngs=None):
        ...         return jnp.tile(self.mean[None], (n_samples, 1))
        ...     def loss_fn(self, batch, outputs):
        ...         return {"loss": jnp.mean(outputs["error"] ** 2)}
        >>> model = Mean()
        >>> trainer = Trainer(model, TrainerConfig(steps=200, batch_size=4, optimizer={"learning_rate": 0.05}), seed=0)
        >>> metrics = trainer.fit(np.ones((8, 2), np.float32))
        >>> bool(jnp.allclose(model.mean[...], 1.0, atol=1e-2))
        True
    """

    def __init__(
        self,
        model: Any,
        config: TrainerConfig,
        *,
        seed: int,
        mesh: Mesh | ShardingConfig | None = None,
        modality: ModalityProtocol | None = None,
        extensions: Sequence[ModelExtension] = (),
        callbacks: Sequence[Callback] = (),
        objectives: Sequence[Objective] | None = None,
        folder: str | Path | None = None,
    ):
        if not isinstance(config, TrainerConfig):
            raise InvalidTypeError(
                f"Trainer takes a TrainerConfig, got {type(config).__name__}; for example TrainerConfig(steps=1000)"
            )
        self.model, self.config, self.seed, self.modality = model, config, seed, modality
        self.folder = None if folder is None else Path(folder)
        self.callbacks = tuple(callbacks)
        self.objectives = (
            tuple(objectives) if objectives is not None else objectives_of(model, extensions, precision=config.precision)
        )
        self._all_owned = objectives is None
        self.sharding = mesh if isinstance(mesh, ShardingConfig) else ShardingConfig(data_parallel_size=1)
        self.mesh = mesh if isinstance(mesh, Mesh) else DeviceMeshManager(_devices(mesh)).create_mesh(self.sharding)
        self.step = 0
        self.total_steps = 0
        self.metrics: dict[str, float] = {}
        self.stop_reason: str | None = None
        self.state: TrainState | None = None
        self.loader: Loader | None = None
        self._check_config()

    def _check_config(self) -> None:
        unknown = self.config.optimizers.keys() - {o.name for o in self.objectives}
        if unknown:
            names = ", ".join(repr(o.name) for o in self.objectives)
            raise InvalidInputError(f"training.optimizers names {sorted(unknown)}, but the model's objectives are {names}")
        if any(kind != AxisType.Auto for kind in self.mesh.axis_types):
            raise InvalidInputError(
                f"the mesh has axes of the types {self.mesh.axis_types}; make it with axis_types=(AxisType.Auto,) * "
                f"{len(self.mesh.axis_names)}, or pass a ShardingConfig"
            )
        shards = self._shards
        if self.config.batch_size % (shards * self.config.accumulate):
            raise InvalidInputError(
                f"batch_size {self.config.batch_size} does not split over {shards} data-parallel devices"
                f"{f' in {self.config.accumulate} parts' if self.config.accumulate > 1 else ''}; "
                f"choose a multiple of {shards * self.config.accumulate}"
            )
        dtype = getattr(getattr(self.model, "config", None), "dtype", None)
        if self.config.precision is not None and dtype is not None:
            raise InvalidInputError(
                f"training.precision is {self.config.precision}, but the model's own dtype is {dtype}, which would undo it; "
                "set one of the two"
            )

    @property
    def _shards(self) -> int:
        """In how many pieces a batch is split."""
        return self.mesh.shape.get("data", 1) * self.mesh.shape.get("fsdp", 1)

    def fit(self, train: Any, evaluation: Any = None, *, resume: str | Path | None = None) -> dict[str, float]:
        """Train to the configured length, or until a callback stops it. Called again, it starts anew from the trained model.

        Args:
            train: a loader, a dict of arrays, one array (the ``x``), or a random-access sequence of examples.
            evaluation: the same for held-out data; None for no evaluation.
            resume: folder of checkpoints to go on from, as the ``checkpoint`` callback writes it.

        Returns:
            The last metrics: ``loss`` … averaged over the last steps, ``eval/loss`` … of the last evaluation.

        Raises:
            NonFiniteLossError: the loss stopped being a finite number; the message names the step.
        """
        self.loader = self._training_loader(train)
        held_out = (
            None if evaluation is None else as_loader(evaluation, batch_size=self._evaluation_batch(evaluation), seed=self.seed)
        )
        self.compile(self.loader)
        if resume is not None:
            self._restore(Path(resume))  # after compile, which says what the state looks like
        callbacks = (*self.callbacks, StopBetweenSteps())
        with ExitStack() as ending:  # whatever fails, every callback is told of the end and the model gets what was reached
            ending.callback(self._hand_back)
            for callback in callbacks:
                ending.push(partial(_end, callback, self))
                callback.on_start(self)
            self._loop(self.loader, held_out, callbacks)
        return dict(self.metrics)

    def _training_loader(self, train: Any) -> Loader:
        loader = as_loader(train, batch_size=self.config.batch_size, seed=self.seed)
        if loader.batch_size != self.config.batch_size:
            raise InvalidInputError(
                f"the loader's batches have {loader.batch_size} examples, but the Trainer's batch_size is "
                f"{self.config.batch_size}; make them equal"
            )
        return loader

    def is_sound(self) -> bool:
        """Whether the state can be read (it cannot amid a step) and every loss and parameter in it is a finite number."""
        if self.state is None or any(leaf.is_deleted() for leaf in jax.tree.leaves(self.state)):
            return False
        return int(self.state.bad_step) < 0 and bool(_all_finite(self.state.params))

    def _hand_back(self) -> None:
        """Give the model what was reached, unless its numbers have gone bad."""
        if self.state is not None and self.is_sound():
            self._parts.write_back(self.model, self.state.params, self.state.rest)

    def _loop(self, loader: Loader, held_out: Loader | None, callbacks: Sequence[Callback]) -> None:
        evaluate_every = self.config.evaluate_every or loader.steps_per_epoch
        on_step = [c for c in callbacks if type(c).on_step is not Callback.on_step]
        rate = Rate(self.step)
        logged_at = self.step
        while self.step < self.total_steps and self.stop_reason is None:
            self.state = self._advance(loader)
            self.step += 1
            if not rate.started:
                jax.block_until_ready(self.state.step)  # the first step is compiled, which is no part of the rate
                rate.start(self.step)
            last = self.step == self.total_steps
            if self.step % self.config.log_every == 0 or last:
                self._log(callbacks, rate)
                logged_at = self.step
            if held_out is not None and (self.step % evaluate_every == 0 or last):
                with rate.paused():
                    figures = {f"eval/{name}": value for name, value in self.evaluate(held_out).items()}
                    self.metrics |= figures
                    for callback in callbacks:
                        callback.on_evaluate(self, figures)
            for callback in on_step:
                callback.on_step(self)
        if self.step > logged_at:  # stopped between two lines of the log
            self._log(callbacks, rate)

    def _log(self, callbacks: Sequence[Callback], rate: Rate) -> None:
        metrics = self._read_sums() | rate.read(self.step)
        self.metrics |= metrics
        for callback in callbacks:
            callback.on_log(self, metrics)

    def compile(self, loader: Loader) -> None:
        """Lay the state out on the mesh, from the model as it is now, and make the compiled step for the loader's batches."""
        self.step, self.stop_reason, self._parts = 0, None, ModelParts(self.model)
        self.total_steps = self.config.total_steps(loader.steps_per_epoch)
        self.program = self._make_program()
        self._check_parameters()
        batch = _peek(loader)
        # a copy, because the step gives its input's memory away and the model's own arrays must outlive that
        with jax.set_mesh(self.mesh):
            state = self.program.init(batch)
            self.layout = self._layout(state)
            self.state = jax.device_put(jax.tree.map(jnp.copy, state), self.layout)
            self._batch_layout = batch_sharding(self.mesh)
            self._arrays = self._stage(loader)
            step = self.program.step if self._arrays is None else self._step_from_rows
            self._compiled_step = jax.jit(step, donate_argnums=0, out_shardings=self.layout)
            self._compiled_losses = jax.jit(self.program.losses)

    def _make_program(self) -> Program:
        config = self.config
        chosen = [config.optimizers.get(objective.name, config.optimizer) for objective in self.objectives]
        # an objective that descends at every n-th step sees that many fewer of them
        lengths = [-(-self.total_steps // objective.every) for objective in self.objectives]
        self._learning_rates = [learning_rate(c, length) for c, length in zip(chosen, lengths, strict=True)]
        return Program(
            self._parts,
            self.objectives,
            [make_optimizer(c, length) for c, length in zip(chosen, lengths, strict=True)],
            prepare=None if self.modality is None else self.modality.prepare,
            key=key_for(self.seed, "train"),
            ema_decay=config.ema_decay,
            accumulate=config.accumulate,
            precision=config.precision,
            remat=config.remat,
        )

    def _layout(self, state: TrainState) -> TrainState:
        """Where each array lives: parameters by their logical axes, moments and averages beside them, the rest everywhere."""
        everywhere = NamedSharding(self.mesh, PartitionSpec())
        placed = dotted(
            parameter_shardings(
                nnx.state(self.model, nnx.Param), self.mesh, fsdp_min_weight_size=self.sharding.fsdp_min_weight_size
            )
        )
        self._check_mesh_is_used(placed)
        return TrainState(
            step=everywhere,
            params=placed,
            rest=dict.fromkeys(state.rest, everywhere),
            opt=shard_like_params(state.opt, state.params, placed),
            ema={name: placed[name] for name in state.ema},
            sums=dict.fromkeys(state.sums, everywhere),
            summed=everywhere,
            bad_step=everywhere,
        )

    def _check_parameters(self) -> None:
        """Refuse parameters that could not be trained as the user must think they are."""
        params = self._parts.params
        coarse = [name for name, p in params.items() if jnp.issubdtype(p.dtype, jnp.floating) and p.dtype.itemsize < 4]
        if coarse:
            raise InvalidInputError(
                f"parameter {coarse[0]} is {params[coarse[0]].dtype}, too coarse to add small steps to; keep parameters in "
                "float32 (param_dtype) and set training.precision or the model's dtype to compute in less"
            )
        unowned = [name for name in params if not any(objective.owns(name) for objective in self.objectives)]
        if unowned and self._all_owned:
            raise InvalidInputError(
                f"no objective of {type(self.model).__name__} trains the parameter {unowned[0]}; move it below one of "
                f"{', '.join(o.parameters for o in self.objectives)}, or make it another kind of nnx.Variable"
            )

    def _check_mesh_is_used(self, placed: Flat) -> None:
        """Refuse a mesh axis over which devices would only repeat each other's work."""
        used = {"data", "fsdp"} | {axis for s in placed.values() for axis in jax.tree.leaves(tuple(s.spec))}
        idle = [axis for axis, size in self.mesh.shape.items() if size > 1 and axis not in used]
        if idle:
            raise InvalidInputError(
                f"the mesh has {self.mesh.shape[idle[0]]} devices along {idle[0]!r}, but no parameter of "
                f"{type(self.model).__name__} is divided over it; set {idle[0]}_parallel_size to 1"
            )

    def _stage(self, loader: Loader) -> Any:
        """The training data on the devices, where they fit there: a step then needs to be told row numbers only."""
        if not isinstance(loader, ArrayLoader):
            return None
        copies = self.mesh.size if self.mesh.devices.flat[0].platform == "cpu" else 1
        if copies * sum(value.nbytes for value in loader.arrays.values()) > ON_DEVICE_BYTES:
            return None
        return jax.device_put(loader.arrays, NamedSharding(self.mesh, PartitionSpec()))

    def _step_from_rows(self, state: TrainState, arrays: dict[str, jax.Array], rows: jax.Array) -> TrainState:
        batch = {name: value.at[rows].get(mode="promise_in_bounds") for name, value in arrays.items()}
        return self.program.step(state, jax.lax.with_sharding_constraint(batch, self._batch_layout))

    def _advance(self, loader: Loader) -> TrainState:
        """Start the next step; returns before it is done."""
        return self._compiled_step(self.state, *self._next_arguments(loader))

    def _next_arguments(self, loader: Loader) -> tuple[Any, ...]:
        """What the compiled step takes beside the state."""
        if self._arrays is not None:
            assert isinstance(loader, ArrayLoader)
            return self._arrays, loader.next_rows()
        return (self._place(next(loader)),)

    def _place(self, batch: HostBatch) -> Any:
        return jax.device_put(batch, self._batch_layout)

    def _read_sums(self) -> dict[str, float]:
        """Averages of the logged scalars since they were last read; starts new sums.

        Raises:
            NonFiniteLossError: a loss or a parameter is no finite number any more.
        """
        assert self.state is not None
        finite = _all_finite(self.state.params)
        sums, summed, bad_step, finite = jax.device_get((self.state.sums, self.state.summed, self.state.bad_step, finite))
        advice = "try a lower learning rate, optimizer.clip_norm, or look for bad values in the data"
        if bad_step >= 0:
            terms = ", ".join(name for name, value in sums.items() if not np.isfinite(value))
            raise NonFiniteLossError(f"the loss is not finite at step {int(bad_step)} (terms: {terms}); {advice}")
        if not finite:
            raise NonFiniteLossError(
                f"the parameters are not finite after step {self.step}, though the loss was: a gradient was not; {advice}"
            )
        zeros = jax.tree.map(
            lambda old, place: jax.device_put(np.zeros([], old.dtype), place), self.state.sums, self.layout.sums
        )
        self.state = self.state.replace(sums=zeros, summed=jax.device_put(np.zeros([], np.int32), self.layout.summed))
        return {name: float(value) / int(summed) for name, value in sums.items()} | self._current_rates()

    def _current_rates(self) -> dict[str, float]:
        """The learning rate of each objective at the last step."""
        return {
            f"{objective.name}/learning_rate" if objective.name else "learning_rate": float(
                rate((self.step - 1) // objective.every)
            )
            for objective, rate in zip(self.objectives, self._learning_rates, strict=True)
        }

    def evaluate(self, data: Any) -> dict[str, float]:
        """Averages of every scalar of the objective over all of ``data``, for the state that :meth:`fit` reached.

        With the averaged parameters where there are any; before any training, for the model as it was given. The same noise
        is drawn at every call, so that two evaluations differ by the parameters alone.
        """
        loader = as_loader(data, batch_size=self._evaluation_batch(data), seed=self.seed)
        if self.state is None:
            self.compile(loader)
        assert self.state is not None
        params, key = self.state.ema or self.state.params, key_for(self.seed, "evaluate")
        results, sizes = [], []
        for i, batch in enumerate(loader.one_pass()):
            size = len(batch["x"])
            even = size % self._shards == 0
            placed = jax.device_put(batch, self._batch_layout if even else NamedSharding(self.mesh, PartitionSpec()))
            results.append(self._compiled_losses(params, self.state.rest, placed, jax.random.fold_in(key, i), self.state.step))
            sizes.append(size)
        results = jax.device_get(results)
        return {name: float(np.average([r[name] for r in results], weights=sizes)) for name in results[0]}

    def losses(self, batch: HostBatch) -> dict[str, float]:
        """Every scalar of the objective on one batch, with the parameters as they are."""
        assert self.state is not None
        key = key_for(self.seed, "evaluate")
        found = self._compiled_losses(self.state.params, self.state.rest, self._place(batch), key, self.state.step)
        return {name: float(value) for name, value in jax.device_get(found).items()}

    def memory(self, loader: Loader) -> dict[str, int | None]:
        """Bytes a device needs for one step, by the compiler's own account: the state and data, and scratch beside them."""
        position = loader.state()
        analysis = self._compiled_step.lower(self.state, *self._next_arguments(loader)).compile().memory_analysis()
        loader.restore(position)
        names = {"state and data": "argument_size_in_bytes", "scratch": "temp_size_in_bytes"}
        return {name: getattr(analysis, attribute, None) for name, attribute in names.items()}

    def _evaluation_batch(self, data: Any) -> int:
        """The configured batch size, or all of a smaller data set."""
        examples = data.get("x", ()) if isinstance(data, Mapping) else data
        size = len(examples) if hasattr(examples, "__len__") else self.config.batch_size
        return max(1, min(self.config.batch_size, size))

    def evaluation_model(self) -> Any:
        """A copy of the model with the variables to evaluate: the moving average of the parameters where there is one."""
        model = nnx.clone(self.model)
        if self.state is not None:
            copies = jax.tree.map(jnp.copy, (self.state.ema or self.state.params, self.state.rest))
            self._parts.write_back(model, *copies)
        return nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)

    def save_checkpoint(self, checkpoints: Checkpoints) -> None:
        """Write the whole state and the loader's position; returns when the device's arrays may change again."""
        assert self.state is not None
        assert self.loader is not None
        callbacks = {name: callback.state() for name, callback in self._named_callbacks().items()}
        extra = {"loader": self.loader.state(), "seed": self.seed, "callbacks": callbacks}
        checkpoints.save(self.step, self.state, extra)

    def _named_callbacks(self) -> dict[str, Callback]:
        """Callbacks under names that stay the same from run to run."""
        kinds = [type(callback).__name__ for callback in self.callbacks]
        return {
            f"{kind}-{kinds[:i].count(kind)}": callback
            for i, (kind, callback) in enumerate(zip(kinds, self.callbacks, strict=True))
        }

    def restore(self, train: Any, folder: str | Path) -> None:
        """Take the state of the newest checkpoint in ``folder``, as :meth:`fit` does to resume, without training."""
        self.loader = self._training_loader(train)
        self.compile(self.loader)
        self._restore(Path(folder))

    def _restore(self, folder: Path) -> None:
        assert self.state is not None
        assert self.loader is not None
        with Checkpoints(folder) as checkpoints:
            self.step, self.state, extra = checkpoints.restore(self.state, self.layout)
        if extra["seed"] != self.seed:
            raise RunError(f"{folder} was written with seed {extra['seed']}, this Trainer has seed {self.seed}; use the same")
        self.loader.restore(extra["loader"])
        for name, callback in self._named_callbacks().items():
            if name in extra["callbacks"]:
                callback.restore(extra["callbacks"][name])


@jax.jit
def _all_finite(params: Flat) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(p)) for p in params.values()]))


def _end(callback: Callback, trainer: Trainer, kind: Any, error: BaseException | None, trace: Any) -> None:
    del kind, trace  # ExitStack hands all three on; the error carries the other two
    callback.on_end(trainer, error)


def _devices(mesh: ShardingConfig | None) -> list[Any] | None:
    """One device when nothing is said; all of them when a sharding is."""
    return jax.devices()[:1] if mesh is None else None


def _peek(loader: Loader) -> Any:
    """Shapes and dtypes of the loader's batches; its position stays."""
    first = next(iter(loader.one_pass()))
    return {key: jax.ShapeDtypeStruct((loader.batch_size, *np.shape(v)[1:]), np.asarray(v).dtype) for key, v in first.items()}
