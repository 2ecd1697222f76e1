"""Points lie on the surfaces and voxels inside; molecules and chains are read as files have them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import DataError, InvalidInputError
from artifex.geometric.datasets import (
    QM9,
    Backbones,
    BackbonesConfig,
    QM9Config,
    SolidPoints,
    SolidPointsConfig,
    SolidVoxels,
    SolidVoxelsConfig,
)
from artifex.geometric.datasets.backbones import _chains_in
from artifex.geometric.datasets.solids import SOLIDS, TORUS, is_inside, surface_points

EXTENT = np.array([0.5, 0.9, 0.7])


@pytest.mark.parametrize("solid", SOLIDS)
def test_points_lie_on_the_surface(solid: str):
    points = surface_points(np.random.default_rng(0), solid, EXTENT, 500)
    if solid != "torus":  # which has a hole, and no inside about the middle
        assert is_inside(solid, EXTENT * 1.0001, points).all()
        assert not is_inside(solid, EXTENT * 0.999, points).any()
    else:
        x, y, z = (points / EXTENT).T
        assert_allclose(((np.hypot(x, y) - TORUS[0]) / TORUS[1]) ** 2 + z**2, 1, atol=1e-9)


def test_points_lie_evenly():
    """On a sphere one in four above half its height, on a box by the areas of its sides, within four standard errors."""
    random, n = np.random.default_rng(0), 20_000
    sphere = surface_points(random, "ellipsoid", np.full(3, 0.8), n)
    assert abs(np.mean(sphere[:, 2] > 0.4) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / n)
    box = surface_points(random, "box", EXTENT, n)
    areas = np.prod(EXTENT) / EXTENT
    found = np.mean(np.abs(np.abs(box) / EXTENT - 1) < 1e-9, axis=0)
    assert_allclose(found, areas / areas.sum(), atol=4 * np.sqrt(0.25 / n))
    flat = surface_points(random, "ellipsoid", np.array([1.0, 1.0, 0.4]), n)
    # the area of an oblate spheroid between heights, 2 pi a sqrt(1 - s^2 + (a s / c)^2) for s = z / c
    s = np.linspace(0, 1, 100_001)
    density = np.sqrt(1 - s**2 + (s / 0.4) ** 2)
    share = density[: len(s) // 2].sum() / density.sum()
    assert abs(np.mean(np.abs(flat[:, 2]) < 0.2) - share) < 4 * np.sqrt(0.25 / n)


def test_clouds_of_different_size_are_masked_and_bucketed():
    arrays = SolidPoints(SolidPointsConfig(n_points=16, least_points=4, n_train=50)).arrays("train")
    assert not arrays["x"][~arrays["mask"]].any()
    sizes = arrays["mask"].sum(axis=1)
    assert sizes.min() >= 4
    assert (arrays["bucket"] >= sizes).all()
    again = SolidPoints(SolidPointsConfig(n_points=16, least_points=4, n_train=50)).arrays("train")
    assert_array_equal(arrays["x"], again["x"])
    with pytest.raises(InvalidInputError, match="no split 'valid'"):
        SolidPoints(SolidPointsConfig()).arrays("valid")
    with pytest.raises(ValueError, match="solids are among box"):
        SolidPointsConfig(solids=("egg",))


def test_voxels_fill_the_solids_volume():
    x = SolidVoxels(SolidVoxelsConfig(size=32, n_train=20, solids=("ellipsoid",))).arrays("train")["x"]
    assert set(np.unique(x)) == {0.0, 1.0}
    centre = x[:, 15:17, 15:17, 15:17]
    assert centre.all()
    volume = x.mean(axis=(1, 2, 3, 4)) * 8
    extents = (
        2 / 32 * np.stack([x.any(axis=tuple(a for a in (1, 2, 3, 4) if a != i)).sum(axis=1) for i in (1, 2, 3)], axis=1) / 2
    )
    assert_allclose(volume, 4 / 3 * np.pi * extents.prod(axis=1), rtol=0.15)


ROW = '"{name}",1,"{smiles}","",{n},"",{elements},"{xyz}"\n'
HEAD = "XYZ_file,Index,SMILES,InChi,N_atoms,Stoichiometry,Elements,XYZ_Ang\n"


def write_qm9(folder: Path, *, element: str = "O", xyz: str | None = None) -> None:
    """A molecule of water in each of the three files; the second has another, with that first element and those places."""
    for part in (1, 2, 3):
        usual = f"[[0.,0.,0.],[0.9{part},0.,2.*^-6],[-0.24,0.93,0.]]"
        rows = [("O", usual), (element, xyz or usual)][: 2 if part == 2 else 1]
        text = [ROW.format(name="a", smiles="O", n=3, elements=f"\"['{first}','H','H']\"", xyz=at) for first, at in rows]
        (folder / f"qm9_part{part}.csv").write_text(HEAD + "".join(text))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"element": "S"}, "row 1 has the element S, but QM9's are H, C, N, O, F"),
        ({"element": "Cl"}, "row 1 has the element Cl, but"),
        ({"element": "o"}, "row 1 has the element o, but"),
        ({"xyz": "[[0.,0.,0.],[1.,0.,0.]]"}, r"row 1 has N_atoms 3, but 3 elements and 6 coordinates"),
        ({"xyz": "[[0.,0.,0.],[1.,0.,0.],[x,0.,0.]]"}, r"row 1 has the coordinate 'x', which is no number"),
    ],
)
def test_a_file_that_is_not_qm9s_is_named_with_its_row(broken: dict[str, str], said: str, tmp_path: Path):
    write_qm9(tmp_path, **broken)
    with pytest.raises(DataError, match=rf"qm9_part2\.csv: {said}"):
        QM9(QM9Config(folder=tmp_path)).arrays("train")


def test_qm9s_files_are_read_as_they_are(tmp_path: Path):
    """Numbers as Mathematica writes them: ``1.``, ``2.*^-6``."""
    write_qm9(tmp_path)
    data = QM9(QM9Config(folder=tmp_path, charges=True, bucket_sizes=()))
    arrays = data.arrays("train")
    assert arrays["x"].shape == (4, 29, 9)
    assert_array_equal(arrays["mask"].sum(axis=1), [3] * 4)
    assert_allclose(arrays["x"][0, :3, :3].sum(axis=0), 0, atol=1e-6)
    order = np.random.RandomState(0).permutation(4)  # that of published splits
    bonds = arrays["x"][:, 1, :3] - arrays["x"][:, 0, :3]
    assert_allclose(bonds, [[0.91 + 0.01 * (0, 1, 1, 2)[i], 0, 2e-6] for i in order], atol=1e-6)
    assert_array_equal(arrays["x"][0, :3, 3:], [[0, 0, 0, 1, 0, 8], [1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 1]])
    heavy = QM9(QM9Config(folder=tmp_path, hydrogens=False, bucket_sizes=(9,))).arrays("train")
    assert_array_equal(heavy["mask"].sum(axis=1), [1] * 4)


def atom(serial: int, name: str, residue: str, number: int, x: float, y: float, z: float) -> str:
    return f"ATOM  {serial:5d}  {name:<3s} {residue} A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {name[0]}\n"


def test_chains_are_read_and_residues_without_an_atom_left_out(tmp_path: Path):
    pytest.importorskip("gemmi")
    lines = []
    for i, residue in enumerate(("GLY", "ALA", "TRP")):
        for j, name in enumerate(("N", "CA", "C", "O")):
            there = i != 1 or name != "O"
            lines += [atom(4 * i + j, name, residue, 10 + i, 3.8 * i + 0.1 * j, 0.2 * j, 0.0)] * there
    (tmp_path / "one.pdb").write_text("".join(lines) + "END\n")
    config = BackbonesConfig(folder=tmp_path, min_residues=2, max_residues=6, held_out=0.0, bucket_step=4)
    arrays = Backbones(config).arrays("train")
    assert arrays["x"].shape == (1, 6, 4, 3)
    assert_array_equal(arrays["mask"][0], [True, True, False, False, False, False])
    assert_array_equal(arrays["residue_index"][0, :2], [0, 2])  # the gap shows
    assert_array_equal(arrays["residue_type"][0, :2], [7, 17])
    assert_allclose(arrays["x"][0, 1, 0] - arrays["x"][0, 0, 0], [7.6, 0, 0], atol=1e-5)
    alpha = Backbones(config.replace(atoms="alpha")).arrays("train")
    assert_array_equal(alpha["mask"].sum(axis=1), [3])  # alanine lacks its O alone
    assert_allclose(alpha["x"][0, [0, 2]] - alpha["x"][0, :1], arrays["x"][0, :2, 1] - arrays["x"][0, :1, 1], atol=1e-5)
    with pytest.raises(DataError, match="none of them 20 to 256 residues"):
        Backbones(BackbonesConfig(folder=tmp_path)).arrays("train")


def chain_file(path: Path, places: list[tuple[str, int, str, float]]) -> None:
    """A PDB file of bound residues, 1.33 Å from C to N, but where ``x`` jumps: ``(name, number, code, x of N)``.

    The code is the insertion code, or ``B`` before it marks an alternative residue at the same place.
    """
    lines = []
    for i, (residue, number, code, x) in enumerate(places):
        other, code = (code[0], code[1:]) if len(code) > 1 else (" ", code)
        for j, name in enumerate(("N", "CA", "C", "O")):
            lines.append(
                f"ATOM  {4 * i + j:5d}  {name:<3s}{other}{residue} A{number:4d}{code or ' '}   "
                f"{x + 0.8 * j:8.3f}{0.1 * j:8.3f}{0.0:8.3f}  1.00  0.00           {name[0]}"
            )
    path.write_text("\n".join([*lines, "END", ""]))


def test_places_along_a_chain_follow_from_bonds_not_from_numbers(tmp_path: Path):
    """Insertion codes use a number twice, files skip numbers where nothing is missing, and residues can be alternatives."""
    pytest.importorskip("gemmi")
    step = 1.6 + 1.33
    names = [
        ("GLY", 5, ""),
        ("ALA", 5, "A"),
        ("SER", 9, "A "),
        ("THR", 9, "B "),
        ("VAL", 10, ""),
        ("LEU", 14, ""),
        ("LYS", 14, "A"),
    ]
    at = [0, 1, 2, 2, 3, 7, 10]  # six are at their places; four are missing before LEU, and two, unnumbered, before LYS
    chain_file(tmp_path / "one.pdb", [(*name, k * step) for name, k in zip(names, at, strict=True)])
    config = BackbonesConfig(folder=tmp_path, min_residues=1, max_residues=8, held_out=0.0, bucket_step=4)
    arrays = Backbones(config).arrays("train")
    assert_array_equal(arrays["mask"][0].sum(), 6)
    assert_array_equal(arrays["residue_index"][0, :6], [0, 1, 2, 3, 7, 9])
    assert_array_equal(arrays["residue_type"][0, :6], [7, 0, 15, 19, 10, 11])  # serine, not threonine
    pieces = Backbones(config.replace(cut=True, max_residues=3)).arrays("train")
    assert_array_equal(pieces["mask"].sum(axis=1), [2, 2, 1, 1])  # four bound residues in equal halves, then two alone
    assert_array_equal(pieces["residue_index"][:2, :2], [[0, 1], [0, 1]])
    assert_allclose(pieces["x"][:2, :2, 1].sum(axis=1), 0, atol=1e-5)


def test_alpha_carbons_alone_are_a_chain_and_calcium_is_none(tmp_path: Path):
    """Files of alpha carbons without the other atoms; a calcium ion's name is CA as well."""
    pytest.importorskip("gemmi")
    lines = [atom(i, "CA", "ALA", i, 3.8 * i + 10 * (i > 3), 0.0, 0.0) for i in range(1, 6)]
    lines += ["HETATM   99 CA    CA A  99      50.000   0.000   0.000  1.00  0.00          CA\n"]
    (tmp_path / "trace.pdb").write_text("".join(lines) + "END\n")
    config = BackbonesConfig(
        folder=tmp_path, atoms="alpha", min_residues=2, max_residues=6, held_out=0.0, bucket_step=6, cut=True
    )
    arrays = Backbones(config).arrays("train")
    assert_array_equal(arrays["mask"].sum(axis=1), [3, 2])
    assert_allclose(arrays["x"][0, :3, 0], [-3.8, 0, 3.8], atol=1e-3)
    with pytest.raises(DataError, match="with 0 chains"):
        Backbones(config.replace(atoms="backbone")).arrays("train")


STEP = 1.6 + 1.33
FIVE = [(name, 10 + i, "", i * STEP) for i, name in enumerate(("GLY", "ALA", "SER", "VAL", "LEU"))]


def read(folder: Path, **changes):
    """The arrays of all files of the folder."""
    fields = {"folder": folder, "min_residues": 1, "max_residues": 8, "held_out": 0.0, "bucket_step": 4, **changes}
    _chains_in.cache_clear()
    return Backbones(BackbonesConfig(**fields)).arrays("train")


def line_of(text: str, number: int, name: str) -> str:
    """The line of an atom of a residue."""
    return next(line for line in text.splitlines() if line[12:16].strip() == name and int(line[22:26]) == number)


@pytest.mark.parametrize("bad", ["********", "     nan", "        ", "  12,345"])
def test_coordinates_that_are_no_numbers_are_refused(tmp_path: Path, bad: str):
    """gemmi takes them for 0: an atom in the middle of nowhere."""
    pytest.importorskip("gemmi")
    file = tmp_path / "one.pdb"
    chain_file(file, FIVE)
    line = line_of(file.read_text(), 12, "CA")
    file.write_text(file.read_text().replace(line, line[:38] + bad + line[46:]))
    with pytest.raises(DataError, match=r"one.pdb cannot be read: line 10, chain A, has no three coordinates"):
        read(tmp_path)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path):
    pytest.importorskip("gemmi")
    chain_file(tmp_path / "one.pdb", FIVE)
    whole = gzip.compress((tmp_path / "one.pdb").read_bytes())
    (tmp_path / "one.pdb").unlink()
    (tmp_path / "one.pdb.gz").write_bytes(whole)
    assert read(tmp_path)["mask"].sum() == 5
    for size in (len(whole) // 2, len(whole) - 4, 5):
        (tmp_path / "one.pdb.gz").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"one.pdb.gz cannot be read"):
            read(tmp_path)


@pytest.mark.parametrize("text", ["", "<html>404</html>\n", "HEADER    A PROTEIN\nEND\n"])
def test_a_file_without_atoms_is_refused(tmp_path: Path, text: str):
    pytest.importorskip("gemmi")
    chain_file(tmp_path / "one.pdb", FIVE)
    (tmp_path / "two.pdb").write_text(text)
    with pytest.raises(DataError, match=r"two.pdb holds no atoms"):
        read(tmp_path)


def test_files_are_told_apart_by_what_they_hold(tmp_path: Path):
    """Line ends of old systems, marks, other names, an empty first model."""
    gemmi = pytest.importorskip("gemmi")
    chain_file(tmp_path / "one.pdb", FIVE)
    text = (tmp_path / "one.pdb").read_text()
    cif = gemmi.read_pdb_string(text).make_mmcif_document().as_string()
    wanted = read(tmp_path)
    models = "MODEL        1\nENDMDL\nMODEL        2\n" + text.replace("END\n", "ENDMDL\nEND\n")
    for content in (text.replace("\n", "\r"), text.replace("\n", "\r\n"), "\ufeff" + text, cif, models):
        (tmp_path / "one.pdb").write_bytes(content.encode())
        for name, array in read(tmp_path).items():
            assert_array_equal(array, wanted[name], err_msg=name)
    (tmp_path / "one.pdb").rename(tmp_path / "one.mmcif")
    assert_array_equal(read(tmp_path)["x"], wanted["x"])


def test_a_residue_without_coordinates_in_an_mmcif_file_is_left_out(tmp_path: Path):
    gemmi = pytest.importorskip("gemmi")
    chain_file(tmp_path / "one.pdb", FIVE)
    structure = gemmi.read_structure(str(tmp_path / "one.pdb"))
    structure[0]["A"][2].find_atom("CA", "*").pos = gemmi.Position(float("nan"), 0, 0)
    structure.make_mmcif_document().write_file(str(tmp_path / "one.cif"))
    (tmp_path / "one.pdb").unlink()
    arrays = read(tmp_path)
    assert_array_equal(arrays["residue_index"][0, :4], [0, 1, 3, 4])
    assert np.isfinite(arrays["x"]).all()


def test_modified_residues_and_ligands(tmp_path: Path):
    """Selenomethionine is a methionine; an amino acid that is a ligand, and a ligand's carbon called CA, are no residues."""
    pytest.importorskip("gemmi")
    places = [*FIVE[:2], ("MSE", 12, "", 2 * STEP), *FIVE[3:]]
    chain_file(tmp_path / "one.pdb", places)
    chain, end, _ = (tmp_path / "one.pdb").read_text().replace("END\n", "TER\n").partition("TER\n")
    chain_file(tmp_path / "ligands.pdb", [("GLU", 301, "", 90.0), ("XYZ", 302, "", 95.0)])
    ligands = (tmp_path / "ligands.pdb").read_text().replace("ATOM  ", "HETATM")
    (tmp_path / "ligands.pdb").unlink()
    lines = ["HETATM" + line[6:] if "MSE" in line else line for line in chain.splitlines()]
    (tmp_path / "one.pdb").write_text("\n".join(lines) + "\n" + end + ligands)
    for atoms in ("backbone", "alpha"):
        assert read(tmp_path, atoms=atoms)["mask"].sum() == 5
    assert_array_equal(read(tmp_path)["residue_type"][0, :5], [7, 0, 12, 19, 10])


def test_hybrid_36_numbers_and_places_of_one_conformation(tmp_path: Path):
    pytest.importorskip("gemmi")
    chain_file(tmp_path / "one.pdb", FIVE)
    text = (tmp_path / "one.pdb").read_text()
    for old, new in ((10, "9998"), (11, "9999"), (12, "A000"), (13, "A001"), (14, "A007")):
        text = text.replace(f" A{old:4d} ", f" A{new} ")
    far = "".join(
        line[:30] + f"{float(line[30:38]) + 40 * (' LEU ' in line):8.3f}" + line[38:] + "\n"
        if line.startswith("ATOM")
        else line + "\n"
        for line in text.splitlines()
    )
    (tmp_path / "one.pdb").write_text(far)
    assert_array_equal(read(tmp_path)["residue_index"][0, :5], [0, 1, 2, 3, 9])
    chain_file(tmp_path / "one.pdb", FIVE)
    both = []
    for line in (tmp_path / "one.pdb").read_text().splitlines():
        if " SER " in line:
            other = f"{float(line[30:38]) + 0.5:8.3f}"
            both += [line[:16] + "A" + line[17:], line[:16] + "B" + line[17:30] + other + line[38:]]
        else:
            both.append(line)
    alone = read(tmp_path)["x"]
    (tmp_path / "one.pdb").write_text("\n".join(both) + "\n")
    assert_array_equal(read(tmp_path)["x"], alone)
