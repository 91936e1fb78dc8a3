"""The coverage matrix: each point of the catalogue against what came of failing there.

Owns the sums over outcomes. A run that reached a point counts there with what it passed by; a run that injected a fault
counts, once for each point it injected at, with how it ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from faultinj.catalogue import FaultPoint
from faultinj.record import Coverage, Outcome

__all__ = ["CRASH", "coverage", "joined"]

CRASH = "crash point"
"""The row of the kills: crash points have steps, not names."""


def coverage(outcomes: Iterable[Outcome], points: Sequence[FaultPoint]) -> tuple[Coverage, ...]:
    """Sum outcomes by point.

    Parameters: outcomes: all of a run, also those without a finding; points: the catalogue, each of which gets a row.
    Returns: a row for each point of the catalogue in its order, then points that outcomes name besides, by name.
    """
    reached: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    ended: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        reached.update(outcome.reached)
        injected.update(injection.point for injection in outcome.injected)
        end = "findings" if outcome.findings else _END.get(outcome.result, "clean_error")
        for name in {injection.point for injection in outcome.injected}:
            ended.setdefault(name, Counter())[end] += 1
    errors = {point.name: point.error for point in points}
    more = sorted((reached.keys() | injected.keys()) - errors.keys())
    return tuple(
        Coverage(
            point=name,
            error=errors.get(name, "SIGKILL" if name == CRASH else ""),
            # An injection is a reaching, also where nobody counts what goes by.
            reached=max(reached[name], injected[name]),
            injected=injected[name],
            success=ended.get(name, _NONE)["success"],
            clean_error=ended.get(name, _NONE)["clean_error"],
            killed=ended.get(name, _NONE)["killed"],
            findings=ended.get(name, _NONE)["findings"],
        )
        for name in (*errors, *more)
    )


def joined(several: Iterable[Sequence[Coverage]]) -> tuple[Coverage, ...]:
    """The rows of several runs as of one, in the order in which their points come first."""
    rows: dict[str, Coverage] = {}
    for run in several:
        for row in run:
            known = rows.get(row.point)
            rows[row.point] = row if known is None else _sum(known, row)
    return tuple(rows.values())


_END = {"success": "success", "killed": "killed"}
_NONE: Counter[str] = Counter()


def _sum(one: Coverage, other: Coverage) -> Coverage:
    return Coverage(
        point=one.point,
        error=one.error or other.error,
        reached=one.reached + other.reached,
        injected=one.injected + other.injected,
        success=one.success + other.success,
        clean_error=one.clean_error + other.clean_error,
        killed=one.killed + other.killed,
        findings=one.findings + other.findings,
    )
