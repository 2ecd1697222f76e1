"""What tests need, ours and those of plugins: strict numerics for pytest (:mod:`artifex.core.testing.strict`)."""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.testing.strict import user_environment as user_environment

__getattr__, __dir__, __all__ = _lazy.attach(__name__, {"user_environment": "artifex.core.testing.strict"})
