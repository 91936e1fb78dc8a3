"""Tells whether the compiled core is there. Importing this module is the check; it owns nothing else.

A source tree holds no compiled module, and the bare ``ModuleNotFoundError`` for ``shmalloc._native`` tells nobody
what to do about it.
"""

import importlib
import sys

__all__: list[str] = []

try:
    importlib.import_module("shmalloc._native")
except ModuleNotFoundError as missing:
    if missing.name != "shmalloc._native":
        raise
    raise ImportError(
        f"shmalloc's compiled core is not built for this interpreter ({sys.executable}): run `make venv` and use "
        "`.venv/bin/python`, or `pip install -e .` in the source tree.",
        name="shmalloc._native",
    ) from None
