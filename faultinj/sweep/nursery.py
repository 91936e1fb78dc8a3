"""A template as its client sees it: tasks in, outcomes out. Owns the template's process and the names of its arenas.

Whatever happens to the client, the template ends with it and no arena is left: closing removes those that a killed
template could not.
"""

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO

import msgspec

from faultinj.record import Outcome
from faultinj.sweep.context import BEGINNING, own_objects
from faultinj.sweep.course import Task
from faultinj.sweep.frames import Frames, write_frame
from shmalloc.naming import unlink_object

__all__ = ["Nursery", "NurseryLost", "clear_arenas", "nursery"]


class NurseryLost(RuntimeError):
    """The process that victims are forked from ended in the middle of a task."""


class Nursery:
    """One template, started at the first task. One task at a time; a context manager that ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: Frames | None = None
        self._lock = threading.Lock()
        self.exhausted = False

    def run(self, task: Task) -> Iterator[Outcome]:
        """The outcomes of a task, as they come; ``exhausted`` says afterwards whether the stop rule was reached.

        Raises: NurseryLost: the template was killed; the next task starts another.
        """
        with self._lock:
            tasks, frames = self._started()
            try:
                write_frame(tasks.fileno(), msgspec.msgpack.encode(task))
                finished = False
                while not finished:
                    for raw in frames.more():
                        if raw in (b"+", b"-"):
                            self.exhausted = raw == b"+"
                            finished = True
                        else:
                            yield msgspec.msgpack.decode(raw, type=Outcome)
                    if frames.ended and not finished:
                        raise BrokenPipeError
            except BrokenPipeError as cause:
                status = self._end()
                raise NurseryLost(
                    f"the process that runs the victims ended with status {status} in {task.trial.id}; what it wrote "
                    "is on standard error; run the same command again, or this trial alone: faultinj replay"
                ) from cause
            except BaseException:
                self._end()  # what it still says of this task must not be taken for the next one's
                raise

    def _started(self) -> tuple[IO[bytes], Frames]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "faultinj.sweep.template", str(os.getpid())]
            paths = os.pathsep.join(path for path in sys.path if path)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,
            )
            assert self._process.stdout is not None
            self._frames = Frames(self._process.stdout.fileno())
        assert self._process.stdin is not None
        assert self._frames is not None
        return self._process.stdin, self._frames

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return status

    def close(self) -> None:
        """End the template and its victim, now. Always legal."""
        self._end()

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clear_arenas() -> None:
    """Remove the arenas that trials of this process left because they were cut off."""
    for name in own_objects(f"{BEGINNING}{os.getpid()}-"):
        unlink_object(name, missing_ok=True)


_mine: dict[int, Nursery] = {}


def nursery() -> Nursery:
    """This process's own template, kept warm until the process ends; a forked child gets one of its own."""
    pid = os.getpid()
    if pid not in _mine:
        _mine.clear()  # the parent's, which is not ours to end
        _mine[pid] = Nursery()
        atexit.register(_end_mine, pid)
    return _mine[pid]


def _end_mine(pid: int) -> None:
    if pid == os.getpid() and pid in _mine:
        _mine.pop(pid).close()
        clear_arenas()
