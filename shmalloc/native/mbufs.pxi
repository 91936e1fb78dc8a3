# mbufs.pxi - the mbufs of one attachment: getting packets, limits, drain routines. Owns no memory: the core's handle
# lives as long as the attachment. What a packet is, is in packet.pxi.


@cython.no_gc
cdef class Mbufs:
    """The mbufs of an arena; made by arena.mbufs(). See shmalloc.mbuf.

    Concurrency: any process; a getter that waits lets other threads run.
    Source: FreeBSD's kern_mbuf.c.
    """
    cdef sm_mb *mb
    cdef Attachment at
    cdef object __weakref__

    def __init__(self):
        raise TypeError("an Mbufs comes from arena.mbufs()")

    def __dealloc__(self):
        if self.mb == NULL:
            return
        if self.at.mbufs == <PyObject *>self:
            self.at.mbufs = NULL
        zone_unref(self.mb.mb_zone[SM_MBZ_MBUF])

    def __repr__(self):
        return f"<shmalloc.Mbufs of arena {self.at.name_!r}>"

    def __reduce__(self):
        return FACE["reopen_mbufs"], (self.at.name_, self.at.uuid)

    @property
    def arena(self):
        """The Arena they were opened through."""
        return self.at

    def m_get(self, int how=2, int type=1):
        """One mbuf of MLEN bytes without a packet header.

        Parameters: how: M_WAITOK (default) or M_NOWAIT; type: MT_*.
        Returns: Mbuf, empty. Raises: NoBuffers, OutOfMemory.   Source: mbuf(9).
        """
        how = mbufs_enter(self, how)
        return mbuf_got(self, m_get(self.mb, how, type), SM_MBZ_MBUF, 0)

    def m_gethdr(self, int how=2, int type=1):
        """One mbuf of MHLEN bytes with a packet header. As m_get."""
        how = mbufs_enter(self, how)
        return mbuf_got(self, m_gethdr(self.mb, how, type), SM_MBZ_MBUF, 0)

    def m_getcl(self, int how=2, int type=1, int flags=2):
        """One mbuf with a cluster of MCLBYTES, in one allocation from the packet zone.

        Parameters: how: M_WAITOK (default) or M_NOWAIT; type: MT_*; flags: M_PKTHDR (default) or 0.
        Returns: Mbuf, empty.
        Raises: NoBuffers: kern.ipc.nmbclusters is reached. OutOfMemory. CtorFailed: a MAC policy refused (its errno).
        Source: mbuf(9).

        >>> with shmalloc.Arena.create(name) as arena:
        ...     m = arena.mbufs().m_getcl()
        ...     m.m_append(b"hello")
        ...     bytes(m), m.m_trailingspace()
        (b'hello', 2043)
        """
        how = mbufs_enter(self, how)
        return mbuf_got(self, m_getcl(self.mb, how, type, <uint32_t>flags), SM_MBZ_CLUSTER, 0)

    def m_getjcl(self, int how=2, int type=1, int flags=2, size=None):
        """One mbuf with a cluster of size bytes: MCLBYTES, MJUMPAGESIZE (default), MJUM9BYTES or MJUM16BYTES."""
        self.at.need()
        cdef uint32_t want = MJUMPAGESIZE if size is None else length_of("size", size)
        how = mbufs_enter(self, how)
        if want != MCLBYTES and want != MJUMPAGESIZE and want != MJUM9BYTES and want != MJUM16BYTES:
            refuse("size", size, "MCLBYTES, MJUMPAGESIZE, MJUM9BYTES or MJUM16BYTES")
        return mbuf_got(self, m_getjcl(self.mb, how, type, <uint32_t>flags, want), jumbo_zone(want), 0)

    def m_get2(self, size, int how=2, int type=1, int flags=2):
        """One mbuf with room for size bytes, of whatever kind fits best. Raises: InvalidArgument: beyond MJUM16BYTES."""
        self.at.need()
        cdef uint32_t want = length_of("size", size)
        how = mbufs_enter(self, how)
        if want > MJUM16BYTES:
            refuse("size", size, f"0 .. {MJUM16BYTES}; m_getm2 makes a chain")
        return mbuf_got(self, m_get2(self.mb, want, how, type, <uint32_t>flags), jumbo_zone(want), want)

    def m_getm2(self, size, int how=2, int type=1, int flags=2):
        """A chain with room for size bytes; see Mbuf.m_getm2 for making one longer."""
        self.at.need()
        cdef uint32_t want = length_of("size", size)
        how = mbufs_enter(self, how)
        if want > M_LEN_MAX:
            refuse("size", size, f"0 .. {M_LEN_MAX}")
        return mbuf_got(self, m_getm2(self.mb, NULL, want, how, type, <uint32_t>flags), SM_MBZ_CLUSTER, want)

    def m_tag_alloc(self, cookie, id, data=b"", int how=2, persistent=False):
        """A tag for a packet header, not yet linked.

        Parameters: cookie: 32 bits, who defines id (0: the ids known to everybody); id: 16 bits; data: its payload, at
        most MTAG_MAX bytes; persistent: m_tag_delete_nonpersistent leaves it.
        Returns: MTag; freed when it is dropped before m_tag_prepend linked it.   Source: mbuf_tags(9).
        """
        cdef bytes raw = bytes(data)
        cdef uint32_t who = length_of("cookie", cookie)
        cdef uint32_t what = length_of("id", id)
        cdef sm_tag *t
        self.at.need()
        how = mbufs_enter(self, how)
        if what > 0xffff or what & MTAG_PERSISTENT:
            refuse("id", id, f"16 bits without {MTAG_PERSISTENT:#x}, which says persistent")
        if len(raw) > MTAG_MAX:
            refuse("data", f"{len(raw)} bytes", f"at most {MTAG_MAX}: a tag is an item of one size")
        t = m_tag_alloc(self.mb, who, what | (MTAG_PERSISTENT if persistent else 0), <uint32_t>len(raw), how)
        if t == NULL:
            mbuf_fail(self.mb, self.mb.mb_err, SM_MBZ_TAG, None, False)
        memcpy(t.t_data, <const char *>raw, len(raw))
        forget(self.at)
        return tag_made(self.mb, t, None)

    def add_drain(self, action):
        """Have action() called by every process that runs mb_reclaim and can import it, when clusters have run out.

        Parameters: action: module-level function without parameters, or "package.module:name".
        Raises: CallbackUnresolvable. TableFull: 16 are known.
        """
        cdef sm_callback_shm cb
        self.at.need()
        callback_name(&cb, FACE["name_callback"]("drain", action))
        cdef sm_err err = sm_mb_add_drain(self.mb, &cb)
        if err != SM_OK:
            fail(self.at, err, {"subject": "drain", "most": 16})
        forget(self.at)

    def mb_reclaim(self):
        """Call the drain routines now."""
        self.at.need()
        if not self.at.a.a_writable:
            fail(self.at, SM_READ_ONLY, {})
        mb_reclaim(self.mb)
        forget(self.at)

    def _limit(self, int which):
        self.at.need()
        return sm_mb_get_limit(self.mb, <sm_mb_zone>which)

    def _set_limit(self, int which, items):
        """Returns the effective limit."""
        cdef uint64_t effective = 0
        cdef uint64_t n = count_of("items", items, 0)
        self.at.need()
        cdef sm_err err = sm_mb_set_limit(self.mb, <sm_mb_zone>which, n, &effective)
        if err != SM_OK:
            fail(self.at, err, {"subject": "mbuf"})
        forget(self.at)
        return effective

    @property
    def maxusers(self):
        """What the default limits were computed from when the mbufs were made."""
        self.at.need()
        return self.mb.mb_shm.mb_maxusers

    @property
    def drain_calls(self):
        """How often the drain routines were called."""
        self.at.need()
        return sm_load_rlx(&self.mb.mb_shm.mb_drain_calls)


cdef inline void zone_unref(sm_zone *z) noexcept:
    z.z_refs -= 1
    if z.z_refs == 0:
        Py_DECREF(<object>z.z_arena.a_runtime.rt_ctx)


cdef inline int mbuf_trace(Attachment at, sm_mb *mb) except -1:
    """Before a call that allocates: where in the program it stands, if the zones are traced. mbuf_traced ends it."""
    if unlikely(mb.mb_zone[SM_MBZ_MBUF].z_flags & SM_ZONE_TRACE):
        trace_begin(at, SM_ZONE_TRACE, True)
    return 0


cdef inline void mbuf_traced(sm_mb *mb) noexcept:
    mb.mb_arena.a_site = 0


cdef inline int mbufs_enter(Mbufs mbs, int how) except -1:
    mbs.at.need()
    how = how_of(how)
    mbuf_trace(mbs.at, mbs.mb)
    return how


cdef inline int how_of(int how) except -1:
    if how != SM_M_WAITOK and how != SM_M_NOWAIT:
        refuse("how", how, "M_WAITOK or M_NOWAIT")
    return how


cdef inline int jumbo_zone(uint32_t size) noexcept:
    """Whose limit an mbuf with a cluster of this size runs into."""
    if size <= MCLBYTES:
        return SM_MBZ_CLUSTER
    return SM_MBZ_JUMBOP if size <= MJUMPAGESIZE else SM_MBZ_JUMBO9 if size <= MJUM9BYTES else SM_MBZ_JUMBO16


cdef uint32_t length_of(str argument, object value) except? 0xffffffff:
    """An int in 0 .. 2^32 - 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} is an int, not {type(value).__name__}")
    if value < 0 or value > 0xffffffff:
        refuse(argument, value, "0 .. 2**32 - 1")
    return <uint32_t>value


cdef Mbuf mbuf_got(Mbufs mbs, sm_mbuf *m, int which, uint64_t asked):
    """What a getter gave, or its error. which: whose limit it ran into, if any."""
    mbuf_traced(mbs.mb)
    if unlikely(m == NULL):
        mbuf_fail(mbs.mb, mbs.mb.mb_err, which, None, False, asked)
    forget(mbs.at)
    return mbuf_made(mbs.mb, m)


cdef int mbuf_fail(sm_mb *mb, sm_err err, int which, str call, bint freed, uint64_t asked=0) except -1:
    """Raises. call: the m_ function of a packet; freed: it freed the packet."""
    cdef sm_zone *z = mb.mb_zone[which]
    cdef sm_zone_stats s
    cdef int i
    cdef Attachment at = attachment_of(z)
    mbuf_traced(mb)
    facts = {"subject": "mbuf", "call": call, "packet_freed": freed, "asked_bytes": asked}
    if err == SM_OK:
        err = SM_NO_MEMORY # the reason was overwritten by another thread's call
    if err == SM_LIMIT or err == SM_TIMEOUT:
        if not sm_zone_exhausted(z): # a chain needs several kinds: name one that has run out
            for i in range(SM_MBZ_COUNT):
                if i != SM_MBZ_PACKET and sm_zone_exhausted(mb.mb_zone[i]):
                    z = mb.mb_zone[i]
                    break
        facts["limit"] = sm_zone_get_max(z)
        facts["tunable"] = {SM_MBZ_CLUSTER: "nmbclusters", SM_MBZ_JUMBOP: "nmbjumbop", SM_MBZ_JUMBO9: "nmbjumbo9",
                            SM_MBZ_JUMBO16: "nmbjumbo16"}.get(zone_which(mb, z), "")
        if sm_stats_zone(at.a, z.z_id, &s) == SM_OK:
            facts["in_use"] = s.zs_used
    facts["name"] = text_of(z.z_shm.z_name, SM_NAME_BYTES)
    fail(at, err, facts)


cdef int zone_which(sm_mb *mb, sm_zone *z) noexcept:
    cdef int i
    for i in range(SM_MBZ_COUNT):
        if mb.mb_zone[i] == z:
            return i
    return -1


def mbufs_open(Attachment at not None, uint32_t maxusers, int64_t clusters, int64_t jumbop, int64_t jumbo9,
               int64_t jumbo16):
    """The Mbufs of this attachment, made in the arena if need be; found only, if the attachment is read-only.

    Parameters: 0 takes the default, -1 is no limit.
    """
    cdef sm_mb_params p
    cdef sm_mb *mb = NULL
    cdef Mbufs out
    cdef sm_err err
    at.need()
    if at.mbufs != NULL:
        return <Mbufs>at.mbufs
    memset(&p, 0, sizeof(p))
    p.mp_maxusers = maxusers
    p.mp_nmbclusters = clusters
    p.mp_nmbjumbop = jumbop
    p.mp_nmbjumbo9 = jumbo9
    p.mp_nmbjumbo16 = jumbo16
    err = sm_mb_find(at.a, &mb)
    if err == SM_NOT_FOUND and at.a.a_writable:
        err = sm_mb_open(at.a, &p, &mb)
    if err != SM_OK:
        fail(at, err, {"subject": "mbufs", "name": "mbuf", "most": at.a.a_header.h_max_zones})
    forget(at)
    face = FACE["mbufs"]
    out = <Mbufs>face.__new__(face)
    out.at = at
    out.mb = mb
    zone_ref(mb.mb_zone[SM_MBZ_MBUF])
    at.mbufs = <PyObject *>out
    return out


def mbufs_there(Attachment at not None):
    """Whether somebody made mbufs in this arena."""
    cdef sm_mb *mb = NULL
    at.need()
    cdef sm_err err = sm_mb_find(at.a, &mb)
    if err != SM_OK and err != SM_NOT_FOUND:
        fail(at, err, {"subject": "mbufs"})
    return err == SM_OK


def mbuf_defaults(uint64_t physical_bytes):
    """(maxusers, nmbclusters) of a machine with this much memory."""
    cdef uint32_t users = sm_mb_maxusers(physical_bytes)
    return users, sm_mb_nmbclusters(users)
