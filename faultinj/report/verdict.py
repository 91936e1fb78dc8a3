"""What becomes of a fault run: how much of the catalogue was really made to fail, and whether that is enough.

Owns coverage as a figure and the exit status; every face of a report starts from here. Must not know how a trial is
run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from faultinj.record import Coverage, Finding, Outcome, SweepResult

__all__ = ["Gate", "Verdict", "state_of"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What a run must reach. coverage: percent of the points that have to be injected, of those that can be;
    findings: the most that are let pass."""

    coverage: float = 100.0
    findings: int = 0


@dataclass(frozen=True)
class Verdict:
    """A result under a gate."""

    result: SweepResult
    gate: Gate = Gate()

    @cached_property
    def reachable(self) -> tuple[Coverage, ...]:
        """The points that can be injected here: all but those that the run argues away and did not reach either."""
        argued = self.result.argued
        return tuple(point for point in self.result.points if point.injected or point.point not in argued)

    @property
    def coverage(self) -> float:
        """Percent of the reachable points at which a fault was really injected; 0 when there is no such point."""
        injected = sum(point.injected > 0 for point in self.reachable)
        return 100.0 * injected / len(self.reachable) if self.reachable else 0.0

    @cached_property
    def failures(self) -> tuple[str, ...]:
        """Why the run fails, one sentence each; none: it passes."""
        result, gate = self.result, self.gate
        found = len(result.findings)
        told = []
        if found > gate.findings:
            told.append(f"{found} findings, {gate.findings} are let pass")
        told.extend(f"nothing was ever injected in {scenario}: it proves nothing" for scenario in result.empty)
        if self.coverage < gate.coverage:
            told.append(f"{self.coverage:.1f} % of the points were injected, {gate.coverage:g} % are asked for")
        return tuple(told)

    @property
    def failed(self) -> bool:
        """Whether the exit status is 1."""
        return bool(self.failures)

    @cached_property
    def found(self) -> tuple[tuple[Outcome, Finding], ...]:
        """Every finding beside the trial that made it."""
        return tuple((outcome, finding) for outcome in self.result.outcomes for finding in outcome.findings)


def state_of(point: Coverage, argued: dict[str, str]) -> str:
    """What a point came to: "finding", "injected", "reached" (but never failed), "argued", or "never reached"."""
    if point.findings:
        return "finding"
    if point.injected:
        return "injected"
    if point.point in argued:
        return "argued"
    return "reached" if point.reached else "never reached"
