"""The conformance kit: every check that a model of ours has to pass, for anybody's model.

A registered model's config and a batch are all it takes: one line makes each check a pytest case of its own.

.. code-block:: python

    from artifex.core.testing.conformance import Case, conformance

    TestMine = conformance(MineConfig(width=8), {"x": images})

For several, a table names cases, as an argument or in a class that may have further tests:

.. code-block:: python

    class TestMine(ModelConformance):
        cases = {
            "small": (MineConfig(width=8), {"x": images}),
            "exact": Case(MineConfig(width=9), {"x": images}, waive={"bfloat16": "Cholesky has no bfloat16 form"}),
        }

Run pytest with ``-p artifex.core.testing.strict``, which gives the eight virtual devices that the sharding checks need.
A waived check still runs and counts as an expected failure; the report ends with the waivers and the reason of each. One that
passes after all fails, so that no waiver outlives its cause. :data:`CHECKS` has the names.
"""

from artifex.core.testing.conformance.case import Case, Space, box, lattice
from artifex.core.testing.conformance.subject import Subject
from artifex.core.testing.conformance.suite import CHECKS, ModelConformance, conformance

__all__ = ["CHECKS", "Case", "ModelConformance", "Space", "Subject", "box", "conformance", "lattice"]
