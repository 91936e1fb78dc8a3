"""Packets are shaped: what frees its packet on failure has freed it, what leaves it has left it."""

from collections.abc import Callable

from faultinj.scenarios.mbuf_get import mbufs
from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Mbuf, ShmallocError
from shmalloc.mbuf import Mbufs

GROUP = "mbuf"


def _packet(mb: Mbufs, size: int = 3000) -> Mbuf:
    """A packet of several small mbufs, with room nowhere."""
    packet = mb.m_gethdr(M_NOWAIT)
    while len(packet) < size:
        packet.m_append(bytes(min(200, size - len(packet))))
    return packet


def _freeing(packet: Mbuf, call: Callable[[], object]) -> None:
    """A call that frees its packet when it fails."""
    try:
        call()
    except ShmallocError:
        assert packet.freed
        raise


def _sparing(packet: Mbuf, call: Callable[[], object]) -> None:
    """A call that leaves the packet's bytes as they were when it fails."""
    before = bytes(packet)
    try:
        call()
    except ShmallocError:
        assert not packet.freed
        assert bytes(packet) == before
        raise


@scenario(
    "mbuf.prepend",
    group=GROUP,
    covers=("Mbuf.m_prepend", "Mbuf.m_align", "Mbuf.m_adj"),
    text="room in front, in place and in a new mbuf",
)
def mbuf_prepend(ctx: Context) -> Steps:
    """Frees its packet when it fails."""
    mb = mbufs(ctx)
    packet, blank = _packet(mb, 200), mb.m_get()
    yield
    _freeing(packet, lambda: packet.m_prepend(150, M_NOWAIT))
    _freeing(packet, lambda: packet.m_prepend(60, M_NOWAIT))
    packet.m_adj(20)
    packet.m_adj(-20)
    blank.m_align(100)
    _freeing(blank, lambda: blank.m_prepend(4, M_NOWAIT))
    blank.free()
    packet.m_freem()


@scenario(
    "mbuf.pull",
    group=GROUP,
    covers=("Mbuf.m_pullup", "Mbuf.m_copyup", "Mbuf.m_pulldown"),
    text="bytes are made contiguous",
)
def mbuf_pull(ctx: Context) -> Steps:
    """Each frees its packet when it fails."""
    mb = mbufs(ctx)
    one, two, three = (mb.m_getm2(4000) for _ in range(3))
    for packet in (one, two, three):
        packet.m_append(bytes(3500))
    head = _packet(mb, 900)
    yield
    _freeing(one, lambda: one.m_pullup(150))
    _freeing(two, lambda: two.m_copyup(100, 20))
    _freeing(three, lambda: three.m_pulldown(1900, 400))
    _freeing(head, lambda: head.m_pullup(180))
    for packet in (one, two, three, head):
        packet.m_freem()


@scenario(
    "mbuf.split",
    group=GROUP,
    covers=("Mbuf.m_split", "Mbuf.m_cat", "Mbuf.m_catpkt", "Mbuf.m_demote"),
    text="a packet is cut in two and put together again",
)
def mbuf_split(ctx: Context) -> Steps:
    """A packet that could not be cut is whole."""
    mb = mbufs(ctx)
    packet = mb.m_getm2(4000)
    packet.m_append(bytes(3500))
    tails: list[Mbuf | None] = []
    yield
    _sparing(packet, lambda: tails.append(packet.m_split(1000, M_NOWAIT)))
    [tail] = tails
    assert tail is not None
    packet.m_catpkt(tail)
    other = mb.m_getcl(M_NOWAIT)
    other.m_append(b"more")
    other.m_demote()
    packet.m_cat(other)
    packet.m_freem()


@scenario(
    "mbuf.fragment",
    group=GROUP,
    covers=("Mbuf.m_fragment", "Mbuf.m_defrag", "Mbuf.m_collapse", "Mbuf.sbcompress"),
    text="a packet in pieces, and in as few as it can be",
)
def mbuf_fragment(ctx: Context) -> Steps:
    """m_fragment frees its packet when it fails, the others leave it."""
    mb = mbufs(ctx)
    packet, other, small = _packet(mb), _packet(mb), _packet(mb)
    yield
    _sparing(packet, lambda: packet.m_defrag(M_NOWAIT))
    _sparing(other, lambda: other.m_collapse(4, M_NOWAIT))
    _freeing(other, lambda: other.m_fragment(100, M_NOWAIT))
    small.sbcompress()
    for one in (packet, other, small):
        one.m_freem()
