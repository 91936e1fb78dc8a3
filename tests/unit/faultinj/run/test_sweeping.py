"""One program swept, run by run."""

import sys
from pathlib import Path

import pytest

from faultinj.plan import UnknownPoint
from faultinj.run.sweeping import ProgramSweep
from faultinj.run.trials import DirtyProgram, Settings, Trials

OPENS = (
    "import os\nfor _ in range(2):\n    try:\n        os.close(os.open(__file__, 0))\n    except OSError:\n        {}\n"
)


def settings_of(folder: Path, text: str, **more: object) -> Settings:
    """How a program of this text is run."""
    app = folder / "app.py"
    app.write_text(text)
    return Settings(command=[sys.executable, str(app)], title="app.py", **more)  # type: ignore[arg-type]


def sweep_of(folder: Path, text: str, *points: str, **more: object) -> ProgramSweep:
    """A sweep of a program of this text."""
    return ProgramSweep(settings_of(folder, text, **more), points or ("os.open",))


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
    assert [(p.point, p.error, p.success) for p in result.points] == [("os.open", "OSError EMFILE", 4)]


def test_a_limit_is_told_from_an_end(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, OPENS.format("pass"))
    sweep.limit, sweep.kinds = 1, ("transient",)
    assert [(c.trials, c.injected, c.exhausted) for c in sweep.run().cells] == [(1, 1, False)]


def test_a_run_that_hangs_is_ended_and_found(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, OPENS.format("import threading; threading.Event().wait()"), timeout=2)
    outcome = sweep.trial("transient", 1)
    assert [one.kind for one in outcome.findings] == ["hang"]
    assert outcome.again == (
        f"faultinj run --trial transient/1 --points os.open --timeout 2 -- python {tmp_path / 'app.py'}"
    )


def test_points_that_the_program_declares_are_swept(tmp_path: Path) -> None:
    text = "import faultinj\nconnect = faultinj.point('db.connect', error=ConnectionError)\ntry:\n    connect()\n"
    sweep = sweep_of(tmp_path, text + "except ConnectionError:\n    pass\n", "db.*")
    outcome = sweep.trial("transient", 1)
    assert [one.point for one in outcome.injected] == ["db.connect"]
    assert outcome.verdict == "clean"


def test_a_program_that_fails_by_itself_and_points_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DirtyProgram, match="ends with status 4 without any fault"):
        sweep_of(tmp_path, "raise SystemExit(4)").run()
    with pytest.raises(UnknownPoint, match=r"os\.open"):
        sweep_of(tmp_path, "pass", "os.opne").run()


def test_what_a_fault_left_is_told_and_taken_away_before_the_next_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    text = f"import os\ntry:\n    os.open(__file__, 0)\nexcept OSError:\n    open({str(out / 'left')!r}, 'w').close()\n"
    sweep = sweep_of(tmp_path, text, watch=(out,))
    result = sweep.run()
    assert [one.kind for one in result.findings] == ["leak", "leak"]
    assert not list(out.iterdir())


WRITES = """
import os, sys
fd = os.open("state", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
data = b"0123456789"
while data:
    data = data[os.write(fd, data):]
os.close(fd)
"""
CHECK = "import os, sys; sys.exit(open('state').read() not in ('', '0123456789') if os.path.exists('state') else 0)"


def test_a_death_at_each_call_is_followed_by_the_check_and_by_another_run(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    sweep = sweep_of(
        tmp_path, WRITES, "os.*", scratch=tmp_path / "empty", check=(sys.executable, "-c", CHECK), timeout=30
    )
    told = []
    sweep.kinds, sweep.told = ("kill",), told.append
    result = sweep.run()
    assert [(o.trial.n, o.result, o.verdict) for o in told] == [
        (1, "killed", "clean"),
        (2, "killed", "clean"),
        (3, "killed", "clean"),
        (4, "success", "nothing injected"),
    ]
    assert [o.injected[0].point for o in told[:3]] == ["os.open", "os.write", "os.close"]
    assert {row.point: row.killed for row in result.points if row.killed} == {
        "os.open": 1,
        "os.write": 1,
        "os.close": 1,
    }
    assert not list((tmp_path / "empty").iterdir())


def test_short_writes_are_swept_and_a_half_written_file_after_a_death_is_found(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    options = {"scratch": tmp_path / "empty", "check": (sys.executable, "-c", CHECK)}
    sweep = sweep_of(tmp_path, WRITES, "os.write=nth:return(4)", **options)
    sweep.kinds = ("transient",)
    whole = sweep.run()
    assert [(c.trials, c.injected, c.findings) for c in whole.cells] == [(2, 1, 0)]
    careless = WRITES.replace("while data:\n    data = data[os.write(fd, data):]", "os.write(fd, data)")
    sweep = sweep_of(tmp_path, careless, "os.write=nth:return(4)", **options)
    sweep.kinds = ("transient",)
    assert [one.kind for one in sweep.run().findings] == ["check"]


def test_a_check_that_fails_without_a_fault_and_a_program_that_cannot_run_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bad = settings_of(tmp_path, "pass", check=(sys.executable, "-c", "raise SystemExit('never')"))
    with pytest.raises(DirtyProgram, match=r"the check ends with status 1 without any fault\. never"):
        Trials(bad).count()
    once = settings_of(tmp_path, "open('lock', 'x').close()", scratch=tmp_path / "empty")
    Trials(once).count()
    with pytest.raises(DirtyProgram, match="run where it has run before, the program ends with status 1"):
        Trials(once).count(again=True)


def test_files_that_deaths_leave_one_after_the_other_are_a_leak(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    text = "import os, tempfile\nfd, name = tempfile.mkstemp(dir='.')\nos.close(fd)\nos.replace(name, 'state')\n"
    sweep = sweep_of(tmp_path, text, "os.replace", scratch=tmp_path / "empty")
    outcome = sweep.trial("kill", 1)
    assert [one.kind for one in outcome.findings] == ["leak"]
    assert "is left, which a clean run does not leave" in outcome.findings[0].detail


def test_deaths_before_calls_that_only_look_are_tried_when_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    text = "import os\nos.stat('.')\nos.listdir('.')\nos.mkdir('made') if not os.path.isdir('made') else None\n"
    told = []
    for points in ((), ("os.stat", "os.mkdir")):
        sweep = sweep_of(tmp_path, text, *(points or ("*",)), scratch=tmp_path / "empty")
        sweep.kinds, sweep.told = ("kill",), told.append
        sweep.run()
    where = [o.injected[0].point if o.injected else None for o in told]
    assert where == ["os.mkdir", None, "os.stat", "os.stat", "os.mkdir", None]
