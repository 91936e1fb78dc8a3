"""A process dies attached, and another puts right what it left: by attaching, by asking, by needing the items."""

import os
import signal
from collections.abc import Callable

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Arena, Supervisor, Zone

GROUP = "recovery"


def dead(ctx: Context, work: Callable[..., object], *args: object) -> None:
    """A process that has done some work, is attached, and was killed: it is dead when this returns."""
    ready, told = os.pipe()

    def hold() -> None:
        kept = work(*args)
        os.write(told, b"1")
        signal.pause()
        del kept

    child = ctx.fork(hold)
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    ctx.kill(child.pid)
    child.forget()


def _hold_items(zone: Zone) -> object:
    held = zone.alloc_many(5, M_NOWAIT)
    zone.free_many(zone.alloc_many(9, M_NOWAIT))
    return held


@scenario("recovery.reap", group=GROUP, covers=("Arena.reap", "Arena.recoveries"), text="a dead process is reaped")
def recovery_reap(ctx: Context) -> Steps:
    """A recovery that failed is done by the next one."""
    frames = ctx.arena.zone("frame", size=300, dtor="faultinj.scenarios.callbacks:dtor")
    dead(ctx, _hold_items, frames)
    yield
    ctx.arena.reap()
    ctx.arena.recoveries()


@scenario("recovery.attach", group=GROUP, covers=("Arena.attach",), text="who attaches recovers the dead first")
def recovery_attach(ctx: Context) -> Steps:
    """A recovery that fails does not keep anybody from attaching."""
    frames = ctx.arena.zone("frame", size=300)
    dead(ctx, _hold_items, frames)
    yield
    with Arena.attach(ctx.name) as arena:
        arena.zone("frame", size=300)


@scenario(
    "recovery.limit",
    group=GROUP,
    covers=("Zone.alloc_many",),
    text="an allocation at the limit gets what a dead process held",
)
def recovery_limit(ctx: Context) -> Steps:
    """The dead are looked for before anybody fails."""
    frames = ctx.arena.zone("scarce", size=1000, max_items=16)
    most = frames.max
    dead(ctx, frames.alloc_many, most - 2)
    yield
    with ctx.allocating("scarce"):
        items = frames.alloc_many(most, M_NOWAIT)
    frames.free_many(items)


@scenario("recovery.keep", group=GROUP, covers=("Arena.adopt",), text="what a dead process held is kept and adopted")
def recovery_keep(ctx: Context) -> Steps:
    """Kept items are nobody's until they are adopted."""
    frames = ctx.arena.zone("kept", size=300, keep=True)
    dead(ctx, frames.alloc_many, 2)
    ctx.later(lambda: _adopt_all(ctx.arena))
    yield
    ctx.arena.reap()
    _adopt_all(ctx.arena)


def _adopt_all(arena: Arena) -> None:
    arena.reap()
    for found in arena.who_items(zone="kept"):
        if found.holding.cpu is None:
            arena.adopt(found.handle).free()


@scenario(
    "recovery.supervisor",
    group=GROUP,
    covers=("Supervisor.step", "Supervisor.close"),
    text="a supervisor finds a dead process and has it recovered",
)
def recovery_supervisor(ctx: Context) -> Steps:
    """A supervisor that cannot look after an arena tells so, and looks again."""
    frames = ctx.arena.zone("frame", size=300)
    dead(ctx, _hold_items, frames)
    yield
    supervisor = Supervisor(ctx.name)
    try:
        supervisor.step()
    finally:
        supervisor.close()
