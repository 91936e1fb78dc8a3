"""Whether a thread of a watched process still lives, as the kernel says."""

import os
import threading

from shmalloc import Arena
from witness.live.life import life_of


def test_a_thread_lives_until_it_ends_and_its_process_does_not_die_of_that(arena: Arena) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(60,))
    thread.start()
    assert thread.native_id is not None
    assert life_of(os.getpid(), thread.native_id, arena=arena.name) == "lives"
    done.set()
    thread.join()
    assert life_of(os.getpid(), thread.native_id, arena=arena.name) == "ended"


def test_a_zombie_is_dead_and_so_is_a_pid_that_another_process_has_now(arena: Arena) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert life_of(pid, pid, arena=arena.name) == "died"
    finally:
        os.waitpid(pid, 0)
    assert life_of(pid, pid, arena=arena.name) == "died"
    assert life_of(os.getpid(), os.getpid(), arena="an-arena-that-is-not-mapped-here") == "died"


def test_what_is_no_thread_lives_as_long_as_its_process(arena: Arena) -> None:
    assert life_of(os.getpid(), 1 << 31 | 5, arena=arena.name) == "lives"
