r"""The energy-based model of images.

Du & Mordatch 2019, "Implicit Generation and Modeling with Energy-Based Models" (arXiv:1903.08689); Nijkamp et al. 2019
(arXiv:1904.09770): an :class:`~artifex.ebm.EBM` whose energy is a convolutional network without batch norm, with a large buffer
of chains that start from uniform noise and keep within the range of the data.

Shapes: ``N = examples, H W C = an image``.
"""

from __future__ import annotations

from flax import nnx

from artifex.core.config import config
from artifex.core.errors import InvalidTypeError
from artifex.ebm.buffer import SampleBufferConfig
from artifex.ebm.ebm import EBM, EBMConfig
from artifex.ebm.energies import EnergyField
from artifex.ebm.image_energies import ConvEnergyConfig
from artifex.ebm.mcmc import MCMCConfig
from artifex.ebm.objectives import ContrastiveDivergenceConfig, ObjectiveField
from artifex.ebm.references import ReferenceField, UniformReferenceConfig

__all__ = ["DeepEBM", "DeepEBMConfig"]

IMAGE_CHAINS = MCMCConfig(n_steps=60, step_size=1.0, noise_scale=0.01, bounds=(0.0, 1.0))
"""Short chains with a little noise, within the range of images."""


@config
class DeepEBMConfig(EBMConfig):
    """An energy-based model of images in [0, 1]; everything but their shape has a value that serves small images.

    Example:
        >>> DeepEBMConfig(input_shape=(28, 28, 1)).energy_network.hidden_dims
        (32, 64, 128)
    """

    energy_network: EnergyField = ConvEnergyConfig()
    """The energy: `conv`, `resnet`, or a dict of its `kind` and fields."""
    mcmc: MCMCConfig = IMAGE_CHAINS
    """The chains of training, and of samples where ``generation`` is not given."""
    sample_buffer: SampleBufferConfig | None = SampleBufferConfig()
    """Chains that go on from step to step, and that samples start from. None: from the data."""
    objective: ObjectiveField = ContrastiveDivergenceConfig(data_noise=0.03)
    """What it is trained on."""
    reference: ReferenceField = UniformReferenceConfig()
    """What chains start from."""

    def __post_init__(self) -> None:
        EBMConfig.__post_init__(self)
        if len(self.shape) != 3:
            raise ValueError(
                f"the shape of an example is {self.shape}, but DeepEBM is of images: "
                "give input_shape=(height, width, channels), or use EBM"
            )


class DeepEBM(EBM):
    """An energy-based model of images.

    Raises:
        InvalidTypeError: ``config`` is not a :class:`DeepEBMConfig`.

    Example:
        >>> config = DeepEBMConfig(input_shape=(8, 8, 1), energy_network=ConvEnergyConfig(hidden_dims=(8,)))
        >>> DeepEBM(config, rngs=nnx.Rngs(0)).generate(2, n_steps=5).shape
        (2, 8, 8, 1)
    """

    def __init__(self, config: DeepEBMConfig, *, rngs: nnx.Rngs):
        if not isinstance(config, DeepEBMConfig):
            raise InvalidTypeError(f"DeepEBM takes a DeepEBMConfig, got {type(config).__name__}: {config!r}")
        super().__init__(config, rngs=rngs)
