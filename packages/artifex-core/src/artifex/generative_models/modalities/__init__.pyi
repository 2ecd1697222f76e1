# What type checkers take the folder for; Python reads ../modalities.py, and no __init__.py may stand here.
from typing import Any

def __getattr__(name: str) -> Any: ...
