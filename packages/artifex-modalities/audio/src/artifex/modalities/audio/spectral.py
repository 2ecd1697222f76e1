r"""The short-time Fourier transform and its inverse, and a signal from magnitudes alone.

.. math:: X[f, k] = \sum_t w[t]\, x[t + f h - n / 2]\, e^{-2 \pi i k t / n}

Shapes: ``... = batch, T = samples, F = frames = 1 + (T + 2 floor(n / 2) - n) / h, K = bins = n / 2 + 1``, of frames of ``n``
samples every ``h`` samples; ``w`` is Hann's window, periodic.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from artifex.core.errors import InvalidInputError

__all__ = ["PadMode", "griffin_lim", "hann", "istft", "number_of_frames", "stft"]

PadMode = Literal["constant", "reflect"]
TINY = 1e-11


def hann(n: int, width: int | None = None) -> np.ndarray:
    """Hann's window of ``width`` samples, periodic, in the middle of ``n``.

    >>> hann(4).round(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    width = n if width is None else width
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    before = (n - width) // 2
    return np.pad(window, (before, n - width - before))


def number_of_frames(length: int, n_fft: int, hop: int) -> int:
    """``F`` of ``length`` samples.

    >>> number_of_frames(16000, 512, 128)
    126
    """
    return 1 + (length + 2 * (n_fft // 2) - n_fft) // hop


def _places(frames: int, n_fft: int, hop: int) -> np.ndarray:
    """Which samples each frame holds, ``(F, n)``."""
    return hop * np.arange(frames)[:, None] + np.arange(n_fft)


def stft(x: Float[Array, "... T"], n_fft: int, hop: int, *, pad: PadMode = "constant") -> Complex[Array, "... F K"]:
    """The short-time Fourier transform, as librosa's (``constant``) and PyTorch's (``reflect``) with their defaults.

    Raises:
        InvalidInputError: a mirrored signal is not longer than half a frame.

    >>> stft(jnp.ones(32), 16, 4).shape
    (9, 9)
    """
    length, around = x.shape[-1], n_fft // 2
    if length < 1 or (pad == "reflect" and length <= around):
        raise InvalidInputError(
            f"a signal of {length} samples is too short for frames of {n_fft}; make it longer, or them shorter"
        )
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(around, around)], mode=pad)
    frames = padded[..., _places(number_of_frames(length, n_fft, hop), n_fft, hop)]
    window = jnp.asarray(hann(n_fft), frames.dtype).reshape((1,) * (frames.ndim - 1) + (-1,))
    return jnp.fft.rfft(frames * window, axis=-1)


def istft(spectrum: Complex[Array, "... F K"], n_fft: int, hop: int, length: int) -> Float[Array, "... T"]:
    """The signal whose transform is nearest (Griffin and Lim 1984, equation 6): frames added, over the sum of squared windows.

    It undoes :func:`stft` with either padding, for every length, where frames overlap by three quarters.

    Raises:
        InvalidInputError: ``spectrum`` is not that of ``length`` samples.
    """
    frames = number_of_frames(length, n_fft, hop)
    if spectrum.shape[-2:] != (frames, n_fft // 2 + 1):
        raise InvalidInputError(
            f"the spectrum of {length} samples has shape (..., {frames}, {n_fft // 2 + 1}), got {spectrum.shape}"
        )
    window, places = hann(n_fft), _places(frames, n_fft, hop)
    total = np.bincount(places.ravel(), np.tile(window**2, frames), minlength=n_fft // 2 + length)
    parts = jnp.fft.irfft(spectrum, n=n_fft, axis=-1)
    parts = parts * jnp.asarray(window, parts.dtype).reshape((1,) * (parts.ndim - 1) + (-1,))
    added = jnp.zeros((*parts.shape[:-2], len(total)), parts.dtype).at[..., places].add(parts)
    kept = slice(n_fft // 2, n_fft // 2 + length)
    scale = jnp.asarray(1 / np.maximum(total[kept], TINY), parts.dtype)
    return added[..., kept] * scale.reshape((1,) * (added.ndim - 1) + (-1,))


def griffin_lim(
    magnitude: Float[Array, "... F K"],
    n_fft: int,
    hop: int,
    length: int,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    pad: PadMode = "constant",
    key: Array | None = None,
) -> Float[Array, "... T"]:
    """A signal with these magnitudes: phases are taken from the transform of the signal so far, again and again.

    Griffin and Lim 1984, "Signal Estimation from Modified Short-Time Fourier Transform" (doi:10.1109/TASSP.1984.1164317); with
    the momentum of Perraudin et al. 2013, "A Fast Griffin-Lim Algorithm" (doi:10.1109/WASPAA.2013.6701851).

    Args:
        magnitude: of each frame and bin.
        n_fft: samples of a frame.
        hop: samples from one frame to the next.
        length: samples of the signal.
        iterations: rounds.
        momentum: how far to go on in the direction of the last change; 0 is the first paper's.
        pad: what the magnitudes' signal had around it.
        key: phases begin at random; without a key at those of one impulse in each frame.
    """

    def consistent(spectrum: Array) -> Array:
        return stft(istft(spectrum, n_fft, hop, length), n_fft, hop, pad=pad)

    def improve(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        phases, before = carry
        made = consistent(magnitude * phases)
        ahead = made - (momentum / (1 + momentum)) * before
        return ahead / jnp.maximum(jnp.abs(ahead), TINY), made

    if key is None:
        start = jnp.exp(-1j * jnp.pi * jnp.arange(n_fft // 2 + 1)).reshape((1,) * (magnitude.ndim - 1) + (-1,))
        phases = jnp.broadcast_to(start, magnitude.shape)
    else:
        phases = jnp.exp(2j * jnp.pi * jax.random.uniform(key, magnitude.shape))
    phases = phases.astype(jnp.complex64)
    phases, _ = jax.lax.fori_loop(0, iterations, improve, (phases, jnp.zeros_like(phases)))
    return istft(magnitude * phases, n_fft, hop, length)
