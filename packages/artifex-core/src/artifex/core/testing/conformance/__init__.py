"""The conformance kit: every check that a model of ours has to pass, for anybody's model.

A table names cases: a registered model's config and a batch. One line makes each check a pytest case of its own:

.. code-block:: python

    from artifex.core.testing.conformance import Case, conformance

    TestMine = conformance({"small": (MineConfig(width=8), {"x": images})})

or, as a class that may have further tests:

.. code-block:: python

    class TestMine(ModelConformance):
        cases = {"small": Case(MineConfig(width=8), {"x": images}, waive={"bfloat16": "Cholesky has no bfloat16 form"})}

Run pytest with ``-p artifex.core.testing.strict``, which gives the eight virtual devices that the sharding checks need.
A waived check still runs and is reported as an expected failure with its reason; one that passes after all fails, so that no
waiver outlives its cause. :data:`CHECKS` has the names.
"""

from artifex.core.testing.conformance.case import Case, Space, box, lattice
from artifex.core.testing.conformance.subject import Subject
from artifex.core.testing.conformance.suite import CHECKS, ModelConformance, conformance

__all__ = ["CHECKS", "Case", "ModelConformance", "Space", "Subject", "box", "conformance", "lattice"]
