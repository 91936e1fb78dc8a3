"""Every rule of the oracle is seen to be broken: a scenario with a mistake is a finding of the right kind."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faultinj.record import Outcome, Trial
from faultinj.sweep import Context, find, load, names, oracle, registry, run_cell, run_trial
from faultinj.sweep.evidence import Evidence
from faultinj.sweep.nursery import Nursery
from shmalloc import Arena

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def planted() -> Iterator[None]:
    """The planted scenarios, here and in victims, which get this process's search path. Gone afterwards."""
    import sys

    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    load(["planted"])
    yield
    for name in names():
        if find(name).group == "planted":
            registry._forget(name)


def _findings(scenario: str, points: str = "zone.alloc") -> list[Outcome]:
    with Nursery() as nursery:
        return run_cell(scenario, "transient", points, oracles=[], at=nursery)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("scenario", "points", "kind", "says"),
    [
        ("planted.leak", "zone.alloc", "leak", "1 items"),
        ("planted.lock", "zone.alloc", "lock held", "mutex 'm' is held 1 times"),
        ("planted.fails", "zone.alloc", "fails counter", "counted 1 fails, the scenario saw 0"),
        ("planted.queue", "queue.get", "leak", "queue 'work' has 1 items"),
        ("planted.foreign", "zone.alloc", "foreign error", "RuntimeError: something went wrong"),
        ("planted.wrong", "zone.alloc", "unclean error", "the code SM_FULL, injected was SM_NO_MEMORY"),
        ("planted.wrong", "zone.alloc", "unclean error", "has no class of its own"),
        ("planted.rerun", "zone.alloc", "rerun failed", "the mark is there"),
        ("planted.fini", "zone.alloc", "leak", "inits"),
        ("planted.object", "cpu.attach", "leak", "is left in /dev/shm"),
        ("planted.crash", "zone.alloc", "crash", "SIGABRT"),
    ],
)
def test_a_mistake_is_found_and_named(scenario: str, points: str, kind: str, says: str) -> None:
    outcomes = _findings(scenario, points)
    found = [finding for outcome in outcomes for finding in outcome.findings]
    assert any(f.kind == kind and says in f.detail for f in found), found
    assert outcomes[-1].injected == ()


@pytest.mark.usefixtures("planted")
def test_a_run_that_hangs_is_ended_and_its_stack_is_told() -> None:
    with Nursery() as nursery:
        outcome = run_trial(Trial(scenario="planted.hang", kind="transient", n=1, points="zone.alloc"), at=nursery)
    [finding] = outcome.findings
    assert finding.kind == "hang"
    assert any("waits_for_ever" in line for line in finding.stack)
    assert outcome.injected[0].point == "zone.alloc"


@pytest.mark.usefixtures("planted")
def test_a_run_whose_wait_ends_with_the_question_for_its_stack_is_told_with_its_own_fault() -> None:
    with Nursery() as nursery:
        hung = run_cell("planted.pause", "transient", "zone.alloc", last=2, oracles=[], at=nursery)
    assert [[finding.kind for finding in o.findings] for o in hung] == [["hang"], ["hang"]]
    assert [[injection.sequence for injection in o.injected] for o in hung] == [[1], [2]]
    assert all(any(" in pause" in line for line in o.findings[0].stack) for o in hung)


@pytest.mark.usefixtures("planted")
def test_a_mistake_without_fault_is_found_by_no_fault_at_all() -> None:
    # The stop rule of a scenario whose only mistake is on its error path: the run that injected nothing is clean.
    outcomes = _findings("planted.leak")
    assert [o.verdict for o in outcomes] == ["clean", "finding", "nothing injected"]


def test_a_held_lock_of_the_core_is_a_finding(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = Evidence(find("zone.alloc"), arena.name, arena)
    assert list(oracle.core_locks(evidence)) == []
    monkeypatch.setattr(oracle._native, "core_locks", lambda _: [("keg", 3, 1, False), ("page", 0, None, True)])
    told = [finding.detail for finding in oracle.core_locks(evidence)]
    assert told == ["the allocator's lock keg 3 is held by CPU 1", "the allocator's lock page is dirty"]


def test_what_this_process_left_open_in_the_core_is_a_finding(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    assert oracle.stuck_inside(arena) == oracle.stuck_inside(None) == ()
    [own] = arena.cpus()
    other = dataclasses.replace(own, id=own.id + 1, pid=own.pid + 1, op=0x70003)  # at work, and nobody's business here
    monkeypatch.setattr(Arena, "cpus", lambda self: (dataclasses.replace(own, op=0x50001), other))
    held = [("quiesce", 0, own.id, False), ("keg", 3, other.id, False), ("page", 0, None, True)]
    monkeypatch.setattr(oracle._native, "core_locks", lambda _: held)
    lock, operation = oracle.stuck_inside(arena)
    assert (lock.kind, lock.detail) == (
        "lock held",
        f"the allocator's lock quiesce 0 is held by CPU {own.id}, outside of any call",
    )
    assert (operation.kind, operation.detail) == (
        "operation open",
        f"CPU {own.id} says 0x50001 in its op word, outside of any call",
    )


def test_a_check_that_cannot_be_made_is_a_finding(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(evidence: Evidence) -> list[object]:
        raise OSError("no such luck")

    monkeypatch.setattr(oracle, "CHECKS", (broken,))
    [finding] = oracle.judge(Evidence(find("zone.alloc"), arena.name, arena))
    assert (finding.kind, finding.detail) == ("check", "broken raised OSError: no such luck")


def test_a_further_oracle_is_asked(arena: Arena) -> None:
    class Grumpy:
        def begin(self, arena: Arena) -> None:
            raise AssertionError("not here")

        def findings(self, arena: Arena) -> list[str]:
            return [f"I do not like {arena.name}"]

    [finding] = oracle.judge(Evidence(find("zone.alloc"), arena.name, arena), {"grumpy": Grumpy()})
    assert (finding.kind, finding.detail) == ("grumpy", f"I do not like {arena.name}")


def test_what_a_scenario_is_there_to_provoke_is_no_finding_of_an_oracle(arena: Arena) -> None:
    class Grumpy:
        def begin(self, arena: Arena) -> None:
            raise AssertionError("not here")

        def findings(self, arena: Arena) -> list[str]:
            return ["sleep under 'rip'", "sleep under 'other'"]

    scenario = dataclasses.replace(find("zone.alloc"), meant=("sleep under 'r*",))
    [finding] = oracle.judge(Evidence(scenario, arena.name, arena), {"grumpy": Grumpy()})
    assert finding.detail == "sleep under 'other'"


def test_the_shape_of_a_scenarios_arena_is_what_it_asks_for() -> None:
    ctx = Context(f"fsweep-shape-{os.getpid()}")
    ctx.shape(trace=True, max_size="2M")
    try:
        assert ctx.arena.statistics().max_bytes == 2 << 20
        item = ctx.arena.zone("traced", size=64).alloc()
        assert "test_oracle.py" in (ctx.arena.who()[0].site or "")
        item.free()
    finally:
        ctx.close()
        ctx.remove()


def test_an_oracle_that_is_not_installed_is_named() -> None:
    with pytest.raises(LookupError, match="no oracle 'delphi'"):
        oracle.companions(["delphi"])


def test_a_context_removes_every_arena_of_its_name(arena_name: str) -> None:
    ctx = Context(arena_name)
    with ctx.arena, Arena.create(ctx.other_name(), max_size="1M"):
        pass
    ctx.remove()
    from faultinj.sweep.context import own_objects

    assert own_objects(arena_name) == []
