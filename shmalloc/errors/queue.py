"""Errors about queues. Owns the classes and their sentences."""

import queue
from dataclasses import dataclass

from shmalloc.errors.base import ShmallocError

__all__ = [
    "QueueBusy",
    "QueueEmpty",
    "QueueError",
    "QueueFull",
    "QueueNotFound",
]


@dataclass(eq=False, repr=False, kw_only=True)
class QueueError(ShmallocError):
    """A queue cannot do what was asked."""

    queue: str = ""
    depth: int = 0
    waited: float | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class QueueFull(QueueError, queue.Full):
    """No place was free in the time allowed; the item is still yours."""

    def __str__(self) -> str:
        return f"queue {self.queue!r} is full ({self.depth} items) after {self.waited or 0} s; the item is still yours"


@dataclass(eq=False, repr=False, kw_only=True)
class QueueEmpty(QueueError, queue.Empty):
    """Nothing came in the time allowed."""

    def __str__(self) -> str:
        return (
            f"queue {self.queue!r} is empty after {self.waited or 0} s; wait longer (timeout=), or see whether "
            f"somebody puts: shmalloc stat -t {self.arena}"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class QueueBusy(QueueError):
    """The queue still holds items."""

    def __str__(self) -> str:
        return f"queue {self.queue!r} still holds items; take them out before destroy()"


@dataclass(eq=False, repr=False, kw_only=True)
class QueueNotFound(QueueError):
    """No queue of this name."""

    def __str__(self) -> str:
        return f"arena {self.arena!r} has no queue {self.queue!r}; arena.queue({self.queue!r}, depth=64) makes it"
