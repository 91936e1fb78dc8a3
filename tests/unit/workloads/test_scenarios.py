"""Every workload is a scenario in small: what fails is counted, what must not happen is still seen.

A few trials of each at places that change with the day; FAULTINJ_SEED=N replays a day, `make soak` tries all of them.
"""

from __future__ import annotations

import datetime
import fnmatch
import itertools
import os
import random
import secrets
from collections.abc import Iterator

import pytest

import shmalloc
from faultinj.record import Kind, Outcome
from faultinj.sweep import count_points, find, names, run_cell
from faultinj.sweep.context import ChildKilled
from faultinj.sweep.nursery import Nursery
from faultinj.sweep.registry import KINDS
from witness.oracle import Oracle
from workloads.context import FORCED
from workloads.records import Settings
from workloads.registry import WORKLOADS
from workloads.scenarios import FEW, Rounds, Violated
from workloads.stress import ips, nfsleak, rip

SEED = int(os.environ.get("FAULTINJ_SEED", datetime.datetime.now(datetime.UTC).strftime("%Y%j")))
IN_A_ROW = 3


@pytest.fixture
def arena() -> Iterator[shmalloc.Arena]:
    """An arena that is clean at the end, and gone afterwards."""
    with shmalloc.Arena.create(f"test-small-{secrets.token_hex(4)}", max_size="32M", trace=True) as made:
        try:
            yield made
            assert made.check().findings == ()
        finally:
            made.unlink()


def _told(outcome: Outcome) -> str:
    return f"faultinj replay '{outcome.trial.id}': " + "; ".join(f"{f.kind}: {f.detail}" for f in outcome.findings)


def test_every_workload_of_the_registry_is_a_scenario_with_every_kind_of_fault() -> None:
    scenarios = {name.removeprefix("workload."): find(name) for name in names() if find(name).group == "workload"}
    assert set(scenarios) == set(WORKLOADS)
    assert {name: scenario.kinds for name, scenario in scenarios.items()} == dict.fromkeys(WORKLOADS, KINDS)


def _swept_in_part(name: str, nursery: Nursery) -> Iterator[Outcome]:
    """A few trials of each kind, in a row from a place that the scenario comes by."""
    whole = count_points(name, oracles=[], at=nursery)
    assert [_told(whole)] * bool(whole.findings) == []
    steps = whole.reached["crash.step"]
    faults = sum(whole.reached.values()) - steps
    rng = random.Random(f"{SEED}:{name}")
    kinds: dict[Kind, int] = {"transient": faults, "persistent": faults, "kill": steps}
    for kind, places in kinds.items():
        first = rng.randint(1, places - IN_A_ROW + 1)
        outcomes = run_cell(name, kind, first=first, last=first + IN_A_ROW - 1, oracles=[], at=nursery)
        assert len(outcomes) == IN_A_ROW
        yield from outcomes


def test_workloads_in_small_count_what_fails_and_go_on() -> None:
    with Nursery() as nursery:
        for outcome in itertools.chain.from_iterable(_swept_in_part(f"workload.{one}", nursery) for one in WORKLOADS):
            trial = outcome.trial
            assert outcome.injected, f"{trial.id}: nothing was injected, FAULTINJ_SEED={SEED}"
            assert [_told(outcome)] * bool(outcome.findings) == [], f"FAULTINJ_SEED={SEED}"
            # No error of the allocator ends a workload.
            assert outcome.result == ("killed" if trial.kind == "kill" else "success"), f"{trial.id}: {outcome.stack}"


def _in_small(name: str, arena: shmalloc.Arena, *, rate: int = 0, times: int = 1) -> Rounds:
    """Run a workload in small, under debug.malloc.failure_rate, to its end."""
    kind = WORKLOADS[name]
    settings = Settings(workload=name, cpus=1, seconds=1, seed=0)
    kind().prepare(arena, settings)
    workload, worker = kind(), Rounds(settings, arena, times * kind.rounds_in_small)
    workload.open(worker)
    arena.sysctl["debug.malloc.failure_rate"] = rate
    workload.run(worker)
    workload.drain(worker)
    worker.judge()
    return worker


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("churn", ["malloc"]),
        ("refcnt", ["last reference dropped by the sender"]),
        ("forkstorm", ["visitors", "left to recovery"]),
        ("killstorm", ["put into queues", "taken from queues"]),
        ("packets", ["frames http", "frame bytes"]),
        ("forward", ["frames http", "frame bytes"]),
        ("sockets", ["stream bytes"]),
        ("rip", [f"headers prepended under the lock / {way}" for way in rip.WAYS]),
        ("nfsleak", [f"attributed by who() / {kind}" for kind in nfsleak.KINDS]),
        ("ips", [f"{what} / {way}" for way in ips.WAYS for what in ("inspected", "clusters there again")]),
    ],
)
def test_in_small_a_workload_does_all_that_it_is_for(name: str, shown: list[str], arena: shmalloc.Arena) -> None:
    worker = _in_small(name, arena)
    assert {figure: worker.counts[figure] > 0 for figure in shown} == dict.fromkeys(shown, True)
    assert worker.ops > 0
    arena.reap()


@pytest.mark.parametrize("rate", [1, 3])
@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_lives_with_the_failure_rate(name: str, rate: int, arena: shmalloc.Arena) -> None:
    worker = _in_small(name, arena, rate=rate, times=2)
    # A capture goes through zones that are asked with M_WAITOK, which the tunable leaves alone.
    assert name == "packets" or worker.counts[FORCED] > 0
    arena.reap()
    assert arena.who() == []


def test_a_violation_in_small_is_told(arena: shmalloc.Arena) -> None:
    worker = Rounds(Settings(workload="churn", cpus=1, seconds=1, seed=0), arena, 2)
    worker.judge()
    worker.violation("odd", "what must not happen")
    with pytest.raises(Violated, match="odd: what must not happen"):
        worker.judge()


def test_rounds_are_counted_and_make_the_time_pass(arena: shmalloc.Arena) -> None:
    worker = Rounds(Settings(workload="churn", cpus=1, seconds=2, seed=0), arena, 4)
    passed = []
    while worker.running():
        passed.append(worker.seconds_left())
    assert passed == [2.0, 1.5, 1.0, 0.5]
    assert (worker.few(FEW - 1), worker.few(100)) == (FEW - 1, FEW)
    sizes = [60] * 50 + [1500] + [60] * 50
    at = worker.place_in(sizes)
    assert max(sizes[at : at + FEW]) == 1500
    assert min(sizes[at : at + FEW]) == 60


def test_a_process_of_a_workload_that_its_fault_killed_is_no_violation(arena: shmalloc.Arena) -> None:
    worker = Rounds(Settings(workload="forkstorm", cpus=1, seconds=1, seed=0), arena, 1)
    with pytest.raises(ChildKilled, match="the process 77"):
        worker.killed(77)
    assert worker.findings == ()


def test_what_witness_tells_of_the_routing_daemon_is_meant_and_nothing_else_is(arena: shmalloc.Arena) -> None:
    oracle = Oracle()
    oracle.begin(arena)
    _in_small("rip", arena)
    told = list(oracle.findings(arena))
    assert told
    patterns = find("workload.rip").meant
    assert [text for text in told if not any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)] == []
    with arena.mutex("other"):
        arena.zone("mbuf").alloc().free()
    other = [text for text in oracle.findings(arena) if text not in told]
    assert [any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns) for text in other] == [False]
