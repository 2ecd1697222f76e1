"""Several kinds of data as one: each part as its own modality has it, what is missing changes nothing, and back again."""

from __future__ import annotations

import base64
import io
import pickle
import re
import wave
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from pydantic import ValidationError

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.protocols import ChecksData, HasHostForm, ModalityProtocol, ModelAdapter, Restores
from artifex.modalities.multimodal import (
    Letters,
    LettersConfig,
    MultiModalModality,
    MultiModalModalityConfig,
    MultiModalModelAdapter,
    Violation,
    Waves,
    WavesConfig,
    presence,
    violations,
)

WORDS = ["ab", "c", "", "bca"]
WAVES = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)


def made(**fields: Any) -> MultiModalModality:
    parts = [
        {"part": "word", "stored": "x", "modality": {"kind": "letters", "length": 3, "alphabet": "abc"}},
        {"part": "tone", "modality": {"kind": "waves", "length": 4}},
    ]
    return MultiModalModality(MultiModalModalityConfig.from_dict({"parts": parts, **fields}))


def stored(**fields: Any) -> dict[str, Any]:
    codes = Letters(LettersConfig(length=3, alphabet="abc")).codes(WORDS)
    return {"x": codes, "tone": WAVES, "label": np.arange(4), **fields}


def test_it_follows_the_protocols_and_is_static_to_jax() -> None:
    modality = made()
    for protocol in (ModalityProtocol, Restores, HasHostForm, ChecksData):
        assert isinstance(modality, protocol)
    assert modality == made()
    assert hash(modality) == hash(made())
    assert pickle.loads(pickle.dumps(modality)) == modality
    assert modality.shapes == {"word": (3, 4), "tone": (4,)}
    assert modality.shape == (16,)


def test_parts_stand_one_after_the_other_and_keep_their_names() -> None:
    batch = made().prepare(stored(), train=True)
    word = jax.nn.one_hot(stored()["x"], 4)
    assert_array_equal(batch["word"], word)
    assert_array_equal(batch["tone"], WAVES)
    assert_array_equal(batch["x"], np.concatenate([np.asarray(word).reshape(4, 12), WAVES], axis=1))
    assert batch["mask"].all()
    assert set(batch) == {"x", "mask", "word", "tone", "label"}


@pytest.mark.parametrize("noise", [3.0, np.nan])
def test_what_stands_in_a_missing_place_changes_nothing(noise: float) -> None:
    present = np.array([True, False, True, False])
    waves = np.where(present[:, None], WAVES, noise)
    batch = jax.jit(lambda b: made().prepare(b, train=False))(stored(tone=waves) | {"tone.present": present})
    plain = made().prepare(stored(), train=False)
    assert_array_equal(batch["x"][:, 12:], np.where(present[:, None], WAVES, 0))
    assert_array_equal(batch["x"][:, :12], plain["x"][:, :12])
    assert_array_equal(batch["mask"], np.concatenate([np.ones((4, 12), bool), np.tile(present[:, None], (1, 4))], axis=1))


def test_a_part_that_is_left_out_is_missing_in_every_example() -> None:
    batch = made().prepare({"tone": WAVES}, train=False)
    assert not batch["mask"][:, :12].any()
    assert batch["mask"][:, 12:].all()
    with pytest.raises(
        InvalidInputError, match=r"a batch holds some of 'x', 'tone', each with as many examples; got \['label'\]"
    ):
        made().prepare({"label": np.arange(4)}, train=False)
    with pytest.raises(InvalidInputError, match="each with as many examples"):
        made().prepare(stored(tone=WAVES[:2]), train=False)


class Tokens:
    """A modality whose prepared form is whole numbers of unequal length, as texts have."""

    shape = (4,)

    def prepare(self, batch: Any, *, rngs: Any, train: bool) -> dict[str, Any]:
        return dict(batch)


def of_tokens(categories: int | None) -> MultiModalModality:
    part = {"part": "text", "stored": "x", "modality": {"kind": "waves", "length": 4}, "categories": categories}
    modality = MultiModalModality(MultiModalModalityConfig.from_dict({"parts": [part]}))
    modality.parts["text"] = Tokens()
    return modality


def test_tokens_become_one_hot_and_bring_their_mask() -> None:
    mask = np.array([[True, True, False, False], [True] * 4])
    batch = of_tokens(5).prepare({"x": np.ones((2, 4), int), "x.mask": mask}, train=False)
    assert batch["text"].shape == (2, 4, 5)
    assert_array_equal(batch["mask"].reshape(2, 4, 5).all(axis=-1), mask)
    assert_array_equal(batch["text"].sum(axis=-1), mask.astype(float))
    with pytest.raises(InvalidInputError, match=r"prepared as int.*set its 'categories' where it holds whole numbers"):
        of_tokens(None).prepare({"x": np.ones((2, 4), int)}, train=False)


# --- and back ---


def test_examples_come_back_as_objects() -> None:
    modality = made()
    batch = modality.prepare(stored() | {"tone.present": np.array([True, False, True, True])}, train=False)
    examples = modality.to_host(np.asarray(batch["x"]), np.asarray(batch["mask"]))
    assert [example["word"] for example in examples] == WORDS
    assert_array_equal(examples[0]["tone"], WAVES[0])
    assert "tone" not in examples[1]
    assert "tone" in modality.to_host(np.asarray(batch["x"]))[1]
    assert_array_equal(modality.restore(2 * batch["x"])[:, 12:], np.clip(2 * batch["x"][:, 12:], -1, 1))
    assert_array_equal(modality.split(batch["x"])["tone"][0], WAVES[0])
    with pytest.raises(InvalidInputError, match=r"arrays \(..., 16\) are needed, got \(2, 15\)"):
        modality.split(np.zeros((2, 15)))


def test_samples_are_a_page_with_words_to_read_and_tones_to_hear(tmp_path: Path) -> None:
    modality = made()
    batch = modality.prepare(stored(), train=False)
    page = modality.save_samples(np.asarray(batch["x"]), tmp_path / "samples")
    text = page.read_text(encoding="utf-8")
    assert page.name == "samples.html"
    assert "<pre>bca</pre>" in text
    assert text.count("<audio") == 4
    assert [path.name for path in tmp_path.iterdir()] == ["samples.html"]  # which holds all that it shows
    last = base64.b64decode(re.findall(r"audio/wav;base64,([^\"]+)", text)[3])
    with wave.open(io.BytesIO(last)) as file:
        frames = np.frombuffer(file.readframes(4), "<i2")
    assert_allclose(frames / 32767, WAVES[3], atol=1e-4)
    with pytest.raises(InvalidInputError, match=r"no samples to write to .*: got shape \(0, 16\)"):
        modality.save_samples(np.zeros((0, 16)), tmp_path / "none")


class Halving(nnx.Module):
    """Reconstructs every part from the first."""

    def __call__(self, x: jax.Array, *, mask: Any = None, rngs: Any = None) -> dict[str, jax.Array]:
        return {"mask": mask}

    def generate(self, n_samples: int = 1, *, rngs: Any = None) -> jax.Array:
        return jnp.zeros((n_samples, 16)).at[:, 1].set(1.0)

    def reconstruct(self, x: jax.Array, *, mask: Any = None) -> jax.Array:
        return x.at[:, 12:].set(0.5)


class Blind(Halving):
    """Takes no mask."""

    def reconstruct(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        return x


def test_a_model_among_parts() -> None:
    adapter = MultiModalModelAdapter(made())
    assert isinstance(adapter, ModelAdapter)
    model = adapter.adapt_model(Halving())
    words = {"word": stored()["x"]}
    made_of_words = model.reconstruct(words)
    assert [example["word"] for example in made_of_words] == WORDS
    assert_array_equal(made_of_words[2]["tone"], 0.5)
    assert model.generate(2)[1]["word"] == "a"
    assert not model(words)["mask"][:, 12:].any()
    assert [name for name in ("encode", "decode") if hasattr(model, name)] == []
    blind = adapter.adapt_model(Blind())
    assert [example["word"] for example in blind.reconstruct({"word": stored()["x"], "tone": WAVES})] == WORDS
    with pytest.raises(InvalidInputError, match="Blind takes no mask, and some parts are missing; give them all"):
        blind.reconstruct(words)
    with pytest.raises(InvalidTypeError, match="adapt_model takes a model with __call__ and generate, got int"):
        adapter.adapt_model(3)
    with pytest.raises(InvalidTypeError, match="MultiModalModelAdapter takes a MultiModalModality, got Waves"):
        MultiModalModelAdapter(Waves(WavesConfig()))  # type: ignore[arg-type]


# --- what an example has to have ---


def test_what_is_missing_is_told() -> None:
    modality = made(required=["word"])
    modality.check(stored() | {"tone.present": np.zeros(4, bool)})
    with pytest.raises(
        InvalidInputError, match=r"example 101 lacks word; of each, word is required and 1 at least: leave them out"
    ):
        modality.check(stored() | {"x.present": np.array([True, False, True, True])}, first_row=100)
    lacking = stored() | {"x.present": np.zeros(4, bool), "tone.present": np.zeros(4, bool)}
    with pytest.raises(InvalidInputError, match="example 0 lacks word and tone, example 1 lacks word and tone"):
        made(at_least=2).check(lacking)
    many = {key: np.tile(value, (3, *(1,) * (value.ndim - 1))) for key, value in lacking.items()}
    with pytest.raises(InvalidInputError, match="example 4 lacks word and tone, and 7 more; of each, no part is required"):
        made().check(many)


def test_parts_are_checked_where_they_are() -> None:
    codes = stored()["x"].copy()
    codes[2, 1] = 9
    with pytest.raises(InvalidInputError, match=r"part 'word': x\[12\] holds the code 9 at place 1; letters have 1 to 3"):
        made().check(stored(x=codes), first_row=10)
    made().check(stored(x=codes) | {"x.present": np.array([True, True, False, True])})
    loud = 2 * WAVES
    with pytest.raises(InvalidInputError, match=r"part 'tone': x\[0\] holds -2 at sample 0; waveforms lie in \[-1, 1\]"):
        made().check(stored(tone=loud) | {"tone.present": np.array([True, False, True, True])})


def test_presence_and_violations() -> None:
    arrays = {"a": np.zeros(3), "b": np.zeros((3, 2)), "b.present": np.array([True, False, False])}
    present = presence(arrays, ["a", "b", "c"])
    assert_array_equal(present, [[True, True, False], [True, False, False], [True, False, False]])
    assert violations(present, ["a", "b", "c"]) == []
    assert violations(present, ["a", "b", "c"], at_least=2) == [Violation(1, ("b", "c")), Violation(2, ("b", "c"))]
    assert str(violations(present, ["a", "b", "c"], required=["c"])[0]) == "example 0 lacks c"
    with pytest.raises(InvalidInputError, match=r"'b.present' is int64 of shape \(3,\); booleans of shape \(3,\) are needed"):
        presence(arrays | {"b.present": np.ones(3, int)}, ["a", "b"])
    with pytest.raises(InvalidInputError, match="of as many examples each are needed; got 3 of 'a', 2 of 'b'"):
        presence({"a": np.zeros(3), "b": np.zeros(2)}, ["a", "b"])
    with pytest.raises(InvalidInputError, match=r"one column for each of a, b is needed; got shape \(3, 3\)"):
        violations(present, ["a", "b"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"required": ["colour"]}, "required names colour, and the parts are word, tone"),
        ({"at_least": 3}, "at_least is 3, and there are 2 parts"),
        ({"parts": [{"part": "a", "modality": {"kind": "waves"}}] * 2}, "several parts have part a; give each its own"),
        ({"parts": [{"part": "a b", "modality": {"kind": "waves"}}]}, "match"),
        ({"parts": [{"part": "a", "modality": {"kind": "smell"}}]}, "smell"),
    ],
)
def test_configs_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        made(**fields)


def test_a_modality_is_no_part_of_itself() -> None:
    inner = made().config
    outer = MultiModalModalityConfig.from_dict(
        {"parts": [{"part": "all", "modality": {"kind": "multimodal", **inner.to_dict()}}]}
    )
    with pytest.raises(InvalidTypeError, match="part 'all' has MultiModalModality, which cannot be a part"):
        MultiModalModality(outer)
    with pytest.raises(InvalidTypeError, match="MultiModalModality takes a MultiModalModalityConfig, got WavesConfig"):
        MultiModalModality(WavesConfig())  # type: ignore[arg-type]


def test_rngs_are_rngs() -> None:
    modality = made()
    assert MultiModalModality(modality.config, rngs=nnx.Rngs(0)) == modality
    with pytest.raises(InvalidTypeError, match=r"MultiModalModality takes rngs=nnx.Rngs\(seed\), got int: 3"):
        MultiModalModality(modality.config, rngs=3)  # type: ignore[arg-type]


# --- letters and waves ---


def test_letters_refuse_what_they_cannot_spell(tmp_path: Path) -> None:
    letters = Letters(LettersConfig(length=3, alphabet="abc"))
    with pytest.raises(InvalidInputError, match="word 1, 'abca', is none of at most 3 letters of 'abc': it is too long"):
        letters.codes(["a", "abca"])
    with pytest.raises(InvalidInputError, match="its letters 'xy' are not in the alphabet"):
        letters.codes(["yx"])
    with pytest.raises(InvalidInputError, match=r"codes of letters \(batch, 3\) are needed, got float32 of shape \(2, 3\)"):
        letters.prepare({"x": np.zeros((2, 3), np.float32)})
    one_hot = np.asarray(letters.prepare({"x": letters.codes(WORDS)})["x"])
    assert letters.save_samples(one_hot, tmp_path / "words").read_text() == "ab\nc\n\nbca\n"
    assert_array_equal(letters.restore(2 * one_hot), one_hot)
    with pytest.raises(ValidationError, match="has a letter twice"):
        LettersConfig(alphabet="aa")
    with pytest.raises(InvalidInputError, match=r"waveforms \(batch, 64\) are needed, got shape \(2, 4\)"):
        Waves(WavesConfig()).prepare({"x": WAVES[:2]})
