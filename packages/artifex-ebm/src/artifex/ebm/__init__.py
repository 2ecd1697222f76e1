"""Energy-based models. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ebm.buffer import SampleBuffer as SampleBuffer, SampleBufferConfig as SampleBufferConfig
    from artifex.ebm.ebm import EBM as EBM, EBMConfig as EBMConfig
    from artifex.ebm.energies import EnergyNetworkConfig as EnergyNetworkConfig
    from artifex.ebm.mcmc import MCMCConfig as MCMCConfig

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "EBM": "artifex.ebm.ebm",
        "EBMConfig": "artifex.ebm.ebm",
        "EnergyNetworkConfig": "artifex.ebm.energies",
        "MCMCConfig": "artifex.ebm.mcmc",
        "SampleBuffer": "artifex.ebm.buffer",
        "SampleBufferConfig": "artifex.ebm.buffer",
    },
)
