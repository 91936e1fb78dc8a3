"""What a run is judged by."""

import signal

import pytest

from faultinj.record import Injection
from faultinj.run.execution import Ended
from faultinj.run.oracle import Ending, aborted_by_interpreter, findings_of, last_lines
from faultinj.run.tree import Told

FULL = "OSError: [Errno 28] No space left on device"
INJECTED = (Injection(point="file.write", action="return", sequence=1),)
TOLD = (Told(1, "file.write", FULL, ("app.py:3 save",)),)


def traceback(error: str) -> str:
    """What an interpreter writes of an error that nobody caught."""
    return f'Traceback (most recent call last):\n  File "app.py", line 3, in save\n    x()\n    ^^^\n{error}\n'


def kinds(ending: Ending, ok: tuple[int, ...] = (0,), told: tuple[Told, ...] = TOLD) -> list[str]:
    """The kinds of what is found."""
    return [one.kind for one in findings_of(ending, ok, INJECTED, told, 5)]


@pytest.mark.parametrize(
    ("status", "found"), [(0, []), (3, []), (1, ["unclean error"]), (-11, ["crash"]), (None, ["hang"])]
)
def test_a_status_is_allowed_or_found(status: int | None, found: list[str]) -> None:
    assert kinds(Ending(Ended(status, "")), (0, 3)) == found


def test_the_injected_errors_own_traceback_is_none() -> None:
    assert kinds(Ending(Ended(0, traceback(FULL)))) == []


def test_a_foreign_traceback_is_found_even_where_the_status_is_fine() -> None:
    other = traceback(FULL) + "\nDuring handling of the above exception, another exception occurred:\n\n"
    found = findings_of(
        Ending(Ended(0, other + traceback("NameError: name 'tmp' is not defined"))), (0,), INJECTED, TOLD, 5
    )
    assert [one.kind for one in found] == ["foreign error"]
    assert "NameError" in found[0].detail
    assert found[0].stack[0] == "file.write: app.py:3 save"


def test_every_traceback_has_its_last_line() -> None:
    assert list(last_lines(traceback("A: 1") + "Exception in thread t:\n" + traceback("B"))) == ["A: 1", "B"]


def test_memory_that_was_refused_ends_in_a_memory_error() -> None:
    refused = (Injection(point="memory.alloc", action="return", sequence=9),)
    assert not findings_of(Ending(Ended(0, traceback("MemoryError"))), (0,), refused, (), 5)


def test_a_file_that_is_left_is_a_leak_unless_a_fault_kept_it() -> None:
    left = Ending(Ended(0, ""), ("/d/a.tmp",))
    assert kinds(left) == ["leak"]
    refused = Told(1, "os.unlink", "PermissionError: [Errno 13] Permission denied: '/d/a.tmp'", ())
    assert kinds(left, told=(*TOLD, refused)) == []
    other = Told(1, "os.unlink", "PermissionError: [Errno 13] Permission denied: '/d/b.tmp'", ())
    assert kinds(left, told=(*TOLD, other)) == ["leak"]


def test_a_death_that_was_the_fault_is_none_and_what_comes_after_it_is_judged() -> None:
    died = Ended(-signal.SIGKILL, "")
    assert kinds(Ending(died, killed=True, again=Ended(0, ""))) == []
    assert kinds(Ending(died, killed=True, again=Ended(1, "it is locked"))) == ["rerun failed"]
    assert kinds(Ending(died, ("/d/a.tmp",), True, Ended(4, "half a file"), Ended(0, ""))) == ["check", "leak"]
    assert kinds(Ending(died)) == ["crash"]


def test_a_failed_check_is_found_with_what_it_said() -> None:
    found = findings_of(Ending(Ended(0, ""), check=Ended(1, "a\nno state\n")), (0,), INJECTED, TOLD, 5)
    assert [(one.kind, one.detail) for one in found] == [("check", "the check fails with status 1: no state")]


NO_MEMORY = (Injection(point="memory.alloc", action="return", sequence=3),)
FATAL = (
    "Fatal Python error: _PyErr_NormalizeException: Cannot recover from MemoryErrors while normalizing exceptions.\n"
)


def test_an_interpreter_that_gives_up_for_want_of_memory_is_not_the_programs_fault() -> None:
    gave_up = Ended(-signal.SIGABRT, FATAL)
    assert aborted_by_interpreter(gave_up, NO_MEMORY)
    assert findings_of(Ending(gave_up), (0,), NO_MEMORY, (), 5) == ()


@pytest.mark.parametrize(
    ("ended", "injected"),
    [
        (Ended(-signal.SIGABRT, FATAL), INJECTED),
        (Ended(-signal.SIGABRT, "Fatal Python error: Aborted\n\nCurrent thread 0x1:\n"), NO_MEMORY),
        (Ended(-signal.SIGABRT, "free(): double free detected in tcache 2\n"), NO_MEMORY),
        (Ended(-signal.SIGSEGV, "Fatal Python error: Segmentation fault\n"), NO_MEMORY),
    ],
)
def test_any_other_abort_is_a_crash(ended: Ended, injected: tuple[Injection, ...]) -> None:
    assert not aborted_by_interpreter(ended, injected)
    assert [one.kind for one in findings_of(Ending(ended), (0,), injected, (), 5)] == ["crash"]
