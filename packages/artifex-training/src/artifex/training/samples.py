"""Samples on disk."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artifex.core.errors import InvalidInputError
from artifex.core.protocols import ModalityProtocol
from artifex.core.storage import naming_file
from artifex.core.yamlio import load_yaml

__all__ = ["condition_for", "save_samples", "takes_condition"]

MOST_SHOWN = 20
"""Classes that a message names."""


def takes_condition(model: Any) -> bool:
    """Whether ``model.generate`` can be given a condition."""
    return "condition" in inspect.signature(model.generate).parameters


def condition_for(model: Any, text: str, n_samples: int, classes: Sequence[str] = ()) -> np.ndarray:
    """One condition for each of ``n_samples`` from its text: a class, ``(n,)``, or a vector in brackets, ``(n, C)``.

    Args:
        model: what is given the condition.
        text: a class's name or number, or a vector.
        n_samples: how many samples are drawn.
        classes: names of the classes, where the run knows them. If some of them are numbers, numbers are names.

    Raises:
        InvalidInputError: it is none of these, or the model takes no condition.
    """
    if not takes_condition(model):
        raise InvalidInputError(f"{type(model).__name__} takes no condition; leave --condition out")
    if text in classes:
        return np.full(n_samples, classes.index(text), np.int32)
    try:
        given = load_yaml(text, source="--condition")
    except InvalidInputError:
        given = None
    if isinstance(given, int) and not isinstance(given, bool):
        _check_class_number(given, text, classes)
        return np.full(n_samples, given, np.int32)
    try:
        vector = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        vector = np.zeros(())
    if vector.ndim != 1:
        _refuse_class(text, classes)
        raise InvalidInputError(f"--condition {text!r} is neither a class, such as 3, nor a vector, such as [0.5, 1.2]")
    return np.tile(vector, (n_samples, 1))


def _check_class_number(number: int, text: str, classes: Sequence[str]) -> None:
    """Numbers of classes begin at 0, and none is used where names are numbers themselves."""
    if not 0 <= number < (len(classes) or 2**31) or any(name.isdecimal() for name in classes):
        _refuse_class(text, classes)
        raise InvalidInputError(f"--condition {text} is no class; classes are numbered from 0, as the training data have them")


def _refuse_class(text: str, classes: Sequence[str]) -> None:
    """Say which classes there are, if they have names."""
    if not classes:
        return
    close = [] if text.isdecimal() else difflib.get_close_matches(text, classes, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    shown = [name if name.isdecimal() else f"{i} {name}" for i, name in enumerate(classes[:MOST_SHOWN])]
    more = f" and {len(classes) - MOST_SHOWN} more (classes.json)" if len(classes) > MOST_SHOWN else ""
    raise InvalidInputError(f"--condition {text!r} is no class of this run{hint} its classes are {', '.join(shown)}{more}")


def save_samples(modality: ModalityProtocol | None, samples: Any, stem: Path) -> Path:
    """Write samples the way their modality shows them, or as ``.npy`` when there is none. Returns the file."""
    array = np.asarray(samples)
    with naming_file(stem):
        stem.parent.mkdir(parents=True, exist_ok=True)
        if modality is not None:
            return modality.save_samples(array, stem)
        if array.dtype.kind == "V":  # bfloat16 and its like, which .npy would hold as nameless bytes
            array = array.astype(np.float32)
        path = stem.with_name(f"{stem.name}.npy")
        np.save(path, array)
    return path
