"""Registered metrics of a model and data: chosen, fed with batches, and summed. What an engine needs, whichever it is.

The trainer's evaluation and ``artifex-evaluation`` go through this room: :mod:`~artifex.core.measuring.choice` says which
metrics apply, :mod:`~artifex.core.measuring.material` makes what they are given, a block at a time,
:mod:`~artifex.core.measuring.measurement` streams them.
"""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.measuring.choice import Facts as Facts, applicable as applicable, obstacle as obstacle
    from artifex.core.measuring.columns import Columns as Columns, MemoryColumns as MemoryColumns
    from artifex.core.measuring.config import EvaluationConfig as EvaluationConfig
    from artifex.core.measuring.material import Material as Material, evaluation_key as evaluation_key
    from artifex.core.measuring.measurement import Measurement as Measurement, measure as measure

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        **dict.fromkeys(("Facts", "applicable", "obstacle"), "artifex.core.measuring.choice"),
        **dict.fromkeys(("Columns", "MemoryColumns"), "artifex.core.measuring.columns"),
        "EvaluationConfig": "artifex.core.measuring.config",
        **dict.fromkeys(("Material", "evaluation_key"), "artifex.core.measuring.material"),
        **dict.fromkeys(("Measurement", "measure"), "artifex.core.measuring.measurement"),
    },
)
