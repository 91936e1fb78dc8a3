"""Names of arenas and the POSIX objects behind them.

Owns the rule "/shmalloc.NAME" and every call of posix_ipc. Never uses multiprocessing's resource tracker, which would
remove an object as soon as one of its users ends. Must not look inside an object.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import posix_ipc

from shmalloc.errors import ArenaExists, ArenaNotFound, InvalidArgument, NameTooLong, OutOfMemory, ReadOnly

__all__ = [
    "NAME_BYTES_MOST",
    "OBJECT_PREFIX",
    "checked_name",
    "create_object",
    "object_name",
    "open_object",
    "same_object",
    "unlink_object",
]

OBJECT_PREFIX = "/shmalloc."
NAME_BYTES_MOST = 128
_NAME = re.compile(r"[A-Za-z0-9._+=@-]+")


def checked_name(name: str) -> str:
    """Validate an arena's name.

    Raises: InvalidArgument: empty, or a character outside letters, digits and ._+=@-; NameTooLong: over 128 bytes.
    """
    if not isinstance(name, str):
        raise TypeError(f"an arena's name is a str, not {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(argument="name", value=name, allowed="letters, digits and any of . _ - + = @")
    if len(name) > NAME_BYTES_MOST:
        raise NameTooLong(argument="name", value=name, most=NAME_BYTES_MOST)
    return name


def object_name(name: str) -> str:
    """The POSIX name of an arena's object.

    >>> object_name("demo")
    '/shmalloc.demo'
    """
    return OBJECT_PREFIX + checked_name(name)


@contextmanager
def create_object(name: str) -> Iterator[int]:
    """Make an empty object, mode 0600; if the block fails, unlink it again.

    Yields: a descriptor, closed at the end of the block. Raises: ArenaExists.
    """
    path = object_name(name)
    try:
        made = posix_ipc.SharedMemory(path, posix_ipc.O_CREX, mode=0o600, size=0)
    except posix_ipc.ExistentialError:
        raise ArenaExists(arena=name) from None
    except posix_ipc.PermissionsError as cause:
        raise ReadOnly(arena=name, detail=f"the system does not let this user make {path}: {cause}") from cause
    except OSError as cause:
        raise OutOfMemory(arena=name, free_bytes=0) from cause
    try:
        yield made.fd
    except BaseException:
        unlink_object(name, missing_ok=True)
        raise
    finally:
        made.close_fd()


@contextmanager
def open_object(name: str, *, read_only: bool) -> Iterator[int]:
    """Open the object of an arena. Yields: a descriptor, closed at the end of the block. Raises: ArenaNotFound."""
    path = object_name(name)
    try:
        found = posix_ipc.SharedMemory(path, 0, read_only=read_only)
    except posix_ipc.ExistentialError:
        raise ArenaNotFound(arena=name) from None
    except posix_ipc.PermissionsError as cause:
        detail = f"the system does not let this user open {path}; its owner can, or attach read-only as a reader"
        raise ReadOnly(arena=name, detail=detail) from cause
    try:
        yield found.fd
    finally:
        found.close_fd()


def unlink_object(name: str, *, missing_ok: bool = False) -> None:
    """Remove the name; the memory goes when the last process lets go. Raises: ArenaNotFound, ReadOnly."""
    try:
        posix_ipc.unlink_shared_memory(object_name(name))
    except posix_ipc.ExistentialError:
        if not missing_ok:
            raise ArenaNotFound(arena=name) from None
    except posix_ipc.PermissionsError as cause:
        raise ReadOnly(arena=name, detail=f"the system does not let this user remove {object_name(name)}") from cause


def same_object(name: str, fd: int) -> bool:
    """Whether the name still stands for the object behind fd."""
    try:
        with open_object(name, read_only=True) as other:
            return os.path.samestat(os.fstat(fd), os.fstat(other))
    except (ArenaNotFound, ReadOnly):
        return False
