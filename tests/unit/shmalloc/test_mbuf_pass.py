"""Packets that leave their object: tickets, pickles and queues, a closed arena, a reader."""

import pickle
import sys

import pytest

import shmalloc
from shmalloc import Arena, ArenaClosed, InvalidArgument, ItemFreed, Mbufs, NoMbufs


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs(nmbclusters=64)


def in_use(mb: Mbufs) -> tuple[int, int]:
    """(mbufs, clusters) that packets use now."""
    s = mb.statistics()
    return s.mbufs.current, s.clusters.current


def test_a_ticket_and_a_pickle_hand_a_chain_over(arena: Arena, mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.m_append(b"cargo " * 1000)
    want = bytes(packet)
    data = pickle.dumps(packet)
    assert len(data) < 128
    assert packet.freed
    with pytest.raises(ItemFreed, match="handed over"):
        len(packet)
    back = pickle.loads(data)
    assert bytes(back) == want
    with pytest.raises(shmalloc.ItemError):
        pickle.loads(data)
    handle = back.ticket()
    assert bytes(arena.adopt(handle)) == want
    assert in_use(mb) == (0, 0)


def test_queues_carry_packets_between_items(arena: Arena, mb: Mbufs) -> None:
    queue = arena.queue("q", depth=8)
    chain = mb.m_getm2(9000)
    chain.m_copyback(0, b"c" * 9000)
    item = arena.malloc(100)
    small = mb.m_get()
    small.m_append(b"small")
    assert queue.put_many([chain, item, small]) == 3
    assert chain.freed
    assert small.freed
    got = queue.get_many(8)
    assert [type(thing) for thing in got] == [shmalloc.Mbuf, shmalloc.Item, shmalloc.Mbuf]
    assert bytes(got[0]) == b"c" * 9000
    assert bytes(got[2]) == b"small"
    queue.put(got[2])
    assert bytes(queue.get(timeout=0)) == b"small"
    full = arena.queue("full", depth=1)
    full.put(item := arena.malloc(8))
    with pytest.raises(shmalloc.QueueFull):
        full.put(got[0], timeout=0)
    assert full.put_many([], timeout=0) == 0
    assert bytes(got[0]) == b"c" * 9000
    with pytest.raises(InvalidArgument, match="twice"):
        queue.put_many([got[0], got[0]])
    with pytest.raises(TypeError):
        queue.put(b"bytes")  # type: ignore[arg-type]
    with memoryview(got[0]), pytest.raises(BufferError):
        queue.put(got[0])
    full.get(timeout=0)


def test_a_read_only_attachment_sees_and_makes_nothing(arena_name: str, arena: Arena) -> None:
    with Arena.attach(arena_name, read_only=True) as reader:
        with pytest.raises(NoMbufs, match=r"arena\.mbufs"):
            reader.mbufs()
        packet = arena.mbufs().m_getcl()
        mb = reader.mbufs()
        assert mb.statistics().packets.current == 1
        assert reader.sysctl["kern.ipc.nmbclusters"] == mb.nmbclusters
        for call in (mb.m_get, mb.m_getcl, mb.mb_reclaim):
            with pytest.raises(shmalloc.ReadOnly):
                call()
        packet.free()
        assert mb.statistics().packets.current == 0


def test_closing_the_arena_frees_packets_without_views(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="16M")
    mb = arena.mbufs()
    packets = [mb.m_getm2(5000) for _ in range(3)]
    row = mb.mbufq()
    row.enqueue(mb.m_getcl())
    seen, count = memoryview(packets[0]), len(list(packets[0]))
    arena.close()
    for call in (mb.m_getcl, mb.statistics, packets[1].free, row.dequeue):
        with pytest.raises(ArenaClosed):
            call()
    assert packets[2].freed
    with Arena.attach(arena_name) as other:
        assert other.mbufs().statistics().mbufs.current == count
        seen.release()
        assert other.mbufs().statistics().mbufs.current == 0
        del packets, row
        assert other.check().findings == ()


def test_a_view_outlives_its_packet_object_and_its_arena(arena_name: str) -> None:
    arena = Arena.create(arena_name, max_size="16M")
    packet = arena.mbufs().m_getm2(6000)
    packet.m_copyback(0, b"z" * 6000)
    count, views = len(list(packet)), packet.iovec()
    before = sys.getrefcount(packet)
    arena.close()
    with pytest.raises(ArenaClosed):
        packet.m_append(b"more")
    assert b"".join(views) == b"z" * 6000
    with Arena.attach(arena_name) as other:
        other.reap()
        assert other.mbufs().statistics().mbufs.current == count
        assert before == sys.getrefcount(packet)
        del packet
        for view in views:
            view.release()
        del view, views
        assert other.mbufs().statistics().mbufs.current == 0
        assert other.check().findings == ()
