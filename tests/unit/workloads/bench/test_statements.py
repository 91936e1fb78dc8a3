"""The Python level times what it is given and says what is missing."""

from __future__ import annotations

import timeit
from pathlib import Path

import pytest

from workloads.bench.build import Unavailable
from workloads.bench.cleanup import remove_objects
from workloads.bench.round import Tableau
from workloads.bench.statements import Statement, calibrate, import_or_refuse, measure_statements
from workloads.bench.suite import NothingSelected, run_suite


def test_statements_are_measured_per_item_and_in_turns() -> None:
    tableau = Tableau()
    steps: list[str] = []
    statements = (
        Statement("py.pair", "one", "[None] * 100"),
        Statement("py.bulk", "hundred", "[None] * 100", per=100),
        Statement("py.view", "left out", "1 / 0"),
    )
    measure_statements(tableau, only="py.[pb]*", repeat=2, progress=steps.append, statements=statements)
    one, hundred = tableau.samples()
    assert (one.runs, hundred.runs, len(steps)) == (2, 2, 2)
    assert hundred.best < one.best / 10


def test_absent_peer_is_a_skip_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> dict[str, object]:
        import_or_refuse("no_such_module_at_all", "no-such-package", "Anything")
        return {}

    monkeypatch.setitem(measure_statements.__globals__["SOURCES"], "kickmsg", refuse)
    tableau = Tableau()
    measure_statements(
        tableau,
        only=None,
        repeat=1,
        progress=lambda _: None,
        statements=(Statement("py.pair", "kickmsg", "publisher.allocate()", "kickmsg"),),
    )
    assert tableau.samples() == ()
    (skip,) = tableau.skips()
    assert "pip package no-such-package" in skip.reason


def test_module_without_the_attribute_is_refused() -> None:
    with pytest.raises(Unavailable, match="has no Nothing"):
        import_or_refuse("timeit", "timeit", "Nothing")


def test_calibration_reaches_the_batch_time() -> None:
    timer = timeit.Timer("sum(range(50))")
    number = calibrate(timer, batch_s=0.002)
    assert number > 10


def test_only_objects_with_the_runs_own_mark_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.bench.cleanup.SHM", tmp_path)
    (tmp_path / "bench12345iox_node").write_bytes(b"")
    (tmp_path / "somebody-elses").write_bytes(b"")
    assert remove_objects("bench12345iox") == ["bench12345iox_node"]
    assert [path.name for path in tmp_path.iterdir()] == ["somebody-elses"]
    with pytest.raises(ValueError, match="too short"):
        remove_objects("iox")


def test_pattern_that_matches_no_case_is_refused_before_anything_runs() -> None:
    with pytest.raises(NothingSelected, match="no case matches"):
        run_suite(only="nothing.*")
