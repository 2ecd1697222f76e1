"""Pages: one HTML file that is XML too, with everything in it. No script, no link, nothing to fetch.

What training and evaluation both make reports of: a page from sections, tables, files shown in place.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

__all__ = ["NOT_XML", "embedded_image", "page", "read_json", "shown_file", "table", "text"]

LARGEST = 4 * 2**20
"""Bytes of a file from which on it is only named."""
IMAGES = {".gif": "gif", ".jpeg": "jpeg", ".jpg": "jpeg", ".png": "png", ".svg": "svg+xml", ".webp": "webp"}
TEXTS = {".csv", ".fasta", ".md", ".smi", ".tsv", ".txt"}
TEXT_LENGTH = 2000
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

STYLE = """
:root { color-scheme: light dark; }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; }
table { margin: 1rem 0; border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: 0.15rem 0.9rem 0.15rem 0; text-align: left; border-bottom: 1px solid rgb(128 128 128 / 30%); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { padding: 0.8rem; overflow-x: auto; background: rgb(128 128 128 / 12%); font-size: 13px; }
.curves, .samples { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }
figure { margin: 0; }
figure img { max-width: 100%; image-rendering: pixelated; }
"""


def page(title: object, lead: str, sections: Mapping[str, str], *, style: str = "") -> str:
    """A page of sections, those without content left out.

    Args:
        title: text.
        lead: markup below the title.
        sections: markup by heading.
        style: further rules.

    Example:
        >>> "<h2>Figures</h2>" in page("a run", "", {"Figures": "<p>none</p>", "Samples": ""})
        True
    """
    body = "\n".join(f"<h2>{text(heading)}</h2>\n{content}" for heading, content in sections.items() if content)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="{policy}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{text(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{text(title)}</h1>
{lead}
{body}
</body>
</html>
"""


def text(value: object) -> str:
    """``value`` as text that no browser takes for anything else. What XML has no place for becomes U+FFFD.

    >>> text("a < b")
    'a &lt; b'
    """
    return escape(NOT_XML.sub("\ufffd", str(value)))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right."""
    titles = "".join(f"<th>{text(title)}</th>" for title in head)
    return f"<table>\n<tr>{titles}</tr>\n" + "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows) + "\n</table>"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.6g}</td>'
    return f'<td class="number">{value:,}</td>' if isinstance(value, int) else f"<td>{text(value)}</td>"


def embedded_image(data: bytes, kind: str, alt: str) -> str:
    """An image whose bytes stand in the page; its kind is ``png``, ``svg+xml`` or another of the web."""
    return f'<img src="data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}" alt="{text(alt)}"/>'


def shown_file(path: Path, caption: str, alt: str) -> str:
    """A file with a caption: an image, the beginning of a text, or else its name and size."""
    suffix, size = path.suffix.lower(), path.stat().st_size
    if suffix in IMAGES and size <= LARGEST:
        content = embedded_image(path.read_bytes(), IMAGES[suffix], alt)
    elif suffix in TEXTS:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = file.read(TEXT_LENGTH + 1)
        content = f"<pre>{text(found[:TEXT_LENGTH])}{' …' if len(found) > TEXT_LENGTH else ''}</pre>"
    else:
        content = f"<p>{text(path.name)}, {size:,} bytes</p>"
    return f"<figure>{content}<figcaption>{text(caption)}</figcaption></figure>"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none, or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
