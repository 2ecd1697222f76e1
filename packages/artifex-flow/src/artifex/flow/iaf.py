r"""The inverse autoregressive flow.

Kingma et al. 2016 (arXiv:1606.04934): a masked autoregressive layer the other way round, ``x_i = exp(a_i) z_i + b_i`` with
``a_i, b_i`` made of ``z_{<i}``. A sample, and its density with it, takes one pass, which suits variational inference; the
density of given data takes one compiled loop over elements.
"""

from __future__ import annotations

from typing import Annotated

from flax import nnx
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.flow.bijections import AffineTransformer, Chain, Inverse
from artifex.flow.flow import Flow
from artifex.flow.maf import AutoregressiveFlowConfig, autoregressive_layers

__all__ = ["IAF", "IAFConfig"]


@config
class IAFConfig(AutoregressiveFlowConfig):
    """An inverse autoregressive flow.

    Example:
        >>> IAFConfig(input_dim=2, num_transforms=3).hidden_dims
        (64, 64)
    """

    min_scale: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Least slope of a layer, from data to base. A smaller one lets the density fall faster, at the cost of the way back."""
    max_scale: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1e3
    """Largest slope of a layer, from data to base."""


class IAF(Flow):
    """An inverse autoregressive flow.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`IAFConfig`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = IAF(IAFConfig(input_dim=2), rngs=nnx.Rngs(0))
        >>> x, log_prob = model.sample_and_log_prob(5)
        >>> bool(jnp.allclose(model.log_prob(x), log_prob, atol=1e-4))
        True
    """

    def __init__(self, config: IAFConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, IAFConfig):
            raise InvalidTypeError(f"IAF takes an IAFConfig, got {type(config).__name__}: {config!r}")
        transformer = AffineTransformer(1 / config.max_scale, 1 / config.min_scale)  # of layers from base to data
        layers = autoregressive_layers(config, transformer, rngs=rngs)
        super().__init__(config, Chain([Inverse(layer) for layer in layers]), rngs=rngs)
