r"""The map along the solution of an ordinary differential equation, and how its volume changes.

Chen et al. 2018, "Neural ordinary differential equations" (arXiv:1806.07366), theorem 1; Grathwohl et al. 2019, "FFJORD"
(arXiv:1810.01367):

    dx/dt = v(x, t),   base at t = 0, data at t = 1
    d log |det dx(t)/dx(0)| / dt = tr(dv/dx)

``forward``, from data to base, integrates from one to zero: ``log |det df/dx| = -int_0^1 tr(dv/dx) dt``. The trace is exact, at
the cost of ``D`` derivatives a step, or Hutchinson's estimate ``e J e`` with ``E[e e^T] = I``, at the cost of one; its noise
``e`` is held over a solve, so that what is integrated stays a smooth function of time.

On the way two energies are measured, by which the path can be kept straight (Finlay et al. 2020, arXiv:2002.02798):
``int |v|^2 dt`` and ``int |dv/dx|_F^2 dt``.

The batch is solved as one system. The step is as long as the worst example allows, so that each meets the tolerances. An
example that starts with what is no number becomes NaN and has no say in the step.

Shapes: ``B = batch, D = elements, C = width of the condition``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.flow.bijections.bijection import Bijection, Condition, Transformed

__all__ = ["NeuralODE", "ODESolverConfig", "Path", "divergence", "estimated_divergence"]

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]

METHODS = {
    "euler": diffrax.Euler,
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "bosh3": diffrax.Bosh3,
    "tsit5": diffrax.Tsit5,
    "dopri5": diffrax.Dopri5,
    "dopri8": diffrax.Dopri8,
}


@config
class ODESolverConfig(Config):
    """How a differential equation is solved.

    Example:
        >>> ODESolverConfig(method="euler", steps=20).adjoint
        'checkpoint'
    """

    method: Literal["euler", "midpoint", "heun", "bosh3", "tsit5", "dopri5", "dopri8"] = "tsit5"
    """Explicit Runge-Kutta method; orders 1, 2, 2, 3, 5, 5 and 8."""
    rtol: Positive = 1e-5
    """Error that a step may add, relative to the solution; where ``steps`` is given, steps are not chosen by their error."""
    atol: Positive = 1e-5
    """The same in absolute terms; the two allowances add up."""
    steps: Count | None = None
    """So many equal steps; None for as many as the tolerances ask for."""
    max_steps: Count = 4096
    """An adaptive solution that needs more is given up: it becomes NaN."""
    adjoint: Literal["checkpoint", "backsolve"] = "checkpoint"
    """Gradients: of the discrete solution, which is stored in part and redone in part; or by a second equation solved
    backwards, in constant memory, exact up to the tolerances only."""

    def __post_init__(self) -> None:
        if self.method == "euler" and self.steps is None:
            raise ValueError("method 'euler' estimates no error to choose its steps by; give steps, or another method")


class Path(NamedTuple):
    """What is integrated along a path."""

    x: Float[Array, "B D"]
    """Where it has arrived."""
    log_det: Float[Array, "B"]
    """Log determinant of the map up to here, nats."""
    kinetic: Float[Array, "B"]
    """``int |v|^2 dt``."""
    jacobian: Float[Array, "B"]
    """``int |dv/dx|_F^2 dt``; estimated where the trace is."""


class EqualSteps(diffrax.ConstantStepSize):
    """``steps`` of one length. ``diffeqsolve(dt0=...)`` would be that, and ask the host about the sign of the length.

    A program that asks the host cannot be exported.
    """

    steps: int

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        del dt0
        return super().init(terms, t0, t1, y0, (t1 - t0) / self.steps, args, func, error_order)


class NeuralODE(Bijection):
    """``dx/dt = v(x, t)``, from the base at ``t = 0`` to the data at ``t = 1``.

    Args:
        velocity: ``velocity(x, t, condition)`` with ``t`` of shape ``(B,)``, of the shape of ``x``; smooth, or it takes many
            steps.
        solver: how the equation is solved.

    Example:
        >>> class Shrink(nnx.Module):
        ...     def __call__(self, x, t, condition=None):
        ...         return -x
        >>> y, log_det = NeuralODE(Shrink()).inverse(jnp.ones((1, 2)))
        >>> [round(float(value), 3) for value in (*y[0], *log_det)]  # 1/e, 1/e, -2
        [0.368, 0.368, -2.0]
    """

    def __init__(self, velocity: nnx.Module, solver: ODESolverConfig = ODESolverConfig()):  # noqa: B008  # it is frozen
        self.velocity = velocity
        self.solver = solver

    def forward(self, x: Float[Array, "B D"], condition: Condition = None, noise: Array | None = None) -> Transformed:
        """``f(x)`` and ``log |det df/dx|``, estimated if there is ``noise`` of the shape of ``x`` to estimate it with."""
        path = self.path(x, condition, noise)
        return path.x, path.log_det

    def inverse(self, y: Float[Array, "B D"], condition: Condition = None, noise: Array | None = None) -> Transformed:
        """``f^-1(y)`` and ``log |det df^-1/dy|``, estimated if there is ``noise`` of the shape of ``y`` to estimate it with."""
        path = self.path(y, condition, noise, to_data=True)
        return path.x, path.log_det

    def path(
        self, x: Float[Array, "B D"], condition: Condition = None, noise: Array | None = None, *, to_data: bool = False
    ) -> Path:
        """From the data to the base, or back: where it leads, and what was integrated on the way.

        Args:
            x: ``(B, D)``.
            condition: ``(B, C)``.
            noise: ``(B, D)`` of mean zero and covariance one, for Hutchinson's estimate; None for the exact trace.
            to_data: from ``t = 0`` to ``t = 1``.
        """
        zeros = jnp.zeros(x.shape[0], jnp.promote_types(x.dtype, jnp.float32))
        end = self._solved(_path_rates, Path(x, zeros, zeros, zeros), (condition, noise), to_data)
        direction = 1 if to_data else -1  # energies count every path as positive, whichever way it is gone
        return end._replace(kinetic=direction * end.kinetic, jacobian=direction * end.jacobian)

    def transport(self, z: Float[Array, "B D"], condition: Condition = None) -> Float[Array, "B D"]:
        """``f^-1(z)`` alone, without the derivatives that a determinant takes."""
        return self._solved(_rate, z, (condition,), to_data=True)

    def _solved(self, rates: Callable[..., Any], start: Any, given: tuple[Any, ...], to_data: bool) -> Any:
        graph, state = nnx.split(self.velocity)
        finite = _finite_examples((start, given))
        start, given = jax.tree.map(lambda leaf: jnp.where(_along(finite, leaf), leaf, 0), (start, given))
        t = np.array([0.0, 1.0] if to_data else [1.0, 0.0], jnp.promote_types(jax.tree.leaves(start)[0].dtype, jnp.float32))
        solver, n = self.solver, self.solver.steps
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(rates),
            METHODS[solver.method](),
            t0=t[0],
            t1=t[1],
            dt0=None,
            y0=start,
            args=(graph, nnx.as_pure(state), *given),
            stepsize_controller=EqualSteps(n) if n else _controller(solver, _worst_example),
            adjoint=_adjoint(solver),
            max_steps=solver.max_steps if n is None else n + 1,  # one more: the sum of n steps is rounded
            throw=False,  # raising inside a compiled program takes a call back to the host
        )
        reached = solution.result == diffrax.RESULTS.successful
        return jax.tree.map(lambda leaf: jnp.where(reached & _along(finite, leaf[-1]), leaf[-1], jnp.nan), solution.ys)


def divergence(velocity: Callable[[Array], Array], x: Float[Array, "B D"]) -> tuple[Array, Array, Array]:
    """``v``, ``tr(dv/dx)`` and ``|dv/dx|_F^2``, each column of the Jacobian a derivative of its own.

    Args:
        velocity: maps each row of ``x`` by itself.
        x: ``(B, D)``.

    Example:
        >>> _, trace, norm = divergence(lambda x: x @ jnp.array([[1.0, 2.0], [0.0, 3.0]]), jnp.ones((1, 2)))
        >>> float(trace[0]), float(norm[0])
        (4.0, 14.0)
    """
    n = x.shape[-1]
    rate, push = jax.linearize(velocity, x)
    basis = jnp.broadcast_to(jnp.eye(n, dtype=x.dtype)[:, None], (n, *x.shape))
    columns = jax.vmap(push)(basis)  # (D, B, D)
    return rate, jnp.einsum("kbk->b", columns), jnp.sum(jnp.square(columns), axis=(0, 2))


def estimated_divergence(
    velocity: Callable[[Array], Array], x: Float[Array, "B D"], noise: Float[Array, "B D"]
) -> tuple[Array, Array, Array]:
    """``v``, ``e J e`` and ``|J e|^2``: Hutchinson's estimates of trace and squared norm of ``J = dv/dx``, by one derivative.

    Hutchinson 1990; Grathwohl et al. 2019 (arXiv:1810.01367), equation 7.

    Args:
        velocity: maps each row of ``x`` by itself.
        x: ``(B, D)``.
        noise: ``e``, of mean zero and covariance one.
    """
    rate, pushed = jax.jvp(velocity, (x,), (noise,))
    return rate, jnp.sum(noise * pushed, axis=-1), jnp.sum(jnp.square(pushed), axis=-1)


def _path_rates(t: Array, path: Path, given: tuple[Any, ...]) -> Path:
    """Time derivative of a path. A function of the module, and what it works on an argument: it is differentiated by both."""
    *network, noise = given

    def velocity(x: Array) -> Array:
        return _rate(t, x, tuple(network))

    measured = divergence(velocity, path.x) if noise is None else estimated_divergence(velocity, path.x, noise)
    rate, trace, jacobian = measured
    return Path(rate, trace, jnp.sum(jnp.square(rate), axis=-1), jacobian)


def _rate(t: Array, x: Array, given: tuple[Any, ...]) -> Array:
    graph, state, condition = given
    return nnx.merge(graph, state)(x, jnp.full(x.shape[0], t, x.dtype), condition)


def _finite_examples(tree: Any) -> Array:
    """``(B,)``: whether all that belongs to an example is finite."""
    leaves = [jnp.isfinite(leaf) for leaf in jax.tree.leaves(tree)]
    return jnp.stack([jnp.all(leaf, axis=tuple(range(1, leaf.ndim))) for leaf in leaves]).all(axis=0)


def _along(examples: Array, like: Array) -> Array:
    """``(B,)`` to ``(B, 1, ...)``, as many axes as ``like`` has."""
    return examples.reshape(-1, *(1,) * (like.ndim - 1))


def _worst_example(errors: Any) -> Array:
    """The largest root mean square, over the examples, of the errors of ``x`` and of the log determinant if there is one."""
    x, *others = jax.tree.leaves(errors)
    columns = jnp.concatenate([x, *(column[:, None] for column in others[:1])], axis=-1)
    return jnp.max(jnp.sqrt(jnp.mean(jnp.square(columns), axis=-1)))


def _controller(solver: ODESolverConfig, norm: Callable[[Any], Any]) -> diffrax.PIDController:
    return diffrax.PIDController(rtol=solver.rtol, atol=solver.atol, norm=norm)


def _adjoint(solver: ODESolverConfig) -> diffrax.AbstractAdjoint:
    if solver.adjoint == "checkpoint":
        return diffrax.RecursiveCheckpointAdjoint()
    if solver.steps:
        return diffrax.BacksolveAdjoint()
    # the gradient of the parameters is a plain integral, which need not choose the steps: Kidger et al. 2021, arXiv:2009.09457
    return diffrax.BacksolveAdjoint(stepsize_controller=_controller(solver, diffrax.adjoint_rms_seminorm))
