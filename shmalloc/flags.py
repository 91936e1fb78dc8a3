"""The plain ints of the API: allocation flags, reclaim levels, zone flags. Owns nothing: the values are the core's."""

from typing import Final

from shmalloc import _native

__all__ = [
    "M_NOVM",
    "M_NOWAIT",
    "M_USE_RESERVE",
    "M_WAITOK",
    "M_ZERO",
    "RECLAIM_DRAIN",
    "RECLAIM_DRAIN_CPU",
    "RECLAIM_TRIM",
    "ZONE_FLAGS",
]

_OFFERED = _native.offered()

M_NOWAIT: Final[int] = _OFFERED["M_NOWAIT"]
M_WAITOK: Final[int] = _OFFERED["M_WAITOK"]
M_ZERO: Final[int] = _OFFERED["M_ZERO"]
M_NOVM: Final[int] = _OFFERED["M_NOVM"]
M_USE_RESERVE: Final[int] = _OFFERED["M_USE_RESERVE"]

RECLAIM_TRIM: Final[int] = _OFFERED["RECLAIM_TRIM"]
RECLAIM_DRAIN: Final[int] = _OFFERED["RECLAIM_DRAIN"]
RECLAIM_DRAIN_CPU: Final[int] = _OFFERED["RECLAIM_DRAIN_CPU"]

# Keyword of arena.zone() -> bit of the zone's flags.
ZONE_FLAGS: Final[dict[str, int]] = {
    "refcnt": _OFFERED["ZONE_REFCNT"],
    "nobucket": _OFFERED["ZONE_NOBUCKET"],
    "maxbucket": _OFFERED["ZONE_MAXBUCKET"],
    "offpage": _OFFERED["ZONE_OFFPAGE"],
    "nofree": _OFFERED["ZONE_NOFREE"],
    "trash": _OFFERED["ZONE_TRASH"],
    "redzone": _OFFERED["ZONE_REDZONE"],
    "keep": _OFFERED["ZONE_KEEP"],
    "zero_init": _OFFERED["ZONE_ZINIT"],
    "trace": _OFFERED["ZONE_TRACE"],
}
