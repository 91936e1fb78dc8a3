"""What a user sees of a peer, or a reaper, that stands still: Stalled names it, says what to do, and all goes on."""

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from shmalloc import M_NOWAIT, Arena, Stalled

SOON_MS, LATE_MS = 60, 30_000
DEADLINE_S = 60.0
HELD = 7


class Child:
    """A forked child: runs `run(say)` after which it waits to be killed; say() lets the parent go on."""

    def __init__(self, run: Callable[[Callable[[], object]], None]) -> None:
        said, say = os.pipe()
        self.pid = os.fork()
        self.alive = True
        if self.pid == 0:
            try:
                run(lambda: os.write(say, b"1"))
                signal.pause()
            finally:
                os._exit(1)
        os.close(say)
        try:
            assert os.read(said, 1) == b"1", "the child failed before it was ready"
        except BaseException:
            self.end()
            raise
        finally:
            os.close(said)

    def stop(self) -> None:
        """SIGSTOP; returns when it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        self.until_stopped()

    def until_stopped(self) -> None:
        """Wait until it stands still."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        self.alive = os.WIFSTOPPED(status)
        assert self.alive, f"the child ended with wait status {status}"

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """SIGKILL, and wait; nothing when it has ended."""
        if self.alive:
            self.alive = False
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def stop_when(self, caught: Callable[[], bool]) -> None:
        """Stop it again and again until it stands where `caught` wants it."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            self.stop()
            if caught():
                return
            assert time.monotonic() < deadline, "the child was never stopped where it was wanted"
            self.go_on()


@contextmanager
def child(run: Callable[[Callable[[], object]], None]) -> Iterator[Child]:
    """A Child, ended with the block."""
    made = Child(run)
    try:
        yield made
    finally:
        made.end()


def cpu_of(arena: Arena, pid: int) -> int:
    """The slot of a process."""
    (cpu,) = [cpu.id for cpu in arena.cpus() if cpu.pid == pid]
    return cpu


def dead_holding(name: str, zone: str) -> None:
    """Leave a dead process that holds HELD items."""
    kept: list[object] = []

    def run(say: Callable[[], object]) -> None:
        arena = Arena.attach(name)
        kept.extend((arena, arena.zone(zone).alloc_many(HELD)))
        say()

    Child(run).end()


def churn(name: str) -> Callable[[Callable[[], object]], None]:
    """For a child that allocates and frees in bulk, for ever."""

    def run(say: Callable[[], object]) -> None:
        with Arena.attach(name) as arena:
            zone = arena.zone("churned")
            say()
            while True:
                zone.free_many(zone.alloc_many(500))

    return run


def look_for_ever(name: str) -> Callable[[Callable[[], object]], None]:
    """For a child that stops every CPU again and again."""

    def run(say: Callable[[], object]) -> None:
        with Arena.attach(name, observe=True) as arena:
            say()
            while True:
                arena.check()

    return run


def stands_in_an_operation(arena: Arena, pid: int) -> bool:
    """Whether that process's op word is set."""
    return any(cpu.pid == pid and cpu.op != 0 for cpu in arena.cpus())


def test_a_stopped_peer_is_named_and_recovery_goes_on_when_it_does(arena: Arena) -> None:
    arena.zone("churned", size=64)
    held = arena.zone("held", size=64)
    held.alloc().free()  # so that this CPU has items of its own at hand
    with child(churn(arena.name)) as peer:
        dead_holding(arena.name, "held")
        arena.sysctl["kern.shmalloc.stall_ms"] = SOON_MS
        peer.stop_when(lambda: stands_in_an_operation(arena, peer.pid))
        began = time.monotonic()
        with pytest.raises(Stalled) as stalled:
            arena.reap()
        assert SOON_MS / 1000 <= time.monotonic() - began < 10
        assert (stalled.value.cpu, stalled.value.pid) == (cpu_of(arena, peer.pid), peer.pid)
        text = str(stalled.value)
        assert f"pid {peer.pid}" in text
        assert f"kill -CONT {peer.pid}" in text
        assert "kern.shmalloc.stall_ms" in text
        assert str(pickle.loads(pickle.dumps(stalled.value))) == text
        held.alloc().free()  # what needs nothing of the stopped one goes on
        arena.sysctl["kern.shmalloc.stall_ms"] = LATE_MS
        peer.go_on()
        report = arena.reap()
        assert (report.dead, report.freed) == (1, HELD)
        peer.end()
    assert arena.reap().dead == 1
    assert held.statistics().used == 0


def test_a_stopped_peer_may_be_killed_instead(arena: Arena) -> None:
    zone = arena.zone("churned", size=64)
    arena.zone("held", size=64)
    with child(churn(arena.name)) as peer:
        dead_holding(arena.name, "held")
        arena.sysctl["kern.shmalloc.stall_ms"] = SOON_MS
        peer.stop_when(lambda: stands_in_an_operation(arena, peer.pid))
        with pytest.raises(Stalled):
            arena.reap()
    report = arena.reap()
    assert report.dead == 2
    assert {cpu.doing == "nothing" for cpu in report.cpus} == {True, False}
    assert zone.statistics().used == arena.zone("held").statistics().used == 0


@pytest.mark.parametrize("ending", ["goes on", "is killed"])
def test_who_stands_still_with_the_world_stopped_is_named_and_lets_go(arena: Arena, ending: str) -> None:
    zone = arena.zone("held", size=64)
    caught: list[Stalled] = []

    def world_stands_still() -> bool:
        try:
            zone.alloc(M_NOWAIT).free()
        except Stalled as error:
            caught.append(error)
            return True
        return False

    with child(look_for_ever(arena.name)) as watcher:
        arena.sysctl["kern.shmalloc.stall_ms"] = SOON_MS
        watcher.stop_when(world_stands_still)
        assert caught[-1].pid == watcher.pid
        with pytest.raises(Stalled):
            Arena.attach(arena.name)
        arena.sysctl["kern.shmalloc.stall_ms"] = LATE_MS
        if ending == "goes on":
            watcher.go_on()
        else:
            watcher.end()
        with Arena.attach(arena.name) as other:
            other.zone("held").alloc().free()
        zone.alloc().free()
    arena.reap()


def stop_once(mem: memoryview, size: int, arg: object) -> None:
    """A dtor that stands still, in the process that was told to."""
    mem[0] = 0xD7
    if os.environ.pop("REAPER_STANDS_STILL", None):
        os.kill(os.getpid(), signal.SIGSTOP)


def test_a_reaper_stopped_or_killed_in_a_dtor_is_in_nobodys_way(arena: Arena) -> None:
    zone = arena.zone("held", size=64, dtor=stop_once)

    def reap(say: Callable[[], object]) -> None:
        os.environ["REAPER_STANDS_STILL"] = "1"
        with Arena.attach(arena_name, observe=True) as mine:
            say()
            mine.reap()

    arena_name = arena.name
    dead_holding(arena.name, "held")
    with child(reap) as reaper:
        arena.sysctl["kern.shmalloc.stall_ms"] = SOON_MS
        reaper.until_stopped()
        assert arena.reap().dead == 0
        with Arena.attach(arena.name) as other:
            other.zone("held").alloc().free()
    assert arena.reap().dead == 1
    assert zone.statistics().used == 0
    assert [item[0] for item in zone.alloc_many(HELD)].count(0xD7) >= HELD - 1  # but for the one it was freeing
