/* test_mbuf_model.c - random operations on packets against plain bytes: after each, a packet's bytes, length and header
 * agree with its model; with and without injected failures, and with a second CPU. The seed is the harness's.
 */
#include "mbuf_fixture.h"

#define PACKETS 8
#define MOST 20000u
#define STEPS 30000

struct model {
    struct mbuf *o_m; /* NULL: none */
    uint8_t *o_bytes;
    uint32_t o_len;
    bool o_header;
    uint32_t o_tags;
};

struct run {
    struct sm_mb *r_mb[2];
    struct sm_queue *r_queue[2];
    struct model r_packet[PACKETS];
    uint64_t *r_random;
    uint32_t r_refuse; /* one fault point in so many fails; 0: none */
    uint64_t r_points, r_refused, r_done[32];
};

static uint64_t below(struct run *r, uint64_t bound) {
    return harness_below(r->r_random, bound);
}

static enum sm_err refuse(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    struct run *r = ctx;
    (void)zone, (void)bytes, (void)flags;
    if (r->r_refuse == 0 || p == SM_FP_LOCK || below(r, r->r_refuse) != 0) {
        return SM_OK;
    }
    r->r_points++;
    return p == SM_FP_CTOR                       ? SM_CTOR_FAILED
           : p == SM_FP_INIT || p == SM_FP_ZINIT ? SM_INIT_FAILED
           : p == SM_FP_PUT                      ? SM_FULL
           : p == SM_FP_GET                      ? SM_EMPTY
                                                 : SM_NO_MEMORY;
}

static void forget(struct model *o) {
    free(o->o_bytes);
    *o = (struct model){0};
}

static void compare(struct run *r, const struct model *o) {
    static uint8_t bytes[MOST + 4096];
    struct sm_mb *mb = r->r_mb[0];
    EXPECT_OK(m_sanity(mb, o->o_m, false));
    EXPECT_EQ(m_length(mb, o->o_m, NULL), o->o_len);
    EXPECT_EQ((o->o_m->m_flags & M_PKTHDR) != 0, o->o_header);
    EXPECT_OK(m_copydata(mb, o->o_m, 0, o->o_len, bytes));
    EXPECT_EQ(memcmp(bytes, o->o_bytes, o->o_len), 0);
    EXPECT_EQ(o->o_m->m_nextpkt, 0);
    uint32_t tags = 0;
    for (struct m_tag *t = o->o_header ? m_tag_first(mb, o->o_m) : NULL; t != NULL; t = m_tag_next(mb, t)) {
        tags++;
    }
    EXPECT_EQ(tags, o->o_tags);
}

static uint8_t *random_bytes(struct run *r, uint32_t len) {
    uint8_t *b = malloc(len + 1);
    uint64_t seed = harness_random(r->r_random);
    EXPECT_TRUE(b != NULL);
    for (uint32_t i = 0; i < len; i++) {
        b[i] = (uint8_t)(seed >> i % 57);
    }
    return b;
}

static struct model *empty_place(struct run *r) {
    for (int i = 0; i < PACKETS; i++) {
        if (r->r_packet[i].o_m == NULL) {
            return &r->r_packet[i];
        }
    }
    return NULL;
}

/* A result that is NULL is a refusal; one that frees takes the packet with it. */
static bool refused(struct run *r, struct model *o, const struct mbuf *result, bool frees) {
    if (result != NULL) {
        return false;
    }
    EXPECT(r->r_refuse > 0, "refused with nothing injected: %s", sm_err_name(r->r_mb[0]->mb_err));
    r->r_refused++;
    if (frees) {
        forget(o);
    }
    return true;
}

static void step_new(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    uint32_t len = (uint32_t)below(r, below(r, 4) == 0 ? 9000 : 400), done = 0;
    struct mbuf *m = m_getm2(mb, NULL, len, SM_M_NOWAIT, MT_DATA, below(r, 4) ? M_PKTHDR : 0);
    if (refused(r, o, m, false)) {
        return;
    }
    *o = (struct model){m, random_bytes(r, len), len, (m->m_flags & M_PKTHDR) != 0, 0};
    for (struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        uint32_t lead = done == 0 && len < m_size(n) ? (uint32_t)below(r, m_size(n) - len) : 0;
        uint32_t count = len - done < m_size(n) - lead ? len - done : m_size(n) - lead;
        m_set(n, m_start(mb, n) + lead, count);
        memcpy(mtod(mb, n), o->o_bytes + done, count);
        done += count;
    }
    EXPECT_EQ(done, len);
    if (o->o_header) {
        m->m_pkthdr.ph_len = len;
    }
}

static void step_prepend(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    uint32_t len = (uint32_t)below(r, 100);
    struct mbuf *m = M_PREPEND(mb, o->o_m, len, SM_M_NOWAIT);
    if (refused(r, o, m, true)) {
        return;
    }
    uint8_t *b = random_bytes(r, len + o->o_len);
    memcpy(b + len, o->o_bytes, o->o_len);
    memcpy(mtod(mb, m), b, len);
    free(o->o_bytes);
    o->o_m = m;
    o->o_bytes = b;
    o->o_len += len;
}

static void step_pull(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    uint32_t len = (uint32_t)below(r, (o->o_len < MHLEN ? o->o_len : MHLEN) + 1),
             lead = (uint32_t)below(r, MHLEN - len + 1);
    struct mbuf *m = below(r, 2) ? m_pullup(mb, o->o_m, len) : m_copyup(mb, o->o_m, len, lead);
    if (!refused(r, o, m, true)) {
        o->o_m = m;
        EXPECT_GE(m_len(m), len);
    }
}

static void step_pulldown(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    if (o->o_len == 0) {
        return;
    }
    uint32_t off = (uint32_t)below(r, o->o_len), most = o->o_len - off < MCLBYTES ? o->o_len - off : MCLBYTES, at = 0;
    uint32_t len = (uint32_t)below(r, most + 1);
    struct mbuf *m = m_pulldown(mb, o->o_m, off, len, below(r, 2) ? &at : NULL);
    if (!refused(r, o, m, true)) {
        EXPECT_GE(m_len(m), at + len);
        EXPECT_EQ(memcmp(mtod(mb, m) + at, o->o_bytes + off, len), 0);
    }
}

static void step_adj(struct run *r, struct model *o) {
    uint32_t len = (uint32_t)below(r, o->o_len / 3 + 1);
    bool front = below(r, 2);
    EXPECT_OK(m_adj(r->r_mb[0], o->o_m, front ? (int64_t)len : -(int64_t)len));
    EXPECT_ERR(m_adj(r->r_mb[0], o->o_m, (int64_t)o->o_len + 1), SM_INVALID);
    o->o_len -= len;
    memmove(o->o_bytes, o->o_bytes + (front ? len : 0), o->o_len);
}

static void step_split(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    struct model *p = empty_place(r);
    uint32_t at = (uint32_t)below(r, o->o_len + 1);
    if (p == NULL) {
        return;
    }
    struct mbuf *n = m_split(mb, o->o_m, at, SM_M_NOWAIT);
    if (n == NULL && mb->mb_err != SM_OK) {
        (void)refused(r, o, n, false);
        return;
    }
    if (n != NULL) {
        *p = (struct model){n, malloc(o->o_len - at + 1), o->o_len - at, o->o_header, 0};
        memcpy(p->o_bytes, o->o_bytes + at, p->o_len);
        compare(r, p);
    }
    o->o_len = at;
}

static void step_join(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    struct model *p = &r->r_packet[below(r, PACKETS)];
    if (p->o_m == NULL || p == o || o->o_len + p->o_len > MOST / 2 || o->o_header != p->o_header) {
        return;
    }
    EXPECT_OK(o->o_header ? m_catpkt(mb, o->o_m, p->o_m) : m_cat(mb, o->o_m, p->o_m));
    o->o_bytes = realloc(o->o_bytes, o->o_len + p->o_len + 1);
    memcpy(o->o_bytes + o->o_len, p->o_bytes, p->o_len);
    o->o_len += p->o_len;
    forget(p);
}

static void step_write(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    uint32_t off = (uint32_t)below(r, o->o_len + 300), len = (uint32_t)below(r, 3000);
    bool append = below(r, 2);
    off = append ? o->o_len : off;
    if (off + len > MOST / 2 || len == 0) {
        return;
    }
    uint8_t *b = random_bytes(r, len);
    enum sm_err err = append ? m_append(mb, o->o_m, len, b) : m_copyback(mb, o->o_m, off, len, b);
    if (err == SM_OK) {
        uint32_t end = off + len > o->o_len ? off + len : o->o_len;
        o->o_bytes = realloc(o->o_bytes, end + 1);
        memset(o->o_bytes + o->o_len, 0, end - o->o_len);
        memcpy(o->o_bytes + off, b, len);
        o->o_len = end;
    } else {
        EXPECT_TRUE(r->r_refuse > 0 || (err == SM_BUSY && !append));
        r->r_refused++;
    }
    free(b);
}

static void step_copy(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    struct model *p = empty_place(r);
    uint32_t off = (uint32_t)below(r, o->o_len + 1), len = (uint32_t)below(r, o->o_len - off + 1);
    uint64_t kind = below(r, 3);
    struct mbuf *n;
    if (p == NULL || (kind == 0 && len == 0) || (kind == 1 && !o->o_header)) {
        return;
    }
    n = kind == 0   ? m_copym(mb, o->o_m, off, len, SM_M_NOWAIT)
        : kind == 1 ? m_copypacket(mb, o->o_m, SM_M_NOWAIT)
                    : m_dup(mb, o->o_m, SM_M_NOWAIT);
    if (refused(r, o, n, false)) {
        return;
    }
    if (kind != 0) {
        off = 0;
        len = o->o_len;
    }
    bool header = o->o_header && off == 0;
    *p = (struct model){n, malloc(len + 1), len, header, header ? o->o_tags : 0};
    memcpy(p->o_bytes, o->o_bytes + off, len);
    compare(r, p);
}

static void step_pack(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    struct mbuf *m;
    switch (below(r, 4)) {
    case 0:
        m = m_fragment(mb, o->o_m, SM_M_NOWAIT, 1 + (uint32_t)below(r, 3000));
        o->o_m = refused(r, o, m, true) ? NULL : m;
        break;
    case 1:
        m = m_defrag(mb, o->o_m, SM_M_NOWAIT);
        o->o_m = refused(r, o, m, false) ? o->o_m : m;
        break;
    case 2:
        m = m_collapse(mb, o->o_m, SM_M_NOWAIT, 1 + (uint32_t)below(r, 8));
        EXPECT_TRUE(m != NULL || r->r_refuse > 0 || mb->mb_err == SM_INVALID);
        break;
    default:
        m = m_unshare(mb, o->o_m, SM_M_NOWAIT);
        o->o_m = refused(r, o, m, true) ? NULL : m;
        for (; m != NULL; m = m_nextm(mb, m)) {
            EXPECT_TRUE(m_writable(mb, m));
        }
    }
}

static void step_tag(struct run *r, struct model *o) {
    struct sm_mb *mb = r->r_mb[0];
    if (!o->o_header) {
        return;
    }
    if (o->o_tags > 3) {
        EXPECT_OK(m_tag_delete(mb, o->o_m, m_tag_first(mb, o->o_m)));
        o->o_tags--;
        return;
    }
    struct m_tag *t = m_tag_alloc(mb, 1, 2, 3, SM_M_NOWAIT);
    if (t == NULL) {
        EXPECT_TRUE(r->r_refuse > 0);
        return;
    }
    EXPECT_OK(m_tag_prepend(mb, o->o_m, t));
    o->o_tags++;
}

static void step_demote(struct run *r, struct model *o) {
    if (below(r, 4) == 0) {
        m_demote(r->r_mb[0], o->o_m, true);
        EXPECT_OK(r->r_mb[0]->mb_err);
        o->o_header = false;
        o->o_tags = 0;
    }
}

/* To the other CPU and back, which trims it on the way. */
static void step_travel(struct run *r, struct model *o) {
    struct mbuf *m = NULL;
    enum sm_err err = m_enqueue(r->r_mb[0], r->r_queue[0], o->o_m, 0);
    if (err != SM_OK) {
        EXPECT_TRUE(r->r_refuse > 0 && err == SM_FULL);
        return;
    }
    EXPECT_OK(m_dequeue(r->r_mb[1], r->r_queue[1], 0, &m));
    EXPECT_OK(m_sanity(r->r_mb[1], m, false));
    if (o->o_len > 0) {
        EXPECT_OK(m_adj(r->r_mb[1], m, 1));
        o->o_len--;
        memmove(o->o_bytes, o->o_bytes + 1, o->o_len);
    }
    if (below(r, 3) == 0) { /* freed there: its shared clusters may have their last holder here */
        EXPECT_OK(m_freem(r->r_mb[1], m));
        forget(o);
        return;
    }
    EXPECT_OK(m_enqueue(r->r_mb[1], r->r_queue[1], m, 0));
    while ((err = m_dequeue(r->r_mb[0], r->r_queue[0], 0, &o->o_m)) != SM_OK) {
        EXPECT_TRUE(r->r_refuse > 0 && err == SM_EMPTY);
    }
}

static void step_free(struct run *r, struct model *o) {
    EXPECT_OK(m_freem(r->r_mb[0], o->o_m));
    forget(o);
}

static void (*const steps[])(struct run *r, struct model *o) = {
    step_prepend, step_pull, step_pulldown, step_adj,    step_split,  step_join, step_write,
    step_copy,    step_pack, step_tag,      step_demote, step_travel, step_free};

static void run(struct harness *h, uint32_t refuse_one_in) {
    struct run r = {.r_random = &h->h_random, .r_refuse = refuse_one_in};
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &r, .h_fault = refuse};
    r.r_mb[0] = mbufs(h);
    EXPECT_OK(sm_mb_open(harness_attach(h, "other"), NULL, &r.r_mb[1]));
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 4, &r.r_queue[0]));
    EXPECT_OK(sm_queue_open(r.r_mb[1]->mb_arena, "q", 0, &r.r_queue[1]));
    sm_arena_set_hooks(h->h_arena, refuse_one_in ? &hooks : NULL);
    for (int i = 0; i < STEPS; i++) {
        struct model *o = &r.r_packet[below(&r, PACKETS)];
        size_t kind = below(&r, sizeof steps / sizeof steps[0]);
        if (o->o_m == NULL) {
            step_new(&r, o);
        } else {
            steps[kind](&r, o);
            r.r_done[kind]++;
        }
        if (o->o_m != NULL) {
            compare(&r, o);
        }
        if (i % 3000 == 0) {
            EXPECT_EQ(harness_findings(h->h_arena, true), 0);
        }
    }
    r.r_refuse = 0;
    sm_arena_set_hooks(h->h_arena, NULL);
    for (int i = 0; i < PACKETS; i++) {
        if (r.r_packet[i].o_m != NULL) {
            compare(&r, &r.r_packet[i]);
            step_free(&r, &r.r_packet[i]);
        }
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        EXPECT_GT(r.r_done[i], STEPS / 100);
    }
    EXPECT_EQ(r.r_points > 0 && r.r_refused > 0, refuse_one_in > 0);
    struct in_use u = in_use(r.r_mb[0]);
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        EXPECT_EQ(i == SM_MBZ_CLUSTER ? 0 : u.u_used[i], 0);
    }
    EXPECT_OK(sm_queue_destroy(r.r_queue[0]));
    sm_queue_close(r.r_queue[0]);
    sm_queue_close(r.r_queue[1]);
}

TEST(random_operations_agree_with_plain_bytes) {
    run(h, 0);
}

TEST(random_operations_with_random_failures_agree_with_plain_bytes) {
    run(h, 40);
}
