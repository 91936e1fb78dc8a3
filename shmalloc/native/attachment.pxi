# attachment.pxi - one attachment of this process to one arena: its life, its pins, its lazy end. Owns struct sm_arena.
#
# Life: a zone handle with references (Zone objects, Items) holds one Python reference to its attachment, so the
# attachment outlives everything that points into the mapping. close() ends use at once; the mapping goes when the last
# of those objects does. Items with exported views are freed when their last view dies, everything else at close. The
# CPU slot is given back when there is no such view and no thread of this process is asleep inside a call.

cdef struct found: # an item that a walk over the slabs came across
    sm_off_t item
    uint64_t word


cdef struct walk:
    sm_arena *arena
    void *skip # Attachment whose exported items are left out, or NULL
    uint32_t cpu # only items held by this CPU; SM_CPU_NONE: any item of `zone` that is out
    uint32_t zone
    found *list
    size_t n, room, most
    bint broken # no memory for the list


cdef void *block_begin(void *ctx) noexcept:
    cdef Attachment at = <Attachment>ctx
    cdef size_t quiet = at.quiet # belongs to this thread: it comes back with it, in the token's lowest bit
    at.quiet = 0
    at.blocked += 1
    return <void *>(<size_t>PyEval_SaveThread() | quiet)


cdef int block_end(void *ctx, void *token) noexcept:
    PyEval_RestoreThread(<PyThreadState *>(<size_t>token & ~<size_t>1))
    cdef Attachment at = <Attachment>ctx
    at.blocked -= 1
    at.quiet = <size_t>token & 1
    if at.quiet:
        return 0
    if at.closed_:
        return 1 # closed by another thread: the call unwinds, `settle` does the rest
    try:
        PyErr_CheckSignals()
    except BaseException as exc:
        at.pending = exc
        return 1
    return 0


@cython.no_gc
cdef class Attachment:
    """One attachment to an arena; shmalloc.Arena adds names and policy."""
    cdef sm_arena *a
    cdef object __weakref__
    cdef object pending # what a callback or signal handler raised inside the current call
    cdef object nonsense # repr of a callback's meaningless return value
    cdef str name_
    cdef dict companions # what companion_keep was given, by name
    cdef object armed_by # the capsule that hooks_for_new was given when this was made
    cdef dict sites # ids of allocation sites by the frames that make them, see site.pxi
    cdef PyObject **zones # Zone objects by zone id, borrowed
    cdef PyObject *mbufs # the Mbufs object, borrowed; NULL: none
    cdef PyObject **exported # Items and Mbufs with views, borrowed
    cdef uint32_t n_exported, room_exported
    cdef bint quiet # this thread is inside a drop or a close, which no signal and no close cuts short
    cdef int blocked # threads that let the interpreter's lock go inside a call of the core
    cdef bint closed_, ended
    cdef public bint unlink_on_last_close

    @property
    def name(self):
        """The arena's name, as given to create or attach."""
        return self.name_

    @property
    def closed(self):
        """True after close(), and for an attachment that never came to be."""
        return self.a == NULL or self.closed_

    @property
    def uuid(self):
        """A random number that tells two arenas of one name apart."""
        self.need()
        return self.a.a_header.h_uuid

    @property
    def cpu_id(self):
        """This process's CPU slot; None when read-only, or in a forked child before its first operation."""
        self.need()
        return None if self.a.a_cpu_id == SM_CPU_NONE else self.a.a_cpu_id

    @property
    def read_only(self):
        """Whether this attachment may only look."""
        self.need()
        return not self.a.a_writable

    @property
    def max_size(self):
        """Bytes that the data region may grow to."""
        self.need()
        return self.a.a_header.h_max_bytes

    cdef int need(self) except -1:
        if self.a == NULL or self.closed_:
            raise failure(SM_CLOSED, {"arena": self.name_})
        return 0

    def _create(self, str name, int fd, uint64_t max_bytes, tuple most, bint fenced, bint trace, bytes cpu_name):
        """Format the empty object behind fd and attach to it; most: CPUs, zones, queues, types and sites."""
        cdef sm_geometry g
        memset(&g, 0, sizeof(g))
        g.g_max_bytes = max_bytes
        g.g_max_cpus, g.g_max_zones, g.g_max_queues, g.g_max_types, g.g_max_sites = most
        g.g_fenced = fenced
        g.g_trace = trace
        cdef sm_runtime rt = self.runtime(name)
        self.begun(sm_arena_create(fd, &g, &rt, cpu_name, &self.a), fd, max_bytes, g.g_max_cpus)

    def _attach(self, str name, int fd, bint writable, bytes cpu_name, bint observe=False):
        """Verify and map the object behind fd; claim a CPU slot if writable."""
        cdef sm_runtime rt = self.runtime(name)
        rt.rt_observer = observe
        self.begun(sm_arena_attach(fd, writable, &rt, cpu_name, &self.a), fd, 0, 0)

    cdef sm_runtime runtime(self, str name):
        cdef sm_runtime rt
        memset(&rt, 0, sizeof(rt))
        self.name_ = name
        if NEWCOMERS is not None:
            rt.rt_hooks = <sm_hooks *>PyCapsule_GetPointer(NEWCOMERS, SM_HOOKS_CAPSULE)
            self.armed_by = NEWCOMERS
        rt.rt_ctx = <void *>self
        rt.rt_block_begin = block_begin
        rt.rt_block_end = block_end
        rt.rt_resolve = callback_resolve
        rt.rt_release = callback_release
        return rt

    cdef int begun(self, sm_err err, int fd, uint64_t max_bytes, uint32_t cpus) except -1:
        if err != SM_OK:
            self.a = NULL
            facts = header_facts(fd)
            facts["subject"] = "arena"
            if max_bytes: # nothing of what was to be made is left to be read
                facts["max_bytes"] = max_bytes
                facts["max_cpus"] = cpus
            fail(self, err, facts)
        self.zones = <PyObject **>calloc(self.a.a_header.h_max_zones, sizeof(PyObject *))
        if self.zones == NULL:
            sm_arena_close(self.a)
            self.a = NULL
            raise MemoryError
        if self.armed_by is not None and NEWCOMER_MADE is not None:
            try:
                NEWCOMER_MADE(self)
            except BaseException:
                self.close()
                raise
        return 0

    def close(self):
        """Give the CPU slot back and end the use of this arena in this process.

        Items without views are freed; views that were exported stay valid until the last of them dies. Always legal,
        also twice.
        Raises: InCallback: called from a ctor, dtor, init or fini. Stalled: a live peer did not let this CPU hand its
        items back; the arena is closed all the same, and they are recovered once this process ends.
        """
        if self.a == NULL or self.closed_:
            return
        if self.a.a_inside:
            raise failure(SM_IN_CALLBACK, {"arena": self.name_, "subject": "arena"})
        cdef uint32_t i
        self.closed_ = True
        if self.n_exported == 0 and self.blocked == 0:
            self.end()
            return
        self.slow_only()
        if self.blocked: # they find it closed, and the last of them ends it
            for i in range(self.a.a_header.h_max_zones):
                if self.a.a_zone[i] != NULL:
                    sm_keg_wake(self.a, self.a.a_zone[i].z_keg_id, INT_MAX)
        self.quiet = True
        try:
            self.free_unexported()
        finally:
            self.quiet = False

    cdef int settle(self) except -1:
        """After every call of the core, and after every last view: ends what close() had to leave."""
        if self.closed_ and not self.ended and self.n_exported == 0 and self.blocked == 0 and self.a != NULL:
            self.end()
        return 0

    cdef int slow_only(self) except -1:
        """No inline allocation any more: every call reaches the check for closed_."""
        cdef uint32_t i
        for i in range(self.a.a_header.h_max_zones):
            if self.a.a_zone[i] != NULL:
                zone_slow_only(self.a.a_zone[i])
        return 0

    cdef int free_unexported(self) except -1:
        """The first half of a lazy close."""
        cdef walk w
        cdef size_t i
        cdef sm_zone *z
        cdef sm_err err
        if self.a.a_cpu_id == SM_CPU_NONE:
            return 0
        memset(&w, 0, sizeof(w))
        w.arena = self.a
        w.cpu = self.a.a_cpu_id
        w.skip = <void *>self
        w.most = <size_t>-1
        sm_slab_each(self.a, 0, walk_slab, &w)
        try:
            for i in range(w.n):
                err = sm_zone_by_id(self.a, SM_ST_ZONE(w.list[i].word), &z)
                if err == SM_OK and not z.z_flags & SM_ZONE_KEEP:
                    zone_slow_only(z)
                    err = memory_free(z, self.a.a_base + w.list[i].item + z.z_item_off, NULL)
                if err != SM_OK and err != SM_DOUBLE_FREE and err != SM_STALE:
                    fail(self, err, {})
        finally:
            free(w.list)
        return 0

    cdef int end(self) except -1:
        """Detaches; once. The mapping stays until nothing points into it."""
        cdef sm_err err
        if self.ended:
            return 0
        self.ended = True
        cdef bint was = self.quiet
        self.quiet = True
        err = sm_arena_detach(self.a)
        sm_arena_set_hooks(self.a, NULL)
        self.quiet = was
        if self.companions is not None:
            for companion in list(self.companions.values()):
                companion.detached()
        self.slow_only()
        if self.unlink_on_last_close:
            FACE["last_close"](self)
        if err != SM_OK:
            fail(self, err, {"subject": "arena"})
        return 0

    def __del__(self):
        if self.a != NULL and not self.closed_:
            self.close()

    def __dealloc__(self):
        if self.a != NULL:
            sm_arena_close(self.a)
        free(self.zones)
        free(self.exported)

    def _after_fork(self):
        """In the child: what belongs to the parent is given up."""
        if self.a != NULL:
            sm_arena_after_fork(self.a)
            self.pending = None
            self.blocked = 0
            self.quiet = 0

    def _fileno(self):
        """The attachment's own descriptor of the object."""
        if self.a == NULL:
            raise failure(SM_CLOSED, {"arena": self.name_})
        return self.a.a_fd

    def _live_cpus(self, bytes without=b""):
        """Also after close: (live, dead) CPUs by the arena's table; live ones of the name `without` do not count."""
        cdef sm_arena_stats s
        cdef sm_cpu_stats c
        cdef uint32_t i, visitors = 0
        if self.a == NULL:
            raise failure(SM_CLOSED, {"arena": self.name_})
        if sm_stats_arena(self.a, &s) != SM_OK:
            return (1, 0)
        for i in range(self.a.a_header.h_max_cpus if without else 0):
            if sm_stats_cpu(self.a, i, &c) == SM_OK and c.cs_alive and <bytes>c.cs_name == without:
                visitors += 1
        return (s.as_live_cpus - visitors, s.as_dead_cpus)

    def ensure_cpu(self):
        """Claim a CPU slot now rather than at the first operation (a child after fork)."""
        self.need()
        cdef sm_err err = self.a.a_ensure(self.a) if self.a.a_cpu_id == SM_CPU_NONE else SM_OK
        if err != SM_OK:
            fail(self, err, {"subject": "arena"})

    def reclaim(self, int level=1):
        """Give unused pages back to the system; returns how many pages."""
        cdef uint64_t pages = 0
        self.need()
        if level < SM_RECLAIM_TRIM or level > SM_RECLAIM_DRAIN_CPU:
            refuse("level", level, "RECLAIM_TRIM, RECLAIM_DRAIN or RECLAIM_DRAIN_CPU")
        cdef sm_err err = sm_arena_reclaim(self.a, <sm_reclaim>level, &pages)
        if err != SM_OK:
            fail(self, err, {"subject": "arena"})
        return pages

    def adopt(self, handle):
        """Take over an item or a packet that was ticketed, or an item kept from a process that is gone.

        Parameters: handle: what item.ticket() or item.handle gave. Returns: Item, or Mbuf for a packet.
        Raises: StaleHandle: it was adopted already, or freed. NotOwner: a live process still holds it. ForeignItem: no
        item of this arena.
        Concurrency: any process; of two that adopt one handle, one gets the item.
        """
        cdef sm_handle h
        cdef sm_zone *z = NULL
        cdef sm_mb *mb = NULL
        cdef void *mem = NULL
        self.need()
        handle_of(handle, &h)
        if sm_mb_find(self.a, &mb) == SM_OK and h.h_zone in (mb.mb_zone[SM_MBZ_MBUF].z_id,
                                                            mb.mb_zone[SM_MBZ_PACKET].z_id):
            return packet_adopt(self, mb, h, handle)
        cdef sm_err err = sm_zone_adopt(self.a, h, &z, &mem)
        if err == SM_NOT_OWNER and sm_cpu_count_dead(self.a): # its holder may be dead, and nobody has noticed yet
            err = self.a.a_recover(self.a)
            if err == SM_OK:
                err = sm_zone_adopt(self.a, h, &z, &mem)
        if err != SM_OK:
            fail(self, err, {"subject": "handle", "handle": handle})
        forget(self)
        return item_made(z, mem)

    def malloc(self, size, *, type="default", int flags=2, timeout=None):
        """Allocate size bytes from the size classes, malloc(9) style.

        Parameters: size: bytes, 1 or more; type: what it is for, counted in malloc_types().
        Returns: Item of exactly size bytes.
        Raises: OutOfMemory, ZoneExhausted, TableFull (types).
        Concurrency: any process.   Source: FreeBSD malloc(9).

        >>> with shmalloc.Arena.create(name) as arena:
        ...     item = arena.malloc(100, type="label")
        ...     len(item)
        100
        """
        cdef uint32_t id = 0
        cdef sm_zone *z = NULL
        cdef void *mem = NULL
        cdef uint64_t nbytes = count_of("size", size, 1)
        cdef bytes raw = name_of("type", type, SM_NAME_BYTES - 1)
        cdef int64_t ns = timeout_ns(timeout)
        self.need()
        cdef sm_err err = sm_malloc_type(self.a, raw, &id)
        if err != SM_OK:
            fail(self, err, {"subject": "type", "name": type, "most": self.a.a_header.h_max_types})
        flags = flags_of(flags)
        cdef uint32_t was = trace_begin(self, self.a.a_header.h_flags & SM_ARENA_TRACE, False)
        err = sm_malloc(self.a, nbytes, id, flags, ns, &z, &mem)
        self.a.a_site = was
        if err != SM_OK:
            fail(self, err, {"subject": "malloc", "asked_bytes": nbytes, "name": type, "waited": seconds_of(ns)})
        forget(self)
        return item_made(z, mem)


cdef void zone_slow_only(sm_zone *z) noexcept:
    z.z_plain = False
    z.z_fast_cpu = z.z_inline_cpu = z.z_raw_cpu = &z.z_arena.a_orphan # its claim is always raised
    z.z_fast_bytes = z.z_raw_bytes = 0


cdef dict header_facts(int fd):
    """What is known of an object that could not be attached."""
    cdef sm_header_shm h
    cdef uint64_t free_bytes = 0
    cdef off_t size = lseek(fd, 0, SEEK_END)
    memset(&h, 0, sizeof(h))
    sm_os_free_space(fd, &free_bytes)
    if size > 0: # an empty one would be waited for
        sm_arena_verify(fd, &h)
    return {"version": h.h_version, "want_version": SM_LAYOUT_VERSION, "max_bytes": h.h_max_bytes,
            "max_cpus": h.h_max_cpus, "free_bytes": free_bytes}


cdef int flags_of(int flags) except -1:
    """M_WAITOK is the default; unknown bits and NOWAIT|WAITOK are refused."""
    if flags & ~SM_M_FLAGS or (flags & 3) == 3:
        refuse("flags", flags, "M_WAITOK or M_NOWAIT, with M_ZERO, M_NOVM or M_USE_RESERVE")
    return flags if flags & 3 else flags | SM_M_WAITOK


cdef int walk_slab(const sm_slab_ref *s, void *ctx) noexcept:
    """Notes the items of one slab that the walk asks for; nonzero stops it."""
    cdef walk *w = <walk *>ctx
    cdef uint32_t i
    cdef uint64_t word
    cdef sm_kind kind
    cdef size_t room
    cdef found *grown
    for i in range(w.arena.a_kegs[s.sr_keg].k_items):
        word = sm_load_rlx(&s.sr_words[i])
        kind = SM_ST_KIND(word)
        if w.cpu != SM_CPU_NONE:
            if kind != SM_HELD or SM_ST_CPU(word) != w.cpu or is_exported(w.skip, &s.sr_words[i]):
                continue
        elif SM_ST_ZONE(word) != w.zone or kind < SM_CONSTRUCTING or kind > SM_TICKETED:
            continue
        if w.n == w.room:
            room = w.room * 2 if w.room else 64
            grown = <found *>realloc(w.list, room * sizeof(found))
            if grown == NULL:
                w.broken = True
                return 1
            w.list = grown
            w.room = room
        w.list[w.n].item = sm_slab_item(w.arena, s, i)
        w.list[w.n].word = word
        w.n += 1
        if w.n >= w.most:
            return 1
    return 0


cdef bint is_exported(void *at, const uint64_t *word) noexcept:
    cdef uint32_t i
    if at == NULL:
        return False
    for i in range((<Attachment>at).n_exported):
        o = <object>(<Attachment>at).exported[i]
        if (<Item>o).b.word == word if type(o) is Item else packet_owns(<Mbuf>o, word):
            return True
    return False


cdef int export_begin(Attachment at, PyObject *thing) except -1:
    """Enters an Item or Mbuf whose first view is made in its attachment's table."""
    cdef uint32_t room
    cdef PyObject **grown
    if at.n_exported == at.room_exported:
        room = at.room_exported * 2 if at.room_exported else 16
        grown = <PyObject **>realloc(at.exported, room * sizeof(PyObject *))
        if grown == NULL:
            raise MemoryError
        at.exported = grown
        at.room_exported = room
    export_place(thing)[0] = at.n_exported
    at.exported[at.n_exported] = thing
    at.n_exported += 1
    return 0


cdef uint32_t *export_place(PyObject *thing) noexcept:
    """Where an Item or Mbuf keeps its place in that table."""
    return &(<Item>thing).b.place if type(<object>thing) is Item else &(<Mbuf>thing).b.place


cdef void export_end(Attachment at, PyObject *thing) noexcept:
    """The last view died. After close() that is when its owner is freed, and with the last one the CPU given back."""
    cdef uint32_t place = export_place(thing)[0]
    at.n_exported -= 1
    at.exported[place] = at.exported[at.n_exported]
    export_place(at.exported[place])[0] = place
    if not at.closed_:
        return
    if type(<object>thing) is Item:
        item_orphaned(<Item>thing)
    else:
        packet_drop(<Mbuf>thing)
    if at.n_exported == 0:
        try:
            at.settle()
        except BaseException as exc:
            PyErr_SetObject(type(exc), exc)
            PyErr_WriteUnraisable(at)
