"""Parameters that training leaves as they are: a pre-trained autoencoder below a latent diffusion model, say.

They are a kind of variable of their own. Nothing descends them, no optimiser keeps moments for them, a training step does not
return them and a checkpoint is not written again with them; a saved model holds them like all else.
"""

from __future__ import annotations

from typing import TypeVar

from flax import nnx

__all__ = ["Frozen", "freeze"]

M = TypeVar("M", bound=nnx.Module)


class Frozen(nnx.Variable):
    """An array that was a parameter and is trained no more."""


def freeze(module: M) -> M:
    """Turn every ``nnx.Param`` at or below ``module`` into :class:`Frozen`, in place; values and metadata stay.

    Returns:
        The same module.

    Example:
        >>> layer = freeze(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> type(layer.kernel).__name__, layer.kernel.shape
        ('Frozen', (2, 3))
        >>> len(nnx.state(layer, nnx.Param))
        0
    """
    frozen: dict[int, Frozen] = {}  # so that what is shared stays shared
    for _, node in nnx.iter_graph(module):
        if isinstance(node, nnx.Module):
            for name, value in vars(node).items():
                if isinstance(value, nnx.Param):
                    made = Frozen(value.get_raw_value(), **value.get_metadata())
                    setattr(node, name, frozen.setdefault(id(value), made))
    return module
