"""Advice that works: each test meets a message of the engine and does what it says, as far as that needs no second machine."""

import re
import shlex
import shutil
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from flax import nnx
from jax.sharding import AxisType

from artifex.core import freeze
from artifex.core.errors import ArtifexError, NonFiniteLossError
from artifex.core.mesh import ShardingConfig
from artifex.training import Objective, OptimizerConfig, Trainer, TrainerConfig, build_run, read_run_config
from artifex.training.callbacks import Checkpoint, CheckpointConfig, EarlyStop, EarlyStopConfig, MetricsFile, MetricsFileConfig
from artifex.training.loaders import as_loader
from artifex.training.placement import Placement
from artifex.training.plan import Plan
from artifex.training.run_lock import hold
from artifex.training.runs import _check_dataset_size
from artifex.training.samples import condition_for

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)


class Line(nnx.Module):
    """One linear layer, that is to give back what it is given."""

    def __init__(self, kernel=None):
        self.line = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
        if kernel is not None:
            self.line.kernel = nnx.Param(kernel)

    def __call__(self, x, *, rngs=None):
        return {"x": self.line(x)}

    def generate(self, n_samples=1, *, rngs=None):
        return self.line(jnp.zeros((n_samples, 4)))

    def loss_fn(self, batch, outputs):
        return {"loss": jnp.mean((outputs["x"] - batch["x"]) ** 2)}


def fit(model=None, *, data=X, evaluation=None, resume=None, folder=None, callbacks=(), mesh=None, objectives=None, **config):
    settings = {"steps": 2, "batch_size": 16} | config
    more = {"folder": folder, "callbacks": callbacks, "mesh": mesh, "objectives": objectives}
    trainer = Trainer(model or Line(), TrainerConfig(**settings), seed=0, **more)
    return trainer.fit(data, evaluation, resume=resume)


def refused(call, *arguments, error=(ArtifexError, ValueError), **more):
    """The message with which ``call`` ends."""
    with pytest.raises(error) as raised:
        call(*arguments, **more)
    return str(raised.value)


# numbers gone bad


SGD = ("--set", "training.optimizer.optimizer_type=sgd", "--set", "training.epochs=1")
HIGH = ("--set", "training.epochs=4", "--set", "training.optimizer.learning_rate=1000")


def fails(artifex, every, *settings):
    """Train three sound steps, go on from there at a far too high rate, and give what that says, line by line."""
    assert artifex("train", "tiny-run", "-o", "a run", *SGD, "--set", f"callbacks.2.every={every}").code == 0
    ended = artifex("train", "--resume", "a run", *HIGH, *settings)
    assert ended.code == 2
    assert "try a lower optimizer.learning_rate, optimizer.clip_norm, or look for bad values" in ended.err
    return ended.err.splitlines()


@pytest.mark.parametrize("advised", ["clip_norm=1.0", "learning_rate=0.01"])
def test_a_run_whose_loss_went_bad_goes_on_clipped_or_slower(artifex, advised):
    fails(artifex, 500)
    again = artifex("train", "--resume", "a run", "--set", f"training.optimizer.{advised}")
    assert again.code == 0, again.err
    assert again.out.startswith("done: step 12")


def test_the_command_that_is_shown_lowers_every_rate(artifex, tmp_path):
    groups = "training.optimizer.groups=[{parameters: up.bias, learning_rate: 20}]"
    command = shlex.split(fails(artifex, 500, "--set", groups)[-1])
    assert command[:4] == ["artifex", "train", "--resume", "a run"]
    assert command[5::2] == ["training.optimizer.learning_rate=100", "training.optimizer.groups.0.learning_rate=2"]
    artifex(*command[1:])
    config = yaml.safe_load((tmp_path / "a run" / "config.yaml").read_text())["training"]["optimizer"]
    assert (config["learning_rate"], config["groups"][0]["learning_rate"]) == (100, 2)


def test_a_checkpoint_of_numbers_that_were_running_away_is_deleted(artifex, tmp_path):
    *_, command, further_back = fails(artifex, 2)  # that of step 4 was finite, but its loss would be no more
    slowly = [*shlex.split(command)[1:4], "--set", "training.optimizer.learning_rate=0.01"]
    assert artifex(*slowly).code == 2
    newest, earlier = re.search(r"delete (.*): it then goes on from step (\d)", further_back).groups()
    assert (newest, earlier) == ("a run/checkpoints/4", "3")
    shutil.rmtree(tmp_path / newest)
    again = artifex(*slowly)
    assert again.code == 0, again.err


@pytest.mark.parametrize(
    "changed",
    ["clip_value=1.0", "weight_decay=0.001", "scheduler.scheduler_type=cosine", "groups=[{parameters: up, learning_rate: 1}]"],
)
def test_a_resumed_run_may_change_what_is_done_to_gradients(artifex, changed):
    artifex("train", "tiny-run", "-o", "run", "--set", "training.epochs=1")
    again = artifex("train", "--resume", "run", "--set", "training.epochs=2", "--set", f"training.optimizer.{changed}")
    assert again.code == 0, again.err


class Root(Line):
    """Its loss falls as a square root does: without a bound to its slope at 0, where biases start."""

    def loss_fn(self, batch, outputs):
        return {"loss": -jnp.sum(jnp.sqrt(self.line.bias[...] + self.safe))}

    safe = 0.0


def test_a_gradient_that_is_infinite_is_bounded_by_clip_value():
    said = refused(fit, Root(), log_every=1, error=NonFiniteLossError)
    assert "the loss was: a gradient was not; optimizer.clip_value bounds one that is infinite" in said
    fit(Root(), optimizer={"clip_value": 1.0})


def test_a_gradient_that_is_no_number_comes_from_a_root_at_zero():
    class Norm(Root):
        def loss_fn(self, batch, outputs):
            return {"loss": jnp.sqrt(jnp.sum(self.line.bias[...] ** 2) + self.safe)}

    said = refused(fit, Norm(), log_every=1, optimizer={"clip_value": 1.0}, error=NonFiniteLossError)
    assert "one that is no number comes from a square root" in said
    model = Norm()
    model.safe = 1e-6
    fit(model)


def test_a_dry_run_of_bad_data_points_at_the_batch(artifex):
    shown = artifex("train", "tiny-run", "--dry-run", "--set", "data.dataset.bad_value=true", "--set", "training.batch_size=24")
    assert "not finite, and so the run would stop at its first step; see that the batch, whose values" in shown.out
    assert "batch x: (24, 3) float32 from nan to nan" in shown.out


# run files and commands


def plan(*settings):
    """Whether a run of the preset, changed, could begin: it is planned and traced, not compiled."""
    run = build_run(read_run_config("tiny-run", settings))
    trainer = run.trainer
    Plan(trainer.model, trainer.config, trainer.objectives, Placement(None), run.train, modality=trainer.modality, seed=0)


BIG = ["data.dataset.size=5", "data.dataset.held_out_size=5"]


@pytest.mark.parametrize(
    ("wrong", "said", "right"),
    [
        (["training.log_every"], "write it as --set training.log_every=10", ["training.log_every=10"]),
        (["name=a: b: c"], "put it in quotes if it is text", ["name='a: b: c'"]),
        (["callbacks.9.every=1"], "one of 4 list items, numbered from 0", ["callbacks.3.every=1"]),
        (["training.steps=3"], "leave the other out, or set it to null", ["training.steps=3", "training.epochs=null"]),
        (["training.accumulate=3"], "batch_size 8 does not split into accumulate = 3 equal parts", ["training.accumulate=2"]),
        (["training.batch_size=100"], "choose 1 to 24", ["training.batch_size=24"]),
        (["mesh.data_parallel_size=3"], "choose a multiple of 3", ["mesh.data_parallel_size=3", "training.batch_size=24"]),
        (["data.train_split=trian"], "the data set has train, test", ["data.train_split=train"]),
        (
            ["data.dataset.held_out_examples=0"],
            r"set data.evaluation_split to another \(it has train\)",
            ["data.dataset.held_out_examples=0", "data.evaluation_split=train"],
        ),
        (BIG, "set model.size to fit", [*BIG, "model.size=5"]),
        (["training.remat=[dwn]"], "names no module; the model has between, down, up", ["training.remat=[down]"]),
        (["training.lora={parameters: dwn}"], "did you mean 'down'", ["training.lora={parameters: down}"]),
        (
            ["training.optimizer.groups=[{parameters: dwn, frozen: true}]"],
            "did you mean 'down' or 'down.bias'",
            ["training.optimizer.groups=[{parameters: down, frozen: true}]"],
        ),
    ],
)
def test_settings_that_are_refused_and_those_that_are_advised(tiny, wrong, said, right):
    with pytest.raises(ArtifexError, match=said):
        plan(*wrong)
    plan(*right)


def test_a_mesh_whose_axis_nothing_uses(artifex):
    wrong = artifex("train", "tiny-run", "--dry-run", "--set", "mesh.tensor_parallel_size=2")
    assert "set tensor_parallel_size to 1" in wrong.err
    assert artifex("train", "tiny-run", "--dry-run", "--set", "mesh.tensor_parallel_size=1").code == 0


def test_where_runs_come_from(artifex):
    failed = artifex("train", "./nothing.yaml")
    assert "give a YAML file, a run folder, or the name of a preset (`artifex list preset`)" in failed.err
    assert "tiny-run" in artifex("list", "preset").out


def test_a_folder_that_is_taken(artifex):
    settings = ("--set", "training.epochs=1")
    assert artifex("train", "tiny-run", "-o", "a run", *settings).code == 0
    failed = artifex("train", "tiny-run", "-o", "a run", *settings)
    command = shlex.split(re.search(r"go on with its run: (.*)$", failed.err.strip())[1])
    finished = artifex(*command[1:])
    longer = shlex.split(re.search(r"to train it longer: (.*)$", finished.out.strip())[1])
    assert artifex(*longer[1:]).out.startswith("done: step 6")
    assert "leave --output out" in artifex(*command[1:], "-o", "other").err
    failed = artifex("train", "--resume", "none")
    assert "it is no run folder, or its run kept no checkpoint; `artifex train NAME` starts one" in failed.err


def test_what_a_resumed_run_cannot_change_is_set_back(artifex):
    artifex("train", "tiny-run", "-o", "run", "--set", "training.epochs=1")
    for wrong, said in [
        ("training.batch_size=12", "the batch size was 8 and is 12 now; set it to 8 again"),
        ("data.dataset.examples=32", "the number of examples was 24 and is 32 now; put the data back as they were"),
        ("seed=1", "was written with seed 0, this Trainer has seed 1; use the same"),
    ]:
        failed = artifex("train", "--resume", "run", "--set", "training.epochs=2", "--set", wrong)
        assert failed.code == 2
        assert said in failed.err
    assert artifex("train", "--resume", "run", "--set", "training.epochs=2").code == 0


def test_a_run_that_was_stopped_names_the_command_to_go_on(artifex, monkeypatch):
    on_step = Checkpoint.on_step

    def interrupted(self, trainer):
        on_step(self, trainer)
        if trainer.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "on_step", interrupted)
    stopped = artifex("train", "tiny-run", "-o", "a run", "--set", "training.epochs=2")
    monkeypatch.undo()
    command = shlex.split(re.search(r"go on: (.*)$", stopped.err.strip())[1])
    assert command[:4] == ["artifex", "train", "--resume", "a run"]


def test_a_folder_in_use_is_free_after_its_end(artifex, tmp_path):
    artifex("train", "tiny-run", "-o", "run", "--set", "training.epochs=1")
    again = ("train", "--resume", "run", "--set", "training.epochs=2")
    with hold(tmp_path / "run"):
        assert "wait for its end, stop it, or use another folder" in artifex(*again).err
    assert artifex(*again).code == 0


def test_early_stop_needs_held_out_data(tiny):
    stop = [{"kind": "early_stop"}]
    said = refused(build_run, tiny.config(callbacks=stop, data__dataset__held_out_size=None))
    assert "leave the callback out" in said
    build_run(tiny.config(callbacks=[], data__dataset__held_out_size=None))


def test_conditions_of_samples(tiny):
    class Conditional:
        def generate(self, n_samples, *, condition):
            return condition

    said = refused(condition_for, Conditional(), "three", 2)
    for advised in re.search(r"such as (\d+), nor a vector, such as (\[.*\])", said).groups():
        assert len(condition_for(Conditional(), advised, 2)) == 2


# the trainer


def test_a_config_of_the_trainer():
    said = refused(Trainer, Line(), {"steps": 3}, seed=0, error=TypeError)
    Trainer(Line(), eval(re.search(r"for example (.*)$", said)[1], {"TrainerConfig": TrainerConfig}), seed=0)


def test_sizes_of_batches():
    said = refused(fit, mesh=ShardingConfig(data_parallel_size=8), batch_size=4)
    assert "choose a multiple of 8" in said
    fit(mesh=ShardingConfig(data_parallel_size=8), batch_size=8)
    loader = as_loader(X, batch_size=8, seed=0)
    assert "make them equal" in refused(fit, data=loader)
    fit(data=loader, batch_size=8)


def test_axes_of_a_mesh():
    explicit = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    said = refused(fit, mesh=explicit)
    assert "make it with axis_types=(AxisType.Auto,) * 1, or pass a ShardingConfig" in said
    fit(mesh=jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,)))
    fit(mesh=ShardingConfig(data_parallel_size=2))


def test_callbacks_that_write_need_a_folder(tmp_path):
    callbacks = [MetricsFile(MetricsFileConfig())]
    assert "give the Trainer a folder" in refused(fit, callbacks=callbacks)
    fit(callbacks=callbacks, folder=tmp_path)


def test_a_checkpoint_from_a_later_step(tmp_path):
    def begin(folder, resume=None, steps=2):
        fit(callbacks=[Checkpoint(CheckpointConfig())], folder=folder, resume=resume, steps=steps)

    begin(tmp_path / "run")
    assert "resume from there, or give the Trainer another folder" in refused(begin, tmp_path / "run")
    begin(tmp_path / "run", tmp_path / "run" / "checkpoints", 3)
    begin(tmp_path / "other")


def test_the_figure_that_early_stop_watches():
    said = refused(fit, evaluation=X, callbacks=[EarlyStop(EarlyStopConfig(metric="loss"))])
    known = re.search(r"but an evaluation gives (.*)$", said)[1]
    fit(evaluation=X, callbacks=[EarlyStop(EarlyStopConfig(metric=known))])


def test_precision_is_said_once():
    class Typed(Line):
        config = type("C", (), {"dtype": "bfloat16"})

    assert "set one of the two" in refused(fit, Typed(), precision="bfloat16")
    fit(Typed())
    fit(Line(), precision="bfloat16")


def test_parameters_are_kept_in_float32():
    coarse = jnp.zeros((4, 4), jnp.bfloat16)
    said = refused(fit, Line(coarse))
    assert "keep parameters in float32 (param_dtype) and set training.precision" in said
    fit(Line(coarse.astype(jnp.float32)), precision="bfloat16")


def test_what_is_frozen_everywhere_leaves_something():
    groups = [{"parameters": ["line.kernel", "line.bias"], "frozen": True}]
    assert "take a name out of the groups that are frozen" in refused(fit, optimizer={"groups": groups})
    groups[0]["parameters"].pop()
    fit(optimizer={"groups": groups})


def test_groups_in_the_other_order():
    groups = [{"parameters": "line", "learning_rate": 0.1}, {"parameters": "line.bias", "frozen": True}]
    assert "put group 1 before group 0" in refused(fit, optimizer={"groups": groups})
    fit(optimizer={"groups": groups[::-1]})


def test_a_condition_that_the_model_does_not_take():
    data = {"x": X, "condition": X}
    assert "use a conditional model, or leave 'condition' out of the data" in refused(fit, data=data)
    fit(data={"x": data["x"]})


def test_a_model_without_an_objective_is_given_one():
    class Silent(nnx.Module):
        def __init__(self):
            self.mean = nnx.Param(jnp.zeros(4))

    assert "or pass objectives=(Objective(loss), ...) to the Trainer" in refused(fit, Silent(), error=TypeError)

    def loss(model, batch, rngs, step):
        return {"loss": jnp.mean((batch["x"] - model.mean[...][None]) ** 2)}

    fit(Silent(), objectives=(Objective(loss),))


def test_optimizers_of_objectives_that_there_are_not():
    said = refused(fit, optimizers={"generator": {}})
    known = re.search(r"the model's optimisers are '(.*)'$", said)[1]
    fit(optimizers={known: {}})


class Pair(nnx.Module):
    """Two players, and a judge that belongs to neither."""

    def __init__(self, place):
        rngs = nnx.Rngs(0)
        self.generator, self.discriminator = (nnx.Linear(4, 4, rngs=rngs) for _ in range(2))
        judge = nnx.Linear(4, 4, rngs=rngs)
        if place == "below":
            self.discriminator.judge = judge
        else:
            self.judge = freeze(judge) if place == "frozen" else judge

    def generate(self, n_samples=1, *, rngs=None):
        return self.generator(jnp.ones((n_samples, 4)))

    def generator_objective(self, batch, *, rngs):
        return {"loss": jnp.mean(self.generator(batch["x"]) ** 2)}

    def discriminator_objective(self, batch, *, rngs):
        return {"loss": jnp.mean(self.discriminator(batch["x"]) ** 2)}


def test_a_parameter_that_no_objective_trains():
    said = refused(fit, Pair("nowhere"))
    assert "move it below one of discriminator, generator, or freeze it (artifex.core.freeze)" in said
    fit(Pair("below"))
    fit(Pair("frozen"))


def test_extensions_of_one_name_are_given_two(tiny):
    twice = [{"kind": "tiny_extension"}] * 2
    assert "give each a name" in refused(build_run, tiny.config(extensions=twice))
    build_run(tiny.config(extensions=[{"kind": "tiny_extension", "name": name} for name in "ab"]))


def test_a_number_of_examples_that_the_model_is_told():
    told = type("C", (), {"dataset_size": 3})
    told.dataset_size = int(re.search(r"set it to (\d+)$", refused(_check_dataset_size, told, 24, "train"))[1])
    _check_dataset_size(told, 24, "train")


# optimisers


@pytest.mark.parametrize(
    ("wrong", "said", "right"),
    [
        ({"optimizer_type": "adamm"}, "did you mean adam", {"optimizer_type": "adam"}),
        ({"options": {"beta1": 0.5}}, "it has b1, b2", {"options": {"b1": 0.5}}),
        ({"scheduler": {"decay_steps": 3}}, "leave it out", {"scheduler": {}}),
        (
            {"scheduler": {"scheduler_type": "inverse_sqrt"}},
            "give at least 1",
            {"scheduler": {"scheduler_type": "inverse_sqrt", "warmup_steps": 1}},
        ),
        (
            {"scheduler": {"scheduler_type": "exponential", "end_fraction": 0}},
            "give an end_fraction above 0",
            {"scheduler": {"scheduler_type": "exponential", "end_fraction": 1e-6}},
        ),
        (
            {"optimizer_type": "rprop", "scheduler": {"scheduler_type": "cosine"}},
            "some optimisers take no schedule",
            {"optimizer_type": "rprop"},
        ),
    ],
)
def test_optimizers_that_are_refused_and_those_that_are_advised(wrong, said, right):
    assert said in refused(OptimizerConfig, **wrong)
    fit(optimizer=right)


# what has to be installed


def test_the_extras_that_are_named_exist():
    extras = metadata.metadata("artifex-training").get_all("Provides-Extra")
    assert {"mlflow", "wandb"} <= set(extras)
