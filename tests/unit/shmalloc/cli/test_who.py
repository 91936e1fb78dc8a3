"""`shmalloc who` in this process: rows, filters, hints and usage."""

import json
from pathlib import Path

import pytest

from shmalloc import Arena
from shmalloc.errors import ArenaNotFound
from unit.shmalloc.cli.conftest import Run


def test_rows_name_holder_zone_and_line(run: Run, arena: Arena) -> None:
    zone = arena.zone("traced", size=100, trace=True)
    held = zone.alloc_many(3)
    seen = run("who", arena.name)
    head, row = seen.out.splitlines()[:2]
    assert head.split() == ["OLDEST", "COUNT", "BYTES", "HOLDER", "ZONE", "SITE"]
    assert row.split()[1:3] == ["3", "300"]
    assert f"cpu {arena.cpu_id})" in row
    assert f"{__file__}:" in row
    assert seen.status == 0
    assert len(seen.out.splitlines()) == 2  # everything is recorded: nothing to explain
    del held


def test_an_untraced_zone_is_told_how_to_trace(run: Run, arena: Arena) -> None:
    item = arena.zone("frame", size=256).alloc()
    seen = run("who", arena.name)
    assert seen.status == 0
    assert seen.out.splitlines()[-1].startswith("no sites and ages for frame: not traced; make a zone with")
    del item


def test_missing_sites_of_a_traced_zone_name_the_tunable(run: Run, arena: Arena) -> None:
    arena.sysctl["debug.sites"] = 0
    item = arena.zone("traced", size=64, trace=True).alloc()
    assert run("who", arena.name).out.splitlines()[-1] == (
        f"1 items have no site: debug.sites is 0, none is recorded; shmalloc sysctl {arena.name} debug.sites=1"
    )
    arena.sysctl["debug.sites"] = 1
    assert run("who", arena.name).out.splitlines()[-1].endswith("were allocated while debug.sites was not 1")
    del item


def test_filters_and_groups_and_top(run: Run, arena: Arena) -> None:
    zone = arena.zone("traced", size=100, trace=True)
    held = [zone.alloc(), zone.alloc(), *arena.zone("frame", size=256).alloc_many(3)]
    by_zone = run("who", arena.name, "--by", "zone").out.splitlines()
    assert [line.split()[1:] for line in by_zone[:3]] == [
        ["COUNT", "BYTES", "ZONE"],
        ["2", "200", "traced"],
        ["3", "768", "frame"],
    ]
    assert len(run("who", arena.name, "--zone", "frame").out.splitlines()) == 3
    top = run("who", arena.name, "--top", "1").out.splitlines()
    assert "1 more not shown" in top
    assert run("who", arena.name, "--pid", "1").out == "nothing is out\n"
    items = run("who", arena.name, "--items").out.splitlines()
    assert items[0].split() == ["AGE", "OFFSET", "BYTES", "HOLDER", "ZONE", "SITE"]
    assert len(items) == 1 + len(held)


def test_json_holds_the_fields_of_the_records(run: Run, arena: Arena) -> None:
    item = arena.zone("traced", size=100, trace=True).alloc()
    [group] = json.loads(run("who", arena.name, "--json").out)
    assert (group["zone"], group["count"], group["bytes"], group["state"], group["alive"]) == (
        "traced",
        1,
        100,
        "held",
        True,
    )
    [row] = json.loads(run("who", arena.name, "--items", "--json").out)
    assert int(row["handle"]) == item.handle
    assert row["offset"] == item.address_offset


def test_a_dump_is_looked_at_by_its_path(run: Run, arena: Arena, tmp_path: Path) -> None:
    item = arena.zone("traced", size=100, trace=True).alloc()
    arena.dump(tmp_path / "dump")
    seen = run("who", tmp_path / "dump")
    assert seen.status == 0
    assert f"{__file__}:" in seen.out
    assert "dead" not in seen.out
    del item


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--zone", "nosuch"], "has no zone 'nosuch'"),
        (["--items", "--by", "zone"], "choose one"),
        (["--by", "colour"], "colour"),
        (["--top", "0"], "--top"),
    ],
)
def test_a_wrong_command_is_status_2(run: Run, arena: Arena, arguments: list[str], complaint: str) -> None:
    seen = run("who", arena.name, *arguments)
    assert seen.status == 2
    assert complaint in seen.err


def test_an_arena_that_does_not_exist_is_status_2(run: Run) -> None:
    with pytest.raises(ArenaNotFound):
        Arena.attach("no-such-arena-here")
    assert run("who", "no-such-arena-here").status == 2
