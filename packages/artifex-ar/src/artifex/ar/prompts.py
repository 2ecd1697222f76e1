"""What sequences begin with and end behind: read from what a caller has, and checked.

Shapes: ``P = tokens of a prompt, n = sequences, T = new tokens``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Int

from artifex.core.checks import check_at_least
from artifex.core.errors import InvalidInputError

__all__ = ["behind_prompts", "checked_prompt", "checked_stops"]


def checked_stops(tokens: Any, vocab_size: int) -> tuple[int, ...]:
    """The tokens behind which a sequence ends.

    Raises:
        InvalidInputError: they are no tokens.

    Example:
        >>> checked_stops([3, 5], 7)
        (3, 5)
    """
    stops = np.atleast_1d(np.asarray(tokens)) if np.size(tokens) else np.zeros(0, int)
    if stops.ndim != 1 or not np.issubdtype(stops.dtype, np.integer):
        raise InvalidInputError(f"stop_tokens is {tokens!r}, expected integer tokens, such as (0,)")
    _check_range("stop_tokens", stops, 0, vocab_size - 1, "the vocabulary")
    return tuple(stops.tolist())


def checked_prompt(n: int, prompt: Any, lengths: Any, *, vocab_size: int, least: int) -> tuple[Array, Array | None, int]:
    """The prompt ``(n, P)``, its lengths, and the number of sequences.

    Args:
        n: how many sequences are asked for; 1 stands for as many as the prompt has.
        prompt: tokens ``(P,)``, ``(1, P)`` or ``(n, P)``; None for none.
        lengths: how many of each row count, ``(n,)``; None for all.
        vocab_size: of the model.
        least: shortest length of a prompt.

    Raises:
        InvalidInputError: something is out of range, or does not fit.
    """
    check_at_least(1, n_samples=n)
    if prompt is None:
        if lengths is not None:
            raise InvalidInputError("prompt_lengths are given without a prompt")
        return jnp.zeros((n, 0), jnp.int32), None, n
    prompt = prompt if isinstance(prompt, jax.Array) else _array_of(prompt)
    prompt = prompt[None] if prompt.ndim == 1 else prompt
    if prompt.ndim != 2 or prompt.shape[1] < 1 or not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise InvalidInputError(
            f"prompt is {prompt.dtype} of shape {prompt.shape}, expected integer tokens ({n}, at least 1); leave it out "
            "to begin at the start"
        )
    n = prompt.shape[0] if n == 1 else n
    if prompt.shape[0] not in (1, n):
        raise InvalidInputError(f"prompt has {prompt.shape[0]} rows for {n} samples; give one for each, or one for all")
    if not isinstance(prompt, Tracer):
        _check_range("prompt", np.asarray(prompt), 0, vocab_size - 1, "the vocabulary")
    prompt = jnp.broadcast_to(jnp.asarray(prompt, jnp.int32), (n, prompt.shape[1]))
    if lengths is None:
        return prompt, None, n
    lengths = lengths if isinstance(lengths, jax.Array) else np.asarray(lengths)
    if lengths.shape != (n,) or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise InvalidInputError(f"prompt_lengths is {lengths.dtype} of shape {lengths.shape}, expected integers ({n},)")
    if not isinstance(lengths, Tracer):
        _check_range("prompt_lengths", np.asarray(lengths), least, prompt.shape[1], "the prompt")
    return prompt, jnp.asarray(lengths, jnp.int32), n


def behind_prompts(
    prompt: Int[Array, "n P"], lengths: Int[Array, "n"] | None, new: Int[Array, "n T"], fill_token: int
) -> Int[Array, "n P+T"]:
    """New tokens directly behind each prompt, however long it is; ``fill_token`` behind them.

    Example:
        >>> behind_prompts(jnp.array([[1, 2], [3, 0]]), jnp.array([2, 1]), jnp.array([[7, 8], [8, 9]]), -1).tolist()
        [[1, 2, 7, 8], [3, 8, 9, -1]]
    """
    if lengths is None:
        return jnp.concatenate([prompt, new], axis=1)
    n_tokens = new.shape[1]
    place = jnp.arange(prompt.shape[1] + n_tokens)[None]
    drawn = jnp.take_along_axis(new, jnp.clip(place - lengths[:, None], 0, n_tokens - 1), axis=1)
    given = jnp.pad(prompt, ((0, 0), (0, n_tokens)))
    made = jnp.where(place < lengths[:, None], given, drawn)
    return jnp.where(place < lengths[:, None] + n_tokens, made, fill_token)


def _array_of(prompt: Any) -> np.ndarray:
    """Tokens, of one prompt or of several of one length."""
    if isinstance(prompt, (str, bytes)):
        raise InvalidInputError(
            f"prompt is text, {prompt!r}, expected integer tokens: encode it, list(text.encode()) where tokens are bytes"
        )
    try:
        return np.asarray(prompt)
    except ValueError as error:
        raise InvalidInputError(
            "the prompts differ in length; fill them up to one, at their ends, and say how many tokens of each count: "
            "prompt_lengths=[len(p) for p in prompts]"
        ) from error


def _check_range(name: str, values: np.ndarray, low: int, high: int, of: str) -> None:
    if values.size and (values.min() < low or values.max() > high):
        raise InvalidInputError(f"{name} holds {values.min()} to {values.max()}, but {of} goes from {low} to {high}")
