"""The allocator's lock classes as records. Owns nothing: the catalogue is compiled into the core."""

from dataclasses import dataclass

from shmalloc import _native

__all__ = ["LockClass", "lock_classes"]


@dataclass(frozen=True, slots=True)
class LockClass:
    """One class of the allocator's own locks.

    A lock may be taken while another is held only if its class has the higher rank, and never two of one class.
    """

    name: str
    rank: int
    text: str


def lock_classes() -> tuple[LockClass, ...]:
    """List the core's lock classes in the order in which they are taken.

    Returns: a record for each class; ranks grow from the outermost lock to the innermost.
    Source: SM_LOCK_CLASSES in shmalloc/core/hooks.h.
    """
    return tuple(LockClass(name, rank, text) for name, rank, text in _native.lock_classes())
