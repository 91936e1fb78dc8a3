"""Bytes of packets: appended, copied, shared, read."""

from faultinj.scenarios.mbuf_get import mbufs
from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT

GROUP = "mbuf"


@scenario(
    "mbuf.append",
    group=GROUP,
    covers=("Mbuf.m_append", "Mbuf.m_copyback", "Mbuf.m_copydata", "Mbuf.tobytes", "Mbuf.m_apply", "Mbuf.m_getptr"),
    text="bytes are appended and written back over several mbufs",
)
def mbuf_append(ctx: Context) -> Steps:
    """A packet that could not grow is as it was."""
    mb = mbufs(ctx)
    yield
    packet = mb.m_gethdr(M_NOWAIT)
    packet.m_append(b"x" * 3000)
    packet.m_copyback(2900, b"y" * 2000)
    assert packet.m_copydata(2890, 20) == b"x" * 10 + b"y" * 10
    assert len(packet.tobytes()) == 4900
    packet.m_apply(0, 4900, lambda piece: None)
    packet.m_getptr(4000)
    packet.m_freem()


@scenario(
    "mbuf.copy",
    group=GROUP,
    covers=("Mbuf.m_copym", "Mbuf.m_copypacket", "Mbuf.m_dup", "Mbuf.m_unshare", "Mbuf.m_writable"),
    text="packets that share clusters, packets that share nothing, and from one to the other",
)
def mbuf_copy(ctx: Context) -> Steps:
    """A copy that failed has let go of every reference."""
    mb = mbufs(ctx)
    yield
    packet = mb.m_getm2(5000, M_NOWAIT)
    packet.m_append(b"z" * 4000)
    shared = packet.m_copym(100, 3000, M_NOWAIT)
    whole = packet.m_copypacket(M_NOWAIT)
    apart = packet.m_dup(M_NOWAIT)
    assert not shared.m_writable()
    shared.m_unshare(M_NOWAIT)
    for one in (packet, shared, whole, apart):
        one.m_freem()


@scenario(
    "mbuf.look",
    group=GROUP,
    covers=(
        "Mbuf.m_sanity",
        "Mbuf.m_print",
        "Mbuf.m_leadingspace",
        "Mbuf.m_trailingspace",
        "Mbuf.m_fixhdr",
        "Mbuf.__iter__",
        "Mbuf.__bytes__",
        "Mbuf.__len__",
    ),
    text="a packet is looked at",
)
def mbuf_look(ctx: Context) -> Steps:
    """Looking needs no memory."""
    mb = mbufs(ctx)
    yield
    packet = mb.m_getcl(M_NOWAIT)
    packet.m_append(b"bytes")
    packet.m_sanity()
    assert "len" in packet.m_print()
    assert packet.m_leadingspace() >= 0
    assert packet.m_trailingspace() > 0
    assert packet.m_fixhdr() == len(packet) == len(bytes(packet))
    for part in packet:
        assert part.writable
    with memoryview(packet) as view:
        view[0] = 1
    packet.m_freem()
