"""A leak in a program of its own, found from the command line: in the running arena, a dump, after the program died."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shmalloc import Arena

SHMALLOC = (sys.executable, "-m", "shmalloc.cli")
DEADLINE_S = 60
LEAKY = """\
import sys
import shmalloc

arena = shmalloc.Arena.attach(sys.argv[1], cpu_name="leaky")
packets = arena.zone("packet")
kept = []

def receive(number):
    packet = packets.alloc()
    if number % 10 == 0:
        kept.append(packet)  # allocated on line 9

for number in range(100):
    receive(number)
label = arena.malloc(48, type="label")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def leaky(tmp_path: Path) -> Iterator[tuple[str, int, Path]]:
    """(name of a traced arena, pid of the program that leaks into it, its path); the program runs until the end."""
    name = f"test-who-{os.getpid()}-{secrets.token_hex(4)}"
    program = tmp_path / "leaky.py"
    program.write_text(LEAKY)
    with Arena.create(name, max_size="8M", trace=True) as arena:
        arena.zone("packet", size=1500)
        child = subprocess.Popen(
            [sys.executable, program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            yield name, child.pid, program
        finally:
            child.kill()
            child.wait(DEADLINE_S)
            child.stdin.close()
            child.stdout.close()
    Arena.unlink_name(name)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SHMALLOC, *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def rows(*arguments: object) -> list[dict[str, object]]:
    seen = run("who", *arguments, "--json")
    assert (seen.returncode, seen.stderr) == (0, "")
    found = json.loads(seen.stdout)
    assert isinstance(found, list)
    return found


def test_the_line_that_leaks_is_named_while_the_program_runs_and_in_a_dump(
    leaky: tuple[str, int, Path], tmp_path: Path
) -> None:
    name, pid, program = leaky
    leak, label = rows(name)
    assert (leak["process"], leak["pid"], leak["alive"]) == ("leaky", pid, True)
    assert (leak["zone"], leak["count"], leak["bytes"]) == ("packet", 10, 15000)
    assert leak["site"] == f"{program}:9 receive < {program}:14 <module>"
    assert (label["type"], label["bytes"], label["site"]) == ("label", 48, f"{program}:15 <module>")

    table = run("who", name).stdout.splitlines()
    assert table[0].split() == ["OLDEST", "COUNT", "BYTES", "HOLDER", "ZONE", "SITE"]
    assert f"leaky (pid {pid}, cpu 1)" in table[1]
    assert table[1].endswith(str(leak["site"]))

    dump = tmp_path / "dump"
    assert run("dump", name, dump).returncode == 0
    [dumped, _] = rows(dump)
    assert (dumped["site"], dumped["count"], dumped["process"], dumped["alive"]) == (leak["site"], 10, "leaky", None)
    assert len(rows(dump, "--items", "--zone", "packet")) == 10
    checked = run("check", dump)
    assert (checked.returncode, "clean" in checked.stdout) == (0, True)


def test_a_program_that_died_is_named_as_dead_with_its_line(leaky: tuple[str, int, Path]) -> None:
    name, pid, _ = leaky
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    leak, _ = rows(name)
    assert (leak["pid"], leak["alive"], leak["count"]) == (pid, False, 10)
    assert f"leaky (pid {pid}, cpu 1, dead)" in run("who", name).stdout
