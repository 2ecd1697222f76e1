"""Models of any array on graphs of the molecular modality: from a file of molecules to samples that are molecules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from rdkit import Chem

from artifex.core import create_model
from artifex.core.plugins import registry, resolve
from artifex.core.testing import user_environment

TEXTS = ("CCO", "CC(=O)[O-]", "c1ccccc1", "C#N", "C[N+](=O)[O-]", "Oc1ccccc1")
ATOMS = 8


def test_a_vae_learns_graphs_by_heart(tmp_path: Path) -> None:
    entries = {kind: {entry.name: entry for entry, _ in registry().entries(kind)} for kind in ("modality", "dataset", "model")}
    (tmp_path / "mine.smi").write_text("\n".join(TEXTS) + "\n")
    form = {"representation": "graph", "max_atoms": ATOMS, "elements": ("C", "N", "O")}
    dataset, modality = entries["dataset"]["molecules"], entries["modality"]["molecular"]
    data = resolve(dataset.dataset)(resolve(dataset.config)(file=tmp_path / "mine.smi", held_out=0.0, **form))
    modality = resolve(modality.modality)(resolve(modality.config)(**form))
    stored = data.arrays("train")
    modality.check(stored)
    wanted = [Chem.CanonSmiles(text) for text in TEXTS]

    config = resolve(entries["model"]["vae"].config).from_dict(
        {
            "encoder": {"input_shape": modality.shape, "hidden_dims": [128], "latent_dim": 8},
            "decoder": {"hidden_dims": [128]},
            "likelihood": {"kind": "gaussian", "noise_scale": 0.05},
        }
    )
    model = create_model(config, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)
    batch = {key: np.tile(value, (8,) + (1,) * (value.ndim - 1)) for key, value in stored.items()}

    @nnx.jit
    def step(model: nnx.Module, optimizer: nnx.Optimizer, batch: dict, key: jax.Array) -> jax.Array:
        def loss(model: nnx.Module) -> jax.Array:
            prepared = modality.prepare(batch, train=True)
            return model.loss_fn(prepared, model(prepared["x"], rngs=nnx.Rngs(key)))["loss"]

        found, gradient = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradient)
        return found

    for i in range(300):
        step(model, optimizer, batch, jax.random.key(i))
    x = modality.prepare(stored, train=False)["x"]
    again = modality.to_host(np.asarray(model.reconstruct(x)))
    assert [m and Chem.MolToSmiles(m) for m in again] == wanted

    samples = np.asarray(model.generate(64, rngs=nnx.Rngs(3)))
    drawn = modality.to_host(samples)
    valid = [Chem.MolToSmiles(m) for m in drawn if m is not None]
    assert set(valid) & set(wanted)  # other latents lie between theirs
    lines = modality.save_samples(samples, tmp_path / "samples").read_text().splitlines()
    assert [line for line in lines if not line.endswith(" # no molecule")] == valid
    validity = {entry.name: entry for entry, _ in registry().entries("metric")}["molecule_validity"]
    metric = resolve(validity.metric)
    assert metric.finalize(metric.statistics({"samples": drawn}).sum(axis=0)) == len(valid) / 64


@pytest.mark.nightly
def test_from_a_run_file_to_figures(tmp_path: Path) -> None:
    """The command, in processes of its own: a run, samples as SMILES and drawn, and every metric of molecules but stability."""
    run = """
        model: {kind: edm, input_shape: [9, 13], backbone: {kind: unet1d, hidden_dims: [64], blocks_per_level: 1}}
        data:
          dataset: {kind: common_molecules, representation: graph, max_atoms: 9, elements: [C, N, O]}
          modality: {kind: molecular, representation: graph, max_atoms: 9, elements: [C, N, O], randomize_order: true}
        training: {steps: 300, batch_size: 64, optimizer: {optimizer_type: adam, learning_rate: 1.0e-3}}
    """
    (tmp_path / "graphs.yaml").write_text(run)

    def artifex(*arguments: str) -> str:
        command = [Path(sys.executable).with_name("artifex"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=user_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    artifex("train", "graphs.yaml", "--output", "run")
    artifex("sample", "run", "-n", "32", "--seed", "1")
    lines = (tmp_path / "run" / "samples" / "seed_1.smi").read_text().splitlines()
    assert len(lines) == 32
    assert (tmp_path / "run" / "samples" / "seed_1.png").read_bytes().startswith(b"\x89PNG")
    assert not list((tmp_path / "run" / "samples").glob(".*"))  # under another name until they are whole
    valid = [line for line in lines if not line.endswith("# no molecule")]
    assert len(valid) > 8
    assert [Chem.CanonSmiles(line) for line in valid] == valid
    printed = artifex("evaluate", "run")
    assert "molecule_validity" in printed
    assert "molecule_stable" not in printed
