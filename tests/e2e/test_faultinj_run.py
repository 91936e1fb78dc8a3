"""`faultinj run`: unchanged programs and their children under faults, and a table, a place and a status at the end."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

RUN = [sys.executable, "-m", "faultinj.cli", "run"]
EXAMPLES = Path(__file__).parents[2] / "examples/faults"


def run(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """`faultinj run` with these arguments; nothing of it may stay in /dev/shm."""
    before = {name for name in os.listdir("/dev/shm") if name.startswith("faultinj.")}
    command = [*RUN, *(str(argument) for argument in arguments)]
    with subprocess.Popen(command, env=os.environ | env, stdout=-1, stderr=-1, text=True) as child:
        out, err = child.communicate(timeout=120)
    left = {name for name in os.listdir("/dev/shm") if name.startswith(f"faultinj.{child.pid}")} - before
    assert not left
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def test_options_after_the_module_are_the_modules(tmp_path: Path) -> None:
    (tmp_path / "echo_arguments.py").write_text("import sys\nprint(sys.argv[1:])\n")
    words = ["--json", "x.json", "-e", "--sweep", "-m"]
    done = run("-e", "os.open=nth(1):off", "-m", "echo_arguments", *words, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, f"{words}\n"), done.stderr
    wrong = run("--swep", "-m", "echo_arguments", PYTHONPATH=str(tmp_path))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "No such option: --swep" in wrong.stderr


def script(folder: Path, text: str) -> Path:
    """A program of this text."""
    path = folder / "app.py"
    path.write_text(text)
    return path


def row(err: str, point: str) -> list[int]:
    """What the table says of a point: reached, injected."""
    return next(
        [int(word) for word in line.split()[2:]]
        for line in err.splitlines()
        if line.split()[:2] == ["faultinj:", point]
    )


def test_the_third_open_of_the_tree_fails_with_the_genuine_error(tmp_path: Path) -> None:
    app = script(
        tmp_path,
        "import os, subprocess, sys\n"
        "def look():\n"
        "    try:\n"
        "        os.close(os.open(__file__, os.O_RDONLY))\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__, error.errno, error.strerror, error.filename == __file__, *sys.argv[1:])\n"
        "look()\n"
        "if len(sys.argv) == 1:\n"
        "    look()\n"
        "    subprocess.run([sys.executable, __file__, 'child'], check=True)\n"
        "    look()\n"
        "    sys.exit(7)\n",
    )
    report = tmp_path / "run.json"
    done = run("-e", "os.open=nth(3):return(ENOSPC)", "--json", report, "--must-inject", "--", "python", app)
    assert done.returncode == 7
    assert done.stdout == "OSError 28 No space left on device True child\n"
    assert row(done.stderr, "os.open") == [4, 1]
    assert f"at {app}:4 look: OSError: [Errno 28] No space left on device: '{app}'" in done.stderr
    told = json.loads(report.read_text())
    assert (told["faults"], told["status"], told["injected"]) == (1, 7, {"os.open": 1})


def test_a_run_that_injected_nothing_says_so_and_fails_when_it_must(tmp_path: Path) -> None:
    app = script(tmp_path, "print('fine')\n")
    done = run("-e", "os.fsync=return", "--must-inject", "--", app)
    assert (done.returncode, done.stdout) == (1, "fine\n")
    assert "a run that injected nothing proves nothing" in done.stderr


def test_an_unknown_point_is_refused_with_what_is_near(tmp_path: Path) -> None:
    app = script(tmp_path, "print('never')\n")
    done = run("-e", "os.opne=return", "--", app)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean os.open" in done.stderr
    listed = run("--list")
    assert listed.returncode == 0
    assert {"os.open", "memory.alloc", "zone.ctor"} <= {line.split()[0] for line in listed.stdout.splitlines()}


EVERYTHING = """
import faultinj, mmap, os, pickle, shutil, socket, sys, threading
import _socket

class Opens:
    opener = os.open
    genuine = open

def tried(what, *args):
    try:
        what(*args)
    except (OSError, RuntimeError, MemoryError, ImportError) as error:
        print(type(error).__name__, getattr(error, "errno", ""))

def written():
    with open(sys.argv[1], "w") as out:
        out.write("x")

connect = faultinj.point("db.connect", error=ConnectionError)
tried(connect)
tried(written)
tried(mmap.mmap, -1, 4096)
tried(threading.Thread(target=print).start)
tried(bytearray, 10_000_000)
tried(__import__, "colorsys")
one, other = socket.socketpair()
tried(one.send, b"x")
os.close(Opens().opener(__file__, os.O_RDONLY))
Opens().genuine(__file__).close()
assert shutil.rmtree.avoids_symlink_attacks
assert pickle.loads(pickle.dumps(os.open)) is os.open and pickle.loads(pickle.dumps(open)) is open
assert issubclass(type("Own", (mmap.mmap,), {}), mmap.mmap)
"""


def test_each_kind_of_place_fails_as_it_would_and_else_nothing_is_different(tmp_path: Path) -> None:
    app = script(tmp_path, EVERYTHING)
    plan = (
        "db.connect=return; file.write=nth(1):return; mmap.mmap=return; thread.start=return; socket.send=return;"
        "memory.alloc=return[size>=5000000]; import=return[zone colorsys]"
    )
    done = run("-e", plan, "--", "python", app, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "ConnectionError None",
        "OSError 28",
        "OSError 12",
        "RuntimeError ",
        "MemoryError ",
        "ImportError ",
        "ConnectionResetError 104",
    ]


def test_memory_fails_in_the_program_and_not_before_it(tmp_path: Path) -> None:
    app = script(tmp_path, "try:\n    bytes(1000)\nexcept MemoryError:\n    print('caught')\n")
    done = run("-e", "memory.alloc=nth(1):return[size>=900]", "--", app)  # loading it asks for more
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr
    assert row(done.stderr, "memory.alloc")[1] == 1


def test_other_hooks_still_run_and_witness_nests_both_ways(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.stdout.write('site\\n')\n")
    app = script(
        tmp_path, "import os, threading\nwith threading.Lock():\n    os.close(os.open(__file__, 0))\nprint('ran')\n"
    )
    witness = ["-m", "witness.cli", "run"]
    within = run("-e", "os.open=off", "--", "python", *witness, app, PYTHONPATH=str(tmp_path))
    assert within.returncode == 0, within.stderr
    assert within.stdout.endswith("site\nran\n")
    assert "lock classes" in within.stderr
    assert row(within.stderr, "os.open")[0] >= 1
    around = subprocess.run(
        [sys.executable, *witness, "-m", "faultinj.cli", "run", "-e", "os.open=nth(1):off", "--", "python", app],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert around.returncode == 0, around.stderr
    assert around.stdout.endswith("site\nran\n")
    assert row(around.stderr, "os.open") == [1, 0]


def test_the_sweep_finds_the_file_that_a_failed_write_leaves(tmp_path: Path) -> None:
    report = tmp_path / "found.json"
    folder = tmp_path / "out"
    folder.mkdir()
    kinds = ["--points", "[fo]*", "--kinds", "transient", "--ok", "3", "--watch", folder]
    done = run("--sweep", *kinds, "--json", report, "--", "python", EXAMPLES / "save.py", folder)
    assert done.returncode == 1
    found = json.loads(report.read_text())
    assert [cell["exhausted"] for cell in found["cells"]] == [True]
    assert {one["kind"] for one in found["findings"]} == {"leak"}
    places = {o["injected"][0]["point"] for o in found["outcomes"]}
    assert places == {
        "file.write",
        "file.close",
        "os.fsync",
        "os.replace",
    }
    shown = subprocess.run(
        [sys.executable, "-m", "faultinj.cli", "report", str(report)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "400"},
    )
    assert (shown.returncode, "report.tmp is left" in shown.stdout) == (1, True)
    printed = next(line for line in shown.stdout.splitlines() if "faultinj run --trial" in line)
    assert f"cd {os.getcwd()} && faultinj run" in printed  # it was swept there, and is looked at elsewhere
    words = shlex.split(printed.partition("faultinj run ")[2])
    replayed = run(*words)
    assert (replayed.returncode, "report.tmp is left" in replayed.stderr) == (1, True)


def test_the_repaired_program_is_clean(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    options = ["--points", "[fo]*", "--kinds", "transient", "--ok", "3", "--watch", folder]
    done = run("--sweep", *options, "--", "python", EXAMPLES / "saved.py", folder)
    assert done.returncode == 0, done.stderr
    assert "0 findings" in done.stderr
    assert os.listdir(folder) == ["report.txt"]


WRONG = """
import os, signal
for what in (lambda: os.kill(os.getpid(), signal.SIGSEGV), lambda: undefined):
    try:
        os.close(os.open(__file__, 0))
    except OSError:
        what()
"""


def test_a_crash_and_a_foreign_error_are_found(tmp_path: Path) -> None:
    app, report = script(tmp_path, WRONG), tmp_path / "found.json"
    done = run(
        *("--sweep", "--points", "os.open", "--kinds", "transient", "--json", report),
        *("--", "python", app),
    )
    assert done.returncode == 1
    found = [one["kind"] for one in json.loads(report.read_text())["findings"]]
    assert found == ["crash", "unclean error", "foreign error"]


def test_a_sweep_that_injected_nothing_fails(tmp_path: Path) -> None:
    done = run("--sweep", "--points", "os.fsync", "--kinds", "transient", "--", script(tmp_path, "print()\n"))
    assert done.returncode == 1
    assert "nothing was ever injected" in done.stderr


def crashes(folder: Path, program: str, *more: object) -> subprocess.CompletedProcess[str]:
    """A sweep of deaths of an example that counts in a file, each in a fresh copy of a directory."""
    start = folder / "start"
    start.mkdir()
    (start / "count.txt").write_text("41\n")
    app = EXAMPLES / program
    options = ("--sweep", "--kinds", "kill", "--scratch", start, "--check", f"python {app} --check")
    done = run(*options, *more, "--", "python", app)
    assert (start / "count.txt").read_text() == "41\n"  # it was the copies that died
    return done


def test_a_sweep_of_deaths_finds_the_count_that_is_lost_and_the_printed_command_finds_it_again(tmp_path: Path) -> None:
    report = tmp_path / "found.json"
    done = crashes(tmp_path, "counter.py", "--json", report)
    assert done.returncode == 1
    found = json.loads(report.read_text())
    assert {one["kind"] for one in found["findings"]} == {"check", "rerun failed"}
    places = {outcome["injected"][0]["point"] for outcome in found["outcomes"]}
    assert "file.write" in places  # the file is there, and empty
    assert [cell["exhausted"] for cell in found["cells"]] == [True]
    assert "the count is lost" in done.stderr
    command = found["outcomes"][0]["again"]
    assert command.startswith("faultinj run --trial kill/")
    again = run(*shlex.split(command)[2:])
    assert (again.returncode, "the count is lost" in again.stderr) == (1, True)


def test_the_repaired_count_survives_every_death(tmp_path: Path) -> None:
    done = crashes(tmp_path, "counted.py")
    assert done.returncode == 0, done.stderr
    assert "0 findings" in done.stderr
    assert row(done.stderr, "os.replace")[1] == 1


ABORTS = """
import ctypes
try:
    bytearray(10_000_000)
except MemoryError:
    ctypes.pythonapi.Py_FatalError(b"no memory to go on with")
"""


def test_an_abort_of_the_interpreter_for_want_of_memory_is_told_and_is_no_finding(tmp_path: Path) -> None:
    app = script(tmp_path, ABORTS)
    options = ("--sweep", "--kinds", "transient", "--points", "memory.alloc=nth:return[size>=5000000]")
    done = run(*options, "--", "python", app)
    assert done.returncode == 0, done.stderr
    assert "1 runs: the interpreter aborted itself" in done.stderr
    assert "0 findings" in done.stderr


# A handler that far into a function is entered with an int that the interpreter must make.
CIRCLES = f"""
import _thread
lock = _thread.allocate_lock()
def work():
{("    x = 1" + chr(10)) * 300}    with lock:
        return bytes(1000)
try:
    work()
except MemoryError:
    pass
"""


def test_memory_that_stays_away_lets_the_interpreter_raise_what_it_has_to(tmp_path: Path) -> None:
    app, report = script(tmp_path, CIRCLES), tmp_path / "found.json"
    options = ("--sweep", "--kinds", "persistent", "--points", "memory.alloc", "--timeout", "20")
    done = run(*options, "--ok", "1", "--json", report, "--", "python", app)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    assert (told["findings"], [cell["exhausted"] for cell in told["cells"]]) == ([], [True])
    assert told["injected"] >= 3
