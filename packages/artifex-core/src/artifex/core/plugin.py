"""What artifex-core itself registers: nothing yet beyond its presence, so that ``artifex doctor`` shows its version."""

ARTIFEX_API = (1, 1)
