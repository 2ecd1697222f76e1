"""The compiled programs of training: one step, and the losses of one batch of held-out data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.protocols import Batch
from artifex.training.objectives import Losses, Objective
from artifex.training.state import Flat, ModelParts, TrainState, Variables

__all__ = ["Prepare", "Program"]

Prepare = Callable[..., dict[str, jax.Array]]
"""``prepare(batch, *, rngs, train)``: stored form to model input; a modality's method."""


class Program:
    """A model, its objectives and its optimisers as pure functions of a :class:`TrainState`.

    Args:
        parts: the model, split.
        objectives: what is descended, in order.
        optimizers: one optax transformation for each objective.
        prepare: from stored batches to the model's input, run inside the step; None when batches are ready.
        key: root of all randomness. Step ``t`` draws from ``fold_in(key, t)`` and nothing else, so a resumed run repeats it.
        ema_decay: decay of the parameters' moving average; None for no average.
        accumulate: number of equal parts that a batch is worked through in, gradients averaged.
        precision: dtype that parameters are cast to for the forward and backward pass; None leaves them. Scalars stay as they
            are. What is cast of a batch is for the objective to say.
        remat: patterns of names of modules that compute their activations again in the backward pass.
        frozen: for each objective, names of its parameters that it does not descend.
    """

    def __init__(
        self,
        parts: ModelParts,
        objectives: Sequence[Objective],
        optimizers: Sequence[Any],
        *,
        prepare: Prepare | None,
        key: jax.Array,
        ema_decay: float | None = None,
        accumulate: int = 1,
        precision: str | None = None,
        remat: Sequence[str] = (),
        frozen: Sequence[Collection[str]] = (),
    ):
        self.parts, self.objectives, self.optimizers = parts, tuple(objectives), tuple(optimizers)
        self._frozen = tuple(frozen) or ((),) * len(self.objectives)
        self._prepare, self._key, self._ema_decay = prepare, key, ema_decay
        self._accumulate, self._precision, self._remat = accumulate, precision, tuple(remat)
        self._loss_names = {f"{o.name}/loss" if o.name else "loss" for o in self.objectives}

    def init(self, model: nnx.Module, batch: Batch) -> TrainState:
        """The state before the first step. ``batch`` (arrays or their shapes) tells which scalars there are to log."""
        variables = self.parts.variables_of(model)
        return self.blank(variables.params, variables.model_state, self.shapes(batch).sums)

    def shapes(self, batch: Batch) -> TrainState:
        """Shapes and dtypes of the state that :meth:`init` gives; nothing is computed."""
        params, frozen, model_state = self.parts.shapes
        state = jax.eval_shape(partial(self.blank, names=()), params, model_state)
        _, scalars = jax.eval_shape(self._advance, state, batch, frozen)
        return state.replace(sums={name: jax.ShapeDtypeStruct((), jnp.float32) for name in scalars})

    def blank(self, params: Flat, model_state: Flat, names: Iterable[str]) -> TrainState:
        """The state before the first step of a model with these variables, whose scalars have these ``names``."""
        return TrainState(
            step=jnp.zeros([], jnp.int32),
            params=params,
            model_state=model_state,
            opt=tuple(o.init(self.owned(i, params)) for i, o in enumerate(self.optimizers)),
            ema=jax.tree.map(jnp.copy, params) if self._ema_decay is not None else {},
            sums={name: jnp.zeros([], jnp.float32) for name in names},
            summed=jnp.zeros([], jnp.int32),
            bad_step=jnp.full([], -1, jnp.int32),
        )

    def owned(self, index: int, flat: Flat) -> Flat:
        """Those entries of ``flat`` that objective ``index`` descends."""
        objective, frozen = self.objectives[index], self._frozen[index]
        owned = {name: leaf for name, leaf in flat.items() if objective.owns(name) and name not in frozen}
        if not owned:
            raise InvalidInputError(
                f"objective {objective.name!r} descends parameters below {objective.parameters!r}, but the model has none there"
            )
        return owned

    def initialized(self, variables: Variables, batch: Batch, key: jax.Array) -> Variables:
        """The variables of a :class:`artifex.core.protocols.DataInitialized` model once it has seen ``batch``."""
        prepare_key, model_key, stream_key = jax.random.split(key, 3)
        if self._prepare is not None:
            batch = self._prepare(batch, rngs=nnx.Rngs(prepare_key), train=True)
        model = self.parts.assemble(variables, stream_key, train=True)
        model.initialize(batch, rngs=nnx.Rngs(model_key))
        return self.parts.variables_of(model)

    def step(self, state: TrainState, batch: Batch, frozen: Flat | None = None) -> TrainState:
        """One training step. ``frozen``: the variables that it reads and does not change, where the model has any."""
        state, scalars = self._advance(state, batch, frozen or {})
        # a sum is finite only if each of its terms is
        finite = jnp.isfinite(sum(value for name, value in scalars.items() if name in self._loss_names))
        bad_step = jnp.where((state.bad_step < 0) & ~finite, state.step, state.bad_step)
        # what comes after the first bad step is bad all over: the terms of that step are what tells
        sums = {name: state.sums[name] + jnp.where(state.bad_step < 0, value, 0) for name, value in scalars.items()}
        return state.replace(sums=sums, summed=state.summed + 1, bad_step=bad_step)

    def losses(self, variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Losses:
        """Every scalar of every objective on one batch of held-out data; nothing changes."""
        prepare_key, model_key, stream_key = jax.random.split(key, 3)
        if self._prepare is not None:
            batch = self._prepare(batch, rngs=nnx.Rngs(prepare_key), train=False)
        scalars: Losses = {}
        for i, objective in enumerate(self.objectives):
            model = self.parts.assemble(self._cast(variables), jax.random.fold_in(stream_key, i), train=False)
            losses = objective.loss(model, batch, nnx.Rngs(jax.random.fold_in(model_key, i)), step)
            scalars |= _named(objective, {name: value.astype(jnp.float32) for name, value in losses.items()})
        return scalars

    def _advance(self, state: TrainState, batch: Batch, frozen: Flat) -> tuple[TrainState, Losses]:
        prepare_key, model_key = jax.random.split(jax.random.fold_in(self._key, state.step))
        if self._prepare is not None:
            batch = self._prepare(batch, rngs=nnx.Rngs(prepare_key), train=True)
        params, model_state, opt, scalars = dict(state.params), state.model_state, list(state.opt), {}
        for i, objective in enumerate(self.objectives):
            update = self._updater(i, jax.random.fold_in(model_key, i), state.step, batch, frozen)
            if objective.every == 1:
                params, model_state, opt[i], losses = update(params, model_state, opt[i])
            else:
                idle = jax.tree.map(
                    lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(update, params, model_state, opt[i])[3]
                )
                params, model_state, opt[i], losses = jax.lax.cond(
                    state.step % objective.every == 0,
                    update,
                    lambda p, r, o, idle=idle: (p, r, o, idle),
                    params,
                    model_state,
                    opt[i],
                )
                losses = {
                    name: value * objective.every for name, value in losses.items()
                }  # so that averages over steps are right
            scalars |= _named(objective, losses)
        ema = state.ema
        if self._ema_decay is not None:
            decay = jnp.minimum(self._ema_decay, (1 + state.step) / (10 + state.step))  # a short memory at the start
            ema = jax.tree.map(lambda average, p: average + ((1 - decay) * (p - average)).astype(p.dtype), ema, params)
        return state.replace(step=state.step + 1, params=params, model_state=model_state, opt=tuple(opt), ema=ema), scalars

    def _updater(
        self, index: int, key: jax.Array, step: jax.Array, batch: Batch, frozen: Flat
    ) -> Callable[[Flat, Flat, Any], tuple[Flat, Flat, Any, Losses]]:
        """One objective's move: gradient, optimiser, new parameters."""

        def update(params: Flat, model_state: Flat, opt: Any) -> tuple[Flat, Flat, Any, Losses]:
            own = self.owned(index, params)
            others = {name: leaf for name, leaf in params.items() if name not in own}
            grads, model_state, losses = self._gradient(index, own, {**others, **frozen}, model_state, batch, key, step)
            updates, opt = self.optimizers[index].update(grads, opt, own)
            moved: Any = optax.apply_updates(own, updates)
            return {**others, **moved}, model_state, opt, losses

        return update

    def _gradient(
        self, index: int, own: Flat, others: Flat, model_state: Flat, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[Flat, Flat, Losses]:
        """Gradient of one objective's loss, over the batch at once or over equal parts of it in turn."""

        def loss(own: Flat, model_state: Flat, part: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Losses, Flat]]:
            stream_key, model_key = jax.random.split(key)
            variables = self._cast(Variables(own, others, model_state))
            model = self.parts.assemble(variables, stream_key, train=True, remat=self._remat)
            losses = self.objectives[index].loss(model, part, nnx.Rngs(model_key), step)
            losses = {name: value.astype(jnp.float32) for name, value in losses.items()}
            return losses["loss"], (losses, self.parts.variables_of(model).model_state)

        gradient = jax.grad(loss, has_aux=True)
        if self._accumulate == 1:
            grads, (losses, model_state) = gradient(own, model_state, batch, key)
            return grads, model_state, losses

        def add(carry: tuple[Flat, Flat], part: tuple[Batch, jax.Array]) -> tuple[tuple[Flat, Flat], Losses]:
            total, model_state = carry
            grads, (losses, model_state) = gradient(own, model_state, *part)
            return (jax.tree.map(jnp.add, total, grads), model_state), losses

        n = self._accumulate
        # every n-th example goes into one part, so that each device of a mesh finds its share of every part at home
        parts = {name: value.reshape(value.shape[0] // n, n, *value.shape[1:]).swapaxes(0, 1) for name, value in batch.items()}
        zeros = jax.tree.map(jnp.zeros_like, own)
        (total, model_state), losses = jax.lax.scan(add, (zeros, model_state), (parts, jax.random.split(key, n)))
        return jax.tree.map(lambda g: g / n, total), model_state, jax.tree.map(jnp.mean, losses)

    def _cast(self, variables: Variables) -> Variables:
        """``variables`` with their parameters in the precision of the forward pass."""
        if self._precision is None:
            return variables

        def cast(flat: Flat) -> Flat:
            return {name: p.astype(self._precision) if p.ndim and _is_floating(p) else p for name, p in flat.items()}

        return variables._replace(params=cast(variables.params), frozen=cast(variables.frozen))


def _is_floating(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating)


def _named(objective: Objective, losses: Losses) -> Losses:
    if "loss" not in losses:
        raise InvalidInputError(
            f"a loss gives scalars by name with 'loss' among them; this one gave {', '.join(losses) or 'nothing'}"
        )
    return {f"{objective.name}/{name}" if objective.name else name: value for name, value in losses.items()}
