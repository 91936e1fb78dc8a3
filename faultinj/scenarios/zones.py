"""Zones: made with every option, opened again, limited, reserved, destroyed."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, M_USE_RESERVE, ZoneNotFound

GROUP = "zone"


def at_limit(zone: str) -> None:
    """The maxaction of these scenarios: nothing, in every process."""


def _absent(ctx: Context, *names: str) -> None:
    for name in names:
        if name in ctx.arena.zone_names():
            ctx.arena.zone(name).destroy()


@scenario(
    "zone.create",
    group=GROUP,
    covers=("Arena.zone", "Zone.destroy"),
    text="zones with each option are made and destroyed",
)
def zone_create(ctx: Context) -> Steps:
    """A zone that could not be made leaves no entry of any table."""
    options: list[dict[str, object]] = [
        {},
        {"align": 64, "nobucket": True},
        {"refcnt": True, "offpage": True},
        {"trash": True, "redzone": True, "zero_init": True},
        {"keep": True, "maxbucket": True},
        {"trace": True},
    ]
    names = [f"made{place}" for place in range(len(options))]
    _absent(ctx, *names)
    yield
    for name, option in zip(names, options, strict=True):
        zone = ctx.arena.zone(name, size=200, **option)  # type: ignore[arg-type]
        zone.destroy()


@scenario(
    "zone.open",
    group=GROUP,
    covers=("Arena.zone", "Arena.zones", "Arena.zone_names", "Zone.statistics", "Zone.cpu_statistics"),
    text="a zone that is there is opened and looked at; one that is not is refused",
)
def zone_open(ctx: Context) -> Steps:
    """Opening changes nothing."""
    ctx.arena.zone("frame", size=64)
    yield
    zone = ctx.arena.zone("frame", size=64)
    zone.statistics()
    zone.cpu_statistics()
    ctx.arena.zones()
    try:
        ctx.arena.zone("nowhere")
    except ZoneNotFound:
        ctx.arena.zone_names()


@scenario(
    "zone.limits",
    group=GROUP,
    covers=("Zone.set_max", "Zone.set_maxcache", "Zone.set_warning", "Zone.set_maxaction", "Arena.events"),
    text="the limits of a zone are set and lifted",
)
def zone_limits(ctx: Context) -> Steps:
    """A limit that was not set is the old one."""
    frames = ctx.arena.zone("frame", size=200)
    yield
    frames.set_max(40)
    frames.set_maxcache(10)
    frames.set_warning("the frames are out")
    frames.set_maxaction(at_limit)
    frames.set_maxaction(None)
    frames.set_warning(None)
    frames.set_maxcache(1 << 20)
    frames.set_max(0)
    ctx.arena.events()


@scenario(
    "zone.reserve",
    group=GROUP,
    covers=("Zone.reserve", "Zone.prealloc", "Zone.alloc"),
    text="items are kept in reserve, and taken from there",
)
def zone_reserve(ctx: Context) -> Steps:
    """A reserve that could not be filled is no reserve."""
    _absent(ctx, "reserved")
    reserved = ctx.arena.zone("reserved", size=300)
    yield
    reserved.prealloc(8)
    reserved.reserve(20)
    with ctx.allocating("reserved"):
        item = reserved.alloc(M_NOWAIT | M_USE_RESERVE)
    item.free()
    reserved.reserve(0)
    yield
    reserved.destroy()


@scenario(
    "zone.create.limited",
    group=GROUP,
    covers=("Arena.zone",),
    text="a zone is made with its limit, reserve, items and warning at once",
)
def zone_create_limited(ctx: Context) -> Steps:
    """A zone that was made but could not be filled is there, and can be opened again."""
    _absent(ctx, "whole")
    yield
    zone = ctx.arena.zone("whole", size=100, max_items=200, reserve=10, prealloc=40, warning="full", maxaction=at_limit)
    zone.destroy()


@scenario(
    "zone.secondary",
    group=GROUP,
    covers=("Zone.secondary", "SecondaryZone.alloc", "SecondaryZone.destroy"),
    text="a zone on another's keg is made, used and destroyed",
)
def zone_secondary(ctx: Context) -> Steps:
    """Its raw items go back to the keg on every path."""
    _absent(ctx, "second")
    frames = ctx.arena.zone("frame", size=200)
    yield
    second = frames.secondary(
        "second", init="faultinj.scenarios.callbacks:init", fini="faultinj.scenarios.callbacks:fini"
    )
    with ctx.allocating("second"):
        items = second.alloc_many(12, M_NOWAIT)
    second.free_many(items)
    second.destroy()
