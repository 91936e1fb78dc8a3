"""Errors about arenas and CPUs. Owns the classes and their sentences; chooses nothing (``codes`` does)."""

from dataclasses import dataclass

from shmalloc.errors.base import ShmallocError
from shmalloc.sizes import show_bytes

__all__ = [
    "ArenaClosed",
    "ArenaCorrupt",
    "ArenaError",
    "ArenaExists",
    "ArenaHalfMade",
    "ArenaInvalid",
    "ArenaNotFound",
    "ArenaTruncated",
    "ArenaVersionMismatch",
    "CompanionMissing",
    "CpuSlotsExhausted",
    "NotAnArena",
    "OutOfMemory",
    "ReadOnly",
    "Stalled",
    "Unsupported",
]


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaError(ShmallocError):
    """An arena cannot do what was asked."""


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaNotFound(ArenaError):
    """There is no arena of this name."""

    def __str__(self) -> str:
        return (
            f"there is no arena {self.arena!r}; make it with Arena.create(), or Arena.open({self.arena!r}) to "
            "take either; or see which there are: shmalloc ls"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaExists(ArenaError):
    """The name is taken."""

    def __str__(self) -> str:
        return (
            f"the arena {self.arena!r} exists already; attach to it with Arena.open({self.arena!r}), or remove what a "
            f"crashed run left behind: shmalloc gc"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaInvalid(ArenaError):
    """The object is not an arena that this version can use."""

    reason = "cannot be used"

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        return f"the object behind arena {self.arena!r} {self.reason}{more}; nothing in it was touched: see shmalloc ls"


@dataclass(eq=False, repr=False, kw_only=True)
class NotAnArena(ArenaInvalid):
    """The object does not begin with an arena's magic number."""

    reason = "is not an arena"


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaTruncated(ArenaInvalid):
    """The object is shorter than its header says."""

    reason = "is shorter than its header says"


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaCorrupt(ArenaInvalid):
    """The header or a table is damaged."""

    reason = "has a damaged header or table"


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaVersionMismatch(ArenaInvalid):
    """The object has another layout version."""

    have: int = 0
    want: int = 0

    def __str__(self) -> str:
        return (
            f"the arena {self.arena!r} has layout version {self.have}, this build reads version {self.want}; "
            "use the version of shmalloc that made it, or remove it: shmalloc gc"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaHalfMade(ArenaInvalid):
    """Its creator died before it was ready."""

    reason = "was never finished: its creator died, or is still at work"

    def __str__(self) -> str:
        return f"the arena {self.arena!r} {self.reason}; remove it with: shmalloc gc"


@dataclass(eq=False, repr=False, kw_only=True)
class CompanionMissing(ArenaError, ImportError):
    """The arena was armed with a companion whose entry point this process cannot import."""

    entry: str = ""

    def __str__(self) -> str:
        return (
            f"the arena {self.arena!r} is armed with a companion that this process cannot find: {self.entry!r}"
            f"{' (' + self.detail + ')' if self.detail else ''}; install it here, or disarm it where it was armed"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ArenaClosed(ArenaError, ValueError):
    """The attachment, or the arena of this object, was closed in this process."""

    def __str__(self) -> str:
        return f"the arena {self.arena!r} is closed in this process; attach again with Arena.attach({self.arena!r})"


@dataclass(eq=False, repr=False, kw_only=True)
class OutOfMemory(ArenaError, MemoryError):
    """The arena, or the file system under it, has no page left; or the call was made to fail, as ``forced`` says."""

    free_bytes: int = 0
    asked_bytes: int = 0
    max_bytes: int = 0

    def __str__(self) -> str:
        asked = f" for {show_bytes(self.asked_bytes)}" if self.asked_bytes else ""
        if self.forced == "debug.malloc.failure_rate":
            return (
                f"this allocation{asked} in arena {self.arena!r} was made to fail by the tunable {self.forced}, not "
                f"for want of memory; to end that: shmalloc sysctl {self.arena} {self.forced}=0"
            )
        if self.forced:
            return (
                f"this allocation{asked} in arena {self.arena!r} was made to fail at the fault point {self.forced}, "
                f"not for want of memory; what was injected: faultinj ctl {self.arena} log"
            )
        return self.detail or (
            f"no memory{asked} in arena {self.arena!r}: it may hold {show_bytes(self.max_bytes)}, and the file system "
            f"of /dev/shm has {show_bytes(self.free_bytes)} free; free items, call arena.reclaim(), "
            "create the arena with a larger max_size, or enlarge /dev/shm"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class CpuSlotsExhausted(ArenaError):
    """Every CPU slot belongs to a live process."""

    max_cpus: int = 0

    def __str__(self) -> str:
        return (
            f"all {self.max_cpus} CPU slots of arena {self.arena!r} are taken by live processes; close one (shmalloc "
            f"stat -t {self.arena} lists them), attach read-only, or create the arena with a larger max_cpus"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class Stalled(ArenaError):
    """A live process holds a lock or an operation open for longer than ``kern.shmalloc.stall_ms``.

    cpu, pid: who it is; None when that is not known. Nothing was changed; the call may be made again.
    """

    cpu: int | None = None
    pid: int | None = None

    def __str__(self) -> str:
        who = f"CPU {self.cpu}" if self.cpu is not None else "another process"
        if self.pid is not None:
            who += f" (pid {self.pid})"
            cure = (
                f"if it is stopped, let it go on: kill -CONT {self.pid}, or end it: kill -KILL {self.pid}, "
                "and what it held is recovered"
            )
        else:
            cure = f"find its pid with: shmalloc stat -t {self.arena}, let it go on, or end it"
        return (
            f"{who} of arena {self.arena!r} has kept a lock or an operation open for longer than "
            f"kern.shmalloc.stall_ms; {cure}; then try again"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ReadOnly(ArenaError):
    """The attachment may only look, or the system refused to open the object for writing."""

    def __str__(self) -> str:
        return self.detail or (
            f"arena {self.arena!r} is attached read-only here; attach with Arena.attach({self.arena!r}) to change it"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class Unsupported(ArenaError):
    """The system lacks what the arena is made for."""

    def __str__(self) -> str:
        return (
            f"arena {self.arena!r} needs what this system does not give: membarrier(2), which a sandbox may forbid, "
            "or pages of 4096 bytes; without membarrier make it with Arena.create(..., fenced=True)"
        )
