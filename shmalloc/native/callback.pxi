# callback.pxi - Python functions as ctor, dtor, init, fini and maxaction. Owns one Callback for each resolved slot of a
# zone (the core holds the reference) and the memory views they are shown. Runs with no lock of the core held.

cdef enum:
    ERRNO_MOST = 4095 # Linux's MAX_ERRNO: larger numbers are no errno


@cython.final
@cython.no_gc
cdef class CallbackMemory:
    """What a callback sees of its item. Keeps the mapping alive for slices that outlive the call."""
    cdef Attachment at
    cdef void *mem
    cdef Py_ssize_t nbytes

    def __getbuffer__(self, Py_buffer *view, int flags):
        view_fill(view, self, self.mem, &self.nbytes, flags)

    def __releasebuffer__(self, Py_buffer *view):
        pass


@cython.final
@cython.no_gc
cdef class Callback:
    cdef void *at # borrowed: the attachment owns the zone handle that owns this
    cdef sm_callback_slot slot
    cdef str zone
    cdef object fn


cdef int view_fill(Py_buffer *view, object owner, void *mem, Py_ssize_t *nbytes, int flags) except -1:
    """One dimension of writable bytes. `nbytes` must live as long as `owner`."""
    view.obj = owner
    view.buf = mem
    view.len = nbytes[0]
    view.readonly = 0
    view.itemsize = 1
    view.format = <char *>b"B" if flags & PyBUF_FORMAT else <char *>NULL
    view.ndim = 1
    view.shape = nbytes if flags & PyBUF_ND else NULL
    view.strides = &view.itemsize if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
    view.suboffsets = NULL
    view.internal = NULL
    return 0


cdef int errno_of(BaseException exc):
    """The errno that an exception stands for."""
    if isinstance(exc, OSError):
        number = (<object>exc).errno
        if isinstance(number, int) and 0 < number <= ERRNO_MOST:
            return number
    return EINVAL


cdef int returned(Attachment at, Callback cb, object value):
    """What a ctor or init returned, as an errno; anything but None, 0 or an errno is nonsense and refuses the item."""
    if value is None:
        return 0
    if type(value) is int and 0 <= value <= ERRNO_MOST:
        return value
    at.nonsense = repr(value)
    return EINVAL


cdef object callback_enter(Callback cb, void *mem, uint32_t nbytes, void *arg, int how):
    """Calls the Python function on a view of the memory; the view is released when it returns."""
    cdef CallbackMemory seen = CallbackMemory.__new__(CallbackMemory)
    seen.at = <Attachment>cb.at
    seen.mem = mem
    seen.nbytes = nbytes
    view = PyMemoryView_FromObject(seen)
    try:
        if cb.slot == SM_CB_CTOR:
            return cb.fn(view, nbytes, None if arg == NULL else <object>arg, how)
        if cb.slot == SM_CB_INIT:
            return cb.fn(view, nbytes, how)
        if cb.slot == SM_CB_DTOR:
            return cb.fn(view, nbytes, None if arg == NULL else <object>arg)
        if cb.slot == SM_CB_EXTFREE:
            return cb.fn(view, nbytes, (<uint64_t *>arg)[0], (<uint64_t *>arg)[1])
        return cb.fn(view, nbytes)
    finally:
        try:
            view.release()
        except BufferError:
            view = None # something was made of the view that still lives; `seen` keeps its mapping


cdef inline bint may_refuse(sm_callback_slot slot) noexcept:
    return slot == SM_CB_CTOR or slot == SM_CB_INIT or slot == SM_CB_MAC_INIT or slot == SM_CB_MAC_COPY


cdef object label_enter(Callback cb, uint64_t *slot, void *arg, int how):
    """A MAC policy's: the slot is 64 bits of a label. init and copy say what it holds from now on, None leaves it; copy
    and destroy are told what it held."""
    if cb.slot == SM_CB_MAC_DESTROY:
        return cb.fn(slot[0])
    if cb.slot == SM_CB_MAC_INIT:
        value = cb.fn(how)
    else:
        value = cb.fn(slot[0], (<uint64_t *>arg)[0], how)
    if value is not None:
        slot[0] = count_word("label", value)
    return None


cdef int callback_run(void *mem, uint32_t nbytes, void *arg, int how, void *ctx) noexcept:
    """What the core calls; the interpreter's lock is held."""
    cdef Callback cb = <Callback>ctx
    cdef Attachment at = <Attachment>cb.at
    try:
        if cb.slot == SM_CB_MAXACTION:
            cb.fn(cb.zone)
            return 0
        if cb.slot == SM_CB_DRAIN:
            cb.fn()
            return 0
        if cb.slot >= SM_CB_MAC_INIT:
            value = label_enter(cb, <uint64_t *>mem, arg, how)
        else:
            value = callback_enter(cb, mem, nbytes, arg, how)
        return returned(at, cb, value) if may_refuse(cb.slot) else 0
    except BaseException as exc:
        if may_refuse(cb.slot):
            at.pending = exc
            return errno_of(exc)
        PyErr_SetObject(type(exc), exc)
        PyErr_WriteUnraisable(cb.fn)
        return 0


cdef sm_err callback_resolve(void *ctx, const char *zone, sm_callback_slot slot, const sm_callback_shm *shm,
                             sm_callback_fn *fn, void **fn_ctx) noexcept:
    cdef Attachment at = <Attachment>ctx
    cdef Callback cb
    try:
        name = text_of(zone, SM_NAME_BYTES) if zone != NULL else ""
        cb = Callback.__new__(Callback)
        cb.at = ctx
        cb.slot = slot
        cb.zone = name
        cb.fn = FACE["resolve"](at.name, name, text_of(<char *>shm.cb_name, SM_CALLBACK_BYTES))
    except BaseException as exc:
        at.pending = exc
        return SM_UNRESOLVED
    Py_INCREF(cb)
    fn[0] = callback_run
    fn_ctx[0] = <void *>cb
    return SM_OK


cdef void callback_release(void *ctx, void *fn_ctx) noexcept:
    if fn_ctx != NULL:
        Py_DECREF(<object>fn_ctx)
