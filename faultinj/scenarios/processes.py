"""Several processes: forked children that allocate, and peers whose buckets are drained."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Arena, Zone

GROUP = "process"


def _churn(ctx: Context, zone: Zone) -> None:
    for _ in range(3):
        items = zone.alloc_many(4, M_NOWAIT)
        zone.free_many(items)


@scenario(
    "process.fork", group=GROUP, covers=("Arena.ensure_cpu", "Zone.alloc"), text="a forked child allocates and frees"
)
def process_fork(ctx: Context) -> Steps:
    """The child has a CPU of its own; what failed there counts there."""
    frames = ctx.arena.zone("frame", size=200)
    ctx.uncount("frame")  # the child counts it, and its context is a copy
    yield
    ctx.fork(_churn, ctx, frames).join()


def _attached(name: str) -> None:
    with Arena.attach(name) as arena:
        arena.zone("frame", size=200).alloc(M_NOWAIT).free()


@scenario("process.attach", group=GROUP, covers=("Arena.attach",), text="another process attaches, allocates, leaves")
def process_attach(ctx: Context) -> Steps:
    """What it cached goes back when it leaves."""
    ctx.arena.zone("frame", size=200)
    ctx.uncount("frame")
    yield
    ctx.fork(_attached, ctx.name).join()


@scenario(
    "process.drain",
    group=GROUP,
    covers=("Zone.alloc_many", "Zone.set_max"),
    text="at the limit, what an idle peer has in its buckets is had",
)
def process_drain(ctx: Context) -> Steps:
    """No item of a live peer is lost on the way."""
    frames = ctx.arena.zone("drained", size=1000, max_items=12)
    with Arena.attach(ctx.name) as peer:
        theirs = peer.zone("drained", size=1000)
        theirs.free_many(theirs.alloc_many(frames.max))
        yield
        with ctx.allocating("drained"):
            items = frames.alloc_many(frames.max, M_NOWAIT)
        frames.free_many(items)
        yield
