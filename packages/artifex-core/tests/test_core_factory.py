"""A config's type is enough to build its model."""

import jax.numpy as jnp
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.core.config import Config, config
from artifex.core.errors import InvalidTypeError, PluginConflictError, UnknownNameError
from artifex.core.factory import model_class
from artifex.core.plugins import ModelEntry


@config
class NetConfig(Config):
    width: int = 2


@config
class DeepNetConfig(NetConfig):
    depth: int = 1


class Net(nnx.Module):
    def __init__(self, config: NetConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.layer = nnx.Linear(config.width, config.width, rngs=rngs)


def entry(name, model, config_name):
    return ModelEntry(name=name, model=f"{__name__}:{model}", config=f"{__name__}:{config_name}", family="f")


@pytest.fixture
def nets(use_registry):
    return use_registry(artifex_models=[entry("net", "Net", "NetConfig"), entry("gone", "Gone", "GoneConfig")])


def test_the_configs_type_finds_the_model(nets):
    made = create_model(NetConfig(width=3), rngs=nnx.Rngs(0))
    assert isinstance(made, Net)
    assert made.config == NetConfig(width=3)
    assert model_class(NetConfig()) is Net


def test_the_same_seed_gives_the_same_model(nets):
    kernels = [create_model(NetConfig(), rngs=nnx.Rngs(seed)).layer.kernel[...] for seed in (0, 0, 1)]
    assert jnp.array_equal(kernels[0], kernels[1])
    assert not jnp.array_equal(kernels[0], kernels[2])


@pytest.mark.parametrize("given", [NetConfig, {"width": 3}, "net", None])
def test_only_a_config_will_do(nets, given):
    with pytest.raises(InvalidTypeError, match=r"create_model takes a model's config"):
        create_model(given, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("rngs", [0, None, jnp.zeros(2)])
def test_only_rngs_will_do(nets, rngs):
    with pytest.raises(InvalidTypeError, match=r"takes rngs=nnx.Rngs\(seed\), got"):
        create_model(NetConfig(), rngs=rngs)


def test_a_config_of_nobodys_names_the_hook(nets):
    with pytest.raises(UnknownNameError, match=r"DeepNetConfig; register one through the hook artifex_models\(\)"):
        create_model(DeepNetConfig(), rngs=nnx.Rngs(0))


def test_a_config_of_two_models_is_no_choice(use_registry):
    use_registry(artifex_models=[entry("a", "Net", "NetConfig"), entry("b", "Net", "NetConfig")])
    with pytest.raises(PluginConflictError, match=r"NetConfig is the config of a and b"):
        create_model(NetConfig(), rngs=nnx.Rngs(0))
