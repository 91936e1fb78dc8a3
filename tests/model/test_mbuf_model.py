"""Chains of mbufs against plain bytes: random m_* operations in two attachments, with and without injected failures.

The model knows of each packet its bytes, and of each cluster nothing: what is shared must not show. Failures come from
debug.malloc.failure_rate, which fails every n-th M_NOWAIT allocation, and from low limits; after a failure a packet is
gone, or as it was, as its function says.
"""

import itertools
import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import shmalloc
from model.mbuf_chains import FAILED, Chain, ChainBook
from shmalloc import (
    M_NOWAIT,
    M_PKTHDR,
    MCLBYTES,
    MHLEN,
    MJUM9BYTES,
    MLEN,
    Arena,
    InvalidArgument,
    Mbuf,
    Mbufs,
)
from shmalloc.naming import unlink_object

_numbers = itertools.count()
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES, STEPS = (500, 50) if LONG else (60, 30)

sizes = st.integers(0, 5000)
small = st.integers(0, 300)
parts = st.floats(0, 1)
picks = st.integers(0, 1000)


class MbufMachine(RuleBasedStateMachine, ChainBook):
    """Two attachments of one arena shape packets and pass them on; the model says which bytes must come of it.

    The packets are in `live` alone, so that taking one out drops it; a rule picks one of them by number.
    """

    @initialize(rate=st.sampled_from([0, 0, 2, 3, 7]), clusters=st.sampled_from([0, 12, 40]))
    def begin(self, rate: int, clusters: int) -> None:
        self.name = f"test{os.getpid()}-mbuf{next(_numbers)}"
        self.arenas = [Arena.create(self.name, max_size="16M", max_zones=32, max_queues=4)]
        self.arenas.append(Arena.attach(self.name))
        self.mbs: list[Mbufs] = [self.arenas[0].mbufs(clusters), self.arenas[1].mbufs()]
        self.queue: list[Chain] = []
        self.sockbuf = b""
        for mb in self.mbs:
            mb.sockbuf("s", hiwat=8000)
        self.live: dict[Chain, Mbuf] = {}
        self.fails = rate > 0 or clusters > 0
        self.arenas[0].sysctl["debug.malloc.failure_rate"] = rate

    def teardown(self) -> None:
        if not hasattr(self, "arenas"):
            return
        self.arenas[0].sysctl["debug.malloc.failure_rate"] = 0
        for arena in self.arenas:
            assert arena.check().findings == ()
        for packet in self.live.values():
            packet.free()
        self.live.clear()
        while self.queue:
            self.queue.pop()
            self.arenas[0].queue("q").get(timeout=0).free()
        self.mbs[0].sockbuf("s").sbflush()
        figures = self.mbs[0].statistics()
        assert (figures.mbufs.current, figures.clusters.current, figures.tags.current) == (0, 0, 0)
        assert (figures.bytes_current, figures.extrefs.current) == (0, 0)
        self.arenas[1].close()
        assert self.arenas[0].check().findings == ()
        self.arenas[0].close()
        unlink_object(self.name, missing_ok=True)

    # ------------------------------------------------------------ birth and death

    @rule(side=st.integers(0, 1), kind=st.sampled_from(["m_get", "m_gethdr", "m_getcl", "m_getjcl"]))
    def get(self, side: int, kind: str) -> None:
        mb = self.mbs[side]
        try:
            packet: Mbuf = getattr(mb, kind)(M_NOWAIT, **({"size": MJUM9BYTES} if kind == "m_getjcl" else {}))
        except FAILED:
            assert self.fails
            return
        self.born(packet, Chain(side, b"", kind != "m_get"))

    @rule(side=st.integers(0, 1), size=sizes)
    def extadd(self, side: int, size: int) -> None:
        data = bytes(size % 251 for size in range(size + 1))
        try:
            item = self.arenas[side].malloc(len(data))
            item.write(data)
            packet = self.mbs[side].m_extadd(item, M_NOWAIT)
        except FAILED:
            assert self.fails
            return
        self.born(packet, Chain(side, data, True))

    @rule(pick=picks, by_drop=st.booleans())
    def free(self, pick: int, by_drop: bool) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        self.died(chain)
        if not by_drop:
            packet.free()
            with pytest.raises(shmalloc.DoubleFree):
                packet.free()

    # ------------------------------------------------------------ shaping

    @rule(pick=picks, data=st.binary(max_size=3000))
    def append(self, pick: int, data: bytes) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is not None and len(chain.data) < 30_000:
            self.shaped(chain, lambda: packet.m_append(data), chain.data + data, frees=False)

    @rule(pick=picks, size=small)
    def prepend(self, pick: int, size: int) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        if size > (MHLEN if chain.header else MLEN) and packet.m_leadingspace() < size:
            with pytest.raises((InvalidArgument, *FAILED)):
                packet.m_prepend(size, M_NOWAIT)
            assert packet.freed
            self.died(chain)
            return

        def call() -> None:
            packet.m_prepend(size, M_NOWAIT)
            packet.m_copyback(0, b"P" * size)

        self.shaped(chain, call, b"P" * size + chain.data, frees=True)

    @rule(pick=picks, size=small)
    def pullup(self, pick: int, size: int) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        if size > len(chain.data) or size > MHLEN:
            with pytest.raises((InvalidArgument, *FAILED)):
                packet.m_pullup(size)
            assert packet.freed
            self.died(chain)
            return
        if self.shaped(chain, lambda: packet.m_pullup(size), chain.data, frees=True):
            assert memoryview(packet)[:size] == chain.data[:size]

    @rule(pick=picks, at=parts, size=st.integers(1, MCLBYTES))
    def pulldown(self, pick: int, at: float, size: int) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        off = int(at * len(chain.data))
        size = min(size, len(chain.data) - off)
        if packet is None or size < 1:
            return
        found: list[tuple[shmalloc.MbufView, int]] = []
        if self.shaped(chain, lambda: found.append(packet.m_pulldown(off, size)), chain.data, frees=True):
            view, start = found[0]
            assert bytes(view)[start : start + size] == chain.data[off : off + size]

    @rule(pick=picks, at=parts)
    def split(self, pick: int, at: float) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        size, whole = int(at * len(chain.data)), chain.data
        rest: list[Mbuf | None] = []
        if not self.shaped(chain, lambda: rest.append(packet.m_split(size, M_NOWAIT)), whole[:size], frees=False):
            return
        if rest[0] is None:
            assert size == len(whole)
            assert not chain.header
            return
        assert bool(rest[0].flags & M_PKTHDR) == chain.header
        self.born(rest[0], Chain(chain.side, whole[size:], chain.header))

    @rule(pick=picks, other_pick=picks)
    def cat(self, pick: int, other_pick: int) -> None:
        chain = self.one(pick)
        other = self.one(other_pick)
        packet, tail = self.live.get(chain), self.live.get(other)
        if packet is None or tail is None or packet is tail or chain.side != other.side:
            return
        if len(chain.data) + len(other.data) > 30_000:
            return
        join = packet.m_catpkt if chain.header and other.header else packet.m_cat
        if self.shaped(chain, lambda: join(tail), chain.data + other.data, frees=False):
            assert tail.freed
            self.died(other)
            if chain.header:
                packet.m_fixhdr()

    @rule(pick=picks, at=parts, front=st.booleans())
    def adj(self, pick: int, at: float, front: bool) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        size = int(at * len(chain.data))
        data = chain.data[size:] if front else chain.data[: len(chain.data) - size]
        self.shaped(chain, lambda: packet.m_adj(size if front else -size), data, frees=False)
        with pytest.raises(InvalidArgument):
            packet.m_adj(len(data) + 1 if front else -len(data) - 1)

    @rule(pick=picks, off=sizes, data=st.binary(min_size=1, max_size=600))
    def copyback(self, pick: int, off: int, data: bytes) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        old = chain.data + bytes(max(off - len(chain.data), 0))
        try:
            new = old[:off] + data + old[off + len(data) :]
            self.shaped(chain, lambda: packet.m_copyback(off, data), new, frees=False)
        except BufferError:
            assert not all(view.writable for view in packet)
            assert bytes(packet) == chain.data

    @rule(
        pick=picks,
        how=st.sampled_from(["m_defrag", "m_unshare", "m_fragment", "m_collapse"]),
        n=st.integers(20, 4000),
    )
    def rearrange(self, pick: int, how: str, n: int) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None or (not chain.header and how in ("m_defrag", "m_fragment")):
            return
        arguments = {"m_fragment": (n, M_NOWAIT), "m_collapse": (n % 9 + 1, M_NOWAIT)}.get(how, (M_NOWAIT,))
        frees = how in ("m_fragment", "m_unshare")
        try:
            if not self.shaped(chain, lambda: getattr(packet, how)(*arguments), chain.data, frees=frees):
                return
        except InvalidArgument:
            assert how == "m_collapse"
            assert bytes(packet) == chain.data
            return
        if how == "m_unshare":
            assert all(view.writable for view in packet)
        if how == "m_collapse":
            assert len(list(packet)) <= arguments[0]

    # ------------------------------------------------------------ copies

    @rule(pick=picks, begin=parts, part=parts)
    def copym(self, pick: int, begin: float, part: float) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        off = int(begin * len(chain.data))
        size = int(part * (len(chain.data) - off))
        if packet is None or size == 0:
            return
        self.copied(chain, lambda: packet.m_copym(off, size, M_NOWAIT), chain.data[off : off + size])

    @rule(pick=picks, how=st.sampled_from(["m_copypacket", "m_dup"]))
    def copy(self, pick: int, how: str) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None or not chain.header:
            return
        self.copied(chain, lambda: getattr(packet, how)(M_NOWAIT), chain.data)

    @rule(pick=picks, begin=parts, part=parts)
    def read(self, pick: int, begin: float, part: float) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        off = int(begin * len(chain.data))
        size = int(part * (len(chain.data) - off))
        assert packet.m_copydata(off, size) == chain.data[off : off + size]
        pieces: list[bytes] = []
        packet.m_apply(off, size, lambda piece: pieces.append(bytes(piece)))
        assert b"".join(pieces) == chain.data[off : off + size]
        view, at = packet.m_getptr(off)
        assert off == len(chain.data) or bytes(view)[at] == chain.data[off]
        packet.m_sanity()

    # ------------------------------------------------------------ tags, and between the two

    @rule(pick=picks, data=st.binary(max_size=50))
    def tag(self, pick: int, data: bytes) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None or not packet.flags & M_PKTHDR:
            return
        try:
            packet.m_tag_prepend(self.mbs[chain.side].m_tag_alloc(1, 1, data, M_NOWAIT))
        except FAILED:
            assert self.fails
            return
        assert packet.tags[0].data == data

    @rule(pick=picks, way=st.sampled_from(["ticket", "queue"]))
    def pass_on(self, pick: int, way: str) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        other = 1 - chain.side
        tags = [tag.data for tag in packet.tags] if packet.flags & M_PKTHDR else []
        self.died(chain)
        if way == "ticket":
            handle = packet.ticket()
            got = self.arenas[other].adopt(handle)
        else:
            queue = self.arenas[chain.side].queue("q")
            queue.put(packet, timeout=0)
            got = self.arenas[other].queue("q").get(timeout=0)
        assert packet.freed
        assert isinstance(got, Mbuf)
        assert ([tag.data for tag in got.tags] if got.flags & M_PKTHDR else []) == tags
        self.born(got, Chain(other, chain.data, chain.header))

    @rule(pick=picks)
    def into_sockbuf(self, pick: int) -> None:
        chain = self.one(pick)
        packet = self.live.get(chain)
        if packet is None:
            return
        sb = self.mbs[chain.side].sockbuf("s")
        try:
            sb.sbappendstream(packet, timeout=0)
        except (shmalloc.SockbufFull, InvalidArgument):
            assert len(self.sockbuf) + len(chain.data) > 8000
            assert bytes(packet) == chain.data
            chain.header = bool(packet.flags & M_PKTHDR)
            packet.free()
            self.died(chain)
            return
        self.died(chain)
        self.sockbuf += chain.data
        sb.sbcheck()

    @rule(side=st.integers(0, 1), size=st.integers(1, 9000))
    def out_of_sockbuf(self, side: int, size: int) -> None:
        sb = self.mbs[side].sockbuf("s")
        if not self.sockbuf:
            return
        try:
            got = sb.receive(size, timeout=0, how=M_NOWAIT)
        except FAILED:
            assert self.fails
            return
        data, self.sockbuf = self.sockbuf[:size], self.sockbuf[size:]
        sb.sbcheck()
        self.born(got, Chain(side, data, bool(got.flags & M_PKTHDR)))

    @invariant()
    def bytes_and_counts_agree(self) -> None:
        if not hasattr(self, "arenas"):
            return
        for chain, packet in self.live.items():
            assert len(packet) == len(chain.data)
        if not self.live and not self.sockbuf:
            assert self.mbs[1].statistics().clusters.current == 0


MbufMachine.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
TestMbufModel = MbufMachine.TestCase
