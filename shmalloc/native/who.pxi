# who.pxi - the items that are out, as rows of numbers and names. Owns nothing; who.py makes records of them.

cdef struct who_sum: # what one walk gathers
    void *rows # dict: key of a group -> [count, bytes, oldest_ns], or list of rows when `each`
    void *pending # exception that stopped the walk
    bint each


cdef int who_note(void *ctx, const sm_who_item *w) noexcept:
    cdef who_sum *sum = <who_sum *>ctx
    try:
        key = (w.wi_zone, w.wi_kind, w.wi_holder, w.wi_site, w.wi_pid, w.wi_type, bool(w.wi_traced))
        if sum.each:
            (<list>sum.rows).append((key, 1, w.wi_bytes, w.wi_time_ns, w.wi_item, w.wi_gen))
            return 0
        row = (<dict>sum.rows).get(key)
        if row is None:
            (<dict>sum.rows)[key] = [1, w.wi_bytes, w.wi_time_ns]
            return 0
        row[0] += 1
        row[1] += w.wi_bytes
        if w.wi_time_ns and (row[2] == 0 or w.wi_time_ns < row[2]):
            row[2] = w.wi_time_ns
        return 0
    except BaseException as exc: # raised by who_rows, which the walk returns to
        sum.pending = <void *>exc
        Py_INCREF(exc)
        return 1


cdef str who_name(const char *raw, uint32_t place, uint32_t most):
    """A name of a table, None for a number that the table has no place for."""
    if place >= most:
        return None
    return text_of(raw, SM_NAME_BYTES) or None


def who_rows(Attachment at not None, bint each):
    """Items that are out, grouped, or each of them: (zone name, kind, CPU, queue name, site text, pid of the allocator,
    type name, traced, count, bytes, oldest CLOCK_REALTIME ns or 0, offset of the item, its handle)."""
    cdef who_sum sum
    cdef char text[256]
    cdef sm_handle h
    cdef uint32_t zone, kind, holder, site, type
    at.need()
    cdef dict groups = {}
    cdef list rows = []
    sum.rows = <void *>rows if each else <void *>groups
    sum.pending = NULL
    sum.each = each
    cdef sm_err err = sm_who_each(at.a, who_note, &sum)
    if sum.pending != NULL:
        exc = <object>sum.pending
        Py_DECREF(exc)
        raise exc
    if err != SM_OK:
        fail(at, err, {"subject": "arena"})
    if not each:
        rows = [(key, row[0], row[1], row[2], 0, 0) for key, row in groups.items()]
    texts = {}
    out = []
    for key, count, nbytes, oldest, item, gen in rows:
        zone, kind, holder, site, pid, type, traced = key
        if site not in texts:
            texts[site] = text_of(text, 256) if sm_site_text(at.a, site, text) else None
        name = who_name(at.a.a_zones[zone].z_name, zone, at.a.a_header.h_max_zones) \
            if zone < at.a.a_header.h_max_zones else None
        queue = who_name(at.a.a_queues[holder].q_name, holder, at.a.a_header.h_max_queues) \
            if kind == SM_QUEUED and holder < at.a.a_header.h_max_queues else None
        kind_name = who_name(at.a.a_types[type].ty_name, type, at.a.a_header.h_max_types) \
            if type < at.a.a_header.h_max_types else None
        h.h_item, h.h_gen, h.h_zone = item, gen, zone
        state = {SM_QUEUED: "queued", SM_HELD: "held", SM_ATTACHED: "attached"}.get(kind, "in transit")
        out.append((name or f"#{zone}", state,
                    None if kind == SM_QUEUED or holder == SM_CPU_NONE else holder,
                    (queue or f"#{holder}") if kind == SM_QUEUED else None, texts[site], pid or None, kind_name, traced,
                    count, nbytes, oldest, item, handle_int(h)))
    return out

