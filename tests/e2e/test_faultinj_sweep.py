"""`faultinj sweep` and `faultinj replay` as a person types them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faultinj.sweep.context import BEGINNING, own_objects

BIN = Path(sys.executable).parent / "faultinj"


def _run(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([BIN, *words], capture_output=True, text=True, timeout=110)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_a_sweep_of_one_scenario_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    done = _run("sweep", "zone.alloc", "--kinds", "transient", "--oracles", "", "--json", str(file))
    assert "zone.ctor" in done.stdout
    assert "0 findings" in done.stdout
    result = json.loads(file.read_text())
    assert {"trials", "injected", "findings", "never_reached", "points"} <= result.keys()
    assert result["trials"] == result["injected"] + 1
    assert result["findings"] == []
    [cell] = result["cells"]
    assert cell["exhausted"]


def test_json_goes_to_standard_output_alone() -> None:
    done = _run("sweep", "lock.mutex", "--kinds", "kill", "--oracles", "", "--json", "-", "--all")
    result = json.loads(done.stdout)
    assert len(result["outcomes"]) == result["trials"] + 1  # and the run that counted
    assert {o["result"] for o in result["outcomes"]} == {"killed", "success"}


def test_a_scenario_in_which_nothing_was_injected_fails_the_sweep() -> None:
    done = _run("sweep", "lock.mutex", "--kinds", "transient", "--oracles", "", status=1)
    assert "nothing was ever injected in lock.mutex" in done.stderr


_ROWS = """
import faultinj
from faultinj.sweep import Context, Steps

connect = faultinj.point("rows.connect", error=ConnectionError)
write = faultinj.point("rows.write", error=OSError)


@faultinj.scenario("rows.save", group="rows", text="two rows are saved")
def save(ctx: Context) -> Steps:
    yield
    try:
        connect()
    except ConnectionError:
        return
    try:
        write("first")
        write("second")
    except OSError as error:
        raise LookupError("the rows are not saved") from error


@faultinj.scenario("rows.broken", group="rows", text="another error comes of it")
def broken(ctx: Context) -> Steps:
    yield
    try:
        connect()
    except ConnectionError:
        raise LookupError("nobody answers") from None
"""


def test_points_of_a_program_s_own_are_swept_and_its_errors_are_clean(tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(_ROWS)
    words = [BIN, "sweep", "--scenarios", "rows", "rows", "--oracles", "", "--all", "--json", "-"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    points = {row["point"]: row for row in result["points"]}
    assert (points["rows.connect"]["success"], points["rows.connect"]["findings"]) == (2, 2)
    assert (points["rows.write"]["injected"], points["rows.write"]["clean_error"]) == (4, 4)
    assert {finding["detail"] for finding in result["findings"]} == {
        f"rows.broken/{kind}/1: LookupError: nobody answers" for kind in ("transient", "persistent")
    }
    assert result["empty"] == []
    file = tmp_path / "rows.toml"
    file.write_text(
        '[campaign]\nname = "rows"\nimports = ["rows"]\n[[sweep]]\nscenarios = ["rows.save"]\npoints = ["rows.w*"]\n'
    )
    done = subprocess.run(
        [BIN, "campaign", "run", file, "--engine", "processes:1", "--json"],
        capture_output=True, text=True, timeout=110, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == 2 * (2 + 1)  # each write fails once, and a run injects nothing


def test_the_scenarios_are_listed() -> None:
    done = _run("sweep", "--list")
    assert "sockbuf.stream" in done.stdout
    assert "workload.churn" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sweep", "zone.nothing"), "there is no scenario 'zone.nothing'; there are zone.alloc"),
        (("sweep", "--kinds", "sometimes"), "there is no kind of fault 'sometimes'"),
        (("sweep", "--scenarios", "no.such.module"), "cannot be imported"),
        (("replay", "zone.alloc/transient"), "names no trial"),
        (("replay", "zone.nothing/transient/1"), "there is no scenario"),
        (("replay", "zone.alloc/transient/0"), "numbers from 1"),
        (("replay", "zone.alloc/transient/1/program=zone.alloc=nth(:"), "column 16: expected the N of nth"),
        (("replay", "zone.alloc/transient/1", "--oracles", "nobody"), "there is no oracle 'nobody'"),
        (("replay", "zone.alloc/transient/1/points=zone.aloc"), "did you mean zone.alloc"),
        (("sweep", "zone.alloc", "--points", "zone.aloc"), "did you mean zone.alloc"),
    ],
)
def test_what_was_typed_wrongly_is_said(words: tuple[str, ...], says: str) -> None:
    assert says in _run(*words, status=2).stderr


def test_a_replay_tells_what_was_injected_and_where_the_program_was() -> None:
    done = _run("replay", "zone.alloc/transient/1", "--oracles", "")
    assert "verdict   clean" in done.stdout
    assert "injected  zone.alloc: return" in done.stdout
    assert "zone_alloc" in done.stdout
    outcome = json.loads(_run("replay", "zone.alloc/kill/2", "--oracles", "", "--json").stdout)
    assert outcome["result"] == "killed"


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        ('scenario = "zone.nothing"\nkind = "kill"\nn = 1', "there is no scenario 'zone.nothing'"),
        ('scenario = "zone.alloc"\nkind = "kill"\nn = 0', ":5: trial.n: 0 is no n"),
        ('scenario = "zone.alloc"\nkind = "kill"\nn = ' + "9" * 30, ":5: trial.n: "),
        ('scenario = "zone.alloc"\nkind = "pair"\nn = 1', "trial.n2: 0 is no n2 of a trial that is pair"),
        ('scenario = "zone.alloc"\nkind = "kill"\nn = 1\nn2 = 3', ":6: trial.n2: 3 is no n2"),
        ('scenario = "zone.alloc"\nkind = "transient"\nn = 1\npoints = "zone.aloc"', "did you mean zone.alloc"),
    ],
)
def test_a_damaged_regression_file_is_told_before_anything_runs(tmp_path: Path, trial: str, says: str) -> None:
    file = tmp_path / "r.toml"
    file.write_text(f'about = "x"\n[trial]\n{trial}\n')
    assert says in _run("replay", str(file), status=2).stderr


def test_a_replay_in_which_nothing_was_injected_proves_nothing() -> None:
    done = _run("replay", "zone.alloc/transient/999", "--oracles", "", status=1)
    assert "fewer than 999 places are reached" in done.stderr


def test_a_sweep_that_is_interrupted_tells_what_it_tried_and_leaves_no_arena_and_no_process(tmp_path: Path) -> None:
    file = tmp_path / "so_far.json"
    words = [BIN, "sweep", "--oracles", "", "--json", str(file)]
    sweep = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    prefix = f"{BEGINNING}{sweep.pid}-"
    try:
        import psutil

        while not own_objects(prefix):  # until the first victim has an arena; the test's own limit bounds this
            assert sweep.poll() is None
        family = psutil.Process(sweep.pid).children(recursive=True)
        os.kill(sweep.pid, signal.SIGINT)
        said, _ = sweep.communicate(timeout=60)
    finally:
        sweep.kill()
        sweep.wait()
    assert own_objects(prefix) == []
    assert sweep.returncode == 130
    assert "interrupted after" in said
    result = json.loads(file.read_text())
    assert result["trials"] == sum(cell["trials"] for cell in result["cells"])
    assert result["empty"] == []
    gone, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert gone
