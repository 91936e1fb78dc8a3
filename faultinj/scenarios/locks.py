"""Users' locks of every kind: made, taken, waited for, found with a dead holder, destroyed."""

import os
import signal

from faultinj.sweep.context import Context
from faultinj.sweep.registry import Steps, scenario
from shmalloc import LockTimeout, Mutex, OwnerDied

GROUP = "lock"


@scenario(
    "lock.create",
    group=GROUP,
    covers=(
        "Arena.mutex",
        "Arena.rwlock",
        "Arena.sx",
        "Arena.semaphore",
        "Arena.condition",
        "Mutex.destroy",
        "RWLock.destroy",
        "SxLock.destroy",
        "Semaphore.destroy",
        "Condition.destroy",
        "Arena.lock_statistics",
    ),
    text="a lock of each kind is made and destroyed",
)
def lock_create(ctx: Context) -> Steps:
    """A lock that could not be made leaves no entry."""
    arena = ctx.arena
    yield
    mutex = arena.mutex("m")
    made = [arena.condition("c", mutex), mutex, arena.rwlock("r"), arena.sx("s"), arena.semaphore("p", 3)]
    arena.lock_statistics()
    for lock in made:
        lock.destroy()


@scenario(
    "lock.mutex",
    group=GROUP,
    covers=(
        "Mutex.acquire",
        "Mutex.release",
        "Mutex.__enter__",
        "Mutex.__exit__",
        "Mutex.repairing",
        "Mutex.repaired",
        "Mutex.statistics",
    ),
    text="a mutex is taken in every way, also twice",
)
def lock_mutex(ctx: Context) -> Steps:
    """Whoever got it can give it back."""
    mutex, again = ctx.arena.mutex("m"), ctx.arena.mutex("twice", recursive=True)
    yield
    with mutex, again, again:
        mutex.statistics()
    with mutex.repairing(lambda death: None):
        assert mutex.held
    assert mutex.acquire(blocking=False)
    mutex.release()


@scenario(
    "lock.rwlock",
    group=GROUP,
    covers=(
        "RWLock.acquire_read",
        "RWLock.release_read",
        "RWLock.acquire_write",
        "RWLock.release_write",
        "RWLock.read",
        "RWLock.write",
        "RWLock.repairing",
        "RWLock.repaired",
        "RWLock.statistics",
    ),
    text="a lock for readers and writers",
)
def lock_rwlock(ctx: Context) -> Steps:
    """Readers' holds are counted by CPU."""
    lock = ctx.arena.rwlock("r")
    yield
    with lock.read(), lock.read():
        lock.statistics()
    with lock.write():
        pass
    with lock.repairing(lambda death: None):
        pass


@scenario(
    "lock.sx",
    group=GROUP,
    covers=(
        "SxLock.acquire_shared",
        "SxLock.release_shared",
        "SxLock.acquire_exclusive",
        "SxLock.release_exclusive",
        "SxLock.try_upgrade",
        "SxLock.downgrade",
        "SxLock.shared",
        "SxLock.exclusive",
        "SxLock.repairing",
        "SxLock.repaired",
        "SxLock.statistics",
    ),
    text="a shared/exclusive lock is upgraded and downgraded",
)
def lock_sx(ctx: Context) -> Steps:
    """The only one that shares it may have it alone."""
    lock = ctx.arena.sx("s")
    yield
    lock.acquire_shared()
    if lock.try_upgrade():
        lock.downgrade()
    lock.release_shared()
    with lock.exclusive():
        lock.statistics()
    with lock.repairing(lambda death: None):
        pass


@scenario(
    "lock.semaphore",
    group=GROUP,
    covers=(
        "Semaphore.acquire",
        "Semaphore.release",
        "Semaphore.__enter__",
        "Semaphore.__exit__",
        "Semaphore.repairing",
        "Semaphore.repaired",
        "Semaphore.statistics",
    ),
    text="permits of a semaphore, until there are none",
)
def lock_semaphore(ctx: Context) -> Steps:
    """A permit that did not come in time is nobody's."""
    permits = ctx.arena.semaphore("p", 2)
    yield
    with permits, permits:
        try:
            permits.acquire(timeout=0.001)
        except LockTimeout:
            permits.statistics()
    with permits.repairing(lambda death: None):
        pass


@scenario(
    "lock.condition",
    group=GROUP,
    covers=(
        "Condition.wait",
        "Condition.wait_for",
        "Condition.notify",
        "Condition.notify_all",
        "Condition.__enter__",
        "Condition.__exit__",
        "Condition.repaired",
        "Condition.statistics",
    ),
    text="a condition is waited for in vain, and told",
)
def lock_condition(ctx: Context) -> Steps:
    """After the wait the mutex is held again."""
    mutex = ctx.arena.mutex("m")
    condition = ctx.arena.condition("c", mutex)
    yield
    with condition:
        condition.wait(0.001)
        condition.wait_for(lambda: False, 0.001)
        condition.notify()
        condition.notify_all()
        assert mutex.held
    condition.statistics()


def _die_holding(mutex: Mutex, told: int) -> None:
    mutex.acquire()
    os.write(told, b"1")
    signal.pause()


@scenario(
    "lock.owner_died",
    group=GROUP,
    covers=("Mutex.acquire", "Mutex.repaired"),
    errors=("SM_OWNER_DIED",),
    text="a mutex whose holder died is taken and repaired",
)
def lock_owner_died(ctx: Context) -> Steps:
    """Whoever comes next is told, and holds it."""
    mutex = ctx.arena.mutex("orphan")
    ready, told = os.pipe()
    child = ctx.fork(_die_holding, mutex, told)
    os.read(ready, 1)
    ctx.kill(child.pid)
    os.close(ready)
    os.close(told)
    child.forget()
    yield
    try:
        mutex.acquire(timeout=5)
    except OwnerDied:
        mutex.repaired()
    mutex.release()
