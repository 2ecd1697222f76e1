"""Texts on their way to a model and back, models among texts, and what is wrong with texts."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.protocols import ChecksData, HasHostForm, ModalityProtocol, ModelAdapter
from artifex.modalities.text import (
    BytePairTokenizerConfig,
    BytesTokenizerConfig,
    CharactersTokenizerConfig,
    TextModality,
    TextModalityConfig,
    TextModelAdapter,
)
from artifex.modalities.text.constraints import malformed_utf8, repetitions
from artifex.modalities.text.datasets import TextFiles, TextFilesConfig
from artifex.modalities.text.modality import whole_characters

TEXTS = ["good morning", "ça va ? 👋", "", "x" * 40]


def modality(**fields) -> TextModality:
    return TextModality(TextModalityConfig(**{"length": 16, **fields}))


def test_the_documented_call() -> None:
    made = TextModality(rngs=nnx.Rngs(0))
    assert isinstance(made, ModalityProtocol)
    assert isinstance(made, ChecksData)
    assert isinstance(made, HasHostForm)
    assert made.shape == (128,)
    assert made.to_host(made.preprocess_text(TEXTS)) == TEXTS


def test_texts_are_cut_and_padded() -> None:
    batch = modality().batch_of(TEXTS)
    assert batch["x"].shape == batch["mask"].shape == (4, 16)
    assert batch["mask"].sum(axis=1).tolist() == [13, 14, 1, 16]
    assert (batch["x"][~batch["mask"]] == 0).all()
    assert modality().to_host(batch["x"]) == [*TEXTS[:3], "x" * 16]
    assert modality().preprocess_text("one").shape == (1, 16)


def test_prepare_pads_and_cuts_every_array_of_tokens() -> None:
    x = np.arange(12).reshape(2, 6).astype(np.uint8)
    mask = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0]], bool)
    stored = {"x": x, "mask": mask, "segment": x // 2, "label": np.array([4, 5])}
    shorter = modality(length=4).prepare(stored, train=True)
    assert shorter["x"].tolist() == [[0, 1, 2, 3], [6, 7, 0, 0]]
    assert shorter["segment"].tolist() == [[0, 0, 1, 1], [3, 3, 4, 4]]
    longer = modality(length=8).prepare(stored, train=False)
    assert longer["x"].shape == longer["mask"].shape == (2, 8)
    assert longer["mask"].sum(axis=1).tolist() == [5, 2]
    assert longer["x"].dtype == jnp.int32
    assert longer["label"].tolist() == [4, 5]
    assert modality(length=6).prepare({"x": x}, train=False)["mask"].all()


def test_what_stands_in_padded_places_changes_nothing() -> None:
    batch = modality().batch_of(TEXTS)
    other = {**batch, "x": np.where(batch["mask"], batch["x"], -7)}
    for a, b in zip(*(modality().prepare(each, train=True).values() for each in (batch, other)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_parts_are_drawn_in_training_alone_and_hold_tokens() -> None:
    made = modality(length=4, crop="random")
    x = np.tile(np.arange(20), (300, 1))
    mask = np.arange(20)[None] < np.where(np.arange(300) % 2, 20, 7)[:, None]
    prepare = jax.jit(lambda batch, key, train: made.prepare(batch, rngs=nnx.Rngs(key), train=train), static_argnums=2)
    drawn = prepare({"x": x, "mask": mask}, jax.random.key(0), True)
    starts = np.asarray(drawn["x"][:, 0])
    assert drawn["mask"].all()
    np.testing.assert_array_equal(np.asarray(drawn["x"]), starts[:, None] + np.arange(4))
    assert set(starts[1::2]) == set(range(17))  # each with a chance of a seventeenth, of 150
    assert set(starts[::2]) == set(range(4))
    assert (np.asarray(prepare({"x": x, "mask": mask}, jax.random.key(0), False)["x"]) == np.arange(4)).all()
    with pytest.raises(InvalidInputError, match=r"give nnx\.Rngs a stream 'sample'"):
        made.prepare({"x": x}, train=True)
    own = TextModality(made.config, rngs=nnx.Rngs(0))
    assert (own.prepare({"x": x}, train=True)["x"] != own.prepare({"x": x}, train=True)["x"]).any()


def test_cut_characters_are_left_out_and_others_are_told() -> None:
    made = modality(length=6)
    ca = [0xC3, 0xA7, 0x61]
    rows = np.array([[0xA7, *ca, 0xC3, 0x61], [*ca, 0x61, 0xC3, 256], [*ca, *ca], [0x61, 0x61, 0x61, 0xF0, 0x9F, 0x91]])
    assert made.to_host(rows) == [None, None, "çaça", "aaa"]
    rows[0, 4:] = [0x61, 0xC3]
    assert made.to_host(rows)[0] == "çaa"
    assert made.to_host(rows, np.array([[True] * 3 + [False] * 3] * 4))[2:] == ["ça", "aaa"]
    assert whole_characters(b"\xa7\xa7\xa7", ended=False) == b""
    assert whole_characters(b"\xa7" * 5, ended=True) == b"\xa7" * 5
    assert whole_characters("👋".encode(), ended=False) == "👋".encode()


def test_samples_are_written_as_text(tmp_path: Path) -> None:
    path = modality().save_samples(np.array([[104, 105, 256, 0], [0xC3, 0x61, 0xFF, 300]]), tmp_path / "new" / "step_1.5")
    assert path == tmp_path / "new" / "step_1.5.txt"
    assert path.read_text() == "=== 1 of 2 ===\nhi\n\n=== 2 of 2 ===\n�a��\n\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"label": np.zeros(1)}, r"a batch of texts has the key 'x'; got the keys \['label'\]"),
        ({"x": np.zeros((2, 3))}, r"got float.* of shape \(2, 3\): preprocess_text makes tokens"),
        ({"x": np.zeros(3, int)}, r"whole numbers of shape \(batch, length\); got int.* of shape \(3,\)"),
        ({"x": np.zeros((2, 3), int), "mask": np.ones((2, 4), bool)}, r"mask has shape \(2, 4\), x \(2, 3\)"),
        ({"x": np.array([[1, 2], [3, -1]])}, r"x\[1, 1\] is -1, but the vocabulary has 257 tokens"),
        ({"x": np.array([[1, 257]])}, r"x\[0, 1\] is 257"),
    ],
    ids=["no x", "floats", "one axis", "mask", "negative", "too high"],
)
def test_stored_values_that_are_no_tokens(batch: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        modality().check(batch)


def test_check_looks_at_tokens_alone() -> None:
    modality().check({"x": np.array([[1, 999]]), "mask": np.array([[True, False]])})
    with pytest.raises(InvalidInputError, match=r"x\[12, 0\] is 999"):
        modality().check({"x": np.array([[5], [5], [999]])}, first_row=10)


def test_what_cannot_serve() -> None:
    with pytest.raises(InvalidTypeError, match="TextModality takes a TextModalityConfig, got int"):
        TextModality(12)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match=r"TextModality takes rngs=nnx.Rngs\(seed\), got int"):
        TextModality(rngs=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match=r"text 1: character 0 of the text is '\\udc00'"):
        modality().preprocess_text(["a", "\udc00"])
    with pytest.raises(InvalidTypeError, match="text 0: a tokeniser takes text, got int"):
        modality().preprocess_text([3])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="tokens are whole numbers of shape"):
        modality().to_host(np.zeros((2, 3)))


def test_a_run_takes_the_tokeniser_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("low lower lowest " * 40)
    learning = TextFilesConfig(path=tmp_path, length=8, tokenizer=BytePairTokenizerConfig(vocab_size=260))
    data = TextFiles(learning)
    fitted = modality().fitted(data, "train")
    assert fitted.config.tokenizer == data.tokenizer_config()
    assert len(fitted.config.tokenizer.merges) == 3
    again = TextModality(TextModalityConfig.from_dict(fitted.config.to_dict()))  # as a run's folder keeps it
    assert again.to_host(data.arrays("train")["x"])[0].startswith("low lower")
    assert fitted.fitted(data, "train") is fitted
    repeated = modality(tokenizer=BytePairTokenizerConfig(vocab_size=260)).fitted(data, "train")
    assert repeated.config == fitted.config
    assert modality().fitted(object(), "train").config.tokenizer is None
    with pytest.raises(DataError, match="leave the modality's tokenizer out"):
        modality(tokenizer=CharactersTokenizerConfig(alphabet="low")).fitted(data, "train")
    plain = TextFiles(TextFilesConfig(path=tmp_path))
    assert modality().fitted(plain, "train").config.tokenizer == BytesTokenizerConfig()


class Echo(nnx.Module):
    """Takes a mask and a prompt, and says what it was given."""

    def __call__(self, x, *, mask=None, rngs=None):
        return {"tokens": mask.sum(), "x": x}

    def generate(self, n_samples=1, *, prompt=None, prompt_lengths=None, stop_tokens=(), fill_token=0, rngs=None):
        given = jnp.zeros((n_samples, 0), int) if prompt is None else jnp.broadcast_to(prompt, (n_samples, prompt.shape[1]))
        if prompt_lengths is not None:
            given = jnp.where(jnp.arange(given.shape[1])[None] < jnp.asarray(prompt_lengths)[:, None], given, fill_token)
        assert stop_tokens == (256,)
        return jnp.concatenate([given, jnp.full((n_samples, 1), 33), jnp.full((n_samples, 2), fill_token)], axis=1)

    def log_prob(self, x, *, mask=None):
        return -mask.sum(axis=1).astype(float)

    def reconstruct(self, x):
        return x[:, ::-1]

    def interpolate(self, x0, x1, n_steps):
        return jnp.stack([x0, x1], axis=1)[:, [0] * (n_steps - 1) + [1]]


def test_a_model_among_texts() -> None:
    adapter = TextModelAdapter(modality(length=8))
    assert isinstance(adapter, ModelAdapter)
    model = adapter.adapt_model(Echo())
    assert model.generate(2) == ["!", "!"]
    assert model.generate(2, prompt="ça") == ["ça!", "ça!"]
    assert model.generate(2, prompt=["a", "bcd"])[1] == "bcd!"
    assert model.log_prob(["", "abc", "ça"]).tolist() == [-1, -4, -4]
    assert int(model(["abc", "d"])["tokens"]) == 6
    assert model.interpolate(["ab"], ["yz"], 3) == [["ab", "ab", "yz"]]
    assert model.reconstruct(["x" * 8]) == ["x" * 8]
    assert not hasattr(model, "encode")
    assert adapter.postprocess(adapter.preprocess({"x": adapter.preprocess(TEXTS)["x"]})["x"])[0] == "good mor"


def test_models_and_modalities_that_are_none() -> None:
    with pytest.raises(InvalidTypeError, match="TextModelAdapter takes a TextModality, got str"):
        TextModelAdapter("text")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidTypeError, match="texts are a text or a list of texts, got NoneType"):
        TextModelAdapter(modality()).preprocess(None)
    with pytest.raises(InvalidTypeError, match="adapt_model takes a model with __call__ and generate, got object"):
        TextModelAdapter(modality()).adapt_model(object())  # pyright: ignore[reportArgumentType]

    class Promptless(nnx.Module):
        def __call__(self, x, *, rngs=None):
            return {}

        def generate(self, n_samples=1, *, rngs=None):
            return jnp.zeros((n_samples, 2), int)

    with pytest.raises(InvalidInputError, match=r"Promptless\.generate takes no prompt"):
        TextModelAdapter(modality()).adapt_model(Promptless()).generate(prompt="a")


def test_malformed_utf8_is_what_a_decoder_replaces() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        data = bytes(rng.choice([0x61, 0xC3, 0xA7, 0xF0, 0x9F, 0x91, 0x8B, 0xFF, 0xE0, 0x80, 0xED, 0xA0], rng.integers(0, 12)))
        found = malformed_utf8(data)
        assert len(found) == data.decode("utf-8", "replace").count("�")
        kept = b"".join(bytes([b]) for i, b in enumerate(data) if not any(v.start <= i < v.stop for v in found))
        assert kept.decode("utf-8") == data.decode("utf-8", "ignore")


def test_repetitions_are_found_where_they_are() -> None:
    assert repetitions("to be or not to be") == []
    (found,) = repetitions("so: on and on and on and on it went")
    assert (found.start, found.stop, found.message) == (1, 7, "'on and' stands 3 times in a row")
    assert [v.start for v in repetitions("x a a a y b b b b")] == [1, 5]
    assert repetitions("a a", times=2)[0].stop == 2
    assert repetitions("", times=2) == []
    assert repetitions("天天天")[0].message == "'天' stands 3 times in a row"
    with pytest.raises(InvalidInputError, match="longest has to be at least 1 and times at least 2"):
        repetitions("a", times=1)


def test_misspellings_are_told_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from artifex.modalities.text.constraints import misspellings

    text = "The naïve cat doesn\N{RIGHT SINGLE QUOTATION MARK}t sitt on Anna's mat, x2y and 3rd; the sitt."
    found = misspellings(text, known=["Anna", "naïve"])
    assert [text[one.start : one.stop] for one in found] == ["sitt", "sitt"]
    assert found[0].message == "'sitt' is no word of the dictionary 'en'"
    assert misspellings("") == misspellings("we has gone") == []  # spelling, not grammar
    assert [one.start for one in misspellings("Die Katze sizt", language="de")] == [10]
    with pytest.raises(InvalidInputError, match=r"there is no dictionary of 'xx'; there are .*de, en"):
        misspellings("a", language="xx")
    monkeypatch.setitem(sys.modules, "spellchecker", None)
    with pytest.raises(DataError, match=r"pip install 'artifex-modalities-text\[spelling\]'"):
        misspellings("a", language="fr")


def test_grammar_errors_are_told_and_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from artifex.modalities.text.constraints import grammar_errors

    text = "\N{CAT FACE} They was late\0 and I has a idea. She go home, and me sitt sitt."
    found = grammar_errors(text)
    assert [text[one.start : one.stop] for one in found] == ["was", "has", "a", "go", "sitt sitt"]
    assert found[0].message == "'was': Make the verb agree with its subject."
    right = "They were late, and I have an idea. She goes home  to see the colour of teh moon."
    assert grammar_errors(right) == grammar_errors("") == []  # neither spelling nor white space
    assert grammar_errors("a" * 100_000) == []  # one word, which a search for its spelling does not survive
    with pytest.raises(InvalidInputError, match=r"no dialect 'scots'; there are american, .*british"):
        grammar_errors("a", dialect="scots")
    monkeypatch.setitem(sys.modules, "harper", None)
    with pytest.raises(DataError, match=r"pip install 'artifex-modalities-text\[grammar\]'"):
        grammar_errors("a", dialect="indian")
