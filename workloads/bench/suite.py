"""One whole benchmark run. Owns which levels are measured and with how much patience; prints nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from workloads.bench.catalogue import CASES, wanted
from workloads.bench.forwarding import measure_forward
from workloads.bench.lockreport import measure_lock_report
from workloads.bench.machine import read_machine, usable_cores
from workloads.bench.messages import measure_messages
from workloads.bench.native import measure_native
from workloads.bench.records import FORMAT, BenchReport
from workloads.bench.round import Progress, Tableau
from workloads.bench.statements import measure_statements
from workloads.bench.sweeps import ALLOCATOR, measure_sweep
from workloads.bench.targets import judge
from workloads.bench.watched import measure_watched

RUNS = 11
RUNS_QUICK = 3
BUDGET_MS = 20.0
BUDGET_MS_QUICK = 5.0
FORWARD_S = 2.0
FORWARD_S_QUICK = 0.5
SWEPT_QUICK = ("allocator",)
WATCHED_S = 0.3
WATCHED_S_QUICK = 0.1


class NothingSelected(ValueError):
    """A pattern matches no case. Carries the pattern."""

    def __init__(self, only: str) -> None:
        super().__init__(f"no case matches {only!r}; cases: {', '.join(case.name for case in CASES)}")
        self.only = only


def run_suite(
    *, only: str | None = None, quick: bool = False, repeat: int | None = None, progress: Progress = lambda _: None
) -> BenchReport:
    """Measures every wanted case against the peers that are installed.

    Parameters: only: glob over case names; quick: fewer and shorter runs; repeat: runs of each subject, default 11
    (quick: 3); progress: called with each finished step.
    Raises NothingSelected: the glob matches no case.   Concurrency: one at a time on a machine, or both are noise.
    """
    if only is not None and not any(wanted(only, case.name) for case in CASES):
        raise NothingSelected(only)
    runs = repeat if repeat is not None else (RUNS_QUICK if quick else RUNS)
    cores = usable_cores()
    pair = (cores[0], cores[1] if len(cores) > 1 else cores[0])
    tableau = Tableau()
    measure_native(
        tableau,
        only=only,
        repeat=runs,
        budget_ms=BUDGET_MS_QUICK if quick else BUDGET_MS,
        cores=pair,
        progress=progress,
    )
    measure_statements(tableau, only=only, repeat=runs, progress=progress)
    measure_messages(tableau, only=only, repeat=runs, cores=pair, progress=progress)
    measure_forward(
        tableau,
        only=only,
        repeat=runs,
        seconds=FORWARD_S_QUICK if quick else FORWARD_S,
        cores=len(cores),
        progress=progress,
    )
    measure_lock_report(tableau, only=only, repeat=runs, progress=progress)
    measure_sweep(
        tableau,
        only=only,
        repeat=runs,
        groups=SWEPT_QUICK if quick else ALLOCATOR,
        cores=len(cores),
        progress=progress,
    )
    measure_watched(tableau, only=only, repeat=runs, seconds=WATCHED_S_QUICK if quick else WATCHED_S, progress=progress)
    samples, skips = tableau.samples(), tableau.skips()
    return BenchReport(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        quick=quick,
        repeat=runs,
        machine=read_machine(),
        samples=samples,
        skips=skips,
        verdicts=judge(samples, skips),
    )
