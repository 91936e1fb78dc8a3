"""The marker `@pytest.mark.witness(...)`: which arguments it has, and what they mean. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

__all__ = ["ALLOWED", "Wishes", "wishes_of"]

ALLOWED = 'ignore="reason", order=("a", "b"), blocking=True, off=True'


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the markers of a test ask for. `ignore`: why findings do not fail it; `orders`: each outermost first."""

    ignore: str | None = None
    orders: tuple[tuple[str, ...], ...] = ()
    blocking: bool = False
    off: bool = False


def wishes_of(marks: Iterable[pytest.Mark]) -> Wishes:
    """Read markers, the nearest first; of `ignore` the nearest counts, everything else adds up.

    Raises: ValueError: an argument that there is not, or a wrong value; says which are allowed.
    """
    found = Wishes()
    for mark in marks:
        if mark.args:
            raise _wrong(f"{mark.args[0]!r} has no name")
        if not mark.kwargs:
            raise _wrong("it has no argument")
        for name, value in mark.kwargs.items():
            found = _with(found, name, value)
    return found


def _with(found: Wishes, name: str, value: object) -> Wishes:
    if name == "ignore":
        if not isinstance(value, str) or not value.strip():
            raise _wrong(f"ignore={value!r} gives no reason")
        return found if found.ignore is not None else replace(found, ignore=value)
    if name == "order":
        if (
            not isinstance(value, tuple | list)
            or len(value) < 2
            or not all(isinstance(one, str) and one for one in value)
        ):
            raise _wrong(f"order={value!r} is no tuple of two names or more")
        return replace(found, orders=(*found.orders, tuple(value)))
    if name in ("blocking", "off"):
        if value is not True:
            raise _wrong(f"{name}={value!r} is not True")
        return replace(found, blocking=found.blocking or name == "blocking", off=found.off or name == "off")
    raise _wrong(f"{name!r} is unknown")


def _wrong(what: str) -> ValueError:
    return ValueError(f"the marker witness is wrong: {what}; allowed are {ALLOWED}")
