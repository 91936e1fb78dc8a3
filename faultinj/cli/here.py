"""Modules that the command line names are looked for in the working directory too, as `python -m` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

__all__ = ["look_here"]


def look_here(modules: Iterable[str]) -> None:
    """Let these modules be found in the working directory, by this process and by workers that it starts."""
    if any(True for _ in modules) and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
