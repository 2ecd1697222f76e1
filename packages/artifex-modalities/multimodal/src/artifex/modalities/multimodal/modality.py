"""Several kinds of data as one: each part goes its own modality's way, and a model sees one vector with a mask.

The modalities of the parts are found by their configs in the registry; none is imported here.

Shapes: ``B = examples, M = parts, D = elements of all parts``.
"""

from __future__ import annotations

import base64
import html
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from artifex.core import plugins
from artifex.core.checks import check_any_samples
from artifex.core.errors import DataError, InvalidInputError, InvalidTypeError
from artifex.core.protocols import ChecksData, DrawsSamples, FitsData, HasHostForm, ModalityProtocol, Restores
from artifex.modalities.multimodal.config import ModalityPartConfig, MultiModalModalityConfig
from artifex.modalities.multimodal.constraints import presence, violations

__all__ = ["MultiModalModality"]

SHOWN = 5
"""Examples that an error message names."""
MOST_ROWS = 64
"""Samples on one page."""
KINDS = {
    ".csv": "text/plain",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".txt": "text/plain",
}
"""What a browser shows."""
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<table>
<tr>{head}</tr>
{rows}
</table>
"""


@dataclass(frozen=True, slots=True)
class MultiModalModality:
    """Several kinds of data in one example, any of which may be missing where the config lets it.

    A stored batch holds each part under its key, what else belongs to it as ``KEY.NAME`` (``KEY.mask``), and ``KEY.present``,
    booleans ``(B,)``, where some examples lack it. Follows :class:`artifex.core.protocols.ModalityProtocol`, ``Restores``,
    ``HasHostForm``, ``ChecksData`` and ``FitsData``.

    Args:
        config: the parts.
        rngs: streams, of which the modality keeps a fork, for calls outside compiled functions that are given none.

    Example:
        >>> from artifex.modalities.multimodal import LettersConfig, WavesConfig
        >>> parts = [{"part": "word", "modality": LettersConfig(length=2)}, {"part": "tone", "modality": WavesConfig(length=3)}]
        >>> modality = MultiModalModality(MultiModalModalityConfig.from_dict({"parts": parts}))
        >>> stored = {"word": np.ones((2, 2), np.uint8), "tone": np.zeros((2, 3)), "tone.present": np.array([True, False])}
        >>> batch = modality.prepare(stored, train=True)
        >>> batch["x"].shape, batch["mask"].sum(axis=1).tolist()
        ((2, 57), [57, 54])
    """

    config: MultiModalModalityConfig
    rngs: nnx.Rngs | None = field(default=None, kw_only=True, compare=False, repr=False)
    parts: dict[str, Any] = field(init=False, compare=False, repr=False)
    """Modality of each part, by name."""

    def __post_init__(self) -> None:
        if not isinstance(self.config, MultiModalModalityConfig):
            raise InvalidTypeError(f"MultiModalModality takes a MultiModalModalityConfig, got {type(self.config).__name__}")
        if self.rngs is not None:
            if not isinstance(self.rngs, nnx.Rngs):
                raise InvalidTypeError(
                    f"MultiModalModality takes rngs=nnx.Rngs(seed), got {type(self.rngs).__name__}: {self.rngs!r}"
                )
            object.__setattr__(self, "rngs", self.rngs.fork())
        object.__setattr__(self, "parts", {part.part: _modality(part) for part in self.config.parts})

    def fitted(self, dataset: Any, split: str) -> MultiModalModality:
        """A modality whose parts have learnt, each from its own part of one split of the data set, where they learn at all.

        A part learns from the data set that ``dataset.of_part(key)`` gives, as ``side_by_side`` has it; else from the examples
        that have the part, where arrays are all that it needs to know.

        Raises:
            DataError: a part cannot learn from its data, or has learnt from others.
        """
        learnt = []
        for part in self.config.parts:
            modality = self.parts[part.part]
            if isinstance(modality, FitsData):
                own = dataset.of_part(part.key) if isinstance(dataset, _HasParts) else _OfAPart(dataset, part.key)
                try:
                    part = part.replace(modality=modality.fitted(own, split).config)
                except DataError as error:
                    raise DataError(f"part {part.part!r}: {error}") from error
            learnt.append(part)
        return MultiModalModality(self.config.replace(parts=tuple(learnt)), rngs=self.rngs)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part as a model sees it."""
        return {
            part.part: (*self.parts[part.part].shape, *(() if part.categories is None else (part.categories,)))
            for part in self.config.parts
        }

    @property
    def shape(self) -> tuple[int]:
        """``(D,)``."""
        return (sum(map(math.prod, self.shapes.values())),)

    def prepare(self, batch: Mapping[str, Any], *, rngs: nnx.Rngs | None = None, train: bool) -> dict[str, Any]:
        """Each part prepared by its own modality, and all of them one after the other; jitted with the step.

        Returns:
            ``x`` ``(B, D)``, zero where nothing is; ``mask`` ``(B, D)``, true where there is something; each part under its
            name, and the batch's other keys.

        Raises:
            InvalidInputError: no part is there, or a part is not what its modality takes.
        """
        rngs = self.rngs if rngs is None else rngs
        present, n = self._present(batch)
        values, masks, named = [], [], {}
        for part in self.config.parts:
            there = present[part.part]
            prepared, own = self._prepared(part, batch, n, rngs, train)
            mask = there[:, None] & (jnp.ones(prepared.shape[:2], bool) if own is None else own)
            mask = jnp.broadcast_to(mask.reshape(*mask.shape, *(1,) * (prepared.ndim - 2)), prepared.shape)
            prepared = jnp.where(mask, prepared, jnp.zeros((), prepared.dtype))
            named[part.part] = prepared
            size = math.prod(prepared.shape[1:])
            values.append(prepared.reshape(n, size))
            masks.append(mask.reshape(n, size))
        kept = {key: value for key, value in batch.items() if not self._is_of_a_part(key)}
        return {**kept, **named, "x": jnp.concatenate(values, axis=1), "mask": jnp.concatenate(masks, axis=1)}

    def _present(self, batch: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        sizes = {np.shape(batch[part.key])[0] for part in self.config.parts if part.key in batch}
        if len(sizes) != 1:
            wanted = ", ".join(repr(part.key) for part in self.config.parts)
            raise InvalidInputError(f"a batch holds some of {wanted}, each with as many examples; got {sorted(batch)}")
        (n,) = sizes
        there = {
            part.part: jnp.asarray(batch.get(f"{part.key}.present", np.ones(n, bool)), bool)
            if part.key in batch
            else jnp.zeros(n, bool)
            for part in self.config.parts
        }
        return there, n

    def _prepared(
        self, part: ModalityPartConfig, batch: Mapping[str, Any], n: int, rngs: Any, train: bool
    ) -> tuple[Array, Array | None]:
        """A part as floats ``(B, T, ...)`` and what its modality masks of it ``(B, T)``; zeros where the batch has none."""
        shape = self.shapes[part.part]
        if part.key not in batch:
            return jnp.zeros((n, *shape)), None
        own = {"x": batch[part.key], **_below(batch, part.key)}
        own.pop("present", None)
        done = self.parts[part.part].prepare(own, rngs=rngs, train=train)
        x = jnp.asarray(done["x"])
        if part.categories is not None:
            x = jax.nn.one_hot(x, part.categories)
        if x.shape[1:] != shape or not jnp.issubdtype(x.dtype, jnp.floating):
            raise InvalidInputError(
                f"part {part.part!r} is prepared as {x.dtype} of shape {x.shape}; floats (batch, {', '.join(map(str, shape))}) "
                "are needed: set its 'categories' where it holds whole numbers"
            )
        mask = done.get("mask")
        return x, None if mask is None or np.shape(mask) != x.shape[:2] else jnp.asarray(mask, bool)

    def _is_of_a_part(self, key: str) -> bool:
        return any(key == part.key or key.startswith(f"{part.key}.") for part in self.config.parts)

    def check(self, arrays: Mapping[str, np.ndarray], *, first_row: int = 0) -> None:
        """Raise unless every example has what the config requires, and each part is what its modality takes it for.

        Raises:
            InvalidInputError: it names the first examples that lack something, or what a part's modality found.
        """
        present = presence(arrays, [part.key for part in self.config.parts])
        found = violations(present, self.config.names, required=self.config.required, at_least=self.config.at_least)
        if found:
            told = ", ".join(str(v._replace(row=first_row + v.row)) for v in found[:SHOWN])
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise InvalidInputError(
                f"{told}{more}; of each, {' and '.join(self.config.required) or 'no part'} is required and "
                f"{self.config.at_least} at least: leave them out, or change 'required' and 'at_least'"
            )
        for part, there in zip(self.config.parts, present.T, strict=True):
            if part.key in arrays and isinstance(self.parts[part.part], ChecksData):
                self._check_part(part, arrays, np.flatnonzero(there), first_row)

    def _check_part(self, part: ModalityPartConfig, arrays: Mapping[str, np.ndarray], rows: np.ndarray, first_row: int) -> None:
        """Only examples that have the part; one by one where some lack it, so that messages name the right row."""
        own = {"x": arrays[part.key], **_below(arrays, part.key)}
        own.pop("present", None)
        whole = len(rows) == len(own["x"])
        pieces = [(slice(None), 0)] if whole else [(slice(row, row + 1), int(row)) for row in rows]
        for piece, row in pieces:
            try:
                self.parts[part.part].check({key: a[piece] for key, a in own.items()}, first_row=first_row + row)
            except InvalidInputError as error:
                raise InvalidInputError(f"part {part.part!r}: {error}") from error

    def split(self, x: Float[Array | np.ndarray, "B D"]) -> dict[str, Any]:
        """Each part of ``x`` in its own shape."""
        shapes = self.shapes
        if x.shape[-1] != self.shape[0]:
            raise InvalidInputError(f"arrays (..., {self.shape[0]}) are needed, got {x.shape}")
        ends = list(accumulate(map(math.prod, shapes.values())))
        starts = [0, *ends[:-1]]
        return {
            name: x[..., start:end].reshape(*x.shape[:-1], *shape)
            for (name, shape), start, end in zip(shapes.items(), starts, ends, strict=True)
        }

    def restore(self, x: Float[Array, "B D"]) -> Float[Array, "B D"]:
        """Each part in its own units, one after the other again."""
        parts = [self._restored(name, part) for name, part in self.split(jnp.asarray(x)).items()]
        return jnp.concatenate([part.reshape(x.shape[0], math.prod(part.shape[1:])) for part in parts], axis=1)

    def _restored(self, name: str, part: Array) -> Array:
        modality: Any = self.parts[name]
        return modality.restore(part) if part.shape[1:] == modality.shape and isinstance(modality, Restores) else part

    def to_host(self, x: np.ndarray, mask: np.ndarray | None = None) -> list[dict[str, Any]]:
        """Examples as dicts of their parts: what a part's modality makes of it on the host, else its restored array.

        Args:
            x: ``(B, D)``, in model space.
            mask: true where there is something; parts that are not there are left out.
        """
        masks = None if mask is None else self.split(np.asarray(mask))
        examples: list[dict[str, Any]] = [{} for _ in range(len(x))]
        for name, part in self.split(np.asarray(x)).items():
            modality = self.parts[name]
            if isinstance(modality, HasHostForm):
                codes = part.argmax(axis=-1) if self._categories(name) else part
                objects = modality.to_host(codes, self._rows_of_mask(masks, name))
            else:
                objects = list(np.asarray(self._restored(name, jnp.asarray(part))))
            for row, (example, value) in enumerate(zip(examples, objects, strict=True)):
                if masks is None or masks[name][row].any():
                    example[name] = value
        return examples

    def _rows_of_mask(self, masks: Mapping[str, np.ndarray] | None, name: str) -> np.ndarray | None:
        """What a part's modality is told of the places that are there; of a plain vector that is there or not, nothing."""
        if masks is None:
            return None
        mask = np.asarray(masks[name].reshape(*masks[name].shape[:2], -1).any(axis=-1))
        is_whole = masks[name].ndim == 2 and (mask.all(axis=1) | ~mask.any(axis=1)).all()
        return None if is_whole else mask

    def _categories(self, name: str) -> int | None:
        return next(part.categories for part in self.config.parts if part.part == name)

    def save_samples(self, samples: np.ndarray, stem: Path) -> Path:
        """A page ``stem.html``, a row for each sample (the first 64), which holds its parts as their modalities save them."""
        check_any_samples(samples, stem)
        samples, stem = np.asarray(samples), Path(stem)
        if samples.ndim != 2 or samples.shape[1:] != self.shape:
            raise InvalidInputError(f"samples (N, {self.shape[0]}) are needed, got {samples.shape}")
        with tempfile.TemporaryDirectory() as folder:
            rows = [self._row(sample, Path(folder) / str(i)) for i, sample in enumerate(samples[:MOST_ROWS])]
        title, head = html.escape(stem.name), "".join(f"<th>{html.escape(name)}</th>" for name in self.config.names)
        page = stem.with_name(f"{stem.name}.html")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(PAGE.format(title=title, head=head, rows="\n".join(rows)), encoding="utf-8")
        return page

    def _row(self, sample: np.ndarray, folder: Path) -> str:
        folder.mkdir()
        cells = []
        for name, part in self.split(sample[None]).items():
            whole = part.argmax(axis=-1) if self._categories(name) else part
            modality = self.parts[name]
            write = modality.draw_samples if isinstance(modality, DrawsSamples) else modality.save_samples
            cells.append(_shown(write(whole, folder / name)))
        return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _modality(part: ModalityPartConfig) -> Any:
    entry = plugins.registry().entry_of_config("modality", type(part.modality))
    made = plugins.resolve(entry.modality)(part.modality)
    is_one = isinstance(made, FitsData | ModalityProtocol)  # in this order: a shape may have to be learnt first
    if not is_one or isinstance(made, MultiModalModality):
        raise InvalidTypeError(f"part {part.part!r} has {type(made).__name__}, which cannot be a part")
    return made


@runtime_checkable
class _HasParts(Protocol):
    """A data set that is made of others."""

    def of_part(self, key: str) -> Any: ...


class _OfAPart:
    """One part's arrays as a data set of their own: the rows that have the part."""

    def __init__(self, dataset: Any, key: str) -> None:
        self._dataset, self._key = dataset, key
        self.splits = dataset.splits

    @property
    def channels(self) -> tuple[str, ...]:
        """Of series ``(N, L, C)``, for which numbers have to do; none of other arrays."""
        x = self.arrays(self.splits[0])["x"]
        return tuple(f"channel_{i}" for i in range(x.shape[2])) if x.ndim == 3 else ()

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """``x`` of the part, and what belongs to it."""
        whole = self._dataset.arrays(split)
        if self._key not in whole:
            raise DataError(f"{type(self._dataset).__name__} has no array {self._key!r}; it has {', '.join(whole)}")
        (there,) = presence(whole, [self._key]).T
        own = {"x": whole[self._key], **_below(whole, self._key)}
        return {name: np.asarray(array)[there] for name, array in own.items() if name != "present"}


def _below(batch: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What belongs to a part beside its array, without its prefix."""
    return {name.removeprefix(f"{key}."): value for name, value in batch.items() if name.startswith(f"{key}.")}


def _shown(path: Path) -> str:
    """A cell of the page: a picture, a player, a text, or a file to save."""
    kind = KINDS.get(path.suffix, "application/octet-stream")
    if kind == "text/plain":
        return f"<pre>{html.escape(path.read_text(encoding='utf-8').strip())}</pre>"
    data = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    if kind.startswith("image/"):
        return f'<img src="{data}" alt="{html.escape(path.stem)}">'
    if kind.startswith("audio/"):
        return f'<audio controls src="{data}"></audio>'
    return f'<a download="{html.escape(path.name)}" href="{data}">{html.escape(path.name)}</a>'
