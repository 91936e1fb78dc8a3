"""malloc(9): size classes, page runs, types."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, M_WAITOK, M_ZERO

GROUP = "malloc"


@scenario(
    "malloc.small",
    group=GROUP,
    covers=("Arena.malloc", "Arena.malloc_types"),
    text="small sizes, each of another class, of two types",
)
def malloc_small(ctx: Context) -> Steps:
    """The type counts what failed, too."""
    arena = ctx.arena
    yield
    held = []
    for size in (16, 100, 1000, 4000):
        with ctx.mallocating("sweep"):
            held.append(arena.malloc(size, type="sweep", flags=M_NOWAIT))
    with ctx.mallocating("other"):
        held.append(arena.malloc(48, type="other", flags=M_WAITOK | M_ZERO, timeout=0.05))
    for item in held:
        item.free()
    arena.malloc_types()


@scenario("malloc.large", group=GROUP, covers=("Arena.malloc",), text="sizes beyond the classes: runs of pages")
def malloc_large(ctx: Context) -> Steps:
    """A run of pages is an item like any other."""
    arena = ctx.arena
    yield
    held = []
    for size in (70_000, 300_001):
        with ctx.mallocating("large"):
            held.append(arena.malloc(size, type="large", flags=M_NOWAIT))
    for item in held:
        item.free()


@scenario(
    "malloc.realloc",
    group=GROUP,
    covers=("Arena.malloc",),
    text="grown by allocating, copying and freeing: whatever fails, one of the two is held",
)
def malloc_realloc(ctx: Context) -> Steps:
    """The old one is good until the new one is."""
    arena = ctx.arena
    yield
    with ctx.mallocating("grows"):
        item = arena.malloc(20, type="grows", flags=M_NOWAIT)
    try:
        for size in (200, 2000, 20_000):
            with ctx.mallocating("grows"):
                larger = arena.malloc(size, type="grows", flags=M_NOWAIT)
            larger.write(item.read())
            item.free()
            item = larger
    finally:
        item.free()
