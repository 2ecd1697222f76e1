"""The trainer: the loop on the host around the compiled step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from artifex.core.errors import NonFiniteLossError, RunError
from artifex.core.extensions import ModelExtension
from artifex.core.hardware import HardwareDetector, MemoryUsage
from artifex.core.mesh import ShardingConfig
from artifex.core.protocols import DataInitialized, ModalityProtocol
from artifex.training.callbacks import Callback
from artifex.training.callbacks.interruption import StopBetweenSteps
from artifex.training.checkpoints import CHECKPOINTS, Checkpoints, naming_last_good
from artifex.training.checks import check_config, check_loader, check_objectives, check_parameters
from artifex.training.full_disk import explaining_a_full_disk
from artifex.training.loaders import ArrayLoader, GrainLoader, HostBatch, Loader, as_loader, batch_shapes
from artifex.training.objectives import Objective, objectives_of
from artifex.training.optimizers import learning_rate, make_optimizer
from artifex.training.placement import Placement
from artifex.training.processes import ended_alike, gathered, is_first, is_multiprocess, put_global
from artifex.training.rate import Rate
from artifex.training.run_lock import hold
from artifex.training.seeds import key_for
from artifex.training.state import Arrays, Flat, ModelParts, StateForm, TrainState
from artifex.training.step import Program
from artifex.training.trainer_config import TrainerConfig

__all__ = ["Trainer", "TrainerConfig"]


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
        self._placement = Placement(mesh)
        self.mesh = self._placement.mesh
        check_config(config, model, shards=self._placement.shards)
        self.model, self.config, self.seed, self.modality = model, config, seed, modality
        self.folder = None if folder is None else Path(folder)
        self.callbacks = tuple(callbacks)
        self.objectives = (
            tuple(objectives) if objectives is not None else objectives_of(model, extensions, precision=config.precision)
        )
        check_objectives(config, self.objectives)
        self._all_owned = objectives is None
        self.step = 0
        self.total_steps = 0
        self.metrics: dict[str, float] = {}
        self.stop_reason: str | None = None
        self._leaves: Arrays | None = None
        self.loader: Loader | None = None

    @property
    def state(self) -> TrainState | None:
        """What the steps change, laid out on the mesh; None before :meth:`compile`."""
        return None if self._leaves is None else self._form.unflatten(self._leaves)

    @state.setter
    def state(self, state: TrainState) -> None:
        self._form, self._leaves = StateForm(state), StateForm.flatten(state)

    def fit(self, train: Any, evaluation: Any = None, *, resume: str | Path | None = None) -> dict[str, float]:
        """Train to the configured length, or until a callback stops it. Called again, it starts anew from the trained model.

        Args:
            train: a loader, a dict of arrays, one array (the ``x``), or a random-access sequence of examples.
            evaluation: the same for held-out data; None for no evaluation.
            resume: folder of checkpoints to go on from, as the ``checkpoint`` callback writes it.

        Returns:
            The last metrics: ``loss`` … averaged over the last steps, ``eval/loss`` … of the last evaluation.

        Raises:
            NonFiniteLossError: the loss stopped being a finite number; the message names the step and the last good checkpoint.
            RunInUseError: another process trains in ``folder``.
            RunError: the disk is full, or what ``resume`` names cannot be gone on from.
            KeyboardInterrupt: SIGINT or SIGTERM came; it is raised between two steps and carries the signal.
        """
        self.loader = self._training_loader(train)
        held_out = (
            None if evaluation is None else as_loader(evaluation, batch_size=self._evaluation_batch(evaluation), seed=self.seed)
        )
        checkpoints = self._checkpoint_folder if resume is None else Path(resume)
        callbacks = [c for c in self.callbacks if is_first() or not c.first_process_only]
        with ExitStack() as ending:  # whatever fails, every callback is told of the end and the model gets what was reached
            if self.folder is not None:
                ending.enter_context(_at_work_in(self.folder))
            ending.enter_context(naming_last_good(checkpoints))
            stopper = StopBetweenSteps()  # asked last at each step, and the last to end: nothing else is cut off by a signal
            ending.push(partial(_end, stopper, self))
            stopper.on_start(self)  # before the step is compiled, which may take long
            self.compile(self.loader, from_data=resume is None)
            if resume is not None:
                self._restore(Path(resume), set_aside=Path(resume) == self._checkpoint_folder)  # into what compile laid out
            ending.push(self._hand_back)
            for callback in callbacks:
                ending.push(partial(_end, callback, self))
                callback.on_start(self)
            self._loop(self.loader, held_out, (*callbacks, stopper))
        return dict(self.metrics)

    @property
    def _checkpoint_folder(self) -> Path | None:
        return None if self.folder is None else self.folder / CHECKPOINTS

    def _training_loader(self, train: Any) -> Loader:
        loader = as_loader(train, batch_size=self.config.batch_size, seed=self.seed)
        check_loader(loader, self.config)
        return loader

    def is_sound(self) -> bool:
        """Whether the state can be read (it cannot amid a step) and every loss and parameter in it is a finite number."""
        state = self.state
        if state is None or any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
            return False
        return int(state.bad_step) < 0 and bool(_all_finite(state.params))

    def _hand_back(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Give the model what was reached, unless its numbers have gone bad or this process is the only one to have ended."""
        del kind, trace
        if ended_alike(error) and self.state is not None and self.is_sound():
            reached = self.state.params, self.state.model_state
            self._parts.write_back(self.model, *(_local(reached) if is_multiprocess() else reached))

    def _loop(self, loader: Loader, held_out: Loader | None, callbacks: Sequence[Callback]) -> None:
        evaluate_every = self.config.evaluate_every or loader.steps_per_epoch
        on_step = [c for c in callbacks if type(c).on_step is not Callback.on_step]
        rate = Rate(self.step)
        logged_at = self.step
        while self.step < self.total_steps and self.stop_reason is None:
            self._leaves = self._advance(loader)
            self.step += 1
            if not rate.started:
                jax.block_until_ready(self._leaves)  # the first step is compiled, which is no part of the rate
                rate.start(self.step)
            last = self.step == self.total_steps
            if self.step % self.config.log_every == 0 or last:
                self._log(callbacks, rate)
                logged_at = self.step
            if held_out is not None and (self.step % evaluate_every == 0 or last):
                jax.block_until_ready(self._leaves)  # steps that are still under way are no part of the evaluation
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

    def compile(self, loader: Loader, *, from_data: bool = False) -> None:
        """Lay the state out on the mesh, from the model as it is now, and make the compiled step for the loader's batches.

        ``from_data``: let a model that follows :class:`artifex.core.protocols.DataInitialized`, and has not done so, initialise
        itself from the loader's next batch. The loader's position stays.
        """
        self.step, self.stop_reason, self.metrics = 0, None, {}
        shapes = self._plan(loader)
        with jax.set_mesh(self.mesh):
            # a copy, because the step gives its input's memory away and the model's own arrays must outlive that
            copies = jax.tree.map(jnp.copy, (self._parts.params, self._parts.model_state))
            variables = put_global(copies, (self.layout.params, self.layout.model_state))
            self._arrays = self._placement.stage(loader)
            if from_data and isinstance(self.model, DataInitialized) and not self.model.initialized:
                variables = self._initialized(variables, loader)
            blank = partial(self.program.blank, names=shapes.sums)
            if self.mesh.size > 1:  # compiled, so that each device makes its part of the optimiser's state and never the whole
                self.state = jax.jit(blank, out_shardings=self.layout, donate_argnums=(0, 1))(*variables)
            else:
                self.state = jax.device_put(blank(*variables), self.layout)

    def _initialized(self, variables: tuple[Flat, Flat], loader: Loader) -> tuple[Flat, Flat]:
        """The variables that the model sets from the batch which the first step will be given again."""
        position = loader.state()
        data = self._next_arguments(loader)
        loader.restore(position)

        def initialize(variables: tuple[Flat, Flat], *data: Any) -> tuple[Flat, Flat]:
            batch = data[0] if self._arrays is None else self._placement.gather(*data)
            return self.program.initialized(*variables, batch, key_for(self.seed, "initialise from data"))

        return jax.jit(initialize, out_shardings=(self.layout.params, self.layout.model_state))(variables, *data)

    def _plan(self, loader: Loader) -> TrainState:
        """Everything about the step but its arrays: what it does, and where what lies. Returns the state's shapes."""
        self._parts = ModelParts(self.model)
        self.total_steps = self.config.total_steps(loader.steps_per_epoch)
        self.program = self._make_program()
        check_parameters(self._parts.params, self.model, self.objectives, all_owned=self._all_owned)
        shapes = self.program.shapes(batch_shapes(loader))
        self._form = StateForm(shapes)
        self.layout = self._placement.layout(self.model, shapes)
        step = self._step_from_rows if self._placement.stages(loader) else self.program.step
        # on CPUs XLA would first copy every donated parameter that the backward pass uses again
        given = (0,) if self.mesh.devices.flat[0].platform == "cpu" else (0, 1)
        self._compiled_step = jax.jit(self._leafwise(step), donate_argnums=given, out_shardings=StateForm.flatten(self.layout))
        self._compiled_losses = jax.jit(self.program.losses)
        return shapes

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

    def _step_from_rows(self, state: TrainState, arrays: dict[str, jax.Array], rows: jax.Array) -> TrainState:
        return self.program.step(state, self._placement.gather(arrays, rows))

    def _leafwise(self, step: Callable[..., TrainState]) -> Callable[..., Arrays]:
        """``step`` from the state's arrays to the next state's, in the same order, in which jax reuses donated memory."""
        form = self._form

        def leafwise(others: tuple[jax.Array, ...], params: tuple[jax.Array, ...], *batch: Any) -> Arrays:
            return form.flatten(step(form.unflatten((others, params)), *batch))

        return leafwise

    def _advance(self, loader: Loader) -> Arrays:
        """Start the next step; returns before it is done."""
        assert self._leaves is not None
        return self._compiled_step(*self._leaves, *self._next_arguments(loader))

    def _next_arguments(self, loader: Loader) -> tuple[Any, ...]:
        """What the compiled step takes beside the state."""
        if self._arrays is not None:
            assert isinstance(loader, ArrayLoader)
            return self._arrays, loader.next_rows()
        if is_multiprocess() and isinstance(loader, GrainLoader):
            size = loader.batch_size
            return (self._placement.put_share(loader.next_part(self._placement.share(size)), size),)
        return (self._placement.put(next(loader)),)

    def _read_sums(self) -> dict[str, float]:
        """Averages of the logged scalars since they were last read; starts new sums.

        Raises:
            NonFiniteLossError: a loss or a parameter is no finite number any more.
        """
        state = self.state
        assert state is not None
        finite = _all_finite(state.params)
        sums, summed, bad_step, finite = jax.device_get((state.sums, state.summed, state.bad_step, finite))
        advice = "try a lower learning rate, optimizer.clip_norm, or look for bad values in the data"
        if bad_step >= 0:
            terms = ", ".join(name for name, value in sums.items() if not np.isfinite(value))
            raise NonFiniteLossError(f"the loss is not finite at step {int(bad_step)} (terms: {terms}); {advice}")
        if not finite:
            raise NonFiniteLossError(
                f"the parameters are not finite after step {self.step}, though the loss was: a gradient was not; {advice}"
            )
        zeros = {name: np.zeros([], np.float32) for name in state.sums}
        self.state = state.replace(
            sums=put_global(zeros, self.layout.sums), summed=put_global(np.zeros([], np.int32), self.layout.summed)
        )
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
        if self._leaves is None:
            self.compile(loader)
        state = self.state
        assert state is not None
        params, key = state.ema or state.params, key_for(self.seed, "evaluate")
        results, sizes = [], []
        for i, batch in enumerate(loader.one_pass()):
            placed = self._placement.put(batch)
            results.append(self._compiled_losses(params, state.model_state, placed, jax.random.fold_in(key, i), state.step))
            sizes.append(len(batch["x"]))
        results = jax.device_get(results)
        return {name: float(np.average([r[name] for r in results], weights=sizes)) for name in results[0]}

    def losses(self, batch: HostBatch) -> dict[str, float]:
        """Every scalar of the objective on one batch, with the parameters as they are."""
        state, key = self.state, key_for(self.seed, "evaluate")
        assert state is not None
        found = self._compiled_losses(state.params, state.model_state, self._placement.put(batch), key, state.step)
        return {name: float(value) for name, value in jax.device_get(found).items()}

    def memory(self, loader: Loader) -> MemoryUsage | None:
        """What a step needs on each device, by the compiler's account: it is compiled for these batches, and nothing allocated.

        None where the compiler keeps no account. To be asked before training: it plans the step anew.
        """
        shapes = self._plan(loader)
        state = jax.tree.map(lambda a, place: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), shapes, self.layout)
        arguments = *StateForm.flatten(state), *self._placement.step_shapes(loader)
        return HardwareDetector().compiled_memory(self._compiled_step, *arguments)

    def _evaluation_batch(self, data: Any) -> int:
        """The configured batch size, or all of a smaller data set."""
        examples = data.get("x", ()) if isinstance(data, Mapping) else data
        size = len(examples) if hasattr(examples, "__len__") else self.config.batch_size
        return max(1, min(self.config.batch_size, size))

    def evaluation_model(self) -> Any:
        """A copy of the model with the variables to evaluate: the moving average of the parameters where there is one.

        In several processes all have to ask for it, and each gets a whole copy on one of its devices.
        """
        model = nnx.clone(self.model)
        if self.state is not None:
            reached = self.state.ema or self.state.params, self.state.model_state
            self._parts.write_back(model, *(_local(reached) if is_multiprocess() else jax.tree.map(jnp.copy, reached)))
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
        self._restore(Path(folder), set_aside=False)

    def _restore(self, folder: Path, *, set_aside: bool) -> None:
        assert self.state is not None
        assert self.loader is not None
        checkpoints = Checkpoints(folder)
        self.step, self.state, extra = checkpoints.restore(self.state, self.layout)
        if extra["seed"] != self.seed:
            raise RunError(f"{folder} was written with seed {extra['seed']}, this Trainer has seed {self.seed}; use the same")
        self.loader.restore(extra["loader"])
        for name, callback in self._named_callbacks().items():
            if name in extra["callbacks"]:
                callback.restore(extra["callbacks"][name])
        if set_aside:
            checkpoints.set_damaged_aside()


def _local(tree: Any) -> Any:
    """Whole copies on this process's first device; every process has to ask for them."""
    return jax.device_put(gathered(tree), jax.local_devices()[0])


@jax.jit
def _all_finite(params: Flat) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(p)) for p in params.values()]))


@contextmanager
def _at_work_in(folder: Path) -> Iterator[None]:
    """Hold the folder for this run, and put a full disk into words."""
    folder.mkdir(parents=True, exist_ok=True)
    with explaining_a_full_disk(folder), hold(folder) if jax.process_index() == 0 else nullcontext():
        yield


def _end(callback: Callback, trainer: Trainer, kind: Any, error: BaseException | None, trace: Any) -> None:
    del kind, trace  # ExitStack hands all three on; the error carries the other two
    callback.on_end(trainer, error)
