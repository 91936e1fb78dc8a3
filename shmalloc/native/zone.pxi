# zone.pxi - zones and reference counters as Python objects. Owns one reference on the core's zone handle each.


@cython.no_gc
cdef class Zone:
    """Items of one size in an arena; made by arena.zone(). See shmalloc.zone.

    Concurrency: any process that opens it by name; callbacks run in the process that allocates or frees.
    Source: UMA's uma_zone.
    """
    cdef sm_zone *z
    cdef Attachment at
    cdef object __weakref__

    def __init__(self):
        raise TypeError("a Zone comes from arena.zone(name, size=...)")

    def __dealloc__(self):
        cdef sm_zone *z = self.z
        if z == NULL:
            return
        if self.at.zones[z.z_id] == <PyObject *>self:
            self.at.zones[z.z_id] = NULL
        z.z_refs -= 1
        if z.z_refs == 0:
            Py_DECREF(<object>z.z_arena.a_runtime.rt_ctx)

    def __repr__(self):
        return f"<shmalloc.{type(self).__name__} {self.name!r} of arena {self.at.name_!r}>"

    def __reduce__(self):
        return FACE["reopen_zone"], (self.at.name_, self.at.uuid, self.name)

    def alloc(self, int flags=2, *, timeout=None, arg=None):
        """Allocate one item.

        Parameters: flags: M_WAITOK (default) sleeps at the limit, M_NOWAIT fails at once; M_ZERO zeroes it; timeout:
        seconds, None waits for ever; arg: handed to the ctor.
        Returns: Item, a writable buffer of shape (item_size,), uint8; contents as the ctor left them.
        Raises: ZoneExhausted: limit reached, not resolved within timeout. CtorFailed: the ctor returned an errno
        (carried in .errno) or raised (the cause). OutOfMemory: no page left.
        Concurrency: any process; may run init and ctor.   Source: UMA uma_zalloc_arg.

        >>> with shmalloc.Arena.create(name) as arena:
        ...     frames = arena.zone("frame", size=2048)
        ...     item = frames.alloc()
        ...     item.write(b"hello")
        5
        """
        return zone_alloc(self, flags, timeout, arg)

    def alloc_many(self, n, int flags=2, *, timeout=None):
        """Allocate n items, all or none.

        Returns: list of Item. Raises: as alloc; ZoneExhausted at once when n exceeds the limit.
        Concurrency: any process.
        """
        cdef uint32_t count = <uint32_t>count_of("n", n, 0)
        cdef int64_t ns = timeout_ns(timeout)
        self.at.need()
        if n > (1 << 24):
            refuse("n", n, "0 .. 2**24")
        return zone_alloc_many(self, count, flags_of(flags), ns)

    def free_many(self, items):
        """Free Items of this zone.

        Parameters: items: a list, or any iterable. All are looked at before any is freed.
        Raises: ForeignItem, DoubleFree, BufferError and so on, as Item.free: nothing was freed. An error of a single
        free (a damaged item) is raised after the others were freed.
        Concurrency: this process; may run the dtor.
        """
        cdef list todo = <list>items if type(items) is list else list(items)
        zone_free_many(self.z, todo)

    @property
    def name(self):
        """The zone's name."""
        return text_of(self.z.z_shm.z_name, SM_NAME_BYTES)

    @property
    def id(self):
        """Its place in the arena's table of zones."""
        return self.z.z_id

    @property
    def item_size(self):
        """Bytes of one item."""
        return self.z.z_item_bytes

    @property
    def arena(self):
        """The Arena it was opened through."""
        return self.at

    @property
    def max(self):
        """The effective limit in items, 0 for none."""
        self.at.need()
        return sm_zone_get_max(self.z)

    @property
    def exhausted(self):
        """Whether an M_NOWAIT allocation would fail at the limit now."""
        self.at.need()
        return sm_zone_exhausted(self.z)

    def set_max(self, n):
        """Limit the zone to n items, 0 lifts the limit.

        Returns: the effective limit, n rounded up to whole slabs. Items already out stay.
        Concurrency: wakes every sleeper.   Source: UMA uma_zone_set_max.
        """
        cdef uint64_t effective = 0
        cdef uint64_t items = count_of("n", n, 0)
        self.at.need()
        zone_done(self, sm_zone_set_max(self.z, items, &effective))
        return effective

    def set_maxcache(self, n):
        """Bound the items that the zone keeps in full buckets.   Source: UMA uma_zone_set_maxcache."""
        cdef uint64_t items = count_of("n", n, 0)
        self.at.need()
        zone_done(self, sm_zone_set_maxcache(self.z, items))

    def set_warning(self, text):
        """Log text as an event, at most every vm.uma.warn_s seconds, when the limit is hit; None: no more."""
        cdef bytes raw = None if text is None else name_of("text", text, 63)
        self.at.need()
        zone_done(self, sm_zone_set_warning(self.z, <char *>NULL if raw is None else <char *>raw))

    def _set_maxaction(self, str name):
        cdef sm_callback_shm cb
        callback_name(&cb, name)
        self.at.need()
        zone_done(self, sm_zone_set_maxaction(self.z, &cb))

    def set_maxaction(self, action):
        """Call action(zone_name) in the process that hits the limit; None: no more.

        Parameters: action: module-level function, or "package.module:name".
        """
        self._set_maxaction("" if action is None else FACE["name_callback"]("maxaction", action))

    def reserve(self, n):
        """Keep n items for allocations with M_USE_RESERVE."""
        cdef uint64_t items = count_of("n", n, 0)
        self.at.need()
        zone_done(self, sm_zone_reserve(self.z, items))

    def prealloc(self, n):
        """Make slabs for n items now: fresh shared pages are slow, this moves their cost."""
        cdef uint64_t items = count_of("n", n, 0)
        self.at.need()
        zone_done(self, sm_zone_prealloc(self.z, items))

    def reclaim(self, int level=1):
        """Give cached items back to slabs, and free slabs to the arena.

        Parameters: level: RECLAIM_TRIM keeps the working set, RECLAIM_DRAIN nothing, RECLAIM_DRAIN_CPU also empties the
        buckets of every process. Returns: (items moved, slabs released).
        """
        cdef uint64_t items = 0, slabs = 0
        self.at.need()
        if level < SM_RECLAIM_TRIM or level > SM_RECLAIM_DRAIN_CPU:
            refuse("level", level, "RECLAIM_TRIM, RECLAIM_DRAIN or RECLAIM_DRAIN_CPU")
        zone_done(self, sm_zone_reclaim(self.z, <sm_reclaim>level, &items, &slabs))
        return items, slabs

    def find_refcnt(self, Item item not None):
        """The item's own reference counter, shared by all processes.

        Returns: RefCount. Raises: ZoneMismatch: the zone was made without refcnt=True.   Source: UMA uma_find_refcnt.
        """
        cdef uint32_t *count = NULL
        cdef RefCount out
        self.at.need()
        item_need(item)
        if not self.z.z_flags & SM_ZONE_REFCNT:
            raise failure(SM_MISMATCH, {"arena": self.at.name_, "name": self.name, "field": "refcnt", "have": False,
                                        "want": True})
        zone_done(self, sm_zone_find_refcnt(self.z, item.b.mem, &count))
        out = RefCount.__new__(RefCount)
        zone_ref(self.z)
        out.z = self.z
        out.mem = item.b.mem
        return out

    def destroy(self):
        """Remove the zone from the arena; this object, and those of other processes, are of no more use.

        Raises: ZoneBusy: items are out (.live, and .handles of the first), or a secondary zone stands on its keg.
        """
        cdef uint64_t live = 0
        self.at.need()
        cdef sm_err err = sm_zone_destroy(self.z, &live)
        if err == SM_BUSY:
            fail(self.at, err, {"subject": "zone", "name": self.name, "live": live,
                                "handles": zone_live(self.z, 8)})
        zone_done(self, err)

    def statistics(self):
        """Figures of this zone as a frozen ZoneStatistics record."""
        self.at.need()
        return zone_figures(self.at, self.z.z_id)

    def cpu_statistics(self):
        """Figures of this zone for each live CPU, as a list of CpuZoneStatistics."""
        self.at.need()
        return cpu_zone_figures(self.at, self.z.z_id)


@cython.final
@cython.no_gc
cdef class RefCount:
    """The shared counter of one item. Whoever calls must hold a reference, or own the item: as long as there is one the
    item may change hands (its generation grows each time), but is not freed. A freed item raises StaleHandle."""
    cdef sm_zone *z
    cdef void *mem

    def __init__(self):
        raise TypeError("a RefCount comes from zone.find_refcnt(item)")

    def __dealloc__(self):
        if self.z != NULL:
            self.z.z_refs -= 1
            if self.z.z_refs == 0:
                Py_DECREF(<object>self.z.z_arena.a_runtime.rt_ctx)

    cdef uint32_t *count(self) except NULL:
        """The counter, found anew: the item may be free by now, and its slab gone."""
        cdef uint32_t *count = NULL
        cdef uint64_t *word = NULL
        cdef sm_kind kind
        attachment_of(self.z).need()
        cdef sm_err err = sm_zone_lookup(self.z, self.mem, &word)
        if err == SM_OK:
            kind = SM_ST_KIND(sm_load_rlx(word))
            err = SM_STALE if kind == SM_FREE or kind == SM_CACHED else sm_zone_find_refcnt(self.z, self.mem, &count)
        if err != SM_OK:
            raise failure(SM_STALE, {"subject": "item", "name": text_of(self.z.z_shm.z_name, SM_NAME_BYTES)})
        return count

    @property
    def value(self):
        """The count now."""
        return self.get()

    def get(self):
        """The count now."""
        return sm_load_u32(self.count())

    def add(self, n=1):
        """Add n atomically; returns the new count."""
        cdef uint64_t by = count_of("n", n, 0)
        return (sm_add_u32(self.count(), <uint32_t>by) + by) & 0xffffffff

    def sub(self, n=1):
        """Subtract n atomically; returns the new count: of all callers exactly one sees 0."""
        cdef uint64_t by = count_of("n", n, 0)
        return (sm_sub_u32(self.count(), <uint32_t>by) - by) & 0xffffffff


cdef Zone zone_of(sm_zone *z):
    """The one Zone object of this handle."""
    cdef Attachment at = attachment_of(z)
    cdef Zone zone
    if at.zones[z.z_id] != NULL and (<Zone>at.zones[z.z_id]).z == z:
        return <Zone>at.zones[z.z_id]
    face = FACE["secondary_zone"] if z.z_flags & SM_ZONE_SECONDARY else FACE["zone"]
    zone = <Zone>face.__new__(face)
    zone.at = at
    zone_ref(z)
    zone.z = z
    at.zones[z.z_id] = <PyObject *>zone
    return zone


cdef dict zone_facts(Zone zone):
    """For an error about a zone's limit."""
    cdef sm_zone_stats s
    facts = {"subject": "zone", "name": zone.name, "limit": sm_zone_get_max(zone.z)}
    if sm_stats_zone(zone.at.a, zone.z.z_id, &s) == SM_OK:
        facts["in_use"] = s.zs_used
    return facts


cdef int zone_done(Zone zone, sm_err err) except -1:
    if err != SM_OK:
        fail(zone.at, err, zone_facts(zone))
    return forget(zone.at)


cdef Item zone_alloc(Zone zone, int flags, object timeout, object arg):
    """The slow half of alloc()."""
    cdef void *mem = NULL
    cdef int64_t ns = timeout_ns(timeout)
    cdef sm_err err
    flags = flags_of(flags)
    zone.at.need()
    cdef uint32_t was = trace_begin(zone.at, zone.z.z_flags & SM_ZONE_TRACE, False)
    err = sm_zone_alloc(zone.z, flags, NULL if arg is None else <void *>arg, ns, &mem)
    zone.at.a.a_site = was
    if err != SM_OK:
        facts = zone_facts(zone)
        facts["waited"] = None if flags & SM_M_NOWAIT else seconds_of(ns)
        facts["asked_bytes"] = zone.z.z_item_bytes
        fail(zone.at, err, facts)
    forget(zone.at)
    return item_made(zone.z, mem)


cdef list zone_alloc_many(Zone zone, uint32_t n, int flags, int64_t ns):
    cdef sm_zone *z = zone.z
    cdef void *few[128]
    cdef void **mem = few
    cdef sm_entry entries[128]
    cdef uint32_t got = 0, undone = 0, i, was
    cdef uint64_t limit
    cdef uint64_t *word
    cdef Item it
    cdef list out
    cdef sm_err err
    if n <= 128 and (flags & ~3) == 0:
        got = items_take(z, n, entries)
        if likely(got == n):
            out = PyList_New(n)
            items_into(out, z, n, entries)
            return out
        for i in range(got): # the long way finds these in the bucket again
            few[i] = z.z_base + entries[i].e_item
        sm_zone_free_bulk(z, got, few, &undone)
        got = 0
    limit = sm_zone_get_max(z)
    if limit and n > limit:
        facts = zone_facts(zone)
        facts["asked"] = n
        fail(zone.at, SM_LIMIT, facts)
    if n > 128:
        mem = <void **>malloc(n * sizeof(void *))
        if mem == NULL:
            raise MemoryError
    try:
        was = trace_begin(zone.at, z.z_flags & SM_ZONE_TRACE, True)
        err = sm_zone_alloc_bulk(z, flags, ns, n, mem, &got)
        zone.at.a.a_site = was
        if err == SM_OK and got < n:
            err = SM_NO_MEMORY
        if err != SM_OK:
            sm_zone_free_bulk(z, got, mem, &undone)
            facts = zone_facts(zone)
            facts["waited"] = None if flags & SM_M_NOWAIT else seconds_of(ns)
            facts["asked"] = n
            facts["asked_bytes"] = <uint64_t>n * z.z_item_bytes
            fail(zone.at, err, facts)
        forget(zone.at)
        out = PyList_New(n)
        for i in range(n):
            word = sm_cache_word(z, mem[i])
            if likely(word != NULL):
                it = item_wrap(z, mem[i], word, z.z_item_bytes)
            else:
                it = item_made(z, mem[i])
            Py_INCREF(it)
            PyList_SET_ITEM(out, i, it)
        return out
    finally:
        if mem != few:
            free(mem)


cdef int zone_free_many(sm_zone *z, list todo) except -1:
    cdef Py_ssize_t i, n = PyList_GET_SIZE(todo), end
    cdef void *few[128]
    cdef void **mem = few
    cdef Item it
    cdef bint own = False
    cdef object first = None
    if n > 128:
        mem = <void **>malloc(n * sizeof(void *))
        if mem == NULL:
            raise MemoryError
    try:
        i = items_freeable(todo, n, z, mem)
        if unlikely(i < n):
            if type(todo[i]) is not Item:
                raise TypeError(f"free_many takes Items, not {type(todo[i]).__name__}")
            it = <Item>todo[i]
            if it.b.z != z:
                item_need(it)
                raise failure(SM_NOT_OURS, {"subject": "item", "name": text_of(z.z_shm.z_name, SM_NAME_BYTES),
                                            "arena": attachment_of(z).name_})
            item_refused(it, True)
        i = 0
        while i < n:
            end = i + sm_cache_free_bulk(z, <uint32_t>(n - i), mem + i) if plain_now(z) else i
            items_freed(todo, i, end, GONE_FREED)
            i = end
            if i < n:
                if not own: # what follows may run Python code, which may change the caller's list
                    todo = list(todo)
                    own = True
                try:
                    item_free(<Item>todo[i])
                except Exception as exc:
                    if first is None:
                        first = exc
                i += 1
    finally:
        if mem != few:
            free(mem)
    if first is not None:
        raise first
    return 0


cdef inline bint plain_now(sm_zone *z) noexcept:
    """The inline paths may do everything: no callback, and no tag to count."""
    return z.z_plain and not z.z_flags & SM_ZONE_MALLOC


cdef tuple zone_live(sm_zone *z, size_t most):
    """Handles of the first items of the zone that are out."""
    cdef walk w
    cdef sm_handle h
    cdef size_t i
    memset(&w, 0, sizeof(w))
    w.arena = z.z_arena
    w.cpu = SM_CPU_NONE
    w.zone = z.z_id
    w.most = most
    sm_slab_each(z.z_arena, 0, walk_slab, &w)
    out = []
    for i in range(w.n):
        h.h_item = w.list[i].item
        h.h_gen = SM_ST_GEN(w.list[i].word)
        h.h_zone = z.z_id
        out.append(handle_int(h))
    free(w.list)
    return tuple(out)


cdef int callback_name(sm_callback_shm *cb, str name) except -1:
    """"": absent."""
    memset(cb, 0, sizeof(sm_callback_shm))
    cb.cb_kind = SM_CB_ABSENT
    if name:
        raw = name_of("callback", name, SM_CALLBACK_BYTES - 1)
        cb.cb_kind = SM_CB_NAMED
        memcpy(cb.cb_name, <const char *>raw, len(raw))
    return 0


def zone_open(Attachment at not None, name, object nbytes, uint32_t align, uint32_t flags, tuple callbacks, master):
    """Open the zone, creating it if nbytes (or a master) is given.

    Returns: (Zone, whether this call created it). callbacks: five names in the order of the core's slots, "" for none.
    """
    cdef sm_zone_params p
    cdef sm_zone *z = NULL
    cdef sm_err err
    cdef int i, tries
    cdef bytes raw = name_of("name", name, SM_NAME_BYTES - 1)
    cdef bytes above = None if master is None else name_of("master", master, SM_NAME_BYTES - 1)
    at.need()
    memset(&p, 0, sizeof(p))
    p.zp_name = raw
    p.zp_align = align
    p.zp_flags = flags
    p.zp_master = <char *>NULL if above is None else <char *>above
    if nbytes is None and master is None:
        err = sm_zone_open(at.a, raw, NULL, &z)
        if err != SM_OK:
            fail(at, err, {"subject": "zone", "name": name})
        return zone_of(z), False
    p.zp_bytes = 0 if nbytes is None else nbytes
    for i in range(SM_CB_SLOTS):
        callback_name(&p.zp_cb[i], callbacks[i])
    for tries in range(100): # another process may create or destroy it between our two looks
        err = sm_zone_open(at.a, raw, &p, &z)
        if err == SM_OK:
            return zone_of(z), False
        if err != SM_NOT_FOUND:
            break
        err = sm_zone_create(at.a, &p, &z)
        if err == SM_OK:
            forget(at)
            return zone_of(z), True
        if err != SM_EXISTS:
            break
    facts = {"subject": "zone", "name": name, "most": at.a.a_header.h_max_zones}
    if err == SM_MISMATCH:
        facts.update(zone_shape(at, raw), want_size=nbytes, want_align=align,
                     want_flags=flags | (SM_ZONE_TRACE if at.a.a_header.h_flags & SM_ARENA_TRACE else 0),
                     want_callbacks=callbacks, want_master=name if master is None else master)
    fail(at, err, facts)


cdef dict zone_shape(Attachment at, bytes raw):
    """What an existing zone was made with, for the error that says where it differs."""
    cdef uint32_t i
    cdef int slot
    cdef sm_zone_shm *z
    for i in range(at.a.a_header.h_max_zones):
        z = &at.a.a_zones[i]
        if z.z_state == SM_ZONE_LIVE and strncmp(z.z_name, raw, SM_NAME_BYTES) == 0:
            return {"have_size": z.z_item_bytes, "have_flags": z.z_flags, "have_align": at.a.a_kegs[z.z_keg].k_align,
                    "have_master": text_of(at.a.a_zones[z.z_master].z_name, SM_NAME_BYTES),
                    "have_callbacks": tuple([text_of(z.z_cb[slot].cb_name, SM_CALLBACK_BYTES)
                                             for slot in range(SM_CB_SLOTS)])}
    return {}


def zone_ids(Attachment at not None, bint internal=False):
    """Ids and names of the live zones."""
    cdef uint32_t i
    at.need()
    return [(i, text_of(at.a.a_zones[i].z_name, SM_NAME_BYTES)) for i in range(at.a.a_header.h_max_zones)
            if at.a.a_zones[i].z_state == SM_ZONE_LIVE and (internal or not at.a.a_zones[i].z_flags & SM_ZONE_INTERNAL)]


def zone_by_id(Attachment at not None, uint32_t place):
    """Open a zone by its place in the table."""
    cdef sm_zone *z = NULL
    at.need()
    cdef sm_err err = sm_zone_by_id(at.a, place, &z)
    if err != SM_OK:
        fail(at, err, {"subject": "zone", "name": f"#{place}"})
    return zone_of(z)
