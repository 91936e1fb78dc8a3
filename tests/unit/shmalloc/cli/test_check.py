"""Findings and exit statuses of check."""

import json
import os
import shutil
from pathlib import Path

from shmalloc import Arena
from unit.shmalloc.cli.conftest import Run


def test_a_sound_arena_is_clean(run: Run, arena: Arena) -> None:
    item = arena.zone("frame").alloc()
    seen = run("check", arena.name)
    assert seen.status == 0
    assert seen.out.startswith(f"{arena.name}: clean; 1")
    assert "1 live and 0 dead CPUs" in seen.out
    item.free()


def test_json_has_the_promised_fields(run: Run, arena: Arena) -> None:
    value = json.loads(run("check", arena.name, "--json").out)
    assert value["arena"] == arena.name
    assert value["findings"] == []
    assert (value["live_cpus"], value["dead_cpus"]) == (1, 0), "the checker does not count itself"


def damaged_dump(arena: Arena, folder: Path) -> Path:
    """A copy of the arena in which one state word has an impossible kind."""
    item = arena.zone("frame").alloc()
    dump = folder / "dump"
    shutil.copyfile(f"/dev/shm/shmalloc.{arena.name}", dump)
    offset = item.address_offset
    item.free()
    data = dump.read_bytes()
    word = _state_word_near(data, offset)
    with dump.open("r+b") as file:
        file.seek(word)
        file.write(bytes([(data[word] & 0xF0) | 0x0F]))
    return dump


def _state_word_near(data: bytes, item: int) -> int:
    """Where the only HELD word of the copy stands: kind 4 in the meta region, found by its regions' directory."""
    regions = {}
    for place in range(16):
        entry = data[104 + 40 * place : 104 + 40 * place + 40]
        regions[entry[:16].rstrip(b"\0")] = (
            int.from_bytes(entry[16:24], "little"),
            int.from_bytes(entry[24:32], "little"),
        )
    start, size = regions[b"meta"]
    held = [at for at in range(start, min(start + size, start + (1 << 16)), 8) if data[at] & 0xF == 4 and data[at + 4]]
    assert len(held) == 1, held
    return held[0]


def test_damage_is_found_and_named(run: Run, arena: Arena, tmp_path: Path) -> None:
    dump = damaged_dump(arena, tmp_path)
    seen = run("check", dump)
    assert seen.status == 1
    assert "I3" in seen.out
    assert "INVARIANT" in seen.out
    assert "finding" in seen.out
    value = json.loads(run("check", dump, "--json").out)
    assert 3 in {finding["invariant"] for finding in value["findings"]}
    assert all(isinstance(finding["detail"], str) and finding["detail"] for finding in value["findings"])


def test_a_header_too_damaged_to_attach_to_is_a_finding_of_the_first_invariant(run: Run, arena: Arena) -> None:
    path = Path(f"/dev/shm/shmalloc.{arena.name}")
    with path.open("r+b") as file:
        good = os.pread(file.fileno(), 1, 40)
        os.pwrite(file.fileno(), bytes([good[0] ^ 0xFF]), 40)
        try:
            plain, as_json = run("check", arena.name), run("check", arena.name, "--json")
        finally:
            os.pwrite(file.fileno(), good, 40)
    assert (plain.status, as_json.status) == (1, 1)
    assert "I1" in plain.out
    [finding] = json.loads(as_json.out)["findings"]
    assert finding["invariant"] == 1
    assert run("check", arena.name).status == 0


def test_a_read_only_check_claims_no_slot_and_stops_nobody(run: Run, arena: Arena) -> None:
    before = (arena.statistics().attaches, [cpu.visits for cpu in arena.cpus()])
    value = json.loads(run("check", arena.name, "--read-only", "--json").out)
    assert (arena.statistics().attaches, [cpu.visits for cpu in arena.cpus()]) == before
    assert (value["findings"], value["live_cpus"], value["world_stopped_ns"]) == ([], 1, 0)


def test_a_full_arena_is_checked_without_stopping_anybody(run: Run, arena: Arena) -> None:
    name = f"{arena.name}-full"
    with Arena.create(name, max_size="4M", max_cpus=1):
        try:
            seen = run("check", name)
        finally:
            Arena.unlink_name(name)
    assert seen.status == 0
    assert "reading without stopping anybody instead" in seen.err
    assert f"{name}: clean" in seen.out
