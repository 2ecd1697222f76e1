"""Run files, presets and --set: read completely, or refused by field and file."""

import pytest
import yaml

from artifex.core.errors import InvalidInputError, RunError, UnknownNameError
from artifex.core.yamlio import load_yaml
from artifex.training import RunConfig, read_run_config
from artifex.training.run_config import apply_settings


@pytest.fixture
def file(tiny, tmp_path):
    """Write a run file of the preset's fields, changed."""

    def write(**changes):
        path = tmp_path / "my_run.yaml"
        path.write_text(yaml.safe_dump(tiny.fields(**changes)))
        return str(path)

    return write


def test_a_preset_a_file_and_a_folder_are_one_run(tiny, file, tmp_path):
    preset = read_run_config("tiny-run")
    assert preset.name == "tiny-run"
    assert preset.training.optimizer.learning_rate == 1e-2
    from_file = read_run_config(file())
    assert from_file == preset.replace(name="my_run")
    folder = tmp_path / "tiny-run-1"
    folder.mkdir()
    preset.to_yaml(folder / "config.yaml")
    assert read_run_config(str(folder)) == preset


def test_what_is_written_is_complete_and_reads_back(tiny):
    config = tiny.config(mesh={"data_parallel_size": 2}, extensions=[{"kind": "tiny_extension", "weight": 2}], seed=3)
    written = config.to_dict()
    assert RunConfig.from_dict(written) == config
    assert written["training"]["optimizer"]["scheduler"]["scheduler_type"] == "constant"
    assert written["model"] == {"kind": "tiny", "latent_dim": 2, "size": 3, "depth": 0}
    assert [callback["kind"] for callback in written["callbacks"]] == ["progress", "metrics_file", "checkpoint", "sample_grid"]


def test_callbacks_that_every_run_has_unless_told_otherwise(tiny):
    fields = tiny.fields()
    del fields["callbacks"]
    kinds = [callback["kind"] for callback in RunConfig.from_dict(fields).to_dict()["callbacks"]]
    assert kinds == ["progress", "metrics_file", "tensorboard", "checkpoint", "sample_grid"]


def test_settings_reach_every_depth(tiny):
    settings = [
        "seed=5",
        "training.optimizer.learning_rate=3e-4",
        "model.latent_dim=7",
        "callbacks.3.n_samples=9",
        "callbacks.0={kind: tensorboard}",
        "mesh.data_parallel_size=2",
        "name=a b",
        "tags=[x, y]",
    ]
    config = read_run_config("tiny-run", settings)
    assert (config.seed, config.training.optimizer.learning_rate, config.model.latent_dim) == (5, 3e-4, 7)
    assert config.callbacks[3].n_samples == 9
    assert type(config.callbacks[0]).__name__ == "TensorBoardConfig"
    assert config.mesh.data_parallel_size == 2
    assert (config.name, config.tags) == ("a b", ("x", "y"))


def test_null_takes_a_field_back(tiny):
    config = read_run_config("tiny-run", ["training.epochs=null", "training.steps=7", "data.modality=null"])
    assert config.training.steps == 7
    assert config.data.modality is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "write it as --set training.log_every=10"),
        ("=3", "write it as"),
        ("training..steps=3", "write it as"),
        ("seed.x=3", "seed is 5, which has no fields"),
        ("items.2=1", "items.2 is one of 2 list items, numbered from 0"),
        ("items.last=1", "one of 2 list items"),
        ("items.7.a=1", "items.7 is one of 2 list items"),
        ("items.0.a=1", "items.0 is 1, which has no fields"),
        ("none.0.a=1", "none.0 is one of 0 list items"),
        ("parts.grid.every=1", r"parts has no item 'grid'; it has 0 row, 1 row, 2 column; to add one, write the list out"),
        ("parts.colum.every=1", "did you mean 'column'"),
        ("parts.3.every=1", r"numbered from 0 \(0 row, 1 row, 2 column\)"),
        ("parts.row.every=1", "'row' is the kind of several items; name one by its number, 0 and 1"),
        ("seed=[1", r"the value of --set .*column 3: expected .*; put it in quotes if it is text"),
        ("seed=*a", "found undefined alias 'a'; put it in quotes"),
        ("seed=&a [*a]", r"\*a stands inside of itself; put it in quotes"),
    ],
)
def test_settings_that_cannot_be_read(setting, message):
    parts = [{"kind": "row"}, {"kind": "row"}, {"kind": "column"}]
    with pytest.raises(InvalidInputError, match=message):
        apply_settings({"seed": 5, "items": [1, 2], "none": [], "parts": parts}, [setting])


def test_a_callback_is_named_by_its_kind(tiny):
    """Those that a run file names, and those that a run has by default."""
    settings = ["callbacks.sample_grid.every=100", "callbacks.checkpoint={kind: checkpoint, keep: 5}", "callbacks.1=null"]
    config = read_run_config("tiny-run", settings)
    assert [c["kind"] for c in config.to_dict()["callbacks"]] == ["progress", "checkpoint", "sample_grid"]
    assert (config.callbacks[2].every, config.callbacks[2].n_samples, config.callbacks[1].keep) == (100, 2, 5)


@pytest.mark.parametrize("how", ["callbacks.sample_grid.every=100", "callbacks.4.every=100"])
def test_default_callbacks_are_there_to_be_changed(tiny, tmp_path, how):
    fields = tiny.fields()
    del fields["callbacks"]
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(fields))
    plain = read_run_config(str(tmp_path / "run.yaml"))
    config = read_run_config(str(tmp_path / "run.yaml"), [how])
    assert config.callbacks[:4] == plain.callbacks[:4]
    assert config.callbacks[4] == plain.callbacks[4].replace(every=100)
    without = read_run_config(str(tmp_path / "run.yaml"), ["callbacks.tensorboard=null", " callbacks.checkpoint.keep=3"])
    assert [c["kind"] for c in without.to_dict()["callbacks"]] == ["progress", "metrics_file", "checkpoint", "sample_grid"]
    assert without.callbacks[2].keep == 3
    with pytest.raises(InvalidInputError, match="has no item 'early_stop'; it has 0 progress, 1 metrics_file, 2 tensorboard"):
        read_run_config(str(tmp_path / "run.yaml"), ["callbacks.early_stop.patience=3"])
    assert read_run_config(str(tmp_path / "run.yaml"), ["callbacks=[]"]).callbacks == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__latent_dmi": 3}, "model.latent_dmi: no such field in TinyConfig; did you mean 'latent_dim'?"),
        ({"model__latent_dim": "many"}, "model.latent_dim: .*integer.*'many'"),
        ({"model__kind": "tiyn"}, "no installed plugin has a model called 'tiyn'; did you mean 'tiny'?"),
        ({"model": {}}, "model: needs a 'kind'"),
        ({"training__batch_size": 0}, "training.batch_size: .*greater than or equal to 1"),
        ({"training__optimizer": {"optimizer_type": "adamm"}}, "training.optimizer.*'adamm'; did you mean adam"),
        ({"trainig": {}}, "trainig: no such field in RunConfig; did you mean 'training'?"),
        ({"seed": -1}, "seed: "),
        ({"callbacks": [{"kind": "chekpoint"}]}, r"callbacks.0.*did you mean 'checkpoint'\?"),
    ],
)
def test_wrong_fields_are_named_with_the_file(file, changes, message):
    path = file(**changes)
    with pytest.raises(RunError, match=message) as caught:
        read_run_config(path)
    assert str(caught.value).startswith(path)
    assert len(str(caught.value).splitlines()) <= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", "my_run.yaml, line 1, column"),
        ("model: {kind: tiny}\nmodel: {kind: tiny}\n", "my_run.yaml, line 2, column 1: 'model' is given twice"),
        ("just text", "my_run.yaml holds no run"),
        ("", "my_run.yaml holds no run"),
    ],
)
def test_files_that_hold_no_run(tiny, tmp_path, text, message):
    path = tmp_path / "my_run.yaml"
    path.write_text(text)
    with pytest.raises(RunError, match=message):
        read_run_config(str(path))


def test_a_file_that_is_no_text(tiny, tmp_path):
    (tmp_path / "model.yaml").write_bytes(b"\x93NUMPY\x00\xff")
    with pytest.raises(RunError, match=r"model\.yaml is not a text file"):
        read_run_config(str(tmp_path / "model.yaml"))


@pytest.mark.parametrize("source", ["missing.yaml", "./missing", "runs/missing-1"])
def test_files_that_are_not_there(tiny, tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=f"no run file {source}; give a YAML file, a run folder, or the name of a preset"):
        read_run_config(source)


def test_a_folder_without_a_run(tiny, tmp_path):
    with pytest.raises(RunError, match=r"is a folder without config\.yaml"):
        read_run_config(str(tmp_path))


def test_an_unknown_preset(tiny):
    with pytest.raises(UnknownNameError, match="preset called 'tiny-rum'; did you mean 'tiny-run'"):
        read_run_config("tiny-rum")


def test_a_folder_of_another_kind_does_not_hide_a_preset(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-run").mkdir()
    assert read_run_config("tiny-run").name == "tiny-run"


@pytest.mark.parametrize(
    ("text", "expected"), [("010", 10), ("0100", 100), ("1:30", "1:30"), ("no", "no"), ("2024-13-45", "2024-13-45")]
)
def test_settings_and_files_read_words_alike(text, expected, tmp_path):
    fields = {}
    apply_settings(fields, [f"seed={text}"])
    assert fields == {"seed": expected} == load_yaml(f"seed: {text}")
