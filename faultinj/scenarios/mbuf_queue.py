"""Packets in rows, in queues, under tickets and in pickles."""

import pickle

from faultinj.scenarios.mbuf_get import mbufs
from faultinj.scenarios.queues import emptied
from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Mbuf, QueueFull

GROUP = "mbuf"


@scenario(
    "mbuf.mbufq",
    group="mbufq",
    covers=(
        "Mbufs.mbufq",
        "Mbufq.enqueue",
        "Mbufq.prepend",
        "Mbufq.dequeue",
        "Mbufq.concat",
        "Mbufq.flush",
        "Mbufq.drain",
        "Mbufq.__len__",
    ),
    text="packets in a private row",
)
def mbuf_mbufq(ctx: Context) -> Steps:
    """A full row leaves the packet to its owner."""
    mb = mbufs(ctx)
    row, other = mb.mbufq(3), mb.mbufq()
    yield
    packets = [mb.m_gethdr(M_NOWAIT) for _ in range(4)]
    row.enqueue(packets[0])
    row.prepend(packets[1])
    row.enqueue(packets[2])
    try:
        row.enqueue(packets[3])
    except QueueFull:
        packets[3].m_freem()
    row.dequeue().m_freem()
    other.concat(row)
    for packet in other.flush():
        other.enqueue(packet)
    other.drain()
    assert len(other) == 0


@scenario(
    "mbuf.pass",
    group=GROUP,
    covers=("Mbuf.ticket", "Mbuf.__reduce__", "Queue.put", "Queue.get"),
    text="a packet goes through a queue, by ticket, and by pickle",
)
def mbuf_pass(ctx: Context) -> Steps:
    """What could not be adopted is in transit, and can be adopted later."""
    mb = mbufs(ctx)
    queue = ctx.arena.queue("packets", depth=4)
    ctx.later(lambda: _take_back(ctx))
    ctx.later(lambda: emptied(queue))
    yield
    packet = mb.m_getm2(4000, M_NOWAIT)
    packet.m_append(bytes(3000))
    queue.put(packet, timeout=0)
    got: Mbuf = queue.get(timeout=0)
    again = ctx.arena.adopt(got.ticket())
    assert isinstance(again, Mbuf)
    third: Mbuf = pickle.loads(pickle.dumps(again))
    third.m_freem()


def _take_back(ctx: Context) -> None:
    for found in ctx.arena.who_items():
        if found.holding.state == "in transit":
            ctx.arena.adopt(found.handle).free()
