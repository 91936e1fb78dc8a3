"""`stat -m` and `top` on arenas with mbufs at work: what they say against what C processes hold, live and in a dump."""

import fcntl
import json
import os
import pty
import re
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shmalloc import Arena
from shmalloc.errors import ArenaNotFound

ROOT = Path(__file__).parents[2]
CORE = ROOT / "shmalloc/core"
SHMALLOC = (sys.executable, "-m", "shmalloc.cli")
DEADLINE_S = 60.0

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("mbufs_at_work")]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mbufs_at_work.c with the core of this tree."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    assert compiler, "a C compiler is needed"
    made = tmp_path_factory.mktemp("program") / "mbufs_at_work"
    sources = [Path(__file__).with_name("mbufs_at_work.c"), *CORE.glob("*.c"), *CORE.glob("base/*.c")]
    done = subprocess.run(
        [compiler, "-O1", "-D_GNU_SOURCE=", "-fno-strict-aliasing", "-I", ROOT / "shmalloc", *sources,
         "-lpthread", "-o", made],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def arena() -> Iterator[Arena]:
    """An arena of this process, gone afterwards, and clean until then."""
    name = f"test-mbufs-{os.getpid()}-{secrets.token_hex(4)}"
    with Arena.create(name, max_size="64M") as made:
        made.zone("frame", size=640)
        yield made
        if not made.closed:
            made.reap()
            assert made.check().findings == ()
    try:
        Arena.unlink_name(name)
    except ArenaNotFound:
        return


Work = Callable[[int], subprocess.Popen[str]]


@pytest.fixture
def at_work(program: Path, arena: Arena) -> Iterator[Work]:
    """Starts a process that holds so many of each, and returns when it does; what still runs afterwards is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(count: int) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [program, arena.name, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()


def leave(worker: subprocess.Popen[str]) -> None:
    """Let it give everything back and end."""
    worker.communicate(timeout=DEADLINE_S)
    assert worker.returncode == 0


def shmalloc(*arguments: str | Path) -> str:
    """What a command prints."""
    done = subprocess.run(
        [*SHMALLOC, *arguments], capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_stat_m_shows_what_a_stopped_process_holds(arena: Arena, at_work: Work, tmp_path: Path) -> None:
    worker = at_work(37)
    worker.send_signal(signal.SIGSTOP)  # at a packet in use or between two
    lines = shmalloc("stat", arena.name, "-m").splitlines()
    figures = {
        words: [int(n.rstrip("K")) for n in counts.split("/")]
        for counts, words in (line.split(" ", 1) for line in lines)
    }
    mbufs, clusters = (
        figures["mbufs in use (current/cache/total)"],
        figures["mbuf clusters in use (current/cache/total/max)"],
    )
    packets = figures["mbuf+clusters out of packet secondary zone in use (current/cache)"]
    assert packets[0] in (37, 38)
    assert mbufs[0] == packets[0] + 37 + 2
    assert clusters[0] == packets[0]
    assert clusters[3] == 512
    assert figures["4k (page size) jumbo clusters in use (current/cache/total/max)"] == [2, 0, 2, 256]
    for line in (mbufs, clusters):
        assert line[0] + line[1] == line[2]
    value = json.loads(shmalloc("stat", arena.name, "-m", "--json"))["mbufs"]
    assert value["types"][8] == 37
    assert value["types"][14] == 2
    assert value["types"][1] in (37, 38)
    assert value["bytes_current"] == 256 * mbufs[0] + 2048 * clusters[0] + 2 * 4096
    shmalloc("stat", arena.name, "--html", tmp_path / "page.html")
    assert "mbuf clusters in use (current/cache/total/max)" in (tmp_path / "page.html").read_text()
    worker.send_signal(signal.SIGCONT)
    leave(worker)
    after = arena.mbuf_statistics()
    assert after is not None
    assert (after.mbufs.current, after.clusters.current, after.bytes_current, sum(after.types)) == (0, 0, 0, 0)


def test_a_dump_shows_the_same_kinds_of_figures(arena: Arena, at_work: Work, tmp_path: Path) -> None:
    workers = at_work(5), at_work(6)
    file = tmp_path / "arena.dump"
    arena.dump(file)
    value = json.loads(shmalloc("stat", file, "-m", "--json"))["mbufs"]
    assert value["types"][8] == 11
    assert 11 <= value["packets"]["current"] <= 13
    assert value["clusters"]["current"] == value["packets"]["current"]
    for worker in workers:
        leave(worker)


def test_what_a_killed_process_held_is_no_longer_in_use_after_its_recovery(arena: Arena, at_work: Work) -> None:
    worker, other = at_work(40), at_work(3)
    worker.kill()
    worker.communicate()
    arena.reap()
    leave(other)
    value = json.loads(shmalloc("stat", arena.name, "-m", "--json"))["mbufs"]
    assert (value["mbufs"]["current"], value["clusters"]["current"], sum(value["types"])) == (0, 0, 0)


def test_top_once_draws_the_bars_of_processes_at_work(arena: Arena, at_work: Work) -> None:
    workers = at_work(20), at_work(50)
    lines = shmalloc("top", arena.name, "--once", "-i", "0.3").splitlines()
    assert "          /0   /5   /10  /15  /20  /25  /30  /35  /40  /45  /50  /55  /60" in lines
    assert f"socknames {'X' * 60} 70" in lines
    assert "control   XXXX" in lines
    busy = [line.split() for line in lines if " mbufs " in line and " live " in line]
    assert len(busy) == 2
    assert all(row[4] != "0" and row[7] == "mbuf_packet" for row in busy), busy
    assert max(map(len, lines)) <= 80
    for worker in workers:
        leave(worker)


# ------------------------------------------------------------ on a terminal


class Screen:
    """A terminal of 120 x 40 with a program on it."""

    def __init__(self, ours: int) -> None:
        self._ours = ours
        self._drawn = ""

    def wait_for(self, text: str) -> None:
        """Read until the program has drawn this since the last call."""
        until = time.monotonic() + DEADLINE_S
        while text not in self._drawn:
            assert time.monotonic() < until, f"{text!r} was not drawn: {self._drawn[-2000:]!r}"
            if select.select([self._ours], [], [], 1)[0]:
                part = os.read(self._ours, 65536).decode("utf-8", "replace")
                self._drawn += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", part)
        self._drawn = ""

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def drain(self) -> None:
        """Read what is left, until the program has let go of the terminal."""
        try:
            while os.read(self._ours, 65536):
                continue
        except OSError:
            return


@contextmanager
def on_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Screen]]:
    """The command on a terminal of its own, ended afterwards if it has not ended itself."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("COLUMNS", None)
    env.pop("LINES", None)
    child = subprocess.Popen([*SHMALLOC, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    try:
        yield child, Screen(ours)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(DEADLINE_S)
        os.close(ours)


def test_top_on_a_terminal_lives_through_the_end_of_its_arena_and_sees_the_next(arena: Arena, at_work: Work) -> None:
    worker = at_work(20)
    before = [cpu.pid for cpu in arena.cpus()]
    with on_terminal("top", arena.name, "-i", "0.1") as (child, screen):
        screen.wait_for("mbuf_packet")
        assert [cpu.pid for cpu in arena.cpus()] == before, "it claims no slot"
        leave(worker)
        arena.unlink()
        arena.close()
        screen.wait_for("has ended")
        with Arena.create(arena.name, max_size="16M") as second:
            second.zone("successor", size=64)
            screen.wait_for("successor")
            second.unlink()
        screen.press("q")
        screen.drain()
        assert child.wait(DEADLINE_S) == 0


def test_an_interrupt_ends_top_in_order(arena: Arena) -> None:
    with on_terminal("top", arena.name) as (child, screen):
        screen.wait_for("frame")
        screen.press("\x03")
        screen.drain()
        assert child.wait(DEADLINE_S) == 0
