r"""Networks of diffusers in ours, key for key: ``UNet2DModel``, ``UNet2DConditionModel``, ``DiTTransformer2DModel``.

A folder of theirs holds ``config.json`` and ``diffusion_pytorch_model.safetensors``, or several files and an index.
Neither PyTorch nor diffusers has to be installed. Their images are channels first, ours channels last. A loaded network is put
into a model whose config has its own as the backbone:

    network = load_diffusers(folder, rngs=nnx.Rngs(0))
    model = DDPMModel(DDPMConfig(input_shape=network.shape, backbone=network.config), rngs=nnx.Rngs(0))
    model.network = network

What of their settings has no counterpart here is refused by name, never passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.storage import read_folder
from artifex.diffusion.dit import DiT, DiTBackboneConfig
from artifex.diffusion.unet import AttentionBlock, ContextBlock, UNet, UNetBackboneConfig

__all__ = ["load_diffusers"]

SETTINGS, WHOLE, WEIGHTS = "config.json", "model_index.json", "diffusion_pytorch_model"
Weights = Iterator[tuple[str, Any]]
"""Names of theirs, and the parameters of ours."""
FIXED: dict[str, dict[str, tuple[Any, ...]]] = {
    "UNet2DModel": {
        "center_input_sample": (False,),
        "time_embedding_type": ("positional",),
        "freq_shift": (0,),
        "flip_sin_to_cos": (True,),
        "mid_block_type": ("UNetMidBlock2D",),
        "mid_block_scale_factor": (1,),
        "downsample_padding": (1,),
        "downsample_type": ("conv",),
        "upsample_type": ("conv",),
        "class_embed_type": (None,),
        "resnet_time_scale_shift": ("default", "scale_shift"),
    },
    "UNet2DConditionModel": {
        "center_input_sample": (False,),
        "freq_shift": (0,),
        "flip_sin_to_cos": (True,),
        "mid_block_type": ("UNetMidBlock2DCrossAttn",),
        "mid_block_scale_factor": (1,),
        "downsample_padding": (1,),
        "time_embedding_type": ("positional",),
        "transformer_layers_per_block": (1,),
        "class_embed_type": (None,),
        "num_class_embeds": (None,),
        "addition_embed_type": (None,),
        "encoder_hid_dim": (None,),
        "encoder_hid_dim_type": (None,),
        "dual_cross_attention": (False,),
        "only_cross_attention": (False,),
        "resnet_time_scale_shift": ("default", "scale_shift"),
    },
    "DiTTransformer2DModel": {
        "norm_type": ("ada_norm_zero",),
        "activation_fn": ("gelu-approximate",),
        "attention_bias": (True,),
        "norm_elementwise_affine": (False,),
    },
}
"""Settings that have to be one of these."""
PLAIN = {"DownBlock2D": False, "UpBlock2D": False}
BLOCKS = {
    "UNet2DModel": {**PLAIN, "AttnDownBlock2D": True, "AttnUpBlock2D": True},
    "UNet2DConditionModel": {**PLAIN, "CrossAttnDownBlock2D": True, "CrossAttnUpBlock2D": True},
}
"""Their kinds of levels, and whether they attend."""


def load_diffusers(
    source: str | Path | Mapping[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
    image_size: tuple[int, int] | None = None,
    rngs: nnx.Rngs,
) -> UNet | DiT:
    """The network of a folder or a state dict.

    Args:
        source: a folder that ``save_pretrained`` wrote, or a state dict, its values anything NumPy can read.
        settings: what stands in ``config.json``, ``_class_name`` included; needed beside a state dict.
        image_size: height and width; ``sample_size`` twice by default.
        rngs: for the weights that are replaced at once.

    Raises:
        DataError: a file is missing.
        InvalidInputError: the settings have no counterpart here, or weights are missing, of another shape, or left over.
    """
    if not isinstance(source, Mapping):
        settings = _settings(Path(source)) if settings is None else settings
        source = read_folder(source, WEIGHTS)
    if settings is None:
        raise InvalidInputError(
            "a state dict does not say all that a network needs; give settings=, what stands in config.json"
        )
    kind = settings.get("_class_name")
    if kind not in FIXED:
        raise InvalidInputError(f"_class_name is {kind!r}; known here are {', '.join(FIXED)}")
    _check_settings(kind, settings)
    size = settings.get("sample_size")
    height, width = image_size or ((size, size) if isinstance(size, int) else size or (0, 0))
    if not height:
        raise InvalidInputError("the settings have no sample_size; give image_size=(height, width)")
    build = _dit if kind == "DiTTransformer2DModel" else _unet
    network, names = build(settings, (height, width, settings["in_channels"]), rngs)
    _fill(names, source)
    return network


def _settings(folder: Path) -> dict[str, Any]:
    """What stands in ``config.json``."""
    file = folder / SETTINGS
    if not file.is_file():
        part = next((name for name in ("unet", "transformer") if (folder / name).is_dir()), "unet")
        hint = f"; it is a whole pipeline: give its network, {folder / part}" if (folder / WHOLE).is_file() else ""
        raise DataError(f"{folder} holds no {SETTINGS}, which save_pretrained of diffusers writes{hint}")
    return json.loads(file.read_text(encoding="utf-8"))


def _check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    for name, known in FIXED[kind].items():
        if settings.get(name, known[0]) not in known:
            raise InvalidInputError(f"{name} is {settings[name]!r}; known here is {' or '.join(map(repr, known))}")
    if settings.get("out_channels") not in (None, settings["in_channels"]):
        raise InvalidInputError(
            f"in_channels and out_channels differ: {settings['in_channels']}, {settings['out_channels']}; a network that "
            "predicts variances as well has no counterpart here"
        )


def _unet(settings: Mapping[str, Any], shape: tuple[int, int, int], rngs: nnx.Rngs) -> tuple[UNet, dict[str, Any]]:
    kind, widths = settings["_class_name"], tuple(settings["block_out_channels"])
    unknown = sorted({*settings["down_block_types"], *settings["up_block_types"]} - BLOCKS[kind].keys())
    if unknown:
        raise InvalidInputError(f"levels {unknown} have no counterpart here; known are {sorted(BLOCKS[kind])}")
    attends = [BLOCKS[kind][name] for name in settings["down_block_types"]]
    if attends[::-1] != [BLOCKS[kind][name] for name in settings["up_block_types"]]:
        raise InvalidInputError("down_block_types and up_block_types attend at different sizes")
    heights = [-(-shape[0] // 2**i) for i in range(len(widths))]
    context = settings["cross_attention_dim"] if kind == "UNet2DConditionModel" else None
    config = UNetBackboneConfig(
        hidden_dims=widths,
        activation=settings.get("act_fn", "silu"),
        blocks_per_level=settings["layers_per_block"],
        attention_resolutions=tuple(height for height, attend in zip(heights, attends, strict=True) if attend),
        middle_attention=settings.get("add_attention", True),
        **_heads(settings, context),
        norm_groups=settings["norm_num_groups"],
        norm_epsilon=settings.get("norm_eps", 1e-5),
        scale_shift=settings.get("resnet_time_scale_shift") == "scale_shift",
        cross_attention_dim=context,
        num_classes=settings.get("num_class_embeds") if context is None else None,
    )
    network = UNet(config, shape, rngs=rngs)
    return network, dict(_unet_weights(network))


def _heads(settings: Mapping[str, Any], context: int | None) -> dict[str, Any]:
    """For networks with a context ``attention_head_dim`` is their name for a number of heads (their issue 2011)."""
    given = settings.get("num_attention_heads") or settings.get("attention_head_dim", 8)
    if context is None:
        return {"head_dim": settings.get("attention_head_dim", 8)}
    if not isinstance(given, int):
        raise InvalidInputError(f"attention_head_dim is {given}; one number of heads for all levels is known here")
    return {"heads": given}


def _dit(settings: Mapping[str, Any], shape: tuple[int, int, int], rngs: nnx.Rngs) -> tuple[DiT, dict[str, Any]]:
    config = DiTBackboneConfig(
        patch_size=settings["patch_size"],
        hidden_dim=settings["num_attention_heads"] * settings["attention_head_dim"],
        depth=settings["num_layers"],
        heads=settings["num_attention_heads"],
        num_classes=settings["num_embeds_ada_norm"],
    )
    network = DiT(config, shape, with_null=True, rngs=rngs)  # theirs always has a class that is none
    return network, dict(_dit_weights(network))


def _fill(names: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Every weight into its place; none is missing and none left over."""
    hint = "do the settings belong to them?"
    if missing := sorted(names.keys() - state.keys()):
        raise InvalidInputError(f"the weights lack {', '.join(missing[:5])} ({len(missing)} in all); {hint}")
    left = sorted(name for name in state.keys() - names.keys() if not _known_twice(name))
    if left:
        raise InvalidInputError(f"no place for {', '.join(left[:5])} ({len(left)} in all); {hint}")
    for name in [name for name in state if ".norm1.emb." in name]:
        first = f"transformer_blocks.0.{name.split('.', 2)[2]}"
        if not np.array_equal(np.asarray(state[name]), np.asarray(state[first])):
            raise InvalidInputError(f"{name} differs from {first}: time and class are embedded once for all blocks here")
    for name, place in names.items():
        value = _ours(name, np.asarray(state[name]), place[...].ndim)
        if value.shape != place[...].shape:
            raise InvalidInputError(f"{name} has shape {np.shape(state[name])}, which does not fit {place[...].shape} here")
        place[...] = jnp.asarray(value, place[...].dtype)


def _known_twice(name: str) -> bool:
    """Copies of the first block's embeddings, and the places of patches, which are computed."""
    return name == "pos_embed.pos_embed" or (".norm1.emb." in name and not name.startswith("transformer_blocks.0."))


def _ours(name: str, value: np.ndarray, ndim: int) -> np.ndarray:
    """Output and input features first to last."""
    if name == "pos_embed.proj.weight":  # (D, C, p, p) to a linear map of patches
        return value.transpose(2, 3, 1, 0).reshape(-1, value.shape[0])
    if value.ndim < 2 or "embedding_table" in name or name == "class_embedding.weight":
        return value
    if value.ndim == 4 and ndim == 2:  # a convolution of one pixel as a linear map
        value = value[:, :, 0, 0]
    return np.moveaxis(value, (0, 1), (-1, -2))


def _unet_weights(net: UNet) -> Weights:
    yield from _layer("conv_in", net.stem)
    yield from _layer("time_embedding.linear_1", net.time.first)
    yield from _layer("time_embedding.linear_2", net.time.second)
    if net.classes is not None:
        yield "class_embedding.weight", net.classes.table
    for i, level in enumerate(net.down):
        yield from _level(f"down_blocks.{i}", level)
        if level.halve is not None:
            yield from _layer(f"down_blocks.{i}.downsamplers.0.conv", level.halve)
    yield from _residual("mid_block.resnets.0", net.middle.before)
    if net.middle.attention is not None:
        yield from _attending("mid_block.attentions.0", net.middle.attention)
    yield from _residual("mid_block.resnets.1", net.middle.after)
    for i, level in enumerate(net.up):
        yield from _level(f"up_blocks.{i}", level)
        if level.double is not None:
            yield from _layer(f"up_blocks.{i}.upsamplers.0.conv", level.double)
    yield from _layer("conv_norm_out", net.norm)
    yield from _layer("conv_out", net.head)


def _level(start: str, level: Any) -> Weights:
    for i, block in enumerate(level.blocks):
        yield from _residual(f"{start}.resnets.{i}", block)
    for i, block in enumerate(level.attentions or ()):
        yield from _attending(f"{start}.attentions.{i}", block)


def _residual(start: str, block: Any) -> Weights:
    for name, layer in (("norm1", block.norms[0]), ("conv1", block.first), ("time_emb_proj", block.time)):
        yield from _layer(f"{start}.{name}", layer)
    for name, layer in (("norm2", block.norms[1]), ("conv2", block.second), ("conv_shortcut", block.shortcut)):
        if layer is not None:
            yield from _layer(f"{start}.{name}", layer)


def _attending(start: str, block: AttentionBlock | ContextBlock) -> Weights:
    if isinstance(block, AttentionBlock):
        yield from _layer(f"{start}.group_norm", block.norm)
        yield from _attention(start, block.attention)
        return
    inner = f"{start}.transformer_blocks.0"
    for name, layer in (("norm", block.norm), ("proj_in", block.before), ("proj_out", block.after)):
        yield from _layer(f"{start}.{name}", layer)
    for i, norm in enumerate(block.norms):
        yield from _layer(f"{inner}.norm{i + 1}", norm)
    yield from _attention(f"{inner}.attn1", block.own)
    yield from _attention(f"{inner}.attn2", block.cross)
    yield from _layer(f"{inner}.ff.net.0.proj", block.gated)
    yield from _layer(f"{inner}.ff.net.2", block.narrow)


def _dit_weights(net: DiT) -> Weights:
    embedding = "transformer_blocks.0.norm1.emb"
    yield from _layer("pos_embed.proj", net.stem)
    yield from _layer(f"{embedding}.timestep_embedder.linear_1", net.time.first)
    yield from _layer(f"{embedding}.timestep_embedder.linear_2", net.time.second)
    if net.classes is not None:
        yield f"{embedding}.class_embedder.embedding_table.weight", net.classes.table
    for i, block in enumerate(net.blocks):
        start = f"transformer_blocks.{i}"
        yield from _layer(f"{start}.norm1.linear", block.modulation)
        yield from _attention(f"{start}.attn1", block.attention)
        yield from _layer(f"{start}.ff.net.0.proj", block.wide)
        yield from _layer(f"{start}.ff.net.2", block.narrow)
    yield from _layer("proj_out_1", net.modulation)
    yield from _layer("proj_out_2", net.head)


def _attention(start: str, attention: Any) -> Weights:
    layers = (("q", attention.query), ("k", attention.key), ("v", attention.value), ("out.0", attention.output))
    for name, layer in layers:
        yield from _layer(f"{start}.to_{name}", layer)


def _layer(start: str, layer: Any) -> Weights:
    yield f"{start}.weight", layer.scale if hasattr(layer, "scale") else layer.kernel
    if layer.bias is not None:
        yield f"{start}.bias", layer.bias
