"""Points of Python's own calls in tests: the test's calls reach them, pytest's do not, and nothing is left behind."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ["pytester"]

HEAD = """
import builtins, io, os, socket, subprocess, sys, threading
from os import open as bound_before
import pytest

def standing():
    return (builtins.open, io.open, os.open, os.replace, os.unlink, socket.socket.connect, socket.socket.__init__,
            vars(socket.socket).get("send"), subprocess._fork_exec, threading._start_new_thread, tuple(sys.meta_path))

BEFORE = standing()
"""


def run(pytester: pytest.Pytester, body: str, *words: str) -> pytest.RunResult:
    """A test session of its own over one file."""
    pytester.makepyfile(test_it=HEAD + body)
    base = ("-p", "no:cacheprovider", "--timeout", "60")
    return pytester.run(sys.executable, "-m", "pytest", *base, *words, "test_it.py", timeout=110)


def test_each_call_of_a_test_fails_once_and_afterwards_all_is_as_before(pytester: pytest.Pytester) -> None:
    body = """
seen = []

@pytest.mark.faults("os.open", "os.replace", "file.write", "file.close", "socket.*", kinds="transient", raises=OSError)
def test_saves(tmp_path, capsys):
    assert os.open is not BEFORE[2] and builtins.open is not BEFORE[0]
    bound_before(str(tmp_path), os.O_RDONLY)  # taken hold of before: it is not changed
    seen.append(0)
    with open(tmp_path / "a", "w") as out:
        out.write("text")
    os.close(os.open(tmp_path / "a", os.O_RDONLY))
    os.replace(tmp_path / "a", tmp_path / "b")
    print("said")
    assert capsys.readouterr().out == "said\\n"
    one, other = socket.socketpair()
    one.send(b"x")
    seen[-1] = 1

def test_after():
    # file.write, file.close, os.open, os.replace, socket.pair, socket.send: each failed once
    assert seen == [0] * 6 + [1]
    now = standing()
    assert all(one is other for one, other in zip(now[:-1], BEFORE[:-1])) and now[-1] == BEFORE[-1]
    assert "send" not in vars(socket.socket)
"""
    ended = run(pytester, body)
    ended.assert_outcomes(passed=2)
    ended.stdout.fnmatch_lines(["faults: 1 tests swept in 7 runs, 6 faults injected"])


def test_what_pytest_does_meanwhile_and_threads_that_ran_before_reach_nothing(pytester: pytest.Pytester) -> None:
    body = """
asked, answered = threading.Event(), threading.Event()

def serve():
    while asked.wait():
        asked.clear()
        os.close(os.open("/dev/null", os.O_RDONLY))
        answered.set()

threading.Thread(target=serve, daemon=True).start()

@pytest.mark.faults("os.open", "os.mkdir", "file.open", "os.stat", "os.listdir", "os.unlink", kinds="persistent")
def test_quiet(request, monkeypatch, capfd):
    folder = request.getfixturevalue("tmp_path")  # pytest makes it, within the test's call
    monkeypatch.chdir(folder)
    asked.set()
    assert answered.wait(30)
    pid = os.fork()
    if pid == 0:  # another process than the test's
        os.close(os.open("/dev/null", os.O_RDONLY))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    with pytest.raises(OSError):
        open("/nowhere/at/all")

@pytest.mark.faults("os.open=nth:return(ENOSPC)", kinds="transient")
def test_a_call_handed_to_pytest_is_the_tests():
    try:
        pytest.raises(FileNotFoundError, os.open, "/nowhere/at/all", 0)
    except OSError as error:
        assert error.errno == 28
        raise

def own(results):
    try:
        results.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        results.append(error.errno)

@pytest.mark.faults("os.open", kinds="transient")
def test_threads_of_the_test_are_its_own():
    results = []
    thread = threading.Thread(target=own, args=(results,))
    thread.start()
    thread.join()
    assert len(results) == 1
"""
    ended = run(pytester, body)
    ended.assert_outcomes(passed=3)
    # of the first test, one open() alone counts: one run with a fault and one without; likewise the others
    ended.stdout.fnmatch_lines(["faults: 3 tests swept in 6 runs, 3 faults injected"])


def test_a_fault_that_breaks_the_test_is_found_with_its_place(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.faults("os.unlink", "file.*", kinds="transient", raises=OSError)
def test_lost(tmp_path):
    path = tmp_path / "lock"
    with open(path, "w") as out:
        out.write("x")
    try:
        os.unlink(path)
    except PermissionError as error:
        raise KeyError(path) from None
"""
    ended = run(pytester, body)
    ended.assert_outcomes(failed=1)
    out = ended.stdout.str()
    assert "transient n = 4, injected at os.unlink (" in out
    assert "KeyError" in out
    run(pytester, body, "--faults-n", "transient:4").assert_outcomes(failed=1)


def test_the_fixture_holds_a_plan_over_pythons_points(pytester: pytest.Pytester) -> None:
    body = """
def test_held(faults, tmp_path):
    with faults("os.open=nth(2):return(ENOSPC); file.write=return(3)") as guard:
        os.close(os.open(tmp_path, os.O_RDONLY))
        with pytest.raises(OSError, match="No space left"):
            os.open(tmp_path, os.O_RDONLY)
        with open(tmp_path / "a", "wb") as out:
            out.write(b"0123456789")
    assert guard.fired == 5
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert standing()[:-1] == BEFORE[:-1]
    with pytest.raises(Exception, match="did you mean os.open"), faults("os.opne=return"):
        pass
    assert standing()[:-1] == BEFORE[:-1]
"""
    run(pytester, body).assert_outcomes(passed=1)


def test_memory_of_the_test_alone_fails(pytester: pytest.Pytester) -> None:
    body = """
def work():
    return [bytes(1000), {"a": object()}]

@pytest.mark.faults("memory.alloc", kinds="transient", limit=300)
def test_memory():
    work()

@pytest.mark.faults("memory.alloc=nth:return[size>=100000]")
def test_large():
    with pytest.raises(ValueError):
        int("x")
    try:
        bytearray(200_000)
    except MemoryError as error:
        raise
"""
    ended = run(pytester, body)
    ended.assert_outcomes(passed=2)


def test_a_run_that_waits_for_ever_under_a_fault_is_let_go_and_found(pytester: pytest.Pytester) -> None:
    body = """
import secrets
import shmalloc
from shmalloc import M_WAITOK

@pytest.fixture
def arena():
    with shmalloc.Arena.create("patience-" + secrets.token_hex(6), max_size="16M") as made:
        try:
            yield made
        finally:
            made.unlink()

@pytest.mark.faults("zone.limit", limit_s=0.3)
def test_waits(arena):
    arena.zone("z", size=64).alloc(M_WAITOK).free()
"""
    ended = run(pytester, body, "--faults-kinds", "transient,persistent")
    ended.assert_outcomes(failed=1)
    out = ended.stdout.str()
    assert "persistent n = 1, injected at zone.limit (z)" in out
    assert "did not end in 0.3 s under a persistent fault; it was here:" in out
    assert 'arena.zone("z", size=64).alloc(M_WAITOK).free()' in out
    assert "transient n" not in out
    run(pytester, body.replace("limit_s=0.3", "limit_s=0")).stdout.fnmatch_lines(["*seconds are allowed, more than 0"])
