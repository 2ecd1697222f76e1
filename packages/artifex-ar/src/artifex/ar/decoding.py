r"""Drawing the next token: functions that reshape logits, and the loop that draws token after token.

Every function takes logits ``(..., V)`` and gives logits, ``-inf`` where a token is ruled out; they may be chained.

Shapes: ``B = batch, T = tokens of the buffer, V = vocabulary, ... = any leading axes``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from artifex.core.checks import check_at_least, check_number

__all__ = ["Sampling", "decode", "min_p", "temperature", "top_k", "top_p"]


def temperature(logits: Float[Array, "... V"], t: float | Array) -> Float[Array, "... V"]:
    """``l / t``: below 1, likelier tokens become likelier still; above 1 all become more alike.

    >>> temperature(jnp.array([0.0, 1.0]), 0.5).tolist()
    [0.0, 2.0]
    """
    return logits / t


def top_k(logits: Float[Array, "... V"], k: int) -> Float[Array, "... V"]:
    """The ``k`` likeliest tokens, and those as likely as the last of them (Fan et al. 2018, arXiv:1805.04833, section 3).

    >>> top_k(jnp.array([3.0, 1.0, 2.0]), 2).tolist()
    [3.0, -inf, 2.0]
    """
    least = jax.lax.top_k(logits, min(k, logits.shape[-1]))[0][..., -1:]
    return jnp.where(logits >= least, logits, -jnp.inf)


def top_p(logits: Float[Array, "... V"], p: float | Array) -> Float[Array, "... V"]:
    """The fewest likeliest tokens that have a probability of ``p`` together.

    Holtzman et al. 2019, arXiv:1904.09751, section 3. The likeliest always stays, and so do tokens
    exactly as likely as the last that does.

    >>> jnp.isfinite(top_p(jnp.log(jnp.array([0.5, 0.2, 0.3])), 0.7)).tolist()
    [True, False, True]
    """
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(ordered)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    least = jnp.min(jnp.where(before < p, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits >= jnp.minimum(least, ordered[..., :1]), logits, -jnp.inf)


def min_p(logits: Float[Array, "... V"], p: float | Array) -> Float[Array, "... V"]:
    """The tokens at least ``p`` times as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082, section 3).

    >>> jnp.isfinite(min_p(jnp.log(jnp.array([0.6, 0.1, 0.3])), 0.4)).tolist()
    [True, False, True]
    """
    return jnp.where(logits >= jnp.max(logits, axis=-1, keepdims=True) + jnp.log(p), logits, -jnp.inf)


class Sampling(NamedTuple):
    """How the next token is drawn; what is None is left out. ``temperature`` comes first, then the rest in this order."""

    temperature: Any = None
    """None draws from the model as it is; ``greedy`` makes it needless."""
    top_p: Any = None
    min_p: Any = None

    def draw(self, logits: Float[Array, "B V"], key: Array, *, greedy: bool, k: int | None) -> Int[Array, "B"]:
        """A token for each row; the likeliest where ``greedy``."""
        if greedy:
            return jnp.argmax(logits, axis=-1)
        logits = logits if self.temperature is None else temperature(logits, self.temperature)
        logits = logits if k is None else top_k(logits, k)
        logits = logits if self.top_p is None else top_p(logits, self.top_p)
        logits = logits if self.min_p is None else min_p(logits, self.min_p)
        return jax.random.categorical(key, logits)

    def check(self, k: int | None) -> None:
        """Raise unless every number is in its range.

        Raises:
            InvalidInputError: one is not.
        """
        for name, value, low, high in (
            ("temperature", self.temperature, 0, float("inf")),
            ("top_p", self.top_p, 0, 1),
            ("min_p", self.min_p, 0, 1),
        ):
            if value is not None:
                said = "a number above 0 (0 draws the likeliest)" if name == "temperature" else "a number above 0 and at most 1"
                check_number(name, value, said, above=low, most=high)
        if k is not None:
            check_at_least(1, top_k=k)


def decode(
    first: Float[Array, "B V"],
    step: Callable[[Any, Int[Array, "B"], Int[Array, ""]], tuple[Any, Float[Array, "B V"]]],
    cache: Any,
    draw: Callable[[Float[Array, "B V"], Array], Int[Array, "B"]],
    *,
    n_tokens: int,
    stop_tokens: Sequence[int] = (),
    fill_token: int = 0,
    key: Array,
) -> Int[Array, "B T"]:
    """``T = n_tokens`` tokens for each row, one after the other in one ``lax.while_loop``, which ends when every row has.

    Args:
        first: logits of the first token.
        step: ``step(cache, tokens, i) -> (cache, logits)``: what follows the ``i``-th of the new tokens.
        cache: what ``step`` keeps.
        draw: ``draw(logits, key)``.
        n_tokens: at most so many.
        stop_tokens: a row ends behind one of these.
        fill_token: what stands behind a row's end.
        key: of the draws.

    Example:
        >>> made = decode(
        ...     jax.nn.one_hot(jnp.array([1]), 5),
        ...     lambda cache, token, i: (cache, jax.nn.one_hot(token + 1, 5)),  # each token is followed by the next number
        ...     (),
        ...     lambda logits, key: jnp.argmax(logits, axis=-1),
        ...     n_tokens=4,
        ...     stop_tokens=(3,),
        ...     key=jax.random.key(0),
        ... )
        >>> made.tolist()
        [[1, 2, 3, 0]]
    """
    batch = first.shape[0]
    stops = jnp.asarray(tuple(stop_tokens), jnp.int32)

    def place(tokens: Array, drawn: Array, done: Array, i: Any) -> tuple[Array, Array, Array]:
        token = jnp.where(done, fill_token, drawn).astype(jnp.int32)
        done = done | jnp.any(token[:, None] == stops[None], axis=1)
        return jax.lax.dynamic_update_slice(tokens, token[:, None], (0, i)), token, done

    def unfinished(carry: Any) -> Array:
        i, _, _, done, _ = carry
        return (i < n_tokens) & ~jnp.all(done)

    def body(carry: Any) -> Any:
        i, tokens, token, done, cache = carry
        cache, logits = step(cache, token, i - 1)
        tokens, token, done = place(tokens, draw(logits, jax.random.fold_in(key, i)), done, i)
        return i + 1, tokens, token, done, cache

    tokens = jnp.full((batch, n_tokens), fill_token, jnp.int32)
    tokens, token, done = place(tokens, draw(first, jax.random.fold_in(key, 0)), jnp.zeros(batch, bool), 0)
    start = (jnp.ones((), jnp.int32), tokens, token, done, cache)
    return jax.lax.while_loop(unfinished, body, start)[1]
