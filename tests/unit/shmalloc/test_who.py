"""who(): grouping, order, filters, and what sampling and a full table leave of the sites."""

import contextlib
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from shmalloc import Arena, ArenaCorrupt, InvalidArgument, Item, ZoneMismatch
from shmalloc.sites import own_code, site_text


def here() -> int:
    """The line that this is called from."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_items_of_one_line_are_one_group_and_the_oldest_comes_first(arena: Arena) -> None:
    zone = arena.zone("frame", size=100, trace=True)
    old, line = zone.alloc(), here()
    young = [zone.alloc() for _ in range(5)]
    first, second = arena.who()
    assert first.site is not None
    assert first.site.startswith(f"{__file__}:{line} test_items_of_one_line_are_one_group")
    assert (first.count, first.bytes, second.count, second.bytes) == (1, 100, 5, 500)
    assert first.oldest_s is not None
    assert second.oldest_s is not None
    assert first.oldest_s >= second.oldest_s >= 0
    old.free()
    assert [group.site for group in arena.who()] == [second.site]
    del young


def test_bulk_and_single_allocations_and_a_ctor_that_allocates_each_have_their_own_line(arena: Arena) -> None:
    zone = arena.zone("frame", size=100, trace=True)
    many, line = zone.alloc_many(20), here()
    [group] = arena.who()
    assert (group.count, group.site and group.site.split(" ")[0]) == (20, f"{__file__}:{line}")
    outer = arena.zone("outer", size=64, ctor=nested, trace=True)
    NESTED.append(zone)
    try:
        item, line = outer.alloc(), here()
        inner = next(group for group in arena.who(zone="frame") if group.count == 1)
        [about] = arena.who(zone="outer")
        assert inner.site is not None
        assert " nested" in inner.site.split(" < ")[0]
        assert about.site is not None
        assert about.site.startswith(f"{__file__}:{line} ")
    finally:
        NESTED.clear()
        HELD.clear()
    del many, item


NESTED: list[object] = []
HELD: list[Item] = []


def nested(mem: memoryview, size: int, arg: object, how: int) -> None:
    """A ctor that allocates."""
    [zone] = NESTED
    HELD.append(zone.alloc())  # type: ignore[attr-defined]


def test_without_traces_groups_are_ordered_by_count_and_come_last(arena: Arena) -> None:
    few, many = arena.zone("few", size=64), arena.zone("many", size=64)
    traced = arena.zone("traced", size=64, trace=True)
    held = [few.alloc(), *many.alloc_many(3), traced.alloc()]
    assert [(group.zone, group.count, group.oldest_s is None) for group in arena.who()] == [
        ("traced", 1, False),
        ("many", 3, True),
        ("few", 1, True),
    ]
    assert [group.zone for group in arena.who(zone="few")] == ["few"]
    assert arena.who(pid=1) == []
    assert len(arena.who_items()) == len(held)


@pytest.mark.parametrize(("by", "rows"), [("process", [(None, 6)]), ("zone", [("a", 4), ("b", 2)]), ("site", None)])
def test_by_groups_over_everything_else(arena: Arena, by: str, rows: list[tuple[str | None, int]] | None) -> None:
    a, b = (arena.zone(name, size=64, trace=True) for name in "ab")
    held = [zone.alloc() for zone in (a, a, a, a, b, b)]
    groups = arena.who(by=by)  # type: ignore[arg-type]
    if rows is None:
        assert [(group.zone, group.cpu, group.count) for group in groups] == [(None, None, 6)]
    else:
        assert sorted((group.zone, group.count) for group in groups) == rows
    del held


def test_by_what_there_is_not_is_refused(arena: Arena) -> None:
    with pytest.raises(InvalidArgument, match="process, zone or site"):
        arena.who(by="colour")  # type: ignore[arg-type]


def test_a_traced_arena_tells_of_malloc_too(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="8M", trace=True) as arena:
        item, line = arena.malloc(1000, type="label"), here()
        run = arena.malloc(300_000, type="picture")
        label, picture = arena.who()
        assert (label.type, label.bytes, picture.type, picture.bytes) == ("label", 1000, "picture", 300_000)
        assert label.site is not None
        assert label.site.startswith(f"{__file__}:{line} ")
        arena.zone("plain", size=64)
        assert arena.zone("plain", size=64).name == "plain"  # opened by a process that does not ask for traces
        del item, run


def test_an_untraced_zone_is_not_opened_as_a_traced_one(arena: Arena) -> None:
    arena.zone("frame", size=64)
    with pytest.raises(ZoneMismatch) as caught:
        arena.zone("frame", size=64, trace=True)
    assert (caught.value.field, caught.value.have, caught.value.want) == ("trace", False, True)


def test_one_in_n_is_recorded_and_none_at_zero(arena: Arena) -> None:
    zone = arena.zone("frame", size=64, trace=True)
    for every, recorded in ((4, 5), (0, 0), (1, 20)):
        arena.sysctl["debug.sites"] = every
        held = [zone.alloc() for _ in range(20)]
        assert sum(found.holding.site is not None for found in arena.who_items()) == recorded
        assert all((found.holding.site is None) == (found.holding.oldest_s is None) for found in arena.who_items())
        zone.free_many(held)
        many = zone.alloc_many(20)
        sites = {found.holding.site for found in arena.who_items()}
        assert all(site is None or site.startswith(__file__) for site in sites)
        assert sum(found.holding.site is not None for found in arena.who_items()) == recorded
        zone.free_many(many)


def test_as_many_frames_as_the_tunable_says_make_a_site(arena: Arena) -> None:
    zone = arena.zone("frame", size=64, trace=True)
    for frames in (1, 2, 3):
        arena.sysctl["debug.site_frames"] = frames
        held = outermost(lambda: zone.alloc())
        [group] = arena.who()
        assert group.site is not None
        assert len(group.site.split(" < ")) == frames
        del held


def outermost(make: Callable[[], Item]) -> Item:
    """One frame more."""
    return make()


def test_a_full_table_is_a_site_of_its_own(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="8M", max_sites=1) as arena:
        zone = arena.zone("frame", size=64, trace=True)
        first = zone.alloc()
        second = zone.alloc()
        assert [group.site == "(table full)" for group in arena.who()] == [False, True]
        assert any("max_sites" in event.text for event in arena.events())
        assert arena.check().ok
        del first, second


def test_a_dump_and_a_read_only_attachment_tell_the_same(arena: Arena, tmp_path: Path) -> None:
    zone = arena.zone("frame", size=64, trace=True)
    held = [zone.alloc() for _ in range(3)]
    [live] = arena.who()
    arena.dump(tmp_path / "dump")
    with Arena.attach(arena.name, read_only=True) as reader, Arena.attach_file(tmp_path / "dump") as dump:
        [read], [dumped] = reader.who(), dump.who()
        assert (read.site, read.count, read.pid, read.alive) == (live.site, 3, live.pid, True)
        assert (dumped.site, dumped.count, dumped.pid, dumped.alive) == (live.site, 3, live.pid, None)
        assert dump.check().ok
    del held


def test_a_copy_whose_tables_are_nonsense_is_an_error_or_an_answer_but_no_crash(arena: Arena, tmp_path: Path) -> None:
    zone = arena.zone("frame", size=64, trace=True)
    held = zone.alloc_many(10)
    dump = tmp_path / "dump"
    arena.dump(dump)
    with dump.open("r+b") as copy:
        for seed in range(40):
            undo = []
            for at in range(4096 + seed * 8, 1 << 20, 4096 - 8):
                copy.seek(at)
                undo.append((at, copy.read(8)))
                copy.seek(at)
                copy.write((0x9E3779B97F4A7C15 * (at + seed) & (2**64 - 1)).to_bytes(8, "little"))
            copy.flush()
            with Arena.attach_file(dump) as damaged, contextlib.suppress(ArenaCorrupt):
                assert sum(group.count for group in damaged.who()) >= 0
            for at, was in undo:
                copy.seek(at)
                copy.write(was)
            copy.flush()
    with Arena.attach_file(dump) as whole:
        assert [group.count for group in whole.who()] == [10]
    del held


def test_paths_are_shortened_before_frames_are_left_out() -> None:
    frame = inspect.currentframe()
    assert frame is not None
    whole = site_text([frame, frame], 2000)
    assert whole.count(__file__) == 2
    name = frame.f_code.co_qualname
    short = site_text([frame, frame], 2 * len(f"test_who.py:999 {name}") + 3)
    assert short.count("test_who.py:") == 2
    assert "/" not in short
    assert len(site_text([frame, frame], 40).encode()) <= 40
    assert " < " not in site_text([frame, frame], 40)


def test_frames_of_this_package_are_its_callers() -> None:
    assert own_code(Arena.who.__code__)
    assert not own_code(here.__code__)


def test_packets_and_their_copies_have_their_lines(arena_name: str) -> None:
    traced = Arena.create(arena_name, max_size="16M", max_zones=16, trace=True)
    mbufs = traced.mbufs()
    packet, got = mbufs.m_getcl(), here()
    packet.m_append(b"x" * 300)
    copy, copied = packet.m_copypacket(), here()
    packets = {group.zone: group for group in traced.who() if group.zone.startswith("mbuf")}
    assert packets["mbuf_packet"].site is not None
    assert packets["mbuf_packet"].site.startswith(f"{__file__}:{got} ")
    assert packets["mbuf"].site is not None
    assert packets["mbuf"].site.startswith(f"{__file__}:{copied} ")
    assert all(group.state == "held" for group in packets.values())
    assert set(packets) == {"mbuf", "mbuf_packet"}, "a cluster is no more out than the mbufs that refer to it"
    assert len(copy) == len(packet)
    del copy, packet
    assert traced.check().findings == ()
    traced.close()
