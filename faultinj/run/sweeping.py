"""One program swept: it runs with the n-th fault for n = 1, 2, ... until a run injects nothing.

Owns the order of the runs, each one's life and end, and the sums. Must not judge a run: that is ``oracle``. Every run
has a block of its own and a session of its own, whose processes end with it.
Source: the allocation-failure loops of SQLite's and OpenSSL's tests.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import msgspec

from faultinj import declared
from faultinj._faultinj import COUNT, PERSISTENT, TRANSIENT
from faultinj.plan import UnknownPoint, matching
from faultinj.record import Cell, Coverage, Outcome, SweepResult, Trial
from faultinj.run.oracle import Ending, findings_of
from faultinj.run.places import PLACES, SystemPoint
from faultinj.run.tree import Tree, tree

__all__ = ["DEFAULT_POINTS", "DirtyProgram", "ProgramSweep"]

DEFAULT_POINTS = "*"
"""All but memory.alloc, which a program reaches thousands of times: it is swept when it is named."""
_ALONE = "memory.alloc"
_NUMBER = {"transient": TRANSIENT, "persistent": PERSISTENT}
Swept = Literal["transient", "persistent"]


class DirtyProgram(RuntimeError):
    """The program fails without a fault, so nothing can be said of it with one."""


@dataclass(slots=True, kw_only=True)
class ProgramSweep:
    """A sweep of one program. ok: statuses that are allowed besides 0; limit: the most n of a kind, 0: none; timeout:
    of each run, seconds; watch: directories in which a fault must leave nothing more than a clean run; told: called
    after each run."""

    command: Sequence[str]
    title: str
    points: str = DEFAULT_POINTS
    kinds: Sequence[Swept] = ("transient", "persistent")
    ok: Sequence[int] = ()
    limit: int = 0
    timeout: float = 60.0
    watch: Sequence[Path] = ()
    told: Callable[[Outcome], None] | None = None
    _clean: frozenset[Path] = frozenset()
    _reached: dict[str, int] = field(default_factory=dict)
    _outcomes: list[Outcome] = field(default_factory=list)
    _cells: list[Cell] = field(default_factory=list)

    def run(self) -> SweepResult:
        """The whole sweep: a clean run that counts, then each kind.

        Raises: DirtyProgram: the program fails without a fault; UnknownPoint: no point matches; OSError.
        """
        started, began = datetime.datetime.now(datetime.UTC), time.monotonic()
        self.count()
        for kind in self.kinds:
            self._sweep_kind(kind)
        return self._result(started.isoformat(timespec="seconds"), time.monotonic() - began)

    def count(self) -> None:
        """The clean run: what it reaches, what it leaves. Raises: DirtyProgram."""
        with tree() as shared:
            shared.block.sweep(COUNT)
            status, stderr = self._execute(shared)
            if status not in self._allowed:
                how = "did not end in time" if status is None else f"ends with status {status}"
                last = (stderr.strip().splitlines() or [""])[-1]
                raise DirtyProgram(f"the program {how} without any fault: a sweep would say nothing. {last}".rstrip())
            chosen = self._chosen(shared.block.names())  # with those that the program declared
            self._reached = {name: row[0] for name, row in shared.counts().items() if name in chosen}
        self._clean = self._files()

    def trial(self, kind: Swept, n: int) -> Outcome:
        """One run with the n-th fault. count() comes first."""
        before, began = self._files(), time.monotonic()
        with tree() as shared:
            shared.block.sweep(_NUMBER[kind], n, 0, self._selected(shared))
            status, stderr = self._execute(shared)
            left = sorted(self._files() - before - self._clean)
            injected, errors = shared.injections(), shared.told()
            reached = {name: row[0] for name, row in shared.counts().items()}
            fired = shared.block.sweep_state()[1]
        for path in left:  # the next run finds what this one found
            path.unlink(missing_ok=True)
        ending = Ending(status, stderr, tuple(left))
        again = f"again: {self.replay(kind, n)}"
        findings = tuple(
            msgspec.structs.replace(one, stack=(*one.stack, again))
            for one in findings_of(ending, self._allowed, injected, errors, self.timeout)
        )
        return Outcome(
            trial=Trial(scenario=self.title, kind=kind, n=n, points=self.points),
            verdict="finding" if findings else "clean" if fired else "nothing injected",
            result=_result_of(status),
            injected=injected,
            findings=findings,
            reached=reached,
            seconds=time.monotonic() - began,
        )

    def replay(self, kind: Swept, n: int) -> str:
        """The command that runs a trial again."""
        words = ["faultinj", "run", "--trial", f"{kind}/{n}"]
        words += ["--points", self.points] if self.points != DEFAULT_POINTS else []
        words += ["--ok", ",".join(map(str, self.ok))] if self.ok else []
        words += ["--timeout", f"{self.timeout:g}"] if self.timeout != 60 else []
        for directory in self.watch:
            words += ["--watch", str(directory)]
        return shlex.join([*words, "--", *self.command])

    @property
    def _allowed(self) -> frozenset[int]:
        return frozenset((0, *self.ok))

    def _sweep_kind(self, kind: Swept) -> None:
        n, injected, findings, exhausted, began = 1, 0, 0, False, time.monotonic()
        while not self.limit or n <= self.limit:
            outcome = self.trial(kind, n)
            self._outcomes.append(outcome)
            findings += len(outcome.findings)
            if self.told is not None:
                self.told(outcome)
            if not outcome.injected:
                exhausted = not outcome.findings
                break
            injected += 1
            n += 1
        trials = n if n <= self.limit or not self.limit else self.limit
        self._cells.append(
            Cell(
                scenario=self.title,
                kind=kind,
                trials=trials,
                injected=injected,
                exhausted=exhausted,
                findings=findings,
                seconds=time.monotonic() - began,
            )
        )

    def _chosen(self, names: Sequence[str]) -> tuple[str, ...]:
        found = matching(self.points, names)
        if not found:
            raise UnknownPoint(self.points, names)
        return tuple(name for name in found if name != _ALONE) if self.points == DEFAULT_POINTS else found

    def _selected(self, shared: Tree) -> list[int]:
        """Of the points that the program declares, those that the clean run met are known."""
        for name in self._reached:
            shared.block.point(name)
        names = shared.block.names()
        return [names.index(name) for name in self._chosen(names)]

    def _execute(self, shared: Tree) -> tuple[int | None, str]:
        """Run it once. Returns: its status, None: the time limit ended it; the end of what it said on stderr."""
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(
                self.command,
                env=shared.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
            try:
                ended = _ended(child.pid, self.timeout)
            finally:
                os.killpg(child.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
                status = child.wait()
            return status if ended else None, _end_of(said)

    def _files(self) -> frozenset[Path]:
        return frozenset(
            Path(folder, name) for root in self.watch for folder, _, names in os.walk(root) for name in names
        )

    def _result(self, started: str, seconds: float) -> SweepResult:
        rows = self._coverage()
        injected = sum(cell.injected for cell in self._cells)
        return SweepResult(
            program="faultinj run",
            version=importlib.metadata.version("shmalloc"),
            started=started,
            seconds=seconds,
            seed=0,
            trials=sum(cell.trials for cell in self._cells),
            injected=injected,
            findings=tuple(finding for outcome in self._outcomes for finding in outcome.findings),
            never_reached=(),
            empty=() if injected else (self.title,),
            argued={},
            points=rows,
            cells=tuple(self._cells),
            outcomes=tuple(outcome for outcome in self._outcomes if outcome.findings),
        )

    def _coverage(self) -> tuple[Coverage, ...]:
        """The points that the program comes by: others are not its own to reach."""
        errors = {place.name: SystemPoint(place).record.error for place in PLACES}
        errors |= {point.name: point.error for point in declared.all_points() if point.name not in errors}
        sums: dict[str, Counter[str]] = {name: Counter() for name in self._reached}
        for outcome in self._outcomes:
            for name in dict.fromkeys(one.point for one in outcome.injected):
                row = sums.setdefault(name, Counter())
                row["injected"] += 1
                row[_column(outcome)] += 1
            for name, times in outcome.reached.items():
                if name in sums:
                    sums[name]["reached"] += times
        return tuple(
            Coverage(
                point=name,
                error=errors.get(name, "its own"),
                reached=row["reached"] + self._reached.get(name, 0),
                injected=row["injected"],
                success=row["success"],
                clean_error=row["clean_error"],
                killed=0,
                findings=row["findings"],
            )
            for name, row in sums.items()
        )


def _column(outcome: Outcome) -> str:
    if outcome.findings:
        return "findings"
    return "success" if outcome.result == "success" else "clean_error"


def _result_of(status: int | None) -> str:
    if status is None:
        return "hang"
    if status < 0:
        return signal.Signals(-status).name
    return f"status {status}" if status else "success"


def _ended(pid: int, seconds: float) -> bool:
    """Wait until a child has ended, without reaping it. Returns: whether it did in time."""
    fd = os.pidfd_open(pid)
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


_MOST_SAID = 1 << 16


def _end_of(said: IO[bytes]) -> str:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _MOST_SAID))
    return said.read().decode("utf-8", "replace")
