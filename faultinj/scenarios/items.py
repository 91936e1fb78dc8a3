"""Items: read, written, handed over by ticket and by pickle, counted."""

import pickle

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import M_NOWAIT, DoubleFree, Item, ItemFreed

GROUP = "item"


@scenario(
    "item.bytes",
    group=GROUP,
    covers=("Item.write", "Item.read", "Item.__getitem__", "Item.__setitem__", "Item.__len__"),
    text="an item is written and read in every way",
)
def item_bytes(ctx: Context) -> Steps:
    """The allocation may fail; bytes cannot."""
    frames = ctx.arena.zone("frame", size=256)
    yield
    with ctx.allocating("frame"):
        item = frames.alloc(M_NOWAIT)
    item.write(b"some bytes", 4)
    item[0:4] = b"head"
    assert item.read(14) == item[0:14] == b"headsome bytes"
    with memoryview(item) as view:
        view[0] = 72
    assert len(item) == 256
    item.free()
    try:
        item.free()
    except (DoubleFree, ItemFreed):
        return


@scenario(
    "item.ticket",
    group=GROUP,
    covers=("Item.ticket", "Arena.adopt"),
    text="an item goes by ticket and is adopted",
)
def item_ticket(ctx: Context) -> Steps:
    """Whatever fails, the item is somebody's: its ticket can be used again."""
    frames = ctx.arena.zone("frame", size=256)
    yield
    with ctx.allocating("frame"):
        item = frames.alloc(M_NOWAIT)
    handle = item.ticket()
    _adopted(ctx, handle).free()


def _adopted(ctx: Context, handle: int) -> Item:
    """A ticket that could not be adopted stays good: the failing adoption is told, the item is not lost."""
    try:
        item = ctx.arena.adopt(handle)
    except BaseException:
        ctx.later(lambda: ctx.arena.adopt(handle).free())
        raise
    assert isinstance(item, Item)
    return item


def _receive(ctx: Context, raw: bytes) -> bytes:
    item: Item = pickle.loads(raw)
    data = item.read(5)
    item.free()
    return data


@scenario(
    "item.pickle",
    group=GROUP,
    covers=("Item.__reduce__", "Arena.__reduce__"),
    text="an item is pickled to another process, which adopts it",
)
def item_pickle(ctx: Context) -> Steps:
    """What the receiver could not adopt is in transit, and can be adopted here."""
    frames = ctx.arena.zone("frame", size=256)
    yield
    with ctx.allocating("frame"):
        item = frames.alloc(M_NOWAIT)
    item.write(b"hello")
    handle = item.handle
    raw = pickle.dumps(item)
    try:
        assert ctx.fork(_receive, ctx, raw).join() == b"hello"
    except BaseException:
        ctx.later(lambda: _take_back(ctx, handle))
        raise


def _take_back(ctx: Context, handle: int) -> None:
    for found in ctx.arena.who_items():
        if found.holding.state == "in transit":
            ctx.arena.adopt(found.handle).free()


@scenario(
    "item.refcnt",
    group=GROUP,
    covers=("Zone.find_refcnt", "RefCount.get", "RefCount.add", "RefCount.sub"),
    text="an item's counter is found and counted",
)
def item_refcnt(ctx: Context) -> Steps:
    """A counter starts at 1, also in an item that was refused once."""
    counted = ctx.arena.zone("counted", size=128, refcnt=True)
    yield
    with ctx.allocating("counted"):
        item = counted.alloc(M_NOWAIT)
    count = counted.find_refcnt(item)
    assert count.get() == 1
    count.add(2)
    assert count.sub(2) == 1
    item.free()
