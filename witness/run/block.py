"""The place of a run's graph: the parent tells its children where the block lies, and each maps it by itself.

A process that only watches its locks neither imports the allocator nor keeps a descriptor open: programs count theirs.
"""

import os
from typing import NamedTuple

__all__ = ["BLOCK", "Place"]

BLOCK = "WITNESS_RUN_BLOCK"
"""The place of the block of the process tree, as Place.text writes it."""


class Place(NamedTuple):
    """Where a block is: bytes `offset` to `offset + nbytes` of a file."""

    path: str
    offset: int
    nbytes: int

    def text(self) -> str:
        """For the environment."""
        return f"{self.offset}:{self.nbytes}:{self.path}"

    @staticmethod
    def parse(text: str) -> "Place":
        """Raises: ValueError: it is no place."""
        offset, nbytes, path = text.split(":", 2)
        return Place(path, int(offset), int(nbytes))

    @staticmethod
    def here() -> "Place | None":
        """What the environment says; None: nothing, or nothing that can be."""
        try:
            return Place.parse(os.environ[BLOCK])
        except (KeyError, ValueError):
            return None
