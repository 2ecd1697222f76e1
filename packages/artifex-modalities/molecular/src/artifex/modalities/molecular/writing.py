"""Molecules as SMILES and SDF files, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["draw_molecules", "write_molecules", "write_texts"]

COLUMNS, TILE, MOST = 8, 150, 64
"""Of a picture: molecules in a row, pixels of each, and how many at most."""


def write_texts(texts: Sequence[str | None], molecules: Sequence[Any | None], stem: Path) -> Path:
    """``stem.smi`` with every text, those that are no molecule marked, and ``stem.png``; the picture, where there is one."""
    path = stem.with_name(f"{stem.name}.smi")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (f"{text or ''}{'' if m is not None else ' # no molecule'}" for text, m in zip(texts, molecules, strict=True))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return draw_molecules(molecules, stem) or path


def write_molecules(molecules: Sequence[Any | None], stem: Path) -> Path:
    """``stem.sdf`` with every molecule in space, and ``stem.png``; the picture, where there is one."""
    from rdkit import Chem

    path = stem.with_name(f"{stem.name}.sdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    with Chem.SDWriter(str(path)) as writer:
        writer.SetKekulize(False)
        for molecule in molecules:
            if molecule is not None:
                writer.write(molecule)
    return draw_molecules(molecules, stem) or path


def draw_molecules(molecules: Sequence[Any | None], stem: Path) -> Path | None:
    """A grid of the first molecules that can be drawn, ``stem.png``; ``None`` where none can.

    Hydrogens and positions are left out of the drawing.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.Draw import rdMolDraw2D

    flat = []
    with rdBase.BlockLogs():
        for molecule in molecules:
            text = "" if molecule is None else Chem.MolToSmiles(molecule)
            read = Chem.MolFromSmiles(text) if text else None
            if read is not None and len(flat) < MOST:
                flat.append(read)
    if not flat:
        return None
    path = stem.with_name(f"{stem.name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = min(COLUMNS, len(flat))
    drawing = rdMolDraw2D.MolDraw2DCairo(columns * TILE, -(-len(flat) // columns) * TILE, TILE, TILE)
    drawing.DrawMolecules([rdMolDraw2D.PrepareMolForDrawing(molecule) for molecule in flat])
    drawing.FinishDrawing()
    path.write_bytes(drawing.GetDrawingText())
    return path
