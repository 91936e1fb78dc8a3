"""What becomes of findings: new, known or suppressed. Owns the exit status; every face of a report starts from here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from witness.analysis.baseline import KnownFinding
from witness.analysis.findings import Analysis, Finding
from witness.analysis.suppressions import Suppression

__all__ = ["Verdict"]


@dataclass(frozen=True)
class Verdict:
    """An analysis after baseline and suppressions: each of its findings is in one of `new`, `known`, `suppressed`.

    `gone` are findings of the baseline that are no more. `expired` and `unused` are suppressions that do nothing.
    """

    analysis: Analysis
    new: tuple[Finding, ...]
    known: tuple[Finding, ...] = ()
    gone: tuple[KnownFinding, ...] = ()
    suppressed: tuple[tuple[Finding, Suppression], ...] = ()
    expired: tuple[Suppression, ...] = ()
    unused: tuple[Suppression, ...] = ()

    def failed(self, *, strict: bool = False) -> bool:
        """Whether something new was found that counts; what is unlikely counts only when `strict`."""
        return any(strict or finding.level != "unlikely" for finding in self.new)

    def state(self, finding: Finding) -> str:
        """`new`, `known` or `suppressed`."""
        return self._states.get(finding.key, "new")

    @cached_property
    def _states(self) -> dict[str, str]:
        suppressed = (finding for finding, _ in self.suppressed)
        return {one.key: "known" for one in self.known} | {one.key: "suppressed" for one in suppressed}
