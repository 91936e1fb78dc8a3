"""Who waits for whom as a tree and as JSON."""

import io
from typing import Any

import msgspec
from rich.console import Console

from witness.live.situation import Holding, Lock, Situation, ThreadNow, Waiting
from witness.record import Frame
from witness.report.waiting import as_plain_situation, situation_trees, summary

A, B = (Lock(name=name, kind="mutex", arena="demo", instance=1) for name in "ab")
STACK = (Frame("f.py", 3, "f"),)


def thread(pid: int, holds: Lock, wants: Lock | None, *, stands: bool = True, **fields: Any) -> ThreadNow:
    """A thread that holds and perhaps waits."""
    waits = None if wants is None else Waiting(wants, "exclusive", STACK, 1_500_000_000, stands)
    now = ThreadNow(pid, pid, "p", "t", "lives", waits, (Holding(holds, "exclusive", STACK),))
    return msgspec.structs.replace(now, **fields)


def told(situation: Situation, *, every: bool = False) -> str:
    """The trees as text."""
    console = Console(file=io.StringIO(), width=500)
    for tree in situation_trees(situation, every=every):
        console.print(tree)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_ring_is_one_tree_and_its_members_are_not_told_again() -> None:
    one, two = thread(1, A, B), thread(2, B, A)
    text = told(Situation(("demo",), (one, two), ((one, two),)))
    assert text.count("DEADLOCK: 2 threads wait for each other") == 1
    assert text.count('waits 1.5 s for mutex "b" (demo), at') == 1
    assert text.count("which waits itself") == 2
    plain = as_plain_situation(Situation(("demo",), (one, two), ((one, two),)), every=False)
    assert plain["deadlocks"] == [["1/1", "2/2"]]
    assert [wait["deadlocked"] for wait in plain["waits"]] == [True, True]
    assert plain["waits"][0]["holders"][0]["pid"] == 2


def test_what_moves_and_who_only_holds_is_told_when_asked_for() -> None:
    now = Situation(("demo",), (thread(1, A, B, stands=False), thread(2, B, None)), ())
    assert told(now) == ""
    assert as_plain_situation(now, every=False)["waits"] == []
    text = told(now, every=True)
    assert "(moving)" in text
    assert "p (pid 2, thread t, tid 2) waits for nothing" in text
    assert len(as_plain_situation(now, every=True)["holds"]) == 2
    assert summary(now) == "0 threads wait, 1 moving, no deadlock; seen in demo"


def test_a_holder_that_is_gone_is_said_to_be_and_is_no_waiter_any_more() -> None:
    now = Situation(("demo",), (thread(1, A, B), thread(2, B, A, life="died")), ())
    text = told(now)
    assert "(the process is dead)" in text
    assert "which waits itself" not in text
    assert [one.pid for one in now.waiting] == [1]
