"""Locks of one type have one order, whatever their names; subclasses say which of them is taken in which."""

from __future__ import annotations

import pickle

import pytest

import witness
from shmalloc import Arena, InvalidArgument, NameTooLong
from shmalloc.locks import Mutex


@pytest.fixture
def checker(arena: Arena) -> witness.Checker:
    return witness.arm(arena, output=None)


def names_of(arena: Arena) -> dict[int, str]:
    return {record.id: record.name for record in witness.read_graph(arena).classes}


def account(arena: Arena, number: int, subclass: int = 0) -> Mutex:
    return arena.mutex(f"account {number}", lock_type="account", subclass=subclass)


def test_an_order_is_between_types_so_other_locks_of_them_reverse_it(arena: Arena, checker: witness.Checker) -> None:
    with account(arena, 1), arena.mutex("log 1", lock_type="log"):
        pass
    with arena.mutex("log 2", lock_type="log"), account(arena, 2):
        pass
    [reversal] = witness.read_graph(arena).reversals
    assert [names_of(arena)[one] for one in reversal.cycle] == ["account", "log"]


def test_two_of_a_type_are_a_duplicate_and_of_two_subclasses_an_order(arena: Arena, checker: witness.Checker) -> None:
    with account(arena, 1), account(arena, 2, subclass=1):
        pass
    assert witness.read_graph(arena).reversals == ()
    with account(arena, 3, subclass=1), account(arena, 4):
        pass
    [reversal] = witness.read_graph(arena).reversals
    assert reversal.kind == "reversal"
    assert {names_of(arena)[one] for one in reversal.cycle} == {"account", "account/1"}
    with account(arena, 1), account(arena, 2):
        pass
    assert [found.kind for found in witness.read_graph(arena).reversals] == ["reversal", "duplicate"]


def test_one_lock_in_two_roles_is_given_back_by_either(arena: Arena, checker: witness.Checker) -> None:
    outer, inner = account(arena, 1), account(arena, 1, subclass=1)
    for taken, given in ((outer, inner), (inner, outer), (outer, arena.mutex("account 1"))):
        taken.acquire()
        given.release()
        with arena.mutex("later"):  # nothing is held any more: no order
            pass
    graph = witness.read_graph(arena)
    later = next(record.id for record in graph.classes if record.name == "later")
    assert not [edge for edge in graph.edges if edge.second == later]
    assert graph.misuses == ()


def test_a_condition_waits_with_its_mutex_in_the_same_role(arena: Arena, checker: witness.Checker) -> None:
    mutex = account(arena, 1)
    condition = arena.condition("changed", mutex)
    with mutex:
        assert condition.wait(timeout=0.001) is False
        with arena.mutex("log"):
            pass
    graph = witness.read_graph(arena)
    assert "account 1" not in names_of(arena).values()
    names = names_of(arena)
    assert ("account", "log") in {(names[edge.first], names[edge.second]) for edge in graph.edges}


def test_a_pickled_lock_keeps_its_role(arena: Arena) -> None:
    for lock in (account(arena, 1, subclass=2), arena.sx("s", lock_type="table"), arena.rwlock("plain")):
        again = pickle.loads(pickle.dumps(lock))
        assert (again.name, again.lock_type, again.subclass) == (lock.name, lock.lock_type, lock.subclass)
    assert arena.semaphore("x", 2, lock_type="permits").lock_type == "permits"


def test_a_role_that_cannot_be_is_refused(arena: Arena) -> None:
    with pytest.raises(InvalidArgument, match="lock_type"):
        arena.mutex("m", subclass=1)
    with pytest.raises(NameTooLong):
        arena.mutex("m", lock_type="t" * 32)
    with pytest.raises(InvalidArgument):
        arena.mutex("m", lock_type="")
    with pytest.raises((InvalidArgument, ValueError)):
        arena.mutex("m", lock_type="t", subclass=-1)
