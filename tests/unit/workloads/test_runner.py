"""A run ends: with its workers, its arena and its phases, whatever happens to them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from workloads.capture import BadCapture
from workloads.process import WorkerProcess
from workloads.records import Assignment, Settings
from workloads.registry import UnknownWorkload
from workloads.runner import describe_machine, left_in_memory, run_workload


class Interrupted(Exception):
    """What a user's interrupt stands for."""


def own_workers() -> list[psutil.Process]:
    """Worker processes that this test process started."""
    return [child for child in psutil.Process().children() if "workloads.worker" in child.cmdline()]


def own_arenas() -> list[Path]:
    return list(Path("/dev/shm").glob(f"*workloads-*-{os.getpid()}-*"))


def test_a_worker_killed_from_outside_is_a_violation_and_the_run_ends() -> None:
    killed: list[int] = []

    def kill_one(elapsed_s: float, ops: int) -> None:
        if not killed and ops > 0:
            victim = own_workers()[0]
            killed.append(victim.pid)
            victim.send_signal(signal.SIGKILL)

    result = run_workload(Settings(workload="crossfree", cpus=2, seconds=0.8, seed=1), kill_one)
    dead = [worker for worker in result.workers if worker.pid == killed[0]]
    assert [worker.exit_code for worker in dead] == [-9]
    assert {"worker-died", "worker-exit"} <= {violation.kind for violation in result.violations}
    assert all(violation.rank == dead[0].rank for violation in result.violations)
    assert (result.ok, own_workers(), own_arenas()) == (False, [], [])


def test_an_interrupted_run_leaves_no_process_and_no_arena() -> None:
    def interrupt(elapsed_s: float, ops: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        run_workload(Settings(workload="crossfree", cpus=2, seconds=30, seed=1), interrupt)
    assert (own_workers(), own_arenas()) == ([], [])


def test_what_cannot_start_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(UnknownWorkload):
        run_workload(Settings(workload="nothing", cpus=1, seconds=1, seed=1))
    with pytest.raises(BadCapture):
        run_workload(Settings(workload="packets", cpus=1, seconds=1, seed=1, pcap=str(tmp_path / "missing")))
    assert (own_workers(), own_arenas()) == ([], [])


def test_a_worker_that_cannot_attach_says_why() -> None:
    settings = Settings(workload="churn", cpus=1, seconds=1, seed=1)
    worker = WorkerProcess(Assignment(settings=settings, arena="there-is-no-such-arena", rank=0, core=None))
    os.set_blocking(worker.fileno(), True)
    assert list(worker.reports()) == []
    assert worker.gone
    assert worker.end(30.0) == 1
    assert "ArenaNotFound" in worker.errors


def test_a_worker_whose_runner_goes_away_ends_by_itself() -> None:
    settings = Settings(workload="churn", cpus=1, seconds=1, seed=1)
    worker = WorkerProcess(Assignment(settings=settings, arena="there-is-no-such-arena", rank=0, core=None))
    assert worker.end(30.0) in (1, 3)


def test_an_object_left_in_memory_is_found(tmp_path: Path) -> None:
    left = Path("/dev/shm") / f"test-left-{os.getpid()}"
    left.touch()
    try:
        assert [violation.kind for violation in left_in_memory(left.name)] == ["left-in-shm"]
    finally:
        left.unlink()
    assert left_in_memory(left.name) == []


def test_the_machine_is_described_without_its_name() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert os.uname().nodename not in (machine.model, machine.kernel, machine.python)
