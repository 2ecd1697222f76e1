r"""WaveNet: gated dilated causal convolutions on a signal.

van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio" (arXiv:1609.03499).

    p(x | c) = prod_t p(x_t | x_{<t}, c)
    z = tanh(W_f * h + V_f c) sigmoid(W_g * h + V_g c)                     equations 2 and 3, W at dilations 1, 2, 4, ...
    h <- h + W_r z,   skip <- skip + W_s z                                 figure 4
    f(x) = sign(x) log(1 + mu |x|) / log(1 + mu),   mu = levels - 1        section 2.2: what is modelled, evenly spaced

While a signal is drawn, each layer needs of its own input what it was one and more dilations ago, and keeps it in a ring (Le
Paine et al. 2016, "Fast Wavenet Generation Algorithm", arXiv:1611.09482): a sample costs the same however far back is seen.

Shapes: ``B = batch, T = samples, C = residual channels, S = skip channels, N = layers, K = kernel size, F = condition, P =
parameters of a sample``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float
from pydantic import Field

from artifex.ar.companding import mu_law, mu_law_inverse
from artifex.ar.conditioning import Classes, class_ranges, class_rows, class_table, classes_of, turns
from artifex.ar.layers import gate, plain_linear
from artifex.ar.likelihoods import draw_logistics, mixture_of_logistics_log_prob
from artifex.ar.losses import token_log_prob
from artifex.ar.rings import Rings
from artifex.ar.stacks import scan_layers, stacked, unstacked
from artifex.core.checks import check_at_least, check_number
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.protocols import Batch
from artifex.core.value_ranges import Interval, ValueRange

__all__ = ["WaveNet", "WaveNetConfig"]

PositiveInt = Annotated[int, Field(ge=1)]
Conditions = tuple[Any, Any]
"""Classes ``(B,)`` and features ``(B, T, F)``, each None where the model is given none."""


@config
class WaveNetConfig(Config):
    """A WaveNet.

    Example:
        >>> WaveNetConfig(length=16000).receptive_field
        2047
    """

    length: PositiveInt
    """Samples that are drawn by default; a signal may have any number."""
    num_layers: PositiveInt = 10
    """Layers of a stack; their dilations are 1, 2, 4, ..."""
    num_stacks: PositiveInt = 2
    """How often the dilations begin anew."""
    kernel_size: Annotated[int, Field(ge=2)] = 2
    """Samples that a layer sees, a dilation apart."""
    residual_channels: PositiveInt = 64
    """Features that go from layer to layer."""
    skip_channels: PositiveInt = 64
    """Features that all layers add up for the output."""
    output: Literal["mu_law", "logistics"] = "mu_law"
    """``mu_law``: a probability for each level, the levels evenly spaced in the logarithm of loudness. ``logistics``: a
    mixture of logistics on levels that are evenly spaced."""
    levels: Annotated[int, Field(ge=2)] | None = None
    """How many values a sample has; 256 by default, 65536 for ``logistics``."""
    num_mixtures: PositiveInt | None = None
    """Components of the mixture of ``logistics``, 10 by default."""
    num_classes: PositiveInt | None = None
    """Signals are of one of so many classes, speakers for instance, which the model is given; none by default."""
    condition_dim: PositiveInt | None = None
    """Each sample, or each signal, comes with so many features, which the model is given; none by default."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the network computes in. None follows the parameters and the input. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in."""

    def __post_init__(self) -> None:
        if self.output == "mu_law" and self.num_mixtures is not None:
            raise ValueError(f"num_mixtures is {self.num_mixtures}, but output 'mu_law' has no mixture; leave it out")

    @property
    def number_of_levels(self) -> int:
        """How many values a sample has."""
        return self.levels or (256 if self.output == "mu_law" else 65536)

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of each layer."""
        return tuple(2**i for _ in range(self.num_stacks) for i in range(self.num_layers))

    @property
    def receptive_field(self) -> int:
        """How many samples before a sample its distribution depends on."""
        return 1 + (self.kernel_size - 1) * sum(self.dilations)

    @property
    def parameters_of_sample(self) -> int:
        """``P``."""
        return self.number_of_levels if self.output == "mu_law" else 3 * (self.num_mixtures or 10)


class _DilatedLayer(nnx.Module):
    """``h`` to ``h'`` and its share of the skips (arXiv:1609.03499, figure 4)."""

    def __init__(self, config: WaveNetConfig, *, rngs: nnx.Rngs):
        c, kinds = config.residual_channels, {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.past = plain_linear((config.kernel_size - 1) * c, 2 * c, use_bias=False, **kinds)
        self.now = plain_linear(c, 2 * c, **kinds)
        self.residual = plain_linear(c, c, **kinds)
        self.skip = plain_linear(c, config.skip_channels, **kinds)
        self.classes = class_table(config.num_classes, 2 * c, config.param_dtype, rngs)
        features = config.condition_dim
        self.features = None if features is None else plain_linear(features, 2 * c, use_bias=False, **kinds)

    def __call__(self, h: Float[Array, "B *T C"], past: Float[Array, "B *T C*(K-1)"], conditions: Conditions) -> Any:
        """Given the earlier inputs of the kernel, the earliest first."""
        return self.gated(h, self.past(past), conditions)

    def gated(self, h: Float[Array, "B *T C"], past: Float[Array, "B *T 2*C"], conditions: Conditions) -> tuple[Array, Array]:
        """The same, given what the earlier inputs come to."""
        x = self.now(h) + past
        classes, features = conditions
        if self.classes is not None:
            of_class = class_rows(self.classes[...].astype(x.dtype), jnp.asarray(classes))
            x = x + of_class.reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])
        if self.features is not None:
            x = x + self.features(features)
        z = gate(x)
        return h + self.residual(z), self.skip(z)


class WaveNet(nnx.Module):
    """A WaveNet of signals ``x`` ``(B, T)`` in [-1, 1].

    A model with ``num_classes`` is given classes as ``condition``; one with ``condition_dim`` features, ``(B, T, F)`` or ``(B,
    F)``, as ``condition``; one with both features as ``condition`` and classes as ``label``.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs`` (``default`` stands in for both).

    Raises:
        InvalidTypeError: ``config`` is not a :class:`WaveNetConfig`.

    Example:
        >>> config = WaveNetConfig(length=20, num_layers=3, num_stacks=1, residual_channels=8, skip_channels=8, levels=16)
        >>> model = WaveNet(config, rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((3, 20)))["parameters"].shape
        (3, 20, 16)
        >>> model.generate(2).shape
        (2, 20)
    """

    def __init__(self, config: WaveNetConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, WaveNetConfig):
            raise InvalidTypeError(f"WaveNet takes a WaveNetConfig, got {type(config).__name__}: {config!r}")
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype, "rngs": rngs}
        self.config = config
        self.entry = plain_linear(2, config.residual_channels, **kinds)  # a sample, and whether there is one
        self.layers = stacked(lambda rngs: _DilatedLayer(config, rngs=rngs), len(config.dilations), rngs)
        self.hidden = plain_linear(config.skip_channels, config.skip_channels, **kinds)
        self.head = plain_linear(config.skip_channels, config.parameters_of_sample, **kinds)
        self.rngs = rngs.fork()

    def __call__(
        self, x: Float[Array, "B T"], *, condition: Any = None, label: Classes | None = None, rngs: nnx.Rngs | None = None
    ) -> dict[str, Array]:
        """The distribution of each sample given those before it.

        Args:
            x: signals in [-1, 1].
            condition: classes or features, for a model that has some.
            label: classes; where a model without classes is trained on data that have some, they go unread.
            rngs: nothing is drawn from it.

        Returns:
            ``parameters``, ``(B, T, P)``.

        Raises:
            InvalidInputError: ``x`` is no batch of signals, or the conditions do not fit.
        """
        del rngs
        y = self.on_levels(jnp.asarray(x))
        return {"parameters": self._parameters(y, self._conditions(condition, label, y.shape[0], y.shape[1]))}

    def on_levels(self, x: Float[Array, "B T"]) -> Float[Array, "B T"]:
        """Signals as what is modelled: the nearest level, companded for ``mu_law``, in [-1, 1].

        The gradient is that without rounding. What is half a level or more outside is NaN, at which training stops: on another
        scale everything would be the first level or the last.

        Raises:
            InvalidInputError: ``x`` is no batch of signals.
        """
        self._check_signals(x)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))  # bfloat16 would miss levels
        steps = self.config.number_of_levels - 1
        y = mu_law(x, steps) if self.config.output == "mu_law" else x
        level = jnp.round((y + 1) / 2 * steps)
        level = jnp.where((level >= 0) & (level <= steps), level, jnp.nan)
        return y + jax.lax.stop_gradient(2 * level / steps - 1 - y)

    def _check_signals(self, x: Array) -> None:
        if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
            hint = "; divide 16-bit samples by 32768" if jnp.issubdtype(x.dtype, jnp.integer) else ""
            raise InvalidInputError(f"x is {x.dtype} of shape {x.shape}, expected signals (batch, samples) in [-1, 1]{hint}")

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x`` in [-1, 1], and the classes, if the model has any (:class:`artifex.core.protocols.DeclaresValues`)."""
        slack = 0.998 / (self.config.number_of_levels - 1) if self.config.output == "logistics" else 1e-4
        classes = self.config.num_classes
        of_classes = class_ranges(classes, batch) if self.config.condition_dim is None else {"label": range(classes or 0)}
        return {"x": Interval(-1.0, 1.0, slack=slack), **(of_classes if classes else {})}

    def conditions_for(self, n_samples: int) -> np.ndarray | None:
        """What :meth:`generate` takes where it is given none: classes in turns; None where there are none, or features."""
        return None if self.config.condition_dim is not None else turns(self.config.num_classes, n_samples)

    def from_levels(self, y: Float[Array, "B T"]) -> Float[Array, "B T"]:
        """What is modelled as signals in [-1, 1]; mu-law rounds the loudest level to just above 1, which a sound file clips."""
        signals = mu_law_inverse(y, self.config.number_of_levels - 1) if self.config.output == "mu_law" else y
        return jnp.clip(signals, -1, 1)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, Float[Array, ""]]:
        """``mean -log p(x_t | x_{<t})`` over samples, nats; ``bits_per_sample`` is the same in bits.

        Args:
            batch: holds ``x``.
            outputs: what the model made of it.
        """
        y = self.on_levels(jnp.asarray(batch["x"], jnp.float32))
        loss = jnp.mean(jnp.mean(-self._log_probs(y, outputs["parameters"]), axis=1))
        return {"loss": loss, "bits_per_sample": loss / math.log(2)}

    def log_prob(self, x: Float[Array, "B T"], *, condition: Any = None, label: Classes | None = None) -> Float[Array, "B"]:
        """``log P(x) = sum_t log p(x_t | x_{<t})`` of the levels, nats for each signal, exact; arguments as of a call.

        Raises:
            InvalidInputError: as of a call.
        """
        x = jnp.asarray(x)
        self._check_signals(x)
        return self._log_prob(x, self._conditions(condition, label, x.shape[0], x.shape[1]))

    @compiled_method()
    def _log_prob(self, x: Float[Array, "B T"], conditions: Conditions) -> Float[Array, "B"]:
        y = self.on_levels(x)
        return jnp.sum(self._log_probs(y, self._parameters(y, conditions)), axis=1)

    def generate(
        self,
        n_samples: int = 1,
        *,
        length: int | None = None,
        condition: Any = None,
        label: Classes | None = None,
        prefix: Float[Array, "n_samples P"] | None = None,
        temperature: float = 1.0,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples T"]:
        """Signals drawn sample after sample, in [-1, 1].

        Args:
            n_samples: how many.
            length: of each; the config's by default.
            condition: classes or features, for a model that has some; classes take turns by default.
            label: classes, for a model that has features too.
            prefix: what the signals begin with.
            temperature: below 1, likelier values become likelier still.
            rngs: stream ``sample``; the model's own by default.

        Raises:
            InvalidInputError: a number is out of range, or the conditions or the prefix do not fit.
        """
        length = self.config.length if length is None else length
        check_at_least(1, n_samples=n_samples, length=length)
        check_number("temperature", temperature, "above 0, 0.01 say for nearly the likeliest")
        given = None if prefix is None else self._checked_prefix(prefix, n_samples, length)
        if label is None and (condition is None or self.config.condition_dim is not None):
            label = turns(self.config.num_classes, n_samples)
        conditions = self._conditions(condition, label, n_samples, length)
        return self._generate(n_samples, length, conditions, given, temperature, rngs=rngs)

    def _checked_prefix(self, prefix: Any, n: int, length: int) -> Float[Array, "n P"]:
        """What signals begin with, if it fits."""
        prefix = jnp.asarray(prefix)
        if prefix.ndim != 2 or prefix.shape[0] != n or prefix.shape[1] > length:
            raise InvalidInputError(f"prefix has shape {prefix.shape}, expected ({n}, at most {length})")
        self._check_signals(prefix)
        if not isinstance(prefix, Tracer) and not bool(jnp.all(jnp.isfinite(self.on_levels(prefix)))):
            raise InvalidInputError(
                f"prefix holds {float(jnp.min(prefix)):g} to {float(jnp.max(prefix)):g}, expected samples in [-1, 1]"
            )
        return prefix

    @compiled_method(static=("n_samples", "length"))
    def _generate(
        self,
        n_samples: int,
        length: int,
        conditions: Conditions,
        prefix: Array | None,
        temperature: float,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "n_samples T"]:
        given, known = jnp.zeros((n_samples, length)), 0
        if prefix is not None:
            known = prefix.shape[1]
            given = given.at[:, :known].set(self.on_levels(jnp.asarray(prefix)))
        return self.from_levels(self._one_by_one(given, known, conditions, temperature, draw_key(self, rngs))[0])

    @compiled_method()
    def _parameters_one_by_one(self, x: Float[Array, "B T"], conditions: Conditions) -> Float[Array, "B T P"]:
        """The parameters as drawing computes them: from what is kept, sample after sample."""
        y = self.on_levels(x)
        return self._one_by_one(y, y.shape[1], conditions, jnp.ones(()), None)[1]

    def _parameters(self, y: Float[Array, "B T"], conditions: Conditions) -> Float[Array, "B T P"]:
        """Of all samples at once, ``y`` on levels in [-1, 1]."""
        config, samples = self.config, y.shape[1]
        before = jnp.stack([y, jnp.ones_like(y)], axis=-1)
        h = self.entry(jnp.pad(before, ((0, 0), (1, 0), (0, 0)))[:, :-1])  # (B, T, C)
        reach = (config.kernel_size - 1) * max(config.dilations)

        def step(layer: _DilatedLayer, carry: Any, dilation: Array) -> tuple[Any, None]:
            h, skips = carry
            padded = jnp.pad(h, ((0, 0), (reach, 0), (0, 0)))
            taps = [
                jax.lax.dynamic_slice_in_dim(padded, reach - i * dilation, samples, axis=1)
                for i in range(config.kernel_size - 1, 0, -1)
            ]
            h, skip = layer(h, jnp.concatenate(taps, axis=-1), conditions)
            return (h, skips + skip), None

        skips = jnp.zeros((*h.shape[:2], config.skip_channels), h.dtype)
        (_, skips), _ = scan_layers(self.layers, step, (h, skips), jnp.asarray(config.dilations))
        return self._output(skips)

    def _output(self, skips: Float[Array, "... S"]) -> Float[Array, "... P"]:
        return self.head(nnx.relu(self.hidden(nnx.relu(skips))))

    def _log_probs(self, y: Float[Array, "B T"], parameters: Float[Array, "B T P"]) -> Float[Array, "B T"]:
        """Nats of each sample; NaN where it is on no level."""
        levels = self.config.number_of_levels
        if self.config.output == "logistics":
            return mixture_of_logistics_log_prob(y, parameters, levels)
        level = jnp.where(jnp.isnan(y), -1, jnp.round((y + 1) / 2 * (levels - 1))).astype(jnp.int32)
        return token_log_prob(parameters, level)

    def _draw(self, parameters: Float[Array, "B P"], temperature: float | Array, key: Array) -> Float[Array, "B"]:
        levels = self.config.number_of_levels
        if self.config.output == "logistics":
            return draw_logistics(parameters, levels, key, temperature)
        logits = parameters.astype(jnp.promote_types(parameters.dtype, jnp.float32))
        return 2 * jax.random.categorical(key, logits / temperature) / (levels - 1) - 1

    def _one_by_one(
        self, given: Float[Array, "n T"], known: int, conditions: Conditions, temperature: float | Array, key: Array | None
    ) -> tuple[Float[Array, "n T"], Float[Array, "n T P"]]:
        """Signals of which the first ``known`` samples are given and the rest drawn, and the parameters of each sample.

        Without a ``key`` all of it is given, and nothing is drawn.
        """
        n, length = given.shape
        classes, features = conditions
        layers = list(unstacked(self.layers, len(self.config.dilations)))
        kernels = self.layers.past.kernel[...]  # (N, (K - 1) C, 2 C)
        rings = Rings(self.config.dilations, self.config.kernel_size - 1)

        def sample(carry: Any, at: Any) -> tuple[Any, Any]:
            kept, before = carry
            t, given, key, features = at
            past = rings.read(kept, t)
            past = jnp.einsum("nbc,nco->nbo", past, kernels.astype(past.dtype))  # all layers' at once
            h, skips, inputs = self.entry(before), jnp.zeros((n, self.config.skip_channels)), []
            for layer, of_past in zip(layers, past, strict=True):
                inputs.append(h)
                h, skip = layer.gated(h, of_past.astype(h.dtype), (classes, features))
                skips = skips + skip
            parameters = self._output(skips)
            y = given
            if key is not None:
                y = jnp.where(t < known, given, self._draw(parameters, temperature, key).astype(given.dtype))
            before = jnp.stack([y, jnp.ones_like(y)], axis=-1)
            return (rings.write(kept, t, jnp.stack(inputs)), before), (y, parameters)

        dtype = jnp.dtype(self.config.dtype or jnp.promote_types(self.config.param_dtype, jnp.float32))
        start = (rings.start(n, self.config.residual_channels, dtype), jnp.zeros((n, 2), given.dtype))
        over = None if features is None else jnp.moveaxis(jnp.asarray(features), 1, 0)
        along = (jnp.arange(length), given.T, None if key is None else jax.random.split(key, length), over)
        _, (y, parameters) = jax.lax.scan(sample, start, along)
        return y.T, jnp.moveaxis(parameters, 1, 0)

    def _conditions(self, condition: Any, label: Classes | None, n: int, length: int) -> Conditions:
        """Classes and features of ``n`` signals, checked."""
        width = self.config.condition_dim
        if width is None:
            return classes_of(self.config.num_classes, condition, label, n), None
        wanted = f"features of shape ({n}, {length}, {width}), or ({n}, {width}) for all samples alike"
        if condition is None:
            raise InvalidInputError(f"no condition is given; pass condition=... with {wanted}")
        features = condition if isinstance(condition, jax.Array) else np.asarray(condition)
        if features.shape not in ((n, length, width), (n, width)) or not jnp.issubdtype(features.dtype, jnp.floating):
            raise InvalidInputError(f"condition is {features.dtype} of shape {features.shape}, expected {wanted}")
        if features.ndim == 2:
            features = jnp.broadcast_to(features[:, None], (n, length, width))
        return classes_of(self.config.num_classes, None, label, n, what="label"), features
