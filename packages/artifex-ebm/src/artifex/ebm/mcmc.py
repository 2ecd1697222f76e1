"""Which Markov chain a model runs, as a config, and the way from it to a sampler."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from jaxtyping import Array, Float
from pydantic import Field

from artifex.core.config import Config, config
from artifex.ebm.energies import PositiveInt
from artifex.ebm.samplers.chain import Chains, Energy
from artifex.ebm.samplers.metropolis import hmc, mala
from artifex.ebm.samplers.unadjusted import langevin

__all__ = ["MCMCConfig", "sample_chains"]

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

_OWN_FIELDS = {
    "noise_scale": ("langevin",),
    "initial_temperature": ("langevin",),
    "max_gradient": ("langevin",),
    "bounds": ("langevin",),
    "n_leapfrog": ("hmc",),
    "n_warmup": ("mala", "hmc", "nuts"),
}
"""Fields that mean something to some samplers only."""


@config
class MCMCConfig(Config):
    """A sampler and its numbers.

    Example:
        >>> MCMCConfig(n_steps=20, step_size=0.01).sampler
        'langevin'
        >>> MCMCConfig(sampler="hmc", n_leapfrog=5, step_size=0.1).n_steps
        60
    """

    sampler: Literal["langevin", "mala", "hmc", "nuts"] = "langevin"
    """Unadjusted Langevin; Langevin with rejection; Hamiltonian Monte Carlo; the no-U-turn sampler of BlackJAX."""
    n_steps: PositiveInt = 60
    """Steps of a chain."""
    step_size: PositiveFloat = 0.01
    """``e`` of a Langevin step ``x - e grad E + sqrt(2 e) z``, or of a leapfrog step; where there is a warm-up, the first."""
    noise_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Langevin: standard deviation of a step's noise; None takes ``sqrt(2 step_size)``, which samples from the model."""
    initial_temperature: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    """Langevin: anneal, from this temperature to 1 over the first half of the steps; None stays at 1."""
    max_gradient: PositiveFloat | None = None
    """Langevin: elements of the gradient are clipped to this."""
    bounds: tuple[Finite, Finite] | None = None
    """Langevin: elements of a state are clipped to this range, that of the data."""
    n_leapfrog: PositiveInt | None = None
    """Hamiltonian Monte Carlo: leapfrog steps of a trajectory; None takes 10."""
    n_warmup: Annotated[int, Field(ge=0)] | None = None
    """All but Langevin: steps before the others that adapt the step size (NUTS: the masses too) and are not counted."""

    def __post_init__(self) -> None:
        for field, samplers in _OWN_FIELDS.items():
            if getattr(self, field) is not None and self.sampler not in samplers:
                raise ValueError(
                    f"{field} is {getattr(self, field)}, which sampler {self.sampler!r} has no use for; "
                    f"leave it out, or use {' or '.join(map(repr, samplers))}"
                )
        if self.bounds is not None and self.bounds[0] >= self.bounds[1]:
            raise ValueError(f"bounds are {list(self.bounds)}; the first has to be below the second")


def sample_chains(
    config: MCMCConfig,
    energy: Energy,
    x: Float[Array, "N ..."],
    key: Array,
    *,
    n_steps: int | None = None,
    trace: bool = False,
) -> Chains:
    """Run the chains that ``config`` describes.

    Args:
        config: which sampler, and its numbers.
        energy: ``E`` of a batch.
        x: where the chains start.
        key: of all randomness.
        n_steps: steps; None takes the config's.
        trace: keep all states.
    """
    given: dict[str, Any] = {name: value for name in _OWN_FIELDS if (value := getattr(config, name)) is not None}
    steps = config.n_steps if n_steps is None else n_steps
    sampler = _sampler(config.sampler)
    return sampler(energy, x, key, n_steps=steps, step_size=config.step_size, trace=trace, **given)


def _sampler(name: str) -> Any:
    """The function; BlackJAX is imported for its own sampler alone."""
    if name == "nuts":
        from artifex.ebm.samplers.no_u_turn import nuts

        return nuts
    return {"langevin": langevin, "mala": mala, "hmc": hmc}[name]
