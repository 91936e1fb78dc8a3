"""One program swept, run by run."""

import sys
from pathlib import Path

import pytest

from faultinj.plan import UnknownPoint
from faultinj.run.sweeping import DirtyProgram, ProgramSweep

OPENS = (
    "import os\nfor _ in range(2):\n    try:\n        os.close(os.open(__file__, 0))\n    except OSError:\n        {}\n"
)


def sweep_of(folder: Path, text: str, points: str = "os.open") -> ProgramSweep:
    """A sweep of a program of this text."""
    app = folder / "app.py"
    app.write_text(text)
    return ProgramSweep(command=[sys.executable, str(app)], title="app.py", points=points)


def test_a_sweep_stops_after_the_run_that_injected_nothing(tmp_path: Path) -> None:
    told = []
    sweep = sweep_of(tmp_path, OPENS.format("pass"))
    sweep.told = told.append
    result = sweep.run()
    assert [(o.trial.kind, o.trial.n, o.verdict) for o in told] == [
        ("transient", 1, "clean"),
        ("transient", 2, "clean"),
        ("transient", 3, "nothing injected"),
        ("persistent", 1, "clean"),
        ("persistent", 2, "clean"),
        ("persistent", 3, "nothing injected"),
    ]
    assert [len(o.injected) for o in told] == [1, 1, 0, 2, 1, 0]
    assert [(c.trials, c.injected, c.exhausted) for c in result.cells] == [(3, 2, True), (3, 2, True)]
    assert (result.trials, result.injected, result.findings, result.empty) == (6, 4, (), ())
    assert [(p.point, p.error, p.success) for p in result.points] == [("os.open", "OSError", 4)]


def test_a_limit_is_told_from_an_end(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, OPENS.format("pass"))
    sweep.limit, sweep.kinds = 1, ("transient",)
    assert [(c.trials, c.injected, c.exhausted) for c in sweep.run().cells] == [(1, 1, False)]


def test_a_run_that_hangs_is_ended_and_found(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, OPENS.format("import threading; threading.Event().wait()"))
    sweep.count()
    sweep.timeout = 2
    outcome = sweep.trial("transient", 1)
    assert [one.kind for one in outcome.findings] == ["hang"]
    assert (
        outcome.findings[0].stack[-1].startswith("again: faultinj run --trial transient/1 --points os.open --timeout 2")
    )


def test_points_that_the_program_declares_are_swept(tmp_path: Path) -> None:
    text = "import faultinj\nconnect = faultinj.point('db.connect', error=ConnectionError)\ntry:\n    connect()\n"
    sweep = sweep_of(tmp_path, text + "except ConnectionError:\n    pass\n", points="db.*")
    sweep.count()
    outcome = sweep.trial("transient", 1)
    assert [one.point for one in outcome.injected] == ["db.connect"]
    assert outcome.verdict == "clean"


def test_a_program_that_fails_by_itself_and_points_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DirtyProgram, match="ends with status 4 without any fault"):
        sweep_of(tmp_path, "raise SystemExit(4)").run()
    with pytest.raises(UnknownPoint, match=r"os\.open"):
        sweep_of(tmp_path, "pass", points="os.opne").run()


def test_what_a_fault_left_is_told_and_taken_away_before_the_next_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    text = f"import os\ntry:\n    os.open(__file__, 0)\nexcept OSError:\n    open({str(out / 'left')!r}, 'w').close()\n"
    sweep = sweep_of(tmp_path, text)
    sweep.watch = (out,)
    result = sweep.run()
    assert [one.kind for one in result.findings] == ["leak", "leak"]
    assert not list(out.iterdir())
