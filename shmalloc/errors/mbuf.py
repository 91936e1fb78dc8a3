"""Errors about packets and socket buffers. Owns the classes and their sentences."""

import errno
import queue
from dataclasses import dataclass

from shmalloc.errors.base import ShmallocError
from shmalloc.errors.item import ItemError
from shmalloc.errors.zone import ZoneError, ZoneExhausted

__all__ = [
    "BadChain",
    "NoBuffers",
    "NoMbufs",
    "PolicyError",
    "SockbufBusy",
    "SockbufCorrupt",
    "SockbufEmpty",
    "SockbufError",
    "SockbufFull",
]


@dataclass(eq=False, repr=False, kw_only=True)
class NoBuffers(ZoneExhausted):
    """ENOBUFS: mbufs or clusters have run out. ``tunable`` is the limit that was reached; ``packet_freed``: the
    function ``call`` has freed the packet that it was given, as it must."""

    errno: int = errno.ENOBUFS
    tunable: str = ""
    call: str = ""
    packet_freed: bool = False

    def __str__(self) -> str:
        if self.limit:
            text = f"no buffer space: {self.zone} is at its limit of {self.limit} ({self.in_use} in use)"
        else:
            text = f"no buffer space: {self.zone} has no free item"
        if self.packet_freed:
            text += f"; {self.call} has freed the packet"
        advice = f"free packets, see who holds them: shmalloc who {self.arena}"
        if self.tunable:
            advice += f", or raise it: shmalloc sysctl {self.arena} kern.ipc.{self.tunable}=N"
        return f"{text}; {advice}"


@dataclass(eq=False, repr=False, kw_only=True)
class BadChain(ItemError):
    """A packet's links, lengths or storage make no sense: something wrote past its memory."""

    call: str = ""
    packet_freed: bool = False

    def __str__(self) -> str:
        where = f"{self.call}: " if self.call else ""
        what = f" ({self.detail})" if self.detail else ""
        freed = "; what could be freed of it was" if self.packet_freed or self.call == "m_freem" else ""
        return (
            f"{where}the packet is damaged: a link, a length or a storage of its mbufs makes no sense{what}{freed}; "
            f"m_sanity() names the mbuf, shmalloc check {self.arena} what else was hit"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class NoMbufs(ZoneError):
    """The arena has no mbufs, and a read-only attachment cannot make them."""

    def __str__(self) -> str:
        return f"arena {self.arena!r} has no mbufs; a process attached for writing makes them with arena.mbufs()"


@dataclass(eq=False, repr=False, kw_only=True)
class PolicyError(ZoneError):
    """A MAC policy cannot be added or removed."""

    policy: str = ""

    def __str__(self) -> str:
        return f"MAC policy {self.policy!r} of arena {self.arena!r}: {self.detail}"


@dataclass(eq=False, repr=False, kw_only=True)
class SockbufError(ShmallocError):
    """A sockbuf cannot do what was asked. used, hiwat: bytes in it, and the most it may hold."""

    sockbuf: str = ""
    used: int = 0
    hiwat: int = 0
    asked: int = 0
    waited: float | None = None

    def __str__(self) -> str:
        return f"sockbuf {self.sockbuf!r} of arena {self.arena!r}: {self.detail}"


@dataclass(eq=False, repr=False, kw_only=True)
class SockbufFull(SockbufError, queue.Full):
    """No room in the time allowed; the packet is still yours."""

    def __str__(self) -> str:
        return (
            f"sockbuf {self.sockbuf!r} has no room for {self.asked} bytes after {self.waited or 0} s "
            f"({self.used} of {self.hiwat} are used); the packet is still yours: receive some, or sbreserve() more"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class SockbufEmpty(SockbufError, queue.Empty):
    """Nothing came in the time allowed."""

    def __str__(self) -> str:
        return (
            f"sockbuf {self.sockbuf!r} has {self.used} bytes after {self.waited or 0} s, too few; wait longer "
            "(timeout=), or ask for fewer"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class SockbufBusy(SockbufError):
    """The sockbuf is not empty."""

    def __str__(self) -> str:
        return f"sockbuf {self.sockbuf!r} still holds {self.used} bytes; receive them, or sbflush(), before destroy()"


@dataclass(eq=False, repr=False, kw_only=True)
class SockbufCorrupt(SockbufError):
    """Its counts and its chains disagree, or a chain is damaged."""

    call: str = ""

    def __str__(self) -> str:
        return (
            f"{self.call}: sockbuf {self.sockbuf!r} is damaged; the last of arena.events() says what is and what "
            f"should be; sbflush() empties it, shmalloc check {self.arena} looks for the rest of the damage"
        )
