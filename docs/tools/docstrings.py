"""Our docstrings as Markdown: an extension of griffe, which reads them for mkdocstrings.

The docstrings keep to the forms that Python's own tools know: roles such as ``:class:`VAE``` and double backticks.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([\w.]+)`")
MATH = re.compile(r":math:`([^`]+)`")
CODE_BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)


def as_markdown(text: str, resolve: Any = lambda name: name) -> str:
    """``text`` with roles as links, where ``resolve`` gives the full name of what they name."""

    def link(found: re.Match[str]) -> str:
        return f'<autoref identifier="{resolve(found[1])}" optional><code>{found[1]}</code></autoref>'

    def paragraph(text: str) -> str:
        if text.startswith(">>>"):  # a bare doctest, which Markdown would take for a quotation
            return f"```pycon\n{text}\n```"
        is_code = all(line.startswith("    ") for line in text.splitlines())
        return ROLE.sub(r"\1" if is_code else link, text)

    def fenced(found: re.Match[str]) -> str:
        return f"```{found[1]}\n{textwrap.dedent(found[2]).strip()}\n```\n"

    text = CODE_BLOCK.sub(fenced, text + "\n").rstrip()
    text = MATH.sub(r"`\1`", text)
    text = re.sub(r"^(\s*)Example:$", r"\1Examples:", text, flags=re.MULTILINE)  # the section's name in griffe
    return "\n\n".join(paragraph(part) for part in text.split("\n\n"))


try:
    import griffe
except ImportError:  # the tests read this file without griffe
    pass
else:

    class Docstrings(griffe.Extension):
        """Rewrites every docstring once its package is loaded."""

        def on_object(self, *, obj: Any, loader: Any, **kwargs: Any) -> None:
            """Rewrite one."""
            del loader, kwargs
            if obj.docstring is not None:
                obj.docstring.value = as_markdown(obj.docstring.value, lambda name: _full_name(obj, name))

    def _full_name(obj: Any, name: str) -> str:
        """What ``name`` means where ``obj`` is written."""
        if name.startswith("artifex."):
            return name
        head, _, rest = name.partition(".")
        try:
            found = obj.resolve(head)
        except griffe.NameResolutionError:
            return name
        return f"{found}.{rest}" if rest else found
