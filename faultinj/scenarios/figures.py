"""Looking and tuning: statistics, who, check, sysctl, events. Nothing of it may disturb anybody."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario

GROUP = "figures"


@scenario(
    "figures.all",
    group=GROUP,
    covers=(
        "Arena.check",
        "Arena.statistics",
        "Arena.zone_statistics",
        "Arena.queue_statistics",
        "Arena.cpus",
        "Arena.malloc_types",
        "Arena.mbuf_statistics",
        "Arena.who",
        "Arena.who_items",
        "Arena.events",
        "Arena.recoveries",
        "Zone.statistics",
    ),
    text="every figure is read, and the invariants are checked, while items are out",
)
def figures_all(ctx: Context) -> Steps:
    """Figures that cannot be exact now are an error, not a guess."""
    arena = ctx.arena
    frames = arena.zone("frame", size=100)
    queue = arena.queue("work", depth=4)
    yield
    with ctx.allocating("frame"):
        items = frames.alloc_many(3)
    assert arena.check().ok
    arena.statistics()
    arena.zone_statistics()
    arena.zone_statistics(internal=True)
    arena.queue_statistics()
    queue.statistics()
    arena.cpus()
    arena.malloc_types()
    arena.mbuf_statistics()
    arena.who()
    arena.who_items(zone="frame")
    arena.events()
    arena.recoveries()
    frames.statistics()
    frames.cpu_statistics()
    frames.free_many(items)


@scenario(
    "figures.sysctl",
    group=GROUP,
    covers=("Arena.sysctl", "Sysctl.__getitem__", "Sysctl.__setitem__", "Sysctl.__delitem__", "Sysctl.describe"),
    text="tunables are read, set and set back",
)
def figures_sysctl(ctx: Context) -> Steps:
    """Every process sees the new value, or the old one."""
    tunables = ctx.arena.sysctl
    frames = ctx.arena.zone("frame", size=100)
    yield
    before = tunables["vm.uma.warn_s"]
    tunables["vm.uma.warn_s"] = 60
    tunables.describe("vm.uma.warn_s")
    del tunables["vm.uma.warn_s"]
    assert tunables["vm.uma.warn_s"] == before
    list(tunables)
    with ctx.allocating("frame"):
        item = frames.alloc()
    item.free()
