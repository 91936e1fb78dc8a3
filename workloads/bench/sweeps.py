"""How many trials a second a sweep makes: every fault of the allocator, transient and persistent, with every oracle.

Owns which scenarios are the allocator's and the two figures. The sweep is the one that `faultinj sweep` runs, on as
many cores as may be used.
"""

from __future__ import annotations

from faultinj.sweep import load, select
from faultinj.sweep.driver import Sweep
from workloads.bench.catalogue import wanted
from workloads.bench.round import Progress, Tableau
from workloads.bench.targets import SWEPT, SWEPT_UNWATCHED

__all__ = ["ALLOCATOR", "CASE", "measure_sweep"]

CASE = "fault.sweep"
ALLOCATOR = ("allocator", "arena", "callback", "figures", "item", "malloc", "zone")
"""Groups of scenarios that are the allocator's own: not mbufs, queues, locks, nor what they are used for."""
TURNS_MOST = 2


def measure_sweep(
    tableau: Tableau, *, only: str | None, repeat: int, groups: tuple[str, ...], cores: int, progress: Progress
) -> None:
    """Sweeps the scenarios of some groups to the end, at most TURNS_MOST times, with witness as an oracle and without.

    A sweep with findings is skipped with the first of them: its trials are not those of a clean one.
    """
    if not wanted(only, CASE):
        return
    load()
    chosen = tuple(one for one in select(()) if one.group in groups)
    turns = min(repeat, TURNS_MOST)
    for turn in range(turns):
        for subject, oracles in ((SWEPT, None), (SWEPT_UNWATCHED, ())):
            result = Sweep(chosen, kinds=("transient", "persistent"), jobs=cores, oracles=oracles).run()
            if result.findings:
                tableau.skip(CASE, subject, f"{len(result.findings)} findings, first {result.findings[0].detail}")
                return
            note = f"{len(chosen)} scenarios, {result.trials:,} trials, {result.injected:,} faults"
            tableau.add(CASE, subject, result.trials / result.seconds, note=note)
        progress(f"sweep, run {turn + 1} of {turns}")
