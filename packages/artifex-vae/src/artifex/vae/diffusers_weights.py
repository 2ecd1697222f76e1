"""Autoencoders of Stable Diffusion, as diffusers keeps them (``AutoencoderKL``), in ours and back, key for key.

A folder of theirs holds ``config.json`` and ``diffusion_pytorch_model.safetensors``. Neither PyTorch nor diffusers has to be
installed. Their images are channels first, from -1 to 1; ours channels last, of the same range.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from artifex.core.errors import InvalidInputError
from artifex.vae.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig, LatentDecoder, LatentEncoder, Middle
from artifex.vae.layers import AttentionBlock, ResidualBlock

__all__ = ["load_diffusers", "save_diffusers"]

SETTINGS, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of the attention's layers before diffusers 0.12, and since."""
DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [64],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 32,
    "scaling_factor": 0.18215,
    "shift_factor": None,
    "act_fn": "silu",
    "use_quant_conv": True,
    "use_post_quant_conv": True,
    "mid_block_add_attention": True,
}
"""What ``AutoencoderKL`` takes for a setting that its ``config.json`` leaves out."""


def load_diffusers(
    source: str | Path | Mapping[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
    image_size: tuple[int, int] | None = None,
    rngs: nnx.Rngs,
) -> KLAutoencoder:
    """The model of a folder or a state dict of ``AutoencoderKL``; its ``latent_scale`` and ``latent_shift`` are theirs.

    Args:
        source: a folder that ``AutoencoderKL.save_pretrained`` wrote, or a state dict, its values anything NumPy can read.
        settings: what stands in ``config.json``; needed beside a state dict.
        image_size: height and width, multiples of ``2^(levels - 1)``; ``sample_size`` twice by default.
        rngs: streams that the model keeps.

    Raises:
        InvalidInputError: the settings have no counterpart here, or weights are missing, of another shape, or left over.
    """
    if not isinstance(source, Mapping):
        from safetensors.flax import load_file

        settings = json.loads((Path(source) / SETTINGS).read_text(encoding="utf-8")) if settings is None else settings
        source = load_file(Path(source) / WEIGHTS)
    if settings is None:
        raise InvalidInputError("a state dict does not say all that a model needs; give settings=, what stands in config.json")
    chosen = {**DEFAULTS, **settings}
    model = KLAutoencoder(_config(chosen, image_size), rngs=rngs)
    _fill(model, {_new_name(name): value for name, value in source.items()})
    model.latent_scale[...] = jnp.float32(chosen["scaling_factor"])
    model.latent_shift[...] = jnp.float32(chosen["shift_factor"] or 0.0)
    return model


def save_diffusers(model: KLAutoencoder, folder: str | Path) -> Path:
    """Write ``config.json`` and the weights, from which ``AutoencoderKL.from_pretrained(folder)`` makes the same functions.

    Args:
        model: with `norm_groups` and the activation `silu`, on which theirs depend, and images whose sizes halve evenly.
        folder: made if it is not there.

    Returns:
        The folder.

    Raises:
        InvalidInputError: the model has no counterpart in diffusers.
    """
    from safetensors.flax import save_file

    settings, folder = _settings(model), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: jnp.asarray(_theirs(name, value[...])) for name, value in _weights(model)}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return folder


def _config(settings: Mapping[str, Any], image_size: tuple[int, int] | None) -> KLAutoencoderConfig:
    levels, size = len(settings["block_out_channels"]), settings["sample_size"]
    height, width = image_size or ((size, size) if isinstance(size, int) else size)
    kinds = {*settings.get("down_block_types", ()), *settings.get("up_block_types", ())}
    if settings["act_fn"] not in ("silu", "swish") or kinds - {"DownEncoderBlock2D", "UpDecoderBlock2D"}:
        raise InvalidInputError(
            f"act_fn {settings['act_fn']!r}, blocks {sorted(kinds)}: only silu and plain blocks are known here"
        )
    if settings["in_channels"] != settings["out_channels"]:
        raise InvalidInputError(f"in_channels and out_channels differ: {settings['in_channels']}, {settings['out_channels']}")
    _check_size(height, width, levels)
    return KLAutoencoderConfig(
        input_shape=(height, width, settings["in_channels"]),
        hidden_dims=tuple(settings["block_out_channels"]),
        latent_channels=settings["latent_channels"],
        blocks_per_level=settings["layers_per_block"],
        attention=settings["mid_block_add_attention"],
        norm_groups=settings["norm_num_groups"],
        quant_conv=settings["use_quant_conv"],
        post_quant_conv=settings["use_post_quant_conv"],
    )


def _settings(model: KLAutoencoder) -> dict[str, Any]:
    config, (height, width, channels) = model.config, model.config.input_shape
    levels = len(config.hidden_dims)
    if config.norm_groups is None or config.activation != "silu" or model.likelihood.n_parameters != 1:
        raise InvalidInputError(
            f"norm_groups={config.norm_groups}, activation={config.activation!r}: diffusers takes a number of groups, 'silu', "
            "and a likelihood of one parameter an element"
        )
    _check_size(height, width, levels)
    shift = float(model.latent_shift[...])
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": list(config.hidden_dims),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "in_channels": channels,
        "out_channels": channels,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.blocks_per_level,
        "mid_block_add_attention": config.attention,
        "norm_num_groups": config.norm_groups,
        "sample_size": height if height == width else [height, width],
        "scaling_factor": float(model.latent_scale[...]),
        "shift_factor": shift or None,
        "use_quant_conv": config.quant_conv,
        "use_post_quant_conv": config.post_quant_conv,
    }


def _check_size(height: int, width: int, levels: int) -> None:
    """Theirs round odd sizes down where ours round up."""
    if height % 2 ** (levels - 1) or width % 2 ** (levels - 1):
        raise InvalidInputError(f"images of {height} x {width}: both have to be multiples of {2 ** (levels - 1)}")


def _fill(model: KLAutoencoder, state: Mapping[str, Any]) -> None:
    weights = dict(_weights(model))
    hint = "do the settings belong to them?"
    if missing := sorted(weights.keys() - state.keys()):
        raise InvalidInputError(
            f"the weights lack {', '.join(missing[:5])} ({len(missing)} in all); do the settings belong to them?"
        )
    if left := sorted(state.keys() - weights.keys()):
        raise InvalidInputError(f"no place for {', '.join(left[:5])} ({len(left)} in all); {hint}")
    for name, place in weights.items():
        value = _ours(np.asarray(state[name]), place[...].ndim)
        if value.shape != place[...].shape:
            raise InvalidInputError(f"{name} has shape {np.shape(state[name])}, which does not fit {place[...].shape} here")
        place[...] = jnp.asarray(value, place[...].dtype)


def _ours(value: np.ndarray, ndim: int) -> np.ndarray:
    """Output and input channels first to last; a linear map to a convolution of one pixel."""
    if ndim < 4:
        return value
    return np.moveaxis(value.reshape(*value.shape, *(1,) * (4 - value.ndim)), (0, 1), (3, 2))


def _theirs(name: str, value: Array) -> np.ndarray:
    made = np.asarray(value)
    if made.ndim < 4:
        return made
    made = np.ascontiguousarray(np.moveaxis(made, (3, 2), (0, 1)))
    return made[:, :, 0, 0] if ".attentions." in name else made


def _new_name(name: str) -> str:
    *start, layer, kind = name.split(".")
    in_attention = "attentions" in start
    return ".".join([*start, OLD_ATTENTION.get(layer, layer) if in_attention else layer, kind])


Weights = Iterator[tuple[str, Any]]
"""Names of theirs, and the parameters of ours."""


def _weights(model: KLAutoencoder) -> Weights:
    yield from _encoder(model.encoder)
    yield from _decoder(model.decoder)
    if model.encoder.quant is not None:
        yield from _layer("quant_conv", model.encoder.quant)
    if model.decoder.post_quant is not None:
        yield from _layer("post_quant_conv", model.decoder.post_quant)


def _encoder(encoder: LatentEncoder) -> Weights:
    trunk = encoder.trunk
    yield from _layer("encoder.conv_in", trunk.stem)
    yield from _levels("encoder.down_blocks", trunk.levels, "downsamplers.0.conv", trunk.halvings)
    yield from _middle("encoder.mid_block", encoder.middle)
    yield from _layer("encoder.conv_norm_out", encoder.norm.norm)
    yield from _layer("encoder.conv_out", encoder.head)


def _decoder(decoder: LatentDecoder) -> Weights:
    trunk = decoder.trunk
    yield from _layer("decoder.conv_in", decoder.stem)
    yield from _middle("decoder.mid_block", decoder.middle)
    yield from _levels("decoder.up_blocks", trunk.levels, "upsamplers.0.conv", trunk.doublings)
    yield from _layer("decoder.conv_norm_out", trunk.norm.norm)
    yield from _layer("decoder.conv_out", trunk.head)


def _levels(start: str, levels: Any, resampler: str, resamplers: Any) -> Weights:
    for i, level in enumerate(levels):
        for j, block in enumerate(level.layers):
            yield from _block(f"{start}.{i}.resnets.{j}", block)
    for i, layer in enumerate(resamplers):
        yield from _layer(f"{start}.{i}.{resampler}", layer)


def _middle(start: str, middle: Middle) -> Weights:
    yield from _block(f"{start}.resnets.0", middle.before)
    if middle.attention is not None:
        yield from _attention(f"{start}.attentions.0", middle.attention)
    yield from _block(f"{start}.resnets.1", middle.after)


def _attention(start: str, attention: AttentionBlock) -> Weights:
    yield from _layer(f"{start}.group_norm", attention.norm)
    for name, layer in (("q", attention.query), ("k", attention.key), ("v", attention.value), ("out.0", attention.output)):
        yield from _layer(f"{start}.to_{name}", layer)


def _block(start: str, block: ResidualBlock) -> Weights:
    for name, layer in (("1", block.norms[0].norm), ("2", block.norms[1].norm)):
        yield from _layer(f"{start}.norm{name}", layer)
    for name, layer in (("conv1", block.first), ("conv2", block.second), ("conv_shortcut", block.shortcut)):
        if layer is not None:
            yield from _layer(f"{start}.{name}", layer)


def _layer(start: str, layer: Any) -> Weights:
    yield f"{start}.weight", layer.scale if hasattr(layer, "scale") else layer.kernel
    yield f"{start}.bias", layer.bias
