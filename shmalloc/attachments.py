"""The attachments of this process: what happens to them at fork and at exit, and how a pickle finds its arena again.

Owns the set of open attachments and the process-wide handlers. Holds them weakly, but for those that an unpickled
object had to attach: those stay until the process ends or somebody closes them.
"""

import atexit
import multiprocessing.process
import multiprocessing.util
import os
import threading
import weakref
from typing import TYPE_CHECKING

from shmalloc import _native
from shmalloc.errors import ArenaNotFound, ShmallocError
from shmalloc.naming import same_object, unlink_object

if TYPE_CHECKING:
    from shmalloc.arena import Arena

__all__ = ["VISITOR", "attached", "bind_arena", "close_all", "last_close", "open_arenas", "remember"]

VISITOR = "shmalloc reaper"
"""The CPU name of an attachment that stays no longer than a recovery takes, and uses nothing."""

_open: "weakref.WeakSet[Arena]" = weakref.WeakSet()
_kept: "dict[int, Arena]" = {}
_lock = threading.RLock()
_face: "dict[str, type[Arena]]" = {}


def bind_arena(face: "type[Arena]") -> None:
    """Tell which class an unpickled object attaches with."""
    _face["arena"] = face


def remember(arena: "Arena") -> None:
    """Enter an attachment just made."""
    with _lock:
        _open.add(arena)


def open_arenas() -> "tuple[Arena, ...]":
    """The attachments of this process that are not closed, for companions that arm them."""
    with _lock:
        return tuple(arena for arena in _open if not arena.closed)


def _find(uuid: int) -> "Arena | None":
    for arena in list(_open):
        if not arena.closed and not arena.read_only and arena.uuid == uuid:
            return arena
    return None


def attached(name: str, uuid: int) -> "Arena":
    """This process's attachment to an arena, made now if there is none: what unpickling calls.

    Raises: ArenaNotFound: no arena of this name, or the name stands for another arena than the pickle's.
    """
    with _lock:
        found = _find(uuid)
        if found is not None:
            return found
        arena = _face["arena"].attach(name)
        if arena.uuid != uuid:
            arena.close()
            raise ArenaNotFound(
                arena=name, detail=f"the arena {name!r} of this pickle is gone; another has its name now"
            )
        for gone in [key for key, kept in _kept.items() if kept.closed]:
            del _kept[gone]
        _kept[uuid] = arena
        return arena


def last_close(arena: _native.Attachment) -> None:
    """Remove the arena's name unless another process is attached: what unlink_on_last_close asks for.

    Visitors that are attached only to reap do not count: who leaves while one is at work is the last user all the same.

    A process that attaches between the look and the unlink keeps an arena without a name.
    """
    live, _ = arena._live_cpus(VISITOR.encode())
    if live == 0 and same_object(arena.name, arena._fileno()):
        unlink_object(arena.name, missing_ok=True)


def close_all() -> None:
    """Close every attachment of this process, so that its CPU slots are given back rather than found dead."""
    for arena in list(_open):
        if arena.closed:
            continue
        try:
            arena.close()
        except ShmallocError as error:  # Stalled: the slot is found dead and reaped once this process is gone
            multiprocessing.util.debug("shmalloc: %s", error)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()  # another thread of the parent may have held it
    for arena in list(_open):
        arena._after_fork()


def _arm_exit_of_child(_: object) -> None:
    """A multiprocessing child leaves through os._exit and runs these finalizers, not atexit's."""
    multiprocessing.util.Finalize(None, close_all, exitpriority=-100)


class _Anchor:
    """Something that lives as long as the module, for register_after_fork."""


_anchor = _Anchor()

os.register_at_fork(after_in_child=_after_fork_in_child)
multiprocessing.util.register_after_fork(_anchor, _arm_exit_of_child)
if multiprocessing.process.parent_process() is not None:
    _arm_exit_of_child(None)
atexit.register(close_all)
