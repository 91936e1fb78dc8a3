"""A command that runs a program: the words after the program's name are the program's. Owns that rule.

The parser ends the options at the first word that is none; after `-m MODULE` it has to be told.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["SETTINGS", "ProgramCommand"]

SETTINGS = {"allow_extra_args": True, "allow_interspersed_args": False}
"""The context settings that go with the class."""


class ProgramCommand(TyperCommand):
    """As `python -m MODULE ...`: what follows the module goes to it, also what looks like an option of this command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the end of the options behind the module."""
        return super().parse_args(ctx, self.ended(args))

    def ended(self, args: list[str]) -> list[str]:
        """The same words with `--` where the options of this command end."""
        valued = {name for one in self.params if not getattr(one, "is_flag", False) for name in one.opts}
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] != "--":
            name = args[at]
            at += 2 if name in valued else 1
            if name == "-m" or (name.startswith("-m") and not name.startswith("--")):
                return args if args[at : at + 1] == ["--"] else [*args[:at], "--", *args[at:]]
        return args
