"""Molecules that come without a download: a small list of the project's own, and those that packages ship."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from artifex.core.config import config
from artifex.core.errors import DataError
from artifex.modalities.molecular.datasets.base import MoleculeDataset, MoleculeDatasetConfig
from artifex.modalities.molecular.datasets.reading import read_csv, read_smiles

__all__ = [
    "CommonMolecules",
    "CommonMoleculesConfig",
    "MosesMolecules",
    "MosesMoleculesConfig",
    "QM9Molecules",
    "QM9MoleculesConfig",
]

Count = Annotated[int, Field(ge=1)]


@config
class CommonMoleculesConfig(MoleculeDatasetConfig):
    """The list has nothing to choose but the form of an example."""


class CommonMolecules(MoleculeDataset[CommonMoleculesConfig]):
    """A few hundred molecules with names: solvents, gases, acids, sugars, amino acids, vitamins, drugs.

    >>> len(CommonMolecules(CommonMoleculesConfig())) > 250
    True
    """

    def __init__(self, config: CommonMoleculesConfig) -> None:
        self.config = config

    def read(self) -> list[tuple[str, Any]]:
        """The list."""
        with resources.as_file(resources.files("artifex.modalities.molecular") / "datasets" / "common.smi") as path:
            return [(row.where, row.molecule) for row in read_smiles(path)]

    def refused(self, where: str, reason: str) -> None:
        """Those that do not fit into the form are left out: a drug into 16 tokens, chlorine into five elements."""
        del where, reason


@config
class QM9MoleculesConfig(MoleculeDatasetConfig):
    """Which part of QM9, as text; in space it is the data set `qm9` of artifex-geometric."""

    folder: Path | None = None
    """Where its three CSV files lie; by default in the installed package `qm9pack` (extra `qm9`)."""
    most: Count | None = None
    """Read only so many molecules of each file."""


class QM9Molecules(MoleculeDataset[QM9MoleculesConfig]):
    """The SMILES of QM9's 130 831 molecules of up to nine heavy atoms (Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22)."""

    def __init__(self, config: QM9MoleculesConfig) -> None:
        self.config = config

    def read(self) -> list[tuple[str, Any]]:
        """All files.

        Raises:
            DataError: the package is not installed, or a file is missing.
        """
        folder = _folder_of("qm9pack", "data", "qm9") if self.config.folder is None else self.config.folder.expanduser()
        paths = [folder / f"qm9_part{part}.csv" for part in (1, 2, 3)]
        if missing := [path for path in paths if not path.is_file()]:
            raise DataError(f"there is no file {missing[0]}; set 'folder' to where qm9pack's CSV files lie")
        rows = (row for path in paths for row in _first(read_csv(path, "SMILES"), self.config.most))
        return [(row.where, row.molecule) for row in rows if row.molecule is not None]

    def refused(self, where: str, reason: str) -> None:
        """What does not fit into the form is left out."""
        del where, reason


@config
class MosesMoleculesConfig(MoleculeDatasetConfig):
    """Which of MOSES' sets."""

    folder: Path | None = None
    """Where `train.csv.gz` and `test.csv.gz` lie; by default in the package `molsets`, installed without its dependencies."""
    most: Count | None = None
    """Read only so many molecules of each file."""


class MosesMolecules(MoleculeDataset[MosesMoleculesConfig]):
    """MOSES' drug-like molecules (Polykovskiy et al. 2020, arXiv:1811.12823), in its own ``train`` and ``test``."""

    def __init__(self, config: MosesMoleculesConfig) -> None:
        self.config = config

    def read(self) -> list[tuple[str, Any]]:
        """Both files.

        Raises:
            DataError: the package is not installed, or a file is missing.
        """
        config, found = self.config, []
        folder = _folder_of("moses", "dataset/data", None) if config.folder is None else config.folder.expanduser()
        for split in ("train", "test"):
            path = folder / f"{split}.csv.gz"
            if not path.is_file():
                raise DataError(f"there is no file {path}; set 'folder' to where MOSES' CSV files lie")
            for row in _first(read_csv(path, "SMILES"), config.most):
                if row.molecule is None:
                    raise DataError(f"{row.where}: {row.reason}")
                row.molecule.SetProp("_MosesSplit", split)
                found.append((row.where, row.molecule))
        return found

    def refused(self, where: str, reason: str) -> None:
        """What does not fit into the form is left out."""
        del where, reason

    def _split_of(self, molecule: Any) -> str:
        return molecule.GetProp("_MosesSplit")


def _first(rows: Any, most: int | None) -> Any:
    for count, row in enumerate(rows):
        if most is not None and count >= most:
            return
        yield row


def _folder_of(package: str, below: str, extra: str | None) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pip = f"'artifex-modalities-molecular[{extra}]'" if extra else "--no-deps molsets"
        raise DataError(f"these molecules come with the package {package}, which is not installed: pip install {pip}")
    return Path(found.submodule_search_locations[0]) / below
