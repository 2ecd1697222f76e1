"""Picture of tokens: a few lines of the reference of the Python language as bytes and as byte pairs, a colour for each token.

    python docs/pictures/tokens.py [--seed 0] [--output docs/pictures]

The byte pairs are learnt from the split `train`, the lines are of the split `test`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from artifex.modalities.image import save_image
from artifex.modalities.text import BytePairTokenizerConfig, BytesTokenizerConfig
from artifex.modalities.text.datasets import PythonReference, PythonReferenceConfig
from artifex.modalities.text.tokenizers import Tokenizer, make_tokenizer

COLOURS = ((255, 214, 165), (202, 255, 191), (160, 196, 255), (255, 198, 255))
WIDTH, LINE, MARGIN = 760, 26, 12
VOCABULARIES = (512, 4096)


def lines(text: str, seed: int, n: int = 2) -> list[str]:
    """A few lines in a row, long enough to be prose."""
    candidates = [line for line in text.split("\n") if 60 < len(line) < 80]
    start = int(np.random.default_rng(seed).integers(len(candidates) - n))
    return candidates[start : start + n]


def drawn(tokenizer: Tokenizer, title: str, text: list[str]) -> np.ndarray:
    """The lines, each token on a ground of its own."""
    canvas = Image.new("RGB", (WIDTH, LINE * (len(text) + 1) + MARGIN), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=16)
    count = sum(len(tokenizer.encode(line)) for line in text)
    pen.text((MARGIN, 2), f"{title}: {count} tokens", fill=(90, 90, 90), font=font)
    for row, line in enumerate(text, start=1):
        place = float(MARGIN)
        for i, token in enumerate(tokenizer.encode(line)):
            piece = tokenizer.decode([token])
            width = pen.textlength(piece, font=font)
            pen.rectangle((place, row * LINE, place + width, (row + 1) * LINE - 4), fill=COLOURS[i % len(COLOURS)])
            pen.text((place, row * LINE + 1), piece, fill=(20, 20, 20), font=font)
            place += width
    return np.asarray(canvas)


def main(seed: int, output: Path) -> None:
    """Learn and draw."""
    data = PythonReference(PythonReferenceConfig())
    text = lines(data.texts("test")[0], seed)
    parts = [drawn(make_tokenizer(BytesTokenizerConfig()), "bytes", text)]
    for size in VOCABULARIES:
        learnt = BytePairTokenizerConfig(vocab_size=size).learnt(data.texts("train"))
        parts.append(drawn(make_tokenizer(learnt), f"byte pairs, a vocabulary of {size}", text))
    save_image(output / "tokens.png", np.concatenate(parts))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    main(arguments.seed, arguments.output)
