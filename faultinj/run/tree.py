"""The block and the log of one process tree under faults: two objects in /dev/shm that end with the run.

Owns their names, their making and unlinking, the environment that leads a child to them, and what they hold at the end.
A runner that was killed leaves its objects behind: whoever runs next takes away those whose runner is dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from faultinj._faultinj import Block
from faultinj.record import Injection
from faultinj.run.enter import HOOK, LOG, PLAN, hook_directory
from faultinj.run.places import PLACES
from faultinj.target import BLOCK_PREFIX

__all__ = ["Told", "Tree", "tree"]

_SHM = Path("/dev/shm")
_OWN = re.compile(re.escape(BLOCK_PREFIX) + r"(\d+)")


class Told(msgspec.Struct, frozen=True):
    """One line of the log: an error that was raised at a Python point, and where: FILE:LINE FUNCTION, innermost first.
    ``error`` is as a traceback's last line has it."""

    pid: int
    point: str
    error: str
    stack: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """What a process tree shares."""

    block: Block
    path: Path
    log: Path

    def environment(self, plan: str = "") -> dict[str, str]:
        """This process's environment, with what makes a child interpreter join. plan: for points declared later."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("FAULTINJ")}
        hook = hook_directory()
        before = (path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path)
        paths = [path for path in before if path not in (hook, os.environ.get(HOOK))]
        env["PYTHONPATH"] = os.pathsep.join([hook, *paths])
        env |= {"FAULTINJ_BLOCK": str(self.path), LOG: str(self.log), PLAN: plan, HOOK: hook}
        return env

    def told(self) -> tuple[Told, ...]:
        """What the log holds. A line that its writer was killed in is left out."""
        lines = []
        for line in self.log.read_bytes().splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                lines.append(msgspec.json.decode(line, type=Told))
        return tuple(lines)

    def injections(self) -> tuple[Injection, ...]:
        """What was injected or printed, oldest first: at most the last 1024."""
        return tuple(
            Injection(
                point=row[3], action=row[4], sequence=row[2], subject=row[5], bytes=row[6], pid=row[7], step=row[9]
            )
            for row in self.block.log()
        )

    def counts(self) -> dict[str, tuple[int, int]]:
        """(reached, injected) of every point that was reached."""
        every = {name: self.block.counts(number) for number, name in enumerate(self.block.names())}
        return {name: counts for name, counts in every.items() if counts[0] or counts[1]}


@contextlib.contextmanager
def tree() -> Iterator[Tree]:
    """Make the objects, with all places in the block; they are unlinked at the end of the ``with`` block.

    Raises: OSError: /dev/shm has no room for the block (about 520 KiB).
    """
    with _ended_in_order():
        yield from _made()


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """A signal that ends programs becomes SystemExit, so that whatever was made is taken away."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _made() -> Iterator[Tree]:
    _take_away_orphans()
    path = _SHM / f"{BLOCK_PREFIX}{os.getpid()}"
    log = _SHM / f"{path.name}.log"
    for old in (path, log):  # a process of this number is dead, or it is the last run of this one
        old.unlink(missing_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # held until the end: says that the runner lives
        block = Block.of_fd(fd, True)
        for place in PLACES:
            block.point(place.name)
        os.close(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield Tree(block, path, log)
    finally:
        for made in (path, log):
            made.unlink(missing_ok=True)
        os.close(fd)


def _take_away_orphans() -> None:
    """Unlink what runners left that were killed: nobody has their number, and nobody holds their lock."""
    for entry in os.listdir(_SHM):
        found = _OWN.fullmatch(entry)
        if found is None or Path(f"/proc/{found[1]}").exists():
            continue
        with contextlib.suppress(OSError):  # another user's, or another runner was faster
            fd = os.open(_SHM / entry, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(_SHM / entry)
                os.unlink(_SHM / f"{entry}.log")
            finally:
                os.close(fd)
