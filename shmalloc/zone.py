"""Zones: items of one size with their ctors and limits. Owns the opening of zones; the calls themselves are native.

A zone stands on a keg, which cuts slabs into items; a secondary zone shares the keg of its master and adds callbacks of
its own. After UMA's zone(9).
"""

from typing import TYPE_CHECKING

from shmalloc import _native
from shmalloc.callbacks import Callback, name_callback
from shmalloc.errors import InvalidArgument, ZoneMismatch
from shmalloc.flags import ZONE_FLAGS

if TYPE_CHECKING:
    from shmalloc.arena import Arena

__all__ = ["SecondaryZone", "Zone", "open_zone"]

_SIZE_MOST = 1 << 31
_ALIGN_MOST = 4096
_MISMATCH_ORDER = ("ctor", "dtor", "init", "fini")


class Zone(_native.Zone):
    """Items of one size in an arena; made by ``arena.zone(name, size=...)``.

    Concurrency: any process opens it by name; its callbacks run in the process that allocates or frees.
    Source: UMA's uma_zone.

    >>> with shmalloc.Arena.create(name) as arena:
    ...     frames = arena.zone("frame", size=1000, max_items=8)
    ...     items = frames.alloc_many(3)
    ...     frames.free_many(items)
    ...     frames.statistics().frees
    3
    """

    __slots__ = ()

    def secondary(
        self,
        name: str,
        *,
        ctor: Callback | None = None,
        dtor: Callback | None = None,
        init: Callback | None = None,
        fini: Callback | None = None,
    ) -> "SecondaryZone":
        """Open or create a zone on this zone's keg: the same items, other callbacks.

        Returns: SecondaryZone; limits of the keg hold for both. Raises: ZoneMismatch, NameTooLong, TableFull.
        Source: UMA uma_zsecond_create.
        """
        names = _callback_names(name, ctor=ctor, dtor=dtor, init=init, fini=fini)
        zone, _ = _opened(self.arena, name, None, 0, 0, names, self.name)
        if not isinstance(zone, SecondaryZone):
            raise ZoneMismatch(arena=self.arena.name, zone=name, field="master", have=None, want=self.name)
        return zone


class SecondaryZone(Zone):
    """A zone that shares the keg of its master zone. Source: UMA uma_zsecond_create."""

    __slots__ = ()

    @property
    def master(self) -> str:
        """Name of the zone whose keg it shares."""
        return self.statistics().master


def _callback_names(zone: str, **callbacks: Callback | None) -> tuple[str, str, str, str, str]:
    """The five names in the order of the core's slots; maxaction is set afterwards."""
    ctor, dtor, init, fini = (
        "" if callbacks[slot] is None else name_callback(slot, callbacks[slot], zone) for slot in _MISMATCH_ORDER
    )
    return ctor, dtor, init, fini, ""


def _opened(
    arena: "Arena",
    name: str,
    size: int | None,
    align: int,
    flags: int,
    callbacks: tuple[str, str, str, str, str],
    master: str | None,
) -> tuple[Zone, bool]:
    zone, created = _native.zone_open(arena, name, size, align, flags, callbacks, master)
    assert isinstance(zone, Zone)
    return zone, created


def open_zone(
    arena: "Arena",
    name: str,
    *,
    size: int | None,
    align: int,
    max_items: int | None,
    callbacks: dict[str, Callback | None],
    flags: dict[str, bool],
    reserve: int,
    prealloc: int,
    warning: str | None,
    maxaction: Callback | None,
) -> Zone:
    """What ``arena.zone`` does: validate, open or create, and set the limits of a zone just created."""
    names = _callback_names(name, **callbacks)
    bits = sum(ZONE_FLAGS[flag] for flag, wanted in flags.items() if wanted)
    if size is None:
        zone, _ = _opened(arena, name, None, 0, 0, names, None)
        return zone
    _check_int("size", size, 1, _SIZE_MOST)
    _check_int("align", align, 0, _ALIGN_MOST)
    if align & (align - 1):
        raise InvalidArgument(argument="align", value=align, allowed=f"0, or a power of two up to {_ALIGN_MOST}")
    for what, count in (("max_items", max_items or 0), ("reserve", reserve), ("prealloc", prealloc)):
        _check_int(what, count, 0, 1 << 48)
    zone, created = _opened(arena, name, size, align, bits, names, None)
    if created:
        if max_items:
            zone.set_max(max_items)
        if warning is not None:
            zone.set_warning(warning)
        if maxaction is not None:
            zone.set_maxaction(maxaction)
        if reserve:
            zone.reserve(reserve)
        if prealloc:
            zone.prealloc(prealloc)
    return zone


def _check_int(argument: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} is an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise InvalidArgument(argument=argument, value=value, allowed=f"{least} .. {most}")
