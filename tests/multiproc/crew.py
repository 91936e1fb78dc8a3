"""Starts child processes for a test, collects what they return, and ends those that do not end themselves."""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

DEADLINE_S = 60.0


def _run(out: Connection, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        out.send((True, work(*args)))
    except BaseException:
        out.send((False, traceback.format_exc()))
        raise
    finally:
        out.close()


class Crew:
    """Child processes of one start method. Leaving the block waits for all of them, within one deadline."""

    def __init__(self, method: str) -> None:
        self.context = multiprocessing.get_context(method)
        self._deadline = time.monotonic() + DEADLINE_S
        self._children: list[tuple[Any, Connection]] = []

    def start(self, work: Callable[..., Any], *args: Any) -> int:
        """Run work(*args) in a new process. Returns: its pid."""
        ours, theirs = self.context.Pipe(duplex=False)
        child = self.context.Process(target=_run, args=(theirs, work, args))  # type: ignore[attr-defined]
        child.start()
        theirs.close()
        self._children.append((child, ours))
        assert child.pid is not None
        return int(child.pid)

    def results(self) -> list[Any]:
        """What the children returned, in the order of their start. Raises: AssertionError with a child's traceback."""
        found = []
        for child, ours in self._children:
            left = self._deadline - time.monotonic()
            if not ours.poll(max(left, 0)):
                raise AssertionError(f"{child.name} did not answer within {DEADLINE_S} s")
            good, value = ours.recv()
            assert good, f"{child.name} failed:\n{value}"
            found.append(value)
        for child, _ in self._children:
            child.join(max(self._deadline - time.monotonic(), 0))
            assert child.exitcode == 0, f"{child.name} ended with {child.exitcode}"
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child, ours in self._children:
            if child.is_alive() and error is None:
                child.join(max(self._deadline - time.monotonic(), 0))
            if child.is_alive():
                child.kill()
            child.join()
            child.close()
            ours.close()
