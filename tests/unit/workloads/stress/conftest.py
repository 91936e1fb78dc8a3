"""An arena and two workers of it in one process: what they do to each other happens step by step."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

import pytest

import shmalloc
from workloads.context import Worker
from workloads.records import Settings
from workloads.stress.base import Workload

Pair = Callable[[type[Workload]], list[tuple[Workload, Worker]]]


@pytest.fixture
def arena() -> Iterator[shmalloc.Arena]:
    """An arena that is clean at the end, and gone afterwards."""
    with shmalloc.Arena.create(f"test-stress-{secrets.token_hex(4)}", max_size="64M") as made:
        try:
            yield made
            assert made.check().findings == ()
        finally:
            made.unlink()


@pytest.fixture
def pair(arena: shmalloc.Arena) -> Pair:
    """Makes a workload for two workers, prepared and opened for both."""

    def make(kind: type[Workload]) -> list[tuple[Workload, Worker]]:
        settings = Settings(workload=kind.name, cpus=2, seconds=1, seed=1)
        kind().prepare(arena, settings)
        made = []
        for rank in range(2):
            deadline_ns = time.perf_counter_ns() + 10**9
            workload = kind()
            worker = Worker(settings=settings, rank=rank, arena=arena, deadline_ns=deadline_ns)
            workload.open(worker)
            made.append((workload, worker))
        return made

    return make
