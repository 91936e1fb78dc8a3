"""The points of Python in a test: put in place while its calls count, and taken away again to the last.

Owns which of them a test's wishes mean. Must not choose what happens there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from faultinj import _faultinj, process
from faultinj.run import wrap
from faultinj.run.places import PLACES, SystemPoint, declare_places
from faultinj.testing.own import LIBRARY, NOT_LIBRARY, RUNNER, OwnCalls

__all__ = ["declare", "in_place"]

_MEMORY = "memory.alloc"
_NAMES = frozenset(place.name for place in PLACES)


def declare() -> None:
    """Enter the points of Python in the block in use, so that they have names."""
    declare_places()


@contextmanager
def in_place(names: Iterable[str]) -> Iterator[None]:
    """Have the calls of this test reach those of the points that are Python's, inside the ``with`` block.

    Afterwards the functions are the very objects that they were before, unless the test itself replaced them meanwhile.
    """
    wanted = _NAMES.intersection(names)
    if not wanted:
        yield
        return
    every, own = declare_places(), OwnCalls()
    points: list[SystemPoint] = [every[name] for name in sorted(wanted)]
    before = [point.counts for point in points]  # a plan inside a sweep
    for point in points:
        point.counts = own
    interception = wrap.put_in_place(point for point in points if point.name != _MEMORY)
    block = process.in_use()
    try:
        if _MEMORY in wanted and block is not None:
            _faultinj.frames_count(passing=RUNNER, looked_through=LIBRARY, looked_at=NOT_LIBRARY)
            _faultinj.fail_memory(block.point(_MEMORY), thread_alone=True)
        yield
    finally:
        if _MEMORY in wanted:
            _faultinj.fail_memory(None)
        interception.restore()
        for point, counts in zip(points, before, strict=True):
            point.counts = counts
