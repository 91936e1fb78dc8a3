"""Shaping and copying packets: the bytes that come of it, and what a failure leaves."""

import os

import pytest

import shmalloc
from shmalloc import (
    M_COPYALL,
    M_EXT,
    M_NOWAIT,
    M_PKTHDR,
    MCLBYTES,
    MHLEN,
    MLEN,
    Arena,
    BadChain,
    InvalidArgument,
    ItemFreed,
    Mbuf,
    Mbufs,
    NoBuffers,
)

TEXT = bytes(range(256)) * 12


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs(nmbclusters=64)


@pytest.fixture
def packet(mb: Mbufs) -> Mbuf:
    """3072 bytes in a chain, with a packet header."""
    made = mb.m_gethdr()
    made.m_append(TEXT)
    return made


def in_use(mb: Mbufs) -> tuple[int, int]:
    s = mb.statistics()
    return s.mbufs.current, s.clusters.current


def test_prepend_goes_into_the_room_in_front_or_a_new_mbuf(mb: Mbufs) -> None:
    packet = mb.m_gethdr()
    packet.m_align(100)
    assert packet.m_leadingspace() >= 64
    packet.m_append(b"body")
    packet.m_prepend(14)
    assert len(list(packet)) == 1
    memoryview(packet)[:14] = b"H" * 14
    assert (bytes(packet), packet.pkthdr.len) == (b"H" * 14 + b"body", 18)
    cluster = mb.m_getcl()
    cluster.m_append(b"body")
    cluster.m_prepend(14)
    assert len(list(cluster)) == 2
    assert cluster.flags & M_PKTHDR
    assert (len(cluster), cluster.pkthdr.len, bytes(cluster)[14:]) == (18, 18, b"body")


def test_pullup_makes_the_front_contiguous(packet: Mbuf) -> None:
    packet.m_fragment(20)
    assert len(memoryview(packet)) == 20
    packet.m_pullup(100)
    assert memoryview(packet)[:100] == TEXT[:100]
    assert bytes(packet) == TEXT
    packet.m_copyup(40, 16)
    assert memoryview(packet)[:40] == TEXT[:40]
    assert bytes(packet) == TEXT


def test_pullup_beyond_mhlen_frees_the_packet_and_says_so(mb: Mbufs, packet: Mbuf) -> None:
    with pytest.raises(InvalidArgument, match=r"m_pullup.*freed"):
        packet.m_pullup(MHLEN + 1)
    assert packet.freed
    with pytest.raises(ItemFreed):
        packet.m_pullup(1)
    assert in_use(mb) == (0, 0)


def test_pulldown_says_where_the_bytes_are(packet: Mbuf) -> None:
    packet.m_fragment(30)
    view, at = packet.m_pulldown(1000, 90)
    assert bytes(view)[at : at + 90] == TEXT[1000:1090]
    assert bytes(packet) == TEXT


@pytest.mark.parametrize("size", [0, 1, 100, 2048, 3071, 3072])
def test_split_and_cat_are_inverse(packet: Mbuf, size: int) -> None:
    rest = packet.m_split(size)
    assert rest is not None
    assert (bytes(packet), bytes(rest)) == (TEXT[:size], TEXT[size:])
    assert (packet.pkthdr.len, rest.pkthdr.len) == (size, len(TEXT) - size)
    packet.m_catpkt(rest)
    assert rest.freed
    assert bytes(packet) == TEXT
    assert packet.pkthdr.len == len(TEXT)
    packet.m_sanity()


def test_split_beyond_the_end_changes_nothing(mb: Mbufs, packet: Mbuf) -> None:
    before = in_use(mb)
    with pytest.raises(InvalidArgument, match="3072"):
        packet.m_split(3073)
    assert bytes(packet) == TEXT
    assert in_use(mb) == before


def test_cat_leaves_headers_and_refuses_itself(mb: Mbufs, packet: Mbuf) -> None:
    tail = mb.m_get()
    tail.m_append(b"tail")
    packet.m_cat(tail)
    assert bytes(packet) == TEXT + b"tail"
    assert packet.m_fixhdr() == len(TEXT) + 4
    for join in (packet.m_cat, packet.m_catpkt):
        with pytest.raises(InvalidArgument, match="itself"):
            join(packet)
    bare = mb.m_get()
    with pytest.raises(InvalidArgument, match="M_PKTHDR"):
        packet.m_catpkt(bare)
    assert not bare.freed


def test_adj_trims_both_ends_and_never_too_much(packet: Mbuf) -> None:
    packet.m_adj(10)
    packet.m_adj(-20)
    assert bytes(packet) == TEXT[10:-20]
    assert packet.pkthdr.len == len(TEXT) - 30
    for size in (3043, -3043):
        with pytest.raises(InvalidArgument, match="nothing was trimmed"):
            packet.m_adj(size)
    assert bytes(packet) == TEXT[10:-20]
    packet.m_adj(-len(packet))
    assert (len(packet), packet.freed) == (0, False)


def test_copies_share_clusters_and_dups_do_not(mb: Mbufs, packet: Mbuf) -> None:
    mbufs, clusters = in_use(mb)
    part = packet.m_copym(100, 2500)
    assert bytes(part) == TEXT[100:2600]
    assert not part.flags & M_PKTHDR  # the header belongs to the packet's beginning
    assert in_use(mb)[1] == clusters
    whole = packet.m_copypacket()
    assert bytes(whole) == bytes(packet.m_copym(0, M_COPYALL)) == TEXT
    assert whole.pkthdr.len == len(TEXT)
    twin = packet.m_dup()
    assert in_use(mb)[1] > clusters
    assert all(view.writable for view in twin)
    assert bytes(twin) == TEXT
    whole.m_unshare()
    assert all(view.writable for view in whole)
    assert bytes(whole) == TEXT
    for bad in ((0, 3073), (3073, 1), (3000, 100)):
        with pytest.raises(InvalidArgument):
            packet.m_copym(*bad)
        with pytest.raises(InvalidArgument):
            packet.m_copydata(*bad)
    del part, whole, twin
    assert in_use(mb) == (mbufs, clusters)


def test_the_last_of_the_sharers_frees_a_cluster(mb: Mbufs) -> None:
    first = mb.m_getcl()
    first.m_append(b"shared")
    others = [first.m_copypacket() for _ in range(5)]
    assert first.m_refcnt() == 6
    first.free()
    while others:
        assert bytes(others[0]) == b"shared"
        assert in_use(mb) == (len(others), 1)
        others.pop()
    assert in_use(mb) == (0, 0)


def test_copyback_writes_extends_and_fills_gaps_with_zeros(packet: Mbuf) -> None:
    packet.m_copyback(100, b"spot")
    packet.m_copyback(4000, b"end")
    assert bytes(packet) == TEXT[:100] + b"spot" + TEXT[104:] + bytes(4000 - len(TEXT)) + b"end"
    assert packet.pkthdr.len == 4003
    assert packet.m_copydata(100, 4) == b"spot"
    assert packet.m_copydata(3998) == b"\0\0end"
    assert packet.m_copydata(4003) == b""


def test_appending_takes_any_buffer_but_text(mb: Mbufs, packet: Mbuf) -> None:
    other = mb.m_getcl()
    for data in (b"a", bytearray(b"b"), memoryview(b"c"), packet.m_copydata(0, 1)):
        other.m_append(data)
    assert bytes(other) == b"abc\0"
    with pytest.raises(TypeError):
        other.m_append("text")  # type: ignore[arg-type]
    other.m_append(other.m_dup())
    assert bytes(other) == b"abc\0abc\0"


def test_apply_sees_every_piece_until_somebody_has_enough(packet: Mbuf) -> None:
    packet.m_fragment(100)
    seen: list[bytes] = []
    assert packet.m_apply(50, 275, lambda piece: seen.append(bytes(piece))) is None
    assert b"".join(seen) == TEXT[50:325]
    assert len(seen) == 4

    def third(piece: memoryview) -> str | None:
        with pytest.raises(BufferError):
            packet.free()
        return "found" if piece[0] == TEXT[200] else None

    assert packet.m_apply(0, len(TEXT), third) == "found"
    with pytest.raises(ZeroDivisionError):
        packet.m_apply(0, 10, lambda piece: 1 // 0)
    with pytest.raises(InvalidArgument):
        packet.m_apply(0, 4000, third)
    packet.m_pullup(150)


def test_getptr_finds_the_mbuf_of_a_byte(packet: Mbuf) -> None:
    packet.m_fragment(100)
    view, at = packet.m_getptr(1234)
    assert bytes(view)[at] == TEXT[1234]
    view, at = packet.m_getptr(len(TEXT))
    assert at == len(view)
    with pytest.raises(InvalidArgument):
        packet.m_getptr(len(TEXT) + 1)


def test_defrag_collapse_and_fragment_change_the_pieces_not_the_bytes(packet: Mbuf) -> None:
    packet.m_fragment(64)
    assert {len(view) for view in packet} == {64}
    packet.m_collapse(10)
    assert len(list(packet)) <= 10
    assert bytes(packet) == TEXT
    packet.m_defrag()
    assert len(list(packet)) <= 2
    assert bytes(packet) == TEXT
    packet.m_fragment(64)
    with pytest.raises(InvalidArgument):
        packet.m_collapse(0)
    assert bytes(packet) == TEXT


def test_demote_takes_the_header_and_its_tags(mb: Mbufs, packet: Mbuf) -> None:
    packet.m_tag_prepend(mb.m_tag_alloc(1, 2, b"x"))
    packet.m_demote()
    assert not packet.flags & M_PKTHDR
    assert mb.statistics().tags.current == 0
    assert bytes(packet) == TEXT


def test_print_shows_a_line_for_each_mbuf(packet: Mbuf) -> None:
    lines = packet.m_print(4).splitlines()
    assert len(lines) == len(list(packet))
    assert "00-01-02-03" in lines[0]
    assert packet.m_print(0).count("\n") <= packet.m_print(4).count("\n")


def test_headers_move_and_are_copied(mb: Mbufs, packet: Mbuf) -> None:
    packet.pkthdr.rcvif = 9
    packet.m_tag_prepend(mb.m_tag_alloc(1, 2, b"x"))
    copied = mb.m_gethdr()
    copied.m_dup_pkthdr(packet)
    assert (copied.pkthdr.rcvif, len(copied.tags), len(packet.tags)) == (9, 1, 1)
    moved = mb.m_get()
    moved.m_move_pkthdr(packet)
    assert (moved.pkthdr.rcvif, len(moved.tags), packet.flags & M_PKTHDR) == (9, 1, 0)
    with pytest.raises(InvalidArgument, match="M_PKTHDR"):
        moved.m_move_pkthdr(packet)
    with pytest.raises(InvalidArgument, match="itself"):
        moved.m_dup_pkthdr(moved)


@pytest.mark.parametrize("call", ["m_prepend", "m_copyup", "m_unshare", "m_fragment"])
def test_what_frees_on_failure_frees_everything_and_says_so(arena: Arena, call: str) -> None:
    mb = arena.mbufs(nmbclusters=8)
    packet = mb.m_getcl(M_NOWAIT)
    packet.m_append(bytes(2000))
    twin = packet.m_copypacket()
    hoard = []
    with pytest.raises(NoBuffers):
        while True:
            hoard.append(mb.m_getcl(M_NOWAIT))
    arguments = {
        "m_prepend": (100, M_NOWAIT),
        "m_copyup": (100,),
        "m_unshare": (M_NOWAIT,),
        "m_fragment": (1000, M_NOWAIT),
    }
    arena.sysctl["debug.malloc.failure_rate"] = 1
    with pytest.raises((NoBuffers, shmalloc.OutOfMemory)) as caught:
        getattr(packet, call)(*arguments[call])
    arena.sysctl["debug.malloc.failure_rate"] = 0
    told = str(caught.value) + str(getattr(caught.value, "__notes__", ""))
    assert f"{call} has freed the packet" in told
    assert packet.freed
    assert bytes(twin) == bytes(2000)
    del hoard, twin
    assert in_use(mb) == (0, 0)


@pytest.mark.parametrize("call", ["m_split", "m_dup", "m_copypacket", "m_defrag", "m_append", "m_copyback", "m_getm2"])
def test_what_does_not_free_leaves_the_packet_as_it_was(arena: Arena, call: str) -> None:
    mb = arena.mbufs(nmbclusters=64)
    packet = mb.m_getcl()
    packet.m_append(TEXT)
    packet.m_fragment(700)
    arguments: dict[str, tuple[object, ...]] = {
        "m_split": (100, M_NOWAIT),
        "m_append": (bytes(MCLBYTES * 2),),
        "m_copyback": (3000, bytes(MCLBYTES * 2)),
        "m_getm2": (MCLBYTES * 3, M_NOWAIT),
    }
    before = in_use(mb)
    arena.sysctl["debug.malloc.failure_rate"] = 1
    with pytest.raises((NoBuffers, shmalloc.OutOfMemory)):
        getattr(packet, call)(*arguments.get(call, (M_NOWAIT,)))
    arena.sysctl["debug.malloc.failure_rate"] = 0
    assert bytes(packet) == TEXT
    assert in_use(mb) == before
    packet.m_sanity()


def overwrite(arena: Arena, at: int, word: int) -> int:
    """Eight bytes of the arena's object, as a stray store of another process would. Returns: what was there."""
    fd = os.open(f"/dev/shm/shmalloc.{arena.name}", os.O_RDWR)
    try:
        was = int.from_bytes(os.pread(fd, 8, at), "little")
        os.pwrite(fd, word.to_bytes(8, "little"), at)
    finally:
        os.close(fd)
    return was


@pytest.mark.parametrize("damage", ["cycle", "void", "odd", "length", "window"])
def test_a_damaged_chain_is_named_and_never_followed(arena: Arena, mb: Mbufs, damage: str) -> None:
    packet = mb.m_get()
    packet.m_append(b"head")
    tail = mb.m_get()
    tail.m_append(b"tail")
    home = packet.handle & (1 << 64) - 1
    packet.m_cat(tail)
    field = 16 if damage in ("length", "window") else 0
    window = home + 32 << 24
    wrong = {"cycle": home, "void": 1 << 39, "odd": home + 8, "length": window | MLEN + 1, "window": window * 2 | 4}[
        damage
    ]
    right = overwrite(arena, home + field, wrong)
    for call in (
        packet.m_sanity,
        packet.tobytes,
        lambda: list(packet),
        lambda: packet.m_adj(1),
        lambda: packet.m_copydata(0, 4),
        lambda: packet.m_append(b"more"),
        packet.m_dup,
        lambda: packet.m_split(1),
        packet.m_defrag,
        packet.ticket,
    ):
        if call == packet.ticket and field:
            continue  # the bytes travel as they are
        with pytest.raises(BadChain, match="damaged"):
            call()
    assert overwrite(arena, home + field, right) == wrong
    assert bytes(packet) == b"headtail"
    packet.m_sanity()


def test_freeing_a_cycle_frees_each_mbuf_once_and_says_so(arena: Arena, mb: Mbufs) -> None:
    packet = mb.m_get()
    packet.m_append(b"head")
    overwrite(arena, packet.handle & (1 << 64) - 1, packet.handle & (1 << 64) - 1)
    with pytest.raises(shmalloc.ItemError):
        packet.free()
    assert packet.freed
    assert in_use(mb) == (0, 0)


def test_storage_flags_are_seen_through_the_views(packet: Mbuf) -> None:
    flags = [view.flags for view in packet]
    assert flags[0] & M_PKTHDR
    assert any(flag & M_EXT for flag in flags)
