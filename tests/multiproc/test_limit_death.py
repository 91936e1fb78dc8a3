"""Asleep at a limit while the process that holds the items dies: the sleeper finds out by itself."""

import os
import signal
import threading

import pytest

from shmalloc import Arena, Item


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_sleeper_goes_on_when_the_holder_dies_and_nobody_supervises(arena: Arena, timeout: float | None) -> None:
    zone = arena.zone("frame", size=2048, max_items=8)
    ready, said = os.pipe()
    holder = os.fork()
    if holder == 0:
        try:
            held = zone.alloc_many(8)
            os.write(said, bytes([len(held)]))
            signal.pause()
        finally:
            os._exit(1)
    os.close(said)
    assert os.read(ready, 1) == bytes([8])
    os.close(ready)
    got: list[Item] = []
    sleeper = threading.Thread(target=lambda: got.append(zone.alloc(timeout=timeout)), daemon=True)
    sleeper.start()
    while zone.statistics().waiters == 0:
        assert sleeper.is_alive()
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    sleeper.join(20)
    assert not sleeper.is_alive()
    assert zone.statistics().used == 1
    got.pop().free()
