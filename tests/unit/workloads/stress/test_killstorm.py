"""A storm kills, the survivors find nothing wrong, and a survivor that does is heard."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from pathlib import Path

import pytest

import shmalloc
from workloads.context import Worker
from workloads.records import RunResult, Settings
from workloads.runner import run_workload
from workloads.stress.killstorm import KILL_EVERY_S, KillStorm, kill_times
from workloads.stress.storm_labour import Labour

from .conftest import Pair


def test_two_seconds_of_kills_leave_every_byte_right_and_every_item_accounted_for() -> None:
    seed = secrets.randbelow(2**32)
    print(f"again with: workloads run killstorm --seconds 2 --seed {seed}")
    result = run_workload(Settings(workload="killstorm", cpus=4, seconds=2.0, seed=seed))
    assert (result.violations, result.findings, result.leaked_items) == ([], [], 0)
    assert all(zone.used == 0 for zone in result.zones)
    # On a machine that has no core to spare kills come late, and the last are not made up for.
    assert 10 <= result.kills <= 2.0 / KILL_EVERY_S + 4
    assert result.counts["verified"] >= result.ops > 0
    # Recovered by their killers, by those that attached, and by those that slept at the limit.
    assert result.check is not None
    assert result.check.dead_cpus == 0
    assert result.pause_p99_us is not None
    assert result.pause_max_us is not None
    assert result.pause_p99_us > 0
    assert not list(Path("/dev/shm").glob(f"*workloads-killstorm-{os.getpid()}-*"))


def test_the_seed_deals_one_kill_every_20_ms_over_all_workers() -> None:
    settings = Settings(workload="killstorm", cpus=8, seconds=2.0, seed=5)
    dealt = [kill_times(settings, rank) for rank in range(8)]
    together = sorted(at for times in dealt for at in times)
    assert together == [place * KILL_EVERY_S for place in range(1, 100)]
    assert all(len(times) > 3 for times in dealt)
    other = Settings(workload="killstorm", cpus=8, seconds=2.0, seed=6)
    assert [kill_times(other, rank) for rank in range(8)] != dealt


def test_an_item_that_another_process_sealed_again_is_seen(pair: Pair) -> None:
    (_, mine), (_, other) = pair(KillStorm)
    labour = Labour(mine)
    while not labour._live:  # type: ignore[attr-defined]
        labour._grow()  # type: ignore[attr-defined]
    item, _ = labour._live[0]  # type: ignore[attr-defined]
    other.seal(item, b"a whole cookie, of somebody else")
    labour.drop_all()
    assert [violation.kind for violation in mine.tally(0.0).violations] == ["not-mine"]


def test_what_a_mortal_finds_is_a_violation_of_its_worker_and_its_death_is_none(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (storm, worker), _ = pair(KillStorm)
    ready, said = os.pipe()

    def damage(self: Labour) -> None:
        item = self.zone.alloc()
        self._worker.seal(item, b"payload")  # type: ignore[attr-defined]
        item.write(b"?", 30)
        self._worker.verify(item, "here")  # type: ignore[attr-defined]
        os.write(said, b"x")

    monkeypatch.setattr(Labour, "round", damage)
    storm._bear(worker)  # type: ignore[attr-defined]
    # More rounds than it does between two looks at what it found.
    seen = 0
    while seen < 64:
        seen += len(os.read(ready, 64))
    os.close(said)
    storm._kill(worker)  # type: ignore[attr-defined]
    os.close(ready)
    found = worker.tally(0.0)
    assert {violation.kind for violation in found.violations} == {"corrupt-item"}
    assert all("in a mortal: here: " in violation.detail for violation in found.violations)
    assert found.counts["kills"] == 1
    worker.arena.reap()
    assert worker.arena.zone("killstorm").statistics().used == 0


def test_a_mortal_that_fails_by_itself_is_a_violation(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    (storm, worker), _ = pair(KillStorm)

    def fail(self: Labour) -> None:
        raise shmalloc.ZoneExhausted(zone="killstorm", limit=1)

    monkeypatch.setattr(Labour, "round", fail)
    storm._bear(worker)  # type: ignore[attr-defined]
    os.waitid(os.P_PID, storm._pid, os.WEXITED | os.WNOWAIT)  # type: ignore[attr-defined]
    storm._kill(worker)  # type: ignore[attr-defined]
    found = worker.tally(0.0)
    assert [violation.kind for violation in found.violations] == ["mortal-failed"]
    assert Counter(found.counts)["kills"] == 0
    worker.arena.reap()


@pytest.mark.parametrize("workload", ["packets", "forward"])
def test_workers_that_the_runner_kills_are_replaced_and_named_in_the_result(workload: str) -> None:
    result: RunResult = run_workload(Settings(workload=workload, cpus=3, seconds=2.0, seed=3, kills=2))
    assert (result.violations, result.findings, result.leaked_items, result.kills) == ([], [], 0, 2)
    killed = {worker.pid for worker in result.workers if worker.killed}
    assert {death.pid for recovery in result.recoveries for death in recovery.deaths} == killed
    assert all(recovery.stopped_ns <= recovery.found_ns for recovery in result.recoveries)
    for worker in result.workers:
        assert (worker.exit_code, worker.tally is None) == ((-9, True) if worker.killed else (0, False))
    ranks = Counter(worker.rank for worker in result.workers)
    assert (sum(ranks.values()), set(ranks)) == (5, {0, 1, 2})
    replaced = [worker.tally for worker in result.workers if worker.life and worker.tally is not None]
    assert replaced
    assert any(tally.ops > 0 for tally in replaced)


def test_a_replacement_that_is_still_starting_is_killed_at_work_and_not_before() -> None:
    # The kills are due a few hundredths of a second apart, much sooner than a process has started.
    result: RunResult = run_workload(Settings(workload="packets", cpus=1, seconds=0.2, seed=3, kills=3))
    assert (result.violations, result.findings, result.leaked_items, result.kills) == ([], [], 0, 3)
    killed = [worker.pid for worker in result.workers if worker.killed]
    assert sorted(death.pid for recovery in result.recoveries for death in recovery.deaths) == sorted(killed)


def test_the_owner_of_a_cookie_tells_the_lives_of_a_rank_apart(arena: shmalloc.Arena) -> None:
    settings = Settings(workload="packets", cpus=3, seconds=1, seed=1)
    owners = {
        Worker(settings=settings, rank=rank, arena=arena, life=life).owner for rank in range(3) for life in (0, 1)
    }
    assert len(owners) == 6


def test_what_a_mortal_counted_is_inherited_whole_although_it_died_between_two_counters(pair: Pair) -> None:
    (storm, worker), (_, mortal) = pair(KillStorm)
    mortal.ops = mortal.verified = 7
    storm._publish(mortal)  # type: ignore[attr-defined]

    class Killed(Exception):
        pass

    class Dying:
        """Counts up to its death: everything after ops is never said."""

        ops = 9

        def __getattr__(self, name: str) -> int:
            raise Killed

    with pytest.raises(Killed):
        storm._publish(Dying())  # type: ignore[attr-defined]
    storm._inherit(worker)  # type: ignore[attr-defined]
    assert (worker.ops, worker.verified) == (7, 7)
