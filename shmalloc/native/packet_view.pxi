# packet_view.pxi - what is seen of a packet: one mbuf's bytes as a buffer, and the packet header. Each view holds its
# packet; the packet counts the open memoryviews (exports), because they say whether its bytes may move.


@cython.final
@cython.no_gc
cdef class MbufView:
    """One mbuf of a packet: a buffer of its bytes, read-only when they are shared. From iterating an Mbuf.

    Good until the packet is reshaped; memoryviews made of it keep the packet from being reshaped.
    """
    cdef Mbuf owner
    cdef sm_mbuf *m
    cdef char *data
    cdef Py_ssize_t nbytes
    cdef uint32_t shape, spare

    def __init__(self):
        raise TypeError("an MbufView comes from iterating an Mbuf")

    def __len__(self):
        return self.nbytes

    def __repr__(self):
        return f"<shmalloc.MbufView of {self.nbytes} bytes>"

    def __getbuffer__(self, Py_buffer *view, int flags):
        view_need(self)
        view_export(self, view, flags)

    def __releasebuffer__(self, Py_buffer *view):
        cdef mbuf_body *b = &self.owner.b
        if not view.readonly:
            b.writers -= 1
        b.exports -= 1
        if b.exports == 0:
            export_end(packet_at(self.owner), <PyObject *>self.owner)

    @property
    def flags(self):
        """M_* bits."""
        view_need(self)
        return self.m.m_flags

    @property
    def type(self):
        """MT_*."""
        view_need(self)
        return self.m.m_type

    @property
    def ext_type(self):
        """EXT_* of its storage, 0 when the bytes lie inside the mbuf."""
        view_need(self)
        return self.m.m_ext.me_type if self.m.m_flags & M_EXT else 0

    @property
    def size(self):
        """Bytes of its storage: MLEN, MHLEN, or those of the cluster."""
        view_need(self)
        return m_size(self.m)

    @property
    def refcnt(self):
        """How many mbufs refer to its storage; 0 when the bytes lie inside the mbuf."""
        view_need(self)
        return m_refcnt(self.owner.b.mb, self.m)

    @property
    def writable(self):
        """Not M_RDONLY, and nobody else refers to the storage."""
        view_need(self)
        return bool(m_writable(self.owner.b.mb, self.m))


@cython.final
@cython.no_gc
cdef class Pkthdr:
    """The header of a packet, read and written in place. From Mbuf.pkthdr."""
    cdef Mbuf owner

    def __init__(self):
        raise TypeError("a Pkthdr comes from Mbuf.pkthdr")

    def __repr__(self):
        cdef sm_pkthdr *h = &packet_header(self.owner).m_pkthdr
        return (f"<shmalloc.Pkthdr rcvif={h.ph_rcvif} len={h.ph_len} csum_flags={h.ph_csum_flags:#x} "
                f"csum_data={h.ph_csum_data:#x} header={h.ph_header}>")

    @property
    def rcvif(self):
        """Number of the interface it came from, 0 for none."""
        return packet_header(self.owner).m_pkthdr.ph_rcvif

    @rcvif.setter
    def rcvif(self, value):
        packet_header(self.owner).m_pkthdr.ph_rcvif = length_of("rcvif", value)

    @property
    def len(self):
        """Bytes of the whole packet as the header says; m_fixhdr() counts them anew."""
        return packet_header(self.owner).m_pkthdr.ph_len

    @len.setter
    def len(self, value):
        packet_header(self.owner).m_pkthdr.ph_len = length_of("len", value)

    @property
    def csum_flags(self):
        """Which checksums are wanted, or were verified: 32 bits of the protocols."""
        return packet_header(self.owner).m_pkthdr.ph_csum_flags

    @csum_flags.setter
    def csum_flags(self, value):
        packet_header(self.owner).m_pkthdr.ph_csum_flags = length_of("csum_flags", value)

    @property
    def csum_data(self):
        """A checksum, or where it belongs: 32 bits of the protocols."""
        return packet_header(self.owner).m_pkthdr.ph_csum_data

    @csum_data.setter
    def csum_data(self, value):
        packet_header(self.owner).m_pkthdr.ph_csum_data = length_of("csum_data", value)

    @property
    def header(self):
        """64 bits for protocols: by custom an offset into the data, 0 for none."""
        return packet_header(self.owner).m_pkthdr.ph_header

    @header.setter
    def header(self, value):
        packet_header(self.owner).m_pkthdr.ph_header = count_word("header", value)


cdef MbufView view_made(Mbuf p, sm_mbuf *m):
    cdef MbufView v
    mbuf_sane(p.b.mb, m)
    v = MbufView.__new__(MbufView)
    v.owner = p
    v.m = m
    v.data = mtod(p.b.mb, m)
    v.nbytes = m_len(m)
    v.shape = p.b.shape
    return v


cdef list packet_views(Mbuf p):
    """One MbufView for each mbuf, in order."""
    cdef list out = []
    cdef sm_mbuf *m
    packet_need(p)
    packet_length(p) # no cycle, no link into the void
    m = p.b.m
    while m != NULL:
        out.append(view_made(p, m))
        m = m_nextm(p.b.mb, m)
    return out


cdef int view_need(MbufView v) except -1:
    if v.owner is None:
        raise failure(SM_GONE, {"subject": "mbuf"})
    packet_need(v.owner)
    if v.shape != v.owner.b.shape:
        raise failure(SM_GONE, {"subject": "mbuf", "name": "mbuf", "arena": packet_at(v.owner).name_, "reshaped": True})
    return 0


cdef int view_export(MbufView v, Py_buffer *view, int flags) except -1:
    cdef Mbuf p = v.owner
    cdef bint readonly = not m_writable(p.b.mb, v.m)
    if readonly and flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
        raise BufferError("the mbuf's bytes are read-only: its storage is shared, or M_RDONLY; m_unshare() or m_dup() "
                          "make a packet that may be written")
    if p.b.exports == 0:
        export_begin(packet_at(p), <PyObject *>p)
    p.b.exports += 1
    if not readonly:
        p.b.writers += 1
    view_fill(view, v, v.data, &v.nbytes, flags)
    view.readonly = readonly
    return 0


cdef bint packet_owns(Mbuf p, const uint64_t *word) noexcept:
    """Whether the word is that of one of the packet's mbufs."""
    cdef sm_mbuf *m = p.b.m
    cdef uint64_t *own
    cdef uint64_t most = mbuf_most(p.b.mb)
    while m != NULL and most > 0:
        if mbuf_word(p.b.mb, m, &own) == SM_OK and own == word:
            return True
        m = m_nextm(p.b.mb, m)
        most -= 1
    return False
