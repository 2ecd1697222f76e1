"""Files: what is read from PDB and mmCIF, each trait on a file that the test writes; what is written opens elsewhere."""

from __future__ import annotations

import gzip
from io import StringIO
from pathlib import Path

import gemmi
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from artifex.core.errors import DataError, InvalidInputError
from artifex.modalities.protein import Protein, read_proteins, sequence_types, write_proteins
from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig
from artifex.modalities.protein.reading import SUFFIXES, joined

THESEUS = Path("/usr/share/doc/theseus/examples")
RESIDUE = {"N": (0.0, 0.0, 0.0), "CA": (1.459, 0.0, 0.0), "C": (2.0, 1.42, 0.0), "O": (1.3, 2.4, 0.0)}
STEP = np.array([3.0, 2.25, 0.0])
"""From one residue to the next: C and the next N are 1.3 Å apart."""


def atom(name: str, residue: str, number: int, xyz, *, alt=" ", chain="A", code=" ", occupancy=1.0, record="ATOM", serial=1):
    x, y, z = xyz
    seq = f"{number:4d}" if isinstance(number, int) else number
    return (
        f"{record:<6s}{serial:>5} {' ' + name:<4s}{alt}{residue:>3s} {chain}{seq}{code}   "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}  0.00          {name[0]:>2s}\n"
    )


def residue(kind: str, number, place: int, *, leave_out=(), **how) -> str:
    return "".join(
        atom(name, kind, number, np.array(xyz) + place * STEP, **how) for name, xyz in RESIDUE.items() if name not in leave_out
    )


def read(tmp_path: Path, text: str, name: str = "one.pdb") -> list[Protein]:
    (tmp_path / name).write_text(text)
    return read_proteins(tmp_path / name)


def test_a_chain_is_read(tmp_path: Path):
    (protein,) = read(tmp_path, residue("ALA", 1, 0) + residue("GLY", 2, 1) + residue("TRP", 3, 2) + "END\n")
    assert protein.sequence == "AGW"
    assert protein.numbers == ("1", "2", "3")
    assert_array_equal(protein.residue_index, [0, 1, 2])
    assert_array_equal(protein.linked, [True, True, False])
    assert_allclose(protein.atom("CA")[2], [1.459 + 6, 4.5, 0])
    assert protein.has("N", "CA", "C", "O").all()
    assert not protein.has("CB").any()


def test_of_alternative_places_the_most_occupied_is_taken_for_the_whole_residue(tmp_path: Path):
    far = [0.0, 0.0, 5.0]
    text = residue("ALA", 1, 0, leave_out=("CA", "O"))
    for name in ("CA", "O"):
        text += atom(name, "ALA", 1, RESIDUE[name], alt="A", occupancy=0.4)
        text += atom(name, "ALA", 1, np.add(RESIDUE[name], far), alt="B", occupancy=0.6)
    (protein,) = read(tmp_path, text + residue("ALA", 2, 1) + "END\n")
    assert_allclose(protein.atom("CA")[0, 2], 5.0)
    assert_allclose(protein.atom("O")[0, 2], 5.0)
    assert_allclose(protein.atom("N")[0, 2], 0.0)


def test_of_equally_occupied_places_the_first_is_taken(tmp_path: Path):
    text = residue("ALA", 1, 0, leave_out=("CA",))
    for i, letter in enumerate("BA"):
        text += atom("CA", "ALA", 1, np.add(RESIDUE["CA"], [0, 0, i]), alt=letter, occupancy=0.5)
    (protein,) = read(tmp_path, text + "END\n")
    assert_allclose(protein.atom("CA")[0, 2], 0.0)


def test_of_two_residues_at_one_place_the_more_occupied_is_taken(tmp_path: Path):
    text = residue("SER", 1, 0, alt="A", occupancy=0.3) + residue("THR", 1, 0, alt="B", occupancy=0.7) + residue("GLY", 2, 1)
    (protein,) = read(tmp_path, text + "END\n")
    assert protein.sequence == "TG"


def test_insertion_codes_are_residues_of_their_own(tmp_path: Path):
    text = residue("ALA", 52, 0) + residue("GLY", 52, 1, code="A") + residue("VAL", 52, 2, code="B") + residue("LEU", 53, 3)
    (protein,) = read(tmp_path, text + "END\n")
    assert protein.numbers == ("52", "52A", "52B", "53")
    assert_array_equal(protein.residue_index, [0, 1, 2, 3])  # all are bound


def test_missing_atoms_are_told(tmp_path: Path):
    text = residue("ALA", 1, 0) + residue("ALA", 2, 1, leave_out=("O",)) + residue("ALA", 3, 2) + "END\n"
    (protein,) = read(tmp_path, text)
    assert_array_equal(protein.has("O"), [True, False, True])
    assert_allclose(protein.atom("O")[1], 0)


@pytest.mark.parametrize(("name", "letter"), [("MSE", "M"), ("SEP", "S"), ("HYP", "P"), ("CSO", "C"), ("UNK", "X")])
def test_modified_residues_count_as_what_they_derive_from(tmp_path: Path, name: str, letter: str):
    text = residue("ALA", 1, 0) + residue(name, 2, 1, record="HETATM") + residue("ALA", 3, 2) + "TER\nEND\n"
    (protein,) = read(tmp_path, text)
    assert protein.sequence == f"A{letter}A"
    assert protein.names[1] == name


def test_selenium_stands_where_methionine_has_sulphur(tmp_path: Path):
    text = residue("ALA", 1, 0) + residue("MSE", 2, 1, record="HETATM")
    text += "HETATM    9 SE   MSE A   2       9.000   9.000   9.000  1.00  0.00          SE\n" + residue("ALA", 3, 2)
    (protein,) = read(tmp_path, text + "TER\nEND\n")
    assert protein.has("SD")[1]
    assert_allclose(protein.atom("SD")[1], 9.0)


@pytest.mark.parametrize(
    ("numbers", "places", "expected"),
    [((1, 2, 7, 8), (0, 1, 6, 7), [0, 1, 6, 7]), ((1, 2, 3), (0, 1, 5), [0, 1, 3]), ((1, 9), (0, 1), [0, 1])],
    ids=["residues missing", "numbered on across a gap", "bound, whatever the numbers"],
)
def test_breaks_show_in_the_index(tmp_path: Path, numbers, places, expected):
    text = "".join(residue("ALA", number, place) for number, place in zip(numbers, places, strict=True))
    (protein,) = read(tmp_path, text + "END\n")
    assert_array_equal(protein.residue_index, expected)


def test_water_ligands_and_hydrogens_are_left_out(tmp_path: Path):
    text = residue("ALA", 1, 0) + atom("H", "ALA", 1, (0, 0, 1)) + residue("ALA", 2, 1) + "TER\n"
    text += atom("O", "HOH", 101, (9, 9, 9), record="HETATM") + atom("C1", "GOL", 102, (8, 8, 8), record="HETATM") + "END\n"
    (protein,) = read(tmp_path, text)
    assert len(protein) == 2
    assert protein.atom_mask.sum() == 8


def test_hybrid_36_numbers_are_read(tmp_path: Path):
    text = residue("ALA", 9999, 0, serial="99999") + residue("GLY", "A000", 1, serial="A0000")
    (protein,) = read(tmp_path, text + "END\n")
    assert protein.numbers == ("9999", "10000")
    assert_array_equal(protein.residue_index, [0, 1])


def test_the_first_of_several_models_is_read(tmp_path: Path):
    text = "MODEL        1\n" + residue("ALA", 1, 0) + "ENDMDL\nMODEL        2\n" + residue("ALA", 1, 3) + "ENDMDL\nEND\n"
    (protein,) = read(tmp_path, text)
    assert_allclose(protein.atom("N")[0], 0)


def test_old_files_with_names_behind_column_72(tmp_path: Path):
    lines = residue("ALA", 1, 0).splitlines()
    old = "".join(f"{line[:66]:<72}1ABC {i:3d}\n" for i, line in enumerate(lines))
    (protein,) = read(tmp_path, old + "END\n", "old.ent")
    assert protein.atom_mask.sum() == 4


CIF_HEAD = """data_made
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_entity_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_seq_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
"""


def cif(rows: list[tuple[str, str, int, str, int, int]]) -> str:
    """Rows of (kind, label chain, label number, author's chain, author's number, place)."""
    lines, serial = [], 0
    for kind, label, label_number, auth, auth_number, place in rows:
        for name, xyz in RESIDUE.items():
            serial += 1
            x, y, z = np.array(xyz) + place * STEP
            lines.append(
                f"ATOM {serial} {name[0]} {name} . {kind} {label} 1 {label_number} ? {x:.3f} {y:.3f} {z:.3f} 1.0 0.0 "
                f"{auth_number} {auth} 1"
            )
    return CIF_HEAD + "\n".join(lines) + "\n#\n"


def test_authors_names_and_the_archives_in_mmcif(tmp_path: Path):
    path = tmp_path / "made.cif"
    path.write_text(cif([("ALA", "A", 1, "H", 101, 0), ("GLY", "A", 2, "H", 102, 1), ("VAL", "A", 5, "H", 103, 4)]))
    (auth,) = read_proteins(path)
    (label,) = read_proteins(path, naming="label")
    assert (auth.chain_names, auth.numbers) == (("H",), ("101", "102", "103"))
    assert (label.chain_names, label.numbers) == (("A",), ("1", "2", "5"))
    assert_array_equal(auth.residue_index, [0, 1, 4])  # the archive's numbers know how many are missing
    assert_array_equal(label.residue_index, auth.residue_index)


def test_a_pdb_file_has_no_names_of_the_archive(tmp_path: Path):
    (tmp_path / "one.pdb").write_text(residue("ALA", 1, 0) + "END\n")
    with pytest.raises(DataError, match=r"one\.pdb is a PDB file, which has the authors' names alone"):
        read_proteins(tmp_path / "one.pdb", naming="label")


def test_gzipped_files_are_read(tmp_path: Path):
    with gzip.open(tmp_path / "one.pdb.gz", "wt") as file:
        file.write(residue("ALA", 1, 0) + "END\n")
    assert len(read_proteins(tmp_path / "one.pdb.gz")[0]) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.pdb", "", "empty.pdb holds no atoms"),
        ("words.cif", "these are words\n", "words.cif holds no atoms; a PDB file has lines that begin with ATOM, an mmCIF"),
        ("water.pdb", atom("O", "HOH", 1, (0, 0, 0), record="HETATM"), "water.pdb holds no amino acids; it has HOH"),
        ("garbled.pdb", "ATOM      1  N   ALA A   1      abc     0.000   0.000\n", "line 1 has no three coordinates"),
        ("far.pdb", residue("ALA", 1, 0).replace("   2.000   1.420", "****************"), "line 3 has no three coordinates"),
        ("cut.pdb", residue("ALA", 1, 0)[:-40], "cut.pdb cannot be read: line 4 has no three coordinates"),
        ("cut.cif", CIF_HEAD + "ATOM 1 N N . ALA A", "cut.cif cannot be read: .*Wrong number of values"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_proteins(tmp_path / name)


@pytest.mark.parametrize("ending", ["\r\n", "\r"], ids=["of Windows", "of old Macs"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "with a mark"])
def test_line_ends_and_marks_change_nothing(tmp_path: Path, ending: str, mark: str):
    text = residue("ALA", 1, 0) + residue("GLY", 2, 1) + "TER\nEND\n"
    for name, content in (("one.pdb", text), ("one.cif", cif([("ALA", "A", 1, "A", 1, 0), ("GLY", "A", 2, "A", 2, 1)]))):
        (tmp_path / name).write_bytes((mark + content).replace("\n", ending).encode())
        (protein,) = read_proteins(tmp_path / name)
        assert (protein.sequence, protein.atom_mask.sum()) == ("AG", 8)


def test_what_a_file_holds_decides_and_not_its_name(tmp_path: Path):
    pdb, mmcif = residue("ALA", 1, 0) + "END\n", "# made\n\n" + cif([("ALA", "A", 1, "A", 1, 0)])
    files = {
        "a.cif": pdb.encode(),
        "a.pdb": mmcif.encode(),
        "zipped.pdb": gzip.compress(pdb.encode()),
        "plain.cif.gz": mmcif.encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert [protein.sequence for protein in read_proteins(tmp_path / name)] == ["A"]


def test_a_zipped_file_that_is_cut_off(tmp_path: Path):
    content = gzip.compress("".join(residue("ALA", i, i) for i in range(1, 90)).encode())
    (tmp_path / "cut.pdb.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.pdb\.gz cannot be read: Compressed file ended"):
        read_proteins(tmp_path / "cut.pdb.gz")


def test_atoms_without_finite_coordinates_are_missing(tmp_path: Path):
    (protein,) = read(tmp_path, residue("ALA", 1, 0).replace("   2.000   1.420   0.000", "     nan     nan     nan") + "END\n")
    assert_array_equal(protein.atom_mask[0, :4], [True, True, False, True])
    assert_allclose(protein.atom("C"), 0)


def test_a_first_model_without_atoms_is_passed_over(tmp_path: Path):
    text = "MODEL        1\nENDMDL\nMODEL        2\n" + residue("ALA", 1, 0) + "ENDMDL\nEND\n"
    assert len(read(tmp_path, text)[0]) == 1


def test_a_file_that_is_not_there():
    with pytest.raises(DataError, match=r"there is no file nowhere\.pdb"):
        read_proteins("nowhere.pdb")


def test_chains_of_one_file_are_joined(tmp_path: Path):
    text = residue("ALA", 1, 0) + residue("GLY", 2, 1) + "TER\n" + residue("VAL", 1, 9, chain="B") + "TER\nEND\n"
    (tmp_path / "two.pdb").write_text(text)
    both = joined(read_proteins(tmp_path / "two.pdb"))
    assert both.sequence == "AGV"
    assert_array_equal(both.chain, [0, 0, 1])
    assert_array_equal(both.linked, [True, False, False])
    assert both.chain_names == ("A", "B")


def folds(n: int) -> list[Protein]:
    return ProteinFolds(ProteinFoldsConfig(n_train=n, n_held_out=1)).split("train")


@pytest.mark.filterwarnings("ignore:Attribute 'auth_")  # biotite then takes the other name
@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
def test_what_is_written_opens_in_gemmi_and_biotite(tmp_path: Path, suffix: str):
    import biotite.structure.io.pdb as pdb
    import biotite.structure.io.pdbx as pdbx

    proteins = folds(3)
    path = write_proteins(proteins, tmp_path / f"made{suffix}")
    structure = gemmi.read_structure(str(path))
    assert len(structure) == 3
    for i, protein in enumerate(proteins):
        wanted = protein.positions[protein.atom_mask]
        again = np.array([atom.pos.tolist() for residue in structure[i][0] for atom in residue])
        assert_allclose(again, wanted, atol=1e-3)  # the files' three decimals
        if suffix == ".pdb":
            atoms = pdb.PDBFile.read(str(path)).get_structure(model=i + 1)
        else:
            atoms = pdbx.get_structure(pdbx.CIFFile.read(str(path)), model=i + 1)
        assert_allclose(atoms.coord, wanted, atol=1e-3)
        assert atoms.res_id.max() == len(protein)


def test_a_protein_comes_back_from_its_file(tmp_path: Path):
    x = np.arange(3)[:, None, None] * STEP + np.array(list(RESIDUE.values()))
    protein = Protein.from_positions(x, residue_type=sequence_types("GPW"), residue_index=np.array([0, 1, 4]))
    (again,) = read_proteins(write_proteins(protein, tmp_path / "one.pdb"))
    assert again.sequence == "GPW"
    assert_allclose(again.positions, protein.positions, atol=1e-3)
    assert_array_equal(again.atom_mask, protein.atom_mask)


@pytest.mark.parametrize("name", [f"made{suffix}" for suffix in SUFFIXES])
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_the_name_says_the_form_and_it_is_read_back(tmp_path: Path, name: str, change):
    """Every suffix of the reader, in capitals too; twice the same bytes."""
    (protein,) = folds(1)
    path = write_proteins(protein, tmp_path / change(name))
    data = path.read_bytes()
    assert data.startswith(b"\x1f\x8b") == name.endswith(".gz")
    text = gzip.decompress(data) if name.endswith(".gz") else data
    assert text.startswith(b"data_" + change("made").encode() + b"\n") == ("cif" in name)
    (again,) = read_proteins(path)
    assert_array_equal(again.residue_type, np.where(protein.residue_type == 20, 0, protein.residue_type))
    assert_allclose(again.positions, protein.positions, atol=6e-4)  # three decimals
    assert write_proteins(protein, tmp_path / "again" / change(name)).read_bytes() == data


def test_what_cannot_be_written(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="there is no protein to write"):
        write_proteins([], tmp_path / "no.pdb")
    with pytest.raises(InvalidInputError, match="protein 1 holds coordinates that are not finite"):
        write_proteins(Protein.from_positions(np.full((1, 4, 3), np.nan)), tmp_path / "no.pdb")


def test_coordinates_of_any_other_shape_make_no_protein():
    with pytest.raises(InvalidInputError, match=r"coordinates of \(2, 5, 3\) make no protein"):
        Protein.from_positions(np.zeros((2, 5, 3)))


@pytest.mark.skipif(not THESEUS.is_dir(), reason="Debian's theseus-examples are not installed")
def test_real_structures_are_read_as_biotite_reads_them():
    """Alpha carbons of chains with insertion codes and alternative places, beside another reader."""
    import biotite.structure as struc
    import biotite.structure.io.pdb as pdb

    for path in sorted(THESEUS.glob("trypsins/*.pdb.gz"))[::48]:
        with gzip.open(path, "rt") as file:
            atoms = pdb.PDBFile.read(StringIO(file.read())).get_structure(model=1, altloc="occupancy")
        atoms = atoms[struc.filter_amino_acids(atoms) & (atoms.atom_name == "CA")]
        proteins = read_proteins(path)
        own = np.concatenate([protein.atom("CA")[protein.has("CA")] for protein in proteins])
        assert_allclose(own, atoms.coord, atol=1e-5)  # biotite keeps float32
        types = gemmi.one_letter_code(list(atoms.res_name))
        assert "".join(protein.sequence for protein in proteins).replace("X", "?") == types.upper().replace("X", "?")


def test_structures_that_come_with_tmtools_read_alike_from_both_formats():
    tmtools = pytest.importorskip("tmtools")
    folder = Path(tmtools.__file__).parent / "data"
    one, other = read_proteins(folder / "2gtl.pdb"), read_proteins(folder / "2gtl.cif")
    assert [p.chain_names for p in one] == [p.chain_names for p in other]
    for a, b in zip(one, other, strict=True):
        assert a.sequence == b.sequence
        assert_allclose(a.positions, b.positions, atol=1e-3)


@pytest.mark.parametrize(("name", "chains"), [("many.pdb", 62), ("many.cif", 130)])
def test_every_chain_has_a_name_of_its_own(name: str, chains: int, tmp_path: Path):
    one = Protein.from_positions(np.array([list(RESIDUE.values())]))
    positions = np.concatenate([one.positions + 10 * i for i in range(chains)])
    many = Protein.from_positions(positions[:, :4], chain=np.arange(chains))
    found = read_proteins(write_proteins(many, tmp_path / name))
    assert len(found) == chains
    assert_allclose([protein.positions[0, 0] for protein in found], positions[:, 0], atol=1e-3)
    if name.endswith("pdb"):
        more = Protein.from_positions(np.concatenate([positions, positions[:1]])[:, :4], chain=np.arange(chains + 1))
        with pytest.raises(InvalidInputError, match=r"chain 63 has no name of one letter, .* write mmCIF: more\.cif"):
            write_proteins(more, tmp_path / "more.pdb")
        assert not (tmp_path / "more.pdb").exists()
