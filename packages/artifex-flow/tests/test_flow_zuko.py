"""Weights carried over from zuko give zuko's density.

Each test runs twice: on the arrays that `frozen_zuko.py` froze and, in the `reference` session, on zuko itself.

Rounding: in float64 the two differ in the last digits only. In float32 three layers of two matrix products each, with
derivatives of splines up to some tens, lose about two of seven digits; log densities reach 100 nats.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core import create_model
from artifex.core.errors import InvalidInputError
from artifex.flow import Flow, MAFConfig, NeuralSplineFlowConfig
from artifex.flow.zuko import MAF_FIELDS, NSF_FIELDS, load_zuko

TESTS = Path(__file__).parent
NAMES = ("maf", "maf_random", "maf_conditional", "nsf", "nsf_random_conditional")
Arrays = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["frozen", pytest.param("live", marks=pytest.mark.reference)])
def case(request: pytest.FixtureRequest, name: str) -> Arrays:
    if request.param == "live":
        return runpy.run_path(str(TESTS / "frozen_zuko.py"))["case"](name)
    with np.load(TESTS / "frozen_zuko.npz") as frozen:
        return {key.removeprefix(f"{name}/"): frozen[key] for key in frozen.files if key.startswith(f"{name}/")}


def loaded(name: str, case: Arrays, dtype: str) -> tuple[Flow, dict[str, jax.Array]]:
    """Our model with zuko's weights, and the condition, if it takes one."""
    state = {key.removeprefix("state/"): value for key, value in case.items() if key.startswith("state/")}
    sizes = {
        "input_dim": 4,
        "num_transforms": 3,
        "hidden_dims": (9, 7),
        "ordering": [state[f"transform.transforms.{i}.order"].tolist() for i in range(3)]
        if "random" in name
        else "alternating",
        "condition_dim": 2 if "conditional" in name else None,
    }
    bins = 8 if "conditional" in name else 5
    config = MAFConfig(**sizes, **MAF_FIELDS) if "maf" in name else NeuralSplineFlowConfig(**sizes, **NSF_FIELDS, bins=bins)
    model = create_model(config, rngs=nnx.Rngs(0))
    graph, variables = nnx.split(model)
    cast = jax.tree.map(lambda v: v.astype(dtype) if jnp.issubdtype(v.dtype, jnp.floating) else v, variables)
    model = nnx.merge(graph, cast)
    load_zuko(model, state)
    return model, {"condition": jnp.asarray(case["condition"], dtype)} if "conditional" in name else {}


@pytest.mark.daily(
    "frozen-maf_random-float64-1e-11", "frozen-nsf_random_conditional-float64-1e-11", "frozen-maf-float32-0.0002"
)
@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [(name, "float64", 1e-11) for name in NAMES]
    + [pytest.param(n, "float32", 2e-4, marks=[] if n in ("maf", "nsf") else pytest.mark.nightly) for n in NAMES],
)
def test_the_density_is_zukos(name: str, case: Arrays, dtype: str, tolerance: float) -> None:
    model, condition = loaded(name, case, dtype)
    x = jnp.asarray(case["x"], dtype)

    @jax.jit
    def run(x: jax.Array, condition: dict[str, jax.Array]) -> tuple[jax.Array, ...]:
        z, _ = model.forward(x, **condition)
        return z, model.log_prob(x, **condition), model.inverse(z, **condition)[0]

    z, log_prob, back = run(x, condition)
    assert log_prob.dtype == dtype
    np.testing.assert_allclose(z, case["z"], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(log_prob, case["log_prob"], rtol=tolerance, atol=tolerance)
    error = np.abs(np.asarray(back) - x)
    assert np.all(error < 10 * tolerance + lost_by_rounding(name, case, dtype)), error.max()


def lost_by_rounding(name: str, case: Arrays, dtype: str) -> np.ndarray:
    """How far off ``x`` comes back, all in float64, if ``z`` alone is rounded: up to 1.6e-3 where the flow is flat."""
    model, condition = loaded(name, case, "float64")
    x = jnp.asarray(case["x"], dtype).astype("float64")

    @jax.jit
    def there_and_back(x: jax.Array, condition: dict[str, jax.Array]) -> jax.Array:
        z, _ = model.forward(x, **condition)
        return model.inverse(z.astype(dtype).astype("float64"), **condition)[0]

    return np.abs(np.asarray(there_and_back(x, condition)) - x)


@pytest.mark.parametrize("name", ["maf_random"])
def test_weights_of_another_make_are_refused_and_change_nothing(name: str, case: Arrays) -> None:
    state = {key.removeprefix("state/"): value for key, value in case.items() if key.startswith("state/")}
    sizes = {"input_dim": 4, "num_transforms": 3, "hidden_dims": (9, 7), **MAF_FIELDS}
    splines = {name: value for name, value in sizes.items() if name not in MAF_FIELDS} | NSF_FIELDS
    orders = [state[f"transform.transforms.{i}.order"].tolist() for i in range(3)]
    wrong = [
        (MAFConfig(**sizes), "set the config's ordering"),
        (MAFConfig(**sizes | {"num_transforms": 2}), "make num_transforms equal"),
        (MAFConfig(**sizes | {"hidden_dims": (9, 8)}, ordering=orders), "has shape"),
        (NeuralSplineFlowConfig(**splines, ordering=orders), "has shape"),
        (NeuralSplineFlowConfig(**splines | {"bound": 3.0}, ordering=orders), "the config has bound=3.0, a flow of zuko"),
        (MAFConfig(**sizes | {"reach": 5.0}, ordering=orders), "the config has reach=5.0, a flow of zuko"),
        (MAFConfig(**sizes | {"hidden_dims": (9, 7, 5)}, ordering=orders), "has shape"),
    ]
    for config, said in wrong:
        model = create_model(config, rngs=nnx.Rngs(0))
        before = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        with pytest.raises(InvalidInputError, match=said):
            load_zuko(model, state)
        jax.tree.map(np.testing.assert_array_equal, before, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
