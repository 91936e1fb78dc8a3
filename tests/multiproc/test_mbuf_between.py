"""Packets, clusters, sockbufs and limits shared by processes, and what a death leaves."""

import hashlib
import random

import pytest

import shmalloc
from multiproc import work
from multiproc.crew import Crew
from shmalloc import M_NOWAIT, Arena, Mbuf, Mbufs, NoBuffers


@pytest.fixture
def mb(arena: Arena) -> Mbufs:
    return arena.mbufs(nmbclusters=256)


def packet_of(mb: Mbufs, data: bytes) -> Mbuf:
    packet = mb.m_getcl()
    packet.m_append(data)
    return packet


def in_use(mb: Mbufs) -> tuple[int, int]:
    s = mb.statistics()
    return s.mbufs.current, s.clusters.current


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_packet_travels_as_an_argument(mb: Mbufs, method: str) -> None:
    packet = packet_of(mb, b"cargo" * 1000)
    count = len(list(packet))
    with Crew(method) as crew:
        crew.start(work.receive_packet, packet)
        assert packet.freed
        ((data, mbufs, clusters),) = crew.results()
    assert (data, mbufs, clusters) == (b"cargo" * 1000, count, 1)
    assert in_use(mb) == (0, 0)


def test_the_last_releaser_frees_whichever_process_it_is(arena: Arena, mb: Mbufs) -> None:
    packet = packet_of(mb, b"shared")
    with Crew("spawn") as crew:
        twins = [packet.m_copypacket() for _ in range(3)]
        for twin in twins:
            crew.start(work.receive_packet, twin)
        packet.free()
        assert [data for data, _, _ in crew.results()] == [b"shared"] * 3
    assert in_use(mb) == (0, 0)
    last = packet_of(mb, b"mine")
    with Crew("spawn") as crew:
        crew.start(work.receive_packet, last.m_copypacket())
        crew.results()
    assert last.m_refcnt() == 1
    assert last.m_writable()
    last.free()
    assert in_use(mb) == (0, 0)
    assert arena.check().findings == ()


def test_a_holders_death_recounts_the_references(arena: Arena, mb: Mbufs) -> None:
    queue = arena.queue("q")
    packet = packet_of(mb, b"survives")
    tagged = packet_of(mb, b"t" * 5000)
    tagged.m_tag_prepend(mb.m_tag_alloc(1, 1, b"dies"))
    queue.put_many([packet.m_copypacket(), packet.m_copypacket(), tagged])
    with Crew("spawn") as crew:
        ours, theirs = crew.context.Pipe()
        child = crew.context.Process(target=work.hold_packets, args=(arena.name, theirs))  # type: ignore[attr-defined]
        child.start()
        assert ours.recv() == 3
        assert packet.m_refcnt() == 3
        assert mb.statistics().tags.current == 1
        child.kill()
        child.join(30)
        child.close()
    report = arena.reap()
    assert report.dead == 1
    assert packet.m_refcnt() == 1
    assert packet.m_writable()
    assert bytes(packet) == b"survives"
    assert in_use(mb) == (1, 1)
    assert mb.statistics().tags.current == 0
    assert arena.check().findings == ()


def test_packets_in_a_queue_outlive_both_ends(arena: Arena, mb: Mbufs) -> None:
    sender = Arena.attach(arena.name)
    packet = packet_of(sender.mbufs(), b"in transit" * 500)
    count = len(list(packet))
    sender.queue("q").put(packet)
    sender.close()
    assert in_use(mb) == (count, 1)
    got = arena.queue("q").get(timeout=0)
    assert bytes(got) == b"in transit" * 500
    got.free()
    assert in_use(mb) == (0, 0)


def test_packets_are_forwarded_whole_through_a_chain_of_processes(arena: Arena, mb: Mbufs) -> None:
    count, rng = 300, random.Random(5)
    source, sink = arena.queue("in", depth=16), arena.queue("out", depth=16)
    sent, seen = 0, 0
    with Crew("spawn") as crew:
        for _ in range(2):
            crew.start(work.forward, arena.name, count // 2)
        while seen < count:
            if sent < count and sent - seen < 12:
                body = rng.randbytes(rng.randint(1, 4000))
                source.put(packet_of(mb, hashlib.sha256(body).digest() + body), timeout=30)
                sent += 1
                continue
            packet = sink.get(timeout=30)
            data = packet.tobytes()
            assert data[:14] == b"H" * 14
            assert data[14:46] == hashlib.sha256(data[46:]).digest()
            seen += 1
        assert crew.results() == [0, 0]
    del packet
    assert in_use(mb) == (0, 0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_stream_arrives_byte_for_byte(arena: Arena, mb: Mbufs, method: str) -> None:
    mb.sockbuf("tcp", hiwat=20_000)
    with Crew(method) as crew:
        crew.start(work.stream_out, arena.name, 1, 400_000)
        crew.start(work.stream_in, arena.name, 2, 400_000)
        sent, received = crew.results()
    assert sent == received
    mb.sockbuf("tcp").sbcheck()
    assert in_use(mb) == (0, 0)


def test_a_forked_child_frees_and_uses_nothing_of_its_parents(arena: Arena, mb: Mbufs) -> None:
    packet, row = packet_of(mb, b"parent"), mb.mbufq()
    row.enqueue(packet_of(mb, b"too"))
    before = in_use(mb)
    with Crew("fork") as crew:
        crew.start(work.use_inherited, packet, row)
        crew.start(work.use_own_after_fork, arena.name, mb)
        assert crew.results() == [["ForkedItem"] * 4, len(arena.name)]
    assert bytes(packet) == b"parent"
    assert bytes(row.dequeue()) == b"too"
    arena.reap()
    assert in_use(mb) == (before[0] - 1, before[1] - 1)


def test_a_limit_counts_the_clusters_of_every_process(arena: Arena, mb: Mbufs) -> None:
    mb.nmbclusters = 32
    with Arena.attach(arena.name) as other:
        theirs = [other.mbufs().m_getcl(M_NOWAIT) for _ in range(20)]
        with pytest.raises(NoBuffers) as caught:
            ours = []
            while True:
                ours.append(mb.m_getcl(M_NOWAIT))
        assert len(ours) == 12
        assert caught.value.in_use == 32
        del theirs
        ours += [mb.m_getcl(M_NOWAIT) for _ in range(20)]
    ours.clear()
    caught = None  # type: ignore[assignment]
    assert in_use(mb) == (0, 0)
    assert isinstance(arena.queue("q"), shmalloc.Queue)


@pytest.mark.parametrize("rate", [0, 3, 11])
def test_packets_shaped_in_two_processes_have_the_bytes_of_the_model(arena: Arena, mb: Mbufs, rate: int) -> None:
    """Both ends change each packet by a plan; plain bytes say what must come back. rate: every n-th M_NOWAIT fails."""
    source, sink, rng = arena.queue("in", depth=4), arena.queue("out", depth=4), random.Random(rate)
    rounds, lost = 400, 0
    with Crew("spawn") as crew:
        crew.start(work.shaper, arena.name)
        for seed in range(1, rounds + 1):
            body = rng.randbytes(rng.randint(1, 5000))
            arena.sysctl["debug.malloc.failure_rate"] = 0  # the other process waits
            packet = packet_of(mb, body)
            twin = packet.m_copypacket()
            packet.pkthdr.rcvif = seed
            arena.sysctl["debug.malloc.failure_rate"] = rate
            source.put(packet, timeout=30)
            back = sink.get(timeout=30)
            assert bytes(twin) == body, seed  # whatever the other process did to what was shared
            if back.pkthdr.rcvif == 0:
                lost += 1
                continue
            want = work.shape_bytes(body, work.plan_of(seed, len(body)))
            assert bytes(back) == want, seed
            plan = work.plan_of(seed + rounds, len(want))
            try:
                back = work.shape_packet(back, plan)
            except (NoBuffers, shmalloc.OutOfMemory):
                lost += 1
                continue
            assert bytes(back) == work.shape_bytes(want, plan), seed
            back.m_sanity()
        arena.sysctl["debug.malloc.failure_rate"] = 0
        source.put(mb.m_gethdr(), timeout=30)
        ((shaped, failed),) = crew.results()
    assert shaped + failed == rounds
    assert (lost > 0) == (rate > 0)
    del packet, twin, back
    assert in_use(mb) == (0, 0)
    assert mb.statistics().tags.current == 0
