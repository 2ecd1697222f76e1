"""Every promise of a config: frozen, checked when made, written out and read back without loss."""

import copy
import dataclasses
import math
import pickle
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pydantic import Field, ValidationError

from artifex.core.config import Config, Registered, config, explain
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.plugins import ComponentEntry, ModelEntry


class Padding(Enum):
    SAME = "same"
    VALID = "valid"


@config
class LayerConfig(Config):
    """A layer."""

    width: int = 8
    """Number of units."""
    rate: float = 0.0


@config
class NetConfig(Config):
    hidden_dims: tuple[int, ...] = (8, 8)
    """Width of each hidden layer."""
    layer: LayerConfig = dataclasses.field(default_factory=LayerConfig)
    layers: tuple[LayerConfig, ...] = ()
    rate: float = 1e-3
    folder: Path | None = None
    padding: Padding = Padding.SAME
    activation: Literal["relu", "gelu"] = "relu"
    flag: bool = False

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate is {self.rate}; it is zero or more")
        if self.name == "typed":
            raise TypeError("name 'typed' is not for nets")


@config
class WideLayerConfig(LayerConfig):
    factor: int = 2


@config
class OpenConfig(Config):
    """One field for each way in which a field may be open."""

    layer: Annotated[LayerConfig, Registered("layer")]
    """The layer to use."""
    extra: Annotated[LayerConfig, Registered("layer")] | None = None
    stack: tuple[Annotated[LayerConfig, Registered("layer")], ...] = ()
    model: Annotated[Config, Registered("model")] | None = None


HERE = __name__


@pytest.fixture
def layers(use_registry, monkeypatch):
    """The layers above, registered as two components; this file stands for the plugin's module."""
    import sys

    monkeypatch.setitem(sys.modules, HERE, sys.modules.get(HERE) or __import__(HERE))
    entries = [
        ComponentEntry(name=kind, slot="layer", component=f"{HERE}:{cls}", config=f"{HERE}:{cls}")
        for kind, cls in {"plain": "LayerConfig", "wide": "WideLayerConfig"}.items()
    ]
    broken = ComponentEntry(name="broken", slot="layer", component="nowhere:X", config="nowhere:XConfig")
    return use_registry(artifex_components=[*entries, broken])


def problems(make) -> dict[str, str]:
    """Each wrong field, dotted, with its message."""
    with pytest.raises(ValidationError) as caught:
        make()
    return {".".join(map(str, item["loc"])): item["msg"] for item in caught.value.errors()}


# --- what a config is ---


def test_is_frozen_slotted_and_keyword_only():
    made = LayerConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.width = 3
    assert not hasattr(made, "__dict__")
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(made, "other", 1)
    assert "name the field" in explain_of(lambda: LayerConfig(3))


def test_carries_name_description_tags_and_metadata():
    made = LayerConfig(name="a", description="b", tags=["c"], metadata={"d": 1})
    assert (made.name, made.description, made.tags, made.metadata) == ("a", "b", ("c",), {"d": 1})


def test_takes_lists_for_tuples_and_dicts_for_configs():
    made = NetConfig(hidden_dims=[4, 2], layer={"width": 3}, layers=[{"width": 1}, LayerConfig(width=2)])
    assert made.hidden_dims == (4, 2)
    assert made.layer == LayerConfig(width=3)
    assert made.layers == (LayerConfig(width=1), LayerConfig(width=2))


def test_equal_configs_hash_equal_and_others_differ():
    one, two = NetConfig(hidden_dims=[4], layer={"width": 3}), NetConfig(hidden_dims=(4,), layer=LayerConfig(width=3))
    assert one == two
    assert hash(one) == hash(two)
    assert one != NetConfig(hidden_dims=(5,))
    assert LayerConfig() != WideLayerConfig()


def test_metadata_counts_for_equality_but_not_for_the_hash():
    one, two = LayerConfig(metadata={"run": [1]}), LayerConfig(metadata={"run": [2]})
    assert one != two
    assert hash(one) == hash(two)
    assert "metadata" in LayerConfig.from_dict(one.to_dict()).to_dict()


def test_metadata_is_the_configs_own_and_plain():
    given = {"dims": (1, [2, (3,)]), "nothing": None}
    made = LayerConfig(metadata=given)
    given["dims"][1].append(9)
    assert made.metadata == {"dims": [1, [2, [3]]], "nothing": None}
    assert "metadata.mean is of type ndarray" in problems(lambda: LayerConfig(metadata={"mean": np.zeros(2)}))["metadata"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c)), lambda c: c.replace()])
def test_copies_are_equal(again):
    made = NetConfig(name="net", layers=[WideLayerConfig(factor=5)], metadata={"a": [1]}, folder=Path("x"))
    assert again(made) == made
    assert isinstance(again(made).layers[0], WideLayerConfig)


def test_replace_validates_anew():
    assert NetConfig().replace(rate=0.5).rate == 0.5
    assert "rate is -1.0" in problems(lambda: NetConfig().replace(rate=-1))[""]
    assert "did you mean 'rate'" in problems(lambda: NetConfig().replace(rat=1))["rat"]


# --- what is refused ---


def test_unknown_key_names_the_likely_field():
    assert problems(lambda: NetConfig(hiden_dims=[1])) == {
        "hiden_dims": "no such field in NetConfig; did you mean 'hidden_dims'?"
    }
    assert "the fields are name, description" in problems(lambda: NetConfig(zzz=1))["zzz"]
    assert problems(lambda: NetConfig(layer={"widht": 1})) == {
        "layer.widht": "no such field in LayerConfig; did you mean 'width'?"
    }


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"hidden_dims": "64"}, "hidden_dims"),
        ({"hidden_dims": [1, "x"]}, "hidden_dims.1"),
        ({"hidden_dims": [1.5]}, "hidden_dims.0"),
        ({"layer": {"width": "many"}}, "layer.width"),
        ({"layers": [{}, {"rate": "fast"}]}, "layers.1.rate"),
        ({"layer": 3}, "layer"),
        ({"activation": "tanh"}, "activation"),
        ({"padding": "full"}, "padding"),
        ({"name": 3}, "name"),
        ({"tags": "one"}, "tags"),
    ],
)
def test_wrong_type_is_located(fields, where):
    assert list(problems(lambda: NetConfig(**fields))) == [where]
    assert list(problems(lambda: NetConfig.from_dict(fields))) == [where]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"rate": True}, "rate"),
        ({"hidden_dims": [4, False]}, "hidden_dims.1"),
        ({"layer": {"width": True}}, "layer.width"),
        ({"layers": [{"width": True}]}, "layers.0.width"),
    ],
)
def test_a_truth_value_is_no_number(fields, where):
    assert problems(lambda: NetConfig(**fields)) == {where: "expected a number, not a truth value"}


def test_a_truth_value_is_a_truth_value():
    assert NetConfig(flag=True, metadata={"on": True}).metadata == {"on": True}


def test_every_wrong_field_is_reported_at_once():
    assert set(problems(lambda: NetConfig(rate="x", layer={"width": "y"}, activaton="relu"))) == {
        "rate",
        "layer.width",
        "activaton",
    }


def test_what_post_init_raises_is_located():
    @config
    class Outer(Config):
        net: NetConfig

    assert "rate is -1.0; it is zero or more" in problems(lambda: Outer(net={"rate": -1}))["net"]
    assert problems(lambda: Outer(net={"name": "typed"})) == {"net": "name 'typed' is not for nets"}
    with pytest.raises(ValueError, match=r"zero or more"):
        NetConfig(rate=-1)


def test_from_dict_takes_a_mapping_only():
    with pytest.raises(InvalidTypeError, match=r"NetConfig is made from a mapping of fields, got list: \[1\]"):
        NetConfig.from_dict([1])


# --- written out and read back ---

TABLE: list[dict[str, Any]] = [
    {},
    {"name": "1e-3", "description": "two\nlines: with # signs", "tags": ["no", "null", "0x1"]},
    {"rate": 1e-30},
    {"rate": math.inf},
    {"rate": 123456789.123456789},
    {"hidden_dims": []},
    {"hidden_dims": [2**40]},
    {"layer": {"width": 3, "rate": 0.1}, "layers": [{}, {"width": 2, "name": "é β 漢"}]},
    {"folder": "some/where"},
    {"folder": "~/a b"},
    {"padding": "valid", "activation": "gelu", "flag": True},
    {"metadata": {"a": {"b": [1, 2.5, None, "x", True]}, "1": 2}},
]


@pytest.mark.parametrize("fields", TABLE)
def test_written_out_and_read_back_is_the_same(fields, tmp_path):
    made = NetConfig(**fields)
    assert NetConfig.from_dict(made.to_dict()) == made
    assert NetConfig.from_yaml(made.to_yaml(tmp_path / "net.yaml")) == made
    assert NetConfig.from_yaml(tmp_path / "net.yaml") == made
    assert NetConfig.from_dict(made.to_dict()).to_dict() == made.to_dict()


def test_to_dict_is_plain_and_leaves_empty_labels_out():
    def is_plain(value):
        if isinstance(value, Mapping):
            return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
        return all(map(is_plain, value)) if type(value) is list else type(value) in (str, int, float, bool, type(None))

    data = NetConfig(folder=Path("x"), layers=[LayerConfig(tags=["t"])]).to_dict()
    assert is_plain(data)
    assert "name" not in data
    assert data["layers"] == [{"tags": ["t"], "width": 8, "rate": 0.0}]


def test_a_subclass_in_a_field_keeps_its_fields():
    data = NetConfig(layer=WideLayerConfig(factor=7), layers=[WideLayerConfig(factor=9)]).to_dict()
    assert data["layer"]["factor"] == 7
    assert data["layers"][0]["factor"] == 9


def test_yaml_as_people_write_it():
    made = NetConfig.from_yaml("rate: 1e-3\nhidden_dims: [4]\nmetadata: {rate: 2E5}")
    assert (made.rate, made.metadata["rate"]) == (0.001, 200000.0)
    assert NetConfig.from_yaml("") == NetConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: [1", "line 1, column 9"),
        ("rate: 1\nrate: 2", "line 2, column 1: 'rate' is given twice"),
        ("layer:\n  width: 1\n  width: 2", "line 3, column 3: 'width' is given twice"),
        ("\trate: 1", "line 1, column 1"),
        ("rate: !!python/object:os.system x", "line 1"),
    ],
)
def test_bad_yaml_says_where(text, message, tmp_path):
    with pytest.raises(InvalidInputError, match=message):
        NetConfig.from_yaml(text)
    (tmp_path / "net.yaml").write_text(text)
    with pytest.raises(InvalidInputError, match=rf"net\.yaml, {message}"):
        NetConfig.from_yaml(tmp_path / "net.yaml")


def test_yaml_anchors_and_merges_work():
    made = NetConfig.from_yaml("layer: &a {width: 3, rate: 0.5}\nlayers:\n- *a\n- {<<: *a, width: 4}")
    assert made.layers == (LayerConfig(width=3, rate=0.5), LayerConfig(width=4, rate=0.5))


def test_a_file_name_given_as_text_is_recognised():
    with pytest.raises(InvalidTypeError, match=r"to read the file 'net.yaml', pass Path"):
        NetConfig.from_yaml("net.yaml")


# --- schema and explanation ---


def test_schema_describes_own_inherited_and_nested_fields():
    schema = WideLayerConfig.json_schema()
    assert schema["properties"]["width"]["description"] == "Number of units."
    assert schema["properties"]["tags"]["description"] == "Free labels."
    assert schema["additionalProperties"] is False
    nested = NetConfig.json_schema()
    assert nested["properties"]["hidden_dims"]["description"] == "Width of each hidden layer."
    assert nested["$defs"]["LayerConfig"]["properties"]["width"]["description"] == "Number of units."


def explain_of(make) -> str:
    with pytest.raises(ValidationError) as caught:
        make()
    return explain(caught.value)


def test_explanation_is_one_screen(tmp_path):
    text = explain_of(lambda: NetConfig(hidden_dims=["a"] * 500, rate="x" * 5000))
    assert len(text.splitlines()) < 20
    assert max(map(len, text.splitlines())) < 200
    assert text.endswith("more")


def test_explanation_names_file_field_and_value(tmp_path):
    file = tmp_path / "net.yaml"
    file.write_text("layer: {width: many}\nratee: 1\nhidden_dims: wide")
    assert explain_of(lambda: NetConfig.from_yaml(file)).splitlines() == [
        f"{file}: not a valid NetConfig",
        "  hidden_dims: input should be a list (given: 'wide')",
        "  layer.width: input should be a valid integer, unable to parse string as an integer (given: 'many')",
        "  ratee: no such field in NetConfig; did you mean 'rate'?",
    ]


def test_explanation_of_what_is_missing():
    @config
    class Needy(Config):
        width: int

    assert explain_of(Needy).splitlines()[1:] == ["  width: required, but not given"]
    assert explain_of(lambda: Needy.from_dict({})).splitlines()[1:] == ["  width: required, but not given"]


# --- fields open to plugins ---


def test_no_field_takes_the_key_that_names_a_config():
    """Written into an open field, it would overwrite the name that the config is registered under."""
    with pytest.raises(InvalidInputError, match=r"NoiseConfig\.kind cannot be called 'kind': .*; choose another name"):

        @config
        class NoiseConfig(Config):
            kind: str = "white"

    with pytest.raises(InvalidInputError, match=r"AliasConfig\.sort cannot be called 'kind'"):

        @config
        class AliasConfig(Config):
            sort: Annotated[str, Field(alias="kind")] = "white"


def test_registered_field_round_trips(layers):
    made = OpenConfig(
        layer={"kind": "wide", "factor": 3}, extra=LayerConfig(width=1), stack=[{"kind": "plain"}, {"kind": "wide"}]
    )
    assert made.layer == WideLayerConfig(factor=3)
    data = made.to_dict()
    assert (data["layer"]["kind"], data["layer"]["factor"], data["extra"]["kind"]) == ("wide", 3, "plain")
    assert [item["kind"] for item in data["stack"]] == ["plain", "wide"]
    assert OpenConfig.from_dict(data) == made
    assert OpenConfig.from_yaml(made.to_yaml()) == made
    assert hash(OpenConfig.from_dict(data)) == hash(made)


@pytest.mark.parametrize(
    ("fields", "where", "message"),
    [
        ({"layer": {"kind": "wide", "factr": 3}}, "layer.factr", "no such field in WideLayerConfig; did you mean 'factor'?"),
        ({"layer": {"kind": "wide", "factor": "x"}}, "layer.factor", "integer"),
        ({"layer": {"kind": "wide", "factor": True}}, "layer.factor", "expected a number"),
        ({"layer": {"kind": "wid"}}, "layer", "no installed plugin has a layer called 'wid'; did you mean 'wide'?"),
        ({"layer": {"factor": 3}}, "layer", "needs a 'kind' that names the layer; installed: broken, plain, wide"),
        ({"layer": {"kind": 3}}, "layer", "needs a 'kind'"),
        ({"layer": {"kind": "broken"}}, "layer", "cannot import 'nowhere:XConfig'"),
        ({"layer": 3}, "layer", "instance of LayerConfig"),
        ({"layer": {"kind": "plain"}, "stack": [{"kind": "wide", "factr": 1}]}, "stack.0.factr", "did you mean 'factor'?"),
        ({"layer": {"kind": "plain"}, "model": {"kind": "x"}}, "model", "no installed plugin has a model called 'x'"),
    ],
)
def test_registered_field_locates_errors(layers, fields, where, message):
    found = problems(lambda: OpenConfig.from_dict(fields))
    assert list(found) == [where]
    assert message in found[where]


def test_registered_field_in_the_schema(layers):
    shown = OpenConfig.json_schema()["properties"]["layer"]
    assert shown["description"] == "The layer to use."
    assert shown["properties"]["kind"]["enum"] == ["broken", "plain", "wide"]


def test_a_config_that_nobody_registered_says_so_when_written(layers):
    @config
    class Stray(LayerConfig):
        pass

    made = OpenConfig(layer=Stray())
    with pytest.raises(Exception, match=r"no installed plugin registers a layer with the config"):
        made.to_dict()


def test_kinds_are_those_of_the_named_slot(use_registry):
    use_registry(artifex_models=[ModelEntry(name="m", model="x:M", config="x:C", family="f")])
    assert OpenConfig.json_schema()["properties"]["layer"]["properties"]["kind"]["enum"] == []


# --- under JAX ---


class Net(nnx.Module):
    def __init__(self, config: NetConfig):
        self.config = config
        self.scale = nnx.Param(jnp.ones(config.hidden_dims))

    def __call__(self, x):
        return x * self.scale[...]


def test_an_equal_config_does_not_retrace():
    traces = []

    @nnx.jit
    def apply(net, x):
        traces.append(net.config)
        return net(x)

    for fields in ({}, {"hidden_dims": [8, 8]}, {"layer": {"width": 8}}):
        apply(Net(NetConfig(**fields)), jnp.ones((8, 8)))
    assert len(traces) == 1
    apply(Net(NetConfig(rate=0.5)), jnp.ones((8, 8)))
    assert len(traces) == 2


def test_a_config_is_a_static_argument():
    counted = []

    def count(settings, x):
        counted.append(1)
        return x * settings.width

    compiled = jax.jit(count, static_argnums=0)
    assert compiled(LayerConfig(width=2), 3.0) == compiled(LayerConfig(width=2), 3.0) == 6.0
    assert len(counted) == 1
