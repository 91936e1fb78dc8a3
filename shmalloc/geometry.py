"""The geometry of a new arena: how large it may grow and how many of each thing it may hold. Owns the ranges.

They are those of struct sm_geometry in core/arena.h, so that what is wrong is named before anything is made.
"""

from collections.abc import Mapping

from shmalloc.errors import InvalidArgument
from shmalloc.sizes import parse_bytes

__all__ = ["checked_geometry"]

_LEAST_BYTES = 1 << 16
_MOST_BYTES = 1 << 44
_MOST = {"max_cpus": 4094, "max_zones": 4094, "max_queues": 4094, "max_types": 254, "max_sites": 1 << 20}


def checked_geometry(max_size: int | str, most: Mapping[str, int]) -> tuple[int, tuple[int, ...]]:
    """What Arena.create was asked for, in bytes and counts.

    Parameters: max_size: bytes or text ("64G"); most: counts by argument name, in the core's order.
    Returns: (bytes, counts). Raises: InvalidArgument: out of range. TypeError: not an int, or no size at all.
    """
    for argument, value in most.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{argument} is an int, not {type(value).__name__}")
        if not 1 <= value <= _MOST[argument]:
            raise InvalidArgument(argument=argument, value=value, allowed=f"1 .. {_MOST[argument]}")
    try:
        max_bytes = parse_bytes(max_size)
    except ValueError as cause:
        raise InvalidArgument(argument="max_size", value=max_size, detail=str(cause)) from None
    if not _LEAST_BYTES <= max_bytes <= _MOST_BYTES:
        raise InvalidArgument(argument="max_size", value=max_size, allowed="64K .. 16T")
    return max_bytes, tuple(most.values())
