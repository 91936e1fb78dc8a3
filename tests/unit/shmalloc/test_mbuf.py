"""Getting, freeing and seeing packets from Python: what belongs to whom, and what an Mbuf refuses."""

import copy
import os
import pickle

import pytest

import shmalloc
from shmalloc import (
    EXT_CLUSTER,
    EXT_JUMBO9,
    EXT_JUMBOP,
    EXT_PACKET,
    M_EOR,
    M_EXT,
    M_NOWAIT,
    M_PKTHDR,
    M_RDONLY,
    MCLBYTES,
    MHLEN,
    MJUM9BYTES,
    MJUM16BYTES,
    MJUMPAGESIZE,
    MLEN,
    MT_CONTROL,
    MT_DATA,
    Arena,
    DoubleFree,
    InvalidArgument,
    ItemFreed,
    Mbufs,
    NoBuffers,
)


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs(nmbclusters=64)


def in_use(mb: Mbufs) -> tuple[int, int]:
    """(mbufs, clusters) that packets use now."""
    s = mb.statistics()
    return s.mbufs.current, s.clusters.current


def test_there_is_one_object_for_an_attachment(arena: Arena, mb: Mbufs) -> None:
    assert arena.mbufs() is mb
    assert mb.arena is arena
    again = pickle.loads(pickle.dumps(mb))
    assert again is mb


def test_each_getter_gives_the_storage_it_names(mb: Mbufs) -> None:
    wanted = [
        (mb.m_get(), 0, MLEN, 0),
        (mb.m_gethdr(), M_PKTHDR, MHLEN, 0),
        (mb.m_getcl(), M_PKTHDR | M_EXT, MCLBYTES, EXT_PACKET),
        (mb.m_getcl(M_NOWAIT, MT_DATA, 0), M_EXT, MCLBYTES, EXT_PACKET),
        (mb.m_getjcl(), M_PKTHDR | M_EXT, MJUMPAGESIZE, EXT_JUMBOP),
        (mb.m_getjcl(size=MJUM9BYTES), M_PKTHDR | M_EXT, MJUM9BYTES, EXT_JUMBO9),
        (mb.m_get2(MHLEN), M_PKTHDR, MHLEN, 0),
        (mb.m_get2(MHLEN + 1), M_PKTHDR | M_EXT, MCLBYTES, EXT_PACKET),
        (mb.m_get2(9000), M_PKTHDR | M_EXT, MJUM9BYTES, EXT_JUMBO9),
    ]
    for packet, flags, size, ext in wanted:
        (view,) = packet
        assert (packet.flags, view.size, view.ext_type, len(view), len(packet)) == (flags, size, ext, 0, 0)
        assert bool(packet)
    chain = mb.m_getm2(3 * MCLBYTES)
    assert sum(view.size for view in chain) >= 3 * MCLBYTES
    assert [view.flags & M_PKTHDR for view in chain][1:] == [0] * (len(list(chain)) - 1)


def test_a_cluster_is_attached_to_an_empty_bare_mbuf_only(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    packet.m_clget()
    assert next(iter(packet)).ext_type == EXT_CLUSTER
    with pytest.raises(InvalidArgument, match="M_EXT"):
        packet.m_clget()
    full = mb.m_get()
    full.m_append(b"abc")
    with pytest.raises(InvalidArgument, match="3 bytes"):
        full.m_cljget(MJUMPAGESIZE)
    with pytest.raises(InvalidArgument, match="MJUM16BYTES"):
        mb.m_get().m_cljget(1234)
    assert bytes(full) == b"abc"


@pytest.mark.parametrize("bad", [-1, 1 << 32, 1 << 70])
def test_lengths_out_of_range_touch_nothing(mb: Mbufs, bad: int) -> None:
    packet = mb.m_getcl()
    packet.m_append(b"stays")
    for call in (packet.m_pullup, packet.m_prepend, packet.m_split, packet.m_fragment, packet.m_align, mb.m_get2):
        with pytest.raises(InvalidArgument):
            call(bad)
    with pytest.raises(InvalidArgument):
        packet.m_len = bad
    with pytest.raises(InvalidArgument):
        packet.m_adj(1 << 40)
    assert bytes(packet) == b"stays"
    assert in_use(mb) == (1, 1)


@pytest.mark.parametrize("how", [0, 3, 0x100])
def test_how_is_waitok_or_nowait(mb: Mbufs, how: int) -> None:
    packet = mb.m_getcl()
    packet.m_append(b"x")
    for call in (mb.m_get, mb.m_getcl, packet.m_dup, packet.m_copypacket, packet.m_unshare, packet.m_defrag):
        with pytest.raises(InvalidArgument, match="M_WAITOK or M_NOWAIT"):
            call(how)
    assert bytes(packet) == b"x"


def test_dropping_the_last_reference_frees_the_whole_chain(mb: Mbufs) -> None:
    packet = mb.m_getm2(5 * MCLBYTES)
    assert in_use(mb)[0] > 1
    alias = packet
    del packet
    assert in_use(mb)[0] > 1
    del alias
    assert in_use(mb) == (0, 0)


def test_many_packets_born_and_dropped_leave_nothing(mb: Mbufs) -> None:
    for how in (M_NOWAIT, shmalloc.M_WAITOK):
        for _ in range(3):
            packets = [mb.m_getcl(how) for _ in range(40)]
            assert in_use(mb) == (40, 40)
            del packets
    assert in_use(mb) == (0, 0)


def test_freeing_twice_and_using_what_is_free_are_errors(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    view = next(iter(packet))
    packet.free()
    assert packet.freed
    assert not packet
    with pytest.raises(DoubleFree):
        packet.free()
    with pytest.raises(DoubleFree):
        packet.m_freem()
    for use in (len, bytes, memoryview, list, pickle.dumps):
        with pytest.raises(ItemFreed, match="freed"):
            use(packet)
    with pytest.raises(ItemFreed):
        memoryview(view)
    with pytest.raises(ItemFreed):
        packet.m_append(b"late")
    assert in_use(mb) == (0, 0)


def test_m_free_goes_on_with_the_rest(mb: Mbufs) -> None:
    packet = mb.m_get()
    packet.m_append(b"first")
    tail = mb.m_get()
    tail.m_append(b"second")
    packet.m_cat(tail)
    packet.m_append(bytes(MLEN))
    count = len(list(packet))
    while packet.m_free():
        count -= 1
        assert len(list(packet)) == count
    assert count == 1
    assert packet.freed
    assert in_use(mb) == (0, 0)


def test_the_buffer_is_the_first_mbufs_bytes(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.m_len = 5
    with memoryview(packet) as view:
        assert (view.nbytes, view.readonly, view.format) == (5, False, "B")
        view[:] = b"hello"
    assert bytes(packet) == packet.tobytes() == b"hello"
    packet.m_len = MCLBYTES
    assert (len(packet), packet.pkthdr.len) == (MCLBYTES, MCLBYTES)
    with pytest.raises(InvalidArgument, match="storage ends"):
        packet.m_len = MCLBYTES + 1
    packet.m_len = 2
    assert (bytes(packet), packet.pkthdr.len) == (b"he", 2)


def test_an_open_view_keeps_the_bytes_where_they_are(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.m_append(b"abcdefgh")
    other = mb.m_getcl()
    other.m_append(b"x")
    view = memoryview(packet)
    for call in (
        packet.free,
        packet.m_free,
        packet.ticket,
        packet.m_demote,
        packet.m_unshare,
        packet.m_defrag,
        lambda: packet.m_prepend(4),
        lambda: packet.m_pullup(2),
        lambda: packet.m_split(2),
        lambda: packet.m_cat(other),
        lambda: other.m_cat(packet),
        lambda: packet.m_sanity(True),
        lambda: pickle.dumps(packet),
        lambda: packet.m_copypacket(),
    ):
        with pytest.raises(BufferError, match="memoryviews"):
            call()
    assert bytes(packet) == view == b"abcdefgh"
    assert bytes(other) == b"x"
    assert not other.freed
    packet.m_append(b"ijk")
    packet.m_adj(-1)
    assert view == b"abcdefgh"
    assert bytes(packet) == b"abcdefghij"
    view.release()
    packet.free()
    assert in_use(mb)[0] == 1


def test_shared_bytes_are_read_only(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.m_append(b"shared")
    twin = packet.m_copypacket()
    for one in (packet, twin):
        assert not one.m_writable()
        assert memoryview(one).readonly
        with pytest.raises(BufferError, match="read-only"):
            one.m_copyback(0, b"S")
        (view,) = one
        assert (view.refcnt, view.writable) == (2, False)
    with memoryview(packet), pytest.raises(BufferError, match="m_unshare"):
        os.readv(0, [packet])
    twin.free()
    assert packet.m_writable()
    packet.m_copyback(0, b"S")
    assert bytes(packet) == b"Shared"


def test_views_of_a_chain_are_its_mbufs_in_order(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.m_append(bytes(range(256)) * 20)
    views = list(packet)
    assert len(views) > 1
    assert b"".join(views) == bytes(packet)
    assert sum(map(len, views)) == len(packet) == packet.m_length()
    vectors = packet.iovec()
    with pytest.raises(BufferError):
        packet.free()
    reading, writing = os.pipe()
    try:
        assert os.writev(writing, vectors) == len(packet)
        assert os.read(reading, 1 << 16) == bytes(packet)
    finally:
        os.close(reading)
        os.close(writing)
    for vector in vectors:
        vector.release()
    packet.m_pullup(1)
    packet.m_prepend(10)
    with pytest.raises(ItemFreed, match="reshaped"):
        bytes(views[0])


def test_flags_and_type_keep_what_the_core_needs(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    packet.flags |= M_EOR
    assert packet.flags == M_EXT | M_PKTHDR | M_EOR
    packet.type = MT_CONTROL
    assert packet.type == MT_CONTROL
    for flags in (M_EXT, M_PKTHDR, 0, M_EXT | M_PKTHDR | 1 << 20, -1):
        with pytest.raises(InvalidArgument):
            packet.flags = flags
    packet.flags |= M_RDONLY
    assert not packet.m_writable()
    with pytest.raises(InvalidArgument, match="M_RDONLY"):
        packet.flags &= ~M_RDONLY
    for kind in (0, 16, -1):
        with pytest.raises(InvalidArgument):
            packet.type = kind


def test_a_packet_header_is_read_and_written_in_place(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    header = packet.pkthdr
    assert (header.rcvif, header.len, header.csum_flags, header.csum_data, header.header) == (0, 0, 0, 0, 0)
    header.rcvif, header.csum_flags, header.csum_data, header.header = 7, 0xF, 0xFFFF0000, 1 << 63
    again = packet.pkthdr
    assert (again.rcvif, again.csum_flags, again.csum_data, again.header) == (7, 0xF, 0xFFFF0000, 1 << 63)
    packet.m_append(b"12345")
    assert header.len == 5
    header.len = 99
    assert packet.m_fixhdr() == header.len == 5
    with pytest.raises(InvalidArgument):
        header.rcvif = -1
    packet.free()
    with pytest.raises(ItemFreed):
        _ = header.len
    with pytest.raises(InvalidArgument, match="M_PKTHDR"):
        _ = mb.m_get().pkthdr


def test_a_fresh_packet_shows_nothing_of_the_last_ones_header(mb: Mbufs) -> None:
    for _ in range(3):
        packet = mb.m_getcl()
        header = packet.pkthdr
        assert (header.rcvif, header.len, header.csum_flags, header.header, len(packet)) == (0, 0, 0, 0, 0)
        assert packet.tags == []
        header.rcvif, header.csum_flags, header.header = 1, 2, 3
        packet.m_len = 1000


def test_packets_are_not_copied_by_the_copy_module(mb: Mbufs) -> None:
    packet = mb.m_getcl()
    for copier in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="m_dup"):
            copier(packet)
    with pytest.raises(TypeError, match="m_getcl"):
        shmalloc.Mbuf()


def test_out_of_clusters_is_enobufs_with_the_way_out(arena: Arena) -> None:
    mb = arena.mbufs(nmbclusters=8)
    packets = []
    with pytest.raises(NoBuffers) as caught:
        while True:
            packets.append(mb.m_getcl(M_NOWAIT))
    error = caught.value
    assert (error.zone, error.limit, error.in_use, error.tunable) == ("mbuf_cluster", mb.nmbclusters, 8, "nmbclusters")
    assert isinstance(error, shmalloc.ZoneExhausted)
    for words in ("kern.ipc.nmbclusters=N", f"shmalloc who {arena.name}", "limit of 8"):
        assert words in str(error)
    assert len(packets) == 8
    with pytest.raises(NoBuffers, match="nmbjumbo16"):
        [mb.m_getjcl(M_NOWAIT, size=MJUM16BYTES) for _ in range(100)]
    assert mb.statistics().packets.denied == 1
    del packets
    assert in_use(mb) == (0, 0)
