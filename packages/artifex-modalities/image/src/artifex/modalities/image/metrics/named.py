"""The figures of the literature, from images: FID, KID, Inception Score, LPIPS.

Each is a network, its weights, a way of resizing and a formula. The figure carries a name, and only what is made with the
standard weights has the name of the literature: numbers of other weights do not compare with published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Num

from artifex.core.errors import InvalidTypeError
from artifex.core.frechet import Moments
from artifex.core.metrics import FeatureExtractor
from artifex.modalities.image.features.extractors import (
    InceptionFeatures,
    InceptionFeaturesConfig,
    InceptionProbabilities,
    InceptionProbabilitiesConfig,
    PerceptualFeatures,
    PerceptualFeaturesConfig,
)
from artifex.modalities.image.metrics.frechet import FRECHET_DISTANCE
from artifex.modalities.image.metrics.inception_score import class_score
from artifex.modalities.image.metrics.kernel import kernel_distance

__all__ = ["LPIPS", "Figure", "FrechetInceptionDistance", "InceptionScore", "KernelInceptionDistance"]

Images = Num[np.ndarray, "N h w *c"]


@dataclass(frozen=True)
class Figure:
    """A number with the name that it may be called by.

    >>> print(Figure("FID (pytorch-fid)", 3.14159))
    FID (pytorch-fid): 3.142
    """

    name: str
    value: float

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.4g}"


class FrechetInceptionDistance:
    """Fréchet distance of images over the features of FID's Inception V3 (Heusel et al. 2017, arXiv:1706.08500).

    Of sets too large for memory, :meth:`state`, :meth:`merge` and :meth:`finalize` take batches.

    Args:
        features: the network's config with the file of its weights, or any extractor.

    Example:
        ```
        fid = FrechetInceptionDistance(InceptionFeaturesConfig(weights="pt_inception-2015-12-05-6726825d.pth"))
        print(fid(samples, references))  # FID (pytorch-fid): 3.142
        ```
    """

    def __init__(self, features: InceptionFeaturesConfig | FeatureExtractor) -> None:
        self.features = _extractor(features, InceptionFeaturesConfig, InceptionFeatures)

    @property
    def name(self) -> str:
        """``FID`` with the way of resizing, for the standard weights; else what it is instead."""
        return _name("FID", "Fréchet distance", self.features)

    def __call__(self, samples: Images, references: Images) -> Figure:
        """The distance of two sets, not necessarily of equal numbers; two of each at least."""
        return Figure(self.name, self.finalize(self.state({"samples": samples, "references": references})))

    def state(self, batch: Mapping[str, Any]) -> dict[str, Moments]:
        """Moments of the features of a batch's ``samples``, its ``references``, or both."""
        kept = {name: self.features(batch[name]) for name in ("samples", "references") if name in batch}
        return FRECHET_DISTANCE.state(kept)

    def merge(self, one: Mapping[str, Moments], other: Mapping[str, Moments]) -> dict[str, Moments]:
        """Moments of both."""
        return FRECHET_DISTANCE.merge(one, other)

    def finalize(self, state: Mapping[str, Moments]) -> float:
        """The distance."""
        return FRECHET_DISTANCE.finalize(state)


class KernelInceptionDistance:
    """Squared MMD of images over the same features (Bińkowski et al. 2018, arXiv:1801.01401), of every pair.

    Args:
        features: the network's config with the file of its weights, or any extractor.
    """

    def __init__(self, features: InceptionFeaturesConfig | FeatureExtractor) -> None:
        self.features = _extractor(features, InceptionFeaturesConfig, InceptionFeatures)

    @property
    def name(self) -> str:
        """``KID`` with the way of resizing, for the standard weights; else what it is instead."""
        return _name("KID", "kernel distance", self.features)

    def __call__(self, samples: Images, references: Images) -> Figure:
        """The distance of two sets, not necessarily of equal numbers; two of each at least."""
        return Figure(self.name, kernel_distance(self.features(samples), self.features(references)))


class InceptionScore:
    """``exp(E KL(p(y | x) || p(y)))`` of samples (Salimans et al. 2016, arXiv:1606.03498).

    Args:
        features: the network's config with the file of its weights, or any extractor that gives probabilities.
    """

    def __init__(self, features: InceptionProbabilitiesConfig | FeatureExtractor) -> None:
        self.features = _extractor(features, InceptionProbabilitiesConfig, InceptionProbabilities)

    @property
    def name(self) -> str:
        """``Inception Score`` with the way of resizing, for the standard weights; else what it is instead."""
        return _name("Inception Score", "class score", self.features)

    def __call__(self, samples: Images) -> Figure:
        """The score of all samples together, between 1 and the number of classes."""
        return Figure(self.name, class_score(self.features(samples)))


class LPIPS:
    """Learned perceptual distance of pairs of images (R. Zhang et al. 2018, arXiv:1801.03924, version 0.1).

    Args:
        config: backbone, its weights and heads; the installed package ``stlpips-pytorch`` (then it is called ST-LPIPS)
            unless given.
    """

    def __init__(self, config: PerceptualFeaturesConfig | None = None) -> None:
        self.features = PerceptualFeatures(PerceptualFeaturesConfig() if config is None else config)

    @property
    def name(self) -> str:
        """``LPIPS`` for the standard network and heads; else what it is instead."""
        return self.features.signature

    def distances(self, samples: Images, references: Images) -> np.ndarray:
        """Of each pair ``(N,)``."""
        return self.features.distance(samples, references)

    def __call__(self, samples: Images, references: Images) -> Figure:
        """Mean over the pairs."""
        return Figure(self.name, float(self.distances(samples, references).mean(dtype=np.float64)))


def _extractor(features: Any, config: type, build: type) -> Any:
    if isinstance(features, config):
        return build(features)
    if isinstance(features, FeatureExtractor):
        return features
    raise InvalidTypeError(f"a {config.__name__} or an extractor of features is needed, got {type(features).__name__}")


def _name(known: str, formula: str, features: Any) -> str:
    if isinstance(features, InceptionFeatures) and features.is_standard:
        return f"{known} ({features.config.resize})"
    return f"{formula} over {features.signature}"
