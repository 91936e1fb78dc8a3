"""A dump made while processes work is read by every command that reads an arena; what is no dump is refused."""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shmalloc import Arena

LIMIT_S = 60


def shmalloc(*arguments: object, prefix: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """One run of the command line, in a process of its own."""
    command = [*prefix, sys.executable, "-m", "shmalloc.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


@contextmanager
def labour(name: str, workers: int) -> Iterator[None]:
    """Children that allocate, lock and free without a pause until the block ends."""
    pids = []
    ready, said = os.pipe()
    for _ in range(workers):
        pid = os.fork()
        if pid == 0:
            try:
                mine = Arena.attach(name, cpu_name="labour")
                zone, ledger, seen = mine.zone("frame"), mine.mutex("ledger"), False
                while True:
                    items = zone.alloc_many(20)
                    with ledger:
                        items[0].write(b"busy")
                    zone.free_many(items)
                    if not seen:
                        os.write(said, b"1")
                        seen = True
            finally:
                os._exit(1)
        pids.append(pid)
    os.close(said)
    try:
        for _ in pids:
            assert os.read(ready, 1) == b"1"
        yield
    finally:
        os.close(ready)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def dump(arena: Arena, tmp_path: Path) -> Path:
    """A dump of an arena at work, in which a process has died and was recovered, and one mutex lost its holder."""
    arena.zone("frame", size=512)
    arena.mutex("ledger")
    with labour(arena.name, 1):
        pass
    arena.reap()
    with arena.mutex("ledger").repairing(lambda death: None):  # it may have been killed in the middle
        pass
    file = tmp_path / "arena.dump"
    with labour(arena.name, 2):
        made = shmalloc("dump", arena.name, file)
    assert (made.returncode, made.stderr) == (0, "")
    arena.reap()
    return file


def test_every_command_reads_the_dump(dump: Path) -> None:
    wanted = {
        ("ls",): (0, " dump "),
        ("ls", "-r"): (0, "labour"),
        ("check",): (0, "clean"),
        ("stat", "-z"): (0, "frame"),
        ("stat", "-t"): (0, "labour"),
        ("stat", "-m"): (0, "no mbufs"),
        ("stat", "-M"): (0, ""),
        ("top", "--once", "-i", "0.05"): (0, "labour"),
        ("locks",): (None, "ledger"),  # 1 when a holder's death, before the dump, is still unrepaired in it
        ("sysctl",): (0, "vm.uma.wss_ms"),
    }
    for (command, *options), (status, word) in wanted.items():
        seen = shmalloc(command, dump, *options)
        assert seen.returncode == status or (status is None and seen.returncode in (0, 1)), (command, seen)
        assert word in seen.stdout, (command, options, seen)
        assert seen.stderr == ""


def test_every_command_gives_the_dump_as_json(dump: Path) -> None:
    [info] = json.loads(shmalloc("ls", dump, "--json").stdout)
    assert (info["state"], info["name"], info["problem"]) == ("dump", str(dump), "")
    assert info["dead_cpus"] >= 3, "every CPU of a dump counts as dead"
    [recovery] = info["recoveries"]
    assert [cpu["name"] for cpu in recovery["cpus"]] == ["labour"]
    check = json.loads(shmalloc("check", dump, "--json").stdout)
    assert check["findings"] == []
    assert check["items"] > 0
    stat = json.loads(shmalloc("stat", dump, "-z", "-t", "-m", "-M", "--json").stdout)
    assert [zone["name"] for zone in stat["zones"]] == ["frame"]
    assert {"cpus", "cpu_zones", "mbufs", "types"} <= stat.keys()
    assert [lock["name"] for lock in json.loads(shmalloc("locks", dump, "--json").stdout)] == ["ledger"]
    assert json.loads(shmalloc("sysctl", dump, "--json").stdout)


def _damaged(dump: Path, how: str) -> None:
    if how == "truncated":
        os.truncate(dump, dump.stat().st_size // 2)
    elif how == "headless":
        os.truncate(dump, 10)
    elif how == "foreign":
        dump.write_bytes(b"\x7fELF" + bytes(8192))
    elif how == "empty":
        dump.write_bytes(b"")
    else:
        with dump.open("r+b") as file:
            file.seek(8)
            file.write(struct.pack("=I", 99))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "is shorter than its header says"),
        ("headless", ""),
        ("foreign", "is not an arena"),
        ("empty", ""),
        ("too new", "layout version 99"),
    ],
)
@pytest.mark.parametrize("command", ["ls", "check", "stat", "locks", "sysctl"])
def test_what_is_no_dump_is_a_clear_error(arena: Arena, tmp_path: Path, how: str, says: str, command: str) -> None:
    file = tmp_path / "arena.dump"
    arena.dump(file)
    _damaged(file, how)
    for options in ((), ("--json",)):
        seen = shmalloc(command, file, *options)
        told = seen.stdout + seen.stderr
        assert seen.returncode in (1, 2), seen
        assert "Traceback" not in told
        assert str(file) in told
        assert says in told


@pytest.mark.parametrize("command", ["ls", "check", "stat", "locks", "sysctl"])
def test_a_directory_a_pipe_and_nothing_are_clear_errors(tmp_path: Path, command: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, says in ((tmp_path, "directory"), (pipe, "no regular file"), (tmp_path / "none", "No such file")):
        seen = shmalloc(command, path)
        assert (seen.returncode, seen.stdout) == (2, "")
        assert says in seen.stderr
        assert str(path) in seen.stderr
        assert seen.stderr.count("\n") == 1


def test_a_dump_never_overwrites_and_leaves_no_half_file(arena: Arena, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"mine")
    for path, says in (
        (there, "exists already"),
        (tmp_path, "directory"),
        (tmp_path / "no" / "file", "there is no directory"),
    ):
        seen = shmalloc("dump", arena.name, path)
        assert (seen.returncode, seen.stdout) == (2, ""), seen
        assert says in seen.stderr
        assert str(path) in seen.stderr
    assert there.read_bytes() == b"mine"


def test_a_full_disk_is_named_and_no_file_is_left(arena: Arena, tmp_path: Path) -> None:
    zone = arena.zone("frame", size=4096)
    items = zone.alloc_many(200)
    for item in items:
        item.write(b"x" * 4096)
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=300k full "$1" || exit 77; shift; dir=$1; shift; '
        '"$@"; status=$?; ls -A "$dir"; exit $status'
    )
    space = ("unshare", "--mount", "sh", "-c", script, "sh", str(disk), str(disk))
    seen = shmalloc("dump", arena.name, disk / "arena.dump", prefix=space)
    if seen.returncode in (1, 77) and ("unshare" in seen.stderr or "mount" in seen.stderr):
        pytest.skip("this user may not mount a small file system")
    assert (seen.returncode, seen.stdout) == (1, ""), seen
    assert "is full" in seen.stderr
    assert str(disk) in seen.stderr
    zone.free_many(items)


def test_a_limit_on_file_sizes_is_named_and_no_file_is_left(arena: Arena, tmp_path: Path) -> None:
    seen = shmalloc("dump", arena.name, tmp_path / "d", prefix=("prlimit", "--fsize=100000"))
    assert (seen.returncode, seen.stdout) == (1, ""), seen
    assert "Traceback" not in seen.stderr
    assert str(tmp_path / "d") in seen.stderr
    assert not (tmp_path / "d").exists()
