"""What artifex-ar registers."""

from __future__ import annotations

from artifex.core.plugins import ModelEntry, PresetEntry, hookimpl

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
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "pixel-cnn-digits": "A PixelCNN of the digits given their class.",
    }
    return [
        PresetEntry(name=name, file=f"artifex.ar:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()
    ]
