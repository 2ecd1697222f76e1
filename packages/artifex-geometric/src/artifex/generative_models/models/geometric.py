"""The documented long path of :mod:`artifex.geometric`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.geometric.alpha_carbon_diffusion import (
        AlphaCarbonDiffusion as AlphaCarbonDiffusion,
        AlphaCarbonDiffusionConfig as AlphaCarbonDiffusionConfig,
    )
    from artifex.geometric.backbone_flow import BackboneFlow as BackboneFlow, BackboneFlowConfig as BackboneFlowConfig
    from artifex.geometric.egnn import EGNN as EGNN, EGNNConfig as EGNNConfig
    from artifex.geometric.equivariant_diffusion import (
        EquivariantDiffusion as EquivariantDiffusion,
        EquivariantDiffusionConfig as EquivariantDiffusionConfig,
    )
    from artifex.geometric.equivariant_flow_matching import (
        EquivariantFlowMatching as EquivariantFlowMatching,
        EquivariantFlowMatchingConfig as EquivariantFlowMatchingConfig,
    )
    from artifex.geometric.invariant_point_attention import (
        InvariantPointAttentionConfig as InvariantPointAttentionConfig,
        InvariantPointNetwork as InvariantPointNetwork,
    )
    from artifex.geometric.networks import (
        GeometricNetwork as GeometricNetwork,
        GeometricNetworkConfig as GeometricNetworkConfig,
    )
    from artifex.geometric.point_cloud_flow import (
        PointCloudFlow as PointCloudFlow,
        PointCloudFlowConfig as PointCloudFlowConfig,
    )
    from artifex.geometric.point_cloud_vae import PointCloudVAE as PointCloudVAE, PointCloudVAEConfig as PointCloudVAEConfig
    from artifex.geometric.set_transformer import SetTransformer as SetTransformer, SetTransformerConfig as SetTransformerConfig
    from artifex.geometric.sizes import size_counts as size_counts
    from artifex.geometric.template_mesh import (
        TemplateConfig as TemplateConfig,
        TemplateMesh as TemplateMesh,
        TemplateMeshConfig as TemplateMeshConfig,
    )
    from artifex.geometric.voxel_gan import VoxelGAN as VoxelGAN, VoxelGANConfig as VoxelGANConfig
    from artifex.geometric.voxel_vae import VoxelVAE as VoxelVAE, VoxelVAEConfig as VoxelVAEConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "AlphaCarbonDiffusion": "artifex.geometric.alpha_carbon_diffusion",
        "AlphaCarbonDiffusionConfig": "artifex.geometric.alpha_carbon_diffusion",
        "BackboneFlow": "artifex.geometric.backbone_flow",
        "BackboneFlowConfig": "artifex.geometric.backbone_flow",
        "EGNN": "artifex.geometric.egnn",
        "EGNNConfig": "artifex.geometric.egnn",
        "EquivariantDiffusion": "artifex.geometric.equivariant_diffusion",
        "EquivariantDiffusionConfig": "artifex.geometric.equivariant_diffusion",
        "EquivariantFlowMatching": "artifex.geometric.equivariant_flow_matching",
        "EquivariantFlowMatchingConfig": "artifex.geometric.equivariant_flow_matching",
        "GeometricNetwork": "artifex.geometric.networks",
        "GeometricNetworkConfig": "artifex.geometric.networks",
        "InvariantPointAttentionConfig": "artifex.geometric.invariant_point_attention",
        "InvariantPointNetwork": "artifex.geometric.invariant_point_attention",
        "PointCloudFlow": "artifex.geometric.point_cloud_flow",
        "PointCloudFlowConfig": "artifex.geometric.point_cloud_flow",
        "PointCloudVAE": "artifex.geometric.point_cloud_vae",
        "PointCloudVAEConfig": "artifex.geometric.point_cloud_vae",
        "SetTransformer": "artifex.geometric.set_transformer",
        "SetTransformerConfig": "artifex.geometric.set_transformer",
        "TemplateConfig": "artifex.geometric.template_mesh",
        "TemplateMesh": "artifex.geometric.template_mesh",
        "TemplateMeshConfig": "artifex.geometric.template_mesh",
        "VoxelGAN": "artifex.geometric.voxel_gan",
        "VoxelGANConfig": "artifex.geometric.voxel_gan",
        "VoxelVAE": "artifex.geometric.voxel_vae",
        "VoxelVAEConfig": "artifex.geometric.voxel_vae",
        "size_counts": "artifex.geometric.sizes",
    },
)
