"""Tags of packet headers from Python: whose they are, and how they are found, copied and freed."""

import pytest

import shmalloc
from shmalloc import M_NOWAIT, MTAG_MAX, MTAG_PERSISTENT, Arena, InvalidArgument, ItemFreed, Mbufs


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs()


def test_a_tag_carries_bytes_and_changes_them_in_place(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    tag = mb.m_tag_alloc(0x1234, 56, b"payload")
    assert (tag.cookie, tag.id, tag.data, tag.persistent, tag.linked, len(tag)) == (
        0x1234,
        56,
        b"payload",
        False,
        False,
        7,
    )
    packet.m_tag_prepend(tag)
    assert tag.linked
    (found,) = packet.tags
    found.data = b"PAYLOAD"
    assert tag.data == b"PAYLOAD"
    with pytest.raises(InvalidArgument, match="does not change size"):
        tag.data = b"longer than before"


def test_tags_are_found_by_cookie_and_id_one_after_another(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    for data in (b"1", b"2", b"3"):
        packet.m_tag_prepend(mb.m_tag_alloc(7, 1, data))
    packet.m_tag_prepend(mb.m_tag_alloc(0, 9, b"common"))
    assert [tag.data for tag in packet.tags] == [b"common", b"3", b"2", b"1"]
    seen, at = [], packet.m_tag_locate(7, 1)
    while at is not None:
        seen.append(at.data)
        at = packet.m_tag_locate(7, 1, at)
    assert seen == [b"3", b"2", b"1"]
    common = packet.m_tag_find(9)
    assert common is not None
    assert common.data == b"common"
    assert packet.m_tag_find(1) is None


def test_unlinking_gives_the_tag_back(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    tag = mb.m_tag_alloc(1, 1, b"x")
    packet.m_tag_prepend(tag)
    packet.m_tag_unlink(tag)
    assert packet.tags == []
    assert not tag.linked
    other = mb.m_gethdr()
    other.m_tag_prepend(tag)
    with pytest.raises(InvalidArgument, match="of this packet"):
        packet.m_tag_unlink(tag)
    with pytest.raises(InvalidArgument, match="not linked"):
        tag.free()
    other.m_tag_delete(tag)
    assert tag.freed
    with pytest.raises(ItemFreed):
        _ = tag.data
    assert mb.statistics().tags.current == 0


def test_tags_die_with_their_packet_or_their_last_reference(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    linked = mb.m_tag_alloc(1, 1, b"linked")
    packet.m_tag_prepend(linked)
    loose = mb.m_tag_alloc(1, 2, b"loose")
    assert mb.statistics().tags.current == 2
    del loose
    assert mb.statistics().tags.current == 1
    packet.free()
    assert linked.freed
    assert mb.statistics().tags.current == 0


def test_persistent_tags_stay_when_the_others_go(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    for number in range(4):
        packet.m_tag_prepend(mb.m_tag_alloc(1, number, persistent=number % 2 == 0))
    packet.m_tag_delete_nonpersistent()
    assert [tag.id for tag in packet.tags] == [2, 0]
    packet.m_tag_delete_chain(packet.tags[1])
    assert [tag.id for tag in packet.tags] == [2]
    packet.m_tag_delete_chain()
    assert packet.tags == []


def test_copies_have_tags_of_their_own(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    packet.m_tag_prepend(mb.m_tag_alloc(1, 1, b"one"))
    packet.m_tag_prepend(mb.m_tag_alloc(1, 2, b"two"))
    twin = packet.m_copypacket()
    assert [tag.data for tag in twin.tags] == [b"two", b"one"]
    twin.tags[0].data = b"TWO"
    assert packet.tags[0].data == b"two"
    third = mb.m_gethdr()
    third.m_tag_prepend(mb.m_tag_alloc(5, 5, b"goes"))
    third.m_tag_copy_chain(packet)
    assert [tag.data for tag in third.tags] == [b"two", b"one"]
    loose = third.tags[0].m_tag_copy()
    assert (loose.data, loose.linked) == (b"two", False)
    assert mb.statistics().tags.current == 7


def test_a_failed_copy_of_tags_leaves_none(arena: Arena, mb: Mbufs) -> None:
    packet, other = mb.m_gethdr(), mb.m_gethdr()
    packet.m_tag_prepend(mb.m_tag_alloc(1, 1, b"one"))
    arena.sysctl["debug.malloc.failure_rate"] = 1
    with pytest.raises(shmalloc.OutOfMemory):
        other.m_tag_copy_chain(packet, M_NOWAIT)
    with pytest.raises(shmalloc.OutOfMemory):
        mb.m_tag_alloc(1, 1, b"", M_NOWAIT)
    arena.sysctl["debug.malloc.failure_rate"] = 0
    assert other.tags == []
    assert mb.statistics().tags.current == 1


def test_tags_too_large_or_badly_named_are_refused(mb: Mbufs) -> None:
    assert len(mb.m_tag_alloc(0, 1, bytes(MTAG_MAX))) == MTAG_MAX
    with pytest.raises(InvalidArgument, match=str(MTAG_MAX)):
        mb.m_tag_alloc(0, 1, bytes(MTAG_MAX + 1))
    for number in (-1, 1 << 16, MTAG_PERSISTENT):
        with pytest.raises(InvalidArgument):
            mb.m_tag_alloc(0, number)
    with pytest.raises(InvalidArgument):
        mb.m_tag_alloc(1 << 32, 1)
    bare = mb.m_get()
    with pytest.raises(InvalidArgument, match="M_PKTHDR"):
        bare.m_tag_prepend(mb.m_tag_alloc(1, 1))
    assert mb.statistics().tags.current == 0


def test_tags_travel_with_their_packet(arena: Arena, mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    tag = mb.m_tag_alloc(1, 1, b"far")
    packet.m_tag_prepend(tag)
    arena.queue("q").put(packet)
    with pytest.raises(ItemFreed):
        _ = tag.data
    assert [t.data for t in arena.queue("q").get(timeout=0).tags] == [b"far"]
