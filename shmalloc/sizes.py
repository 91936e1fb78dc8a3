"""Sizes as people write them: "1G", "640K", 4096. Owns the two conversions; knows nothing of arenas."""

import re

__all__ = ["parse_bytes", "show_bytes"]

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", re.IGNORECASE)


def parse_bytes(size: int | str) -> int:
    """Convert a size to bytes.

    Parameters: size: bytes, or text with a unit of 1024: "64K", "1.5G", "2 GiB".
    Returns: bytes, at least 0.
    Raises: ValueError: not a size. TypeError: neither int nor str.

    >>> parse_bytes("1.5K"), parse_bytes("2 GiB"), parse_bytes(4096)
    (1536, 2147483648, 4096)
    """
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise TypeError(f"a size is an int or text like '1G', not {type(size).__name__}")
    if isinstance(size, int):
        if size < 0:
            raise ValueError(f"a size of {size} bytes is below zero")
        return size
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError(f"{size!r} is not a size; write bytes, or a number with K, M, G or T, like '1.5G'")
    number, unit = match.groups()
    return int(float(number) * _UNITS[unit.upper()]) if "." in number else int(number) * _UNITS[unit.upper()]


def show_bytes(count: int) -> str:
    """Write a number of bytes for people.

    >>> show_bytes(1536), show_bytes(12), show_bytes(1 << 30)
    ('1.5 KiB', '12 B', '1 GiB')
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"
