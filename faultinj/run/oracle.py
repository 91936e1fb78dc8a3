"""What must be true of a program after a fault: how it ended, what it said, what it left behind, what a check says.

Owns the findings. Must not start the program.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from faultinj.catalogue import points
from faultinj.record import Finding, Injection
from faultinj.run.execution import Ended
from faultinj.run.tree import Told

__all__ = ["ABORTED", "Ending", "aborted_by_interpreter", "findings_of", "last_lines"]

ABORTED = "interpreter aborted"
"""The result of a run that CPython ended because it had no memory for going on: nothing that the program could do."""

_TRACEBACK = re.compile(r"^\s*Traceback \(most recent call last\):\s*$")
# Others are of the module faulthandler, which tells of signals in the same words.
_FATAL = re.compile(
    r"^Fatal Python error: (?!(?:Aborted|Segmentation fault|Bus error|Floating.point exception|Illegal instruction)$)",
    re.MULTILINE,
)
_SHOWN_LINES = 8


@dataclass(frozen=True, slots=True)
class Ending:
    """How one run ended, and what came of it. left: files that a clean run does not leave; killed: its fault was to
    die; check: how the check ended, None: there is none; again: how the program ended that was run again, without a
    fault, where it had died."""

    ended: Ended
    left: tuple[str, ...] = ()
    killed: bool = False
    check: Ended | None = None
    again: Ended | None = None


def last_lines(text: str) -> Iterator[str]:
    """The first line of the error of each traceback in a text."""
    inside = False
    for line in text.splitlines():
        if _TRACEBACK.match(line):
            inside = True
        elif inside and line.strip() and not line.startswith((" ", "\t")):
            inside = False
            yield line.strip()


def aborted_by_interpreter(ended: Ended, injected: Sequence[Injection]) -> bool:
    """Whether CPython gave up (Py_FatalError) for want of memory that a fault kept from it."""
    return (
        ended.status == -signal.SIGABRT
        and any(one.point == "memory.alloc" for one in injected)
        and _FATAL.search(ended.said) is not None
    )


def findings_of(
    ending: Ending, allowed: Collection[int], injected: Sequence[Injection], errors: Sequence[Told], limit_s: float
) -> tuple[Finding, ...]:
    """All that is wrong with a run into which this was injected."""
    if aborted_by_interpreter(ending.ended, injected):
        return ()
    found = [*_of_again(ending, allowed, limit_s)] if ending.killed else [*_of_status(ending.ended, allowed, limit_s)]
    if not ending.killed:
        found += _of_errors(ending.ended.said, injected, errors)
    found += _of_check(ending)
    found += [
        Finding(kind="leak", detail=f"{path} is left, which a clean run does not leave")
        for path in ending.left
        if not _kept_by_fault(path, errors)
    ]
    where = tuple(f"{told.point}: {told.stack[0]}" for told in errors if told.stack)
    said = tuple(ending.ended.said.splitlines()[-_SHOWN_LINES:])
    return tuple(Finding(kind=one.kind, detail=one.detail, stack=(*one.stack, *where, *said)) for one in found)


def _of_errors(said: str, injected: Sequence[Injection], errors: Sequence[Told]) -> Iterator[Finding]:
    genuine = {told.error.splitlines()[0] for told in errors if told.error}
    if any(one.point == "memory.alloc" for one in injected):
        # The second where the interpreter ignores one; the third is its own word for a place that it forgot.
        genuine |= {"MemoryError", "MemoryError:", "SystemError: error return without exception set"}
    core = {point.name for point in points()}
    of_core = any(one.point in core for one in injected)
    for line in dict.fromkeys(last_lines(said)):
        if line not in genuine and not (of_core and line.startswith("shmalloc.errors.")):
            yield Finding(kind="foreign error", detail=f"a traceback ends with {line!r}, which was not injected")


def _kept_by_fault(path: str, errors: Sequence[Told]) -> bool:
    """Whether the program wanted to remove the file and a fault refused that: nobody could do better."""
    name = path.rpartition("/")[2]
    return any(told.point in ("os.unlink", "os.remove") and f"{name}'" in told.error for told in errors)


def _how(status: int | None, limit_s: float) -> str:
    if status is None:
        return f"did not end within {limit_s:g} s"
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _of_status(ended: Ended, allowed: Collection[int], limit_s: float) -> Iterator[Finding]:
    status = ended.status
    if status is None:
        yield Finding(kind="hang", detail=f"it {_how(status, limit_s)}")
    elif status < 0:
        yield Finding(kind="crash", detail=f"it {_how(status, limit_s)}")
    elif status not in allowed:
        yield Finding(
            kind="unclean error",
            detail=f"it {_how(status, limit_s)}; allowed: {', '.join(map(str, sorted(allowed)))}",
        )


def _of_again(ending: Ending, allowed: Collection[int], limit_s: float) -> Iterator[Finding]:
    if ending.ended.status is None:  # the rest of its processes did not take notice of the death
        yield Finding(kind="hang", detail=f"after the death it {_how(None, limit_s)}")
    again = ending.again
    if again is not None and again.status not in allowed:
        how = _how(again.status, limit_s)
        yield Finding(
            kind="rerun failed",
            detail=f"run again where it had died, without a fault, it {how}",
            stack=tuple(again.said.splitlines()[-_SHOWN_LINES:]),
        )


def _of_check(ending: Ending) -> Iterator[Finding]:
    check = ending.check
    if check is not None and check.status != 0:
        how = "did not end in time" if check.status is None else f"fails with status {check.status}"
        yield Finding(
            kind="check",
            detail=f"the check {how}" + (f": {check.last}" if check.last else ""),
            stack=tuple(check.said.splitlines()[-_SHOWN_LINES:]),
        )
