"""GPT-2 and Llama as transformers keeps them, in ours and back, key for key.

A folder of theirs holds ``config.json`` and ``model.safetensors``, or several files and an index. Neither PyTorch nor
transformers has to be installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.ar.transformer import TransformerAR, TransformerARConfig
from artifex.core.errors import DataError, InvalidInputError
from artifex.core.storage import read_folder

__all__ = ["load_huggingface", "save_huggingface"]

SETTINGS, WEIGHTS = "config.json", "model.safetensors"
ENDS = "eos_token_id"
Key = tuple[str, tuple[str, ...], bool]
"""Theirs without its number, ours below a block or the model, and whether the matrix is the other way round."""

GPT2_BLOCK: tuple[Key, ...] = (
    ("ln_1.weight", ("norm_attention", "scale"), False),
    ("ln_1.bias", ("norm_attention", "bias"), False),
    ("attn.c_proj.weight", ("output", "kernel"), False),
    ("attn.c_proj.bias", ("output", "bias"), False),
    ("ln_2.weight", ("norm_mlp", "scale"), False),
    ("ln_2.bias", ("norm_mlp", "bias"), False),
    ("mlp.c_fc.weight", ("up", "kernel"), False),
    ("mlp.c_fc.bias", ("up", "bias"), False),
    ("mlp.c_proj.weight", ("down", "kernel"), False),
    ("mlp.c_proj.bias", ("down", "bias"), False),
)
LLAMA_BLOCK: tuple[Key, ...] = (
    ("input_layernorm.weight", ("norm_attention", "scale"), False),
    ("self_attn.q_proj.weight", ("query", "kernel"), True),
    ("self_attn.k_proj.weight", ("key", "kernel"), True),
    ("self_attn.v_proj.weight", ("value", "kernel"), True),
    ("self_attn.o_proj.weight", ("output", "kernel"), True),
    ("post_attention_layernorm.weight", ("norm_mlp", "scale"), False),
    ("mlp.gate_proj.weight", ("gate", "kernel"), True),
    ("mlp.up_proj.weight", ("up", "kernel"), True),
    ("mlp.down_proj.weight", ("down", "kernel"), True),
)
OUTER: dict[str, tuple[Key, ...]] = {
    "gpt2": (
        ("transformer.wte.weight", ("tokens",), False),
        ("transformer.wpe.weight", ("positions",), False),
        ("transformer.ln_f.weight", ("norm", "scale"), False),
        ("transformer.ln_f.bias", ("norm", "bias"), False),
    ),
    "llama": (
        ("model.embed_tokens.weight", ("tokens",), False),
        ("model.norm.weight", ("norm", "scale"), False),
    ),
}
HEAD: Key = ("lm_head.weight", ("head", "kernel"), True)
LAYER = {"gpt2": "transformer.h", "llama": "model.layers"}
FUSED = ("query", "key", "value")
"""What GPT-2 has in one matrix, ``attn.c_attn``."""


def load_huggingface(folder: str | Path, *, rngs: nnx.Rngs) -> TransformerAR:
    """The model of a folder that ``save_pretrained`` of transformers wrote for GPT-2 or Llama.

    Args:
        folder: with ``config.json`` and the weights as safetensors.
        rngs: streams that the model keeps.

    Raises:
        DataError: a file is missing, or ``config.json`` cannot be read.
        RunError: the weights cannot be read.
        InvalidInputError: the settings have no counterpart here, or weights are missing, of another shape, or left over.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> config = TransformerARConfig(
        ...     vocab_size=9, context_length=8, num_layers=1, embed_dim=8, num_heads=2, start_token=0
        ... )
        >>> with TemporaryDirectory() as folder:
        ...     model = load_huggingface(save_huggingface(TransformerAR(config, rngs=nnx.Rngs(0)), folder), rngs=nnx.Rngs(0))
        >>> model.config.vocab_size
        9
    """
    folder = Path(folder)
    if not (folder / SETTINGS).is_file():
        raise DataError(f"{folder} holds no {SETTINGS}; it is no folder that save_pretrained of transformers wrote")
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{folder / SETTINGS} cannot be read: {error}") from error
    kind = settings.get("model_type")
    if kind not in _CONFIGS:
        raise InvalidInputError(f"{folder} holds a model of type {kind!r}; known are {', '.join(_CONFIGS)}")
    config = _CONFIGS[kind](settings)
    theirs = {_with_prefix(kind, name): value for name, value in read_folder(folder).items() if not _is_buffer(name)}
    return _filled(TransformerAR(config, rngs=rngs), kind, theirs)


def save_huggingface(model: TransformerAR, folder: str | Path) -> Path:
    """Write ``config.json`` and the weights, from which transformers makes the same functions.

    Args:
        model: in the layout of GPT-2 or Llama, with a ``start_token``: there is no learned start in theirs.
        folder: made if it is not there.

    Returns:
        The folder.

    Raises:
        InvalidInputError: the model has no counterpart in transformers.
    """
    from safetensors.flax import save_file

    kind = _kind_of(model.config)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: jnp.asarray(value) for name, value in _theirs(model, kind)}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / SETTINGS).write_text(json.dumps(_settings(model.config, kind), indent=2) + "\n", encoding="utf-8")
    return folder


def _with_prefix(kind: str, name: str) -> str:
    """Old folders hold the bare model, without the part's name in front."""
    prefix = LAYER[kind].partition(".")[0] + "."
    return name if name.startswith((prefix, "lm_head.")) else prefix + name


def _is_buffer(name: str) -> bool:
    """Masks and frequencies that old versions saved with the weights."""
    return name.endswith((".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"))


def _gpt2(settings: Mapping[str, Any]) -> TransformerARConfig:
    _only(settings, activation_function=("gelu_new", "gelu_pytorch_tanh"), add_cross_attention=(False,))
    _only(settings, scale_attn_weights=(True,), scale_attn_by_inverse_layer_idx=(False,))
    return TransformerARConfig(
        vocab_size=settings.get("vocab_size", 50257),
        context_length=settings.get("n_positions", 1024),
        num_layers=settings.get("n_layer", 12),
        embed_dim=settings.get("n_embd", 768),
        num_heads=settings.get("n_head", 12),
        mlp_dim=settings.get("n_inner"),
        norm_epsilon=settings.get("layer_norm_epsilon", 1e-5),
        dropout=settings.get("resid_pdrop", 0.1),
        tie_embeddings=settings.get("tie_word_embeddings", True),
        start_token=_first(settings.get("bos_token_id", 50256), settings.get("vocab_size", 50257)),
        metadata=_ends(settings),
    )


def _llama(settings: Mapping[str, Any]) -> TransformerARConfig:
    _only(settings, hidden_act=("silu",), attention_bias=(False,), mlp_bias=(False,), pretraining_tp=(1,))
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    if (kind := rope.get("rope_type", rope.get("type", "default"))) != "default":
        raise InvalidInputError(f"config.json has rotary positions of type {kind!r}; known is 'default' alone")
    return TransformerARConfig(
        vocab_size=settings.get("vocab_size", 32000),
        context_length=settings.get("max_position_embeddings", 2048),
        num_layers=settings.get("num_hidden_layers", 32),
        embed_dim=settings.get("hidden_size", 4096),
        num_heads=settings.get("num_attention_heads", 32),
        num_kv_heads=settings.get("num_key_value_heads"),
        head_dim=settings.get("head_dim"),
        mlp_dim=settings.get("intermediate_size", 11008),
        positions="rotary",
        rotary_base=rope.get("rope_theta", settings.get("rope_theta", 10_000.0)),
        norm="rms_norm",
        norm_epsilon=settings.get("rms_norm_eps", 1e-6),
        activation="swiglu",
        tie_embeddings=settings.get("tie_word_embeddings", False),
        use_bias=False,
        start_token=_first(settings.get("bos_token_id", 1), settings.get("vocab_size", 32000)),
        metadata=_ends(settings),
    )


_CONFIGS = {"gpt2": _gpt2, "llama": _llama}


def _only(settings: Mapping[str, Any], **known: tuple[Any, ...]) -> None:
    """Raise where a setting is none of those that have a counterpart; one that is left out has its default, the first."""
    for name, values in known.items():
        if settings.get(name, values[0]) not in values:
            said = " or ".join(map(repr, values))
            raise InvalidInputError(f"config.json has {name} {settings[name]!r}; known here is {said}")


def _ends(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens that end a text: no part of the model, and kept for whoever saves or samples it."""
    return {ENDS: settings[ENDS]} if ENDS in settings else {}


def _first(tokens: Any, vocab_size: int) -> int:
    """One token where there may be several; the first of the vocabulary where there is none.

    A small vocabulary often has none: the default of transformers is that of GPT-2, far outside of it.
    """
    token = (tokens[0] if tokens else 0) if isinstance(tokens, list) else (tokens or 0)
    return token if token < vocab_size else 0


def _kind_of(config: TransformerARConfig) -> str:
    """Which of their models has this layout."""
    layouts = {
        "gpt2": ("learned", "layer_norm", "gelu", True, config.num_heads, config.embed_dim // config.num_heads),
        "llama": ("rotary", "rms_norm", "swiglu", False, config.groups, config.size_of_head),
    }
    own = (config.positions, config.norm, config.activation, config.use_bias, config.groups, config.size_of_head)
    found = [kind for kind, layout in layouts.items() if layout == own]
    if not found or config.num_classes is not None or config.start_token is None:
        raise InvalidInputError(
            f"transformers has no such model: positions {config.positions}, norm {config.norm}, "
            f"activation {config.activation}, use_bias {config.use_bias}, num_classes {config.num_classes}, start_token "
            f"{config.start_token}. GPT-2 has learned, "
            "layer_norm, gelu, True and as many heads of keys as of queries; Llama rotary, rms_norm, swiglu, False; both no "
            "classes and a start_token"
        )
    return found[0]


def _settings(config: TransformerARConfig, kind: str) -> dict[str, Any]:
    common = {
        "model_type": kind,
        "architectures": [{"gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}[kind]],
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": config.start_token,
        ENDS: config.metadata.get(ENDS, config.start_token),
    }
    if kind == "gpt2":
        return common | {
            "n_positions": config.context_length,
            "n_layer": config.num_layers,
            "n_embd": config.embed_dim,
            "n_head": config.num_heads,
            "n_inner": config.mlp_dim,
            "layer_norm_epsilon": config.norm_epsilon,
            "activation_function": "gelu_new",
            "resid_pdrop": config.dropout,
            "embd_pdrop": config.dropout,
            "attn_pdrop": 0.0,
        }
    return common | {
        "max_position_embeddings": config.context_length,
        "num_hidden_layers": config.num_layers,
        "hidden_size": config.embed_dim,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.groups,
        "head_dim": config.size_of_head,
        "intermediate_size": config.width_of_mlp,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rotary_base,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    }


def _keys(model: TransformerAR, kind: str) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Their name, our path, whether it is the other way round; of blocks with ``{i}`` for the layer."""
    yield from OUTER[kind]
    if not model.config.tie_embeddings:
        yield HEAD
    for name, path, turned in GPT2_BLOCK if kind == "gpt2" else LLAMA_BLOCK:
        yield f"{LAYER[kind]}.{{i}}.{name}", ("blocks", *path), turned


def _theirs(model: TransformerAR, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every weight under their name."""
    for name, path, turned in _keys(model, kind):
        value = np.asarray(_at(model, path)[...])
        if path[0] != "blocks":
            yield name, value.T if turned else value
            continue
        for i, of_layer in enumerate(value):
            yield name.format(i=i), of_layer.T if turned else of_layer
    if kind == "gpt2":
        for part in ("kernel", "bias"):
            parts = [np.asarray(getattr(getattr(model.blocks, name), part)[...]) for name in FUSED]
            for i, of_layer in enumerate(np.concatenate(parts, axis=-1)):
                yield f"{LAYER[kind]}.{i}.attn.c_attn.{'weight' if part == 'kernel' else 'bias'}", of_layer


def _filled(model: TransformerAR, kind: str, theirs: Mapping[str, Any]) -> TransformerAR:
    """``model`` with their weights in it."""
    wanted = {name: value.shape for name, value in _theirs(model, kind)}
    given = {name: tuple(np.shape(value)) for name, value in theirs.items()}
    if model.config.tie_embeddings:
        given.pop(HEAD[0], None)  # the embeddings once more
    missing, left = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    wrong = [f"{n} {given[n]} for {wanted[n]}" for n in sorted(wanted.keys() & given.keys()) if given[n] != wanted[n]]
    if missing or left or wrong:
        raise InvalidInputError(
            f"the weights do not fit the settings: missing {_some(missing)}, left over {_some(left)}, of another shape "
            f"{_some(wrong)}"
        )
    layers = range(model.config.num_layers)
    for name, path, turned in _keys(model, kind):
        if path[0] == "blocks":
            values = [np.asarray(theirs[name.format(i=i)]) for i in layers]
            value = np.stack([v.T for v in values] if turned else values)
        else:
            value = np.asarray(theirs[name])
            value = value.T if turned else value
        _set(_at(model, path), value)
    if kind == "gpt2":
        for part, end in (("kernel", "weight"), ("bias", "bias")):
            fused = np.stack([np.asarray(theirs[f"{LAYER[kind]}.{i}.attn.c_attn.{end}"]) for i in layers])
            for name, value in zip(FUSED, np.split(fused, 3, axis=-1), strict=True):
                _set(getattr(getattr(model.blocks, name), part), value)
    return model


def _at(model: Any, path: tuple[str, ...]) -> nnx.Param:
    for name in path:
        model = getattr(model, name)
    return model


def _set(parameter: nnx.Param, value: np.ndarray) -> None:
    parameter[...] = jnp.asarray(value, parameter[...].dtype)


def _some(names: list[str]) -> str:
    return (", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")) or "none"
