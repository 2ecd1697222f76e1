"""Extensions: the protocol, and the one rule of their configs."""

import pytest

from artifex.core.extensions import ExtensionConfig, ModelExtension


class Complete:
    config = ExtensionConfig()

    def apply(self, model, inputs, outputs):
        return {}

    def compute_loss(self, batch, outputs):
        return {}


class Partial:
    config = ExtensionConfig()

    def apply(self, model, inputs, outputs):
        return {}


def test_the_protocol_is_recognised_by_its_methods():
    assert isinstance(Complete(), ModelExtension)
    assert not isinstance(Partial(), ModelExtension)


@pytest.mark.parametrize("weight", [0.0, 2])
def test_a_weight_is_zero_or_more(weight):
    assert ExtensionConfig(weight=weight).weight == weight


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_other_weights_are_refused(weight):
    with pytest.raises(ValueError, match=r"weight is .*; a loss's weight is a finite number, zero or more"):
        ExtensionConfig(weight=weight)
