"""When a ring is certain: what two looks have to agree on."""

from typing import Any

import pytest

from witness.live import situation
from witness.live.situation import Situation

A, B = 0, 1
ONE, TWO = 100 << 32 | 100, 200 << 32 | 200


def thread(owner: int, holds: int, wants: int, number: int = 1) -> tuple[Any, ...]:
    """A thread's row: holds a lock and waits for one."""
    waits = (wants, 1, 0, (("f.py", 1, "f"),), 5, number)
    return (owner, "t", True, waits, ((holds, 1, 0, 1, (), 0),))


def look(*threads: tuple[Any, ...]) -> dict[str, Any]:
    """One look at a block with these threads."""
    row = ("mutex", 0, 0, (), 0, 0, (0, 0, 0, 0), (0, 0, 0, 0))
    return {"block": {"classes": {A: ("a", *row), B: ("b", *row)}, "threads": list(threads), "processes": []}}


def judged(before: dict[str, Any], after: dict[str, Any]) -> Situation:
    """What follows from two looks."""
    return situation._situation(before, after)


@pytest.fixture(autouse=True)
def life(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Everybody lives who is not said to be dead."""
    states: dict[int, str] = {}
    monkeypatch.setattr(situation, "life_of", lambda pid, tid, *, arena: states.get(pid, "lives"))
    return states


def test_a_ring_of_waits_that_stand_is_a_deadlock() -> None:
    ring = look(thread(ONE, A, B), thread(TWO, B, A))
    [found] = judged(ring, ring).deadlocks
    assert [one.pid for one in found] == [100, 200]


def test_a_wait_with_another_number_is_another_wait_however_alike() -> None:
    before = look(thread(ONE, A, B), thread(TWO, B, A, number=7))
    after = look(thread(ONE, A, B), thread(TWO, B, A, number=8))
    found = judged(before, after)
    assert found.deadlocks == ()
    assert {one.pid: one.waits.stands for one in found.waiting if one.waits} == {100: True, 200: False}


def test_a_lock_that_was_not_held_in_both_looks_closes_no_ring() -> None:
    empty = (*thread(TWO, B, A)[:4], ())
    found = judged(look(thread(ONE, A, B), empty), look(thread(ONE, A, B), thread(TWO, B, A)))
    assert found.deadlocks == ()
    assert judged(look(thread(ONE, A, B)), look(thread(ONE, A, B), thread(TWO, B, A))).deadlocks == ()


def test_the_dead_are_in_no_ring_and_are_named_as_holders(life: dict[int, str]) -> None:
    life[200] = "died"
    ring = look(thread(ONE, A, B), thread(TWO, B, A))
    found = judged(ring, ring)
    assert found.deadlocks == ()
    [waiter] = found.waiting
    assert waiter.waits is not None
    assert [(one.pid, one.life) for one, _ in found.holders(waiter.waits.lock)] == [(200, "died")]


def test_locks_of_one_number_in_two_blocks_are_two() -> None:
    mine, theirs = look(thread(ONE, A, B))["block"], look(thread(TWO, B, A))["block"]
    looks = {"mine": mine, "theirs": theirs}
    assert judged(looks, looks).deadlocks == ()


def test_a_thread_that_waits_for_its_own_lock_is_a_deadlock_of_one() -> None:
    ring = look(thread(ONE, A, A))
    [found] = judged(ring, ring).deadlocks
    assert [one.pid for one in found] == [100]
