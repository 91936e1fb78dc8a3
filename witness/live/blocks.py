"""Which blocks there are to read: of an arena, of a process, of this user. Owns the search; reads no block.

A process's blocks are found in its map of memory (``/proc/PID/maps``): whoever reports to a block has it mapped, so no
register is kept that a killed process could leave wrong. Blocks are opened read-only: nothing is claimed, and nobody is
stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shmalloc import Arena, _native
from shmalloc.errors import ArenaNotFound, ShmallocError
from shmalloc.registry import DIRECTORY, PREFIX, arena_names
from witness._witness import CoreError, read_waiting

__all__ = ["Unwatched", "arenas_of_pid", "opened"]

_OBJECT = f"{DIRECTORY}/{PREFIX}"
_DELETED = " (deleted)"


class Unwatched(LookupError):
    """There is no block to read: no such process or arena, or nobody watches its locks."""


def arenas_of_pid(pid: int) -> tuple[str, ...]:
    """The names of the arenas that a process has mapped and that can still be opened by name, sorted.

    Raises: FileNotFoundError: there is no such process. PermissionError: it is another user's.
    """
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except ProcessLookupError as error:
        raise FileNotFoundError(f"/proc/{pid}") from error
    paths = {line.split(maxsplit=5)[5] for line in lines if _OBJECT in line}
    return tuple(sorted(path.removeprefix(_OBJECT) for path in paths if not path.endswith(_DELETED)))


@contextmanager
def opened(target: str | int | None) -> Iterator[dict[str, Arena]]:
    """Open the blocks of an arena (its name), of a process (its pid), or all of this user (None).

    A thread may hold a lock of one block and wait for one of another, so the blocks of every process that is found in
    one of them are opened too.
    Yields: read-only attachments by name, closed at the end of the block. Raises: Unwatched.
    """
    with ExitStack() as stack:
        found: dict[str, Arena] = {}
        looked_at: set[int] = set()
        fresh = _first(target)
        while fresh:
            for name in fresh:
                if (arena := _watched(name)) is not None:
                    found[name] = stack.enter_context(arena)
            pids = {pid for name in fresh if name in found for pid in _pids(found[name])} - looked_at
            looked_at |= pids
            fresh = sorted(set(_mapped_by(pids)) - found.keys())
        if not found and target is not None:
            what = f"process {target}" if isinstance(target, int) else f"the arena {target!r}"
            raise Unwatched(
                f"no locks of {what} are watched: start it with `witness run`, or arm its arena with witness.arm(arena)"
            )
        yield found


def _first(target: str | int | None) -> Iterable[str]:
    if target is None:
        return arena_names()
    if isinstance(target, str):
        return (target,)
    try:
        return arenas_of_pid(target)
    except FileNotFoundError as error:
        raise Unwatched(f"there is no process {target} on this machine") from error
    except PermissionError as error:
        raise Unwatched(f"process {target} is another user's: look as that user, or as root") from error


def _watched(name: str) -> Arena | None:
    """The arena, if it can be opened and carries a block."""
    try:
        arena = Arena.attach(name, read_only=True)
    except (ShmallocError, OSError):
        return None  # gone meanwhile, another user's, or no arena at all
    if _native.region_bytes(arena, "witness", 1) is None:
        arena.close()
        return None
    return arena


def _pids(arena: Arena) -> set[int]:
    try:
        threads = read_waiting(_native.hooks_capsule(arena))["threads"]
    except (CoreError, ArenaNotFound):
        return set()
    return {owner >> 32 for owner, _, here, *_ in threads if here}


def _mapped_by(pids: Iterable[int]) -> Iterator[str]:
    for pid in pids:
        try:
            yield from arenas_of_pid(pid)
        except OSError:
            continue  # dead, or another user's: what it holds is told all the same
