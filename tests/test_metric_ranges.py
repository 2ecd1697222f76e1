"""Every registered metric says the least and the greatest value that it can have: no interval leaves the range."""

import math

import pytest

from artifex.core import plugins

WITHOUT = {
    "bits_per_dimension",  # a density may be above 1
    "bits_per_element",
    "distortion",
    "divergence",  # an estimate, which may be below 0
    "elbo",
    "energy_distance",  # unbiased: about 0, and so below it too
    "energy_gap",
    "image_kernel_distance",
    "inception_kernel_distance",
    "log_likelihood",
    "log_normalizer",
    "loss",
    "maximum_mean_discrepancy",
    "mean_log_prob",
    "negative_log_likelihood",
    "protein_lennard_jones_energy",
    "psnr",
    "rate",  # drawn, where the divergence has no closed form
    "si_sdr",
    "snr",
}
NAMES = plugins.registry().names("metric")


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_has_its_range(name):
    entry = plugins.registry().get("metric", name)
    bounded = math.isfinite(entry.lowest) or math.isfinite(entry.highest)
    assert bounded == (name not in WITHOUT), f"{name} is from {entry.lowest} to {entry.highest}"


@pytest.mark.parametrize("name", [name for name in NAMES if plugins.registry().get("metric", name).summary.startswith("Share")])
def test_a_share_is_from_0_to_1(name):
    entry = plugins.registry().get("metric", name)
    assert (entry.lowest, entry.highest) == (0, 1)
