"""What a run computes, and where it lies: worked out once, from shapes alone, before anything is on the devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx

from artifex.core.compilation import convolution_options
from artifex.core.hardware import HardwareDetector, MemoryUsage
from artifex.core.objectives import Objective, WeightedMean
from artifex.core.protocols import ModalityProtocol
from artifex.training.checks import check_average, check_parameters
from artifex.training.feed import Feed
from artifex.training.learning_rates import LearningRates
from artifex.training.loaders import Loader, batch_shapes
from artifex.training.optimizers import make_optimizer
from artifex.training.parameter_groups import check_groups, frozen_by_objective, frozen_names
from artifex.training.placement import Placement
from artifex.training.seeds import key_for
from artifex.training.state import Arrays, Flat, ModelParts, StateForm, TrainState, Variables, dotted
from artifex.training.step import Program
from artifex.training.trainer_config import TrainerConfig

__all__ = ["Plan"]

NORMS = 5
"""How often, between two lines of the log, the norms of the gradients are looked at."""


class Plan:
    """The shapes of a run's state, their layout on the mesh, and the compiled programs.

    Args:
        model: what is trained, as it is or abstract (``nnx.eval_shape``); only its structure and shapes are looked at.
        config: how it is trained.
        objectives: what is descended.
        placement: the mesh.
        loader: whose batches a step takes.
        modality: prepares them inside the step.
        seed: root of every draw.
        all_owned: refuse a parameter that no objective descends; otherwise such parameters are frozen.
    """

    def __init__(
        self,
        model: Any,
        config: TrainerConfig,
        objectives: Sequence[Objective],
        placement: Placement,
        loader: Loader,
        *,
        modality: ModalityProtocol | None,
        seed: int,
        all_owned: bool = True,
    ):
        names = dotted(nnx.state(model, nnx.Param))
        check_groups(config, objectives, names)
        kept = frozen_names(config, objectives, names)
        unowned = set() if all_owned else {name for name in names if not any(o.owns(name) for o in objectives)}
        self.parts = ModelParts(model, (kept | unowned).__contains__)
        check_parameters(self.parts.shapes.params, model, objectives)
        self.total_steps = config.total_steps(loader.steps_per_epoch)
        check_average(config.ema_parameters, self.parts.shapes.params)
        self._placement, self._loader, self._seed = placement, loader, seed
        rates = LearningRates(config, objectives, self.total_steps)
        self.rates = rates.at
        self.program = Program(
            self.parts,
            objectives,
            [make_optimizer(c, rates.lengths[name]) for name, c in rates.configs.items()],
            prepare=None if modality is None else modality.prepare,
            key=key_for(seed, "train"),
            ema_decay=config.ema_decay,
            ema_parameters=config.ema_parameters,
            accumulate=config.accumulate,
            precision=config.precision,
            remat=config.remat,
            norm_every=max(1, config.log_every // NORMS),
            frozen=frozen_by_objective(config, objectives, names),
        )
        self.shapes = self.program.shapes(batch_shapes(loader))
        self.form = StateForm(self.shapes)
        self.layout, self.frozen_layout = placement.layout(model, self.shapes, self.parts.shapes.frozen)
        self._compile()

    def _compile(self) -> None:
        step: Any = self._step_from_rows if self._placement.stages(self._loader) else self.program.step
        platform = self._placement.mesh.devices.flat[0].platform
        # on CPUs XLA would first copy every donated parameter that the backward pass uses again
        given = (0,) if platform == "cpu" else (0, 1)
        places, options = StateForm.flatten(self.layout), convolution_options(platform)
        self._compiled_step = jax.jit(
            self._leafwise(step), donate_argnums=given, out_shardings=places, compiler_options=options
        )
        self._compiled_losses = jax.jit(self.program.losses, compiler_options=options)

    @property
    def variables_layout(self) -> Variables:
        """Where the model's variables lie."""
        return Variables(self.layout.params, self.frozen_layout, self.layout.model_state)

    def _step_from_rows(self, state: TrainState, arrays: dict[str, jax.Array], rows: jax.Array, *, frozen: Flat) -> TrainState:
        return self.program.step(state, self._placement.gather(arrays, rows), frozen)

    def _leafwise(self, step: Callable[..., TrainState]) -> Callable[..., Arrays]:
        """``step`` from the state's arrays to the next state's, in the same order, in which jax reuses donated memory."""
        form = self.form

        def leafwise(others: Any, params: Any, frozen: Flat, *batch: Any) -> Arrays:
            return form.flatten(step(form.unflatten((others, params)), *batch, frozen=frozen))

        return leafwise

    def start(self, params: Flat, model_state: Flat) -> TrainState:
        """The state before the first step, from a model's variables, whose memory it takes over."""
        blank = partial(self.program.blank, sums=self.shapes.sums)
        if self._placement.mesh.size > 1:  # compiled, so that a device makes its part of the optimiser's state, never the whole
            return jax.jit(blank, out_shardings=self.layout, donate_argnums=(0, 1))(params, model_state)
        return jax.device_put(blank(params, model_state), self.layout)

    def initialized(self, variables: Variables, feed: Feed) -> Variables:
        """The variables that a model sets from the batch which the first step will be given again."""

        def initialize(variables: Variables, *data: Any) -> Variables:
            batch = self._placement.gather(*data) if feed.staged else data[0]
            return self.program.initialized(variables, batch, key_for(self._seed, "initialise from data"))

        return jax.jit(initialize, out_shardings=self.variables_layout)(variables, *feed.peek())

    def step(self, arrays: Arrays, frozen: Flat, batch: tuple[Any, ...]) -> Arrays:
        """Start the next step; returns before it is done."""
        return self._compiled_step(*arrays, frozen, *batch)

    def losses(self, state: TrainState, frozen: Flat, batch: dict[str, jax.Array], key: jax.Array) -> dict[str, WeightedMean]:
        """Every scalar of the objectives on a batch, with the averaged parameters where there are any."""
        variables = Variables(state.averaged, frozen, state.model_state)
        return self._compiled_losses(variables, batch, key, state.step)

    def memory(self) -> MemoryUsage | None:
        """What a step needs on each device, by the compiler's account; None where it keeps none. Nothing is allocated."""
        state = jax.tree.map(_placed, self.shapes, self.layout)
        frozen = jax.tree.map(_placed, self.parts.shapes.frozen, self.frozen_layout)
        arguments = *StateForm.flatten(state), frozen, *self._placement.step_shapes(self._loader)
        return HardwareDetector().compiled_memory(self._compiled_step, *arguments)


def _placed(shape: Any, place: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=place)
