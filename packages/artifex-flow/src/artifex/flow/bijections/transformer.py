r"""Transformers: monotone maps of one number, whose parameters a network gives.

A coupling or autoregressive layer is a *conditioner*, a network that sees some of the input, and a *transformer*
``y_i = t(x_i; h_i)``, which moves one element by what the network said of it (Papamakarios et al. 2021, arXiv:1912.02762,
section 3.1).

Shapes: ``... = batch, P = parameters of one element, D = elements``. Parameters come as ``(..., P, D)``: each is then a row of
``D`` numbers beside one another in memory, which compiles to vector instructions.
"""

from __future__ import annotations

from typing import Protocol

from jaxtyping import Array, Float

__all__ = ["Transformer"]

Moved = tuple[Float[Array, "... D"], Float[Array, "... D"]]
"""The elements, and the log derivative of the map at each."""


class Transformer(Protocol):
    """A monotone map of each element. Parameters of zero give the identity."""

    @property
    def n_parameters(self) -> int:
        """``P``, for each element."""
        ...

    def forward(self, x: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Moved:
        """``t(x; h)`` and ``log dt/dx``."""
        ...

    def inverse(self, y: Float[Array, "... D"], parameters: Float[Array, "... P D"]) -> Moved:
        """``t^-1(y; h)`` and ``log dt^-1/dy``."""
        ...
