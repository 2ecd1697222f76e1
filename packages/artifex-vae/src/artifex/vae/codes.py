"""The codes of a trained VQ-VAE as a data set, on which any model of integers can be trained to be their prior.

The second stage of van den Oord et al. 2017 (arXiv:1711.00937), section 3.3. In a run file, beside whatever model is wanted::

    data:
      dataset:
        kind: codes
        model: runs/vqvae-digits-1/model
        dataset: {kind: digits}
        modality: {kind: image, height: 8, width: 8, binarize: 0.5}

and then ``artifex sample runs/vqvae-digits-1 --prior runs/NAME-1``.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from pydantic import Field

from artifex.core import plugins
from artifex.core.config import Config, Registered, config
from artifex.core.errors import DataError
from artifex.core.protocols import ArrayDataset
from artifex.core.storage import load_model

__all__ = ["Codes", "CodesConfig"]


@config
class CodesConfig(Config):
    """Whose codes, of which examples."""

    model: Path
    """Folder of the trained model, ``model`` in its run folder."""
    dataset: Annotated[Config, Registered("dataset")]
    """The data set that it encodes, with the ``kind`` it is registered under."""
    modality: Annotated[Config, Registered("modality")] | None = None
    """How stored examples become the model's input, as in the run that trained it."""
    batch_size: Annotated[int, Field(gt=0)] = 256
    """How many examples are encoded at a time."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of what the modality draws, such as noise; the same at every reading."""


class Codes:
    """``x``: codes, int32, as the model's ``encode`` gives them, ``(N, h, w)`` for images; the other arrays as they are.

    Example:
        >>> Codes(CodesConfig(model="runs/vqvae-digits-1/model", dataset={"kind": "digits"})).splits  # doctest: +SKIP
        ('train', 'validation', 'test')
    """

    def __init__(self, config: CodesConfig) -> None:
        self.config = config
        self._dataset = _built("dataset", config.dataset)
        self._modality = None if config.modality is None else _built("modality", config.modality)
        if not isinstance(self._dataset, ArrayDataset):
            raise DataError(
                f"{type(self._dataset).__name__} has no arrays(split); codes are made of data sets that fit in memory"
            )

    @property
    def splits(self) -> tuple[str, ...]:
        """The data set's."""
        return tuple(self._dataset.splits)

    @cached_property
    def _model(self) -> Any:
        return load_model(self.config.model)

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        """One split, encoded.

        Raises:
            DataError: the model does not encode to integers.
            RunError: there is no model in the folder.
        """
        stored, rngs = self._dataset.arrays(split), nnx.Rngs(self.config.seed)
        n, size = len(stored["x"]), self.config.batch_size
        parts = [{name: a[i : i + size] for name, a in stored.items()} for i in range(0, n, size)]
        return stored | {"x": np.concatenate([self._encoded(part, rngs) for part in parts])}

    def _encoded(self, batch: dict[str, np.ndarray], rngs: nnx.Rngs) -> np.ndarray:
        if self._modality is not None:
            batch = self._modality.prepare(batch, rngs=rngs, train=False)
        codes = self._model.encode(jnp.asarray(batch["x"]))
        if not isinstance(codes, jax.Array) or not jnp.issubdtype(codes.dtype, jnp.integer):
            raise DataError(f"{type(self._model).__name__} in {self.config.model} encodes to no integers; it has no codes")
        return np.asarray(codes, np.int32)


def _built(kind: str, config: Config) -> Any:
    entry = plugins.registry().entry_of_config(kind, type(config))
    return plugins.resolve(getattr(entry, kind))(config)
