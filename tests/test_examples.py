"""Every example runs: in a small form here, since its figure takes longer."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vae_digits(tmp_path):
    log_likelihood = load("vae_digits").main(epochs=15, output=tmp_path)
    # pixels drawn each by its own frequency reach -25.19 nats on this split; a tenth of the training is well past that
    assert log_likelihood > -22.0
    walk = np.asarray(Image.open(tmp_path / "walks.png"))
    assert walk.shape[0] > 8 * 8 * 8
    assert walk.shape[1] > 10 * 8 * 8
    assert walk.std() > 30


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"vae_digits"}
