"""Picture of sounds: the level in each mel band over time, of tones, chirps, noises and notes.

python docs/pictures/sounds.py [--seed 0] [--output docs/pictures]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from artifex.modalities.audio import AudioModality, AudioModalityConfig
from artifex.modalities.audio.datasets import SyntheticAudio, SyntheticAudioConfig, Tones, TonesConfig
from artifex.modalities.image import image_grid, save_image

COLUMNS = 5
RANGE = 12.0
"""Nepers from black to white: about 52 decibels."""


def main(seed: int, output: Path) -> None:
    """Make sounds and draw them, a kind in each column."""
    tones = Tones(TonesConfig(length=8000, seed=seed, n_test=8)).arrays("test")["x"][[0, 3, 6]]
    others = SyntheticAudio(SyntheticAudioConfig(seed=seed, n_test=12)).arrays("test")["x"]
    sounds = np.concatenate([np.concatenate([tones[i : i + 1], others[4 * i : 4 * i + 4]]) for i in range(3)])
    form = {"n_fft": 512, "hop_length": 100, "n_mels": 64}
    modality = AudioModality(
        AudioModalityConfig(sample_rate=8000, length=8000, representation="mel_spectrogram", spectrogram=form)
    )
    levels = np.asarray(modality.prepare({"x": sounds}, train=False)["x"])  # (15, frames, bands)
    loudest = levels.max(axis=(1, 2), keepdims=True)
    pictures = np.clip(1 + (levels - loudest) / RANGE, 0, 1)
    low_at_the_bottom = np.swapaxes(pictures, 1, 2)[:, ::-1, :, None]
    save_image(output / "sounds.png", image_grid(low_at_the_bottom, columns=COLUMNS, zoom=2, padding=4))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.output)
