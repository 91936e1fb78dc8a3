"""inject, set and clear: what holds inside a guard, what is put back, and what is refused."""

import os
import threading

import pytest

import faultinj
import shmalloc
from faultinj import Block, CoreError, GrammarError, PlanError, UnknownPoint
from faultinj.guard import Guard


def outcomes(call: faultinj.Point, times: int) -> list[str]:
    """Reaches the point so often; the name of what it raised each time, or ok."""
    found = []
    for _ in range(times):
        try:
            call()
            found.append("ok")
        except Exception as error:  # noqa: BLE001
            found.append(type(error).__name__)
    return found


def test_a_guard_injects_counts_and_ends() -> None:
    connect = faultinj.point("guard.connect", error=ConnectionError)
    with faultinj.inject("guard.connect=nth(2):return") as guard:
        assert outcomes(connect, 3) == ["ok", "ConnectionError", "ok"]
        assert (guard.reached, guard.fired) == (3, 1)
    assert outcomes(connect, 2) == ["ok", "ok"]
    assert (guard.reached, guard.fired) == (3, 1)
    (entry,) = guard.injections
    assert (entry.point, entry.action, entry.sequence, entry.pid) == ("guard.connect", "return", 2, os.getpid())


def test_attachments_of_the_process_are_failed_without_being_armed(arena: shmalloc.Arena) -> None:
    zone = arena.zone("frame", size=64)
    with faultinj.inject("zone.alloc=nth(2):return(SM_LIMIT)[zone fr*]") as guard:
        zone.alloc(shmalloc.M_NOWAIT).free()
        with pytest.raises(shmalloc.ZoneExhausted):
            zone.alloc(shmalloc.M_NOWAIT)
        with shmalloc.Arena.attach(arena.name) as later:  # attached inside: armed as well
            later.zone("frame").alloc(shmalloc.M_NOWAIT).free()
        assert guard.reached >= 3
    assert guard.injections[0].subject == "frame"


def test_an_outer_guard_s_program_is_put_back() -> None:
    point = faultinj.point("guard.nested")
    with faultinj.inject("guard.nested=return(5)") as outer:
        with faultinj.inject("guard.nested=off"):
            assert outcomes(point, 1) == ["ok"]
        assert outcomes(point, 1) == ["OSError"]
        assert faultinj.settings() == {"guard.nested": "return(5)"}
    assert faultinj.settings() == {}
    assert outer.fired == 1


def test_a_guard_holds_for_points_declared_inside_of_it() -> None:
    faultinj.point("guard.lately")
    with faultinj.inject("guard.la*=return") as guard:
        late = faultinj.point("guard.late")
        assert outcomes(late, 1) == ["FaultInjected"]
        assert guard.fired == 1
    assert outcomes(late, 1) == ["ok"]


def test_what_cannot_be_set_sets_nothing(arena: shmalloc.Arena) -> None:
    faultinj.arm(arena)
    with pytest.raises(UnknownPoint, match=r"did you mean zone\.ctor") as caught:
        Guard.__enter__(faultinj.inject("queue.put=return; zone.ctr=return"))
    assert "zone.ctor" in caught.value.near
    with pytest.raises(PlanError, match="needs Python"):
        faultinj.set("zone.ctor", "raise(ValueError)")
    with pytest.raises(PlanError, match="did you mean SM_NO_MEMORY"):
        faultinj.set("zone.ctor", "return(SM_NO_MEMRY)")
    with pytest.raises(PlanError, match="EXDEV"):
        faultinj.set("zone.ctor", "return(EXDEV)")
    with pytest.raises(PlanError, match="use off"):
        faultinj.set("zone.ctor", "return(SM_OK)")
    with pytest.raises(PlanError, match="nothing can be reported between two steps"):
        faultinj.set("crash.step", "return")
    with pytest.raises(PlanError, match="arms one point"):
        faultinj.set("zone.ctor", "arm(queue.*=return)")
    with pytest.raises(PlanError, match=r"\[flags M_SOON\]"):
        faultinj.set("zone.ctor", "return[flags M_SOON]")
    with pytest.raises(PlanError, match="room for 375"):
        faultinj.set("zone.ctor", "->".join(['print("%s")' % ("x" * 60)] * 7))
    with pytest.raises(GrammarError):
        faultinj.set("zone.ctor", "nth(0):return")
    with pytest.raises(UnknownPoint):
        faultinj.clear("nobody.*")
    assert faultinj.settings() == {}


def test_what_has_no_room_sets_nothing_and_leaves_the_seed() -> None:
    block = faultinj.Block.anonymous()
    for i in range(140):
        block.point(f"guard.many.p{i}")
    block.seed = 3
    with pytest.raises(CoreError, match="this needs 140 places for programs, and the block has 128 left") as caught:
        Guard.__enter__(faultinj.inject("guard.many.*=return", where=block, seed=4))
    assert caught.value.code == "SM_TABLE_FULL"
    assert faultinj.settings(where=block) == {}
    assert (block.seed, block.slots_free) == (3, 128)
    for seed in (-1, 1 << 64):
        with pytest.raises(ValueError, match=f"seed={seed}: expected a whole number from 0 to 18446744073709551615"):
            faultinj.inject("guard.many.p1=return", seed=seed)
    with pytest.raises(CoreError, match=r"room for 256 points.*say which by its subject"):
        for i in range(256):
            block.point(f"guard.more.p{i}")


def test_a_forked_child_that_leaves_the_block_ends_nothing() -> None:
    point = faultinj.point("guard.forked")
    with faultinj.inject("guard.forked=return") as guard:
        pid = os.fork()
        if pid == 0:
            guard.__exit__(None, None, None)
            os._exit(0 if guard.fired == 0 else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert outcomes(point, 1) == ["FaultInjected"]
    assert outcomes(point, 1) == ["ok"]


def test_set_stays_until_clear_and_a_glob_stands_for_all_that_match() -> None:
    block = faultinj.current()
    assert faultinj.set("queue.*", "nth(9):return") == ("queue.put", "queue.get")
    assert faultinj.settings() == dict.fromkeys(("queue.put", "queue.get"), "nth(9):return")
    assert faultinj.clear("queue.g*") == ("queue.get",)
    assert faultinj.clear() == ("queue.put",)
    assert block.slots_free == 128
    assert len(faultinj.set("*", "off")) == len(block.names()) - 1  # all but the crash point
    faultinj.clear()


def test_a_seed_makes_percentages_the_same_again() -> None:
    point = faultinj.point("guard.chance")

    def run(seed: int) -> list[str]:
        with faultinj.inject("guard.chance=30%return", seed=seed):
            return outcomes(point, 40)

    first = run(7)
    assert run(7) == first
    assert run(8) != first
    assert {"ok", "FaultInjected"} == set(first)


def test_a_cascade_arms_another_point() -> None:
    first, second = faultinj.point("guard.first"), faultinj.point("guard.second")
    with faultinj.inject("guard.first=nth(2):arm(guard.second=2*return)") as guard:
        assert outcomes(second, 2) == ["ok", "ok"]
        assert outcomes(first, 2) == ["ok", "ok"]
        assert outcomes(second, 3) == ["FaultInjected", "FaultInjected", "ok"]
        assert faultinj.settings()["guard.second"] == "2*return"
        assert [entry.action for entry in guard.injections] == ["arm"]
    faultinj.clear("guard.second")


def test_another_block_can_be_named(arena: shmalloc.Arena) -> None:
    mine = Block.anonymous()
    faultinj.set("zone.alloc", "off", where=mine)
    assert faultinj.settings() == {}
    assert faultinj.settings(where=mine) == {"zone.alloc": "off"}
    with pytest.raises(ValueError, match="not armed in this process"):
        Guard.__enter__(faultinj.inject("zone.alloc=off", where=shmalloc.Arena.attach(arena.name, read_only=True)))


def test_a_pause_is_resumed_by_another_thread() -> None:
    point = faultinj.point("guard.pause")
    with faultinj.inject("guard.pause=1*pause") as guard:
        thread = threading.Thread(target=point)
        thread.start()
        while not guard.block.paused():  # the pausing thread lets the interpreter's lock go
            assert thread.is_alive()
        guard.block.resume(guard.block.point("guard.pause"))
        thread.join(60)
        assert not thread.is_alive()
