"""Lock order across processes: halves of a reversal, waiters, the killed, and forked children."""

import os
import signal
from multiprocessing.connection import Connection

import pytest

import witness
from multiproc.crew import Crew
from shmalloc import Arena, LockTimeout


def other_way_round(name: str) -> int:
    """Takes b, then a; armed by nothing but the arena's header."""
    with Arena.attach(name) as arena, arena.mutex("b"), arena.mutex("a"):
        return os.getpid()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_two_halves_in_two_processes_are_put_together_before_any_deadlock(arena: Arena, method: str) -> None:
    witness.arm(arena, output=None)
    with arena.mutex("a"), arena.mutex("b"):
        pass
    with Crew(method) as crew:
        crew.start(other_way_round, arena.name)
        [pid] = crew.results()
    graph = witness.read_graph(arena)
    [reversal] = graph.reversals
    assert [graph.classes[c].name for c in reversal.cycle] == ["a", "b"]
    assert reversal.established is not None
    assert {side.pid for side in reversal.established} == {os.getpid()}
    assert {side.pid for side in reversal.attempted} == {pid}
    assert [side.stack[0].function for side in reversal.attempted] == ["other_way_round"] * 2
    assert {p.pid for p in graph.processes} >= {pid, os.getpid()}


def hold_and_wait(name: str, ready: Connection) -> None:
    """Holds one lock and says so."""
    with Arena.attach(name) as arena:
        arena.mutex("held").acquire()
        ready.send(os.getpid())
        while True:
            signal.pause()


def test_who_waits_for_whom_can_be_read_and_the_killed_are_told_of(arena: Arena) -> None:
    texts: list[str] = []
    checker = witness.arm(arena, output=texts.append)
    crew = Crew("spawn")
    ours, theirs = crew.context.Pipe(duplex=False)
    child = crew.context.Process(target=hold_and_wait, args=(arena.name, theirs))  # type: ignore[attr-defined]
    child.start()
    assert ours.poll(60)
    pid = ours.recv()
    seen = []

    def look(*_: object) -> None:
        seen.append(witness.read_graph(arena).waits)

    before = signal.signal(signal.SIGALRM, look)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(LockTimeout):
            arena.mutex("held").acquire(timeout=1.0)
    finally:
        signal.signal(signal.SIGALRM, before)
        child.kill()
        child.join()
        child.close()
    [[wait]] = seen
    assert wait.side.pid == os.getpid()
    assert [holder.pid for holder in wait.holders] == [pid]
    assert witness.read_graph(arena).waits == ()
    assert checker.sweep() == 1
    assert [f"died with a lock held: mutex held (pid {pid}" in text for text in texts] == [True]


def in_the_child(arena: Arena) -> tuple[str, ...]:
    """A forked child holds nothing of its parent's."""
    with arena.mutex("b"):
        pass
    return tuple(f"{e.first}-{e.second}" for e in witness.read_graph(arena).edges if e.count or e.established[1].stack)


def test_a_forked_child_holds_nothing_of_its_parents(arena: Arena) -> None:
    witness.arm(arena, output=None)
    with arena.mutex("a"), Crew("fork") as crew:
        crew.start(in_the_child, arena)
        [edges] = crew.results()
    assert edges == ()
