r"""The conditional GAN, with a projection discriminator.

Mirza & Osindero 2014, "Conditional Generative Adversarial Nets" (arXiv:1411.1784); Miyato & Koyama 2018, "cGANs with Projection
Discriminator" (arXiv:1802.05637), equation 3:

    x = G(z, e_y)                                   the generator is given the class's embedding beside z
    D(x, y) = v_y . f(x) + w . f(x) + b             f: the discriminator's features

Shapes: ``B = batch, L = latent, F = features, ... = one example``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidInputError
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.gan.discriminators import create_discriminator
from artifex.gan.gan import AdversarialConfig, AdversarialModel, Given, has_zero
from artifex.gan.generators import create_generator
from artifex.gan.layers import PositiveInt

__all__ = ["ConditionalGAN", "ConditionalGANConfig"]

Labels = Int[Array, "B"] | np.ndarray | int
"""Class labels, one for each example or one for all."""


@config
class ConditionalGANConfig(AdversarialConfig):
    """A GAN of ``x`` given its class.

    Example:
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> made = ConditionalGANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(32,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(32,)),
        ...     n_classes=10,
        ... )
        >>> made.embedding_dim
        16
    """

    n_classes: PositiveInt
    """Number of classes, integers from 0."""
    embedding_dim: PositiveInt = 16
    """Width of a class's embedding beside the latent."""


class ConditionalGenerator(nnx.Module):
    """``G(z, e_y)``: a network on the latent and the class's embedding, learned."""

    def __init__(self, config: ConditionalGANConfig, **kinds: Any):
        network = config.generator.replace(latent_dim=config.generator.latent_dim + config.embedding_dim)
        self.network = create_generator(network, **kinds)
        self.embedding = _embedding(config.n_classes, config.embedding_dim, 1.0, **kinds)

    def __call__(self, z: Float[Array, "B L"], label: Int[Array, "B"]) -> Float[Array, "B ..."]:
        return self.network(jnp.concatenate([z, _chosen(self.embedding, label).astype(z.dtype)], axis=-1))


class ProjectionDiscriminator(nnx.Module):
    """``D(x, y) = v_y . f(x) + w . f(x) + b``."""

    def __init__(self, config: ConditionalGANConfig, **kinds: Any):
        self.network = create_discriminator(config.discriminator, head_bias=has_zero(config), **kinds)
        features = self.network.n_features
        self.embedding = _embedding(config.n_classes, features, 1 / math.sqrt(features), **kinds)

    def __call__(self, x: Float[Array, "B ..."], label: Int[Array, "B"]) -> Float[Array, "B"]:
        features = self.network.features(x)
        return self.network.head(features)[..., 0] + jnp.sum(_chosen(self.embedding, label) * features, axis=-1)


def _embedding(n: int, width: int, scale: float, *, param_dtype: Any, rngs: nnx.Rngs, dtype: Any) -> nnx.Param:
    del dtype  # what it is added to decides
    return nnx.Param(scale * jax.random.normal(rngs.params(), (n, width), param_dtype), logical_axes=(None, "embed"))


def _chosen(embedding: nnx.Param, label: Int[Array, "B"]) -> Float[Array, "B F"]:
    """The rows of ``label``; a class that is none is NaN, at which training stops, and not another class."""
    known = (label >= 0) & (label < embedding.shape[0])
    return jnp.where(known[:, None], embedding[...][jnp.where(known, label, 0)], jnp.nan)


def _hint(labels: Any, n: int) -> str:
    """How labels that do not fit could."""
    if labels.shape == (n, 1):
        return "; take its axis off: [:, 0]"
    if labels.ndim == 2 and labels.shape[0] == n:
        return "; of one-hot rows: .argmax(-1)"
    return "; as integers: .astype(int)" if labels.dtype.kind in "fb" else ""


class ConditionalGAN(AdversarialModel):
    """A GAN whose networks are given the class of each example, as ``label`` in a batch.

    Args:
        config: what to build.
        rngs: random streams, as :class:`artifex.gan.gan.AdversarialModel` has them.

    Example:
        >>> from artifex.gan import DiscriminatorConfig, GeneratorConfig
        >>> config = ConditionalGANConfig(
        ...     generator=GeneratorConfig(latent_dim=2, hidden_dims=(8,), output_shape=(2,)),
        ...     discriminator=DiscriminatorConfig(hidden_dims=(8,)),
        ...     n_classes=3,
        ... )
        >>> ConditionalGAN(config, rngs=nnx.Rngs(0)).generate(4, condition=jnp.array([0, 1, 2, 2])).shape
        (4, 2)
    """

    CONFIG = ConditionalGANConfig
    config: ConditionalGANConfig

    def _networks(self, config: AdversarialConfig, **kinds: Any) -> tuple[Any, Any]:
        assert isinstance(config, ConditionalGANConfig)
        return ConditionalGenerator(config, **kinds), ProjectionDiscriminator(config, **kinds)

    def _given(self, batch: Batch) -> Given:
        return (self._labels(batch.get("condition", batch.get("label")), self._real(batch["x"]).shape[0]),)

    def __call__(
        self,
        x: Float[Array, "B ..."],
        *,
        condition: Labels | None = None,
        label: Int[Array, "B"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """Judge ``x``, and as many samples of the same classes, as in evaluation.

        Args:
            x: ``(B, ...)``.
            condition: class labels ``(B,)``.
            label: what data sets call them; serves where there is no condition.
            rngs: stream ``sample`` draws the latents; the model's own by default.

        Returns:
            ``logits`` ``(B,)`` of ``x``; ``samples`` ``(B, ...)`` and ``sample_logits`` ``(B,)``.

        Raises:
            InvalidInputError: ``x`` or the labels do not fit.
        """
        x = self._real(x)
        labels = self._labels(label if condition is None else condition, x.shape[0])
        return self._outputs(x, (labels,), draw_key(self, rngs))

    def generate(
        self, n_samples: int = 1, *, condition: Labels | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """``G(z, e_y)``, ``z ~ N(0, I)``, with batch norm's running averages.

        Args:
            n_samples: how many.
            condition: one class for each sample, or one for all. Without one, classes take turns: 0, 1, 2, ...
            rngs: stream ``sample``; the model's own by default.
        """
        check_at_least(1, n_samples=n_samples)
        condition = self.conditions_for(n_samples) if condition is None else condition
        return self._generate(n_samples, self._labels(condition, n_samples), rngs=rngs)

    @compiled_method(static=("n_samples",))
    def _generate(self, n_samples: int, label: Array, *, rngs: nnx.Rngs | None = None) -> Float[Array, "n_samples ..."]:
        return self._generated(n_samples, (label,), draw_key(self, rngs))

    def sample(
        self, n_samples: int = 1, *, condition: Labels | None = None, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "n_samples ..."]:
        """The same as :meth:`generate`."""
        return self.generate(n_samples, condition=condition, rngs=rngs)

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """The classes, in the array that is taken for the condition (:class:`artifex.core.protocols.DeclaresValues`)."""
        return {"condition" if "condition" in batch else "label": range(self.config.n_classes)}

    def conditions_for(self, n_samples: int) -> Int[np.ndarray, "n_samples"]:
        """What :meth:`generate` takes where it is given none: classes in turns, 0, 1, 2, ..."""
        return np.arange(n_samples) % self.config.n_classes

    def _labels(self, given: Labels | None, n: int) -> Any:
        """Labels of ``n`` examples, checked; nothing is computed yet."""
        wanted = f"integer class labels below {self.config.n_classes} of shape ({n},), or one for all"
        if given is None:
            raise InvalidInputError(f"no condition is given; pass condition=... with {wanted}; in a batch, label")
        try:
            labels = given if isinstance(given, jax.Array) else np.asarray(given)
        except ValueError as error:  # lists of lists of different length
            raise InvalidInputError(f"condition is a {type(given).__name__} that makes no array, expected {wanted}") from error
        if labels.shape not in ((), (1,), (n,)) or not jnp.issubdtype(labels.dtype, jnp.integer):
            raise InvalidInputError(f"condition is {labels.dtype} of shape {labels.shape}, expected {wanted}{_hint(labels, n)}")
        # inside a compiled program the values are not known
        if not isinstance(labels, Tracer) and labels.size and not np.isin(labels, np.arange(self.config.n_classes)).all():
            raise InvalidInputError(f"condition holds classes from {labels.min()} to {labels.max()}, expected {wanted}")
        if labels.shape == (n,):
            return labels
        return jnp.broadcast_to(labels, (n,)) if isinstance(labels, Tracer) else np.broadcast_to(np.asarray(labels), (n,))
