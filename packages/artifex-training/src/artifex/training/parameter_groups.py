"""Parameters told apart by name: with a learning rate of their own, or frozen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.core.lora import is_lora_factor
from artifex.core.patterns import Patterns, covered, covers

if TYPE_CHECKING:
    from artifex.core.objectives import Objective
    from artifex.training.optimizers import OptimizerConfig
    from artifex.training.trainer_config import TrainerConfig

__all__ = ["ParameterGroup", "check_groups", "frozen_by_objective", "frozen_names", "group_of"]


@config
class ParameterGroup(Config):
    """Some of a model's parameters, and what sets them apart: a learning rate of their own, or that they are frozen."""

    parameters: Patterns
    """Dotted names of parameters or of modules that they lie below, in which a star stands for one name and two stars for any
    number of names: ``encoder``, ``decoder.layers.*.bias``, ``**.scale``. Where several groups cover a parameter, the first
    has it."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Peak learning rate: what the optimiser would do at its own, weight decay included, is scaled by the ratio of the two."""
    frozen: bool = False
    """Left as they are: no gradient, no optimiser state, no weight decay."""

    def __post_init__(self) -> None:
        if self.frozen == (self.learning_rate is not None):
            raise ValueError(
                f"a group of parameters has a learning_rate or is frozen, one of the two (given: learning_rate="
                f"{self.learning_rate}, frozen={self.frozen})"
            )


def group_of(name: str, groups: Sequence[ParameterGroup]) -> ParameterGroup | None:
    """The first group that covers the parameter of this name; None where none does."""
    return next((group for group in groups if any(covers(pattern, name) for pattern in group.parameters)), None)


def frozen_names(config: TrainerConfig, objectives: Sequence[Objective], names: Collection[str]) -> frozenset[str]:
    """Of a model's parameters those that some objective owns and none moves: steps leave them, checkpoints need not have them.

    Args:
        config: how the model is trained.
        objectives: what is descended.
        names: of all parameters. Where LoRA factors are among them, they alone are trained.
    """
    frozen = frozen_by_objective(config, objectives, names)
    owners = {name: [i for i, objective in enumerate(objectives) if objective.owns(name)] for name in names}
    return frozenset(name for name, own in owners.items() if own and all(name in frozen[i] for i in own))


def frozen_by_objective(
    config: TrainerConfig, objectives: Sequence[Objective], names: Collection[str]
) -> tuple[frozenset[str], ...]:
    """For each objective, those of its parameters that its optimiser must not move; arguments as :func:`frozen_names`."""
    factors_alone = any(map(is_lora_factor, names))

    def is_frozen(name: str, groups: Sequence[ParameterGroup]) -> bool:
        group = group_of(name, groups)
        return (factors_alone and not is_lora_factor(name)) or (group is not None and group.frozen)

    return tuple(
        frozenset(n for n in names if objective.owns(n) and is_frozen(n, _optimizer(config, objective).groups))
        for objective in objectives
    )


def check_groups(config: TrainerConfig, objectives: Sequence[Objective], names: Collection[str]) -> None:
    """Refuse groups that no parameter is in, and an objective that has nothing left to train.

    Raises:
        InvalidInputError: a pattern names nothing, all that it names is in earlier groups, or everything is frozen.
    """
    used = {objective.optimizer_name: _optimizer(config, objective) for objective in objectives}
    for where, optimizer in {id(o): (name, o) for name, o in used.items()}.values():
        owned = [n for n in names if any(used[o.optimizer_name] is optimizer and o.owns(n) for o in objectives)]
        field = f"optimizers.{where}" if where in config.optimizers else "optimizer"
        _check_patterns(optimizer.groups, owned, f"training.{field}.groups")
    for objective, frozen in zip(objectives, frozen_by_objective(config, objectives, names), strict=True):
        owned = {name for name in names if objective.owns(name)}
        if owned and owned == frozen:
            raise InvalidInputError(
                f"every parameter{f' of the objective {objective.name!r}' if objective.name else ''} is frozen, and nothing is "
                "left to train; take a name out of the groups that are frozen"
            )


def _check_patterns(groups: Sequence[ParameterGroup], names: Collection[str], what: str) -> None:
    for i, group in enumerate(groups):
        for pattern in group.parameters:
            found = covered([pattern], names, what=f"{what}.{i}")
            if all(group_of(name, groups) is not group for name in found):
                earlier = next(k for k, other in enumerate(groups) if other is group_of(found[0], groups))
                raise InvalidInputError(
                    f"{what}.{i}: all that {pattern!r} names is in {what}.{earlier} already, and the first group has it; "
                    f"put group {i} before group {earlier}"
                )


def _optimizer(config: TrainerConfig, objective: Objective) -> OptimizerConfig:
    return config.optimizers.get(objective.optimizer_name, config.optimizer)
