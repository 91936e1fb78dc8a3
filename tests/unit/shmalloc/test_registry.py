"""What is listed, what gc removes and what it never removes: with real objects, real locks and real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shmalloc import Arena, naming, registry
from shmalloc.errors import ArenaNotFound
from shmalloc.registry import GcAction, gc, list_arenas
from unit.shmalloc.shm_objects import age, as_nobody, collected, fresh_name, listed, make, path_of

HOLDER = """
import sys, shmalloc
arena = shmalloc.Arena.attach(sys.argv[1])
item = arena.zone("frame", size=256).alloc()
print(arena.cpu_id, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name() -> Iterator[str]:
    with fresh_name() as unique:
        yield unique


@contextmanager
def holder(name: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that is attached and holds an item; it ends with the block."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline().strip().isdigit(), "the holder did not attach"
        yield child
    finally:
        child.stdin.close()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(30)
            raise
        finally:
            child.stdout.close()


# ------------------------------------------------------------------------------------------------ listing


def test_a_live_arena_is_listed_with_its_figures(name: str) -> None:
    make(name)
    with holder(name):
        info = listed(name)
    assert info is not None
    assert (info.state, info.problem, info.live_cpus, info.dead_cpus, info.zones) == ("live", "", 1, 0, 1)
    assert info.creator_pid == os.getpid()
    assert info.owner_uid == os.getuid()
    assert info.bytes == path_of(name).stat().st_size
    assert 0 < info.allocated < info.bytes
    assert info.uuid != 0


def test_an_arena_that_all_left_is_idle_and_one_whose_process_died_is_crashed(name: str) -> None:
    make(name)
    assert (info := listed(name)) is not None
    assert (info.state, info.live_cpus, info.dead_cpus) == ("idle", 0, 0)
    with holder(name) as child:
        child.kill()
        child.wait(30)
        assert (info := listed(name)) is not None
    assert (info.state, info.live_cpus, info.dead_cpus) == ("crashed", 0, 1)


def test_listing_claims_no_cpu_slot(name: str) -> None:
    with Arena.create(name, max_size="4M") as arena:
        before = arena.statistics().attaches
        assert listed(name) is not None
        assert arena.statistics().attaches == before
        assert [cpu.pid for cpu in arena.cpus()] == [os.getpid()]


def test_an_object_that_may_not_be_opened_is_listed_beside_the_others(name: str) -> None:
    make(name)
    other = f"{name}-other"
    try:
        make(other)
        path_of(name).chmod(0)
        path_of(other).chmod(0o644)
        with as_nobody():
            found = {info.name: info for info in list_arenas()}
            kept = collected(name)
    finally:
        path_of(other).unlink(missing_ok=True)
    assert found[name].state == "unreadable"
    assert "Permission denied" in found[name].problem
    assert found[name].bytes > 0
    assert found[other].state == "idle"
    assert kept is not None
    assert kept.action == "kept"


def test_objects_without_the_prefix_are_no_arenas(name: str) -> None:
    path = registry.DIRECTORY / f"other.{name}"
    path.write_bytes(b"SHMALLOC")
    try:
        assert all(name not in info.name for info in list_arenas())
    finally:
        path.unlink()


# ------------------------------------------------------------------------------------------------ gc: arenas


def test_gc_never_removes_an_arena_with_a_live_process(name: str) -> None:
    make(name)
    with holder(name):
        assert collected(name) == GcAction(name, "kept", "1 CPU attached")
        age(name)
        assert collected(name) == GcAction(name, "kept", "1 CPU attached")
        assert path_of(name).exists()


def test_gc_keeps_an_arena_that_this_process_itself_is_attached_to(name: str) -> None:
    with Arena.create(name, max_size="4M"):
        assert collected(name) == GcAction(name, "kept", "1 CPU attached")
    assert collected(name) == GcAction(name, "removed", "no CPU is attached")


def test_gc_removes_the_arena_of_a_killed_process(name: str) -> None:
    make(name)
    with holder(name) as child:
        child.kill()
        child.wait(30)
        would = collected(name, dry_run=True)
        assert would == GcAction(name, "would-remove", "1 CPU died in it, none is attached")
        assert path_of(name).exists(), "a dry run removes nothing"
        assert collected(name) == GcAction(name, "removed", "1 CPU died in it, none is attached")
    assert not path_of(name).exists()
    assert listed(name) is None


def test_gc_keeps_the_arena_while_one_of_several_processes_lives(name: str) -> None:
    make(name)
    with holder(name), holder(name) as other:
        other.kill()
        other.wait(30)
        done = collected(name)
        assert done is not None
        assert done.action == "reaped"
        assert collected(name) == GcAction(name, "kept", "1 CPU attached")


def test_gc_looks_at_the_named_arenas_only(name: str) -> None:
    make(name)
    assert gc(names=[f"{name}-not"]) == []
    assert path_of(name).exists()
    assert collected(name) == GcAction(name, "removed", "no CPU is attached")


def test_an_unnamed_dry_run_looks_at_everything_and_changes_nothing(name: str) -> None:
    make(name)
    actions = {action.name: action for action in gc(dry_run=True)}
    assert actions[name].action == "would-remove"
    assert path_of(name).exists()


def test_gc_gives_its_locks_back_where_it_removes_nothing(name: str) -> None:
    make(name)
    assert collected(name, dry_run=True) is not None
    with holder(name):
        assert collected(name) == GcAction(name, "kept", "1 CPU attached")


def test_a_name_that_went_to_a_new_object_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody removes the old object and makes a new one between the look and the removal."""
    make(name)
    take = registry._take_every_lock

    def replaced_first(fd: int) -> bool:
        path_of(name).unlink()
        path_of(name).write_bytes(b"new")
        return take(fd)

    monkeypatch.setattr(registry, "_take_every_lock", replaced_first)
    assert collected(name) == GcAction(name, "kept", "the name was given to a new object just now")
    assert path_of(name).read_bytes() == b"new"


def test_who_opened_an_arena_just_before_gc_removed_it_is_told_that_it_is_gone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(name)
    really_open = naming.open_object

    @contextmanager
    def swept_after_opening(name: str, *, read_only: bool) -> Iterator[int]:
        with really_open(name, read_only=read_only) as fd:
            monkeypatch.setattr("shmalloc.arena.open_object", really_open)
            assert collected(name) == GcAction(name, "removed", "no CPU is attached")
            yield fd

    monkeypatch.setattr("shmalloc.arena.open_object", swept_after_opening)
    with pytest.raises(ArenaNotFound):
        Arena.attach(name)
    make(name)
    monkeypatch.setattr("shmalloc.arena.open_object", swept_after_opening)
    with Arena.open(name, max_size="4M") as arena:
        assert arena.zone_names() == [], "a new arena, one that others can find"
        assert (info := listed(name)) is not None
        assert info.uuid == arena.uuid
