"""The documented long path of :mod:`artifex.gan`: the same objects."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.gan.conditional import ConditionalGAN as ConditionalGAN, ConditionalGANConfig as ConditionalGANConfig
    from artifex.gan.cycle_gan import CycleGAN as CycleGAN, CycleGANConfig as CycleGANConfig
    from artifex.gan.dcgan import DCGAN as DCGAN, DCGANConfig as DCGANConfig
    from artifex.gan.discriminators import (
        ConvDiscriminator as ConvDiscriminator,
        ConvDiscriminatorConfig as ConvDiscriminatorConfig,
        DenseDiscriminator as DenseDiscriminator,
        DiscriminatorConfig as DiscriminatorConfig,
    )
    from artifex.gan.gan import (
        GAN as GAN,
        AdversarialConfig as AdversarialConfig,
        AdversarialModel as AdversarialModel,
        GANConfig as GANConfig,
    )
    from artifex.gan.generators import (
        ConvGenerator as ConvGenerator,
        ConvGeneratorConfig as ConvGeneratorConfig,
        DenseGenerator as DenseGenerator,
        GeneratorConfig as GeneratorConfig,
    )
    from artifex.gan.lsgan import LSGAN as LSGAN, LSGANConfig as LSGANConfig
    from artifex.gan.patch_gan import PatchGAN as PatchGAN, PatchGANConfig as PatchGANConfig
    from artifex.gan.torch_weights import load_torch_dcgan as load_torch_dcgan
    from artifex.gan.translators import (
        PatchDiscriminator as PatchDiscriminator,
        PatchDiscriminatorConfig as PatchDiscriminatorConfig,
        ResNetGenerator as ResNetGenerator,
        ResNetGeneratorConfig as ResNetGeneratorConfig,
    )
    from artifex.gan.wgan import WGAN as WGAN, WGANConfig as WGANConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "AdversarialConfig": "artifex.gan.gan",
        "AdversarialModel": "artifex.gan.gan",
        "ConditionalGAN": "artifex.gan.conditional",
        "ConditionalGANConfig": "artifex.gan.conditional",
        "ConvDiscriminator": "artifex.gan.discriminators",
        "ConvDiscriminatorConfig": "artifex.gan.discriminators",
        "ConvGenerator": "artifex.gan.generators",
        "ConvGeneratorConfig": "artifex.gan.generators",
        "CycleGAN": "artifex.gan.cycle_gan",
        "CycleGANConfig": "artifex.gan.cycle_gan",
        "DCGAN": "artifex.gan.dcgan",
        "DCGANConfig": "artifex.gan.dcgan",
        "DenseDiscriminator": "artifex.gan.discriminators",
        "DenseGenerator": "artifex.gan.generators",
        "DiscriminatorConfig": "artifex.gan.discriminators",
        "GAN": "artifex.gan.gan",
        "GANConfig": "artifex.gan.gan",
        "GeneratorConfig": "artifex.gan.generators",
        "LSGAN": "artifex.gan.lsgan",
        "LSGANConfig": "artifex.gan.lsgan",
        "PatchDiscriminator": "artifex.gan.translators",
        "PatchDiscriminatorConfig": "artifex.gan.translators",
        "PatchGAN": "artifex.gan.patch_gan",
        "PatchGANConfig": "artifex.gan.patch_gan",
        "ResNetGenerator": "artifex.gan.translators",
        "ResNetGeneratorConfig": "artifex.gan.translators",
        "WGAN": "artifex.gan.wgan",
        "WGANConfig": "artifex.gan.wgan",
        "load_torch_dcgan": "artifex.gan.torch_weights",
    },
)
