"""A dry run tells the truth about the run and leaves it as it was."""

import numpy as np
import pytest

from artifex.training import build_run
from artifex.training.dry_run import dry_run


def test_the_figures_are_those_of_the_run(tiny):
    run = build_run(tiny.config(training__precision="bfloat16"))
    found = dry_run(run)
    assert found.batch == {"x": "(8, 3) float32"}
    assert (found.parameters, found.parameter_arrays) == (3 * 2 + 2 + 2 * 3 + 3, 4)
    assert (found.steps, found.steps_per_epoch) == (15, 3)
    assert found.devices == "1 × cpu"
    state_and_data = found.memory["state and data"]
    # parameters and Adam's two moments; 24 examples of three numbers; beside them a few counters and the padding of buffers
    assert 4 * (3 * 17 + 24 * 3) <= state_and_data <= 4 * (3 * 17 + 24 * 3) + 1024
    assert "memory, state and data: 0.0 MiB a device" in str(found)


def test_the_loss_is_that_of_the_first_batch_untrained(tiny):
    run = build_run(tiny.config())
    found = dry_run(run)
    x = next(build_run(tiny.config()).train)["x"]
    model = run.trainer.model
    expected = np.mean((np.asarray(model.up(model.down(x))) - x) ** 2)
    assert found.losses["loss"] == pytest.approx(expected, rel=1e-5)
    assert f"first batch, loss: {found.losses['loss']:.6g}" in str(found)


def test_the_run_trains_as_if_there_had_been_none(tiny):
    dry, plain = build_run(tiny.config(callbacks=[])), build_run(tiny.config(callbacks=[]))
    dry_run(dry)
    assert dry.trainer.fit(dry.train)["loss"] == plain.trainer.fit(plain.train)["loss"]


def test_the_mesh_is_shown(tiny):
    assert dry_run(build_run(tiny.config(mesh={"data_parallel_size": 4}))).devices == "4 × cpu, {'data': 4}"
