"""The leak is attributed to its process and line, or the run says that it is not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from shmalloc.who import Holding
from workloads.records import Settings
from workloads.runner import run_workload
from workloads.stress import nfsleak
from workloads.stress.nfsleak import CALLS, LEAK_EVERY, NfsLeak, accused

from .conftest import Pair

SOURCE = Path(nfsleak.__file__).read_text().splitlines()
LINE = next(number for number, line in enumerate(SOURCE, 1) if "reply = self._mbufs.m_getcl(" in line)
LEAK = Holding(
    state="held",
    cpu=1,
    pid=77,
    process="nfsleak.1",
    alive=True,
    queue=None,
    zone="mbuf_packet",
    type=None,
    site=f"{nfsleak.__file__}:{LINE} NfsLeak._serve_from_mbufs < elsewhere.py:1 run",
    allocated_by=77,
    traced=True,
    count=5,
    bytes=1280,
    oldest_s=2.0,
)


def test_the_leak_at_the_top_is_accused_also_by_the_end_of_its_path() -> None:
    assert accused([LEAK, replace(LEAK, pid=1, count=1)], 77, CALLS[1], 5)
    assert accused([replace(LEAK, site=f"stress/nfsleak.py:{LINE} f")], 77, CALLS[1], 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pid": 78},
        {"allocated_by": 78},
        {"count": 4},
        {"state": "queued"},
        {"site": None},
        {"site": "_native.so+0x1234"},
        {"site": f"{nfsleak.__file__}:{LINE + 1} NfsLeak._serve_from_mbufs"},
        {"site": f"elsewhere.py:{LINE} NfsLeak._serve_from_mbufs"},
    ],
)
def test_another_process_count_or_line_is_not_accused(wrong: dict[str, object]) -> None:
    assert not accused([replace(LEAK, **wrong)], 77, CALLS[1], 5)  # type: ignore[arg-type]
    assert not accused([replace(LEAK, **wrong), LEAK], 77, CALLS[1], 5), "the leak is second"  # type: ignore[arg-type]
    assert not accused([], 77, CALLS[1], 5)


def test_in_an_arena_that_traces_nothing_the_run_says_that_nothing_was_attributed(pair: Pair) -> None:
    (judge, at_judge), (server, at_server) = pair(NfsLeak)
    assert isinstance(judge, NfsLeak)
    assert isinstance(server, NfsLeak)
    server._serve_from_zone(at_server, True)
    server._serve_from_mbufs(at_server, True)
    server._confess(at_server)
    judge.drain(at_judge)
    server.drain(at_server)
    assert [violation.kind for violation in at_judge.findings] == ["not-attributed", "not-attributed"]
    assert at_server.findings == ()


def test_a_run_names_the_last_worker_and_both_lines_and_ends_clean() -> None:
    result = run_workload(Settings(workload="nfsleak", cpus=3, seconds=0.8, seed=5))
    assert (result.ok, result.violations, result.leaked_items) == (True, [], 0)
    leaking = next(worker for worker in result.workers if worker.rank == 2)
    assert [holding.zone for holding in result.holdings] == ["nfs_reply", "mbuf_packet"]
    for holding, kind in zip(result.holdings, nfsleak.KINDS, strict=True):
        assert (holding.pid, holding.process) == (leaking.pid, "nfsleak.2")
        assert leaking.pid != os.getpid()
        assert holding.count == result.counts[f"leaked / {kind}"] > 0
    assert leaking.tally is not None
    assert result.holdings[0].count == min(leaking.tally.ops // 2 // LEAK_EVERY, nfsleak.LEAKED_MOST)
