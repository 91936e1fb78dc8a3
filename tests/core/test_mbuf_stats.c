/* test_mbuf_stats.c - the figures of netstat -m against what was done, against a recount from the state words in a run of
 * four processes, on a read-only attachment, on a dump, and on damage.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

static struct sm_mb *open_mbufs(struct sm_arena *a, int64_t clusters) {
    struct sm_mb *mb = NULL;
    const struct sm_mb_params p = {.mp_nmbclusters = clusters};
    EXPECT_OK(sm_mb_open(a, &p, &mb));
    return mb;
}

/* Packets in caches give their clusters back, which the harness would miss. */
static void drain_packets(struct sm_mb *mb) {
    uint64_t items, slabs;
    EXPECT_OK(sm_zone_reclaim(mb->mb_zone[SM_MBZ_PACKET], SM_RECLAIM_DRAIN_CPU, &items, &slabs));
}

static struct sm_mb_stats stats_of(struct sm_arena *a) {
    struct sm_mb_stats s;
    EXPECT_OK(sm_mb_stats(a, &s));
    return s;
}

/* What holds at any moment, whatever others do meanwhile. */
static void expect_arithmetic(const struct sm_mb_stats *s) {
    const struct sm_mb_use *const lines[] = {&s->nm_mbufs,  &s->nm_clusters, &s->nm_packets, &s->nm_jumbop,
                                             &s->nm_jumbo9, &s->nm_jumbo16,  &s->nm_tags,    &s->nm_extrefs};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        EXPECT_EQ(lines[i]->mu_current + lines[i]->mu_cache, lines[i]->mu_total);
    }
    EXPECT_EQ(s->nm_bytes.by_current + s->nm_bytes.by_cache, s->nm_bytes.by_total);
    EXPECT_EQ(s->nm_bytes.by_total, s->nm_mbufs.mu_total * MSIZE + s->nm_clusters.mu_total * MCLBYTES +
                                        s->nm_jumbop.mu_total * MJUMPAGESIZE + s->nm_jumbo9.mu_total * MJUM9BYTES +
                                        s->nm_jumbo16.mu_total * MJUM16BYTES + s->nm_tags.mu_current * MTAG_BYTES);
    EXPECT_LE(s->nm_packets.mu_total, s->nm_mbufs.mu_total);
}

/* ---------------------------------------------------------------- a recount that knows nothing of counters */

struct recount {
    struct sm_mb *r_mb;
    uint64_t r_mbufs, r_mbufs_idle, r_packets, r_packets_idle, r_clusters, r_clusters_idle, r_jumbo[3], r_jumbo_idle[3];
    uint64_t r_tags, r_extrefs, r_type[MT_NTYPES];
    uint8_t *r_referred; /* one byte a 2 KiB place of the data region: an mbuf that is out refers to this cluster */
};

static bool is_out(enum sm_kind kind) {
    return kind == SM_HELD || kind == SM_QUEUED || kind == SM_TICKETED || kind == SM_ATTACHED;
}

static int recount_slab(const struct sm_slab_ref *s, void *ctx) {
    struct recount *r = ctx;
    struct sm_arena *a = r->r_mb->mb_arena;
    struct sm_zone *const *zone = r->r_mb->mb_zone;
    for (uint32_t i = 0; i < a->a_kegs[s->sr_keg].k_items; i++) {
        uint64_t w = sm_load_acq(&s->sr_words[i]);
        enum sm_kind kind = SM_ST_KIND(w);
        bool out = is_out(kind);
        EXPECT_NE(kind, SM_CONSTRUCTING);
        if (s->sr_keg == zone[SM_MBZ_MBUF]->z_shm->z_keg) {
            const struct mbuf *m = sm_at(a, sm_slab_item(a, s, i));
            bool packet = kind != SM_FREE && SM_ST_ZONE(w) == zone[SM_MBZ_PACKET]->z_id;
            r->r_mbufs += out;
            r->r_mbufs_idle += !out;
            r->r_packets += out && packet;
            r->r_packets_idle += !out && packet;
            if (out) {
                EXPECT_LT(m->m_type, MT_NTYPES);
                r->r_type[m->m_type]++;
                if (m->m_flags & M_EXT && (m->m_ext.me_type == EXT_CLUSTER || m->m_ext.me_type == EXT_PACKET)) {
                    r->r_referred[m->m_ext.me_buf / MCLBYTES] = 1;
                }
            }
        } else if (s->sr_keg == zone[SM_MBZ_CLUSTER]->z_shm->z_keg) {
            EXPECT_TRUE(kind == SM_ATTACHED || kind == SM_CACHED || kind == SM_FREE);
            r->r_clusters_idle += kind != SM_ATTACHED; /* those of idle packets are added below */
        } else if (s->sr_keg == zone[SM_MBZ_TAG]->z_shm->z_keg) {
            r->r_tags += out;
        } else if (s->sr_keg == zone[SM_MBZ_EXTREF]->z_shm->z_keg) {
            r->r_extrefs += out;
        }
        for (int j = 0; j < 3; j++) {
            if (s->sr_keg == zone[SM_MBZ_JUMBOP + j]->z_shm->z_keg) {
                r->r_jumbo[j] += out;
                r->r_jumbo_idle[j] += !out;
            }
        }
    }
    return 0;
}

/* With everybody standing still. Clusters in use are those that an mbuf in use refers to, counted once each. */
static void expect_recounted(struct sm_mb *mb, const struct sm_mb_stats *s) {
    struct recount r = {.r_mb = mb};
    uint64_t places = mb->mb_arena->a_bytes / MCLBYTES + 1;
    r.r_referred = calloc(places, 1);
    EXPECT_TRUE(r.r_referred != NULL);
    (void)sm_slab_each(mb->mb_arena, 0, recount_slab, &r);
    for (uint64_t i = 0; i < places; i++) {
        r.r_clusters += r.r_referred[i];
    }
    free(r.r_referred);
    expect_arithmetic(s);
    EXPECT_EQ(s->nm_mbufs.mu_current, r.r_mbufs);
    EXPECT_EQ(s->nm_mbufs.mu_cache, r.r_mbufs_idle);
    EXPECT_EQ(s->nm_packets.mu_current, r.r_packets);
    EXPECT_EQ(s->nm_packets.mu_cache, r.r_packets_idle);
    EXPECT_EQ(s->nm_clusters.mu_current, r.r_clusters);
    EXPECT_EQ(s->nm_clusters.mu_cache, r.r_clusters_idle + r.r_packets_idle);
    EXPECT_EQ(s->nm_jumbop.mu_current, r.r_jumbo[0]);
    EXPECT_EQ(s->nm_jumbop.mu_cache, r.r_jumbo_idle[0]);
    EXPECT_EQ(s->nm_jumbo9.mu_current, r.r_jumbo[1]);
    EXPECT_EQ(s->nm_jumbo9.mu_cache, r.r_jumbo_idle[1]);
    EXPECT_EQ(s->nm_jumbo16.mu_current, r.r_jumbo[2]);
    EXPECT_EQ(s->nm_jumbo16.mu_cache, r.r_jumbo_idle[2]);
    EXPECT_EQ(s->nm_tags.mu_current, r.r_tags);
    EXPECT_EQ(s->nm_extrefs.mu_current, r.r_extrefs);
    for (int t = 0; t < MT_NTYPES; t++) {
        EXPECT(s->nm_type[t] == r.r_type[t], "type %d: %llu and %llu", t, (unsigned long long)s->nm_type[t],
               (unsigned long long)r.r_type[t]);
    }
    EXPECT_EQ(s->nm_type_unknown, 0);
}

/* ---------------------------------------------------------------- one CPU */

TEST(an_arena_without_mbufs_has_no_figures) {
    struct sm_mb_stats s;
    EXPECT_ERR(sm_mb_stats(h->h_arena, &s), SM_NOT_FOUND);
}

TEST(each_line_follows_what_was_taken_and_given_back) {
    struct sm_arena *a = h->h_arena;
    struct sm_mb *mb = open_mbufs(a, 512);
    struct mbuf *m[16];
    struct sm_mb_stats s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_mbufs.mu_total, 0);
    EXPECT_EQ(s.nm_clusters.mu_max, sm_mb_get_limit(mb, SM_MBZ_CLUSTER));
    EXPECT_EQ(s.nm_jumbo9.mu_max, sm_mb_get_limit(mb, SM_MBZ_JUMBO9));
    for (int i = 0; i < 4; i++) {
        m[i] = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
        m[4 + i] = m_get(mb, SM_M_NOWAIT, MT_SONAME);
        m[8 + i] = m_getjcl(mb, SM_M_NOWAIT, MT_CONTROL, 0, i == 0 ? MJUMPAGESIZE : i == 1 ? MJUM9BYTES : MJUM16BYTES);
        m[12 + i] = m_gethdr(mb, SM_M_NOWAIT, MT_OOBDATA);
        EXPECT_TRUE(m[i] && m[4 + i] && m[8 + i] && m[12 + i]);
    }
    EXPECT_TRUE(m_clget(mb, m[4], SM_M_NOWAIT));
    EXPECT_OK(m_extaddref(mb, m[0], m[5])); /* a packet's cluster, twice */
    struct m_tag *tag = m_tag_alloc(mb, 7, 1, 40, SM_M_NOWAIT);
    EXPECT_TRUE(tag != NULL);
    EXPECT_OK(m_tag_prepend(mb, m[12], tag));
    s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_mbufs.mu_current, 16);
    EXPECT_EQ(s.nm_packets.mu_current, 4);
    EXPECT_EQ(s.nm_clusters.mu_current, 5);
    EXPECT_EQ(s.nm_jumbop.mu_current, 1);
    EXPECT_EQ(s.nm_jumbo9.mu_current, 1);
    EXPECT_EQ(s.nm_jumbo16.mu_current, 2);
    EXPECT_EQ(s.nm_tags.mu_current, 1);
    EXPECT_EQ(s.nm_bytes.by_current,
              16 * MSIZE + 5 * MCLBYTES + MJUMPAGESIZE + MJUM9BYTES + 2 * MJUM16BYTES + MTAG_BYTES);
    EXPECT_EQ(s.nm_type[MT_DATA], 4);
    EXPECT_EQ(s.nm_type[MT_SONAME], 4);
    EXPECT_EQ(s.nm_type[MT_CONTROL], 4);
    EXPECT_EQ(s.nm_type[MT_OOBDATA], 4);
    EXPECT_OK(m_free(mb, m[0], NULL)); /* its cluster lives on in m[5] */
    s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_packets.mu_current, 3);
    EXPECT_EQ(s.nm_clusters.mu_current, 5);
    for (int i = 1; i < 16; i++) {
        EXPECT_OK(m_free(mb, m[i], NULL));
    }
    s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_mbufs.mu_current, 0);
    EXPECT_EQ(s.nm_clusters.mu_current, 0);
    EXPECT_EQ(s.nm_bytes.by_current, 0);
    EXPECT_GE(s.nm_packets.mu_cache, 4); /* cached packets keep their clusters, which nobody uses */
    EXPECT_GE(s.nm_clusters.mu_cache, s.nm_packets.mu_cache);
    drain_packets(mb);
    s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_packets.mu_total, 0);
}

static int drained(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)mem, (void)bytes, (void)arg, (void)how, (void)ctx;
    return 0;
}

TEST(denied_requests_and_calls_to_drain_routines_are_counted) {
    struct sm_arena *a = h->h_arena;
    struct sm_mb *mb = open_mbufs(a, 8);
    struct sm_callback_shm cb = {.cb_kind = SM_CB_NATIVE, .cb_name = "test_mbuf_stats_drain"};
    EXPECT_OK(sm_zone_register("test_mbuf_stats_drain", drained));
    EXPECT_OK(sm_mb_add_drain(mb, &cb));
    struct mbuf *m[64];
    int n = 0;
    while ((m[n] = m_getcl(mb, SM_M_NOWAIT, MT_DATA, 0)) != NULL) {
        EXPECT_LT(++n, 64);
    }
    struct sm_mb_stats s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_clusters.mu_current, n);
    EXPECT_EQ(s.nm_clusters.mu_current, s.nm_clusters.mu_max);
    EXPECT_GE(s.nm_clusters.mu_denied, 1);
    EXPECT_GE(s.nm_packets.mu_denied, 1);
    EXPECT_EQ(s.nm_mbufs.mu_denied, 0);
    EXPECT_GE(s.nm_drain_calls, 1);
    EXPECT_GT(s.nm_drained_ns, 0);
    struct mbuf *plain = m_get(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_FALSE(m_clget(mb, plain, SM_M_NOWAIT));
    struct sm_mb_stats later = stats_of(a);
    EXPECT_EQ(later.nm_clusters.mu_denied, s.nm_clusters.mu_denied + 1);
    EXPECT_EQ(later.nm_packets.mu_denied, s.nm_packets.mu_denied);
    EXPECT_OK(m_free(mb, plain, NULL));
    while (n > 0) {
        EXPECT_OK(m_free(mb, m[--n], NULL));
    }
    drain_packets(mb);
}

TEST(a_read_only_attachment_and_a_dump_show_the_same_figures) {
    struct sm_arena *a = h->h_arena, *reader, *copy;
    struct sm_mb *mb = open_mbufs(a, 512);
    struct mbuf *m = m_getm2(mb, NULL, 9000, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    EXPECT_TRUE(m != NULL);
    struct sm_mb_stats mine = stats_of(a), seen;
    expect_recounted(mb, &mine);
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "reader", &reader));
    EXPECT_OK(sm_mb_stats(reader, &seen));
    EXPECT_EQ(memcmp(&mine, &seen, sizeof mine), 0);
    sm_arena_close(reader);
    struct sm_dump_report report;
    int fd = harness_memfd(h);
    EXPECT_OK(sm_dump(a, fd, &report));
    EXPECT_OK(sm_arena_attach(fd, false, NULL, "copy", &copy));
    EXPECT_OK(sm_mb_stats(copy, &seen));
    EXPECT_EQ(memcmp(&mine, &seen, sizeof mine), 0);
    sm_arena_close(copy);
    EXPECT_OK(m_freem(mb, m));
    drain_packets(mb);
}

/* ---------------------------------------------------------------- damage */

TEST(damage_is_counted_or_named_and_never_followed) {
    struct sm_arena *a = h->h_arena;
    struct sm_mb *mb = open_mbufs(a, 512);
    struct mbuf *m = m_get(mb, SM_M_NOWAIT, MT_DATA);
    struct sm_mb_stats s;
    m->m_type = 0xdeadc0de;
    s = stats_of(a);
    EXPECT_EQ(s.nm_type_unknown, 1);
    EXPECT_EQ(s.nm_type[MT_DATA], 0);
    m->m_type = MT_DATA;
    uint32_t zone = mb->mb_shm->mb_zone[SM_MBZ_PACKET];
    const uint32_t zones[] = {UINT32_MAX, a->a_header->h_max_zones, a->a_header->h_max_zones - 1};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        mb->mb_shm->mb_zone[SM_MBZ_PACKET] = zones[i];
        EXPECT_ERR(sm_mb_stats(a, &s), SM_CORRUPT);
    }
    mb->mb_shm->mb_zone[SM_MBZ_PACKET] = zone;
    sm_off_t region = a->a_ctl->ctl_mbuf;
    const sm_off_t regions[] = {1, region + 8, a->a_bytes, ~0ull, ~0ull << SM_PAGE_SHIFT};
    for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
        a->a_ctl->ctl_mbuf = regions[i];
        EXPECT_ERR(sm_mb_stats(a, &s), SM_CORRUPT);
    }
    a->a_ctl->ctl_mbuf = region;
    EXPECT_OK(m_free(mb, m, NULL));
}

/* Bytes of the tables and of the page directory at random: any figures, but an end, and inside the mapping. */
TEST(figures_of_an_arena_damaged_at_random_come_to_an_end) {
    struct sm_arena *a = h->h_arena, *copy;
    struct sm_mb *mb = open_mbufs(a, 512);
    struct mbuf *m = m_getm2(mb, NULL, 30000, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    struct sm_dump_report report;
    struct sm_mb_stats s;
    EXPECT_TRUE(m != NULL);
    int fd = harness_memfd(h);
    EXPECT_OK(sm_dump(a, fd, &report));
    EXPECT_OK(sm_arena_attach(fd, false, NULL, "copy", &copy));
    uint64_t frontier = a->a_ctl->ctl_frontier, named = 0;
    for (int round = 0; round < 2000; round++) {
        sm_off_t at;
        switch (harness_below(&h->h_random, 4)) {
        case 0:
            at = sm_off_of(a, a->a_zones) + harness_below(&h->h_random, 10 * sizeof *a->a_zones);
            break;
        case 1:
            at = sm_off_of(a, a->a_kegs) + harness_below(&h->h_random, 10 * sizeof *a->a_kegs);
            break;
        case 2:
            at = sm_off_of(a, a->a_pagedir) + harness_below(&h->h_random, frontier * 8);
            break;
        default:
            at = a->a_ctl->ctl_mbuf + harness_below(&h->h_random, 256);
        }
        uint8_t was, bad = (uint8_t)harness_random(&h->h_random);
        EXPECT_EQ(pread(fd, &was, 1, (off_t)at), 1);
        EXPECT_EQ(pwrite(fd, &bad, 1, (off_t)at), 1);
        enum sm_err err = sm_mb_stats(copy, &s);
        EXPECT_TRUE(err == SM_OK || err == SM_CORRUPT || err == SM_NOT_FOUND);
        named += err == SM_CORRUPT;
        EXPECT_EQ(pwrite(fd, &was, 1, (off_t)at), 1);
    }
    EXPECT_GT(named, 0);
    EXPECT_OK(sm_mb_stats(copy, &s));
    sm_arena_close(copy);
    EXPECT_OK(m_freem(mb, m));
    drain_packets(mb);
}

/* ---------------------------------------------------------------- four processes */

#define CPUS 4
#define ROUNDS 30
#define STEPS 600
#define HELD_MOST 48
#define KEPT 5 /* MT_SONAME mbufs that each process has from the first round to the last */

struct meeting { /* in memory that all of them share */
    pthread_barrier_t t_barrier; /* of the CPUs and the checker */
    uint32_t t_arrived; /* CPUs that have done this round's steps */
};

struct worker {
    struct meeting *w_meeting;
    uint32_t w_index;
};

static struct mbuf *take_one(struct sm_mb *mb, uint64_t *random) {
    static const uint32_t jumbo[] = {MJUMPAGESIZE, MJUM9BYTES, MJUM16BYTES};
    static const int types[] = {MT_DATA, MT_CONTROL, MT_OOBDATA};
    int type = types[harness_below(random, 3)];
    struct mbuf *m;
    switch (harness_below(random, 6)) {
    case 0:
        return m_get(mb, SM_M_NOWAIT, type);
    case 1:
        m = m_gethdr(mb, SM_M_NOWAIT, type);
        if (m != NULL) {
            struct m_tag *tag = m_tag_alloc(mb, 1, 2, 16, SM_M_NOWAIT);
            if (tag != NULL) {
                EXPECT_OK(m_tag_prepend(mb, m, tag));
            }
        }
        return m;
    case 2:
        m = m_get(mb, SM_M_NOWAIT, type);
        (void)(m != NULL && m_clget(mb, m, SM_M_NOWAIT));
        return m;
    case 3:
        return m_getjcl(mb, SM_M_NOWAIT, type, 0, jumbo[harness_below(random, 3)]);
    default:
        return m_getcl(mb, SM_M_NOWAIT, type, M_PKTHDR);
    }
}

static void work(struct harness *h, void *ctx) {
    struct worker *w = ctx;
    struct meeting *meeting = w->w_meeting;
    struct sm_arena *a = harness_attach(h, "worker");
    uint64_t random = harness_seed_of(h, w->w_index);
    struct sm_mb *mb = NULL;
    struct sm_queue *q;
    struct mbuf *held[HELD_MOST], *kept[KEPT], *other;
    uint32_t n = 0;
    EXPECT_OK(sm_mb_find(a, &mb));
    EXPECT_OK(sm_queue_open(a, "packets", 0, &q));
    for (int i = 0; i < KEPT; i++) {
        kept[i] = m_get(mb, SM_M_WAITOK, MT_SONAME);
        EXPECT_TRUE(kept[i] != NULL);
    }
    pthread_barrier_wait(&meeting->t_barrier);
    for (int round = 0; round < ROUNDS; round++) {
        for (int step = 0; step < STEPS; step++) {
            uint64_t dice = harness_below(&random, 8);
            if (dice < 4 && n < HELD_MOST) {
                held[n] = take_one(mb, &random);
                n += held[n] != NULL;
            } else if (dice == 4 && n > 0 && n < HELD_MOST && held[0]->m_flags & M_EXT) { /* share its storage */
                other = m_get(mb, SM_M_NOWAIT, MT_DATA);
                if (other != NULL) {
                    EXPECT_OK(m_extaddref(mb, held[0], other));
                    held[n++] = other;
                }
            } else if (dice == 5 && n > 0) { /* to whoever takes it */
                uint32_t i = (uint32_t)harness_below(&random, n);
                if (m_enqueue(mb, q, held[i], 0) == SM_OK) {
                    held[i] = held[--n];
                }
            } else if (dice == 6 && n < HELD_MOST) {
                n += m_dequeue(mb, q, 0, &held[n]) == SM_OK;
            } else if (n > 0) {
                uint32_t i = (uint32_t)harness_below(&random, n);
                EXPECT_OK(m_freem(mb, held[i]));
                held[i] = held[--n];
            }
        }
        sm_add_acqrel(&meeting->t_arrived, 1);
        pthread_barrier_wait(&meeting->t_barrier); /* all stand still: the checker counts */
        pthread_barrier_wait(&meeting->t_barrier);
    }
    while (n > 0) {
        EXPECT_OK(m_freem(mb, held[--n]));
    }
    for (int i = 0; i < KEPT; i++) {
        EXPECT_OK(m_freem(mb, kept[i]));
    }
    sm_queue_close(q);
    harness_close(h, a);
}

/* Read-only, while they run: what must hold at every moment. */
static void watch(struct sm_arena *reader, struct meeting *meeting, struct sm_mb_stats *before) {
    do {
        struct sm_mb_stats s = stats_of(reader);
        expect_arithmetic(&s);
        EXPECT_EQ(s.nm_type[MT_SONAME], CPUS * KEPT);
        EXPECT_EQ(s.nm_type_unknown, 0);
        EXPECT_GE(s.nm_clusters.mu_denied, before->nm_clusters.mu_denied);
        EXPECT_GE(s.nm_packets.mu_denied, before->nm_packets.mu_denied);
        EXPECT_GE(s.nm_drain_calls, before->nm_drain_calls);
        *before = s;
    } while (sm_load_acq(&meeting->t_arrived) < CPUS);
}

TEST(figures_equal_a_recount_of_the_state_words_in_a_run_of_four_processes) {
    struct sm_arena *a = h->h_arena, *reader;
    struct sm_mb *mb = open_mbufs(a, 96); /* few: some requests fail */
    struct sm_queue *q;
    pthread_barrierattr_t shared;
    pid_t child[CPUS];
    struct meeting *meeting = mmap(NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_TRUE(meeting != MAP_FAILED);
    EXPECT_EQ(pthread_barrierattr_init(&shared), 0);
    EXPECT_EQ(pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED), 0);
    EXPECT_EQ(pthread_barrier_init(&meeting->t_barrier, &shared, CPUS + 1), 0);
    EXPECT_OK(sm_queue_create(a, "packets", 16, &q));
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "reader", &reader));
    for (uint32_t i = 0; i < CPUS; i++) {
        struct worker w = {meeting, i};
        child[i] = harness_fork(h, work, &w);
    }
    struct sm_mb_stats before = {0};
    pthread_barrier_wait(&meeting->t_barrier);
    for (int round = 0; round < ROUNDS; round++) {
        watch(reader, meeting, &before);
        pthread_barrier_wait(&meeting->t_barrier);
        sm_store_rel(&meeting->t_arrived, 0);
        struct sm_mb_stats s = stats_of(reader), same = stats_of(a);
        expect_recounted(mb, &s);
        EXPECT_EQ(memcmp(&s, &same, sizeof s), 0);
        EXPECT_EQ(s.nm_packets.mu_current > 0 && s.nm_clusters.mu_current > 0, 1);
        pthread_barrier_wait(&meeting->t_barrier);
    }
    for (uint32_t i = 0; i < CPUS; i++) {
        harness_join(h, child[i]);
    }
    EXPECT_GT(before.nm_clusters.mu_denied, 0);
    struct mbuf *m;
    while (m_dequeue(mb, q, 0, &m) == SM_OK) {
        EXPECT_OK(m_freem(mb, m));
    }
    sm_queue_close(q);
    struct sm_mb_stats s = stats_of(a);
    expect_recounted(mb, &s);
    EXPECT_EQ(s.nm_bytes.by_current, 0);
    drain_packets(mb);
    sm_arena_close(reader);
    munmap(meeting, sizeof *meeting);
}
