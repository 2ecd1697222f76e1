"""Makes ``librosa.npz``: what librosa 0.11 says of a few signals (Python 3.11), in float64.

pip install librosa==0.11.* pyloudnorm
python make_librosa.py
"""

from pathlib import Path

import numpy as np


def main() -> None:
    """Write the file beside this one."""
    import librosa
    import pyloudnorm

    RATE = 8000
    rng = np.random.default_rng(0)
    t = np.arange(2001) / RATE
    signal = 0.4 * np.sin(2 * np.pi * 440 * t) + 0.2 * np.sin(2 * np.pi * 1500 * t * (1 + t)) + 0.05 * rng.normal(size=t.size)
    made = {"signal": signal}
    for n_fft, hop in ((511, 128), (512, 128), (1103, 275)):
        made[f"stft_{n_fft}"] = librosa.stft(signal, n_fft=n_fft, hop_length=hop).T
        made[f"mel_{n_fft}"] = librosa.feature.melspectrogram(y=signal, sr=RATE, n_fft=n_fft, hop_length=hop, n_mels=24).T
        made[f"filters_{n_fft}"] = librosa.filters.mel(sr=RATE, n_fft=n_fft, n_mels=24, dtype=np.float64)
    made["mel_htk"] = librosa.feature.melspectrogram(
        y=signal, sr=RATE, n_fft=512, hop_length=128, n_mels=24, htk=True, norm=None, pad_mode="reflect"
    ).T
    made["mfcc"] = librosa.feature.mfcc(y=signal, sr=RATE, n_fft=512, hop_length=128, n_mels=24, n_mfcc=13).T
    for name, x in (("signal", signal), ("cube", signal**3)):
        made[f"mel_24000_{name}"] = librosa.feature.melspectrogram(y=x, sr=24000, n_fft=1024, hop_length=256, n_mels=40).T
    faint = 1e-5 * np.sin(np.arange(9000) ** 1.5)
    made["kept"] = librosa.effects.trim(np.r_[faint, np.tile(signal, 2), faint], top_db=60)[1]
    seconds = np.arange(96000) / 48000
    made["loudness"] = pyloudnorm.Meter(48000).integrated_loudness(0.3 * np.sin(2 * np.pi * 2000 * seconds * (1 + seconds)))
    np.savez_compressed(Path(__file__).with_name("librosa.npz"), **made)


if __name__ == "__main__":
    main()
