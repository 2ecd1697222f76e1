"""Every picture of the documentation is made by its script: here with one epoch, where any are trained, and another seed."""

import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
SCRIPTS = {
    "adversarial": {"adversarial.png"},
    "autoregressive": {"autoregressive.png"},
    "codes": {"codes.png"},
    "diffusion": {"diffusion.png"},
    "concepts": {"concepts.png"},
    "digits": {"samples.png", "reconstructions.png", "interpolation.png"},
    "energies": {"energies.png"},
    "images": {"images.png"},
    "molecules": {"molecules.png"},
    "proteins": {"proteins.png"},
    "evaluation": {"evaluation.png"},
    "series": {"series.png"},
    "solids": {"solids.png"},
    "words": {"words.png"},
    "tables": {"tables.png"},
    "sounds": {"sounds.png"},
    "tokens": {"tokens.png"},
}


@pytest.mark.shown
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_makes_its_pictures(name, tmp_path):
    spec = importlib.util.spec_from_file_location(name, PICTURES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    trained = {"epochs": 1} if "epochs" in inspect.signature(module.main).parameters else {}
    module.main(seed=1, **trained, output=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == SCRIPTS[name]
    for file in SCRIPTS[name]:
        made, kept = (np.asarray(Image.open(folder / file)) for folder in (tmp_path, PICTURES))
        assert made.shape == kept.shape
        assert made.std() > 10  # not blank
        assert (made != kept).any()  # neither seed nor training is fixed in the script


def test_every_picture_has_a_script_and_is_small_and_shown():
    assert {path.stem for path in PICTURES.glob("*.py")} == SCRIPTS.keys()
    assert {path.name for path in PICTURES.glob("*.png")} == set().union(*SCRIPTS.values())
    assert all(path.stat().st_size < 150_000 for path in PICTURES.glob("*.png"))
    shown = {
        Path(target).name
        for page in ROOT.glob("docs/**/*.md")
        for target in re.findall(r"!\[[^]]+\]\((\S+)\)", page.read_text())
    }
    assert shown == set().union(*SCRIPTS.values())
