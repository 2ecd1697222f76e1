"""Models of other families on proteins that are no coordinates: from stored data to files of samples."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from artifex.core import create_model
from artifex.core.adapters import has_argument
from artifex.core.plugins import registry, resolve

LENGTH = 32


def made(kind: str, name: str, **fields: Any) -> Any:
    """A modality or data set, by its registered name."""
    entry = registry().get(kind, name)
    return resolve(getattr(entry, kind))(resolve(entry.config)(**fields))


def trained(model: Any, batch: dict[str, np.ndarray], steps: int) -> list[float]:
    """Losses of so many steps of Adam on one batch; a mask is given to models that take one."""
    optimizer, takes_mask = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param), has_argument(model.__call__, "mask")
    batch = {key: batch[key] for key in ("x", "mask")}

    def loss(model: Any, batch: dict, rngs: nnx.Rngs) -> Any:
        outputs = model(batch["x"], mask=batch["mask"], rngs=rngs) if takes_mask else model(batch["x"], rngs=rngs)
        found = model.loss_fn(batch if takes_mask else {"x": batch["x"]}, outputs)["loss"]
        return getattr(found, "value", found)

    @nnx.jit
    def step(model: Any, optimizer: nnx.Optimizer, batch: dict, rngs: nnx.Rngs) -> Any:
        found, gradient = nnx.value_and_grad(loss)(model, batch, rngs)
        optimizer.update(model, gradient)
        return found

    return [float(step(model, optimizer, batch, nnx.Rngs(1))) for _ in range(steps)]  # the same noise each time


@pytest.mark.parametrize(("form", "width"), [("frames", 9), ("dihedrals", 6)])
def test_a_diffusion_of_backbones(form: str, width: int, tmp_path: Path) -> None:
    """A U-Net on ``(L, 9)`` or ``(L, 6)``, which knows no mask: lengths follow from what it draws in padded places."""
    data = made("dataset", "protein_folds", representation=form, n_train=32, n_held_out=2, max_seq_length=LENGTH)
    how = {"scale": 10.0, "rotate": True} if form == "frames" else {}
    modality = made("modality", "protein", representation=form, max_seq_length=LENGTH, **how)
    stored = data.arrays("train")
    modality.check(stored)
    batch = {key: np.asarray(value) for key, value in modality.prepare(stored, rngs=nnx.Rngs(0), train=True).items()}
    config = resolve(registry().get("model", "ddpm").config).from_dict(
        {
            "input_shape": list(modality.shape),
            "backbone": {"kind": "unet1d", "hidden_dims": [16, 32], "blocks_per_level": 1},
            "noise_schedule": {"num_timesteps": 8},
        }
    )
    model = create_model(config, rngs=nnx.Rngs(0))
    losses = trained(model, batch, 60)
    assert losses[-1] < 0.7 * losses[0]
    samples = np.asarray(model.generate(8, rngs=nnx.Rngs(2)))
    assert samples.shape == (8, LENGTH, width)
    hosts = modality.to_host(samples)
    drawn = [protein for protein in hosts if protein is not None]
    assert len(drawn) > 4
    assert all(1 <= len(protein) <= LENGTH for protein in drawn)
    path = modality.save_samples(samples, tmp_path / "samples")
    assert len(gemmi.read_structure(str(path))) == len(drawn)
    again = modality.save_samples(batch["x"], tmp_path / "data")
    assert [len(model[0]) for model in gemmi.read_structure(str(again))] == stored["mask"].sum(axis=1).tolist()


def test_a_transformer_of_sequences(tmp_path: Path) -> None:
    """Four made sequences of unequal lengths: what is left to chance is the length, which the end tells."""
    folder = tmp_path / "data"
    folder.mkdir()
    texts = ["C" + "PYK" * n + "H" for n in (1, 2, 3, 4)]
    (folder / "fingers.fasta").write_text("".join(f">f{i}\n{text}\n" for i, text in enumerate(texts)))
    form = {"representation": "sequence", "max_seq_length": 16}
    modality = made("modality", "protein", **form)
    stored = made("dataset", "protein", data_dir=folder, held_out=0.0, **form).arrays("train")
    modality.check(stored)
    batch = {key: np.asarray(value) for key, value in modality.prepare(stored, train=True).items()}
    config = resolve(registry().get("model", "transformer_ar").config)(
        vocab_size=len(modality.config.tokens), context_length=16, num_layers=1, embed_dim=32, num_heads=2
    )
    model = create_model(config, rngs=nnx.Rngs(0))
    losses = trained(model, batch, 150)
    assert losses[0] > 2.5  # ln 22 is 3.1
    assert losses[-1] < 0.35  # the length alone is drawn: ln 4 for each of 10 tokens
    samples = np.asarray(model.generate(40, rngs=nnx.Rngs(2)))
    hosts = modality.to_host(samples)
    assert hosts == modality.to_host(np.asarray(model.generate(40, stop_tokens=(0,), rngs=nnx.Rngs(2))))
    assert np.mean([host in texts for host in hosts]) > 0.8
    assert set(texts) <= set(hosts)
    path = modality.save_samples(samples, tmp_path / "samples")
    assert path.read_text().startswith(f">sample_1\n{hosts[0]}\n>sample_2\n")


def test_chains_of_up_to_a_length_have_probability_one() -> None:
    """Their rows are all that there are: an end behind the letters of the shorter, none behind those that fill a row."""
    modality = made("modality", "protein", representation="secondary", max_seq_length=3)
    letters = ["".join(text) for n in range(4) for text in itertools.product("abc", repeat=n)]
    stored = resolve("artifex.modalities.protein.tokens:packed_tokens")(letters, "secondary", 3)
    batch = modality.prepare(stored, train=False)
    config = resolve(registry().get("model", "transformer_ar").config)(
        vocab_size=len(modality.config.tokens), context_length=3, num_layers=1, embed_dim=16, num_heads=2
    )
    model = create_model(config, rngs=nnx.Rngs(0))
    log_prob = np.asarray(model.log_prob(batch["x"], mask=batch["mask"]), np.float64)
    assert log_prob.shape == (1 + 3 + 9 + 27,)
    assert_allclose(np.exp(log_prob).sum(), 1, atol=1e-5)
