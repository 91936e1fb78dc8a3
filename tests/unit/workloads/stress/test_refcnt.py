"""Exactly one of two references is the last, and the workload sees when it is not."""

from __future__ import annotations

from typing import Any

import pytest

import faultinj
import shmalloc
from faultinj import process
from workloads.context import FORCED
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


def damaged(item: shmalloc.Item) -> None:
    item.write(bytes([item.read(1)[0] ^ 0x40]))


def test_a_damaged_item_is_told_and_freed_only_when_both_have_dropped(pair: Pair, arena: shmalloc.Arena) -> None:
    (sender, at_sender), (receiver, at_receiver) = pair(RefCnt)
    sender._share(at_sender)  # type: ignore[attr-defined]
    (item,) = receiver._inboxes[1].get_many(1, timeout=0)  # type: ignore[attr-defined]
    damaged(item)
    receiver._inboxes[1].put(item)  # type: ignore[attr-defined]
    receiver._receive(at_receiver, 0.0)  # type: ignore[attr-defined]
    # The sender's reference stands: the item is not freed under it, and its memory is not another's.
    assert arena.zone("refcnt").statistics().used == 1
    sender._drop_oldest(at_sender)  # type: ignore[attr-defined]
    sender.drain(at_sender)
    receiver.drain(at_receiver)
    assert (kinds(at_sender), kinds(at_receiver)) == ([], ["corrupt-item"])
    assert arena.zone("refcnt").statistics().used == 0


@pytest.mark.parametrize("dropped_first", [False, True])
def test_an_item_that_was_damaged_on_its_way_back_is_still_its_owners(
    shared: Any, arena: shmalloc.Arena, dropped_first: bool
) -> None:
    sender, at_sender, receiver, at_receiver = shared
    receiver._receive(at_receiver, 0.0)
    (item,) = sender._inboxes[0].get_many(1, timeout=0)
    damaged(item)
    sender._inboxes[0].put(item)
    if dropped_first:
        sender._drop_oldest(at_sender)  # the last of the two: it must come back
    sender._receive(at_sender, 0.0)
    while sender._kept:
        sender._drop_oldest(at_sender)
    sender.drain(at_sender)
    assert kinds(at_sender) == ["corrupt-item"]
    assert arena.zone("refcnt").statistics().used == 0


def test_a_queue_that_is_made_full_is_no_violation_and_the_item_stays_here(pair: Pair, arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    (sender, at_sender), (receiver, at_receiver) = pair(RefCnt)
    with faultinj.inject("queue.put=return"):
        sender._share(at_sender)  # type: ignore[attr-defined]
    assert (kinds(at_sender), at_sender.counts[FORCED], at_sender.sent) == ([], 1, 0)
    assert arena.zone("refcnt").statistics().used == 0
    sender._share(at_sender)  # type: ignore[attr-defined]
    with faultinj.inject("queue.put=return"):
        receiver._receive(at_receiver, 0.0)  # type: ignore[attr-defined]
    receiver._flush(at_receiver)  # type: ignore[attr-defined]
    sender._receive(at_sender, 0.0)  # type: ignore[attr-defined]
    sender._drop_oldest(at_sender)  # type: ignore[attr-defined]
    assert (kinds(at_sender), kinds(at_receiver), at_sender.ops) == ([], [], 1)
    assert arena.zone("refcnt").statistics().used == 0
    process.use(None)


def test_a_queue_that_is_full_though_it_has_room_is_a_violation(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, at_sender, _, _ = shared
    monkeypatch.setattr(at_sender, "send", lambda queue, items: items)
    sender._share(at_sender)
    assert kinds(at_sender) == ["queue-full"]
