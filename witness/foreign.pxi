# Locks of the interpreter under witness: which of them are watched, and what is told of them. Owns the table of watched
# locks of this process, by address. Holds no rule and no name: witness/foreign.py finds the class. The bookkeeping is
# between the interpreter's lock and the thread: a lock is entered after it was taken, and taken out when it was given
# back. Everything here runs with the GIL held. Entries move when the table grows and when a lock goes, so an entry is
# looked up again after whatever may run Python: a wait, a capture of the stack.

from os import getpid, register_at_fork

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() nogil
    void Py_INCREF_RAW "Py_INCREF"(PyObject *o)
    void Py_DECREF_RAW "Py_DECREF"(PyObject *o)

cdef struct watched_lock:
    PyObject *lock # NULL: no entry
    PyObject *watch # a Watch, referred to
    uint64_t number # of the instance
    uint64_t owner # the thread that took it last
    uint32_t c
    uint32_t told # how often it was entered and not taken out yet
    bint reentrant

cdef watched_lock *watched_table = NULL
cdef size_t watched_room = 0 # a power of two
cdef size_t watched_count = 0
cdef uint64_t foreign_base = <uint64_t>getpid() << 32 # of instances; a forked child's locks are others than its parent's
cdef uint64_t foreign_count = 0


cdef object forked():
    global foreign_base
    foreign_base = <uint64_t>getpid() << 32


def _forked():
    forked()


register_at_fork(after_in_child=_forked)


cdef inline size_t watched_home(PyObject *lock) noexcept nogil:
    return <size_t>((<uint64_t><size_t>lock * <uint64_t>0x9e3779b97f4a7c15) >> 32) & (watched_room - 1)


cdef inline watched_lock *watched_find(PyObject *lock) noexcept nogil:
    """The lock's entry; NULL: it is not watched."""
    cdef size_t at
    if watched_count == 0:
        return NULL
    at = watched_home(lock)
    while watched_table[at].lock != NULL:
        if watched_table[at].lock == lock:
            return &watched_table[at]
        at = (at + 1) & (watched_room - 1)
    return NULL


cdef void watched_place(watched_lock *entry) noexcept nogil:
    cdef size_t at = watched_home(entry.lock)
    while watched_table[at].lock != NULL:
        at = (at + 1) & (watched_room - 1)
    watched_table[at] = entry[0]


cdef int watched_grow() except -1:
    """Room for one more: at most half of the places are taken."""
    global watched_table, watched_room
    cdef watched_lock *former = watched_table
    cdef size_t i, places = watched_room
    if (watched_count + 1) * 2 <= watched_room:
        return 0
    cdef watched_lock *fresh = <watched_lock *>calloc(256 if places == 0 else places * 2, sizeof(watched_lock))
    if fresh == NULL:
        raise MemoryError
    watched_table = fresh
    watched_room = 256 if places == 0 else places * 2
    for i in range(places):
        if former[i].lock != NULL:
            watched_place(&former[i])
    free(former)
    return 0


cdef int watched_enter(PyObject *lock, Watch watch, uint32_t c, bint reentrant) except -1:
    """Watch this lock, which is free, as one of the class, until it is gone."""
    global watched_count, foreign_count
    cdef watched_lock entry
    watched_grow()
    foreign_count += 1
    entry.lock = lock
    entry.watch = <PyObject *>watch
    Py_INCREF_RAW(entry.watch)
    entry.number = foreign_count
    entry.owner = 0
    entry.c = c
    entry.told = 0
    entry.reentrant = reentrant
    watched_place(&entry)
    watched_count += 1
    if watch.b != NULL:
        w_lock_created(watch.b, c, foreign_base | entry.number)
    return 0


cdef void watched_forget(watched_lock *entry) noexcept:
    """The lock goes. Who holds it, does so no more: nobody can wait for it."""
    global watched_count
    cdef PyObject *watch = entry.watch
    cdef size_t hole = entry - watched_table, at = hole
    cdef size_t home
    watched_drop(entry)
    watched_count -= 1
    while True: # close the row, so that a search never meets a hole in it
        at = (at + 1) & (watched_room - 1)
        if watched_table[at].lock == NULL:
            break
        home = watched_home(watched_table[at].lock)
        if ((at - home) & (watched_room - 1)) >= ((at - hole) & (watched_room - 1)):
            watched_table[hole] = watched_table[at]
            hole = at
    watched_table[hole].lock = NULL
    Py_DECREF_RAW(watch)


cdef inline w_block *watched_block(watched_lock *entry) noexcept:
    return (<Watch>entry.watch).b


cdef inline void watched_entered(watched_lock *entry, uint32_t flags) noexcept:
    """The calling thread has taken it."""
    cdef w_block *b = watched_block(entry)
    entry.owner = PyThread_get_thread_ident()
    if b != NULL and not b.b_classes[entry.c].c_flags & W_SIGNAL:
        entry.told += 1
        w_acquired(b, entry.c, foreign_base | entry.number, W_EXCLUSIVE, flags, NULL)


cdef inline void watched_left(watched_lock *entry, uint64_t owner) noexcept:
    """The calling thread has given it back. Of a lock that another one took, this says what it is: a signal."""
    cdef w_block *b = watched_block(entry)
    if entry.told == 0 or b == NULL:
        return
    entry.told -= 1
    if owner != PyThread_get_thread_ident():
        w_class_signal(b, entry.c)
    w_release(b, entry.c, foreign_base | entry.number, False, NULL)


cdef void watched_drop(watched_lock *entry) noexcept:
    """Nobody holds it any more, and nobody gave it back."""
    cdef w_block *b = watched_block(entry)
    while entry.told != 0:
        entry.told -= 1
        if b != NULL:
            w_release(b, entry.c, foreign_base | entry.number, False, NULL)


cdef inline bint watched_wait(watched_lock *entry, bint bounded, bint unsure) noexcept:
    """The calling thread is about to wait for it; whether that was told. Who waits for itself for a bounded time waits for
    somebody's signal, so nothing is judged then."""
    cdef w_block *b = watched_block(entry)
    cdef uint32_t flags = W_UNSURE if unsure else 0
    if b == NULL or b.b_classes[entry.c].c_flags & W_SIGNAL:
        return False
    if bounded and entry.told != 0 and entry.owner == PyThread_get_thread_ident():
        flags |= W_TRY
    w_before_acquire(b, entry.c, foreign_base | entry.number, W_EXCLUSIVE, flags, NULL)
    return True


cdef inline void watched_waited(watched_lock *entry) noexcept:
    """The wait ended without the lock."""
    cdef w_block *b = watched_block(entry)
    if b != NULL:
        w_not_acquired(b, entry.c, foreign_base | entry.number)


@cython.no_gc_clear # as Watch
cdef class ForeignLock:
    """What stands in the table for a lock that is made of other things, as a semaphore is: whoever makes it, says when it
    is waited for, taken and given back. What it still holds goes with it."""
    cdef watched_lock entry
    cdef Watch watch

    def __cinit__(self, Watch watch not None, uint32_t c):
        global foreign_count
        if watch.b != NULL and c >= watch.b.b_max_classes:
            raise IndexError(c)
        foreign_count += 1
        self.watch = watch
        self.entry.watch = <PyObject *>watch
        self.entry.number = foreign_count
        self.entry.c = c
        if watch.b != NULL: # left already: it says nothing
            w_lock_created(watch.b, c, foreign_base | self.entry.number)

    def __dealloc__(self):
        if self.entry.watch != NULL:
            watched_drop(&self.entry)

    def waits(self, bint bounded=False, bint unsure=False):
        """The calling thread is about to wait; bounded: for some time only; unsure: perhaps it is free."""
        watched_wait(&self.entry, bounded, unsure)

    def waited(self):
        """It did, in vain."""
        watched_waited(&self.entry)

    def taken(self, bint tried=False):
        """The calling thread has it; tried: it would not have waited."""
        watched_entered(&self.entry, W_TRY if tried else 0)

    @property
    def owner(self):
        """The thread that took it last."""
        return self.entry.owner

    def given(self, uint64_t owner):
        """The calling thread has given back what `owner` took: another one's is a signal. Somebody else may have taken it
        since, so the owner is read before it is given back."""
        watched_left(&self.entry, owner)
