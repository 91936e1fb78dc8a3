"""What a worker does: one chunk of one cell, in whatever process it is asked to.

Owns the form in which a chunk and its outcomes travel (JSON bytes, so that the two ends need not share a pickle). Must
not know of stores or engines.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import signal

import msgspec

from faultinj.campaign.driver import SWEEP, load_driver
from faultinj.record import Kind, Outcome

__all__ = ["Chunk", "Done", "WorkerLost", "be_worker", "die_with_parent", "do_chunk", "version"]

_PR_SET_PDEATHSIG = 1


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Trials n = first..last of one cell, and where to find what runs them. `cell` is the cell's number in the
    store."""

    cell: int
    scenario: str
    kind: Kind
    points: str
    seed: int
    first: int
    last: int
    driver: str = SWEEP
    imports: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scenario}/{self.kind} n = {self.first}..{self.last}"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk's outcomes. `exhausted`: its last run injected nothing, so the cell is at its end. `worker`: pid."""

    chunk: Chunk
    outcomes: tuple[Outcome, ...]
    exhausted: bool
    seconds: float
    worker: int

    @property
    def next(self) -> int:
        """The n that the cell goes on with."""
        return max((outcome.trial.n for outcome in self.outcomes), default=self.chunk.first - 1) + 1

    @property
    def given_up(self) -> bool:
        """Whether it ended before its last n, and not because all was tried: too many of its runs hung or crashed."""
        return not self.exhausted and self.next <= self.chunk.last


class WorkerLost(RuntimeError):
    """A process that runs trials ended in the middle of a chunk: the chunk is to be done again."""


def do_chunk(request: bytes) -> bytes:
    """Run a chunk in this process; only its victims are others. Takes a Chunk, returns a Done, both as JSON."""
    chunk = msgspec.json.decode(request, type=Chunk)
    driver = load_driver(chunk.driver, chunk.imports)
    outcomes = driver.run_cell(chunk.scenario, chunk.kind, chunk.points, chunk.seed, chunk.first, chunk.last)
    done = Done(
        chunk=chunk,
        outcomes=tuple(outcomes),
        exhausted=any(_at_the_end(outcome) for outcome in outcomes),
        seconds=sum(outcome.seconds for outcome in outcomes),
        worker=os.getpid(),
    )
    return msgspec.json.encode(done)


def _at_the_end(outcome: Outcome) -> bool:
    """Whether the run was beyond the last place. One that found something without a fault is, too: the scenario itself
    is wrong, and would be so for every n; but a crash may have come before the fault."""
    if outcome.verdict == "nothing injected":
        return True
    return not outcome.injected and not any(finding.kind in ("hang", "crash") for finding in outcome.findings)


def version() -> str:
    """The version of shmalloc in this process."""
    return importlib.metadata.version("shmalloc")


def be_worker(parent: int) -> None:
    """Make this process a worker: it dies with its parent, and Ctrl-C at the terminal is the parent's to handle."""
    die_with_parent(parent)
    os.setpgid(0, 0)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # drops one that came while it was being made
    signal.signal(signal.SIGINT, before)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that made it ends. `parent`: the pid that it must still
    have."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    if os.getppid() != parent:
        os._exit(1)  # it ended before the kernel was asked
