"""The learning rates of a run, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from artifex.core.objectives import Objective, optimizer_names
from artifex.training.optimizers import OptimizerConfig, learning_rate
from artifex.training.trainer_config import TrainerConfig

__all__ = ["LearningRates", "jump"]

NOTEWORTHY = 2.0
"""By which factor a learning rate has to rise to be spoken of."""


class LearningRates:
    """The learning rate of each optimiser, whose schedule counts its moves.

    Args:
        config: the optimisers and their schedules.
        objectives: what is descended, how often and by which optimiser.
        total_steps: length of the run.
    """

    def __init__(self, config: TrainerConfig, objectives: Sequence[Objective], total_steps: int):
        self._objectives = tuple(objectives)
        self.configs: dict[str, OptimizerConfig] = {
            name: config.optimizers.get(name, config.optimizer) for name in optimizer_names(objectives)
        }
        self.lengths = {name: self._moves(name, total_steps) for name in self.configs}
        """Of each optimiser's schedule, in moves."""
        self._rates = {name: learning_rate(c, self.lengths[name]) for name, c in self.configs.items()}

    def at(self, step: int) -> dict[str, float]:
        """The learning rate of each optimiser's last move up to ``step``, under the name that it is logged by."""
        return {
            f"{name}/learning_rate" if name else "learning_rate": float(rate(self._moves(name, step) - 1))
            for name, rate in self._rates.items()
        }

    def _moves(self, optimizer: str, steps: int) -> int:
        """How often an optimiser moves in so many steps: an objective that descends at every n-th step sees that many fewer."""
        return sum(-(-steps // o.every) for o in self._objectives if o.optimizer_name == optimizer)


def jump(
    before: TrainerConfig, after: TrainerConfig, objectives: Sequence[Objective], *, step: int, steps_per_epoch: int
) -> str:
    """What to say where learning rates rise at once, as a run of another length goes on from ``step``; empty where none does.

    A schedule is laid over the whole run: of one that has come to its end, and is made longer, it is not at its end any more.
    """
    old, new = before.total_steps(steps_per_epoch), after.total_steps(steps_per_epoch)
    if old == new:
        return ""
    then, now = LearningRates(before, objectives, old).at(step), LearningRates(after, objectives, new).at(step + 1)
    rises = [
        f"{name.replace('/', ' ').replace('_', ' ')} goes up from {then[name]:.2g} to {now[name]:.2g}"
        for name in now
        if now[name] > NOTEWORTHY * then.get(name, now[name])
    ]
    if not rises:
        return ""
    return (
        f"the {' and the '.join(rises)}: its schedule now ends at step {new} instead of {old}; "
        "for a gentler start set a lower learning_rate"
    )
