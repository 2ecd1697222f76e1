r"""The restricted Boltzmann machine.

Smolensky 1986; Hinton 2002, "Training products of experts by minimizing contrastive divergence". With binary hidden units:

    binary visible units      E(v, h) = -b.v - c.h - v.W h              F(v) = -b.v - sum_j log(1 + exp(c_j + (v W)_j))
    Gaussian visible units    E(v, h) = |v - b|^2 / 2 s^2 - c.h - v.W h / s     (Welling et al. 2005; Krizhevsky 2009)

    p(h_j = 1 | v) = sigmoid(c_j + (v W)_j),   p(v_i = 1 | h) = sigmoid(b_i + (W h)_i)   or   v | h ~ N(b + s W h, s^2)
    gradient of -log p(v) = grad F(v) - E_p[grad F(v~)],   v~ by k steps of Gibbs from the data or from a buffer

Shapes: ``N = examples, V = visible units, H = hidden units, ... = one example``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.objectives import Losses, Objective
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange
from artifex.ebm import losses
from artifex.ebm.buffer import SampleBuffer, SampleBufferConfig
from artifex.ebm.ebm import contrastive_step
from artifex.ebm.energies import PositiveInt
from artifex.ebm.layers import checked
from artifex.ebm.mcmc import PositiveFloat
from artifex.ebm.partition import LogPartition, check_estimate, estimate
from artifex.ebm.references import summed
from artifex.ebm.samplers.block_gibbs import gibbs
from artifex.ebm.samplers.chain import Chains, gradient

__all__ = ["RBM", "RBMConfig"]

LARGEST_SUM = 20
"""Hidden units up to which ``Z`` is a sum over all their states."""


@config
class RBMConfig(Config):
    """A restricted Boltzmann machine.

    Example:
        >>> RBMConfig(input_shape=(8, 8, 1), n_hidden=64).n_visible
        64
    """

    input_dim: PositiveInt | None = None
    """Visible units; or give ``input_shape``."""
    input_shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    """Shape of an example, every element of which is a visible unit."""
    n_hidden: PositiveInt
    """Hidden units."""
    visible_units: Literal["binary", "gaussian"] = "binary"
    """What an example is made of: zeros and ones (or probabilities of a one), or real numbers."""
    visible_scale: PositiveFloat | None = None
    """Gaussian units: their standard deviation given the hidden ones, ``s``; None takes 1."""
    n_gibbs: PositiveInt = 1
    """``k``: Gibbs steps of a training step."""
    n_generation_steps: PositiveInt = 1000
    """Gibbs steps of samples."""
    sample_buffer: SampleBufferConfig | None = None
    """Chains that go on from step to step (persistent contrastive divergence). None: from the data."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in; `float64` where JAX's double precision is enabled."""

    def __post_init__(self) -> None:
        if (self.input_dim is None) == (self.input_shape is None):
            raise ValueError(
                f"input_dim is {self.input_dim} and input_shape {self.input_shape}; give one of them, the shape of an example"
            )
        if self.visible_scale is not None and self.visible_units == "binary":
            raise ValueError(
                f"visible_scale is {self.visible_scale}, but binary units have none; leave it out, or use visible_units "
                "'gaussian'"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.input_shape if self.input_shape is not None else (self.input_dim or 0,)

    @property
    def n_visible(self) -> int:
        """``V``."""
        return math.prod(self.shape)

    @property
    def scale(self) -> float:
        """``s`` of Gaussian units; 1 of binary ones, where it means nothing."""
        return self.visible_scale or 1.0


class RBM(nnx.Module):
    """A restricted Boltzmann machine.

    Training is by :meth:`objectives`, which also moves the sample buffer: calling the model changes nothing.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs``.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`RBMConfig`.

    Example:
        >>> model = RBM(RBMConfig(input_dim=6, n_hidden=4, n_generation_steps=10), rngs=nnx.Rngs(0))
        >>> x = jnp.ones((3, 6))
        >>> model.energy(x).shape, model.generate(2).shape
        ((3,), (2, 6))
        >>> round(float(model.log_partition()), 1)  # of 2^10 states, almost none of which has an energy yet
        6.9
    """

    given_names: ClassVar[tuple[str, ...]] = ()
    """Arrays of a batch beside ``x`` that the model takes."""

    def __init__(self, config: RBMConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, RBMConfig):
            raise InvalidTypeError(f"RBM takes an RBMConfig, got {type(config).__name__}: {config!r}")
        self.config, self.shape = config, config.shape
        visible, hidden, dtype = config.n_visible, config.n_hidden, config.param_dtype
        weights = 0.01 * jax.random.normal(rngs.params(), (visible, hidden), dtype)  # Hinton 2010, "A practical guide", 8
        self.weights = nnx.Param(weights, logical_axes=("embed", "mlp"))
        self.visible_bias = nnx.Param(jnp.zeros((visible,), dtype), logical_axes=("embed",))
        self.hidden_bias = nnx.Param(jnp.zeros((hidden,), dtype), logical_axes=("mlp",))
        self.buffer = self._build_buffer(rngs)
        self.rngs = rngs.fork()

    def _build_buffer(self, rngs: nnx.Rngs) -> SampleBuffer | None:
        kept = self.config.sample_buffer
        return None if kept is None else SampleBuffer(kept, self._start(rngs.params(), kept.capacity))

    def _start(self, key: Array, n: int) -> Float[Array, "n ..."]:
        """What chains start from: coins, or normal noise."""
        if self.config.visible_units == "binary":
            return jax.random.bernoulli(key, 0.5, (n, *self.shape)).astype(jnp.float32)
        return self.config.scale * jax.random.normal(key, (n, *self.shape))

    def _flat(self, x: Float[Array, "N ..."]) -> Float[Array, "N V"]:
        x = checked(x, self.shape)
        return jax.lax.collapse(x, 1) if x.ndim > 2 else x

    def _shaped(self, v: Float[Array, "N V"]) -> Float[Array, "N ..."]:
        return v.reshape(v.shape[0], *self.shape)

    def _parameters(self, *, fixed: bool = True) -> tuple[Array, Array, Array]:
        """``W``, ``b``, ``c`` in float32; ``fixed``: no gradient reaches them."""
        found = tuple(
            p[...].astype(jnp.promote_types(p[...].dtype, jnp.float32))
            for p in (self.weights, self.visible_bias, self.hidden_bias)
        )
        weights, visible, hidden = jax.tree.map(jax.lax.stop_gradient, found) if fixed else found
        return weights, visible, hidden

    def _free_energy(self, v: Float[Array, "N V"], *, beta: float | Array = 1.0, fixed: bool = False) -> Float[Array, "N"]:
        """``F(v)``; with ``beta`` below 1 of the machine whose ``W`` and ``b`` and ``c`` are that part of this one's."""
        weights, b, c = self._parameters(fixed=fixed)
        v, scale = v.astype(weights.dtype), self.config.scale
        inner = -jnp.sum(jax.nn.softplus(beta * (c[None] + (v / scale) @ weights)), axis=-1)
        if self.config.visible_units == "binary":
            return inner - beta * (v @ b)
        return inner + 0.5 * summed(jnp.square((v - beta * b[None]) / scale))

    def hidden_probabilities(self, x: Float[Array, "N ..."]) -> Float[Array, "N H"]:
        """``p(h_j = 1 | v)``: features of an example."""
        return jax.nn.sigmoid(self._hidden_logits(self._flat(x), 1.0))

    def _hidden_logits(self, v: Array, beta: float | Array) -> Array:
        weights, _, c = self._parameters()
        return beta * (c[None] + (v.astype(weights.dtype) / self.config.scale) @ weights)

    def _gibbs(self, v: Array, key: Array, n_steps: int, *, beta: float | Array = 1.0, trace: bool = False) -> Chains:
        """Chains of flat states at ``beta``."""
        weights, b, _ = self._parameters()

        def sample_hidden(key: Array, v: Array) -> Array:
            return jax.random.bernoulli(key, jax.nn.sigmoid(self._hidden_logits(v, beta))).astype(weights.dtype)

        def sample_visible(key: Array, h: Array) -> Array:
            field = beta * (h @ weights.T)
            if self.config.visible_units == "binary":
                return jax.random.bernoulli(key, jax.nn.sigmoid(beta * b[None] + field)).astype(weights.dtype)
            noise = jax.random.normal(key, (h.shape[0], weights.shape[0]))
            return beta * b[None] + self.config.scale * (field + noise)

        return gibbs(sample_hidden, sample_visible, v, key, n_steps=n_steps, trace=trace)

    def __call__(self, x: Float[Array, "N ..."], *, rngs: nnx.Rngs | None = None) -> dict[str, Array]:
        """Free energies of ``x``, and of the negatives that ``k`` steps of Gibbs give.

        Args:
            x: ``(N, ...)``.
            rngs: stream ``sample`` draws the chains; the model's own by default.

        Returns:
            ``energy`` and ``negative_energy`` ``(N,)``, ``negatives`` ``(N, ...)``; with a buffer the ``slots`` ``(N,)``.

        Raises:
            InvalidInputError: ``x`` is not a batch of examples of the model's shape, or larger than the sample buffer.
        """
        v, made = self._flat(x), {}
        key, read_key, fresh_key = jax.random.split(draw_key(self, rngs), 3)
        start = v
        if self.buffer is not None:
            made["slots"], held, _ = self.buffer.read(read_key, self._start(fresh_key, v.shape[0]))
            start = self._flat(held)
        negatives = jax.lax.stop_gradient(self._gibbs(start, key, self.config.n_gibbs).x)
        return {
            "energy": self._free_energy(v),
            "negative_energy": self._free_energy(negatives),
            "negatives": self._shaped(negatives),
            **made,
        }

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> Losses:
        """``mean F(v) - mean F(v~)``, whose gradient is contrastive divergence's; and these two."""
        del batch  # the outputs hold all of it
        loss = losses.contrastive_divergence(outputs["energy"], outputs["negative_energy"])
        means = {name: jnp.mean(outputs[name]) for name in ("energy", "negative_energy")}
        return {"loss": loss, **means}

    def remember(self, outputs: Mapping[str, Array]) -> None:
        """Write the negatives of a forward pass into the sample buffer, if there is one: the next batch goes on from them."""
        if self.buffer is not None:
            self.buffer.write(outputs["slots"], outputs["negatives"])

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` in [0, 1] of binary units: ones and zeros, or probabilities of a one.

        See :class:`artifex.core.protocols.DeclaresValues`.
        """
        del batch
        return {"x": Interval(0.0, 1.0, slack=1e-6)} if self.config.visible_units == "binary" else {}

    def objectives(self) -> Sequence[Objective]:
        """One: forward pass, loss, and the buffer moved."""
        return (Objective(contrastive_step),)

    @compiled_method()
    def energy(self, x: Float[Array, "N ..."]) -> Float[Array, "N"]:
        """The free energy ``F(v)``, minus the log probability up to a constant."""
        return self._free_energy(self._flat(x))

    @compiled_method()
    def score(self, x: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        """``-grad F(v)``; of binary units, as if they were real."""
        return -gradient(lambda x: self._free_energy(self._flat(x), fixed=True))(checked(x, self.shape))

    @compiled_method(static=("n_samples", "n_steps"))
    def generate(
        self, n_samples: int = 1, *, n_steps: int | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """Gibbs chains from the sample buffer, or from noise where there is none.

        Args:
            n_samples: how many.
            n_steps: length of the chains; by default the config's.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        start_key, key = jax.random.split(draw_key(self, rngs))
        start = self._start(start_key, n_samples) if self.buffer is None else self.buffer.sample(start_key, n_samples)
        steps = self.config.n_generation_steps if n_steps is None else n_steps
        return self._shaped(self._gibbs(self._flat(start), key, steps).x)

    def log_partition(self) -> Float[Array, ""]:
        """``log Z``, exactly: a sum over all states of the hidden units.

        Raises:
            InvalidInputError: there are more than 20 of them.
        """
        if self.config.n_hidden > LARGEST_SUM:
            raise InvalidInputError(
                f"{self.config.n_hidden} hidden units have too many states to add up, more than 2^{LARGEST_SUM}; "
                "use estimate_log_partition()"
            )
        return self._summed_partition()

    @compiled_method()
    def _summed_partition(self) -> Float[Array, ""]:
        weights, b, c = self._parameters()
        count = self.config.n_hidden
        h = (jnp.arange(2**count)[:, None] >> jnp.arange(count)[None]) & 1
        h = h.astype(weights.dtype)
        field = h @ weights.T
        if self.config.visible_units == "binary":
            visible = summed(jax.nn.softplus(b[None] + field))
        else:  # each an integral of a Gaussian
            scale = self.config.scale
            visible = summed(b[None] * field / scale + 0.5 * jnp.square(field) + math.log(scale * math.sqrt(2 * math.pi)))
        return jax.nn.logsumexp(h @ c + visible)

    @compiled_method(static=("method", "n_particles", "n_levels"))
    def estimate_log_partition(
        self,
        *,
        method: Literal["ais", "smc"] = "ais",
        n_particles: int = 1000,
        n_levels: int | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> LogPartition:
        """``log Z`` by annealed runs from the machine without weights (Salakhutdinov & Murray 2008).

        Args:
            method: annealed importance sampling, or tempered sequential Monte Carlo, which chooses its levels itself.
            n_particles: how many runs.
            n_levels: of annealed importance sampling, 1000 by default.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: levels are given to sequential Monte Carlo, or a number is out of range.
        """
        check_estimate(method, n_particles, n_levels)
        start_key, key = jax.random.split(draw_key(self, rngs))
        x = self._flat(self._start(start_key, n_particles))
        binary, visible, hidden = self.config.visible_units == "binary", self.config.n_visible, self.config.n_hidden
        of_visible = math.log(2) if binary else math.log(self.config.scale * math.sqrt(2 * math.pi))
        log_z0 = visible * of_visible + hidden * math.log(2)

        def log_density(v: Array, beta: Array) -> Array:
            return -self._free_energy(v, beta=beta, fixed=True)

        def transition(key: Array, v: Array, beta: Array) -> Array:
            return self._gibbs(v, key, 1 if method == "ais" else 5, beta=beta).x

        return estimate(method, log_density, transition, x, key, log_z0=log_z0, n_levels=n_levels)
