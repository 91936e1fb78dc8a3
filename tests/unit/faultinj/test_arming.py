"""Arming an arena: who attaches is armed, who only looks is not, and both ends of it."""

import os
from multiprocessing import get_context

import pytest

import faultinj
import shmalloc
from faultinj import process
from faultinj.target import NoSuchTarget, block_at
from shmalloc import _native


def attach_and_fail(name: str) -> None:
    """In a process of its own: the arena's program holds here, because attaching arms."""
    with shmalloc.Arena.attach(name) as arena:
        try:
            arena.zone("frame").alloc(shmalloc.M_NOWAIT)
        except shmalloc.OutOfMemory:
            os._exit(7)
    os._exit(0)


def test_whoever_attaches_is_armed_until_the_arena_is_disarmed(arena: shmalloc.Arena) -> None:
    arena.zone("frame", size=64)
    block = faultinj.arm(arena)
    assert faultinj.arm(arena) is block
    assert faultinj.current() is block
    faultinj.set("zone.alloc", "return")
    child = get_context("spawn").Process(target=attach_and_fail, args=(arena.name,))
    child.start()
    child.join(60)
    assert child.exitcode == 7
    assert block.injections()[0][5] == child.pid
    faultinj.disarm(arena)
    assert process.in_use() is None
    arena.zone("frame").alloc(shmalloc.M_NOWAIT).free()
    with shmalloc.Arena.attach(arena.name) as other:
        assert process.block_of(other) is None
        other.zone("frame").alloc(shmalloc.M_NOWAIT).free()
    with pytest.raises(faultinj.NotArmed, match="not under faults"):
        faultinj.disarm(arena)


def test_points_pass_once_the_arena_of_their_block_is_closed(arena: shmalloc.Arena) -> None:
    point = faultinj.point("arming.late")
    faultinj.arm(arena)
    with faultinj.inject("arming.late=return") as guard:
        with pytest.raises(faultinj.FaultInjected):
            point()
        arena.close()
        point()
    assert process.in_use() is None
    assert guard.fired == 0  # its figures went with the arena


def test_the_block_is_found_from_outside_without_being_armed(arena: shmalloc.Arena) -> None:
    with pytest.raises(faultinj.NotArmed, match="has to call"):
        block_at(arena.name)
    faultinj.arm(arena)
    outside, called = block_at(arena.name)
    assert called == f"arena {arena.name}"
    faultinj.set("zone.alloc", "nth(2):return", where=outside)
    assert faultinj.settings() == {"zone.alloc": "nth(2):return"}
    same, called = block_at(str(os.getpid()))
    assert called == f"arena {arena.name} of process {os.getpid()}"
    same.seed = 5
    assert faultinj.current().seed == 5
    with pytest.raises(NoSuchTarget, match="cannot be looked at"):
        block_at(str(2**22 + 1))
    with pytest.raises(shmalloc.ArenaNotFound):
        block_at("nobody")


def test_a_read_only_attachment_is_left_alone(arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    with shmalloc.Arena.attach(arena.name, read_only=True) as looker:
        assert process.block_of(looker) is None
    assert _native.companion_flags(arena) & _native.offered()["ARENA_FAULTS"]
