"""Limits of mbufs, their tunables and their figures."""

import os
import threading

import pytest

import shmalloc
from shmalloc import M_NOWAIT, M_WAITOK, MCLBYTES, MSIZE, Arena, InvalidArgument, Mbufs, NoBuffers, maxusers
from unit.shmalloc import callback_functions as calls

NAMES = ["nmbclusters", "nmbjumbop", "nmbjumbo9", "nmbjumbo16"]


def test_default_limits_follow_the_formula(arena: Arena) -> None:
    users, clusters = maxusers()
    mb = arena.mbufs()
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert mb.maxusers == users == min(max(physical // (2 << 20), 32), 384)
    assert clusters == 1024 + users * 64
    assert [arena.sysctl.describe(f"kern.ipc.{name}").default for name in NAMES[:1]] == [clusters]
    assert mb.nmbclusters >= clusters
    assert maxusers(1 << 20) == (32, 1024 + 32 * 64)
    assert maxusers(1 << 50) == (384, 1024 + 384 * 64)


def test_limits_given_to_the_first_are_not_changed_by_opening(arena: Arena) -> None:
    mb = arena.mbufs(100, maxusers=40, nmbjumbop=7, nmbjumbo9=0)
    with Arena.attach(arena.name) as other:
        again = other.mbufs(5)
        assert again is not mb
        for one in (mb, again):
            assert (one.maxusers, one.nmbclusters, one.nmbjumbo9) == (40, 100, 0)
            assert one.nmbjumbop >= 7
            assert one.nmbjumbo16 >= 12
    for bad in ({"nmbclusters": -1}, {"nmbjumbop": 1 << 40}, {"maxusers": 0}):
        with pytest.raises(InvalidArgument):
            arena.mbufs(**bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        arena.mbufs(nmbclusters=True)


def test_limits_change_both_ways_while_it_runs(arena: Arena) -> None:
    mb = arena.mbufs(64)
    packets = [mb.m_getcl(M_NOWAIT) for _ in range(40)]
    arena.sysctl["kern.ipc.nmbclusters"] = 20
    assert mb.nmbclusters == 20
    slack = arena.zone("mbuf_cluster").statistics().keg_free  # a limit is of slabs: those that are there may be filled
    with pytest.raises(NoBuffers):
        while True:
            packets.append(mb.m_getcl(M_NOWAIT))
    assert len(packets) == 40 + slack
    del packets[5:]
    mb.nmbclusters = 20  # what caches held goes back
    with pytest.raises(NoBuffers):
        while True:
            packets.append(mb.m_getcl(M_NOWAIT))
    assert len(packets) == 20
    mb.nmbclusters = 0
    packets += [mb.m_getcl(M_NOWAIT) for _ in range(200)]
    assert mb.statistics().clusters.current == len(packets)
    mb.nmbclusters = 10
    assert mb.statistics().clusters.max == 10


def test_jumbo_limits_follow_until_they_are_set_themselves(arena: Arena) -> None:
    mb = arena.mbufs(800)
    assert (mb.nmbjumbop, mb.nmbjumbo9, mb.nmbjumbo16) == (400, 200, 100)
    arena.sysctl["kern.ipc.nmbjumbo9"] = 30
    mb.set_limit("nmbclusters", 1600)
    assert (mb.nmbjumbop, mb.nmbjumbo9, mb.nmbjumbo16) == (800, mb.limit("nmbjumbo9"), 200)
    assert mb.nmbjumbo9 < 60
    mb.nmbjumbop, mb.nmbjumbo16 = 11, 5
    assert (mb.nmbjumbop >= 11, mb.nmbjumbo16 >= 5) == (True, True)
    with pytest.raises(InvalidArgument, match="nmbjumbo16"):
        mb.set_limit("nmbpages", 1)
    with pytest.raises(InvalidArgument):
        mb.nmbclusters = -1


def test_tunables_are_there_once_there_are_mbufs(arena: Arena) -> None:
    before = list(arena.sysctl)
    assert not any(name.startswith("kern.ipc") for name in before)
    with pytest.raises(KeyError, match=r"arena\.mbufs\(\)"):
        _ = arena.sysctl["kern.ipc.nmbclusters"]
    mb = arena.mbufs(100)
    names = [name for name in arena.sysctl if name not in before]
    assert names == [
        "kern.ipc.maxusers",
        *(f"kern.ipc.{name}" for name in NAMES),
        "kern.ipc.mb_drains",
        "security.mac.label_mbufs",
    ]
    assert len(arena.sysctl) == len(before) + len(names)
    for name in names:
        row = arena.sysctl.describe(name)
        assert row.value == arena.sysctl[name]
        assert row.least <= row.value <= row.most
        assert row.text
    for name in ("kern.ipc.maxusers", "kern.ipc.mb_drains"):
        with pytest.raises(InvalidArgument, match="only be read"):
            arena.sysctl[name] = 5
    with pytest.raises(InvalidArgument):
        arena.sysctl["security.mac.label_mbufs"] = 3
    with pytest.raises(InvalidArgument):
        arena.sysctl["kern.ipc.nmbclusters"] = -1
    arena.sysctl["security.mac.label_mbufs"] = 1
    assert mb.mac.labelling == "all"
    del arena.sysctl["security.mac.label_mbufs"]
    assert mb.mac.labelling == "off"
    del arena.sysctl["kern.ipc.nmbclusters"]
    assert mb.nmbclusters >= 1024 + mb.maxusers * 64


def test_drain_routines_run_when_clusters_have_run_out(arena: Arena) -> None:
    calls.log.clear()
    mb = arena.mbufs(16)
    mb.add_drain(calls.drain_log)
    mb.mb_reclaim()
    assert calls.log == [("drain",)]
    assert mb.drain_calls == arena.sysctl["kern.ipc.mb_drains"] == 1
    hoard = []
    with pytest.raises(NoBuffers):
        while True:
            hoard.append(mb.m_getcl(M_NOWAIT))
    assert mb.drain_calls > 1
    assert len(calls.log) == mb.drain_calls
    assert mb.statistics().drain_calls == mb.drain_calls
    with pytest.raises(shmalloc.CallbackUnresolvable):
        mb.add_drain(lambda: None)


def test_who_waits_for_a_cluster_gets_the_next_that_is_freed(arena: Arena) -> None:
    mb = arena.mbufs(8)
    hoard = [mb.m_getcl() for _ in range(8)]
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(len(mb.m_getcl(M_WAITOK))))
    waiter.start()
    while arena.zone("mbuf_cluster").statistics().waiters == 0:
        assert waiter.is_alive()
    assert got == []
    hoard.pop().free()
    waiter.join(30)
    assert got == [0]
    assert mb.statistics().clusters.delayed + mb.statistics().packets.delayed >= 1


def test_figures_count_no_byte_twice(arena: Arena) -> None:
    mb: Mbufs = arena.mbufs(128)
    empty = mb.statistics()
    assert (empty.bytes_current, empty.mbufs.current, empty.clusters.current) == (0, 0, 0)
    plain = [mb.m_get() for _ in range(3)]
    packets = [mb.m_getcl() for _ in range(5)]
    shared = [packets[0].m_copypacket() for _ in range(2)]
    jumbo = mb.m_getjcl()
    tag = mb.m_tag_alloc(1, 1)
    s = mb.statistics()
    assert s.mbufs.current == len(plain) + len(packets) + len(shared) + 1
    assert (s.clusters.current, s.packets.current, s.jumbop.current, s.tags.current) == (5, 5, 1, 1)
    assert s.bytes_current == s.mbufs.current * MSIZE + 5 * MCLBYTES + 4096 + 256
    for pool in (s.mbufs, s.clusters, s.packets, s.jumbop, s.jumbo9, s.jumbo16, s.tags, s.extrefs):
        assert pool.total == pool.current + pool.cache
    assert s.bytes_total == s.bytes_current + s.bytes_cache
    keg = {z.name: z for z in arena.zone_statistics()}
    slab_items = sum(z.slabs * z.items_per_slab for z in keg.values() if z.name == "mbuf")
    assert s.mbufs.total == slab_items
    assert s.clusters.total == keg["mbuf_cluster"].slabs * keg["mbuf_cluster"].items_per_slab
    del plain, packets, shared, jumbo, tag
    assert mb.statistics().bytes_current == 0
    assert mb.statistics().bytes_total >= s.bytes_current
