"""Frames that stacks leave out: those of the allocator and of the checker say nothing about the user's program."""

import os
from importlib.util import find_spec
from types import CodeType

__all__ = ["own_code"]

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_OF_USERS = tuple(_HERE + name + os.sep for name in ("selftest", "run"))  # these take locks as a program does


def _allocator() -> tuple[str, ...]:
    found = find_spec("shmalloc")  # where it is, without importing it
    places = (found.submodule_search_locations or ()) if found is not None else ()
    return tuple(os.path.abspath(place) + os.sep for place in places)


_OWN = (_HERE, *_allocator())


def own_code(code: CodeType) -> bool:
    """Whether a frame of this code is left out."""
    return code.co_filename.startswith(_OWN) and not code.co_filename.startswith(_OF_USERS)
