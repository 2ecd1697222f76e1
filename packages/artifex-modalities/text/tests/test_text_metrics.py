"""Metrics of texts: equal to sacrebleu and rouge-score, and the same however they are cut into batches."""

from __future__ import annotations

import importlib.util
import itertools
import math
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.core.errors import InvalidInputError
from artifex.core.metrics import StreamedMetric
from artifex.modalities.text.metrics import (
    BITS_PER_BYTE,
    BLEU,
    PERPLEXITY,
    ROUGE1,
    ROUGE2,
    ROUGE_L,
    ROUGE_LSUM,
    WELL_FORMED,
    Bleu,
    Rouge,
    distinct_1,
    distinct_2,
    distinct_n,
    self_bleu,
    words,
)

_spec = importlib.util.spec_from_file_location("random_texts", Path(__file__).parent / "random_texts.py")
assert _spec is not None
assert _spec.loader is not None
random_texts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_texts)

SAMPLES, REFERENCES = (random_texts.random_sentences(1000, seed) for seed in (0, 1))
ROUGES = {"rouge1": ROUGE1, "rouge2": ROUGE2, "rougeL": ROUGE_L, "rougeLsum": ROUGE_LSUM}
EDGES = {
    "empty sample": ([""], ["a b c d"]),
    "empty reference": (["a b c d"], [""]),
    "both empty": ([""], [""]),
    "one word": (["a"], ["a"]),
    "equal": (["the cat sat on the mat"], ["the cat sat on the mat"]),
    "constant": (["a a a a a a"], ["a a b a a a a"]),
    "nothing shared": (["a b c d e"], ["v w x y z"]),
    "non-Latin": (["Кошка сидела на ковре тихо"], ["Кошка сидела на мягком ковре тихо"]),
    "no spaces": (["今日は天気がいい"], ["今日は天気が悪い"]),
    "entities": (["AT&amp;T said &quot;no&quot;"], ['AT&T said "no"']),
    "white space": (["  a  b\tc \n d  "], ["a b c d"]),
}


SCRIPTS = (0x430, 0x10D0, 0x561, 0x5D0, 0x905)
"""First letters: Cyrillic, Georgian, Armenian, Hebrew, Devanagari."""


def quiet_sacrebleu():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sacrebleu
    return sacrebleu


@pytest.mark.parametrize("lowercase", [False, True], ids=["mixed", "lower"])
@pytest.mark.parametrize("tokens", ["13a", "none", "char"])
def test_bleu_is_sacrebleus(tokens: str, lowercase: bool) -> None:
    sacrebleu = quiet_sacrebleu()
    theirs = sacrebleu.BLEU(tokenize=tokens, lowercase=lowercase)
    mine = Bleu(tokens=tokens, lowercase=lowercase)
    for start, stop in [(0, 1000), (0, 1), (3, 5), (10, 60), (500, 900)]:
        wanted = theirs.corpus_score(SAMPLES[start:stop], [REFERENCES[start:stop]]).score
        assert mine(SAMPLES[start:stop], REFERENCES[start:stop]) == pytest.approx(wanted, abs=1e-9)
    assert str(theirs.get_signature()).startswith(f"{mine.signature}|version:2.6")


def test_bleu_of_single_texts_is_sacrebleus() -> None:
    sacrebleu = quiet_sacrebleu()
    mine = Bleu(effective_order=True)
    scores = mine.finalize(mine.statistics({"samples": SAMPLES, "references": REFERENCES}))
    wanted = [sacrebleu.sentence_bleu(sample, [reference]).score for sample, reference in zip(SAMPLES, REFERENCES, strict=True)]
    np.testing.assert_allclose(scores, wanted, atol=1e-9)


def test_bleu_without_smoothing_is_sacrebleus() -> None:
    theirs = quiet_sacrebleu().BLEU(smooth_method="none")
    mine = Bleu(smooth="none")
    for i in range(0, 200, 4):
        wanted = theirs.corpus_score(SAMPLES[i : i + 4], [REFERENCES[i : i + 4]]).score
        assert mine(SAMPLES[i : i + 4], REFERENCES[i : i + 4]) == pytest.approx(wanted, abs=1e-9)


def test_bleu_with_several_references_is_sacrebleus() -> None:
    theirs = quiet_sacrebleu().BLEU()
    others = random_texts.random_sentences(1000, 7)
    wanted = theirs.corpus_score(SAMPLES, [REFERENCES, others]).score
    assert BLEU(SAMPLES, list(zip(REFERENCES, others, strict=True))) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("case", EDGES)
def test_edges_of_bleu_are_sacrebleus(case: str) -> None:
    samples, references = EDGES[case]
    assert BLEU(samples, references) == pytest.approx(
        quiet_sacrebleu().BLEU().corpus_score(samples, [references]).score, abs=1e-9
    )


def rouge_scorer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rouge_score import rouge_scorer
    return rouge_scorer.RougeScorer(list(ROUGES))


def test_rouge_is_rouge_scores() -> None:
    """Of ASCII alone, since it knows no other letters."""
    scorer = rouge_scorer()
    plain = [[text.replace("ç", "c").replace("ï", "i").replace("ß", "ss") for text in texts] for texts in (SAMPLES, REFERENCES)]
    batch = {"samples": plain[0], "references": plain[1]}
    wanted = [scorer.score(reference, sample) for sample, reference in zip(*plain, strict=True)]
    for name, metric in ROUGES.items():
        np.testing.assert_allclose(metric.statistics(batch)[:, 0], [scores[name].fmeasure for scores in wanted], atol=1e-12)


@pytest.mark.parametrize("case", [case for case in EDGES if case not in ("non-Latin", "no spaces")])
def test_edges_of_rouge_are_rouge_scores(case: str) -> None:
    (sample,), (reference,) = EDGES[case]
    scores = rouge_scorer().score(reference, sample)
    for name, metric in ROUGES.items():
        assert metric([sample], [reference]) == pytest.approx(scores[name].fmeasure, abs=1e-12)


def test_rouge_knows_every_script() -> None:
    """The same text with its letters exchanged has the same ROUGE: a thousand pairs, each in one of five scripts."""
    scorer = rouge_scorer()
    alphabets = [itertools.islice(filter(str.isalpha, map(chr, range(first, first + 80))), 26) for first in SCRIPTS]
    tables = [str.maketrans("abcdefghijklmnopqrstuvwxyz", "".join(letters)) for letters in alphabets]
    for table, sample, reference in zip(itertools.cycle(tables), SAMPLES, REFERENCES, strict=False):
        plain = [text.lower().encode("ascii", "ignore").decode() for text in (sample, reference)]
        scores = scorer.score(plain[1], plain[0])
        for name, metric in ROUGES.items():
            exchanged = [text.translate(table) for text in plain]
            assert metric(exchanged[:1], exchanged[1:]) == pytest.approx(scores[name].fmeasure, abs=1e-12)
    assert words("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]  # vowel signs are parts of words
    assert ROUGE1(["今日は天気がいい"], ["今日は天気が悪い"]) == pytest.approx(7 / 8)  # of the characters of each
    assert ROUGE1(["ça"], ["ca"]) == 0


def test_what_is_no_text() -> None:
    assert BLEU([None, "a b c d"], ["x", "a b c d"]) == BLEU(["", "a b c d"], ["x", "a b c d"])
    assert BLEU(["q", "a b c d"], [None, "a b c d"]) == BLEU(["a b c d"], ["a b c d"])
    assert ROUGE1([None, "a"], ["a", "a"]) == 0.5
    assert ROUGE1(["b", "a"], [None, "a"]) == 1.0
    assert math.isnan(ROUGE1([], []))
    assert WELL_FORMED.finalize(WELL_FORMED.statistics({"samples": [None, "a", "b", None]}).sum(0)) == 0.5


def test_pairs_that_do_not_pair() -> None:
    for metric in (BLEU, ROUGE1):
        with pytest.raises(InvalidInputError, match="2 samples come with 1 references"):
            metric(["a", "b"], ["a"])
    with pytest.raises(InvalidInputError, match="a sample has no reference"):
        BLEU(["a"], [[]])


def test_self_bleu_is_sacrebleus_against_the_others() -> None:
    sacrebleu = quiet_sacrebleu()
    texts = [*SAMPLES[:25], SAMPLES[3], "the the the the", ""]
    others = [texts[:i] + texts[i + 1 :] for i in range(len(texts))]
    wanted = [sacrebleu.sentence_bleu(text, rest).score for text, rest in zip(texts, others, strict=True)]
    np.testing.assert_allclose(self_bleu(texts), wanted, atol=1e-9)
    np.testing.assert_allclose(self_bleu(["a b c d e"] * 3), 100)
    assert self_bleu([None, None]).tolist() == [0, 0]
    with pytest.raises(InvalidInputError, match="needs two; got 1"):
        self_bleu(["a"])


def test_self_bleu_of_a_thousand_random_texts_is_sacrebleus() -> None:
    """Each against the others of its set: few words, so that they have much in common, ties, copies, texts without a word."""
    sacrebleu = quiet_sacrebleu()
    rng = np.random.default_rng(0)
    seen = 0
    while seen < 1000:
        lengths = rng.integers(0, 16, int(rng.integers(2, 9)))
        texts = [" ".join(rng.choice(["a", "b", "c", "d,", "e."], length)) for length in lengths]
        texts += [texts[0]] * int(rng.integers(0, 2))
        wanted = [sacrebleu.sentence_bleu(one, texts[:i] + texts[i + 1 :]).score for i, one in enumerate(texts)]
        np.testing.assert_allclose(self_bleu(texts), wanted, atol=1e-9, err_msg=str(texts))
        seen += len(texts)


def test_distinct_counts_different_ngrams() -> None:
    for n in (1, 2, 3):
        every = [gram for text in SAMPLES for gram in zip(*(words(text)[i:] for i in range(n)), strict=False)]
        assert distinct_n(SAMPLES, n) == len(set(every)) / len(every)
    assert distinct_1(["a a", None]) == 0.5
    assert distinct_2(["a b", "Б в"]) == 1.0
    assert math.isnan(distinct_1(["", None]))
    assert distinct_n(SAMPLES[::-1], 2) == distinct_2(SAMPLES)


@pytest.mark.parametrize("metric", [BLEU, *ROUGES.values(), WELL_FORMED], ids=lambda metric: metric.signature)
def test_batches_change_nothing(metric: StreamedMetric) -> None:
    assert isinstance(metric, StreamedMetric)
    whole = figure_in_batches(metric, {"samples": SAMPLES, "references": REFERENCES}, 1000)
    for size in (1, 7, 64):
        assert figure_in_batches(metric, {"samples": SAMPLES, "references": REFERENCES}, size) == pytest.approx(whole, abs=1e-9)


def figure_in_batches(metric: StreamedMetric, columns: dict, size: int) -> float:
    n = len(next(iter(columns.values())))
    parts = [{key: column[i : i + size] for key, column in columns.items()} for i in range(0, n, size)]
    return float(metric.finalize(sum(metric.statistics(part).sum(axis=0) for part in parts)))


def bigram_log_prob(x: jax.Array, mask: jax.Array) -> jax.Array:
    """A model of tokens 0 to 4 whose probabilities can be told: each given the one before it."""
    table = jax.nn.log_softmax(jnp.sin(jnp.arange(25.0)).reshape(5, 5), axis=-1)
    return jnp.sum(jnp.where(mask, table[jnp.pad(x, ((0, 0), (1, 0)))[:, :-1], x], 0), axis=1)


def test_perplexity_and_bits_per_byte_depend_on_neither_batches_nor_padding_nor_devices() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 20, 128)
    figures = []
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    tokens = rng.integers(0, 5, (128, 20))
    for width, sharding in [(20, None), (31, None), (20, spread)]:
        mask = np.arange(width)[None] < lengths[:, None]
        x = np.where(mask, np.pad(tokens, ((0, 0), (0, width - 20))), 3)
        log_prob = np.asarray(jax.jit(bigram_log_prob)(jax.device_put(x, sharding), jax.device_put(mask, sharding)))
        texts = ["".join("abcçd"[t] for t in row[:n]) for row, n in zip(x, lengths, strict=True)]
        for size in (1, 7, 64, 128):
            perplexity = figure_in_batches(PERPLEXITY, {"log_prob": log_prob, "references": x, "mask": mask}, size)
            figures.append((perplexity, figure_in_batches(BITS_PER_BYTE, {"log_prob": log_prob, "references": texts}, size)))
    np.testing.assert_allclose(figures, [figures[0]] * len(figures), rtol=1e-6)
    table = np.sin(np.arange(25.0)).reshape(5, 5)
    table -= np.log(np.exp(table).sum(axis=1, keepdims=True))
    rows = [row[:n] for row, n in zip(tokens, lengths, strict=True)]
    nats = -sum(table[a, b] for row in rows for a, b in zip([0, *row], row, strict=False))
    n_bytes = sum(len("abcçd"[t].encode()) for row in rows for t in row)
    np.testing.assert_allclose(figures[0], (np.exp(nats / lengths.sum()), nats / math.log(2) / n_bytes), rtol=1e-6)


def test_likelihoods_of_a_thousand_random_sets_are_scikit_learns() -> None:
    """Log loss is nats a token, perplexity its exponential; texts are of all planes of Unicode, and some empty."""
    from sklearn.metrics import log_loss

    strings = random_texts.random_strings(5000, seed=3)
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        n, length, vocabulary = (int(v) for v in rng.integers((1, 1, 2), (6, 12, 9)))
        lengths = rng.integers(0, length + 1, n)
        lengths[0] = max(lengths[0], 1)
        mask = np.arange(length) < lengths[:, None]
        tokens = rng.integers(0, vocabulary, (n, length))
        chances = rng.dirichlet(np.ones(vocabulary), (n, length))
        nats = log_loss(tokens[mask], chances[mask], labels=range(vocabulary), normalize=False)
        each = np.where(mask, np.log(np.take_along_axis(chances, tokens[..., None], axis=2)[..., 0]), 0).sum(axis=1)
        perplexity = figure_in_batches(PERPLEXITY, {"log_prob": each, "references": tokens, "mask": mask}, 2)
        assert perplexity == pytest.approx(np.exp(nats / lengths.sum()), rel=1e-9)
        texts = [strings[i] for i in rng.integers(0, len(strings), n)]
        n_bytes = sum(len(text.encode("utf-8")) for text in texts)
        bits = figure_in_batches(BITS_PER_BYTE, {"log_prob": each, "references": texts}, 2)
        assert (bits == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-9)) if n_bytes else not math.isfinite(bits)


def test_likelihoods_that_do_not_fit() -> None:
    with pytest.raises(InvalidInputError, match="mask has shape"):
        PERPLEXITY.statistics({"log_prob": np.zeros(2), "references": np.zeros((3, 4)), "mask": np.ones((3, 4))})
    with pytest.raises(InvalidInputError, match="there are 1 texts"):
        BITS_PER_BYTE.statistics({"log_prob": np.zeros(2), "references": ["a"]})
    left_out = BITS_PER_BYTE.statistics({"log_prob": np.full(2, -8 * math.log(2)), "references": ["a", None]})
    assert float(BITS_PER_BYTE.finalize(left_out.sum(axis=0))) == pytest.approx(8)
    assert np.isnan(PERPLEXITY.finalize(np.zeros(2)))


def test_figures_are_vectorised_over_resamplings() -> None:
    batch = {"samples": SAMPLES[:50], "references": REFERENCES[:50]}
    counts = np.random.default_rng(0).multinomial(50, np.full(50, 0.02), size=6)
    for metric in (BLEU, Rouge(form="2")):
        each = metric.finalize(counts @ metric.statistics(batch))
        again = [
            figure_in_batches(metric, {k: [v[i] for i in range(50) for _ in range(row[i])] for k, v in batch.items()}, 50)
            for row in counts
        ]
        np.testing.assert_allclose(each, again, atol=1e-9)
