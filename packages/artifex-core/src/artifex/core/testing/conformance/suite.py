"""Every check as a pytest case of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from artifex.core.config import Config
from artifex.core.errors import InvalidInputError, InvalidTypeError, UnknownNameError
from artifex.core.protocols import Batch
from artifex.core.testing.conformance import batches, computation, declarations, generation, placement
from artifex.core.testing.conformance.case import Case
from artifex.core.testing.conformance.subject import Subject
from artifex.core.testing.strict import WAIVED

__all__ = ["CHECKS", "ModelConformance", "conformance"]

CHECKS: dict[str, Callable[[Subject], None]] = {
    check.__name__: check
    for check in (
        declarations.registered,
        declarations.documented,
        declarations.protocols,
        declarations.capabilities,
        declarations.config_round_trip,
        declarations.config_schema,
        computation.outputs,
        generation.samples,
        computation.loss_is_finite,
        computation.gradient_reaches_every_parameter,
        computation.jit_equals_eager,
        computation.traced_once,
        generation.generates_in_one_program,
        batches.any_batch_size,
        batches.no_examples,
        computation.same_seed_same_result,
        computation.calls_differ,
        computation.saved_and_restored,
        computation.bfloat16,
        placement.sharded_data,
        placement.sharded_fsdp,
        placement.sharded_tensor,
        computation.likelihood_adds_up_to_one,
    )
}
"""Name and function of every check; each raises ``AssertionError`` with what is wrong."""


class ModelConformance:
    """A test class: each check with each case. Subclass it as ``Test...`` and set :attr:`cases`.

    Tests of its own that take the argument ``subject``, a :class:`Subject`, run with each case too.
    """

    cases: ClassVar[Mapping[str, Any]] = {}
    """Name to :class:`Case`, or to ``(config, batch)`` or ``(config, batch, options)``."""
    subjects: ClassVar[Mapping[str, Subject]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check the table where it is written."""
        super().__init_subclass__(**kwargs)
        replaced = sorted(name for name in cls.__dict__ if name.removeprefix("test_") in CHECKS)
        if replaced:
            raise InvalidInputError(f"{cls.__name__} replaces {', '.join(replaced)}; waive a check by name and with a reason")
        if not cls.cases:
            raise InvalidInputError(f"{cls.__name__} has no cases; set cases = {{'name': Case(config, batch)}}")
        cls.subjects = {name: Subject(Case.of(given)) for name, given in cls.cases.items()}
        for name, subject in cls.subjects.items():
            _check_waivers(f"{cls.__name__}[{name}]", subject.case.waive)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One pytest case for each case of the table."""
        check = metafunc.function.__name__.removeprefix("test_")
        if "subject" in metafunc.fixturenames:
            cases = [
                pytest.param(subject, id=name, marks=_waiver(check, subject.case.waive))
                for name, subject in self.subjects.items()
            ]
            metafunc.parametrize("subject", cases)


def _test(check: Callable[[Subject], None]) -> Callable[[Any, Subject], None]:
    def test(self: Any, subject: Subject) -> None:
        del self
        check(subject)

    test.__name__ = f"test_{check.__name__}"
    test.__qualname__ = f"{ModelConformance.__name__}.{test.__name__}"
    test.__doc__ = check.__doc__
    return test


for _check in CHECKS.values():
    setattr(ModelConformance, f"test_{_check.__name__}", _test(_check))


def _check_waivers(where: str, waive: Mapping[str, str]) -> None:
    unknown = sorted(waive.keys() - CHECKS.keys())
    if unknown:
        raise UnknownNameError(
            f"{where} waives {', '.join(unknown)}, which no check is called; the checks are {', '.join(CHECKS)}"
        )
    silent = sorted(name for name, reason in waive.items() if not str(reason).strip())
    if silent:
        raise InvalidInputError(f"{where} waives {', '.join(silent)} without a reason; write why")


def _waiver(check: str, waive: Mapping[str, str]) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=f"{WAIVED}{waive[check]}", strict=True)] if check in waive else []


def conformance(cases: Config | Mapping[str, Any], batch: Batch | None = None, **options: Any) -> type[ModelConformance]:
    """A test class for one config, or for a table of cases.

    In a test module, ``TestMine = conformance(MineConfig(width=8), {"x": images})``, or for a table
    ``TestMine = conformance({"small": (config, batch), "deep": (config, batch)})``.

    Args:
        cases: a config; or name to :class:`Case`, or to ``(config, batch)`` or ``(config, batch, options)``, options as a dict.
        batch: of the one config.
        options: of the one config: further fields of :class:`Case`.

    Raises:
        UnknownNameError: a waiver names no check.
        InvalidInputError: the table is empty, a waiver has no reason, or a batch lacks ``x``.
        InvalidTypeError: a table is given and a batch or options beside it.
    """
    if isinstance(cases, Config):
        cases = {type(cases).__name__: (cases, batch, options)}
    elif batch is not None or options:
        raise InvalidTypeError("a table has a batch and options for each of its cases; give them there, or give one config")
    return type("TestConformance", (ModelConformance,), {"cases": cases, "__module__": __name__})
