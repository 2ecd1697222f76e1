"""Samples: drawn in batches, and put on disk.

``n`` samples are drawn ``b`` at a time, where ``b`` is the batch size, or ``n`` if that is less; batch ``i`` draws from
``fold_in(key, i)``. The last batch is drawn whole and cut, so that one program does for all. The same key, number and batch
size give the same samples; and where two numbers are no less than a batch, the samples of the smaller are the first of those of
the larger.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from artifex.core.errors import InvalidInputError
from artifex.core.protocols import ChoosesConditions, DrawsSamples, ModalityProtocol
from artifex.core.storage import naming_file
from artifex.core.yamlio import load_yaml

__all__ = ["AT_ONCE", "MOST_TOGETHER", "condition_for", "conditions", "drawn", "save_arrays", "save_samples", "takes_condition"]

AT_ONCE = 256
"""Samples that are drawn at a time, unless another number is asked for."""
MOST_TOGETHER = 1024
"""More samples than these are written as arrays, unless their file's ending asks for something else."""

MOST_SHOWN = 20
"""Classes that a message names."""


def takes_condition(model: Any) -> bool:
    """Whether ``model.generate`` can be given a condition."""
    return "condition" in inspect.signature(model.generate).parameters


def conditions(model: Any, n_samples: int, text: str | None, classes: Sequence[str] = ()) -> np.ndarray | None:
    """A condition for each sample: what ``text`` says, or what the model chooses by itself; None where there is none."""
    if text is not None:
        return condition_for(model, text, n_samples, classes)
    return model.conditions_for(n_samples) if isinstance(model, ChoosesConditions) else None


def drawn(
    model: Any,
    n_samples: int,
    key: jax.Array,
    *,
    at_once: int = AT_ONCE,
    condition: str | None = None,
    classes: Sequence[str] = (),
    **given: Any,
) -> Iterator[np.ndarray]:
    """Samples in parts, as the head of this module says; no more than one part is in memory.

    Args:
        model: what ``generate`` is asked of.
        n_samples: how many in all.
        key: of all the draws.
        at_once: the batch size.
        condition: in text (:func:`condition_for`), for all; by default what the model chooses, as if all were drawn at once.
        classes: names of the classes, where the run knows them.
        given: what else ``generate`` takes.
    """
    size = min(n_samples, at_once)
    parts = -(-n_samples // size)
    each = conditions(model, parts * size, condition, classes)
    return _drawn(model, n_samples, size, key, each, given)


def _drawn(
    model: Any, n_samples: int, size: int, key: jax.Array, each: np.ndarray | None, given: dict[str, Any]
) -> Iterator[np.ndarray]:
    for i, start in enumerate(range(0, n_samples, size)):
        own = {} if each is None else {"condition": each[start : start + size]}
        part = model.generate(size, rngs=nnx.Rngs(jax.random.fold_in(key, i)), **own, **given)
        yield np.asarray(part)[: n_samples - start]


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
    return save_arrays(iter([array]), len(array), stem)


def draw_samples(modality: ModalityProtocol | None, samples: Any, stem: Path) -> Path | None:
    """Draw a picture beside what :func:`save_samples` has written, where the modality has one. Returns it."""
    if not isinstance(modality, DrawsSamples):
        return None
    with naming_file(stem):
        return modality.draw_samples(np.asarray(samples), stem)


def save_arrays(parts: Iterator[np.ndarray], n_samples: int, stem: Path) -> Path:
    """Write ``n_samples``, which come in parts, as one ``.npy`` and never hold them all. Returns the file."""
    path = stem.with_name(f"{stem.name}.npy")
    first = _storable(next(parts))
    form = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (n_samples, *first.shape[1:]),
    }
    with naming_file(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, form)
            for part in chain([first], parts):
                file.write(_storable(part).tobytes())
    return path


def _storable(array: np.ndarray) -> np.ndarray:
    """``array``, or in float32 what ``.npy`` would hold as nameless bytes: bfloat16 and its like."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array
