r"""The joint energy-based model: a classifier that is a density too.

Grathwohl et al. 2019, "Your Classifier is Secretly an Energy Based Model and You Should Treat it Like One" (arXiv:1912.03263):

    p(x, y) = exp(f_y(x)) / Z,   p(y | x) = softmax(f(x))_y,   E(x) = -log sum_y exp(f_y(x)),   E(x, y) = -f_y(x)
    log p(x, y) = log p(x) + log p(y | x)        the first by contrastive divergence, the second by cross-entropy (equation 8)

Shapes: ``N n = examples, K = classes, ... = one example``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int
from pydantic import Field

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.objectives import Losses
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.ebm.conditions import Condition, checked_classes, one_hot
from artifex.ebm.ebm import EBM, EBMConfig, Given
from artifex.ebm.energies import create_energy
from artifex.ebm.layers import checked

__all__ = ["JEM", "JEMConfig"]


@config
class JEMConfig(EBMConfig):
    """A classifier that is a density too.

    Example:
        >>> JEMConfig(input_dim=64, n_classes=10).generative_weight
        1.0
    """

    n_classes: Annotated[int, Field(ge=2)]
    """Classes, integers from 0: ``K``."""
    generative_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the objective of ``p(x)``; 0 leaves a plain classifier."""


class JEM(EBM):
    """A joint energy-based model. A batch carries the class of each example as ``label``.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`JEMConfig`.

    Example:
        >>> model = JEM(JEMConfig(input_dim=2, n_classes=3), rngs=nnx.Rngs(0))
        >>> x = jnp.zeros((4, 2))
        >>> model.logits(x).shape, model.energy(x).shape, model.generate(5, condition=1).shape
        ((4, 3), (4,), (5, 2))
    """

    config: JEMConfig
    given_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: JEMConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, JEMConfig):
            raise InvalidTypeError(f"JEM takes a JEMConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)

    def _build_network(self, rngs: nnx.Rngs) -> Any:
        kinds = {"dtype": self.config.dtype, "param_dtype": self.config.param_dtype, "rngs": rngs}
        return create_energy(self.config.energy_network, self.shape, n_outputs=self.config.n_classes, **kinds)

    def _logits(self, x: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        logits = self.network(checked(x, self.shape))
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))

    def _network_energy(self, x: Float[Array, "N ..."], given: Given) -> Float[Array, "N"]:
        logits = self._logits(x)
        if not given:
            return -jax.nn.logsumexp(logits, axis=-1)
        return -jnp.sum(logits * one_hot(given[0], self.config.n_classes), axis=-1)

    def _outputs(self, x: Float[Array, "N ..."], given: Given, key: Array) -> dict[str, Array]:
        if self.config.generative_weight == 0:
            return {"logits": self._logits(x)}
        return {**super()._outputs(x, given, key), "logits": self._logits(x)}

    def remember(self, outputs: Mapping[str, Array]) -> None:
        """Move on the buffer's chains, where the density is trained."""
        if self.config.generative_weight:
            super().remember(outputs)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> Losses:
        """``mean -log p(y | x)`` plus the objective of ``p(x)``.

        Returns:
            ``loss``; ``cross_entropy``; ``accuracy``; the objective's other scalars, its own loss as ``generative_loss``.

        Raises:
            InvalidInputError: the batch has no ``label``, or it is no class for each example.
        """
        if "label" not in batch:
            raise InvalidInputError(f"the batch has {', '.join(batch)} and no 'label'; JEM learns classes, EBM does without")
        logits = outputs["logits"]
        labels = checked_classes(batch["label"], logits.shape[0], self.config.n_classes, "label")
        log_prob = jax.nn.log_softmax(logits)
        cross_entropy = -jnp.mean(jnp.sum(log_prob * one_hot(labels, self.config.n_classes), axis=-1))
        scalars: Losses = {
            "cross_entropy": cross_entropy,
            "accuracy": jnp.mean(jnp.argmax(logits, axis=-1) == labels, dtype=jnp.float32),
        }
        if self.config.generative_weight == 0:
            return {"loss": cross_entropy, **scalars}
        generative = dict(self.objective.losses(outputs))
        scalars["generative_loss"] = generative["loss"]
        loss = cross_entropy + self.config.generative_weight * generative.pop("loss")
        return {"loss": loss, **generative, **scalars}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """As of any energy-based model; and the classes, as ``label``."""
        return {**super().value_ranges(batch), "label": range(self.config.n_classes)}

    @compiled_method()
    def logits(self, x: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        """``f(x)``: ``softmax`` of it is ``p(y | x)``, its argmax the class."""
        return self._logits(x)

    def generate(
        self,
        n_samples: int = 1,
        *,
        condition: Condition | None = None,
        n_steps: int | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples ..."]:
        """Chains of ``p(x)``, or of ``p(x | y)`` where classes are asked for.

        Args:
            n_samples: how many.
            condition: a class for each sample, or one for all.
            n_steps: length of the chains; by default the config's.
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        given = () if condition is None else (self._classes(condition, n_samples),)
        return self._generate(n_samples, given, n_steps=n_steps, rngs=rngs)

    def _classes(self, condition: Condition, n: int) -> Int[Array, "n"]:
        return checked_classes(condition, n, self.config.n_classes)
