"""Signals on their way to a model and back: ``prepare`` inside the compiled step, ``restore`` and ``save_samples`` after it.

Shapes: ``B = batch, S = stored samples, T = samples``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Num

from artifex.core.checks import check_any_samples
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.audio.companding import mu_law_decode, mu_law_encode
from artifex.modalities.audio.config import AudioModalityConfig, AudioRepresentation
from artifex.modalities.audio.files import save_wav
from artifex.modalities.audio.mel import PADS, mel_spectrogram, mel_to_power, mfcc, mfcc_to_mel
from artifex.modalities.audio.spectral import griffin_lim, istft, number_of_frames, stft

__all__ = ["AudioModality"]

FULL = 32768
"""Of 16-bit samples, what 1 is."""
ROUNDING = 1e-3
"""By how much a float may leave [-1, 1]."""
QUIETEST = 1e-10
"""Power that is added to that of mel bands before their logarithm."""
PAUSE = 0.25
"""Seconds of silence between two samples in one file."""


class AudioModality:
    """Signals of one channel, in one of the forms of :class:`AudioRepresentation`.

    Follows :class:`artifex.core.protocols.ModalityProtocol`, ``Restores``, ``HasHostForm`` and ``ChecksData``.

    Args:
        config: the form of the signals.
        representation: short for a config with nothing but this.
        rngs: random streams, of which the modality keeps a fork: it serves whenever :meth:`prepare` is given none and draws the
            part of an example (``crop``), outside compiled functions.

    Raises:
        InvalidTypeError: ``config`` is no :class:`AudioModalityConfig`, or ``rngs`` no ``nnx.Rngs``.
        InvalidInputError: both a config and a representation are given.

    Example:
        >>> modality = AudioModality(AudioModalityConfig(length=8000, representation="mel_spectrogram"))
        >>> modality.prepare({"x": np.zeros((2, 9000), np.int16)}, train=False)["x"].shape
        (2, 63, 64)
    """

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        *,
        representation: AudioRepresentation | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        if config is not None and representation is not None:
            raise InvalidInputError("both a config and a representation are given; put the representation into the config")
        if config is None:
            config = AudioModalityConfig() if representation is None else AudioModalityConfig(representation=representation)
        if not isinstance(config, AudioModalityConfig):
            raise InvalidTypeError(f"AudioModality takes an AudioModalityConfig, got {type(config).__name__}: {config!r}")
        if rngs is not None and not isinstance(rngs, nnx.Rngs):
            raise InvalidTypeError(f"AudioModality takes rngs=nnx.Rngs(seed), got {type(rngs).__name__}: {rngs!r}")
        self.config = config
        self.rngs = None if rngs is None else rngs.fork()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared example."""
        config, frames = self.config, self.config.frames
        n_frames = number_of_frames(config.length, frames.n_fft, frames.hop)
        return {
            AudioRepresentation.RAW_WAVEFORM: (config.length,),
            AudioRepresentation.MU_LAW: (config.length,),
            AudioRepresentation.STFT: (n_frames, frames.n_fft // 2 + 1, 2),
            AudioRepresentation.MEL_SPECTROGRAM: (n_frames, config.mels),
            AudioRepresentation.MFCC: (n_frames, config.coefficients),
        }[config.representation]

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Array]:
        """Stored signals to model input; jitted with the step.

        Args:
            batch: ``x`` ``(B, S)``: floats in [-1, 1], or 16-bit whole numbers; perhaps a ``mask`` of that shape. Other keys
                are handed on as they are.
            rngs: streams; ``sample`` (or ``default``) draws the parts of longer examples where the config says so. The
                modality's own by default.
            train: whether such parts are drawn.

        Returns:
            The batch with ``x`` ``(B, *shape)``; its ``mask``, if any, for each sample or frame.

        Raises:
            InvalidInputError: ``x`` is missing, or a shape or dtype does not fit; or there is no stream to draw from.
        """
        self._check_form(batch)
        rows = {"x": self._as_floats(jnp.asarray(batch["x"]))}
        if "mask" in batch:
            rows["mask"] = jnp.asarray(batch["mask"], bool)
            rows["x"] = jnp.where(rows["mask"], rows["x"], 0)
        length, stored = self.config.length, rows["x"].shape[1]
        if stored > length and train and self.config.crop == "random":
            spare = jnp.full(len(rows["x"]), stored - length)
            if "mask" in rows:
                spare = jnp.maximum(jnp.sum(rows["mask"], axis=1) - length, 0)
            start = jax.random.randint(_key(self.rngs if rngs is None else rngs), spare.shape, 0, spare + 1)
            cut = jax.vmap(lambda row, at: jax.lax.dynamic_slice(row, (at,), (length,)))
            rows = {key: cut(row, start) for key, row in rows.items()}
        rows = {key: jnp.pad(row[:, :length], ((0, 0), (0, max(0, length - stored)))) for key, row in rows.items()}
        rows["x"] = self._represented(rows["x"])
        if "mask" in rows:
            rows["mask"] = rows["mask"][:, self._centres()]
        return {**batch, **rows}

    def _represented(self, x: Float[Array, "B T"]) -> Array:
        config, frames, form = self.config, self.config.frames, self.config.frames.form or "librosa"
        kind, sizes = config.representation, (config.sample_rate, frames.n_fft, frames.hop, config.mels)
        if kind is AudioRepresentation.MU_LAW:
            return mu_law_encode(x, config.number_of_levels)
        if kind is AudioRepresentation.STFT:
            spectrum = stft(x, frames.n_fft, frames.hop)
            return jnp.stack([spectrum.real, spectrum.imag], axis=-1)
        if kind is AudioRepresentation.MEL_SPECTROGRAM:
            return jnp.log(mel_spectrogram(x, *sizes, form) + QUIETEST)
        if kind is AudioRepresentation.MFCC:
            return mfcc(x, *sizes, config.coefficients, form)
        return x

    def restore(self, x: Num[Array, "B ..."]) -> Float[Array, "B T"]:
        """Model space back to signals: from mel bands and cepstra, whose phases are lost, by Griffin and Lim's algorithm.

        Raises:
            InvalidInputError: the shape is not that of prepared examples.
        """
        if x.shape[1:] != self.shape:
            raise InvalidInputError(f"prepared signals have shape (batch, {', '.join(map(str, self.shape))}), got {x.shape}")
        config, frames = self.config, self.config.frames
        kind, form = config.representation, frames.form or "librosa"
        if kind is AudioRepresentation.RAW_WAVEFORM:
            return jnp.asarray(x, jnp.float32)
        if kind is AudioRepresentation.MU_LAW:
            return mu_law_decode(jnp.asarray(x), config.number_of_levels)
        if kind is AudioRepresentation.STFT:
            return istft(jax.lax.complex(x[..., 0], x[..., 1]), frames.n_fft, frames.hop, config.length)
        mel = jnp.exp(x) if kind is AudioRepresentation.MEL_SPECTROGRAM else mfcc_to_mel(x, config.mels)
        magnitude = jnp.sqrt(mel_to_power(mel, config.sample_rate, frames.n_fft, form))
        rounds = frames.iterations or 32
        return griffin_lim(magnitude, frames.n_fft, frames.hop, config.length, iterations=rounds, pad=PADS[form])

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless these are signals; on the host, before the first step.

        Args:
            arrays: ``x`` and perhaps ``mask``, ``(N, S)``; other keys are not looked at.
            first_row: row of the data set that the first of them is, for messages.

        Raises:
            InvalidInputError: ``x`` is missing, its shape or dtype does not fit, or a sample is not in [-1, 1].

        >>> AudioModality().check({"x": np.array([[0.1, 900.0]])}, first_row=3)
        Traceback (most recent call last):
        artifex.core.errors.InvalidInputError: x[3, 1] is 900, but samples are floats in [-1, 1]; divide by the greatest ...
        """
        self._check_form(arrays)
        x = np.asarray(arrays["x"])
        if np.issubdtype(x.dtype, np.integer):
            return
        wrong = ~(np.abs(x) <= 1 + ROUNDING)  # NaN too
        if "mask" in arrays:
            wrong &= np.asarray(arrays["mask"], bool)
        if wrong.any():
            row, place = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"x[{first_row + row}, {place}] is {x[row, place]:g}, but samples are floats in [-1, 1]; divide by the "
                "greatest that there can be (32768 of 16-bit ones), and mend what is not finite"
            )

    def to_host(self, x: Num[np.ndarray, "B ..."], mask: Bool[np.ndarray, "B T"] | None = None) -> list[np.ndarray | None]:
        """Signals, float32 ``(samples,)``, without what is padded; None for what is not finite.

        Args:
            x: in model space.
            mask: true where there is something, for each sample or, of spectrograms, each frame.
        """
        signals = np.asarray(self.restore(jnp.asarray(x)))
        ends = [self.config.length] * len(signals)
        if mask is not None:
            width = 1 if len(self.shape) == 1 else self.config.frames.hop
            ends = [min(self.config.length, width * int(row.sum())) for row in np.asarray(mask, bool)]
        return [row[:end] if np.isfinite(row).all() else None for row, end in zip(signals, ends, strict=True)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """Write samples ``(N, *shape)`` from model space as ``stem.wav``, with pauses between; returns its path.

        Raises:
            InvalidInputError: there are no samples, of which no sound is made, or they are of another shape.
        """
        check_any_samples(samples, stem)
        signals = np.asarray(self.restore(jnp.asarray(samples)))
        pause = np.zeros(round(PAUSE * self.config.sample_rate), np.float32)
        parts = [part for row in signals for part in (row, pause)]
        stem = Path(stem)
        return save_wav(stem.with_name(f"{stem.name}.wav"), np.concatenate(parts[:-1]), self.config.sample_rate)

    def _centres(self) -> np.ndarray:
        """The sample that each element of the first axis is at the middle of."""
        hop = 1 if len(self.shape) == 1 else self.config.frames.hop
        return np.minimum(hop * np.arange(self.shape[0]), self.config.length - 1)

    @staticmethod
    def _as_floats(x: Array) -> Float[Array, "B S"]:
        return x.astype(jnp.float32) / FULL if jnp.issubdtype(x.dtype, jnp.integer) else x.astype(jnp.float32)

    def _check_form(self, batch: Mapping[str, Any]) -> None:
        if "x" not in batch:
            raise InvalidInputError(f"a batch of signals has the key 'x'; got the keys {sorted(batch)}")
        shape, dtype = jnp.shape(batch["x"]), jnp.result_type(batch["x"])
        if len(shape) != 2 or not (dtype == jnp.int16 or jnp.issubdtype(dtype, jnp.floating)):
            raise InvalidInputError(
                f"signals have shape (batch, samples) and are floats in [-1, 1] or 16-bit whole numbers; got {dtype} of shape "
                f"{shape}: take one channel, or the mean of all"
            )
        if "mask" in batch and jnp.shape(batch["mask"]) != shape:
            raise InvalidInputError(f"mask has shape {jnp.shape(batch['mask'])}, x {shape}; they have to be the same")


def _key(rngs: nnx.Rngs | None) -> Array:
    if rngs is None or not ("sample" in rngs or "default" in rngs):
        raise InvalidInputError("crop 'random' draws numbers: give nnx.Rngs a stream 'sample', as in nnx.Rngs(sample=0)")
    return rngs.sample()
