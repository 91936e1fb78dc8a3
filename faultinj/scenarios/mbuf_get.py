"""Mbufs: made, got in every size, given storage, drained, limited."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Mbuf, NoBuffers
from shmalloc.mbuf import Mbufs
from shmalloc.mbuf_flags import M_PKTHDR, MJUM9BYTES, MJUM16BYTES, MJUMPAGESIZE, MT_DATA

GROUP = "mbuf"


def mbufs(ctx: Context) -> Mbufs:
    """The scenario's mbufs, with limits that its small arena can hold."""
    return ctx.arena.mbufs(nmbclusters=128, nmbjumbop=32, nmbjumbo9=16, nmbjumbo16=8)


def drained() -> None:
    """A drain routine of these scenarios: nothing to give."""


@scenario("mbuf.open", group=GROUP, covers=("Arena.mbufs", "Mbufs.statistics"), text="the mbufs of an arena are made")
def mbuf_open(ctx: Context) -> Steps:
    """Eight zones and a region, or none of them."""
    arena = ctx.arena
    yield
    mb = arena.mbufs(nmbclusters=64)
    mb.statistics()


@scenario(
    "mbuf.get",
    group=GROUP,
    covers=("Mbufs.m_get", "Mbufs.m_gethdr", "Mbufs.m_getcl", "Mbufs.m_getjcl", "Mbuf.free", "Mbuf.m_freem"),
    text="an mbuf of each kind, and their ends",
)
def mbuf_get(ctx: Context) -> Steps:
    """A cluster that was got for an mbuf that was not goes back."""
    mb = mbufs(ctx)
    yield
    packets = [mb.m_get(M_NOWAIT), mb.m_gethdr(M_NOWAIT), mb.m_getcl(M_NOWAIT)]
    packets += [mb.m_getjcl(M_NOWAIT, size=size) for size in (MJUMPAGESIZE, MJUM9BYTES, MJUM16BYTES)]
    for packet in packets[1:]:
        packet.m_freem()
    packets[0].free()


@scenario("mbuf.getcl", group=GROUP, covers=("Mbufs.m_getcl",), text="a packet with a cluster in one allocation, twice")
def mbuf_getcl(ctx: Context) -> Steps:
    """The secondary zone's init takes a cluster from another keg."""
    mb = mbufs(ctx)
    yield
    for _ in range(2):
        packet = mb.m_getcl()
        packet.m_freem()


@scenario(
    "mbuf.get2",
    group=GROUP,
    covers=("Mbufs.m_get2", "Mbufs.m_getm2", "Mbuf.m_getm2", "Mbuf.m_free", "Mbuf.iovec", "Mbuf.m_length"),
    text="room for any number of bytes, in one mbuf and in a chain",
)
def mbuf_get2(ctx: Context) -> Steps:
    """A chain that could not be finished is freed whole."""
    mb = mbufs(ctx)
    yield
    for size in (100, 1000, 4000):
        mb.m_get2(size, M_NOWAIT).free()
    chain = mb.m_getm2(9000, M_NOWAIT, MT_DATA, M_PKTHDR)
    chain.m_getm2(3000, M_NOWAIT)
    assert chain.m_length() == 0
    assert len(chain.iovec()) >= 0
    while chain.m_free():
        assert not chain.freed


@scenario(
    "mbuf.ext",
    group=GROUP,
    covers=("Mbuf.m_clget", "Mbuf.m_cljget", "Mbufs.m_extadd", "Mbuf.m_extadd", "Mbuf.m_extaddref", "Mbuf.m_refcnt"),
    text="storage for mbufs that have none: clusters, items of other zones, another's",
)
def mbuf_ext(ctx: Context) -> Steps:
    """An item that could not be added is still its owner's."""
    mb = mbufs(ctx)
    frames = ctx.arena.zone("frame", size=1000)
    ctx.uncount("frame")
    yield
    small = mb.m_gethdr(M_NOWAIT)
    small.m_clget(M_NOWAIT)
    large = mb.m_gethdr(M_NOWAIT)
    large.m_cljget(MJUMPAGESIZE, M_NOWAIT)
    other = mb.m_gethdr(M_NOWAIT)
    large.m_extaddref(other)
    assert large.m_refcnt() == 2
    foreign = mb.m_extadd(frames.alloc(M_NOWAIT), M_NOWAIT)
    late = mb.m_gethdr(M_NOWAIT)
    with ctx.mallocating("default"):
        storage = ctx.arena.malloc(500, flags=M_NOWAIT)
    late.m_extadd(storage)
    for packet in (small, large, other, foreign, late):
        packet.m_freem()


@scenario(
    "mbuf.limits",
    group=GROUP,
    covers=("Mbufs.set_limit", "Mbufs.limit", "Mbufs.add_drain", "Mbufs.mb_reclaim"),
    errors=("SM_LIMIT",),
    text="clusters run out: the drain routines are called, then it fails",
)
def mbuf_limits(ctx: Context) -> Steps:
    """A limit can be lowered below what is in use, and raised again."""
    mb = mbufs(ctx)
    mb.add_drain(drained)
    yield
    held: list[Mbuf] = []
    try:
        mb.set_limit("nmbclusters", 16)
        try:
            while len(held) < 64:
                held.append(mb.m_getcl(M_NOWAIT))
        except NoBuffers:
            mb.mb_reclaim()
        mb.set_limit("nmbclusters", 128)
        assert mb.limit("nmbclusters") >= 128
    finally:
        for packet in held:
            packet.m_freem()
        ctx.later(lambda: mb.set_limit("nmbclusters", 128))
