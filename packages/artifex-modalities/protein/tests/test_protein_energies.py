"""Energies beside OpenMM, and beside plain sums that are OpenMM's themselves, in 1 000 random chains."""

from __future__ import annotations

import importlib.util
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from artifex.modalities.protein import energies
from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig

FROZEN = Path(__file__).parent / "frozen"
ENERGIES = (energies.bond_energy, energies.angle_energy, energies.lennard_jones_energy)
KCAL = 4.184


@cache
def recipe():
    """What made the frozen figures: OpenMM's energies, and the published constants."""
    spec = importlib.util.spec_from_file_location("make_openmm_energies", FROZEN / "make_openmm_energies.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def random_chains(count: int) -> np.ndarray:
    """Backbones of twelve residues ``(M, 12, 4, 3)``, Å, in float32: made ones with noise of 0.02 to 0.1 Å."""
    rng = np.random.default_rng(5)
    folds = [p.positions[:12, :4] for p in ProteinFolds(ProteinFoldsConfig(n_train=40, n_held_out=1, seed=9)).split("train")]
    x = np.stack([p for p in folds if len(p) == 12])[rng.integers(30, size=count)]
    return (x + rng.uniform(0.02, 0.1, (count, 1, 1, 1)) * rng.standard_normal(x.shape)).astype(np.float32)


@partial(jax.jit, static_argnums=0)
def _of_all(energy, x):
    n = x.shape[1]
    return jax.vmap(energy, (0, None, None))(x, np.ones(n, bool), np.arange(n) < n - 1)


def own_energies(x: np.ndarray) -> np.ndarray:
    """Of unbroken chains: ``(M, 3)``, in the precision of ``x``."""
    with jax.enable_x64(x.dtype == np.float64):
        return np.stack([np.asarray(_of_all(energy, x)) for energy in ENERGIES], axis=1)


def plain_sums(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies ``(M, 3)`` of a graph of bonds, in float64; and the sums of their terms' sizes, Σ k, Σ k and Σ |term|."""
    made, names = recipe(), ["N", "CA", "C", "O"] * x.shape[1]
    x, n = x.reshape(len(x), -1, 3).astype(np.float64), len(names)
    graph = np.zeros((n, n), int)
    for a in range(n):
        for b in (a + 1, a + 2):
            near = b // 4 == a // 4 and b == a + 1
            if near or (names[a] == "C" and b == a + 2 and b < n):
                graph[a, b] = graph[b, a] = 1
    apart = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)
    total, size = np.zeros((2, len(x), 3))
    for a, b in np.argwhere(np.triu(graph)):
        k, ideal = made.BONDS[names[a], names[b]]
        total[:, 0] += KCAL * k * (apart[:, a, b] - ideal) ** 2
        size[:, 0] += KCAL * k
    for middle in range(n):
        ends = np.flatnonzero(graph[middle])
        for a, b in ((a, b) for a in ends for b in ends if (names[a], names[middle], names[b]) in made.ANGLES):
            k, degrees = made.ANGLES[names[a], names[middle], names[b]]
            u, v = x[:, a] - x[:, middle], x[:, b] - x[:, middle]
            angle = np.arccos(np.sum(u * v, axis=1) / apart[:, a, middle] / apart[:, b, middle])
            total[:, 1] += KCAL * k * (angle - np.deg2rad(degrees)) ** 2
            size[:, 1] += KCAL * k
    close = np.linalg.matrix_power(graph + np.eye(n, dtype=int), 2) > 0
    third = np.linalg.matrix_power(graph + np.eye(n, dtype=int), 3) > 0
    i, j = np.nonzero(np.triu(~close, 1))
    half, depth = np.array([made.RADII[name] for name in names]).T
    sixth = ((half[i] + half[j]) / apart[:, i, j]) ** 6
    scale = KCAL * np.sqrt(depth[i] * depth[j]) * np.where(third[i, j], 0.5, 1.0)
    total[:, 2], size[:, 2] = np.sum(scale * (sixth**2 - 2 * sixth), axis=1), np.sum(scale * (sixth**2 + 2 * sixth), axis=1)
    return total, size


def assert_near_in_float32(found: np.ndarray, wanted: np.ndarray, size: np.ndarray) -> None:
    """With u = 2⁻²⁴: of given positions a bond's length of 1.5 Å is off by 6 u · 1.5 at most, an angle of 2 by 8 u · 2.

    So a sum of k d² is off by 2 k |d| times that, at most 2 √(Σ k · E) times that (Cauchy-Schwarz); adding up 100 terms
    costs 100 u of it. A term of Lennard-Jones is a twelfth power of what is off by 6 u; they are of either sign.
    """
    u = 2.0**-24
    slack = 2 * np.sqrt(size * wanted.clip(0)) * np.array([9 * u, 16 * u, 0]) + 100 * u * np.abs(wanted)
    slack[:, 2] += 100 * u * size[:, 2]
    assert np.all(np.abs(found - wanted) <= slack)


def test_energies_are_openmms():
    """Frozen: tests/frozen/make_openmm_energies.py, in double precision."""
    with np.load(FROZEN / "openmm_energies.npz") as frozen:
        assert_allclose(own_energies(frozen["x"]), frozen["energies"], rtol=1e-12)
        assert_allclose(plain_sums(frozen["x"])[0], frozen["energies"], rtol=1e-12)


def test_energies_are_plain_sums_in_1000_random_chains():
    x = random_chains(1000)
    wanted, size = plain_sums(x)
    assert_allclose(own_energies(x.astype(np.float64)), wanted, rtol=1e-12)
    assert_near_in_float32(own_energies(x), wanted, size)


@pytest.mark.reference
def test_openmm_agrees_live_in_1000_random_chains():
    pytest.importorskip("openmm")
    x = random_chains(1000)
    wanted = np.array([recipe().energies(chain.astype(np.float64)) for chain in x])
    assert_allclose(own_energies(x.astype(np.float64)), wanted, rtol=1e-12)
    assert_near_in_float32(own_energies(x), wanted, plain_sums(x)[1])


def test_energies_do_not_cross_breaks_and_ignore_padding():
    (x,) = random_chains(1)
    mask, linked = np.ones(12, bool), np.arange(12) < 11
    far = x.copy()
    far[6:] += 200.0
    linked[5] = False
    (whole,), halves = own_energies(x[None]), own_energies(np.stack([x[:6], x[6:]])).sum(axis=0)
    padded = np.concatenate([x, np.full((4, 4, 3), np.nan, np.float32)])
    there, bound = np.arange(16) < 12, np.arange(16) < 11
    for i, energy in enumerate(map(jax.jit, ENERGIES)):
        assert_allclose(energy(far, mask, linked), halves[i], rtol=1e-3)  # 200 Å off, float32 has 2e-5 Å
        assert_allclose(energy(padded, there, bound), whole[i], rtol=1e-5)
