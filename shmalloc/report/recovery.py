"""The table and the lines of recoveries: who died, when, doing what, what became of it, and what it cost.

Owns which figure goes under which head. Must not open an arena. The times of day are local time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .table import Column, Table

if TYPE_CHECKING:
    from shmalloc.recovery import RecoveryReport

__all__ = ["clock", "death_table", "microseconds", "recovery_line", "recovery_table", "zones_text"]


def clock(time_ns: int) -> str:
    """The time of day of a CLOCK_REALTIME, to the millisecond: 14:35:32.107."""
    return time.strftime("%H:%M:%S", time.localtime(time_ns // 10**9)) + f".{time_ns // 10**6 % 1000:03}"


def microseconds(span_ns: int) -> str:
    """A span of time, readable: 61 µs, 2.3 ms, 1.5 s."""
    if span_ns < 10**6:
        return f"{span_ns / 1e3:.0f} µs"
    return f"{span_ns / 1e6:.1f} ms" if span_ns < 10**9 else f"{span_ns / 1e9:.1f} s"


def zones_text(report: RecoveryReport) -> str:
    """What went back, by zone: "frame 10, mbuf 3"; "-" when nothing did."""
    return ", ".join(f"{name} {freed}" for name, freed in report.zones) or "-"


def recovery_line(report: RecoveryReport) -> str:
    """One recovery in one line, for a log."""
    died = "; ".join(
        f"CPU {cpu.cpu} (pid {cpu.pid}{f', {cpu.name}' if cpu.name else ''}) died during {cpu.sentence}"
        for cpu in report.cpus
    )
    more = f"; and {report.dead - len(report.cpus)} more" if report.dead > len(report.cpus) else ""
    return (
        f"{clock(report.found_ns)} {died}{more}; "
        f"freed {report.freed} ({zones_text(report)}), kept {report.kept}, requeued {report.requeued}; "
        f"stopped {microseconds(report.stopped_ns)}, {microseconds(report.total_ns)} in all, by pid {report.by_pid}"
    )


def death_table(named: Iterable[tuple[str, RecoveryReport]], *, title: str = "Deaths") -> Table:
    """One row a death of these (arena, report): FOUND is when, OUTCOME what became of the operation it was in."""
    return Table(
        title,
        (
            Column("NAME", number=False, give="cut"),
            Column("FOUND", number=False),
            Column("CPU"),
            Column("PID"),
            Column("WHO", number=False, give="cut"),
            Column("DIED DURING", number=False, give="wrap"),
            Column("OUTCOME", number=False, give="wrap"),
        ),
        tuple(
            (
                arena,
                clock(report.found_ns),
                str(cpu.cpu),
                str(cpu.pid),
                cpu.name or "-",
                f"{cpu.doing} on {cpu.on}" if cpu.on else cpu.doing,
                cpu.outcome,
            )
            for arena, report in named
            for cpu in report.cpus
        ),
        empty="no recoveries",
    )


def recovery_table(named: Iterable[tuple[str, RecoveryReport]], *, title: str = "Recoveries") -> Table:
    """One row a recovery of these (arena, report): items FREED by zone, the longest pause of the others (STOPPED).

    BY is the process that recovered; a recovery whose totals the log lacks has "-" for them.
    """
    rows = []
    for arena, report in named:
        figures = (
            zones_text(report),
            str(report.kept),
            str(report.undone),
            str(report.requeued),
            microseconds(report.stopped_ns),
            microseconds(report.total_ns),
            str(report.by_pid),
        )
        rows.append((arena, clock(report.found_ns), *(figures if report.finished else ("-",) * 7)))
    return Table(
        title,
        (
            Column("NAME", number=False, give="cut"),
            Column("FOUND", number=False),
            Column("FREED", number=False, give="wrap"),
            Column("KEPT"),
            Column("UNDONE"),
            Column("QUEUED"),
            Column("STOPPED"),
            Column("TOTAL"),
            Column("BY"),
        ),
        tuple(rows),
        empty="no recoveries",
    )
