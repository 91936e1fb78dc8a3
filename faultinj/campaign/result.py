"""A campaign's store summed up as the record that reports read. Owns the sums; must not judge them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from faultinj.campaign.state import CellState
from faultinj.campaign.store import Store
from faultinj.record import Cell, Coverage, Finding, Kind, Outcome, SweepResult

__all__ = ["result_of"]


@dataclass
class _Sums:
    """Counts of trials by point, unless said otherwise."""

    reached: Counter[str] = field(default_factory=Counter)  # times
    injected: Counter[str] = field(default_factory=Counter)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    scenarios: Counter[str] = field(default_factory=Counter)  # injections by scenario
    cells: Counter[tuple[str, Kind, str, int]] = field(default_factory=Counter)  # trials that injected, by cell

    def add(self, outcome: Outcome) -> None:
        trial = outcome.trial
        self.reached.update(outcome.reached)
        points = {one.point for one in outcome.injected}
        self.injected.update(points)
        self.ended.update((point, _ending(outcome)) for point in points)
        self.scenarios[trial.scenario] += len(outcome.injected)
        self.cells[(trial.scenario, trial.kind, trial.points, trial.seed)] += bool(outcome.injected)


def result_of(store: Store) -> SweepResult:
    """Sum up a store.

    Returns: a result whose outcomes are those with findings; each finding's detail begins with the id of its trial.
    Globs and seeds of one scenario and kind are one cell of it. What was not run yet is counted nowhere.
    """
    sums, found = _Sums(), []
    for outcome in store.outcomes():
        sums.add(outcome)
        if outcome.findings:
            found.append(outcome)
    errors, argued = store.points, store.argued
    names = [*errors, *sorted((sums.reached | sums.injected).keys() - errors.keys())]
    cells = store.cells()
    return SweepResult(
        program=f"faultinj campaign {store.campaign.campaign.name}",
        version=store.version,
        started=store.started,
        seconds=sum(run.seconds for run in store.runs()),
        seed=cells[0].seed if cells else 0,
        trials=sum(cell.trials for cell in cells),
        injected=sums.cells.total(),
        findings=tuple(_placed(outcome, finding) for outcome in found for finding in outcome.findings),
        never_reached=tuple(name for name in names if not sums.reached[name] and name not in argued),
        empty=tuple(name for name in dict.fromkeys(c.scenario for c in cells if c.trials) if not sums.scenarios[name]),
        argued={name: reason for name, reason in argued.items() if not sums.reached[name]},
        points=tuple(_coverage(name, errors.get(name, ""), sums) for name in names),
        cells=_cells(cells, sums),
        outcomes=tuple(found),
    )


def _ending(outcome: Outcome) -> str:
    if outcome.findings:
        return "findings"
    if outcome.result == "killed":
        return "killed"
    return "success" if outcome.result == "success" else "clean_error"


def _placed(outcome: Outcome, finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, detail=f"{outcome.trial.id}: {finding.detail}")


def _coverage(point: str, error: str, sums: _Sums) -> Coverage:
    return Coverage(
        point=point,
        error=error,
        reached=sums.reached[point],
        injected=sums.injected[point],
        success=sums.ended[point, "success"],
        clean_error=sums.ended[point, "clean_error"],
        killed=sums.ended[point, "killed"],
        findings=sums.ended[point, "findings"],
    )


def _cells(cells: tuple[CellState, ...], sums: _Sums) -> tuple[Cell, ...]:
    grouped: dict[tuple[str, Kind], list[CellState]] = {}
    for cell in cells:
        grouped.setdefault((cell.scenario, cell.kind), []).append(cell)
    return tuple(
        Cell(
            scenario=scenario,
            kind=kind,
            trials=sum(cell.trials for cell in group),
            injected=sum(sums.cells[(scenario, kind, cell.points, cell.seed)] for cell in group),
            exhausted=all(cell.exhausted for cell in group),
            findings=sum(cell.findings for cell in group),
            seconds=sum(cell.seconds for cell in group),
        )
        for (scenario, kind), group in grouped.items()
    )
