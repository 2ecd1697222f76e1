"""The configs: documented forms, the older short form, what is taken from whom, every error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artifex.vae import BetaVAEConfig, CapacityConfig, DecoderConfig, EncoderConfig, GaussianConfig, VAEConfig

DOCUMENTED = VAEConfig(
    name="vae",
    encoder=EncoderConfig(name="encoder", input_shape=(28, 28, 1), latent_dim=16, hidden_dims=(32, 64), activation="relu"),
    decoder=DecoderConfig(name="decoder", latent_dim=16, output_shape=(28, 28, 1), hidden_dims=(64, 32), activation="relu"),
    encoder_type="conv",
    kl_weight=0.5,
    metadata={"purpose": "test"},
)


def short(encoder: dict[str, Any] | None = None, decoder: dict[str, Any] | None = None, **fields: Any) -> VAEConfig:
    encoder = {"hidden_dims": [32, 64], "latent_dim": 16} | (encoder or {})
    decoder = {"hidden_dims": [64, 32], "output_dim": (28, 28, 1)} | (decoder or {})
    return VAEConfig(encoder=EncoderConfig(**encoder), decoder=DecoderConfig(**decoder), **fields)


CONFIGS = {
    "documented": DOCUMENTED,
    "short": short(latent_dim=16),
    "resnet": short({"blocks_per_level": 1}, {"blocks_per_level": 3}, encoder_type="resnet"),
    "gaussian": short(likelihood=GaussianConfig(noise_scale=0.1)),
    "beta": BetaVAEConfig(encoder=DOCUMENTED.encoder, decoder=DOCUMENTED.decoder, beta=2.0),
    "capacity": BetaVAEConfig(encoder=DOCUMENTED.encoder, decoder=DOCUMENTED.decoder, capacity=CapacityConfig(nats=5.0)),
}


@pytest.mark.parametrize("made", CONFIGS.values(), ids=CONFIGS)
def test_round_trips(made: VAEConfig):
    kind = type(made)
    assert kind.from_yaml(made.to_yaml()) == made
    assert kind.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert hash(kind.from_dict(made.to_dict())) == hash(made)


def test_documented_fields_are_kept():
    assert (DOCUMENTED.name, DOCUMENTED.encoder.name, DOCUMENTED.decoder.name) == ("vae", "encoder", "decoder")
    assert DOCUMENTED.metadata == {"purpose": "test"}
    assert DOCUMENTED.kl_weight == 0.5


def test_short_form_equals_the_full_one():
    full = VAEConfig(
        encoder=EncoderConfig(input_shape=(28, 28, 1), latent_dim=16, hidden_dims=(32, 64)),
        decoder=DecoderConfig(latent_dim=16, output_shape=(28, 28, 1), hidden_dims=(64, 32)),
        latent_dim=16,
    )
    assert short() == short(latent_dim=16) == full
    assert hash(short()) == hash(full)


@pytest.mark.parametrize(
    ("encoder", "decoder", "vae"),
    [({"latent_dim": 3}, {}, {}), ({"latent_dim": None}, {"latent_dim": 3}, {}), ({"latent_dim": None}, {}, {"latent_dim": 3})],
)
def test_latent_dim_may_stand_anywhere(encoder: dict, decoder: dict, vae: dict):
    made = short(encoder, decoder, **vae)
    assert made.latent_dim == made.encoder.latent_dim == made.decoder.latent_dim == 3


def test_a_likelihood_may_be_named():
    assert short(likelihood="gaussian") == short(likelihood={"kind": "gaussian"}) == short(likelihood=GaussianConfig())
    assert short(likelihood={"kind": "gaussian", "noise_scale": "predicted"}).likelihood.noise_scale == "predicted"
    assert short(likelihood="gaussian") != short()


def test_beta_is_four_unless_a_capacity_takes_its_place():
    parts = {"encoder": DOCUMENTED.encoder, "decoder": DOCUMENTED.decoder}
    assert BetaVAEConfig(**parts).beta == 4.0
    made = BetaVAEConfig(**parts, capacity={"nats": 10})
    assert (made.beta, made.capacity) == (None, CapacityConfig(nats=10.0, steps=100_000, gamma=1000.0))


def test_schema_describes_every_field():
    schema = BetaVAEConfig.json_schema()
    objects = [schema, *schema["$defs"].values()]
    own = [
        (name, field)
        for described in objects
        for name, field in described["properties"].items()
        if name not in {"name", "description", "tags", "metadata"}
    ]
    assert len(own) > 15
    assert [name for name, field in own if "description" not in field] == []
    assert schema["properties"]["likelihood"]["properties"]["kind"]["enum"] >= ["bernoulli", "discretized_logistic", "gaussian"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: short(decoder={"latent_dim": 8}),
            r"encoder\.latent_dim is 16, decoder\.latent_dim is 8; these have to be equal: mend one, or leave",
        ),
        (lambda: short(latent_dim=8), r"latent_dim is 8, encoder\.latent_dim is 16"),
        (lambda: short(dtype="float16"), r"dtype\n.*'float32' or 'bfloat16'"),
        (lambda: short(param_dtype="float16"), r"param_dtype\n.*'float32', 'bfloat16' or 'float64'"),
        (
            lambda: short({"input_shape": (32, 32, 1)}),
            r"encoder\.input_shape is \(32, 32, 1\), decoder\.output_shape is \(28, 28, 1\)",
        ),
        (
            lambda: short({"latent_dim": None}),
            r"nobody knows latent_dim or encoder\.latent_dim or decoder\.latent_dim; give one of them",
        ),
        (lambda: short(decoder={"output_dim": None}), r"nobody knows encoder\.input_shape or decoder\.output_shape"),
        (lambda: short(decoder={"output_dim": (9,)}, encoder_type="conv"), r"\(height, width, channels\).*\(9,\); use 'dense'"),
        (lambda: short({"hidden_dims": ()}, encoder_type="conv"), r"needs an entry in encoder\.hidden_dims"),
        (lambda: short({"hidden_dims": ()}, encoder_type="resnet"), r"'resnet' needs an entry in encoder\.hidden_dims"),
        (lambda: short(decoder={"output_dim": (9,)}, encoder_type="resnet"), r"'resnet' takes images.*use 'dense'"),
        (
            lambda: short({"blocks_per_level": 1}, encoder_type="conv"),
            r"encoder\.blocks_per_level is 1, but encoder_type 'conv' has no residual blocks; leave it out, or use 'resnet'",
        ),
        (lambda: short(decoder={"blocks_per_level": 2}), r"decoder\.blocks_per_level is 2, but encoder_type 'dense'"),
        (lambda: short({"blocks_per_level": 0}, encoder_type="resnet"), "greater than 0"),
        (lambda: short({"activation": "rellu"}), "rellu.*'relu'"),
        (lambda: short(decoder={"activation": "rellu"}), "rellu.*'relu'"),
        (lambda: short({"latent_dmi": 3}), "did you mean 'latent_dim'"),
        (lambda: short({"hidden_dims": [0]}), "greater than 0"),
        (lambda: EncoderConfig(input_shape=(), hidden_dims=()), "at least 1"),
        (lambda: short(encoder_type="convolutional"), "'dense', 'conv' or 'resnet'"),
        (lambda: short(kl_weight=-1.0), "greater than or equal to 0"),
        (lambda: short(dtype="int8"), "bfloat16"),
        (lambda: short(likelihood="gausian"), "gausian.*did you mean 'gaussian'"),
        (lambda: short(likelihood={"kind": "gaussian", "noise": 1}), "no such field in GaussianConfig"),
        (lambda: BetaVAEConfig(encoder=DOCUMENTED.encoder, decoder=DOCUMENTED.decoder, kl_weight=2.0), "leave kl_weight out"),
        (
            lambda: BetaVAEConfig(encoder=DOCUMENTED.encoder, decoder=DOCUMENTED.decoder, beta=2.0, capacity=CapacityConfig()),
            "leave one out",
        ),
    ],
)
def test_errors_say_what_is_wrong(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()
