"""The compiled programs of training: one step, and the losses of one batch of held-out data."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.objectives import Losses, Objective, WeightedMean, is_below, optimizer_names, value_of, weighed
from artifex.core.protocols import Batch
from artifex.training.rematerialisation import check_recomputed
from artifex.training.state import Flat, ModelParts, TrainState, Variables

__all__ = ["GRAD_NORM", "Prepare", "Program", "Scalars"]

GRAD_NORM = "grad_norm"
"""Global norm of an objective's gradient, before any clipping: logged beside its other scalars."""
Prepare = Callable[..., dict[str, jax.Array]]
"""``prepare(batch, *, rngs, train)``: stored form to model input; a modality's method."""
Scalars: TypeAlias = dict[str, WeightedMean]
"""Scalars by name, each with its weight: parts of a batch, steps and batches are added up."""
LossesOf: TypeAlias = Callable[[Flat, Flat, Batch, jax.Array], tuple[Losses, Flat]]
"""``losses_of(own, model_state, batch, key)``: an objective's scalars and the model's state after its forward pass."""


class Program:
    """A model, its objectives and its optimisers as pure functions of a :class:`TrainState`.

    Args:
        parts: the model, split.
        objectives: what is descended, in order.
        optimizers: one optax transformation for each of the objectives' optimisers, in order of their first mention.
        prepare: from stored batches to the model's input, run inside the step; None when batches are ready.
        key: root of all randomness. Step ``t`` draws from ``fold_in(key, t)`` and nothing else, so a resumed run repeats it.
        ema_decay: decay of the parameters' moving average; None for no average.
        ema_parameters: dotted names of the parts of the model that are averaged; empty for all that move.
        accumulate: number of equal parts that a batch is worked through in, gradients added up.
        precision: dtype that parameters are cast to for the forward and backward pass; None leaves them. Scalars stay as they
            are. What is cast of a batch is for the objective to say.
        remat: patterns of names of modules that compute their activations again in the backward pass.
        norm_every: steps between two looks at the norms of the gradients.
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
        ema_parameters: Sequence[str] = (),
        accumulate: int = 1,
        precision: str | None = None,
        remat: Sequence[str] = (),
        norm_every: int = 1,
        frozen: Sequence[Collection[str]] = (),
    ):
        self.parts, self.objectives, self.optimizers = parts, tuple(objectives), tuple(optimizers)
        self._frozen = tuple(frozen) or ((),) * len(self.objectives)
        names = optimizer_names(self.objectives)
        self._optimizer_of = [names.index(o.optimizer_name) for o in self.objectives]
        self._prepare, self._key, self._ema_decay = prepare, key, ema_decay
        self._everys = {} if ema_decay is None else self._averaged(tuple(ema_parameters))
        self._accumulate, self._precision, self._remat = accumulate, precision, tuple(remat)
        self._norm_every = norm_every
        self._loss_names = {f"{o.name}/loss" if o.name else "loss" for o in self.objectives}

    def _averaged(self, parts: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
        """Of each parameter that is averaged, at which of the steps it moves: at each n-th, for these n."""
        everys = {
            name: tuple(sorted({o.every for o in self.objectives if o.owns(name)}))
            for name in self.parts.shapes.params
            if not parts or is_below(name, parts)
        }
        return {name: ns for name, ns in everys.items() if ns}

    def init(self, model: nnx.Module, batch: Batch) -> TrainState:
        """The state before the first step. ``batch`` (arrays or their shapes) tells which scalars there are to log."""
        variables = self.parts.variables_of(model)
        return self.blank(variables.params, variables.model_state, self.shapes(batch).sums)

    def shapes(self, batch: Batch) -> TrainState:
        """Shapes and dtypes of the state that :meth:`init` gives; nothing is computed."""
        params, frozen, model_state = self.parts.shapes
        state = jax.eval_shape(partial(self.blank, sums={}), params, model_state)
        sums = jax.eval_shape(self._advance, state, batch, frozen)[1]
        if self._remat:
            check_recomputed(self.parts.assemble(self.parts.shapes, self._key, train=True), self._remat)
        return state.replace(sums=sums)

    def blank(self, params: Flat, model_state: Flat, sums: Mapping[str, Any]) -> TrainState:
        """The state before the first step of a model with these variables, whose scalars look like ``sums``."""
        firsts = [self._optimizer_of.index(i) for i in range(len(self.optimizers))]
        return TrainState(
            step=jnp.zeros([], jnp.int32),
            params=params,
            model_state=model_state,
            opt=tuple(o.init(self.owned(i, params)) for i, o in zip(firsts, self.optimizers, strict=True)),
            ema={name: jnp.copy(params[name]) for name in self._everys},
            sums={name: jax.tree.map(lambda a: jnp.zeros(a.shape, jnp.float32), like) for name, like in sums.items()},
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
        finite = jnp.isfinite(sum(scalar.value for name, scalar in scalars.items() if name in self._loss_names))
        bad_step = jnp.where((state.bad_step < 0) & ~finite, state.step, state.bad_step)
        # what comes after the first bad step is bad all over: the terms of that step are what tells
        counts = state.bad_step < 0
        sums = jax.tree.map(lambda total, value: total + jnp.where(counts, value, 0), state.sums, scalars)
        return state.replace(sums=sums, bad_step=bad_step)

    def losses(self, variables: Variables, batch: Batch, key: jax.Array, step: jax.Array) -> Scalars:
        """Every scalar of every objective on one batch of held-out data; nothing changes."""
        prepare_key, model_key, stream_key = jax.random.split(key, 3)
        if self._prepare is not None:
            batch = self._prepare(batch, rngs=nnx.Rngs(prepare_key), train=False)
        scalars: Scalars = {}
        for i, objective in enumerate(self.objectives):
            model = self.parts.assemble(self._cast(variables), jax.random.fold_in(stream_key, i), train=False)
            losses = objective.loss(model, batch, nnx.Rngs(jax.random.fold_in(model_key, i)), step)
            scalars |= _named(objective, _weighed(_checked(losses), batch))
        return scalars

    def _advance(self, state: TrainState, batch: Batch, frozen: Flat) -> tuple[TrainState, Scalars]:
        prepare_key, model_key = jax.random.split(jax.random.fold_in(self._key, state.step))
        if self._prepare is not None:
            batch = self._prepare(batch, rngs=nnx.Rngs(prepare_key), train=True)
        params, model_state, opt, scalars = dict(state.params), state.model_state, list(state.opt), {}
        for i, objective in enumerate(self.objectives):
            update = self._updater(i, jax.random.fold_in(model_key, i), state.step, batch, frozen)
            move, at = _at_every(objective.every, state.step, update), self._optimizer_of[i]
            params, model_state, opt[at], found = move(params, model_state, opt[at])
            scalars |= _named(objective, found)
        ema = self._average(state.ema, params, state.step)
        return state.replace(step=state.step + 1, params=params, model_state=model_state, opt=tuple(opt), ema=ema), scalars

    def _average(self, ema: Flat, params: Flat, step: jax.Array) -> Flat:
        """The moving averages after ``step``, of those parameters that moved at it."""
        if self._ema_decay is None:
            return ema
        rates = {everys: _averaging_rate(self._ema_decay, everys, step) for everys in set(self._everys.values())}

        def averaged(name: str) -> jax.Array:
            change = rates[self._everys[name]] * (params[name] - ema[name])
            return ema[name] + change.astype(params[name].dtype)

        return {name: averaged(name) for name in ema}

    def _updater(
        self, index: int, key: jax.Array, step: jax.Array, batch: Batch, frozen: Flat
    ) -> Callable[[Flat, Flat, Any], tuple[Flat, Flat, Any, Scalars]]:
        """One objective's move: gradient, optimiser, new parameters."""

        def update(params: Flat, model_state: Flat, opt: Any) -> tuple[Flat, Flat, Any, Scalars]:
            own = self.owned(index, params)
            others = {name: leaf for name, leaf in params.items() if name not in own}
            grads, model_state, scalars = self._gradient(index, own, {**others, **frozen}, model_state, batch, key, step)
            scalars = {**scalars, GRAD_NORM: self._norm(index, grads, step)}
            updates, opt = self.optimizers[self._optimizer_of[index]].update(grads, opt, own)
            moved: Any = optax.apply_updates(own, updates)
            return {**others, **moved}, model_state, opt, scalars

        return update

    def _norm(self, index: int, grads: Flat, step: jax.Array) -> WeightedMean:
        """Global norm of an objective's gradient, at some of its moves; it weighs nothing at the others.

        It reads every gradient once more, which at each step would be some per cent of the step.
        """
        every = self.objectives[index].every
        moves = max(1, self._norm_every // every)
        norm = _at_every(moves, step // every, lambda grads: (weighed(optax.tree.norm(grads), 1),))
        return norm(grads)[0]

    def _gradient(
        self, index: int, own: Flat, others: Flat, model_state: Flat, batch: Batch, key: jax.Array, step: jax.Array
    ) -> tuple[Flat, Flat, Scalars]:
        """Gradient of one objective's loss, over the batch at once or over equal parts of it in turn."""

        def losses_of(own: Flat, model_state: Flat, part: Batch, key: jax.Array) -> tuple[Losses, Flat]:
            stream_key, model_key = jax.random.split(key)
            variables = self._cast(Variables(own, others, model_state))
            model = self.parts.assemble(variables, stream_key, train=True, remat=self._remat)
            losses = self.objectives[index].loss(model, part, nnx.Rngs(model_key), step)
            if GRAD_NORM in losses:
                raise InvalidInputError(f"a loss gives a scalar {GRAD_NORM!r}, which is what the trainer logs; rename it")
            return _checked(losses), self.parts.variables_of(model).model_state

        if self._accumulate > 1:
            return _accumulated(losses_of, self._accumulate, own, model_state, batch, key)

        def loss(own: Flat) -> tuple[jax.Array, tuple[Scalars, Flat]]:
            losses, left = losses_of(own, model_state, batch, key)
            return value_of(losses["loss"]).astype(jnp.float32), (_weighed(losses, batch), left)

        grads, (scalars, model_state) = jax.grad(loss, has_aux=True)(own)
        return grads, model_state, scalars

    def _cast(self, variables: Variables) -> Variables:
        """``variables`` with their parameters in the precision of the forward pass."""
        if self._precision is None:
            return variables

        def cast(flat: Flat) -> Flat:
            return {name: p.astype(self._precision) if p.ndim and _is_floating(p) else p for name, p in flat.items()}

        return variables._replace(params=cast(variables.params), frozen=cast(variables.frozen))


def _is_floating(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating)


def _accumulated(
    losses_of: LossesOf, n: int, own: Flat, model_state: Flat, batch: Batch, key: jax.Array
) -> tuple[Flat, Flat, Scalars]:
    """Gradient of a loss over ``n`` equal parts of the batch in turn: each part descends its share of the whole mean."""
    # every n-th example goes into one part, so that each device of a mesh finds its share of every part at home
    parts = {name: value.reshape(value.shape[0] // n, n, *value.shape[1:]).swapaxes(0, 1) for name, value in batch.items()}
    keys = jax.random.split(key, n)
    weight = _whole_weight(losses_of, own, model_state, parts, keys)

    def share(own: Flat, model_state: Flat, part: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Scalars, Flat]]:
        losses, model_state = losses_of(own, model_state, part, key)
        scalars = _weighed(losses, part)
        return scalars["loss"].over(weight), (scalars, model_state)

    def add(carry: tuple[Flat, Flat], part: tuple[Batch, jax.Array]) -> tuple[tuple[Flat, Flat], Scalars]:
        total, model_state = carry
        grads, (scalars, model_state) = jax.grad(share, has_aux=True)(own, model_state, *part)
        return (jax.tree.map(jnp.add, total, grads), model_state), scalars

    (grads, model_state), scalars = jax.lax.scan(add, (jax.tree.map(jnp.zeros_like, own), model_state), (parts, keys))
    return grads, model_state, jax.tree.map(partial(jnp.sum, axis=0), scalars)


def _whole_weight(losses_of: LossesOf, own: Flat, model_state: Flat, parts: dict[str, jax.Array], keys: jax.Array) -> jax.Array:
    """What the loss weighs over all parts.

    A plain loss counts examples. One with weights of its own is gone through once for these alone; they depend on the data and
    the draws, so that the compiler leaves out the rest of that pass.
    """

    def loss_of(part: dict[str, jax.Array], key: jax.Array) -> jax.Array | WeightedMean:
        return losses_of(own, model_state, part, key)[0]["loss"]

    def weight(_: None, part: tuple[dict[str, jax.Array], jax.Array]) -> tuple[None, jax.Array]:
        return None, weighed(loss_of(*part), examples).weight

    examples = next(iter(parts.values())).shape[1]
    first = jax.tree.map(lambda a: a[0], (parts, keys))
    if not isinstance(jax.eval_shape(loss_of, *first), WeightedMean):
        return jnp.asarray(len(keys) * examples, jnp.float32)
    return jnp.sum(jax.lax.scan(weight, None, (parts, keys))[1], axis=0)


def _at_every(n: int, step: jax.Array, update: Callable[..., Any]) -> Callable[..., Any]:
    """``update`` at each ``n``-th step; at the others the state stays, and the scalars, which come last, weigh nothing."""
    if n == 1:
        return update

    def gated(*state: Any) -> Any:
        made = jax.eval_shape(update, *state)
        idle = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), made[-1])
        return jax.lax.cond(step % n == 0, update, lambda *state: (*state[: len(made) - 1], idle), *state)

    return gated


def _averaging_rate(decay: float, everys: tuple[int, ...], step: jax.Array) -> jax.Array:
    """What part of the way a moving average goes at ``step``: none, where what is averaged has not moved.

    It counts moves: after few of them, a short memory.
    """
    if 1 in everys:
        return 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    # steps that are multiples of one of several numbers: those of each, less those of two, plus those of three ...
    several = [(len(some), math.lcm(*some)) for k in range(len(everys)) for some in combinations(everys, k + 1)]
    moves = sum((-1) ** (k + 1) * -(-step // n) for k, n in several)
    moved = jnp.any(jnp.stack([step % n == 0 for n in everys]))
    return jnp.where(moved, 1 - jnp.minimum(decay, (1 + moves) / (10 + moves)), 0)


def _checked(losses: Losses) -> Losses:
    if "loss" not in losses:
        raise InvalidInputError(
            f"a loss gives scalars by name with 'loss' among them; this one gave {', '.join(losses) or 'nothing'}"
        )
    return losses


def _weighed(losses: Losses, batch: Batch) -> Scalars:
    """Scalars with their weights; plain ones are means over the batch's examples."""
    examples = next(iter(batch.values())).shape[0]
    return {name: weighed(scalar, examples) for name, scalar in losses.items()}


def _named(objective: Objective, scalars: Scalars) -> Scalars:
    return {f"{objective.name}/{name}" if objective.name else name: value for name, value in scalars.items()}
