"""What happened between two moments."""

from dataclasses import replace

from shmalloc.cli.snapshot import Snapshot, between
from shmalloc.stats import MbufStatistics
from unit.shmalloc.report import records


def moment(second: int, **parts: object) -> Snapshot:
    parts = {"zones": (), "cpus": (), "caches": (), "types": (), **parts}
    return Snapshot(name="demo", time_ns=second * 10**9, span_s=0.0, arena=records.arena(), **parts)  # type: ignore[arg-type]


def test_counters_are_subtracted_and_levels_are_not() -> None:
    before = moment(1, zones=(records.zone("mbuf", allocs=10, frees=4, fails=1, sleeps=2, used=6, free=9),))
    after = moment(3, zones=(records.zone("mbuf", allocs=15, frees=9, fails=1, sleeps=5, used=6, free=8),))
    report = between(before, after)
    [zone] = report.zones
    assert (zone.allocs, zone.frees, zone.fails, zone.sleeps) == (5, 5, 0, 3)
    assert (zone.used, zone.free) == (6, 8)
    assert report.span_s == 2.0


def test_a_zone_that_is_new_or_was_made_again_counts_from_zero() -> None:
    before = moment(1, zones=(records.zone("old", id=0, allocs=100),))
    after = moment(2, zones=(records.zone("new", id=0, allocs=7), records.zone("more", id=1, allocs=3)))
    assert [zone.allocs for zone in between(before, after).zones] == [7, 3]
    again = moment(3, zones=(records.zone("old", id=0, allocs=2),))
    assert [zone.allocs for zone in between(before, again).zones] == [2]


def test_a_cpu_slot_claimed_by_another_process_counts_from_zero() -> None:
    before = moment(
        1,
        cpus=(records.cpu(0, gen=1), records.cpu(1, gen=4)),
        caches=(records.cache(0, 0, allocs=10, cached=3), records.cache(1, 0, allocs=10)),
    )
    after = moment(
        2,
        cpus=(records.cpu(0, gen=1), records.cpu(1, gen=5)),
        caches=(records.cache(0, 0, allocs=12, cached=2), records.cache(1, 0, allocs=11)),
    )
    same, other = between(before, after).caches
    assert (same.allocs, same.cached) == (2, 2)
    assert other.allocs == 11


def test_requests_of_a_malloc_type_are_a_counter() -> None:
    before = moment(1, types=(records.kind("route", requests=5, in_use=2, bytes=64),))
    after = moment(2, types=(records.kind("route", requests=9, in_use=3, bytes=96), records.kind("new", requests=1)))
    route, new = between(before, after).types
    assert (route.requests, route.in_use, route.bytes) == (4, 3, 96)
    assert new.requests == 1


def test_of_mbufs_only_what_was_denied_delayed_drained_and_labelled_is_a_counter() -> None:
    def of(held: int, count: int) -> MbufStatistics:
        use = records.mbuf_use(held, 5, max=64, item_bytes=256, denied=count, delayed=2 * count)
        lines = dict.fromkeys(("mbufs", "clusters", "packets", "jumbop", "jumbo9", "jumbo16", "tags", "extrefs"), use)
        counters = dict.fromkeys(("drain_calls", "labels_made", "labels_ended", "labels_reaped"), 3 * count)
        return records.mbufs({1: held}, **lines, **counters, bytes_current=held, maxusers=32)

    before, after = moment(1, mbufs=of(9, 10)), moment(2, mbufs=of(4, 17))
    assert between(before, after).mbufs == replace(of(4, 7), bytes_current=4)
    assert between(moment(1), after).mbufs == of(4, 17)
    assert between(before, moment(2)).mbufs is None
