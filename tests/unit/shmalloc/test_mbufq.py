"""Rows of packets of one process."""

import pytest

import shmalloc
from shmalloc import Arena, InvalidArgument, ItemFreed, Mbufs, QueueEmpty, QueueFull


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs()


def numbered(mb: Mbufs, number: int) -> shmalloc.Mbuf:
    packet = mb.m_gethdr()
    packet.pkthdr.rcvif = number
    return packet


def test_packets_leave_in_the_order_they_came(mb: Mbufs) -> None:
    row = mb.mbufq()
    for number in range(5):
        row.enqueue(numbered(mb, number))
    row.prepend(numbered(mb, 99))
    assert len(row) == 6
    assert [row.dequeue().pkthdr.rcvif for _ in range(3)] == [99, 0, 1]
    assert [packet.pkthdr.rcvif for packet in row.flush()] == [2, 3, 4]
    with pytest.raises(QueueEmpty):
        row.dequeue()


def test_a_full_row_leaves_the_packet_with_its_owner(mb: Mbufs) -> None:
    row = mb.mbufq(2)
    row.enqueue(numbered(mb, 1))
    row.enqueue(numbered(mb, 2))
    late = numbered(mb, 3)
    assert row.full
    with pytest.raises(QueueFull, match="2 items"):
        row.enqueue(late)
    assert late.pkthdr.rcvif == 3
    row.prepend(late)
    with pytest.raises(ItemFreed, match="handed over"):
        _ = late.pkthdr.rcvif
    assert (len(row), row.maxlen) == (3, 2)
    for bad in (-1, 1 << 32):
        with pytest.raises(InvalidArgument):
            mb.mbufq(bad)


def test_rows_are_joined_drained_and_dropped(mb: Mbufs) -> None:
    first, second = mb.mbufq(), mb.mbufq()
    first.enqueue(numbered(mb, 1))
    second.enqueue(numbered(mb, 2))
    first.concat(second)
    assert (len(first), len(second)) == (2, 0)
    with pytest.raises(InvalidArgument, match="itself"):
        first.concat(first)
    first.drain()
    assert mb.statistics().mbufs.current == 0
    second.enqueue(mb.m_getm2(9000))
    assert mb.statistics().mbufs.current > 1
    del second
    assert mb.statistics().mbufs.current == 0


def test_a_packet_with_an_open_view_is_not_taken(mb: Mbufs) -> None:
    row, packet = mb.mbufq(), mb.m_getcl()
    with memoryview(packet):
        for put in (row.enqueue, row.prepend):
            with pytest.raises(BufferError):
                put(packet)
    assert len(row) == 0
