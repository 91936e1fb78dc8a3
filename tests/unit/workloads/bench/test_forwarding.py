"""Forwarding is measured by one process and by two in turns; a run that is not clean has no speed."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from workloads.bench import forwarding
from workloads.bench.forwarding import CASE, TURNS_MOST, measure_forward
from workloads.bench.round import Tableau
from workloads.bench.targets import FORWARD, FORWARD_CPU
from workloads.records import Settings


@dataclass
class Runs:
    """Runs with made-up speeds: packets a second and CPU seconds by the number of processes."""

    asked: list[tuple[int, int]]
    clean: bool = True

    def __call__(self, settings: Settings) -> SimpleNamespace:
        self.asked.append((settings.cpus, settings.seed))
        speed = {1: 1000.0, 2: 1500.0}[settings.cpus]
        tally = SimpleNamespace(cpu_s={1: 1.0, 2: 0.75}[settings.cpus])
        return SimpleNamespace(
            ok=self.clean,
            cpus=settings.cpus,
            ops=speed,
            ops_per_second=speed,
            violations=[],
            workers=[SimpleNamespace(tally=tally)] * settings.cpus,
        )


def measured(runs: Runs, monkeypatch: pytest.MonkeyPatch, *, repeat: int = 3, cores: int = 2) -> Tableau:
    monkeypatch.setattr(forwarding, "run_workload", runs)
    tableau = Tableau()
    measure_forward(tableau, only=None, repeat=repeat, seconds=1, cores=cores, progress=lambda _: None)
    return tableau


def test_the_speed_up_is_of_runs_in_turns_and_that_by_cpu_time_leaves_waiting_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = Runs([])
    samples = {sample.subject: sample for sample in measured(runs, monkeypatch, repeat=100).samples()}
    assert runs.asked == [(cpus, turn) for turn in range(TURNS_MOST) for cpus in (1, 2)]
    assert samples[FORWARD].turns == (1.5,) * TURNS_MOST
    assert "1,500 over 1,000" in samples[FORWARD].note
    # Two processes did 1,500 in 1.5 CPU seconds, as fast as one that did 1,000 in 1.
    assert samples[FORWARD_CPU].best == 2.0


def test_a_run_that_is_not_clean_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    tableau = measured(Runs([], clean=False), monkeypatch)
    assert tableau.samples() == ()
    assert {skip.subject for skip in tableau.skips()} == {FORWARD, FORWARD_CPU}
    assert all("not clean" in skip.reason for skip in tableau.skips())


def test_one_core_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs([])
    tableau = measured(runs, monkeypatch, cores=1)
    assert (runs.asked, len(tableau.skips())) == ([], 2)


def test_a_real_pair_of_runs_gives_both_figures() -> None:
    tableau = Tableau()
    measure_forward(tableau, only=CASE, repeat=1, seconds=0.3, cores=2, progress=lambda _: None)
    assert {sample.subject for sample in tableau.samples()} == {FORWARD, FORWARD_CPU}
    assert all(0.05 < sample.best < 4 for sample in tableau.samples())
