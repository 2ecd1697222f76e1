"""What data may come as, and the line to write instead of what cannot serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import jax.numpy as jnp
import numpy as np

from artifex.core.errors import DataError, InvalidTypeError

__all__ = ["as_array", "as_arrays", "check_dtype", "check_examples", "check_names", "is_array", "require_x"]

EXPECTED = 'data are a dict of arrays, {"x": ..., "label": ...}, one array, a sequence of such dicts, or a loader'
INPUTS = ("x", "x_train", "images", "image", "img", "pixel_values", "data", "inputs", "input", "input_ids", "features")
LABELS = ("label", "labels", "y", "y_train", "target", "targets", "class", "classes", "fine_labels")
"""What others call ``x`` and ``label``."""


def is_array(data: Any) -> bool:
    """Whether it is an array of some library's."""
    return hasattr(data, "shape") and hasattr(data, "dtype")


def as_arrays(data: Mapping[Any, Any]) -> dict[str, np.ndarray]:
    """A dict of arrays as arrays of numbers on the host.

    Raises:
        DataError: keys are no names, or values no numbers, or of several lengths.
    """
    check_names(data)
    return {str(key): as_array(key, value) for key, value in data.items()}


def as_array(key: str, value: Any) -> np.ndarray:
    """An array, or what numpy makes one of, as numbers on the host.

    Raises:
        DataError: it holds something else, or rows of several lengths.
    """
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise DataError(
            f'{key!r} is a masked array; write {{"{key}": {key}.filled(0), "mask": ~np.ma.getmaskarray({key})}} for a model '
            "that takes a mask"
        )
    if hasattr(value, "toarray"):  # SciPy's, whose np.asarray is one object
        raise DataError(f"{key!r} is a sparse {type(value).__name__}; write {key}.toarray()")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(
            f"{key!r} holds examples of several shapes; cut or pad them to one, with a 'mask' for what is padded ({error})"
        ) from error
    except (TypeError, RuntimeError) as error:  # PyTorch's, with a gradient or on a device
        raise DataError(f"{key!r} cannot be read as an array ({error}); write {key}.detach().cpu().numpy()") from error
    check_dtype(key, array)
    return array


def check_dtype(key: str, array: np.ndarray, row: int | None = None) -> None:
    """Refuse arrays of text, times and Python objects. ``row``: which example the first is, where it is not the first of all.

    Raises:
        DataError: it says what there is, and the line that makes numbers of it.
    """
    if jnp.issubdtype(array.dtype, np.number) or array.dtype == bool:
        return
    first = array.flat[0] if array.size else None
    first = first.item() if isinstance(first, np.str_ | np.bytes_) else first
    held = f"{key!r} holds {_kind(first)}" + ("" if row is None else f" in row {row}")
    if isinstance(first, str | bytes):
        line = f"write names, {key} = np.unique({key}, return_inverse=True), and keep the names"
        if row is not None:
            line = f'write names = sorted({{example["{key}"] for example in data}}), and give names.index(example["{key}"])'
        raise DataError(f"{held}, {first!r}, and models take numbers; {line}")
    if array.dtype.kind in "mM":
        raise DataError(f"{held}, and models take numbers; write ({key} - {key}.min()) / np.timedelta64(1, 'D'), say, for days")
    if array.dtype.names:
        raise DataError(
            f"{key!r} is a structured array with the fields {', '.join(array.dtype.names)}; write "
            f"np.lib.recfunctions.structured_to_unstructured({key})"
        )
    if isinstance(first, int | float | np.number | bool):
        raise DataError(f"{key!r} is an array of Python objects; write {key}.astype(np.float32), or np.int32 for classes")
    if is_array(first) or isinstance(first, list | tuple):
        shapes = sorted({np.shape(item) for item in array.flat if item is not None})
        fix = f"write np.stack(list({key}))" if len(shapes) == 1 else "cut or pad them to one shape"
        found = ", ".join(map(str, shapes[:3]))
        raise DataError(f"{key!r} is an array of {len(array)} separate arrays of shape {found}; {fix}")
    raise DataError(f"{held}, and models take numbers; a batch is a flat dict of arrays")


def _kind(value: Any) -> str:
    return {str: "text", bytes: "bytes", type(None): "None", np.datetime64: "dates", np.timedelta64: "times"}.get(
        next((t for t in (str, bytes, np.datetime64, np.timedelta64) if isinstance(value, t)), type(value)),
        f"objects of the type {type(value).__name__}",
    )


def check_names(data: Mapping[Any, Any]) -> None:
    """Refuse keys that are no text: numbers, or the bytes of old pickles.

    Raises:
        DataError: it shows the dict to write.
    """
    if wrong := [key for key in data if not isinstance(key, str)]:
        raise DataError(
            f"the arrays of a data set are named by text, but one is called {wrong[0]!r} ({type(wrong[0]).__name__}); "
            f"write {_renamed(list(data))}"
        )


def require_x(data: Mapping[str, Any]) -> None:
    """Refuse data without the array that is modelled.

    Raises:
        DataError: it shows the dict to write.
    """
    check_names(data)
    if "x" not in data:
        line = f"; write {_renamed(list(data))}" if data else ""
        raise DataError(
            f"the data have no array 'x', which is what a model models; they have {', '.join(data) or 'nothing'}{line}"
        )


def _renamed(keys: list[Any]) -> str:
    """The dict to write for data with these keys: by what others call things, else in order."""
    named = {_plain(key): key for key in reversed(keys)}
    x = next((named[name] for name in INPUTS if name in named), keys[0])
    label = next((named[name] for name in LABELS if name in named), None)
    if label is None and len(keys) == 2 and not isinstance(keys[0], str | bytes):
        label = keys[1]
    return f'{{"x": data[{x!r}]' + ("" if label is None or label == x else f', "label": data[{label!r}]') + "}"


def _plain(key: Any) -> str:
    return (key.decode("latin-1") if isinstance(key, bytes) else str(key)).lower()


def check_examples(data: Any) -> None:
    """Refuse what is no sequence of examples, each a dict with ``x``.

    Raises:
        InvalidTypeError: it is of a kind that cannot serve.
        DataError: the first example is.
    """
    given = f"got {_described(data)}"
    if isinstance(data, str | bytes | PathLike):
        raise InvalidTypeError(f"{EXPECTED}; {given}: read the file first, for example with np.load")
    if hasattr(data, "to_numpy"):  # a table of pandas or polars
        raise InvalidTypeError(f"{EXPECTED}; {given}: write data.to_numpy(np.float32) for the columns to model")
    if isinstance(data, tuple) and data and not isinstance(data[0], Mapping):
        names = ", ".join(f'"{name}": data[{i}]' for i, name in zip(range(len(data)), ("x", "label"), strict=False))
        raise InvalidTypeError(f"{EXPECTED}; {given}: write {{{names}}}")
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")) or isinstance(data, set | frozenset):
        can_be_read = isinstance(data, Iterable) and data is not None
        fix = ": read all of it first, for example np.stack(list(data))" if can_be_read else ""
        raise InvalidTypeError(f"{EXPECTED}; {given}{fix}")
    if len(data):
        _check_example(data, given)


def _check_example(data: Any, given: str) -> None:
    first = data[0]
    if isinstance(first, Mapping):
        require_x(first)
        return
    if isinstance(first, tuple) or (isinstance(first, list) and first and (is_array(first[0]) or isinstance(first[0], list))):
        rest = ', "label": np.array([example[1] for example in data])' if len(first) > 1 else ""
        line = f'{{"x": np.stack([np.asarray(example[0]) for example in data]){rest}}}'
    elif is_array(first):
        line = '{"x": np.stack(data)}'
    elif isinstance(first, int | float | list):
        line = '{"x": np.asarray(data, np.float32)}'
    else:
        line = ""
    raise DataError(f"{EXPECTED}; {given}, whose first example is {_described(first)}" + (f": write {line}" if line else ""))


def _described(value: Any) -> str:
    """What kind of thing it is, in few words."""
    kind = type(value).__name__
    if is_array(value):
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        inside = ", ".join(type(item).__name__ for item in value[:3]) + (", ..." if len(value) > 3 else "")
        return f"a {kind} of {len(value)} ({inside})"
    return "None" if value is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
