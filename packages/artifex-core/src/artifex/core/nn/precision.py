"""The types that parameters may be kept in."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
from pydantic import AfterValidator

from artifex.core.errors import InvalidInputError

__all__ = ["ParamDType", "check_precision"]


def check_precision(dtype: str) -> str:
    """``dtype``, if JAX has it as it is set up now.

    Raises:
        InvalidInputError: it is float64, and double precision is off: JAX would silently make it float32.

    >>> check_precision("bfloat16")
    'bfloat16'
    """
    if dtype == "float64" and not jax.config.read("jax_enable_x64"):
        raise InvalidInputError(
            "float64 takes double precision, which JAX has off; enable it before anything is computed: "
            'jax.config.update("jax_enable_x64", True), or JAX_ENABLE_X64=1 in the environment'
        )
    return dtype


ParamDType = Annotated[Literal["float32", "bfloat16", "float64"], AfterValidator(check_precision)]
"""What a config lets parameters be kept in; float64 where `jax_enable_x64` is set."""
