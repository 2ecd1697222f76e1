"""The trainer: the loop on the host around the compiled step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError, NonFiniteLossError
from artifex.core.extensions import ModelExtension
from artifex.core.mesh import DeviceMeshManager, ShardingConfig
from artifex.core.protocols import ModalityProtocol
from artifex.core.sharding import batch_sharding, shard_like_params, shardings as parameter_shardings
from artifex.training.callbacks import Callback
from artifex.training.checkpoints import Checkpoints
from artifex.training.loaders import ArrayLoader, HostBatch, Loader, as_loader
from artifex.training.objectives import Objective, objectives_of
from artifex.training.optimizers import OptimizerConfig, learning_rate, make_optimizer
from artifex.training.seeds import key_for
from artifex.training.state import ModelParts, TrainState, dotted
from artifex.training.step import Program

__all__ = ["Trainer", "TrainerConfig"]

ON_DEVICE_BYTES = 2**30
"""Training data in memory are kept on the devices up to this size; larger ones are sent batch by batch."""

RematPolicy = Literal["nothing_saveable", "dots_saveable", "dots_with_no_batch_dims_saveable"]


@config
class TrainerConfig(Config):
    """How long to train, with what optimiser, and what to do along the way."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in steps; give this or ``epochs``."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Length of the run in passes over the training data."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Examples in a step, over all devices together."""
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    """Optimiser of the model's objective."""
    optimizers: dict[str, OptimizerConfig] = Field(default_factory=dict)
    """Optimisers of single objectives of a model that has several, by the objective's name (``generator``)."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of the parameters, which then serves for evaluation, samples and the saved model."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Work through each batch in this many equal parts, averaging their gradients: less memory, the same step."""
    precision: Literal["bfloat16"] | None = None
    """Cast parameters and inputs to this for the forward and backward pass; master copies and updates stay as they are."""
    remat: RematPolicy | None = None
    """Compute activations again in the backward pass, all but what this policy of ``jax.checkpoint_policies`` keeps."""
    log_every: Annotated[int, Field(ge=1)] = 50
    """Steps between two lines of the log; each holds averages over those steps."""
    evaluate_every: Annotated[int, Field(ge=1)] | None = None
    """Steps between two evaluations on held-out data; by default one an epoch's end."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"give either steps or epochs (given: steps={self.steps}, epochs={self.epochs})")
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} does not split into accumulate = {self.accumulate} equal parts")

    def total_steps(self, steps_per_epoch: int) -> int:
        """Length of the run in steps."""
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch


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
        self.objectives = tuple(objectives) if objectives is not None else objectives_of(model, extensions)
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
        shards = self.mesh.shape["data"] * self.mesh.shape["fsdp"]
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
        self.loader = as_loader(train, batch_size=self.config.batch_size, seed=self.seed)
        held_out = (
            None if evaluation is None else as_loader(evaluation, batch_size=self._evaluation_batch(evaluation), seed=self.seed)
        )
        self.compile(self.loader)
        if resume is not None:
            self._restore(Path(resume))  # after compile, which says what the state looks like
        started: list[Callback] = []
        error: BaseException | None = None
        try:
            for callback in self.callbacks:
                started.append(callback)
                callback.on_start(self)
            self._loop(self.loader, held_out)
        except BaseException as raised:
            error = raised
            raise
        finally:
            for callback in reversed(started):
                callback.on_end(self, error)
            if self.state is not None:
                self._parts.write_back(self.model, self.state.params, self.state.rest)
        return dict(self.metrics)

    def _loop(self, loader: Loader, held_out: Loader | None) -> None:
        config, logged_at, clock = self.config, self.step, time.perf_counter()
        evaluate_every = config.evaluate_every or loader.steps_per_epoch
        on_step = [c for c in self.callbacks if type(c).on_step is not Callback.on_step]
        while self.step < self.total_steps and self.stop_reason is None:
            self.state = self._advance(loader)
            self.step += 1
            last = self.step == self.total_steps
            if self.step % config.log_every == 0 or last:
                metrics = self._read_sums(self.step - logged_at)
                now = time.perf_counter()
                metrics["steps_per_second"] = (self.step - logged_at) / (now - clock)
                logged_at, clock = self.step, now
                self.metrics |= metrics
                for callback in self.callbacks:
                    callback.on_log(self, metrics)
            if held_out is not None and (self.step % evaluate_every == 0 or last):
                paused = time.perf_counter()
                figures = {f"eval/{name}": value for name, value in self.evaluate(held_out).items()}
                self.metrics |= figures
                for callback in self.callbacks:
                    callback.on_evaluate(self, figures)
                clock += time.perf_counter() - paused
            for callback in on_step:
                callback.on_step(self)

    def compile(self, loader: Loader) -> None:
        """Lay the state out on the mesh, from the model as it is now, and make the compiled step for the loader's batches."""
        self.step, self.stop_reason, self._parts = 0, None, ModelParts(self.model)
        self.total_steps = self.config.total_steps(loader.steps_per_epoch)
        self.program = self._make_program()
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
        self._learning_rates = {
            o.name: learning_rate(c, self.total_steps) for o, c in zip(self.objectives, chosen, strict=True)
        }
        return Program(
            self._parts,
            self.objectives,
            [make_optimizer(c, self.total_steps) for c in chosen],
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
        return TrainState(
            step=everywhere,
            params=placed,
            rest=dict.fromkeys(state.rest, everywhere),
            opt=shard_like_params(state.opt, state.params, placed),
            ema={name: placed[name] for name in state.ema},
            sums=dict.fromkeys(state.sums, everywhere),
            bad_step=everywhere,
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

    def _read_sums(self, steps: int) -> dict[str, float]:
        """Averages of the logged scalars over the last ``steps`` steps; starts new sums."""
        assert self.state is not None
        sums, bad_step = jax.device_get((self.state.sums, self.state.bad_step))
        if bad_step >= 0:
            terms = [name for name, value in sums.items() if not np.isfinite(value)]
            raise NonFiniteLossError(
                f"the loss is not finite at step {int(bad_step)} (terms: {', '.join(terms)}); "
                "try a lower learning rate, optimizer.clip_norm, or look for bad values in the data"
            )
        zeros = {name: jax.device_put(np.zeros([], np.float32), self.layout.sums[name]) for name in sums}
        self.state = self.state.replace(sums=zeros)
        rates = {
            f"{name}/learning_rate" if name else "learning_rate": float(f(self.step - 1))
            for name, f in self._learning_rates.items()
        }
        return {name: float(value) / steps for name, value in sums.items()} | rates

    def evaluate(self, data: Any) -> dict[str, float]:
        """Averages of every scalar of the objective over all of ``data``, with the averaged parameters where there are any.

        The same noise is drawn at every call, so that two evaluations differ by the parameters alone.
        """
        loader = as_loader(data, batch_size=self._evaluation_batch(data), seed=self.seed)
        if self.state is None:
            self.compile(loader)
        assert self.state is not None
        params, key = self.state.ema or self.state.params, key_for(self.seed, "evaluate")
        results, sizes = [], []
        for i, batch in enumerate(loader.one_pass()):
            size = len(batch["x"])
            even = size % (self.mesh.shape["data"] * self.mesh.shape["fsdp"]) == 0
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
        size = (
            len(data["x"])
            if isinstance(data, dict) and "x" in data
            else len(data)
            if hasattr(data, "__len__")
            else self.config.batch_size
        )
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
        checkpoints.save(self.step, self.state, {"loader": self.loader.state(), "seed": self.seed})

    def restore(self, train: Any, folder: str | Path) -> None:
        """Take the state of the newest checkpoint in ``folder``, as :meth:`fit` does to resume, without training."""
        self.loader = as_loader(train, batch_size=self.config.batch_size, seed=self.seed)
        self.compile(self.loader)
        self._restore(Path(folder))

    def _restore(self, folder: Path) -> None:
        assert self.state is not None
        assert self.loader is not None
        with Checkpoints(folder) as checkpoints:
            self.step, self.state, extra = checkpoints.restore(self.state, self.layout)
        self.loader.restore(extra["loader"])


def _devices(mesh: ShardingConfig | None) -> list[Any] | None:
    """One device when nothing is said; all of them when a sharding is."""
    return jax.devices()[:1] if mesh is None else None


def _peek(loader: Loader) -> Any:
    """Shapes and dtypes of the loader's batches; its position stays."""
    first = next(iter(loader.one_pass()))
    return {key: jax.ShapeDtypeStruct((loader.batch_size, *np.shape(v)[1:]), np.asarray(v).dtype) for key, v in first.items()}
