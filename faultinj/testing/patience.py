"""The time that a run of a test may take under a fault. Owns the thread that waits for it, and what it sees then.

A fault that stays may have the test wait for ever, for room that a limit never gives: then the fault is taken away, so
that who waits can go on, and it is written down where that was.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from faultinj.testing.own import RUNNER

__all__ = ["Patience"]


class Patience:
    """Calls `over` from a thread of its own when the ``with`` block lasts longer.

    stacks: None: it ended in time; else where each thread of the test was then, the one that entered first.
    """

    def __init__(self, seconds: float, over: Callable[[], object]) -> None:
        self.stacks: str | None = None
        self._seconds = seconds
        self._over = over
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="faultinj-limit", daemon=True)
        self._here = threading.get_ident()
        self._before: frozenset[int] = frozenset()

    def __enter__(self) -> Self:
        self._before = frozenset(sys._current_frames())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _wait(self) -> None:
        if self._ended.wait(self._seconds):
            return
        frames = sys._current_frames()  # before the fault goes: afterwards they have moved on
        own = [self._here, *(one for one in frames if one not in self._before and one != threading.get_ident())]
        stacks = [_stack_of(frames[one]) for one in own if one in frames]
        self._over()
        self.stacks = "\n".join("".join(stack.format()) for stack in stacks)


def _stack_of(frame: FrameType) -> traceback.StackSummary:
    """Outermost first, from the test on: what called it is pytest."""
    frames = list(traceback.walk_stack(frame))
    for depth, (one, _) in enumerate(frames):
        if one.f_code.co_filename.startswith(RUNNER[:-1]):
            frames = frames[:depth]
            break
    stack = traceback.StackSummary.extract(iter(frames), lookup_lines=False)
    stack.reverse()
    return stack
