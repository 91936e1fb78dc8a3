"""Sockbufs from Python: records, bytes, limits, waiting; what a refusal leaves to whom."""

import pickle
import queue
import threading

import pytest

import shmalloc
from shmalloc import (
    M_EOR,
    MT_CONTROL,
    MT_SONAME,
    Arena,
    InvalidArgument,
    ItemFreed,
    Mbuf,
    Mbufs,
    Sockbuf,
    SockbufBusy,
    SockbufEmpty,
    SockbufError,
    SockbufFull,
)


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs(256)


@pytest.fixture
def sb(mb: Mbufs) -> Sockbuf:
    return mb.sockbuf("s", hiwat=4000)


def packet_of(mb: Mbufs, data: bytes) -> Mbuf:
    packet = mb.m_getcl()
    packet.m_append(data)
    return packet


def test_a_stream_keeps_bytes_in_order_whatever_the_pieces(mb: Mbufs, sb: Sockbuf) -> None:
    for piece in (b"one, ", b"two, ", b"three"):
        sb.sbappendstream(packet_of(mb, piece))
    assert (len(sb), sb.cc, sb.sbspace()) == (15, 15, 3985)
    assert sb.sb_copydata(5, 3) == b"two"
    assert bytes(sb.receive(7)) == b"one, tw"
    assert bytes(sb.receive()) == b"o, three"
    assert sb.mbcnt == 0
    sb.sbcheck()
    sb.sblastrecordchk()
    sb.sblastmbufchk()


def test_records_stay_apart(mb: Mbufs, sb: Sockbuf) -> None:
    sb.sbappendrecord(packet_of(mb, b"first"))
    sb.sbappendrecord(packet_of(mb, b"second"))
    sb.sbappend(packet_of(mb, b" and more"))
    last = packet_of(mb, b".")
    last.flags |= M_EOR
    sb.sbappend(last)
    sb.sbappend(packet_of(mb, b"third"))
    assert bytes(sb.receive(3)) == b"fir"
    assert bytes(sb.receive()) == b"st"
    assert bytes(sb.receive()) == b"second and more."
    sb.sbdroprecord()
    assert len(sb) == 0
    sb.sbdroprecord()


def test_datagrams_carry_address_and_control(mb: Mbufs, sb: Sockbuf) -> None:
    control = packet_of(mb, b"rights")
    control.type = MT_CONTROL
    sb.sbappendaddr(b"10.0.0.1:53", packet_of(mb, b"query"), control)
    sb.sbappendaddr(b"10.0.0.2:53")
    record = sb.receive()
    assert [(view.type, bytes(view)) for view in record][:2] == [(MT_SONAME, b"10.0.0.1:53"), (MT_CONTROL, b"rights")]
    assert bytes(record) == b"10.0.0.1:53rightsquery"
    assert bytes(sb.receive()) == b"10.0.0.2:53"
    with pytest.raises(InvalidArgument, match="MT_CONTROL"):
        sb.sbappendcontrol(packet_of(mb, b"data"), packet_of(mb, b"ctl:"))
    control = packet_of(mb, b"ctl:")
    control.type = MT_CONTROL
    sb.sbappendcontrol(packet_of(mb, b"data"), control)
    assert bytes(sb.receive()) == b"ctl:data"
    for address in (b"", bytes(shmalloc.MLEN + 1)):
        with pytest.raises(InvalidArgument, match="bytes"):
            sb.sbappendaddr(address)
    one = packet_of(mb, b"x")
    one.type = MT_CONTROL
    with pytest.raises(InvalidArgument, match="itself"):
        sb.sbappendcontrol(one, one)
    assert bytes(one) == b"x"


def test_what_does_not_fit_stays_yours(mb: Mbufs, sb: Sockbuf) -> None:
    sb.sbappend(packet_of(mb, bytes(2000)))
    sb.sbappend(packet_of(mb, bytes(1990)))
    late, control = packet_of(mb, b"eleven bytes"), packet_of(mb, b"c")
    control.type = MT_CONTROL
    for append in (sb.sbappend, sb.sbappendrecord, sb.sbappendstream):
        with pytest.raises(SockbufFull, match="3990 of 4000") as caught:
            append(late, timeout=0)
        assert isinstance(caught.value, queue.Full)
    with pytest.raises(SockbufFull):
        sb.sbappendaddr(b"address", late, control)
    with pytest.raises(SockbufFull):
        sb.sbappend(late, timeout=0.001)
    assert (bytes(late), bytes(control)) == (b"eleven bytes", b"c")
    with pytest.raises(InvalidArgument, match="4000"):
        sb.sbappend(packet_of(mb, bytes(4001)))
    sb.sbreserve(5000)
    sb.sbappend(late, timeout=0)
    with pytest.raises(ItemFreed, match="handed over"):
        bytes(late)
    assert sb.hiwat == 5000
    sb.sbflush()
    assert (len(sb), sb.mbcnt) == (0, 0)


def test_an_empty_sockbuf_says_so(sb: Sockbuf) -> None:
    for take in (sb.receive, sb.wait_data):
        with pytest.raises(SockbufEmpty) as caught:
            take(timeout=0)
        assert isinstance(caught.value, queue.Empty)
    with pytest.raises(SockbufEmpty):
        sb.receive(5, timeout=0.001)
    with pytest.raises(InvalidArgument):
        sb.sbdrop(1)
    with pytest.raises(InvalidArgument):
        sb.sb_copydata(0, 1)
    with pytest.raises(InvalidArgument):
        sb.wait_data(4001, timeout=0)
    sb.sbdrop(0)


def test_bytes_are_dropped_and_cut_from_the_front(mb: Mbufs, sb: Sockbuf) -> None:
    for letter in b"abc":
        sb.sbappendrecord(packet_of(mb, bytes([letter]) * 1000))
    sb.sbdrop(500)
    assert sb.sb_copydata(499, 2) == b"ab"
    assert sb.sbsndptr(0) == (0, 500)
    assert sb.sbsndptr(510) == (10, 990)
    whole = sb.sbcut(1600)
    assert whole is not None
    assert bytes(whole) == b"a" * 500 + b"b" * 1000
    assert len(sb) == 900
    assert sb.sbcut(1) is None
    with pytest.raises(InvalidArgument, match="899"):
        sb.sbdrop(900)
    sb.sbcheck()


def test_threads_wait_for_data_and_for_room(mb: Mbufs, sb: Sockbuf) -> None:
    received: list[bytes] = []

    def receiver() -> None:
        while sum(map(len, received)) < 40_000:
            received.append(bytes(sb.receive(timeout=30)))

    thread = threading.Thread(target=receiver)
    thread.start()
    sent = [bytes([number]) * 400 for number in range(100)]
    for data in sent:
        sb.sbappendrecord(packet_of(mb, data), timeout=30)
    thread.join(30)
    assert not thread.is_alive()
    assert received == sent
    assert mb.statistics().mbufs.current == 0


def test_a_sockbuf_has_a_name_and_a_life(arena: Arena, mb: Mbufs, sb: Sockbuf) -> None:
    same = mb.sockbuf("s", hiwat=1)
    assert (same.hiwat, same.name, same.mbufs) == (4000, "s", mb)
    sb.sbappend(packet_of(mb, b"kept"))
    assert bytes(pickle.loads(pickle.dumps(same)).receive(1)) == b"k"
    with pytest.raises(SockbufBusy, match="3 bytes"):
        sb.destroy()
    with sb as inside:
        inside.sbflush()
    with pytest.raises(shmalloc.ShmallocError):
        len(sb)
    again = mb.sockbuf("s")
    again.destroy()
    with pytest.raises(SockbufError, match="destroyed"):
        same.sbcheck()
    with pytest.raises(InvalidArgument):
        mb.sockbuf("big", hiwat=1 << 47)
    with pytest.raises(shmalloc.NameTooLong):
        mb.sockbuf("n" * 40)
    with Arena.attach(arena.name, read_only=True) as reader, pytest.raises(SockbufError, match="read-only"):
        reader.mbufs().sockbuf("new")


def test_views_and_foreign_packets_are_refused(arena: Arena, mb: Mbufs, sb: Sockbuf) -> None:
    packet = packet_of(mb, b"seen")
    with memoryview(packet), pytest.raises(BufferError):
        sb.sbappend(packet)
    assert bytes(packet) == b"seen"
    with Arena.attach(arena.name) as other:
        foreign = other.mbufs().m_getcl()
        with pytest.raises(InvalidArgument, match="same arena"):
            sb.sbappend(foreign)
        foreign.free()
    sb.sbappend(packet)
    sb.sbflush()


def test_compressing_moves_small_mbufs_together(mb: Mbufs) -> None:
    packet = packet_of(mb, b"x" * 300)
    packet.m_fragment(10)
    before = len(list(packet))
    packet.sbcompress()
    assert len(list(packet)) < before
    assert bytes(packet) == b"x" * 300
