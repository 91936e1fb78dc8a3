"""Killing a worker on purpose, in the middle of its work, and what recovery made of it.

Owns the moments and the record of each death. Must not start processes: the runner replaces whom it has killed.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import closing
from random import Random

import shmalloc
from shmalloc.recovery import RecoveryReport
from workloads.process import ProcessEnd
from workloads.records import DeathRecord, RecoveryRecord, Settings

RECOVERY_LIMIT_S = 10.0
_DIED = re.compile(r"CPU (\d+) \(pid (\d+), (.*)\) died during (.*)")
_REAPED = re.compile(
    r"\d+ dead CPU\(s\) reaped: (\d+) items freed, (\d+) kept, (\d+) operations undone, (\d+) requeued; "
    r"world stopped (\d+) us"
)


class NotRecovered(Exception):
    """A worker was killed, and nobody recovered what it left within the limit. Field: pid."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid} was killed, and is not recovered after {RECOVERY_LIMIT_S:g} s")
        self.pid = pid


def planned_kills(settings: Settings) -> list[tuple[float, int]]:
    """(seconds after the start, rank) of every kill: evenly spread over the run, of ranks that the seed chooses."""
    rng = Random(f"{settings.seed}:{settings.workload}:kills")
    step = settings.seconds / (settings.kills + 1)
    return [(step * (place + 1), rng.randrange(settings.cpus)) for place in range(settings.kills)]


def kill_and_recover(arena: shmalloc.Arena, pid: int, at_s: float) -> RecoveryRecord:
    """Kill a child of this process and see to it that what it left is recovered, by whomever.

    Parameters: at_s: for the record. Raises: NotRecovered: nobody could, within RECOVERY_LIMIT_S.
    """
    known = max((event.seq for event in arena.events()), default=0)
    with closing(ProcessEnd(pid)) as end:
        begin = time.perf_counter_ns()
        os.kill(pid, signal.SIGKILL)
        end.wait(RECOVERY_LIMIT_S)
    while time.perf_counter_ns() - begin < RECOVERY_LIMIT_S * 1e9:
        report = arena.reap()
        found_ns = time.perf_counter_ns() - begin
        if any(cpu.pid == pid for cpu in report.cpus):
            return _by_runner(report, at_s, found_ns)
        by_other = told_by_events([event.text for event in arena.events(known) if event.kind == "recovery"], pid)
        if by_other is not None:
            deaths, freed, kept, undone, requeued, stopped_us = by_other
            return RecoveryRecord(
                at_s=round(at_s, 3),
                by="survivor",
                deaths=deaths,
                freed=freed,
                kept=kept,
                undone=undone,
                requeued=requeued,
                stopped_ns=stopped_us * 1000,
                found_ns=found_ns,
                zones=[],
            )
    raise NotRecovered(pid)


def told_by_events(texts: list[str], pid: int) -> tuple[list[DeathRecord], int, int, int, int, int] | None:
    """What the arena's log says of a recovery that another process did.

    Returns: (deaths, freed, kept, undone, requeued, stopped_us); None when the death, or the line of totals that
    follows it, is not there yet.
    """
    deaths: list[DeathRecord] = []
    for text in texts:
        if died := _DIED.fullmatch(text):
            cpu, dead, name, doing = died.groups()
            deaths.append(DeathRecord(cpu=int(cpu), pid=int(dead), name=name, doing=doing))
        elif totals := _REAPED.match(text):
            if any(death.pid == pid for death in deaths):
                freed, kept, undone, requeued, stopped_us = (int(figure) for figure in totals.groups())
                return deaths, freed, kept, undone, requeued, stopped_us
            deaths = []
    return None


def _by_runner(report: RecoveryReport, at_s: float, found_ns: int) -> RecoveryRecord:
    return RecoveryRecord(
        at_s=round(at_s, 3),
        by="runner",
        deaths=[DeathRecord(cpu=cpu.cpu, pid=cpu.pid, name=cpu.name, doing=cpu.doing) for cpu in report.cpus],
        freed=report.freed,
        kept=report.kept,
        undone=report.undone,
        requeued=report.requeued,
        stopped_ns=report.stopped_ns,
        found_ns=found_ns,
        zones=list(report.zones),
    )
