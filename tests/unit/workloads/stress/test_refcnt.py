"""Exactly one of two references is the last, and the workload sees when it is not."""

from __future__ import annotations

from typing import Any

import pytest

import shmalloc
from workloads.stress.refcnt import RefCnt

from .conftest import Pair


def kinds(worker: Any) -> list[str]:
    return [violation.kind for violation in worker.tally(0.0).violations]


@pytest.fixture
def shared(pair: Pair) -> Any:
    """(sender, its worker, receiver, its worker) after the sender shared one item."""
    (sender, at_sender), (receiver, at_receiver) = pair(RefCnt)
    sender._share(at_sender)  # type: ignore[attr-defined]
    return sender, at_sender, receiver, at_receiver


def test_the_receiver_frees_when_the_sender_dropped_first(shared: Any, arena: shmalloc.Arena) -> None:
    sender, at_sender, receiver, at_receiver = shared
    sender._drop_oldest(at_sender)
    receiver._receive(at_receiver, 0.0)
    assert (at_sender.ops, at_receiver.ops, at_receiver.remote_frees) == (0, 1, 1)
    assert arena.zone("refcnt").statistics().used == 0
    assert kinds(at_sender) + kinds(at_receiver) == []


def test_the_sender_frees_when_the_receiver_dropped_first(shared: Any, arena: shmalloc.Arena) -> None:
    sender, at_sender, receiver, at_receiver = shared
    receiver._receive(at_receiver, 0.0)
    sender._receive(at_sender, 0.0)
    assert arena.zone("refcnt").statistics().used == 1
    sender._drop_oldest(at_sender)
    assert (at_sender.ops, at_receiver.ops) == (1, 0)
    assert arena.zone("refcnt").statistics().used == 0
    assert kinds(at_sender) + kinds(at_receiver) == []


def test_a_reference_too_many_is_seen_as_no_last(shared: Any) -> None:
    sender, at_sender, receiver, at_receiver = shared
    sender._kept[0][1].add(1)
    receiver._receive(at_receiver, 0.0)
    sender._receive(at_sender, 0.0)
    sender._drop_oldest(at_sender)
    assert kinds(at_sender) == ["no-last"]


def test_a_reference_too_few_is_seen_as_an_item_that_was_freed_under_its_owner(shared: Any) -> None:
    sender, at_sender, receiver, at_receiver = shared
    sender._kept[0][1].sub(1)
    receiver._receive(at_receiver, 0.0)
    with pytest.raises(shmalloc.StaleHandle):
        sender._drop_oldest(at_sender)


def test_an_item_that_nobody_waits_for_is_seen(shared: Any) -> None:
    sender, at_sender, receiver, at_receiver = shared
    receiver._receive(at_receiver, 0.0)
    sender._kept.clear()
    sender._receive(at_sender, 0.0)
    assert kinds(at_sender) == ["two-lasts"]


def test_an_item_that_never_returns_is_seen(shared: Any, arena: shmalloc.Arena) -> None:
    sender, at_sender, _, _ = shared
    sender._kept[0][1].sub(1)
    sender._drop_oldest(at_sender)
    sender.drain(at_sender)
    assert kinds(at_sender) == ["never-returned"]
