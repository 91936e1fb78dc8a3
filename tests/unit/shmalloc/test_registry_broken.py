"""Objects that bear an arena's name and are no arena, or no whole one: what is said of them, and which gc removes."""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shmalloc import registry
from shmalloc.registry import GcAction, gc, list_arenas
from unit.shmalloc.shm_objects import NOBODY, age, as_nobody, collected, fresh_name, listed, make, path_of


@pytest.fixture
def name() -> Iterator[str]:
    with fresh_name() as unique:
        yield unique


def broken(name: str, *, version: int | None = None, flip: int | None = None) -> None:
    """A copy of a real, closed arena's object with a damaged header, in place of the arena."""
    make(name)
    with path_of(name).open("r+b") as file:
        head = bytearray(file.read(4096))
        if version is not None:
            struct.pack_into("=I", head, 8, version)
        if flip is not None:
            head[flip] ^= 0xFF
        file.seek(0)
        file.write(head)


def unfinished(name: str) -> None:
    """An arena whose creator never stored READY."""
    broken(name)
    with path_of(name).open("r+b") as file:
        file.seek(16)
        (header_bytes,) = struct.unpack("=I", file.read(4))
        file.seek(header_bytes - 16)
        assert file.read(4) == b"REDY"
        file.seek(header_bytes - 16)
        file.write(bytes(4))


def empty(name: str) -> None:
    path_of(name).touch(mode=0o600)


def zeros(name: str) -> None:
    with path_of(name).open("wb") as file:
        file.truncate(1 << 20)


@pytest.mark.parametrize("damage", [empty, zeros, unfinished], ids=lambda f: f.__name__)
def test_a_half_made_object_is_removed_when_it_is_old_and_unlocked(name: str, damage: Callable[[str], None]) -> None:
    damage(name)
    assert (info := listed(name)) is not None
    assert info.state == "half-made"
    assert info.problem
    young = collected(name)
    assert young is not None
    assert (young.action, "may be in the making" in young.reason) == ("kept", True)
    age(name)
    old = collected(name)
    assert old is not None
    assert (old.action, old.reason) == ("removed", f"half-made: {info.problem}")
    assert not path_of(name).exists()


def test_a_half_made_object_that_its_creator_holds_is_kept_however_old(name: str) -> None:
    unfinished(name)
    age(name)
    creator = os.open(path_of(name), os.O_RDWR)
    try:
        lock = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 1 << 40, 1, 0)
        fcntl.fcntl(creator, fcntl.F_OFD_SETLK, lock)
        for dry_run in (True, False):
            assert collected(name, dry_run=dry_run) == GcAction(name, "kept", "a process holds a lock on it")
    finally:
        os.close(creator)
    assert (action := collected(name)) is not None
    assert action.action == "removed"


def test_a_corrupt_arena_is_removed_when_it_is_old(name: str) -> None:
    broken(name, flip=64)
    assert (info := listed(name)) is not None
    assert info.state == "corrupt"
    assert (young := collected(name)) is not None
    assert young.action == "kept"
    age(name)
    assert (old := collected(name)) is not None
    assert old.action == "removed"


def test_a_truncated_arena_is_listed_as_corrupt(name: str) -> None:
    make(name)
    os.truncate(path_of(name), 8192)
    assert (info := listed(name)) is not None
    assert (info.state, info.bytes) == ("corrupt", 8192)
    assert "shorter" in info.problem


def foreign_words(name: str) -> None:
    path_of(name).write_bytes(b"precious words of another program")


def foreign_zeros_first(name: str) -> None:
    path_of(name).write_bytes(bytes(8192) + b"precious words of another program")


def foreign_link(name: str) -> None:
    path_of(name).symlink_to("/etc/hostname")


def foreign_directory(name: str) -> None:
    path_of(name).mkdir()


@pytest.mark.parametrize(
    "damage", [foreign_words, foreign_zeros_first, foreign_link, foreign_directory], ids=lambda f: f.__name__
)
def test_a_foreign_object_is_listed_but_never_removed(name: str, damage: Callable[[str], None]) -> None:
    damage(name)
    if not path_of(name).is_symlink():
        age(name)
    assert (info := listed(name)) is not None
    assert info.state == "foreign"
    assert (action := collected(name)) is not None
    assert action == GcAction(name, "kept", f"foreign: {info.problem}")
    assert path_of(name).is_symlink() or path_of(name).exists()


def test_an_arena_of_another_version_is_removed_only_by_name(name: str) -> None:
    broken(name, version=999)
    age(name)
    assert (info := listed(name)) is not None
    assert (info.state, "999" in info.problem) == ("other-version", True)
    unnamed = {action.name: action for action in gc(dry_run=True)}[name]
    assert (unnamed.action, "only by name" in unnamed.reason) == ("kept", True)
    assert (named := collected(name)) is not None
    assert named.action == "removed"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_what_cannot_be_removed_is_reported_and_does_not_stop_the_rest(name: str) -> None:
    mine = f"{name}-mine"
    empty(name)
    path_of(name).chmod(0o666)
    age(name)
    empty(mine)
    os.chown(path_of(mine), NOBODY, NOBODY)
    age(mine)
    try:
        with as_nobody():
            failed, removed = gc(names=[name, mine])
    finally:
        path_of(mine).unlink(missing_ok=True)
    assert (failed.name, failed.action) == (name, "failed")
    assert "cannot be removed: Operation not permitted" in failed.reason
    assert (removed.name, removed.action) == (mine, "removed")


def test_a_directory_that_does_not_exist_holds_no_arenas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DIRECTORY", tmp_path / "none")
    assert list_arenas() == []
    assert gc() == []
