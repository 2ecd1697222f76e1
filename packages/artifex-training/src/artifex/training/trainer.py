"""The trainer: a model, data and a config in, a trained model out.

Three rooms, each entered once: :mod:`~artifex.training.plan` works out shapes, layout and programs,
:mod:`~artifex.training.session` holds what surrounds the run, :mod:`~artifex.training.loop` is the loop on the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from artifex.core.errors import RunError
from artifex.core.extensions import ModelExtension
from artifex.core.hardware import MemoryUsage
from artifex.core.lora import add_lora
from artifex.core.mesh import ShardingConfig
from artifex.core.objectives import Objective
from artifex.core.protocols import DataInitialized, ModalityProtocol
from artifex.training.callbacks import Callback
from artifex.training.callbacks.interruption import StopBetweenSteps
from artifex.training.checkpoints import CHECKPOINTS, Checkpoints
from artifex.training.checks import check_config, check_loader, check_objectives
from artifex.training.data_checks import DataCheck
from artifex.training.feed import Feed
from artifex.training.figures import Figures
from artifex.training.loaders import HostBatch, Loader, as_loader
from artifex.training.loop import Loop, all_finite, evaluate, means
from artifex.training.objectives import objectives_of
from artifex.training.placement import Placement
from artifex.training.plan import Plan
from artifex.training.processes import ended_alike, gathered, is_first, is_multiprocess, put_global
from artifex.training.seeds import key_for
from artifex.training.session import Session
from artifex.training.state import Arrays, Flat, StateForm, TrainState, Variables
from artifex.training.trainer_config import TrainerConfig
from artifex.training.weights import load_weights

__all__ = ["Trainer", "TrainerConfig"]


class Trainer:
    """Trains a model on data, on whatever mesh of devices there is.

    Args:
        model: any model with an objective (``loss_fn``, the two of adversarial models, or ``objectives()``). It is trained in
            place: while :meth:`fit` goes on its arrays are the trainer's, so that no device holds a second copy.
        config: how to train.
        seed: root of the data's order and of every draw during training.
        mesh: devices and their roles: a mesh, a :class:`ShardingConfig`, or None for one device.
        modality: prepares stored batches inside the compiled step, and shows samples; None when batches are the model's input.
        extensions: what adds to the model's outputs and loss.
        callbacks: what happens along the way.
        objectives: instead of those the model declares.
        folder: where callbacks write; None keeps everything in memory.

    Example:
        >>> import jax.numpy as jnp
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
        if config.lora is not None:
            add_lora(model, config.lora, rngs=nnx.Rngs(key_for(seed, "lora")))
        self.model, self.config, self.seed, self.modality = model, config, seed, modality
        self.folder = None if folder is None else Path(folder)
        self.callbacks = tuple(callbacks)
        self.objectives = (
            tuple(objectives) if objectives is not None else objectives_of(model, extensions, precision=config.precision)
        )
        check_objectives(config, self.objectives)
        self._all_owned = objectives is None
        self.step = 0
        self.metrics: dict[str, float] = {}
        self.figures = Figures()
        self.stop_reason: str | None = None
        self.plan: Plan | None = None
        self.arrays: Arrays | None = None
        self.frozen: Flat = {}
        self.loader: Loader | None = None
        self._init_from = config.init_from
        self._left: Variables | None = None  # the model's variables as the trainer left them

    @property
    def total_steps(self) -> int:
        """Planned length; 0 before there is a plan."""
        return 0 if self.plan is None else self.plan.total_steps

    @property
    def state(self) -> TrainState | None:
        """What the steps change, laid out on the mesh; None before there is any."""
        return None if self.arrays is None or self.plan is None else self.plan.form.unflatten(self.arrays)

    @state.setter
    def state(self, state: TrainState) -> None:
        self.arrays = StateForm.flatten(state)

    def fit(self, train: Any, evaluation: Any = None, *, resume: str | Path | None = None) -> dict[str, float]:
        """Train to the configured length, or until a callback stops it. Called again, it starts anew from the trained model.

        Meanwhile the model's variables hold shapes instead of arrays. At the end it gets what was reached; should the numbers
        have gone bad, what it had before, which waits in the host's memory.

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
        loader = self.loader = self._training_loader(train)
        held_out = None if evaluation is None else (self._held_out(evaluation), self._placement, key_for(self.seed, "evaluate"))
        callbacks = [c for c in self.callbacks if is_first() or not c.first_process_only]
        if resume is None:
            self._take_weights()
        self._init_from = None  # a second training starts from the trained model
        with Session(self.folder, self._checkpoint_folder if resume is None else Path(resume)) as session:
            stopper = StopBetweenSteps()  # asked last at each step, and the last to end: nothing else is cut off by a signal
            session.start(stopper, self)  # before the step is compiled, which may take long
            plan = self._new_plan(loader)
            feed = Feed(loader, self._placement)
            session.push(self._hand_back)
            from_data = feed if _starts_from_data(self.model) else None
            variables = self._take_arrays(plan)
            if resume is None:
                self.state, self.frozen = self._first_state(plan, variables, from_data)
            else:
                del variables
                self._restore(Path(resume), set_aside=Path(resume) == self._checkpoint_folder)
            self.figures = Figures()
            for callback in callbacks:
                session.start(callback, self)
            session.callback(self.figures.close)
            loop = Loop(self, plan, feed, (*callbacks, stopper), log_every=self.config.log_every)
            loop.run(held_out, self.config.evaluate_every or loader.steps_per_epoch)
        return dict(self.metrics)

    def log(self, figures: Mapping[str, Any]) -> None:
        """Log further figures of this step, as callbacks do: each callback is told of them once, by ``on_figures``."""
        self.figures.add(figures)

    @property
    def _checkpoint_folder(self) -> Path | None:
        return None if self.folder is None else self.folder / CHECKPOINTS

    def _training_loader(self, train: Any) -> Loader:
        loader = as_loader(train, batch_size=self.config.batch_size, seed=self.seed)
        check_loader(loader, self.config)
        self._check_data(loader)
        return loader

    def _check_data(self, loader: Loader, what: str = "") -> None:
        """Refuse values that the modality or the model cannot take. ``what``: what messages call the data."""
        asked = self.model if self._all_owned else None  # objectives of one's own may take other values
        DataCheck(asked, self.modality, key_for(self.seed, "check data"), what)(loader)

    def _held_out(self, data: Any) -> Loader:
        """A loader of the configured batch size, or of all of a smaller data set."""
        examples = data.get("x", ()) if isinstance(data, Mapping) else data
        size = len(examples) if hasattr(examples, "__len__") else self.config.batch_size
        loader = as_loader(data, batch_size=max(1, min(self.config.batch_size, size)), seed=self.seed)
        self._check_data(loader, "held-out data")
        return loader

    def _new_plan(self, loader: Loader) -> Plan:
        """Plan a training, of which nothing is done yet."""
        self.step, self.stop_reason, self.metrics, self.arrays, self.frozen, self._before = 0, None, {}, None, {}, None
        self._chosen: Mapping[str, Flat] = {}
        self.plan = Plan(
            self.model,
            self.config,
            self.objectives,
            self._placement,
            loader,
            modality=self.modality,
            seed=self.seed,
            all_owned=self._all_owned,
        )
        return self.plan

    def compile(self, loader: Loader, *, from_data: bool = False) -> None:
        """Plan the steps for the loader's batches, and lay the state out on the mesh, from copies of the model's arrays.

        ``from_data``: let a model that follows :class:`artifex.core.protocols.DataInitialized`, and has not done so, initialise
        itself from the loader's next batch. The loader's position stays.
        """
        self._check_data(loader)
        self._take_weights()
        plan = self._new_plan(loader)
        feed = Feed(loader, self._placement) if from_data and _starts_from_data(self.model) else None
        self._left = plan.parts.variables_of(self.model)
        self.state, self.frozen = self._first_state(plan, _copies(self._left), feed)

    def _take_weights(self) -> None:
        """Give the model the weights that it is to start from, once."""
        init, self._init_from = self._init_from, None
        if init is not None:
            load_weights(self.model, init)

    def _first_state(self, plan: Plan, variables: Variables, feed: Feed | None = None) -> tuple[TrainState, Flat]:
        """The state before the first step and the frozen arrays, from the model's ``variables``, whose memory they take over.

        ``feed``: where there is one, the model sets what it initialises from data by the next batch.
        """
        laid_out = put_global(variables, plan.variables_layout)
        for flat in variables:
            flat.clear()  # what was laid out elsewhere is freed
        if feed is not None:
            laid_out = plan.initialized(laid_out, feed)
        return plan.start(laid_out.params, laid_out.model_state), laid_out.frozen

    def _take_arrays(self, plan: Plan) -> Variables:
        """The model's variables, of which it keeps the shapes alone; copies of what is trained wait on the host."""
        variables, self._left = plan.parts.variables_of(self.model), None
        if not is_multiprocess():
            self._before = jax.tree.map(_on_host, (variables.params, variables.model_state))
        plan.parts.write_back(self.model, *plan.parts.shapes)
        return variables

    def is_sound(self) -> bool:
        """Whether the state can be read (it cannot amid a step) and every loss and parameter in it is a finite number."""
        state = self.state
        if state is None or any(leaf.is_deleted() for leaf in jax.tree.leaves(state)):
            return False
        return int(state.bad_step) < 0 and bool(all_finite(state.params))

    def _hand_back(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Give the model what was reached or, where that is no good, what it had."""
        del kind, trace
        assert self.plan is not None
        parts, layout = self.plan.parts, self.plan.layout
        if ended_alike(error) and self.state is not None and self.is_sound():
            state = self._with_chosen(self.state)
            self.state, self._chosen = state, {}
            reached = state.params, state.model_state, self.frozen
            parts.write_back(self.model, *(_local(reached) if is_multiprocess() else reached))
            self._left = parts.variables_of(self.model)
        elif self._before is not None:
            parts.write_back(self.model, *put_global(self._before, (layout.params, layout.model_state)), self.frozen)
            self._left = parts.shapes  # no arrays at all: the state is not what the model has
        self._before = None

    def choose(self, variables: Mapping[str, Flat]) -> None:
        """Hand these ``params``, ``model_state`` and ``ema`` on at the end, instead of those that were reached.

        The model, :meth:`evaluation_model` and, once :meth:`fit` is over, the state have them; checkpoints do not.
        """
        self._chosen = variables

    def _with_chosen(self, state: TrainState) -> TrainState:
        assert self.plan is not None
        return state.replace(**{k: put_global(v, getattr(self.plan.layout, k)) for k, v in self._chosen.items()})

    def evaluate(self, data: Any) -> dict[str, float]:
        """Averages of every scalar of the objective over all of ``data``, for the model as it is.

        After :meth:`fit` that is the state which was reached, with the averaged parameters where there are any; but if the
        model's variables were changed since, the model with those. The same noise is drawn at every call, so that two
        evaluations differ by the parameters alone.
        """
        loader = self._held_out(data)
        plan, state, frozen = self.plan, self.state, self.frozen
        if plan is None or state is None:
            plan, state = self._new_plan(loader), None
        if state is None or self._is_changed():
            state, frozen = self._first_state(plan, _copies(plan.parts.variables_of(self.model)))
        return evaluate(plan, state, frozen, loader.one_pass(), self._placement, key_for(self.seed, "evaluate"))

    def _is_changed(self) -> bool:
        """Whether the model has other parameters than those it was left with: somebody put them there."""
        if self._left is None or self.plan is None:
            return False
        now = self.plan.parts.variables_of(self.model)
        pairs = ((now.params, self._left.params), (now.frozen, self._left.frozen))
        return any(here.get(name) is not leaf for here, left in pairs for name, leaf in left.items())

    def losses(self, batch: HostBatch) -> dict[str, float]:
        """Every scalar of the objective on one batch, with the parameters as they are."""
        assert self.plan is not None
        assert self.state is not None
        found = self.plan.losses(self.state, self.frozen, self._placement.put(batch), key_for(self.seed, "evaluate"))
        return means(jax.device_get(found))

    def memory(self, loader: Loader) -> MemoryUsage | None:
        """What a step needs on each device, by the compiler's account: it is compiled for these batches, and nothing allocated.

        None where the compiler keeps no account. To be asked before training: it plans the step anew.
        """
        return self._new_plan(loader).memory()

    def evaluation_model(self) -> Any:
        """A copy of the model with the variables to evaluate: the moving average of the parameters where there is one.

        In several processes all have to ask for it, and each gets a whole copy in its host's memory.
        """
        model = nnx.clone(self.model)
        if self.plan is not None and self.state is not None and not self._is_changed():
            state = self._with_chosen(self.state)
            reached = state.averaged, state.model_state, self.frozen
            self.plan.parts.write_back(model, *(gathered(reached) if is_multiprocess() else _copies(reached)))
        return nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)

    def save_checkpoint(self, checkpoints: Checkpoints) -> None:
        """Write the whole state and the loader's position; returns when the device's arrays may change again."""
        assert self.state is not None
        assert self.loader is not None
        callbacks = {name: callback.state() for name, callback in self._named_callbacks().items()}
        extra = {"loader": self.loader.state(), "seed": self.seed, "callbacks": callbacks}
        checkpoints.save_frozen(self.frozen)
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
        self._new_plan(self.loader)
        self._restore(Path(folder), set_aside=False)

    def _restore(self, folder: Path, *, set_aside: bool) -> None:
        assert self.plan is not None
        assert self.loader is not None
        checkpoints = Checkpoints(folder)
        self.step, self.state, extra = checkpoints.restore(self.plan.shapes, self.plan.layout)
        if self.plan.parts.shapes.frozen:
            self.frozen = checkpoints.restore_frozen(self.plan.parts.shapes.frozen, self.plan.frozen_layout)
        if extra["seed"] != self.seed:
            raise RunError(f"{folder} was written with seed {extra['seed']}, this Trainer has seed {self.seed}; use the same")
        self.loader.restore(extra["loader"])
        for name, callback in self._named_callbacks().items():
            if name in extra["callbacks"]:
                callback.restore(extra["callbacks"][name])
        if set_aside:
            checkpoints.set_damaged_aside()


def _starts_from_data(model: Any) -> bool:
    """Whether some of the model's variables have yet to be set from a batch."""
    return isinstance(model, DataInitialized) and not model.initialized


def _copies(tree: Any) -> Any:
    """Copies that lie where the arrays lie."""
    return jax.tree.map(lambda a: jax.device_put(a, a.sharding, may_alias=False), tree)


def _on_host(array: jax.Array) -> Any:
    """A copy in the host's memory, whatever becomes of the array."""
    is_key = jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)
    return _copies(array) if is_key else np.array(array)


def _local(tree: Any) -> Any:
    """Whole copies on this process's first device; every process has to ask for them."""
    return jax.device_put(gathered(tree), jax.local_devices()[0])
