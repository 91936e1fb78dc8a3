"""One run of a command in a session of its own: started, waited for, ended with all its processes.

Owns the child's life and what it said on stderr. Must not judge.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["Ended", "execute"]

_MOST_SAID = 1 << 16


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. status: None when the time limit did it; a negative number is a signal; said: the end of
    what it wrote to stderr, and to stdout if that was wanted."""

    status: int | None
    said: str

    @property
    def last(self) -> str:
        """The last line of it."""
        return next((line.strip() for line in reversed(self.said.splitlines()) if line.strip()), "")


def execute(
    command: Sequence[str], *, env: Mapping[str, str], directory: Path | None, limit_s: float, all_said: bool = False
) -> Ended:
    """Run a command; its whole session ends with it, or with the time limit.

    Parameters: all_said: keep stdout too.   Raises: OSError: it cannot be executed.
    """
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command,
            env=dict(env),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=said if all_said else subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            in_time = _ended(child.pid, limit_s)
        finally:
            os.killpg(child.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
            status = child.wait()
        return Ended(status if in_time else None, _end_of(said))


def _ended(pid: int, seconds: float) -> bool:
    """Wait until a child has ended, without reaping it. Returns: whether it did in time."""
    fd = os.pidfd_open(pid)
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def _end_of(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _MOST_SAID))
    return said.read().decode("utf-8", "replace")
