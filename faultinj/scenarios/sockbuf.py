"""Sockbufs: every way in, every way out, limits, checks."""

from faultinj.scenarios.mbuf_get import mbufs
from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Mbuf, Sockbuf, SockbufEmpty, SockbufFull
from shmalloc.mbuf import Mbufs
from shmalloc.mbuf_flags import MT_CONTROL

GROUP = "sockbuf"


def flushed(ctx: Context) -> None:
    """Empty the scenario's sockbuf: what is in it outlives whoever put it there."""
    with mbufs(ctx).sockbuf("sweep") as buffer:
        buffer.sbflush()


def _opened(ctx: Context) -> tuple[Mbufs, Sockbuf]:
    ctx.later(lambda: flushed(ctx))
    mb = mbufs(ctx)
    return mb, mb.sockbuf("sweep", hiwat=8192, mbmax=65536)


def _packet(mb: Mbufs, data: bytes = b"some bytes") -> Mbuf:
    packet = mb.m_getcl(M_NOWAIT)
    packet.m_append(data)
    return packet


@scenario(
    "sockbuf.create",
    group=GROUP,
    covers=(
        "Mbufs.sockbuf",
        "Sockbuf.destroy",
        "Sockbuf.close",
        "Sockbuf.sbreserve",
        "Sockbuf.__enter__",
        "Sockbuf.__exit__",
    ),
    text="a sockbuf is made, resized and destroyed",
)
def sockbuf_create(ctx: Context) -> Steps:
    """A sockbuf that could not be made leaves no entry."""
    mb = mbufs(ctx)
    yield
    with mb.sockbuf("brief", hiwat=4096) as buffer:
        buffer.sbreserve(8192, 65536)
        buffer.destroy()


@scenario(
    "sockbuf.append",
    group=GROUP,
    covers=(
        "Sockbuf.sbappend",
        "Sockbuf.sbappendrecord",
        "Sockbuf.receive",
        "Sockbuf.__len__",
        "Sockbuf.sbspace",
        "Sockbuf.wait_data",
        "Sockbuf.wait_space",
    ),
    settle=flushed,
    errors=("SM_EMPTY", "SM_TIMEOUT"),
    text="records go in and come out",
)
def sockbuf_append(ctx: Context) -> Steps:
    """What could not go in is its sender's."""
    mb, buffer = _opened(ctx)
    yield
    buffer.sbappend(_packet(mb), timeout=0.01)
    buffer.sbappend(_packet(mb, b"more"), timeout=0.01)
    buffer.sbappendrecord(_packet(mb), timeout=0.01)
    buffer.wait_space(100, timeout=0.01)
    buffer.wait_data(5, timeout=0.01)
    assert buffer.sbspace() > 0
    assert len(buffer) == 24
    buffer.receive(5, timeout=0.01, how=M_NOWAIT).m_freem()
    while len(buffer):
        buffer.receive(timeout=0.01, how=M_NOWAIT).m_freem()


@scenario(
    "sockbuf.stream",
    group=GROUP,
    covers=("Sockbuf.sbappendstream", "Sockbuf.sbdrop", "Sockbuf.sbcut", "Sockbuf.sb_copydata", "Sockbuf.sbsndptr"),
    settle=flushed,
    text="a stream: appended, looked at, acknowledged",
)
def sockbuf_stream(ctx: Context) -> Steps:
    """Bytes that could not be dropped are still there."""
    mb, buffer = _opened(ctx)
    yield
    buffer.sbappendstream(_packet(mb, bytes(1000)), timeout=0.01)
    buffer.sbappendstream(_packet(mb, bytes(1500)), timeout=0.01)
    buffer.sb_copydata(900, 200)
    buffer.sbsndptr(1200)
    buffer.sbdrop(1100)
    cut = buffer.sbcut(300)
    if cut is not None:
        cut.m_freem()
    buffer.sbdrop(len(buffer))


@scenario(
    "sockbuf.datagram",
    group=GROUP,
    covers=("Sockbuf.sbappendaddr", "Sockbuf.sbappendcontrol", "Sockbuf.sbdroprecord", "Sockbuf.sbflush"),
    settle=flushed,
    text="datagrams with addresses and control data",
)
def sockbuf_datagram(ctx: Context) -> Steps:
    """Either all of a datagram is in, or nothing."""
    mb, buffer = _opened(ctx)
    yield
    control = mb.m_get(M_NOWAIT, MT_CONTROL)
    control.m_append(b"rights")
    buffer.sbappendaddr(b"from somewhere", _packet(mb), control, how=M_NOWAIT)
    other = mb.m_get(M_NOWAIT, MT_CONTROL)
    other.m_append(b"rights")
    buffer.sbappendcontrol(_packet(mb), other)
    buffer.sbdroprecord()
    buffer.sbflush()


@scenario(
    "sockbuf.check",
    group=GROUP,
    covers=("Sockbuf.sbcheck", "Sockbuf.sblastrecordchk", "Sockbuf.sblastmbufchk"),
    settle=flushed,
    errors=("SM_FULL", "SM_EMPTY"),
    text="a sockbuf is filled to its limit, checked, and emptied until there is nothing",
)
def sockbuf_check(ctx: Context) -> Steps:
    """Full and empty are answers, in time."""
    mb, buffer = _opened(ctx)
    yield
    try:
        while True:
            packet = _packet(mb, bytes(2000))
            buffer.sbappendrecord(packet, timeout=0.001)
    except SockbufFull:
        packet.m_freem()
    buffer.sbcheck()
    buffer.sblastrecordchk()
    buffer.sblastmbufchk()
    try:
        while True:
            buffer.receive(timeout=0.001, how=M_NOWAIT).m_freem()
    except SockbufEmpty:
        buffer.sbcheck()
