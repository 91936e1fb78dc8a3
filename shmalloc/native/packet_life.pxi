# packet_life.pxi - what the methods of Mbuf are made of: may it be used, entering and leaving the core with it, its end,
# its bytes. Owns nothing.


cdef inline Attachment packet_at(Mbuf p):
    return <Attachment>p.b.mb.mb_arena.a_runtime.rt_ctx


cdef Mbuf mbuf_made(sm_mb *mb, sm_mbuf *m):
    """An Mbuf for a chain that this CPU holds."""
    cdef sm_zone *z = mb.mb_zone[SM_MBZ_MBUF]
    cdef uint64_t *word = NULL
    cdef Mbuf p
    cdef sm_err err = mbuf_word(mb, m, &word)
    if err != SM_OK:
        mbuf_fail(mb, err, SM_MBZ_MBUF, None, False)
    zone_ref(z)
    try:
        p = <Mbuf>mbuf_blank()
    except MemoryError:
        m_freem(mb, m)
        raise
    finally:
        z.z_refs -= 1 # never to 0: the Mbuf holds one, and the caller keeps the attachment
    mbuf_fill(p, mb, m, word)
    return p


cdef inline sm_err mbuf_word(sm_mb *mb, sm_mbuf *m, uint64_t **word) noexcept:
    word[0] = sm_cache_word(mb.mb_zone[SM_MBZ_MBUF], m)
    return SM_OK if likely(word[0] != NULL) else sm_zone_lookup(mb.mb_zone[SM_MBZ_MBUF], m, word)


cdef object mbufs_of(Attachment at):
    return mbufs_open(at, 0, 0, 0, 0, 0)


cdef sm_err packet_state(Mbuf p) noexcept:
    """SM_OK when the packet is this Mbuf's; else why not. SM_BUSY: another thread is inside a call with it."""
    cdef uint64_t word
    if p.b.mb == NULL:
        return SM_GONE
    if p.b.expect == 0:
        return SM_BUSY if p.b.gone == GONE_MOVING else SM_DOUBLE_FREE if p.b.gone == GONE_FREED else SM_GONE
    if packet_at(p).closed_:
        return SM_CLOSED
    if p.b.epoch != p.b.mb.mb_zone[SM_MBZ_MBUF].z_epoch:
        return SM_FORKED
    word = sm_load_rlx(p.b.word)
    if word == p.b.expect:
        return SM_OK
    return SM_DOUBLE_FREE if SM_ST_GEN(word) != SM_ST_GEN(p.b.expect) else SM_NOT_OWNER


cdef int packet_refused(Mbuf p, bint freeing) except -1:
    """Raises the reason why the packet cannot be used (or freed, or moved)."""
    cdef sm_err err = packet_state(p)
    if err == SM_BUSY:
        raise BufferError("the packet is inside another call of this process; wait for that to return")
    if err == SM_OK:
        raise BufferError("the packet has open memoryviews; release them first")
    if p.b.mb == NULL:
        raise failure(SM_GONE, {"subject": "mbuf"})
    if err == SM_GONE or err == SM_DOUBLE_FREE and not freeing:
        raise failure(SM_GONE, {"subject": "mbuf", "name": "mbuf", "arena": packet_at(p).name_,
                                "handed": p.b.gone == GONE_HANDED})
    return mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, None, False)


cdef inline int packet_need(Mbuf p) except -1:
    """The packet may be read and written."""
    if likely(p.b.expect != 0 and sm_load_rlx(p.b.word) == p.b.expect) and (
            likely(p.b.epoch == p.b.mb.mb_zone[SM_MBZ_MBUF].z_epoch and not packet_at(p).closed_)):
        return 0
    return packet_refused(p, False)


cdef inline int packet_lend(Mbuf p) except -1:
    """The packet may be reshaped or given away: usable, and no view is open."""
    packet_need(p)
    if p.b.exports:
        return packet_refused(p, False)
    return 0


cdef sm_mbuf *packet_header(Mbuf p) except NULL:
    """The first mbuf, which must have a packet header."""
    packet_need(p)
    if not p.b.m.m_flags & M_PKTHDR:
        refuse("mbuf", "without M_PKTHDR", "an mbuf with a packet header: m_gethdr(), or m_getcl() with M_PKTHDR")
    return p.b.m


# ---------------------------------------------------------------- into the core and back

cdef inline sm_mbuf *packet_enter(Mbuf p, bint moving) except NULL:
    """The first mbuf for a call of the core that may wait. moving: bytes may move or be freed, so no view may be open."""
    packet_need(p)
    if moving and p.b.exports:
        packet_refused(p, False)
    mbuf_trace(packet_at(p), p.b.mb)
    p.b.expect = 0
    p.b.gone = GONE_MOVING
    return p.b.m


cdef inline int packet_leave(Mbuf p, sm_mbuf *m) except -1:
    """The packet is this Mbuf's again, and begins at m."""
    cdef sm_err err
    mbuf_traced(p.b.mb)
    if m != p.b.m:
        err = mbuf_word(p.b.mb, m, &p.b.word)
        if err != SM_OK:
            p.b.gone = GONE_HANDED
            return mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, None, False)
        p.b.m = m
    p.b.expect = sm_load_rlx(p.b.word)
    p.b.gone = 0
    p.b.shape += 1
    return 0


cdef int packet_replaced(Mbuf p, sm_mbuf *m, str call) except -1:
    """After a call that frees the chain on failure."""
    if unlikely(m == NULL):
        p.b.gone = GONE_FREED
        return mbuf_fail(p.b.mb, p.b.mb.mb_err, SM_MBZ_CLUSTER, call, True)
    packet_leave(p, m)
    return forget(packet_at(p))


cdef int packet_kept(Mbuf p, sm_mbuf *was, sm_mbuf *m, str call) except -1:
    """After a call that leaves the chain as it was on failure."""
    packet_leave(p, m if m != NULL else was)
    if unlikely(m == NULL):
        return mbuf_fail(p.b.mb, p.b.mb.mb_err, SM_MBZ_CLUSTER, call, False)
    return forget(packet_at(p))


cdef int packet_done(Mbuf p, sm_mbuf *m, sm_err err, str call) except -1:
    """After a call that keeps the first mbuf and returns a code."""
    packet_leave(p, m)
    if unlikely(err != SM_OK):
        return mbuf_fail(p.b.mb, err, SM_MBZ_CLUSTER, call, False)
    return forget(packet_at(p))


cdef Mbuf packet_new(Mbuf p, sm_mbuf *m, str call):
    """A packet that a call made beside p."""
    if unlikely(m == NULL):
        mbuf_fail(p.b.mb, p.b.mb.mb_err, SM_MBZ_CLUSTER, call, False)
    forget(packet_at(p))
    return mbuf_made(p.b.mb, m)


# ---------------------------------------------------------------- the end

cdef int packet_free(Mbuf p) except -1:
    """The slow half of free()."""
    cdef sm_err err
    if packet_state(p) != SM_OK or p.b.exports:
        return packet_refused(p, True)
    p.b.expect = 0
    p.b.gone = GONE_FREED
    err = m_freem(p.b.mb, p.b.m)
    if err != SM_OK:
        return mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, "m_freem", False)
    return forget(packet_at(p))


cdef void packet_drop(Mbuf p) noexcept:
    """The slow half of __dealloc__, and the end of a packet whose last view died after close()."""
    cdef Attachment at = packet_at(p)
    cdef sm_err err
    cdef bint was = at.quiet
    if p.b.expect == 0 or p.b.epoch != p.b.mb.mb_zone[SM_MBZ_MBUF].z_epoch or sm_load_rlx(p.b.word) != p.b.expect:
        return
    if at.closed_ and at.ended:
        return
    p.b.expect = 0
    p.b.gone = GONE_FREED
    at.quiet = True
    err = m_freem(p.b.mb, p.b.m)
    at.quiet = was
    if err != SM_OK:
        try:
            mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, "m_freem", False)
        except BaseException as exc:
            PyErr_SetObject(type(exc), exc)
            PyErr_WriteUnraisable(Mbuf)


# ---------------------------------------------------------------- between processes

cdef sm_err packet_put(sm_queue *q, Attachment at, Mbuf p, int64_t ns) except? SM_INVALID:
    """Into the queue; what the queue has against it (SM_FULL, SM_TIMEOUT and the like) is returned, and p is whole."""
    cdef sm_mbuf *m
    packet_lend(p)
    if p.b.mb.mb_arena != at.a:
        raise failure(SM_NOT_OURS, {"subject": "mbuf", "arena": at.name_})
    m = packet_enter(p, True)
    cdef sm_err err = m_enqueue(p.b.mb, q, m, ns)
    if err == SM_OK:
        p.b.gone = GONE_HANDED
        forget(at)
        return SM_OK
    packet_leave(p, m)
    if err == SM_CORRUPT or err == SM_NOT_OWNER or err == SM_DOUBLE_FREE:
        mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, "m_enqueue", False)
    return err


cdef Mbuf packet_arrived(sm_zone *z, void *mem):
    cdef Attachment at = attachment_of(z)
    cdef sm_mb *mb = NULL
    cdef sm_mbuf *m = NULL
    cdef sm_err err = sm_mb_find(z.z_arena, &mb)
    if err == SM_OK:
        err = m_arrived(mb, z, mem, &m)
    if err != SM_OK:
        fail(at, err, {"subject": "mbuf", "name": "mbuf"})
    return mbuf_made(mb, m)


cdef Mbuf packet_adopt(Attachment at, sm_mb *mb, sm_handle h, object handle):
    cdef sm_mbuf *m = NULL
    cdef sm_err err = m_adopt(mb, h, &m)
    if err == SM_NOT_OWNER and sm_cpu_count_dead(at.a): # its holder may be dead, and nobody has noticed yet
        err = at.a.a_recover(at.a)
        if err == SM_OK:
            err = m_adopt(mb, h, &m)
    if err != SM_OK:
        fail(at, err, {"subject": "handle", "handle": handle})
    forget(at)
    return mbuf_made(mb, m)


# ---------------------------------------------------------------- bytes and mbufs

cdef uint64_t mbuf_most(const sm_mb *mb) noexcept:
    """More mbufs than this are a cycle."""
    return mb.mb_arena.a_bytes // MSIZE


cdef int mbuf_sane(sm_mb *mb, const sm_mbuf *m) except -1:
    """The bytes that an mbuf claims lie in its storage, and that in the arena."""
    cdef uint64_t start = m_start(mb, m), data = <uint64_t>(<uint8_t *>mtod(mb, m) - mb.mb_base), n = m_len(m)
    cdef uint64_t size = m_size(m)
    if start > mb.mb_arena.a_bytes or size > mb.mb_arena.a_bytes - start or data < start or data - start > size or (
            n > size - (data - start)):
        return mbuf_fail(mb, SM_CORRUPT, SM_MBZ_MBUF, None, False)
    return 0


cdef uint64_t packet_length(Mbuf p) except? 0xffffffffffffffff:
    cdef uint64_t n = m_length(p.b.mb, p.b.m, NULL)
    if unlikely(p.b.mb.mb_err != SM_OK):
        mbuf_fail(p.b.mb, p.b.mb.mb_err, SM_MBZ_MBUF, "m_length", False)
    return n


cdef uint64_t packet_count(Mbuf p) except? 0xffffffffffffffff:
    """How many mbufs."""
    cdef uint64_t n = 0
    cdef sm_mbuf *m = p.b.m
    packet_length(p) # no cycle, no link into the void
    while m != NULL:
        n += 1
        m = m_nextm(p.b.mb, m)
    return n


cdef bytes packet_bytes(Mbuf p):
    packet_need(p)
    cdef uint64_t total = packet_length(p)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>total)
    cdef char *to = PyBytes_AS_STRING(out)
    cdef sm_mbuf *m = p.b.m
    while m != NULL:
        mbuf_sane(p.b.mb, m)
        memcpy(to, mtod(p.b.mb, m), m_len(m))
        to += m_len(m)
        m = m_nextm(p.b.mb, m)
    return out


cdef int packet_set_len(Mbuf p, uint32_t want) except -1:
    cdef uint32_t had
    packet_need(p)
    mbuf_sane(p.b.mb, p.b.m)
    had = m_len(p.b.m)
    cdef uint64_t room = m_size(p.b.m) - (<uint64_t>(<uint8_t *>mtod(p.b.mb, p.b.m) - p.b.mb.mb_base)
                                          - m_start(p.b.mb, p.b.m))
    if want > room:
        refuse("m_len", want, f"0 .. {room}: the mbuf's storage ends there")
    if want > had and not m_writable(p.b.mb, p.b.m):
        refuse("m_len", want, f"0 .. {had}: the storage is shared or read-only, and what follows is not this packet's")
    m_set_len(p.b.m, want)
    if p.b.m.m_flags & M_PKTHDR:
        p.b.m.m_pkthdr.ph_len += want - had
    p.b.shape += 1
    return 0


# ---------------------------------------------------------------- storage

cdef int packet_cluster(Mbuf p, int how, uint32_t size, str call) except -1:
    if size != MCLBYTES and size != MJUMPAGESIZE and size != MJUM9BYTES and size != MJUM16BYTES:
        refuse("size", size, "MCLBYTES, MJUMPAGESIZE, MJUM9BYTES or MJUM16BYTES")
    packet_bare(p)
    cdef sm_mbuf *m = packet_enter(p, True)
    cdef bint done = m_cljget(p.b.mb, m, how, size)
    packet_leave(p, m)
    if not done:
        return mbuf_fail(p.b.mb, p.b.mb.mb_err, jumbo_zone(size), call, False)
    return forget(packet_at(p))


cdef int packet_bare(Mbuf p) except -1:
    """The first mbuf can be given storage."""
    packet_need(p)
    if p.b.m.m_flags & M_EXT:
        refuse("mbuf", "with storage", "one without M_EXT: m_get() or m_gethdr()")
    if m_len(p.b.m):
        refuse("mbuf", f"with {m_len(p.b.m)} bytes", "an empty one: its bytes would be left behind")
    return 0


cdef int packet_extadd(Mbuf p, Item it, object offset, object size, object release, object arg1, object arg2, int kind,
                       bint readonly, bint filled) except -1:
    cdef sm_callback_shm cb
    cdef uint32_t start = length_of("offset", offset), n
    cdef uint64_t expect
    cdef sm_err err
    cdef sm_mbuf *m
    item_lend(it)
    packet_bare(p)
    if it.b.z.z_arena != p.b.mb.mb_arena:
        raise failure(SM_NOT_OURS, {"subject": "item", "arena": packet_at(p).name_})
    if start > it.b.nbytes:
        refuse("offset", offset, f"0 .. {it.b.nbytes}, the item's bytes")
    n = <uint32_t>min(it.b.nbytes - start, <Py_ssize_t>M_LEN_MAX) if size is None else length_of("size", size)
    if n > it.b.nbytes - start or n > M_LEN_MAX:
        refuse("size", n, f"0 .. {min(it.b.nbytes - start, <Py_ssize_t>M_LEN_MAX)} at offset {start}")
    if kind not in (EXT_NET_DRV, EXT_MOD_TYPE, EXT_DISPOSABLE, EXT_EXTREF):
        refuse("type", kind, "EXT_NET_DRV, EXT_MOD_TYPE, EXT_DISPOSABLE or EXT_EXTREF")
    if it.b.z.z_flags & (SM_ZONE_MBUF | SM_ZONE_REFCNT) or it.b.z == p.b.mb.mb_zone[SM_MBZ_TAG] or (
            it.b.z == p.b.mb.mb_zone[SM_MBZ_EXTREF]):
        refuse("item", text_of(it.b.z.z_shm.z_name, SM_NAME_BYTES), "an item of a zone that counts no references itself")
    callback_name(&cb, "" if release is None else FACE["name_callback"]("free", release))
    cdef uint64_t one = count_word("arg1", arg1), two = count_word("arg2", arg2)
    m = packet_enter(p, True)
    expect = it.b.expect
    it.b.expect = 0
    it.b.gone = GONE_MOVING
    err = m_extadd(p.b.mb, m, it.b.z, it.b.mem, it.b.mem + start, n, &cb if release is not None else NULL, one, two,
                   M_RDONLY if readonly else 0, <uint32_t>kind)
    if err == SM_OK:
        it.b.gone = GONE_HANDED
        if filled:
            m_set_len(m, n)
            if m.m_flags & M_PKTHDR:
                m.m_pkthdr.ph_len += n
    else:
        item_restore(it, expect)
    return packet_done(p, m, err, "m_extadd")


cdef uint64_t count_word(str argument, object value) except? 0xffffffffffffffff:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} is an int, not {type(value).__name__}")
    if value < 0 or value > 0xffffffffffffffff:
        refuse(argument, value, "0 .. 2**64 - 1")
    return <uint64_t>value


cdef int packet_share(Mbuf p, Mbuf other) except -1:
    cdef sm_mbuf *n
    cdef sm_mbuf *m
    packet_need(p)
    if other is p or other.b.mb != p.b.mb:
        refuse("other", "this packet itself, or one of another arena", "another packet of the same arena")
    if not p.b.m.m_flags & M_EXT:
        refuse("mbuf", "without storage", "one with M_EXT: its bytes lie inside itself")
    if p.b.writers:
        packet_refused(p, False)
    packet_bare(other)
    n = packet_enter(other, True)
    m = p.b.m
    cdef sm_err err = m_extaddref(p.b.mb, m, n)
    return packet_done(other, n, err, "m_extaddref")
