"""Findings that a workload is there to provoke: under witness they are told, and are no findings of the run.

Owns the plain description only. Must not import witness: every worker process imports this.
"""

from __future__ import annotations

from typing import NamedTuple


class IntendedSleep(NamedTuple):
    """A sleep under a lock: M_WAITOK of this zone with exactly this lock held."""

    lock: str
    zone: str


class IntendedReversal(NamedTuple):
    """A lock-order reversal of exactly these locks."""

    locks: frozenset[str]


Intended = IntendedSleep | IntendedReversal
