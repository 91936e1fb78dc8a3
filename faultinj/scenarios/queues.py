"""Queues of items: made, filled, emptied, one by one and in bulk, between processes, destroyed."""

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, Item, Queue, QueueEmpty, QueueFull

GROUP = "queue"


def emptied(queue: Queue) -> None:
    """Take out and free what is left, with faults off."""
    while len(queue):
        queue.get(timeout=0).free()


def _gone(ctx: Context, name: str) -> None:
    if name in {queue.name for queue in ctx.arena.queue_statistics()}:
        ctx.arena.queue(name).destroy()


@scenario(
    "queue.create",
    group=GROUP,
    covers=("Arena.queue", "Queue.destroy", "Queue.statistics", "Arena.queue_statistics"),
    text="a queue is made, looked at and destroyed",
)
def queue_create(ctx: Context) -> Steps:
    """A queue that could not be made leaves no entry."""
    arena = ctx.arena
    ctx.later(lambda: _gone(ctx, "brief"))
    yield
    queue = arena.queue("brief", depth=8)
    queue.statistics()
    arena.queue_statistics()
    queue.destroy()


@scenario(
    "queue.put",
    group=GROUP,
    covers=("Queue.put", "Queue.get", "Queue.__len__"),
    text="an item goes in and comes out",
)
def queue_put(ctx: Context) -> Steps:
    """What could not be put is still the caller's; what could not be got is still there."""
    frames = ctx.arena.zone("frame", size=100)
    queue = ctx.arena.queue("work", depth=4)
    ctx.later(lambda: emptied(queue))
    item = frames.alloc(M_NOWAIT)
    yield
    queue.put(item, timeout=0)
    got: Item = queue.get(timeout=0)
    got.free()


@scenario(
    "queue.put.waits",
    group=GROUP,
    covers=("Queue.put", "Queue.get"),
    errors=("SM_FULL", "SM_EMPTY", "SM_TIMEOUT"),
    text="a full queue and an empty one, with a time to wait",
)
def queue_waits(ctx: Context) -> Steps:
    """Waiting ends in time, whatever the queue says."""
    frames = ctx.arena.zone("frame", size=100)
    queue = ctx.arena.queue("tight", depth=2)
    ctx.later(lambda: emptied(queue))
    items = frames.alloc_many(3, M_NOWAIT)
    yield
    try:
        for item in items:
            queue.put(item, timeout=0.002)
    except QueueFull:
        assert not items[-1].freed
    try:
        for _ in range(3):
            queue.get(timeout=0.002).free()
    except QueueEmpty:
        queue.statistics()


@scenario(
    "queue.many",
    group=GROUP,
    covers=("Queue.put_many", "Queue.get_many"),
    text="several items in one call, in and out",
)
def queue_many(ctx: Context) -> Steps:
    """Those that went in are in; the others are the caller's."""
    frames = ctx.arena.zone("frame", size=100)
    queue = ctx.arena.queue("bulk", depth=8)
    ctx.later(lambda: emptied(queue))
    items = frames.alloc_many(6, M_NOWAIT)
    yield
    queue.put_many(items, timeout=0.002)
    for item in queue.get_many(6, timeout=0.002):
        item.free()


def _consume(queue: Queue) -> int:
    got = 0
    try:
        while True:
            queue.get(timeout=0).free()
            got += 1
    except QueueEmpty:
        return got


@scenario(
    "queue.between",
    group=GROUP,
    covers=("Queue.put", "Queue.get"),
    errors=("SM_EMPTY",),
    text="a forked process takes out what this one put in",
)
def queue_between(ctx: Context) -> Steps:
    """An item is freed by another CPU than allocated it."""
    frames = ctx.arena.zone("frame", size=100)
    queue = ctx.arena.queue("pass", depth=8)
    ctx.later(lambda: emptied(queue))
    items = frames.alloc_many(5, M_NOWAIT)
    yield
    for item in items:
        queue.put(item, timeout=0)
    ctx.fork(_consume, queue).join()
