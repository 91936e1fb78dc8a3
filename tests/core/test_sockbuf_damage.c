/* test_sockbuf_damage.c - chains that must not be appended, sockbufs whose counts, ends or links were overwritten, and
 * every failure that can be injected: each is a clear error, and nothing is lost, leaked or torn by it.
 */
#include "sockbuf_fixture.h"

static uint8_t buffer[65536];

/* ---- chains that are not the caller's, or no chains */

static void refuse(struct sm_sockbuf *sb, struct mbuf *m, enum sm_err err) {
    EXPECT_ERR(sbappend(sb, m), err);
    EXPECT_ERR(sbappendstream(sb, m), err);
    EXPECT_ERR(sbappendrecord(sb, m), err);
    EXPECT_ERR(sbappendaddr(sb, "x", 1, m, NULL, SM_M_NOWAIT), err);
    EXPECT_ERR(sbcompress(sb->sb_mbufs, m), err);
    EXPECT_EQ(sbused(sb), 0);
    expect_whole(sb);
}

TEST(chains_that_are_not_the_callers_are_refused) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_arena *other = harness_attach(h, "other");
    struct sm_mb *theirs = mbufs_of(other);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0), *inner = make_sockbuf(mb, "inner", 10000, 0);
    struct mbuf *m = stream_chain(theirs, 0, 500, 100);
    refuse(sb, m_at(mb, m_off(theirs, m)), SM_NOT_OWNER);
    EXPECT_OK(m_freem(theirs, m));
    m = stream_chain(mb, 0, 500, 100);
    struct mbuf *second = m_nextm(mb, m);
    EXPECT_OK(sbappend(inner, m)); /* compressed: the first stays, and is the sockbuf's now */
    refuse(sb, m, SM_NOT_OWNER);
    refuse(sb, second, SM_DOUBLE_FREE);
    EXPECT_OK(sbflush(inner));
    refuse(sb, m, SM_DOUBLE_FREE);
    refuse(sb, (struct mbuf *)(void *)((uint8_t *)m + 8), SM_MISALIGNED);
    finish_sockbuf(inner);
    finish_sockbuf(sb);
}

TEST(chains_that_cannot_be_are_refused) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0);
    struct mbuf *m = stream_chain(mb, 0, 500, 100), *n = m_nextm(mb, m);
    sm_off_t next = n->m_next;
    n->m_next = m_off(mb, m); /* a cycle */
    refuse(sb, m, SM_CORRUPT);
    n->m_next = mb->mb_first - MSIZE;
    refuse(sb, m, SM_CORRUPT);
    n->m_next = next;
    n->m_nextpkt = m_off(mb, m); /* left dirty: it would become a record's link */
    refuse(sb, m, SM_INVALID);
    n->m_nextpkt = 0;
    union sm_mwindow was = n->m_win;
    m_set(n, was.w_data, MLEN + 1); /* bytes beyond its storage */
    refuse(sb, m, SM_CORRUPT);
    m_set(n, was.w_data - 64, 10);
    refuse(sb, m, SM_CORRUPT);
    m_set(n, h->h_arena->a_bytes, 1);
    refuse(sb, m, SM_CORRUPT);
    n->m_win = was;
    struct mbuf *c = mbuf_with(mb, "c", 1, MT_CONTROL, 0);
    EXPECT_ERR(sbappendaddr(sb, NULL, 1, m, c, SM_M_NOWAIT), SM_INVALID);
    EXPECT_ERR(sbappendaddr(sb, "x", 0, m, c, SM_M_NOWAIT), SM_INVALID);
    EXPECT_ERR(sbappendaddr(sb, buffer, MLEN + 1, m, c, SM_M_NOWAIT), SM_INVALID);
    EXPECT_ERR(sbappendaddr(sb, "x", 1, m, m, SM_M_NOWAIT), SM_INVALID); /* data is no control */
    EXPECT_ERR(sbappendcontrol(sb, m, NULL), SM_INVALID);
    EXPECT_ERR(sbappendcontrol(sb, c, c), SM_INVALID); /* the same twice */
    c->m_next = m_off(mb, m);
    EXPECT_ERR(sbappendcontrol(sb, m, c), SM_INVALID); /* one runs into the other */
    EXPECT_EQ(chain_length(mb, m), 5);
    EXPECT_OK(m_freem(mb, c));
    EXPECT_ERR(sbwait(sb, (enum sb_side)7, 0, 0), SM_INVALID);
    EXPECT_ERR(sbwait(sb, SB_SPACE, 10001, 0), SM_INVALID);
    EXPECT_ERR(sbwait(sb, SB_DATA, UINT64_MAX, -1), SM_INVALID);
    EXPECT_ERR(sbwait(sb, SB_DATA, 0, 1000), SM_TIMEOUT);
    finish_sockbuf(sb);
}

TEST(a_read_only_attachment_may_only_look) {
    struct sm_arena *a = NULL;
    struct sm_mb *mb = mbufs_of(h->h_arena), *ro = NULL;
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0), *seen = NULL, *none;
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 10, 10)));
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "ro", &a));
    EXPECT_OK(sm_mb_find(a, &ro));
    EXPECT_OK(sm_sockbuf_open(ro, "s", &seen));
    EXPECT_EQ(sbused(seen), 10);
    EXPECT_EQ(sbspace(seen), 9990);
    EXPECT_ERR(sm_sockbuf_create(ro, "t", 10, 0, &none), SM_READ_ONLY);
    EXPECT_ERR(sbdrop(seen, 1), SM_READ_ONLY);
    EXPECT_ERR(sbwait(seen, SB_SPACE, 0, 0), SM_READ_ONLY);
    EXPECT_ERR(sb_copydata(seen, 0, 1, buffer), SM_READ_ONLY);
    EXPECT_ERR(sm_sockbuf_destroy(seen), SM_READ_ONLY);
    sm_sockbuf_close(seen);
    sm_arena_close(a);
    finish_sockbuf(sb);
}

/* ---- damage is seen and told */

static void expect_event(struct sm_arena *a, const char *text) {
    struct sm_event_shm e;
    bool told = false;
    for (uint64_t after = 0; sm_event_next(a, after, &e) == SM_OK; after = e.ev_seq) {
        told = told || strstr(e.ev_text, text) != NULL;
    }
    EXPECT(told, "no event says \"%s\"", text);
}

TEST(wrong_counts_and_ends_are_found_by_their_check) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "hurt", 10000, 0);
    struct sm_sockbuf_shm *s = sb->sb_shm;
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 0, 500, 200)));
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 500, 500, 200)));
    s->sb_cc += 7;
    EXPECT_ERR(sbcheck(sb), SM_CORRUPT);
    expect_event(h->h_arena, "[sockbuf: hurt] sbcheck: 1007 bytes counted, 1000 found");
    EXPECT_OK(sblastrecordchk(sb));
    EXPECT_EQ(harness_findings(h->h_arena, false), 1);
    s->sb_cc -= 7;
    s->sb_mbcnt -= MSIZE;
    EXPECT_ERR(sbcheck(sb), SM_CORRUPT);
    s->sb_mbcnt += MSIZE;
    sm_off_t last = s->sb_lastrecord, tail = s->sb_mbtail;
    s->sb_lastrecord = s->sb_mb;
    EXPECT_ERR(sblastrecordchk(sb), SM_CORRUPT);
    struct mbuf *m = stream_chain(mb, 0, 300, 300);
    EXPECT_ERR(sbappend(sb, m), SM_CORRUPT); /* would cut off the second record */
    expect_event(h->h_arena, "do not belong together");
    s->sb_lastrecord = last;
    s->sb_mbtail = last;
    EXPECT_ERR(sblastmbufchk(sb), SM_CORRUPT);
    EXPECT_ERR(sbappend(sb, m), SM_CORRUPT);
    s->sb_mbtail = tail;
    EXPECT_OK(sbappend(sb, m));
    sm_off_t mid = m_at(mb, s->sb_mb)->m_next;
    m_at(mb, s->sb_mb)->m_next = m_off(mb, m) + 3;
    EXPECT_ERR(sbcheck(sb), SM_CORRUPT);
    EXPECT_ERR(sbdrop(sb, 500), SM_CORRUPT);
    EXPECT_ERR(sbdroprecord(sb), SM_CORRUPT);
    EXPECT_ERR(sb_copydata(sb, 0, 1000, buffer), SM_CORRUPT);
    m_at(mb, s->sb_mb)->m_next = mid;
    expect_whole(sb);
    EXPECT_EQ(sbused(sb), 1300);
    finish_sockbuf(sb);
}

TEST(a_cycle_in_a_sockbuf_ends_every_walk) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0);
    const struct mbuf *m;
    uint32_t moff, follow;
    struct mbuf *got;
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 0, 0, 1)));
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 600, 600)));
    EXPECT_OK(sbdrop(sb, 600));
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 0, 600, 200)));
    struct mbuf *head = m_at(mb, sb->sb_shm->sb_mb), *tail = m_at(mb, sb->sb_shm->sb_mbtail);
    tail->m_next = m_off(mb, head);
    EXPECT_ERR(sbcheck(sb), SM_CORRUPT);
    EXPECT_ERR(sbdroprecord(sb), SM_CORRUPT);
    EXPECT_ERR(sbreceive(sb, 10000, SM_M_NOWAIT, &got), SM_CORRUPT);
    m_set_len(head, 0);
    m_set_len(tail, 0);
    m_set_len(m_nextm(mb, head), 0);
    EXPECT_ERR(sbsndptr(sb, 599, &m, &moff, &follow), SM_CORRUPT);
    tail->m_next = 0;
    EXPECT_ERR(sbcheck(sb), SM_CORRUPT);
    EXPECT_ERR(sbflush(sb), SM_CORRUPT);
    finish_sockbuf(sb);
}

TEST(flush_reports_empty_but_mbuf_still_attached_and_its_kin) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0);
    struct sm_sockbuf_shm *s = sb->sb_shm;
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 500, 100)));
    s->sb_cc = s->sb_mbcnt = 0;
    EXPECT_ERR(sbflush(sb), SM_CORRUPT);
    expect_event(h->h_arena, "flush: empty but mbuf 0x");
    EXPECT_OK(sbflush(sb)); /* it is empty and whole now */
    s->sb_cc = 10;
    s->sb_mbcnt = MSIZE;
    EXPECT_ERR(sbflush(sb), SM_CORRUPT);
    expect_event(h->h_arena, "flush: all is out, but 10 bytes in 256 of storage are counted");
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 500, 100)));
    s->sb_cc += 1;
    EXPECT_ERR(sbflush(sb), SM_CORRUPT);
    s->sb_cc = 5;
    struct mbuf *chain;
    EXPECT_ERR(sbcut(sb, 5, &chain), SM_CORRUPT);
    EXPECT_ERR(sb_copydata(sb, 0, 5, buffer), SM_CORRUPT);
    EXPECT_ERR(sbflush(sb), SM_CORRUPT);
    finish_sockbuf(sb);
}

/* ---- every failure */

struct faults {
    uint64_t f_left; /* points to pass before the one that fails */
    uint64_t f_fired;
};

static enum sm_err fail_nth(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    static const enum sm_err with[] = {
#define POINT_ERROR(id, name, err, text) [id] = err,
        SM_FAULT_POINTS(POINT_ERROR)
#undef POINT_ERROR
    };
    struct faults *f = ctx;
    if (f->f_left-- != 0) {
        return SM_OK;
    }
    f->f_fired++;
    return with[point];
}

/* The caller's until the call said SM_OK. */
static void offered(struct sm_mb *mb, enum sm_err err, struct mbuf *m, struct faults *f) {
    if (err != SM_OK) {
        struct faults none = {.f_left = UINT64_MAX};
        struct faults kept = *f;
        *f = none; /* what a failing free leaves behind is its own test's */
        EXPECT_OK(m_freem(mb, m));
        *f = kept;
    }
}

static void use_everything(struct sm_mb *mb, struct faults *f, struct mbuf *ready[6]) {
    struct sm_sockbuf *sb = NULL;
    struct mbuf *got = NULL;
    if (sm_sockbuf_create(mb, "s", 60000, 0, &sb) != SM_OK && sm_sockbuf_create(mb, "s", 60000, 0, &sb) != SM_OK) {
        EXPECT_TRUE(false);
    }
    offered(mb, sbappendrecord(sb, ready[0]), ready[0], f);
    offered(mb, sbappend(sb, ready[1]), ready[1], f);
    enum sm_err err = sbappendaddr(sb, "peer", 4, ready[2], ready[3], SM_M_NOWAIT);
    offered(mb, err, ready[2], f);
    offered(mb, err, ready[3], f);
    err = sbappendcontrol(sb, ready[4], ready[5]);
    offered(mb, err, ready[4], f);
    offered(mb, err, ready[5], f);
    if (sbused(sb) > 1500 && sbreceive(sb, 1000, SM_M_NOWAIT, &got) == SM_OK) {
        offered(mb, SM_EMPTY, got, f);
    }
    (void)sb_copydata(sb, 0, sbused(sb), buffer);
    (void)sbcheck(sb);
    (void)sbwait(sb, SB_SPACE, 1, 0);
    (void)sbreserve(sb, 50000, 0);
    f->f_left = UINT64_MAX;
    expect_whole(sb);
    finish_sockbuf(sb);
}

/* A CPU of its own for each run: what a stalled lock keeps inside the allocator belongs to it until it leaves. */
TEST(whichever_step_fails_nothing_is_lost_or_torn) {
    struct faults f = {0};
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &f, .h_fault = fail_nth};
    uint64_t points = 0;
    (void)mbufs_of(h->h_arena);
    do {
        struct sm_arena *a = harness_attach(h, "worker");
        struct sm_mb *mb = mbufs_of(a);
        struct mbuf *ready[6] = {stream_chain(mb, 0, 2000, 2000),   stream_chain(mb, 2000, 700, 20),
                                 stream_chain(mb, 2700, 3000, 900), mbuf_with(mb, "c", 1, MT_CONTROL, 0),
                                 stream_chain(mb, 0, 10, 10),       mbuf_with(mb, "d", 1, MT_CONTROL, 0)};
        f = (struct faults){.f_left = points++};
        sm_arena_set_hooks(a, &hooks);
        use_everything(mb, &f, ready);
        sm_arena_set_hooks(a, NULL);
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
        drain(mb);
        struct harness_census c = harness_census(h->h_arena);
        EXPECT_EQ(c.hc_kind[SM_HELD] + c.hc_kind[SM_ATTACHED], 0);
        harness_close(h, a);
        EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_CONSTRUCTING], 0);
    } while (f.f_fired != 0);
    EXPECT_GT(points, 10);
}
