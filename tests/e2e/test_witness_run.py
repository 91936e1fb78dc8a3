"""`witness run`: unchanged programs, their threads and their children, one graph, a report and a status at the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from witness.record import read_graph

WITNESS = [sys.executable, "-m", "witness.cli", "run"]

BANK = """
import multiprocessing, sys, threading

accounts = threading.Lock()
ledger = threading.RLock()

def transfer():
    with accounts:
        with ledger:
            pass

def audit():
    with ledger:
        with accounts:
            pass

def thread(target):
    one = threading.Thread(target=target)
    one.start()
    one.join()

def child(target):
    one = multiprocessing.get_context(sys.argv[1]).Process(target=target)
    one.start()
    one.join()

if __name__ == "__main__":
    start = thread if sys.argv[1] == "thread" else child
    start(transfer)
    start(audit if sys.argv[2] == "reversed" else transfer)
    print("done", *sys.argv[1:])
    sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    path = tmp_path / "bank.py"
    path.write_text(BANK)
    return path


def run(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """`witness run` with these arguments."""
    command = [*WITNESS, *(str(argument) for argument in arguments)]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("how", ["thread", "fork", "spawn"])
def test_an_order_reversed_by_another_thread_or_child_is_told_and_fails(bank: Path, how: str, tmp_path: Path) -> None:
    done = run("--json", tmp_path / "report.json", bank, how, "reversed", 0)
    assert done.stdout == f"done {how} reversed 0\n"
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("lock order reversal:") == 1, done.stderr
    assert "bank.py:9" in done.stderr
    assert "bank.py:14" in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["reversals"]) == 1


@pytest.mark.parametrize("how", ["thread", "fork", "spawn"])
def test_one_order_is_no_finding_and_the_programs_status_stays(bank: Path, how: str) -> None:
    done = run(bank, how, "same", 0)
    assert done.returncode == 0, done.stderr
    assert "lock order reversal" not in done.stderr
    assert run(bank, how, "reversed", 7).returncode == 7


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    pipe = tmp_path / "never_written"
    os.mkfifo(pipe)
    waits = tmp_path / "waits.py"
    waits.write_text(f"print('here', flush=True)\nopen({str(pipe)!r}).read()\n")
    with subprocess.Popen([*WITNESS, waits], stdout=subprocess.PIPE, text=True) as checker:
        assert checker.stdout is not None
        assert checker.stdout.readline() == "here\n"
        checker.kill()
        checker.wait(timeout=60)
        left = Path(f"/dev/shm/shmalloc.witness-run-{checker.pid}")
        assert left.exists()
        os.close(os.open(pipe, os.O_WRONLY))  # its program ends
        assert checker.stdout.read() == ""
    idle = tmp_path / "idle.py"
    idle.write_text("")
    assert run(idle).returncode == 0
    assert not left.exists()


def test_keep_status_leaves_a_finding_to_the_report(bank: Path) -> None:
    done = run("--keep-status", bank, "thread", "reversed", 0)
    assert done.returncode == 0
    assert "lock order reversal:" in done.stderr


def test_a_module_runs_with_its_arguments(bank: Path) -> None:
    done = run("-m", "bank", "thread", "reversed", 0, PYTHONPATH=str(bank.parent))
    assert done.returncode == 1, done.stderr
    assert done.stdout == "done thread reversed 0\n"


def test_options_after_the_module_are_the_modules(tmp_path: Path) -> None:
    (tmp_path / "echo_arguments.py").write_text("import sys\nprint(sys.argv[1:])\n")
    words = ["--help", "--json", "x.json", "-m", "--strict", "-v"]
    for first in (["--strict", "-m", "echo_arguments"], [f"--record={tmp_path}/g.json", "-mecho_arguments"]):
        done = run(*first, *words, PYTHONPATH=str(tmp_path))
        assert (done.returncode, done.stdout) == (0, f"{words}\n"), done.stderr
    script = run(tmp_path / "echo_arguments.py", *words)
    assert (script.returncode, script.stdout) == (0, f"{words}\n"), script.stderr


def test_an_option_that_is_none_is_told_before_anything_runs(bank: Path) -> None:
    done = run("-o", "report.json", bank, "thread", "reversed", 0)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option: -o" in done.stderr


def test_the_checkers_own_locks_and_process_are_not_the_programs(bank: Path, tmp_path: Path) -> None:
    record = tmp_path / "graph.json"
    done = run("--record", record, "-m", "bank", "thread", "reversed", 0, PYTHONPATH=str(bank.parent))
    graph = read_graph(record)
    assert {one.kind.partition(":")[0] for one in graph.classes} == {"foreign"}
    assert [process.name for process in graph.processes] == ["bank"]
    assert f"{len(graph.classes)} lock classes, 1 order, 1 process: 1 found" in done.stderr


def test_the_record_serves_the_other_commands(bank: Path, tmp_path: Path) -> None:
    record = tmp_path / "graph.json"
    run("--record", record, bank, "thread", "same", 0)
    command = [sys.executable, "-m", "witness.cli", "order", str(record)]
    order = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert order.index("bank.py:4") < order.index("bank.py:5")


def test_a_sitecustomize_that_was_there_still_runs(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os\nif 'WITNESS_RUN_ARENA' in os.environ:\n    print('customized')\n"
    )
    done = run(bank, "thread", "same", 0, PYTHONPATH=str(tmp_path / "site"))
    assert done.stdout == "customized\ndone thread same 0\n", done.stderr


def test_a_signal_that_ends_the_program_is_its_status(tmp_path: Path) -> None:
    path = tmp_path / "ends.py"
    path.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert run(path).returncode == 137


def test_nothing_to_run_is_a_usage_error() -> None:
    done = run()
    assert done.returncode == 2
    assert "what shall run?" in done.stderr


def test_no_arena_is_left(bank: Path) -> None:
    with subprocess.Popen([*WITNESS, str(bank), "spawn", "reversed", "0"], stderr=subprocess.DEVNULL) as child:
        assert child.wait(timeout=120) == 1
    assert not [name for name in os.listdir("/dev/shm") if name.endswith(f"witness-run-{child.pid}")]


SLEEPER = """
import queue, socket, subprocess, sys, threading, time
lock = threading.Lock()
def nap():
    with lock:
        time.sleep(0.001)
        time.sleep(0)
def ask():
    one, two = socket.socketpair()
    with lock:
        two.sendall(b"x")
        one.recv(1)
    one.close()
    two.close()
def wait():
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as child:
        with lock:
            child.wait()
def take():
    box = queue.Queue()
    box.put(1)
    with lock:
        box.get()
for one in (nap, ask, wait, take):
    one()
time.sleep(0.001)
"""


def test_calls_that_block_under_a_lock_are_told_unless_their_caller_may(tmp_path: Path) -> None:
    path, told = tmp_path / "sleeper.py", tmp_path / "graph.json"
    path.write_text(SLEEPER)

    def seen(*options: str) -> set[str]:
        run(*options, "--record", told, path)
        return {sleep["what"] for sleep in json.loads(told.read_text())["sleeps"]}

    everything = {"time.sleep", "socket.sendall", "socket.recv", "subprocess.Popen.wait", "queue.Queue.get"}
    assert seen("--blocking") == everything
    assert seen("--blocking", "--allow", "*/sleeper.py:nap") == everything - {"time.sleep"}
    assert seen("--blocking", "--allow", "*/sleeper.py") == set()
    assert seen("--blocking", "--allow", "sleeper.py") == set()
    assert seen("--blocking", "--allow", "leeper.py") == everything
    assert seen() == set()
