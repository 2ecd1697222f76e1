"""A warning when an adversarial run collapses, with what was seen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, RunWarning
from artifex.training.callbacks.base import Callback, Training
from artifex.training.step import GRAD_NORM

DIVERSITY, REAL, FAKE = LOOKED_AT = ("diversity", "real_accuracy", "fake_accuracy")
"""Last parts of the figures' names, as adversarial models log them; no diversity where a batch is one example."""


@config
class CollapseConfig(Config):
    """From where on a run counts as collapsed."""

    diversity: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Samples lie less than this far apart, beside the data: the generator makes nearly the same whatever it is given."""
    accuracy: Annotated[float, Field(gt=0.5, le=1)] = 0.99
    """The discriminator takes at least these shares of real and of generated data for what they are: it has won."""
    patience: Annotated[int, Field(ge=1)] = 10
    """Lines of the log in a row that show it. The first ones of a run often do."""
    stop: bool = False
    """End the run then."""


class Collapse(Callback):
    """Warns, once each time it begins, that samples are all alike or that the discriminator has won."""

    first_process_only = True

    def __init__(self, config: CollapseConfig):
        self.config = config
        self._lines = {"alike": 0, "won": 0}

    def state(self) -> dict[str, Any]:
        return dict(self._lines)

    def restore(self, state: Mapping[str, Any]) -> None:
        self._lines.update(state)

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        found = {name.rsplit("/", 1)[-1]: value for name, value in metrics.items() if name.rsplit("/", 1)[-1] in LOOKED_AT}
        if REAL not in found or FAKE not in found:
            raise InvalidInputError(
                f"the collapse callback looks at {', '.join(LOOKED_AT)} of an adversarial model; this one logs "
                f"{', '.join(sorted(metrics)) or 'nothing'}: leave the callback out"
            )
        diversity, real, fake = found.get(DIVERSITY, 1.0), found[REAL], found[FAKE]
        if self._goes_on("alike", diversity < self.config.diversity):
            self._warn(
                trainer,
                f"samples are nearly all alike: they lie {diversity:.3g} times as far apart as the data (diversity)",
                "the generator's steps may be too large, or the discriminator's loss too steep: try a lower learning rate for "
                "the generator, a penalty (r1, gradient_penalty) or another loss",
            )
        if self._goes_on("won", min(real, fake) >= self.config.accuracy):
            norms = [f"{name} {v:.3g}" for name, v in metrics.items() if name.endswith(f"generator/{GRAD_NORM}")]
            also = f", and {norms[0]}" if norms else ""
            self._warn(
                trainer,
                f"the discriminator has won: it knows {real:.1%} of real, {fake:.1%} of generated data for what they are{also}",
                "it leaves the generator little to learn from: try a penalty (r1, gradient_penalty), augmentation where data "
                "are few, a smaller discriminator or a lower learning rate for it",
            )

    def _goes_on(self, what: str, shows: bool) -> bool:
        """Whether it has just been seen for long enough."""
        self._lines[what] = self._lines[what] + 1 if shows else 0
        return self._lines[what] == self.config.patience

    def _warn(self, trainer: Training, saw: str, advice: str) -> None:
        lines = "line" if self.config.patience == 1 else f"{self.config.patience} lines"
        warnings.warn(f"step {trainer.step}, the last {lines} of the log: {saw}; {advice}", RunWarning, stacklevel=2)
        if self.config.stop:
            trainer.stop_reason = saw
