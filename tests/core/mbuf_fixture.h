/* mbuf_fixture.h - what the mbuf tests share: chains of given pieces, their bytes, and failures that are injected one by
 * one. Owns the hook table of the arena while a sweep runs.
 */
#ifndef TESTS_CORE_MBUF_FIXTURE_H
#define TESTS_CORE_MBUF_FIXTURE_H

#include <stdlib.h>

#include "harness.h"

#define UNUSED __attribute__((unused))

static UNUSED struct sm_mb *mbufs(struct harness *h) {
    struct sm_mb *mb = NULL;
    EXPECT_OK(sm_mb_open(h->h_arena, NULL, &mb));
    return mb;
}

/* Byte i of every test packet. */
static inline uint8_t pattern(uint64_t i) {
    return (uint8_t)(i * 131 + (i >> 8) * 7 + 3);
}

static UNUSED void fill(const struct sm_mb *mb, struct mbuf *m, uint32_t len, uint64_t from) {
    EXPECT_LE(m->m_win.w_data + len, m_start(mb, m) + m_size(m));
    for (uint32_t i = 0; i < len; i++) {
        mtod(mb, m)[i] = pattern(from + i);
    }
    m_set_len(m, len);
}

/* A chain of pieces: up to MHLEN and MLEN in the mbuf itself, beyond that in a cluster that fits; ended by ~0u. */
#define END UINT32_MAX
static UNUSED struct mbuf *chain(struct sm_mb *mb, uint32_t flags, const uint32_t *sizes) {
    struct mbuf *head = NULL, *tail = NULL;
    uint64_t done = 0;
    for (; *sizes != END; sizes++) {
        struct mbuf *m = m_get2(mb, *sizes, SM_M_NOWAIT, MT_DATA, head == NULL ? flags : 0);
        EXPECT(m != NULL, "m_get2: %s", sm_err_name(mb->mb_err));
        fill(mb, m, *sizes, done);
        done += *sizes;
        if (head == NULL) {
            head = m;
        } else {
            tail->m_next = m_off(mb, m);
        }
        tail = m;
    }
    if (flags & M_PKTHDR) {
        head->m_pkthdr.ph_len = (uint32_t)done;
    }
    return head;
}
#define CHAIN(mb, flags, ...) chain((mb), (flags), (const uint32_t[]){__VA_ARGS__, END})

/* The chain is sane and holds bytes from .. from + len of the pattern. */
static UNUSED void expect_bytes(struct sm_mb *mb, struct mbuf *m, uint64_t from, uint64_t len) {
    uint64_t at = 0;
    EXPECT_OK(m_sanity(mb, m, false));
    EXPECT_EQ(m_length(mb, m, NULL), len);
    for (struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        for (uint32_t i = 0; i < m_len(n); i++, at++) {
            EXPECT(mtod(mb, n)[i] == pattern(from + at), "byte %llu is wrong", (unsigned long long)at);
        }
    }
}

static UNUSED uint32_t mbufs_of(struct sm_mb *mb, const struct mbuf *m) {
    uint32_t n = 0;
    for (; m != NULL; m = m_nextm(mb, m)) {
        n++;
    }
    return n;
}

/* ---- what is in use, of every zone of the mbufs */

struct in_use {
    uint64_t u_used[SM_MBZ_COUNT];
};

static UNUSED struct in_use in_use(struct sm_mb *mb) {
    struct in_use u;
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        struct sm_zone_stats s;
        EXPECT_OK(sm_stats_zone(mb->mb_arena, mb->mb_zone[i]->z_id, &s));
        u.u_used[i] = s.zs_used;
    }
    /* A packet's mbuf may go to the zone mbuf while its cluster is shared: together they count. */
    u.u_used[SM_MBZ_MBUF] += u.u_used[SM_MBZ_PACKET];
    u.u_used[SM_MBZ_PACKET] = 0;
    return u;
}

static UNUSED void expect_in_use(struct sm_mb *mb, const struct in_use *before) {
    static const char *const names[SM_MBZ_COUNT] = {"mbuf",   "cluster", "packet", "jumbop",
                                                    "jumbo9", "jumbo16", "tag",    "extref"};
    struct in_use now = in_use(mb);
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        if (i == SM_MBZ_CLUSTER) {
            continue; /* cached packets hold some; the harness looks for lost ones */
        }
        EXPECT(now.u_used[i] == before->u_used[i], "zone %s: %llu in use, before %llu", names[i],
               (unsigned long long)now.u_used[i], (unsigned long long)before->u_used[i]);
    }
}

/* ---- the n-th fault point fails: SWEEP runs its body for n = 1, 2, ... until a run in which no point was left to fail */

struct sweep {
    struct sm_mb *w_mb;
    struct in_use w_before;
    uint64_t w_at, w_points, w_fired, w_refused;
};

static UNUSED enum sm_err sweep_fault(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    struct sweep *w = ctx;
    (void)zone, (void)bytes, (void)flags;
    if (p == SM_FP_LOCK || p == SM_FP_BUCKET || ++w->w_points != w->w_at) { /* a missing bucket fails nothing */
        return SM_OK;
    }
    w->w_fired++;
    return p == SM_FP_CTOR ? SM_CTOR_FAILED : p == SM_FP_INIT || p == SM_FP_ZINIT ? SM_INIT_FAILED : SM_NO_MEMORY;
}

static UNUSED void sweep_arm(struct sweep *w) {
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = w, .h_fault = sweep_fault};
    w->w_points = w->w_fired = 0;
    sm_arena_set_hooks(w->w_mb->mb_arena, &hooks);
}

static UNUSED void sweep_disarm(struct sweep *w) {
    sm_arena_set_hooks(w->w_mb->mb_arena, NULL);
}

static UNUSED bool sweep_next(struct sweep *w) {
    if (w->w_at > 0) {
        expect_in_use(w->w_mb, &w->w_before);
        EXPECT_EQ(harness_findings(w->w_mb->mb_arena, true), 0);
        if (w->w_fired == 0) {
            EXPECT_GT(w->w_refused, 0); /* a sweep that refused nothing proves nothing */
            return false;
        }
    }
    w->w_before = in_use(w->w_mb);
    w->w_at++;
    return true;
}
#define SWEEP(mb, w) for (struct sweep w = {.w_mb = (mb)}; sweep_next(&w);)
/* The call between arming and disarming. It may come through a failure (a bucket that is filled with fewer), but
 * without one it must not be refused. */
#define INJECT(w, call, refused)                                                                                       \
    do {                                                                                                               \
        sweep_arm(&(w));                                                                                               \
        call;                                                                                                          \
        sweep_disarm(&(w));                                                                                            \
        if (refused) {                                                                                                 \
            EXPECT_EQ((w).w_fired, 1);                                                                                 \
            (w).w_refused++;                                                                                           \
        }                                                                                                              \
    } while (0)

#endif
