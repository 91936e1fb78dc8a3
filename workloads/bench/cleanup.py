"""Objects that peers leave in /dev/shm. Owns their removal, and touches only names made by this process for a run."""

from __future__ import annotations

from pathlib import Path

SHM = Path("/dev/shm")


def remove_objects(mark: str) -> list[str]:
    """Unlinks every object whose name contains mark, which must be unique to the run. Returns their names.

    Raises ValueError: the mark is too short to be one run's own.
    """
    if len(mark) < 8:
        raise ValueError(f"{mark!r} is too short to tell one run's objects from others")
    gone = []
    for path in SHM.glob(f"*{mark}*"):
        path.unlink(missing_ok=True)
        gone.append(path.name)
    return gone
