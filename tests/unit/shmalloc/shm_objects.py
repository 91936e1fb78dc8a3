"""Objects in shared memory for the tests of the registry: made, aged, looked at and swept by name."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shmalloc import Arena, registry
from shmalloc.registry import ArenaInfo, GcAction, gc, list_arenas

NOBODY = 65534
LONG_AGO = 1_000_000_000


@contextmanager
def fresh_name() -> Iterator[str]:
    """A name that no arena has; whatever bears it after the block is removed."""
    unique = f"test-registry-{os.getpid()}-{secrets.token_hex(4)}"
    path = path_of(unique)
    try:
        yield unique
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)


def path_of(name: str) -> Path:
    return registry.DIRECTORY / f"{registry.PREFIX}{name}"


def listed(name: str) -> ArenaInfo | None:
    return next((info for info in list_arenas() if info.name == name), None)


def collected(name: str, *, dry_run: bool = False) -> GcAction | None:
    actions = gc(dry_run, names=[name])
    assert len(actions) <= 1
    return actions[0] if actions else None


def make(name: str) -> None:
    """An arena with one zone that nobody is attached to."""
    with Arena.create(name, max_size="4M") as arena:
        arena.zone("frame", size=256)


def age(name: str) -> None:
    os.utime(path_of(name), (LONG_AGO, LONG_AGO))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, where the test has them."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
