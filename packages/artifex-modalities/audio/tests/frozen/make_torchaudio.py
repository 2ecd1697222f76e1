"""Makes ``torchaudio.npz``: what torchaudio says of a signal, in float64. Its compiled part, not used here, is left out.

pip install torch torchaudio
python make_torchaudio.py
"""

import importlib
import sys
import types
from pathlib import Path

import numpy as np


def main() -> None:
    """Write the file beside this one."""
    import torch

    absent = types.ModuleType("torchaudio._extension")
    absent.__path__ = []
    absent.lazy_import_sox_ext = absent.fail_if_no_align = absent.fail_if_no_sox = lambda *given: given[0] if given else None
    absent._IS_TORCHAUDIO_EXT_AVAILABLE = absent._IS_RIR_AVAILABLE = absent._IS_ALIGN_AVAILABLE = False
    sys.modules["torchaudio._extension"] = absent
    transforms = importlib.import_module("torchaudio.transforms")

    with np.load(Path(__file__).with_name("librosa.npz")) as stored:
        signal = torch.from_numpy(stored["signal"])
    torch.set_default_dtype(torch.float64)  # windows and bands, too
    arguments = {"n_fft": 512, "hop_length": 128, "n_mels": 24}
    mel = transforms.MelSpectrogram(sample_rate=8000, **arguments)(signal).T
    mfcc = transforms.MFCC(sample_rate=8000, n_mfcc=13, melkwargs=arguments)(signal).T
    np.savez_compressed(Path(__file__).with_name("torchaudio.npz"), mel=mel.numpy(), mfcc=mfcc.numpy())


if __name__ == "__main__":
    main()
