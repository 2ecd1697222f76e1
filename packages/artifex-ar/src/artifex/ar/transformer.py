r"""The autoregressive transformer, of which GPT-2 and Llama are configs.

Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762); Radford et al. 2019, "Language Models are Unsupervised
Multitask Learners" (GPT-2); Touvron et al. 2023, "LLaMA" (arXiv:2302.13971).

    log p(x) = sum_i log softmax(W h_i)[x_i],   h_i from x_{<i}        a start, a vector or a token, stands before x_1
    h <- h + W_o attention(n(h)),   h <- h + mlp(n(h))                 each layer

Sequences of different length are padded, with a ``mask``, or packed, with the ``segment`` that each token is of: attention,
positions and the start begin anew in each.

Shapes: ``B = batch, L = length, V = vocabulary, E = embedding, G = heads with keys of their own, D = size of a head, P =
prompt, S = inputs of a prompt, T = new tokens``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from artifex.ar.attention import Block, Norm, linear
from artifex.ar.conditioning import Classes, Given, class_ranges, class_rows, class_table, classes_of, turns
from artifex.ar.decoding import Sampling, decode
from artifex.ar.kept import KeptStep, kept_of_prompts
from artifex.ar.losses import cross_entropy, token_log_prob
from artifex.ar.packing import runs
from artifex.ar.prompts import behind_prompts, checked_prompt, checked_stops
from artifex.ar.stacks import drop_key, scan_layers, stacked
from artifex.core.checks import check_at_least
from artifex.core.compilation import compiled_method, draw_key
from artifex.core.config import Config, config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.nn import ParamDType
from artifex.core.objectives import WeightedMean
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange

__all__ = ["TransformerAR", "TransformerARConfig"]

PositiveInt = Annotated[int, Field(ge=1)]
Tokens = Int[Array, "B L"]


@config
class TransformerARConfig(Config):
    """A transformer. The defaults are GPT-2's layout; :func:`artifex.ar.load_huggingface` makes the configs of whole folders.

    Example:
        >>> llama = TransformerARConfig(
        ...     vocab_size=256,
        ...     context_length=64,
        ...     positions="rotary",
        ...     norm="rms_norm",
        ...     activation="swiglu",
        ...     use_bias=False,
        ...     tie_embeddings=False,
        ...     num_heads=8,
        ...     num_kv_heads=2,
        ... )
        >>> llama.size_of_head, llama.groups
        (32, 2)
    """

    vocab_size: PositiveInt
    """Number of tokens."""
    context_length: PositiveInt
    """Tokens of the longest sequence."""
    num_layers: PositiveInt = 6
    """Blocks of attention and multilayer perceptron."""
    embed_dim: PositiveInt = 256
    """Width of what goes from layer to layer."""
    num_heads: PositiveInt = 8
    """Heads of each attention."""
    num_kv_heads: PositiveInt | None = None
    """Heads with keys and values of their own, which the others share: grouped-query attention. All by default."""
    head_dim: PositiveInt | None = None
    """Size of a head; ``embed_dim / num_heads`` by default."""
    mlp_dim: PositiveInt | None = None
    """Width of the hidden layer of each multilayer perceptron; four times ``embed_dim`` by default."""
    positions: Literal["learned", "rotary"] = "learned"
    """A vector for each position, or keys and queries turned by an angle that grows with it."""
    rotary_base: Annotated[float, Field(gt=1)] = 10_000.0
    """Of rotary positions: the slowest angle turns once in about so many tokens times 2 pi."""
    norm: Literal["layer_norm", "rms_norm"] = "layer_norm"
    """Of what goes into attention and multilayer perceptron, and behind the last layer."""
    norm_epsilon: Annotated[float, Field(gt=0)] = 1e-5
    """Added to variances."""
    activation: Literal["gelu", "swiglu"] = "gelu"
    """``gelu`` in its tanh form; ``swiglu`` has a gate beside it (Shazeer 2020, arXiv:2002.05202)."""
    tie_embeddings: bool = True
    """Whether the tokens' embeddings also make the logits."""
    use_bias: bool = True
    """Biases of all linear layers but that of the logits."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which an element of what a layer adds is dropped in training."""
    start_token: Annotated[int, Field(ge=0)] | None = None
    """The token before the first, as GPT-2's end of text; a prompt then begins with it or with another, as it stands. By
    default a learned vector stands before the first token, of a prompt too."""
    num_classes: PositiveInt | None = None
    """Sequences are of one of so many classes, which the model is given; none by default."""
    remat: bool = False
    """Compute each layer's activations again in the backward pass, instead of keeping them."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """What the network computes in. None follows the parameters. Losses add up in float32 in any case."""
    param_dtype: ParamDType = "float32"
    """What the parameters are kept in."""

    def __post_init__(self) -> None:
        if self.head_dim is None and self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is no multiple of num_heads {self.num_heads}; set head_dim")
        if self.num_heads % self.groups:
            raise ValueError(f"num_heads {self.num_heads} is no multiple of num_kv_heads {self.num_kv_heads}")
        if self.positions == "rotary" and self.size_of_head % 2:
            raise ValueError(f"rotary positions turn pairs, but a head has {self.size_of_head} elements; make it even")
        if self.start_token is not None and self.start_token >= self.vocab_size:
            raise ValueError(f"start_token is {self.start_token}, but the vocabulary has {self.vocab_size} tokens, from 0")

    @property
    def size_of_head(self) -> int:
        """``D``."""
        return self.head_dim or self.embed_dim // self.num_heads

    @property
    def groups(self) -> int:
        """``G``: heads with keys of their own."""
        return self.num_kv_heads or self.num_heads

    @property
    def width_of_mlp(self) -> int:
        """Of the hidden layer."""
        return self.mlp_dim or 4 * self.embed_dim


class TransformerAR(nnx.Module):
    """An autoregressive transformer of tokens, ``x`` ``(B, L)``.

    Args:
        config: what to build.
        rngs: random streams: ``params`` initialises; the model keeps a fork of all of them, whose ``sample`` serves whenever a
            method is given no ``rngs`` (``default`` stands in for both).

    Raises:
        InvalidTypeError: ``config`` is not a :class:`TransformerARConfig`.

    Example:
        >>> config = TransformerARConfig(vocab_size=11, context_length=8, num_layers=2, embed_dim=16, num_heads=2)
        >>> model = TransformerAR(config, rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((3, 8), int))["logits"].shape
        (3, 8, 11)
        >>> model.generate(prompt=[1, 2, 3], max_new_tokens=4, temperature=0).shape
        (1, 7)
    """

    def __init__(self, config: TransformerARConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, TransformerARConfig):
            raise InvalidTypeError(f"TransformerAR takes a TransformerARConfig, got {type(config).__name__}: {config!r}")
        e, v = config.embed_dim, config.vocab_size
        kinds = {"dtype": config.dtype, "param_dtype": config.param_dtype}
        self.config = config
        self.tokens = _table(v, e, ("vocab", "embed"), config.param_dtype, rngs)
        learned = config.positions == "learned"
        self.positions = _table(config.context_length, e, (None, "embed"), config.param_dtype, rngs) if learned else None
        self.start = _table(1, e, (None, "embed"), config.param_dtype, rngs) if config.start_token is None else None
        self.classes = class_table(config.num_classes, e, config.param_dtype, rngs)
        self.blocks = stacked(lambda rngs: Block(config, rngs=rngs), config.num_layers, rngs)
        self.norm = Norm(e, config.norm, epsilon=config.norm_epsilon, **kinds)
        tied = config.tie_embeddings
        self.head = None if tied else linear(e, v, ("embed", "vocab"), use_bias=False, rngs=rngs, **kinds)
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs) if config.dropout else None
        self.rngs = rngs.fork()

    def __call__(
        self,
        x: Tokens,
        *,
        mask: Bool[Array, "B L"] | None = None,
        segment: Tokens | None = None,
        condition: Classes | None = None,
        label: Classes | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """Logits of each token given those before it.

        Args:
            x: tokens.
            mask: true where there is one; padding, whatever stands in it, is not seen.
            segment: any number for each token, another one from where another sequence begins.
            condition: classes ``(B,)``, for a model that has some.
            label: what data sets call the classes; it serves where there is no condition.
            rngs: nothing is drawn from it: dropout has a stream of its own.

        Returns:
            ``logits`` ``(B, L, V)``, of ``x`` at the same place.

        Raises:
            InvalidInputError: ``x`` is no batch of tokens that fits into the context, or something else does not fit to it.
        """
        del rngs
        return {"logits": self._logits_of(x, mask, segment, condition, label, drops=True)}

    def _logits_of(
        self,
        x: Tokens,
        mask: Array | None,
        segment: Array | None,
        condition: Classes | None,
        label: Classes | None,
        *,
        drops: bool,
    ) -> Float[Array, "B L V"]:
        """Of each token; ``drops`` where dropout is on, in training."""
        x = self._checked(x)
        mask, segment = (None if given is None else jnp.asarray(given) for given in (mask, segment))
        classes = classes_of(self.config.num_classes, condition, label, x.shape[0])
        first, run = runs(x, mask, segment)
        before = jnp.pad(x if mask is None else jnp.where(mask, x, 0), ((0, 0), (1, 0)))[:, :-1]
        places = jnp.arange(x.shape[1])[None]
        positions = places - jax.lax.cummax(jnp.where(first, places, 0), axis=1)
        seen = None if run is None else (run[:, :, None] == run[:, None, :])[:, None]
        h = self._embedded(before, positions, first, classes)
        h = self.dropout(h) if drops and self.dropout is not None else h
        h, _ = self._through_blocks(h, positions, seen, drops=drops)
        return self._logits(h)

    def following(self, x: Tokens) -> Float[Array, "B L V"]:
        """Logits of what follows each token, nothing standing before the first: the bare network, as other libraries have it.

        Raises:
            InvalidInputError: the model has classes, or ``x`` is no batch of tokens that fits into the context.
        """
        if self.config.num_classes is not None:
            raise InvalidInputError("following is of models without classes; this one has num_classes")
        x = self._checked(x)
        positions = jnp.broadcast_to(jnp.arange(x.shape[1])[None], x.shape)
        h, _ = self._through_blocks(self._embedded(x, positions, None, None), positions, None)
        return self._logits(h)

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, WeightedMean]:
        """``mean -log p(x_i | x_{<i})`` over the tokens that ``mask`` leaves in, nats.

        Args:
            batch: holds ``x`` and perhaps ``mask``.
            outputs: what the model made of it.

        Returns:
            ``loss``, and ``bits_per_token``, the same in bits.
        """
        loss = cross_entropy(outputs["logits"], batch["x"], batch.get("mask"))
        return {"loss": loss, "bits_per_token": loss * (1 / math.log(2))}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``x``: the vocabulary; and the classes, if the model has any (:class:`artifex.core.protocols.DeclaresValues`)."""
        return {"x": range(self.config.vocab_size), **class_ranges(self.config.num_classes, batch)}

    def conditions_for(self, n_samples: int) -> np.ndarray | None:
        """What :meth:`generate` takes where it is given none: classes in turns, 0, 1, 2, ...; None where there are none."""
        return turns(self.config.num_classes, n_samples)

    def log_prob(
        self,
        x: Tokens,
        *,
        mask: Bool[Array, "B L"] | None = None,
        segment: Tokens | None = None,
        condition: Classes | None = None,
        label: Classes | None = None,
    ) -> Float[Array, "B"]:
        """``sum_i log p(x_i | x_{<i})``, nats for each row; arguments as of a call.

        Raises:
            InvalidInputError: as of a call.
        """
        x = self._checked(x)
        classes = classes_of(self.config.num_classes, condition, label, x.shape[0])
        mask, segment = (None if given is None else jnp.asarray(given) for given in (mask, segment))
        return self._log_prob(x, mask, segment, classes)

    @compiled_method()
    def _log_prob(self, x: Tokens, mask: Array | None, segment: Array | None, classes: Given) -> Float[Array, "B"]:
        logits = self._logits_of(x, mask, segment, classes, None, drops=False)
        if mask is None:
            return jnp.sum(token_log_prob(logits, x), axis=1)
        return jnp.sum(jnp.where(mask, token_log_prob(logits, jnp.where(mask, x, 0)), 0), axis=1)

    def generate(
        self,
        n_samples: int = 1,
        *,
        prompt: Any = None,
        prompt_lengths: Any = None,
        max_new_tokens: int | None = None,
        condition: Classes | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        stop_tokens: Sequence[int] = (),
        fill_token: int = 0,
        rngs: nnx.Rngs | None = None,
    ) -> Int[Array, "n_samples L"]:
        """Tokens drawn one after the other, in one program that computes keys and values of each token once.

        Args:
            n_samples: how many sequences.
            prompt: tokens that they begin with: ``(P,)``, the same for all; ``(1, P)``; or ``(n, P)``, each its own.
            prompt_lengths: how many tokens of each row of the prompt count, ``(n,)``; all by default.
            max_new_tokens: at most so many are drawn; as many as the context holds by default.
            condition: classes, one for each sequence or one for all; by default they take turns.
            temperature: below 1, likelier tokens become likelier still; 0 takes the likeliest.
            top_k: only so many likeliest.
            top_p: only the likeliest that have this probability together.
            min_p: only those at least so many times as likely as the likeliest.
            stop_tokens: a sequence ends behind one of these.
            fill_token: what stands behind the end of a sequence; -1, say, to tell it from tokens.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            The prompt and what was drawn, ``(n, P + max_new_tokens)``; a shorter prompt's row is filled up at its end.

        Raises:
            InvalidInputError: the prompt and the new tokens do not fit into the context, or something else is out of range.
        """
        vocab_size, least = self.config.vocab_size, 0 if self.start is not None else 1
        tokens, lengths, n = checked_prompt(n_samples, prompt, prompt_lengths, vocab_size=vocab_size, least=least)
        room = self.config.context_length - tokens.shape[1]
        new = room if max_new_tokens is None else max_new_tokens
        if max_new_tokens is not None:
            check_at_least(1, max_new_tokens=max_new_tokens)
        if not 0 < new <= room:
            asked = "" if max_new_tokens is None else f" and {max_new_tokens} new tokens"
            raise InvalidInputError(
                f"a prompt of {tokens.shape[1]} tokens{asked} does not fit: context_length is {self.config.context_length}, "
                "of which at least one is for a new token"
            )
        one = np.ndim(temperature) == 0
        greedy = one and temperature == 0
        sampling = Sampling(None if one and temperature in (0, 1) else temperature, top_p, min_p)
        sampling.check(top_k)
        condition = self.conditions_for(n) if condition is None else condition
        classes = classes_of(self.config.num_classes, condition, None, n)
        stops = checked_stops(stop_tokens, self.config.vocab_size)
        check_at_least(-(2**31), fill_token=fill_token)
        fixed = {"greedy": bool(greedy), "k": top_k, "stop_tokens": stops, "fill_token": int(fill_token)}
        return self._generate(tokens, lengths, classes, sampling, n_tokens=new, **fixed, rngs=rngs)

    @compiled_method(static=("n_tokens", "greedy", "k", "stop_tokens", "fill_token"))
    def _generate(
        self,
        prompt: Int[Array, "B P"],
        lengths: Int[Array, "B"] | None,
        classes: Given,
        sampling: Sampling,
        *,
        n_tokens: int,
        greedy: bool,
        k: int | None,
        stop_tokens: tuple[int, ...],
        fill_token: int,
        rngs: nnx.Rngs | None = None,
    ) -> Int[Array, "B P+T"]:
        starts = self.start is not None or prompt.shape[1] == 0
        logits, cache, positions = kept_of_prompts(self, prompt, lengths, classes, n_tokens, starts=starts)
        step = KeptStep(self, classes, positions)
        new = decode(
            logits,
            step,
            cache,
            lambda logits, key: sampling.draw(logits, key, greedy=greedy, k=k),
            n_tokens=n_tokens,
            stop_tokens=stop_tokens,
            fill_token=fill_token,
            key=draw_key(self, rngs),
        )
        return behind_prompts(prompt, lengths, new, fill_token)

    def _embedded(self, before: Tokens, positions: Array, first: Array | None, classes: Given) -> Float[Array, "B L E"]:
        """What goes into the first block: the token before each place, or the start, with its position and the class."""
        config = self.config
        dtype = config.dtype or self.tokens[...].dtype
        there = (before >= 0) & (before < config.vocab_size)
        h = jnp.where(there[..., None], self.tokens[...].astype(dtype)[jnp.where(there, before, 0)], jnp.nan)
        if first is not None:
            start = self.tokens[...][config.start_token] if self.start is None else self.start[...][0]
            h = jnp.where(first[..., None], start.astype(dtype).reshape(1, 1, -1), h)
        if self.positions is not None:
            h = h + self.positions[...].astype(dtype)[positions]
        if self.classes is not None:
            assert classes is not None
            h = h + class_rows(self.classes[...].astype(dtype), jnp.asarray(classes))[:, None]
        return h

    def _through_blocks(
        self, h: Array, positions: Array, seen: Array | None, *, drops: bool = False
    ) -> tuple[Array, tuple[Array, Array]]:
        """All blocks, and their keys and values, ``(layers, B, L, G, D)``."""
        dropout = None if self.dropout is None or self.dropout.deterministic or not drops else self.dropout
        keys = () if dropout is None else jax.random.split(drop_key(dropout), self.config.num_layers)

        def step(block: Block, h: Array, key: Any) -> tuple[Array, Any]:
            def drop(x: Array, i: int) -> Array:
                return x if dropout is None else dropout(x, rngs=jax.random.fold_in(key, i))

            return block(h, positions, seen, drop)

        # Writing what softmax and GELU leave into the scan's stacks, and reading it, takes longer than computing it again.
        kept = jax.checkpoint_policies.dots_saveable
        return scan_layers(self.blocks, step, h, keys, remat=self.config.remat, kept=kept)

    def _logits(self, h: Float[Array, "B L E"]) -> Float[Array, "B L V"]:
        h = self.norm(h)
        if self.head is not None:
            return self.head(h)
        return h @ self.tokens[...].astype(h.dtype).T

    def _checked(self, x: Tokens) -> Tokens:
        """``x`` if it is a batch of tokens that fits into the context."""
        x, most = jnp.asarray(x), self.config.context_length
        if x.ndim != 2 or x.shape[1] < 1 or not jnp.issubdtype(x.dtype, jnp.integer):
            hint = "; add a batch axis: x[None]" if x.ndim == 1 else ""
            raise InvalidInputError(f"x is {x.dtype} of shape {x.shape}, expected integer tokens (batch, length){hint}")
        if x.shape[1] > most:
            raise InvalidInputError(f"x has {x.shape[1]} tokens, more than context_length {most}; cut it into windows")
        return x.astype(jnp.int32)


def _table(n: int, e: int, axes: tuple[str | None, str], param_dtype: Any, rngs: nnx.Rngs) -> nnx.Param:
    """Vectors of standard deviation 0.02, GPT-2's."""
    return nnx.Param(0.02 * jax.random.normal(rngs.params(), (n, e), param_dtype), logical_axes=axes)
