"""``evaluation.html`` and ``comparison.html``: figures, samples beside data, nearest neighbours, worst examples, ranks."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.evaluation.report.page import (
        write_comparison as write_comparison,
        write_evaluation as write_evaluation,
        write_history as write_history,
    )

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    dict.fromkeys(("write_comparison", "write_evaluation", "write_history"), "artifex.evaluation.report.page"),
)
