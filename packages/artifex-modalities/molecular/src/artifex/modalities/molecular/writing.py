"""Molecules as SMILES and SDF files, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw_molecules", "draw_none", "write_molecules", "write_texts"]

COLUMNS, TILE, MOST = 8, 150, 64
"""Of a picture: molecules in a row, pixels of each, and how many at most."""


def write_texts(texts: Sequence[str | None], molecules: Sequence[Any | None], stem: Path) -> Path:
    """``stem.smi`` with every text, those that are no molecule marked."""
    path = stem.with_name(f"{stem.name}.smi")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (f"{text or ''}{'' if m is not None else ' # no molecule'}" for text, m in zip(texts, molecules, strict=True))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def write_molecules(molecules: Sequence[Any | None], stem: Path) -> Path:
    """``stem.sdf`` with every molecule in space."""
    from rdkit import Chem

    path = stem.with_name(f"{stem.name}.sdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Chem.SDWriter(str(path)) as writer:
        writer.SetKekulize(False)
        for molecule in molecules:
            if molecule is not None:
                writer.write(molecule)
    return path


def draw_molecules(molecules: Sequence[Any | None], stem: Path) -> Path | None:
    """A grid of the first molecules that can be drawn, ``stem.png``; ``None`` where none can.

    Hydrogens and positions are left out of the drawing.
    """
    from rdkit import Chem, rdBase

    flat = []
    with rdBase.BlockLogs():
        for molecule in molecules:
            text = "" if molecule is None else Chem.MolToSmiles(molecule)
            read = Chem.MolFromSmiles(text) if text else None
            if read is not None and len(flat) < MOST:
                flat.append(read)
    return _drawn(flat, stem) if flat else None


def draw_none(stem: Path) -> Path:
    """A picture ``stem.png`` that says that there is no molecule."""
    from rdkit import Chem

    return _drawn([Chem.Mol()], stem, "no molecule")


def _drawn(molecules: Sequence[Any], stem: Path, legend: str = "") -> Path:
    from rdkit import rdBase
    from rdkit.Chem.Draw import rdMolDraw2D

    path = stem.with_name(f"{stem.name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = min(COLUMNS, len(molecules))
    drawing = rdMolDraw2D.MolDraw2DCairo(columns * TILE, -(-len(molecules) // columns) * TILE, TILE, TILE)
    with rdBase.BlockLogs():  # of radicals, say, of which it draws only so many
        prepared = [rdMolDraw2D.PrepareMolForDrawing(molecule) for molecule in molecules]
        drawing.DrawMolecules(prepared, legends=[legend] * len(prepared))
        drawing.FinishDrawing()
    path.write_bytes(drawing.GetDrawingText())
    return path
