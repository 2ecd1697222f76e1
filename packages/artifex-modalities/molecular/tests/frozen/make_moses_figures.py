"""Makes moses_figures.npz: figures of MOSES' own code for molecules of its test and training sets.

    pip install --no-deps molsets && pip install torch pandas matplotlib tqdm scipy rdkit && python make_moses_figures.py

The package `fcd_torch`, of which nothing here is needed, is replaced by an empty module; `rdkit.six` by what is used of it.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pandas

N = 200


def figures(samples: list[str], references: list[str]) -> dict[str, float]:
    """SNN, Scaff, IntDiv and IntDiv2, uniqueness at 100, and the means of QED and SA."""
    _stand_in()
    from moses.metrics import metrics, utils
    from moses.utils import get_mol

    own, others = ([get_mol(s) for s in part] for part in (samples, references))
    first, second = (utils.fingerprints(part, fp_type="morgan") for part in (own, others))
    counts = [utils.compute_scaffolds(part) for part in (own, others)]
    return {
        "nearest_similarity": float(utils.average_agg_tanimoto(second, first, device="cpu")),
        "scaffold_similarity": float(metrics.cos_similarity(*reversed(counts))),
        "internal_diversity": float(metrics.internal_diversity(own)),
        "internal_diversity_2": float(metrics.internal_diversity(own, p=2)),
        "unique_at_100": float(metrics.fraction_unique(samples, 100)),
        "qed": float(np.mean([utils.QED(m) for m in own])),
        "synthetic_accessibility": float(np.mean([utils.SA(m) for m in own])),
    }


def _stand_in() -> None:
    empty = types.ModuleType("fcd_torch")
    empty.FCD = object
    sys.modules.setdefault("fcd_torch", empty)
    six = types.ModuleType("rdkit.six")  # which today's RDKit no longer has
    six.iteritems = dict.items
    sys.modules.setdefault("rdkit.six", six)
    pandas.DataFrame.append = lambda one, other, **how: pandas.concat([one, other], **how)  # nor today's pandas this


def main() -> None:
    """The first molecules of either set, some of them twice."""
    import gzip

    _stand_in()
    import moses

    folder = Path(moses.__file__).parent / "dataset" / "data"
    texts = []
    for name in ("test", "train"):
        with gzip.open(folder / f"{name}.csv.gz", "rt") as file:
            next(file)
            texts.append([next(file).split(",")[0].strip() for _ in range(N)])
    samples = texts[0] + texts[0][:40]
    found = figures(samples[::-1], texts[1])
    np.savez_compressed(Path(__file__).with_name("moses_figures.npz"), samples=samples[::-1], references=texts[1], **found)


if __name__ == "__main__":
    main()
