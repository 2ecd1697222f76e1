"""What every callback may do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from artifex.core.errors import InvalidInputError

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from artifex.core.protocols import ModalityProtocol
    from artifex.training.checkpoints import Checkpoints
    from artifex.training.figures import Figures
    from artifex.training.loaders import Loader
    from artifex.training.state import Flat, TrainState
    from artifex.training.trainer_config import TrainerConfig

__all__ = ["Callback", "Training", "run_folder"]


class Training(Protocol):
    """What callbacks see of the trainer."""

    step: int
    """Steps done."""
    stop_reason: str | None
    """Why the run ends before its planned length; a callback sets it to end it."""
    metrics: dict[str, float]
    """The last figures of every kind."""
    figures: Figures
    """What callbacks have logged and is still to be handed round."""
    arrays: Any
    """The state as plain tuples (:data:`~artifex.training.state.Arrays`), given away to the next step."""
    frozen: dict[str, Any]
    """The variables of the model that nothing changes, by dotted name."""
    callbacks: tuple[Callback, ...]
    """All that take part."""
    folder: Path | None
    """Where to write; None where the run keeps everything in memory."""
    seed: int
    """Root of every draw."""
    config: TrainerConfig
    """How the model is trained."""
    mesh: Mesh
    """The devices."""
    modality: ModalityProtocol | None
    """Shows samples."""
    loader: Loader | None
    """Training batches."""

    @property
    def total_steps(self) -> int:
        """Planned length."""
        ...

    @property
    def state(self) -> TrainState | None:
        """What the steps change. The next step is given its arrays: copy what is kept."""
        ...

    def log(self, figures: Mapping[str, Any]) -> None:
        """Log figures of this step, numbers by name, from ``on_start``, ``on_step``, ``on_log`` or ``on_evaluate``.

        Once the callbacks are through with the step, each of them is told by :meth:`Callback.on_figures`, whatever their order.
        """
        ...

    def is_sound(self) -> bool:
        """Whether the state can be read, and every loss and parameter in it is a finite number."""
        ...

    def evaluation_model(self) -> Any:
        """A copy of the model with the variables to evaluate. In several processes all have to ask for it."""
        ...

    def choose(self, variables: Mapping[str, Flat]) -> None:
        """Hand these ``params``, ``model_state`` and ``ema`` on at the end, instead of those that were reached."""
        ...

    def save_checkpoint(self, checkpoints: Checkpoints) -> None:
        """Write the whole state and the position in the data."""
        ...


class Callback:
    """Base of callbacks: every moment is optional.

    ``trainer.step`` is the number of steps done. The arrays of ``trainer.state`` are given away to the next step: copy what is
    kept. To end the run, set ``trainer.stop_reason``.
    """

    first_process_only = False
    """Whether only the first of several processes calls it. Set it where a callback writes, and asks the trainer for nothing
    that the devices of all processes have to compute (an evaluation, ``evaluation_model()``)."""

    def on_start(self, trainer: Training) -> None:
        """Before the first step; after the state was restored, when the run is resumed."""

    def on_step(self, trainer: Training) -> None:
        """After each step. The step may still be running on the device: reading an array here waits for it."""

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        """With the averages over the last ``log_every`` steps, the learning rates and the speed.

        A figure that has no weight in these steps is left out: that of an objective which did not descend, say.
        """

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        """With the figures of an evaluation on held-out data, their names under ``eval/``."""

    def on_figures(self, trainer: Training, figures: Mapping[str, float]) -> None:
        """With what callbacks, this one among them, have logged by ``trainer.log``; after all other moments of the step."""

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        """After the last step, or after whatever ended the run early."""

    def state(self) -> dict[str, Any]:
        """What a resumed run has to remember, as plain data; kept in every checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what :meth:`state` gave, before :meth:`on_start`."""


def run_folder(trainer: Training, what: str) -> Path:
    """The trainer's folder, for a callback that writes into it."""
    if trainer.folder is None:
        raise InvalidInputError(f"the {what} callback writes files; give the Trainer a folder")
    return trainer.folder
