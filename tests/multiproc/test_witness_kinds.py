"""Programs with multiprocessing, posix_ipc, file locks, asyncio and semaphores under `witness run`: what is found in
them, and what they are left alone with.
"""

from pathlib import Path

import pytest

from witness.record import Graph
from witness.run.tree import run_watched

METHODS = ["fork", "spawn", "forkserver"]

HEAD = """
import asyncio, fcntl, multiprocessing, os, subprocess, sys, tempfile, threading
import posix_ipc
METHOD = sys.argv[1] if len(sys.argv) > 1 else "spawn"
context = multiprocessing.get_context(METHOD)

def nest(first, second):
    with first:
        with second:
            pass

def child(target, *arguments):
    one = context.Process(target=target, args=arguments)
    one.start()
    one.join()
    assert one.exitcode == 0

def thread(target, *arguments):
    one = threading.Thread(target=target, args=arguments)
    one.start()
    one.join()
"""


def seen(tmp_path: Path, program: str, *arguments: str) -> Graph:
    """The graph of this program, which ends well."""
    path = tmp_path / "program.py"
    path.write_text(HEAD + program)
    status, graph = run_watched([str(path), *arguments], program="program")
    assert status == 0
    return graph


def kinds(graph: Graph) -> list[str]:
    """What was found: of reversals the kind, of misuse what it is."""
    return [*(found.kind for found in graph.reversals), *(found.what for found in graph.misuses)]


def orders(graph: Graph) -> set[tuple[str, str]]:
    """The kinds of lock in each order that was seen, without the allocator's own."""
    words = {one.id: one.kind.removeprefix("foreign:") for one in graph.classes if one.kind != "core"}
    return {
        (words[e.first], words[e.second]) for e in graph.edges if e.first in words and e.second in words and e.count
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_lock_of_multiprocessing_is_one_in_all_processes_that_share_it(tmp_path: Path, method: str) -> None:
    program = """
if __name__ == "__main__":
    a = context.Lock()
    b = context.RLock()
    nest(a, b)
    child(nest, b, a)
"""
    graph = seen(tmp_path, program, method)
    [found] = graph.reversals
    assert found.established is not None
    assert found.attempted[0].pid != found.established[0].pid
    assert [side.instance for side in found.attempted] != [0, 0]
    assert found.attempted[0].stack[0].function == "nest"
    names = {one.id: one.name for one in graph.classes}
    assert [names[one].split()[0].rpartition("/")[2] for one in (found.second, found.first)] == [
        "program.py:24",
        "program.py:25",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_locks_of_one_line_in_a_circle_are_found_and_in_one_direction_are_not(tmp_path: Path, method: str) -> None:
    program = """
if __name__ == "__main__":
    forks = [context.Lock() for _ in range(3)]
    for left, right in ((0, 1), (1, 2), (0, 2), *(((2, 0),) if sys.argv[2] == "circle" else ())):
        child(nest, forks[left], forks[right])
"""
    assert kinds(seen(tmp_path, program, method, "circle")) == ["reversal"]
    assert kinds(seen(tmp_path, program, method, "line")) == []


@pytest.mark.parametrize("method", METHODS)
def test_what_the_standard_library_makes_of_its_locks_is_left_alone(tmp_path: Path, method: str) -> None:
    program = """
def signalled(signal, lock):
    signal.release()
    lock.release()

if __name__ == "__main__":
    with context.Pool(2) as pool:
        assert pool.map(abs, range(10)) == list(range(10))
    queue = context.Queue(1)
    for i in range(3):
        queue.put(i)
        assert queue.get() == i
    with context.Manager() as manager:
        nest(manager.Lock(), manager.RLock())
    value = context.Value("i", 0)
    with value.get_lock():
        value.value += 1
    signal = context.Semaphore(1)
    handed = context.Lock()
    other = context.Lock()
    handed.acquire()
    signal.acquire()
    child(signalled, signal, handed)
    with other:  # handed is not held any more, and signal never was
        signal.acquire()
    condition = context.Condition()
    with condition:
        condition.wait(0.01)
    barrier = context.Barrier(1)
    barrier.wait()
"""
    graph = seen(tmp_path, program, method)
    assert kinds(graph) == []
    assert ("multiprocessing.Lock", "multiprocessing.Lock") not in orders(graph)
    assert not [one for one in graph.classes if one.kind == "foreign:multiprocessing.Semaphore" and one.acquires]


def test_a_semaphore_that_its_taker_gives_back_is_a_lock(tmp_path: Path) -> None:
    program = """
def by_hand(first, second):
    for _ in range(2):
        first.acquire()
        second.acquire()
        second.release()
        first.release()

if __name__ == "__main__":
    a = threading.Semaphore()
    b = threading.Lock()
    c = context.Semaphore(1)
    thread(nest, a, b)
    thread(by_hand, b, a)
    thread(nest, b, c)
    thread(by_hand, c, b)
"""
    graph = seen(tmp_path, program)
    assert kinds(graph) == ["reversal", "reversal"]


def test_a_semaphore_that_another_thread_gives_is_a_signal(tmp_path: Path) -> None:
    program = """
if __name__ == "__main__":
    signal = threading.Semaphore()
    lock = threading.Lock()
    for _ in range(3):
        with lock:
            signal.acquire()
        thread(signal.release)
        signal.acquire()
        with lock:
            pass
        thread(signal.release)
"""
    graph = seen(tmp_path, program)
    assert kinds(graph) == []
    assert ("threading.Lock", "threading.Semaphore") not in orders(graph)


def test_locks_of_threading_of_one_line_have_an_order_among_them_until_one_is_a_signal(tmp_path: Path) -> None:
    program = """
if __name__ == "__main__":
    locks = [threading.Lock() for _ in range(2)]
    semaphores = [threading.Semaphore() for _ in range(2)]
    for one, two in (locks, semaphores):
        thread(nest, one, two)
        thread(nest, two, one)
    if len(sys.argv) > 2:
        with semaphores[0]:
            thread(semaphores[0].release)
        locks[0].acquire()
        thread(locks[0].release)
"""
    assert kinds(seen(tmp_path, program)) == ["reversal", "reversal"]
    graph = seen(tmp_path, program, "spawn", "signals")
    assert kinds(graph) == []
    assert sorted(one.kind for one in graph.classes if one.signal) == [
        "foreign:threading.Lock",
        "foreign:threading.Semaphore",
    ]


def test_a_posix_semaphore_is_known_by_its_name(tmp_path: Path) -> None:
    program = """
if __name__ == "__main__":
    if len(sys.argv) > 2:
        one, two, many = (posix_ipc.Semaphore(sys.argv[2] + letter) for letter in "abm")
        with many:
            nest(two, one)
    else:
        name = f"/witness-kinds-{os.getpid()}"
        make = lambda letter, value: posix_ipc.Semaphore(name + letter, posix_ipc.O_CREX, initial_value=value)
        one, two, many = make("a", 1), make("b", 1), make("m", 3)
        try:
            nest(one, two)
            two.release()  # whoever likes may
            with two:
                pass
            two.acquire()
            subprocess.run([sys.executable, __file__, "spawn", name], check=True)
        finally:
            for each in (one, two, many):
                each.unlink()
"""
    graph = seen(tmp_path, program)
    assert kinds(graph) == ["reversal"]
    assert {one.name[-1] for one in graph.classes if one.kind == "foreign:posix_ipc.Semaphore"} == {"a", "b"}


def test_a_file_is_one_lock_whatever_locks_it_and_closing_it_is_seen(tmp_path: Path) -> None:
    program = """
def reverse(folder):
    with open(folder + "/beta", "w") as beta, open(folder + "/alpha", "w") as alpha:
        fcntl.lockf(beta, fcntl.LOCK_EX)
        fcntl.flock(alpha, fcntl.LOCK_SH)

if __name__ == "__main__":
    folder = tempfile.mkdtemp()
    lock = threading.Lock()
    with open(folder + "/alpha", "w") as alpha, open(folder + "/beta", "w") as beta:
        with lock:
            fcntl.flock(alpha, fcntl.LOCK_EX)  # under a mutex: in order
        fcntl.flock(beta, fcntl.LOCK_EX)
        fcntl.flock(beta, fcntl.LOCK_SH)  # turned
        fcntl.flock(beta, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock:  # both are closed
        pass
    with open(folder + "/alpha", "w") as alpha, open(folder + "/alpha", "w") as again:
        fcntl.flock(alpha, fcntl.LOCK_SH)
        fcntl.flock(again, fcntl.LOCK_SH)
        fcntl.flock(again, fcntl.LOCK_UN)
        fcntl.flock(alpha, fcntl.LOCK_UN)
        os.lockf(alpha.fileno(), os.F_TLOCK, 0)
        os.lockf(alpha.fileno(), os.F_ULOCK, 0)
    child(reverse, folder)
"""
    graph = seen(tmp_path, program)
    [found] = graph.reversals
    assert found.kind == "reversal"
    assert found.attempted[1].mode == "shared_recursive"
    assert not graph.misuses
    assert {pair for pair in orders(graph) if "file" in pair} == {("threading.Lock", "file"), ("file", "file")}


def test_tasks_of_one_thread_hold_their_locks_apart(tmp_path: Path) -> None:
    program = """
async def both(first, second, pause):
    async with first:
        await asyncio.sleep(0)
        async with second:
            pause.set()

async def main():
    a = asyncio.Lock()
    b = asyncio.Condition()
    c = asyncio.Semaphore(1)
    d = asyncio.Lock()
    done = asyncio.Event()
    await asyncio.gather(both(a, b, done), both(c, d, done), both(c, d, done))
    await done.wait()
    if len(sys.argv) > 2:
        await asyncio.create_task(both(b, a, done))
        with threading.Lock():
            await a.acquire()
    async with b:
        try:
            await asyncio.wait_for(b.wait(), 0.01)
        except TimeoutError:
            pass

if __name__ == "__main__":
    asyncio.run(main())
"""
    assert kinds(seen(tmp_path, program)) == []
    graph = seen(tmp_path, program, "spawn", "reversed")
    assert kinds(graph) == ["reversal", "sleepable after non-sleepable"]
    assert graph.reversals[0].established is not None
    assert graph.reversals[0].established[0].thread.startswith("task ")
    assert graph.reversals[0].attempted[0].stack[0].function == "both"


def test_giving_back_twice_and_making_anew_what_is_held_are_told(tmp_path: Path) -> None:
    program = """
async def tasks():
    lock = asyncio.Lock()
    try:
        lock.release()
    except RuntimeError:
        pass
    await lock.acquire()
    lock.__init__()

def twice(lock):
    with lock:
        pass
    try:
        lock.release()
    except ValueError:
        pass

if __name__ == "__main__":
    lock = context.Lock()
    twice(lock)
    child(twice, lock)
    asyncio.run(tasks())
"""
    graph = seen(tmp_path, program)
    assert sorted(kinds(graph)) == [
        "destroyed while it is held",
        *["release of a lock that is not held"] * 3,
    ]
    assert len({found.side.pid for found in graph.misuses}) == 2


def test_a_second_interpreter_is_not_watched_and_the_rest_of_its_process_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """
import _xxsubinterpreters
one = _xxsubinterpreters.create()
_xxsubinterpreters.run_string(one, "import threading\\nwith threading.Lock(): print('inside', flush=True)")
_xxsubinterpreters.destroy(one)
nest(threading.Lock(), threading.RLock())
"""
    graph = seen(tmp_path, program)
    out, err = capfd.readouterr()
    assert out == "inside\n"
    assert not err
    assert ("threading.Lock", "threading.RLock") in orders(graph)
    assert "<string>:2" not in "".join(one.name for one in graph.classes)
