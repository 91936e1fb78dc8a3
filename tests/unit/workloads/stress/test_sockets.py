"""A byte of a stream that is wrong, missing or too many is seen, and so is a record with another sender's address."""

from __future__ import annotations

import pytest

import shmalloc
from workloads.context import Worker
from workloads.stress.sealed_packet import SealedPacket
from workloads.stress.sockets import ADDRESS, PATTERN_BYTES, STREAM_HIWAT, Sockets, Stream

from .conftest import Pair

Both = list[tuple[Sockets, Worker]]


@pytest.fixture
def ends(pair: Pair) -> Both:
    """Two workers: each receives the other's stream."""
    made = []
    for workload, worker in pair(Sockets):
        assert isinstance(workload, Sockets)
        made.append((workload, worker))
    return made


def finish(ends: Both) -> list[str]:
    """End both as the runner does. Returns: the kinds of their violations."""
    for sockets, worker in ends:
        worker.deadline_ns = 0
        sockets.run(worker)
    for sockets, worker in ends:
        sockets.drain(worker)
    return [violation.kind for _, worker in ends for violation in worker.findings]


def test_the_pattern_is_the_same_at_both_ends_and_another_for_every_stream(ends: Both) -> None:
    (sender, _), (receiver, _) = ends
    here, there = sender._sending, receiver._receiving
    assert here.next_bytes(5000) == there.next_bytes(5000)
    assert here.next_bytes(5000) != receiver._sending.next_bytes(5000)
    # Across the place where it begins anew.
    here.length = PATTERN_BYTES - 10
    assert here.next_bytes(100)[10:] == there.next_bytes(90)


def test_chunks_and_records_arrive_as_they_were_sent(ends: Both) -> None:
    for _ in range(50):
        for sockets, worker in ends:
            sockets._send_chunk(worker, 0.0)
            sockets._send_record(worker, 0.0)
            sockets._receive_chunk(worker, 0.0)
    assert finish(ends) == []
    (sender, at_sender), (receiver, at_receiver) = ends
    assert sender._sending.length == receiver._receiving.length > 0
    assert at_sender.received + at_receiver.received == at_sender.sent + at_receiver.sent > 10


def test_back_pressure_stops_a_sender_and_loses_nothing(ends: Both) -> None:
    (sender, worker), (receiver, _) = ends
    while sender._send_chunk(worker, 0.0):
        continue
    assert worker.counts["found no room / streams"] == 1
    assert receiver._in.cc == sender._sending.length <= STREAM_HIWAT
    assert finish(ends) == []


@pytest.mark.parametrize("data", [b"\0" * 100, None])
def test_bytes_that_the_sender_did_not_count_are_seen(ends: Both, data: bytes | None) -> None:
    (sender, worker), _ = ends
    sender._send_chunk(worker, 0.0)
    stream: Stream = sender._sending
    packet = sender._mbufs.m_getcl()
    packet.m_append(stream.next_bytes(100) if data is None else data)
    sender._out.sbappendstream(packet)
    # What is right in every byte is still more than was sent.
    assert set(finish(ends)) == ({"stream"} if data is None else {"stream", "corrupt-item"})


def test_bytes_that_vanish_are_seen(ends: Both) -> None:
    (sender, worker), _ = ends
    sender._send_chunk(worker, 0.0)
    sender._out.sbdrop(3)
    assert set(finish(ends)) == {"stream", "corrupt-item"}


def test_a_record_with_another_senders_address_is_seen(ends: Both) -> None:
    (sender, worker), _ = ends
    packet = sender._mbufs.m_getcl()
    worker.seal(SealedPacket(packet, 200), b"x" * 100)
    sender._records[0].sbappendaddr(ADDRESS.pack(b"worker", worker.owner + 1), packet)
    worker.sent += 1
    assert finish(ends) == ["corrupt-item"]


def test_a_damaged_sockbuf_ends_the_worker(ends: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    (sockets, worker), _ = ends

    class Damaged:
        def receive(self, *_: object, **__: object) -> None:
            raise shmalloc.SockbufEmpty(sockbuf="stream")

        def sbcheck(self) -> None:
            raise shmalloc.SockbufCorrupt(sockbuf="stream", call="sbcheck")

    monkeypatch.setattr(sockets, "_in", Damaged())
    with pytest.raises(shmalloc.SockbufCorrupt):
        sockets.drain(worker)
