"""Tables that only a run has: workers, violations, and the one-line verdict.

What a zone or a CPU looks like in a table is `shmalloc.report.tables`'s.
"""

from __future__ import annotations

from shmalloc.report.amounts import counted
from shmalloc.report.recovery import clock, microseconds
from shmalloc.report.table import Column, Table
from workloads.records import RunResult, WatchRecord


def verdict(result: RunResult) -> str:
    """The whole run in one sentence."""
    if result.ok:
        return (
            f"Clean: {result.counts['verified']:,} items verified, no violation, nothing leaked, "
            "every invariant holds, nothing left in /dev/shm."
        )
    return (
        f"Not clean: {counted(len(result.violations), 'violation')}, {counted(result.leaked_items, 'leaked item')}, "
        f"{counted(len(result.findings), 'finding')} of check."
    )


def worker_table(result: RunResult) -> Table:
    """One row a worker. REMOTE: items freed here that another process had sealed."""
    heads = ("RANK", "PID", "CORE", "OPS", "OPS/S", "SEALED", "VERIFIED", "REMOTE", "VIOLATIONS")
    rows: list[tuple[str, ...]] = []
    for worker in result.workers:
        place = (str(worker.rank), str(worker.pid), "-" if worker.core is None else str(worker.core))
        tally = worker.tally
        if tally is None:
            rows.append((*place, *("-",) * 5, "killed" if worker.killed else f"exit {worker.exit_code}"))
            continue
        rate = round(tally.ops / tally.busy_s) if tally.busy_s else 0
        figures = (tally.ops, rate, tally.sealed, tally.verified, tally.remote_frees, tally.violations_total)
        rows.append((*place, *(str(figure) for figure in figures)))
    return Table("Workers", tuple(Column(head) for head in heads), tuple(rows), empty="no worker")


def ways_table(result: RunResult, *, title: str = "Ways compared") -> Table:
    """Figures that were counted for several ways to do a thing, side by side: a row a figure, a column a way."""
    figures = {tuple(name.split(" / ", 1)): value for name, value in result.counts.items() if " / " in name}
    figures |= {tuple(name.split(" / ", 1)): value for name, value in result.peaks.items() if " / " in name}
    ways = sorted({way for _, way in figures})
    rows = tuple(
        (what, *(f"{figures.get((what, way), 0):,}" for way in ways)) for what in sorted({what for what, _ in figures})
    )
    return Table(title, (Column("FIGURE", number=False, give="wrap"), *(Column(way.upper()) for way in ways)), rows)


def death_table(result: RunResult, *, title: str = "Killed") -> Table:
    """One row a process that the runner killed: when, what its op word said, and what became of that operation."""
    heads = (
        Column("AT"),
        Column("FOUND", number=False),
        Column("CPU"),
        Column("PID"),
        Column("DIED DURING", number=False, give="wrap"),
        Column("OUTCOME", number=False, give="wrap"),
    )
    rows = [
        (
            f"{recovery.at_s:.1f} s",
            clock(recovery.died_ns) if recovery.died_ns else "-",
            str(death.cpu),
            str(death.pid),
            f"{death.doing} on {death.on}" if death.on else death.doing,
            death.outcome or "-",
        )
        for recovery in result.recoveries
        for death in recovery.deaths
    ]
    return Table(title, heads, tuple(rows), empty="nobody was killed")


def recovery_table(result: RunResult, *, title: str = "Recovery") -> Table:
    """One row a recovery: items FREED by zone, how long the others stood still, and AFTER, from the kill to the end."""
    heads = (
        Column("AT"),
        Column("FREED", number=False, give="wrap"),
        Column("KEPT"),
        Column("UNDONE"),
        Column("QUEUED"),
        Column("STOPPED"),
        Column("TOTAL"),
        Column("AFTER"),
        Column("BY", number=False),
    )
    rows = [
        (
            f"{recovery.at_s:.1f} s",
            ", ".join(f"{name} {freed}" for name, freed in recovery.zones) or "-",
            str(recovery.kept),
            str(recovery.undone),
            str(recovery.requeued),
            microseconds(recovery.stopped_ns),
            microseconds(recovery.total_ns),
            microseconds(recovery.found_ns),
            recovery.by,
        )
        for recovery in result.recoveries
    ]
    return Table(title, heads, tuple(rows), empty="nobody was killed")


def pause_text(result: RunResult) -> str:
    """What the survivors noticed, in one sentence; "" when no pause was measured."""
    if result.pause_p99_us is None or result.pause_max_us is None:
        return ""
    killed = "1 process" if result.kills == 1 else f"{result.kills:,} processes"
    return (
        f"{killed} killed; a round of work of the others took at most {result.pause_p99_us / 1e3:,.2f} ms "
        f"in 99 of 100 cases, {result.pause_max_us / 1e3:,.1f} ms in the longest."
    )


def watch_text(record: WatchRecord) -> str:
    """What witness saw, in one sentence."""
    intended = sum(finding.intended for finding in record.findings)
    return (
        f"witness: {counted(record.classes, 'lock class', 'lock classes')}, {counted(record.orders, 'order')}; "
        f"{counted(record.reversals, 'reversal')}, {counted(record.sleeps, 'kind')} of sleeping under a lock, "
        f"{counted(record.misuses, 'misuse')}"
        + (f"; {counted(intended, 'finding')} intended" if intended else "")
        + (f"; the checks ended early: {record.off_reason}" if record.off_reason is not None else "")
    )


def reversal_verdict(record: WatchRecord) -> str:
    """What witness says of the two processes that reverse an order, in one sentence."""
    for finding in record.findings:
        if finding.rule == "lock-order-reversal" and len(finding.processes) == 2:
            one, other = sorted(finding.processes)
            return f"Found: {finding.title}, between process {one} and process {other}; neither had to wait for it."
    return "Not found: the two processes took their locks in opposite order, and witness did not tell of it."


def watch_table(record: WatchRecord) -> Table:
    """One row a finding of witness."""
    columns = (
        Column("RULE", number=False),
        Column("LEVEL", number=False),
        Column("COUNT"),
        Column("INTENDED", number=False),
        Column("FINDING", number=False, give="wrap"),
    )
    rows = tuple(
        (finding.rule, finding.level, f"{finding.count:,}", "yes" if finding.intended else "no", finding.title)
        for finding in record.findings
    )
    return Table("Witness", columns, rows, empty="nothing was found")


def violation_table(result: RunResult) -> Table:
    """One row a violation."""
    return Table(
        "Violations",
        (Column("KIND", number=False), Column("WORKER"), Column("DETAIL", number=False, give="wrap")),
        tuple(
            (violation.kind, "-" if violation.rank is None else str(violation.rank), violation.detail)
            for violation in result.violations
        ),
        empty="none",
    )
