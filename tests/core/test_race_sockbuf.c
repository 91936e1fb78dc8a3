/* test_race_sockbuf.c - sockbufs under threads that act as CPUs over one mapping, for ThreadSanitizer: bytes are written and
 * read plainly, so a missing release or acquire is a report; and with little room everybody sleeps at both sides, so a
 * lost wake-up is a timeout.
 */
#include "sockbuf_fixture.h"

#ifdef __SANITIZE_THREAD__
#define SENT 1500u
#else
#define SENT 8000u
#endif
#define WRITERS 2u
#define CPUS 4u

struct shared {
    uint32_t received; /* atomic */
    uint64_t sum; /* atomic */
};

struct message { /* the first bytes of a record */
    uint32_t g_writer, g_number, g_bytes;
};

static void send(struct harness_cpu *c, struct sm_sockbuf *sb) {
    static const uint8_t zero[3000];
    struct sm_mb *mb = sb->sb_mbufs;
    for (uint32_t i = 0; i < SENT; i++) {
        struct message g = {c->c_index, i, (uint32_t)harness_below(&c->c_random, i % 32 == 0 ? 3000 : 100)};
        struct mbuf *m = mbuf_with(mb, &g, sizeof g, MT_DATA, 0);
        enum sm_err err;
        m->m_next = m_off(mb, chain_with(mb, zero, g.g_bytes, 700));
        while ((err = sbappendrecord(sb, m)) == SM_FULL) {
            EXPECT_OK(sbwait(sb, SB_SPACE, sizeof g + g.g_bytes, -1));
        }
        EXPECT_OK(err);
    }
}

/* Whoever gets the last record tells the others, who may be asleep: nobody's wait has a deadline. */
static void say_goodbye(struct sm_sockbuf *sb) {
    struct message g = {.g_writer = WRITERS};
    for (uint32_t i = 1; i < CPUS - WRITERS; i++) {
        EXPECT_OK(sbappendrecord(sb, mbuf_with(sb->sb_mbufs, &g, sizeof g, MT_DATA, 0)));
    }
}

static void receive(struct harness_cpu *c, struct sm_sockbuf *sb) {
    struct shared *s = c->c_ctx;
    struct sm_mb *mb = sb->sb_mbufs;
    uint32_t next[WRITERS] = {0};
    uint8_t bytes[4096];
    for (;;) {
        struct mbuf *m;
        enum sm_err err = sbreceive(sb, UINT64_MAX, SM_M_WAITOK, &m);
        if (err == SM_EMPTY) {
            EXPECT_OK(sbwait(sb, SB_DATA, 0, -1));
            continue;
        }
        EXPECT_OK(err);
        struct message g;
        uint64_t len = chain_bytes(mb, m, bytes, sizeof bytes);
        memcpy(&g, bytes, sizeof g);
        EXPECT_LE(g.g_writer, WRITERS);
        if (g.g_writer == WRITERS) {
            EXPECT_OK(m_freem(mb, m));
            return;
        }
        EXPECT_EQ(len, sizeof g + g.g_bytes);
        EXPECT_GE(g.g_number, next[g.g_writer]); /* each sees each writer's records in order */
        next[g.g_writer] = g.g_number + 1;
        sm_add_acqrel(&s->sum, g.g_number);
        EXPECT_OK(m_freem(mb, m));
        if (sm_add_acqrel(&s->received, 1) + 1 == WRITERS * SENT) {
            say_goodbye(sb);
            return;
        }
        if (g.g_number % 64 == 0) {
            expect_whole(sb);
        }
    }
}

static void pass(struct harness_cpu *c) {
    struct sm_sockbuf *sb = open_sockbuf(mbufs_of(c->c_arena), "s");
    if (c->c_index < WRITERS) {
        send(c, sb);
    } else {
        receive(c, sb);
    }
    sm_sockbuf_close(sb);
}

static void run_records(struct harness *h, uint64_t hiwat) {
    struct shared s = {0};
    struct sm_sockbuf *sb = make_sockbuf(mbufs_of(h->h_arena), "s", hiwat, 0);
    harness_run_threads(h, CPUS, pass, &s);
    EXPECT_EQ(s.received, WRITERS * SENT);
    EXPECT_EQ(s.sum, WRITERS * ((uint64_t)SENT * (SENT - 1) / 2));
    EXPECT_EQ(sbused(sb), 0);
    finish_sockbuf(sb);
}

TEST(records_pass_between_threads_without_a_race) {
    run_records(h, 50000);
}

TEST(records_pass_between_threads_that_mostly_sleep) {
    run_records(h, 3100);
}

TEST_GEOMETRY(records_pass_between_threads_without_a_race_in_fenced_mode, .g_max_bytes = 64 << 20, .g_fenced = true) {
    run_records(h, 5000);
}

/* ---- a stream whose bytes are merged, looked at and cut while it grows */

static void grow_and_eat(struct harness_cpu *c) {
    struct sm_sockbuf *sb = open_sockbuf(mbufs_of(c->c_arena), "s");
    struct sm_mb *mb = sb->sb_mbufs;
    uint8_t bytes[2000];
    uint64_t at = 0, all = SENT * 20ull;
    while (at < all) {
        uint64_t len = 1 + harness_below(&c->c_random, 60);
        len = len < all - at ? len : all - at;
        if (c->c_index == 0) {
            struct mbuf *m = stream_chain(mb, at, len, 25);
            enum sm_err err;
            while ((err = sbappendstream(sb, m)) == SM_FULL) {
                EXPECT_OK(sbwait(sb, SB_SPACE, len, -1));
            }
            EXPECT_OK(err);
        } else {
            EXPECT_OK(sbwait(sb, SB_DATA, len, -1));
            EXPECT_OK(sb_copydata(sb, 0, len, bytes));
            expect_stream(bytes, at, len);
            struct mbuf *m = NULL;
            if (harness_below(&c->c_random, 2)) {
                EXPECT_OK(sbdrop(sb, len));
            } else {
                EXPECT_OK(sbreceive(sb, len, SM_M_WAITOK, &m));
                EXPECT_EQ(chain_bytes(mb, m, bytes, sizeof bytes), len);
                expect_stream(bytes, at, len);
                EXPECT_OK(m_freem(mb, m));
            }
        }
        at += len;
    }
    sm_sockbuf_close(sb);
}

TEST(a_stream_is_eaten_while_it_grows_without_a_race) {
    struct sm_sockbuf *sb = make_sockbuf(mbufs_of(h->h_arena), "s", 1500, 0);
    harness_run_threads(h, 2, grow_and_eat, NULL);
    EXPECT_EQ(sbused(sb), 0);
    finish_sockbuf(sb);
}

/* ---- sockbufs that come and go under their users */

static void come_and_go(struct harness_cpu *c) {
    struct sm_mb *mb = mbufs_of(c->c_arena);
    for (uint32_t i = 0; i < SENT / 10; i++) {
        struct sm_sockbuf *sb = NULL;
        enum sm_err err = sm_sockbuf_create(mb, "brief", 1000, 0, &sb);
        if (err == SM_EXISTS) {
            err = sm_sockbuf_open(mb, "brief", &sb);
        }
        if (err == SM_NOT_FOUND) {
            continue;
        }
        EXPECT_OK(err);
        struct mbuf *m = stream_chain(mb, 0, 10, 10);
        err = sbappendrecord(sb, m);
        EXPECT_TRUE(err == SM_OK || err == SM_GONE || err == SM_FULL);
        if (err != SM_OK) {
            EXPECT_OK(m_freem(mb, m));
        }
        err = sbdroprecord(sb);
        EXPECT_TRUE(err == SM_OK || err == SM_GONE);
        err = sm_sockbuf_destroy(sb);
        EXPECT_TRUE(err == SM_OK || err == SM_GONE || err == SM_BUSY);
        sm_sockbuf_close(sb);
    }
}

TEST(sockbufs_come_and_go_under_their_users) {
    struct sm_sockbuf *sb;
    (void)mbufs_of(h->h_arena);
    harness_run_threads(h, 4, come_and_go, NULL);
    if (sm_sockbuf_open(mbufs_of(h->h_arena), "brief", &sb) == SM_OK) {
        finish_sockbuf(sb);
    }
}
