"""Frames and dihedrals of backbones, there and back: beside biotite, ideal geometry, and what breaks leave."""

from __future__ import annotations

from pathlib import Path

import gemmi
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import DataError, InvalidInputError
from artifex.core.geometry import Frame
from artifex.modalities.protein import (
    Protein,
    ProteinModality,
    ProteinModalityConfig,
    ProteinModelAdapter,
    backbone_from_dihedrals,
    backbone_from_frames,
    metrics,
    read_proteins,
    residue_frames,
    rmsd,
    sequence_types,
    write_proteins,
)
from artifex.modalities.protein.arrays import complete, packed
from artifex.modalities.protein.datasets import ProteinDataset, ProteinDatasetConfig, ProteinFolds, ProteinFoldsConfig
from artifex.modalities.protein.encoding import decoded_dihedrals, decoded_frames, encoded_dihedrals, encoded_frames
from artifex.modalities.protein.internal import CA_C, N_CA, N_CA_C

LENGTH = 40
FOLDS = ProteinFolds(ProteinFoldsConfig(n_train=12, n_held_out=2))
PROTEINS, ARRAYS = FOLDS.split("train"), FOLDS.arrays("train")
BOTH = pytest.mark.parametrize("form", ["frames", "dihedrals"])
THESEUS = Path("/usr/share/doc/theseus/examples")
needs_theseus = pytest.mark.skipif(not THESEUS.is_dir(), reason="Debian's theseus-examples are not installed")
WIDTH = {"frames": 9, "dihedrals": 6}


def modality(form: str, length: int = LENGTH, **how) -> ProteinModality:
    return ProteinModality(ProteinModalityConfig(max_seq_length=length, representation=form, **how))


def arrays_of(*proteins: Protein) -> dict[str, np.ndarray]:
    return packed(proteins, "backbone", LENGTH)


def broken(protein: Protein, *after: int) -> Protein:
    """With residues missing behind some, which keep their places."""
    index = np.arange(len(protein)) + 3 * sum((np.arange(len(protein)) > i).astype(int) for i in after)
    return Protein.from_positions(protein.positions[:, :4], residue_index=index)


def away(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Between angles, on the circle."""
    return np.abs(np.mod(np.asarray(one) - np.asarray(other) + np.pi, 2 * np.pi) - np.pi)


def internal(protein: Protein) -> list[np.ndarray]:
    """phi, psi and omega of biotite, radians, in float64 but for its coordinates."""
    import biotite.structure as struc

    n = len(protein)
    atoms = struc.AtomArray(4 * n)
    atoms.coord = protein.positions[:, :4].reshape(-1, 3).astype(np.float32)
    atoms.atom_name, atoms.res_name = np.tile(["N", "CA", "C", "O"], n), np.full(4 * n, "ALA")
    atoms.res_id = np.repeat(protein.residue_index + 1, 4)
    return [np.nan_to_num(angle) for angle in struc.dihedral_backbone(atoms)]


# Frames


def test_a_frame_is_the_alpha_carbon_and_two_columns():
    prepared = modality("frames", scale=10.0, center=False).prepare(ARRAYS, train=False)
    x, mask = np.asarray(prepared["x"]), ARRAYS["mask"]
    assert x.shape == (12, LENGTH, 9) == (12, *modality("frames").shape)
    assert_array_equal(x[~mask], 0)
    n, ca, c = (ARRAYS["x"][:, :, i].astype(float) for i in range(3))
    assert_allclose(x[..., :3][mask], ca[mask] / 10, atol=1e-6)
    first = (c - ca)[mask] / np.linalg.norm((c - ca)[mask], axis=-1, keepdims=True)
    normal = np.cross((c - ca)[mask], (n - ca)[mask])
    second = np.cross(normal / np.linalg.norm(normal, axis=-1, keepdims=True), first)
    assert_allclose(x[..., 3:6][mask], first, atol=1e-5)  # float32 positions of some 50 Å
    assert_allclose(x[..., 6:][mask], second, atol=2e-5)


def test_frames_of_ideal_residues_are_their_backbones():
    """1e-4 Å: positions of up to 60 Å in float32, and an O that follows from a dihedral of them."""
    form = modality("frames", scale=10.0)
    x = np.asarray(form.prepare(ARRAYS, train=False)["x"])
    for mask in (ARRAYS["mask"], None):  # without one, it follows from the columns
        for protein, wanted in zip(form.to_host(x, mask), PROTEINS, strict=True):
            moved = wanted.positions[:, :4] - wanted.atom("CA").mean(axis=0)
            assert_allclose(protein.positions[:, :3], moved[:, :3], atol=1e-4)
            assert_allclose(protein.positions[:-1, 3], moved[:-1, 3], atol=1e-4)  # the last O has no next N
            assert protein.atom_mask.sum() == 4 * len(wanted)


def test_atoms_of_other_residues_move_by_their_own_deviation():
    """CA stays. C moves along its bond. N stays in its plane: with ``a`` its bond and ``t`` its angle, the law of cosines."""
    rng = np.random.default_rng(0)
    noisy = [Protein.from_positions(p.positions[:, :4] + 0.1 * rng.standard_normal((len(p), 4, 3))) for p in PROTEINS]
    arrays = arrays_of(*noisy)
    form = modality("frames")
    hosts = form.to_host(np.asarray(form.prepare(arrays, train=False)["x"]), arrays["mask"])
    moved = 0.0
    for protein, given in zip(hosts, noisy, strict=True):
        n, ca, c = (given.atom(name) - given.atom("CA").mean(axis=0) for name in ("N", "CA", "C"))
        assert_allclose(protein.atom("CA"), ca, atol=2e-5)
        long, short = np.linalg.norm(c - ca, axis=1), np.linalg.norm(n - ca, axis=1)
        turn = np.arccos(np.sum((n - ca) * (c - ca), axis=1) / long / short) - N_CA_C
        assert_allclose(np.linalg.norm(protein.atom("C") - c, axis=1), np.abs(long - CA_C), atol=1e-4)
        wanted = np.sqrt(short**2 + N_CA**2 - 2 * short * N_CA * np.cos(turn))
        assert_allclose(np.linalg.norm(protein.atom("N") - n, axis=1), wanted, atol=1e-4)
        moved = max(moved, wanted.max())
    assert moved > 0.3


def test_frames_turn_and_their_local_geometry_does_not():
    """Relative frames ``R_i^T R_j`` and ``R_i^T (t_j - t_i)`` of any two residues; a drawn rotation changes none."""
    turned = modality("frames", rotate=True).prepare(ARRAYS, rngs=nnx.Rngs(1), train=True)["x"]
    plain = modality("frames").prepare(ARRAYS, train=True)["x"]
    assert np.abs(turned - plain).max() > 0.5
    mask = ARRAYS["mask"]
    both = mask[:, :, None] & mask[:, None]
    relative = []
    for x in (turned, plain):
        rotation, origin = (np.asarray(a, np.float64) for a in decoded_frames(x))
        turns = np.einsum("biac,bjad->bijcd", rotation, rotation)
        shifts = np.einsum("biac,bija->bijc", rotation, origin[:, None] - origin[:, :, None])
        relative.append((turns[both], shifts[both]))
    for one, other, tolerance in zip(*relative, (1e-5, 5e-4), strict=True):  # Å over 60 Å, in float32
        assert_allclose(one, other, atol=tolerance)


def test_columns_that_a_model_drew_are_made_a_rotation():
    """Zhou et al.'s procedure, in plain NumPy; also where the columns are neither long 1 nor at right angles."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 9)).astype(np.float32)
    rotation = np.asarray(decoded_frames(jnp.asarray(x)).rotation)
    for row, own in zip(x.astype(float), rotation, strict=True):
        q, r = np.linalg.qr(row[3:].reshape(2, 3).T)
        first, second = (q * np.sign(np.diag(r))).T
        assert_allclose(own, np.stack([first, second, np.cross(first, second)], axis=1), atol=2e-4)
        assert_allclose(np.linalg.det(own), 1, atol=1e-4)


def test_an_oxygen_lies_in_the_plane_of_the_next_nitrogen():
    """At 120.1 degrees to CA and 1.229 Å from C, on the other side; where no residue follows, opposite a psi of 180 degrees."""
    rng = np.random.default_rng(2)
    frames = residue_frames(jnp.asarray(rng.standard_normal((50, 4, 3)) * 3, jnp.float32))
    linked = rng.random(50) < 0.7
    linked[-1] = False
    n, ca, c, o = np.asarray(backbone_from_frames(frames, linked), np.float64).transpose(1, 0, 2)
    assert_allclose(np.linalg.norm(o - c, axis=1), 1.229, atol=1e-4)
    cosine = np.sum((o - c) * (ca - c), axis=1) / np.linalg.norm(o - c, axis=1) / np.linalg.norm(ca - c, axis=1)
    assert_allclose(np.rad2deg(np.arccos(cosine)), 120.1, atol=0.02)
    other = np.where(linked[:, None], np.roll(n, -1, axis=0), 2 * c - n)  # trans to N: psi is 180 degrees
    normal = np.cross(ca - c, other - c)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    assert_allclose(np.sum(normal * (o - c), axis=1), 0, atol=2e-3)
    assert np.all(np.sum(np.cross(ca - c, o - c) * normal, axis=1) < 0)


# Dihedrals


def test_dihedrals_are_sines_and_cosines_of_biotites():
    chains = [broken(p, 5, 11) if i % 2 else p for i, p in enumerate(PROTEINS)]
    arrays = arrays_of(*chains)
    x = np.asarray(modality("dihedrals").prepare(arrays, train=False)["x"])
    assert x.shape == (12, LENGTH, 6) == (12, *modality("dihedrals").shape)
    assert_array_equal(x[~arrays["mask"]], 0)
    for row, protein in zip(x, chains, strict=True):
        n = len(protein)
        phi, psi, omega = internal(protein)
        has_next = protein.linked
        has_previous = np.append(False, has_next[:-1])
        for column, angle, there in ((0, phi, has_previous), (2, psi, has_next), (4, omega, has_next)):
            wanted = np.stack([np.sin(angle), np.cos(angle)], axis=1)
            assert_allclose(row[:n, column : column + 2], np.where(there[:, None], wanted, 0), atol=3e-5)


@BOTH
def test_of_ideal_chains_the_dihedrals_come_back(form: str):
    """1e-4 radians: a position of 60 Å is off by 4e-6 Å in float32, and a chain is built from one after the other."""
    made = modality(form)
    hosts = made.to_host(np.asarray(made.prepare(ARRAYS, train=False)["x"]), ARRAYS["mask"])
    for protein, given in zip(hosts, PROTEINS, strict=True):
        for one, other in zip(internal(protein), internal(given), strict=True):
            assert_allclose(away(one, other), 0, atol=1e-4)


@pytest.mark.parametrize("cases", [40, pytest.param(1000, marks=pytest.mark.nightly)])
def test_any_dihedrals_make_a_backbone_that_has_them(cases: int):
    rng = np.random.default_rng(3)
    phi, psi, omega = rng.uniform(-np.pi, np.pi, (3, cases, 24)).astype(np.float32)
    x = backbone_from_dihedrals(phi, psi, omega)
    linked = np.arange(24) < rng.integers(0, 24, (cases, 1))
    encoded = encoded_dihedrals(x, jnp.asarray(linked))
    found = decoded_dihedrals(encoded)
    assert_array_equal(found.has_next, linked)
    assert_array_equal(found.has_previous, np.roll(linked, 1, axis=1))
    for own, wanted, there in zip(found[:3], (phi, psi, omega), (np.roll(linked, 1, axis=1), linked, linked), strict=True):
        assert_allclose(np.where(there, away(own, wanted), away(own, np.pi)), 0, atol=5e-4)  # psi of a chain of 24 in float32
    again = encoded_dihedrals(backbone_from_dihedrals(*found[:3]), jnp.asarray(linked))
    assert_allclose(again, encoded, atol=5e-4)


def test_a_break_is_a_break_again_and_both_pieces_keep_their_angles():
    chain = broken(PROTEINS[0], 4, 9)
    made = modality("dihedrals")
    arrays = arrays_of(chain)
    x = np.asarray(made.prepare(arrays, train=False)["x"])
    for mask in (arrays["mask"], None):
        (protein,) = made.to_host(x, mask)
        assert_array_equal(protein.linked, chain.linked)
        assert_array_equal(np.flatnonzero(np.diff(protein.residue_index) != 1), [4, 9])
        again = np.asarray(made.prepare(arrays_of(protein), train=False)["x"])
        assert_allclose(again, x, atol=1e-4)
    alone = Protein.from_positions(chain.positions[:5, :4])
    (piece,) = made.to_host(np.asarray(made.prepare(arrays_of(alone), train=False)["x"]))
    apart = [np.linalg.norm(p.atom("CA")[:5, None] - p.atom("CA")[None, :5], axis=-1) for p in (protein, piece, alone)]
    assert_allclose(apart[0], apart[1], atol=1e-4)
    assert_allclose(apart[0], apart[2], atol=1e-4)


def test_two_chains_are_not_linked():
    one, other = PROTEINS[:2]
    both = Protein.from_positions(
        np.concatenate([one.positions[:6, :4], other.positions[:7, :4]]),
        residue_index=np.concatenate([np.arange(6), np.arange(7)]),
        chain=np.repeat([0, 1], [6, 7]),
    )
    x = np.asarray(modality("dihedrals").prepare(arrays_of(both), train=False)["x"])[0]
    assert_array_equal(x[5, 2:], 0)
    assert_array_equal(x[6, :2], 0)
    (protein,) = modality("dihedrals").to_host(x[None])
    assert_array_equal(np.flatnonzero(~protein.linked), [5, 12])


@needs_theseus
def test_natural_chains_keep_their_dihedrals_and_lose_their_fold():
    """Bond angles that differ from the ideal add up along a chain: the figure of the documents. Frames do not drift."""
    drifts, moved = [], []
    for path in sorted(THESEUS.glob("*/*.pdb.gz"))[::24]:
        protein = complete(read_proteins(path)[0], "backbone")
        arrays = packed([protein], "backbone", 400)
        made = modality("dihedrals", 400)
        x = np.asarray(made.prepare(arrays, train=False)["x"])
        (back,) = made.to_host(x, arrays["mask"])
        assert_array_equal(back.linked, protein.linked)
        assert_allclose(made.prepare(packed([back], "backbone", 400), train=False)["x"], x, atol=1e-4)
        if 200 <= len(protein) <= 330:
            drifts.append(rmsd(back.atom("CA"), protein.atom("CA")))
        made = modality("frames", 400, center=False)
        (back,) = made.to_host(np.asarray(made.prepare(arrays, train=False)["x"]), arrays["mask"])
        there = arrays["x"][0][arrays["mask"][0]]
        moved.append(np.linalg.norm(back.positions[:, :4] - there, axis=-1))
    assert len(drifts) >= 10
    assert 7 < np.median(drifts) < 14
    n, ca, c, o = np.concatenate(moved).T
    assert ca.max() < 1e-4
    assert np.mean(n) < 0.1  # Å: 2.7 degrees of N-CA-C are 0.07 Å
    assert np.mean(c) < 0.03  # 0.026 Å is a standard deviation of CA-C
    assert np.median(o) < 0.12


# Both


@BOTH
def test_glycine_proline_and_left_handed_residues(form: str):
    """No residue type is asked for; a mirror image has mirrored angles, and frames that are still rotations."""
    given = PROTEINS[0].select(range(8))
    made = modality(form)
    typed = Protein.from_positions(given.positions[:, :4], residue_type=sequence_types("GPGPAAGP"))
    mirrored = Protein.from_positions(given.positions[:, :4] * [1, 1, -1])
    one, same, other = (np.asarray(made.prepare(arrays_of(p), train=False)["x"]) for p in (given, typed, mirrored))
    assert_array_equal(one, same)
    if form == "dihedrals":
        assert_allclose(other, one * np.tile([-1, 1], 3), atol=1e-5)
    else:
        assert_allclose(np.linalg.det(np.asarray(decoded_frames(jnp.asarray(other)).rotation)[0, :8]), 1, atol=1e-5)
    (back,) = made.to_host(other)
    for angle, wanted in zip(internal(back), internal(given), strict=True):
        assert_allclose(away(angle, -wanted), 0, atol=1e-4)


@BOTH
def test_one_residue_and_none(form: str):
    made = modality(form)
    arrays = arrays_of(PROTEINS[0].select([3]))
    arrays = {key: np.concatenate([value, np.zeros_like(value)]) for key, value in arrays.items()}
    made.check(arrays)
    x = np.asarray(made.prepare(arrays, train=False)["x"])
    assert np.isfinite(x).all()
    one, none = made.to_host(x, arrays["mask"])
    assert none is None
    bonds = np.linalg.norm(np.diff(one.positions[0, :4], axis=0), axis=1)
    assert_allclose(bonds, [1.459, 1.525, 1.229], atol=1e-4)
    alone, none = made.to_host(x)
    assert none is None
    assert (alone is None) == (form == "dihedrals")  # an amino acid that has no neighbour has none of the angles


@BOTH
def test_padding_changes_nothing_and_gradients_are_finite(form: str):
    made = modality(form)
    padded = {**ARRAYS, "x": np.where(ARRAYS["mask"][..., None, None], ARRAYS["x"], np.nan)}
    assert_array_equal(made.prepare(padded, train=False)["x"], made.prepare(ARRAYS, train=False)["x"])

    def total(x: jax.Array, mask: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(made.prepare({**ARRAYS, "x": x, "mask": mask}, train=False)["x"] - 0.1))

    for x, mask in ((padded["x"], ARRAYS["mask"]), (np.zeros_like(ARRAYS["x"]), np.ones_like(ARRAYS["mask"]))):
        gradient = np.asarray(jax.jit(jax.grad(total))(x, mask))
        assert np.isfinite(gradient).all()
        assert_array_equal(gradient[~mask], 0)
    assert np.abs(jax.grad(total)(padded["x"], ARRAYS["mask"])).max() > 0.1
    zeros = jnp.zeros((3, WIDTH[form]))

    def back(x: jax.Array) -> jax.Array:
        if form == "frames":
            return jnp.sum(jnp.square(backbone_from_frames(decoded_frames(x), jnp.zeros(3, bool))))
        return jnp.sum(jnp.square(backbone_from_dihedrals(*decoded_dihedrals(x)[:3])))

    assert np.isfinite(jax.grad(back)(zeros)).all()


@BOTH
def test_encodings_have_the_gradient_of_finite_differences(form: str):
    from jax.test_util import check_grads

    x = jnp.asarray(PROTEINS[0].positions[:4, :4], jnp.float32)
    encode = encoded_frames if form == "frames" else lambda x: encoded_dihedrals(x, jnp.arange(4) < 3)
    check_grads(encode, (x,), order=1, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-3)  # float32


@BOTH
def test_a_step_is_compiled_once(form: str):
    made = modality(form, crop=16)
    traced = []

    @jax.jit
    def step(batch: dict, rngs: nnx.Rngs) -> jax.Array:
        traced.append(1)
        return made.prepare(batch, rngs=rngs, train=True)["x"]

    rngs = nnx.Rngs(0)
    shapes = {step(ARRAYS, rngs).shape for _ in range(3)}
    assert shapes == {(12, 16, WIDTH[form])}
    assert len(traced) == 1


@BOTH
def test_crops_are_stretches(form: str):
    made = modality(form, crop=12, **({"center": False} if form == "frames" else {}))
    cut = made.prepare(ARRAYS, rngs=nnx.Rngs(2), train=True)
    whole = modality(form, **({"center": False} if form == "frames" else {})).prepare(ARRAYS, train=False)["x"]
    starts = np.asarray(cut["residue_index"][:, 0])
    assert len(set(starts.tolist())) > 1
    for row, start in enumerate(starts):
        wanted = np.array(whole[row, start : start + 12])
        if form == "dihedrals":
            wanted[0, :2] = wanted[-1, 2:] = 0  # the ends of a stretch have neighbours no more
        assert_allclose(cut["x"][row], wanted, atol=1e-6)


@BOTH
def test_what_a_model_drew_badly_is_none(form: str, tmp_path: Path):
    made = modality(form)
    x = np.asarray(made.prepare(ARRAYS, train=False)["x"])[:3].copy()
    x[1, 4, 1] = np.nan
    x[2] = 0
    assert [p is None for p in made.to_host(x)] == [False, True, True]
    assert [p is None for p in made.to_host(x, ARRAYS["mask"][:3])] == [False, True, form == "frames"]
    x[1, 4, 1] = 0
    noise = x + 0.05 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)  # in padded places, too
    assert [None if p is None else len(p) for p in made.to_host(noise)] == [*(len(p) for p in PROTEINS[:2]), None]
    path = made.save_samples(noise, tmp_path / "step_1")
    assert path == tmp_path / "step_1.pdb"
    assert len(gemmi.read_structure(str(path))) == 2
    assert "NONE OF 1 SAMPLES" in made.save_samples(x[2:], tmp_path / "none").read_text()
    with pytest.raises(InvalidInputError, match=rf"'{form}' means numbers of \(batch, residues, {WIDTH[form]}\)"):
        made.to_host(ARRAYS["x"])
    if form == "frames":
        x[0, 3, 6:] = 2 * x[0, 3, 3:6]  # no plane
        assert made.to_host(x)[0] is None


@BOTH
def test_what_is_refused_before_the_first_step(form: str):
    made = modality(form)
    made.check(ARRAYS)
    flat = {**ARRAYS, "x": ARRAYS["x"].copy()}
    flat["x"][2, 5, 0] = 2 * flat["x"][2, 5, 1] - flat["x"][2, 5, 2]
    with pytest.raises(InvalidInputError, match=r"N, CA and C of residue 5 of x\[9\] lie on a line or in one place.*; mask it"):
        made.check(flat, first_row=7)
    flat["mask"] = flat["mask"].copy()
    flat["mask"][2, 5] = False
    made.check(flat)
    flat["x"][1, 3, 2, 0] = np.inf
    with pytest.raises(InvalidInputError, match=r"x\[1\] has no finite position for atom 2 of residue 3"):
        made.check(flat)
    with pytest.raises(InvalidInputError, match=rf"representation='{form}' means \(batch, at most 40, 4, 3\); give the data"):
        made.prepare({"x": np.zeros((2, 8, WIDTH[form]))}, train=False)
    for atoms in ("alpha", "all"):
        with pytest.raises(ValueError, match=f"atoms='{atoms}' is of coordinates, and representation='{form}' has no choice"):
            modality(form, atoms=atoms)


@BOTH
def test_a_folder_leaves_out_what_makes_no_frame(form: str, tmp_path: Path):
    """As it does residues that lack an atom; alpha carbons alone make none, and the message says what they do make."""
    x = PROTEINS[0].positions[:, :4].copy()
    x[4] = x[4, 1]
    write_proteins(Protein.from_positions(x), tmp_path / "flat.pdb")
    config = ProteinDatasetConfig(representation=form, max_seq_length=LENGTH)
    data = ProteinDataset(config, data_dir=tmp_path)
    assert len(data.proteins[0]) == len(x) - 1
    modality(form).check(data.arrays("train"))
    assert_array_equal(np.flatnonzero(np.diff(data.arrays("train")["residue_index"][0, : len(x) - 1]) != 1), [3])
    (tmp_path / "trace").mkdir()
    write_proteins(Protein.from_positions(x[:, 1]), tmp_path / "trace" / "one.pdb")
    with pytest.raises(DataError, match="they have alpha carbons: set representation: coordinates and atoms: alpha"):
        _ = ProteinDataset(config, data_dir=tmp_path / "trace").proteins
    advised = ProteinDatasetConfig(representation="coordinates", atoms="alpha", max_seq_length=LENGTH)
    assert len(ProteinDataset(advised, data_dir=tmp_path / "trace")) == 1


def test_positions_mean_nothing_to_angles():
    for name, value in (("center", False), ("rotate", True), ("scale", 10.0)):
        with pytest.raises(ValueError, match=f"{name}={value} is of positions, and representation='dihedrals' has none; leave"):
            modality("dihedrals", **{name: value})


@BOTH
def test_the_model_space_is_restored(form: str):
    made = modality(form, **({"scale": 10.0} if form == "frames" else {}))
    x = made.prepare(ARRAYS, train=False)["x"]
    back = made.restore(x)
    if form == "dihedrals":
        assert_array_equal(back, x)
    else:
        assert_allclose(back[..., :3], 10 * x[..., :3])
        assert_array_equal(back[..., 3:], x[..., 3:])


class Echo(nnx.Module):
    """Gives back what it is given."""

    def __call__(self, x, *, mask=None, rngs=None):
        return {"x": x}

    def generate(self, n_samples=1, *, rngs=None):
        return jnp.zeros((n_samples, LENGTH, 9))

    def reconstruct(self, x, *, mask=None):
        return x


@BOTH
def test_a_model_among_proteins(form: str):
    model = ProteinModelAdapter(modality(form)).adapt_model(Echo())
    backs = model.reconstruct(PROTEINS[:3])
    for back, given in zip(backs, PROTEINS, strict=False):
        assert metrics.rmsd.figure(back, given) < 2e-3
    assert model([PROTEINS[0]])["x"].shape == (1, LENGTH, WIDTH[form])


@BOTH
def test_metrics_of_structures_take_what_comes_back(form: str):
    """Ideal geometry is sound, and as alike its origin as float32 allows."""
    made = modality(form)
    back = made.to_host(np.asarray(made.prepare(ARRAYS, train=False)["x"]), ARRAYS["mask"])
    batch = {"samples": back, "references": PROTEINS}
    best = {"rmsd": 0, "tm_score": 1, "gdt_ts": 1, "chirality_agreement": 1, "sound_bonds": 1, "sound_angles": 1}
    for name, wanted in best.items():
        metric = getattr(metrics, name)
        assert_allclose(metric.finalize(metric.statistics(batch).sum(axis=0)), wanted, atol=2e-3)
    for name in ("lddt", "coarse_ramachandran", "clash_score", "bond_energy", "angle_energy", "lennard_jones_energy"):
        metric = getattr(metrics, name)
        own, given = (metric.finalize(metric.statistics({**batch, "samples": s}).sum(axis=0)) for s in (back, PROTEINS))
        assert_allclose(own, given, rtol=0.05, atol=0.02)


def test_the_frames_of_other_shapes():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 3, 5, 4, 3)), jnp.float32)
    frames = residue_frames(x)
    encoded = encoded_frames(x)
    assert encoded.shape == (2, 3, 5, 9)
    assert_allclose(decoded_frames(encoded).rotation, frames.rotation, atol=1e-4)
    one = backbone_from_frames(Frame(*(a[1, 2] for a in frames)), jnp.arange(5) < 4)
    assert_allclose(backbone_from_frames(frames, jnp.broadcast_to(jnp.arange(5) < 4, (2, 3, 5)))[1, 2], one, atol=1e-5)
