# figures.pxi - statistics, the event log and check as frozen records. Owns nothing; the record classes come from `bind`.
# The arguments are in the order of the record's fields.


cdef object zone_figures(Attachment at, uint32_t id):
    cdef sm_zone_stats s
    cdef sm_err err = sm_stats_zone(at.a, id, &s)
    if err != SM_OK:
        fail(at, err if err != SM_NOT_FOUND else SM_GONE, {"subject": "zone", "name": f"#{id}"})
    return FACE["ZoneStatistics"](
        text_of(s.zs_name, SM_NAME_BYTES), text_of(s.zs_master, SM_NAME_BYTES), s.zs_id, s.zs_flags, s.zs_item_bytes,
        s.zs_stride_bytes, s.zs_align, s.zs_items_per_slab, s.zs_pages_per_slab, s.zs_efficiency / 100.0, s.zs_limit,
        s.zs_used, s.zs_free, s.zs_keg_free, s.zs_bucket_free, s.zs_cpu_free, s.zs_allocs, s.zs_frees, s.zs_fails,
        s.zs_sleeps, s.zs_slabs, s.zs_pages, s.zs_bucket_size, s.zs_bucket_max, s.zs_wss, s.zs_imin, s.zs_imax,
        s.zs_reserve, s.zs_waiters, s.zs_meta_bytes, s.zs_init_fails)


cdef list cpu_zone_figures(Attachment at, uint32_t id):
    cdef sm_cpu_zone_stats s
    cdef uint32_t cpu
    out = []
    for cpu in range(at.a.a_header.h_max_cpus):
        if sm_stats_cpu_zone(at.a, cpu, id, &s) == SM_OK:
            out.append(FACE["CpuZoneStatistics"](cpu, id, s.cz_allocs, s.cz_frees, s.cz_fails, s.cz_sleeps,
                                                 s.cz_cached))
    return out


cdef object queue_figures(Attachment at, uint32_t id):
    cdef sm_queue_stats s
    cdef sm_err err = sm_stats_queue(at.a, id, &s)
    if err != SM_OK:
        fail(at, err if err != SM_NOT_FOUND else SM_GONE, {"subject": "queue", "name": f"#{id}"})
    return FACE["QueueStatistics"](text_of(s.qs_name, SM_NAME_BYTES), s.qs_length, s.qs_depth, s.qs_puts, s.qs_gets,
                                   s.qs_item_waiters, s.qs_space_waiters)


def zone_statistics(Attachment at not None, bint internal=False):
    """Records of the live zones, without opening them (their callbacks need not be importable here)."""
    return [zone_figures(at, id) for id, _ in zone_ids(at, internal)]


def queue_statistics(Attachment at not None):
    """Records of the live queues."""
    cdef uint32_t i
    at.need()
    return [queue_figures(at, i) for i in range(at.a.a_header.h_max_queues)
            if at.a.a_queues[i].q_state == SM_ZONE_LIVE]


def cpu_zone_statistics(Attachment at not None, uint32_t zone):
    """CpuZoneStatistics of one zone by its id."""
    at.need()
    return cpu_zone_figures(at, zone)


def cpu_statistics(Attachment at not None):
    """CpuStatistics of every slot in use."""
    cdef sm_cpu_stats s
    cdef uint32_t i
    at.need()
    out = []
    for i in range(at.a.a_header.h_max_cpus):
        if sm_stats_cpu(at.a, i, &s) == SM_OK:
            out.append(FACE["CpuStatistics"](s.cs_id, s.cs_state, s.cs_pid, s.cs_uid, bool(s.cs_alive), s.cs_op,
                                             s.cs_start, s.cs_gen, s.cs_visits, s.cs_attached_ns,
                                             text_of(s.cs_name, SM_NAME_BYTES)))
    return out


def type_statistics(Attachment at not None):
    """TypeStatistics of every malloc type; sizes are the class sizes that were used, 0 for page runs."""
    cdef sm_type_stats s
    cdef uint32_t i
    cdef int bit
    at.need()
    out = []
    for i in range(at.a.a_header.h_max_types):
        if sm_stats_type(at.a, i, &s) == SM_OK:
            sizes = tuple([sm_malloc_class_bytes[bit] if bit < SM_MALLOC_CLASSES else 0 for bit in range(64)
                           if s.ms_sizes >> bit & 1])
            out.append(FACE["TypeStatistics"](text_of(s.ms_name, SM_NAME_BYTES), s.ms_in_use, s.ms_bytes,
                                              s.ms_requests, s.ms_fails, sizes))
    return out


def arena_statistics(Attachment at not None):
    """ArenaStatistics of the attached arena."""
    cdef sm_arena_stats s
    at.need()
    cdef sm_err err = sm_stats_arena(at.a, &s)
    if err != SM_OK:
        fail(at, err, {"subject": "arena"})
    return FACE["ArenaStatistics"](
        s.as_object_bytes, s.as_allocated_bytes, s.as_max_bytes, s.as_frontier_pages, s.as_free_pages, s.as_hole_pages,
        s.as_used_pages, s.as_meta_pages, s.as_punched_pages, s.as_buckets, s.as_attaches, s.as_events, s.as_max_cpus,
        s.as_live_cpus, s.as_dead_cpus, s.as_zones, s.as_queues, s.as_types, s.as_uuid, s.as_created_ns, s.as_flags,
        s.as_version, s.as_owner_uid, s.as_creator_pid)


def core_locks(Attachment at not None):
    """The allocator's own locks that are held or dirty just now: (class, instance, CPU or None, dirty). Racy."""
    cdef sm_core_lock_stats s
    cdef uint32_t place = 0
    cdef sm_err err
    at.need()
    out = []
    while True:
        err = sm_stats_core_lock(at.a, place, &s)
        if err == SM_NOT_FOUND:
            return out
        if err == SM_OK:
            out.append((lock_rows[s.cl_class].name.decode(), s.cl_instance, None if s.cl_cpu == SM_CPU_NONE else s.cl_cpu,
                        bool(s.cl_dirty)))
        place += 1


cdef object mbuf_use(const sm_mb_use *u):
    return FACE["MbufUse"](u.mu_item_bytes, u.mu_current, u.mu_cache, u.mu_total, u.mu_max, u.mu_denied, u.mu_delayed)


def mbuf_statistics(Attachment at not None):
    """MbufStatistics of the attached arena, None when nobody has made mbufs in it."""
    cdef sm_mb_stats_t s
    cdef sm_err err
    cdef int i
    at.need()
    with nogil:
        err = sm_mb_stats(at.a, &s)
    if err == SM_NOT_FOUND:
        return None
    if err != SM_OK:
        fail(at, err, {"subject": "arena"})
    return FACE["MbufStatistics"](
        mbuf_use(&s.nm_mbufs), mbuf_use(&s.nm_clusters), mbuf_use(&s.nm_packets), mbuf_use(&s.nm_jumbop),
        mbuf_use(&s.nm_jumbo9), mbuf_use(&s.nm_jumbo16), mbuf_use(&s.nm_tags), mbuf_use(&s.nm_extrefs),
        s.nm_bytes.by_current, s.nm_bytes.by_cache, s.nm_bytes.by_total, s.nm_drain_calls, s.nm_drained_ns,
        s.nm_labels_made, s.nm_labels_ended, s.nm_labels_reaped, s.nm_label_mode, s.nm_maxusers,
        tuple([s.nm_type[i] for i in range(MT_NTYPES)]), s.nm_type_unknown)


def events(Attachment at not None, uint64_t after):
    """(seq, time_ns, kind, cpu, text) of the log's lines after number `after`, oldest first."""
    cdef sm_event_shm e
    at.need()
    out = []
    while sm_event_next(at.a, after, &e) == SM_OK:
        if e.ev_seq <= after:
            break
        after = e.ev_seq
        out.append((e.ev_seq, e.ev_time_ns, e.ev_kind, e.ev_cpu, text_of(e.ev_text, 232)))
    return out


cdef void note_finding(void *ctx, const sm_finding *f) noexcept:
    try:
        (<list>ctx).append((f.f_invariant, (<bytes>sm_check_title(f.f_invariant)).decode(),
                            text_of(<char *>f.f_detail, 232)))
    except MemoryError as exc:
        PyErr_SetObject(type(exc), exc)
        PyErr_WriteUnraisable(<object>ctx)


def check(Attachment at not None, uint32_t most):
    """Every invariant: (findings, live_cpus, dead_cpus, items, slabs, pages, buckets, world_stopped_ns)."""
    cdef sm_check_result r
    cdef list findings = []
    at.need()
    memset(&r, 0, sizeof(r))
    cdef sm_err err = sm_check(at.a, most, note_finding, <void *>findings, &r)
    if err != SM_OK:
        fail(at, err, {"subject": "arena"})
    return (tuple(findings), r.cr_live_cpus, r.cr_dead_cpus, r.cr_items, r.cr_slabs, r.cr_pages, r.cr_buckets,
            r.cr_world_stopped_ns)
