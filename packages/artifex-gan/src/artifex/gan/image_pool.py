r"""A pool of generated images, of which a discriminator sees some again.

Shrivastava et al. 2016, "Learning from Simulated and Unsupervised Images through Adversarial Training" (arXiv:1612.07828),
section 2.3, as Zhu et al. 2017 (arXiv:1703.10593), section 4, use it: with probability one half an image changes places with an
older one from the pool.

Shapes: ``B = batch, N = size of the pool, ... = one image``.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from artifex.core.errors import InvalidInputError

__all__ = ["ImagePool", "Pooled"]


class Pooled(nnx.Variable):
    """What a pool holds: no parameter, but part of a training's state."""


class ImagePool(nnx.Module):
    """``N`` images and how many of them are there yet. In evaluation it stays as it is and images pass through.

    Args:
        size: ``N``, at least the batch's.
        shape: of an image.

    Example:
        >>> pool = ImagePool(4, (1,))
        >>> pool.exchange(jnp.ones((4, 1)), jax.random.key(0)).tolist()  # fills it
        [[1.0], [1.0], [1.0], [1.0]]
        >>> {float(image) for image in pool.exchange(jnp.zeros((4, 1)), jax.random.key(1))[:, 0]} <= {0.0, 1.0}  # new or older
        True
    """

    def __init__(self, size: int, shape: tuple[int, ...]):
        self.images = Pooled(jnp.zeros((size, *shape), jnp.float32))
        self.filled = Pooled(jnp.zeros((), jnp.int32))
        self.deterministic = False

    def set_view(self, deterministic: bool | None = None) -> None:
        """Choose whether images are exchanged.

        Args:
            deterministic: whether all pass through instead; None leaves it as it is.
        """
        if deterministic is not None:
            self.deterministic = deterministic

    def exchange(self, images: Float[Array, "B ..."], key: Array) -> Float[Array, "B ..."]:
        """As many images: each its own, or an older one whose place it takes. While the pool fills, all pass through.

        Args:
            images: new ones.
            key: of the choice.

        Raises:
            InvalidInputError: the pool is smaller than the batch.
        """
        if self.deterministic:
            return images
        size, batch = self.images.shape[0], images.shape[0]
        if batch > size:
            raise InvalidInputError(f"a pool of {size} images is smaller than a batch of {batch}; raise pool_size to {batch}")
        choice_key, place_key = jax.random.split(key)
        filling = self.filled[...] < size
        next_places = (self.filled[...] + jnp.arange(batch)) % size
        places = jnp.where(filling, next_places, jax.random.permutation(place_key, size)[:batch])
        moves = filling | jax.random.bernoulli(choice_key, 0.5, (batch,))
        wide = (batch, *(1,) * (images.ndim - 1))
        older, taken = self.images[...][places], moves.reshape(wide)
        seen = jnp.where(taken & ~filling, older.astype(images.dtype), images)
        kept = jnp.where(taken, images.astype(older.dtype), older)
        self.images[...] = self.images[...].at[places].set(jax.lax.stop_gradient(kept))
        self.filled[...] = jnp.minimum(self.filled[...] + batch, size)
        return jax.lax.stop_gradient(seen)
