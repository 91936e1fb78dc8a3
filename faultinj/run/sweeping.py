"""One program swept: it runs with the n-th fault for n = 1, 2, ... until a run injects nothing.

Owns the order of the runs and the sums. Must not run anything itself: that is ``trials``.
Source: the allocation-failure loops of SQLite's and OpenSSL's tests; kills between calls, and a check of what is left:
ALICE.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from faultinj import declared
from faultinj.record import Cell, Coverage, Outcome, SweepResult
from faultinj.run.places import PLACES, SystemPoint
from faultinj.run.trials import Settings, Swept, Trials

__all__ = ["DEFAULT_POINTS", "ProgramSweep"]

DEFAULT_POINTS = ("*",)
"""All but memory.alloc, which a program reaches thousands of times: it is swept when it is named."""


@dataclass(slots=True)
class ProgramSweep:
    """A sweep of one program. points: names, globs, or POINTS=nth:ACTION; limit: the most n of a series, 0: none; told:
    called after each run."""

    settings: Settings
    points: Sequence[str] = DEFAULT_POINTS
    kinds: Sequence[Swept] = ("transient", "persistent")
    limit: int = 0
    told: Callable[[Outcome], None] | None = None
    _outcomes: list[Outcome] = field(default_factory=list)
    _cells: list[Cell] = field(default_factory=list)

    def run(self) -> SweepResult:
        """The whole sweep: a clean run that counts, then each kind.

        Raises: DirtyProgram: the program fails without a fault; UnknownPoint: no point matches; PlanError,
        GrammarError: an action cannot be; OSError.
        """
        started, began = datetime.datetime.now(datetime.UTC), time.monotonic()
        trials = Trials(self.settings)
        trials.count(again="kill" in self.kinds)
        for kind in self.kinds:
            for points in trials.series(self.points, kind):
                self._sweep(trials, points, kind)
        return self._result(trials, started.isoformat(timespec="seconds"), time.monotonic() - began)

    def trial(self, kind: Swept, n: int) -> Outcome:
        """One run of the sweep, after the clean one. points: those of its series.   Raises: as run()."""
        trials = Trials(self.settings)
        trials.count(again=kind == "kill")
        return trials.trial(trials.series(self.points, kind)[0], kind, n)

    def _sweep(self, trials: Trials, points: tuple[str, ...], kind: Swept) -> None:
        n, injected, findings, exhausted, began = 1, 0, 0, False, time.monotonic()
        while not self.limit or n <= self.limit:
            outcome = trials.trial(points, kind, n)
            self._outcomes.append(outcome)
            findings += len(outcome.findings)
            if self.told is not None:
                self.told(outcome)
            if not outcome.injected:
                exhausted = not outcome.findings
                break
            injected += 1
            n += 1
        self._cells.append(
            Cell(
                scenario=self.settings.title,
                kind=kind,
                trials=n if n <= self.limit or not self.limit else self.limit,
                injected=injected,
                exhausted=exhausted,
                findings=findings,
                seconds=time.monotonic() - began,
            )
        )

    def _result(self, trials: Trials, started: str, seconds: float) -> SweepResult:
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
            empty=() if injected else (self.settings.title,),
            argued={},
            points=self._coverage(trials),
            cells=tuple(self._cells),
            outcomes=tuple(outcome for outcome in self._outcomes if outcome.findings),
        )

    def _coverage(self, trials: Trials) -> tuple[Coverage, ...]:
        """The points that the program comes by: others are not its own to reach."""
        errors = {place.name: SystemPoint(place).record.error for place in PLACES}
        errors |= {point.name: point.error for point in declared.all_points() if point.name not in errors}
        swept = {name for kind in self.kinds for name in trials.selected(self.points, kind, trials.names)}
        sums: dict[str, Counter[str]] = {name: Counter() for name in trials.reached if name in swept}
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
                reached=row["reached"] + trials.reached.get(name, 0),
                injected=row["injected"],
                success=row["success"],
                clean_error=row["clean_error"],
                killed=row["killed"],
                findings=row["findings"],
            )
            for name, row in sums.items()
        )


def _column(outcome: Outcome) -> str:
    if outcome.findings:
        return "findings"
    return outcome.result if outcome.result in ("success", "killed") else "clean_error"
