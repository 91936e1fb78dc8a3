"""Queues of items between processes. Owns the Python type; every call is native.

A queue holds items, not copies: put() hands one over, get() takes it, whatever process does either. What is in a queue
belongs to nobody and survives the death of both ends.
"""

from shmalloc import _native

__all__ = ["Queue"]


class Queue(_native.Queue):
    """A bounded queue of items; made by ``arena.queue(name, depth=...)``.

    Concurrency: many producers and many consumers, in any process and thread.
    Source: D. Vyukov's bounded MPMC queue.

    >>> with shmalloc.Arena.create(name) as arena:
    ...     frames, queue = arena.zone("frame", size=64), arena.queue("work", depth=8)
    ...     item = frames.alloc()
    ...     item[0:2] = b"ab"
    ...     queue.put(item)
    ...     item.freed, queue.get(timeout=0)[0:2]
    (True, b'ab')
    """

    __slots__ = ()
