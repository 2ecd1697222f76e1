"""The Fréchet ChemNet distance of two sets of molecules.

K. Preuer et al. 2018, "Fréchet ChemNet distance: a metric for generative models for molecules in drug discovery",
doi:10.1021/acs.jcim.8b00234: the Fréchet distance of what ChemNet's last hidden layer makes of canonical SMILES. The network
and its weights are those of the authors' package ``fcd``, which needs PyTorch (extra ``fcd``); the distance is that of
:mod:`artifex.core.frechet`, from moments that merge. PyTorch's rounding depends on a batch's size: figures agree to 1e-4.

Shapes: ``M`` molecules.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.frechet import Moments, frechet_distance, merged_moments, moments
from artifex.modalities.molecular.smiles import canonical_smiles
from artifex.modalities.molecular.valid import required, valid_forms

__all__ = ["FRECHET_CHEMNET_DISTANCE", "FrechetChemNetDistance", "chemnet_features"]

LENGTH = 350
"""Characters to which ChemNet pads a SMILES; longer ones change its figures."""
AT_ONCE = 128


def chemnet_features(molecules: Sequence[Any]) -> Float[np.ndarray, "M 512"]:
    """ChemNet's activations for molecules, in canonical form.

    Raises:
        DataError: the package ``fcd`` is not installed.
        InvalidTypeError: one is no molecule of RDKit.
        InvalidInputError: one is not valid, or its SMILES longer than the network reads.
    """
    torch, encode, network = _chemnet()
    texts = [canonical_smiles(required(molecule)) for molecule in molecules]
    if too_long := [text for text in texts if len(text) >= LENGTH]:
        raise InvalidInputError(
            f"ChemNet reads SMILES of up to {LENGTH - 1} characters, one has {len(too_long[0])}; leave it out"
        )
    found = [np.zeros((0, 512), np.float32)]
    for start in range(0, len(texts), AT_ONCE):
        one_hot = np.stack([encode(text, LENGTH) for text in texts[start : start + AT_ONCE]])
        with torch.no_grad():
            found.append(network(torch.from_numpy(one_hot / one_hot.shape[-1]).float().transpose(1, 2)).numpy())
    return np.concatenate(found)


@cache
def _chemnet() -> tuple[Any, Any, Any]:
    """PyTorch, the encoding of a SMILES, and the network."""
    try:
        torch, utils, fcd = (importlib.import_module(name) for name in ("torch", "fcd.utils", "fcd"))
    except ImportError as error:
        raise DataError(
            f"the Fréchet ChemNet distance needs the package fcd ({error}): pip install 'artifex-modalities-molecular[fcd]'"
        ) from error
    return torch, utils.get_one_hot, fcd.load_ref_model()


class FrechetChemNetDistance:
    """FCD of ``samples`` and ``references``; a :class:`~artifex.core.metrics.MergedMetric`. What is not valid is left out."""

    def state(self, batch: Mapping[str, Any]) -> dict[str, Moments]:
        """Moments of the activations of what the batch holds."""
        kept = {name: valid_forms(batch[name]) for name in ("samples", "references") if name in batch}
        return {name: moments(chemnet_features(molecules)) for name, molecules in kept.items() if molecules}

    def merge(self, one: Mapping[str, Moments], other: Mapping[str, Moments]) -> dict[str, Moments]:
        """Moments of both."""
        both = one.keys() & other.keys()
        return {**one, **other, **{name: merged_moments(one[name], other[name]) for name in both}}

    def finalize(self, state: Mapping[str, Moments]) -> float:
        """The distance.

        Raises:
            InvalidInputError: there are fewer than two valid samples or references.
        """
        if missing := sorted({"samples", "references"} - state.keys()):
            raise InvalidInputError(f"the Fréchet ChemNet distance needs molecules; there are none among the {missing[0]}")
        return frechet_distance(state["samples"], state["references"])


FRECHET_CHEMNET_DISTANCE = FrechetChemNetDistance()
