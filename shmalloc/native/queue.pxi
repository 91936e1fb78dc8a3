# queue.pxi - queues of items and packets in shared memory as Python objects. Owns the core's queue handle, one for each Queue.

cdef enum:
    FEW = 128 # items that a bulk call carries on the stack


@cython.no_gc
cdef class Queue:
    """A bounded queue of items, many producers and many consumers; made by arena.queue(). See shmalloc.queue.

    Concurrency: any process and thread; what is in it survives the death of both ends.
    """
    cdef sm_queue *q
    cdef Attachment at
    cdef str name_
    cdef object __weakref__

    def __init__(self):
        raise TypeError("a Queue comes from arena.queue(name)")

    def __dealloc__(self):
        if self.q != NULL:
            sm_queue_close(self.q)

    def __repr__(self):
        return f"<shmalloc.Queue {self.name_!r} of arena {self.at.name_!r}>"

    def __reduce__(self):
        return FACE["reopen_queue"], (self.at.name_, self.at.uuid, self.name_)

    def put(self, item not None, *, timeout=None):
        """Hand an item or a packet over to whoever gets it; this Item or Mbuf is closed.

        Parameters: item: Item or Mbuf; timeout: seconds to wait for space, 0 does not wait, None waits for ever.
        Raises: QueueFull: the item is still yours. BufferError: a memoryview of it is open. ItemFreed, ForkedItem.
        Concurrency: zero copy; the item belongs to the queue until somebody gets it.
        """
        cdef int64_t ns = timeout_ns(timeout)
        cdef uint64_t expect
        cdef sm_err err
        cdef Item it
        self.at.need()
        if type(item) is not Item:
            if type(item) is not Mbuf:
                raise TypeError(f"a queue takes Items and Mbufs, not {type(item).__name__}")
            err = packet_put(self.q, self.at, <Mbuf>item, ns)
            if err != SM_OK:
                queue_fail(self, err, ns, True)
            return
        it = <Item>item
        item_lend(it)
        if unlikely(it.b.z.z_arena != self.at.a):
            raise failure(SM_NOT_OURS, {"subject": "item", "arena": self.at.name_})
        expect = it.b.expect
        it.b.expect = 0
        it.b.gone = GONE_MOVING
        err = sm_queue_put(self.q, it.b.z, it.b.mem, ns)
        if unlikely(err != SM_OK):
            item_restore(it, expect)
            queue_fail(self, err, ns, True)
        it.b.gone = GONE_HANDED
        forget(self.at)

    def get(self, *, timeout=None):
        """Take the oldest item or packet.

        Parameters: timeout: seconds to wait for one, 0 does not wait, None waits for ever.
        Returns: Item, or Mbuf for a packet, held by this process. Raises: QueueEmpty.
        """
        cdef int64_t ns = timeout_ns(timeout)
        cdef sm_zone *z = NULL
        cdef void *mem = NULL
        self.at.need()
        cdef sm_err err = sm_queue_get(self.q, ns, &z, &mem)
        if unlikely(err != SM_OK):
            queue_fail(self, err, ns, False)
        forget(self.at)
        return thing_made(z, mem)

    def put_many(self, items, *, timeout=None):
        """Hand over as many of the Items and Mbufs as fit, in order; waits only until the first fits.

        Returns: how many went in; those are closed. Raises: QueueFull: none. Everything that put raises, before
        anything is handed over.
        """
        cdef int64_t ns = timeout_ns(timeout)
        cdef list todo = list(items)
        self.at.need()
        return queue_put_many(self, todo, ns)

    def get_many(self, n, *, timeout=None):
        """Take 1 .. n items; waits only until there is one.

        Returns: list of Item and Mbuf. Raises: QueueEmpty: none in time.
        """
        cdef int64_t ns = timeout_ns(timeout)
        cdef uint64_t count = count_of("n", n, 1)
        self.at.need()
        return queue_get_many(self, <uint32_t>min(count, <uint64_t>65536), ns)

    def __len__(self):
        self.at.need()
        return sm_queue_length(self.q)

    @property
    def name(self):
        """The queue's name."""
        return self.name_

    @property
    def arena(self):
        """The Arena it was opened through."""
        return self.at

    @property
    def depth(self):
        """Items it may hold."""
        self.at.need()
        return sm_queue_depth(self.q)

    def statistics(self):
        """Figures of this queue as a frozen QueueStatistics record."""
        self.at.need()
        return queue_figures(self.at, <uint32_t>(sm_queue_shared(self.q) - self.at.a.a_queues))

    def destroy(self):
        """Remove the queue from the arena. Raises: QueueBusy: it still holds items."""
        self.at.need()
        cdef sm_err err = sm_queue_destroy(self.q)
        if err != SM_OK:
            queue_fail(self, err, 0, False)


cdef int queue_fail(Queue q, sm_err err, int64_t ns, bint putting) except -1:
    """Raises; a wait that timed out is a full or an empty queue."""
    if err == SM_TIMEOUT:
        err = SM_FULL if putting else SM_EMPTY
    fail(q.at, err, {"subject": "queue", "name": q.name_, "waited": seconds_of(ns), "depth": sm_queue_depth(q.q)})


cdef object thing_made(sm_zone *z, void *mem):
    """An Mbuf for what came out of a queue from the mbufs' keg, an Item for anything else."""
    return packet_arrived(z, mem) if z.z_flags & SM_ZONE_MBUF else item_made(z, mem)


cdef Py_ssize_t queue_put_many(Queue q, list todo, int64_t ns) except -1:
    cdef Py_ssize_t n = len(todo), i = 0, j, k
    cdef uint32_t done, many
    cdef void *mem[FEW]
    cdef uint64_t expect[FEW]
    cdef sm_zone *z
    cdef sm_arena *home
    cdef Item it
    cdef sm_err err
    seen = set()
    for o in todo:
        if type(o) is Item:
            it = <Item>o
            item_lend(it)
            home = it.b.z.z_arena
        elif type(o) is Mbuf:
            packet_lend(<Mbuf>o)
            home = (<Mbuf>o).b.mb.mb_arena
        else:
            raise TypeError(f"put_many takes Items and Mbufs, not {type(o).__name__}")
        if home != q.at.a:
            raise failure(SM_NOT_OURS, {"subject": "item", "arena": q.at.name_})
        if id(o) in seen:
            refuse("items", "one thing twice", "each Item and Mbuf once")
        seen.add(id(o))
    while i < n: # one call of the core for each packet, and for each run of items of one zone
        if type(todo[i]) is Mbuf:
            err = packet_put(q.q, q.at, <Mbuf>todo[i], ns if i == 0 else 0)
            if err == SM_OK:
                i += 1
                continue
            if i == 0 or not (err == SM_FULL or err == SM_TIMEOUT):
                queue_fail(q, err, ns, True)
            break
        z = (<Item>todo[i]).b.z
        many = 0
        while many < FEW and i + many < n and type(todo[i + many]) is Item and (<Item>todo[i + many]).b.z == z:
            it = <Item>todo[i + many]
            mem[many] = it.b.mem
            expect[many] = it.b.expect
            it.b.expect = 0
            it.b.gone = GONE_MOVING
            many += 1
        done = 0
        err = sm_queue_put_bulk(q.q, z, many, mem, ns if i == 0 else 0, &done)
        for j in range(many):
            it = <Item>todo[i + j]
            if j < done:
                it.b.gone = GONE_HANDED
            else:
                item_restore(it, expect[j])
        i += done
        if err != SM_OK or done < many:
            if i == 0 or not (err == SM_OK or err == SM_FULL or err == SM_TIMEOUT):
                queue_fail(q, err if err != SM_OK else SM_FULL, ns, True)
            break
    return i


cdef list queue_get_many(Queue q, uint32_t n, int64_t ns):
    cdef sm_zone *few_zones[FEW]
    cdef void *few_mem[FEW]
    cdef sm_zone **zones = few_zones
    cdef void **mem = few_mem
    cdef uint32_t got = 0, i
    cdef uint64_t *word
    cdef sm_err err
    cdef list out = []
    if n > FEW:
        mem = <void **>malloc(n * 2 * sizeof(void *))
        if mem == NULL:
            raise MemoryError
        zones = <sm_zone **>(mem + n)
    try:
        err = sm_queue_get_bulk(q.q, n, ns, zones, mem, &got)
        if got:
            forget(q.at)
        for i in range(got):
            word = sm_cache_word(zones[i], mem[i])
            if likely(word != NULL and zones[i].z_refs != 0 and not zones[i].z_flags & (SM_ZONE_MALLOC | SM_ZONE_MBUF)):
                out.append(item_wrap(zones[i], mem[i], word, zones[i].z_item_bytes))
            else:
                out.append(thing_made(zones[i], mem[i]))
        if got == 0:
            queue_fail(q, err if err != SM_OK else SM_EMPTY, ns, False)
        return out
    finally:
        if mem != few_mem:
            free(mem)


def queue_open(Attachment at not None, name, depth):
    """Open the queue, creating it if depth is given. Returns: Queue."""
    cdef bytes raw = name_of("name", name, SM_NAME_BYTES - 1)
    cdef uint64_t places = 0 if depth is None else count_of("depth", depth, 1)
    cdef sm_queue *q = NULL
    cdef sm_err err
    cdef int tries
    cdef Queue out
    at.need()
    for tries in range(100): # another process may create or destroy it between our two looks
        err = sm_queue_open(at.a, raw, places, &q)
        if err != SM_NOT_FOUND or at.a.a_writable == 0:
            break
        err = sm_queue_create(at.a, raw, places if places else 64, &q)
        if err != SM_EXISTS:
            break
    if err != SM_OK:
        facts = {"subject": "queue", "name": name, "field": "depth", "want": depth,
                 "most": at.a.a_header.h_max_queues}
        if err == SM_MISMATCH and sm_queue_open(at.a, raw, 0, &q) == SM_OK:
            facts["have"] = sm_queue_depth(q)
            sm_queue_close(q)
        fail(at, err, facts)
    face = FACE["queue"]
    out = <Queue>face.__new__(face)
    out.at = at
    out.name_ = name
    out.q = q
    return out
