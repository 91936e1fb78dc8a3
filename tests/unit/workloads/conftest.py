"""A result to draw and to save, and an item that needs no arena."""

from __future__ import annotations

import pytest

from shmalloc.stats import CpuStatistics, CpuZoneStatistics, Finding, TypeStatistics, ZoneStatistics
from workloads.histogram import BINS, bin_of
from workloads.records import CheckRecord, MachineRecord, RunResult, Tally, Violation, WorkerRecord


class BytesItem(bytearray):
    """A bytearray with an item's direct reads and writes."""

    def read(self, n: int = -1, offset: int = 0) -> bytes:
        """Copy out."""
        return bytes(self[offset:] if n < 0 else self[offset : offset + n])

    def write(self, data: bytes, offset: int = 0) -> int:
        """Copy in; never grows."""
        if offset + len(data) > len(self):
            raise ValueError("beyond the end")
        self[offset : offset + len(data)] = data
        return len(data)


@pytest.fixture
def item() -> BytesItem:
    """An item of 2 KiB."""
    return BytesItem(2048)


def figures(record: type, **known: object) -> object:
    """A statistics record with zeros for what is not named."""
    empty = {int: 0, float: 0.0, str: "", bool: False, "int": 0, "float": 0.0, "str": "", "bool": False}
    fields = record.__dataclass_fields__  # type: ignore[attr-defined]
    return record(**{name: known.get(name, empty.get(field.type, ())) for name, field in fields.items()})


def worker_record(rank: int, tally: Tally | None) -> WorkerRecord:
    """A worker that did 1,000 operations in every 0.2 s."""
    series = [(round(0.2 * (n + 1), 1), 1000 * (n + 1)) for n in range(10)]
    code = 0 if tally else -9
    return WorkerRecord(
        rank=rank, pid=1000 + rank, cpu_id=rank + 1, core=rank, exit_code=code, tally=tally, series=series
    )


@pytest.fixture
def result() -> RunResult:
    """A run with one good worker, one dead one, a violation whose text is hostile, and a finding."""
    histogram = [0] * BINS
    for duration in (90, 100, 110, 5000):
        histogram[bin_of(duration)] += 1
    tally = Tally(
        ops=10_000,
        busy_s=2.0,
        sealed=10_000,
        verified=10_000,
        sent=5,
        received=5,
        remote_frees=5,
        exhausted=0,
        sleeps_timed_out=0,
        violations=[],
        violations_total=0,
        histograms={"alloc": histogram},
        counts={"frames dns": 7},
    )
    return RunResult(
        workload="packets",
        cpus=2,
        seconds=2.0,
        seed=7,
        ops=10_000,
        ops_per_second=5000.0,
        violations=[Violation(kind="corrupt-item", detail="<script src='http://example.test/x.js'></script>", rank=1)],
        leaked_items=3,
        findings=[Finding(invariant=7, title="an item is in one place", detail="item 4096 is in two")],
        zones=[figures(ZoneStatistics, name="frame.2048", id=1, item_bytes=2048, limit=64, allocs=10_000)],  # type: ignore[list-item]
        ok=False,
        check=CheckRecord(ok=False, items=10, slabs=2, live_cpus=1, dead_cpus=1, world_stopped_ns=5000),
        workers=[worker_record(0, tally), worker_record(1, None)],
        cpu_list=[figures(CpuStatistics, id=1, name="packets.0", pid=1000, alive=True)],  # type: ignore[list-item]
        cpu_zones=[figures(CpuZoneStatistics, cpu=1, zone=1, allocs=10_000, frees=9_000)],  # type: ignore[list-item]
        malloc_types=[figures(TypeStatistics, name="churn", requests=3, sizes=(16, 32))],  # type: ignore[list-item]
        counts={"sealed": 10_000, "verified": 10_000, "remote_frees": 5, "frames dns": 7, "frame bytes": 4096},
        histograms={"alloc": histogram},
        source="loopback.pcap",
        machine=MachineRecord(cores=2, model="a processor", kernel="Linux", python="3.11", shmalloc="0.1.0"),
        started="2024-01-01T00:00:00+00:00",
    )
