"""Arenas: made, attached to, closed, unlinked, dumped."""

import os
import tempfile

from faultinj.sweep.context import GEOMETRY, Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import RECLAIM_DRAIN, RECLAIM_DRAIN_CPU, RECLAIM_TRIM, Arena
from shmalloc.naming import unlink_object

GROUP = "arena"


def _absent(name: str) -> str:
    unlink_object(name, missing_ok=True)
    return name


@scenario(
    "arena.create",
    group=GROUP,
    covers=("Arena.create", "Arena.close", "Arena.unlink", "Arena.__enter__", "Arena.__exit__"),
    errors=("SM_UNSUPPORTED",),
    text="an arena is made and unlinked",
)
def arena_create(ctx: Context) -> Steps:
    """Nothing of it is left when it fails."""
    name = _absent(ctx.other_name())
    yield
    with Arena.create(name, **GEOMETRY) as arena:
        arena.unlink()


@scenario(
    "arena.create.fenced",
    group=GROUP,
    covers=("Arena.create",),
    text="an arena without membarrier(2), traced, that goes with its last user",
)
def arena_create_fenced(ctx: Context) -> Steps:
    """The other way of ordering, and of removing."""
    name = _absent(ctx.other_name())
    yield
    with Arena.create(name, fenced=True, trace=True, unlink_on_last_close=True, **GEOMETRY) as arena:
        arena.zone("frame", size=64).alloc().free()


@scenario("arena.attach", group=GROUP, covers=("Arena.attach",), text="an arena that is there is attached to")
def arena_attach(ctx: Context) -> Steps:
    """Fails before anything in it was touched."""
    name = ctx.arena.name
    yield
    with Arena.attach(name, cpu_name="sweep") as again:
        frames = again.zone("frame", size=64)
        with ctx.allocating("frame"):
            item = frames.alloc()
        item.free()


@scenario(
    "arena.attach.look",
    group=GROUP,
    covers=("Arena.attach", "Arena.attach_file", "Arena.dump"),
    text="an arena is looked at read-only, and dumped, and the dump is looked at",
)
def arena_look(ctx: Context) -> Steps:
    """A dump that fails leaves no file."""
    frames = ctx.arena.zone("frame", size=64)
    folder = tempfile.TemporaryDirectory()
    yield
    with folder:
        with ctx.allocating("frame"):
            item = frames.alloc()
        path = os.path.join(folder.name, "dump")
        ctx.arena.dump(path)
        with Arena.attach_file(path) as dump:
            dump.statistics()
        with Arena.attach(ctx.name, read_only=True) as look:
            look.zone_statistics()
        item.free()


@scenario("arena.open", group=GROUP, covers=("Arena.open", "Arena.unlink_name"), text="open makes one, then finds it")
def arena_open(ctx: Context) -> Steps:
    """The second open finds what the first one made."""
    name = _absent(ctx.other_name())
    yield
    try:
        with Arena.open(name, **GEOMETRY) as first, Arena.open(name, **GEOMETRY) as second:
            assert first.uuid == second.uuid
    finally:
        unlink_object(name, missing_ok=True)


@scenario(
    "arena.close",
    group=GROUP,
    covers=("Arena.close",),
    text="an arena is closed with items out: they are freed, views stay valid",
)
def arena_close(ctx: Context) -> Steps:
    """What close cannot hand back is recovered."""
    arena = Arena.attach(ctx.arena.name)
    frames = arena.zone("frame", size=64)
    held = frames.alloc_many(5)
    view = memoryview(held[0])
    yield
    try:
        arena.close()
    finally:
        view.release()


@scenario(
    "arena.reclaim",
    group=GROUP,
    covers=("Arena.reclaim", "Zone.reclaim"),
    text="unused pages go back to the system, at each level",
)
def arena_reclaim(ctx: Context) -> Steps:
    """A reclaim that stops halfway has lost nothing."""
    frames = ctx.arena.zone("frame", size=500)
    frames.free_many(frames.alloc_many(60))
    yield
    for level in (RECLAIM_TRIM, RECLAIM_DRAIN, RECLAIM_DRAIN_CPU):
        ctx.arena.reclaim(level)
    frames.reclaim(RECLAIM_DRAIN)


@scenario("arena.ensure_cpu", group=GROUP, covers=("Arena.ensure_cpu",), text="a forked child claims its own CPU")
def arena_ensure_cpu(ctx: Context) -> Steps:
    """A child that finds no CPU says so, and its parent goes on."""
    arena = ctx.arena
    yield
    ctx.fork(arena.ensure_cpu).join()
