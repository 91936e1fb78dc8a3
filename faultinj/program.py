"""A plan of faults as data: settings, programs, terms. Its text is the canonical form of the grammar.

Owns the shapes and how they are printed; ``grammar`` reads them. Must not know points or blocks. After FreeBSD's
fail(9).
"""

import re
from dataclasses import dataclass

__all__ = ["ACTIONS", "FILTERS", "MOST_TERMS", "TRIGGERS", "Filter", "Modifier", "Plan", "Program", "Setting", "Term"]

MOST_TERMS = 8
"""Terms of one program."""

TRIGGERS = ("nth", "every", "times", "space", "interval")
"""Triggers that are written ``name(N):``."""

ACTIONS = {
    "off": "",
    "return": "code?",
    "raise": "name",
    "panic": "text?",
    "kill": "",
    "print": "text?",
    "sleep": "number",
    "delay": "number",
    "pause": "",
    "yield": "",
    "break": "",
    "callback": "text",
    "arm": "setting",
}
"""What an action's argument is, with a ``?`` if it can be left out."""

FILTERS = ("pid", "cpu", "zone", "size", "flags", "step", "stack", "!stack")
"""Filters, written ``[name value]``."""

_PLAIN = re.compile(r"[\w.*?:/@+-]+")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Modifier:
    """What stands before an action: ``kind`` is "percent" (``value`` in millionths), "count", or one of TRIGGERS."""

    kind: str
    value: int

    def __str__(self) -> str:
        if self.kind == "percent":
            whole, rest = divmod(self.value, 10_000)
            return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"
        return f"{self.value}*" if self.kind == "count" else f"{self.kind}({self.value}):"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which reachings concern a term; ``kind`` is one of FILTERS. ``value`` is a number for pid, cpu, size and step."""

    kind: str
    value: str | int

    def __str__(self) -> str:
        if self.kind == "size":
            return f"[size>={self.value}]"
        text = str(self.value)
        return f"[{self.kind} {text if self.kind == 'flags' or _PLAIN.fullmatch(text) else _quoted(text)}]"


@dataclass(frozen=True, slots=True)
class Term:
    """One action with what decides whether it happens. ``argument``: a number for sleep (ms) and delay (us), a Setting
    for arm, else text; None: none was given."""

    action: str
    modifiers: tuple[Modifier, ...] = ()
    argument: "str | int | Setting | None" = None
    filters: tuple[Filter, ...] = ()

    def __str__(self) -> str:
        argument = ""
        if self.argument is not None:
            text = str(self.argument)
            argument = f"({_quoted(text) if self.action in ('panic', 'print', 'callback') else text})"
        return "".join(map(str, self.modifiers)) + self.action + argument + "".join(map(str, self.filters))


@dataclass(frozen=True, slots=True)
class Program:
    """What a point does: the first of its terms that applies happens."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return "->".join(map(str, self.terms))


@dataclass(frozen=True, slots=True)
class Setting:
    """A program for the point, or the points, that a name or glob stands for."""

    points: str
    program: Program

    def __str__(self) -> str:
        return f"{self.points}={self.program}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings, in the order in which they are made: of two for one point the later stands."""

    settings: tuple[Setting, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.settings))
