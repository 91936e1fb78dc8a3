/* test_mbuf_get.c - getting and freeing: what a fresh mbuf looks like, limits, wrong frees, storage of other zones, and
 * clusters whose last holder is another process. Every failure inside. Owns nothing beyond its arena.
 */
#include "mbuf_fixture.h"

/* ---------------------------------------------------------------- fresh mbufs */

static void expect_fresh(struct sm_mb *mb, const struct mbuf *m, uint32_t flags, int type, uint32_t size) {
    EXPECT_EQ(m->m_next, 0);
    EXPECT_EQ(m->m_nextpkt, 0);
    EXPECT_EQ(m_len(m), 0);
    EXPECT_EQ(m->m_flags, flags | (size > MLEN ? M_EXT : 0));
    EXPECT_EQ(m->m_type, (uint32_t)type);
    EXPECT_EQ(m_size(m), size);
    EXPECT_EQ(m->m_win.w_data, m_start(mb, m));
    EXPECT_EQ(m_trailingspace(mb, m), size);
    if (flags & M_PKTHDR) {
        static const struct sm_pkthdr clear;
        EXPECT_EQ(memcmp(&m->m_pkthdr, &clear, sizeof clear), 0);
    }
}

/* Everything that an mbuf's last life may leave in it. */
static void soil(struct sm_mb *mb, struct mbuf *m) {
    if (m->m_flags & M_PKTHDR) {
        memset(&m->m_pkthdr, 0xff, sizeof m->m_pkthdr);
        m->m_pkthdr.ph_tags = 0;
    }
    m->m_nextpkt = 0xdddddddddddddd00;
    m->m_flags |= M_EOR | M_PROTO1 | M_BCAST;
    m_set_len(m, 9);
    EXPECT_OK(m_free(mb, m, NULL));
}

static enum sm_err allow(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    (void)ctx, (void)p, (void)zone, (void)bytes, (void)flags;
    return SM_OK;
}

TEST(a_fresh_mbuf_is_clean_whatever_its_last_life_left) {
    struct sm_mb *mb = mbufs(h);
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = NULL, .h_fault = allow};
    for (int armed = 0; armed < 2; armed++) { /* inline, and through the ctors */
        sm_arena_set_hooks(h->h_arena, armed ? &hooks : NULL);
        for (int round = 0; round < 3; round++) {
            struct mbuf *m[5] = {m_get(mb, SM_M_NOWAIT, MT_SONAME), m_gethdr(mb, SM_M_NOWAIT, MT_OOBDATA),
                                 m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR), m_getcl(mb, SM_M_NOWAIT, MT_CONTROL, 0),
                                 m_getjcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR, MJUM9BYTES)};
            expect_fresh(mb, m[0], 0, MT_SONAME, MLEN);
            expect_fresh(mb, m[1], M_PKTHDR, MT_OOBDATA, MHLEN);
            expect_fresh(mb, m[2], M_PKTHDR, MT_DATA, MCLBYTES);
            expect_fresh(mb, m[3], 0, MT_CONTROL, MCLBYTES);
            expect_fresh(mb, m[4], M_PKTHDR, MT_DATA, MJUM9BYTES);
            for (int i = 0; i < 5; i++) {
                soil(mb, m[i]);
            }
        }
    }
    sm_arena_set_hooks(h->h_arena, NULL);
}

TEST(a_get_of_what_there_is_not_is_refused) {
    struct sm_mb *mb = mbufs(h);
    static const int types[] = {MT_NOTMBUF, MT_NTYPES, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        EXPECT_TRUE(m_get(mb, SM_M_NOWAIT, types[i]) == NULL && mb->mb_err == SM_INVALID);
        EXPECT_TRUE(m_gethdr(mb, SM_M_NOWAIT, types[i]) == NULL && mb->mb_err == SM_INVALID);
        EXPECT_TRUE(m_getcl(mb, SM_M_NOWAIT, types[i], M_PKTHDR) == NULL && mb->mb_err == SM_INVALID);
    }
    EXPECT_TRUE(m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_EXT) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_getcl(mb, SM_M_NOWAIT, MT_DATA, ~0u) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_getjcl(mb, SM_M_NOWAIT, MT_DATA, 0, 5000) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_get2(mb, MJUM16BYTES + 1, SM_M_NOWAIT, MT_DATA, 0) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_get2(mb, UINT32_MAX, SM_M_NOWAIT, MT_DATA, 0) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_getm2(mb, NULL, UINT32_MAX, SM_M_NOWAIT, MT_DATA, 0) == NULL && mb->mb_err == SM_INVALID);
    struct mbuf *m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, 0);
    EXPECT_FALSE(m_clget(mb, m, SM_M_NOWAIT));
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    EXPECT_OK(m_free(mb, m, NULL));
    EXPECT_FALSE(m_clget(mb, m, SM_M_NOWAIT)); /* freed; with its cluster still */
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
}

TEST(get2_and_getm2_have_room_for_what_was_asked) {
    struct sm_mb *mb = mbufs(h);
    static const uint32_t sizes[] = {0,    1,    192,  193,  224,  225,  2047,  2048,
                                     2049, 4096, 4097, 9216, 9217, 9999, 16383, 16384};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t flags = 0; flags <= M_PKTHDR; flags += M_PKTHDR) {
            struct mbuf *m = m_get2(mb, sizes[i], SM_M_NOWAIT, MT_DATA, flags);
            EXPECT_TRUE(m != NULL && m_size(m) >= sizes[i] && m->m_next == 0);
            struct mbuf *n = m_getm2(mb, NULL, sizes[i] * 3, SM_M_NOWAIT, MT_DATA, flags);
            uint64_t room = 0;
            for (struct mbuf *o = n; o != NULL; o = m_nextm(mb, o)) {
                room += m_size(o);
            }
            EXPECT_GE(room, sizes[i] * 3);
            EXPECT_EQ(n->m_flags & M_PKTHDR, flags);
            EXPECT_TRUE(m_getm2(mb, n, 10, SM_M_NOWAIT, MT_DATA, M_PKTHDR) == n);
            struct mbuf *last = NULL;
            (void)m_length(mb, n, &last);
            EXPECT_FALSE(last->m_flags & M_PKTHDR);
            EXPECT_OK(m_freem(mb, n));
            EXPECT_OK(m_freem(mb, m));
        }
    }
}

/* ---------------------------------------------------------------- limits and failures */

TEST(out_of_clusters_is_an_error_and_caches_are_drained_first) {
    struct sm_mb_params p = {.mp_nmbclusters = 8};
    struct sm_mb *mb = NULL;
    struct mbuf *m[64], *plain;
    uint32_t n = 0;
    EXPECT_OK(sm_mb_open(h->h_arena, &p, &mb));
    while (n < 64 && (m[n] = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR)) != NULL) {
        n++;
    }
    EXPECT_EQ(mb->mb_err, SM_LIMIT);
    EXPECT_EQ(n, sm_mb_get_limit(mb, SM_MBZ_CLUSTER));
    EXPECT_TRUE((plain = m_get(mb, SM_M_NOWAIT, MT_DATA)) != NULL); /* mbufs are not limited */
    EXPECT_FALSE(m_clget(mb, plain, SM_M_NOWAIT));
    EXPECT_EQ(mb->mb_err, SM_LIMIT);
    EXPECT_FALSE(plain->m_flags & M_EXT);
    for (uint32_t i = 0; i < n; i++) { /* all clusters lie in cached packets */
        EXPECT_OK(m_free(mb, m[i], NULL));
    }
    EXPECT_TRUE(m_clget(mb, plain, SM_M_NOWAIT));
    EXPECT_EQ(plain->m_ext.me_type, EXT_CLUSTER);
    EXPECT_OK(m_free(mb, plain, NULL));
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
}

TEST(every_failure_inside_a_get_gives_nothing_and_loses_nothing) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = NULL;
    bool ok = false;
    uint64_t pages;
    for (int cold = 0; cold < 2; cold++) { /* with empty caches and kegs: through every init of a fill and of a slab */
        SWEEP(mb, w) {
            EXPECT_OK(cold ? sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages) : SM_OK);
            INJECT(w, m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR), m == NULL);
            EXPECT_OK(m_freem(mb, m));
        }
        SWEEP(mb, w) {
            EXPECT_OK(cold ? sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages) : SM_OK);
            INJECT(w, m = m_getjcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR, MJUM16BYTES), m == NULL);
            EXPECT_OK(m_freem(mb, m));
        }
        SWEEP(mb, w) {
            EXPECT_OK(cold ? sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages) : SM_OK);
            struct mbuf *head = m_get(mb, SM_M_NOWAIT, MT_DATA);
            INJECT(w, m = m_getm2(mb, head, 7000, SM_M_NOWAIT, MT_DATA, 0), m == NULL);
            EXPECT_EQ(head->m_next != 0, m != NULL);
            EXPECT_OK(m_freem(mb, head));
        }
        SWEEP(mb, w) {
            EXPECT_OK(cold ? sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages) : SM_OK);
            m = m_get(mb, SM_M_NOWAIT, MT_DATA);
            INJECT(w, ok = m_clget(mb, m, SM_M_NOWAIT), !ok);
            EXPECT_EQ((m->m_flags & M_EXT) != 0, ok);
            EXPECT_OK(m_free(mb, m, NULL));
        }
    }
}

/* ---------------------------------------------------------------- wrong frees */

TEST(a_wrong_free_is_named_and_frees_nothing) {
    struct sm_mb *mb = mbufs(h), *other = NULL;
    EXPECT_OK(sm_mb_open(harness_attach(h, "other"), NULL, &other));
    struct mbuf *theirs = CHAIN(other, M_PKTHDR, 10, 500), *m = CHAIN(mb, M_PKTHDR, 10, 500, 20), *next = NULL;
    struct mbuf *second = m_nextm(mb, m);
    EXPECT_ERR(m_freem(mb, m_at(mb, m_off(other, theirs))), SM_NOT_OWNER);
    EXPECT_ERR(m_free(mb, (struct mbuf *)((uint8_t *)m + 8), NULL), SM_MISALIGNED);
    EXPECT_ERR(m_free(mb, (struct mbuf *)(mb->mb_base + 256), NULL), SM_NOT_OURS);
    EXPECT_ERR(m_free(mb, (struct mbuf *)mtod(mb, second), NULL), SM_NOT_OURS); /* a cluster */
    expect_bytes(mb, m, 0, 530);
    EXPECT_OK(m_free(mb, m, &next));
    EXPECT_TRUE(next == second);
    EXPECT_ERR(m_free(mb, m, &next), SM_DOUBLE_FREE);
    EXPECT_OK(m_freem(mb, second));
    EXPECT_ERR(m_freem(mb, second), SM_DOUBLE_FREE);
    EXPECT_OK(m_freem(mb, NULL));
    EXPECT_OK(m_free(mb, NULL, NULL));
    expect_bytes(other, theirs, 0, 510);
    EXPECT_OK(m_freem(other, theirs));
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
}

TEST(a_cycle_is_freed_once_and_told) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 500, 20), *last = NULL;
    EXPECT_EQ(m_length(mb, m, &last), 530);
    last->m_next = m_off(mb, m);
    (void)m_length(mb, m, NULL);
    EXPECT_EQ(mb->mb_err, SM_CORRUPT);
    EXPECT_ERR(m_freem(mb, m), SM_DOUBLE_FREE);
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
    m = CHAIN(mb, 0, 10, 20);
    m->m_next += 1;
    EXPECT_ERR(m_freem(mb, m), SM_CORRUPT);
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 1);
    EXPECT_OK(m_free(mb, m_at(mb, m->m_next == 0 ? m_off(mb, m) + MSIZE : m->m_next - 1), NULL));
}

/* ---------------------------------------------------------------- storage of other zones */

static struct {
    int x_calls;
    void *x_buf;
    uint32_t x_bytes;
    uint64_t x_args[2];
} freed;

static int on_free(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)how, (void)ctx;
    freed.x_calls++;
    freed.x_buf = mem;
    freed.x_bytes = bytes;
    memcpy(freed.x_args, arg, sizeof freed.x_args);
    return 0;
}

TEST(storage_of_malloc_is_called_back_for_and_freed_by_the_last_reference) {
    struct sm_mb *mb = mbufs(h);
    struct sm_callback_shm cb = {SM_CB_NATIVE, "t.extfree"};
    struct sm_zone *z = NULL;
    void *item = NULL;
    uint32_t type;
    EXPECT_OK(sm_zone_register("t.extfree", on_free));
    EXPECT_OK(sm_malloc_type(h->h_arena, "frames", &type));
    for (uint32_t bytes = 100; bytes <= 100000; bytes *= 10) { /* from a slab, and runs of pages */
        memset(&freed, 0, sizeof freed);
        EXPECT_OK(sm_malloc(h->h_arena, bytes, type, SM_M_NOWAIT, 0, &z, &item));
        uint8_t *buf = (uint8_t *)item + 10;
        struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA), *n = m_get(mb, SM_M_NOWAIT, MT_DATA);
        EXPECT_OK(m_extadd(mb, m, z, item, buf, bytes - 10, &cb, 7, 9, 0, EXT_MOD_TYPE));
        EXPECT_NE(sm_malloc_free(h->h_arena, item), SM_OK); /* it is the mbuf's now */
        fill(mb, m, bytes - 10, 0);
        m->m_pkthdr.ph_len = bytes - 10;
        EXPECT_OK(m_extaddref(mb, m, n));
        struct mbuf *copy = m_copym(mb, m, 0, M_COPYALL, SM_M_NOWAIT);
        EXPECT_EQ(m_refcnt(mb, m), 3);
        EXPECT_OK(m_freem(mb, m));
        EXPECT_OK(m_freem(mb, n));
        EXPECT_EQ(freed.x_calls, 0);
        expect_bytes(mb, copy, 0, bytes - 10);
        EXPECT_TRUE(m_writable(mb, copy));
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
        EXPECT_OK(m_freem(mb, copy));
        EXPECT_EQ(freed.x_calls, 1);
        EXPECT_TRUE(freed.x_buf == buf);
        EXPECT_EQ(freed.x_bytes, bytes - 10);
        EXPECT_EQ(freed.x_args[0], 7);
        EXPECT_EQ(freed.x_args[1], 9);
    }
}

TEST(storage_that_is_not_to_be_had_is_refused) {
    struct sm_mb *mb = mbufs(h);
    struct sm_callback_shm missing = {SM_CB_NATIVE, "t.nobody"};
    struct sm_zone *z = harness_zone(h->h_arena, "frames", 1000, 0), *again = harness_zone(h->h_arena, "more", 1000, 0);
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    struct mbuf *m = m_get(mb, SM_M_NOWAIT, MT_DATA), *cl = m_getcl(mb, SM_M_NOWAIT, MT_DATA, 0);
    uint8_t *b = item;
    EXPECT_ERR(m_extadd(mb, m, z, item, b, 1001, NULL, 0, 0, 0, EXT_NET_DRV), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, m, z, item, b + 1, 1000, NULL, 0, 0, 0, EXT_NET_DRV), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, m, z, item, b - 1, 10, NULL, 0, 0, 0, EXT_NET_DRV), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, m, z, item, b, UINT32_MAX, NULL, 0, 0, 0, EXT_NET_DRV), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, m, z, item, b, 10, NULL, 0, 0, 0, EXT_CLUSTER), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, m, z, item, b, 10, NULL, 0, 0, M_PKTHDR, EXT_NET_DRV), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, cl, z, item, b, 10, NULL, 0, 0, 0, EXT_NET_DRV), SM_INVALID);
    EXPECT_ERR(m_extadd(mb, m, mb->mb_zone[SM_MBZ_MBUF], cl, cl, 10, NULL, 0, 0, 0, EXT_NET_DRV), SM_INVALID);
    EXPECT_NE(m_extadd(mb, m, again, item, b, 10, NULL, 0, 0, 0, EXT_NET_DRV), SM_OK);
    EXPECT_NE(m_extadd(mb, m, z, item, b, 10, &missing, 0, 0, 0, EXT_NET_DRV), SM_OK);
    EXPECT_ERR(m_extaddref(mb, m, cl), SM_INVALID);
    EXPECT_EQ(m_refcnt(mb, m), 0);
    EXPECT_FALSE(m->m_flags & M_EXT);
    EXPECT_OK(sm_zone_free(z, item, NULL)); /* still this CPU's */
    EXPECT_NE(m_extadd(mb, m, z, item, b, 10, NULL, 0, 0, 0, EXT_NET_DRV), SM_OK); /* freed */
    EXPECT_OK(m_free(mb, m, NULL));
    EXPECT_OK(m_free(mb, cl, NULL));
}

TEST(every_failure_inside_extadd_leaves_the_item_with_its_holder) {
    struct sm_mb *mb = mbufs(h);
    struct sm_zone *z = harness_zone(h->h_arena, "frames", 1000, 0);
    struct mbuf *m = m_get(mb, SM_M_NOWAIT, MT_DATA);
    SWEEP(mb, w) {
        void *item = NULL;
        enum sm_err err;
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        INJECT(w, err = m_extadd(mb, m, z, item, item, 1000, NULL, 0, 0, M_RDONLY, EXT_NET_DRV), err != SM_OK);
        EXPECT_EQ((m->m_flags & (M_EXT | M_RDONLY)) != 0, err == SM_OK);
        if (err != SM_OK) {
            EXPECT_OK(sm_zone_free(z, item, NULL));
        } else {
            EXPECT_OK(m_free(mb, m, NULL));
            m = m_get(mb, SM_M_NOWAIT, MT_DATA);
        }
    }
    EXPECT_OK(m_free(mb, m, NULL));
}

/* ---------------------------------------------------------------- the last holder */

struct holders {
    struct harness_gate l_go, l_done;
};

static void other_holder(struct harness *h, void *ctx) {
    struct holders *l = ctx;
    struct sm_arena *a = harness_attach(h, "holder");
    struct sm_mb *mb = NULL;
    struct sm_queue *q = NULL;
    struct mbuf *m = NULL;
    EXPECT_OK(sm_mb_open(a, NULL, &mb));
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    EXPECT_OK(m_dequeue(mb, q, -1, &m));
    expect_bytes(mb, m, 0, 2010);
    harness_gate_wait(&l->l_go);
    EXPECT_OK(m_freem(mb, m));
    sm_queue_close(q);
    harness_close(h, a);
    harness_gate_post(&l->l_done);
}

TEST(a_shared_cluster_goes_with_its_last_holder_whichever_process_it_is) {
    struct sm_mb *mb = mbufs(h);
    struct sm_queue *q = NULL;
    struct holders l;
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 4, &q));
    for (int we_are_last = 0; we_are_last < 2; we_are_last++) {
        harness_gate_init(h, &l.l_go);
        harness_gate_init(h, &l.l_done);
        pid_t child = harness_fork(h, other_holder, &l);
        struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 2000), *copy = m_copypacket(mb, m, SM_M_NOWAIT);
        EXPECT_OK(m_enqueue(mb, q, copy, 0));
        if (!we_are_last) {
            EXPECT_OK(m_freem(mb, m));
        }
        harness_gate_post(&l.l_go);
        harness_gate_wait(&l.l_done);
        if (we_are_last) {
            expect_bytes(mb, m, 0, 2010);
            EXPECT_TRUE(m_writable(mb, m_nextm(mb, m)));
            EXPECT_OK(m_freem(mb, m));
        }
        harness_join(h, child);
        EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    }
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}

static void inherited(struct harness *h, void *ctx) {
    struct sm_mb *mb = h->h_arena->a_mb;
    struct mbuf *m = ctx;
    sm_arena_after_fork(h->h_arena);
    enum sm_err err = m_freem(mb, m);
    EXPECT(err == SM_FORKED || err == SM_NOT_OWNER, "freeing the parent's packet gave %s", sm_err_name(err));
    EXPECT_TRUE(m_pullup(mb, m, 15) == NULL);
    EXPECT(mb->mb_err == SM_FORKED || mb->mb_err == SM_NOT_OWNER, "changing it gave %s", sm_err_name(mb->mb_err));
    sm_arena_close(h->h_arena);
}

TEST(an_mbuf_inherited_by_fork_stays_the_parents) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 500);
    harness_join(h, harness_fork(h, inherited, m));
    expect_bytes(mb, m, 0, 510);
    EXPECT_OK(m_freem(mb, m));
}

TEST(a_cluster_of_each_size_is_attached_to_an_mbuf_without_one) {
    struct sm_mb *mb = mbufs(h);
    const uint32_t sizes[] = {MCLBYTES, MJUMPAGESIZE, MJUM9BYTES, MJUM16BYTES};
    const uint32_t types[] = {EXT_CLUSTER, EXT_JUMBOP, EXT_JUMBO9, EXT_JUMBO16};
    for (int i = 0; i < 4; i++) {
        struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
        EXPECT_FALSE(m_cljget(mb, m, SM_M_NOWAIT, sizes[i] + 1));
        EXPECT_EQ(mb->mb_err, SM_INVALID);
        EXPECT_TRUE(m_cljget(mb, m, SM_M_NOWAIT, sizes[i]));
        EXPECT_EQ(m_size(m), sizes[i]);
        EXPECT_EQ(m->m_ext.me_type, types[i]);
        EXPECT_EQ(m_refcnt(mb, m), 1);
        memset(mtod(mb, m), i, sizes[i]);
        EXPECT_FALSE(m_cljget(mb, m, SM_M_NOWAIT, sizes[i])); /* it has one */
        EXPECT_OK(m_freem(mb, m));
    }
}
