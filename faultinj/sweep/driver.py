"""The sweep over scenarios and kinds, on several templates at once. Owns the order of the work and the sums.

Each cell is cut into tasks of consecutive n, because nobody knows beforehand how many there are: a worker takes the
next
piece of the cell at hand, and the cell ends with the piece whose last run injected nothing. Must not print: whoever
calls is told of each step.
"""

import datetime
import importlib.metadata
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from faultinj.declared import all_points
from faultinj.record import Cell, Coverage, Finding, Kind, Outcome, SweepResult, Trial
from faultinj.sweep.argued import ARGUED
from faultinj.sweep.course import Task
from faultinj.sweep.nursery import Nursery, clear_arenas
from faultinj.sweep.registry import Scenario, loaded

__all__ = ["KINDS", "Progress", "Sweep"]

KINDS: tuple[Kind, ...] = ("transient", "persistent", "kill")
"""What a sweep tries unless told otherwise."""

_PIECE = 64  # trials of a task
_PAIRED = ("pair", "kill-pair")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep is. expected: trials in all, as far as they are known by now; cell: "scenario/kind" at hand."""

    trials: int
    expected: int
    findings: int
    cell: str


@dataclass(slots=True)
class _Tally:
    """The sums of one cell."""

    scenario: Scenario
    kind: Kind
    next: int = 1
    open: int = 0
    ended: bool = False
    exhausted: bool = False
    beyond: bool = False
    trials: int = 0
    injected: int = 0
    findings: int = 0
    seconds: float = 0.0
    expected: int = 0

    @property
    def left(self) -> int:
        return 0 if self.ended else max(0, self.expected - self.trials)


@dataclass(slots=True)
class _PointTally:
    reached: int = 0
    injected: int = 0
    success: int = 0
    clean_error: int = 0
    killed: int = 0
    findings: int = 0


@dataclass
class Sweep:
    """A sweep to be run. points: glob; pairs: bound of pairs for each cell of two faults, 0: those kinds are left out.

    keep_all: keep every outcome, not only those with findings. told: called after each trial, from any thread.
    """

    scenarios: Sequence[Scenario]
    kinds: Sequence[Kind] = KINDS
    points: str = "*"
    pairs: int = 0
    jobs: int = 2
    seed: int = 0
    keep_all: bool = False
    most: int = 0
    oracles: Sequence[str] | None = None
    told: Callable[[Progress, Outcome], None] | None = None
    program: str = "faultinj sweep"
    _cells: list[_Tally] = field(default_factory=list)
    _points: dict[str, _PointTally] = field(default_factory=dict)
    _outcomes: list[Outcome] = field(default_factory=list)
    _findings: list[Finding] = field(default_factory=list)
    _injected_in: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _errors: "queue.SimpleQueue[BaseException]" = field(default_factory=queue.SimpleQueue)
    _stop: bool = False
    _started: str = ""
    _start: float = 0.0

    def run(self) -> SweepResult:
        """Run it to the end. Returns: what came of it.

        Raises: NurseryLost; KeyboardInterrupt: after every victim and every arena is gone; so_far() tells the rest.
        """
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._start = time.perf_counter()
        self._cells = [_Tally(s, kind) for s in self.scenarios for kind in self._kinds_of(s)]
        self._points = {point.name: _PointTally() for point in all_points()}
        nurseries = [Nursery() for _ in range(max(1, self.jobs))]
        uncounted: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
        for scenario in self.scenarios:
            uncounted.put(scenario)
        threads = [threading.Thread(target=self._work, args=(n, uncounted), daemon=True) for n in nurseries]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # a wait without end would not let Ctrl-C in
            if not self._errors.empty():
                raise self._errors.get()
        finally:
            self._stop = True
            for one in nurseries:
                one.close()
            clear_arenas()
        return self._result(tuple(s.name for s in self.scenarios))

    def so_far(self) -> SweepResult:
        """What came of a sweep that was interrupted: of scenarios that are not through, it says nothing but what was
        tried."""
        open_ones = {cell.scenario.name for cell in self._cells if not cell.ended}
        with self._lock:
            return self._result(tuple(s.name for s in self.scenarios if s.name not in open_ones))

    def _kinds_of(self, scenario: Scenario) -> list[Kind]:
        wanted = [*self.kinds]
        if self.pairs:
            wanted += [kind for kind in ("pair", "kill-pair") if kind not in wanted]
        return [k for k in wanted if k in scenario.kinds and not (self.points != "*" and k == "kill")]

    # ------------------------------------------------------------ the workers

    def _work(self, nursery: Nursery, uncounted: "queue.SimpleQueue[Scenario]") -> None:
        try:
            while not self._stop:
                try:
                    scenario = uncounted.get_nowait()
                except queue.Empty:
                    break
                self._count(nursery, scenario)
            while not self._stop and (piece := self._take()) is not None:
                self._run(nursery, *piece)
        except BaseException as error:  # noqa: BLE001 - the thread that waits for us raises it
            self._stop = True
            self._errors.put(error)

    def _count(self, nursery: Nursery, scenario: Scenario) -> None:
        trial = Trial(scenario=scenario.name, kind="transient", n=0, points=self.points, seed=self.seed)
        task = Task(trial=trial, counting=True, modules=loaded(), oracles=self.oracles)
        for outcome in nursery.run(task):
            with self._lock:
                self._note_points(outcome)
                self._note_findings(outcome)
                for cell in self._cells:
                    if cell.scenario is scenario:
                        cell.expected = sum(outcome.reached.values()) + 1

    def _take(self) -> tuple[_Tally, Task] | None:
        """The next piece of work: of a cell that nobody is at, if there is one, else the next piece of one in work."""
        with self._lock:
            cells = [cell for cell in self._cells if not cell.ended and not (cell.kind in _PAIRED and cell.open)]
            if not cells:
                return None
            cell = min(cells, key=lambda one: (one.open, -one.expected))
            first, last = cell.next, cell.next + _PIECE - 1
            if self.most:
                last = min(last, self.most)
            if cell.kind in _PAIRED:
                last = 0
            cell.next += _PIECE
            cell.open += 1
            trial = Trial(scenario=cell.scenario.name, kind=cell.kind, n=first, points=self.points, seed=self.seed)
            return cell, Task(trial=trial, last=last, pairs=self.pairs, modules=loaded(), oracles=self.oracles)

    def _run(self, nursery: Nursery, cell: _Tally, task: Task) -> None:
        for outcome in nursery.run(task):
            with self._lock:
                self._note(cell, outcome)
                progress = self._progress(cell)
            if self.told is not None:
                self.told(progress, outcome)
            if self._stop:
                return
        with self._lock:
            cell.open -= 1
            cell.exhausted |= nursery.exhausted
            cut = cell.kind in _PAIRED or (self.most and cell.next > self.most)
            cell.ended |= nursery.exhausted or bool(cut)

    def _progress(self, cell: _Tally) -> Progress:
        done = sum(one.trials for one in self._cells)
        expected = done + sum(one.left for one in self._cells)
        return Progress(done, expected, len(self._findings), f"{cell.scenario.name}/{cell.kind}")

    # ------------------------------------------------------------ the sums

    def _note(self, cell: _Tally, outcome: Outcome) -> None:
        if not outcome.injected and not outcome.findings:
            if cell.beyond:
                return  # another worker looked beyond the end, too
            cell.beyond = True
        cell.trials += 1
        cell.injected += bool(outcome.injected)
        cell.findings += len(outcome.findings)
        cell.seconds += outcome.seconds
        self._injected_in[cell.scenario.name] += len(outcome.injected)
        self._note_points(outcome)
        self._note_findings(outcome)

    def _note_findings(self, outcome: Outcome) -> None:
        if outcome.findings or self.keep_all:
            self._outcomes.append(outcome)
        self._findings += [
            msgspec.structs.replace(finding, detail=f"{outcome.trial.id}: {finding.detail}")
            for finding in outcome.findings
        ]

    def _note_points(self, outcome: Outcome) -> None:
        for name, count in outcome.reached.items():
            self._points.setdefault(name, _PointTally()).reached += count
        for name in {injection.point for injection in outcome.injected}:
            tally = self._points.setdefault(name, _PointTally())
            tally.injected += 1
            if outcome.findings:
                tally.findings += 1
            elif outcome.result == "killed":
                tally.killed += 1
            elif outcome.result == "success":
                tally.success += 1
            else:
                tally.clean_error += 1

    def _result(self, through: tuple[str, ...]) -> SweepResult:
        codes = {point.name: point.error for point in all_points()}
        rows = tuple(
            Coverage(
                point=name,
                error=codes.get(name, ""),
                reached=t.reached,
                injected=t.injected,
                success=t.success,
                clean_error=t.clean_error,
                killed=t.killed,
                findings=t.findings,
            )
            for name, t in self._points.items()
        )
        cells = tuple(
            Cell(
                scenario=c.scenario.name,
                kind=c.kind,
                trials=c.trials,
                injected=c.injected,
                exhausted=c.exhausted,
                findings=c.findings,
                seconds=c.seconds,
            )
            for c in self._cells
        )
        never = tuple(row.point for row in rows if not row.reached and row.point not in ARGUED)
        return SweepResult(
            program=self.program,
            version=importlib.metadata.version("shmalloc"),
            started=self._started,
            seconds=time.perf_counter() - self._start,
            seed=self.seed,
            trials=sum(cell.trials for cell in cells),
            injected=sum(cell.injected for cell in cells),
            findings=tuple(self._findings),
            never_reached=never,
            empty=tuple(name for name in through if not self._injected_in[name]),
            argued=dict(ARGUED),
            points=rows,
            cells=cells,
            outcomes=tuple(self._outcomes),
        )
