"""The act of the locks: what may sleep under a lock, and an order that two processes reverse; both told by witness.

Owns what is run, what it prints, and the lock-order page of both. The act is good when witness found what was planted,
and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import typer

from shmalloc.cli import screen
from workloads.cli.outcome import FOUND, carry_out, complain, save_page, show_act, show_watch
from workloads.records import LocksResult, RunResult, Settings, WatchRecord
from workloads.report.tables import reversal_verdict

RIP = "A routing daemon asks for memory with M_WAITOK while it holds a lock: witness says so, and forces M_NOWAIT"
REVERSAL = "Two processes take two mutexes in opposite order, one after the other: nothing blocks, and witness tells"


def perform(seconds: float, seed: int, page: Path, *, quiet: bool) -> LocksResult:
    """Run the act, write the page, and print as it goes unless quiet.

    Parameters: seconds: of rip; page: where the lock-order page goes.
    """
    rip = carry_out(Settings(workload="rip", cpus=2, seconds=seconds, seed=seed, witness=True))
    if not quiet:
        show_act(rip, RIP, netstat=False)
    reversal = _reversed()
    if not quiet:
        typer.echo()
        screen.say(REVERSAL, style="bold")
        typer.echo()
        show_watch(reversal)
        screen.say(reversal_verdict(reversal), style="green" if planted(reversal) else "red")
    save_page(_page(rip, reversal), page)
    return LocksResult(rip=rip, reversal=reversal, page=str(page), ok=rip.ok and _told(rip) and planted(reversal))


def planted(record: WatchRecord) -> bool:
    """Whether exactly the reversal was found, with two processes in it."""
    return (
        [finding.rule for finding in record.findings] == ["lock-order-reversal"]
        and len(record.findings[0].processes) == 2
        and record.off_reason is None
    )


def _told(rip: RunResult) -> bool:
    return rip.witness is not None and any(finding.intended for finding in rip.witness.findings)


def _reversed() -> WatchRecord:
    # Imported here: witness takes its time, and only this needs it.
    from workloads.reversal import NotFinished, reverse_between_processes

    try:
        return reverse_between_processes()
    except NotFinished as error:
        complain(str(error))
        raise typer.Exit(FOUND) from None


def _page(rip: RunResult, reversal: WatchRecord) -> str:
    """The lock-order page of both, as if one run had seen them."""
    from witness.analysis import analyse
    from witness.analysis.merge import merge
    from witness.report.page import lock_order_page
    from witness.report.verdict import Verdict

    graphs = [record.graph for record in (rip.witness, reversal) if record is not None]
    analysis = analyse(merge(graphs))
    return lock_order_page(Verdict(analysis, new=analysis.findings))
