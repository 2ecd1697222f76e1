"""A dry run tells the truth about the run and leaves it as it was."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from artifex.core.hardware import HardwareDetector, in_bytes
from artifex.training import build_run
from artifex.training.dry_run import dry_run


def test_the_figures_are_those_of_the_run(tiny):
    run = build_run(tiny.config(training__precision="bfloat16"))
    found = dry_run(run)
    x = next(build_run(tiny.config()).train)["x"]
    assert found.batch == {"x": f"(8, 3) float32 from {x.min():.4g} to {x.max():.4g}"}
    assert (found.parameters, found.parameter_arrays) == (3 * 2 + 2 + 2 * 3 + 3, 4)
    assert (found.steps, found.steps_per_epoch) == (15, 3)
    assert found.devices == "1 × cpu"
    state_and_data = found.memory.arguments
    # parameters and Adam's two moments; 24 examples of three numbers; beside them a few counters and the padding of buffers
    assert 4 * (3 * 17 + 24 * 3) <= state_and_data <= 4 * (3 * 17 + 24 * 3) + 1024
    assert f"memory, state and data: {state_and_data / 2**20:.2f} MiB a device" in str(found)
    assert f"memory of a device: {in_bytes(HardwareDetector().detect_hardware().memory_per_device)}" in str(found)


LARGE = {  # kernels of 2**18 elements, which FSDP divides
    "model__size": 1024,
    "model__latent_dim": 256,
    "data__dataset__size": 1024,
    "data__dataset__held_out_size": 1024,
    "training__batch_size": 16,
}


@pytest.mark.parametrize("mesh", [{}, {"fsdp_enabled": True}], ids=["data", "fsdp"])
def test_the_estimate_is_what_then_lies_on_a_device(tiny, mesh):
    run = build_run(tiny.config(mesh=mesh, **LARGE))
    found = run.trainer.memory(run.train)
    assert run.trainer.state is None  # nothing was made for it
    run.trainer.compile(run.train)
    state, rows = jax.tree.leaves(run.trainer.state), 16 * 4 // 8  # bytes of row numbers, divided as the batch is
    given = jax.tree.leaves(run.trainer.state.replace(params={}))  # on CPUs, parameters are not donated
    arrays = [*state, *jax.device_put(run.train.arrays, run.trainer.plan.layout.step).values()]
    held = sum(array.addressable_shards[0].data.nbytes for array in arrays) + rows
    assert found.arguments == held
    assert found.aliased == sum(array.addressable_shards[0].data.nbytes for array in given)
    if mesh:
        whole = sum(array.nbytes for array in given)
        assert found.aliased == pytest.approx(whole / 8, rel=0.02)  # the biases, two thousandths, are on every device


def on_devices_of(memory, monkeypatch):
    real = HardwareDetector().detect_hardware()
    specs = replace(real, device_memory=memory, platform="gpu")
    monkeypatch.setattr(HardwareDetector, "detect_hardware", lambda self: specs)


def test_a_step_that_does_not_fit_is_not_made_and_the_advice_fits(tiny, monkeypatch):
    data, fsdp = (build_run(tiny.config(mesh=mesh, **LARGE)) for mesh in ({}, {"fsdp_enabled": True}))
    sizes = [run.trainer.memory(run.train).total for run in (data, fsdp)]
    assert sizes[0] > sizes[1]
    on_devices_of(sum(sizes) // 2, monkeypatch)
    found = dry_run(data)
    assert data.trainer.state is None
    assert found.losses == {}
    advice = "this would: --set mesh.data_parallel_size=8 --set mesh.fsdp_enabled=true --set training.accumulate=1 (FSDP over 8"
    assert found.advice.startswith(advice)
    assert f"does not fit; {advice}" in str(found)
    assert dry_run(fsdp).advice == ""

    on_devices_of(1000, monkeypatch)
    assert "needs" in dry_run(fsdp).advice
    assert "on each of 8 devices at the least, and each has 0.00 MiB" in str(dry_run(fsdp))


def test_the_loss_is_that_of_the_first_batch_untrained(tiny):
    run = build_run(tiny.config())
    found = dry_run(run)
    x = next(build_run(tiny.config()).train)["x"]
    model = run.trainer.model
    expected = np.mean((np.asarray(model.up(model.down(x))) - x) ** 2)
    assert found.losses["loss"] == pytest.approx(expected, rel=1e-5)
    assert f"first batch, loss: {found.losses['loss']:.6g}" in str(found)


def test_a_loss_that_is_not_finite_is_explained(tiny):
    found = dry_run(build_run(tiny.config(data__dataset__bad_value=True, training__batch_size=24)))
    assert "loss: not finite, and so the run would stop at its first step" in str(found)
    assert "not finite, and" not in str(replace(found, losses={"loss": 1.0}))


def test_the_run_trains_as_if_there_had_been_none(tiny):
    dry, plain = build_run(tiny.config(callbacks=[])), build_run(tiny.config(callbacks=[]))
    dry_run(dry)
    assert dry.trainer.fit(dry.train)["loss"] == plain.trainer.fit(plain.train)["loss"]


def test_the_mesh_is_shown(tiny):
    assert dry_run(build_run(tiny.config(mesh={"data_parallel_size": 4}))).devices == "4 × cpu, {'data': 4}"
