"""Frames find the class they fit, and the ctor refuses an item that is in use."""

from __future__ import annotations

import pytest

import shmalloc
from workloads.capture import Capture
from workloads.cookie import COOKIE_BYTES
from workloads.stress.packets import FRESH, SPENT, TRAILER, Packets, frame_classes, frame_ctor, frame_dtor, frame_init

from .conftest import Pair


def capture_with(largest_bytes: int) -> Capture:
    return Capture("made", (), None, largest_bytes, largest_bytes)


@pytest.mark.parametrize(
    ("largest", "classes"),
    [
        (60, [256]),
        (256 - COOKIE_BYTES - TRAILER.size, [256]),
        (256 - COOKIE_BYTES - TRAILER.size + 1, [256, 2048]),
        (1514, [256, 2048]),
        (9014, [256, 2048, 12288]),
        (65549, [256, 2048, 69632]),
    ],
)
def test_the_largest_frame_decides_the_classes(largest: int, classes: list[int]) -> None:
    assert frame_classes(capture_with(largest)) == classes


def test_a_frame_goes_from_spent_to_fresh_and_back() -> None:
    memory = bytearray(256)
    view = memoryview(memory)
    frame_init(view, 256, 0)
    assert frame_ctor(view, 256, None, 0) == 0
    assert memory[:COOKIE_BYTES] == FRESH
    assert frame_ctor(view, 256, None, 0) == 16
    frame_dtor(view, 256, None)
    assert memory[:COOKIE_BYTES] == SPENT


def test_the_zones_run_the_ctors_by_name(pair: Pair, arena: shmalloc.Arena) -> None:
    pair(Packets)
    zone = arena.zone("frame.2048")
    item = zone.alloc()
    assert item.read(COOKIE_BYTES) == FRESH


def test_frames_cross_to_the_other_worker_and_are_freed_there(pair: Pair, arena: shmalloc.Arena) -> None:
    (card, at_card), (stack, at_stack) = pair(Packets)
    frames = card._capture.frames[:40]  # type: ignore[attr-defined]
    card._take_in(at_card, 0, frames)  # type: ignore[attr-defined]
    assert sum(zone.statistics().used for zone in arena.zones()) == 40
    assert card._flush(at_card) is False  # type: ignore[attr-defined]
    stack.drain(at_stack)
    card.drain(at_card)
    assert (at_stack.received, at_stack.remote_frees, at_card.received) == (40, 40, 0)
    assert at_stack.counts["frame bytes"] == sum(len(frame.data) for frame in frames)
    assert sum(zone.statistics().used for zone in arena.zones()) == 0
    assert at_card.tally(0.0).violations_total + at_stack.tally(0.0).violations_total == 0


def test_a_frame_back_at_its_card_is_a_violation(pair: Pair) -> None:
    (card, at_card), _ = pair(Packets)
    card._take_in(at_card, 0, card._capture.frames[:1])  # type: ignore[attr-defined]
    own = card._inboxes[0]  # type: ignore[attr-defined]
    at_card.send(own, card._unsent[1])  # type: ignore[attr-defined]
    card._unsent[1] = []  # type: ignore[attr-defined]
    card.drain(at_card)
    assert [violation.kind for violation in at_card.tally(0.0).violations] == ["not-remote"]
