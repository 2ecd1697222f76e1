r"""A flow of ``x`` given an observation ``c``, for amortised inference.

Papamakarios & Murray 2016, "Fast epsilon-free Inference of Simulation Models with Bayesian Conditional Density Estimation"
(arXiv:1605.06376); Greenberg et al. 2019 (arXiv:1905.07488); with an embedding of the observation that is learned along
(Radev et al. 2020, "BayesFlow", arXiv:2003.06281):

    e = h(c)                                                            the embedding: what there is to know of c
    q(x | c) = p_base(f(x; e)) |det df/dx|                              any flow that takes a condition
    least over q:  E_{x ~ p(x), c ~ p(c | x)} [-log q(x | c)]           at q(x | c) = p(x | c), the posterior

trained once on pairs of parameters ``x`` and simulated observations ``c`` (neural posterior estimation), it gives the
posterior of whatever is observed without further simulation.

Shapes: ``B = batch, C = width of the condition, E = of its embedding, M = observations, N = draws, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core import create_model
from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method
from artifex.core.config import Config, Registered, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import MLP, activation as activation_named
from artifex.core.protocols import Batch
from artifex.flow.bijections.bijection import Transformed
from artifex.flow.bijections.standardize import Standardize
from artifex.flow.flow import FlowConfig, PositiveInt, checked

__all__ = ["ConditionEmbeddingConfig", "ConditionalFlow", "ConditionalFlowConfig"]


@config
class ConditionEmbeddingConfig(Config):
    """A multilayer perceptron that sums an observation up."""

    hidden_dims: tuple[PositiveInt, ...] = (64,)
    """Widths of the hidden layers."""
    features: PositiveInt = 16
    """Width of the embedding, ``E``."""
    activation: str = "relu"
    """Name of the nonlinearity."""

    def __post_init__(self) -> None:
        activation_named(self.activation)  # an unknown name is an error here, not when the model is built


@config
class ConditionalFlowConfig(Config):
    """A flow, and what it is conditioned on.

    Example:
        >>> from artifex.flow import MAFConfig
        >>> made = ConditionalFlowConfig(flow=MAFConfig(input_dim=2), condition_dim=100, embedding={"features": 8})
        >>> made.conditioned.condition_dim
        8
    """

    flow: Annotated[FlowConfig, Registered("model")]
    """The flow, or a dict of its `kind` and fields. Its `condition_dim` is filled in: the width of what reaches it."""
    condition_dim: PositiveInt
    """Width of the observation, ``C``."""
    embedding: ConditionEmbeddingConfig | None = None
    """Sums the observation up before it reaches the flow; None to give it as it is."""

    def __post_init__(self) -> None:
        trace = getattr(self.flow, "trace", "exact")
        if trace != "exact":
            raise ValueError(
                f"flow.trace is {trace!r}, a density with noise in it; a posterior's has to be exact: trace='exact'"
            )
        width = self.conditioned.condition_dim
        if self.flow.condition_dim not in (None, width):
            raise ValueError(
                f"flow.condition_dim is {self.flow.condition_dim}, but what reaches the flow is {width} wide; leave it out"
            )

    @property
    def conditioned(self) -> FlowConfig:
        """The flow's config with the width of the condition that reaches it."""
        return self.flow.replace(condition_dim=self.condition_dim if self.embedding is None else self.embedding.features)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return self.flow.shape


class ConditionalFlow(nnx.Module):
    """Any flow, given an observation: ``q(x | c)``, with the methods of a flow, every one of which takes a ``condition``.

    ``x`` and ``c`` are standardised, so that both may have any units; densities are in the units of ``x``. Means and standard
    deviations are those that :meth:`initialize` is given; the trainer gives it the first batch if nobody has.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`ConditionalFlowConfig`.

    Example:
        >>> from artifex.flow import MAFConfig
        >>> config = ConditionalFlowConfig(flow=MAFConfig(input_dim=2), condition_dim=3)
        >>> model = ConditionalFlow(config, rngs=nnx.Rngs(0))
        >>> model.sample(5, condition=jnp.ones((1, 3))).shape  # five of one posterior
        (5, 2)
        >>> model.sample_batched(5, condition=jnp.ones((4, 3))).shape  # five of each of four
        (4, 5, 2)
    """

    def __init__(self, config: ConditionalFlowConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, ConditionalFlowConfig):
            raise InvalidTypeError(f"ConditionalFlow takes a ConditionalFlowConfig, got {type(config).__name__}: {config!r}")
        self.config = config
        self.flow = create_model(config.conditioned, rngs=rngs)
        self.embedding = nnx.data(_embedding(config, rngs=rngs))
        self.standardize_x = Standardize(config.shape)
        self.standardize_condition = Standardize((config.condition_dim,))
        self.was_initialized = nnx.Variable(jnp.zeros((), bool))
        self.rngs = rngs.fork()

    @property
    def initialized(self) -> bool:
        """Whether the standardisations have been set; it is saved with the model."""
        return bool(self.was_initialized[...])

    def initialize(self, batch: Batch, *, rngs: nnx.Rngs | None = None) -> None:
        """Set the standardisations to means and standard deviations of data.

        Args:
            batch: ``x`` ``(B, ...)`` and ``condition`` ``(B, C)``: all training data, or a large batch.
            rngs: nothing is drawn here.

        Raises:
            InvalidInputError: the data do not fit the model, are fewer than two, or not finite.
        """
        del rngs
        x, condition = self._checked(batch["x"], batch.get("condition"), "x")
        self.standardize_x.initialize(x)
        self.standardize_condition.initialize(condition)
        self.was_initialized[...] = jnp.ones((), bool)

    def __call__(
        self, x: Float[Array, "B ..."], *, condition: Float[Array, "B C"] | None = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """What the flow makes of a batch.

        Args:
            x: ``(B, ...)``.
            condition: ``(B, C)``, or one for all ``(1, C)``.
            rngs: of the flow, if it draws.

        Returns:
            The flow's outputs; ``log_prob`` and ``log_det`` ``(B,)``, nats, in the units of ``x``.

        Raises:
            InvalidInputError: ``x`` or ``condition`` does not fit the model, or there is no ``condition``.
        """
        x, condition = self._checked(x, condition, "x")
        x, log_det = self.standardize_x.forward(x)
        outputs = self.flow(x, condition=self._embedded(condition), rngs=rngs)
        in_units = {name: outputs[name] + log_det for name in ("log_prob", "log_det") if name in outputs}
        return {**outputs, **in_units}

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """That of the flow: maximum likelihood of ``x`` given ``c``, for flows trained so."""
        return self.flow.loss_fn({**batch, "x": self.standardize_x.forward(batch["x"])[0]}, outputs)

    @compiled_method()
    def log_prob(self, x: Float[Array, "B ..."], *, condition: Float[Array, "B C"] | None = None) -> Float[Array, "B"]:
        """``log q(x | c)``, nats; ``-inf`` outside the support."""
        x, condition = self._checked(x, condition, "x")
        x, log_det = self.standardize_x.forward(x)
        return self.flow.log_prob(x, condition=self._embedded(condition)) + log_det

    @compiled_method()
    def forward(self, x: Float[Array, "B ..."], *, condition: Float[Array, "B C"] | None = None) -> Transformed:
        """``z = f(x; h(c))`` and ``log |det df/dx|``: from data to base."""
        x, condition = self._checked(x, condition, "x")
        x, log_det = self.standardize_x.forward(x)
        z, flow_log_det = self.flow.forward(x, condition=self._embedded(condition))
        return z, log_det + flow_log_det

    @compiled_method()
    def inverse(self, z: Float[Array, "B ..."], *, condition: Float[Array, "B C"] | None = None) -> Transformed:
        """``x = f^-1(z; h(c))`` and ``log |det df^-1/dz|``: from base to data."""
        z, condition = self._checked(z, condition, "z")
        x, flow_log_det = self.flow.inverse(z, condition=self._embedded(condition))
        x, log_det = self.standardize_x.inverse(x)
        return x, log_det + flow_log_det

    def sample(
        self, n_samples: int = 1, *, condition: Float[Array, "N C"] | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N ..."]:
        """``x ~ q(x | c)``.

        Args:
            n_samples: how many.
            condition: one row for each sample ``(N, C)``, or one for all ``(1, C)``.
            rngs: stream ``sample``; the model's own by default.
        """
        return self.sample_and_log_prob(n_samples, condition=condition, rngs=rngs)[0]

    def generate(
        self, n_samples: int = 1, *, condition: Float[Array, "N C"] | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "N ..."]:
        """The same as :meth:`sample`."""
        return self.sample(n_samples, condition=condition, rngs=rngs)

    def sample_batched(
        self, n_samples: int = 1, *, condition: Float[Array, "M C"], rngs: nnx.Rngs | None = None
    ) -> Float[Array, "M N ..."]:
        """``N`` samples for each of ``M`` observations, in one program; each observation is embedded once.

        Args:
            n_samples: how many of each.
            condition: the observations.
            rngs: stream ``sample``; the model's own by default.
        """
        return self._sample_batched(n_samples, condition=condition, rngs=rngs)

    @compiled_method(static=("n_samples",))
    def sample_and_log_prob(
        self, n_samples: int = 1, *, condition: Float[Array, "N C"] | None = None, rngs: nnx.Rngs | None = None
    ) -> tuple[Float[Array, "N ..."], Float[Array, "N"]]:
        """Samples and their log densities, at the cost of the samples alone."""
        check_at_least(1, n_samples=n_samples)
        one_for_all = condition is not None and jnp.shape(condition)[:1] == (1,)
        n_given = 1 if one_for_all else n_samples
        _, condition = self._checked(jnp.zeros((n_given, *self.config.shape)), condition, "z")
        return self._drawn(n_samples, self._embedded(condition), rngs)

    @compiled_method(static=("n_samples",))
    def _sample_batched(
        self, n_samples: int, *, condition: Float[Array, "M C"], rngs: nnx.Rngs | None = None
    ) -> Float[Array, "M N ..."]:
        check_at_least(1, n_samples=n_samples)
        if jnp.ndim(condition) != 2:
            raise InvalidInputError(f"condition: got one of shape {jnp.shape(condition)}, expected (observations, width)")
        _, condition = self._checked(jnp.zeros((len(condition), *self.config.shape)), condition, "z")
        each = jnp.repeat(self._embedded(condition), n_samples, axis=0)
        return self._drawn(len(each), each, rngs)[0].reshape(-1, n_samples, *self.config.shape)

    def _drawn(
        self, n_samples: int, embedded: Float[Array, "_ E"], rngs: nnx.Rngs | None
    ) -> tuple[Float[Array, "N ..."], Float[Array, "N"]]:
        x, log_prob = self.flow.sample_and_log_prob(n_samples, condition=embedded, rngs=rngs)
        x, log_det = self.standardize_x.inverse(x)
        return x, log_prob - log_det

    def _checked(self, x: Array, condition: Array | None, what: str) -> tuple[Array, Array]:
        x, condition = checked(x, condition, self.config.shape, self.config.condition_dim, what)
        assert condition is not None  # as the config has a condition_dim
        return x, condition

    def _embedded(self, condition: Float[Array, "B C"]) -> Float[Array, "B E"]:
        """``h(c)``."""
        standard, _ = self.standardize_condition.forward(condition)
        return standard if self.embedding is None else self.embedding(standard)


def _embedding(config: ConditionalFlowConfig, *, rngs: nnx.Rngs) -> MLP | None:
    if config.embedding is None:
        return None
    return MLP(
        config.condition_dim,
        config.embedding.hidden_dims,
        config.embedding.features,
        activation=config.embedding.activation,
        dtype=config.flow.dtype,
        param_dtype=config.flow.param_dtype,
        rngs=rngs,
    )
