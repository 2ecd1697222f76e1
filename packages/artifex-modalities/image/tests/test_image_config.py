"""Image configs: shapes, round trips, and every impossible combination."""

from __future__ import annotations

import pytest

from artifex.modalities.image import ImageAugmentConfig, ImageModalityConfig, ImageStandardizeConfig

SIZE = {"height": 8, "width": 6}


@pytest.mark.parametrize(("channels", "count"), [("grayscale", 1), ("rgb", 3), ("rgba", 4), (1, 1), (7, 7)])
def test_shape_follows_from_size_and_channels(channels: object, count: int) -> None:
    config = ImageModalityConfig(**SIZE, channels=channels)
    assert config.shape == (8, 6, count)


def test_yaml_round_trip_keeps_everything() -> None:
    config = ImageModalityConfig(
        **SIZE,
        channels="rgb",
        resize="cubic",
        augment=ImageAugmentConfig(horizontal_flip=0.5, crop_padding=2, shift=1, brightness=0.1, contrast=0.2),
        standardize=ImageStandardizeConfig(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0)),
    )
    assert ImageModalityConfig.from_yaml(config.to_yaml()) == config
    assert hash(ImageModalityConfig.from_yaml(config.to_yaml())) == hash(config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"height": 0}, "height"),
        ({"channels": 0}, "channels"),
        ({"channels": "cmyk"}, "channels"),
        ({"resize": "bicubic"}, "resize"),
        ({"binarize": 0.0}, "binarize"),
        ({"binarize": 1.5}, "binarize"),
        ({"binarize": "random"}, "binarize"),
        ({"dequantize_levels": 1}, "dequantize_levels"),
        ({"binarize": 0.5, "dequantize_levels": 256}, "binarize and dequantize_levels exclude each other"),
        ({"standardize": {"mean": [0.5], "std": [0.5]}, "scale": "symmetric"}, "leave scale at 'unit'"),
        ({"standardize": {"mean": [0.5, 0.5], "std": [0.5]}}, "mean has 2 values for 1 channels"),
        ({"standardize": {"mean": [0.5], "std": [0.5, 0.5]}}, "std has 2 values for 1 channels"),
        ({"standardize": {"mean": [0.5], "std": [0.0]}}, "std"),
        ({"augment": {}}, "changes nothing"),
        ({"augment": {"horizontal_flip": 1.1}}, "horizontal_flip"),
        ({"augment": {"shift": 6}}, "has to be below 6"),
        ({"augment": {"crop_padding": 9}}, "has to be below 6"),
        ({"heigth": 3}, "did you mean 'height'"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageModalityConfig.from_dict(SIZE | fields)
