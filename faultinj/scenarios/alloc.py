"""Allocation in all its flavours: flags, bulk, debug zones, limits with and without waiting."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOVM, M_NOWAIT, M_WAITOK, M_ZERO, ZoneExhausted

GROUP = "allocator"
_S = 0.05  # seconds that a scenario waits at a limit


@scenario("zone.alloc", group=GROUP, covers=("Zone.alloc", "Item.free"), text="one item out of an empty zone, and back")
def zone_alloc(ctx: Context) -> Steps:
    """The first item of a zone needs everything: a bucket, a slab, pages."""
    frames = ctx.arena.zone("frame", size=256)
    yield
    with ctx.allocating("frame"):
        item = frames.alloc(M_NOWAIT)
    item.free()


@scenario(
    "zone.alloc.waitok", group=GROUP, covers=("Zone.alloc",), text="M_WAITOK with M_ZERO, and the drop of the item"
)
def zone_alloc_waitok(ctx: Context) -> Steps:
    """Not even M_WAITOK waits for what will not come."""
    frames = ctx.arena.zone("frame", size=3000)
    yield
    with ctx.allocating("frame"):
        item = frames.alloc(M_WAITOK | M_ZERO, timeout=_S)
    del item


@scenario("zone.alloc.warm", group=GROUP, covers=("Zone.alloc",), text="an item out of a full bucket, a hundred times")
def zone_alloc_warm(ctx: Context) -> Steps:
    """The fast path when a hook is armed."""
    frames = ctx.arena.zone("frame", size=100)
    frames.free_many(frames.alloc_many(30))
    yield
    for _ in range(5):
        with ctx.allocating("frame"):
            item = frames.alloc(M_NOWAIT)
        item.free()


@scenario("zone.alloc.novm", group=GROUP, covers=("Zone.alloc",), text="M_NOVM: no new slab")
def zone_alloc_novm(ctx: Context) -> Steps:
    """Takes what is there already."""
    frames = ctx.arena.zone("frame", size=100)
    frames.prealloc(4)
    yield
    with ctx.allocating("frame"):
        item = frames.alloc(M_NOWAIT | M_NOVM)
    item.free()


@scenario(
    "zone.alloc_many",
    group=GROUP,
    covers=("Zone.alloc_many", "Zone.free_many"),
    text="many items in one call, all or none, over several slabs",
)
def zone_alloc_many(ctx: Context) -> Steps:
    """All or none: what was taken before the failure is back."""
    frames = ctx.arena.zone("frame", size=700)
    yield
    with ctx.allocating("frame"):
        items = frames.alloc_many(40, M_NOWAIT)
    frames.free_many(items)


@scenario("zone.alloc.nobucket", group=GROUP, covers=("Zone.alloc",), text="items without buckets, off-page slabs")
def zone_alloc_nobucket(ctx: Context) -> Steps:
    """Every free goes to its slab, and to the page allocator with the last."""
    frames = ctx.arena.zone("bare", size=2048, nobucket=True, offpage=True)
    yield
    held = []
    for _ in range(3):
        with ctx.allocating("bare"):
            held.append(frames.alloc(M_NOWAIT))
    for item in held:
        item.free()


@scenario("zone.alloc.debug", group=GROUP, covers=("Zone.alloc",), text="a debug zone: trash fill and redzones, traced")
def zone_alloc_debug(ctx: Context) -> Steps:
    """A refused item is filled again before anybody else gets it."""
    frames = ctx.arena.zone("debug", size=120, trash=True, redzone=True, trace=True)
    yield
    for _ in range(2):
        with ctx.allocating("debug"):
            item = frames.alloc(M_NOWAIT)
        item.write(b"some bytes")
        item.free()


@scenario("zone.alloc.keep", group=GROUP, covers=("Zone.alloc", "Arena.adopt"), text="items that outlive their process")
def zone_alloc_keep(ctx: Context) -> Steps:
    """Kept items are adopted, or lost to nobody."""
    frames = ctx.arena.zone("kept", size=120, keep=True)
    yield
    with ctx.allocating("kept"):
        item = frames.alloc(M_NOWAIT)
    item.free()


@scenario(
    "zone.limit",
    group=GROUP,
    covers=("Zone.alloc", "Zone.set_max"),
    errors=("SM_LIMIT",),
    text="a zone at its limit refuses, at once and after a time",
)
def zone_limit(ctx: Context) -> Steps:
    """Both kinds of refusal count one fail each."""
    frames = ctx.arena.zone("few", size=1000, max_items=4, maxaction="faultinj.scenarios.zones:at_limit")
    yield
    with ctx.allocating("few"):
        held = frames.alloc_many(frames.max, M_NOWAIT)
    try:
        for flags, timeout in ((M_NOWAIT, None), (M_WAITOK, 0.001)):
            try:
                with ctx.allocating("few"):
                    extra = frames.alloc(flags, timeout=timeout)
                extra.free()
            except ZoneExhausted:
                continue
    finally:
        frames.free_many(held)
