# packet_tag.pxi - tags of packet headers as Python objects. An MTag that is not linked owns its tag; a linked one belongs
# to the packet, and the MTag stands for it as long as that packet is held here and the tag's word says so.


@cython.final
@cython.no_gc
cdef class MTag:
    """A small annotation that travels with a packet header; made by Mbufs.m_tag_alloc, found by Mbuf.m_tag_find.

    An unlinked tag is freed when its MTag is dropped; a linked one with its packet.   Source: mbuf_tags(9).
    """
    cdef sm_mb *mb
    cdef sm_tag *t
    cdef uint64_t *word
    cdef uint64_t expect # 0: gone
    cdef Mbuf owner # None: not linked
    cdef uint32_t epoch, spare

    def __init__(self):
        raise TypeError("an MTag comes from Mbufs.m_tag_alloc() or Mbuf.m_tag_find()")

    def __dealloc__(self):
        if self.mb == NULL:
            return
        if self.expect != 0 and self.owner is None:
            tag_drop(self)
        zone_unref(self.mb.mb_zone[SM_MBZ_MBUF])

    def __repr__(self):
        if tag_state(self) != SM_OK:
            return "<shmalloc.MTag, gone>"
        return f"<shmalloc.MTag cookie={self.t.t_cookie:#x} id={self.t.t_id} of {self.t.t_len} bytes>"

    def free(self):
        """Free a tag that is not linked. Raises: DoubleFree, ItemFreed; InvalidArgument: it is linked."""
        tag_need(self)
        if self.owner is not None:
            refuse("tag", "linked to a packet", "one that is not linked: m.m_tag_delete(tag) does both")
        self.expect = 0
        cdef sm_err err = m_tag_free(self.mb, self.t)
        if err != SM_OK:
            mbuf_fail(self.mb, err, SM_MBZ_TAG, "m_tag_free", False)
        forget(<Attachment>self.mb.mb_arena.a_runtime.rt_ctx)

    def m_tag_copy(self, int how=2):
        """A tag of the same cookie, id and payload, not linked."""
        tag_need(self)
        cdef sm_tag *t = m_tag_copy(self.mb, self.t, how_of(how))
        if t == NULL:
            mbuf_fail(self.mb, self.mb.mb_err, SM_MBZ_TAG, "m_tag_copy", False)
        forget(<Attachment>self.mb.mb_arena.a_runtime.rt_ctx)
        return tag_made(self.mb, t, None)

    @property
    def cookie(self):
        """Who defines the id: 32 bits, 0 for ids known to everybody."""
        tag_need(self)
        return self.t.t_cookie

    @property
    def id(self):
        """What it says: 16 bits."""
        tag_need(self)
        return self.t.t_id

    @property
    def persistent(self):
        """Whether m_tag_delete_nonpersistent leaves it."""
        tag_need(self)
        return bool(self.t.t_persistent)

    @property
    def linked(self):
        """Whether it belongs to a packet."""
        tag_need(self)
        return self.owner is not None

    @property
    def freed(self):
        """True when this MTag no longer stands for a tag."""
        return tag_state(self) != SM_OK

    @property
    def data(self):
        """The payload as bytes; what is set must have the same length."""
        tag_need(self)
        return PyBytes_FromStringAndSize(<char *>self.t.t_data, min(<uint32_t>self.t.t_len, MTAG_MAX))

    @data.setter
    def data(self, value):
        cdef bytes raw = bytes(value)
        tag_need(self)
        if len(raw) != self.t.t_len:
            refuse("data", f"{len(raw)} bytes", f"the tag's {self.t.t_len} bytes: a tag does not change size")
        memcpy(self.t.t_data, <const char *>raw, len(raw))

    def __len__(self):
        tag_need(self)
        return self.t.t_len


cdef MTag tag_made(sm_mb *mb, sm_tag *t, Mbuf owner):
    """owner: the packet it is linked to; None: it is this CPU's own."""
    cdef MTag tag = MTag.__new__(MTag)
    cdef sm_zone *z = mb.mb_zone[SM_MBZ_TAG]
    cdef sm_err err = sm_zone_lookup(z, t, &tag.word)
    if err != SM_OK:
        mbuf_fail(mb, err, SM_MBZ_TAG, None, False)
    zone_ref(mb.mb_zone[SM_MBZ_MBUF])
    tag.mb = mb
    tag.t = t
    tag.expect = sm_load_rlx(tag.word)
    tag.owner = owner
    tag.epoch = z.z_epoch
    return tag


cdef sm_err tag_state(MTag tag) noexcept:
    cdef sm_err err
    if tag.mb == NULL or tag.expect == 0:
        return SM_GONE
    if (<Attachment>tag.mb.mb_arena.a_runtime.rt_ctx).closed_:
        return SM_CLOSED
    if tag.epoch != tag.mb.mb_zone[SM_MBZ_TAG].z_epoch:
        return SM_FORKED
    if tag.owner is not None:
        err = packet_state(tag.owner)
        if err != SM_OK:
            return SM_GONE if err == SM_DOUBLE_FREE else err
    return SM_OK if sm_load_rlx(tag.word) == tag.expect else SM_GONE


cdef int tag_need(MTag tag) except -1:
    cdef sm_err err = tag_state(tag)
    if likely(err == SM_OK):
        return 0
    if err == SM_BUSY:
        raise BufferError("the tag's packet is inside another call of this process; wait for that to return")
    if tag.mb == NULL or err == SM_GONE:
        raise failure(SM_GONE, {"subject": "mbuf", "name": "mbuf_tag"})
    return mbuf_fail(tag.mb, err, SM_MBZ_TAG, None, False)


cdef void tag_drop(MTag tag) noexcept:
    cdef Attachment at = <Attachment>tag.mb.mb_arena.a_runtime.rt_ctx
    cdef sm_err err
    cdef bint was = at.quiet
    if tag_state(tag) != SM_OK:
        return
    tag.expect = 0
    at.quiet = True
    err = m_tag_free(tag.mb, tag.t)
    at.quiet = was
    if err != SM_OK:
        try:
            mbuf_fail(tag.mb, err, SM_MBZ_TAG, "m_tag_free", False)
        except BaseException as exc:
            PyErr_SetObject(type(exc), exc)
            PyErr_WriteUnraisable(MTag)


cdef int tag_done(Mbuf p, sm_err err) except -1:
    if err != SM_OK:
        return mbuf_fail(p.b.mb, err, SM_MBZ_TAG, None, False)
    return forget(packet_at(p))


cdef sm_mbuf *tag_of(Mbuf p, MTag tag) except NULL:
    """The packet's first mbuf, and the tag is one of its."""
    cdef sm_mbuf *m = packet_header(p)
    tag_need(tag)
    if tag.owner is not p:
        refuse("tag", "of another packet, or not linked", "a tag of this packet")
    return m


cdef int tag_link(Mbuf p, MTag tag) except -1:
    cdef sm_mbuf *m = packet_header(p)
    tag_need(tag)
    if tag.owner is not None or tag.mb != p.b.mb:
        refuse("tag", "linked, or of another arena", "one of the same arena that is not linked")
    tag_done(p, m_tag_prepend(p.b.mb, m, tag.t))
    tag.expect = sm_load_rlx(tag.word)
    tag.owner = p
    return 0


cdef int tag_cut(Mbuf p, MTag tag) except -1:
    tag_done(p, m_tag_unlink(p.b.mb, tag_of(p, tag), tag.t))
    tag.expect = sm_load_rlx(tag.word)
    tag.owner = None
    return 0


cdef int tag_delete_from(Mbuf p, MTag tag) except -1:
    cdef sm_mbuf *m = packet_header(p) if tag is None else tag_of(p, tag)
    return tag_done(p, m_tag_delete_chain(p.b.mb, m, NULL if tag is None else tag.t))


cdef list tag_list(Mbuf p):
    cdef sm_mbuf *m = packet_header(p)
    cdef list out = []
    cdef uint64_t most = mbuf_most(p.b.mb)
    p.b.mb.mb_err = SM_OK
    cdef sm_tag *t = m_tag_first(p.b.mb, m)
    while t != NULL:
        if most == 0:
            mbuf_fail(p.b.mb, SM_CORRUPT, SM_MBZ_TAG, None, False)
        most -= 1
        out.append(tag_made(p.b.mb, t, p))
        t = m_tag_next(p.b.mb, t)
    tag_done(p, p.b.mb.mb_err)
    return out


cdef object tag_search(Mbuf p, uint32_t cookie, uint32_t id, MTag start):
    cdef sm_mbuf *m = packet_header(p) if start is None else tag_of(p, start)
    cdef sm_tag *t = m_tag_locate(p.b.mb, m, cookie, id, NULL if start is None else start.t)
    if t == NULL:
        if p.b.mb.mb_err != SM_NOT_FOUND:
            tag_done(p, p.b.mb.mb_err)
        return None
    return tag_made(p.b.mb, t, p)


cdef int tag_copy_all(Mbuf p, Mbuf source, int how) except -1:
    cdef sm_mbuf *src = packet_header(source)
    packet_header(p)
    if source is p or source.b.mb != p.b.mb:
        refuse("source", "this packet itself, or one of another arena", "another packet of the same arena")
    cdef sm_mbuf *m = packet_enter(p, False)
    packet_enter(source, False)
    cdef sm_err err = m_tag_copy_chain(p.b.mb, m, src, how)
    packet_leave(source, src)
    packet_leave(p, m)
    return tag_done(p, err)
