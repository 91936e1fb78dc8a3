# item.pxi - one item held by this process, as a buffer. Owns the Item type and the ways an Item ends.
#
# An Item holds no Python object, so the garbage collector does not know it; item_life.h makes and drops the plain ones.
# It remembers the state word its item had when it got it: one compare tells whether the item is still this one's (not
# freed, not handed over, not reaped, not of a later life), a second one whether this is still the process that got it.
# Ending in another way than by __dealloc__ sets `expect` to 0, which no state word ever is.

cdef enum:
    GONE_FREED = 1
    GONE_HANDED = 2 # to a queue, a ticket or a pickle
    GONE_MOVING = 3 # inside a call that hands it over
    LIVE_TAGGED = 4 # not gone: malloc's, never freed by a bare push because its tag counts


@cython.final
@cython.no_gc
cdef class Item:
    """One item of a zone, held by this process: a writable buffer of bytes.

    Made by zone.alloc(), queue.get(), arena.malloc() and arena.adopt(). Freed when the last reference to it and to its
    memoryviews goes, or by free(). Pickling hands it over: the receiver adopts it, this Item is closed.
    Concurrency: belongs to the process that got it; a forked child cannot use it (ForkedItem).

    >>> with shmalloc.Arena.create(name) as arena:
    ...     item = arena.zone("frame", size=64).alloc(M_ZERO)
    ...     item[0:5] = b"hello"
    ...     item[:6], item[4], len(item)
    (b'hello\\x00', 111, 64)
    """
    cdef item_body b

    def __init__(self):
        raise TypeError("an Item comes from zone.alloc(), queue.get(), arena.malloc() or arena.adopt()")

    def __dealloc__(self):
        cdef sm_zone *z = self.b.z
        if unlikely(z == NULL):
            return
        if self.b.expect != 0:
            item_drop(self)
        z.z_refs -= 1
        if z.z_refs == 0:
            Py_DECREF(<object>z.z_arena.a_runtime.rt_ctx)

    def __len__(self):
        return self.b.nbytes

    def __repr__(self):
        if self.b.z == NULL or self.b.expect == 0 or item_state(self) != SM_OK:
            return "<shmalloc.Item, gone>"
        return f"<shmalloc.Item of {self.b.nbytes} bytes, zone {text_of(self.b.z.z_shm.z_name, SM_NAME_BYTES)!r}>"

    def free(self):
        """Give the item back to its zone now.

        Raises: DoubleFree: freed before. BufferError: a memoryview of it is still open. ItemFreed: it was handed over.
        InCallback: called from its own dtor. ArenaClosed.
        Concurrency: this process; may run the dtor.   Source: UMA uma_zfree.
        """
        if likely(self.b.exports == 0 and self.b.expect != 0 and item_push(&self.b)):
            self.b.expect = 0
            self.b.gone = GONE_FREED
            return
        item_free(self)

    @property
    def freed(self):
        """True when this Item no longer stands for memory: freed, handed over, or its arena is closed here."""
        return self.b.z == NULL or item_state(self) != SM_OK

    @property
    def handle(self):
        """A number that names this life of the item in its arena, for adopt() by another process."""
        cdef sm_handle h
        item_need(self)
        cdef sm_err err = sm_zone_handle(self.b.z, self.b.mem, &h)
        if err != SM_OK:
            item_raise(self, err)
        return handle_int(h)

    @property
    def zone(self):
        """The Zone that this item belongs to."""
        item_need(self)
        return zone_of(self.b.z)

    @property
    def address_offset(self):
        """Bytes from the start of the arena's object to the item's first byte."""
        item_need(self)
        return <uint64_t>(<uint8_t *>self.b.mem - self.b.z.z_base)

    def ticket(self):
        """Give the item up to whoever adopts the returned handle first; this Item is closed.

        Returns: int, for Arena.adopt in any process.
        Raises: BufferError: a memoryview of it is still open.
        Concurrency: until adopted the item belongs to nobody; if this process dies first it is reclaimed.
        """
        cdef sm_handle h
        item_lend(self)
        cdef uint64_t expect = self.b.expect
        self.b.expect = 0
        self.b.gone = GONE_MOVING
        cdef sm_err err = sm_zone_ticket(self.b.z, self.b.mem, &h)
        if err != SM_OK:
            item_restore(self, expect)
            item_raise(self, err)
        self.b.gone = GONE_HANDED
        return handle_int(h)

    def write(self, data, Py_ssize_t offset=0):
        """Copy data into the item.

        Parameters: data: bytes or any contiguous buffer; offset: where, in bytes.
        Returns: bytes written. Raises: InvalidArgument: it does not fit; nothing was written.
        """
        cdef Py_ssize_t n
        if PyBytes_CheckExact(data):
            n = PyBytes_GET_SIZE(data)
            item_need(self)
            if unlikely(offset < 0 or offset > self.b.nbytes or n > self.b.nbytes - offset):
                refuse("data", f"{n} bytes at {offset}", f"it must fit the item's {self.b.nbytes} bytes")
            memcpy(self.b.mem + offset, PyBytes_AS_STRING(data), n)
            return n
        return item_store(self, data, offset, -1)

    def read(self, Py_ssize_t n=-1, Py_ssize_t offset=0):
        """Copy bytes out of the item.

        Parameters: n: how many, -1 for all that follow; offset: from where.
        Returns: bytes, fewer than n at the end of the item.
        """
        item_need(self)
        if unlikely(offset < 0 or offset > self.b.nbytes):
            refuse("offset", offset, f"0 .. {self.b.nbytes}")
        if n < 0 or n > self.b.nbytes - offset:
            n = self.b.nbytes - offset
        return PyBytes_FromStringAndSize(self.b.mem + offset, n)

    def __getitem__(self, key):
        cdef Py_ssize_t start, stop, step, n, i
        cdef bytes out
        cdef char *to
        if likely(PySlice_Check(key)):
            PySlice_Unpack(key, &start, &stop, &step)
            item_need(self)
            n = PySlice_AdjustIndices(self.b.nbytes, &start, &stop, step)
            if likely(step == 1):
                return PyBytes_FromStringAndSize(self.b.mem + start, n)
            out = PyBytes_FromStringAndSize(NULL, n)
            to = PyBytes_AS_STRING(out)
            for i in range(n):
                to[i] = self.b.mem[start + i * step]
            return out
        i = PyNumber_AsSsize_t(key, IndexError)
        item_need(self)
        if i < 0:
            i += self.b.nbytes
        if unlikely(i < 0 or i >= self.b.nbytes):
            raise IndexError(f"index {key} is outside the item's {self.b.nbytes} bytes")
        return <uint8_t>self.b.mem[i]

    def __setitem__(self, key, value):
        cdef Py_ssize_t start, stop, step, n
        if likely(PySlice_Check(key)):
            PySlice_Unpack(key, &start, &stop, &step)
            n = PySlice_AdjustIndices(self.b.nbytes, &start, &stop, step)
            if step != 1:
                refuse("slice", key, "a step of 1; use a memoryview for others")
            if likely(PyBytes_CheckExact(value) and PyBytes_GET_SIZE(value) == n):
                item_need(self)
                memcpy(self.b.mem + start, PyBytes_AS_STRING(value), n)
                return
            item_store(self, value, start, n)
            return
        start = PyNumber_AsSsize_t(key, IndexError)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
            refuse("value", value, "an int, 0 .. 255")
        n = value
        item_need(self)
        if start < 0:
            start += self.b.nbytes
        if start < 0 or start >= self.b.nbytes:
            raise IndexError(f"index {key} is outside the item's {self.b.nbytes} bytes")
        self.b.mem[start] = <char>n

    def __delitem__(self, key):
        raise TypeError("the bytes of an item cannot be deleted")

    def __getbuffer__(self, Py_buffer *view, int flags):
        item_need(self)
        if self.b.exports == 0:
            export_begin(attachment_of(self.b.z), <PyObject *>self)
        self.b.exports += 1
        view_fill(view, self, self.b.mem, &self.b.nbytes, flags)

    def __releasebuffer__(self, Py_buffer *view):
        self.b.exports -= 1
        if self.b.exports == 0:
            export_end(attachment_of(self.b.z), <PyObject *>self)

    def __reduce__(self):
        item_lend(self)
        cdef Attachment at = attachment_of(self.b.z)
        uuid = at.uuid
        return FACE["adopt"], (at.name_, uuid, self.ticket())

    def __copy__(self):
        raise TypeError("an Item cannot be copied: allocate one and write to it, or pickle it to hand it over")

    def __deepcopy__(self, memo):
        raise TypeError("an Item cannot be copied: allocate one and write to it, or pickle it to hand it over")


cdef inline Attachment attachment_of(sm_zone *z):
    return <Attachment>z.z_arena.a_runtime.rt_ctx


cdef inline void zone_ref(sm_zone *z) noexcept:
    if z.z_refs == 0:
        Py_INCREF(<object>z.z_arena.a_runtime.rt_ctx)
    z.z_refs += 1


cdef inline Item item_wrap(sm_zone *z, void *mem, uint64_t *word, Py_ssize_t nbytes):
    """An Item for what this CPU holds. The zone has a reference already."""
    cdef Item it = <Item>item_blank()
    item_fill(it, z, mem, word, nbytes)
    return it


cdef Item item_made(sm_zone *z, void *mem):
    """An Item for what a call of the core gave to this CPU, of any zone."""
    cdef uint64_t *word = NULL
    cdef uint64_t requested = z.z_item_bytes, usable = 0
    cdef uint32_t type = 0
    cdef Item it
    cdef sm_err err = sm_zone_lookup(z, mem, &word)
    if err == SM_OK and z.z_flags & SM_ZONE_MALLOC:
        err = sm_malloc_usable(z.z_arena, mem, &requested, &usable, &type)
    if err != SM_OK:
        fail(attachment_of(z), err, {"subject": "item", "name": text_of(z.z_shm.z_name, SM_NAME_BYTES)})
    zone_ref(z)
    try:
        it = item_wrap(z, mem, word, <Py_ssize_t>requested)
    finally:
        z.z_refs -= 1 # never to 0: the Item holds one, and the caller keeps the attachment
    if z.z_flags & SM_ZONE_MALLOC:
        it.b.gone = LIVE_TAGGED
    return it


cdef inline void item_restore(Item it, uint64_t expect) noexcept:
    """The hand-over did not happen: the Item lives on."""
    it.b.expect = expect
    it.b.gone = LIVE_TAGGED if it.b.z.z_flags & SM_ZONE_MALLOC else 0


cdef sm_err item_state(Item it) noexcept:
    """SM_OK when the item is this Item's; else why not."""
    cdef uint64_t word
    if it.b.z == NULL:
        return SM_GONE
    if it.b.expect == 0:
        return SM_DOUBLE_FREE if it.b.gone == GONE_FREED else SM_GONE
    if attachment_of(it.b.z).closed_:
        return SM_CLOSED
    if it.b.epoch != it.b.z.z_epoch:
        return SM_FORKED
    word = sm_load_rlx(it.b.word)
    if word == it.b.expect:
        return SM_OK
    if SM_ST_KIND(word) == SM_CONSTRUCTING and SM_ST_GEN(word) == SM_ST_GEN(it.b.expect):
        return SM_IN_CALLBACK
    if SM_ST_GEN(word) != SM_ST_GEN(it.b.expect):
        return SM_DOUBLE_FREE
    return SM_NOT_OWNER


cdef int item_raise(Item it, sm_err err) except -1:
    cdef Attachment at = attachment_of(it.b.z)
    facts = {"subject": "item", "name": text_of(it.b.z.z_shm.z_name, SM_NAME_BYTES)}
    fail(at, err, facts)


cdef int item_refused(Item it, bint freeing) except -1:
    """Raises the reason why the Item cannot be used (or freed)."""
    cdef sm_err err = item_state(it)
    if it.b.z == NULL:
        raise failure(SM_GONE, {"subject": "item"})
    if err == SM_DOUBLE_FREE and not freeing or err == SM_GONE:
        raise failure(SM_GONE, {"subject": "item", "name": text_of(it.b.z.z_shm.z_name, SM_NAME_BYTES), "arena":
                      attachment_of(it.b.z).name_, "handed": it.b.gone == GONE_HANDED or it.b.gone == GONE_MOVING})
    if err == SM_OK:
        raise BufferError("the item has open memoryviews; release them first")
    return item_raise(it, err)


cdef inline int item_need(Item it) except -1:
    """The Item may be read and written."""
    if likely(it.b.expect != 0 and sm_load_rlx(it.b.word) == it.b.expect and it.b.epoch == it.b.z.z_epoch) and (
            likely(it.b.z.z_plain) or not attachment_of(it.b.z).closed_):
        return 0
    return item_refused(it, False)


cdef inline int item_lend(Item it) except -1:
    """The Item may be given away: usable, and no view is open."""
    item_need(it)
    if it.b.exports:
        return item_refused(it, False)
    return 0


cdef sm_err memory_free(sm_zone *z, void *mem, void *arg) noexcept:
    if z.z_flags & SM_ZONE_MALLOC:
        return sm_malloc_free(z.z_arena, mem)
    return sm_zone_free(z, mem, arg)


cdef int item_free(Item it) except -1:
    """The slow half of free(): everything but a plain zone's push."""
    cdef sm_err err
    if it.b.z == NULL or item_state(it) != SM_OK or it.b.exports:
        return item_refused(it, True)
    err = memory_free(it.b.z, it.b.mem, NULL)
    if err != SM_OK:
        return item_raise(it, err)
    it.b.expect = 0
    it.b.gone = GONE_FREED
    forget(attachment_of(it.b.z))
    return 0


cdef void item_drop(Item it) noexcept:
    """The slow half of __dealloc__. Frees what is still this Item's; what went wrong goes to sys.unraisablehook."""
    cdef Attachment at = attachment_of(it.b.z)
    if item_state(it) != SM_OK:
        return
    export_free(it, at)


cdef void export_free(Item it, Attachment at) noexcept:
    cdef sm_err err
    cdef bint was = at.quiet
    at.quiet = True
    err = memory_free(it.b.z, it.b.mem, NULL)
    at.quiet = was
    it.b.expect = 0
    it.b.gone = GONE_FREED
    if err != SM_OK:
        try:
            fail(at, err, {"subject": "item", "name": text_of(it.b.z.z_shm.z_name, SM_NAME_BYTES)})
        except BaseException as exc:
            PyErr_SetObject(type(exc), exc)
            PyErr_WriteUnraisable(Item)


cdef void item_orphaned(Item it) noexcept:
    """Its last view died after close()."""
    if it.b.expect != 0 and it.b.epoch == it.b.z.z_epoch and sm_load_rlx(it.b.word) == it.b.expect:
        export_free(it, attachment_of(it.b.z))


cdef Py_ssize_t item_store(Item it, object data, Py_ssize_t offset, Py_ssize_t want) except -1:
    """Copies any contiguous buffer to offset; want: the size it must have, -1 any that fits."""
    cdef Py_buffer view
    if not PyObject_CheckBuffer(data):
        raise TypeError(f"an item is written from bytes or a buffer, not {type(data).__name__}")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        item_need(it)
        if want >= 0 and view.len != want:
            refuse("value", f"{view.len} bytes", f"the {want} bytes that the slice covers: an item does not change size")
        if offset < 0 or offset > it.b.nbytes or view.len > it.b.nbytes - offset:
            refuse("data", f"{view.len} bytes at {offset}", f"it must fit the item's {it.b.nbytes} bytes")
        memcpy(it.b.mem + offset, view.buf, view.len)
        return view.len
    finally:
        PyBuffer_Release(&view)
