# mbufq.pxi - packets of this process in a row. Owns the row's head; the packets in it stay held by this CPU, so that they
# are freed when it dies.


@cython.no_gc
cdef class Mbufq:
    """A private queue of packets, linked by m_nextpkt; made by arena.mbufs().mbufq(). Dropping it frees them.

    For handing packets to another process use arena.queue().   Source: mbuf(9), mbufq.

    >>> with shmalloc.Arena.create(name) as arena:
    ...     mb = arena.mbufs()
    ...     row = mb.mbufq(2)
    ...     row.enqueue(mb.m_getcl())
    ...     row.enqueue(mb.m_getcl())
    ...     row.full, len(row), row.dequeue().freed
    (True, 2, False)
    """
    cdef Mbufs mbs
    cdef mbufq q
    cdef uint32_t epoch
    cdef object __weakref__

    def __init__(self):
        raise TypeError("an Mbufq comes from arena.mbufs().mbufq()")

    def __dealloc__(self):
        cdef Attachment at
        cdef bint was
        if self.mbs is None or mbufq_len(&self.q) == 0:
            return
        at = self.mbs.at
        if at.ended or self.epoch != self.mbs.mb.mb_zone[SM_MBZ_MBUF].z_epoch or at.closed_:
            return
        was = at.quiet
        at.quiet = True
        mbufq_drain(self.mbs.mb, &self.q)
        at.quiet = was

    def __len__(self):
        return mbufq_len(&self.q)

    def __bool__(self):
        return mbufq_len(&self.q) != 0

    @property
    def maxlen(self):
        """Packets it may hold, 0 for no bound."""
        return self.q.mq_maxlen

    @property
    def full(self):
        """Whether enqueue would be refused."""
        return bool(mbufq_full(&self.q))

    def enqueue(self, Mbuf packet not None):
        """Append a packet, whose object is closed. Raises: QueueFull: it is still yours."""
        row_need(self)
        row_same(self, packet)
        cdef sm_mbuf *m = packet_enter(packet, True)
        cdef sm_err err = mbufq_enqueue(self.mbs.mb, &self.q, m)
        if err == SM_OK:
            packet.b.gone = GONE_HANDED
            return
        packet_leave(packet, m)
        if err == SM_FULL:
            fail(self.mbs.at, err, {"subject": "queue", "name": "mbufq", "depth": self.q.mq_maxlen})
        mbuf_fail(self.mbs.mb, err, SM_MBZ_MBUF, "mbufq_enqueue", False)

    def prepend(self, Mbuf packet not None):
        """Put a packet before all others, also when the queue is full; its object is closed."""
        row_need(self)
        row_same(self, packet)
        cdef sm_mbuf *m = packet_enter(packet, True)
        self.mbs.mb.mb_err = SM_OK
        mbufq_prepend(self.mbs.mb, &self.q, m)
        if self.mbs.mb.mb_err != SM_OK:
            packet_leave(packet, m)
            mbuf_fail(self.mbs.mb, self.mbs.mb.mb_err, SM_MBZ_MBUF, "mbufq_prepend", False)
        packet.b.gone = GONE_HANDED

    def dequeue(self):
        """Take the first packet. Raises: QueueEmpty."""
        row_need(self)
        self.mbs.mb.mb_err = SM_OK
        cdef sm_mbuf *m = mbufq_dequeue(self.mbs.mb, &self.q)
        if m == NULL:
            if self.mbs.mb.mb_err != SM_OK:
                mbuf_fail(self.mbs.mb, self.mbs.mb.mb_err, SM_MBZ_MBUF, "mbufq_dequeue", False)
            fail(self.mbs.at, SM_EMPTY, {"subject": "queue", "name": "mbufq", "depth": self.q.mq_maxlen})
        return mbuf_made(self.mbs.mb, m)

    def flush(self):
        """Take all packets, as a list."""
        out = []
        while mbufq_len(&self.q):
            out.append(self.dequeue())
        return out

    def drain(self):
        """Free all packets."""
        row_need(self)
        cdef sm_err err = mbufq_drain(self.mbs.mb, &self.q)
        if err != SM_OK:
            mbuf_fail(self.mbs.mb, err, SM_MBZ_MBUF, "mbufq_drain", False)
        forget(self.mbs.at)

    def concat(self, Mbufq other not None):
        """Move all packets of other behind these, whatever the bound."""
        row_need(self)
        row_need(other)
        if other is self or other.mbs.mb != self.mbs.mb:
            refuse("other", "this queue itself, or one of another arena", "another queue of the same arena")
        mbufq_concat(self.mbs.mb, &self.q, &other.q)


cdef int row_need(Mbufq row) except -1:
    row.mbs.at.need()
    if row.epoch != row.mbs.mb.mb_zone[SM_MBZ_MBUF].z_epoch:
        return mbuf_fail(row.mbs.mb, SM_FORKED, SM_MBZ_MBUF, None, False)
    return 0


cdef int row_same(Mbufq row, Mbuf packet) except -1:
    packet_need(packet)
    if packet.b.mb != row.mbs.mb:
        refuse("packet", "of another arena", "one of the same arena")
    return 0


def mbufq_make(Mbufs mbs not None, uint32_t maxlen):
    """An empty row for packets of these mbufs."""
    cdef Mbufq row = Mbufq.__new__(Mbufq)
    mbs.at.need()
    row.mbs = mbs
    row.epoch = mbs.mb.mb_zone[SM_MBZ_MBUF].z_epoch
    mbufq_init(&row.q, maxlen)
    return row
