"""What tests need, ours and those of plugins.

:mod:`artifex.core.testing.conformance` has the checks that every model passes, :mod:`artifex.core.testing.strict` strict
numerics for pytest.
"""

from typing import TYPE_CHECKING

from artifex.core import _lazy

if TYPE_CHECKING:
    from artifex.core.testing.strict import user_environment as user_environment

__getattr__, __dir__, __all__ = _lazy.attach(__name__, {"user_environment": "artifex.core.testing.strict"})
