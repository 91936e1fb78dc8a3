"""The conversation with a benchmark program, against programs that behave badly; and one real C benchmark."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from workloads.bench.build import Unavailable, build_program, fingerprint, forget_old
from workloads.bench.machine import usable_cores
from workloads.bench.native import measure_native
from workloads.bench.program import Program
from workloads.bench.round import Tableau
from workloads.bench.subjects import NATIVES, shared_library

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def script(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "program-0"
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def start(path: Path) -> Program:
    return Program(path, cores=(0, 0), budget_ms=1.0)


def test_answers_are_read_and_refusals_carry_their_reason(tmp_path: Path) -> None:
    body = (
        "for line in sys.stdin:\n    c = line.strip()\n    print(c, '! out of items' if c == 'no' else 4.5, flush=True)"
    )
    with start(script(tmp_path, body)) as program:
        assert program.ask("pair", timeout_s=20) == 4.5
        with pytest.raises(Unavailable, match="out of items"):
            program.ask("no", timeout_s=20)
        assert program.ask("pair", timeout_s=20) == 4.5


def test_program_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    path = script(tmp_path, "sys.stdin.readline()\nsys.exit('no huge pages')")
    with start(path) as program, pytest.raises(Unavailable, match="no huge pages"):
        program.ask("pair", timeout_s=20)


def test_program_that_stays_silent_is_ended(tmp_path: Path) -> None:
    path = script(tmp_path, "import signal\nsignal.pause()")
    with start(path) as program:
        with pytest.raises(Unavailable, match="did not answer"):
            program.ask("pair", timeout_s=0.2)
        with pytest.raises(Unavailable, match="was ended"):
            program.ask("pair", timeout_s=0.2)


def test_answer_to_another_question_is_refused(tmp_path: Path) -> None:
    path = script(tmp_path, "sys.stdin.readline()\nprint('bulk 1.0', flush=True)")
    with start(path) as program, pytest.raises(Unavailable, match="answered"):
        program.ask("pair", timeout_s=20)


def test_fingerprint_follows_content_and_flags(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int a;")
    before = fingerprint(("cc",), (source,))
    assert fingerprint(("cc", "-O3"), (source,)) != before
    source.write_text("int b;")
    assert fingerprint(("cc",), (source,)) != before


def test_old_builds_are_removed_and_new_ones_kept(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name}-program").write_bytes(b"")
        (tmp_path / f"{name}-directory").mkdir()
        (tmp_path / f"{name}-directory" / "library.a").write_bytes(b"")
    for path in tmp_path.glob("old-*"):
        os.utime(path, (1, 1))
    forget_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new-directory", "new-program"]


def test_absent_library_is_named_by_its_package() -> None:
    with pytest.raises(Unavailable, match="apt package libnosuch-dev"):
        shared_library("libnosuch_at_all", package="libnosuch-dev")


@needs_cc
def test_broken_source_is_refused_with_the_compilers_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.c").write_text("int main(void) { return nonsense; }")
    monkeypatch.setattr("workloads.bench.build.SOURCES", tmp_path)
    with pytest.raises(Unavailable, match="nonsense"):
        build_program("broken.c", cache=tmp_path)


@needs_cc
def test_one_real_c_benchmark_measures_the_c_library() -> None:
    tableau = Tableau()
    core = usable_cores()[0]
    glibc = tuple(native for native in NATIVES if native.name == "glibc")
    measure_native(
        tableau,
        only="c.pair",
        repeat=2,
        budget_ms=1.0,
        cores=(core, core),
        progress=lambda _: None,
        natives=glibc,
    )
    assert tableau.skips() == ()
    (sample,) = tableau.samples()
    assert (sample.case, sample.subject, sample.runs) == ("c.pair", "glibc malloc", 2)
    assert 0.1 < sample.best <= sample.median < 100_000
