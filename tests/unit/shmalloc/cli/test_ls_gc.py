"""The list and the broom, as a person types them."""

import json

import pytest

from shmalloc import Arena, registry
from shmalloc.registry import GcAction
from unit.shmalloc.cli.conftest import Run


def test_ls_shows_the_arena_and_the_broken_object_beside_it(run: Run, arena: Arena) -> None:
    path = registry.DIRECTORY / f"{registry.PREFIX}{arena.name}-broken"
    path.touch()
    try:
        seen = run("ls")
    finally:
        path.unlink()
    heads, *rows = (line.split() for line in seen.out.splitlines())
    assert heads == [
        "NAME",
        "STATE",
        "BYTES",
        "IN-MEMORY",
        "LIVE",
        "DEAD",
        "ZONES",
        "CREATOR",
        "AGE",
        "REC",
        "LAST",
        "PROBLEM",
    ]
    good, broken = (cells for cells in rows if cells[0].startswith(arena.name))
    stats = arena.statistics()
    assert good[1:8] == [
        "live", str(stats.object_bytes), good[3], "1", "0", "1", str(stats.creator_pid),
    ]  # fmt: skip
    assert int(good[3]) > 0
    assert broken[1] == "half-made"
    assert broken[4:8] == ["-"] * 4
    assert " ".join(broken[11:]) == "its creator did not get as far as the header"
    assert seen.status == 0


def test_ls_as_json_is_a_list_of_records(run: Run, arena: Arena) -> None:
    [info] = [info for info in json.loads(run("ls", "--json").out) if info["name"] == arena.name]
    assert (info["state"], info["live_cpus"], info["uuid"]) == ("live", 1, f"{arena.uuid:016x}")


def test_gc_says_what_it_does(run: Run, arena: Arena) -> None:
    live = run("gc", arena.name)
    assert live.status == 0
    assert live.out.splitlines()[1].split(maxsplit=2) == [arena.name, "kept", "1 CPU attached"]
    arena.close()
    dry = run("gc", "--dry-run", arena.name)
    assert dry.out.splitlines()[1].split(maxsplit=2) == [arena.name, "would-remove", "no CPU is attached"]
    [done] = json.loads(run("gc", "--json", arena.name).out)
    assert done == {"name": arena.name, "action": "removed", "reason": "no CPU is attached", "recovery": None}
    assert all(info.name != arena.name for info in registry.list_arenas())


def test_gc_that_could_not_remove_something_found_something(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gc(dry_run: bool, *, names: object, half_made_after_s: float) -> list[GcAction]:
        return [GcAction("a", "removed", "no CPU is attached"), GcAction("b", "failed", "not yours")]

    monkeypatch.setattr(registry, "gc", gc)
    seen = run("gc")
    assert seen.status == 1
    assert "not yours" in seen.out
