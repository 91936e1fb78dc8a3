"""The functions of the standard library with points before them, and the very same ones again afterwards."""

import builtins
import errno
import io
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import faultinj
from faultinj.run import wrap
from faultinj.run.places import PLACES, declare_places


@contextmanager
def in_place(plan: str, *more: str) -> Iterator[faultinj.Guard]:
    """The points that a plan names, and more, in place and the plan set."""
    faultinj.use(faultinj.Block.anonymous())
    points = declare_places()
    names = {setting.partition("=")[0].strip() for setting in plan.split(";")} | set(more)
    interception = wrap.put_in_place(points[name] for name in names)
    try:
        with faultinj.inject(plan) as guard:
            yield guard
    finally:
        interception.restore()


def standing() -> dict[str, object]:
    """Every object that a place replaces, and whether it is its owner's own."""
    found: dict[str, object] = {"builtins.open": builtins.open, "io.open": io.open, "meta_path": tuple(sys.meta_path)}
    for place in PLACES:
        for target in place.targets:
            module, _, attribute = target.partition(":")
            owner: object = sys.modules.get(module)
            *path, name = attribute.split(".")
            for part in path:
                owner = getattr(owner, part)
            if owner is not None:
                found[target] = vars(owner).get(name, "inherited")
    able = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)
    return found | {f"able {n}": frozenset(one) for n, one in enumerate(able)}


def test_everything_is_the_same_object_as_before() -> None:
    faultinj.use(faultinj.Block.anonymous())
    before = standing()
    interception = wrap.put_in_place(declare_places().values())
    within = standing()
    assert {name for name in before if name.startswith("os:") and within[name] is before[name]} == set()
    assert builtins.open is io.open is not before["builtins.open"]
    interception.restore()
    after = standing()
    assert {name for name in before if after[name] is not before[name] and after[name] != before[name]} == set()
    assert all(after[name] is before[name] for name in before if ":" in name or "open" in name)
    interception.restore()


def test_what_somebody_else_put_in_place_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(*_: object) -> None: ...

    faultinj.use(faultinj.Block.anonymous())
    genuine = os.fsync
    interception = wrap.put_in_place([declare_places()["os.fsync"]])
    monkeypatch.setattr(os, "fsync", theirs)
    interception.restore()
    assert os.fsync is theirs
    monkeypatch.undo()
    os.fsync = genuine  # monkeypatch has put back what it found


def test_a_close_that_fails_has_closed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with in_place("file.close=nth(1):return; os.close=nth(1):return(ENOSPC)") as guard:
        out = open(path, "w")  # noqa: SIM115
        fd = out.fileno()
        out.write("kept")
        with pytest.raises(OSError, match="Input/output error"):
            out.close()
        assert out.closed
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        fd = os.open(path, os.O_RDONLY)
        with pytest.raises(OSError, match="No space left"):
            os.close(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        assert guard.fired == 2
    assert path.read_text() == "kept"


def test_layers_above_a_short_write_or_read_go_on_and_lose_nothing(tmp_path: Path) -> None:
    path, data = tmp_path / "f", bytes(range(256)) * 200
    with in_place("file.write=return(1000); file.read=return(7)") as guard:
        with open(path, "wb") as out:
            assert out.write(data) == len(data)
        assert guard.fired == 52  # of 51,200 bytes a thousand at a time
        with open(path, "rb") as given:
            assert given.read() == data
        with open(path, "rb", buffering=0) as raw:
            assert raw.write is not None
            assert raw.read(100) == data[:7]
            assert raw.readinto(bytearray(100)) == 7
        assert path.read_bytes() == data


def test_descriptors_move_what_they_are_let_and_write_at_least_a_byte(tmp_path: Path) -> None:
    with in_place("os.write=nth(1):return(3)->nth(1):return(0); os.read=nth(1):return(2)->nth(1):return(0)"):
        fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
        assert os.write(fd, b"0123456789") == 3
        assert os.write(fd, bytearray(b"3456789")) == 1
        assert os.pwrite(fd, b"456789", 4) == 6
        assert os.pread(fd, 10, 0) == b"01"
        assert os.read(fd, 10) == b""
        assert os.pread(fd, 10, 0) == b"0123456789"
        os.close(fd)


def test_temporary_files_reach_the_points_below_them() -> None:
    with in_place("os.open=nth(2):return(ENOSPC); file.write=return; os.mkdir=return"):
        fd, name = tempfile.mkstemp()
        os.close(fd)
        with pytest.raises(OSError, match="No space left"):
            tempfile.mkstemp()
        with pytest.raises(OSError, match="No space left"):
            tempfile.mkdtemp()
        with open(name, "w") as out:
            out.write("x")
            with pytest.raises(OSError, match="No space left"):
                out.flush()
            with pytest.raises(OSError, match="No space left"):
                out.close()
    os.unlink(name)


def test_sockets_fail_as_they_do() -> None:
    one, other = socket.socketpair()
    plan = "socket.connect=return; socket.getaddrinfo=return; socket.recv=return(2); socket.send=nth(1):return(3)"
    with in_place(plan, "socket.pair"), one, other, socket.socket() as third:
        assert third.connect_ex(("127.0.0.1", 9)) == errno.ECONNREFUSED
        with pytest.raises(ConnectionRefusedError):
            third.connect(("127.0.0.1", 9))
        with pytest.raises(socket.gaierror) as unknown:
            socket.getaddrinfo("localhost", 80)
        assert unknown.value.errno == socket.EAI_AGAIN
        assert one.send(b"hello") == 3
        into = bytearray(10)
        assert (other.recv_into(into), bytes(into[:2]), other.recv(9)) == (2, b"he", b"l")


def test_processes_threads_and_mappings_that_cannot_be_made() -> None:
    with in_place("process.spawn=return; thread.start=return; mmap.mmap=return; os.pipe=off"):
        with pytest.raises(BlockingIOError):
            subprocess.run([sys.executable, "-c", ""], check=True)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threading.Thread(target=print).start()
        with pytest.raises(OSError, match="Cannot allocate memory"):
            mmap.mmap(-1, 4096)
    assert threading.active_count() == len(threading.enumerate())


CALLS: dict[str, Callable[[str], object]] = {
    "os.unlink": lambda path: os.unlink(path),
    "os.listdir": lambda path: os.scandir(path),
    "os.mkdir": lambda path: os.mkdir(path),
    "os.truncate": lambda path: os.truncate(path, 0),
    "os.chmod": lambda path: os.chmod(path, 0),
    "os.stat": lambda path: os.lstat(path),
    "file.open": lambda path: open(path),  # noqa: SIM115
    "os.link": lambda path: os.link(path, "/nowhere/b"),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_error_is_the_one_of_the_call(name: str) -> None:
    with pytest.raises(FileNotFoundError) as genuine:
        CALLS[name]("/nowhere/a")
    with in_place(f"{name}=return(ENOENT)"), pytest.raises(FileNotFoundError) as injected:
        CALLS[name]("/nowhere/a")
    assert (str(genuine.value), genuine.value.filename) == (str(injected.value), injected.value.filename)
