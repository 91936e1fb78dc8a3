"""Plain records of a run: what was asked, what the processes say on the wire, what came out.

Owns the JSON shape of `workloads run --json` and of the lines between runner and workers. Must not import the
allocator itself, only its plain statistics records.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shmalloc.stats import CpuStatistics, CpuZoneStatistics, Finding, MbufStatistics, TypeStatistics, ZoneStatistics
from shmalloc.who import Holding
from witness.record import Graph

Sabotage = Literal["none", "corrupt", "kill", "hang", "leak", "reverse"]
SABOTAGES: tuple[Sabotage, ...] = ("none", "corrupt", "kill", "hang", "leak", "reverse")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one run is asked to do. grace_s bounds every phase beyond the measured seconds.

    kills: workers that the runner kills with SIGKILL on the way, evenly spread, and replaces; witness: whether the
    arena is under witness from before the workers start; failure_rate: every so many-th M_NOWAIT allocation of each
    process is made to fail (debug.malloc.failure_rate), 0: none.
    """

    workload: str
    cpus: int
    seconds: float
    seed: int
    pcap: str | None = None
    sabotage: Sabotage = "none"
    kills: int = 0
    witness: bool = False
    failure_rate: int = 0
    grace_s: float = 20.0
    startup_s: float = 60.0


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The first line a worker reads: its place in the run. life: how many held this rank before and were killed."""

    settings: Settings
    arena: str
    rank: int
    core: int | None
    life: int = 0


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must not happen, seen by a worker (rank) or by the runner (rank None)."""

    kind: str
    detail: str
    rank: int | None = None


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Attached, pinned, waiting for the start."""

    pid: int
    cpu_id: int | None
    core: int | None


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag="tick"):
    """Operations done so far, at a moment of the monotonic clock."""

    time_ns: int
    ops: int


class Phase(msgspec.Struct, frozen=True, kw_only=True, tag="phase"):
    """Reached the end of a phase: `looped` (the deadline passed) or `drained` (holds nothing any more)."""

    name: Literal["looped", "drained"]


class Tally(msgspec.Struct, frozen=True, kw_only=True, tag="tally"):
    """The last line of a worker: everything that it counted. cpu_s: what it had of a core in the busy seconds."""

    ops: int
    busy_s: float
    sealed: int
    verified: int
    sent: int
    received: int
    remote_frees: int
    exhausted: int
    sleeps_timed_out: int
    violations: list[Violation]
    violations_total: int
    histograms: dict[str, list[int]]
    counts: dict[str, int]
    peaks: dict[str, int] = {}
    holdings: list[Holding] = []
    cpu_s: float = 0.0


Report = Ready | Tick | Phase | Tally


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as the result shows it; tally is None for one that died."""

    rank: int
    pid: int
    cpu_id: int | None
    core: int | None
    exit_code: int | None
    tally: Tally | None
    series: list[tuple[float, int]]
    life: int = 0
    killed: bool = False


class DeathRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A CPU that a recovery found dead: as shmalloc.DeadCpu. doing: the operation that its op word named."""

    cpu: int
    pid: int
    name: str
    doing: str
    on: str = ""
    outcome: str = ""


class RecoveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One recovery after the runner killed a worker. at_s: when; found_ns: from the kill until the recovery was over.

    by: who recovered, by_pid: its process; died_ns: when the death was found, CLOCK_REALTIME; stopped_ns and total_ns:
    how long every CPU stood still, and the recovery took; zones: items freed, by zone.
    """

    at_s: float
    by: Literal["runner", "survivor"]
    deaths: list[DeathRecord]
    freed: int
    kept: int
    undone: int
    requeued: int
    stopped_ns: int
    found_ns: int
    zones: list[tuple[str, int]]
    total_ns: int = 0
    died_ns: int = 0
    by_pid: int = 0


class CheckRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the closing `check`."""

    ok: bool
    items: int
    slabs: int
    live_cpus: int
    dead_cpus: int
    world_stopped_ns: int


class WatchedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of witness; intended: what the workload is there to provoke. processes: pids; text: in its words."""

    rule: str
    level: str
    title: str
    count: int
    processes: list[int]
    intended: bool
    text: str


class WatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What witness saw. classes: of locks; orders: pairs of classes that were taken one under the other.

    reversals, sleeps, misuses: how many different ones were reported; off_reason: why the checks ended early; graph:
    the whole record, as `witness report` reads it.
    """

    classes: int
    orders: int
    reversals: int
    sleeps: int
    misuses: int
    off_reason: str | None
    findings: list[WatchedFinding]
    graph: Graph


class MachineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Enough of the machine to read the figures by; no names."""

    cores: int
    model: str
    kernel: str
    python: str
    shmalloc: str


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """The object that `workloads run NAME --json` prints.

    counts: sums over the workers, peaks: their maxima; "what / how" is one figure of several ways to do a thing.
    mbufs: None where there are none; holdings: what who() told of a planted leak, before that was freed; witness: None
    for a run that was not under witness.
    """

    workload: str
    cpus: int
    seconds: float
    seed: int
    ops: int
    ops_per_second: float
    violations: list[Violation]
    leaked_items: int
    findings: list[Finding]
    zones: list[ZoneStatistics]
    ok: bool
    check: CheckRecord | None
    workers: list[WorkerRecord]
    cpu_list: list[CpuStatistics]
    cpu_zones: list[CpuZoneStatistics]
    malloc_types: list[TypeStatistics]
    counts: dict[str, int]
    histograms: dict[str, list[int]]
    peaks: dict[str, int] = {}
    mbufs: MbufStatistics | None = None
    holdings: list[Holding] = []
    witness: WatchRecord | None = None
    kills: int = 0
    recoveries: list[RecoveryRecord] = []
    pause_p99_us: float | None = None
    pause_max_us: float | None = None
    source: str | None
    machine: MachineRecord
    started: str


class LocksResult(msgspec.Struct, frozen=True, kw_only=True):
    """The act of the demo that is about locks. rip: under witness; reversal: what witness saw of the two processes.

    page: where the lock-order page of both was written; ok: witness found what was planted, and nothing else.
    """

    rip: RunResult
    reversal: WatchRecord
    page: str
    ok: bool


class FaultsResult(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's small campaign of faults. coverage: percent of all points that it injected at."""

    trials: int
    injected: int
    findings: int
    coverage: float
    page: str
    ok: bool


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """The object that `workloads demo --json` prints: a result of each act."""

    replay: RunResult
    forward: RunResult
    leak: RunResult
    locks: LocksResult
    faults: FaultsResult
    ok: bool

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """The runs of workloads, in the order in which they were shown."""
        return self.replay, self.forward, self.leak, self.locks.rip


def encode_line(record: Any) -> bytes:
    """One record as one line."""
    return msgspec.json.encode(record) + b"\n"


def decode_report(line: bytes) -> Report:
    """A worker's line. Raises: msgspec.DecodeError, msgspec.ValidationError for anything else."""
    report: Report = msgspec.json.decode(line, type=Report)
    return report


def decode_assignment(line: bytes) -> Assignment:
    """The runner's first line. Raises as decode_report."""
    return msgspec.json.decode(line, type=Assignment)


def decode_result(data: bytes) -> RunResult:
    """A saved result. Raises as decode_report."""
    return msgspec.json.decode(data, type=RunResult)


def encode_result(result: RunResult | DemoResult) -> str:
    """The one JSON object of a run, or of a demo, indented."""
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()
