"""What transformers' GPT-2 and Llama make of random weights: for `test_ar_huggingface.py`.

    python packages/artifex-ar/tests/frozen_transformers.py

writes `frozen_transformers.npz` beside itself, from which the everyday tests read; the tests marked `reference` call
:func:`case`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FROZEN = Path(__file__).with_name("frozen_transformers.npz")
PROMPT, NEW = 5, 8


def config(kind: str) -> Any:
    """Of a small model. In Llama's, two heads share the keys of each group."""
    tokens = {"bos_token_id": 3, "eos_token_id": None, "pad_token_id": None}
    if kind == "gpt2":
        return transformers.GPT2Config(vocab_size=23, n_positions=16, n_embd=16, n_layer=2, n_head=2, **tokens)
    return transformers.LlamaConfig(
        vocab_size=23,
        max_position_embeddings=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=24,
        rms_norm_eps=1e-6,
        tie_word_embeddings=kind == "llama_tied",
        **tokens,
    )


def case(kind: str) -> dict[str, np.ndarray]:
    """The folder's two files, tokens, their logits, and what a prompt is continued with greedily."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config(kind)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    x = torch.randint(0, 23, (3, 16))
    with torch.no_grad():
        logits = model(x).logits
    greedy = model.generate(
        x[:, :PROMPT], attention_mask=torch.ones(3, PROMPT, dtype=int), max_new_tokens=NEW, do_sample=False, pad_token_id=0
    )
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        settings, weights = (Path(folder, name).read_bytes() for name in ("config.json", "model.safetensors"))
    return {
        "settings": np.array(json.dumps(json.loads(settings))),
        "weights": np.frombuffer(weights, np.uint8),
        "x": x.numpy().astype(np.int32),
        "logits": logits.numpy(),
        "greedy": greedy.numpy().astype(np.int32),
    }


def reloaded(folder: Path, x: np.ndarray) -> tuple[np.ndarray, set[str]]:
    """What transformers computes from a folder, and the keys that it missed or did not know."""
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(x).long()).logits.numpy()
    return logits, {*info["missing_keys"], *info["unexpected_keys"]}


if __name__ == "__main__":
    kinds = ("gpt2", "llama", "llama_tied")
    np.savez_compressed(FROZEN, **{f"{kind}/{name}": value for kind in kinds for name, value in case(kind).items()})
