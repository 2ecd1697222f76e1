"""MLflow."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError
from artifex.training.callbacks.base import Callback, Training


@config
class MLflowConfig(Config):
    """Where the run is logged."""

    experiment: str
    """Experiment in MLflow; made if need be."""
    tracking_uri: str | None = None
    """Address of the server; MLflow's own default when left out (a local data base, which takes all of ``mlflow``)."""


class MLflow(Callback):
    """Logs every figure to MLflow. Needs the extra: ``pip install artifex-training[mlflow]``.

    A resumed run goes on in the run it had there, by the id that its checkpoint holds.

    Raises:
        InvalidInputError: the extra is not installed.
    """

    first_process_only = True

    def __init__(self, config: MLflowConfig):
        if importlib.util.find_spec("mlflow") is None:
            raise InvalidInputError("the mlflow callback needs MLflow: pip install artifex-training[mlflow]")
        self.config = config
        self._mlflow: Any = None
        self._id: str | None = None

    def on_start(self, trainer: Training) -> None:
        mlflow: Any = importlib.import_module("mlflow")  # an extra, unknown to the type checker

        try:
            if self.config.tracking_uri is not None:
                mlflow.set_tracking_uri(self.config.tracking_uri)
            mlflow.set_experiment(self.config.experiment)
            if self._id is None:
                self._id = mlflow.start_run(run_name=self.config.name or None).info.run_id
                mlflow.log_params({"seed": trainer.seed, "steps": trainer.total_steps, "batch_size": trainer.config.batch_size})
            else:
                mlflow.start_run(run_id=self._id)
        except Exception as error:  # no server, no rights, a store that is not installed
            raise InvalidInputError(f"MLflow cannot start a run: {error}") from error
        self._mlflow = mlflow

    def on_log(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(metrics), step=trainer.step)

    def on_evaluate(self, trainer: Training, metrics: Mapping[str, float]) -> None:
        self.on_log(trainer, metrics)

    def on_figures(self, trainer: Training, figures: Mapping[str, float]) -> None:
        self.on_log(trainer, figures)

    def on_end(self, trainer: Training, error: BaseException | None) -> None:
        if self._mlflow is not None:
            self._mlflow.end_run(status="FINISHED" if error is None else "FAILED")
            self._mlflow = None

    def state(self) -> dict[str, Any]:
        return {"id": self._id}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._id = state.get("id")
