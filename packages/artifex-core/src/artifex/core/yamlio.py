r"""YAML as people write it: ``1e-3`` is a number, a key given twice is a mistake, and a mistake is told with its line.

>>> load_yaml("rate: 1e-3")
{'rate': 0.001}
>>> dump_yaml({"rate": 0.001, "label": "1e-3"})
"rate: 0.001\nlabel: '1e-3'\n"
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from artifex.core.errors import InvalidInputError

__all__ = ["dump_yaml", "load_yaml"]

_FLOAT_TAG, _MERGE_TAG = "tag:yaml.org,2002:float", "tag:yaml.org,2002:merge"
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE_TAG:
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that :class:`_Loader` would take for numbers."""


# PyYAML follows YAML 1.1, where 1e-3 is a string because it has no point.
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(_FLOAT_TAG, _EXPONENT, list("-+.0123456789"))


def load_yaml(text: str, *, source: str = "") -> Any:
    """What ``text`` says, as plain data.

    Args:
        text: one YAML document.
        source: where it comes from (a file's name), for the message.

    Raises:
        InvalidInputError: ``text`` is not YAML, or gives a key twice; the message has line and column.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise InvalidInputError(f"{source or 'YAML text'}{where}: {problem or error}") from error


def dump_yaml(data: Any) -> str:
    """Plain data as YAML text, keys in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
