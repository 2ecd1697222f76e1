"""Results for continuous integration: JUnit's XML, and annotations of GitHub's log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from artifex.core.report import NOT_XML
from artifex.core.storage import write_atomically
from artifex.evaluation.regression import Change
from artifex.evaluation.results import EvaluationResult

__all__ = ["github_annotations", "write_junit"]


def write_junit(path: Path, results: Sequence[EvaluationResult], changes: Sequence[Change] = ()) -> None:
    """One test case a metric: it errs where the metric failed, and fails where it is a regression."""
    by_name = {change.name: change for change in changes}
    root = ElementTree.Element("testsuites")
    for result in results:
        names = [*result.metrics, *result.failures]
        regressions = [name for name in result.metrics if name in by_name and by_name[name].regression]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_text(result.subject),
            tests=str(len(names)),
            failures=str(len(regressions)),
            errors=str(len(result.failures)),
            time=f"{result.seconds:.3f}",
        )
        for name in names:
            found = result.metrics.get(name)
            case = ElementTree.SubElement(suite, "testcase", classname=_text(result.subject), name=_text(name))
            case.set("time", f"{0.0 if found is None else found.seconds:.3f}")
            if found is None:
                ElementTree.SubElement(case, "error", message=_text(result.failures[name]))
                continue
            if name in regressions:
                ElementTree.SubElement(case, "failure", message=_text(str(by_name[name])))
            ElementTree.SubElement(case, "system-out").text = _text(f"{found}\n{found.signature}")
    write_atomically(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def github_annotations(results: Sequence[EvaluationResult], changes: Sequence[Change] = ()) -> list[str]:
    """Workflow commands, one a line: errors for what failed and for regressions, notices for other changes.

    Example:
        >>> github_annotations([EvaluationResult("run", {}, failures={"fid": "no weights"})])
        ['::error title=fid of run::no weights']
    """
    lines = [
        f"::error title={_field(name)} of {_field(result.subject)}::{_data(reason)}"
        for result in results
        for name, reason in result.failures.items()
    ]
    for change in changes:
        kind = "error" if change.regression else "notice"
        if change.regression or change.significant:
            lines.append(f"::{kind} title={_field(change.name)}::{_data(str(change))}")
    return lines


def _text(value: str) -> str:
    return NOT_XML.sub("\ufffd", value)


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _field(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
