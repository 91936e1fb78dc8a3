"""What must be true of a program after a fault: how it ended, what it said, what it left behind.

Owns the findings. Must not start the program.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faultinj.catalogue import points
from faultinj.record import Finding, Injection
from faultinj.run.tree import Told

__all__ = ["Ending", "findings_of", "last_lines"]

_TRACEBACK = re.compile(r"^\s*Traceback \(most recent call last\):\s*$")
_SHOWN_LINES = 8


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run ended. status: None when the time limit did; a negative number is a signal."""

    status: int | None
    stderr: str
    left: tuple[Path, ...]
    """Files in the watched directories that a clean run does not leave."""


def last_lines(text: str) -> Iterator[str]:
    """The first line of the error of each traceback in a text."""
    inside = False
    for line in text.splitlines():
        if _TRACEBACK.match(line):
            inside = True
        elif inside and line.strip() and not line.startswith((" ", "\t")):
            inside = False
            yield line.strip()


def findings_of(
    ending: Ending, allowed: Collection[int], injected: Sequence[Injection], errors: Sequence[Told], limit_s: float
) -> tuple[Finding, ...]:
    """All that is wrong with a run into which this was injected."""
    found = [*_of_status(ending, allowed, limit_s)]
    genuine = {told.error.splitlines()[0] for told in errors if told.error}
    if any(one.point == "memory.alloc" for one in injected):
        genuine.add("MemoryError")
    core = {point.name for point in points()}
    of_core = any(one.point in core for one in injected)
    for line in dict.fromkeys(last_lines(ending.stderr)):
        if line not in genuine and not (of_core and line.startswith("shmalloc.errors.")):
            found.append(
                Finding(kind="foreign error", detail=f"a traceback ends with {line!r}, which was not injected")
            )
    found += [
        Finding(kind="leak", detail=f"{path} is left, which a clean run does not leave")
        for path in ending.left
        if not _kept_by_fault(path, errors)
    ]
    where = tuple(f"{told.point}: {told.stack[0]}" for told in errors if told.stack)
    said = tuple(ending.stderr.splitlines()[-_SHOWN_LINES:])
    return tuple(Finding(kind=one.kind, detail=one.detail, stack=(*where, *said)) for one in found)


def _kept_by_fault(path: Path, errors: Sequence[Told]) -> bool:
    """Whether the program wanted to remove the file and a fault refused that: nobody could do better."""
    return any(told.point in ("os.unlink", "os.remove") and f"{path.name}'" in told.error for told in errors)


def _of_status(ending: Ending, allowed: Collection[int], limit_s: float) -> Iterator[Finding]:
    status = ending.status
    if status is None:
        yield Finding(kind="hang", detail=f"it did not end within {limit_s:g} s")
    elif status < 0:
        yield Finding(kind="crash", detail=f"it was ended by {signal.Signals(-status).name}")
    elif status not in allowed:
        yield Finding(
            kind="unclean error",
            detail=f"it ended with status {status}; allowed: {', '.join(map(str, sorted(allowed)))}",
        )
