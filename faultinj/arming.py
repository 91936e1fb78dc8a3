"""Arming: an arena whose points can be made to fail, from this process and from every process that attaches later.

Owns the region "faultinj" and its announcement in the arena's header. Which faults happen is set by others.
"""

from faultinj import process
from faultinj._faultinj import Block, CoreError
from shmalloc import Arena, _native

__all__ = ["FaultinjError", "NotArmed", "arm", "attached", "disarm"]

ENTRY = "faultinj.arming:attached"
REGION = "faultinj"


class FaultinjError(RuntimeError):
    """The fault injector cannot do what was asked; .code is the core's word for it."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class NotArmed(FaultinjError):
    """The arena is not under faults in this process."""


def arm(arena: Arena) -> Block:
    """Put an arena under faults: its points and crash points report to a block in its region "faultinj" (about 520
    KiB).

    Whoever attaches from now on arms itself; processes that are attached already, call this too. The block becomes the
    one in use of this process, so points that Python declares are shared with all of them. Nothing fails until a
    program is set: ``faultinj.inject``, ``faultinj.set``, or ``faultinj ctl ARENA set POINT=PROGRAM`` from outside.

    Returns: the Block; the same one when the arena is armed already.
    Raises: FaultinjError: the region is of another version (.code "SM_VERSION") or damaged; OutOfMemory; ReadOnly.
    """
    found = process.block_of(arena)
    if found is not None and found.in_arena:
        return found
    return _armed(arena, True)


def attached(arena: Arena) -> None:
    """The entry point named in an armed arena: arms the process that has just attached."""
    found = process.block_of(arena)
    if found is None or not found.in_arena:
        _armed(arena, False)


def disarm(arena: Arena, *, everywhere: bool = True) -> None:
    """Take the hooks out of this process's attachment; everywhere: whoever attaches from now on is not armed either.
    The block stays in the arena, with its programs and log.

    Raises: NotArmed.
    """
    found = process.block_of(arena)
    if found is None:
        raise NotArmed(f"the arena {arena.name!r} is not under faults in this process; see faultinj.arm(arena)")
    if process.in_use() is found:
        process.use(None)
    found.disarm(_native.hooks_capsule(arena), everywhere and found.in_arena)


def _armed(arena: Arena, create: bool) -> Block:
    door = _native.hooks_capsule(arena)
    try:
        block = Block.of_arena(door, ENTRY.encode(), create)
    except CoreError as error:
        raise FaultinjError(
            f"the arena {arena.name!r} cannot be put under faults: {error.code} (its region {REGION!r}); make the arena"
            " anew, with the same version of faultinj in every process",
            error.code,
        ) from error
    block.arm(door)
    process.use(block)
    return block
