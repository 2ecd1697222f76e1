"""Features of images that metrics compare: extractors with and without trained weights, and where weights come from."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.modalities.image.features.extractors import (
        InceptionFeatures as InceptionFeatures,
        InceptionFeaturesConfig as InceptionFeaturesConfig,
        InceptionProbabilities as InceptionProbabilities,
        InceptionProbabilitiesConfig as InceptionProbabilitiesConfig,
        PerceptualFeatures as PerceptualFeatures,
        PerceptualFeaturesConfig as PerceptualFeaturesConfig,
        RandomConvolutions as RandomConvolutions,
        RandomConvolutionsConfig as RandomConvolutionsConfig,
    )
    from artifex.modalities.image.features.inception import InceptionV3 as InceptionV3
    from artifex.modalities.image.features.perceptual import PerceptualNetwork as PerceptualNetwork
    from artifex.modalities.image.features.torch_files import read_torch_file as read_torch_file

_EXTRACTORS = ("InceptionFeatures", "InceptionProbabilities", "PerceptualFeatures", "RandomConvolutions")

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        **dict.fromkeys(_EXTRACTORS, "artifex.modalities.image.features.extractors"),
        **{f"{name}Config": "artifex.modalities.image.features.extractors" for name in _EXTRACTORS},
        "InceptionV3": "artifex.modalities.image.features.inception",
        "PerceptualNetwork": "artifex.modalities.image.features.perceptual",
        "read_torch_file": "artifex.modalities.image.features.torch_files",
    },
)
