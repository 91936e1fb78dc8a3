"""Loops over threading's locks, each printed as nanoseconds a turn. A program that runs bare and under `witness run`.

Owns the loops. Must not know who started it, nor import anything but the standard library.
"""

import json
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["LOOPS", "best_ns"]

LOCK, OTHER = threading.Lock(), threading.Lock()
WINDOWS = 5


def calls(turns: int) -> None:
    """acquire() and release()."""
    for _ in range(turns):
        LOCK.acquire()
        LOCK.release()


def statement(turns: int) -> None:
    """The with statement."""
    for _ in range(turns):
        with LOCK:
            pass


def nested(turns: int) -> None:
    """Two locks, one in the other."""
    for _ in range(turns):
        with LOCK, OTHER:
            pass


def contended(turns: int) -> None:
    """Two threads that share a lock."""
    threads = [threading.Thread(target=statement, args=(turns // 2,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


LOOPS: dict[str, Callable[[int], None]] = {
    "witness.lock": calls,
    "witness.lock_with": statement,
    "witness.lock_nested": nested,
    "witness.lock_contended": contended,
}


def best_ns(loop: Callable[[int], None], seconds: float) -> float:
    """Nanoseconds a turn: the best of a few windows of so many seconds in all."""
    turns, took = 64, 0.0
    while took < seconds / WINDOWS / 2:
        turns *= 2
        began = time.perf_counter()
        loop(turns)
        took = time.perf_counter() - began
    best = took
    for _ in range(WINDOWS):
        began = time.perf_counter()
        loop(turns)
        best = min(best, time.perf_counter() - began)
    return best / turns * 1e9


if __name__ == "__main__":
    json.dump({name: best_ns(LOOPS[name], float(sys.argv[1])) for name in sys.argv[2:]}, sys.stdout)
