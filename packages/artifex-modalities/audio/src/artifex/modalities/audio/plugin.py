"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from typing import Any

from artifex.core.plugins import ComponentEntry, DatasetEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.audio"
OF_A_RATE = ("mel_cepstral_distortion", "pesq", "stoi")
"""Metrics that depend on the sample rate, which the modality knows."""


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``audio``."""
    return [
        ModalityEntry(
            name="audio",
            modality=f"{_HERE}.modality:AudioModality",
            config=f"{_HERE}.config:AudioModalityConfig",
            summary="Signals as samples, levels of mu-law, or spectrograms; samples as WAV files.",
        )
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """Features."""
    return [
        ComponentEntry(
            name="mel_statistics",
            slot="feature_extractor",
            component=f"{_HERE}.metrics.frechet:MelStatistics",
            config=f"{_HERE}.metrics.frechet:MelStatisticsConfig",
            summary="Mean and spread over time of the level in each mel band.",
        )
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of sounds."""
    made = {
        "audio_folder": (
            "audio_folder:AudioFolder",
            "Sound files (WAV, FLAC, OGG) in folders, one folder a split and a class.",
        ),
        "synthetic_audio": ("synthetic:SyntheticAudio", "Synthesised chirps, noises and notes of plucked strings."),
        "tones": ("tones:Tones", "Synthesised tones of several pitches."),
    }
    return [
        DatasetEntry(
            name=name,
            dataset=f"{_HERE}.datasets.{target}",
            config=f"{_HERE}.datasets.{target}Config",
            modality="audio",
            summary=summary,
        )
        for name, (target, summary) in made.items()
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """Suites for ``artifex benchmark``."""
    return [SuiteEntry(name="tones", file=f"{_HERE}:suites/tones.yaml", summary="Synthesised tones of several pitches.")]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics of sounds."""
    return [
        _pair("snr", "pairs:SNR", True, "dB", 0.1, "Signal-to-noise ratio."),
        _pair(
            "si_sdr",
            "pairs:SI_SDR",
            True,
            "dB",
            0.1,
            "Scale-invariant signal-to-distortion ratio.",
            "Le Roux et al. 2019, arXiv:1811.02508",
        ),
        _pair(
            "log_spectral_distance",
            "pairs:LOG_SPECTRAL_DISTANCE",
            False,
            "dB",
            0.05,
            "Root mean square of differences of level, frame by frame.",
            "Gray and Markel 1976, doi:10.1109/TASSP.1976.1162849",
            lowest=0,
        ),
        _pair(
            "mel_cepstral_distortion",
            "pairs:MEL_CEPSTRAL_DISTORTION",
            False,
            "dB",
            0.05,
            "Distance of mel cepstra, frame by frame.",
            "Kubichek 1993, doi:10.1109/PACRIM.1993.407206",
            lowest=0,
        ),
        _pair(
            "multi_resolution_stft",
            "pairs:MULTI_RESOLUTION_STFT",
            False,
            "",
            0.01,
            "Distance of magnitudes and of their logarithms at three resolutions.",
            "Yamamoto et al. 2020, arXiv:1910.11480",
            lowest=0,
        ),
        _pair(
            "stoi",
            "speech:STOI",
            True,
            "",
            0.005,
            "Intelligibility of speech (extra stoi).",
            "Taal et al. 2011, doi:10.1109/TASL.2011.2114881",
            lowest=-1,  # a correlation
            highest=1,
        ),
        _pair(
            "pesq",
            "speech:PESQ",
            True,
            "",
            0.02,
            "Quality of speech, from 8 kHz on (extra pesq).",
            "ITU-T P.862.2 (2007)",
            lowest=0.999,  # of 0.999 + 4 / (1 + exp(...))
            highest=4.999,
        ),
        MetricEntry(
            name="frechet_mel_statistics",
            metric=f"{_HERE}.metrics.frechet:FRECHET_DISTANCE",
            needs=("samples", "references"),
            higher_is_better=False,
            modality="audio",
            space="restored",
            compares="sets",
            features="mel_statistics",
            min_examples=2,
            tolerance=0.01,
            lowest=0,
            summary="Fréchet distance over mean and spread of the level in mel bands.",
            paper="Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X",
        ),
    ]


def _pair(
    name: str, target: str, higher: bool, unit: str, tolerance: float, summary: str, paper: str = "", **bounds: Any
) -> MetricEntry:
    return MetricEntry(
        name=name,
        metric=f"{_HERE}.metrics.{target}",
        needs=("samples", "references", *(("modality",) if name in OF_A_RATE else ())),
        higher_is_better=higher,
        modality="audio",
        space="restored",
        compares="pairs",
        unit=unit,
        tolerance=tolerance,
        summary=summary,
        paper=paper,
        **bounds,
    )
