"""``report.html`` of a run: its curves, samples, config and surroundings in one file that needs neither server nor network."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.training.report.page import write_report as write_report
    from artifex.training.report.summary import RunReport as RunReport

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, {"RunReport": "artifex.training.report.summary", "write_report": "artifex.training.report.page"}
)
