"""What this distribution registers. Data only: nothing here imports jax."""

from __future__ import annotations

from artifex.core.plugins import ComponentEntry, DatasetEntry, MetricEntry, ModalityEntry, SuiteEntry, hookimpl

ARTIFEX_API = (1, 1)

_HERE = "artifex.modalities.text"


@hookimpl
def artifex_modalities() -> list[ModalityEntry]:
    """The modality ``text``."""
    return [
        ModalityEntry(
            name="text",
            modality=f"{_HERE}.modality:TextModality",
            config=f"{_HERE}.config:TextModalityConfig",
            summary="Texts as tokens, padded with a mask; samples as text files.",
        )
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """Tokenisers."""
    made = {
        "bytes": ("single_bytes:BytesTokenizer", "Bytes of UTF-8: 257 tokens say any text."),
        "characters": ("characters:CharactersTokenizer", "The characters of an alphabet, which may be learnt from the data."),
        "byte_pair": ("byte_pair:BytePairTokenizer", "Byte-pair encoding, learnt from the data."),
        "tokenizer_json": ("foreign:TokenizerJsonTokenizer", "A tokenizer.json (extra tokenizers)."),
        "sentencepiece": ("foreign:SentencePieceTokenizer", "A SentencePiece model (extra sentencepiece)."),
        "gpt2_files": ("byte_pair:GPT2FilesTokenizer", "A vocabulary as GPT-2's vocab.json and merges.txt."),
    }
    configs = {
        "tokenizer_json": "foreign:TokenizerJsonConfig",
        "sentencepiece": "foreign:SentencePieceConfig",
        "gpt2_files": "byte_pair:GPT2FilesConfig",
    }
    return [
        ComponentEntry(
            name=name,
            slot="tokenizer",
            component=f"{_HERE}.tokenizers.{target}",
            config=f"{_HERE}.tokenizers.{configs.get(name, f'{target}Config')}",
            summary=summary,
        )
        for name, (target, summary) in made.items()
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """Data sets of texts."""
    made = {
        "python_reference": ("python_reference:PythonReference", "The reference of the Python language, shipped with Python."),
        "text_files": ("text_files:TextFiles", "A text file, or a folder of them."),
        "json_lines": ("json_lines:JsonLines", "Texts in JSON lines."),
        "huggingface_text": ("huggingface:HuggingFaceText", "Texts from the Hugging Face hub or a saved data set (extra)."),
    }
    return [
        DatasetEntry(
            name=name,
            dataset=f"{_HERE}.datasets.{target}",
            config=f"{_HERE}.datasets.{target}Config",
            modality="text",
            summary=summary,
        )
        for name, (target, summary) in made.items()
    ]


@hookimpl
def artifex_suites() -> list[SuiteEntry]:
    """Suites for ``artifex benchmark``."""
    return [
        SuiteEntry(
            name="python-reference",
            file=f"{_HERE}:suites/python_reference.yaml",
            summary="The reference of the Python language, in windows of 96 bytes.",
        )
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """Metrics of texts."""
    return [*_of_pairs(), *_of_samples(), *_of_models()]


def _of_pairs() -> list[MetricEntry]:
    shared = {
        "needs": ("samples", "references"),
        "higher_is_better": True,
        "modality": "text",
        "space": "host",
        "compares": "pairs",
        "lowest": 0,
    }
    rouge = {
        "rouge1": "single words",
        "rouge2": "pairs of words",
        "rouge_l": "longest common subsequence",
        "rouge_lsum": "line by line",
    }
    return [
        MetricEntry(
            name="bleu",
            metric=f"{_HERE}.metrics.bleu:BLEU",
            tolerance=0.1,
            highest=100,
            summary="BLEU of the corpus, 0 to 100, with sacrebleu's defaults.",
            paper="Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018, arXiv:1804.08771",
            **shared,
        ),
        *(
            MetricEntry(
                name=name,
                metric=f"{_HERE}.metrics.rouge:{name.upper()}",
                tolerance=0.001,
                highest=1,
                summary=f"ROUGE, F measure: {what}.",
                paper="Lin 2004, aclanthology.org/W04-1013",
                **shared,
            )
            for name, what in rouge.items()
        ),
    ]


def _of_samples() -> list[MetricEntry]:
    shared = {"needs": ("samples",), "modality": "text", "space": "host", "lowest": 0}
    return [
        *(
            MetricEntry(
                name=f"distinct_{n}",
                metric=f"{_HERE}.metrics.diversity:distinct_{n}",
                higher_is_better=True,
                tolerance=0.001,
                highest=1,
                summary=f"Share of different ones among all {'words' if n == 1 else 'pairs of words'} of the samples.",
                paper="Li et al. 2016, arXiv:1510.03055",
                **shared,
            )
            for n in (1, 2)
        ),
        MetricEntry(
            name="self_bleu",
            metric=f"{_HERE}.metrics.diversity:self_bleu",
            higher_is_better=False,
            min_examples=2,
            tolerance=0.1,
            highest=100,
            summary="Mean BLEU of each sample against all others.",
            paper="Zhu et al. 2018, arXiv:1802.01886",
            **shared,
        ),
        MetricEntry(
            name="well_formed_text",
            metric=f"{_HERE}.metrics.diversity:WELL_FORMED",
            higher_is_better=True,
            tolerance=0.001,
            highest=1,
            summary="Share of samples that are well-formed text.",
            **shared,
        ),
    ]


def _of_models() -> list[MetricEntry]:
    return [
        MetricEntry(
            name="perplexity",
            metric=f"{_HERE}.metrics.likelihood:PERPLEXITY",
            needs=("log_prob", "references", "mask"),
            higher_is_better=False,
            modality="text",
            capabilities=("log_prob",),
            tolerance=0.01,
            lowest=1,
            summary="Among how many equally likely tokens a model is as unsure.",
        ),
        MetricEntry(
            name="bits_per_byte",
            metric=f"{_HERE}.metrics.likelihood:BITS_PER_BYTE",
            needs=("log_prob", "references"),
            higher_is_better=False,
            modality="text",
            capabilities=("log_prob",),
            space="host",
            unit="bits",
            tolerance=0.001,
            lowest=0,
            summary="Bits that coding a byte of the text costs.",
        ),
    ]
