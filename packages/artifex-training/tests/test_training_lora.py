"""Low-rank updates in training: they alone move, and what a run saves is the plain model."""

import jax
import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.core.lora import is_lora_factor, merge_lora
from artifex.core.storage import flat_weights, load_model
from artifex.training import Callback, Trainer, TrainerConfig, build_run, load_run
from artifex.training.dry_run import dry_run

LORA = {"rank": 1, "alpha": 2.0}


def weights(model):
    return {name: np.asarray(array) for name, array in flat_weights(model).items()}


def assert_same(left, right, atol=0.0):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_allclose(value, right[name], rtol=0, atol=atol, err_msg=name)


def test_the_factors_alone_are_trained(tiny):
    run = build_run(tiny.config(training__lora=LORA, training__epochs=50, callbacks=[]))
    before = weights(run.trainer.model)
    start = run.trainer.evaluate(run.evaluation)["loss"]
    metrics = run.trainer.fit(run.train, run.evaluation)
    after = weights(run.trainer.model)
    moved = {name for name, value in after.items() if not np.array_equal(value, before[name])}
    assert moved == {f"{layer}.lora_{f}" for layer in ("up", "down") for f in "ab"} | {"seen"}
    assert metrics["eval/loss"] < start / 2
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(run.trainer.state.opt)]
    moments = [name for name in names if ".mu[" in name or ".nu[" in name]
    assert len(moments) == 8
    assert all("lora_" in name for name in moments)


def test_a_run_saves_the_plain_model(tiny, tmp_path):
    run = build_run(tiny.config(training__lora=LORA, training__ema_decay=0.5))
    run.start(tmp_path)
    assert run.trainer.frozen.keys() == {f"{layer}.{name}" for layer in ("up", "down") for name in ("kernel", "bias")}
    expected = run.trainer.evaluation_model()
    merge_lora(expected)
    for saved in (load_model(tmp_path / "model"), load_run(tmp_path)[1]):
        assert not any(map(is_lora_factor, weights(saved)))
        assert_same(weights(saved), weights(expected))


class Cut(Callback):
    def on_step(self, trainer):
        if trainer.step == 7:
            raise KeyboardInterrupt


def test_so_does_a_run_that_was_cut_off_and_it_can_go_on(tiny, tmp_path):
    config = tiny.config(training__lora=LORA)
    run = build_run(config)
    run.trainer.callbacks = (*run.trainer.callbacks, Cut())
    with pytest.raises(KeyboardInterrupt):
        run.start(tmp_path / "run")
    reached = run.trainer.evaluation_model()
    merge_lora(reached)
    assert_same(weights(load_run(tmp_path / "run")[1]), weights(reached))
    build_run(config).start(tmp_path / "run", resume=True)
    build_run(config).start(tmp_path / "through")
    assert_same(*(weights(load_run(tmp_path / name)[1]) for name in ("run", "through")))


def test_a_run_adapts_the_weights_of_another(tiny, tmp_path):
    build_run(tiny.config()).start(tmp_path / "source")
    source = weights(load_run(tmp_path / "source")[1])
    adapted = build_run(tiny.config(training__lora=LORA | {"parameters": "up"}, training__init_from=str(tmp_path / "source")))
    adapted.start(tmp_path / "adapted")
    found = weights(load_run(tmp_path / "adapted")[1])
    assert {n for n, v in found.items() if not np.array_equal(v, source[n])} == {"up.kernel", "seen"}
    again = build_run(tiny.config(training__init_from=str(tmp_path / "adapted")))
    again.trainer.compile(again.train)
    assert_same(weights(again.trainer.evaluation_model()), found)


def test_sharded_is_as_unsharded(tiny):
    runs = [
        build_run(tiny.config(training__lora=LORA, mesh=mesh, callbacks=[]))
        for mesh in (None, {"fsdp_enabled": True, "fsdp_min_weight_size": 1})
    ]
    for run in runs:
        run.trainer.fit(run.train)
    assert runs[1].trainer.mesh.shape["fsdp"] == 8
    assert_same(*(weights(run.trainer.model) for run in runs), atol=1e-5)  # sums of float32 in another order, 15 steps


def test_a_dry_run_of_one(tiny):
    found = dry_run(build_run(tiny.config(training__lora=LORA)))
    assert found.parameters == (3 * 2 + 2) + (2 * 3 + 3) + 2 * (3 + 2)


def test_a_model_is_adapted_once(tiny):
    run = build_run(tiny.config(training__lora=LORA))
    with pytest.raises(InvalidInputError, match=r"Tiny has LoRA factors already; merge_lora\(model\) first"):
        Trainer(run.trainer.model, run.config.training, seed=0)
    merge_lora(run.trainer.model)
    Trainer(run.trainer.model, run.config.training, seed=0)


def test_a_layer_that_is_not_there(tiny):
    with pytest.raises(InvalidInputError, match=r"lora.parameters: 'upp' names nothing; did you mean 'up'"):
        build_run(tiny.config(training__lora={"parameters": "upp"}))
    with pytest.raises(ValueError, match="rank"):
        TrainerConfig(steps=1, lora={"rank": 0})
