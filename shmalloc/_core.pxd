# _core.pxd - the part of core/shmalloc.h that the extension module calls, in Cython's words. Declares, owns nothing.
# The header is the truth: fields and functions that are not used here are left out.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    bint likely(bint)
    bint unlikely(bint)

cdef extern from "core/shmalloc.h": # every call is made with the interpreter's lock held
    # ---- base/err.h, base/atomic.h
    ctypedef enum sm_err "enum sm_err":
        SM_OK, SM_INVALID, SM_NO_MEMORY, SM_LIMIT, SM_TIMEOUT, SM_INTERRUPTED, SM_NOT_FOUND, SM_EXISTS, SM_MISMATCH
        SM_NAME_TOO_LONG, SM_TABLE_FULL, SM_NO_CPU, SM_NOT_OURS, SM_MISALIGNED, SM_DOUBLE_FREE, SM_STALE, SM_NOT_OWNER
        SM_IN_CALLBACK, SM_CTOR_FAILED, SM_INIT_FAILED, SM_BUSY, SM_GONE, SM_CLOSED, SM_FORKED, SM_STALLED
        SM_NOT_ARENA, SM_TRUNCATED, SM_CORRUPT, SM_VERSION, SM_HALF_MADE, SM_PERMISSION, SM_UNSUPPORTED, SM_OS
        SM_READ_ONLY, SM_FULL, SM_EMPTY, SM_MODIFIED, SM_UNRESOLVED, SM_DEAD_PEER, SM_OWNER_DIED, SM_DEADLOCK
    const char *sm_err_name(sm_err e)
    const char *sm_err_text(sm_err e)
    uint64_t sm_load_rlx(uint64_t *p)
    uint32_t sm_load_u32 "sm_load_acq"(uint32_t *p)
    uint32_t sm_add_u32 "sm_add_acqrel"(uint32_t *p, uint32_t by)
    uint32_t sm_sub_u32 "sm_sub_acqrel"(uint32_t *p, uint32_t by)

    # ---- layout.h
    ctypedef uint64_t sm_off_t
    uint32_t SM_LAYOUT_VERSION, SM_ZONE_FREE, SM_ZONE_LIVE, SM_CB_ABSENT, SM_CB_NATIVE, SM_CB_NAMED
    uint32_t SM_ZONE_REFCNT, SM_ZONE_SECONDARY, SM_ZONE_NOBUCKET, SM_ZONE_MAXBUCKET, SM_ZONE_OFFPAGE, SM_ZONE_NOFREE
    uint32_t SM_ZONE_MALLOC, SM_ZONE_RUNS, SM_ZONE_TRASH, SM_ZONE_REDZONE, SM_ZONE_KEEP, SM_ZONE_INTERNAL
    uint32_t SM_ZONE_ZINIT, SM_ZONE_TRACE, SM_ZONE_MBUF, SM_ZONE_USER_FLAGS
    uint32_t SM_CPU_NONE, SM_ARENA_FENCED, SM_ARENA_TRACE
    uint32_t SM_ARENA_DUMP, SM_SITE_NONE, SM_SITE_FULL, SM_SITE_TEXT
    int SM_NAME_BYTES, SM_CALLBACK_BYTES
    ctypedef enum sm_kind "enum sm_kind":
        SM_FREE, SM_CACHED, SM_CONSTRUCTING, SM_HELD, SM_QUEUED, SM_TICKETED, SM_ATTACHED
    sm_kind SM_ST_KIND(uint64_t word)
    uint32_t SM_ST_ZONE(uint64_t word)
    uint32_t SM_ST_CPU(uint64_t word)
    uint32_t SM_ST_GEN(uint64_t word)
    ctypedef enum sm_callback_slot "enum sm_callback_slot":
        SM_CB_CTOR, SM_CB_DTOR, SM_CB_INIT, SM_CB_FINI, SM_CB_MAXACTION, SM_CB_SLOTS
        SM_CB_EXTFREE, SM_CB_DRAIN, SM_CB_MAC_INIT, SM_CB_MAC_DESTROY, SM_CB_MAC_COPY
    cdef struct sm_callback_shm:
        uint32_t cb_kind
        char *cb_name
    cdef struct sm_header_shm:
        uint64_t h_magic, h_object_bytes, h_max_bytes, h_uuid
        uint32_t h_version, h_owner_uid, h_creator_pid, h_max_cpus, h_max_zones, h_max_queues, h_max_types, h_flags
        int64_t h_created_ns
    cdef struct sm_control_shm:
        uint32_t ctl_zones, ctl_queues, ctl_types
    cdef struct sm_cpu_shm:
        uint64_t cpu_op
        uint32_t cpu_pid
    cdef struct sm_keg_shm:
        uint32_t k_item_bytes, k_align, k_flags, k_items
    cdef struct sm_zone_shm:
        uint32_t z_state, z_gen, z_keg, z_flags, z_item_bytes, z_master
        char *z_name
        sm_callback_shm *z_cb
        uint64_t z_limit_items
    cdef struct sm_queue_shm:
        uint32_t q_state
        char *q_name
    cdef struct sm_type_shm:
        char *ty_name
    cdef struct sm_entry:
        sm_off_t e_item, e_word
    cdef struct sm_event_shm:
        uint64_t ev_seq
        int64_t ev_time_ns
        uint32_t ev_kind, ev_cpu
        char *ev_text

    # ---- hooks.h
    ctypedef enum sm_fault_point "enum sm_fault_point":
        SM_FP_COUNT
    ctypedef enum sm_lock_class "enum sm_lock_class":
        SM_LC_COUNT
    const char *SM_HOOKS_CAPSULE
    enum:
        SM_ARENA_WITNESS, SM_ARENA_FAULTS, SM_ARENA_COMPANIONS, SM_COMPANION_ENTRY, SM_FORCED_RATE
    cdef struct sm_hooks:
        uint32_t h_version, h_mask

    # ---- arena.h
    ctypedef int (*sm_callback_fn)(void *mem, uint32_t bytes, void *arg, int how, void *ctx) noexcept
    cdef struct sm_geometry:
        uint64_t g_max_bytes
        uint32_t g_max_cpus, g_max_zones, g_max_queues, g_max_types, g_max_buckets, g_max_events, g_max_sites
        bint g_fenced, g_trace
    cdef struct sm_runtime:
        void *rt_ctx
        void *(*rt_block_begin)(void *ctx) noexcept
        int (*rt_block_end)(void *ctx, void *token) noexcept
        sm_err (*rt_resolve)(void *ctx, const char *zone, sm_callback_slot slot, const sm_callback_shm *cb,
                             sm_callback_fn *fn, void **fn_ctx) noexcept
        void (*rt_release)(void *ctx, void *fn_ctx) noexcept
        bint rt_observer
        const sm_hooks *rt_hooks
    cdef struct sm_arena:
        uint8_t *a_base
        uint64_t a_bytes
        sm_header_shm *a_header
        sm_control_shm *a_ctl
        sm_zone_shm *a_zones
        sm_keg_shm *a_kegs
        sm_queue_shm *a_queues
        sm_type_shm *a_types
        int a_fd
        bint a_writable, a_forked
        uint32_t a_cpu_id, a_epoch, a_inside, a_blocker
        uint16_t *a_forced  # an array, by sm_err
        sm_cpu_shm *a_cpu
        sm_cpu_shm *a_cpus
        sm_cpu_shm a_orphan
        sm_zone **a_zone
        sm_runtime a_runtime
        uint64_t a_space_bytes
        uint32_t a_site
        int a_callback_errno
        sm_err (*a_ensure)(sm_arena *a) noexcept
        sm_err (*a_recover)(sm_arena *a) noexcept
    sm_err sm_arena_create(int fd, const sm_geometry *asked, const sm_runtime *rt, const char *cpu_name, sm_arena **out)
    sm_err sm_arena_attach(int fd, bint writable, const sm_runtime *rt, const char *cpu_name, sm_arena **out)
    sm_err sm_arena_detach(sm_arena *a)
    void sm_arena_close(sm_arena *a)
    void sm_arena_after_fork(sm_arena *a)
    void sm_arena_set_hooks(sm_arena *a, const sm_hooks *hooks)
    void sm_arena_clear_hooks(sm_arena *a, uint32_t mask)
    sm_err sm_arena_announce(sm_arena *a, uint32_t flags, bint armed)
    sm_err sm_arena_region(sm_arena *a, const char *name, uint64_t nbytes, uint32_t version, void **mem)
    sm_err sm_arena_find_region(const sm_arena *a, const char *name, uint64_t *off, uint64_t *nbytes, uint32_t *version)
    sm_err sm_os_free_space(int fd, uint64_t *bytes)
    uint32_t sm_cpu_count_dead(const sm_arena *a)
    sm_err sm_arena_verify(int fd, sm_header_shm *copy)

    # ---- slab.h, for the items that a lazy close has to find
    cdef struct sm_slab_ref:
        uint32_t sr_page, sr_keg, sr_index
        uint64_t *sr_words
    sm_off_t sm_slab_item(const sm_arena *a, const sm_slab_ref *s, uint32_t index)
    int sm_slab_each(const sm_arena *a, uint32_t first, int (*fn)(const sm_slab_ref *s, void *ctx) noexcept, void *ctx)

    # ---- zone.h, cache.h
    int SM_M_NOWAIT, SM_M_WAITOK, SM_M_ZERO, SM_M_NOVM, SM_M_USE_RESERVE, SM_M_FLAGS
    cdef struct sm_zone_params:
        const char *zp_name
        uint64_t zp_bytes
        uint32_t zp_align, zp_flags
        sm_callback_shm *zp_cb
        const char *zp_master
    cdef struct sm_zone:
        uint8_t *z_base
        uint32_t z_low_held
        bint z_plain
        sm_cpu_shm *z_fast_cpu
        sm_cpu_shm *z_inline_cpu
        sm_cpu_shm *z_raw_cpu
        uint64_t z_fast_bytes, z_raw_bytes
        uint32_t z_item_off, z_item_bytes
        sm_arena *z_arena
        sm_zone_shm *z_shm
        sm_keg_shm *z_keg
        uint32_t z_id, z_keg_id, z_gen, z_flags, z_epoch
        uint64_t z_refs
    cdef struct sm_handle:
        sm_off_t h_item
        uint32_t h_gen, h_zone
    sm_err sm_zone_create(sm_arena *a, const sm_zone_params *p, sm_zone **out)
    sm_err sm_zone_open(sm_arena *a, const char *name, const sm_zone_params *p, sm_zone **out)
    sm_err sm_zone_by_id(sm_arena *a, uint32_t id, sm_zone **out)
    sm_err sm_zone_destroy(sm_zone *z, uint64_t *live)
    sm_err sm_zone_alloc(sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item)
    sm_err sm_zone_free(sm_zone *z, void *item, void *arg)
    sm_err sm_zone_alloc_bulk(sm_zone *z, int flags, int64_t timeout_ns, uint32_t n, void **items, uint32_t *got)
    sm_err sm_zone_free_bulk(sm_zone *z, uint32_t n, void **items, uint32_t *done)
    sm_err sm_zone_handle(sm_zone *z, const void *item, sm_handle *h)
    sm_err sm_zone_ticket(sm_zone *z, void *item, sm_handle *h)
    sm_err sm_zone_adopt(sm_arena *a, sm_handle h, sm_zone **z, void **item)
    sm_err sm_zone_lookup(const sm_zone *z, const void *item, uint64_t **word)
    sm_err sm_zone_find_refcnt(const sm_zone *z, const void *item, uint32_t **count)
    sm_err sm_zone_set_max(sm_zone *z, uint64_t items, uint64_t *effective)
    uint64_t sm_zone_get_max(const sm_zone *z)
    sm_err sm_zone_set_maxcache(sm_zone *z, uint64_t items)
    sm_err sm_zone_set_warning(sm_zone *z, const char *text)
    sm_err sm_zone_set_maxaction(sm_zone *z, const sm_callback_shm *cb)
    sm_err sm_zone_reserve(sm_zone *z, uint64_t items)
    sm_err sm_zone_prealloc(sm_zone *z, uint64_t items)
    bint sm_zone_exhausted(const sm_zone *z)
    ctypedef enum sm_reclaim "enum sm_reclaim":
        SM_RECLAIM_TRIM, SM_RECLAIM_DRAIN, SM_RECLAIM_DRAIN_CPU
    sm_err sm_zone_reclaim(sm_zone *z, sm_reclaim how, uint64_t *items, uint64_t *slabs)
    sm_err sm_arena_reclaim(sm_arena *a, sm_reclaim how, uint64_t *pages)
    uint32_t sm_cache_free_bulk(sm_zone *z, uint32_t n, void **items)
    uint64_t *sm_cache_word(const sm_zone *z, const void *mem)

    # ---- malloc.h
    int SM_MALLOC_CLASSES
    const uint32_t *sm_malloc_class_bytes
    sm_err sm_malloc_type(sm_arena *a, const char *name, uint32_t *type)
    sm_err sm_malloc(sm_arena *a, uint64_t bytes, uint32_t type, int flags, int64_t timeout_ns, sm_zone **z,
                     void **item)
    sm_err sm_malloc_free(sm_arena *a, void *item)
    sm_err sm_malloc_usable(sm_arena *a, const void *item, uint64_t *requested, uint64_t *usable, uint32_t *type)

    # ---- queue.h
    cdef struct sm_queue:
        pass
    sm_err sm_queue_create(sm_arena *a, const char *name, uint64_t depth, sm_queue **out)
    sm_err sm_queue_open(sm_arena *a, const char *name, uint64_t depth, sm_queue **out)
    void sm_queue_close(sm_queue *q)
    sm_err sm_queue_destroy(sm_queue *q)
    sm_err sm_queue_put(sm_queue *q, sm_zone *z, void *item, int64_t timeout_ns)
    sm_err sm_queue_get(sm_queue *q, int64_t timeout_ns, sm_zone **z, void **item)
    sm_err sm_queue_put_bulk(sm_queue *q, sm_zone *z, uint32_t n, void **items, int64_t timeout_ns, uint32_t *done)
    sm_err sm_queue_get_bulk(sm_queue *q, uint32_t n, int64_t timeout_ns, sm_zone **zones, void **items, uint32_t *got)
    uint64_t sm_queue_length(const sm_queue *q)
    uint64_t sm_queue_depth(const sm_queue *q)
    const sm_queue_shm *sm_queue_shared(const sm_queue *q)

    # ---- layout_mbuf.h
    uint32_t MSIZE, MLEN, MHLEN, MINCLSIZE, MCLBYTES, MJUMPAGESIZE, MJUM9BYTES, MJUM16BYTES, MTAG_MAX, M_LEN_MAX
    uint32_t M_EXT, M_PKTHDR, M_EOR, M_RDONLY, M_PROTO1, M_PROTO2, M_PROTO3, M_PROTO4, M_PROTO5, M_BCAST, M_MCAST, M_FRAG
    uint32_t M_FIRSTFRAG, M_LASTFRAG, M_SKIP_FIREWALL, M_VLANTAG, M_COPYFLAGS
    int MT_DATA, MT_HEADER, MT_SONAME, MT_CONTROL, MT_OOBDATA, MT_NTYPES
    int EXT_CLUSTER, EXT_SFBUF, EXT_JUMBOP, EXT_JUMBO9, EXT_JUMBO16, EXT_PACKET, EXT_NET_DRV, EXT_MOD_TYPE
    int EXT_DISPOSABLE, EXT_EXTREF
    uint32_t MTAG_ABI_COMPAT, MTAG_PERSISTENT, PACKET_TAG_MACLABEL
    cdef struct sm_pkthdr:
        uint32_t ph_rcvif, ph_len, ph_csum_flags, ph_csum_data
        sm_off_t ph_tags
        uint64_t ph_header
    cdef struct sm_mext:
        uint32_t me_size, me_type
    cdef struct sm_mbuf "mbuf":
        sm_off_t m_next, m_nextpkt
        uint32_t m_flags, m_type
        sm_pkthdr m_pkthdr
        sm_mext m_ext
    cdef struct sm_tag "m_tag":
        uint32_t t_cookie, t_persistent
        uint16_t t_id, t_len
        uint8_t *t_data
    ctypedef enum sm_mb_zone "enum sm_mb_zone":
        pass
    int SM_MBZ_MBUF, SM_MBZ_CLUSTER, SM_MBZ_PACKET, SM_MBZ_JUMBOP, SM_MBZ_JUMBO9, SM_MBZ_JUMBO16, SM_MBZ_TAG
    int SM_MBZ_EXTREF, SM_MBZ_COUNT
    cdef struct sm_mac_test_shm:
        uint64_t mt_made, mt_destroyed, mt_empty, mt_copied, mt_violations
    cdef struct sm_mb_shm:
        sm_mac_test_shm mb_mac_test
        uint32_t *mb_zone
        uint32_t mb_maxusers, mb_label_mode
        uint64_t mb_drain_calls, mb_labels_made, mb_labels_ended, mb_labels_reaped

    # ---- mbuf.h
    uint32_t M_COPYALL
    cdef struct sm_mb:
        sm_arena *mb_arena
        sm_mb_shm *mb_shm
        uint8_t *mb_base
        sm_zone **mb_zone
        sm_err mb_err
    cdef struct sm_mb_params:
        uint32_t mp_maxusers, mp_zone_flags
        int64_t mp_nmbclusters, mp_nmbjumbop, mp_nmbjumbo9, mp_nmbjumbo16
    sm_err sm_mb_open(sm_arena *a, const sm_mb_params *p, sm_mb **out)
    sm_err sm_mb_find(sm_arena *a, sm_mb **out)
    sm_err sm_mb_set_limit(sm_mb *mb, sm_mb_zone which, uint64_t items, uint64_t *effective)
    uint64_t sm_mb_get_limit(const sm_mb *mb, sm_mb_zone which)
    uint32_t sm_mb_maxusers(uint64_t physical_bytes)
    uint64_t sm_mb_nmbclusters(uint32_t maxusers)
    sm_err sm_mb_add_drain(sm_mb *mb, const sm_callback_shm *cb)
    void mb_reclaim(sm_mb *mb)
    sm_mbuf *m_nextm(sm_mb *mb, const sm_mbuf *m)
    uint32_t m_len(const sm_mbuf *m)
    char *mtod(const sm_mb *mb, const sm_mbuf *m)
    void m_set_len(sm_mbuf *m, uint32_t n)
    sm_off_t m_start(const sm_mb *mb, const sm_mbuf *m)
    sm_off_t m_off(const sm_mb *mb, const void *p)
    uint32_t m_size(const sm_mbuf *m)
    sm_mbuf *m_get(sm_mb *mb, int how, int type)
    sm_mbuf *m_gethdr(sm_mb *mb, int how, int type)
    sm_mbuf *m_getcl(sm_mb *mb, int how, int type, uint32_t flags)
    sm_mbuf *m_getjcl(sm_mb *mb, int how, int type, uint32_t flags, uint32_t size)
    sm_mbuf *m_get2(sm_mb *mb, uint32_t size, int how, int type, uint32_t flags)
    sm_mbuf *m_getm2(sm_mb *mb, sm_mbuf *m, uint32_t n, int how, int type, uint32_t flags)
    bint m_clget(sm_mb *mb, sm_mbuf *m, int how)
    bint m_cljget(sm_mb *mb, sm_mbuf *m, int how, uint32_t size)
    sm_err m_free(sm_mb *mb, sm_mbuf *m, sm_mbuf **next)
    sm_err m_freem(sm_mb *mb, sm_mbuf *m)
    bint m_free_cached(sm_mb *mb, sm_mbuf *m)
    sm_err m_extadd(sm_mb *mb, sm_mbuf *m, sm_zone *z, void *item, void *buf, uint32_t size, const sm_callback_shm *cb,
                    uint64_t arg1, uint64_t arg2, uint32_t flags, uint32_t type)
    sm_err m_extaddref(sm_mb *mb, const sm_mbuf *m, sm_mbuf *n)
    uint32_t m_refcnt(sm_mb *mb, const sm_mbuf *m)
    uint64_t m_length(sm_mb *mb, const sm_mbuf *m, sm_mbuf **last)
    uint64_t m_fixhdr(sm_mb *mb, sm_mbuf *m)
    bint m_writable(sm_mb *mb, const sm_mbuf *m)
    uint32_t m_leadingspace(sm_mb *mb, const sm_mbuf *m)
    uint32_t m_trailingspace(sm_mb *mb, const sm_mbuf *m)
    sm_mbuf *m_prepend(sm_mb *mb, sm_mbuf *m, uint32_t n, int how)
    sm_mbuf *m_prepend_fast(sm_mb *mb, sm_mbuf *m, uint32_t n, int how)
    sm_mbuf *m_pullup(sm_mb *mb, sm_mbuf *m, uint32_t n)
    sm_mbuf *m_copyup(sm_mb *mb, sm_mbuf *m, uint32_t n, uint32_t dstoff)
    sm_mbuf *m_pulldown(sm_mb *mb, sm_mbuf *m, uint32_t off, uint32_t n, uint32_t *offp)
    sm_mbuf *m_split(sm_mb *mb, sm_mbuf *m, uint32_t n, int how)
    sm_err m_cat(sm_mb *mb, sm_mbuf *m, sm_mbuf *n)
    sm_err m_catpkt(sm_mb *mb, sm_mbuf *m, sm_mbuf *n)
    sm_err m_adj(sm_mb *mb, sm_mbuf *m, int64_t n)
    sm_err m_append(sm_mb *mb, sm_mbuf *m, uint32_t n, const void *data)
    sm_err m_align(sm_mb *mb, sm_mbuf *m, uint32_t n)
    void m_demote(sm_mb *mb, sm_mbuf *m, bint all)
    sm_mbuf *m_fragment(sm_mb *mb, sm_mbuf *m, int how, uint32_t n)
    sm_mbuf *m_defrag(sm_mb *mb, sm_mbuf *m, int how)
    sm_mbuf *m_collapse(sm_mb *mb, sm_mbuf *m, int how, uint32_t maxfrags)
    sm_mbuf *m_unshare(sm_mb *mb, sm_mbuf *m, int how)
    sm_mbuf *m_copym(sm_mb *mb, const sm_mbuf *m, uint32_t off, uint32_t n, int how)
    sm_mbuf *m_copypacket(sm_mb *mb, const sm_mbuf *m, int how)
    sm_mbuf *m_dup(sm_mb *mb, const sm_mbuf *m, int how)
    sm_err m_copydata(sm_mb *mb, const sm_mbuf *m, uint32_t off, uint32_t n, void *to)
    sm_err m_copyback(sm_mb *mb, sm_mbuf *m, uint32_t off, uint32_t n, const void *data)
    sm_mbuf *m_getptr(sm_mb *mb, sm_mbuf *m, uint32_t loc, uint32_t *off)
    sm_err m_sanity(sm_mb *mb, sm_mbuf *m, bint sanitize)
    uint64_t m_print(sm_mb *mb, const sm_mbuf *m, int64_t most, char *text, uint64_t room)
    sm_err m_move_pkthdr(sm_mb *mb, sm_mbuf *to, sm_mbuf *frm)
    sm_err m_dup_pkthdr(sm_mb *mb, sm_mbuf *to, const sm_mbuf *frm, int how)
    cdef struct mbufq:
        uint32_t mq_len, mq_maxlen
    void mbufq_init(mbufq *q, uint32_t maxlen)
    sm_err mbufq_drain(sm_mb *mb, mbufq *q)
    sm_mbuf *mbufq_first(const sm_mb *mb, const mbufq *q)
    sm_mbuf *mbufq_last(const sm_mb *mb, const mbufq *q)
    bint mbufq_full(const mbufq *q)
    uint32_t mbufq_len(const mbufq *q)
    sm_err mbufq_enqueue(sm_mb *mb, mbufq *q, sm_mbuf *m)
    sm_mbuf *mbufq_dequeue(sm_mb *mb, mbufq *q)
    void mbufq_prepend(sm_mb *mb, mbufq *q, sm_mbuf *m)
    void mbufq_concat(sm_mb *mb, mbufq *dst, mbufq *src)
    sm_tag *m_tag_alloc(sm_mb *mb, uint32_t cookie, uint32_t id, uint32_t n, int how)
    sm_err m_tag_free(sm_mb *mb, sm_tag *t)
    sm_err m_tag_prepend(sm_mb *mb, sm_mbuf *m, sm_tag *t)
    sm_err m_tag_unlink(sm_mb *mb, sm_mbuf *m, sm_tag *t)
    sm_err m_tag_delete(sm_mb *mb, sm_mbuf *m, sm_tag *t)
    sm_err m_tag_delete_chain(sm_mb *mb, sm_mbuf *m, sm_tag *t)
    sm_err m_tag_delete_nonpersistent(sm_mb *mb, sm_mbuf *m)
    sm_tag *m_tag_first(sm_mb *mb, const sm_mbuf *m)
    sm_tag *m_tag_next(sm_mb *mb, const sm_tag *t)
    sm_tag *m_tag_locate(sm_mb *mb, const sm_mbuf *m, uint32_t cookie, uint32_t id, sm_tag *start)
    sm_tag *m_tag_copy(sm_mb *mb, const sm_tag *t, int how)
    sm_err m_tag_copy_chain(sm_mb *mb, sm_mbuf *to, const sm_mbuf *frm, int how)
    sm_err m_enqueue(sm_mb *mb, sm_queue *q, sm_mbuf *m, int64_t timeout_ns)
    sm_err m_arrived(sm_mb *mb, sm_zone *z, void *item, sm_mbuf **m)
    sm_err m_ticket(sm_mb *mb, sm_mbuf *m, sm_handle *h)
    sm_err m_adopt(sm_mb *mb, sm_handle h, sm_mbuf **m)

    # ---- sockbuf.h
    ctypedef enum sb_side "enum sb_side":
        SB_DATA, SB_SPACE
    cdef struct sm_sockbuf_shm:
        uint64_t sb_cc, sb_mbcnt, sb_hiwat, sb_mbmax
    cdef struct sm_sockbuf:
        sm_sockbuf_shm *sb_shm
    sm_err sm_sockbuf_create(sm_mb *mb, const char *name, uint64_t hiwat, uint64_t mbmax, sm_sockbuf **out)
    sm_err sm_sockbuf_open(sm_mb *mb, const char *name, sm_sockbuf **out)
    void sm_sockbuf_close(sm_sockbuf *sb)
    sm_err sm_sockbuf_destroy(sm_sockbuf *sb)
    sm_err sbreserve(sm_sockbuf *sb, uint64_t hiwat, uint64_t mbmax)
    uint64_t sbspace(const sm_sockbuf *sb)
    uint64_t sbused(const sm_sockbuf *sb)
    sm_err sbwait(sm_sockbuf *sb, sb_side side, uint64_t n, int64_t timeout_ns)
    sm_err sbappend(sm_sockbuf *sb, sm_mbuf *m)
    sm_err sbappendstream(sm_sockbuf *sb, sm_mbuf *m)
    sm_err sbappendrecord(sm_sockbuf *sb, sm_mbuf *m)
    sm_err sbappendaddr(sm_sockbuf *sb, const void *addr, uint32_t n, sm_mbuf *m, sm_mbuf *control, int how)
    sm_err sbappendcontrol(sm_sockbuf *sb, sm_mbuf *m, sm_mbuf *control)
    sm_err sbcompress(sm_mb *mb, sm_mbuf *m)
    sm_err sbdrop(sm_sockbuf *sb, uint64_t n)
    sm_err sbcut(sm_sockbuf *sb, uint64_t n, sm_mbuf **chain)
    sm_err sbdroprecord(sm_sockbuf *sb)
    sm_err sbflush(sm_sockbuf *sb)
    sm_err sbreceive(sm_sockbuf *sb, uint64_t n, int how, sm_mbuf **chain)
    sm_err sb_copydata(sm_sockbuf *sb, uint64_t off, uint64_t n, void *to)
    sm_err sbsndptr(sm_sockbuf *sb, uint64_t off, const sm_mbuf **m, uint32_t *moff, uint32_t *follow)
    sm_err sbcheck(sm_sockbuf *sb)
    sm_err sblastrecordchk(sm_sockbuf *sb)
    sm_err sblastmbufchk(sm_sockbuf *sb)

    # ---- mac.h
    uint32_t MAC_SLOTS, MAC_LABEL_MBUFS, MAC_LABELS_OFF, MAC_LABELS_ALL, MAC_LABELS_BY_POLICY
    cdef struct mac_label:
        uint16_t l_policies, l_ready
        uint64_t *l_slot
    cdef struct sm_mac_policy_t "sm_mac_policy":
        uint32_t mo_slot, mo_flags
        char *mo_name
        uint64_t mo_refused, mo_missed
    sm_err sm_mac_register(sm_mb *mb, const char *name, uint32_t flags, const sm_callback_shm *init,
                           const sm_callback_shm *destroy, const sm_callback_shm *copy, uint32_t *slot)
    sm_err sm_mac_unregister(sm_mb *mb, const char *name)
    sm_err sm_mac_set_labelling(sm_mb *mb, uint32_t mode)
    sm_err sm_mac_policy(const sm_mb *mb, uint32_t slot, sm_mac_policy_t *out)
    mac_label *mac_mbuf_label(sm_mb *mb, const sm_mbuf *m)
    sm_err sm_mac_test_register(sm_mb *mb, uint32_t *slot)

    # ---- userlock.h
    uint32_t SM_MAX_LOCKS
    ctypedef enum sm_userlock_kind "enum sm_userlock_kind":
        SM_UL_MUTEX, SM_UL_RWLOCK, SM_UL_SX, SM_UL_SEMAPHORE, SM_UL_CONDITION
    ctypedef enum sm_userlock_mode "enum sm_userlock_mode":
        SM_EXCLUSIVE, SM_SHARED
    cdef struct sm_userlock:
        pass
    cdef struct sm_userlock_shm:
        uint32_t ul_kind, ul_permits, ul_dead_cpu, ul_dead_pid
    cdef struct sm_userlock_params:
        const char *up_name
        sm_userlock_kind up_kind
        bint up_recursive
        uint32_t up_permits
        sm_userlock *up_mutex
    cdef struct sm_userlock_stats_t "sm_userlock_stats":
        char *ls_name
        char *ls_mutex
        uint32_t ls_kind, ls_owner, ls_permits, ls_dead_cpu, ls_dead_pid
        bint ls_recursive, ls_died
        uint64_t ls_holds, ls_waiters, ls_acquires, ls_contended, ls_deaths
    sm_err sm_userlock_create(sm_arena *a, const sm_userlock_params *p, sm_userlock **out)
    sm_err sm_userlock_open(sm_arena *a, const sm_userlock_params *p, sm_userlock **out)
    sm_err sm_userlock_role(sm_userlock *l, const char *type, uint32_t subclass)
    void sm_userlock_close(sm_userlock *l)
    sm_err sm_userlock_destroy(sm_userlock *l)
    sm_err sm_userlock_acquire(sm_userlock *l, sm_userlock_mode mode, int64_t timeout_ns)
    sm_err sm_userlock_release(sm_userlock *l, sm_userlock_mode mode)
    sm_err sm_userlock_repaired(sm_userlock *l)
    sm_err sm_userlock_upgrade(sm_userlock *l)
    sm_err sm_userlock_downgrade(sm_userlock *l)
    bint sm_userlock_held(const sm_userlock *l, sm_userlock_mode mode)
    sm_err sm_condition_wait(sm_userlock *c, int64_t timeout_ns)
    sm_err sm_condition_notify(sm_userlock *c, uint32_t waiters)
    sm_err sm_userlock_stats(const sm_arena *a, uint32_t id, sm_userlock_stats_t *out)
    uint32_t sm_userlock_id(const sm_userlock *l)
    const sm_userlock_shm *sm_userlock_shared(const sm_userlock *l)

    # ---- stats.h
    cdef struct sm_zone_stats:
        char *zs_name
        char *zs_master
        uint32_t zs_id, zs_flags
        uint64_t zs_item_bytes, zs_stride_bytes, zs_align, zs_items_per_slab, zs_pages_per_slab, zs_efficiency
        uint64_t zs_limit, zs_used, zs_free, zs_keg_free, zs_bucket_free, zs_cpu_free
        uint64_t zs_allocs, zs_frees, zs_fails, zs_sleeps, zs_slabs, zs_pages, zs_bucket_size, zs_bucket_max
        uint64_t zs_wss, zs_imin, zs_imax, zs_reserve, zs_waiters, zs_meta_bytes
        uint64_t zs_init_fails
    cdef struct sm_cpu_zone_stats:
        uint64_t cz_allocs, cz_frees, cz_fails, cz_sleeps, cz_cached
    cdef struct sm_cpu_stats:
        uint32_t cs_id, cs_state, cs_pid, cs_uid
        bint cs_alive
        uint64_t cs_op, cs_start, cs_gen, cs_visits
        int64_t cs_attached_ns
        char *cs_name
    cdef struct sm_queue_stats:
        char *qs_name
        uint64_t qs_length, qs_depth, qs_puts, qs_gets, qs_item_waiters, qs_space_waiters
    cdef struct sm_type_stats:
        char *ms_name
        uint64_t ms_in_use, ms_bytes, ms_requests, ms_fails, ms_sizes
    cdef struct sm_arena_stats:
        uint64_t as_object_bytes, as_allocated_bytes, as_max_bytes, as_frontier_pages, as_free_pages, as_hole_pages
        uint64_t as_used_pages, as_meta_pages, as_punched_pages, as_buckets, as_attaches, as_events, as_uuid
        uint32_t as_max_cpus, as_live_cpus, as_dead_cpus, as_zones, as_queues, as_types
        int64_t as_created_ns
        uint32_t as_flags, as_version, as_owner_uid, as_creator_pid
    sm_err sm_stats_zone(sm_arena *a, uint32_t id, sm_zone_stats *out)
    sm_err sm_stats_cpu_zone(sm_arena *a, uint32_t cpu, uint32_t zone, sm_cpu_zone_stats *out)
    sm_err sm_stats_cpu(sm_arena *a, uint32_t cpu, sm_cpu_stats *out)
    sm_err sm_stats_queue(sm_arena *a, uint32_t id, sm_queue_stats *out)
    sm_err sm_stats_type(sm_arena *a, uint32_t id, sm_type_stats *out)
    sm_err sm_stats_arena(sm_arena *a, sm_arena_stats *out)
    cdef struct sm_core_lock_stats:
        uint32_t cl_class, cl_instance, cl_cpu
        bint cl_dirty
    sm_err sm_stats_core_lock(sm_arena *a, uint32_t place, sm_core_lock_stats *out)
    sm_err sm_event_next(sm_arena *a, uint64_t after, sm_event_shm *out)

    # ---- site.h, who.h
    sm_err sm_site_intern(sm_arena *a, const char *text, uint32_t *site)
    bint sm_site_text(const sm_arena *a, uint32_t site, char *out)
    bint sm_site_due(const sm_arena *a)
    cdef struct sm_who_item:
        sm_off_t wi_item
        uint64_t wi_bytes
        int64_t wi_time_ns
        uint32_t wi_zone, wi_kind, wi_holder, wi_gen, wi_site, wi_pid, wi_type
        bint wi_traced
    sm_err sm_who_each(sm_arena *a, int (*fn)(void *ctx, const sm_who_item *item) noexcept, void *ctx)

    # ---- mbuf_stats.h
    enum: MT_NTYPES
    cdef struct sm_mb_use:
        uint64_t mu_item_bytes, mu_current, mu_cache, mu_total, mu_max, mu_denied, mu_delayed
    cdef struct sm_mb_bytes:
        uint64_t by_current, by_cache, by_total
    cdef struct sm_mb_stats_t "sm_mb_stats":
        sm_mb_use nm_mbufs, nm_clusters, nm_packets, nm_jumbop, nm_jumbo9, nm_jumbo16, nm_tags, nm_extrefs
        sm_mb_bytes nm_bytes
        uint64_t nm_drain_calls, nm_drained_ns, nm_labels_made, nm_labels_ended, nm_labels_reaped
        uint32_t nm_label_mode, nm_maxusers
        uint64_t *nm_type
        uint64_t nm_type_unknown
    sm_err sm_mb_stats(sm_arena *a, sm_mb_stats_t *out) nogil

    # ---- check.h
    cdef struct sm_finding:
        uint32_t f_invariant
        char *f_detail
    ctypedef void (*sm_finding_fn)(void *ctx, const sm_finding *f) noexcept
    cdef struct sm_check_result:
        uint64_t cr_findings, cr_items, cr_slabs, cr_pages, cr_buckets
        uint32_t cr_live_cpus, cr_dead_cpus
        int64_t cr_world_stopped_ns
    uint32_t SM_INVARIANTS
    sm_err sm_check(sm_arena *a, uint32_t most, sm_finding_fn fn, void *ctx, sm_check_result *out)
    const char *sm_check_title(uint32_t invariant)

    # ---- reap.h, dump.h
    uint32_t SM_REAP_CPUS, SM_REAP_ZONES
    cdef struct sm_reap_cpu:
        uint32_t rc_cpu, rc_pid, rc_did
        char *rc_name
        char *rc_on
        uint64_t rc_op, rc_op_arg
        int64_t rc_attached_ns
    cdef struct sm_reap_zone:
        char *rz_name
        uint64_t rz_freed
    cdef struct sm_reap_report:
        uint32_t rr_cpus, rr_zones, rr_by_cpu, rr_by_pid
        uint64_t rr_freed, rr_uncached, rr_kept, rr_undone, rr_requeued
        int64_t rr_at_ns, rr_stopped_ns, rr_total_ns
        sm_reap_cpu *rr_cpu
        sm_reap_zone *rr_zone
    sm_err sm_reap(sm_arena *a, sm_reap_report *report)
    const char *sm_reap_op_name(uint64_t opword)
    uint32_t SM_OP_OF(uint64_t opword)
    uint32_t SM_OP_END
    cdef struct sm_dump_report:
        uint64_t dr_copied_bytes, dr_object_bytes
        int64_t dr_stopped_ns
    sm_err sm_dump(sm_arena *a, int fd, sm_dump_report *out)

    # ---- tunable.h
    ctypedef enum sm_tunable "enum sm_tunable":
        SM_TU_SITES, SM_TU_SITE_FRAMES, SM_TU_COUNT
    cdef struct sm_tunable_info_t "sm_tunable_info":
        const char *ti_name
        const char *ti_text
        int64_t ti_default, ti_least, ti_most
    sm_tunable_info_t *sm_tunable_info
    int64_t sm_tunable_get(const sm_arena *a, sm_tunable t)
    sm_err sm_tunable_set(sm_arena *a, sm_tunable t, int64_t value)

cdef extern from "core/keg.h": # beyond the umbrella: to let sleepers of this process go when it closes
    void sm_keg_wake(sm_arena *a, uint32_t keg, int count)
