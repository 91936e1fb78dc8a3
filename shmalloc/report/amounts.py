"""Numbers as people read them: bytes, counts, ages. Pure functions."""

from __future__ import annotations

_BYTE_UNITS = ("B", "K", "M", "G", "T", "P", "E")
_COUNT_UNITS = ("", "k", "M", "G", "T", "P", "E")


def human_bytes(count: int) -> str:
    """A size in at most six characters: 512B, 2K, 1.5M, 64G. Units are powers of 1024."""
    return _scaled(count, 1024, _BYTE_UNITS)


def human_count(count: int) -> str:
    """A count in at most six characters: 999, 1.2k, 48M. Units are powers of 1000."""
    return _scaled(count, 1000, _COUNT_UNITS)


def _scaled(count: int, base: int, units: tuple[str, ...]) -> str:
    sign, left, unit = ("-" if count < 0 else ""), float(abs(count)), 0
    while left >= base and unit < len(units) - 1:
        left /= base
        unit += 1
    # What rounds up to the next unit is written in it: 1023.99K is 1M.
    if unit < len(units) - 1 and round(left, 1) >= base:
        left, unit = left / base, unit + 1
    text = f"{left:.1f}" if left < 100 and unit else f"{left:.0f}"
    return f"{sign}{text.removesuffix('.0')}{units[unit]}"


def counted(count: int, one: str, several: str = "") -> str:
    """A count with its noun: 1 order, 2 orders, 3 lock classes."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def age(seconds: float) -> str:
    """How long ago, in its two largest units: 7s, 3m20s, 5h02m, 12d4h. Never negative: clocks may disagree."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def kilobytes(count: int) -> str:
    """Bytes in K, rounded up, as vmstat -m prints them."""
    return f"{-(-count // 1024)}K"
