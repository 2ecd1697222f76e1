r"""YAML by the core rules of version 1.2: ``no`` is text, ``010`` is ten, ``1:30`` and dates are text, ``1e-3`` is a number.

A key given twice is a mistake, and every mistake is told with its line.

>>> load_yaml("rate: 1e-3")
{'rate': 0.001}
>>> load_yaml("[010, 0o10, 0x10, 1:30, no, 2024-01-02]")
[10, 8, 16, '1:30', 'no', '2024-01-02']
>>> dump_yaml({"rate": 0.001, "label": "1e-3"})
"rate: 0.001\nlabel: '1e-3'\n"
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from artifex.core.errors import InvalidInputError

__all__ = ["dump_yaml", "load_yaml"]

_TAG = "tag:yaml.org,2002:"
_RULES = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}
"""What a word without quotes is, by its form, and the characters that such words begin with; the first that fits counts."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own name, filled below
    yaml_constructors = {  # noqa: RUF012 - dates, sets and bytes are none of the core's
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in ("null", "str", "seq", "map")
    }

    def __init__(self, text: str):
        super().__init__(text)
        self.unfinished: list[str] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias inside of what it stands for: no config can hold itself."""
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) and event.anchor in self.unfinished:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=f"*{event.anchor} stands inside of itself", problem_mark=mark)
        anchor = getattr(event, "anchor", None) or ""
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(anchor, None)  # which may be given anew
        self.unfinished.append(anchor)
        node = super().compose_node(parent, index)
        self.unfinished.pop()
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            spellings = {key.value, key.value if key.tag == f"{_TAG}merge" else self.construct_object(key)}
            if spellings & seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen |= spellings
        return node


def _number(loader: _Loader, node: Any) -> int | float:
    """The number that ``node`` spells. What is tagged as one and is none, or is too long for Python, is refused."""
    text = str(loader.construct_scalar(node))
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind == "int":
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    except ValueError as error:
        shown = text if len(text) <= 40 else f"{text[:30]}..."
        why = f"{shown!r} cannot be read as {'a whole number' if kind == 'int' else 'a number'}"
        raise yaml.MarkedYAMLError(problem=why, problem_mark=node.start_mark) from error


def _truth(loader: _Loader, node: Any) -> bool:
    text = str(loader.construct_scalar(node))
    if text.lower() not in ("true", "false"):
        raise yaml.MarkedYAMLError(problem=f"{text!r} is neither true nor false", problem_mark=node.start_mark)
    return text.lower() == "true"


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that :class:`_Loader`, or a reader of YAML 1.1, would take for something else."""


for _kind, (_form, _first) in _RULES.items():
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"(?:{_form})\Z"), _first)
_Loader.add_constructor(f"{_TAG}int", _number)
_Loader.add_constructor(f"{_TAG}float", _number)
_Loader.add_constructor(f"{_TAG}bool", _truth)


def load_yaml(text: str, *, source: str = "") -> Any:
    """What ``text`` says, as plain data.

    Args:
        text: one YAML document.
        source: where it comes from (a file's name), for the message.

    Raises:
        InvalidInputError: ``text`` is not YAML, gives a key twice, or holds itself; the message has line and column.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise InvalidInputError(f"{source or 'YAML text'}: it is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise InvalidInputError(f"{source or 'YAML text'}{where}: {_problem(error)}") from error


def _problem(error: yaml.YAMLError) -> str:
    """What PyYAML complains of, in one line."""
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{getattr(error, 'context', '')} {problem}" if problem.startswith("but ") else problem


def dump_yaml(data: Any) -> str:
    """Plain data as YAML text, keys in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
