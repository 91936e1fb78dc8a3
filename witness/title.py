"""What a report calls a process. Owns that name; imports nothing of witness, since a program's start waits for it."""

import os
import sys

__all__ = ["title"]


def title() -> str:
    """The file name of the script, or the module of `python -m MODULE`, also before the interpreter has found it."""
    arguments = getattr(sys, "argv", None) or [""]
    name: str = arguments[0]
    if name == "-m" and len(sys.orig_argv) >= len(arguments):
        name = sys.orig_argv[len(sys.orig_argv) - len(arguments)].removeprefix("-m")
    return os.path.basename(name) or "python"
