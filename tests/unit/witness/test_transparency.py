"""A watched lock is what the interpreter's own is: whatever a program asks of it has the same answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = r"""
import _thread, asyncio, copy, inspect, json, pickle, re, sys, threading, weakref

def watch():
    import shmalloc, witness
    from witness.run.enter import watch_kinds
    arena = shmalloc.Arena.create(sys.argv[1], max_size="64M", unlink_on_last_close=True)
    watch_kinds(witness.arm(arena, output=None).native)
    return arena

before = threading.Lock()
before_type, before_rtype = type(before), type(threading.RLock())
arena = watch() if sys.argv[1] else None
Lock, RLock = threading.Lock, threading.RLock
OURS = {"__builtins__": __builtins__} | globals()

class Deriving:
    factory = Lock

class Recursive(type(RLock())):
    pass

def said(text):
    return re.sub(r"0x[0-9a-f]+|owner=\d+", "AT", text)

def outcome(code):
    try:
        return said(repr(eval(code, OURS)))
    except BaseException as error:
        return said(f"{type(error).__name__}: {error}")

def locked(kind=None):
    lock = (kind or Lock)()
    lock.acquire()
    return lock

def other(function):
    out = []
    def run():
        try:
            out.append(function())
        except BaseException as error:
            out.append(f"{type(error).__name__}: {error}")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return out[0]

def released(lock):
    lock.release()
    return lock

def reinit(lock):
    lock._at_fork_reinit()
    return lock, lock.acquire(False)

def weak(lock):
    gone = []
    link = weakref.ref(lock, gone.append)
    alive = link() is lock
    del lock
    return alive, link(), len(gone)

def with_statement(lock):
    with lock as got:
        return got, lock.acquire(False)

def raising(lock):
    try:
        with lock:
            raise KeyError("inside")
    except KeyError:
        return lock.acquire(False)

OURS.update(globals())
CODES = json.loads(sys.stdin.read())
print(json.dumps({code: outcome(code) for code in CODES}))
"""

BOTH = """
type({0}()) | type({0}()).__mro__ | type({0}()).__flags__ | type({0}()).__doc__ | {0}().__class__ is type({0}())
type({0}()).__basicsize__ | type({0}()).__weakrefoffset__ | type({0}()).__dictoffset__ | sys.getsizeof({0}())
sorted(type({0}()).__dict__) | dir({0}()) | {0}() | locked({0}) | released(locked({0})) | hash({0}()) != 0
[(n, inspect.getdoc(getattr({0}(), n))) for n in dir({0}())] | [type(getattr(type({0}()), n)) for n in dir({0}())]
[getattr(getattr({0}(), n), "__text_signature__", 0) for n in dir({0}())] | type({0}()).acquire | {0}().acquire
[getattr(getattr(type({0}()), n), "__qualname__", 0) for n in dir({0}())] | {0}().release.__self__.__class__
type({0}()).acquire() | type({0}()).acquire(1) | type({0}()).release({0}()) | type({0}()).acquire.__objclass__
{0}() == {0}() | {0}().unknown | setattr({0}(), "new", 1) | weak({0}()) | vars({0}()) | type({0}()).__init__
setattr(type({0}()), "acquire", 1) | iter({0}()) | len({0}()) | bool({0}()) | {0}() < {0}() | callable({0}())
pickle.dumps({0}()) | copy.copy({0}()) | copy.deepcopy({0}()) | pickle.dumps(locked({0})) | {0}().__reduce_ex__(2)
pickle.dumps(type({0}())) == pickle.dumps(type({0}())) | pickle.loads(pickle.dumps({0})) is {0}
{0}().acquire() | {0}().acquire(1) | {0}().acquire(0) | {0}().acquire(True, -1) | {0}().acquire(blocking=True)
{0}().acquire(blocking=False) | {0}().acquire(timeout=1) | {0}().acquire(True, 1) | {0}().acquire(timeout=0)
{0}().acquire(False, 1) | {0}().acquire(False, -1) | {0}().acquire(timeout=-2) | {0}().acquire(timeout=1e30)
{0}().acquire(timeout=float("nan")) | {0}().acquire(timeout=float("inf")) | {0}().acquire(timeout=None)
{0}().acquire(timeout="1") | {0}().acquire(1, 2, 3) | {0}().acquire(1, 2, 3, 4, 5, 6) | {0}().acquire(other=1)
{0}().acquire(1, blocking=1) | {0}().acquire(None) | {0}().acquire("yes") | {0}().acquire([]) | {0}().acquire(10**99)
{0}().acquire(timeout=10**99) | {0}().acquire(timeout=threading.TIMEOUT_MAX * 2) | {0}().acquire(True, True)
{0}().acquire(blocking=0, timeout=0) | {0}().acquire(1, 1, other=1, another=2, more=3) | {0}().acquire(timeout=-1.0)
{0}().release() | {0}().release(1) | {0}().release(a=1) | {0}().__enter__() | {0}().__enter__(1, 2, 3)
{0}().__exit__() | locked({0}).__exit__() | locked({0}).__exit__(1) | locked({0}).__exit__(1, 2, 3)
locked({0}).release() | with_statement({0}()) | raising({0}()) | reinit({0}()) | reinit(locked({0}))
other(locked({0}).release) | other(lambda lock=locked({0}): lock.acquire(False))
other(lambda lock=locked({0}): lock.acquire(timeout=0.01))
other(lambda lock=locked({0}): lock.acquire(timeout=0)) | other(lambda lock=released(locked({0})): lock.acquire())
isinstance({0}(), before_type) | isinstance({0}(), before_rtype) | isinstance({0}(), type({0}())) | {0}(1) is None
"""

ALONE = """
isinstance(before, type(Lock())) | isinstance(Lock(), _thread.LockType) | Lock().locked() | locked().locked() | Lock(1)
type(Lock())(1, 2) | type(Lock()).__new__(type(Lock()), 1) | object.__new__(type(Lock()))
type("Sub", (type(Lock()),), {}) | type(Lock()) is _thread.LockType | type(Lock()) is type(before)
Lock().acquire_lock() | locked().release_lock() | locked().locked_lock() | locked().acquire(False)
locked().acquire(timeout=0.01) | Deriving().factory() | Deriving.factory() | Lock(a=1) | type(Lock) | callable(Lock)
Recursive() | Recursive().acquire() | [Recursive().acquire(), 1] | type(RLock())() | type(RLock())(1, 2)
RLock()._is_owned() | locked(RLock)._is_owned() | locked(RLock)._recursion_count() | RLock()._recursion_count()
RLock()._release_save() | locked(RLock)._release_save()[0] | RLock()._acquire_restore() | RLock()._acquire_restore(1)
RLock()._acquire_restore((1, threading.get_ident())) | RLock()._acquire_restore((1,)) | type(RLock) | RLock.__name__
(lambda lock: [lock.acquire(), lock.acquire(0), lock.release(), lock.release(), lock])(RLock())
threading.Condition() | threading.Condition(Lock()) | threading.BoundedSemaphore() | threading.Semaphore(2)
threading.BoundedSemaphore().release() | threading.BoundedSemaphore(0) | threading.BoundedSemaphore(-1)
threading.BoundedSemaphore().acquire(False, 1) | threading.BoundedSemaphore.acquire.__qualname__
threading.BoundedSemaphore.release.__qualname__ | threading.Semaphore.__init__.__qualname__ | threading.Event()
threading.Condition(Lock()).wait() | threading.Condition().notify() | threading.Semaphore.__enter__.__name__
"""


def codes(text: str) -> list[str]:
    return [code.strip() for line in text.strip().splitlines() for code in line.split(" | ")]


def answers(script: Path, arena: str, asked: list[str]) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, script, arena],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered: dict[str, str] = json.loads(done.stdout)
    assert len(answered) == len(set(asked))
    return answered


@pytest.mark.parametrize("kind", ["Lock", "RLock", None])
def test_a_watched_lock_answers_as_the_bare_one(arena_name: str, tmp_path: Path, kind: str | None) -> None:
    asked = codes(ALONE if kind is None else BOTH.replace("{0}", kind))
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    bare = answers(script, "", asked)
    assert [code for code, answer in bare.items() if answer.startswith(("NameError", "SyntaxError"))] == []
    watched = answers(script, arena_name, asked)
    assert {code: answer for code, answer in watched.items() if answer != bare[code]} == {}
    assert not os.path.exists(f"/dev/shm/{arena_name}")
