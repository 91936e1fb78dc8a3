"""The figures, once and again."""

import json
import time
from pathlib import Path

import pytest

from shmalloc import Arena
from unit.shmalloc.cli.conftest import Run

ZONE_HEADS = ["ITEM", "SIZE", "LIMIT", "USED", "FREE", "REQ", "FAIL", "SLEEP"]


def test_the_zone_table_shows_what_happened(run: Run, arena: Arena) -> None:
    zone = arena.zone("frame", size=256)
    held = zone.alloc_many(3)
    zone.free_many(zone.alloc_many(2))
    seen = run("stat", arena.name, "-z")
    heads, *rows = (line.split() for line in seen.out.splitlines())
    assert heads == ZONE_HEADS
    [row] = [dict(zip(heads, cells, strict=True)) for cells in rows if cells[0] == "frame"]
    assert (row["SIZE"], row["USED"], row["REQ"], row["FAIL"]) == ("256", "3", "5", "0")
    assert int(row["FREE"]) == zone.statistics().free
    assert seen.status == 0
    zone.free_many(held)


def test_zones_are_the_default(run: Run, arena: Arena) -> None:
    assert run("stat", arena.name).out == run("stat", arena.name, "-z").out


def test_the_cpu_table_shows_this_process(run: Run, arena: Arena) -> None:
    item = arena.zone("frame").alloc()
    heads, *rows = (line.split() for line in run("stat", arena.name, "-t").out.splitlines())
    [row] = [dict(zip(heads, cells, strict=True)) for cells in rows if "frame" in cells]
    [cpu] = arena.cpus()
    assert (row["CPU"], row["PID"], row["STATE"], row["ALLOCS"]) == (str(arena.cpu_id), str(cpu.pid), "live", "1")
    item.free()


def test_the_type_table_shows_malloc_types(run: Run, arena: Arena) -> None:
    item = arena.malloc(100, type="route")
    heads, *rows = (line.split() for line in run("stat", arena.name, "-M").out.splitlines())
    assert heads == ["Type", "InUse", "MemUse", "Requests", "Size(s)"]
    [row] = [cells for cells in rows if cells[0] == "route"]
    assert row == ["route", "1", "1K", "1", "112"]
    item.free()


def test_an_arena_without_mbufs_says_so(run: Run, arena: Arena) -> None:
    seen = run("stat", arena.name, "-m")
    assert (seen.status, seen.out) == (0, "no mbufs in this arena\n")
    assert arena.mbuf_statistics() is None


def test_json_carries_the_whole_records_of_what_was_asked_for(run: Run, arena: Arena) -> None:
    item = arena.zone("frame").alloc()
    value = json.loads(run("stat", arena.name, "--json", "-z", "-t", "-m", "-M").out)
    assert value["arena"] == arena.name
    assert value["statistics"]["uuid"] == f"{arena.uuid:016x}"
    [zone] = [zone for zone in value["zones"] if zone["name"] == "frame"]
    assert (zone["used"], zone["allocs"], zone["item_bytes"]) == (1, 1, 256)
    [cpu] = value["cpus"]
    assert cpu["id"] == arena.cpu_id
    [cache] = [cache for cache in value["cpu_zones"] if cache["zone_name"] == "frame"]
    assert (cache["cpu"], cache["allocs"]) == (arena.cpu_id, 1)
    assert isinstance(value["types"], list)
    assert value["mbufs"] is None
    assert "cpus" not in json.loads(run("stat", arena.name, "--json").out)
    item.free()


def test_later_reports_cover_only_their_interval(run: Run, arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = arena.zone("frame")
    zone.free_many(zone.alloc_many(10))
    waits: list[float] = []

    def work_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        zone.free_many(zone.alloc_many(len(waits)))

    monkeypatch.setattr(time, "sleep", work_meanwhile)
    seen = run("stat", arena.name, "5", "3", "--json")
    reports = [json.loads(line) for line in seen.out.splitlines()]
    counts = [next(z["allocs"] for z in report["zones"] if z["name"] == "frame") for report in reports]
    assert counts == [10, 1, 2]
    assert [report["span_s"] > 0 for report in reports] == [False, True, True]
    assert len(waits) == 2
    assert all(0 < wait <= 10 for wait in waits)


def test_each_report_says_what_it_covers(run: Run, arena: Arena) -> None:
    out = run("stat", arena.name, "0.01", "2").out
    assert [line.split(" ", 2)[2] for line in out.splitlines() if line.startswith("#")] == [
        "since the arena was made",
        "last 0.0 s",
    ]
    assert [line.split() for line in out.splitlines()].count(ZONE_HEADS) == 2


def test_an_interrupt_ends_an_endless_report_in_order(run: Run, arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    seen = run("stat", arena.name, "1")
    assert (seen.status, seen.err) == (0, "")
    assert seen.out.count("ITEM") == 1


def test_the_page_holds_the_tables_and_needs_no_network(run: Run, arena: Arena, tmp_path: Path) -> None:
    item = arena.zone("frame").alloc()
    file = tmp_path / "stat.html"
    seen = run("stat", arena.name, "0.01", "4", "--html", file)
    assert seen.status == 0
    assert seen.out.endswith(f"written: {file}\n")
    text = file.read_text()
    assert "http" not in text
    assert all(word in text for word in (arena.name, "frame", "<svg", "CACHED"))
    item.free()


@pytest.mark.parametrize("arguments", [("0",), ("-1",), ("nan",), ("1", "0"), ("soon",)])
def test_an_interval_that_makes_no_sense_is_refused(run: Run, arena: Arena, arguments: tuple[str, ...]) -> None:
    seen = run("stat", arena.name, "--", *arguments)
    assert seen.status == 2
    assert seen.out == ""
    assert seen.err


def test_a_page_into_nowhere_is_refused_before_anything_is_read(run: Run, arena: Arena, tmp_path: Path) -> None:
    seen = run("stat", arena.name, "--html", tmp_path / "none" / "stat.html")
    assert (seen.status, seen.out) == (2, "")
    assert "there is no directory" in seen.err


def test_looking_disturbs_nobody(run: Run, arena: Arena) -> None:
    before = (arena.statistics().attaches, [cpu.visits for cpu in arena.cpus()])
    run("stat", arena.name, "-z", "-t", "-m", "-M")
    assert (arena.statistics().attaches, [cpu.visits for cpu in arena.cpus()]) == before


def test_a_copy_of_an_arena_can_be_looked_at_by_its_path(run: Run, arena: Arena, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_bytes((Path("/dev/shm") / f"shmalloc.{arena.name}").read_bytes())
    seen = run("stat", dump)
    assert seen.status == 0
    assert any(line.split()[:2] == ["frame", "256"] for line in seen.out.splitlines())
