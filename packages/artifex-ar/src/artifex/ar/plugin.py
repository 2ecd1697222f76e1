"""What artifex-ar registers."""

from __future__ import annotations

from artifex.core.plugins import LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    models = {
        "transformer_ar": (
            "transformer:TransformerAR",
            "Vaswani et al. 2017, arXiv:1706.03762",
            "Transformer of tokens; GPT-2 and Llama are configs of it.",
        ),
        "pixel_cnn": (
            "pixel_cnn:PixelCNN",
            "van den Oord et al. 2016, arXiv:1606.05328",
            "Gated masked convolutions on images, pixel after pixel and channel after channel.",
        ),
        "pixel_cnn_pp": (
            "pixel_cnn_pp:PixelCNNPP",
            "Salimans et al. 2017, arXiv:1701.05517",
            "Masked residual networks on images, with a discretised mixture of logistics for each pixel.",
        ),
        "wavenet": (
            "wavenet:WaveNet",
            "van den Oord et al. 2016, arXiv:1609.03499",
            "Gated dilated causal convolutions on signals.",
        ),
    }
    return [
        ModelEntry(
            name=name,
            model=f"artifex.ar.{target}",
            config=f"artifex.ar.{target}Config",
            family="ar",
            capabilities=("log_prob",),
            paper=paper,
            summary=summary,
        )
        for name, (target, paper, summary) in models.items()
    ]


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """The losses."""
    losses = {
        "artifex.ar.losses:cross_entropy": ("", "Minus the log probability of tokens, padding left out."),
        "artifex.ar.likelihoods:mixture_of_logistics_log_prob": (
            "Salimans et al. 2017, arXiv:1701.05517",
            "Log probability of levels under a mixture of logistics.",
        ),
    }
    return [
        LossEntry(name=loss.partition(":")[2], loss=loss, family="ar", paper=paper, summary=summary)
        for loss, (paper, summary) in losses.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    metrics = {
        "bits_per_element": (
            "Bits that coding a token, a dimension or a sample costs.",
            {"unit": "bits", "tolerance": 0.005},
        ),
    }
    return [
        MetricEntry(
            name=name,
            metric=f"artifex.ar.streamed:{name}",
            needs=("log_prob", "references"),
            takes=("mask",),
            higher_is_better=False,
            family="ar",
            summary=summary,
            **rest,
        )
        for name, (summary, rest) in metrics.items()
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "pixel-cnn-digits": "A PixelCNN of the digits given their class.",
        "smiles-transformer-qm9": "A transformer on the SMILES of QM9.",
        "pixel-cnn-pp-digits": "A PixelCNN++ of the digits given their class.",
        "transformer-text": "A transformer of the bytes of the reference of the Python language.",
        "wavenet-tones": "A WaveNet of synthesised tones given their pitch.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.ar:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
