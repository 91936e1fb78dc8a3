"""Past recoveries, read back from the arena's event ring.

Owns the reading side of the grammar that core/reap_report.c describes and writes: fixed words, then key=value. Must not
trust a line: the ring is shared memory, so a line that does not follow the grammar is passed over, never an error, and
a key that this version does not know is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from shmalloc import _native
from shmalloc.recovery import DeadCpu, RecoveryReport
from shmalloc.stats import Event

__all__ = ["dead_cpu", "read_name", "recoveries"]

_OUTCOMES = (
    "nothing was open",
    "finished by rebuilding what it changed",
    "undone: the item is free",
    "undone: the item is back in its queue",
)
_TOTALS = ("dead", "freed", "uncached", "kept", "undone", "requeued", "stopped", "total")
_Who = tuple[int, int, int]  # cpu, pid, attached_ns: one life of one process in one slot


@dataclass(slots=True)
class _Told:
    """The lines of one recovery, as far as they were found."""

    by_cpu: int
    cpus: list[DeadCpu] = field(default_factory=list)
    zones: list[tuple[str, int]] = field(default_factory=list)
    totals: dict[str, int] | None = None
    by_pid: int = 0


def dead_cpu(cpu: int, pid: int, name: str, op: int, on: str, did: int, attached_ns: int) -> DeadCpu:
    """The record of one death, with the core's numbers (enum sm_op, enum sm_reap_did) put into words."""
    outcome = _OUTCOMES[did] if 0 <= did < len(_OUTCOMES) else "an outcome that this version does not know"
    return DeadCpu(cpu, pid, name, _native.op_name(op), on, outcome, attached_ns)


def read_name(told: str) -> str:
    """The name behind what the log wrote: itself, or % and its bytes in hexadecimal.

    Raises: ValueError: neither.

    >>> read_name("frame"), read_name("%6120c3bc")
    ('frame', 'a ü')
    """
    return bytes.fromhex(told[1:]).decode("utf-8", "replace") if told.startswith("%") else told


def recoveries(events: Iterable[Event]) -> tuple[RecoveryReport, ...]:
    """The recoveries that these events tell of, oldest first.

    A death that an unfinished recovery tells, and a later one again, is the later one's: the first reaper died before
    the slot was free.
    """
    told: dict[int, _Told] = {}
    for event in events:
        if event.kind == "recovery":
            try:
                _read(event, told)
            except (KeyError, ValueError):
                continue  # no line of this grammar: damaged, mixed up by an overtaken writer, or of another version
    last: dict[_Who, int] = {}
    for found_ns, one in told.items():
        for cpu in one.cpus:
            last[cpu.cpu, cpu.pid, cpu.attached_ns] = found_ns
    reports = (_report(found_ns, one, last) for found_ns, one in told.items())
    return tuple(report for report in reports if report.finished or report.cpus)


def _read(event: Event, told: dict[int, _Told]) -> None:
    word, *pairs = event.text.split(" ")
    said = dict(pair.split("=", 1) for pair in pairs)
    found_ns = int(said["at"], 16)
    if word == "died":
        cpu = dead_cpu(
            int(said["cpu"]), int(said["pid"]), read_name(said["name"]), int(said["op"]), read_name(said["on"]),
            int(said["did"]), int(said["since"], 16),
        )  # fmt: skip
        told.setdefault(found_ns, _Told(event.cpu)).cpus.append(cpu)
    elif word == "zone":
        zone = read_name(said["name"]), int(said["freed"])
        told.setdefault(found_ns, _Told(event.cpu)).zones.append(zone)
    elif word == "reaped":
        totals = {key: int(said[key]) for key in _TOTALS}
        by_pid = int(said["by"])
        one = told.setdefault(found_ns, _Told(event.cpu))
        one.totals, one.by_pid, one.by_cpu = totals, by_pid, event.cpu


def _report(found_ns: int, one: _Told, last: dict[_Who, int]) -> RecoveryReport:
    finished = one.totals is not None
    cpus = tuple(cpu for cpu in one.cpus if finished or last[cpu.cpu, cpu.pid, cpu.attached_ns] == found_ns)
    figures = one.totals or {**dict.fromkeys(_TOTALS, 0), "dead": len(cpus)}
    return RecoveryReport(
        found_ns=found_ns,
        by_cpu=one.by_cpu,
        by_pid=one.by_pid,
        dead=figures["dead"],
        freed=figures["freed"],
        uncached=figures["uncached"],
        kept=figures["kept"],
        undone=figures["undone"],
        requeued=figures["requeued"],
        stopped_ns=figures["stopped"],
        total_ns=figures["total"],
        cpus=cpus,
        zones=tuple(one.zones),
        finished=finished,
    )
