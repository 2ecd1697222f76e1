"""Optimisers: any of optax's by name, with a learning-rate schedule, clipping, masked weight decay and groups of parameters.

Their state has one structure whatever is set beside the optimiser's type and options: a run that is resumed may clip, decay or
follow another schedule than it did before.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import jax
from pydantic import Field

from artifex.core.config import Config, config
from artifex.training.parameter_groups import ParameterGroup, group_of

__all__ = ["OptimizerConfig", "SchedulerConfig", "learning_rate", "make_optimizer"]

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@config
class SchedulerConfig(Config):
    r"""How the learning rate moves, as a factor of ``OptimizerConfig.learning_rate``.

    After a linear warm-up of ``warmup_steps`` the factor at :math:`u = \min(t / T, 1)`, with :math:`t` steps since the warm-up,
    :math:`T` = ``decay_steps`` and :math:`e` = ``end_fraction``, is

    - ``constant``: 1
    - ``linear``: :math:`1 - u(1 - e)`
    - ``cosine``: :math:`e + (1 - e)(1 + \cos \pi u) / 2` (Loshchilov & Hutter 2017, arXiv:1608.03983)
    - ``exponential``: :math:`e^u`
    - ``inverse_sqrt``: :math:`\sqrt{w / (w + t)}`, :math:`w` the warm-up's steps (Vaswani et al. 2017, arXiv:1706.03762)
    """

    scheduler_type: Literal["constant", "linear", "cosine", "exponential", "inverse_sqrt"] = "constant"
    """Shape of the decay after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps of linear rise from zero."""
    decay_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps after the warm-up until ``end_fraction`` is reached; by default all that the run has left."""
    end_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    """What is left of the learning rate at the end; 0 by default (0.01 for ``exponential``)."""

    def __post_init__(self) -> None:
        if self.scheduler_type in ("constant", "inverse_sqrt"):
            for field in ("decay_steps", "end_fraction"):
                if getattr(self, field) is not None:
                    raise ValueError(
                        f"{field} is {getattr(self, field)}, but a {self.scheduler_type} schedule does not use it; leave it out"
                    )
        if self.scheduler_type == "inverse_sqrt" and self.warmup_steps == 0:
            raise ValueError("an inverse_sqrt schedule takes its time scale from warmup_steps; give at least 1")
        if self.scheduler_type == "exponential" and self.end_fraction == 0:
            raise ValueError("an exponential schedule never reaches 0; give an end_fraction above 0")


@config
class OptimizerConfig(Config):
    """An optimiser of optax and what is done to the gradients before it."""

    optimizer_type: str = "adam"
    """Name of the optimiser in optax: ``adam``, ``adamw``, ``sgd``, ``lion``, ``rmsprop``, ``lamb`` …"""
    learning_rate: Positive = 1e-3
    """Peak learning rate."""
    scheduler: SchedulerConfig = Field(default_factory=SchedulerConfig)
    """How the learning rate moves."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """Further arguments of the optimiser, by optax's names (``b1``, ``eps``, ``momentum`` …)."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay: each step also subtracts the learning rate times this times the parameter. An optimiser that has
    a weight decay of its own (``adamw``, ``lion``) applies it itself."""
    decay_mask: Literal["matrices", "all"] = "matrices"
    """What decays: arrays of two or more dimensions only, which leaves out biases and norms' scales (where those are stacked
    over layers they have two dimensions and decay too), or everything."""
    clip_norm: Positive | None = None
    """Gradients of a greater global norm are scaled down to this one."""
    clip_value: Positive | None = None
    """Every entry of the gradient is clipped to plus or minus this."""
    groups: tuple[ParameterGroup, ...] = ()
    """Parameters with learning rates of their own, and frozen ones."""

    def __post_init__(self) -> None:
        factory = _factory(self.optimizer_type)
        allowed = [
            name for name in inspect.signature(factory).parameters if name not in ("learning_rate", "weight_decay", "mask")
        ]
        for option in self.options:
            if option not in allowed:
                raise ValueError(f"optax.{self.optimizer_type} has no option {option!r}; it has {', '.join(allowed)}")
        _try_out(self)


def _try_out(config: OptimizerConfig) -> None:
    """Make the optimiser and trace one update of a small matrix: what it cannot take is found out here."""
    params = {"w": jax.ShapeDtypeStruct((2, 2), "float32")}

    def update(params: Any) -> Any:
        optimizer = make_optimizer(config, 10)
        return optimizer.update(params, optimizer.init(params), params)

    try:
        jax.eval_shape(update, params)
    except Exception as error:  # optax raises whatever its arithmetic meets
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"optax.{config.optimizer_type} cannot be used with these settings ({reason}); some optimisers take no schedule, "
            "some need the loss itself at every update"
        ) from error


def _is_optimizer(name: str, value: Any) -> bool:
    """Whether ``optax.name`` makes a whole optimiser from a learning rate, and not a part of one."""
    return (
        inspect.isfunction(value)
        and not name.startswith(("_", "scale_by_"))
        and "learning_rate" in inspect.signature(value).parameters
    )


def _factory(name: str) -> Callable[..., Any]:
    """The optimiser of that name in optax: what takes a learning rate and makes a gradient transformation."""
    import optax

    found = getattr(optax, name, None)
    if _is_optimizer(name, found):
        return found  # pyright: ignore[reportReturnType]
    known = [n for n in dir(optax) if _is_optimizer(n, getattr(optax, n))]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    raise ValueError(
        f"optax has no optimiser {name!r}; "
        + (f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(known)}")
    )


def learning_rate(config: OptimizerConfig, total_steps: int) -> Callable[[Any], Any]:
    """The learning rate as a function of the step, for a run of ``total_steps``."""
    import optax

    s, peak = config.scheduler, config.learning_rate
    decay_steps = s.decay_steps or max(total_steps - s.warmup_steps, 1)
    end = s.end_fraction if s.end_fraction is not None else (0.01 if s.scheduler_type == "exponential" else 0.0)
    after: Callable[[Any], Any] = {
        "constant": lambda: optax.constant_schedule(peak),
        "linear": lambda: optax.linear_schedule(peak, peak * end, decay_steps),
        "cosine": lambda: optax.cosine_decay_schedule(peak, decay_steps, alpha=end),
        "exponential": lambda: optax.exponential_decay(peak, decay_steps, end, end_value=peak * end),
        "inverse_sqrt": lambda: lambda t: peak * (s.warmup_steps / (s.warmup_steps + t)) ** 0.5,
    }[s.scheduler_type]()
    if s.warmup_steps == 0:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, peak, s.warmup_steps), after], [s.warmup_steps])


def make_optimizer(config: OptimizerConfig, total_steps: int) -> Any:
    """The optax transformation that ``config`` describes, for a run of ``total_steps``: clip, then step and decay.

    Every part always has its place, so that the state's structure does not depend on what is set.
    """
    import optax

    factory = _factory(config.optimizer_type)
    arguments: dict[str, Any] = dict(config.options)
    mask = partial(jax.tree.map, lambda p: p.ndim >= 2) if config.decay_mask == "matrices" else _everything
    own_decay = {"weight_decay", "mask"} <= inspect.signature(factory).parameters.keys()
    if own_decay:
        arguments |= {"weight_decay": config.weight_decay, "mask": mask}
    rate = learning_rate(config, total_steps)
    return optax.chain(
        optax.identity() if config.clip_value is None else optax.clip(config.clip_value),
        optax.identity() if config.clip_norm is None else optax.clip_by_global_norm(config.clip_norm),
        factory(rate if _takes_schedule(factory) or not _is_constant(config) else config.learning_rate, **arguments),
        _decoupled_decay(0.0 if own_decay else config.weight_decay, rate, mask),
        _in_groups(config),
    )


def _everything(params: Any) -> Any:
    return jax.tree.map(lambda _: True, params)


def _is_constant(config: OptimizerConfig) -> bool:
    return config.scheduler.scheduler_type == "constant" and config.scheduler.warmup_steps == 0


def _takes_schedule(factory: Callable[..., Any]) -> bool:
    """Whether the learning rate may be a function of the step, as optax declares it."""
    import optax

    declared = inspect.signature(factory, eval_str=True).parameters["learning_rate"].annotation
    return declared in (optax.ScalarOrSchedule, optax.ScalarOrSchedule | None)


def _in_groups(config: OptimizerConfig) -> Any:
    """Scale each update by its group's learning rate over the optimiser's; those of frozen parameters vanish."""
    import optax

    def scaled(path: Any, update: Any) -> Any:
        group = group_of(jax.tree_util.keystr(path, simple=True, separator="."), config.groups)
        if group is None:
            return update
        if group.learning_rate is None:
            return jax.numpy.zeros_like(update)
        return (group.learning_rate / config.learning_rate * update).astype(update.dtype)

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates))


def _decoupled_decay(weight_decay: float, rate: Callable[[Any], Any], mask: Callable[[Any], Any]) -> Any:
    r"""Add :math:`-\eta_t \lambda \theta` to any optimiser's update (Loshchilov & Hutter 2019, arXiv:1711.05101)."""
    import optax

    def init(params: Any) -> Any:
        del params
        return optax.ScaleByScheduleState(count=jax.numpy.zeros([], jax.numpy.int32))

    def update(updates: Any, state: Any, params: Any) -> Any:
        if weight_decay:
            factor = rate(state.count) * weight_decay
            updates = jax.tree.map(lambda u, p, m: u - (factor * p).astype(u.dtype) if m else u, updates, params, mask(params))
        return updates, optax.ScaleByScheduleState(count=state.count + 1)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]
