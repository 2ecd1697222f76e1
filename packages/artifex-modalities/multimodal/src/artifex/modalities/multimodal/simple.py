"""Two small kinds of data that need no distribution of their own: short words as letters, short waveforms.

Shapes: ``B = examples, T = places or samples, A = 1 + letters of the alphabet``.
"""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, UInt8

from artifex.core.checks import check_any_samples
from artifex.core.errors import InvalidInputError
from artifex.modalities.multimodal.config import LettersConfig, WavesConfig

__all__ = ["Letters", "Waves"]


@dataclass(frozen=True, slots=True)
class Letters:
    """Words as one-hot letters; follows :class:`artifex.core.protocols.ModalityProtocol` and its ``HasHostForm``.

    >>> letters = Letters(LettersConfig(length=3))
    >>> codes = letters.codes(["ab", "cab"])
    >>> codes.tolist()
    [[1, 2, 0], [3, 1, 2]]
    >>> letters.to_host(np.asarray(letters.prepare({"x": codes})["x"]))
    ['ab', 'cab']
    """

    config: LettersConfig

    @property
    def shape(self) -> tuple[int, int]:
        """``(T, A)``."""
        return self.config.length, 1 + len(self.config.alphabet)

    @property
    def _of_files(self) -> str:
        """What to do with the words of files."""
        return (
            f"the words of files are bytes: give this part the modality {{kind: text, length: {self.config.length}}} and "
            "categories: 256"
        )

    def codes(self, words: Sequence[str]) -> UInt8[np.ndarray, "B T"]:
        """Stored form of words.

        Raises:
            InvalidInputError: a word is too long, or has a letter that the alphabet has not.
        """
        stored = np.zeros((len(words), self.config.length), np.uint8)
        for row, word in enumerate(words):
            unknown = sorted(set(word) - set(self.config.alphabet))
            if len(word) > self.config.length or unknown:
                why = f"its letters {''.join(unknown)!r} are not in the alphabet" if unknown else "it is too long"
                raise InvalidInputError(
                    f"word {row}, {word!r}, is none of at most {self.config.length} letters of {self.config.alphabet!r}: {why}"
                )
            stored[row, : len(word)] = [1 + self.config.alphabet.index(letter) for letter in word]
        return stored

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool = False) -> dict[str, Any]:
        """``x`` one-hot, float32 ``(B, T, A)``. Nothing is drawn."""
        del rngs, train
        x = jnp.asarray(batch["x"])
        if x.ndim != 2 or x.shape[1] != self.config.length or not jnp.issubdtype(x.dtype, jnp.integer):
            raise InvalidInputError(
                f"codes of letters (batch, {self.config.length}) are needed, got {x.dtype} of shape {x.shape}; {self._of_files}"
            )
        return {**batch, "x": jax.nn.one_hot(x, self.shape[1])}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise :class:`InvalidInputError` at a code that stands for no letter."""
        x = np.asarray(arrays["x"])
        if (wrong := np.argwhere((x < 0) | (x >= self.shape[1]))).size:
            row, place = wrong[0]
            raise InvalidInputError(
                f"x[{first_row + row}] holds the code {x[row, place]} at place {place}; letters have 1 to {self.shape[1] - 1}, "
                f"an empty place 0; {self._of_files}"
            )

    def restore(self, x: Float[Array, "B T A"]) -> Float[Array, "B T A"]:
        """Probabilities of letters, clipped to [0, 1]."""
        return jnp.clip(jnp.asarray(x, jnp.float32), 0.0, 1.0)

    def to_host(self, x: Float[np.ndarray, "B T A"], mask: np.ndarray | None = None) -> list[str]:
        """The likeliest letter of each place; a word ends at its first empty one."""
        del mask  # the empty letter says where a word ends
        letters = "\0" + self.config.alphabet
        return ["".join(letters[i] for i in row).partition("\0")[0] for row in np.asarray(x).argmax(axis=-1)]

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """One word a line, in ``stem.txt``."""
        check_any_samples(samples, stem)
        path = Path(stem).with_name(f"{Path(stem).name}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.to_host(samples)) + "\n", encoding="utf-8")
        return path


@dataclass(frozen=True, slots=True)
class Waves:
    """Waveforms as they are; follows :class:`artifex.core.protocols.ModalityProtocol`.

    >>> Waves(WavesConfig(length=4)).prepare({"x": np.zeros((2, 4))})["x"].dtype
    dtype('float32')
    """

    config: WavesConfig

    @property
    def shape(self) -> tuple[int]:
        """``(T,)``."""
        return (self.config.length,)

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool = False) -> dict[str, Any]:
        """``x`` in float32. Nothing is drawn."""
        del rngs, train
        x = jnp.asarray(batch["x"], jnp.float32)
        if x.ndim != 2 or x.shape[1] != self.config.length:
            raise InvalidInputError(f"waveforms (batch, {self.config.length}) are needed, got shape {x.shape}")
        return {**batch, "x": x}

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise :class:`InvalidInputError` at a sample outside [-1, 1]."""
        x = np.asarray(arrays["x"], np.float32)
        if (wrong := np.argwhere(~(np.abs(x) <= 1))).size:
            row, place = wrong[0]
            raise InvalidInputError(f"x[{first_row + row}] holds {x[row, place]:g} at sample {place}; waveforms lie in [-1, 1]")

    def restore(self, x: Float[Array, "B T"]) -> Float[Array, "B T"]:
        """Clipped to [-1, 1]."""
        return jnp.clip(jnp.asarray(x, jnp.float32), -1.0, 1.0)

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """One after the other in ``stem.wav``, 16 bits, a tenth of a second of silence between two."""
        check_any_samples(samples, stem)
        path = Path(stem).with_name(f"{Path(stem).name}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        waves = np.nan_to_num(np.clip(np.asarray(samples, np.float32), -1, 1))
        silence = np.zeros((len(waves), self.config.rate // 10), np.float32)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.config.rate)
            file.writeframes(np.rint(32767 * np.concatenate([waves, silence], axis=1)).astype("<i2").tobytes())
        return path
