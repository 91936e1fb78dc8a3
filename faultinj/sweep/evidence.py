"""What is known after a run, for the oracle to judge. Owns the record; judges nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from faultinj.record import Injection
from faultinj.sweep.registry import Scenario
from shmalloc import Arena

__all__ = ["Evidence", "expected_codes"]


@dataclass(slots=True)
class Evidence:
    """One run of a scenario that is over; faults are off.

    arena: the scenario's, open; None when it has none any more. error: what the scenario raised. failed: allocations of
    each zone, failed_types:
    of each malloc type, that it saw fail; uncounted: zones whose fails are not the scenario's to count. died: it was
    killed. errors_by_point: the code that each point reports. unraisable: what could only be written to standard error.
    promises: the scenario's own checks. raised: the errors that points raised which Python declares.
    """

    scenario: Scenario
    name: str
    arena: Arena | None
    error: BaseException | None = None
    injected: tuple[Injection, ...] = ()
    failed: Mapping[str, int] = field(default_factory=dict)
    failed_types: Mapping[str, int] = field(default_factory=dict)
    uncounted: frozenset[str] = frozenset()
    died: bool = False
    errors_by_point: Mapping[str, str] = field(default_factory=dict)
    unraisable: tuple[BaseException, ...] = ()
    promises: Sequence[Callable[[], str | None]] = ()
    raised: tuple[BaseException, ...] = ()


def expected_codes(evidence: Evidence) -> frozenset[str]:
    """Codes of the core that the scenario may end with: those of the injected points, and what it documents."""
    codes = set(evidence.scenario.errors)
    for injection in evidence.injected:
        inside = injection.action.partition("(")[2].rstrip(")")
        codes.add(f"SM_{inside}" if inside and not inside.startswith("SM_") else inside)
        codes.add(evidence.errors_by_point.get(injection.point, ""))
    return frozenset(codes - {""})
