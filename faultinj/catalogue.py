"""The core's fault points as records. Owns nothing: the catalogue is compiled into the core."""

from dataclasses import dataclass

from shmalloc import _native

__all__ = ["FaultPoint", "points"]


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """One place where a failure can be injected.

    ``error`` is the name of the code that the place reports when it really fails, such as ``SM_NO_MEMORY``; of a point
    that a Python program declared, the name of its exception.
    """

    name: str
    error: str
    text: str


def points() -> tuple[FaultPoint, ...]:
    """List the core's fault points.

    Returns: a record for each point, in the order of the catalogue, which only ever grows at its end.
    Source: SM_FAULT_POINTS in shmalloc/core/hooks.h.
    """
    return tuple(FaultPoint(name, error, text) for name, error, text in _native.fault_points())
