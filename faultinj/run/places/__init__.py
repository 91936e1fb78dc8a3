"""The catalogue: where an unmodified Python program can be made to fail, one file a group of places.

Owns the list, and the declaring of its points. Must not put anything in its place: that is ``wrap``.
"""

from collections.abc import Sequence
from typing import cast

from faultinj.declared import enter
from faultinj.plan import matching
from faultinj.run.places.files import FILES
from faultinj.run.places.interpreter import INTERPRETER
from faultinj.run.places.paths import PATHS
from faultinj.run.places.place import Place, SystemPoint
from faultinj.run.places.processes import PROCESSES
from faultinj.run.places.sockets import SOCKETS

__all__ = ["PLACES", "Place", "SystemPoint", "chosen", "deadly", "declare_places"]

PLACES: tuple[Place, ...] = (*FILES, *PATHS, *PROCESSES, *SOCKETS, *INTERPRETER)


_ALONE = frozenset(place.name for place in PLACES if place.alone)
_LOOKING = frozenset(place.name for place in PLACES if place.looks)


def chosen(glob: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that a glob means in a sweep: all that match, but "*" leaves out what is reached thousands of
    times."""
    return _but(_ALONE, glob, names)


def deadly(glob: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those before which a sweep has the process die: "*" leaves out calls that only look, since what they find is
    there before the next call that changes something, too."""
    return _but(_ALONE | _LOOKING, glob, names)


def _but(left_out: frozenset[str], glob: str, names: Sequence[str]) -> tuple[str, ...]:
    found = matching(glob, names)
    return tuple(name for name in found if name not in left_out) if glob == "*" else found


def declare_places() -> dict[str, SystemPoint]:
    """Declare every place in this process. Returns: the points by name."""
    return {place.name: cast(SystemPoint, enter(SystemPoint(place))) for place in PLACES}
