"""Every workload under witness: clean, but for what it is there to provoke; and what is not clean is a finding."""

import subprocess
import sys
from pathlib import Path

import pytest

from witness.record import Sleep, read_graph
from workloads.records import RunResult, Settings, WatchRecord, decode_result, encode_result
from workloads.registry import WORKLOADS
from workloads.runner import run_workload
from workloads.stress import rip

CORE = {"quiesce", "admin", "sockbuf", "keg", "page"}


def watched(name: str, *, seconds: float = 0.4, **more: object) -> tuple[RunResult, WatchRecord]:
    """Run a workload of two processes under witness, and what that saw."""
    result = run_workload(Settings(workload=name, cpus=2, seconds=seconds, seed=1, witness=True, **more))  # type: ignore[arg-type]
    assert result.witness is not None
    return result, result.witness


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_every_workload_is_clean_under_witness(name: str) -> None:
    result, seen = watched(name)
    assert (seen.reversals, seen.misuses, seen.off_reason) == (0, 0, None)
    assert [finding.title for finding in seen.findings if not finding.intended] == []
    assert (result.ok, result.violations, result.ops > 0) == (True, [], True)
    # It was really watched: the workers' takings of the allocator's own locks were counted, and orders of them seen.
    acquires = {record.name: record.acquires for record in seen.graph.classes}
    assert set(acquires) >= CORE
    assert min(acquires["keg"], acquires["page"], acquires["quiesce"]) > 0
    assert seen.orders >= 2
    assert {worker.pid for worker in result.workers} <= {process.pid for process in seen.graph.processes}
    meant = {(meant.lock, meant.zone) for meant in WORKLOADS[name].intended}
    assert {(sleep.held[0].name, sleep.zone) for sleep in seen.graph.sleeps} == meant


@pytest.fixture(scope="module")
def routed() -> tuple[RunResult, WatchRecord]:
    """One run of rip, long enough for each of its eight slices to see mbufs run out."""
    return watched("rip", seconds=1.6)


def by_action(seen: WatchRecord) -> dict[str, Sleep]:
    """The two ways in which rip's one finding was met."""
    sleeps = {sleep.action: sleep for sleep in seen.graph.sleeps}
    assert len(sleeps) == len(seen.graph.sleeps) == 2
    return sleeps


def test_the_routing_daemon_is_reported_with_the_lock_both_stacks_and_the_zone(
    routed: tuple[RunResult, WatchRecord],
) -> None:
    result, seen = routed
    [finding] = seen.findings
    assert (finding.rule, finding.intended) == ("sleep-under-lock", True)
    assert finding.title == 'malloc(M_WAITOK) of "mbuf" may sleep while "rip" is held'
    for sleep in seen.graph.sleeps:
        [held] = sleep.held
        assert (sleep.what, sleep.zone, held.name, held.mode) == ("malloc(M_WAITOK)", "mbuf", "rip", "exclusive")
        assert held.site == held.stack[0]
        assert [held.stack[0].function, sleep.side.stack[0].function, sleep.side.stack[1].function] == [
            *("Rip.run", "Rip._encapsulate", "Rip.run")
        ]
        with open(rip.__file__) as file:
            source = file.readlines()
        assert "self._lock.acquire(" in source[held.stack[0].line - 1]
        assert ".m_prepend(HEADER_BYTES, M_WAITOK)" in source[sleep.side.stack[0].line - 1]
        assert sleep.side.pid in {worker.pid for worker in result.workers}
    assert finding.text.startswith(
        'malloc(M_WAITOK) of "mbuf", forcing M_NOWAIT with the following non-sleepable locks held:\n'
        "exclusive sleep mutex rip (rip) r = 0 ("
    )


def test_the_allocation_is_forced_to_fail_at_once_and_the_failure_path_is_taken_cleanly(
    routed: tuple[RunResult, WatchRecord],
) -> None:
    result, seen = routed
    way = rip.WAYS[1]
    failed = result.counts[f"m_prepend failed, packet freed / {way}"]
    assert failed > 0
    assert result.counts[f"slept under the lock / {way}"] == 0
    # Reports are counted under the lock that they are about, so none is lost.
    assert by_action(seen)["forced M_NOWAIT"].count == (
        result.counts[f"headers prepended under the lock / {way}"] + failed
    )
    assert (result.ok, result.leaked_items, result.findings) == (True, 0, [])


def test_without_nosleepwithlocks_it_is_told_and_not_forced(routed: tuple[RunResult, WatchRecord]) -> None:
    result, seen = routed
    way = rip.WAYS[0]
    assert by_action(seen)["reported"].count == result.counts[f"headers prepended under the lock / {way}"] > 0
    assert f"m_prepend failed, packet freed / {way}" not in result.counts
    assert result.counts[f"slept under the lock / {way}"] > 0


def test_a_reversal_is_a_finding_of_the_run() -> None:
    result, seen = watched("churn", sabotage="reverse")
    [violation] = result.violations
    assert violation.kind == "lock-order-reversal"
    assert violation.detail == "sabotage.there -> sabotage.here -> sabotage.there (possible, seen: 1)"
    assert (result.ok, seen.reversals, [finding.intended for finding in seen.findings]) == (False, 1, [False])
    assert decode_result(encode_result(result).encode()).witness == seen


def test_the_command_fails_on_a_reversal_and_prints_it_in_witness_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workloads", "run", "churn", "--cpus", "2", "--seconds", "0.4", "--seed", "1"]
    record = tmp_path / "graphs" / "churn.json"
    more = ["--sabotage", "reverse", "--witness", "--record", str(record)]
    ended = subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "lock order reversal:\n 1st " in ended.stdout
    assert "\nwitness: 7 lock classes, " in ended.stdout
    assert "; 1 reversal, 0 kinds of sleeping under a lock, 0 misuses\n" in ended.stdout
    assert ended.stderr.startswith("workloads: again with: workloads run churn ")
    assert ended.stderr.endswith(" --sabotage reverse --witness\n")
    assert [reversal.kind for reversal in read_graph(record).reversals] == ["reversal"]
    alone = subprocess.run([*command, "--sabotage", "reverse"], capture_output=True, text=True, check=False, timeout=60)
    assert (alone.returncode, "only witness sees a reversed order" in alone.stderr) == (2, True)


def test_a_run_that_is_not_watched_says_nothing_of_it() -> None:
    result = run_workload(Settings(workload="churn", cpus=1, seconds=0.2, seed=1))
    assert (result.ok, result.witness) == (True, None)
