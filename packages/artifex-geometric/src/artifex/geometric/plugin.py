"""What artifex-geometric registers."""

from __future__ import annotations

import math
from typing import Any

from artifex.core.plugins import ComponentEntry, DatasetEntry, LossEntry, MetricEntry, ModelEntry, PresetEntry, hookimpl

ARTIFEX_API = (1, 1)

HOME = "artifex.geometric"
FAMILY = "geometric"
EDM = "Hoogeboom et al. 2022, arXiv:2203.17003"
MODELS = {
    "alpha_carbon_diffusion": (
        "AlphaCarbonDiffusion",
        "density",
        "Lin & AlQuraishi 2023, arXiv:2301.12485",
        "Chains of alpha carbons: diffusion of positions, seen with Frenet's frames.",
    ),
    "backbone_flow": (
        "BackboneFlow",
        "",
        "Yim et al. 2023, arXiv:2310.05297",
        "Protein backbones: flow matching of the residues' frames.",
    ),
    "equivariant_diffusion": (
        "EquivariantDiffusion",
        "density",
        EDM,
        "Molecules: diffusion of positions without centre of mass, and of types.",
    ),
    "equivariant_flow_matching": (
        "EquivariantFlowMatching",
        "density",
        "Klein et al. 2023, arXiv:2306.15030",
        "Molecules: straight paths from aligned noise.",
    ),
    "point_cloud_flow": (
        "PointCloudFlow",
        "density",
        "Yang et al. 2019, arXiv:1906.12320",
        "Point clouds: a transformer on sets carries noise to points.",
    ),
    "point_cloud_vae": (
        "PointCloudVAE",
        "autoencoder",
        "Kim et al. 2021, arXiv:2103.15619",
        "Point clouds of any size from one latent and random seeds.",
    ),
    "template_mesh": (
        "TemplateMesh",
        "autoencoder",
        "Tan et al. 2018, arXiv:1709.04307",
        "Meshes with the faces of a template, fitted to points on surfaces.",
    ),
    "voxel_gan": (
        "VoxelGAN",
        "",
        "Wu et al. 2016, arXiv:1610.07584",
        "Voxels: generator and discriminator of three-dimensional convolutions.",
    ),
    "voxel_vae": (
        "VoxelVAE",
        "autoencoder",
        "Brock et al. 2016, arXiv:1608.04236",
        "Voxels: an autoencoder of three-dimensional convolutions.",
    ),
}


@hookimpl
def artifex_models() -> list[ModelEntry]:
    """The models."""
    autoencoder, density = ("decode", "encode", "reconstruct"), ("log_prob",)
    return [
        ModelEntry(
            name=name,
            model=f"{HOME}.{name}:{cls}",
            config=f"{HOME}.{name}:{cls}Config",
            family=FAMILY,
            capabilities={"autoencoder": autoencoder, "density": density}.get(can, ()),
            paper=paper,
            summary=summary,
        )
        for name, (cls, can, paper, summary) in MODELS.items()
    ]


@hookimpl
def artifex_components() -> list[ComponentEntry]:
    """The networks."""
    networks = {
        "egnn": ("egnn:EGNN", "egnn:EGNNConfig", "Messages between all points; vectors turn with the points."),
        "set_transformer": (
            "set_transformer:SetTransformer",
            "set_transformer:SetTransformerConfig",
            "Self-attention of points; knows how a set lies.",
        ),
        "invariant_point_attention": (
            "invariant_point_attention:InvariantPointNetwork",
            "invariant_point_attention:InvariantPointAttentionConfig",
            "Attention on the frames of a chain; vectors turn with the points, mirror images differ.",
        ),
    }
    return [
        ComponentEntry(
            slot="geometric_network",
            name=name,
            component=f"{HOME}.{component}",
            config=f"{HOME}.{config}",
            summary=summary,
        )
        for name, (component, config, summary) in networks.items()
    ]


@hookimpl
def artifex_losses() -> list[LossEntry]:
    """The losses."""
    pixel2mesh = "Wang et al. 2018, arXiv:1804.01654"
    losses = {
        "chamfer_distance": ("Achlioptas et al. 2018, arXiv:1707.02392", "Squared distances of nearest points of two clouds."),
        "edge_loss": (pixel2mesh, "Mean squared length of a mesh's edges."),
        "laplacian_loss": ("Desbrun et al. 1999", "Mean length of a mesh's Laplacian, uniform or cotangent."),
        "normal_consistency_loss": (pixel2mesh, "One less the cosine between neighbouring triangles' normals."),
    }
    return [
        LossEntry(name=name, loss=f"{HOME}.losses:{name}", family=FAMILY, paper=paper, summary=summary)
        for name, (paper, summary) in losses.items()
    ]


@hookimpl
def artifex_metrics() -> list[MetricEntry]:
    """The metrics."""
    achlioptas, lopez_paz = "Achlioptas et al. 2018, arXiv:1707.02392", "Lopez-Paz & Oquab 2017, arXiv:1610.06545"
    of_clouds: dict[str, Any] = {
        "needs": ("samples", "references"),
        "compares": "sets",
        "models": ("point_cloud_flow", "point_cloud_vae", "template_mesh"),
        "min_examples": 20,
        "max_examples": 256,
        "lowest": 0,
    }
    of_molecules: dict[str, Any] = {
        "needs": ("samples",),
        "compares": "samples",
        "models": ("equivariant_diffusion", "equivariant_flow_matching"),
        "tolerance": 0.005,
        "lowest": 0,
    }
    metrics = {
        "stable_atoms": ("streamed", of_molecules, True, EDM, "Share of atoms with as many bonds as they should have."),
        "stable_molecules": ("streamed", of_molecules, True, EDM, "Share of molecules all of whose atoms are stable."),
        "valid_molecules": ("molecules", of_molecules, True, EDM, "Share of molecules whose bonds RDKit takes (extra)."),
        "one_nearest_neighbor_accuracy": (
            "metrics",
            of_clouds,
            False,
            lopez_paz,
            "Telling samples from references; 0.5 is best.",
        ),
        "cloud_coverage": (
            "metrics",
            of_clouds,
            True,
            achlioptas,
            "Share of reference clouds that are nearest to some sample.",
        ),
        "minimum_matching_distance": (
            "metrics",
            of_clouds,
            False,
            achlioptas,
            "Mean distance of a reference to its nearest sample.",
        ),
    }
    return [
        MetricEntry(
            name=name,
            metric=f"{HOME}.{module}:{name}",
            higher_is_better=higher,
            family="geometric",
            highest=math.inf if name == "minimum_matching_distance" else 1,
            paper=paper,
            summary=summary,
            **rest,
        )
        for name, (module, rest, higher, paper, summary) in metrics.items()
    ]


@hookimpl
def artifex_datasets() -> list[DatasetEntry]:
    """The data sets."""
    datasets = {
        "backbones": ("backbones:Backbones", "Chains of proteins from a folder of PDB or mmCIF files (extra)."),
        "qm9": ("qm9:QM9", "130 831 small molecules, from the package qm9pack (extra)."),
        "solid_points": ("solids:SolidPoints", "Points on the surfaces of synthetic solids."),
        "solid_voxels": ("solids:SolidVoxels", "Voxels of synthetic solids."),
    }
    return [
        DatasetEntry(
            name=name,
            dataset=f"{HOME}.datasets.{target}",
            config=f"{HOME}.datasets.{target}Config",
            summary=summary,
        )
        for name, (target, summary) in datasets.items()
    ]


@hookimpl
def artifex_presets() -> list[PresetEntry]:
    """The presets."""
    summaries = {
        "alpha-carbon-diffusion-theseus": "A diffusion of fragments of proteins, from Debian's theseus-examples.",
        "backbone-flow-structures": "A flow of backbones, on a folder of structures.",
        "equivariant-diffusion-qm9": "An equivariant diffusion of the molecules of QM9.",
        "point-cloud-flow-solids": "A flow of points on synthetic solids.",
        "point-cloud-vae-solids": "A VAE of points on synthetic solids.",
        "template-mesh-solids": "Meshes with a sphere's faces, fitted to points on synthetic solids.",
        "voxel-gan-solids": "A GAN of the voxels of synthetic solids.",
        "voxel-vae-solids": "A VAE of the voxels of synthetic solids.",
    }
    return [PresetEntry(name=name, file=f"{HOME}:presets/{name}.yaml", summary=summary) for name, summary in summaries.items()]
