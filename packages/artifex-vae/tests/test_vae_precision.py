"""One condition for a whole batch; parameters in double precision."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core import create_model
from artifex.vae import ConditionalVAEConfig, DecoderConfig, EncoderConfig, KLAutoencoderConfig, VAEConfig, VQVAEConfig

X = np.random.default_rng(0).uniform(size=(4, 6)).astype(np.float32)
NETWORKS: dict[str, Any] = {
    "encoder": EncoderConfig(hidden_dims=(4,), input_shape=(6,)),
    "decoder": DecoderConfig(hidden_dims=(4,)),
    "latent_dim": 2,
}
SMALL: dict[str, Any] = {"input_shape": (4, 4, 1), "hidden_dims": (4,)}


@pytest.mark.parametrize(
    ("field", "one", "each"),
    [("condition_dim", np.float32([[0.5, -1.0, 2.0]]), (4, 3)), ("n_classes", np.array([2]), (4,))],
)
def test_one_condition_serves_a_whole_batch(field: str, one: np.ndarray, each: tuple[int, ...]):
    model = create_model(ConditionalVAEConfig(**NETWORKS, **{field: 3}), rngs=nnx.Rngs(0))

    def densities(condition: Any) -> jax.Array:
        return model.log_prob(X, condition=condition, num_samples=3, rngs=nnx.Rngs(1))

    for given in (one, jnp.asarray(one)):
        assert_allclose(densities(given), densities(np.broadcast_to(one, each)), rtol=1e-5)
    assert model.generate(5, condition=one).shape == (5, 6)


@pytest.mark.parametrize(("kind", "fields"), [(VAEConfig, NETWORKS), (VQVAEConfig, SMALL), (KLAutoencoderConfig, SMALL)])
def test_parameters_in_double_precision_take_its_being_enabled(kind: type, fields: dict[str, Any]):
    with pytest.raises(ValueError, match="jax_enable_x64"):
        kind(**fields, param_dtype="float64")
    with jax.enable_x64(True):
        model = create_model(kind(**fields, param_dtype="float64"), rngs=nnx.Rngs(0))
        assert {p.dtype for p in jax.tree.leaves(nnx.state(model, nnx.Param))} == {jnp.dtype("float64")}
        assert model.reconstruct(jnp.ones((2, *fields.get("input_shape", (6,))))).dtype == jnp.float64
