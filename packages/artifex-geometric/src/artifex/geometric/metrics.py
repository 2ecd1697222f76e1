r"""How near generated clouds are to real ones.

Distances between two clouds: chamfer, and earth mover's in the form of Yang et al. 2019 (PointFlow, arXiv:1906.12320): the mean
Euclidean distance under the best matching of clouds of equal size. From the distances of all pairs:

    one_nearest_neighbor    how often a cloud's nearest other cloud, itself left out, is of its own kind: 0.5 is best
    coverage                share of references that are nearest to some sample (Achlioptas et al. 2018, arXiv:1707.02392)
    minimum matching        mean distance of a reference to its nearest sample

Samples that are copies of the references score 0 on the first.
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.spatial.distance
from jaxtyping import Float

from artifex.core.errors import InvalidInputError
from artifex.geometric.losses import chamfer_distance

__all__ = [
    "CloudDistance",
    "accuracy_of_nearest",
    "cloud_coverage",
    "cloud_distances",
    "earth_movers_distance",
    "minimum_matching_distance",
    "one_nearest_neighbor_accuracy",
]

CloudDistance = Literal["chamfer", "earth_mover"]
Clouds = Float[np.ndarray, "M N 3"]


def earth_movers_distance(x: Float[np.ndarray, "N 3"], y: Float[np.ndarray, "N 3"]) -> float:
    """``min over matchings m of mean_i |x_i - y_m(i)|``, exact (Hungarian algorithm), on the host.

    Raises:
        InvalidInputError: the clouds have not as many points, or none.

    Example:
        >>> earth_movers_distance(np.zeros((2, 3)), np.array([[3.0, 4, 0], [0, 0, 0]]))
        2.5
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 2 or not len(x):
        raise InvalidInputError(
            f"clouds that are matched are (N, 3), of a point at least and equally many points; got {x.shape} and {y.shape}"
        )
    cost = scipy.spatial.distance.cdist(x, y)
    return float(cost[scipy.optimize.linear_sum_assignment(cost)].mean())


def cloud_distances(x: Clouds, y: Clouds, distance: CloudDistance = "chamfer") -> Float[np.ndarray, "M K"]:
    """The distance of each cloud of ``x`` from each of ``y``.

    Args:
        x: clouds.
        y: clouds.
        distance: which.

    Raises:
        InvalidInputError: they are no batches of clouds with points, a coordinate is no finite number, or there is no such
            distance.
    """
    if np.ndim(x) != 3 or np.ndim(y) != 3 or np.shape(x)[2] != 3 or np.shape(y)[2] != 3:
        raise InvalidInputError(f"clouds are (M, N, 3), got shapes {np.shape(x)} and {np.shape(y)}")
    if not np.size(x) or not np.size(y):
        raise InvalidInputError(f"there is no point to measure from: the clouds have shapes {np.shape(x)} and {np.shape(y)}")
    if distance not in get_args(CloudDistance):
        raise InvalidInputError(f"distance is {distance!r}; it is one of {', '.join(get_args(CloudDistance))}")
    for clouds in (x, y):
        wrong = np.flatnonzero(~np.isfinite(np.asarray(clouds)).all(axis=(1, 2)))
        if len(wrong):
            raise InvalidInputError(
                f"cloud {wrong[0]} of {len(clouds)} has coordinates that are no finite numbers, and so no nearest cloud; leave "
                "such clouds out"
            )
    if distance == "earth_mover":
        return np.array([[earth_movers_distance(a, b) for b in y] for a in x])
    return np.stack([np.asarray(_chamfer_from(jnp.asarray(a), jnp.asarray(y))) for a in x])


@jax.jit
def _chamfer_from(cloud: jax.Array, others: jax.Array) -> jax.Array:
    return jax.lax.map(lambda other: chamfer_distance(cloud[None], other[None])[0], others, batch_size=16)


def one_nearest_neighbor_accuracy(samples: Clouds, references: Clouds, distance: CloudDistance = "chamfer") -> float:
    """Accuracy of telling samples from references by the nearest other cloud (Lopez-Paz & Oquab 2017, arXiv:1610.06545).

    0.5 is best: no telling. 1 is worst, and 0 means that samples are copies of the references.

    Args:
        samples: generated clouds.
        references: as many real ones.
        distance: between clouds.

    Raises:
        InvalidInputError: there are not as many samples as references.
    """
    if len(samples) != len(references):
        raise InvalidInputError(f"there are {len(samples)} samples and {len(references)} references; compare equally many")
    between = cloud_distances(samples, references, distance)
    within = [cloud_distances(clouds, clouds, distance) for clouds in (samples, references)]
    return accuracy_of_nearest(within[0], between, within[1])


def accuracy_of_nearest(
    samples: Float[np.ndarray, "M M"], between: Float[np.ndarray, "M K"], references: Float[np.ndarray, "K K"]
) -> float:
    """How often the nearest other of samples and references is of the same kind, from their distances, whatever they measure.

    >>> accuracy_of_nearest(np.zeros((2, 2)), np.full((2, 2), 9.0), np.zeros((2, 2)))
    1.0
    """
    table = np.block([[samples, between], [between.T, references]])
    np.fill_diagonal(table, np.inf)
    kind = np.arange(len(table)) < len(samples)
    return float(np.mean(kind[table.argmin(axis=1)] == kind))


def cloud_coverage(samples: Clouds, references: Clouds, distance: CloudDistance = "chamfer") -> float:
    """The share of references that are the nearest one of some sample (arXiv:1707.02392)."""
    nearest = cloud_distances(samples, references, distance).argmin(axis=1)
    return float(len(np.unique(nearest)) / len(references))


def minimum_matching_distance(samples: Clouds, references: Clouds, distance: CloudDistance = "chamfer") -> float:
    """The mean, over references, of the distance to the nearest sample (arXiv:1707.02392)."""
    return float(cloud_distances(samples, references, distance).min(axis=0).mean())
