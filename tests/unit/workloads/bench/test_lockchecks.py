"""The lock checkers' programs are built from the tree and answer; what is not installed is told by its package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workloads.bench import lockchecks
from workloads.bench.build import Unavailable
from workloads.bench.lockchecks import LOCK_CHECKERS
from workloads.bench.machine import usable_cores
from workloads.bench.native import measure_native
from workloads.bench.program import Program
from workloads.bench.round import Tableau

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@needs_cc
def test_our_program_answers_every_question_about_watched_locks() -> None:
    tableau = Tableau()
    cores = usable_cores()
    measure_native(
        tableau,
        only="witness.*",
        repeat=1,
        budget_ms=1.0,
        cores=(cores[0], cores[-1]),
        progress=lambda _: None,
        natives=tuple(native for native in LOCK_CHECKERS if native.name == "ours_witness"),
    )
    assert tableau.skips() == ()
    (ours,) = (native for native in LOCK_CHECKERS if native.name == "ours_witness")
    samples = {sample.subject: sample.best for sample in tableau.samples()}
    assert set(samples) == {question.subject for question in ours.questions}
    assert samples["shmalloc, witness on"] > 0


def test_a_program_is_run_through_the_command_that_watches_it(tmp_path: Path) -> None:
    program = tmp_path / "program-0"
    program.write_text("#!/bin/sh\nread line\necho nested $THROUGH\n")
    program.chmod(0o755)
    with Program(program, cores=(0, 0), budget_ms=1.0, through=("env", "THROUGH=12.5")) as running:
        assert running.ask("nested", timeout_s=20) == 12.5


def test_absent_valgrind_is_named_by_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockchecks, "find_compiler", lambda *_: None)
    (helgrind,) = (native for native in LOCK_CHECKERS if native.name == "helgrind")
    with pytest.raises(Unavailable, match="apt package valgrind"):
        helgrind.prepare(tmp_path)
