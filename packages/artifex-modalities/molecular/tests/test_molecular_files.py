"""Files of molecules as people have them: from Windows, from Excel, broken in the middle, cut off, zipped, called otherwise."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor

from artifex.core.errors import DataError, RunWarning
from artifex.modalities.molecular import canonical_smiles, conformer, parse_smiles
from artifex.modalities.molecular.datasets import MoleculeFile, MoleculeFileConfig


def read(path: Path, content: str | bytes, **how) -> list[str]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    data = MoleculeFile(MoleculeFileConfig(file=path, held_out=0.0, max_length=99, **how))
    return [canonical_smiles(Chem.RemoveHs(molecule)) for molecule in data.molecules("train")]


def record(smiles: str) -> str:
    return Chem.MolToMolBlock(conformer(parse_smiles(smiles), seed=1).molecule) + "$$$$\n"


A, B, C = (record(smiles) for smiles in ("CCO", "CCN", "CO"))
GARBAGE = "this is no record\n$$$$\n"


@pytest.mark.parametrize(
    "content",
    [
        "CCO\r\nCCN\r\n",
        "CCO\rCCN\r",
        "\ufeffCCO\nCCN",
        "SMILES Name\nCCO ethanol\nCCN\tethylamine\n",
        "canonical_smiles\nCCO\nCCN\n",
        "# mine\n\nCCO junk that follows\n\n  CCN |$;;$|\n",
    ],
    ids=["of Windows", "of old Macs", "with a mark", "with a header", "with another header", "with names and notes"],
)
def test_lines_of_smiles(tmp_path: Path, content: str):
    assert read(tmp_path / "a.smi", content) == ["CCO", "CCN"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id;SMILES\n1;CCO\n2;CCN\n"),
        ("a.csv", "\ufeffSMILES,id\r\nCCO,1\r\nCCN,2\r\n"),
        ("a.csv", "id,Canonical_SMILES\n1,CCO\n2,CCN\n"),
        ("a.csv", "canonical_smiles,smiles\nC,CCO\nC,CCN\n"),
        ("a.tsv", "smiles,id\nCCO,1\nCCN,2\n"),
        ("a.csv", '"smiles","note"\n"CCO","one, or\ntwo"\n\n"CCN",""\n'),
        ("a.csv", "smiles\nCCO\nCCN\n"),
    ],
    ids=["semicolons", "of Excel", "named so", "named so exactly", "commas in a .tsv", "quoted", "one column"],
)
def test_tables(tmp_path: Path, name: str, content: str):
    assert read(tmp_path / name, content) == ["CCO", "CCN"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("[Na+].CC(=O)[O-]", "CC(=O)[O-].[Na+]"),
        ("N[C@@H](C)C(=O)O", "C[C@H](N)C(=O)O"),
        ("C(\\C)=C/C", "C/C=C/C"),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]"),
        ("[2H]OC", "[2H]OC"),
    ],
)
def test_salts_stereo_charges_and_isotopes_are_kept(tmp_path: Path, text: str, kept: str):
    assert read(tmp_path / "a.smi", text) == [kept]
    molecule = parse_smiles(text)
    rdDepictor.Compute2DCoords(molecule)  # a record tells the sides of a double bond by positions
    assert read(tmp_path / "a.sdf", Chem.MolToMolBlock(molecule) + "$$$$\n") == [kept]


def test_stereo_of_a_record_in_space(tmp_path: Path):
    assert read(tmp_path / "a.sdf", record("C[C@H](N)C(=O)O")) == ["C[C@H](N)C(=O)O"]


@pytest.mark.parametrize(
    "content",
    [
        (A + B).replace("\n", "\r\n"),
        (A + B).replace("\n", "\r"),
        A + "\n\n" + B,
        A + B.removesuffix("$$$$\n"),
        A + B.removeprefix("\n"),
        (A + B).replace("M  END\n", "M  END\n> <name>\ncaf\xe9\n\n").encode("latin-1"),
    ],
    ids=["of Windows", "of old Macs", "blank lines between", "no last end", "first line lost", "notes in Latin-1"],
)
def test_records(tmp_path: Path, content: str | bytes):
    assert read(tmp_path / "a.sdf", content) == ["CCO", "CCN"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (GARBAGE, "the record has no line 'M  END'"),
        (B[: len(B) // 2] + "\n$$$$\n", "the record has no line 'M  END'"),
        (B.replace("  1  2  1  0\n", "  1  2  4  0\n"), "the record has an aromatic bond outside of rings"),
        (B.replace("  1  2  1  0\n", "  1  2  3  0\n"), r"the record is no molecule \(Explicit valence for atom # \d C, .*\)"),
        (B.removesuffix("$$$$\n") + A, r"the record has 2 lines 'M  END'; a line '\$\$\$\$' lacks between"),
        ("none\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n$$$$\n", "the record has no atoms"),
    ],
    ids=["garbage", "cut off", "aromatic", "valence", "two in one", "empty"],
)
def test_a_broken_record_takes_no_other_with_it(tmp_path: Path, broken: str, reason: str):
    with pytest.raises(DataError, match=rf"a\.sdf, record 2 \(line {A.count(chr(10)) + 1}\): {reason}; if it cannot be mended"):
        read(tmp_path / "a.sdf", A + broken + C)
    with pytest.warns(RunWarning, match="record 2 .* was left out"):
        assert read(tmp_path / "a.sdf", A + broken + C, damaged="skip") == ["CCO", "CO"]


def test_what_a_file_holds_decides_whether_it_is_unzipped(tmp_path: Path):
    assert read(tmp_path / "a.sdf", gzip.compress(A.encode())) == ["CCO"]
    assert read(tmp_path / "a.sdf.gz", A) == ["CCO"]
    assert read(tmp_path / "A.SMI.GZ", gzip.compress(b"CCO\n")) == ["CCO"]
    assert read(tmp_path / "a.csv.gz", "smiles\nCCO\n") == ["CCO"]
    assert read(tmp_path / "a.mol", A.removesuffix("$$$$\n")) == ["CCO"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", "CCO\nC1CC\n", r"a\.smi, line 2: 'C1CC' is no molecule; if"),
        ("a.smi", "C(C)(C)(C)(C)C\n", r"line 1: 'C\(C\)\(C\)\(C\)\(C\)C' is no molecule \(Explicit valence for atom # 0 C, 5"),
        (
            "a.smi",
            "CCO,ethanol\n",
            r"line 1: 'CCO,ethanol' is no molecule, but columns of a table perhaps: call the file \.csv",
        ),
        ("a.smi", "CCO\n".encode("utf-16"), r"a\.smi is no text in UTF-8: .*; save it as such"),
        ("a.csv", "smiles,name\nCCO,caf\xe9\n".encode("latin-1"), r"a\.csv is no text in UTF-8: .*; save it as such"),
        ("a.csv", "", r"a\.csv begins with an empty line; its first has to name the columns"),
        (
            "a.csv",
            "smiles_a,smiles_b\nC,C\n",
            r"a\.csv has 2 columns of SMILES; its columns are smiles_a, smiles_b: set 'column'",
        ),
        ("a.csv.gz", gzip.compress(b"smiles\n" + b"CCO\n" * 5000)[:50], r"a\.csv\.gz cannot be read: Compressed file ended"),
        ("a.sdf.gz", gzip.compress((A * 9).encode())[:200], r"a\.sdf\.gz cannot be read: Compressed file ended"),
        ("a.sdf", "<html>\n", r"a\.sdf, record 1 \(line 1\): the record has no line 'M  END'"),
    ],
)
def test_one_error_names_the_file_the_place_and_the_fix(tmp_path: Path, name: str, content: str | bytes, message: str):
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, content)


def test_where_nothing_is_left_the_first_reason_is_told(tmp_path: Path):
    with (
        pytest.warns(RunWarning, match="line 1 was left out"),
        pytest.raises(DataError, match=r"a\.smi holds no molecule; the first row: 'x' is no molecule"),
    ):
        read(tmp_path / "a.smi", "x\ny\n", damaged="skip")
