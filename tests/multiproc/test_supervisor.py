"""A supervisor notices a death at once, has it recovered, tells of it, and leaves nothing behind however it ends."""

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import shmalloc
from shmalloc import Arena, Recovered, Supervisor, Trouble
from shmalloc import supervisor as supervisor_module
from shmalloc.attachments import VISITOR
from shmalloc.registry import arena_names, list_arenas

DEADLINE_S = 20.0
NEVER_S = 3600.0  # a period that does not come: what is noticed was noticed without it


@contextmanager
def holder(name: str, items: int = 3) -> Iterator[int]:
    """A child that holds items of zone "frame"; killed at the end of the block, if not before, and waited for."""
    ready, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            mine = Arena.attach(name, cpu_name="holder")
            held = mine.zone("frame").alloc_many(items)
            os.write(said, bytes([len(held)]))
            signal.pause()
        finally:
            os._exit(1)
    os.close(said)
    try:
        assert os.read(ready, 1) == bytes([items])
        yield pid
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def until(true: Callable[[], bool], what: str) -> None:
    """Poll up to the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE_S} s"
        os.sched_yield()


@contextmanager
def watching(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`shmalloc gc --watch` in a process of its own; ended in any case."""
    command = [sys.executable, "-m", "shmalloc.cli", "gc", "--watch", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_death_is_noticed_by_its_descriptor_and_not_by_the_period(arena: Arena) -> None:
    arena.zone("frame", size=2048)
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with holder(arena.name) as pid, Supervisor(arena.name, told=told.put, every_s=NEVER_S) as supervisor:
        assert supervisor.running
        os.kill(pid, signal.SIGKILL)
        news = told.get(timeout=DEADLINE_S)
    assert isinstance(news, Recovered)
    assert (news.arena, news.by_us, news.report.freed) == (arena.name, True, 3)
    assert [cpu.pid for cpu in news.report.cpus] == [pid]
    assert news.report.by_pid == os.getpid()
    assert news.noticed_ns <= news.report.found_ns
    assert arena.recoveries() == (news.report,)
    assert not supervisor.running
    assert arena.zone("frame").statistics().used == 0


def test_processes_and_arenas_that_come_later_are_found_by_the_period(arena_name: str) -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with Supervisor(arena_name, told=told.put, every_s=0.01), Arena.create(arena_name, max_size="16M") as arena:
        arena.zone("frame", size=64)
        with holder(arena_name, 2) as pid:
            pass
        news = told.get(timeout=DEADLINE_S)
        assert isinstance(news, Recovered)
        assert [cpu.pid for cpu in news.report.cpus] == [pid]


def test_what_another_recovered_is_told_too_and_what_was_before_is_not(arena: Arena) -> None:
    arena.zone("frame", size=64)
    with holder(arena.name):
        pass
    old = arena.reap()
    told: list[Recovered | Trouble] = []
    supervisor = Supervisor(arena.name, told=told.append)
    supervisor.step()
    with holder(arena.name):
        pass
    new = arena.reap()
    supervisor.step()
    supervisor.step()
    supervisor.close()
    supervisor.close()
    assert old != new
    assert [(news.report, news.by_us) for news in told if isinstance(news, Recovered)] == [(new, True)]


def test_it_keeps_neither_a_slot_nor_the_memory_of_an_arena_that_is_gone(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="16M", unlink_on_last_close=True)
    supervisor = Supervisor(arena_name)
    supervisor.step()
    assert [cpu.pid for cpu in arena.cpus()] == [os.getpid()]
    arena.close()
    assert all(info.name != arena_name for info in list_arenas()), "the last user's close removed the name"
    maps = Path("/proc/self/maps").read_text()
    del arena
    maps = Path("/proc/self/maps").read_text()
    assert f"shmalloc.{arena_name}" not in maps
    supervisor.step()
    supervisor.close()


def test_the_last_user_removes_the_name_though_a_reaper_visits(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="16M", unlink_on_last_close=True)
    with Arena.attach(arena_name, cpu_name=VISITOR, observe=True):
        arena.close()
        assert all(info.name != arena_name for info in list_arenas())


def test_the_dead_of_an_arena_without_users_are_recovered_and_the_arena_stays(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="16M") as arena:
        arena.zone("frame", size=64)
        with holder(arena_name):
            arena.close()
    told: list[Recovered | Trouble] = []
    supervisor = Supervisor(arena_name, told=told.append)
    supervisor.step()
    supervisor.close()
    [info] = [info for info in list_arenas() if info.name == arena_name]
    assert (info.state, info.dead_cpus, len(info.recoveries)) == ("idle", 0, 1)
    assert [news.report for news in told if isinstance(news, Recovered)] == list(info.recoveries)


def test_what_cannot_be_looked_after_is_trouble_told_once_if_it_was_named(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One for all arenas would recover the dead of tests that run meanwhile, which wait to be told of that.
    monkeypatch.setattr(
        supervisor_module, "arena_names", lambda: [name for name in arena_names() if name.startswith(arena.name)]
    )
    told: list[Recovered | Trouble] = []
    supervisor = Supervisor("never-made", arena.name, told=told.append)
    path = Path(f"/dev/shm/shmalloc.{arena.name}x")
    path.write_bytes(b"nothing of an arena")
    try:
        broken = Supervisor(f"{arena.name}x", told=told.append)
        broken.step()
        broken.step()
        everything = Supervisor(told=told.append)
        everything.step()
    finally:
        path.unlink()
    supervisor.step()
    for one in (supervisor, broken, everything):
        one.close()
    [trouble] = told
    assert isinstance(trouble, Trouble)
    assert trouble.arena == f"{arena.name}x"
    assert "is not an arena" in trouble.reason


def test_run_ends_after_its_seconds_and_by_stop(arena: Arena) -> None:
    supervisor = Supervisor(arena.name, every_s=NEVER_S)
    supervisor.run(0.01)
    supervisor.stop()
    supervisor.run()
    supervisor.close()
    with pytest.raises(shmalloc.InvalidArgument):
        Supervisor(arena.name, every_s=0)
    with pytest.raises(shmalloc.InvalidArgument):
        Supervisor("a/b")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_watch_tells_each_recovery_in_a_line_and_ends_in_order(arena: Arena, end: signal.Signals) -> None:
    arena.zone("frame", size=64)
    with watching(arena.name, "--json", "--every", "0.02") as watch:
        assert watch.stdout is not None
        for _ in range(2):
            with holder(arena.name, 5) as pid:
                pass
            line = json.loads(watch.stdout.readline())
            assert line["arena"] == arena.name
            assert [cpu["pid"] for cpu in line["report"]["cpus"]] == [pid]
            assert (line["report"]["freed"], line["report"]["zones"]) == (5, [["frame", 5]])
        watch.send_signal(end)
        out, err = watch.communicate(timeout=DEADLINE_S)
    assert (watch.returncode, out, err) == (0, "", "")


def test_a_watch_killed_at_any_time_harms_nobody(arena: Arena) -> None:
    arena.zone("frame", size=64)
    for _ in range(5):
        with watching(arena.name, "--every", "0.001") as watch:
            with holder(arena.name):
                pass
            watch.kill()
            watch.wait()
    arena.reap()
    until(lambda: arena.statistics().dead_cpus == 0, "every dead CPU reaped")
    assert arena.zone("frame").statistics().used == 0
    assert arena.check().ok


def test_once_and_for_end_by_themselves(arena: Arena) -> None:
    arena.zone("frame", size=64)
    with holder(arena.name) as pid:
        pass
    with watching(arena.name, "--once") as watch:
        out, err = watch.communicate(timeout=DEADLINE_S)
    assert (watch.returncode, err) == (0, "")
    assert f"pid {pid}, holder) died during nothing; nothing was open; freed 3 (frame 3)" in out
    with watching(arena.name, "--for", "0.01") as watch:
        assert watch.communicate(timeout=DEADLINE_S) == ("", "")
    assert watch.returncode == 0
