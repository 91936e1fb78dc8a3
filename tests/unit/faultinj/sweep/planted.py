"""Scenarios with a mistake each: the oracle must name it. Imported by victims as a module of scenarios."""

import os
import signal
import time

import faultinj
from faultinj.scenarios.callbacks import CALLS
from faultinj.sweep import Context, Steps
from shmalloc import M_NOWAIT, OutOfMemory, ShmallocError

_KEPT: list[object] = []


@faultinj.scenario("planted.leak", group="planted", text="an item is kept when the second one fails")
def leak(ctx: Context) -> Steps:
    """Forgets the first item."""
    frames = ctx.arena.zone("frame", size=100)
    _KEPT.clear()
    yield
    with ctx.allocating("frame"):
        first = frames.alloc(M_NOWAIT)
    try:
        with ctx.allocating("frame"):
            frames.alloc(M_NOWAIT).free()
    except ShmallocError:
        _KEPT.append(first)
        raise
    first.free()


@faultinj.scenario("planted.lock", group="planted", text="a mutex stays locked when the allocation under it fails")
def lock(ctx: Context) -> Steps:
    """Acquires without a with."""
    frames, mutex = ctx.arena.zone("frame", size=100), ctx.arena.mutex("m", recursive=True)
    yield
    mutex.acquire()
    with ctx.allocating("frame"):
        item = frames.alloc(M_NOWAIT)
    mutex.release()
    item.free()


@faultinj.scenario("planted.fails", group="planted", text="a failed allocation that is not counted")
def fails(ctx: Context) -> Steps:
    """Says nothing of the allocation to its context."""
    frames = ctx.arena.zone("frame", size=100)
    yield
    frames.alloc(M_NOWAIT).free()


@faultinj.scenario("planted.queue", group="planted", text="an item is left in a queue when the get fails")
def queue(ctx: Context) -> Steps:
    """Leaves it there."""
    frames, work = ctx.arena.zone("frame", size=100), ctx.arena.queue("work", depth=2)
    while len(work):
        work.get(timeout=0).free()
    item = frames.alloc(M_NOWAIT)
    yield
    work.put(item, timeout=0)
    work.get(timeout=0).free()


@faultinj.scenario("planted.foreign", group="planted", text="the error is not the package's")
def foreign(ctx: Context) -> Steps:
    """Hides what happened."""
    frames = ctx.arena.zone("frame", size=100)
    yield
    try:
        with ctx.allocating("frame"):
            item = frames.alloc(M_NOWAIT)
    except ShmallocError:
        raise RuntimeError("something went wrong") from None
    item.free()


@faultinj.scenario("planted.wrong", group="planted", text="the error is another one than was injected")
def wrong(ctx: Context) -> Steps:
    """Says out of memory, whatever happened, and not what to do."""
    frames = ctx.arena.zone("frame", size=100)
    yield
    try:
        with ctx.allocating("frame"):
            item = frames.alloc(M_NOWAIT)
    except ShmallocError:
        raise ShmallocError(arena=ctx.name, code="SM_FULL", detail="no") from None
    item.free()


@faultinj.scenario("planted.rerun", group="planted", text="works once, and after a failure not again")
def rerun(ctx: Context) -> Steps:
    """Leaves a mark that it trips over."""
    frames = ctx.arena.zone("frame", size=100)
    if "broken" in ctx.arena.zone_names():
        raise OutOfMemory(arena=ctx.name, detail="the mark is there")
    yield
    try:
        with ctx.allocating("frame"):
            item = frames.alloc(M_NOWAIT)
    except ShmallocError:
        ctx.later(lambda: ctx.arena.zone("broken", size=8))
        raise
    item.free()


@faultinj.scenario("planted.fini", group="planted", text="a fini that does not count every second call")
def fini_missed(ctx: Context) -> Steps:
    """Promises what it does not keep."""
    made = ctx.arena.zone("made", size=900, init="faultinj.scenarios.callbacks:init")
    made.reclaim(2)
    CALLS.clear()
    ctx.promise(lambda: None if CALLS["init"] == CALLS["fini"] else f"{CALLS['init']} inits, {CALLS['fini']} finis")
    yield
    with ctx.allocating("made"):
        item = made.alloc(M_NOWAIT)
    item.free()


@faultinj.scenario("planted.object", group="planted", text="an arena is left in /dev/shm")
def left_object(ctx: Context) -> Steps:
    """Makes an arena and does not remove it."""
    from shmalloc import Arena
    from shmalloc.naming import unlink_object

    unlink_object(ctx.other_name(), missing_ok=True)
    yield
    Arena.create(ctx.other_name(), max_size="1M").close()


@faultinj.scenario("planted.hang", group="planted", text="waits for ever after a failure", limit_s=0.5)
def hang(ctx: Context) -> Steps:
    """Never comes back."""
    frames = ctx.arena.zone("frame", size=100)
    yield
    try:
        with ctx.allocating("frame"):
            frames.alloc(M_NOWAIT).free()
    except ShmallocError:
        waits_for_ever()


def waits_for_ever() -> None:
    """A name for the stack."""
    while True:
        time.sleep(60)


@faultinj.scenario("planted.pause", group="planted", text="waits after a failure until a signal comes", limit_s=0.5)
def pause(ctx: Context) -> Steps:
    """The question for its stack ends its wait, and it goes on."""
    frames = ctx.arena.zone("frame", size=100)
    yield
    for _ in range(3):
        try:
            with ctx.allocating("frame"):
                frames.alloc(M_NOWAIT).free()
        except ShmallocError:
            signal.pause()


@faultinj.scenario("planted.crash", group="planted", text="the process aborts after a failure")
def crash(ctx: Context) -> Steps:
    """Gives up altogether."""
    frames = ctx.arena.zone("frame", size=100)
    yield
    try:
        with ctx.allocating("frame"):
            frames.alloc(M_NOWAIT).free()
    except ShmallocError:
        os.abort()


@faultinj.scenario("planted.empty", group="planted", text="reaches no point at all")
def empty(ctx: Context) -> Steps:
    """Does nothing that can fail."""
    yield
    assert ctx.random.random() < 1
