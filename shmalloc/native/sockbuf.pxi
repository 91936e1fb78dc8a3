# sockbuf.pxi - socket buffers as Python objects. Owns the core's handle, one for each Sockbuf; the bytes are the arena's.


@cython.no_gc
cdef class Sockbuf:
    """A named socket buffer of an arena: bytes and records that every process may append to and take from; made by
    arena.mbufs().sockbuf(name). See shmalloc.sockbuf.

    Concurrency: any process and thread; a call that waits lets other threads run. What is in it survives the death of
    both ends.   Source: FreeBSD's uipc_sockbuf.c.
    """
    cdef sm_sockbuf *sb
    cdef Mbufs mbs
    cdef str name_
    cdef object __weakref__

    def __init__(self):
        raise TypeError("a Sockbuf comes from arena.mbufs().sockbuf(name)")

    def __dealloc__(self):
        if self.sb != NULL:
            sm_sockbuf_close(self.sb)

    def __repr__(self):
        return f"<shmalloc.Sockbuf {self.name_!r} of arena {self.mbs.at.name_!r}>"

    def __reduce__(self):
        return FACE["reopen_sockbuf"], (self.mbs.at.name_, self.mbs.at.uuid, self.name_)

    def __len__(self):
        return sbused(sockbuf_need(self))

    def __bool__(self):
        return True

    @property
    def name(self):
        """The sockbuf's name."""
        return self.name_

    @property
    def mbufs(self):
        """The Mbufs it was opened through."""
        return self.mbs

    @property
    def cc(self):
        """Bytes of data in it; len(sockbuf) is the same."""
        return sbused(sockbuf_need(self))

    @property
    def mbcnt(self):
        """Bytes of storage that its mbufs occupy."""
        return sockbuf_need(self).sb_shm.sb_mbcnt

    @property
    def hiwat(self):
        """Most bytes of data."""
        return sockbuf_need(self).sb_shm.sb_hiwat

    @property
    def mbmax(self):
        """Most bytes of storage."""
        return sockbuf_need(self).sb_shm.sb_mbmax

    def close(self):
        """Give up this handle; the sockbuf and what is in it stay. Also by `with` and by dropping it."""
        if self.sb != NULL:
            sm_sockbuf_close(self.sb)
            self.sb = NULL

    def __enter__(self):
        sockbuf_need(self)
        return self

    def __exit__(self, *error):
        self.close()

    def destroy(self):
        """Remove the sockbuf from the arena. Raises: SockbufBusy: it is not empty."""
        sockbuf_done(self, sm_sockbuf_destroy(sockbuf_need(self)), "destroy", 0, -1)

    # ------------------------------------------------------------ limits and waiting

    def sbreserve(self, hiwat, mbmax=None):
        """New limits in bytes, of data and of storage (None: eight times hiwat). What is in it stays."""
        cdef uint64_t most = count_of("hiwat", hiwat, 1), storage = 0 if mbmax is None else count_of("mbmax", mbmax, 1)
        sockbuf_done(self, sbreserve(sockbuf_need(self), most, storage), "sbreserve", 0, -1)

    def sbspace(self):
        """Bytes that an append may have now."""
        return sbspace(sockbuf_need(self))

    def wait_data(self, size=0, *, timeout=None):
        """Sleep until size bytes are there; 0: until it is not empty. Raises: SockbufEmpty: not within timeout."""
        cdef int64_t ns = timeout_ns(timeout)
        cdef uint64_t n = count_of("size", size, 0)
        sockbuf_done(self, sbwait(sockbuf_need(self), SB_DATA, n, ns), "wait_data", n, ns)

    def wait_space(self, size=0, *, timeout=None):
        """Sleep until size bytes fit; 0: until anything fits. Raises: SockbufFull: not within timeout."""
        cdef int64_t ns = timeout_ns(timeout)
        cdef uint64_t n = count_of("size", size, 0)
        sockbuf_done(self, sbwait(sockbuf_need(self), SB_SPACE, n, ns), "wait_space", n, ns)

    # ------------------------------------------------------------ appending

    def sbappend(self, Mbuf packet not None, *, timeout=None):
        """Append a chain to the last record, or as a new one if that ended with M_EOR; the Mbuf is closed.

        Parameters: timeout: seconds to wait for room, 0 does not wait, None waits for ever.
        Raises: SockbufFull: the packet is still yours. InvalidArgument: it is larger than the sockbuf.
        """
        sockbuf_append(self, sbappend, packet, timeout, "sbappend")

    def sbappendstream(self, Mbuf packet not None, *, timeout=None):
        """Append to the one record of a stream; packet headers go. Raises: InvalidArgument: there are more records."""
        sockbuf_append(self, sbappendstream, packet, timeout, "sbappendstream")

    def sbappendrecord(self, Mbuf packet not None, *, timeout=None):
        """Append as a new record. As sbappend."""
        sockbuf_append(self, sbappendrecord, packet, timeout, "sbappendrecord")

    def sbappendaddr(self, addr, Mbuf packet=None, Mbuf control=None, *, int how=2):
        """Append one record of an address (1 .. MLEN bytes, an MT_SONAME mbuf), control and packet. Does not wait.

        Raises: SockbufFull: the packets are still yours. NoBuffers.
        """
        cdef bytes raw = bytes(addr)
        how_of(how)
        if not 0 < len(raw) <= MLEN:
            refuse("addr", f"{len(raw)} bytes", f"1 .. {MLEN} bytes")
        sockbuf_pair(self, raw, packet, control, how)

    def sbappendcontrol(self, Mbuf packet, Mbuf control not None):
        """Append one record of control (MT_CONTROL) and packet, which may be None. Does not wait."""
        sockbuf_pair(self, None, packet, control, 2)

    # ------------------------------------------------------------ taking

    def receive(self, size=None, *, timeout=None, int how=2):
        """Take up to size bytes of the first record as an Mbuf, without copying; the record's rest stays.

        Parameters: size: bytes, None for the whole record; timeout: seconds to wait for any, 0 does not wait.
        Raises: SockbufEmpty. NoBuffers: an mbuf had to be cut in two.
        """
        cdef uint64_t n = <uint64_t>1 << 48 if size is None else count_of("size", size, 1)
        return sockbuf_receive(self, n, how_of(how), timeout_ns(timeout))

    def sbdrop(self, size):
        """Drop size bytes from the front. Raises: InvalidArgument: there are fewer; nothing is dropped."""
        cdef uint64_t n = count_of("size", size, 0)
        sockbuf_done(self, sbdrop(sockbuf_need(self), n), "sbdrop", n, -1)

    def sbcut(self, size):
        """The same; the mbufs that went whole come back as an Mbuf, None for none."""
        cdef uint64_t n = count_of("size", size, 0)
        cdef sm_mbuf *chain = NULL
        sockbuf_done(self, sbcut(sockbuf_need(self), n, &chain), "sbcut", n, -1)
        return None if chain == NULL else mbuf_made(self.mbs.mb, chain)

    def sbdroprecord(self):
        """Drop the first record, if there is one."""
        sockbuf_done(self, sbdroprecord(sockbuf_need(self)), "sbdroprecord", 0, -1)

    def sbflush(self):
        """Empty it. Raises: SockbufCorrupt: bytes or mbufs remained that its counts did not know; it is empty now."""
        sockbuf_done(self, sbflush(sockbuf_need(self)), "sbflush", 0, -1)

    def sb_copydata(self, off, size):
        """bytes from byte off of the whole sockbuf, across records; they stay."""
        cdef uint64_t start = count_of("off", off, 0), n = count_of("size", size, 0)
        cdef sm_sockbuf *sb = sockbuf_need(self)
        if n > sb.sb_shm.sb_cc:
            refuse("size", size, f"at most {sb.sb_shm.sb_cc}, the bytes that are there")
        cdef bytes out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
        sockbuf_done(self, sb_copydata(sb, start, n, PyBytes_AS_STRING(out)), "sb_copydata", n, -1)
        return out

    def sbsndptr(self, off):
        """Where byte off lies: (its offset in its mbuf, how many bytes follow there), for who alone takes away."""
        cdef uint64_t start = count_of("off", off, 0)
        cdef const sm_mbuf *m = NULL
        cdef uint32_t at = 0, follow = 0
        sockbuf_done(self, sbsndptr(sockbuf_need(self), start, &m, &at, &follow), "sbsndptr", start, -1)
        return at, follow

    # ------------------------------------------------------------ checking

    def sbcheck(self):
        """Count bytes and storage anew. Raises: SockbufCorrupt: they are not what the sockbuf says."""
        sockbuf_done(self, sbcheck(sockbuf_need(self)), "sbcheck", 0, -1)

    def sblastrecordchk(self):
        """Look whether the last record is the last."""
        sockbuf_done(self, sblastrecordchk(sockbuf_need(self)), "sblastrecordchk", 0, -1)

    def sblastmbufchk(self):
        """Look whether the last mbuf is the last."""
        sockbuf_done(self, sblastmbufchk(sockbuf_need(self)), "sblastmbufchk", 0, -1)


ctypedef sm_err (*append_fn)(sm_sockbuf *sb, sm_mbuf *m) noexcept


cdef sm_sockbuf *sockbuf_need(Sockbuf s) except NULL:
    s.mbs.at.need()
    if s.sb == NULL:
        raise failure(SM_CLOSED, {"subject": "sockbuf", "name": s.name_, "arena": s.mbs.at.name_})
    return s.sb


cdef int sockbuf_done(Sockbuf s, sm_err err, str call, uint64_t n, int64_t ns) except -1:
    if likely(err == SM_OK):
        return forget(s.mbs.at)
    if err == SM_TIMEOUT:
        err = SM_FULL if call == "wait_space" or call.startswith("sbappend") else SM_EMPTY
    facts = {"subject": "sockbuf", "name": s.name_, "call": call, "asked_bytes": n, "waited": seconds_of(ns)}
    if s.sb != NULL and not s.mbs.at.closed_:
        facts["used"] = s.sb.sb_shm.sb_cc
        facts["hiwat"] = s.sb.sb_shm.sb_hiwat
    return fail(s.mbs.at, err, facts)


cdef int64_t left_of(int64_t ns, object start):
    """What is left of a wait that began at `start`; -1 for ever."""
    return -1 if ns < 0 else max(<int64_t>0, ns - <int64_t>(monotonic_ns() - start))


cdef int sockbuf_append(Sockbuf s, append_fn fn, Mbuf p, object timeout, str call) except -1:
    cdef int64_t ns = timeout_ns(timeout)
    cdef sm_sockbuf *sb = sockbuf_need(s)
    cdef uint64_t n
    cdef sm_mbuf *m
    cdef sm_err err
    packet_lend(p)
    if p.b.mb != s.mbs.mb:
        refuse("packet", "of another arena", "one of the same arena")
    n = packet_length(p)
    m = packet_enter(p, True)
    err = fn(sb, m)
    if err == SM_FULL and ns != 0:
        start = monotonic_ns()
        while err == SM_FULL: # who waits has seen room, another process may have been quicker
            err = sbwait(sb, SB_SPACE, n, left_of(ns, start))
            if err == SM_OK:
                err = fn(sb, m)
    if err == SM_OK:
        p.b.gone = GONE_HANDED
    else:
        packet_leave(p, m)
        if err in (SM_NOT_OWNER, SM_DOUBLE_FREE):
            return mbuf_fail(p.b.mb, err, SM_MBZ_MBUF, call, False)
    return sockbuf_done(s, err, call, n, ns)


cdef int sockbuf_pair(Sockbuf s, bytes addr, Mbuf packet, Mbuf control, int how) except -1:
    """Both chains in, or neither."""
    cdef sm_sockbuf *sb = sockbuf_need(s)
    cdef sm_mbuf *m = NULL
    cdef sm_mbuf *c = NULL
    cdef uint64_t n = 0 if addr is None else len(addr)
    cdef sm_err err
    cdef Mbuf p
    if packet is control and packet is not None:
        refuse("control", "the packet itself", "another packet")
    if control is not None and control.type != MT_CONTROL:
        refuse("control", f"type {control.type}", "an mbuf of type MT_CONTROL: control.type = MT_CONTROL")
    for p in (packet, control):
        if p is not None:
            packet_lend(p)
            n += packet_length(p)
            if p.b.mb != s.mbs.mb:
                refuse("packet", "of another arena", "one of the same arena")
    if packet is not None:
        m = packet_enter(packet, True)
    if control is not None:
        c = packet_enter(control, True)
    if addr is None:
        err = sbappendcontrol(sb, m, c)
    else:
        err = sbappendaddr(sb, <const char *>addr, <uint32_t>len(addr), m, c, how)
    for p in (packet, control):
        if p is not None:
            if err == SM_OK:
                p.b.gone = GONE_HANDED
            else:
                packet_leave(p, p.b.m)
    if err == SM_LIMIT:
        return mbuf_fail(s.mbs.mb, err, SM_MBZ_MBUF, "sbappendaddr", False)
    return sockbuf_done(s, err, "sbappendcontrol" if addr is None else "sbappendaddr", n, 0)


cdef Mbuf sockbuf_receive(Sockbuf s, uint64_t n, int how, int64_t ns):
    cdef sm_sockbuf *sb = sockbuf_need(s)
    cdef sm_mbuf *chain = NULL
    cdef sm_err err = sbreceive(sb, n, how, &chain)
    if err == SM_EMPTY and ns != 0:
        start = monotonic_ns()
        while err == SM_EMPTY:
            err = sbwait(sb, SB_DATA, 0, left_of(ns, start))
            if err == SM_OK:
                err = sbreceive(sb, n, how, &chain)
    if err == SM_LIMIT or err == SM_NO_MEMORY:
        mbuf_fail(s.mbs.mb, err, SM_MBZ_MBUF, None, False)
    sockbuf_done(s, err, "receive", n, ns)
    return mbuf_made(s.mbs.mb, chain)


def sockbuf_open(Mbufs mbs not None, name, hiwat, mbmax, bint make=True):
    """Open the sockbuf, creating it if there is none. hiwat None: 64 KiB; mbmax None: eight times hiwat."""
    cdef bytes raw = name_of("name", name, SM_NAME_BYTES - 1)
    cdef uint64_t most = 65536 if hiwat is None else count_of("hiwat", hiwat, 1)
    cdef uint64_t storage = 0 if mbmax is None else count_of("mbmax", mbmax, 1)
    cdef sm_sockbuf *sb = NULL
    cdef sm_err err
    cdef int tries
    cdef Sockbuf out
    mbs.at.need()
    for tries in range(100): # another process may create or destroy it between our two looks
        err = sm_sockbuf_open(mbs.mb, raw, &sb)
        if err != SM_NOT_FOUND or not make or not mbs.at.a.a_writable:
            break
        err = sm_sockbuf_create(mbs.mb, raw, most, storage, &sb)
        if err != SM_EXISTS:
            break
    if err != SM_OK:
        if err == SM_INVALID:
            refuse("hiwat", hiwat, "at most the arena's bytes, and mbmax likewise")
        fail(mbs.at, err, {"subject": "sockbuf", "name": name, "most": 256})
    face = FACE["sockbuf"]
    out = <Sockbuf>face.__new__(face)
    out.mbs = mbs
    out.name_ = name
    out.sb = sb
    forget(mbs.at)
    return out
