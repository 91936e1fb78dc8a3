"""`faultinj points` and `faultinj ctl` as commands, on a program that runs meanwhile."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

COMMAND = str(Path(sys.executable).with_name("faultinj"))
PROGRAM = """
import sys, faultinj, shmalloc
with shmalloc.Arena.create(sys.argv[1]) as arena:
    faultinj.arm(arena)
    point, zone = faultinj.point("app.turn"), arena.zone("frame", size=64)
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            point("turn", 3)
            zone.alloc(shmalloc.M_NOWAIT).free()
            print("ok", flush=True)
        except Exception as error:
            print(type(error).__name__, flush=True)
    arena.unlink()
"""


class Running:
    """The program, which takes a turn for every line that it is sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._stream(self.process.stdout).readline() == "ready\n"

    def _stream(self, stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream

    def begin(self) -> None:
        self._stream(self.process.stdin).write("\n")

    def end(self) -> str:
        return self._stream(self.process.stdout).readline().strip()

    def turn(self) -> str:
        self.begin()
        return self.end()


def faultinj(*words: str, status: int = 0) -> str:
    done = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def told(*words: str) -> Any:
    return json.loads(faultinj(*words, "--json"))


@pytest.fixture
def running(arena_name: str) -> Iterator[Running]:
    program = Running(arena_name)
    yield program
    if program.process.poll() is None:
        program.process.communicate("", timeout=60)


def test_faults_of_a_running_program_are_set_listed_and_cleared(running: Running) -> None:
    assert running.turn() == "ok"
    set_ = faultinj("ctl", running.name, "set", "zone.alloc=nth(2):return(SM_LIMIT)", "app.*=nth(3):raise(KeyError)")
    assert set_.splitlines() == ["zone.alloc=nth(2):return(SM_LIMIT)", "app.turn=nth(3):raise(KeyError)"]
    assert [running.turn() for _ in range(4)] == ["ok", "ZoneExhausted", "KeyError", "ok"]
    rows = {row["point"]: row for row in told("ctl", str(running.process.pid))}  # found by its pid as well
    assert rows["zone.alloc"]["program"] == "nth(2):return(SM_LIMIT)"
    assert rows["zone.alloc"]["terms"] == [{"seen": 3, "fired": 1}]
    assert (rows["app.turn"]["reached"], rows["app.turn"]["injected"]) == (5, 1)
    log = told("ctl", running.name, "log")
    assert [(row["point"], row["action"], row["subject"]) for row in log] == [
        ("zone.alloc", "return", "frame"),
        ("app.turn", "raise", "turn"),
    ]
    assert told("ctl", running.name, "log", "app.*") == log[1:]
    assert "zone.alloc  return  frame" in faultinj("ctl", running.name, "log")
    assert told("ctl", running.name, "clear", "zone.*") == ["zone.alloc"]
    assert told("ctl", running.name, "clear") == ["app.turn"]
    assert "128 programs can still be set" in faultinj("ctl", running.name)
    assert running.turn() == "ok"


def test_a_paused_program_is_listed_and_resumed(running: Running) -> None:
    faultinj("ctl", running.name, "set", "app.turn=1*pause")
    running.begin()
    while not (rows := told("ctl", running.name, "pause-list")):
        assert running.process.poll() is None
    assert (rows[0]["pid"], rows[0]["point"]) == (running.process.pid, "app.turn")
    assert "app.turn" in faultinj("ctl", running.name, "pause-list")
    assert told("ctl", running.name, "resume", "app.*") == ["app.turn"]
    assert running.end() == "ok"
    assert "no thread was paused" in faultinj("ctl", running.name, "resume")


def test_mistakes_are_told_with_what_to_do(running: Running) -> None:
    assert "did you mean zone.alloc" in faultinj("ctl", running.name, "set", "zone.allc=off", status=2)
    shown = faultinj("ctl", running.name, "set", "zone.alloc=nth(:return", status=2).splitlines()
    assert shown[1:3] == ["  zone.alloc=nth(:return", "                 ^"]
    assert "expected one of list, set" in faultinj("ctl", running.name, "lst", status=2)
    assert "expected POINT=PROGRAM" in faultinj("ctl", running.name, "set", status=2)
    assert "there is no arena" in faultinj("ctl", "nobody", status=1)
    assert "no point is called" in faultinj("points", "zne*", status=2)


def test_points_are_listed_with_their_errors_and_the_grammar_is_shown() -> None:
    rows = {row["name"]: row for row in told("points")}
    assert rows["zone.ctor"] == {"name": "zone.ctor", "error": "SM_CTOR_FAILED", "text": "the ctor refuses an item"}
    assert rows["crash.step"]["error"] == ""
    assert faultinj("points", "queue.*").splitlines()[0].split() == ["POINT", "ERROR", "A", "FAULT", "MEANS"]
    assert "nth(3):" in faultinj("points", "--grammar")
    assert faultinj("--version").startswith("faultinj ")
