/* test_race_mbuf.c - mbufs under contention, with threads acting as CPUs over one mapping: shared clusters let go by two
 * at once, packets that cross CPUs, and the two defects of 2004 to 2007 that need more than one CPU. Owns nothing. Made for
 * ThreadSanitizer; runs with real processes too, where it stands.
 */
#include "harness.h"

#include <stdlib.h>

#define ROUNDS 1500
#define CLUSTERS 16

static struct sm_mb *mb_of(struct sm_arena *a) {
    struct sm_mb *mb;
    EXPECT_OK(sm_mb_find(a, &mb));
    return mb;
}

static uint64_t used(struct sm_mb *mb, enum sm_mb_zone which) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(mb->mb_arena, mb->mb_zone[which]->z_id, &s));
    return s.zs_used;
}

/* Everything out of the caches: a cached packet's cluster counts as used. */
static void expect_nothing_left(struct sm_arena *a) {
    struct sm_mb *mb = mb_of(a);
    uint64_t pages;
    EXPECT_OK(sm_arena_reclaim(a, SM_RECLAIM_DRAIN_CPU, &pages));
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        EXPECT_EQ(used(mb, (enum sm_mb_zone)i), 0);
    }
    EXPECT_EQ(harness_findings(a, true), 0);
}

static void must_get(struct sm_queue *q, struct sm_mb *mb, struct mbuf **m) {
    EXPECT_OK(m_dequeue(mb, q, -1, m));
}

/* ---- two last references */

/* CPU 0 makes packets with one copy each and gives the copy away; both ends are freed at about the same moment. */
static void share_and_free(struct harness_cpu *c) {
    struct sm_mb *mb = mb_of(c->c_arena);
    struct sm_queue *q;
    EXPECT_OK(sm_queue_open(c->c_arena, "copies", 0, &q));
    for (int i = 0; i < ROUNDS; i++) {
        struct mbuf *m = NULL;
        if (c->c_index == 0) {
            m = i % 3 ? m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR) : m_gethdr(mb, SM_M_WAITOK, MT_DATA);
            EXPECT_TRUE(m != NULL && (i % 3 || m_clget(mb, m, SM_M_WAITOK)));
            memset(mtod(mb, m), i, 100);
            m_set_len(m, 100);
            m->m_pkthdr.ph_len = 100;
            struct mbuf *copy = m_copypacket(mb, m, SM_M_WAITOK);
            EXPECT_TRUE(copy != NULL);
            EXPECT_OK(m_enqueue(mb, q, copy, -1));
        } else {
            must_get(q, mb, &m);
            EXPECT_EQ(mtod(mb, m)[99], (uint8_t)i);
        }
        EXPECT_OK(m_freem(mb, m));
    }
    sm_queue_close(q);
}

static void world(struct harness *h, int64_t clusters) {
    const struct sm_mb_params p = {.mp_nmbclusters = clusters};
    struct sm_mb *mb;
    struct sm_queue *q;
    EXPECT_OK(sm_mb_open(h->h_arena, &p, &mb));
    EXPECT_OK(sm_queue_create(h->h_arena, "copies", 4, &q));
    sm_queue_close(q);
}

/* In 2007 the old value of the fetch-and-add was compared with 0: two concurrent last releases leaked the cluster. */
TEST(two_concurrent_last_releases_free_the_cluster_exactly_once) {
    world(h, 64);
    harness_run_threads(h, 2, share_and_free, NULL);
    expect_nothing_left(h->h_arena);
}

TEST(two_processes_that_let_go_at_once_free_the_cluster_exactly_once) {
#ifndef __SANITIZE_THREAD__
    world(h, 64);
    harness_run_processes(h, 2, share_and_free, NULL);
    expect_nothing_left(h->h_arena);
#endif
}

/* ---- clusters that hide in packet caches */

/* Each takes a few packets and gives them back: together at most what there is, so that nobody waits for ever; but what
 * the caches of the others hold has to come back first. */
static void hoard(struct harness_cpu *c) {
    struct sm_mb *mb = mb_of(c->c_arena);
    struct mbuf *held[CLUSTERS / 2];
    for (int i = 0; i < ROUNDS / 5; i++) {
        uint32_t n = 1 + (uint32_t)harness_below(&c->c_random, CLUSTERS / 4);
        for (uint32_t k = 0; k < n; k++) {
            held[k] = k % 2 ? m_gethdr(mb, SM_M_WAITOK, MT_DATA) : m_getcl(mb, SM_M_WAITOK, MT_DATA, M_PKTHDR);
            EXPECT_TRUE(held[k] != NULL);
            if (k % 2) { /* a plain cluster: what the packet zones of the others have cached must come back for it */
                EXPECT_TRUE(m_clget(mb, held[k], SM_M_WAITOK));
            }
        }
        for (uint32_t k = 0; k < n; k++) {
            EXPECT_OK(m_freem(mb, held[k]));
        }
    }
}

/* In 2005 all clusters could lie in packet caches while whoever slept for a cluster was never woken. */
TEST(who_sleeps_for_a_cluster_is_woken_although_packets_are_freed_to_their_own_zone) {
    world(h, CLUSTERS);
    harness_run_threads(h, 4, hoard, NULL);
    expect_nothing_left(h->h_arena);
}

TEST(processes_that_sleep_for_clusters_are_woken_by_packets) {
#ifndef __SANITIZE_THREAD__
    world(h, CLUSTERS);
    harness_run_processes(h, 4, hoard, NULL);
    expect_nothing_left(h->h_arena);
#endif
}
