"""What a marker asks for, and what the command line and the settings ask of every test. Owns their validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

__all__ = ["KINDS", "Wishes", "wishes_of"]

KINDS = ("transient", "persistent")
_ALLOWED = ("kinds", "raises", "limit", "limit_s", "setup")


@dataclass(frozen=True, slots=True)
class Wishes:
    """points: names, globs, or "POINT=nth:ACTION"; raises: None: whatever was injected, and errors of the allocator;
    limit_s: seconds that a run may take under its fault; only: the one run (kind, n) that is done again."""

    points: tuple[str, ...]
    kinds: tuple[str, ...]
    raises: tuple[type[BaseException], ...] | None
    limit: int
    limit_s: float
    setup: bool
    only: tuple[str, int] | None


def wishes_of(marker: pytest.Mark | None, config: pytest.Config) -> Wishes:
    """Put together what is wished.

    Raises: ValueError: something that cannot be; it says what is allowed.
    """
    given: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    if unknown := sorted(given.keys() - set(_ALLOWED)):
        raise ValueError(f"the marker faults knows no {unknown[0]!r}: allowed are {', '.join(_ALLOWED)}")
    points = marker.args if marker is not None else (config.getoption("faults"),)
    if not points:
        raise ValueError('the marker faults names no point: @pytest.mark.faults("zone.*")')
    for point in points:
        if not isinstance(point, str) or not point:
            raise ValueError(f"the marker faults is given {point!r} for a point: a name, a glob, or POINT=nth:ACTION")
    kinds = config.getoption("faults_kinds") or given.get("kinds") or str(config.getini("faults_kinds"))
    limit = given.get("limit", config.getini("faults_limit"))
    return Wishes(
        points=tuple(points),
        kinds=_kinds(kinds),
        raises=_raises(given.get("raises")),
        limit=_limit(limit),
        limit_s=_limit_s(given.get("limit_s", config.getini("faults_limit_s"))),
        setup=bool(given.get("setup", False)),
        only=_only(config.getoption("faults_n")),
    )


def _kinds(words: object) -> tuple[str, ...]:
    kinds = tuple(word.strip() for word in str(words).split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"faults of a kind {kind!r} are not swept in a test: allowed are {', '.join(KINDS)}")
    return kinds


def _raises(given: object) -> tuple[type[BaseException], ...] | None:
    if given is None:
        return None
    classes = given if isinstance(given, tuple) else (given,)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise ValueError(f"the marker faults is given raises={one!r}: exception classes are allowed")
    return classes


def _limit(given: object) -> int:
    try:
        limit = int(str(given))
    except ValueError:
        limit = 0
    if limit < 1:
        raise ValueError(f"a limit of {given!r} runs: a whole number from 1 on is allowed")
    return limit


def _limit_s(given: object) -> float:
    try:
        seconds = float(str(given))
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"a limit_s of {given!r}: seconds are allowed, more than 0")
    return seconds


def _only(given: str | None) -> tuple[str, int] | None:
    if given is None:
        return None
    kind, _, n = given.partition(":")
    if kind not in KINDS or not n.isdecimal() or int(n) < 1:
        raise ValueError(f"--faults-n {given}: KIND:N is expected, such as transient:7")
    return kind, int(n)
