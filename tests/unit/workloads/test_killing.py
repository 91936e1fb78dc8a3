"""When workers are killed, and what the arena's log says when somebody else recovered first."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator

import pytest

import shmalloc
from workloads.killing import kill_and_recover, planned_kills, told_by_log
from workloads.records import Settings


@pytest.fixture
def arena() -> Iterator[shmalloc.Arena]:
    """An arena with a zone, gone afterwards."""
    with shmalloc.Arena.create(f"test-killing-{secrets.token_hex(4)}", max_size="64M") as made:
        try:
            made.zone("frame", size=512)
            yield made
            assert made.check().findings == ()
        finally:
            made.unlink()


def holder(arena: shmalloc.Arena, items: int) -> int:
    """A child that holds items until it is killed."""
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            held = arena.zone("frame").alloc_many(items)
            os.write(said, bytes([len(held)]))
            signal.pause()
        finally:
            os._exit(1)
    os.close(said)
    assert os.read(ready, 1) == bytes([items])
    os.close(ready)
    return pid


def test_kills_are_spread_over_the_run() -> None:
    settings = Settings(workload="packets", cpus=4, seconds=12.0, seed=1, kills=2)
    assert [at for at, _ in planned_kills(settings)] == [4.0, 8.0]
    assert {rank for _, rank in planned_kills(settings)} <= set(range(4))
    assert planned_kills(Settings(workload="packets", cpus=4, seconds=12.0, seed=1)) == []


def test_a_killed_child_is_recovered_at_once_and_recorded(arena: shmalloc.Arena) -> None:
    pid = holder(arena, 20)
    record = kill_and_recover(arena, pid, 1.5)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert (record.at_s, record.by, record.freed, record.zones) == (1.5, "runner", 20, [("frame", 20)])
    assert [(death.pid, death.doing) for death in record.deaths] == [(pid, "nothing")]
    assert 0 < record.stopped_ns <= record.found_ns
    assert arena.zone("frame").statistics().used == 0


def test_a_recovery_by_another_is_read_from_the_log(arena: shmalloc.Arena) -> None:
    pid = holder(arena, 7)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert arena.reap().dead == 1
    told = told_by_log(arena, pid)
    assert told is not None
    assert [(death.pid, death.doing) for death in told.cpus] == [(pid, "nothing")]
    assert (told.freed, told.kept, told.undone, told.requeued) == (7, 0, 0, 0)
    assert told.zones == (("frame", 7),)
    assert told_by_log(arena, pid + 1) is None
