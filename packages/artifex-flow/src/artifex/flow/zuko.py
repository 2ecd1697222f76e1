"""Weights of zuko's flows (https://github.com/probabilists/zuko) in ours: the same density to rounding.

``zuko.flows.MAF`` and ``zuko.flows.NSF`` (autoregressive, without residual blocks) are the same functions as
:class:`artifex.flow.MAF` and :class:`artifex.flow.NeuralSplineFlow`; only the order of a layer's outputs differs. What is
needed is the state dict alone, as arrays: neither PyTorch nor zuko has to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.flow.bijections import Chain, MaskedAutoregressive
from artifex.flow.layers import MaskedMLP
from artifex.flow.maf import MAF
from artifex.flow.neural_spline import NeuralSplineFlow

__all__ = ["MAF_FIELDS", "NSF_FIELDS", "load_zuko"]

MAF_FIELDS: dict[str, float | None] = {"reach": None, "min_scale": 1e-3, "max_scale": 1e3}
"""What the config of a MAF has to say for its layers to be zuko's."""
NSF_FIELDS: dict[str, float | None] = {"reach": None, "bound": 5.0, "min_slope": 1e-3, "max_slope": 1e3}
"""The same of a neural spline flow."""


def load_zuko(model: MAF | NeuralSplineFlow, state: Mapping[str, Any]) -> None:
    """Put the weights of a zuko flow into ``model``, in place.

    Args:
        model: of the same make: as many transforms, the same hidden widths, orderings, condition, bins, and :data:`MAF_FIELDS`
            or :data:`NSF_FIELDS`, which are zuko's: ``MAFConfig(input_dim=4, **MAF_FIELDS)``.
        state: ``flow.state_dict()``, its values anything that NumPy can read (``{k: v.numpy() for k, v in ...}``).

    Raises:
        InvalidInputError: the weights are not those of such a flow; the message says which.

    Example:
        >>> from flax import nnx
        >>> from artifex.flow import MAFConfig
        >>> model = MAF(MAFConfig(input_dim=2, num_transforms=1, hidden_dims=(4,), **MAF_FIELDS), rngs=nnx.Rngs(0))
        >>> one = {"order": [0, 1], "hyper.0.weight": np.ones((4, 2)), "hyper.0.bias": np.ones(4),
        ...        "hyper.2.weight": np.ones((4, 4)), "hyper.2.bias": np.ones(4)}
        >>> load_zuko(model, {f"transform.transforms.0.{name}": value for name, value in one.items()})
        >>> model.forward(jnp.zeros((1, 2)))[0].shape
        (1, 2)
    """
    layers = model.bijection.bijections if isinstance(model.bijection, Chain) else ()
    made = [layer for layer in layers if isinstance(layer, MaskedAutoregressive)]
    if not isinstance(model, MAF | NeuralSplineFlow) or len(made) != len(layers):
        raise InvalidInputError(f"a {type(model).__name__} has no counterpart in zuko; use an autoregressive MAF or NSF")
    fields = MAF_FIELDS if isinstance(model, MAF) else NSF_FIELDS
    wrong = [f"{name}={getattr(model.config, name)}" for name, value in fields.items() if getattr(model.config, name) != value]
    if wrong:
        raise InvalidInputError(f"the config has {', '.join(wrong)}, a flow of zuko {fields}; make them equal")
    found = {int(key.split(".")[2]) for key in state if key.startswith("transform.transforms.")}
    if found != set(range(len(made))):
        raise InvalidInputError(
            f"the state has transforms {sorted(found)}, the model has {len(made)}; make num_transforms equal"
        )
    arrays = {key: np.asarray(value) for key, value in state.items()}
    changes = [_weights(layer.network, arrays, f"transform.transforms.{i}.") for i, layer in enumerate(made)]
    for layer, weights in zip(made, changes, strict=True):  # nothing is changed unless everything fits
        for linear, (kernel, bias) in zip((*layer.network.hidden, layer.network.head), weights, strict=True):
            linear.kernel[...] = jnp.asarray(kernel, linear.kernel[...].dtype)
            assert linear.bias is not None
            linear.bias[...] = jnp.asarray(bias, linear.bias[...].dtype)


def _weights(network: MaskedMLP, arrays: Mapping[str, np.ndarray], prefix: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias of each layer, in our order of outputs."""
    if network.direct is not None:
        raise InvalidInputError(
            f"hidden widths {[len(d) for d in network.degrees[1:]]} are too narrow for {len(network.order)} elements: zuko's "
            "network then leaves dependences out which ours has"
        )
    order = arrays.get(f"{prefix}order")
    if order is None or tuple(order.tolist()) != network.order:
        raise InvalidInputError(
            f"{prefix}order is {order}, the model's {network.order}; set the config's ordering to the state's"
        )
    linears = (*network.hidden, network.head)
    weights = []
    for i, linear in enumerate(linears):
        kernel, bias = (_entry(arrays, f"{prefix}hyper.{2 * i}.{what}") for what in ("weight", "bias"))
        if linear is linears[-1]:  # theirs: an element's outputs side by side; ours: D apart
            rows = np.arange(len(bias)).reshape(len(network.order), -1).T.ravel()
            kernel, bias = kernel[rows], bias[rows] / network.bias_gain
        if kernel.T.shape != linear.kernel.shape:
            raise InvalidInputError(
                f"{prefix}hyper.{2 * i}.weight has shape {kernel.shape}, the model's layer takes {linear.kernel.shape[::-1]}"
            )
        weights.append((kernel.T, bias))
    return weights


def _entry(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise InvalidInputError(f"the state has no {name}; is it that of a MAF or NSF without residual blocks?")
    return arrays[name]
