r"""A flow of protein backbones: frames of residues carried from noise to data on SE(3).

Yim et al. 2023, "Fast protein backbone generation with SE(3) flow matching" (FrameFlow, arXiv:2310.05297):

    T_t = (R_t, x_t),   x_t = (1 - t) x_0 + t x_1,   R_t = R_0 exp(t log(R_0^T R_1))              geodesics
    x_0 ~ N without centre of mass (nm),   R_0 ~ IGSO3(1.5) in training, uniform in sampling
    loss = E [|x_1 - x^|^2 + |log(R_t^T R_1) - u|^2] / (1 - min(t, 0.9))^2                        x^, u from the network
    dx/dt = (x^ - x_t) / (1 - t),   R <- R exp(dt c u)                                            sampling, c = 10

The network is invariant point attention on the frames ``T_t``; its rotation vectors ``u`` are seen from each residue's own
frame. FrameFlow's auxiliary losses on distances between atoms are left out.

Shapes: ``B`` batch, ``L`` residues; ``x (B, L, 4, 3)``: N, CA, C, O in Å.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int
from pydantic import Field

from artifex.core.compilation import draw_key
from artifex.core.config import config
from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.geometry import Frame, so3_exp, so3_log, so3_product, uniform_rotations
from artifex.core.objectives import WeightedMean, weighted_mean
from artifex.core.protocols import Batch
from artifex.core.value_ranges import ValueRange
from artifex.geometric.chains import backbone_atoms, backbone_frames
from artifex.geometric.igso3 import sample_igso3
from artifex.geometric.invariant_point_attention import InvariantPointAttentionConfig, InvariantPointNetwork
from artifex.geometric.layers import time_features
from artifex.geometric.precision import GeometricModelConfig
from artifex.geometric.set_sampler import SetSampler, Walk
from artifex.geometric.sets import as_numbers, centred, centred_noise, checked_along, mask_in
from artifex.geometric.sizes import SizeCounts, check_size_counts

__all__ = ["BackboneFlow", "BackboneFlowConfig"]

ANGSTROM_PER_NM = 10.0
LAST_TIME = 0.9
"""Time from which on errors weigh no more than there."""
UNKNOWN = -1
"""A type that has no column."""
TIME_FEATURES = 16
TIME_UNITS = 100.0
"""What times between 0 and 1 are multiplied by before their sines and cosines."""


@config
class BackboneFlowConfig(GeometricModelConfig):
    """A flow of backbones."""

    max_residues: Annotated[int, Field(ge=3)]
    """Most residues of a backbone, L."""
    network: InvariantPointAttentionConfig = Field(default_factory=InvariantPointAttentionConfig)
    """What predicts where a residue ends; lengths are in nm."""
    n_residue_types: Annotated[int, Field(ge=0)] = 0
    """Types of residues that a batch's `residue_type` numbers; 0 where the model is not told."""
    hidden_types: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the backbones whose types the model is not shown in training: samples are drawn without types."""
    size_counts: SizeCounts = ()
    """How often backbones of 1, 2, ... residues occur; lengths of samples are drawn from it. Empty: all have `max_residues`."""
    steps: Annotated[int, Field(ge=1)] = 100
    """Steps from noise to data."""
    prior_sigma: Annotated[float, Field(gt=0)] = 1.5
    """Standard deviation of the rotations that training starts paths from."""
    rotation_rate: Annotated[float, Field(gt=0)] = 10.0
    """How much faster than a straight path's rotations approach their ends in sampling, `c`."""

    def __post_init__(self) -> None:
        check_size_counts(self.size_counts, self.max_residues)


class BackboneFlow(SetSampler):
    """A flow of backbones.

    Samples are single chains without gaps, as the paper's are: residues 0, 1, 2 ... of one chain, of types that the model is
    not told. ``sizes`` chooses their lengths; of chains with gaps, or several at once, :meth:`predicted` takes one step.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`BackboneFlowConfig`.

    Example:
        >>> network = InvariantPointAttentionConfig(features=8, layers=1, heads=2, scalars=4, pair_features=4)
        >>> model = BackboneFlow(BackboneFlowConfig(max_residues=5, network=network, steps=2), rngs=nnx.Rngs(0))
        >>> model.generate(3).shape
        (3, 5, 4, 3)
    """

    def __init__(self, config: BackboneFlowConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, BackboneFlowConfig):
            raise InvalidTypeError(f"BackboneFlow takes a BackboneFlowConfig, got {type(config).__name__}")
        self.config = config
        self.network = InvariantPointNetwork(
            config.network,
            in_features=TIME_FEATURES + config.n_residue_types,
            out_features=3,
            dtype=config.dtype,
            param_dtype=config.param_dtype,
            rngs=rngs,
        )
        self.rngs = rngs.fork()

    def __call__(
        self,
        x: Float[Array, "B L 4 3"],
        *,
        mask: Bool[Array, "B L"] | None = None,
        residue_index: Int[Array, "B L"] | None = None,
        chain: Int[Array, "B L"] | None = None,
        residue_type: Int[Array, "B L"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> dict[str, Array]:
        """Go to a random place on a random path to each backbone, and predict where it ends.

        Args:
            x: N, CA, C and O of each residue, Å.
            mask: true where there is a residue; everywhere by default.
            residue_index: place along the chain; one after the other by default.
            chain: number of the chain.
            residue_type: number of the type, where the model is told; -1 for an unknown one.
            rngs: stream ``sample``; the model's own by default.

        Returns:
            ``translation_error`` ``(B, L, 3)``, nm, and ``rotation_error`` ``(B, L, 3)``, radians; ``time`` ``(B,)``; and
            ``x_hat`` ``(B, L, 4, 3)``, the backbone that is predicted, Å, for extensions that look at it.
        """
        x, mask = self._checked(x, mask)
        along = {"residue_index": residue_index, "chain": chain, "residue_type": residue_type}
        given = {name: None if values is None else checked_along(values, mask, name) for name, values in along.items()}
        key = draw_key(self, rngs)
        frames = backbone_frames(_placeholders(x, mask))
        ends = centred(frames.translation / ANGSTROM_PER_NM, mask)
        t = jax.random.uniform(jax.random.fold_in(key, 0), (x.shape[0],), x.dtype)
        start = centred_noise(jax.random.fold_in(key, 1), mask, 0, x.dtype)
        first = self._prior(jax.random.fold_in(key, 2), mask).astype(x.dtype)
        points = start + t[:, None, None] * (ends - start)
        turn = so3_log(so3_product(jnp.swapaxes(first, -1, -2), frames.rotation))
        rotations = so3_product(first, so3_exp(t[:, None, None] * turn))
        remaining = (1 - t)[:, None, None] * turn  # log(R_t^T R_1): the rest of the geodesic
        if given["residue_type"] is not None:
            shown = ~jax.random.bernoulli(jax.random.fold_in(key, 3), self.config.hidden_types, (x.shape[0], 1))
            given["residue_type"] = jnp.where(shown, given["residue_type"], UNKNOWN)
        moved, turned = self.predicted(Frame(rotations, points), t, mask, **given)
        predicted = Frame(so3_product(rotations, so3_exp(turned)), ANGSTROM_PER_NM * (points + moved))
        return {
            "x_hat": backbone_atoms(predicted, mask),
            "translation_error": jnp.where(mask[..., None], ends - points - moved, 0),
            "rotation_error": jnp.where(mask[..., None], remaining - turned, 0),
            "time": t,
        }

    def loss_fn(self, batch: Batch, outputs: Mapping[str, Array]) -> dict[str, WeightedMean]:
        """The squared errors of a residue's move and turn over the time that is left, means over residues.

        Args:
            batch: holds ``mask`` where backbones are padded.
            outputs: what the model made of it.

        Returns:
            ``loss``; ``translation`` and ``rotation``, its parts.
        """
        mask = mask_in(batch)
        left = (1 - jnp.minimum(outputs["time"].astype(jnp.float32), LAST_TIME))[:, None]
        parts = {
            name: jnp.sum(jnp.square(outputs[f"{name}_error"].astype(jnp.float32)), axis=-1) / jnp.square(left)
            for name in ("translation", "rotation")
        }
        parts = {"loss": parts["translation"] + parts["rotation"], **parts}
        return {name: weighted_mean(part, mask) for name, part in parts.items()}

    def value_ranges(self, batch: Mapping[str, Any]) -> dict[str, ValueRange]:
        """``residue_type``: the types, and -1 for an unknown one (:class:`artifex.core.protocols.DeclaresValues`)."""
        del batch
        number = self.config.n_residue_types
        return {"residue_type": range(UNKNOWN, number)} if number else {}

    def predicted(
        self,
        frames: Frame,
        t: Float[Array, "B"],
        mask: Bool[Array, "B L"],
        *,
        residue_index: Int[Array, "B L"] | None = None,
        chain: Int[Array, "B L"] | None = None,
        residue_type: Int[Array, "B L"] | None = None,
    ) -> tuple[Float[Array, "B L 3"], Float[Array, "B L 3"]]:
        """How far each residue has to go, nm, and to turn: an axis-angle vector in its own frame.

        Args:
            frames: where residues are, nm.
            t: the time, 0 to 1.
            mask: true where there is a residue.
            residue_index: place along the chain.
            chain: number of the chain.
            residue_type: number of the type.
        """
        points, rotations = frames.translation, frames.rotation
        time = time_features(TIME_UNITS * t.astype(points.dtype), TIME_FEATURES)[:, None]
        features = jnp.broadcast_to(time, (*mask.shape, TIME_FEATURES))
        if self.config.n_residue_types:
            number, types = self.config.n_residue_types, jnp.full(mask.shape, UNKNOWN) if residue_type is None else residue_type
            told = jax.nn.one_hot(types, number, dtype=features.dtype)
            # a type that is none is NaN, at which training stops, and not one that is unknown
            told = jnp.where(((types >= UNKNOWN) & (types < number))[..., None], told, jnp.nan)
            features = jnp.concatenate([features, told], axis=-1)
        elif residue_type is not None:
            raise InvalidInputError(
                "the batch has a residue_type, but n_residue_types is 0; set it to the number of types (21: twenty amino acids "
                "and the unknown one), or leave residue_type out of the data"
            )
        features = jnp.where(mask[..., None], features, 0)
        moved, turned = self.network(points, features, mask, rotations, residue_index=residue_index, chain=chain)
        return centred(moved, mask), turned.astype(points.dtype)

    def walk(self) -> Walk:
        """Of as many steps as the config says."""
        return Walk(self.config.max_residues, self.config.size_counts, self.config.steps)

    def from_noise(self, key: Array, mask: Bool[Array, "B L"], steps: int) -> Float[Array, "B L 4 3"]:
        """Backbones that frames of noise are :meth:`carried` to."""
        of_points, of_rotations = jax.random.split(key)
        points = centred_noise(of_points, mask, 0, self._noise_dtype)
        rotations = uniform_rotations(of_rotations, mask.shape).astype(points.dtype)
        return self.carried(Frame(rotations, points), mask, steps)

    def carried(self, frames: Frame, mask: Bool[Array, "B L"], steps: int) -> Float[Array, "B L 4 3"]:
        """The backbones, Å, that frames of noise become.

        Args:
            frames: where it starts, nm, without centre of mass.
            mask: true where there is a residue.
            steps: from noise to data.
        """

        def step(frames: Frame, i: Array) -> tuple[Frame, None]:
            t, dt = i / steps, 1 / steps
            moved, turned = self.predicted(frames, jnp.full(mask.shape[:1], t, frames.translation.dtype), mask)
            share = jnp.minimum(dt * self.config.rotation_rate, 1.0)
            points = centred(frames.translation + dt / (1 - t) * moved, mask)
            return Frame(so3_product(frames.rotation, so3_exp(share * turned)), points), None

        end, _ = jax.lax.scan(step, frames, jnp.arange(steps))
        return backbone_atoms(Frame(end.rotation, ANGSTROM_PER_NM * end.translation), mask)

    def _prior(self, key: Array, mask: Array) -> Array:
        return sample_igso3(key, self.config.prior_sigma, (mask.shape[0], mask.shape[1]))

    def _checked(self, x: Array, mask: Array | None) -> tuple[Array, Array]:
        x = as_numbers(x, "x")
        if x.ndim != 4 or x.shape[2:] != (4, 3) or not 0 < x.shape[1] <= self.config.max_residues:
            raise InvalidInputError(
                f"x has shape {x.shape}; backbones are (B, L up to {self.config.max_residues}, 4, 3): N, CA, C and O"
            )
        mask = jnp.ones(x.shape[:2], bool) if mask is None else as_numbers(mask, "the mask").astype(bool)
        if mask.shape != x.shape[:2]:
            raise InvalidInputError(
                f"the mask has shape {mask.shape} and x {x.shape}; a mask says of each residue if there is one"
            )
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return jnp.where(mask[..., None, None], x, 0), mask


TRIANGLE = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


def _placeholders(x: Array, mask: Array) -> Array:
    """``x`` with a residue of some shape in padded places, so that there are frames everywhere."""
    return jnp.where(mask[..., None, None], x, jnp.asarray(TRIANGLE, x.dtype)[None, None])
