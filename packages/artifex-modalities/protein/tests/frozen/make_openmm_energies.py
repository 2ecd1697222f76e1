"""Makes openmm_energies.npz: energies of backbones that OpenMM computes, in double precision, from published constants.

    pip install openmm && python make_openmm_energies.py

Needs `artifex-modalities-protein` for the backbones alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

BONDS = {("N", "CA"): (337.0, 1.449), ("CA", "C"): (317.0, 1.522), ("C", "O"): (570.0, 1.229), ("C", "N"): (490.0, 1.335)}
ANGLES = {
    ("N", "CA", "C"): (63.0, 110.1), ("CA", "C", "O"): (80.0, 120.4), ("CA", "C", "N"): (70.0, 116.6),
    ("C", "N", "CA"): (50.0, 121.9), ("O", "C", "N"): (80.0, 122.9),
}  # fmt: skip
RADII = {"N": (1.8240, 0.1700), "CA": (1.9080, 0.1094), "C": (1.9080, 0.0860), "O": (1.6612, 0.2100)}
NAMES = ("N", "CA", "C", "O")
KCAL = 4.184


def energies(x: np.ndarray) -> list[float]:
    """Of bonds, angles and van der Waals contacts of one unbroken chain ``(L, 4, 3)`` in Å; kJ/mol."""
    import openmm

    n = 4 * len(x)
    names = [NAMES[i % 4] for i in range(n)]
    bonds = [(4 * r + a, 4 * r + b) for r in range(len(x)) for a, b in ((0, 1), (1, 2), (2, 3))]
    bonds += [(4 * r + 2, 4 * r + 4) for r in range(len(x) - 1)]
    neighbours = {i: {b for a, b in bonds if a == i} | {a for a, b in bonds if b == i} for i in range(n)}
    bond_force, angle_force, contact_force = (
        openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.NonbondedForce(),
    )  # fmt: skip
    for a, b in bonds:
        k, length = BONDS[names[a], names[b]]
        bond_force.addBond(a, b, length / 10, 2 * k * KCAL * 100)
    for middle in range(n):
        for a in neighbours[middle]:
            for b in neighbours[middle]:
                key = (names[a], names[middle], names[b])
                if a != b and key in ANGLES and (a < b or key[::-1] not in ANGLES or key[0] != key[2]):
                    k, degrees = ANGLES[key]
                    angle_force.addAngle(a, middle, b, np.deg2rad(degrees), 2 * k * KCAL)
    for name in names:
        half, depth = RADII[name]
        contact_force.addParticle(0.0, 2 * half / 2 ** (1 / 6) / 10, depth * KCAL)
    contact_force.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    contact_force.createExceptionsFromBonds(bonds, 1.0, 0.5)
    system = openmm.System()
    for i, force in enumerate((bond_force, angle_force, contact_force)):
        force.setForceGroup(i)
        system.addForce(force)
    for _ in range(n):
        system.addParticle(12.0)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(x.reshape(-1, 3) / 10)
    groups = (context.getState(getEnergy=True, groups=1 << i).getPotentialEnergy() for i in range(3))
    return [energy.value_in_unit(openmm.unit.kilojoule_per_mole) for energy in groups]


def main() -> None:
    """Four noisy backbones of twelve residues."""
    from artifex.modalities.protein.datasets import ProteinFolds, ProteinFoldsConfig

    rng = np.random.default_rng(5)
    folds = ProteinFolds(ProteinFoldsConfig(n_train=4, n_held_out=1, seed=9)).split("train")
    x = np.stack([protein.positions[:12, :4] + 0.05 * rng.standard_normal((12, 4, 3)) for protein in folds])
    np.savez_compressed(Path(__file__).with_name("openmm_energies.npz"), x=x, energies=[energies(chain) for chain in x])


if __name__ == "__main__":
    main()
