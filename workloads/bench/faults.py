"""What is built and set up to measure fault points, in C and in Python, beside libfiu. Runs nothing."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workloads.bench.build import Unavailable, build_program, core_sources

__all__ = ["armed_points", "fault_program", "fiu_program", "unarmed_points"]


def fault_program(cache: Path, *, without_points: bool = False) -> Path:
    """ours_fault.c with the fault injector's C; without_points: the core's points compiled out, see core/arena.h.

    Raises Unavailable: the installation came without the sources of one of the two.
    """
    root = core_sources()[0].parent.parent
    sources = sorted((root / "faultinj" / "core").glob("*.c"))
    if not sources:
        raise Unavailable("faultinj's C sources are not in this installation: run from a checkout (pip install -e .)")
    flags = (f"-I{root}", *(("-DSM_NO_PROBES",) if without_points else ()))
    return build_program("ours_fault.c", cache=cache, flags=flags, also=sources, with_core=True)


def fiu_program(cache: Path) -> Path:
    """peer_fiu.c. Raises Unavailable: libfiu is not installed."""
    if not any(Path(place, "fiu.h").is_file() for place in ("/usr/include", "/usr/local/include")):
        raise Unavailable("not installed: apt package libfiu-dev")
    return build_program("peer_fiu.c", cache=cache, libraries=("-lfiu", "-ldl"))


def unarmed_points(stack: ExitStack) -> dict[str, Any]:
    """A declared point while no block is in use, and an empty function to hold it against."""
    import faultinj

    def empty() -> None:
        """What a call costs."""

    return {"point": faultinj.point("bench.point"), "empty": empty}


def armed_points(stack: ExitStack) -> dict[str, Any]:
    """Points of a block that is not put in use, which would arm the arenas of the other statements: one with nothing
    set, one whose program does not happen yet."""
    from faultinj import Block
    from faultinj.guard import set_program

    block = Block.anonymous()
    names = {"reach": block.reach, "idle": block.point("bench.idle"), "armed": block.point("bench.armed")}
    set_program("bench.armed", "nth(1000000000000):return", where=block)
    return names
