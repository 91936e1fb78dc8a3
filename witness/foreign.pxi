# Locks of the interpreter under witness: what stands for threading.Lock and threading.RLock. Owns no rule and no name:
# witness/foreign.py finds the class and the creation site. The bookkeeping is between the interpreter's lock and the
# thread, so a lock is entered after it was taken and taken out before it is given back. A lock that is free is taken
# without telling that it was waited for; the order is checked in any case.

from _thread import RLock as _plain_rlock
from _thread import TIMEOUT_MAX
from _thread import allocate_lock as plain_lock
from os import getpid, register_at_fork

cdef uint64_t foreign_base = <uint64_t>getpid() << 32 # of instances; a forked child's locks are others than its parent's
cdef uint64_t foreign_count = 0


cdef object forked():
    global foreign_base
    foreign_base = <uint64_t>getpid() << 32


def _forked():
    forked()


register_at_fork(after_in_child=_forked)


cdef class ForeignLock:
    """A lock of the interpreter, told of to a Watch. Base of WatchedLock and WatchedRLock."""
    cdef object inner, take, give
    cdef Watch watch
    cdef uint32_t c
    cdef uint64_t number
    cdef object __weakref__

    def __cinit__(self, Watch watch not None, uint32_t c, *args, **kwargs):
        global foreign_count
        foreign_count += 1
        self.watch = watch
        self.c = c
        self.number = foreign_count
        self.renew()
        if watch.b != NULL:
            w_lock_created(watch.b, c, foreign_base | self.number)

    cdef renew(self): # also called by __cinit__, when the type's own methods are not in place yet
        self.inner = _plain_rlock() if isinstance(self, WatchedRLock) else plain_lock()
        self.take = self.inner.acquire
        self.give = self.inner.release

    cdef inline void entered(self, uint32_t flags):
        cdef w_block *b = self.watch.b
        if b != NULL:
            w_acquired(b, self.c, foreign_base | self.number, W_EXCLUSIVE, flags, NULL)

    cdef inline void left(self):
        cdef w_block *b = self.watch.b
        if b != NULL:
            w_release(b, self.c, foreign_base | self.number, False, NULL)

    cdef object taken(self, bint blocking, object timeout):
        cdef w_block *b = self.watch.b
        if not blocking or timeout == 0:
            got = self.take(blocking, timeout)
            if got:
                self.entered(W_TRY)
            return got
        if timeout != -1 and not 0 < timeout <= TIMEOUT_MAX:
            return self.take(True, timeout) # its error is the interpreter's
        if self.take(False):
            self.entered(0)
            return True
        if b != NULL:
            w_before_acquire(b, self.c, foreign_base | self.number, W_EXCLUSIVE, 0, NULL)
        try:
            got = self.take(True, timeout)
        except BaseException: # a signal's handler raised
            if self.watch.b != NULL:
                w_not_acquired(self.watch.b, self.c, foreign_base | self.number)
            raise
        if got:
            self.entered(W_CONTENDED)
        elif self.watch.b != NULL:
            w_not_acquired(self.watch.b, self.c, foreign_base | self.number)
        return got

    def acquire(self, bint blocking=True, timeout=-1):
        """As the interpreter's lock."""
        return self.taken(blocking, timeout)

    def release(self):
        """As the interpreter's lock."""
        self.left()
        self.give()

    def __enter__(self):
        if self.take(False):
            self.entered(0)
            return True
        return self.taken(True, -1)

    def __exit__(self, kind, value, trace):
        self.left()
        self.give()

    def _at_fork_reinit(self):
        self.renew()

    def __repr__(self):
        return f"<watched {self.inner!r}>"


cdef class WatchedLock(ForeignLock):
    """Stands for threading.Lock()."""

    def locked(self):
        """Whether somebody holds it."""
        return self.inner.locked()

    acquire_lock = ForeignLock.acquire
    release_lock = ForeignLock.release


cdef class WatchedRLock(ForeignLock):
    """Stands for threading.RLock()."""

    def release(self):
        """As the interpreter's lock."""
        if self.inner._is_owned():
            self.left()
        self.give()

    def _is_owned(self):
        return self.inner._is_owned()

    def _recursion_count(self):
        return self.inner._recursion_count()

    def _release_save(self):
        state = self.inner._release_save()
        for _ in range(state[0]):
            self.left()
        return state

    def _acquire_restore(self, state):
        if self.watch.b != NULL:
            w_before_acquire(self.watch.b, self.c, foreign_base | self.number, W_EXCLUSIVE, W_UNSURE, NULL)
        self.inner._acquire_restore(state)
        for _ in range(state[0]):
            self.entered(0)
