"""Which of our own distributions provides what, so that an error can say what to install when it is missing.

Only names of ours stand here, never a third party's. What is registered and which configs there are is in
:mod:`artifex.core.plugins.provided`, which ``nox -s index`` writes from the plugins.
"""

from __future__ import annotations

from artifex.core.plugins.provided import CONFIG_HOME, MODALITY_HOME, PROVIDES

__all__ = ["BUILT_IN_COMMANDS", "COMMANDS", "CONFIG_HOME", "CONFIG_MODULES", "DISTRIBUTION_OF", "MODALITY_HOME"]

DISTRIBUTION_OF: dict[tuple[str, str], str] = {
    (kind, name): distribution for distribution, kinds in PROVIDES.items() for kind, names in kinds.items() for name in names
}
"""Distribution by kind and name."""

BUILT_IN_COMMANDS = ("list", "info", "schema", "doctor")
"""Commands of the core itself; no plugin may take their names."""

COMMANDS = frozenset(name for kind, name in DISTRIBUTION_OF if kind == "command")
"""Commands of ours, installed or not."""

CONFIG_MODULES: dict[str, str] = {
    "autoregressive_config": "artifex-ar",
    "diffusion_config": "artifex-diffusion",
    "ebm_config": "artifex-ebm",
    "energy_config": "artifex-ebm",
    "flow_config": "artifex-flow",
    "gan_config": "artifex-gan",
    "geometric_config": "artifex-geometric",
    "vae_config": "artifex-vae",
}
"""Distribution behind each documented module of one family's configs, ``artifex.generative_models.core.configuration.…``; those
of families that are not there yet included."""
