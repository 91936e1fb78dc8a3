"""Exit statuses, and one line on stderr instead of a traceback."""

import os

import pytest

from shmalloc import registry
from unit.shmalloc.cli.conftest import Run

COMMANDS = ("ls", "stat", "check", "gc", "sysctl")


@pytest.mark.parametrize("command", ["stat", "check", "sysctl"])
def test_an_arena_that_is_not_there_is_a_usage_error_in_one_line(run: Run, command: str) -> None:
    seen = run(command, "no-such-arena")
    assert seen.status == 2
    assert seen.out == ""
    assert seen.err.startswith("shmalloc: there is no arena 'no-such-arena'")
    assert seen.err.count("\n") == 1


def test_gc_of_an_arena_that_is_not_there_is_a_usage_error(run: Run) -> None:
    seen = run("gc", "no-such-arena")
    assert seen.status == 2
    assert "there is no arena 'no-such-arena'" in seen.err


@pytest.mark.parametrize(("command", "status"), [("stat", 2), ("check", 2)])
def test_a_foreign_object_is_no_arena(run: Run, command: str, status: int) -> None:
    name = f"test-foreign-{os.getpid()}"
    path = registry.DIRECTORY / f"{registry.PREFIX}{name}"
    path.write_bytes(b"something else" * 1000)
    try:
        seen = run(command, name)
    finally:
        path.unlink()
    assert (seen.status, seen.out) == (status, "")
    assert "is not an arena" in seen.err
    assert "Traceback" not in seen.err


@pytest.mark.parametrize("arguments", [("stat", "--wrong"), ("no-such-command",), ("sysctl",), ("gc", "--age", "-1")])
def test_a_wrong_command_leaves_with_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    seen = run(*arguments)
    assert seen.status == 2
    assert seen.err


def test_the_help_names_every_command_and_each_has_help_of_its_own(run: Run) -> None:
    seen = run("--help")
    assert seen.status == 0
    assert all(f" {command} " in seen.out for command in COMMANDS)
    for command in COMMANDS:
        assert run(command, "--help").status == 0


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    from importlib.metadata import version

    assert run("--version").out == f"shmalloc {version('shmalloc')}\n"
