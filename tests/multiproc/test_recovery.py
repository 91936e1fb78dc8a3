"""A process is killed with SIGKILL: the survivors lose nothing, are told what happened, and go on."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shmalloc
from shmalloc import M_NOWAIT, Arena
from shmalloc.cli import app
from shmalloc.registry import gc


@contextmanager
def victim(run: Callable[[], None]) -> Iterator[int]:
    """A forked child that runs `run`, then says so and waits; killed with SIGKILL at the end of the block."""
    ready_r, ready_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run()
            os.write(ready_w, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(ready_w)
    try:
        assert os.read(ready_r, 1) == b"1", "the victim failed before it was ready"
        yield pid
    finally:
        os.close(ready_r)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def hold(name: str, zone: str, n: int, kept: list[object]) -> None:
    """Attach in the victim and hold n items."""
    arena = Arena.attach(name, cpu_name="victim")
    kept += [arena, arena.zone(zone).alloc_many(n)]


def mark_freed(mem: memoryview, size: int, arg: object) -> None:
    """A dtor that leaves a trace in the item."""
    mem[0] = 0xD7


def test_reaped_process_leaves_no_item_behind_and_is_named_in_the_report(arena: Arena) -> None:
    zone = arena.zone("frame", size=2048)
    mine = zone.alloc_many(10)
    kept: list[object] = []
    with victim(lambda: hold(arena.name, "frame", 100, kept)) as pid:
        assert zone.statistics().used == 110
    report = arena.reap()
    assert (report.dead, report.freed, report.kept) == (1, 100, 0)
    assert [(cpu.pid, cpu.name, cpu.doing) for cpu in report.cpus] == [(pid, "victim", "nothing")]
    assert report.zones == (("frame", 100),)
    assert 0 < report.stopped_ns <= report.total_ns
    assert zone.statistics().used == 10
    assert arena.reap().dead == 0
    assert arena.recoveries() == (report,), "the log tells what the reaper was told"
    with Arena.attach(arena.name, read_only=True) as later:
        assert later.recoveries() == (report,)
    zone.free_many(mine)


def test_dtor_runs_for_what_the_dead_held(arena: Arena) -> None:
    zone = arena.zone("frame", size=64, dtor=mark_freed)
    kept: list[object] = []
    with victim(lambda: hold(arena.name, "frame", 7, kept)):
        pass
    assert arena.reap().freed == 7
    traces = [item[0] for item in zone.alloc_many(7)]
    assert traces.count(0xD7) == 7


def test_kept_items_wait_for_adoption(arena: Arena) -> None:
    zone = arena.zone("frame", size=64, keep=True)
    said_r, said_w = os.pipe()
    kept: list[object] = []

    def run() -> None:
        hold(arena.name, "frame", 1, kept)
        (item,) = kept[1]  # type: ignore[misc]
        item.write(b"will")
        os.write(said_w, str(item.handle).encode())

    with victim(run):
        handle = int(os.read(said_r, 64))
    os.close(said_r)
    os.close(said_w)
    report = arena.reap()
    assert (report.freed, report.kept) == (0, 1)
    item = arena.adopt(handle)
    assert item.read(4) == b"will"
    item.free()
    assert zone.statistics().used == 0


def test_blocked_allocation_goes_on_with_what_the_dead_held(arena: Arena) -> None:
    zone = arena.zone("frame", size=2048, max_items=8)
    kept: list[object] = []
    with victim(lambda: hold(arena.name, "frame", 8, kept)), pytest.raises(shmalloc.ZoneExhausted):
        zone.alloc(M_NOWAIT)
    assert len(zone.alloc_many(8, timeout=10)) == 8


def test_attaching_reaps_and_observing_does_not(arena: Arena) -> None:
    arena.zone("frame", size=64)
    kept: list[object] = []
    with victim(lambda: hold(arena.name, "frame", 3, kept)):
        pass
    with Arena.attach(arena.name, observe=True) as watcher:
        assert watcher.statistics().dead_cpus == 1
    with Arena.attach(arena.name) as fresh:
        assert fresh.statistics().dead_cpus == 0
        assert fresh.zone("frame").statistics().used == 0


def test_gc_reaps_the_dead_of_an_arena_that_lives(arena: Arena) -> None:
    arena.zone("frame", size=64)
    kept: list[object] = []
    with victim(lambda: hold(arena.name, "frame", 3, kept)):
        pass
    assert [action.action for action in gc(dry_run=True, names=[arena.name])] == ["would-reap"]
    (action,) = gc(names=[arena.name])
    assert action.action == "reaped"
    assert "3 items freed" in action.reason
    assert action.recovery == arena.recoveries()[-1]
    assert [action.action for action in gc(names=[arena.name])] == ["kept"]


def test_dump_is_checked_and_measured_like_the_arena(arena: Arena, tmp_path: Path) -> None:
    zone = arena.zone("frame", size=2048)
    items = zone.alloc_many(50)
    file = tmp_path / "arena.dump"
    runner = CliRunner()
    made = runner.invoke(app, ["dump", arena.name, str(file), "--json"])
    assert made.exit_code == 0, made.output
    said = json.loads(made.output)
    assert said["copied_bytes"] < said["object_bytes"]
    assert file.stat().st_size == said["object_bytes"]
    assert file.stat().st_blocks * 512 <= said["copied_bytes"] + 65536
    zone.free_many(items)  # after the dump: not in it
    with Arena.attach_file(file) as copy:
        assert copy.check().ok
        assert copy.zone_statistics()[0].used == 50
    checked = runner.invoke(app, ["check", str(file), "--json"])
    assert checked.exit_code == 0, checked.output
    table = runner.invoke(app, ["stat", "-z", str(file)])
    assert table.exit_code == 0, table.output
    assert "frame" in table.output
    again = runner.invoke(app, ["dump", arena.name, str(file)])
    assert again.exit_code == 2
