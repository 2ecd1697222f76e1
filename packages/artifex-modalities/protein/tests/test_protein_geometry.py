"""Dihedrals, secondary structure, ideal geometry, constraints and extensions."""

from __future__ import annotations

import gzip
from io import StringIO
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.core.extensions import ModelExtension
from artifex.modalities.protein import (
    BondAngleExtension,
    BondAngleExtensionConfig,
    BondLengthExtension,
    BondLengthExtensionConfig,
    Protein,
    backbone_dihedrals,
    backbone_from_dihedrals,
    read_proteins,
    residue_frames,
    secondary_structure,
    sequence_types,
)
from artifex.modalities.protein.constraints import (
    angle_violations,
    bond_violations,
    chirality_violations,
    measure,
    planarity_violations,
    violations,
)
from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig
from artifex.modalities.protein.ideal import backbone_angles, backbone_bonds, linked_residues

THESEUS = Path("/usr/share/doc/theseus/examples")
needs_theseus = pytest.mark.skipif(not THESEUS.is_dir(), reason="Debian's theseus-examples are not installed")


def folds(n: int, **how) -> list[Protein]:
    return ProteinFolds(ProteinFoldsConfig(n_train=n, n_held_out=1, **how)).split("train")


def as_biotite(protein: Protein):
    import biotite.structure as struc

    n = len(protein)
    atoms = struc.AtomArray(4 * n)
    atoms.coord = protein.positions[:, :4].reshape(-1, 3).astype(np.float32)
    atoms.atom_name = np.tile(["N", "CA", "C", "O"], n)
    atoms.res_name, atoms.element = np.full(4 * n, "ALA"), np.tile(["N", "C", "C", "O"], n)
    atoms.res_id, atoms.chain_id = np.repeat(np.arange(1, n + 1), 4), np.full(4 * n, "A")
    return atoms


def test_dihedrals_are_biotites():
    import biotite.structure as struc

    for protein in folds(10):
        x, linked = protein.positions[:, :4].astype(np.float32), protein.linked
        phi, psi, omega, has_previous, has_next = jax.jit(backbone_dihedrals)(x, linked)
        theirs = struc.dihedral_backbone(as_biotite(protein))
        for own, other, there in zip((phi, psi, omega), theirs, (has_previous, has_next, has_next), strict=True):
            assert_array_equal(np.isfinite(other), there)
            away = np.mod(np.asarray(own) - np.nan_to_num(other) + np.pi, 2 * np.pi) - np.pi
            assert_allclose(np.where(there, away, 0), 0, atol=2e-5)  # both in float32


def test_a_chain_of_given_dihedrals_has_them():
    rng = np.random.default_rng(0)
    phi, psi, omega = (rng.uniform(-np.pi, np.pi, (5, 12)).astype(np.float32) for _ in range(3))
    x = backbone_from_dihedrals(phi, psi, omega)
    linked = np.ones((5, 12), bool)
    found = jax.jit(backbone_dihedrals)(x, linked)
    for own, wanted, part in zip(found[:3], (phi, psi, omega), (slice(1, None), slice(-1), slice(-1)), strict=True):
        away = np.mod(np.asarray(own - wanted)[:, part] + np.pi, 2 * np.pi) - np.pi
        assert_allclose(away, 0, atol=2e-4)  # float32 over a chain of 12
    bonds, angles = (f(x, linked, linked_residues(jnp.asarray(linked))) for f in (backbone_bonds, backbone_angles))
    assert_allclose(bonds.value, bonds.ideal, atol=1e-5)
    assert_allclose(angles.value, angles.ideal, atol=1e-4)


def test_no_angle_leads_across_a_break():
    x = jnp.asarray(folds(1)[0].positions[:6, :4], jnp.float32)
    linked = jnp.array([True, True, False, True, True, False])
    found = backbone_dihedrals(x, linked)
    assert_array_equal(found.has_previous, [False, True, True, False, True, True])
    assert_array_equal(found.has_next, linked)
    assert float(found.phi[3]) == float(found.psi[2]) == float(found.omega[2]) == 0


def test_frames_turn_with_the_chain():
    x = jnp.asarray(folds(1)[0].positions[:5, :4], jnp.float32)
    turn = jnp.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    one, other = residue_frames(x), residue_frames(x @ turn.T + 3.0)
    assert_allclose(other.rotation, turn[None] @ one.rotation, atol=1e-5)
    assert_allclose(other.translation, one.translation @ turn.T + 3.0, atol=1e-5)


@needs_theseus
def test_secondary_structure_is_near_biotites():
    """Another implementation of P-SEA, whose authors warn of deviations from the paper's program; so no equality."""
    import biotite.structure as struc
    import biotite.structure.io.pdb as pdb

    agreement = []
    for folder, step in (("cytochromes", 3), ("trypsins", 60), ("ldh", 70)):
        for path in sorted((THESEUS / folder).glob("*.pdb.gz"))[::step]:
            (protein, *_) = read_proteins(path)
            with gzip.open(path, "rt") as file:
                atoms = pdb.PDBFile.read(StringIO(file.read())).get_structure(model=1)
            theirs = "".join(struc.annotate_sse(atoms[struc.filter_amino_acids(atoms)]))
            protein = protein.select(protein.has("CA"))
            own = secondary_structure(protein.atom("CA"), protein.linked)
            if len(own) == len(theirs):
                agreement += [a == b for a, b in zip(own, theirs, strict=True)]
    assert len(agreement) > 500
    assert np.mean(agreement) > 0.95


def made(phi: float, psi: float, n: int = 14) -> Protein:
    angles = (np.full(n, np.deg2rad(a), np.float32) for a in (phi, psi, 180.0))
    return Protein.from_positions(np.asarray(backbone_from_dihedrals(*angles)))


def test_helices_and_strands_are_told_apart():
    helix = secondary_structure(made(-63, -42).atom("CA"))
    strand = secondary_structure(made(-120, 135).atom("CA"))
    assert helix.count("a") >= 10
    assert "b" not in helix
    assert strand.count("b") >= 8
    assert "a" not in strand


def test_chains_too_short_for_any_structure():
    assert secondary_structure(np.zeros((0, 3))) == ""
    assert secondary_structure(np.zeros((3, 3))) == "ccc"


@needs_theseus
def test_real_structures_have_the_tables_geometry():
    """Means of a few thousand bonds lie within half a deviation of the table's, their spread within 1.5 times its."""
    off = {"bonds": [], "angles": []}
    for path in sorted(THESEUS.glob("*/*.pdb.gz"))[::60]:
        for protein in read_proteins(path):
            measured = measure(protein)
            for kind in off:
                m = getattr(measured, kind)
                off[kind].append(np.where(m.there, (m.value - m.ideal) / m.sigma, np.nan))
    for kind, values in off.items():
        values = np.concatenate(values)
        assert np.all(np.abs(np.nanmean(values, axis=0)) < 0.5), kind
        assert np.all(np.nanstd(values, axis=0) < 1.5), kind


def test_glycine_and_proline_have_values_of_their_own():
    x, mask = jnp.zeros((3, 4, 3)), jnp.ones(3, bool)
    types = jnp.asarray(sequence_types("GAP"))
    bonds = backbone_bonds(x, mask, linked_residues(mask), types)
    assert_allclose(bonds.ideal, [[1.456, 1.514, 1.229, 1.329], [1.459, 1.525, 1.229, 1.341], [1.468, 1.524, 1.229, 1.329]])
    angles = np.rad2deg(backbone_angles(x, mask, linked_residues(mask), types).ideal)
    assert_allclose(angles[:, 0], [113.1, 111.0, 112.1], rtol=1e-5)


def test_links_end_at_breaks_chains_and_padding():
    mask = jnp.array([[True] * 5 + [False]])
    index, chain = jnp.array([[0, 1, 2, 9, 10, 0]]), jnp.array([[0, 0, 0, 0, 1, 0]])
    assert_array_equal(linked_residues(mask), [[True, True, True, True, False, False]])
    assert_array_equal(linked_residues(mask, index), [[True, True, False, True, False, False]])
    assert_array_equal(linked_residues(mask, index, chain), [[True, True, False, False, False, False]])


def test_violations_are_told_with_their_place():
    whole = folds(1)[0]
    assert violations(whole) == []
    x = whole.positions[:, :4].copy()
    x[5:] += 0.5 * (x[5, 0] - x[4, 2])  # the bond from residue 4 to residue 5 is half as long again
    (bond,) = bond_violations(Protein.from_positions(x))
    assert (bond.what, bond.residue) == ("C-N", 4)
    assert_allclose([bond.value, bond.expected, bond.off], [1.5 * 1.329, 1.329, 0.5 * 1.329 / 0.014], rtol=1e-3)
    apart = Protein.from_positions(x, residue_index=np.arange(len(x)) + 3 * (np.arange(len(x)) > 4))
    assert bond_violations(apart) == []  # across a break nothing is asked
    x = whole.positions[:, :4].copy()
    x[7, 0] = x[7, 1] + (x[7, 2] - x[7, 1]) / 1.525 * 1.459  # N lies where C does
    wrong = angle_violations(Protein.from_positions(x))
    assert ("N-CA-C", 7) in {(v.what, v.residue) for v in wrong}
    assert max(abs(v.value - 0.0) for v in wrong if v.what == "N-CA-C") < 1e-2


def test_the_wrong_hand_is_told():
    x = np.zeros((2, 37, 3))
    x[:, :3] = [[-0.525, 1.363, 0.0], [0.0, 0.0, 0.0], [1.526, 0.0, 0.0]]
    x[:, 4] = [[-0.52, -0.78, -1.21], [-0.52, -0.78, 1.21]]  # CB of an L and of a D amino acid
    mask = np.zeros((2, 37), bool)
    mask[:, [0, 1, 2, 4]] = True
    (wrong,) = chirality_violations(Protein.from_positions(x, atom_mask=mask))
    assert wrong.residue == 1
    assert_allclose(wrong.value, -wrong.expected, atol=0.1)


@needs_theseus
def test_real_amino_acids_have_the_right_hand():
    (protein, *_) = read_proteins(next(iter(sorted(THESEUS.glob("trypsins/*.pdb.gz")))))
    assert chirality_violations(protein) == []
    mirrored = Protein.from_positions(protein.positions * [1, 1, -1], atom_mask=protein.atom_mask)
    assert len(chirality_violations(mirrored)) == protein.has("N", "CA", "C", "CB").sum()


def test_twisted_peptide_bonds_are_told():
    phi, psi, omega = (np.full(6, np.deg2rad(a), np.float32) for a in (-63.0, -42.0, 180.0))
    omega[2], omega[3] = np.deg2rad(140.0), np.deg2rad(5.0)  # twisted, and cis
    protein = Protein.from_positions(np.asarray(backbone_from_dihedrals(phi, psi, omega)))
    (twisted,) = planarity_violations(protein)
    assert twisted.residue == 2
    assert_allclose([twisted.value, twisted.off], [140, 40], atol=0.1)


EXTENSIONS = {
    "lengths": (BondLengthExtension, BondLengthExtensionConfig),
    "angles": (BondAngleExtension, BondAngleExtensionConfig),
}


@pytest.fixture(params=EXTENSIONS)
def extension(request):
    made, its_config = EXTENSIONS[request.param]
    return lambda **how: made(its_config(**how))


def batch() -> dict:
    rng = np.random.default_rng(3)
    x = np.stack([p.positions[:8, :4] for p in folds(2)]) + 0.2 * rng.standard_normal((2, 8, 4, 3))
    mask = np.arange(8)[None] < np.array([[8], [6]])
    return {"x": jnp.asarray(x, jnp.float32), "mask": jnp.asarray(mask), "residue_index": jnp.tile(jnp.arange(8), (2, 1))}


def loss(extension, data, x):
    outputs = {"x_hat": x, "time": jnp.array([0.9, 0.1])}
    return extension.compute_loss(data, {**outputs, **extension.apply(None, data, outputs)})["loss"].value


def test_extensions_follow_the_protocol(extension):
    assert isinstance(extension(), ModelExtension)


def test_extensions_have_the_gradient_of_finite_differences(extension):
    with jax.enable_x64(True):
        data = batch()
        x = jnp.asarray(np.asarray(data["x"]), jnp.float64)
        # float32 inside: a step of 1e-3 loses about 1e-4 of the difference
        check_grads(lambda x: loss(extension(), data, x), (x,), order=1, modes=["rev"], atol=5e-3, rtol=5e-3, eps=1e-3)


def test_extensions_ask_nothing_of_ideal_chains(extension):
    protein = folds(1)[0]
    x = jnp.asarray(protein.positions[None, :, :4], jnp.float32)
    data = {"x": jnp.tile(x, (2, 1, 1, 1))}
    assert float(loss(extension(), data, data["x"])) < 2e-4


def test_padding_changes_neither_loss_nor_gradient(extension):
    data = batch()
    filled = data["x"].at[1, 6:].set(jnp.nan)
    plain, of_plain = jax.value_and_grad(lambda x: loss(extension(), data, x))(data["x"])
    value, gradient = jax.value_and_grad(lambda x: loss(extension(), data, x))(filled)
    assert_allclose(value, plain, rtol=1e-6)
    assert_allclose(gradient, of_plain, rtol=1e-5, atol=1e-7)
    assert_array_equal(gradient[1, 6:], 0)


def test_tolerance_scale_and_time(extension):
    data = batch()
    all_of_it = float(loss(extension(), data, data["x"]))
    assert float(loss(extension(tolerance=2.0), data, data["x"])) < all_of_it
    assert_allclose(loss(extension(scale=10.0), data, data["x"] / 10), all_of_it, rtol=1e-5)
    late = float(loss(extension(since=0.5), data, data["x"]))
    first = {key: value[:1] for key, value in data.items()}
    outputs = {"x_hat": first["x"]}
    alone = extension().compute_loss(first, extension().apply(None, first, outputs))["loss"].value
    assert_allclose(late, alone, rtol=1e-6)  # of the first example alone


def test_the_loss_does_not_depend_on_how_the_batch_is_cut(extension):
    data = batch()
    whole = extension().compute_loss(data, extension().apply(None, data, {"x_hat": data["x"]}))["loss"]
    parts = []
    for i in range(2):
        part = {key: value[i : i + 1] for key, value in data.items()}
        parts.append(extension().compute_loss(part, extension().apply(None, part, {"x_hat": part["x"]}))["loss"])
    total = sum(float(p.value) * float(p.weight) for p in parts) / sum(float(p.weight) for p in parts)
    assert_allclose(float(whole.value), total, rtol=1e-6)


def test_what_extensions_cannot_use(extension):
    data = batch()
    with pytest.raises(InvalidInputError, match="has no such output, and the outputs mean: set 'output'"):
        extension().apply(None, data, {"mean": data["x"]})
    with pytest.raises(InvalidInputError, match=r"one of shape \(2, 8, 3\)"):
        extension().apply(None, data, {"x_hat": data["x"][:, :, 1]})
    outputs = extension(since=0.5).apply(None, data, {"x_hat": data["x"]})
    with pytest.raises(InvalidInputError, match="no output 'time'"):
        extension(since=0.5).compute_loss(data, outputs)
    with pytest.raises(InvalidTypeError, match="takes a Bond"):
        type(extension())(None)
