"""The words after `--`: which program they start, by which interpreter.

Owns the rule: `python`, or a script alone, is run by this interpreter, in which faultinj can be imported.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence

__all__ = ["CommandError", "command_of", "title_of"]

_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")


class CommandError(ValueError):
    """The words name no program that can be run."""


def command_of(words: Sequence[str], module: str | None = None) -> list[str]:
    """The command to execute: `python app.py`, `app.py`, `-m module`, or any program whose children are Python.

    Raises: CommandError.
    """
    if module is not None:
        return [sys.executable, "-m", module, *words]
    if not words:
        raise CommandError("what shall run? `faultinj run -e POINT=PROGRAM -- python app.py ...`, or `-m module ...`")
    first, *rest = words
    if first == "-m":
        if not rest:
            raise CommandError("-m: which module?")
        return [sys.executable, *words]
    if _PYTHON.fullmatch(first):
        return [sys.executable, *rest]
    if first.endswith(".py"):
        if not os.path.isfile(first):
            raise CommandError(f"{first}: there is no such script")
        return [sys.executable, *words]
    if shutil.which(first) is None:
        raise CommandError(f"{first}: it is neither a script (.py) nor a program that can be executed")
    return list(words)


def title_of(command: Sequence[str]) -> str:
    """What the record calls a program: its script or module."""
    words = list(command)
    if words[0] == sys.executable:
        words = words[1:]
        while len(words) > 1 and words[0].startswith("-"):
            if words[0] == "-m":
                return words[1]
            words = words[1:]
    return os.path.basename(words[0]) if words else "python"
