"""How much of a campaign is left, learnt from the cells that are done. Pure functions.

Nobody knows beforehand how many trials a cell has: it ends when a run injected nothing. But the kinds of one scenario
reach about the same points, and scenarios are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

import msgspec

from faultinj.campaign.state import CellState

__all__ = ["Forecast", "forecast"]

_OVERDUE = 1.25  # a cell that has outgrown what was expected of it is expected to grow on by a quarter


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What is to come. `trials`: of the whole campaign, those done too; `seconds`: that the rest takes, None while too
    little is known."""

    trials: int
    seconds: float | None


def forecast(cells: Sequence[CellState], *, pace: float) -> Forecast:
    """Expect of each unfinished cell what finished ones of its scenario came to, else those of its kind, else all.

    Parameters: pace: seconds of wall time for each second of a trial, so far: less than 1 with several workers.
    """
    done = [cell for cell in cells if cell.done]
    total, left_s, known = 0.0, 0.0, True
    for cell in cells:
        expected = float(cell.trials)
        if not cell.done:
            alike = _most_alike(cell, done)
            timed = [c for c in alike if c.trials] or ([cell] if cell.trials else [])
            known = known and bool(timed)
            expected = _expected(cell, alike)
            left_s += (expected - cell.trials) * (fmean(c.seconds / c.trials for c in timed) if timed else 0.0)
        total += expected
    return Forecast(trials=round(total), seconds=left_s * pace if known else None)


def _most_alike(cell: CellState, done: Iterable[CellState]) -> list[CellState]:
    """Finished cells to learn from. A kill costs a process and has its own points, so it is learnt from kills alone."""
    same = [c for c in done if (c.kind == cell.kind) or not {"kill", "kill-pair"} & {c.kind, cell.kind}]
    for choice in (
        [c for c in same if c.scenario == cell.scenario and c.points == cell.points],
        [c for c in same if c.kind == cell.kind and c.points == cell.points],
        same,
    ):
        if choice:
            return choice
    return list(done)


def _expected(cell: CellState, alike: Sequence[CellState]) -> float:
    most = float("inf") if cell.most is None else float(cell.most)
    if not alike:
        return min(most, cell.trials + 1.0) if cell.most is None else most
    learnt = fmean(c.trials for c in alike)
    return min(most, learnt if learnt > cell.trials else cell.trials * _OVERDUE + 1)
