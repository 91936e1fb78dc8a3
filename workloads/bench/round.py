"""Collects the runs of every (case, subject) and turns them into samples. Owns best and median; measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from workloads.bench.catalogue import case as case_of
from workloads.bench.records import MORE_IS_BETTER, Sample, Skip

Progress = Callable[[str], None]
"""Called once for each finished step, with what it was."""


class Tableau:
    """Runs gathered so far."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[float]] = {}
        self._notes: dict[tuple[str, str], str] = {}
        self._skips: dict[tuple[str, str], str] = {}

    def add(self, case: str, subject: str, value: float, *, note: str = "") -> None:
        """One run's figure."""
        self._runs.setdefault((case, subject), []).append(value)
        if note:
            self._notes[case, subject] = note

    def skip(self, case: str, subject: str, reason: str) -> None:
        """The subject cannot be measured; runs it already has are dropped."""
        self._skips[case, subject] = reason
        self._runs.pop((case, subject), None)

    def samples(self) -> tuple[Sample, ...]:
        """A sample for each subject with runs. The best is the least, or for a speed-up or a rate the greatest."""
        made = []
        for (case, subject), runs in self._runs.items():
            unit = case_of(case).unit
            made.append(
                Sample(
                    case=case,
                    subject=subject,
                    unit=unit,
                    best=max(runs) if unit in MORE_IS_BETTER else min(runs),
                    median=statistics.median(runs),
                    runs=len(runs),
                    turns=tuple(runs),
                    note=self._notes.get((case, subject), ""),
                )
            )
        return tuple(made)

    def skips(self) -> tuple[Skip, ...]:
        """What could not be measured."""
        return tuple(Skip(case=case, subject=subject, reason=reason) for (case, subject), reason in self._skips.items())
