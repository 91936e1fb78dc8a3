# packet_shape.pxi - those of Mbuf's shaping and copying methods that are more than one call of the core. Owns nothing.


cdef int packet_how(Mbuf p, sm_mbuf *m, int how) except -1:
    """How a copy may behave; the packet was entered already, and comes back when `how` is nonsense."""
    if how != SM_M_WAITOK and how != SM_M_NOWAIT:
        packet_leave(p, m)
        refuse("how", how, "M_WAITOK or M_NOWAIT")
    return how


cdef object packet_split(Mbuf p, uint32_t n, int how):
    packet_need(p)
    if n > packet_length(p):
        refuse("size", n, f"at most {packet_length(p)}, the packet's bytes; it is as before")
    cdef sm_mbuf *m = packet_enter(p, True)
    p.b.mb.mb_err = SM_OK
    cdef sm_mbuf *rest = m_split(p.b.mb, m, n, how)
    packet_leave(p, m)
    if rest == NULL and p.b.mb.mb_err == SM_OK:
        return None
    return packet_new(p, rest, "m_split")


cdef int packet_join(Mbuf p, Mbuf other, bint headers) except -1:
    if other is p:
        refuse("other", "this packet itself", "another packet")
    packet_lend(other)
    if other.b.mb != p.b.mb:
        refuse("other", "a packet of another arena", "one of the same arena")
    if headers:
        packet_header(p)
        packet_header(other)
    cdef sm_mbuf *m = packet_enter(p, True)
    cdef sm_mbuf *n = packet_enter(other, True)
    cdef sm_err err = m_catpkt(p.b.mb, m, n) if headers else m_cat(p.b.mb, m, n)
    if err == SM_OK:
        other.b.gone = GONE_HANDED
    else:
        packet_leave(other, n)
    return packet_done(p, m, err, "m_catpkt" if headers else "m_cat")


cdef int packet_write(Mbuf p, uint32_t off, object data, bint append) except -1:
    """m_append, or m_copyback at off."""
    cdef Py_buffer view
    cdef sm_mbuf *m
    cdef sm_err err
    if not PyObject_CheckBuffer(data):
        raise TypeError(f"a packet is written from bytes or a buffer, not {type(data).__name__}")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if view.len > 0xffffffff:
            refuse("data", f"{view.len} bytes", "less than 2**32")
        m = packet_enter(p, False)
        if append:
            err = m_append(p.b.mb, m, <uint32_t>view.len, view.buf)
        else:
            err = m_copyback(p.b.mb, m, off, <uint32_t>view.len, view.buf)
        if err == SM_BUSY:
            packet_leave(p, m)
            raise BufferError("bytes in that range are read-only: their storage is shared, or M_RDONLY; m_unshare() or "
                              "m_dup() make a packet that may be written")
        return packet_done(p, m, err, "m_append" if append else "m_copyback")
    finally:
        PyBuffer_Release(&view)


cdef uint32_t packet_range(Mbuf p, uint32_t off, object size) except? 0xffffffff:
    """How many bytes from off on, None for all; they must be there."""
    packet_need(p)
    cdef uint64_t total = packet_length(p)
    if off > total:
        refuse("off", off, f"0 .. {total}, the packet's bytes")
    cdef uint64_t n = total - off if size is None or size == M_COPYALL else length_of("size", size)
    if n > total - off:
        refuse("size", size, f"0 .. {total - off}: the packet ends there")
    return <uint32_t>n


cdef bytes packet_read(Mbuf p, uint32_t off, object size):
    cdef uint32_t n = packet_range(p, off, size)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n)
    if n == 0:
        return out
    cdef sm_err err = m_copydata(p.b.mb, p.b.m, off, n, PyBytes_AS_STRING(out))
    if err != SM_OK:
        mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, "m_copydata", False)
    return out


cdef object packet_apply(Mbuf p, uint32_t off, uint32_t size, object function):
    """Like m_apply of the core, which knows no Python: the pieces are memoryviews, so that none can be freed meanwhile."""
    cdef uint32_t left = packet_range(p, off, size), skip = off, n
    cdef list views = packet_views(p)
    cdef MbufView v
    for v in views:
        if left == 0:
            break
        if skip >= v.nbytes:
            skip -= <uint32_t>v.nbytes
            continue
        n = min(left, <uint32_t>v.nbytes - skip)
        with PyMemoryView_FromObject(v) as whole, whole[skip:skip + n] as piece:
            result = function(piece)
        if result:
            return result
        skip = 0
        left -= n
    return None


cdef str packet_text(Mbuf p, object most):
    cdef int64_t bound = -1
    cdef uint64_t room
    cdef bytes out
    if most != -1:
        bound = length_of("most", most)
    packet_need(p)
    packet_length(p)
    room = m_print(p.b.mb, p.b.m, bound, NULL, 0) + 1
    out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>room)
    m_print(p.b.mb, p.b.m, bound, PyBytes_AS_STRING(out), room)
    return out[:room - 1].decode("utf-8", "replace")


cdef int packet_header_from(Mbuf p, Mbuf source, bint move, int how) except -1:
    packet_header(source)
    if source is p or source.b.mb != p.b.mb:
        refuse("source", "this packet itself, or one of another arena", "another packet of the same arena")
    cdef sm_mbuf *m = packet_enter(p, True)
    cdef sm_mbuf *src
    try:
        src = packet_enter(source, move)
    except BaseException:
        packet_leave(p, m)
        raise
    cdef sm_err err = m_move_pkthdr(p.b.mb, m, src) if move else m_dup_pkthdr(p.b.mb, m, src, how)
    packet_leave(source, src)
    return packet_done(p, m, err, "m_move_pkthdr" if move else "m_dup_pkthdr")
