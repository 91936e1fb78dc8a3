# userlock.pxi - users' locks as Python objects. Owns the core's lock handle, one for each object. The kinds differ in
# what they let the caller ask for; the taking and giving is the same for all.

LOCK_KINDS = (None, "mutex", "rwlock", "sx", "semaphore", "condition")


@cython.no_gc
cdef class UserLock:
    """A named lock of an arena; base of the five kinds. See shmalloc.locks."""
    cdef sm_userlock *l
    cdef Attachment at
    cdef str name_
    cdef str type_
    cdef uint32_t subclass_
    cdef object __weakref__

    def __init__(self):
        raise TypeError("a lock comes from arena.mutex(name), rwlock, sx, semaphore or condition")

    def __dealloc__(self):
        sm_userlock_close(self.l)

    def __repr__(self):
        return f"<shmalloc.{type(self).__name__} {self.name_!r} of arena {self.at.name_!r}>"

    def __reduce__(self):
        return FACE["reopen_lock"], (self.at.name_, self.at.uuid, self.name_, self.type_, self.subclass_)

    @property
    def name(self):
        """The lock's name."""
        return self.name_

    @property
    def lock_type(self):
        """What a lock checker takes it for, with all locks of this type; None: it is one of its own."""
        return self.type_

    @property
    def subclass(self):
        """Its place among the locks of its type that are taken one in another."""
        return self.subclass_

    @property
    def arena(self):
        """The Arena it was opened through."""
        return self.at

    @property
    def kind(self):
        """"mutex", "rwlock", "sx", "semaphore" or "condition"."""
        return LOCK_KINDS[sm_userlock_shared(self.l).ul_kind]

    @property
    def died(self):
        """Whether a holder died and nobody has said repaired() since."""
        self.at.need()
        return lock_figures(self.at, sm_userlock_id(self.l)).died

    def repaired(self):
        """Say that what the lock protects is whole again: the next one is not told of the death any more.

        Raises: LockNotHeld: only who holds it alone, or holds a permit, may say so.
        """
        self.at.need()
        cdef sm_err err = sm_userlock_repaired(self.l)
        if err != SM_OK:
            lock_fail(self, err, 0, True)

    def statistics(self):
        """Figures of this lock as a frozen LockStatistics record."""
        self.at.need()
        return lock_figures(self.at, sm_userlock_id(self.l))

    def destroy(self):
        """Remove the lock from the arena. Raises: LockBusy: somebody holds it, or waits."""
        self.at.need()
        cdef sm_err err = sm_userlock_destroy(self.l)
        if err != SM_OK:
            lock_fail(self, err, 0, True)


cdef int lock_fail(UserLock lock, sm_err err, int64_t ns, bint held) except -1:
    """Raises. held: what OwnerDied says about the lock."""
    s = sm_userlock_shared(lock.l)
    if err == SM_BUSY and ns == 0 and not held:
        err = SM_TIMEOUT
    facts = {"subject": "lock", "name": lock.name_, "kind": lock.kind, "waited": seconds_of(ns), "held": held}
    if err == SM_OWNER_DIED and s.ul_dead_cpu != SM_CPU_NONE:
        facts["cpu"] = s.ul_dead_cpu
        facts["pid"] = s.ul_dead_pid
    fail(lock.at, err, facts)


cdef inline bint lock_take(UserLock lock, sm_userlock_mode mode, object timeout, bint blocking) except -1:
    """True: held. False: taken by another, and the caller would not wait."""
    cdef int64_t ns = -1 if timeout is None else timeout_ns(timeout)
    lock.at.need()
    if not blocking:
        if timeout is not None:
            refuse("timeout", timeout, "None when blocking is False")
        ns = 0
    cdef sm_err err = sm_userlock_acquire(lock.l, mode, ns)
    if unlikely(err != SM_OK):
        if err == SM_BUSY and not blocking:
            return False
        lock_fail(lock, err, ns, err == SM_OWNER_DIED)
    forget(lock.at)
    return True


cdef inline int lock_give(UserLock lock, sm_userlock_mode mode) except -1:
    lock.at.need()
    cdef sm_err err = sm_userlock_release(lock.l, mode)
    if unlikely(err != SM_OK):
        lock_fail(lock, err, 0, True)
    return 0


cdef inline int lock_enter(UserLock lock, sm_userlock_mode mode) except -1:
    """For `with`: a body that is not entered could not give the lock back, so a death leaves it given back."""
    lock.at.need()
    cdef sm_err err = sm_userlock_acquire(lock.l, mode, -1)
    if unlikely(err != SM_OK):
        if err == SM_OWNER_DIED:
            sm_userlock_release(lock.l, mode)
        lock_fail(lock, err, -1, False)
    forget(lock.at)
    return 0


@cython.final
@cython.no_gc
cdef class LockHold:
    """One way of holding an rwlock or sx, as a context manager; made by read(), write(), shared(), exclusive()."""
    cdef UserLock lock
    cdef sm_userlock_mode mode

    def __init__(self):
        raise TypeError("a LockHold comes from the lock")

    def __enter__(self):
        lock_enter(self.lock, self.mode)
        return self.lock

    def __exit__(self, kind, error, trace):
        lock_give(self.lock, self.mode)


cdef LockHold hold_of(UserLock lock, sm_userlock_mode mode):
    cdef LockHold hold = LockHold.__new__(LockHold)
    hold.lock = lock
    hold.mode = mode
    return hold


@cython.no_gc
cdef class Mutex(UserLock):
    """See shmalloc.locks.Mutex."""

    def acquire(self, timeout=None, blocking=True):
        """Take the mutex.

        Parameters: timeout: seconds to wait, None waits for ever; blocking False: do not wait, and return False if it
        is taken. Raises: OwnerDied: it is held now, but a former holder died holding it. LockTimeout. LockDeadlock:
        this thread has it already.
        """
        return lock_take(self, SM_EXCLUSIVE, timeout, blocking)

    def release(self):
        """Give it back. Raises: LockNotHeld: this thread of this process does not hold it."""
        lock_give(self, SM_EXCLUSIVE)

    @property
    def held(self):
        """Whether this thread holds it."""
        self.at.need()
        return sm_userlock_held(self.l, SM_EXCLUSIVE)

    def __enter__(self):
        lock_enter(self, SM_EXCLUSIVE)
        return self

    def __exit__(self, kind, error, trace):
        lock_give(self, SM_EXCLUSIVE)


@cython.no_gc
cdef class RWLock(UserLock):
    """See shmalloc.locks.RWLock."""

    def acquire_read(self, timeout=None, blocking=True):
        """Take it as one of many readers. As Mutex.acquire."""
        return lock_take(self, SM_SHARED, timeout, blocking)

    def release_read(self):
        """Give one read hold of this process back. Raises: LockNotHeld."""
        lock_give(self, SM_SHARED)

    def acquire_write(self, timeout=None, blocking=True):
        """Take it alone. As Mutex.acquire."""
        return lock_take(self, SM_EXCLUSIVE, timeout, blocking)

    def release_write(self):
        """Give it back. Raises: LockNotHeld."""
        lock_give(self, SM_EXCLUSIVE)

    def read(self):
        """A context manager that reads."""
        return hold_of(self, SM_SHARED)

    def write(self):
        """A context manager that writes."""
        return hold_of(self, SM_EXCLUSIVE)


@cython.no_gc
cdef class SxLock(UserLock):
    """See shmalloc.locks.SxLock."""

    def acquire_shared(self, timeout=None, blocking=True):
        """Take it as one of many. As Mutex.acquire."""
        return lock_take(self, SM_SHARED, timeout, blocking)

    def release_shared(self):
        """Give one shared hold of this process back. Raises: LockNotHeld."""
        lock_give(self, SM_SHARED)

    def acquire_exclusive(self, timeout=None, blocking=True):
        """Take it alone. As Mutex.acquire."""
        return lock_take(self, SM_EXCLUSIVE, timeout, blocking)

    def release_exclusive(self):
        """Give it back. Raises: LockNotHeld."""
        lock_give(self, SM_EXCLUSIVE)

    def try_upgrade(self):
        """Turn the only shared hold into the exclusive one.

        Returns: False when there are other shared holds; then nothing changed. Raises: OwnerDied: upgraded, see
        acquire. LockNotHeld: this process shares nothing.
        """
        self.at.need()
        cdef sm_err err = sm_userlock_upgrade(self.l)
        if err == SM_BUSY:
            return False
        if err != SM_OK:
            lock_fail(self, err, 0, True)
        return True

    def downgrade(self):
        """Turn the exclusive hold into a shared one, letting nobody else write in between. Raises: LockNotHeld."""
        self.at.need()
        cdef sm_err err = sm_userlock_downgrade(self.l)
        if err != SM_OK:
            lock_fail(self, err, 0, True)

    def shared(self):
        """A context manager that shares."""
        return hold_of(self, SM_SHARED)

    def exclusive(self):
        """A context manager that excludes."""
        return hold_of(self, SM_EXCLUSIVE)


@cython.no_gc
cdef class Semaphore(UserLock):
    """See shmalloc.locks.Semaphore."""

    def acquire(self, timeout=None, blocking=True):
        """Take a permit. As Mutex.acquire, but any thread of this process may give it back."""
        return lock_take(self, SM_SHARED, timeout, blocking)

    def release(self):
        """Give a permit back. Raises: LockNotHeld: this process has taken none."""
        lock_give(self, SM_SHARED)

    @property
    def value(self):
        """Permits in all, taken or not."""
        return sm_userlock_shared(self.l).ul_permits

    def __enter__(self):
        lock_enter(self, SM_SHARED)
        return self

    def __exit__(self, kind, error, trace):
        lock_give(self, SM_SHARED)


@cython.no_gc
cdef class Condition(UserLock):
    """See shmalloc.locks.Condition."""
    cdef Mutex mutex_

    @property
    def mutex(self):
        """The Mutex it gives back while it waits."""
        return self.mutex_

    def wait(self, timeout=None):
        """Give the mutex back, sleep until notified, take it again.

        Returns: False when the time passed first. The mutex is held again in any case, also when this raises OwnerDied:
        its owner died meanwhile. May return without a notification: look again, or use wait_for().
        Raises: LockNotHeld: this thread does not hold the mutex.
        """
        cdef int64_t ns = timeout_ns(timeout)
        self.at.need()
        cdef sm_err err = sm_condition_wait(self.l, ns)
        if err == SM_TIMEOUT:
            forget(self.at)
            return False
        if err != SM_OK:
            lock_fail(self.mutex_ if err == SM_OWNER_DIED or err == SM_NOT_OWNER else self, err, ns, True)
        forget(self.at)
        return True

    def notify(self, n=1):
        """Wake up to n waiters. Concurrency: with or without the mutex held."""
        cdef uint64_t count = count_of("n", n, 1)
        self.at.need()
        cdef sm_err err = sm_condition_notify(self.l, <uint32_t>min(count, <uint64_t>INT_MAX))
        if err != SM_OK:
            lock_fail(self, err, 0, True)

    def notify_all(self):
        """Wake every waiter."""
        self.notify(INT_MAX)

    def repaired(self):
        """Say that what the mutex protects is whole again. Raises: LockNotHeld."""
        self.mutex_.repaired()

    def __enter__(self):
        lock_enter(self.mutex_, SM_EXCLUSIVE)
        return self

    def __exit__(self, kind, error, trace):
        lock_give(self.mutex_, SM_EXCLUSIVE)


cdef int lock_cast(UserLock lock, lock_type, subclass) except -1:
    """The role of this handle's lock for a lock checker."""
    cdef uint64_t number = count_of("subclass", subclass, 0)
    if lock_type is None:
        if number != 0:
            refuse("subclass", subclass, "0 without a lock_type: a lock that is a type of its own is taken in no other")
        return 0
    cdef bytes raw = name_of("lock_type", lock_type, SM_NAME_BYTES - 1)
    cdef sm_err err = sm_userlock_role(lock.l, raw, <uint32_t>min(number, <uint64_t>0xffffffff))
    if err != SM_OK:
        lock_fail(lock, err, 0, True)
    lock.type_ = lock_type
    lock.subclass_ = <uint32_t>number
    return 0


def lock_open(Attachment at not None, str kind, name, bint recursive=False, value=None, Mutex mutex=None,
              lock_type=None, subclass=0):
    """Open the lock, creating it if there is none of this name. Returns: the face's class of that kind."""
    cdef bytes raw = name_of("name", name, SM_NAME_BYTES - 1)
    cdef sm_userlock_params p
    cdef sm_userlock *l = NULL
    cdef sm_err err
    cdef int tries
    cdef UserLock out
    at.need()
    memset(&p, 0, sizeof(p))
    p.up_name = raw
    number = LOCK_KINDS.index(kind)
    p.up_kind = <sm_userlock_kind><int>number
    p.up_recursive = recursive
    if value is not None:
        p.up_permits = <uint32_t>min(count_of("value", value, 1), <uint64_t>0xffffffff)
    if kind == "condition":
        if mutex is None:
            raise TypeError("a condition needs the Mutex that it works with")
        if mutex.at is not at:
            refuse("mutex", mutex, "a mutex opened through the same Arena")
        p.up_mutex = mutex.l
    for tries in range(100): # another process may create or destroy it between our two looks
        err = sm_userlock_open(at.a, &p, &l)
        if err != SM_NOT_FOUND or at.a.a_writable == 0:
            break
        if kind == "semaphore" and value is None:
            p.up_permits = 1
        err = sm_userlock_create(at.a, &p, &l)
        if err != SM_EXISTS:
            break
        if value is None:
            p.up_permits = 0
    if err != SM_OK:
        facts = {"subject": "lock", "name": name, "kind": kind, "most": SM_MAX_LOCKS, "recursive": recursive,
                 "value": value, "mutex": None if mutex is None else mutex.name_}
        if err == SM_MISMATCH:
            facts["have"] = lock_named(at, name)
        fail(at, err, facts)
    face = FACE[kind]
    out = <UserLock>face.__new__(face)
    out.at = at
    out.name_ = name
    out.l = l
    if mutex is not None:
        (<Condition>out).mutex_ = mutex
    else:
        lock_cast(out, lock_type, subclass)
    return out


def lock_reopen(Attachment at not None, str name, lock_type=None, subclass=0):
    """Open the lock of this name as it is. Returns: the face's class of its kind."""
    figures = lock_named(at, name)
    if figures is None:
        fail(at, SM_NOT_FOUND, {"subject": "lock", "name": name})
    mutex = lock_reopen(at, figures.mutex) if figures.kind == "condition" else None
    return lock_open(at, figures.kind, name, figures.recursive, None, mutex, lock_type, subclass)


cdef object lock_figures(Attachment at, uint32_t id):
    cdef sm_userlock_stats_t s
    cdef sm_err err = sm_userlock_stats(at.a, id, &s)
    if err != SM_OK:
        fail(at, err if err != SM_NOT_FOUND else SM_GONE, {"subject": "lock", "name": f"#{id}"})
    kind = LOCK_KINDS[s.ls_kind] if s.ls_kind < len(LOCK_KINDS) else None
    return FACE["LockStatistics"](
        text_of(s.ls_name, SM_NAME_BYTES), kind or f"#{s.ls_kind}",
        None if s.ls_owner == SM_CPU_NONE else s.ls_owner, s.ls_holds, s.ls_waiters, s.ls_acquires, s.ls_contended,
        s.ls_died, s.ls_deaths, None if s.ls_dead_cpu == SM_CPU_NONE else s.ls_dead_cpu, s.ls_dead_pid,
        s.ls_permits, s.ls_recursive, text_of(s.ls_mutex, SM_NAME_BYTES))


cdef object lock_named(Attachment at, str name):
    """Figures of the lock of this name, None if there is none any more."""
    for figures in lock_statistics(at):
        if figures.name == name:
            return figures
    return None


def lock_statistics(Attachment at not None):
    """Records of the live locks."""
    cdef uint32_t id
    cdef sm_userlock_stats_t s
    at.need()
    return [lock_figures(at, id) for id in range(SM_MAX_LOCKS) if sm_userlock_stats(at.a, id, &s) == SM_OK]
