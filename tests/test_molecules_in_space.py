"""An equivariant diffusion model on conformers of the molecular modality: from a file of molecules to a file of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optax
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal
from rdkit import Chem

from artifex.core import create_model
from artifex.core.plugins import registry, resolve

ELEMENTS = ("H", "C", "N", "O", "F")
TEXTS = ("C", "CO", "N", "CN", "CF", "C=O", "O", "CC")
ATOMS = 9


def read(path: Path) -> list[Chem.Mol]:
    with Chem.SDMolSupplier(str(path), sanitize=False, removeHs=False) as records:
        return list(records)


def assert_holds(molecules: list[Chem.Mol], x: np.ndarray, mask: np.ndarray) -> None:
    """Elements and positions of each record are those of the rows, to the four decimals of a file."""
    assert len(molecules) == len(x)
    for molecule, row, there in zip(molecules, x, mask, strict=True):
        assert [atom.GetSymbol() for atom in molecule.GetAtoms()] == [ELEMENTS[i] for i in row[there, 3:].argmax(axis=1)]
        assert_allclose(molecule.GetConformer().GetPositions(), row[there, :3], atol=6e-5)


def test_from_a_file_of_molecules_to_a_file_of_samples(tmp_path: Path) -> None:
    entries = {kind: {entry.name: entry for entry, _ in registry().entries(kind)} for kind in ("modality", "dataset", "model")}
    (tmp_path / "mine.smi").write_text("\n".join(TEXTS) + "\n")
    form = {"representation": "conformer", "max_atoms": ATOMS}
    dataset, modality = entries["dataset"]["molecules"], entries["modality"]["molecular"]
    data = resolve(dataset.dataset)(resolve(dataset.config)(file=tmp_path / "mine.smi", held_out=0.0, **form))
    modality = resolve(modality.modality)(resolve(modality.config)(**form))
    stored = data.arrays("train")
    modality.check(stored)
    prepared = {key: np.asarray(value) for key, value in modality.prepare(stored, train=True).items()}
    assert_allclose(prepared["x"], stored["x"], atol=1e-6)  # the file's are centred already

    config = resolve(entries["model"]["equivariant_diffusion"].config).from_dict(
        {
            "max_points": ATOMS,
            "n_types": len(ELEMENTS),
            "size_counts": np.bincount(stored["mask"].sum(axis=1), minlength=ATOMS + 1)[1:].tolist(),
            "timesteps": 8,
            "network": {"kind": "egnn", "features": 16, "layers": 1},
        }
    )
    model = create_model(config, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    batch = {key: np.tile(value, (8,) + (1,) * (value.ndim - 1)) for key, value in prepared.items()}

    def loss(model: nnx.Module, batch: dict, rngs: nnx.Rngs) -> object:
        return model.loss_fn(batch, model(batch["x"], mask=batch["mask"], rngs=rngs))["loss"].value

    @nnx.jit
    def step(model: nnx.Module, optimizer: nnx.Optimizer, batch: dict, rngs: nnx.Rngs) -> object:
        found, gradient = nnx.value_and_grad(loss)(model, batch, rngs)
        optimizer.update(model, gradient)
        return found

    losses = [float(step(model, optimizer, batch, nnx.Rngs(1))) for _ in range(30)]  # the same noise each time
    assert losses[-1] < 0.8 * losses[0]
    padded = {**batch, "x": np.where(batch["mask"][..., None], batch["x"], np.nan)}
    assert_allclose(loss(model, padded, nnx.Rngs(2)), loss(model, batch, nnx.Rngs(2)), rtol=1e-5)

    samples = np.asarray(model.generate(16, rngs=nnx.Rngs(3)))
    mask = samples[..., 3:].any(axis=-1)
    assert set(mask.sum(axis=1)) <= set(stored["mask"].sum(axis=1))
    assert_array_equal(samples[mask][:, 3:].sum(axis=1), 1)
    modality.save_samples(samples, tmp_path / "samples")
    assert_holds(read(tmp_path / "samples.sdf"), samples, mask)
    modality.save_samples(prepared["x"], tmp_path / "data")
    assert_holds(read(tmp_path / "data.sdf"), prepared["x"], prepared["mask"])
    again = [Chem.MolToSmiles(Chem.RemoveHs(molecule)) for molecule in read(tmp_path / "data.sdf")]
    assert again == [Chem.CanonSmiles(text) for text in TEXTS]
