r"""Diffusion of the alpha carbons of proteins.

Lin & AlQuraishi 2023, "Generating novel, designable, and diverse protein structures by equivariantly diffusing oriented residue
clouds" (Genie, arXiv:2301.12485): noise is added to the positions alone, ``z_t = a_t x + s_t e`` without centre of mass; the
network that predicts it sees each residue with the frame of Frenet and Serret that the noisy chain has there, by invariant
point attention. So a chain and its mirror image, which are not equally good proteins, are told apart.

It is :class:`~artifex.geometric.equivariant_diffusion.EquivariantDiffusion` of points in the order of a chain.
"""

from __future__ import annotations

from typing import Annotated

from flax import nnx
from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.geometric.equivariant_diffusion import EquivariantDiffusion, EquivariantDiffusionConfig
from artifex.geometric.invariant_point_attention import InvariantPointAttentionConfig
from artifex.geometric.networks import NetworkField
from artifex.geometric.schedules import ScheduleName

__all__ = ["AlphaCarbonDiffusion", "AlphaCarbonDiffusionConfig"]

Positive = Annotated[float, Field(gt=0)]


@config
class AlphaCarbonDiffusionConfig(EquivariantDiffusionConfig):
    """A diffusion model of chains: `x` is `(B, L, 3)` in Å, with a type for each residue if `n_types` says so."""

    network: NetworkField = Field(default_factory=InvariantPointAttentionConfig)
    """What predicts the noise, from points in the order of the chain."""
    schedule: ScheduleName = "cosine"
    """How noise grows with time."""
    scales: tuple[Positive, Positive, Positive] = (10.0, 4.0, 10.0)
    """What positions, types and whole numbers are divided by; a small protein is about 10 Å in radius."""


class AlphaCarbonDiffusion(EquivariantDiffusion):
    """A diffusion model of alpha carbons.

    Args:
        config: what to build.
        rngs: stream ``params`` initialises; the model keeps a fork of all of them.

    Raises:
        InvalidTypeError: ``config`` is not an :class:`AlphaCarbonDiffusionConfig`.

    Example:
        >>> network = InvariantPointAttentionConfig(features=8, layers=1, heads=2, scalars=4, pair_features=4)
        >>> config = AlphaCarbonDiffusionConfig(max_points=6, network=network, timesteps=3)
        >>> AlphaCarbonDiffusion(config, rngs=nnx.Rngs(0)).generate(2).shape
        (2, 6, 3)
    """

    def __init__(self, config: AlphaCarbonDiffusionConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, AlphaCarbonDiffusionConfig):
            raise InvalidTypeError(f"AlphaCarbonDiffusion takes an AlphaCarbonDiffusionConfig, got {type(config).__name__}")
        EquivariantDiffusion.__init__(self, config, rngs=rngs)
