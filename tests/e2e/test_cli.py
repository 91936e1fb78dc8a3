"""The command line as a process of its own: pipes, terminals, interrupts, and an arena that others are using."""

import json
import os
import pty
import re
import secrets
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from shmalloc import Arena
from shmalloc.errors import ArenaNotFound

SHMALLOC = (sys.executable, "-m", "shmalloc.cli")
DEADLINE_S = 60
CHURN = """
import sys, shmalloc
arena = shmalloc.Arena.attach(sys.argv[1], cpu_name="churn")
zone = arena.zone("frame", size=256)
print("ready", flush=True)
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    zone.free_many(zone.alloc_many(100))
"""


@pytest.fixture
def arena() -> Iterator[Arena]:
    """An arena with one zone and one item in use, gone after the test."""
    name = f"test-e2e-{os.getpid()}-{secrets.token_hex(4)}"
    with Arena.create(name, max_size="8M") as made:
        item = made.zone("frame", size=256).alloc()
        yield made
        assert made.closed or not item.freed
    try:
        Arena.unlink_name(name)
    except ArenaNotFound:
        return


@pytest.fixture
def churner(arena: Arena) -> Iterator[subprocess.Popen[str]]:
    """Another process that allocates and frees all the time."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHURN, arena.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.stdin.close()
        try:
            child.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(DEADLINE_S)
            raise
        finally:
            child.stdout.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SHMALLOC, *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def on_terminal(columns: int, *arguments: str) -> list[str]:
    """What a terminal of this width would show, without its colours."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm"}
    env.pop("COLUMNS", None)
    child = subprocess.Popen([*SHMALLOC, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen, until = b"", time.monotonic() + DEADLINE_S
    try:
        while time.monotonic() < until:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # a terminal whose last user has left
                break
            if not part:
                break
            seen += part
        assert child.wait(DEADLINE_S) in (0, 1, 2)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(DEADLINE_S)
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen.decode()).replace("\r", "").splitlines()


def test_the_figures_of_a_working_process_grow_from_report_to_report(
    arena: Arena, churner: subprocess.Popen[str]
) -> None:
    seen = run("stat", arena.name, "-z", "-t", "--json", "0.2", "3")
    assert (seen.returncode, seen.stderr) == (0, "")
    reports = [json.loads(line) for line in seen.stdout.splitlines()]
    assert len(reports) == 3
    for report in reports[1:]:
        [zone] = [zone for zone in report["zones"] if zone["name"] == "frame"]
        assert zone["allocs"] > 0, "the churner worked in this interval"
        mine = {cpu["id"]: cpu for cpu in report["cpus"]}
        busy = {cache["cpu"] for cache in report["cpu_zones"] if cache["allocs"] > 0}
        assert [mine[number]["pid"] for number in busy] == [churner.pid]


def test_check_stops_a_working_process_finds_nothing_and_lets_it_go_on(
    arena: Arena, churner: subprocess.Popen[str]
) -> None:
    for _ in range(5):
        seen = run("check", arena.name, "--json")
        assert seen.returncode == 0, seen.stdout + seen.stderr
        value = json.loads(seen.stdout)
        assert (value["findings"], value["live_cpus"], value["dead_cpus"]) == ([], 2, 0)
        assert value["world_stopped_ns"] > 0
    before = arena.zone("frame").statistics().allocs
    run("ls")
    assert churner.poll() is None
    assert arena.zone("frame").statistics().allocs > before


def test_check_sees_a_killed_process(arena: Arena, churner: subprocess.Popen[str]) -> None:
    churner.kill()
    churner.wait(DEADLINE_S)
    value = json.loads(run("check", arena.name, "--json", "--read-only").stdout)
    assert value["dead_cpus"] == 1


def test_gc_in_a_process_of_its_own_keeps_the_living_and_sweeps_the_dead(
    arena: Arena, churner: subprocess.Popen[str]
) -> None:
    kept = json.loads(run("gc", "--json", arena.name).stdout)
    assert kept == [{"name": arena.name, "action": "kept", "reason": "2 CPUs attached", "recovery": None}]
    churner.kill()
    churner.wait(DEADLINE_S)
    assert json.loads(run("gc", "--json", arena.name).stdout)[0]["action"] == "reaped"
    assert json.loads(run("gc", "--json", arena.name).stdout)[0]["action"] == "kept", "this process still lives"
    arena.close()
    assert json.loads(run("gc", "--json", arena.name).stdout)[0]["action"] == "removed"
    assert run("stat", arena.name).returncode == 2


def test_figures_need_no_callback_of_the_program_that_made_the_zone(
    arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def ctor(mem, size, arg, how):\n    mem[0] = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    item = arena.zone("picky", size=64, ctor="only_here:ctor").alloc()
    for command in (("stat", "-z"), ("stat", "-t"), ("check",)):
        seen = run(command[0], arena.name, *command[1:])
        assert (seen.returncode, seen.stderr) == (0, "")
        assert ("picky" if command[0] == "stat" else "clean") in seen.stdout
    item.free()


def test_a_pipe_gets_one_line_a_row_whatever_the_width(arena: Arena) -> None:
    arena.zone("a-name-of-thirty-one-characters", size=64)
    env = {**os.environ, "COLUMNS": "20"}
    out = subprocess.run(
        [*SHMALLOC, "stat", arena.name], capture_output=True, text=True, timeout=DEADLINE_S, check=True, env=env
    ).stdout
    rows = [line.split() for line in out.splitlines()]
    assert {len(row) for row in rows} == {8}
    assert "a-name-of-thirty-one-characters" in [row[0] for row in rows]
    assert "\x1b" not in out


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "command", ["stat -z -t -m -M", "top --once -i 0.05", "check", "sysctl -d", "ls", "gc --dry-run"]
)
def test_nothing_is_wider_than_the_terminal(arena: Arena, columns: int, command: str) -> None:
    item = arena.malloc(100, type="a-type-with-a-long-name")
    name, *options = command.split()
    arguments = [name, *([] if name == "ls" else [arena.name]), *options]
    lines = on_terminal(columns, *arguments)
    assert lines
    assert max(map(len, lines)) <= columns, "\n".join(lines)
    assert not any("Traceback" in line for line in lines)
    item.free()


def test_an_interrupt_ends_an_endless_stat_in_order(arena: Arena) -> None:
    child = subprocess.Popen(
        [*SHMALLOC, "stat", arena.name, "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        first = child.stdout.readline()
        while not child.stdout.readline().startswith("frame"):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=DEADLINE_S)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(DEADLINE_S)
    assert first.startswith("# ")
    assert (child.returncode, errors) == (0, "")


def test_a_reader_that_leaves_early_is_no_error(arena: Arena) -> None:
    child = subprocess.Popen(
        [*SHMALLOC, "stat", arena.name, "0.01"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        assert child.stdout.readline().startswith("# ")
        child.stdout.close()
        assert child.wait(DEADLINE_S) == 0
        assert child.stderr.read() == ""
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(DEADLINE_S)
        child.stderr.close()


def test_an_error_is_one_line_without_traceback() -> None:
    seen = run("stat", "no-such-arena")
    assert (seen.returncode, seen.stdout) == (2, "")
    assert re.fullmatch(r"shmalloc: there is no arena 'no-such-arena'.*\n", seen.stderr)


def test_locks_shows_who_holds_and_who_died(arena: Arena) -> None:
    arena.mutex("ledger").acquire()
    arena.semaphore("disks", 4)
    guest = Arena.attach(arena.name)
    guest.rwlock("index").acquire_write()
    found = subprocess.run([*SHMALLOC, "locks", arena.name, "--json"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    records = {record["name"]: record for record in json.loads(found.stdout)}
    assert {name: record["kind"] for name, record in records.items()} == {
        "ledger": "mutex",
        "disks": "semaphore",
        "index": "rwlock",
    }
    assert records["ledger"]["owner"] == arena.cpu_id
    guest.close()
    shown = subprocess.run([*SHMALLOC, "locks", arena.name], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    rows = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert rows["index"].endswith("owner died")
    assert rows["ledger"].endswith("held")
    assert rows["disks"].endswith("free")
    arena.mutex("ledger").release()
