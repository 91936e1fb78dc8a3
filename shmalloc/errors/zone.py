"""Errors about zones, limits and callbacks. Owns the classes and their sentences."""

from dataclasses import dataclass

from shmalloc.errors.base import ShmallocError

__all__ = [
    "CallbackUnresolvable",
    "CtorFailed",
    "InitFailed",
    "TableFull",
    "ZoneBusy",
    "ZoneError",
    "ZoneExhausted",
    "ZoneGone",
    "ZoneMismatch",
    "ZoneNotFound",
]


@dataclass(eq=False, repr=False, kw_only=True)
class ZoneError(ShmallocError):
    """A zone cannot do what was asked."""

    zone: str = ""


@dataclass(eq=False, repr=False, kw_only=True)
class ZoneNotFound(ZoneError):
    """No zone of this name, and no size to make one with."""

    def __str__(self) -> str:
        return (
            f"arena {self.arena!r} has no zone {self.zone!r}; give size= to create it, or see which there are: "
            f"shmalloc stat -z {self.arena}"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ZoneMismatch(ZoneError):
    """The name is taken by a zone (or a queue) with another parameter ``field``."""

    field: str = ""
    have: object = None
    want: object = None

    def __str__(self) -> str:
        return (
            f"{self.zone!r} exists in arena {self.arena!r} with {self.field}={self.have!r}, you asked for "
            f"{self.field}={self.want!r}; use the same parameters, or another name"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ZoneExhausted(ZoneError):
    """The limit is reached and nothing was freed in the time allowed."""

    limit: int = 0
    in_use: int = 0
    waited: float | None = None
    asked: int = 1

    def __str__(self) -> str:
        if self.waited:
            why = f" and nothing was freed within {self.waited} s"
        elif self.limit and self.asked > self.limit:
            why = f", {self.asked} at once can never be had"
        else:
            why = ""
        at = f"is at its limit of {self.limit} items ({self.in_use} in use)" if self.limit else "has no free item"
        return (
            f"zone {self.zone!r} {at}{why}; raise it with zone.set_max(), free items, or see who holds them: "
            f"shmalloc stat -t {self.arena}"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ZoneBusy(ZoneError):
    """Items of the zone are still out, or another zone stands on its keg."""

    live: int = 0
    handles: tuple[int, ...] = ()

    def __str__(self) -> str:
        first = f" (the first: {', '.join(f'{h:#x}' for h in self.handles)})" if self.handles else ""
        return (
            f"zone {self.zone!r} cannot be destroyed: {self.live} of its items are live{first}; free them, or see who "
            f"holds them: shmalloc stat -t {self.arena}"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class ZoneGone(ZoneError):
    """The zone or queue behind this object was destroyed."""

    def __str__(self) -> str:
        return f"{self.zone!r} of arena {self.arena!r} was destroyed; open it again with arena.zone() or arena.queue()"


@dataclass(eq=False, repr=False, kw_only=True)
class TableFull(ZoneError):
    """The arena's table for this kind of object is full."""

    table: str = ""
    most: int = 0

    def __str__(self) -> str:
        return (
            f"arena {self.arena!r} has no place for another {self.table or 'object'} (at most {self.most}); destroy "
            f"one, or create the arena with a larger max_{self.table or 'zone'}s"
        )


@dataclass(eq=False, repr=False, kw_only=True)
class CtorFailed(ZoneError):
    """The ctor refused the item. An exception it raised is the cause of this one."""

    errno: int = 0

    def __str__(self) -> str:
        more = f": {self.detail}" if self.detail else ""
        return f"the ctor of zone {self.zone!r} refused the item with errno {self.errno}{more}; nothing was allocated"


@dataclass(eq=False, repr=False, kw_only=True)
class InitFailed(ZoneError):
    """The init of the zone or of its keg refused an item of a new slab."""

    errno: int = 0

    def __str__(self) -> str:
        more = f": {self.detail}" if self.detail else ""
        return f"the init of zone {self.zone!r} refused an item with errno {self.errno}{more}; nothing was allocated"


@dataclass(eq=False, repr=False, kw_only=True)
class CallbackUnresolvable(ZoneError):
    """A callback is not a module-level function, or cannot be imported in this process."""

    callback: str = ""

    def __str__(self) -> str:
        where = f" of zone {self.zone!r}" if self.zone else ""
        return (
            f"the callback {self.callback!r}{where} cannot be used: {self.detail or 'it cannot be imported here'}; put "
            'a module-level function in a module that every process can import, and name it "package.module:name"'
        )
