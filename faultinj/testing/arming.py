"""A fault block of a test's own, in use while the test runs. Owns what is put back: afterwards nothing is armed that
was not before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from faultinj import process
from faultinj._faultinj import Block
from shmalloc import _native
from shmalloc.attachments import open_arenas

__all__ = ["lent"]


@contextmanager
def lent() -> Iterator[Block]:
    """Put a new block in use: for arenas that are open, for those that are made meanwhile, and for declared points."""
    before = process.in_use()
    block = Block.anonymous()
    process.use(block)
    try:
        yield block
    finally:
        block.sweep(0)
        for arena in open_arenas():
            if process.block_of(arena) is block:
                block.disarm(_native.hooks_capsule(arena))
        process.use(before)
