"""Errors about users' locks. Owns the classes and their sentences."""

from dataclasses import dataclass

from shmalloc.errors.base import ShmallocError

__all__ = [
    "LockBusy",
    "LockDeadlock",
    "LockError",
    "LockGone",
    "LockMismatch",
    "LockNotFound",
    "LockNotHeld",
    "LockTimeout",
    "OwnerDied",
]


@dataclass(eq=False, repr=False, kw_only=True)
class LockError(ShmallocError):
    """A lock cannot do what was asked."""

    lock: str = ""
    kind: str = ""


@dataclass(eq=False, repr=False, kw_only=True)
class OwnerDied(LockError):
    """A former holder died, or left, holding the lock. ``held``: this call has taken it nevertheless."""

    cpu: int | None = None
    pid: int | None = None
    held: bool = True

    def __str__(self) -> str:
        who = "a process" if self.cpu is None else f"CPU {self.cpu} (pid {self.pid})"
        text = f"{who} died holding {self.kind} {self.lock!r}: what it protects may be half done; "
        if self.held:
            return text + "you hold it now: repair, then repaired(), or release() and the next one is told again"
        return text + "it was given back: use acquire(), or `with lock.repairing(mend):`"


@dataclass(eq=False, repr=False, kw_only=True)
class LockTimeout(LockError, TimeoutError):
    """The lock was not free in the time allowed."""

    waited: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.lock!r} was not free after {self.waited or 0} s; its statistics() name the owner"


@dataclass(eq=False, repr=False, kw_only=True)
class LockNotHeld(LockError):
    """The caller does not hold what it wants to give back or speak for."""

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.lock!r} is not held by the caller: its owner is a thread of one process, "
            "and a forked child holds nothing"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class LockDeadlock(LockError):
    """The caller holds the lock already and would wait for itself."""

    def __str__(self) -> str:
        return f"this thread holds {self.kind} {self.lock!r} already; only a recursive mutex may be taken again"


@dataclass(eq=False, repr=False, kw_only=True)
class LockMismatch(LockError):
    """The name is taken by a lock of another kind, or with other parameters."""

    field: str = ""
    have: object = None
    want: object = None

    def __str__(self) -> str:
        return (
            f"lock {self.lock!r} of arena {self.arena!r} exists with {self.field} {self.have!r}, not {self.want!r}; "
            "choose another name or open it as it is"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class LockBusy(LockError):
    """Somebody holds the lock, or waits for it."""

    def __str__(self) -> str:
        return f"{self.kind} {self.lock!r} is held or waited for; destroy it when everybody is done"


@dataclass(eq=False, repr=False, kw_only=True)
class LockGone(LockError):
    """The lock was destroyed."""

    def __str__(self) -> str:
        return f"lock {self.lock!r} of arena {self.arena!r} was destroyed by somebody; open it again"


@dataclass(eq=False, repr=False, kw_only=True)
class LockNotFound(LockError):
    """No lock of this name, and this attachment may not make one."""

    def __str__(self) -> str:
        return f"arena {self.arena!r} has no lock {self.lock!r}, and a read-only attachment cannot make it"
