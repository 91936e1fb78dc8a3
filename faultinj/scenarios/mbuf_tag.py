"""Tags of packets, and headers that move with them."""

from faultinj.scenarios.mbuf_get import mbufs
from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT

GROUP = "mbuf"


@scenario(
    "mbuf.tag",
    group=GROUP,
    covers=(
        "Mbufs.m_tag_alloc",
        "Mbuf.m_tag_prepend",
        "Mbuf.m_tag_unlink",
        "Mbuf.m_tag_delete",
        "Mbuf.m_tag_delete_chain",
        "Mbuf.m_tag_delete_nonpersistent",
        "Mbuf.m_tag_find",
        "Mbuf.m_tag_locate",
        "Mbuf.tags",
        "MTag.free",
        "MTag.m_tag_copy",
        "MTag.__len__",
    ),
    text="tags are made, linked, found, copied and freed",
)
def mbuf_tag(ctx: Context) -> Steps:
    """A tag that was not linked is its maker's."""
    mb = mbufs(ctx)
    yield
    packet = mb.m_gethdr(M_NOWAIT)
    for number in range(4):
        packet.m_tag_prepend(mb.m_tag_alloc(7, number, b"data", M_NOWAIT, persistent=number == 3))
    tag = packet.m_tag_find(1)
    tag = packet.m_tag_locate(7, 1)
    assert tag is not None
    copy = tag.m_tag_copy(M_NOWAIT)
    assert len(copy) == 4
    copy.free()
    packet.m_tag_unlink(tag)
    tag.free()
    packet.m_tag_delete(packet.tags[0])
    packet.m_tag_delete_nonpersistent()
    packet.m_tag_delete_chain()
    packet.m_freem()


@scenario(
    "mbuf.pkthdr",
    group=GROUP,
    covers=("Mbuf.m_move_pkthdr", "Mbuf.m_dup_pkthdr", "Mbuf.m_tag_copy_chain", "Mbuf.pkthdr"),
    text="headers are moved and doubled with their tags",
)
def mbuf_pkthdr(ctx: Context) -> Steps:
    """The receiver of a failed copy has no tags, and the source has all of them."""
    mb = mbufs(ctx)
    source = mb.m_gethdr()
    for number in range(3):
        source.m_tag_prepend(mb.m_tag_alloc(7, number, b"data"))
    moved, doubled, tagged = mb.m_gethdr(), mb.m_gethdr(), mb.m_gethdr()
    yield
    source.pkthdr.rcvif = 3
    doubled.m_dup_pkthdr(source, M_NOWAIT)
    tagged.m_tag_copy_chain(source, M_NOWAIT)
    moved.m_move_pkthdr(source)
    for packet in (source, moved, doubled, tagged):
        packet.m_freem()
