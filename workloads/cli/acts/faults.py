"""The act of the faults: a small campaign in which everything that can fail in some operations does, one by one.

Owns which operations, what is printed, and the coverage page. The act is good when nothing was found and no operation
was left out of the faults. The operations are so chosen that every point fails at least once; that it does so in every
place is the whole sweep's to show.
"""

from __future__ import annotations

from pathlib import Path

import typer

from shmalloc.cli import screen
from workloads.cli.outcome import save_page
from workloads.records import FaultsResult

FAULTS = (
    "Everything that can fail in a few operations is made to fail, one place after the other, and killed at every step"
)
SCENARIOS = (
    *("zone.alloc", "callback.secondary", "malloc.small", "lock.mutex", "queue.put"),
    *("mbuf.getcl", "mac.label", "sockbuf.append"),
    *("arena.create.fenced", "process.fork", "process.attach", "recovery.reap"),
)
_MOST = 100  # trials of a scenario and kind: a sample that ends soon


def perform(seed: int, page: Path, *, quiet: bool) -> FaultsResult:
    """Run the act, write the page, and print unless quiet.

    Parameters: seed: of the scenarios' own randomness; page: where the coverage page goes.
    """
    # Imported here: the injector takes its time, and only this needs it.
    from faultinj.report.page import coverage_page
    from faultinj.report.tables import findings_table, matrix_table, summary
    from faultinj.report.verdict import Gate, Verdict
    from faultinj.sweep import load, select
    from faultinj.sweep.driver import Sweep

    load(())
    result = Sweep(select(SCENARIOS), seed=seed, most=_MOST, oracles=()).run()
    verdict = Verdict(result, Gate(coverage=0.0))
    if not quiet:
        typer.echo()
        screen.say(FAULTS, style="bold")
        typer.echo()
        screen.show(matrix_table(verdict))
        if verdict.found:
            screen.show(findings_table(verdict), title=True)
        screen.say(summary(verdict), style="red" if verdict.failed else "green")
    save_page(coverage_page(verdict), page)
    return FaultsResult(
        trials=result.trials,
        injected=result.injected,
        findings=len(result.findings),
        coverage=round(verdict.coverage, 1),
        page=str(page),
        ok=not verdict.failed,
    )
