"""What artifex-ar registers."""

from __future__ import annotations

from artifex.core.plugins import LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    return [
        ModelEntry(
            name="transformer_ar",
            model="artifex.ar.transformer:TransformerAR",
            config="artifex.ar.transformer:TransformerARConfig",
            family="ar",
            capabilities=("log_prob",),
            paper="Vaswani et al. 2017, arXiv:1706.03762",
            summary="Transformer of tokens; GPT-2 and Llama are configs of it.",
        ),
        ModelEntry(
            name="pixel_cnn",
            model="artifex.ar.pixel_cnn:PixelCNN",
            config="artifex.ar.pixel_cnn:PixelCNNConfig",
            family="ar",
            capabilities=("log_prob",),
            paper="van den Oord et al. 2016, arXiv:1606.05328",
            summary="Gated masked convolutions on images, pixel after pixel and channel after channel.",
        ),
        ModelEntry(
            name="pixel_cnn_pp",
            model="artifex.ar.pixel_cnn_pp:PixelCNNPP",
            config="artifex.ar.pixel_cnn_pp:PixelCNNPPConfig",
            family="ar",
            capabilities=("log_prob",),
            paper="Salimans et al. 2017, arXiv:1701.05517",
            summary="Masked residual networks on images, with a discretised mixture of logistics for each pixel.",
        ),
        ModelEntry(
            name="wavenet",
            model="artifex.ar.wavenet:WaveNet",
            config="artifex.ar.wavenet:WaveNetConfig",
            family="ar",
            capabilities=("log_prob",),
            paper="van den Oord et al. 2016, arXiv:1609.03499",
            summary="Gated dilated causal convolutions on signals.",
        ),
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
