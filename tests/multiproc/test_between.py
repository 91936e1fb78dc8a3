"""Processes of every start method share zones, items and queues."""

import os
import signal
import subprocess
import sys
import time

import pytest

from multiproc import work
from multiproc.crew import Crew
from shmalloc import Arena, CallbackUnresolvable, ItemFreed

METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
def test_an_item_travels_as_an_argument(arena: Arena, method: str) -> None:
    zone = arena.zone("z", size=64)
    item = zone.alloc()
    item.write(b"cargo")
    if method == "fork":
        pytest.skip("fork inherits arguments, it does not pickle them: test_fork.py")
    with Crew(method) as crew:
        crew.start(work.receive_item, item)
        with pytest.raises(ItemFreed, match="handed over"):
            item.read()
        ((data, cpu),) = crew.results()
    assert data == b"cargo"
    assert cpu != arena.cpu_id
    assert zone.statistics().used == 0
    assert arena.statistics().dead_cpus == 0


@pytest.mark.parametrize("method", METHODS)
def test_arenas_zones_and_queues_travel_as_arguments(arena: Arena, method: str) -> None:
    zone, queue = arena.zone("z", size=64), arena.queue("q")
    with Crew(method) as crew:
        crew.start(work.use_handles, arena, zone, queue)
        assert queue.get(timeout=30).read(14) == b"from the child"
        assert crew.results() == [f"{arena.name} z q"]


@pytest.mark.parametrize("method", METHODS)
def test_ctors_run_in_the_process_that_allocates(arena: Arena, method: str) -> None:
    zone = arena.zone("z", size=64, ctor=work.stamp)
    assert int.from_bytes(zone.alloc()[:8], "little") == os.getpid()
    with Crew(method) as crew:
        crew.start(work.who_constructs, arena.name)
        ((written, pid),) = crew.results()
    assert written == pid != os.getpid()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_producers_send_consumers_receive_whole(arena: Arena, method: str) -> None:
    zone, queue = arena.zone("packet", size=256, max_items=64), arena.queue("q", depth=16)
    with Crew(method) as crew:
        for seed in range(2):
            crew.start(work.produce, arena.name, seed, 2000)
            crew.start(work.consume, arena.name, 2000)
        results = crew.results()
    assert results[1::2] == [0, 0], "no item was damaged"
    assert (zone.statistics().used, len(queue)) == (0, 0)
    figures = queue.statistics()
    assert (figures.puts, figures.gets) == (4000, 4000)


def test_more_processes_than_slots_is_a_clear_error(arena_name: str) -> None:
    with Arena.create(arena_name, max_size="1M", max_cpus=3) as arena, Crew("fork") as crew:
        pipes = [crew.context.Pipe() for _ in range(4)]
        said = []
        for ours, theirs in pipes:
            crew.start(work.attach_or_say_why, arena_name, theirs)
            said.append(ours.recv() if ours.poll(30) else "silent")
        for ours, _ in pipes:
            ours.send("go")
        results = crew.results()
        assert said == ["in", "in", "full", "full"]
        assert results == ["attached", "attached", "3", "3"]
        assert arena.statistics().live_cpus == 1
        arena.unlink()


def _wait_for_sleeper(arena: Arena) -> None:
    deadline = time.monotonic() + 30
    while arena.zone("z").statistics().waiters == 0:
        assert time.monotonic() < deadline, "nobody went to sleep"


def test_a_sleeper_is_woken_by_another_processs_free(arena: Arena) -> None:
    zone = arena.zone("z", size=4096, max_items=1)
    items = zone.alloc_many(zone.max)
    with Crew("fork") as crew:
        ours, theirs = crew.context.Pipe()
        crew.start(work.wait_at_limit, arena.name, theirs)
        assert ours.poll(30)
        _wait_for_sleeper(arena)
        items.pop().free()
        assert crew.results() == ["got one"]
    zone.free_many(items)


def test_a_signal_ends_a_wait(arena: Arena) -> None:
    zone = arena.zone("z", size=4096, max_items=1)
    items = zone.alloc_many(zone.max)
    with Crew("spawn") as crew:
        ours, theirs = crew.context.Pipe()
        pid = crew.start(work.wait_at_limit, arena.name, theirs)
        assert ours.poll(30)
        _wait_for_sleeper(arena)
        os.kill(pid, signal.SIGINT)
        assert crew.results() == ["interrupted"]
    assert zone.statistics().waiters == 0
    zone.free_many(items)


def test_processes_churn_and_nothing_is_lost(arena: Arena) -> None:
    zones = [arena.zone("small", size=48), arena.zone("large", size=3000)]
    with Crew("fork") as crew:
        for seed in range(4):
            crew.start(work.churn, arena.name, seed, 5000)
        crew.results()
    assert [zone.statistics().used for zone in zones] == [0, 0]
    assert arena.check().ok


MAKER = """
import sys, shmalloc
def ctor(mem, size, arg, how):
    mem[0] = 77
arena = shmalloc.Arena.attach(sys.argv[1])
print(arena.zone("z", size=64, ctor=ctor).alloc()[0])
arena.close()
"""


def test_a_ctor_of_a_main_program_is_refused_elsewhere_with_advice(arena: Arena) -> None:
    made = subprocess.run(
        [sys.executable, "-P", "-c", MAKER, arena.name], capture_output=True, text=True, timeout=60, check=True
    )
    assert made.stdout.strip() == "77"
    with pytest.raises(CallbackUnresolvable, match="main program") as caught:
        arena.zone("z")
    assert caught.value.callback == "__main__:ctor"
    assert "module that every process can import" in str(caught.value)


LEAVER = """
import sys, shmalloc
arena = shmalloc.Arena.attach(sys.argv[1])
item, view = arena.zone("z").alloc(), memoryview(arena.zone("z").alloc())
kept = shmalloc.Arena.attach(sys.argv[1])
print(arena.cpu_id, kept.cpu_id)
if sys.argv[2] == "raise":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("way", ["end", "raise"])
def test_a_program_that_ends_without_close_gives_its_slots_back(arena: Arena, way: str) -> None:
    zone = arena.zone("z", size=64)
    left = subprocess.run(
        [sys.executable, "-P", "-c", LEAVER, arena.name, way], capture_output=True, text=True, timeout=60, check=False
    )
    assert (left.stdout.split(), left.stderr) == (["1", "2"], "")
    figures = arena.statistics()
    assert (figures.live_cpus, figures.dead_cpus) == (1, 0)
    assert zone.statistics().used == 0
