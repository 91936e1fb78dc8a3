"""What `top` sees from look to look, and its plain text."""

import time
from collections.abc import Iterator

import pytest

from shmalloc import Arena
from shmalloc.cli.top.lookout import Lookout
from shmalloc.cli.top.panes import ZoneView, log_lines, plain_lines
from shmalloc.errors import ArenaNotFound
from unit.shmalloc.cli.conftest import Run
from unit.shmalloc.cli.looks import look


@pytest.fixture
def lookout(arena: Arena) -> Iterator[Lookout]:
    """A lookout at the arena that has looked once."""
    with Lookout(arena.name) as made:
        made.first()
        yield made


def test_looking_claims_no_cpu_slot_and_changes_nothing(arena: Arena) -> None:
    before = (arena.cpus(), arena.statistics().attaches)
    with Lookout(arena.name) as lookout:
        lookout.first()
        assert (arena.cpus(), arena.statistics().attaches) == before
        lookout.look()
    assert (arena.cpus(), arena.statistics().attaches) == before


def test_each_look_covers_the_time_since_the_one_before(arena: Arena, lookout: Lookout) -> None:
    zone = arena.zone("frame")
    zone.free_many(zone.alloc_many(10))
    seen = lookout.look()
    assert seen.state == "live"
    assert seen.note == ""
    assert [z.allocs for z in seen.last.zones if z.name == "frame"] == [10]
    assert seen.last.span_s > 0
    zone.free_many(zone.alloc_many(3))
    seen = lookout.look()
    assert [z.allocs for z in seen.last.zones if z.name == "frame"] == [3]
    assert [z.allocs for z in seen.totals.zones if z.name == "frame"] == [13]


def test_an_arena_without_a_name_is_watched_until_its_last_process_leaves(arena: Arena, lookout: Lookout) -> None:
    arena.unlink()
    seen = lookout.look()
    assert seen.state == "unnamed"
    assert "lives on" in seen.note
    arena.zone("frame").alloc().free()
    assert [z.allocs for z in lookout.look().totals.zones if z.name == "frame"] == [1]
    arena.close()
    seen = lookout.look()
    assert seen.state == "ended"
    assert f"{arena.name} has ended" in seen.note
    assert [z.allocs for z in seen.totals.zones if z.name == "frame"] == [1], "the last figures stay"


def test_the_next_arena_of_the_name_is_seen_and_counts_from_zero(arena: Arena, lookout: Lookout) -> None:
    arena.zone("frame").alloc().free()
    lookout.look()
    arena.unlink()
    arena.close()
    assert lookout.look().state == "ended"
    with Arena.create(arena.name, max_size="4M") as second:
        second.zone("other", size=64).alloc().free()
        seen = lookout.look()
        assert seen.totals.arena.uuid == second.uuid
        assert (seen.state, seen.last.span_s) == ("live", 0.0)
        assert "new arena" in seen.note
        assert [z.name for z in seen.totals.zones] == ["other"]
        assert lookout.look().last.span_s > 0
        second.unlink()


def test_a_successor_that_follows_at_once_is_seen_too(arena: Arena, lookout: Lookout) -> None:
    arena.unlink()
    with Arena.create(arena.name, max_size="4M") as second:
        seen = lookout.look()
        assert (seen.totals.arena.uuid, seen.last.span_s) == (second.uuid, 0.0)
        second.unlink()


def test_an_arena_that_everybody_left_is_idle(arena: Arena, lookout: Lookout) -> None:
    arena.close()
    seen = lookout.look()
    assert (seen.state, seen.totals.arena.live_cpus) == ("idle", 0)
    assert "Nobody is attached" in seen.note


def test_a_dump_is_shown_as_what_it_is(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("dump") / "arena"
    arena.dump(file)
    with Lookout(str(file)) as lookout:
        lookout.first()
        assert lookout.look().state == "dump"


def test_there_must_be_something_to_look_at_to_begin_with(arena: Arena) -> None:
    with Lookout(f"{arena.name}-not") as lookout, pytest.raises(ArenaNotFound):
        lookout.first()


def test_once_prints_every_pane_within_the_columns(run: Run, arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = arena.zone("frame")
    monkeypatch.setattr(time, "sleep", lambda seconds: zone.free_many(zone.alloc_many(5)))
    for columns in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        seen = run("top", arena.name, "--once")
        lines = seen.out.splitlines()
        assert (seen.status, seen.err) == (0, "")
        assert [line for line in lines if line in ("Mbufs", "Zones", "CPUs", "Log")] == [
            "Mbufs",
            "Zones",
            "CPUs",
            "Log",
        ]
        assert max(map(len, lines)) <= columns
        assert "no mbufs in this arena" in lines
        assert "\x1b" not in seen.out
    [row] = [line.split() for line in lines if line.startswith("frame")]
    assert row[5] == "15"
    assert row[8] != "0", "allocations of the interval"


def test_the_live_screen_needs_a_terminal(run: Run, arena: Arena) -> None:
    seen = run("top", arena.name)
    assert seen.status == 2
    assert "top --once" in seen.err


def test_an_arena_that_does_not_exist_is_a_wrong_command(run: Run, arena: Arena) -> None:
    assert run("top", f"{arena.name}-not", "--once").status == 2


def test_plain_text_tells_the_state_first() -> None:
    lines = plain_lines(look(state="ended", note="demo has ended: " + "word " * 40), ZoneView(), width=80)
    assert lines[1].startswith("demo has ended:")
    assert max(map(len, lines)) <= 80
    assert "socknames XXXXXXXXXXXX" in lines
    assert "70/26/96/512 mbuf clusters in use (current/cache/total/max)" in lines


def test_the_log_is_newest_first_and_a_recovery_stands_in_it_once() -> None:
    recovery, warning = log_lines(look())
    assert "CPU 2 (pid 4102, writer) died during a free on frame" in recovery
    assert warning.endswith("CPU 0 warning: [zone: mbuf_cluster] kern.ipc.nmbclusters limit reached")
