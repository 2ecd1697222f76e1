r"""Continuous normalizing flows.

Chen et al. 2018, "Neural ordinary differential equations" (arXiv:1806.07366); Grathwohl et al. 2019, "FFJORD: free-form
continuous dynamics for scalable reversible generative models" (arXiv:1810.01367):

    dx/dt = v(x, t; condition),   x(0) = z ~ p_base,   x(1) = x                    base at t = 0, data at t = 1
    log p(x) = log p_base(z) - int_0^1 tr(dv/dx) dt                                along the path that ends in x

The network ``v`` may be any: no structure makes it invertible, the differential equation does
(:mod:`artifex.flow.bijections.ode`). Training follows the equation at every step; what does without is
:mod:`artifex.flow.flow_matching`. Weights on the energies of the path keep it straight, and so quick to solve: Finlay et al.
2020, "How to train your neural ODE" (arXiv:2002.02798).

Shapes: ``B = batch, D = elements, C = width of the condition, N = draws``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.core.nn import MLP, activation as activation_named
from artifex.core.protocols import Batch
from artifex.flow.bijections.bijection import Condition, Transformed
from artifex.flow.bijections.ode import NeuralODE, ODESolverConfig
from artifex.flow.flow import Flow, FlowConfig, PositiveInt
from artifex.flow.layers import start_near_identity

__all__ = ["ContinuousFlow", "ContinuousFlowConfig", "ODEFlow", "ODEFlowConfig", "VelocityNetwork"]

Weight = Annotated[float, Field(ge=0)]


@config
class ODEFlowConfig(FlowConfig):
    """What the flows along a differential equation share."""

    hidden_dims: tuple[PositiveInt, ...] = (64, 64, 64)
    """Widths of the hidden layers of the velocity network."""
    activation: str = "silu"
    """Name of the nonlinearity. A smooth one: the solver's steps are short where derivatives jump."""
    solver: ODESolverConfig = ODESolverConfig()
    """How the equation is solved."""
    trace: Literal["exact", "rademacher", "normal"] = "exact"
    """Trace of the Jacobian: exact, at the cost of one derivative for each element; or Hutchinson's estimate, at the cost of
    one, with noise of either distribution. Densities are random then, their logarithms unbiased."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built


@config
class ContinuousFlowConfig(ODEFlowConfig):
    """A continuous normalizing flow.

    Example:
        >>> ContinuousFlowConfig(input_dim=2, solver={"rtol": 1e-3, "atol": 1e-3}).solver.method
        'tsit5'
    """

    kinetic_weight: Weight = 0.0
    """Weight of ``int |v|^2 dt`` in the loss."""
    jacobian_weight: Weight = 0.0
    """Weight of ``int |dv/dx|_F^2 dt`` in the loss."""


class VelocityNetwork(nnx.Module):
    """``v(x, t; condition)``: a multilayer perceptron of ``x``, ``cos(pi t)`` and the condition; small at first.

    Args:
        features: ``D``.
        hidden_dims: width of each hidden layer.
        n_condition: ``C``; 0 for none.
        activation: a name that :func:`artifex.core.nn.activation` knows.
        dtype: computes in this type; None means the common type of input and parameters.
        param_dtype: type of the parameters.
        rngs: stream ``params`` initialises.

    Example:
        >>> network = VelocityNetwork(3, (16,), rngs=nnx.Rngs(0))
        >>> network(jnp.zeros((4, 3)), jnp.linspace(0.0, 1.0, 4)).shape
        (4, 3)
    """

    def __init__(
        self,
        features: int,
        hidden_dims: Sequence[int],
        *,
        n_condition: int = 0,
        activation: str = "silu",
        dtype: DTypeLike | None = None,
        param_dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        kinds: dict[str, Any] = {"activation": activation, "dtype": dtype, "param_dtype": param_dtype}
        self.network = MLP(features + 1 + n_condition, hidden_dims, features, **kinds, rngs=rngs)
        start_near_identity(self.network.layers[-1])

    def __call__(self, x: Float[Array, "B D"], t: Float[Array, "B"], condition: Condition = None) -> Float[Array, "B D"]:
        seen = [x, jnp.cos(jnp.pi * t)[:, None], *([] if condition is None else [condition])]
        return self.network(jnp.concatenate([part.astype(x.dtype) for part in seen], axis=-1)).astype(x.dtype)


class ODEFlow(Flow):
    """A flow along ``dx/dt = v(x, t)``, the base at ``t = 0`` and the data at ``t = 1``; how it is trained, subclasses say.

    Where the config's ``trace`` is an estimate, every density draws its noise from ``rngs``, or from the model's own streams.

    Args:
        config: of the model.
        rngs: random streams, as for every :class:`Flow`.
    """

    bijection: NeuralODE

    def __init__(self, config: ODEFlowConfig, *, rngs: nnx.Rngs):
        velocity = VelocityNetwork(
            config.input_dim,
            config.hidden_dims,
            n_condition=config.condition_dim or 0,
            activation=config.activation,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        self.trace = config.trace
        super().__init__(config, NeuralODE(velocity, config.solver), rngs=rngs)

    def log_prob(
        self, x: Float[Array, "B D"], *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B"]:
        """``log p(x) = log p_base(x(0)) - int_0^1 tr(dv/dx) dt``, nats; exact up to the solver's tolerances and the trace.

        The examples of a batch share the solver's steps: one that is not finite leaves no numbers for the others.
        """
        return self._log_prob(x, condition=condition, key=self._trace_key(rngs))

    def forward(self, x: Float[Array, "B D"], *, condition: Condition = None, rngs: nnx.Rngs | None = None) -> Transformed:
        """``z = x(0)`` and ``log |det dz/dx|``: from data to base."""
        return self._forward(x, condition=condition, key=self._trace_key(rngs))

    def inverse(self, z: Float[Array, "B D"], *, condition: Condition = None, rngs: nnx.Rngs | None = None) -> Transformed:
        """``x = x(1)`` and ``log |det dx/dz|``: from base to data."""
        return self._inverse(z, condition=condition, key=self._trace_key(rngs))

    @compiled_method(static=("n_samples",))
    def sample(self, n_samples: int = 1, *, condition: Condition = None, rngs: nnx.Rngs | None = None) -> Float[Array, "N D"]:
        """``z ~ p_base``, followed to ``t = 1``; no trace is taken.

        Args:
            n_samples: how many.
            condition: one row for each sample ``(N, C)``, or one for all ``(1, C)``.
            rngs: stream ``sample``; the model's own by default.
        """
        return self.bijection.transport(*self._drawn(n_samples, condition, rngs))

    @compiled_method(static=("n_samples",))
    def _sampled(
        self, n_samples: int, *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "N D"], Float[Array, "N"]]:
        z, condition = self._drawn(n_samples, condition, rngs)
        x, log_det = self.bijection.inverse(z, condition, self._noise(self._trace_key(rngs), z))
        return x, self.base.log_prob(z) - log_det

    @compiled_method()
    def _log_prob(self, x: Array, *, condition: Condition, key: Array | None) -> Array:
        x, condition = self._checked(x, condition, "x")
        z, log_det = self.bijection.forward(x, condition, self._noise(key, x))
        return self.base.log_prob(z) + log_det

    @compiled_method()
    def _forward(self, x: Array, *, condition: Condition, key: Array | None) -> Transformed:
        x, condition = self._checked(x, condition, "x")
        return self.bijection.forward(x, condition, self._noise(key, x))

    @compiled_method()
    def _inverse(self, z: Array, *, condition: Condition, key: Array | None) -> Transformed:
        z, condition = self._checked(z, condition, "z")
        return self.bijection.inverse(z, condition, self._noise(key, z))

    def _trace_key(self, rngs: nnx.Rngs | None) -> Array | None:
        """A key for the noise of the trace, where it is an estimate."""
        return None if self.trace == "exact" else draw_key(self, rngs)

    def _noise(self, key: Array | None, x: Array) -> Array | None:
        if key is None:
            return None
        draw = {"rademacher": jax.random.rademacher, "normal": jax.random.normal}[self.trace]
        return draw(key, x.shape, jnp.promote_types(x.dtype, jnp.float32))


class ContinuousFlow(ODEFlow):
    """A continuous normalizing flow, trained by maximum likelihood.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`ContinuousFlowConfig`.

    Example:
        >>> model = ContinuousFlow(ContinuousFlowConfig(input_dim=2), rngs=nnx.Rngs(0))
        >>> model.log_prob(jnp.zeros((3, 2))).shape, model.sample(5).shape
        ((3,), (5, 2))
    """

    config: ContinuousFlowConfig

    def __init__(self, config: ContinuousFlowConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, ContinuousFlowConfig):
            raise InvalidTypeError(f"ContinuousFlow takes a ContinuousFlowConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)

    def __call__(
        self, x: Float[Array, "B D"], *, condition: Condition = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """Density of a batch.

        Args:
            x: ``(B, D)``.
            condition: ``(B, C)`` for a conditional flow.
            rngs: stream ``sample`` draws the noise of a trace that is estimated.

        Returns:
            ``log_prob`` ``(B,)``, nats; ``z`` ``(B, D)``; ``log_det`` ``(B,)``; ``kinetic`` ``(B,)``, ``int |v|^2 dt``;
            ``jacobian`` ``(B,)``, ``int |dv/dx|_F^2 dt``.

        Raises:
            InvalidInputError: ``x`` or ``condition`` does not fit the model.
        """
        x, condition = self._checked(x, condition, "x")
        z, log_det, kinetic, jacobian = self.bijection.path(x, condition, self._noise(self._trace_key(rngs), x))
        log_prob = self.base.log_prob(z) + log_det
        return {"log_prob": log_prob, "z": z, "log_det": log_det, "kinetic": kinetic, "jacobian": jacobian}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean_B [-log p(x) + a int |v|^2 dt + b int |dv/dx|_F^2 dt]``, with the config's weights ``a`` and ``b``.

        Finlay et al. 2020 (arXiv:2002.02798), equation 12.

        Returns:
            ``loss``; ``bits_per_dimension`` of the density alone; ``kinetic`` and ``jacobian``, the mean energies.
        """
        terms = super().loss_fn(batch, outputs)
        kinetic, jacobian = jnp.mean(outputs["kinetic"]), jnp.mean(outputs["jacobian"])
        energy = self.config.kinetic_weight * kinetic + self.config.jacobian_weight * jacobian
        return {**terms, "loss": terms["loss"] + energy, "kinetic": kinetic, "jacobian": jacobian}
