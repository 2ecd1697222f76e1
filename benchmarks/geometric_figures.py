"""What runs of the geometric presets reach, and their samples as files to look at.

    artifex train point-cloud-flow-solids --output runs/flow
    python benchmarks/geometric_figures.py runs/flow [MORE RUNS] [--n 200] [--quick]

Prints a line a figure, and writes samples into the run's `samples/`: pictures; molecules as SDF, meshes as OBJ, chains as PDB.
Needs `artifex-geometric`, `artifex-training`, `artifex-modalities-image`; molecules need `rdkit` and `qm9pack`, chains `gemmi`
and the run's folder of structures. One to five minutes a run on two cores.

Figures of real data stand beside those of samples: of test data for molecules and chains, and of as many training examples as
there are samples where test data are the references.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.core import plugins
from artifex.core.geometry import dihedral
from artifex.geometric import losses, metrics
from artifex.geometric.equivariant_diffusion import ancestral
from artifex.geometric.mesh import mesh_topology
from artifex.geometric.molecules import stability, to_rdkit
from artifex.geometric.sets import centred_noise
from artifex.modalities.image import image_grid, save_image
from artifex.training.runs import load_run

Figures = Iterator[tuple[str, str]]
SIDE = 48
"""Pixels of a picture."""


def main() -> None:
    """Print a table a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", help="folders of runs")
    parser.add_argument("--n", type=int, default=200, help="samples")
    parser.add_argument("--quick", action="store_true", help="eight samples: shows that it runs, not how good it is")
    arguments = parser.parse_args()
    for run in arguments.runs:
        config, model, _ = load_run(run)
        kind = config.to_dict()["model"]["kind"]
        print(f"\n{run.name} ({kind})", flush=True)
        folder = run / "samples"
        folder.mkdir(exist_ok=True)
        for name, value in FIGURES[kind](model, data_of(config), 8 if arguments.quick else arguments.n, folder):
            print(f"  {name}: {value}", flush=True)


def data_of(config: Any) -> Callable[[str], dict[str, np.ndarray]]:
    """From the name of a split to its arrays."""
    entry = plugins.registry().entry_of_config("dataset", type(config.data.dataset))
    return plugins.resolve(entry.dataset)(config.data.dataset).arrays


def molecules(model: Any, split: Callable[[str], dict[str, np.ndarray]], n: int, folder: Path) -> Figures:
    """Stability and validity of samples, and the bound of the likelihood of test molecules, nats a molecule."""
    test = split("test")
    parts = list(sets_of(model, n))
    atoms, good, stable, made = 0, 0, [], []
    for x, mask in parts:
        fine, there = stability(x, mask)
        atoms, good = atoms + there.sum(), good + fine.sum()
        stable += np.all(fine | ~there, axis=1).tolist()
        made += to_rdkit(x, mask)
    valid = [molecule for molecule in made if molecule is not None]
    yield "atoms stable", f"{100 * good / atoms:.1f} %"
    yield "molecules stable", share(np.array(stable))
    yield "valid", f"{100 * len(valid) / n:.1f} %"
    yield "different ones among the valid", f"{100 * len(set(map(smiles, valid))) / max(1, len(valid)):.1f} %"
    write_molecules(valid, folder)
    few = {key: test[key][: 4 * n] for key in ("x", "mask")}
    bounds = -np.asarray(model.log_prob(few["x"], mask=few["mask"], num_times=8, rngs=nnx.Rngs(0)))
    yield "bound on minus the log likelihood of test molecules", f"{mean(bounds)} nats"


def sets_of(model: Any, n: int, parts: int = 4) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sets of sizes from the model's histogram, in parts of similar size, so that little is padded."""
    config, key = model.config, jax.random.key(0)
    counts = np.array(config.size_counts or [0] * (config.max_points - 1) + [1], float)
    sizes = np.sort(np.random.default_rng(0).choice(len(counts), n, p=counts / counts.sum())) + 1
    graph, state = nnx.split(model)

    @jax.jit
    def walk(mask: Any, key: Any) -> Any:
        def noise(i: Any) -> Any:
            return centred_noise(jax.random.fold_in(key, i), mask, config.n_features)

        return ancestral(nnx.merge(graph, state), mask, noise, config.timesteps)

    for i, own in enumerate(np.array_split(sizes, parts)):
        mask = np.arange(own.max())[None] < own[:, None]
        yield np.asarray(walk(jnp.asarray(mask), jax.random.fold_in(key, i))), mask


def smiles(molecule: Any) -> str:
    """A molecule's name, without hydrogens."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.RemoveHs(molecule, sanitize=False))


def write_molecules(valid: list[Any], folder: Path) -> None:
    """An SDF file, and drawings of the first sixteen."""
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    with Chem.SDWriter(str(folder / "molecules.sdf")) as writer:
        for molecule in valid:
            writer.write(molecule)
    flat = [Chem.MolFromSmiles(smiles(molecule)) for molecule in valid[:16]]
    drawing = rdMolDraw2D.MolDraw2DCairo(800, 800, 200, 200)
    drawing.DrawMolecules([molecule for molecule in flat if molecule is not None])
    drawing.FinishDrawing()
    (folder / "molecules.png").write_bytes(drawing.GetDrawingText())


def clouds(model: Any, split: Callable[[str], dict[str, np.ndarray]], n: int, folder: Path) -> Figures:
    """Nearest neighbours, coverage and matching distances; reconstructions where there are any."""
    test, train = split("test")["x"], split("train")["x"]
    n = min(n, len(test))
    samples = np.asarray(model.generate(n, rngs=nnx.Rngs(0)))
    for distance in ("chamfer", "earth_mover"):
        for name, given in (("samples", samples), ("training clouds", train[:n])):
            figures = [
                f"{measure(given, test[:n], distance):.3f}"
                for measure in (
                    metrics.one_nearest_neighbor_accuracy,
                    metrics.cloud_coverage,
                    metrics.minimum_matching_distance,
                )
            ]
            yield f"{distance}, {name}: 1-NNA, coverage, minimum matching distance", ", ".join(figures)
    rows = [samples]
    if hasattr(model, "reconstruct"):
        made = np.asarray(model.reconstruct(test[:n], rngs=nnx.Rngs(0)))
        yield "chamfer of reconstructions", mean(losses.chamfer_distance(jnp.asarray(made), jnp.asarray(test[:n])))
        rows = [test[:20], made[:20], samples]
    pictures = np.stack([dots(cloud) for cloud in np.concatenate([row[:60] for row in rows])])
    save_image(folder / "clouds.png", image_grid(pictures, columns=20, zoom=1))


def meshes(model: Any, split: Callable[[str], dict[str, np.ndarray]], n: int, folder: Path) -> Figures:
    """How near reconstructions are to points on the surfaces, beside the template as it is; and what samples are like."""
    test = split("test")["x"][:n]
    mesh = mesh_topology(model.config.template.faces, model.n_vertices)
    made, samples = np.asarray(model.reconstruct(test)), np.asarray(model.generate(n, rngs=nnx.Rngs(0)))
    template = np.broadcast_to(np.asarray(model.config.template.vertices, np.float32), made.shape)
    for name, vertices in (("reconstructions", made), ("the template", template)):
        yield f"chamfer of {name}", mean(losses.chamfer_distance(jnp.asarray(vertices), jnp.asarray(test)))
    for name, vertices in (("reconstructions", made), ("samples", samples)):
        volumes = np.asarray(losses.mesh_volume(jnp.asarray(vertices), mesh))
        angles = losses.normal_consistency_loss(jnp.asarray(vertices), mesh)
        yield f"{name}: volume, one less the cosine between neighbours", f"{mean(volumes)}, {mean(angles)}"
        yield f"{name} turned inside out", share(volumes <= 0)
    for i, vertices in enumerate(samples[:4]):
        lines = [f"v {' '.join(f'{v:.5f}' for v in vertex)}" for vertex in vertices]
        lines += [f"f {' '.join(str(v + 1) for v in face)}" for face in mesh.faces]
        (folder / f"mesh_{i}.obj").write_text("\n".join(lines) + "\n")
    pictures = [shaded(vertices, mesh.faces) for row in (made[:20], samples[:40]) for vertices in row]
    save_image(folder / "meshes.png", image_grid(np.stack(pictures), columns=20, zoom=1))


def voxels(model: Any, split: Callable[[str], dict[str, np.ndarray]], n: int, folder: Path) -> Figures:
    """Overlaps of filled voxels, of one minus which distances are made; for the VAE its bound too."""
    test, train = split("test")["x"][:n], split("train")["x"][:n]
    samples = np.asarray(model.generate(len(test), rngs=nnx.Rngs(0)))
    references = apart(test, test)
    for name, given in (("samples", samples), ("training solids", train)):
        between = apart(given, test)
        accuracy = metrics.accuracy_of_nearest(apart(given, given), between, references)
        covered, matched = len(np.unique(between.argmin(axis=1))) / len(test), between.min(axis=0).mean()
        figures = f"{accuracy:.3f}, {covered:.3f}, {matched:.3f}"
        yield f"1 - overlap, {name}: 1-NNA, coverage, minimum matching distance", figures
    rows = [samples[:60]]
    if hasattr(model, "reconstruct"):
        made = np.asarray(model.reconstruct(test))
        both = np.minimum(made > 0.5, test > 0.5).sum(axis=(1, 2, 3, 4)) / np.maximum(made > 0.5, test > 0.5).sum(
            axis=(1, 2, 3, 4)
        )
        yield "overlap of reconstructions", mean(both)
        outputs = model(jnp.asarray(test), rngs=nnx.Rngs(0))
        yield "ELBO", f"{float(model.loss_fn({'x': test}, outputs)['elbo']):.1f} nats a solid"
        rows = [test[:20], made[:20], samples[:40]]
    save_image(folder / "voxels.png", image_grid(np.stack([blocks(x) for x in np.concatenate(rows)]), columns=20, zoom=1))


def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One minus the overlap, ``|x and y| / |x or y|``, of each of ``x`` with each of ``y``; 1 where nothing is filled."""
    x, y = ((a > 0.5).reshape(len(a), -1).astype(np.float32) for a in (x, y))
    both = x @ y.T
    return 1 - both / np.maximum(1, x.sum(axis=1)[:, None] + y.sum(axis=1)[None] - both)


def chains(model: Any, split: Callable[[str], dict[str, np.ndarray]], n: int, folder: Path) -> Figures:
    """What neighbours along chains are like, beside those of test fragments; and the bound of their likelihood."""
    test, train = split("test"), split("train")
    sizes = np.random.default_rng(0).choice(train["mask"].sum(axis=1), n)
    x, mask = (np.asarray(a) for a in model.sample_sets(n, sizes=sizes, rngs=nnx.Rngs(0)))
    for name, given, there in (("samples", x, mask), ("test fragments", test["x"], test["mask"])):
        for figure, value in of_chains([chain[rows] for chain, rows in zip(given, there, strict=True)]):
            yield f"{name}, {figure}", value
    bounds = -np.asarray(model.log_prob(test["x"], mask=test["mask"], num_times=8, rngs=nnx.Rngs(0)))
    known = np.isfinite(bounds)
    yield "bound on minus the log likelihood a residue", f"{mean(bounds[known] / test['mask'][known].sum(axis=1))} nats"
    for i, chain in enumerate(chain[rows] for chain, rows in zip(x[:4], mask[:4], strict=True)):
        (folder / f"chain_{i}.pdb").write_text(as_pdb(chain))
    pictures = np.stack([threads(chain[rows]) for chain, rows in zip(x[:40], mask[:40], strict=True)])
    real = np.stack([threads(chain[rows]) for chain, rows in zip(test["x"][:20], test["mask"][:20], strict=True)])
    save_image(folder / "chains.png", image_grid(np.concatenate([real, pictures]), columns=20, zoom=1))


def of_chains(found: list[np.ndarray]) -> Figures:
    """Bonds, clashes, size, and the dihedrals of alpha helices, which turn to the right."""
    steps = np.concatenate([np.linalg.norm(np.diff(x, axis=0), axis=1) for x in found])
    yield "alpha carbons 3.8 Å apart, ± 0.3", share(abs(steps - 3.8) < 0.3)
    far = np.concatenate([np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(len(x), 3)] for x in found])
    yield "pairs nearer than 3.6 Å, three or more residues apart", share(far < 3.6)
    yield "radius of gyration", f"{mean([np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))) for x in found])} Å"
    angles = np.concatenate([np.rad2deg(dihedral(x[:-3], x[1:-2], x[2:-1], x[3:])) for x in found])
    yield "dihedrals of helices to the right, 35 to 65 degrees", share(abs(angles - 50) < 15)
    yield "of helices to the left", share(abs(angles + 50) < 15)


def as_pdb(chain: np.ndarray) -> str:
    """Alpha carbons as a PDB file."""
    lines = [
        f"ATOM  {i:5d}  CA  GLY A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C"
        for i, (x, y, z) in enumerate(chain, 1)
    ]
    return "\n".join([*lines, "END", ""])


def dots(cloud: np.ndarray) -> np.ndarray:
    """A cloud from the side, the nearer the brighter, ``(SIDE, SIDE, 1)``."""
    picture = np.zeros((SIDE, SIDE, 1), np.float32)
    across, front, up = np.clip((cloud / 1.1 + 1) / 2, 0, 1).T
    for point in np.argsort(-front):
        picture[SIDE - 1 - int(up[point] * (SIDE - 1)), int(across[point] * (SIDE - 1))] = 1 - 0.8 * front[point]
    return picture


def blocks(filled: np.ndarray) -> np.ndarray:
    """Voxels from the side."""
    there = filled[..., 0] > 0.5
    shade = np.where(there.any(axis=1), 1 - 0.8 * np.argmax(there, axis=1) / there.shape[1], 0).astype(np.float32)
    large = np.kron(shade, np.ones((SIDE // there.shape[0], SIDE // there.shape[2]), np.float32))
    return np.flip(large.T, axis=0)[..., None]


def shaded(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A mesh from the side, lit from the front: far triangles first."""
    picture = np.zeros((SIDE, SIDE, 1), np.float32)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    grid = np.stack([columns / (SIDE - 1) * 2.4 - 1.2, 1.2 - rows / (SIDE - 1) * 2.4], axis=-1)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = -normals[:, 1] / np.maximum(np.linalg.norm(normals, axis=1), 1e-9)
    for i in np.argsort(-corners[:, :, 1].mean(axis=1)):
        a, b, c = corners[i][:, [0, 2]]
        sides = [
            (q[0] - p[0]) * (grid[..., 1] - p[1]) - (q[1] - p[1]) * (grid[..., 0] - p[0]) for p, q in ((a, b), (b, c), (c, a))
        ]
        inside = np.all(np.stack(sides) >= 0, axis=0) | np.all(np.stack(sides) <= 0, axis=0)
        picture[inside] = 0.15 + 0.85 * max(0.0, facing[i])
    return picture


def side_of(places: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Positive to the left of the line from ``start`` to ``end``."""
    along, place = end - start, places - start
    return along[0] * place[..., 1] - along[1] * place[..., 0]


def threads(chain: np.ndarray) -> np.ndarray:
    """A chain from the side along its longest axes, as a line."""
    picture = np.zeros((SIDE, SIDE, 1), np.float32)
    centre = chain - chain.mean(axis=0)
    turned = centre @ np.linalg.svd(centre)[2].T
    places = np.clip(turned / 60 + 0.5, 0, 1)  # 60 Å across
    dense = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(places)])
    for across, up, front in dense:
        picture[int(up * (SIDE - 1)), int(across * (SIDE - 1))] = 0.4 + 0.6 * front
    return picture


def share(these: np.ndarray) -> str:
    """Per cent."""
    return f"{100 * np.mean(these):.1f} %"


def mean(values: Any) -> str:
    """The mean, and its standard error."""
    values = np.asarray(values)
    return f"{values.mean():.4g} ± {values.std() / np.sqrt(len(values)):.2g}"


FIGURES = {
    "alpha_carbon_diffusion": chains,
    "equivariant_diffusion": molecules,
    "point_cloud_flow": clouds,
    "point_cloud_vae": clouds,
    "template_mesh": meshes,
    "voxel_gan": voxels,
    "voxel_vae": voxels,
}


if __name__ == "__main__":
    main()
