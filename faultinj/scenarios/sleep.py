"""Sleeping at a limit: whoever frees, in whatever way, wakes the sleeper, and so does whoever buries the freer.

The parent sleeps, because a killed child is recovered by those who live. Which point is the n-th does not depend on how
the two are scheduled: the child frees an item only when its parent sleeps in the kernel, and the others when its parent
is done.
"""

import os

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, M_WAITOK, Zone

GROUP = "allocator"

_TOLD = -1  # where a process that is about to sleep says so


def at_limit(zone: str) -> None:
    """The maxaction of these scenarios: the last thing that a process does before it registers as a sleeper."""
    if _TOLD >= 0:
        os.write(_TOLD, b"s")


def _asleep(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def _free_for(ctx: Context, zone: Zone, holds: int, sleeper: int, ends: tuple[int, ...]) -> None:
    """Take all there is, and free one when the parent sleeps or has given up; the rest when it is done."""
    global _TOLD
    _TOLD = -1
    for end in ends:
        os.close(end)
    items = zone.alloc_many(zone.max, M_NOWAIT)
    os.write(holds, b"h")
    if os.read(sleeper, 1):
        while not _asleep(os.getppid()):
            os.sched_yield()
        items.pop().free()
        os.read(sleeper, 1)
    for item in items:
        item.free()


@scenario(
    "zone.limit.sleep",
    group=GROUP,
    covers=("Zone.alloc",),
    limit_s=5.0,
    text="M_WAITOK without a time: asleep at the limit until another process frees",
)
def zone_limit_sleep(ctx: Context) -> Steps:
    """A free that lost a lock, and a death, wake as a free does."""
    global _TOLD
    few = ctx.arena.zone("few", size=1000, max_items=4, maxaction="faultinj.scenarios.sleep:at_limit")
    ctx.uncount("few")  # the child's fails are its own
    holding, holds = os.pipe()
    sleeper, sleeps = os.pipe()
    yield
    child = ctx.fork(_free_for, ctx, few, holds, sleeper, (holding, sleeps))
    os.close(holds)
    os.close(sleeper)
    try:
        if os.read(holding, 1):
            _TOLD = sleeps
            few.alloc(M_WAITOK).free()
    finally:
        _TOLD = -1
        os.close(sleeps)
        os.close(holding)
        child.join()
