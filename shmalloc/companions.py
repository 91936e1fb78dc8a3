"""What an armed arena asks of whoever attaches: to call the entry point that its companion's region names.

Owns the search for that function. Must not know any companion: which module it is stands in the arena.
"""

import importlib
from typing import TYPE_CHECKING, Any

from shmalloc import _native
from shmalloc.errors import CompanionMissing

if TYPE_CHECKING:
    from shmalloc.arena import Arena

__all__ = ["arm_companions"]

_REGION_OF = {"ARENA_WITNESS": "witness", "ARENA_FAULTS": "faultinj"}


def arm_companions(arena: "Arena") -> None:
    """Call the entry points of the companions that this arena is armed with, with the arena as their argument.

    Raises: CompanionMissing: a module or function cannot be found in this process.
    """
    flags = _native.companion_flags(arena)
    if flags == 0:
        return
    numbers = _native.offered()
    for flag, region in _REGION_OF.items():
        if flags & numbers[flag]:
            raw = _native.region_bytes(arena, region, numbers["COMPANION_ENTRY"]) or b""
            entry = raw.partition(b"\0")[0].decode("utf-8", "replace")
            _resolved(arena.name, entry)(arena)


def _resolved(name: str, entry: str) -> Any:
    module, _, function = entry.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise CompanionMissing(arena=name, entry=entry, detail=str(error)) from error
    if not callable(found):
        raise CompanionMissing(arena=name, entry=entry, detail="it is not callable")
    return found
