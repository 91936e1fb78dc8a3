"""The sweep's rate: trials over seconds of a clean sweep, as many turns as there are; a finding leaves no rate."""

import os
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from faultinj.sweep.context import BEGINNING, own_objects
from workloads.bench import sweeps
from workloads.bench.round import Tableau
from workloads.bench.sweeps import ALLOCATOR, CASE, TURNS_MOST, measure_sweep
from workloads.bench.targets import SWEPT, SWEPT_UNWATCHED


class Sweeps:
    """Stands for the sweep: says what it was asked for, is twice as fast without oracles, has these findings."""

    def __init__(self, findings: Sequence[str] = ()) -> None:
        self.asked: list[tuple[int, tuple[str, ...] | None]] = []
        self._findings = [SimpleNamespace(detail=detail) for detail in findings]

    def __call__(
        self, chosen: Sequence[object], *, kinds: Sequence[str], jobs: int, oracles: Sequence[str] | None
    ) -> "Sweeps":
        assert set(kinds) == {"transient", "persistent"}
        self.asked.append((len(chosen), None if oracles is None else tuple(oracles)))
        return self

    def run(self) -> SimpleNamespace:
        seconds = 4.0 if self.asked[-1][1] is None else 2.0
        return SimpleNamespace(trials=1000, injected=900, seconds=seconds, findings=self._findings)


def measured(monkeypatch: pytest.MonkeyPatch, runs: Sweeps, *, only: str | None = None, repeat: int = 11) -> Tableau:
    monkeypatch.setattr(sweeps, "Sweep", runs)
    tableau = Tableau()
    measure_sweep(tableau, only=only, repeat=repeat, groups=ALLOCATOR, cores=2, progress=lambda _: None)
    return tableau


def test_a_rate_is_of_trials_and_seconds_with_witness_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Sweeps()
    samples = {sample.subject: sample for sample in measured(monkeypatch, runs).samples()}
    assert samples[SWEPT].turns == (250.0,) * TURNS_MOST
    assert samples[SWEPT_UNWATCHED].best == 500.0
    assert "1,000 trials, 900 faults" in samples[SWEPT].note
    scenarios = {count for count, _ in runs.asked}
    assert len(scenarios) == 1
    assert scenarios.pop() > 30
    assert [oracles for _, oracles in runs.asked] == [None, ()] * TURNS_MOST


def test_a_sweep_with_a_finding_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    tableau = measured(monkeypatch, Sweeps(["3 items leaked"]))
    assert tableau.samples() == ()
    assert [skip.reason for skip in tableau.skips()] == ["1 findings, first 3 items leaked"]


def test_nothing_is_swept_that_nobody_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Sweeps()
    assert measured(monkeypatch, runs, only="c.*").samples() == ()
    assert runs.asked == []


def test_a_real_sweep_has_a_rate_and_leaves_nothing() -> None:
    tableau = Tableau()
    measure_sweep(tableau, only=CASE, repeat=1, groups=("figures",), cores=1, progress=lambda _: None)
    assert {sample.subject for sample in tableau.samples()} == {SWEPT, SWEPT_UNWATCHED}
    assert all(sample.best > 0 and sample.unit == "a second" for sample in tableau.samples())
    assert own_objects(f"{BEGINNING}{os.getpid()}-") == []
