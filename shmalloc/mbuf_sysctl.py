"""The tunables of mbufs by their FreeBSD names, for shmalloc.sysctl. Owns no value: they are in the arena's region of
mbufs, and present only in an arena that has mbufs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from shmalloc import _native
from shmalloc.errors import InvalidArgument
from shmalloc.mac import LABELS
from shmalloc.stats import Tunable

if TYPE_CHECKING:
    from shmalloc.arena import Arena
    from shmalloc.mbuf import Mbufs

__all__ = ["MBUF_TUNABLES", "describe_mbuf", "get_mbuf", "names_here", "set_mbuf"]

_MOST = 1 << 32


@dataclass(frozen=True, slots=True)
class _Row:
    """One tunable. put is None when it can only be read; default is computed, like the value."""

    text: str
    most: int
    get: "Callable[[Mbufs], int]"
    put: "Callable[[Mbufs, int], object] | None" = None
    default: "Callable[[Mbufs], int] | None" = None


def _share(shift: int) -> "Callable[[Mbufs], int]":
    """A jumbo pool's part of nmbclusters, as it is until it is set itself."""
    return lambda mbufs: max(mbufs.nmbclusters >> shift, 1) if mbufs.nmbclusters else 0


def _limit(name: str, text: str, default: "Callable[[Mbufs], int]") -> _Row:
    return _Row(text, _MOST, lambda m: m.limit(name), lambda m, value: m.set_limit(name, value), default)


def _set_labelling(mbufs: "Mbufs", mode: int) -> None:
    mbufs.mac.labelling = LABELS[mode]


MBUF_TUNABLES: dict[str, _Row] = {
    "kern.ipc.maxusers": _Row("what mbuf limits were computed from; set when they are made", 0, lambda m: m.maxusers),
    "kern.ipc.nmbclusters": _limit(
        "nmbclusters", "most 2 KiB mbuf clusters, 0 for no limit", lambda m: 1024 + m.maxusers * 64
    ),
    "kern.ipc.nmbjumbop": _limit("nmbjumbop", "most page-sized jumbo clusters, 0 for no limit", _share(1)),
    "kern.ipc.nmbjumbo9": _limit("nmbjumbo9", "most 9 KiB jumbo clusters, 0 for no limit", _share(2)),
    "kern.ipc.nmbjumbo16": _limit("nmbjumbo16", "most 16 KiB jumbo clusters, 0 for no limit", _share(3)),
    "kern.ipc.mb_drains": _Row("calls to protocol drain routines so far", 0, lambda m: m.drain_calls),
    "security.mac.label_mbufs": _Row(
        "labels on new packet headers: 0 none, 1 all, 2 when a policy asks for them",
        2,
        lambda m: LABELS.index(m.mac.labelling),
        _set_labelling,
        lambda m: 0,
    ),
}


def names_here(arena: _native.Attachment) -> list[str]:
    """The names that this arena has."""
    return list(MBUF_TUNABLES) if _native.mbufs_there(arena) else []


def _mbufs(arena: _native.Attachment, name: str) -> "Mbufs":
    if not _native.mbufs_there(arena):
        raise KeyError(f"there is no {name!r} in arena {arena.name!r} before a process calls arena.mbufs()")
    return cast("Arena", arena).mbufs()


def get_mbuf(arena: _native.Attachment, name: str) -> int:
    """The value. Raises: KeyError: nobody made mbufs in this arena."""
    return MBUF_TUNABLES[name].get(_mbufs(arena, name))


def set_mbuf(arena: _native.Attachment, name: str, value: int | None) -> None:
    """Set it; None: to its default. Raises: InvalidArgument: out of range, or it can only be read."""
    row, mbufs = MBUF_TUNABLES[name], _mbufs(arena, name)
    if row.put is None:
        raise InvalidArgument(argument=name, value=value, allowed=f"it can only be read: {row.text}")
    if value is None:
        assert row.default is not None
        value = row.default(mbufs)
    if not 0 <= value <= row.most:
        raise InvalidArgument(argument=name, value=value, allowed=f"0 .. {row.most}")
    row.put(mbufs, value)


def describe_mbuf(arena: _native.Attachment, name: str) -> Tunable:
    """Value, default, range and meaning; what can only be read has no range but its value."""
    row, mbufs = MBUF_TUNABLES[name], _mbufs(arena, name)
    value = row.get(mbufs)
    if row.put is None or row.default is None:
        return Tunable(name, value, value, value, value, row.text)
    return Tunable(name, value, row.default(mbufs), 0, row.most, row.text)
