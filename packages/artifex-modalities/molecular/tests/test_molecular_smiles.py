"""Text: what is a molecule and what is none, tokens, SELFIES, graphs, conformers, constraints."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rdkit import Chem

from artifex.core.errors import InvalidInputError, InvalidTypeError
from artifex.modalities.molecular import (
    canonical_smiles,
    conformer,
    from_selfies,
    graph,
    molecule_from_graph,
    molecule_from_positions,
    parse_smiles,
    qed,
    smiles_tokens,
    synthetic_accessibility,
    to_selfies,
    vocabulary_of,
)
from artifex.modalities.molecular.arrays import text_of
from artifex.modalities.molecular.conformers import Graph
from artifex.modalities.molecular.constraints import charge_violations, lost_stereo, valence_violations
from artifex.modalities.molecular.datasets import CommonMolecules, CommonMoleculesConfig
from artifex.modalities.molecular.elements import bond_orders, stable_atoms
from artifex.modalities.molecular.smiles import COMMON_TOKENS, selfies_tokens

COMMON = CommonMolecules(CommonMoleculesConfig(held_out=0.0, max_length=120)).molecules("train")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        None,
        "CCO junk",
        "CCO\tname",
        " CCO",
        "CCO\n",
        "CCO |r|",
        "C(",
        "c1ccccc",
        "C(C)(C)(C)(C)C",
        "[Xx]",
        "häm",
        "CO>>CO",
    ],
)
def test_what_is_no_molecule(text):
    assert parse_smiles(text) is None


def test_what_is_one():
    assert canonical_smiles(parse_smiles("OCC")) == "CCO"
    assert canonical_smiles(parse_smiles("[Na+].[Cl-]")) == "[Cl-].[Na+]"
    assert canonical_smiles(parse_smiles("C[C@@H](N)O")) != canonical_smiles(parse_smiles("C[C@H](N)O"))


def random_smiles(count: int) -> list[str]:
    """Of the common molecules, atoms in random order, by RDKit."""
    rng = np.random.default_rng(0)
    chosen = (COMMON[int(i)] for i in rng.integers(len(COMMON), size=count))
    return [Chem.MolToRandomSmilesVect(m, 1, randomSeed=int(rng.integers(1, 2**31 - 1)))[0] for m in chosen]


def test_tokens_joined_are_the_text_again():
    for text in random_smiles(1000):
        tokens = smiles_tokens(text)
        assert "".join(tokens) == text
        assert canonical_smiles(parse_smiles("".join(tokens))) == canonical_smiles(parse_smiles(text))
        atoms = sum(token[0].isalpha() or token[0] == "[" for token in tokens)
        assert atoms == Chem.MolFromSmiles(text).GetNumAtoms()


def test_common_tokens_are_enough_for_common_molecules():
    lacking = set(vocabulary_of(canonical_smiles(m) for m in COMMON)) - set(COMMON_TOKENS)
    assert lacking == set()
    assert len(set(COMMON_TOKENS)) == len(COMMON_TOKENS)


@pytest.mark.parametrize(("text", "place"), [("C C", 1), ("CÄ", 1), ("CC[O", 2), ("!", 0)])
def test_characters_that_begin_no_token(text, place):
    with pytest.raises(InvalidInputError, match=f"at place {place}, which begins no token"):
        smiles_tokens(text)


def test_selfies_go_and_come_back():
    pytest.importorskip("selfies")
    for molecule in COMMON[::4]:
        text = canonical_smiles(molecule, stereo=False)
        tokens = selfies_tokens(to_selfies(text))
        again = parse_smiles(from_selfies("".join(tokens)))
        assert canonical_smiles(again, stereo=False) == text
    with pytest.raises(InvalidInputError, match="has no SELFIES"):
        to_selfies("C(")
    with pytest.raises(InvalidInputError, match="begins no token of a SELFIES"):
        selfies_tokens("[C]C")


def test_graphs_go_and_come_back():
    for molecule in COMMON:
        arrays = graph(molecule)
        assert_array_equal(arrays.bonds, arrays.bonds.T)
        again = molecule_from_graph(arrays)
        assert canonical_smiles(again, stereo=False) == canonical_smiles(molecule, stereo=False)


def test_aromatic_bonds_are_not_whole_numbers():
    benzene = graph(parse_smiles("c1ccccc1"))
    assert set(benzene.bonds[benzene.bonds > 0]) == {4}
    assert (
        molecule_from_graph(Graph(np.array([6] * 3), np.zeros(3), np.zeros(3), np.array([[0, 4, 4], [4, 0, 4], [4, 4, 0]])))
        is None
    )


def test_conformers_have_the_atoms_and_lengths_of_the_molecule():
    ethanol = conformer(parse_smiles("CCO"), seed=3)
    assert ethanol.reason == ""
    assert ethanol.relaxed
    assert_allclose(np.linalg.norm(ethanol.positions[0] - ethanol.positions[1]), 1.51, atol=0.03)
    assert_array_equal(conformer(parse_smiles("CCO"), seed=3).positions, ethanol.positions)
    assert np.abs(conformer(parse_smiles("CCO"), seed=4).positions - ethanol.positions).max() > 1e-3


def test_why_there_is_no_conformer():
    impossible = parse_smiles("C[C@@]12C[C@]1(C)C[C@@H]2C")  # a hand that so small a cage cannot have, or a hard one
    found = conformer(impossible, seed=1, attempts=1)
    if found.molecule is None:
        assert found.reason.startswith("ETKDG found no conformer in 1 attempts")
        with pytest.raises(InvalidInputError, match="there is no conformer: ETKDG"):
            _ = found.positions


def test_bonds_of_conformers_are_those_of_the_molecule():
    for text in ("C", "CC", "C=C", "C#C", "CCO", "N", "C#N", "CC(=O)N", "CF", "OCC(O)CO"):
        found = conformer(parse_smiles(text), seed=1)
        elements = np.array([("H", "C", "N", "O", "F").index(a.GetSymbol()) for a in found.molecule.GetAtoms()])
        orders = bond_orders(found.positions, elements)
        wanted = Chem.GetAdjacencyMatrix(found.molecule)
        assert_array_equal(orders > 0, wanted > 0)
        made = molecule_from_positions(found.positions, elements)
        assert_allclose(made.GetConformer().GetPositions(), found.positions)
    methane = conformer(parse_smiles("C"), seed=1)
    assert stable_atoms(methane.positions, np.array([1, 0, 0, 0, 0])).all()
    assert not stable_atoms(methane.positions * 3, np.array([1, 0, 0, 0, 0])).any()


def test_positions_that_make_no_bonds():
    with pytest.raises(InvalidInputError, match="elements are numbers 0 to 4"):
        bond_orders(np.zeros((1, 3)), np.array([5]))
    with pytest.raises(InvalidInputError, match="finite positions"):
        bond_orders(np.full((1, 3), np.nan), np.array([1]))


def unsanitised(text: str):
    return Chem.MolFromSmiles(text, sanitize=False)


def test_violations_say_which_atom():
    (one,) = valence_violations(unsanitised("CN(C)(C)C"))
    assert (one.kind, one.atoms) == ("valence", (1,))
    assert "Explicit valence for atom # 1 N" in one.what
    (ring,) = valence_violations(unsanitised("c1cccc1"))
    assert ring.kind == "aromaticity"
    assert set(ring.atoms) == {0, 1, 2, 3, 4}
    for molecule in COMMON:
        assert valence_violations(molecule) == []


def test_charges():
    assert charge_violations(parse_smiles("C[N+](=O)[O-]")) == []
    (found,) = charge_violations(parse_smiles("C[NH3+]"))
    assert (found.atoms, found.what) == ((1,), "the net charge is 1, wanted is 0")
    assert charge_violations(parse_smiles("C[NH3+]"), charge=1) == []


def test_stereo_that_is_kept_and_lost():
    alanine, mirrored = parse_smiles("C[C@H](N)C(=O)O"), parse_smiles("C[C@@H](N)C(=O)O")
    assert lost_stereo(alanine, parse_smiles(Chem.MolToRandomSmilesVect(alanine, 1, randomSeed=5)[0])) == []
    (found,) = lost_stereo(alanine, mirrored)
    assert found.atoms == (1,)
    assert found.what in ("S became R", "R became S")
    (flat,) = lost_stereo(parse_smiles("C/C=C/C"), parse_smiles("CC=CC"))
    assert flat.atoms == (1, 2)
    assert flat.what.endswith("became undefined")
    assert lost_stereo(parse_smiles("CC"), parse_smiles("CC")) == []
    (other,) = lost_stereo(parse_smiles("CC"), parse_smiles("CCC"))
    assert other.atoms == ()
    (broken,) = lost_stereo(parse_smiles("CC"), unsanitised("C(C)(C)(C)(C)C"))
    assert broken.what == "one of the two is not valid"
    assert lost_stereo(alanine, unsanitised("C[C@H](N)C(=O)O")) == []


@pytest.mark.parametrize("given", ["CCO", None, 3])
@pytest.mark.parametrize(
    "function",
    [
        valence_violations,
        charge_violations,
        lambda given: lost_stereo(given, COMMON[0]),
        lambda given: lost_stereo(COMMON[0], given),
        canonical_smiles,
        graph,
        lambda given: conformer(given, seed=0),
        qed,
        synthetic_accessibility,
    ],
)
def test_what_is_no_molecule_of_rdkit_is_refused(function, given):
    message = f"a molecule of RDKit is expected, got {given!r}; parse_smiles makes one of a SMILES, None where it is none"
    with pytest.raises(InvalidTypeError, match=message):
        function(given)


def test_hydrogens_that_are_atoms_change_neither_a_graph_nor_a_text():
    found = conformer(parse_smiles("CC(=O)N"), seed=1).molecule
    for own, flat in zip(graph(found), graph(parse_smiles("CC(=O)N")), strict=True):
        assert_array_equal(own, flat)
    assert text_of(found, "smiles") == "CC(N)=O"
