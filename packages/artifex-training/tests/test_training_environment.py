"""What a run was made with, told where its config cannot be read here."""

import json

import pytest
import yaml

from artifex.core import plugins
from artifex.core.errors import RunError
from artifex.training import read_run_config
from artifex.training.environment import environment


@pytest.fixture
def refusal(tiny, tmp_path):
    """The message for a run folder whose config has ``changes`` and that was made with ``versions``."""

    def read(versions, **changes):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny.fields(**changes)))
        text = versions if isinstance(versions, str) else json.dumps({"versions": versions})
        (tmp_path / "environment.json").write_text(text)
        with pytest.raises(RunError) as caught:
            read_run_config(str(tmp_path))
        return str(caught.value)

    return read


def test_a_removed_plugin_is_named_with_its_version(refusal):
    text = refusal({"jax": "0.1", "artifex-tiny": "1.0", "my-rings": "2.1"}, model={"kind": "ring"})
    assert "no installed plugin has a model called 'ring'" in text
    assert "the run was made with my-rings 2.1, which is not installed: pip install my-rings==2.1" in text
    assert "artifex-tiny" not in text.split("the run was made with", 1)[1]
    assert "jax" not in text


def test_a_newer_run_is_told_by_its_versions(refusal):
    text = refusal({"artifex-tiny": "9.0"}, wonders=1)
    assert "wonders: no such field in RunConfig" in text
    assert "the run was made with artifex-tiny 9.0; 1.0 is installed: pip install artifex-tiny==9.0" in text


@pytest.mark.parametrize("record", ["", "[]", "{", '{"versions": 3}', '{"versions": {}}'])
def test_a_damaged_record_hides_no_message(refusal, record):
    assert "wonders: no such field" in refusal(record, wonders=1)


def test_what_is_switched_off_or_broken_is_no_reason_to_install(refusal):
    registry = plugins.registry()
    registry.disabled.append(plugins.Plugin("a", "a.plugin", "my-off", "1.0"))
    registry.failures.append(plugins.Failure(plugins.Plugin("b", "b.plugin", "my-bad", "1.0"), "ImportError: no b"))
    text = refusal({"my-off": "1.0", "my-bad": "1.0"}, wonders=1)
    assert "made with my-off 1.0, which ARTIFEX_DISABLE_PLUGINS switches off" in text
    assert "made with my-bad 1.0, but plugin 'b' of my-bad 1.0 was skipped: ImportError: no b" in text
    assert "pip install" not in text


def test_a_plugin_without_a_distribution_does_not_stop_the_record(tiny):
    registry = plugins.registry()
    registry.plugins["loose"] = plugins.Plugin("loose", "loose.plugin", "unknown distribution (loose.plugin)", "?")
    versions = environment()["versions"]
    assert versions["artifex-tiny"] == "1.0"
    assert {"jax", "artifex-core"} <= versions.keys()
    assert not any("unknown" in name for name in versions)
