"""Zones whose items are prepared by functions: ctor, dtor, init, fini, in balance whatever fails.

The functions count their calls in this process, and the scenario promises that what was begun was ended: every init has
its fini once all is reclaimed, every ctor its dtor once all is freed.
"""

from collections import Counter

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, RECLAIM_DRAIN, RECLAIM_DRAIN_CPU, CtorFailed, InitFailed

GROUP = "callback"

CALLS: Counter[str] = Counter()
"""Calls of each function in this process since a scenario cleared them; only those that succeeded."""


def ctor(mem: memoryview, size: int, arg: object, how: int) -> None:
    """Counts, and marks the item."""
    mem[0] = 1
    CALLS["ctor"] += 1


def dtor(mem: memoryview, size: int, arg: object) -> None:
    """Counts."""
    CALLS["dtor"] += 1


def init(mem: memoryview, size: int, how: int) -> None:
    """Counts, and marks the item."""
    mem[size - 1] = 2
    CALLS["init"] += 1


def fini(mem: memoryview, size: int) -> None:
    """Counts."""
    CALLS["fini"] += 1


def refusing_ctor(mem: memoryview, size: int, arg: object, how: int) -> int:
    """Refuses with EPERM."""
    return 1


def refusing_init(mem: memoryview, size: int, how: int) -> int:
    """Refuses every fourth item, with ENOMEM; counts the others."""
    CALLS["asked"] += 1
    if CALLS["asked"] % 4 == 0:
        return 12
    CALLS["init"] += 1
    return 0


def _balanced() -> str | None:
    if CALLS["ctor"] != CALLS["dtor"]:
        return f"{CALLS['ctor']} ctors ran and {CALLS['dtor']} dtors, although nothing is out"
    if CALLS["init"] != CALLS["fini"]:
        return f"{CALLS['init']} inits ran and {CALLS['fini']} finis, although everything was reclaimed"
    return None


def _watched(ctx: Context) -> None:
    CALLS.clear()
    ctx.promise(_balanced)


@scenario(
    "callback.all",
    group=GROUP,
    covers=("Arena.zone", "Zone.alloc_many", "Zone.reclaim"),
    text="a zone with all four functions: filled, freed, reclaimed",
)
def callback_all(ctx: Context) -> Steps:
    """A failed init unwinds its slab in reverse; a failed ctor skips the dtor."""
    made = ctx.arena.zone("made", size=900, ctor=ctor, dtor=dtor, init=init, fini=fini)
    ctx.arena.reclaim(RECLAIM_DRAIN_CPU)
    _watched(ctx)
    yield
    with ctx.allocating("made"):
        items = made.alloc_many(6, M_NOWAIT)
    made.free_many(items)
    made.reclaim(RECLAIM_DRAIN)


@scenario(
    "callback.secondary",
    group=GROUP,
    covers=("Zone.secondary", "SecondaryZone.alloc"),
    text="a secondary zone's own functions, between keg and zone",
)
def callback_secondary(ctx: Context) -> Steps:
    """A failed zone init cuts the fill short; the raw items go back."""
    frames = ctx.arena.zone("frame", size=900)
    second = frames.secondary("dressed", ctor=ctor, dtor=dtor, init=init, fini=fini)
    ctx.arena.reclaim(RECLAIM_DRAIN_CPU)
    _watched(ctx)
    yield
    with ctx.allocating("dressed"):
        item = second.alloc(M_NOWAIT)
    item.free()


@scenario(
    "callback.refuses",
    group=GROUP,
    covers=("Zone.alloc",),
    errors=("SM_CTOR_FAILED", "SM_INIT_FAILED"),
    text="a ctor and an init that refuse by themselves",
)
def callback_refuses(ctx: Context) -> Steps:
    """A fault on top of a refusal is still one fail."""
    refused = ctx.arena.zone("refused", size=900, ctor=refusing_ctor, init=init, fini=fini)
    picky = ctx.arena.zone("picky", size=900, init=refusing_init, fini=fini)
    ctx.arena.reclaim(RECLAIM_DRAIN_CPU)
    _watched(ctx)
    yield
    for zone, why in ((refused, CtorFailed), (picky, InitFailed)):
        try:
            with ctx.allocating(zone.name):
                item = zone.alloc(M_NOWAIT)
            item.free()
        except why:
            continue


@scenario(
    "callback.none",
    group=GROUP,
    covers=("Zone.alloc",),
    text="the points of ctor and init, where there is none: they can refuse all the same",
)
def callback_none(ctx: Context) -> Steps:
    """A refused item is no leak, in a zone that counts references."""
    plain = ctx.arena.zone("plain", size=900, refcnt=True, zero_init=True)
    yield
    with ctx.allocating("plain"):
        items = plain.alloc_many(5, M_NOWAIT)
    plain.free_many(items)
