# packet.pxi - one packet held by this process: a chain of mbufs behind one Mbuf object. Owns the Mbuf type; what its
# methods need is in packet_life.pxi and packet_shape.pxi, what is seen of its bytes in packet_view.pxi.
#
# Like an Item, an Mbuf holds no Python object and knows by its first mbuf's state word whether the packet is still this
# one's; mbuf_life.h makes and drops the plain ones. While a call is inside the core, which may let other threads run,
# `expect` is 0 and `gone` says GONE_MOVING: nobody else gets in.


@cython.final
@cython.no_gc
cdef class Mbuf:
    """One packet, or a chain of mbufs without a packet header, held by this process.

    Made by the m_get functions of arena.mbufs(), queue.get(), arena.adopt() and by the functions of another Mbuf that
    copy or split. Dropping the last reference is m_freem. A function that changes the packet changes this object in
    place, also where C returns another first mbuf. Its buffer is the FIRST mbuf's bytes, read-only when they are shared;
    iteration yields an MbufView of each mbuf, iovec() memoryviews of all. Pickling hands the packet over.

    While a memoryview of any of its mbufs is open, whatever could move or free the bytes raises BufferError.
    Concurrency: belongs to the process that got it; a forked child cannot use it (ForkedItem).   Source: mbuf(9).
    """
    cdef mbuf_body b

    def __init__(self):
        raise TypeError("an Mbuf comes from arena.mbufs().m_getcl() and its like")

    def __dealloc__(self):
        if unlikely(self.b.mb == NULL):
            return
        if self.b.expect != 0:
            packet_drop(self)
        zone_unref(self.b.mb.mb_zone[SM_MBZ_MBUF])

    def __repr__(self):
        if packet_state(self) != SM_OK:
            return "<shmalloc.Mbuf, gone>"
        return f"<shmalloc.Mbuf of {packet_length(self)} bytes in {packet_count(self)} mbufs>"

    def __len__(self):
        packet_need(self)
        return packet_length(self)

    def __bool__(self):
        return packet_state(self) == SM_OK

    def __bytes__(self):
        return packet_bytes(self)

    def tobytes(self):
        """The whole packet as bytes."""
        return packet_bytes(self)

    def __iter__(self):
        return iter(packet_views(self))

    def iovec(self):
        """Memoryviews of every mbuf that has bytes, in order, for os.writev or socket.sendmsg; release them to go on."""
        cdef MbufView v
        return [PyMemoryView_FromObject(v) for v in packet_views(self) if v.nbytes]

    def __getbuffer__(self, Py_buffer *view, int flags):
        packet_need(self)
        view_export(view_made(self, self.b.m), view, flags)

    def __reduce__(self):
        packet_lend(self)
        cdef Attachment at = packet_at(self)
        uuid = at.uuid
        return FACE["adopt"], (at.name_, uuid, self.ticket())

    def __copy__(self):
        raise TypeError("an Mbuf is copied with m_copypacket(), which shares clusters, or m_dup(), which does not")

    def __deepcopy__(self, memo):
        raise TypeError("an Mbuf is copied with m_copypacket(), which shares clusters, or m_dup(), which does not")

    # ------------------------------------------------------------ life

    def free(self):
        """Free the whole packet now; the same as m_freem.

        Raises: DoubleFree: freed before. ItemFreed: handed over. BufferError: a memoryview is open. BadChain: a link or
        a storage made no sense; what could be freed was.
        """
        if likely(self.b.expect != 0 and self.b.exports == 0 and sm_load_rlx(self.b.word) == self.b.expect) and likely(
                self.b.m.m_next == 0 and self.b.epoch == self.b.mb.mb_zone[SM_MBZ_MBUF].z_epoch) and (
                m_free_cached(self.b.mb, self.b.m)):
            self.b.expect = 0
            self.b.gone = GONE_FREED
            return
        packet_free(self)

    def m_freem(self):
        """Free the whole packet now; the same as free()."""
        self.free()

    def m_free(self):
        """Free the first mbuf; this object goes on with the rest. Returns: whether there is a rest."""
        cdef sm_mbuf *rest = NULL
        cdef sm_mbuf *m = packet_enter(self, True)
        cdef sm_err err = m_free(self.b.mb, m, &rest)
        if err != SM_OK:
            packet_leave(self, m)
            mbuf_fail(self.b.mb, err, SM_MBZ_MBUF, "m_free", False)
        if rest == NULL:
            self.b.gone = GONE_FREED
        else:
            packet_leave(self, rest)
        forget(packet_at(self))
        return rest != NULL

    @property
    def freed(self):
        """True when this Mbuf no longer stands for a packet: freed, handed over, or its arena is closed here."""
        cdef sm_err err = packet_state(self)
        return err != SM_OK and err != SM_BUSY

    @property
    def handle(self):
        """A number that names this life of the first mbuf in its arena."""
        cdef sm_handle h
        packet_need(self)
        cdef sm_zone *z = self.b.mb.mb_zone[SM_MBZ_MBUF]
        cdef sm_err err = sm_zone_by_id(z.z_arena, SM_ST_ZONE(self.b.expect), &z)
        if err == SM_OK:
            err = sm_zone_handle(z, self.b.m, &h)
        if err != SM_OK:
            mbuf_fail(self.b.mb, err, SM_MBZ_MBUF, None, False)
        return handle_int(h)

    def ticket(self):
        """Give the packet up to whoever adopts the returned handle first; this Mbuf is closed.

        Returns: int, for Arena.adopt in any process. Raises: BufferError: a memoryview of it is open.
        Concurrency: until adopted the packet belongs to nobody; if this process dies first it is freed.
        """
        cdef sm_handle h
        cdef sm_mbuf *m = packet_enter(self, True)
        cdef sm_err err = m_ticket(self.b.mb, m, &h)
        if err != SM_OK:
            packet_leave(self, m)
            mbuf_fail(self.b.mb, err, SM_MBZ_MBUF, "m_ticket", False)
        self.b.gone = GONE_HANDED
        return handle_int(h)

    # ------------------------------------------------------------ header

    @property
    def mbufs(self):
        """The Mbufs it belongs to."""
        packet_need(self)
        return mbufs_of(packet_at(self))

    @property
    def m_len(self):
        """Bytes of the first mbuf. Setting it changes what counts as its data, within its storage, and the packet
        header's length with it: m.m_len = 2048, then sock.recv_into(m)."""
        packet_need(self)
        return m_len(self.b.m)

    @m_len.setter
    def m_len(self, value):
        packet_set_len(self, length_of("m_len", value))

    @property
    def flags(self):
        """M_* bits of the first mbuf. All but M_EXT and M_PKTHDR may be set; M_RDONLY cannot be taken away."""
        packet_need(self)
        return self.b.m.m_flags

    @flags.setter
    def flags(self, value):
        cdef uint32_t want = length_of("flags", value)
        cdef uint32_t fixed = M_EXT | M_PKTHDR
        packet_need(self)
        if want & ~(M_COPYFLAGS | M_EXT) or (want ^ self.b.m.m_flags) & fixed or self.b.m.m_flags & M_RDONLY & ~want:
            refuse("flags", value, "M_* bits, with M_EXT and M_PKTHDR as they are, and M_RDONLY not taken away")
        self.b.m.m_flags = want

    @property
    def type(self):
        """MT_* of the first mbuf."""
        packet_need(self)
        return self.b.m.m_type

    @type.setter
    def type(self, value):
        cdef uint32_t want = length_of("type", value)
        packet_need(self)
        if want == 0 or want >= <uint32_t>MT_NTYPES:
            refuse("type", value, f"1 .. {MT_NTYPES - 1}")
        self.b.m.m_type = want

    @property
    def pkthdr(self):
        """The packet header as a Pkthdr, which reads and writes it in place. Raises: InvalidArgument: there is none."""
        cdef Pkthdr out
        packet_header(self)
        out = Pkthdr.__new__(Pkthdr)
        out.owner = self
        return out

    # ------------------------------------------------------------ storage

    def m_clget(self, int how=2):
        """Attach a cluster of MCLBYTES to the first mbuf, which has no storage of its own yet and no bytes."""
        packet_cluster(self, how_of(how), MCLBYTES, "m_clget")

    def m_cljget(self, size, int how=2):
        """The same with a cluster of MCLBYTES, MJUMPAGESIZE, MJUM9BYTES or MJUM16BYTES."""
        packet_cluster(self, how_of(how), length_of("size", size), "m_cljget")

    def m_extadd(self, item not None, *, offset=0, size=None, free=None, arg1=0, arg2=0, int type=400, bint readonly=False,
                 bint filled=False):
        """Use an Item as the storage of the first mbuf, which has none yet; the Item is closed.

        Parameters: item: of any zone but the mbufs' own and those with refcnt, or of malloc; offset, size: the part to
        use, in bytes; free: called as free(mem, size, arg1, arg2) when the last mbuf lets go, before the item returns
        to its zone: a module-level function or "package.module:name"; arg1, arg2: 64 bits each; type: EXT_NET_DRV,
        EXT_MOD_TYPE, EXT_DISPOSABLE or EXT_EXTREF (default);
        readonly: M_RDONLY; filled: all of it counts as data, else none.
        Raises: InvalidArgument, CallbackUnresolvable, ForeignItem, TableFull; the Item is still yours.
        """
        packet_extadd(self, <Item?>item, offset, size, free, arg1, arg2, type, readonly, filled)

    def m_extaddref(self, Mbuf other not None):
        """Let other's first mbuf, which has no storage, share this one's; both become read-only."""
        packet_share(self, other)

    def m_getm2(self, size, int how=2, int type=1):
        """Lengthen the chain by mbufs with room for size bytes. On failure it is as before."""
        cdef uint32_t want = length_of("size", size)
        how_of(how)
        if want > M_LEN_MAX:
            refuse("size", size, f"0 .. {M_LEN_MAX}")
        cdef sm_mbuf *m = packet_enter(self, False)
        packet_kept(self, m, m_getm2(self.b.mb, m, want, how, type, 0), "m_getm2")

    def m_refcnt(self):
        """How many mbufs refer to the first mbuf's storage; 0 when it has its bytes inside itself."""
        packet_need(self)
        return m_refcnt(self.b.mb, self.b.m)

    def m_length(self):
        """Bytes of the whole chain, counted; len(m) is the same."""
        packet_need(self)
        return packet_length(self)

    def m_fixhdr(self):
        """Set the packet header's length to what m_length counts, and return it."""
        packet_header(self)
        packet_length(self)
        return m_fixhdr(self.b.mb, self.b.m)

    # ------------------------------------------------------------ shaping

    def m_prepend(self, size, int how=2):
        """Room for size bytes in front: in place where the first mbuf has it (M_PREPEND), else a new mbuf of at most
        MHLEN. The packet header counts them. FREES the packet on failure."""
        cdef uint32_t n = length_of("size", size)
        how_of(how)
        packet_replaced(self, m_prepend_fast(self.b.mb, packet_enter(self, True), n, how), "m_prepend")

    def m_pullup(self, size):
        """Make the first size bytes contiguous in the first mbuf, at most MHLEN. FREES the packet on failure."""
        cdef uint32_t n = length_of("size", size)
        packet_replaced(self, m_pullup(self.b.mb, packet_enter(self, True), n), "m_pullup")

    def m_copyup(self, size, dstoff=0):
        """The same in a new mbuf, dstoff bytes into it. FREES the packet on failure."""
        cdef uint32_t n = length_of("size", size), at = length_of("dstoff", dstoff)
        packet_replaced(self, m_copyup(self.b.mb, packet_enter(self, True), n, at), "m_copyup")

    def m_pulldown(self, off, size):
        """Make size bytes at off contiguous, wherever in the chain. FREES the packet on failure.

        Returns: (MbufView, where they begin in it).
        """
        cdef uint32_t start = length_of("off", off), n = length_of("size", size), at = 0
        cdef sm_mbuf *m = packet_enter(self, True)
        cdef sm_mbuf *where = m_pulldown(self.b.mb, m, start, n, &at)
        packet_replaced(self, NULL if where == NULL else m, "m_pulldown")
        return view_made(self, where), at

    def m_split(self, size, int how=2):
        """Keep the first size bytes and return the rest as an Mbuf. On failure the packet is as before.

        Returns: Mbuf; None for a chain without packet header of which nothing is left.
        """
        return packet_split(self, length_of("size", size), how_of(how))

    def m_cat(self, Mbuf other not None):
        """Append the other chain, whose object is closed; packet headers stay as they are (m_fixhdr counts anew)."""
        packet_join(self, other, False)

    def m_catpkt(self, Mbuf other not None):
        """Append the other packet, whose object is closed; this packet header counts its bytes."""
        packet_join(self, other, True)

    def m_adj(self, size):
        """Drop size bytes from the front, or -size from the back. Raises: InvalidArgument: more than there are."""
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"size is an int, not {type(size).__name__}")
        if not -0xffffffff <= size <= 0xffffffff:
            refuse("size", size, "-2**32 + 1 .. 2**32 - 1")
        cdef int64_t n = size
        packet_need(self)
        if <uint64_t>(n if n >= 0 else -n) > packet_length(self):
            refuse("size", size, f"at most {packet_length(self)}: nothing was trimmed")
        cdef sm_mbuf *m = packet_enter(self, False)
        packet_done(self, m, m_adj(self.b.mb, m, n), "m_adj")

    def m_append(self, data):
        """Append bytes, or any contiguous buffer: all of it or nothing. The packet header counts them."""
        packet_write(self, 0, data, True)

    def m_copyback(self, off, data):
        """Write bytes at off, making the chain longer where needed; a gap becomes zeros. On failure nothing has changed.

        Raises: BufferError: bytes in that range are read-only.
        """
        packet_write(self, length_of("off", off), data, False)

    def m_align(self, size):
        """Put the data of an empty first mbuf so that size bytes end where its storage does."""
        cdef uint32_t n = length_of("size", size)
        cdef sm_mbuf *m = packet_enter(self, True)
        packet_done(self, m, m_align(self.b.mb, m, n), "m_align")

    def m_demote(self, bint all=True):
        """Make the mbufs with packet headers plain ones: all of them, or all but the first."""
        cdef sm_mbuf *m = packet_enter(self, True)
        self.b.mb.mb_err = SM_OK
        m_demote(self.b.mb, m, all)
        packet_done(self, m, self.b.mb.mb_err, "m_demote")

    def m_fragment(self, size, int how=2):
        """Cut the chain into mbufs of size bytes each. FREES the packet on failure."""
        cdef uint32_t n = length_of("size", size)
        how_of(how)
        packet_replaced(self, m_fragment(self.b.mb, packet_enter(self, True), how, n), "m_fragment")

    def m_defrag(self, int how=2):
        """Copy the packet into as few mbufs as can be. On failure it is as before."""
        how_of(how)
        cdef sm_mbuf *m = packet_enter(self, True)
        packet_kept(self, m, m_defrag(self.b.mb, m, how), "m_defrag")

    def m_collapse(self, maxfrags, int how=2):
        """At most maxfrags mbufs. Raises: InvalidArgument: it cannot have so few; the bytes are as before."""
        cdef uint32_t n = length_of("maxfrags", maxfrags)
        how_of(how)
        cdef sm_mbuf *m = packet_enter(self, True)
        packet_kept(self, m, m_collapse(self.b.mb, m, how, n), "m_collapse")

    def m_unshare(self, int how=2):
        """Replace what is read-only by copies: every mbuf is writable then. FREES the packet on failure."""
        how_of(how)
        packet_replaced(self, m_unshare(self.b.mb, packet_enter(self, True), how), "m_unshare")

    # ------------------------------------------------------------ copying and reading

    def m_copym(self, off=0, size=None, int how=2):
        """A packet of size bytes from off on that shares the clusters; both are read-only while both live.

        Parameters: size: None or M_COPYALL for all that follow. Raises: InvalidArgument: they are not all there.
        BufferError: a writable memoryview is open, and what is shared must not be written.
        """
        cdef uint32_t start = length_of("off", off), n = packet_range(self, start, size)
        if size is None or size == M_COPYALL:
            n = M_COPYALL
        cdef sm_mbuf *m = packet_enter(self, self.b.writers != 0)
        cdef sm_mbuf *copy = m_copym(self.b.mb, m, start, n, packet_how(self, m, how))
        packet_leave(self, m)
        return packet_new(self, copy, "m_copym")

    def m_copypacket(self, int how=2):
        """A copy of the whole packet, header and tags, too, that shares the clusters. As m_copym."""
        packet_header(self)
        cdef sm_mbuf *m = packet_enter(self, self.b.writers != 0)
        cdef sm_mbuf *copy = m_copypacket(self.b.mb, m, packet_how(self, m, how))
        packet_leave(self, m)
        return packet_new(self, copy, "m_copypacket")

    def m_dup(self, int how=2):
        """A copy of every byte that shares nothing."""
        cdef sm_mbuf *m = packet_enter(self, False)
        cdef sm_mbuf *copy = m_dup(self.b.mb, m, packet_how(self, m, how))
        packet_leave(self, m)
        return packet_new(self, copy, "m_dup")

    def m_copydata(self, off=0, size=None):
        """bytes of the packet from off on; size None: all that follow. Raises: InvalidArgument: they are not all there."""
        return packet_read(self, length_of("off", off), size)

    def m_apply(self, off, size, function):
        """Call function(memoryview) on each contiguous piece of those bytes, until it returns something true.

        Returns: that, or None.
        """
        return packet_apply(self, length_of("off", off), length_of("size", size), function)

    def m_getptr(self, loc):
        """(MbufView, offset in it) of byte loc; the very end of the packet has a place, too."""
        cdef uint32_t at = 0, where = length_of("loc", loc)
        packet_need(self)
        cdef sm_mbuf *m = m_getptr(self.b.mb, self.b.m, where, &at)
        if m == NULL:
            mbuf_fail(self.b.mb, self.b.mb.mb_err, SM_MBZ_MBUF, "m_getptr", False)
        return view_made(self, m), at

    def m_sanity(self, bint sanitize=False):
        """Look at every link, length and storage; sanitize repairs lengths and cuts off what is no part of the chain.

        Raises: BadChain. BufferError: a memoryview is open, and sanitize is asked for.
        """
        cdef sm_mbuf *m = packet_enter(self, sanitize)
        packet_done(self, m, m_sanity(self.b.mb, m, sanitize), "m_sanity")

    def m_print(self, most=-1):
        """The chain as text: a line for each mbuf, with at most so many of its bytes, -1 for all."""
        return packet_text(self, most)

    def sbcompress(self):
        """Move small mbufs into the room behind the one before, free empty ones; M_EOR goes to the last."""
        cdef sm_mbuf *m = packet_enter(self, True)
        packet_done(self, m, sbcompress(self.b.mb, m), "sbcompress")

    def m_writable(self):
        """Whether the first mbuf's bytes may be written: not M_RDONLY, and nobody else refers to its storage."""
        packet_need(self)
        return bool(m_writable(self.b.mb, self.b.m))

    def m_leadingspace(self):
        """Bytes of room before the first mbuf's data; 0 when it may not be written."""
        packet_need(self)
        return m_leadingspace(self.b.mb, self.b.m)

    def m_trailingspace(self):
        """Bytes of room behind the first mbuf's data; 0 when it may not be written."""
        packet_need(self)
        return m_trailingspace(self.b.mb, self.b.m)

    def m_move_pkthdr(self, Mbuf source not None):
        """Take over source's packet header and its tags; this packet's first mbuf must be empty or have storage."""
        packet_header_from(self, source, True, 2)

    def m_dup_pkthdr(self, Mbuf source not None, int how=2):
        """Copy source's packet header, with tags and label."""
        packet_header_from(self, source, False, how_of(how))

    # ------------------------------------------------------------ tags (packet_tag.pxi)

    @property
    def tags(self):
        """The packet's tags, first to last, as a list of MTag."""
        return tag_list(self)

    def m_tag_prepend(self, MTag tag not None):
        """Link a tag to the packet header; it belongs to the packet from now on."""
        tag_link(self, tag)

    def m_tag_unlink(self, MTag tag not None):
        """Take a tag off the packet; it belongs to the MTag again."""
        tag_cut(self, tag)

    def m_tag_delete(self, MTag tag not None):
        """Unlink a tag and free it."""
        tag_cut(self, tag)
        tag.free()

    def m_tag_delete_chain(self, MTag tag=None):
        """Free tag and those behind it; None: all."""
        tag_delete_from(self, tag)

    def m_tag_delete_nonpersistent(self):
        """Free every tag that was not made persistent."""
        tag_done(self, m_tag_delete_nonpersistent(self.b.mb, packet_header(self)))

    def m_tag_find(self, id, MTag start=None):
        """The first tag of this id with cookie 0, behind start if given; None if there is none."""
        return tag_search(self, 0, length_of("id", id), start)

    def m_tag_locate(self, cookie, id, MTag start=None):
        """The first tag of this cookie and id, behind start if given; None if there is none."""
        return tag_search(self, length_of("cookie", cookie), length_of("id", id), start)

    def m_tag_copy_chain(self, Mbuf source not None, int how=2):
        """Replace this packet's tags by copies of source's. On failure this packet has none."""
        tag_copy_all(self, source, how_of(how))
