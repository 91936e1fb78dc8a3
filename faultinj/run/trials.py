"""Runs of one program under one fault each: the clean run that counts, then the n-th of a kind.

Owns the steps of a run: its place, its faults, the check and the run after a death. Must not choose which runs there
are: that is ``sweeping``; nor judge them: that is ``oracle``. Every run has a block and a session of its own.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from faultinj import process
from faultinj._faultinj import COUNT, DIE, PERSISTENT, TRANSIENT
from faultinj.program import Setting
from faultinj.record import Outcome, Trial
from faultinj.run.execution import Ended, execute
from faultinj.run.oracle import ABORTED, Ending, aborted_by_interpreter, findings_of
from faultinj.run.places import chosen, deadly
from faultinj.run.stage import Stage, staged
from faultinj.run.tree import Tree, tree
from faultinj.series import nth_program, points_of, series_of

__all__ = ["DirtyProgram", "Settings", "Swept", "Trials"]

Swept = Literal["transient", "persistent", "kill"]
_NUMBER = {"transient": TRANSIENT, "persistent": PERSISTENT, "kill": DIE}


class DirtyProgram(RuntimeError):
    """The program fails without a fault, so nothing can be said of it with one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a program is run. ok: statuses that are allowed besides 0; timeout: of each run, seconds; watch: directories
    in which a fault must leave nothing more than a clean run; scratch: each run has a fresh copy of this directory for
    its own; check: a command that must succeed after each run, in its directory."""

    command: Sequence[str]
    title: str
    ok: Sequence[int] = ()
    timeout: float = 60.0
    watch: Sequence[Path] = ()
    scratch: Path | None = None
    check: Sequence[str] = ()

    @property
    def allowed(self) -> frozenset[int]:
        """Every status that is fine."""
        return frozenset((0, *self.ok))

    def replay(self, points: Sequence[str], kind: Swept, n: int) -> str:
        """The command that runs a trial again, in the directory where the sweep was started."""
        words = ["faultinj", "run", "--trial", f"{kind}/{n}"]
        for one in () if tuple(points) == ("*",) else points:
            words += ["--points", one]
        words += ["--ok", ",".join(map(str, self.ok))] if self.ok else []
        words += ["--timeout", f"{self.timeout:g}"] if self.timeout != 60 else []
        for directory in self.watch:
            words += ["--watch", str(directory)]
        words += ["--scratch", str(self.scratch)] if self.scratch is not None else []
        words += ["--check", shlex.join(_typed(self.check))] if self.check else []
        return shlex.join([*words, "--", *_typed(self.command)])


def _typed(command: Sequence[str]) -> list[str]:
    """A command as people type it: `python` is this interpreter."""
    first, *rest = command
    return ["python" if first == sys.executable else first, *rest]


@dataclass(slots=True)
class Trials:
    """The runs of one program. clean: files that are there after it without a fault; names: the points that there are;
    reached: how often the clean run came by each."""

    settings: Settings
    clean: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    reached: dict[str, int] = field(default_factory=dict)

    def count(self, *, again: bool = False) -> None:
        """The clean run: what it reaches, what it leaves. again: it is then run where it has run before, as after a
        death.   Raises: DirtyProgram."""
        with self._staged() as stage:
            with tree() as shared:
                shared.block.sweep(COUNT)
                ended = self._execute(stage, shared.environment())
                self.names = shared.block.names()  # with those that the program declared
                self.reached = {name: row[0] for name, row in shared.counts().items()}
            self._must_succeed(ended, "the program {} without any fault")
            self._check(stage, clean=True)
            if again:
                self._must_succeed(self._again(stage), "run where it has run before, the program {} without any fault")
                self._check(stage, clean=True)
            self.clean = stage.files()

    def trial(self, points: Sequence[str], kind: Swept, n: int) -> Outcome:
        """One run with the n-th fault at points that are counted together. count() comes first."""
        began = time.monotonic()
        with self._staged() as stage:
            before = stage.files() if self.settings.scratch is None else frozenset()
            with tree() as shared:
                self._arm(shared, points, kind, n)
                ended = self._execute(stage, shared.environment())
                injected, errors = shared.injections(), shared.told()
                reached = {name: row[0] for name, row in shared.counts().items()}
            killed = kind == "kill" and bool(injected)
            check = self._check(stage)
            again = self._again(stage) if killed else None
            if again is not None and again.status in self.settings.allowed and (check is None or check.status == 0):
                check = self._check(stage)  # what it made of what it found must be right too
            left = frozenset(stage.files() - before - self.clean)
            stage.take_away(left)
        ending = Ending(ended, tuple(sorted(left)), killed, check, again)
        findings = findings_of(ending, self.settings.allowed, injected, errors, self.settings.timeout)
        return Outcome(
            trial=Trial(scenario=self.settings.title, kind=kind, n=n, points=",".join(points)),
            verdict="finding" if findings else "clean" if injected else "nothing injected",
            result="killed" if killed else ABORTED if aborted_by_interpreter(ended, injected) else _result_of(ended),
            injected=injected,
            findings=findings,
            reached=reached,
            seconds=time.monotonic() - began,
            again=self.settings.replay(points, kind, n),
            directory=os.getcwd(),
        )

    def series(self, wishes: Sequence[str], kind: Swept) -> list[tuple[str, ...]]:
        """What is swept one after the other for a kind.   Raises: UnknownPoint, PlanError, GrammarError."""
        found = series_of(wishes, self.names, chosen)
        return [tuple(dict.fromkeys(points_of(one) for series in found for one in series))] if kind == "kill" else found

    def selected(self, points: Sequence[str], kind: Swept, names: Sequence[str]) -> tuple[str, ...]:
        """The names that points mean for a kind."""
        meant = deadly if kind == "kill" else chosen
        return tuple(dict.fromkeys(name for one in points for name in meant(points_of(one), names)))

    def _arm(self, shared: Tree, points: Sequence[str], kind: Swept, n: int) -> None:
        for name in self.reached:
            shared.block.point(name)  # those that the program declares: the clean run met them
        program = None if kind == "kill" else nth_program(points[0], kind, n)
        if program is not None:
            process.apply((Setting(points_of(points[0]), program),), shared.block)
            return
        names = shared.block.names()
        shared.block.sweep(_NUMBER[kind], n, 0, [names.index(name) for name in self.selected(points, kind, names)])

    def _staged(self) -> AbstractContextManager[Stage]:
        return staged(self.settings.scratch, self.settings.watch)

    def _execute(self, stage: Stage, env: dict[str, str]) -> Ended:
        return execute(
            self.settings.command,
            env=stage.environment(env),
            directory=stage.directory,
            limit_s=self.settings.timeout,
        )

    def _again(self, stage: Stage) -> Ended:
        return self._execute(stage, _without_faults())

    def _check(self, stage: Stage, *, clean: bool = False) -> Ended | None:
        if not self.settings.check:
            return None
        ended = execute(
            self.settings.check,
            env=stage.environment(_without_faults()),
            directory=stage.directory,
            limit_s=self.settings.timeout,
            all_said=True,
        )
        if clean and ended.status != 0:
            raise DirtyProgram(f"the check {_how(ended.status)} without any fault. {ended.last}".rstrip())
        return ended

    def _must_succeed(self, ended: Ended, text: str) -> None:
        if ended.status not in self.settings.allowed:
            how = text.format(_how(ended.status))
            raise DirtyProgram(f"{how}: a sweep would say nothing. {ended.last}".rstrip())


def _without_faults() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FAULTINJ")}


def _how(status: int | None) -> str:
    return "did not end in time" if status is None else f"ends with status {status}"


def _result_of(ended: Ended) -> str:
    if ended.status is None:
        return "hang"
    if ended.status < 0:
        return signal.Signals(-ended.status).name
    return f"status {ended.status}" if ended.status else "success"
