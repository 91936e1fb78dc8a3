"""Packets cross in two pieces and are whole again; a piece that changed or is missing is seen."""

from __future__ import annotations

import pytest

import shmalloc
from shmalloc import M_FIRSTFRAG, M_LASTFRAG
from workloads.context import Worker
from workloads.cookie import COOKIE_BYTES
from workloads.stress.base import Workload
from workloads.stress.forward import CUT, TRAILER, Forward

from .conftest import Pair

Both = list[tuple[Forward, Worker]]


@pytest.fixture
def cards(pair: Pair) -> Both:
    """Two routers' cards: what the first takes in leaves by the second."""
    made = []
    for workload, worker in pair(Forward):
        assert isinstance(workload, Forward)
        made.append((workload, worker))
    return made


def take_in(cards: Both, count: int) -> list[shmalloc.Mbuf]:
    """The pieces of the first frames, which wait to be sent."""
    card, worker = cards[0]
    card._take_in(worker, 0, card._capture.frames[:count])
    return card._unsent[1]


def deliver(cards: Both) -> list[str]:
    """Send and receive everything. Returns: the kinds of the violations on both sides."""
    (card, at_card), (other, at_other) = cards
    assert card._flush(at_card) is False
    other.drain(at_other)
    card.drain(at_card)
    return [violation.kind for violation in (*at_card.findings, *at_other.findings)]


def test_packets_cross_in_pieces_are_whole_again_and_freed_there(cards: Both, arena: shmalloc.Arena) -> None:
    pieces = take_in(cards, 40)
    frames = cards[0][0]._capture.frames[:40]
    assert len(pieces) > 40
    heads = [piece for piece in pieces if piece.flags & M_FIRSTFRAG]
    assert len(heads) == 40
    assert all(len(memoryview(head)) >= min(CUT, len(head)) for head in heads), "headers are contiguous"
    sizes = [len(frame.data) + TRAILER.size + COOKIE_BYTES for frame in frames]
    assert sum(map(len, pieces)) == sum(sizes)
    sent = len(pieces)
    del heads, pieces
    assert deliver(cards) == []
    (_, at_card), (other, at_other) = cards
    assert (at_other.received, at_other.ops, at_other.remote_frees, at_card.received) == (sent, 40, 40, 0)
    assert other._frame_bytes == sum(len(frame.data) for frame in frames)
    figures = arena.mbuf_statistics()
    assert figures is not None
    assert (figures.mbufs.current, figures.clusters.current) == (0, 0)


def test_headroom_takes_the_header_in_place_and_its_lack_costs_an_mbuf(cards: Both) -> None:
    card, worker = cards[0]
    frame = max(card._capture.frames, key=lambda each: len(each.data))
    without = card._receive(frame, 0, bytes(TRAILER.size))
    headroom = card._receive(frame, 1, bytes(TRAILER.size))
    for packet in (without, headroom):
        packet.m_prepend(COOKIE_BYTES)
    assert (len(list(without)), len(list(headroom))) == (2, 1)
    assert worker.findings == ()


def test_a_byte_changed_on_the_way_is_seen_by_the_piece_and_by_the_whole(cards: Both) -> None:
    tail = next(piece for piece in take_in(cards, 8) if not piece.flags & M_FIRSTFRAG)
    tail.m_copyback(0, bytes([tail.m_copydata(0, 1)[0] ^ 1]))
    assert deliver(cards) == ["corrupt-item", "corrupt-item"]


def test_a_whole_packet_that_is_another_frame_is_seen(cards: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    take_in(cards, 1)
    other, _ = cards[1]
    frames = other._capture.frames
    monkeypatch.setattr(other, "_capture", other._capture._replace(frames=(frames[1], *frames[1:])))
    assert deliver(cards) == ["corrupt-item"]


def test_a_tail_that_never_comes_is_seen_and_its_head_is_not_leaked(cards: Both, arena: shmalloc.Arena) -> None:
    pieces = take_in(cards, 8)
    lost = next(place for place, piece in enumerate(pieces) if not piece.flags & M_FIRSTFRAG)
    pieces.pop(lost).free()
    assert "reassembly" in deliver(cards)
    assert_nothing_held(arena)


def test_the_last_head_without_a_tail_is_freed_by_the_drain(cards: Both, arena: shmalloc.Arena) -> None:
    pieces = take_in(cards, 1)
    assert pieces[-1].flags & M_LASTFRAG
    pieces.pop().free()
    deliver(cards)
    assert_nothing_held(arena)


def test_frames_find_no_buffer_and_are_dropped_without_a_trace(cards: Both, arena: shmalloc.Arena) -> None:
    mbufs = arena.mbufs()
    held = []
    with pytest.raises(shmalloc.NoBuffers):
        while True:
            held.append(mbufs.m_getcl(shmalloc.M_NOWAIT))
    assert take_in(cards, 10) == []
    assert cards[0][1].counts["dropped, no buffer"] == 10
    held.clear()
    assert deliver(cards) == []
    assert_nothing_held(arena)


def assert_nothing_held(arena: shmalloc.Arena) -> None:
    """No mbuf is out."""
    figures = arena.mbuf_statistics()
    assert figures is not None
    assert (figures.mbufs.current, figures.clusters.current) == (0, 0)


def test_the_workload_replays(pair: Pair) -> None:
    assert Forward.replays
    assert not Workload.replays
