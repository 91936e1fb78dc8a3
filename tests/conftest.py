"""What every test starts from and has to leave behind: names that nobody else uses, no segment, no child process."""

import itertools
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import shmalloc
from shmalloc.naming import object_name, unlink_object

_numbers = itertools.count()
_SERVANTS = ("resource_tracker", "forkserver", "semaphore_tracker")  # multiprocessing's own, they outlive tests


def own_prefix() -> str:
    """Names of this process's test arenas begin so."""
    return f"test{os.getpid()}-"


def own_segments() -> list[str]:
    """Objects in /dev/shm that tests of this process made."""
    return sorted(entry.name for entry in Path("/dev/shm").iterdir() if f"shmalloc.{own_prefix()}" in entry.name)


def own_children() -> list[psutil.Process]:
    """Child processes, without those that multiprocessing keeps for itself."""
    found = []
    for child in psutil.Process().children():
        try:
            if child.status() != psutil.STATUS_ZOMBIE and not any(s in " ".join(child.cmdline()) for s in _SERVANTS):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """After every test: no child process of it lives, no segment of it is in /dev/shm."""
    before = {child.pid for child in own_children()}
    yield
    multiprocessing.active_children()  # reaps those that have ended
    left = [child for child in own_children() if child.pid not in before]
    _, alive = psutil.wait_procs(left, timeout=5)
    for child in alive:
        child.kill()
        child.wait(5)
    segments = own_segments()
    for segment in segments:
        unlink_object(segment.removeprefix("shmalloc."), missing_ok=True)
    assert not alive, f"the test left child processes: {alive}"
    assert not segments, f"the test left segments in /dev/shm: {segments}"


@pytest.fixture
def arena_name() -> Iterator[str]:
    """A name for one arena; whatever has it afterwards is unlinked."""
    name = f"{own_prefix()}{next(_numbers)}"
    assert object_name(name)
    yield name
    unlink_object(name, missing_ok=True)


@pytest.fixture
def arena(arena_name: str) -> Iterator[shmalloc.Arena]:
    """A small arena; afterwards it must check clean, if the test has not closed it."""
    arena = shmalloc.Arena.create(arena_name, max_size="64M", max_cpus=16, max_zones=32)
    yield arena
    if not arena.closed:
        report = arena.check()
        arena.close()
        assert report.findings == ()
