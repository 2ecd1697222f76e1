r"""Energies of vectors, and how they are combined.

    p(x) = exp(-E(x)) / Z,   Z = int exp(-E(x)) dx

An energy network maps ``(N, *shape)`` to ``n_outputs`` numbers for each example: one energy, or one logit a class (JEM). Its
last layer has no bias where it gives a single energy: a constant is no part of a density, and no gradient would reach it.

Sums of energies are products of densities (Hinton 2002, "Training Products of Experts"; Du, Li & Mordatch 2020,
arXiv:2004.06030), soft minima are mixtures:

    product:   E(x) = sum_k w_k E_k(x)                       both concepts at once
    mixture:   E(x) = -log sum_k w_k exp(-E_k(x))            one concept or the other
    negation:  a weight below zero                           not this concept

A stranger's network plugs in as ours do: an :class:`EnergyConfig` of its own, a module built as
``Network(config, shape, n_outputs=..., dtype=..., param_dtype=..., rngs=...)`` and a ``ComponentEntry`` of the slot
``energy_network``.

Shapes: ``N = examples, D = elements of one, ... = one example, K = components, O = outputs``.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import BeforeValidator, Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.errors import InvalidInputError
from artifex.core.nn import activation as activation_named
from artifex.ebm.references import named, summed

__all__ = [
    "EnergyConfig",
    "EnergyField",
    "EnergyNetwork",
    "EnergyNetworkConfig",
    "MixtureEnergy",
    "MixtureEnergyConfig",
    "PositiveInt",
    "ProductOfEnergies",
    "ProductOfEnergiesConfig",
    "QuadraticEnergy",
    "QuadraticEnergyConfig",
    "Renews",
    "create_energy",
    "dense",
    "mixture_energy",
]

PositiveInt = Annotated[int, Field(gt=0)]


@config
class EnergyConfig(Config):
    """Base of the configs that may stand in a field ``energy_network``."""


EnergyField = Annotated[EnergyConfig, Registered("energy_network"), BeforeValidator(named)]
"""A config field that takes an energy's config, a dict with its ``kind``, or just its name."""


def create_energy(
    config: EnergyConfig,
    shape: tuple[int, ...],
    *,
    n_outputs: int = 1,
    dtype: Any = None,
    param_dtype: Any = jnp.float32,
    rngs: nnx.Rngs,
) -> Any:
    """The energy that ``config`` describes, of examples of ``shape``, found by its type among the installed plugins."""
    component = plugins.resolve(plugins.registry().entry_of_config("energy_network", type(config)).component)
    return component(config, shape, n_outputs=n_outputs, dtype=dtype, param_dtype=param_dtype, rngs=rngs)


@runtime_checkable
class Renews(Protocol):
    """A network with variables of its own that a training step moves on: estimates of spectral norms, say."""

    def renew(self) -> None:
        """Move them on, in place, once a step."""
        ...


@config
class EnergyNetworkConfig(EnergyConfig):
    """A multilayer perceptron of the flattened example.

    Example:
        >>> EnergyNetworkConfig(hidden_dims=[32, 32]).activation
        'silu'
    """

    hidden_dims: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 128)
    """Widths of the hidden layers."""
    activation: str = "silu"
    """Name of the nonlinearity. A smooth one: chains follow the energy's gradient, and score matching differentiates it."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built


class EnergyNetwork(nnx.Module):
    """``E(x) = w . h_L``, ``h_i = a(W_i h_{i-1} + b_i)``.

    Example:
        >>> network = EnergyNetwork(EnergyNetworkConfig(hidden_dims=(8,)), (2,), rngs=nnx.Rngs(0))
        >>> network(jnp.zeros((5, 2))).shape
        (5, 1)
    """

    def __init__(
        self,
        config: EnergyNetworkConfig,
        shape: tuple[int, ...],
        *,
        n_outputs: int = 1,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        widths = (math.prod(shape), *config.hidden_dims)
        self.activation = activation_named(config.activation)
        self.layers = nnx.List([dense(i, o, index=at, **kinds) for at, (i, o) in enumerate(pairwise(widths))])
        self.head = dense(widths[-1], n_outputs, index=len(self.layers), use_bias=n_outputs > 1, **kinds)

    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N O"]:
        h = jax.lax.collapse(x, 1) if x.ndim > 2 else x
        for layer in self.layers:
            h = self.activation(layer(h))
        return self.head(h)


def dense(n_in: int, n_out: int, *, index: int, use_bias: bool = True, **kinds: Any) -> nnx.Linear:
    """A linear layer whose logical axes alternate with its place, as in :class:`artifex.core.nn.MLP`."""
    axes = ("embed", "mlp")[:: 1 if index % 2 == 0 else -1]
    return nnx.Linear(
        n_in,
        n_out,
        use_bias=use_bias,
        kernel_init=nnx.with_metadata(nnx.initializers.lecun_normal(), logical_axes=axes),
        bias_init=nnx.with_metadata(nnx.initializers.zeros_init(), logical_axes=axes[1:]),
        **kinds,
    )


@config
class QuadraticEnergyConfig(EnergyConfig):
    """A Gaussian with a mean and a precision that are learned; it starts as round, with a standard deviation of 1."""

    mean_scale: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of the first mean: components of a mixture that start at one place would stay together."""


class QuadraticEnergy(nnx.Module):
    """``E(x) = |A (x - m)|^2 / 2``: the Gaussian ``N(m, (A^T A)^-1)``.

    Example:
        >>> energy = QuadraticEnergy(QuadraticEnergyConfig(), (2,), rngs=nnx.Rngs(0))
        >>> energy(jnp.array([[3.0, 4.0]])).tolist()
        [[12.5]]
    """

    def __init__(
        self,
        config: QuadraticEnergyConfig,
        shape: tuple[int, ...],
        *,
        n_outputs: int = 1,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        _one_output("quadratic", n_outputs)
        size = math.prod(shape)
        self.dtype = dtype
        mean = config.mean_scale * jax.random.normal(rngs.params(), (size,), param_dtype)
        self.mean = nnx.Param(mean, logical_axes=("embed",))
        self.factor = nnx.Param(jnp.eye(size, dtype=param_dtype), logical_axes=("embed", "mlp"))

    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N 1"]:
        flat = jax.lax.collapse(x, 1) if x.ndim > 2 else x
        dtype = jnp.result_type(flat, self.factor[...]) if self.dtype is None else self.dtype
        centred, factor = flat.astype(dtype) - self.mean[...].astype(dtype)[None], self.factor[...].astype(dtype)
        z = jnp.matmul(centred, factor, precision=jax.lax.Precision.HIGHEST)  # an exact energy keeps its digits
        return 0.5 * summed(jnp.square(z))[:, None]

    @property
    def precision(self) -> Float[Array, "D D"]:
        """``A^T A``, the inverse of the covariance."""
        return jnp.matmul(self.factor[...], self.factor[...].T, precision=jax.lax.Precision.HIGHEST)


@config
class _Combination(EnergyConfig):
    components: Annotated[tuple[EnergyField, ...], Field(min_length=1)]
    """The energies."""
    weights: tuple[float, ...] | None = None
    """One for each, which training leaves as it is; None: all 1."""

    def __post_init__(self) -> None:
        if self.weights is not None and len(self.weights) != len(self.components):
            raise ValueError(f"there are {len(self.components)} components and {len(self.weights)} weights; give one for each")


@config
class ProductOfEnergiesConfig(_Combination):
    """A sum of energies, each with its weight; a weight below zero negates a concept."""


@config
class MixtureEnergyConfig(_Combination):
    """A soft minimum of energies, each with its weight."""

    def __post_init__(self) -> None:
        _Combination.__post_init__(self)
        if self.weights is not None and min(self.weights) <= 0:
            raise ValueError(f"weights are {list(self.weights)}; those of a mixture are above zero")


class _Combined(nnx.Module):
    """The components of a product or a mixture."""

    def __init__(
        self,
        config: _Combination,
        shape: tuple[int, ...],
        *,
        n_outputs: int = 1,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        _one_output("combined", n_outputs)
        kinds = {"dtype": dtype, "param_dtype": param_dtype, "rngs": rngs}
        self.components = nnx.List([create_energy(component, shape, **kinds) for component in config.components])
        self.weights = config.weights or (1.0,) * len(self.components)

    def renew(self) -> None:
        """Move on what the components keep beside their parameters (:class:`Renews`)."""
        for component in self.components:
            if isinstance(component, Renews):
                component.renew()

    def energies(self, x: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        """Of each component."""
        parts = [component(x) for component in self.components]
        return jnp.concatenate([part.astype(jnp.promote_types(part.dtype, jnp.float32)) for part in parts], axis=-1)


class ProductOfEnergies(_Combined):
    """``E(x) = sum_k w_k E_k(x)``: a product of densities, which is high where all of them are."""

    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N 1"]:
        return jnp.sum(self.energies(x) * jnp.asarray(self.weights)[None], axis=-1, keepdims=True)


class MixtureEnergy(_Combined):
    """``E(x) = -log sum_k w_k exp(-E_k(x))``: a sum of densities, which is high where any of them is."""

    def __call__(self, x: Float[Array, "N ..."]) -> Float[Array, "N 1"]:
        return mixture_energy(self.energies(x), jnp.asarray(self.weights))[:, None]


def mixture_energy(energies: Float[Array, "N K"], weights: Float[Array, "K"]) -> Float[Array, "N"]:
    """``-log sum_k w_k exp(-E_k)``.

    Example:
        >>> round(float(mixture_energy(jnp.array([[0.0, 0.0]]), jnp.ones(2))[0]), 4)
        -0.6931
    """
    return -jax.nn.logsumexp(jnp.log(weights)[None] - energies, axis=-1)


def _one_output(kind: str, n_outputs: int) -> None:
    if n_outputs != 1:
        raise InvalidInputError(
            f"a {kind} energy gives one number for each example, and {n_outputs} are asked for; "
            "use a network: kind 'mlp', 'conv' or 'resnet'"
        )
