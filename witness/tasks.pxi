# What a task of an event loop holds, told to a Watch. Owns the task's slot in the block, which it has while it holds
# something. Which task runs, and which lock it is, witness/watched/tasks.py finds out.

cdef w_thread_shm *task_here(w_block *b, void *ctx) noexcept:
    """The slot of the task that this thread runs: asked only while a task of this process holds something."""
    if not PyGILState_Check() or PyErr_Occurred() != NULL:
        return NULL
    held = (<Watch>ctx).on_task()
    return NULL if held is None else (<TaskHeld>held).slot


cdef bint alive_here(w_block *b, void *ctx, uint32_t c, uint64_t instance) noexcept:
    if not PyGILState_Check() or PyErr_Occurred() != NULL:
        return True
    return (<Watch>ctx).on_alive(c, instance)


cdef uint32_t task_count = 0


@cython.no_gc_clear # as Watch
cdef class TaskHeld:
    """The locks of one task, by the calls of Watch. A task that dies holding some gives them up without a word."""
    cdef Watch watch
    cdef w_thread_shm *slot
    cdef uint32_t number
    cdef bytes name
    cdef object __weakref__

    def __cinit__(self, Watch watch not None, str name not None):
        global task_count
        task_count += 1
        self.watch = watch
        self.number = task_count
        self.name = name.encode("utf-8", "replace")

    def __dealloc__(self):
        if self.watch is not None and self.watch.b != NULL:
            w_task_free(self.watch.b, self.slot)

    def before(self, uint32_t c, uint64_t instance, uint32_t flags=0):
        """The lock is about to be waited for: its order is checked. flags: UNSURE: it may be free."""
        if self.watch.b != NULL:
            w_task_before(self.watch.b, self.slot, self.number, c, instance, flags, NULL)

    def acquired(self, uint32_t c, uint64_t instance, uint32_t flags=0):
        """The lock is the task's."""
        cdef w_block *b = self.watch.b
        if b == NULL:
            return
        if self.slot == NULL:
            self.slot = w_task_claim(b, self.number, self.name)
        w_task_acquired(b, self.slot, c, instance, flags, NULL)

    def not_acquired(self):
        """The wait is over without it."""
        if self.watch.b != NULL:
            w_task_not_acquired(self.watch.b, self.slot)

    def released(self, uint32_t c, uint64_t instance):
        """Given back. Returns: whether this task held it."""
        cdef w_block *b = self.watch.b
        cdef bint held
        if b == NULL:
            return False
        held = w_task_release(b, self.slot, c, instance)
        if self.slot != NULL and self.slot.t_count == 0:
            w_task_free(b, self.slot)
            self.slot = NULL
        return held
