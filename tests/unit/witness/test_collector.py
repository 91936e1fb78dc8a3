"""A Watch in a cycle of references goes as a whole: its memory is there until it has left the block."""

import gc
import weakref

from witness import _witness


class Keeper:
    """Refers to its Watch, whose callback refers to it."""

    watch: _witness.Watch


def test_a_watch_that_the_collector_finds_leaves_its_block_before_the_memory_goes() -> None:
    gone = []
    for _ in range(200):
        keeper = Keeper()
        memory = bytearray(1 << 20)
        geometry = (64, 256, 256, 256, 16, 16, 8)
        keeper.watch = _witness.Watch.of_memory(
            memory, b"x:y", geometry, lambda code: False, lambda place, keeper=keeper: keeper
        )
        gone.append(weakref.ref(keeper))
        del keeper, memory
    gc.collect()
    assert all(one() is None for one in gone)
