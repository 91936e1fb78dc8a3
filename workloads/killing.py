"""Killing a worker on purpose, in the middle of its work, and what recovery made of it.

Owns the moments and the record of each death. Must not start processes: the runner replaces whom it has killed.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from random import Random
from typing import Literal

import shmalloc
from shmalloc.recovery import RecoveryReport
from workloads.process import ProcessEnd
from workloads.records import DeathRecord, RecoveryRecord, Settings

RECOVERY_LIMIT_S = 10.0


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
    with closing(ProcessEnd(pid)) as end:
        begin = time.perf_counter_ns()
        os.kill(pid, signal.SIGKILL)
        end.wait(RECOVERY_LIMIT_S)
    while time.perf_counter_ns() - begin < RECOVERY_LIMIT_S * 1e9:
        report = arena.reap()
        found_ns = time.perf_counter_ns() - begin
        if any(cpu.pid == pid for cpu in report.cpus):
            return _record(report, "runner", at_s, found_ns)
        by_other = told_by_log(arena, pid)
        if by_other is not None:
            return _record(by_other, "survivor", at_s, found_ns)
    raise NotRecovered(pid)


def told_by_log(arena: shmalloc.Arena, pid: int) -> RecoveryReport | None:
    """The recovery of this process that another did, from the arena's log; None when its totals are not there yet."""
    for report in reversed(arena.recoveries()):
        if report.finished and any(cpu.pid == pid for cpu in report.cpus):
            return report
    return None


def _record(report: RecoveryReport, by: Literal["runner", "survivor"], at_s: float, found_ns: int) -> RecoveryRecord:
    return RecoveryRecord(
        at_s=round(at_s, 3),
        by=by,
        deaths=[
            DeathRecord(cpu=cpu.cpu, pid=cpu.pid, name=cpu.name, doing=cpu.doing, on=cpu.on, outcome=cpu.outcome)
            for cpu in report.cpus
        ],
        freed=report.freed,
        kept=report.kept,
        undone=report.undone,
        requeued=report.requeued,
        stopped_ns=report.stopped_ns,
        total_ns=report.total_ns,
        found_ns=found_ns,
        died_ns=report.found_ns,
        by_pid=report.by_pid,
        zones=list(report.zones),
    )
