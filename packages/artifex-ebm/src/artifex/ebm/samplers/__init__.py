"""Markov chains of an energy: pure functions, all chains in one scan. Names are imported on first use."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.ebm.samplers.block_gibbs import gibbs as gibbs
    from artifex.ebm.samplers.chain import Chains as Chains, Energy as Energy, run_chains as run_chains
    from artifex.ebm.samplers.metropolis import hmc as hmc, mala as mala
    from artifex.ebm.samplers.no_u_turn import nuts as nuts
    from artifex.ebm.samplers.unadjusted import langevin as langevin

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Chains": "artifex.ebm.samplers.chain",
        "Energy": "artifex.ebm.samplers.chain",
        "gibbs": "artifex.ebm.samplers.block_gibbs",
        "hmc": "artifex.ebm.samplers.metropolis",
        "langevin": "artifex.ebm.samplers.unadjusted",
        "mala": "artifex.ebm.samplers.metropolis",
        "nuts": "artifex.ebm.samplers.no_u_turn",
        "run_chains": "artifex.ebm.samplers.chain",
    },
)
