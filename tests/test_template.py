"""The plugin template: how much of it is the author's own. That it installs, trains and goes again: ``nox -s template``."""

from __future__ import annotations

import ast
from pathlib import Path

TEMPLATE = Path(__file__).parents[1] / "templates" / "plugin" / "template"
OWN = ("model.py.jinja", "losses.py.jinja")


def code_lines(text: str) -> int:
    """Lines of code: neither blank nor comment nor docstring."""
    tree = ast.parse(text)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and i not in docstrings for i, line in lines)


def test_a_model_and_its_loss_take_under_thirty_lines_of_the_authors_own_code() -> None:
    sources = [(TEMPLATE / "src" / "{{ package }}" / name).read_text(encoding="utf-8") for name in OWN]
    named = [text.replace("{{ class_name }}", "Mine").replace("{{ package }}", "mine") for text in sources]
    assert 10 < sum(map(code_lines, named)) < 30
