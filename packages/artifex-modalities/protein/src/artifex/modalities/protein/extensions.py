r"""Extensions that hold a model of proteins to bond lengths and angles while it trains.

A flat-bottomed penalty, as in Jumper et al. 2021, "Highly accurate protein structure prediction with AlphaFold", supplement,
equations 44 and 45, on what the model predicts as the structure without noise:

    loss = mean over bonds (or angles) of max(0, |value - ideal| - tolerance sigma)

The means are Engh and Huber's, of glycine and proline their own; nothing is asked across breaks (:mod:`.ideal`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.extensions import ExtensionConfig
from artifex.core.objectives import WeightedMean, weighted_mean
from artifex.core.protocols import Batch
from artifex.modalities.protein.ideal import Measured, backbone_angles, backbone_bonds, linked_residues

__all__ = ["BondAngleExtension", "BondAngleExtensionConfig", "BondLengthExtension", "BondLengthExtensionConfig"]


@config
class _GeometryExtensionConfig(ExtensionConfig):
    """What both extensions read and allow."""

    output: str = "x_hat"
    """The output of the model that holds predicted positions `(B, L, A, 3)`, of which N, CA, C, O come first."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Å that one unit of this output is; 10 for nm."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviations by which a bond or an angle may differ for nothing."""
    since: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Examples count whose `time`, from 0 for noise to 1 for data, is at least this. Models with an output `time` alone."""


@config
class BondLengthExtensionConfig(_GeometryExtensionConfig):
    """A penalty in Å."""


@config
class BondAngleExtensionConfig(_GeometryExtensionConfig):
    """A penalty in radians."""


class _GeometryExtension:
    """Measures what a model predicts."""

    _measure: Callable[..., Measured]
    _config: type[_GeometryExtensionConfig]
    _key: str

    def __init__(self, config: Any) -> None:
        if not isinstance(config, self._config):
            raise InvalidTypeError(f"{type(self).__name__} takes a {self._config.__name__}, got {type(config).__name__}")
        self.config = config

    def apply(self, model: Any, inputs: Batch, outputs: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        """By how much each bond or angle exceeds what is allowed, ``(B, L, 4)``, and where there is one.

        Raises:
            InvalidInputError: the model has no such output, or no atoms in it.
        """
        x = outputs.get(self.config.output)
        if x is None or x.ndim != 4 or x.shape[2] < 4 or x.shape[3] != 3:
            found = "no such output" if x is None else f"one of shape {x.shape}"
            raise InvalidInputError(
                f"{type(self).__name__} reads positions (B, L, 4 or more atoms, 3) from the output {self.config.output!r}; "
                f"{type(model).__name__} has {found}, and the outputs {', '.join(sorted(outputs))}: set 'output'"
            )
        mask = _mask(inputs)
        linked = linked_residues(mask, inputs.get("residue_index"), inputs.get("chain"))
        x = self.config.scale * x.astype(jnp.float32)
        measured = type(self)._measure(x, mask, linked, inputs.get("residue_type"))
        excess = jnp.abs(measured.value - measured.ideal) - self.config.tolerance * measured.sigma
        return {
            self._key: jnp.where(measured.there, jnp.maximum(excess, 0), 0),
            f"{self._key}_there": measured.there,
        }

    def compute_loss(self, batch: Batch, outputs: Mapping[str, jax.Array]) -> dict[str, WeightedMean]:  # noqa: ARG002
        """The mean excess over the bonds or angles that there are.

        Raises:
            InvalidInputError: ``since`` is set, and the model has no output ``time``.
        """
        there = outputs[f"{self._key}_there"]
        if self.config.since:
            if "time" not in outputs:
                raise InvalidInputError("since is set, but the model has no output 'time'; set it to 0")
            there &= (outputs["time"] >= self.config.since)[:, None, None]
        return {"loss": weighted_mean(outputs[self._key], there)}


class BondLengthExtension(_GeometryExtension):
    """Holds N-CA, CA-C, C-O and C-N to their lengths.

    Example:
        >>> extension = BondLengthExtension(BondLengthExtensionConfig(weight=2.0))
        >>> x = jnp.zeros((1, 2, 4, 3)).at[:, :, 1, 0].set(1.459)  # nothing is where it should be but CA
        >>> outputs = extension.apply(None, {"x": x}, {"x_hat": x})
        >>> [round(float(v), 3) for v in outputs["bond_lengths"][0, 0]]
        [0.0, 0.066, 1.229, 1.329]
    """

    _measure = staticmethod(backbone_bonds)
    _config = BondLengthExtensionConfig
    _key = "bond_lengths"


class BondAngleExtension(_GeometryExtension):
    """Holds N-CA-C, CA-C-O, CA-C-N and C-N-CA to their angles.

    Example:
        >>> extension = BondAngleExtension(BondAngleExtensionConfig(tolerance=2.0))
        >>> atoms = jnp.array([[0.0, 1.4, 0.0], [0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [2.1, 1.1, 0.0]])
        >>> x = atoms[None, None]  # N-CA-C is 90 degrees: 21 too few, of which 2 sigma, 5.4 degrees, are allowed
        >>> round(float(jnp.rad2deg(extension.apply(None, {"x": x}, {"x_hat": x})["bond_angles"][0, 0, 0])), 2)
        15.6
    """

    _measure = staticmethod(backbone_angles)
    _config = BondAngleExtensionConfig
    _key = "bond_angles"


def _mask(batch: Batch) -> jax.Array:
    return jnp.asarray(batch["mask"]).astype(bool) if "mask" in batch else jnp.ones(batch["x"].shape[:2], bool)
