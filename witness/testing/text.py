"""A finding in the fewest lines that a person at a failed test needs. Owns the cut; the whole is `witness report`'s.

Of each stack the frames of the project remain: those below the root directory that were not installed into it.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Iterator
from pathlib import Path

from witness.analysis.findings import Finding
from witness.analysis.ordergraph import OrderGraph
from witness.record import Frame, Reversal, Side, Sleep, Stack

__all__ = ["brief"]

_INSTALLED = ("site-packages", "dist-packages")
_MOST_FRAMES = 4


def brief(finding: Finding, order: OrderGraph, root: Path) -> str:
    """The text of one finding.

    Parameters: root: the project's directory; places below it are told relative to the working directory.
    """
    return "\n".join(_lines(finding, order, root))


def _lines(finding: Finding, order: OrderGraph, root: Path) -> Iterator[str]:
    record = finding.record
    yield f"{finding.rule.replace('-', ' ')}: {finding.title}"
    if isinstance(record, Reversal):
        first, second = order.names((record.first, record.second))
        yield from _pair("in this test", first, second, record.attempted, root)
        if finding.rule == "lock-order-reversal":
            yield from _older(finding, order, root)
        return
    for side in finding.sides:
        yield f"  in this test, {_who(side)}:"
        yield from _places("it was", side.stack, root)
    if isinstance(record, Sleep):
        for held in record.held:
            if held.site is not None:
                yield from _places(f'holding "{held.name}"', (held.site,), root)


def _older(finding: Finding, order: OrderGraph, root: Path) -> Iterator[str]:
    """The orders that the new one is against, around the cycle."""
    record = finding.record
    if not isinstance(record, Reversal):
        return
    links = [link for link in finding.links if (link.first, link.second) != (record.first, record.second)]
    for link in links:
        first, second = order.names((link.first, link.second))
        if any(side.stack for side in link.sides):
            yield from _pair("before", first, second, link.sides, root)
        else:
            yield f'  declared: "{first}" before "{second}"'
    if not links and record.established is not None:
        first, second = order.names((record.first, record.second))
        yield from _pair("before", second, first, record.established, root)


def _pair(when: str, first: str, second: str, sides: tuple[Side, Side], root: Path) -> Iterator[str]:
    held, taken = sides
    yield f"  {when}, {_who(taken)}:"
    yield from _places(f'took "{second}"', taken.stack, root)
    yield from _places(f'holding "{first}"', held.stack[:1], root)


def _who(side: Side) -> str:
    return f"{side.process} (pid {side.pid}, thread {side.thread})"


def _places(what: str, stack: Stack, root: Path) -> Iterator[str]:
    if not stack:
        yield f"    {what}: (no stack was recorded)"
    for number, frame in enumerate(_of_project(stack, root)):
        source = linecache.getline(frame.file, frame.line).strip()
        words = f"{_relative(frame.file, root)}:{frame.line} in {frame.function}" + (f":  {source}" if source else "")
        yield f"    {what} at {words}" if number == 0 else f"      from {words}"


def _of_project(stack: Stack, root: Path) -> tuple[Frame, ...]:
    """The project's frames; the innermost alone when there are none."""
    ours = tuple(frame for frame in stack if _below(frame.file, root))
    return ours[:_MOST_FRAMES] or stack[:1]


def _below(file: str, root: Path) -> bool:
    path = Path(file)
    return path.is_relative_to(root) and not any(
        part in _INSTALLED or part.startswith(".") for part in path.relative_to(root).parts
    )


def _relative(file: str, root: Path) -> str:
    return os.path.relpath(file) if _below(file, root) else file
