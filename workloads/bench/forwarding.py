"""How forwarding scales: the workload `forward` by two processes over the same by one, in turns.

Owns the two figures. The first is what a user sees: packets a second. The second takes the CPU time that the processes
got instead of the time that passed: what it loses is the allocator's, what the first one loses besides went to waiting,
for each other or for a core that somebody else had.
"""

from __future__ import annotations

from workloads.bench.catalogue import wanted
from workloads.bench.round import Progress, Tableau
from workloads.bench.targets import FORWARD, FORWARD_CPU
from workloads.records import RunResult, Settings
from workloads.runner import run_workload

CASE = "mbuf.forward"
TURNS_MOST = 5


class NotClean(Exception):
    """A run found something: its speed means nothing. Carries the result."""

    def __init__(self, result: RunResult) -> None:
        kinds = sorted({violation.kind for violation in result.violations})
        super().__init__(f"forward on {result.cpus} processes is not clean: {', '.join(kinds) or 'leak or finding'}")
        self.result = result


def measure_forward(
    tableau: Tableau, *, only: str | None, repeat: int, seconds: float, cores: int, progress: Progress
) -> None:
    """Forwards for so many seconds with one process and with two, at most TURNS_MOST times."""
    if not wanted(only, CASE):
        return
    if cores < 2:
        for subject in (FORWARD, FORWARD_CPU):
            tableau.skip(CASE, subject, "one core: two processes would take turns on it")
        return
    turns = min(repeat, TURNS_MOST)
    for turn in range(turns):
        try:
            one, two = (_run(cpus, seconds, turn) for cpus in (1, 2))
        except NotClean as why:
            tableau.skip(CASE, FORWARD, str(why))
            tableau.skip(CASE, FORWARD_CPU, str(why))
            return
        note = f"{two.ops_per_second:,.0f} over {one.ops_per_second:,.0f} a second in the last run"
        tableau.add(CASE, FORWARD, two.ops_per_second / one.ops_per_second, note=note)
        tableau.add(CASE, FORWARD_CPU, 2 * _per_cpu_second(two) / _per_cpu_second(one))
        progress(f"forwarding, run {turn + 1} of {turns}")


def _run(cpus: int, seconds: float, seed: int) -> RunResult:
    result = run_workload(Settings(workload="forward", cpus=cpus, seconds=seconds, seed=seed))
    if not result.ok or not result.ops:
        raise NotClean(result)
    return result


def _per_cpu_second(result: RunResult) -> float:
    return result.ops / sum(worker.tally.cpu_s for worker in result.workers if worker.tally is not None)
