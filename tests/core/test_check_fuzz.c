/* test_check_fuzz.c - the checker, and the walk that tells who holds what, on hostile images: flipped bits and random bytes
 * in every table behind a good header, and in mbufs. They must come back, in time, without a crash. Only a read-only attachment looks, so no lock of the image is used.
 * Owns a log of what it changed, and puts it back.
 */
#include "harness.h"

#include <stdlib.h>

#define CHANGES 64

struct target { /* a stretch of the object that is in use */
    uint8_t *t_mem;
    uint64_t t_bytes;
};

struct undo {
    uint64_t *u_word;
    uint64_t u_old;
};

/* A packet, a copy that shares its cluster, a tag, and a sockbuf with two records. */
static void mbufs(struct sm_arena *a, void **held) {
    struct sm_mb *mb;
    struct sm_sockbuf *sb;
    EXPECT_OK(sm_mb_open(a, NULL, &mb));
    struct mbuf *m = m_getm2(mb, NULL, 900, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
    EXPECT_TRUE(m != NULL);
    m_set_len(m, 900);
    m->m_pkthdr.ph_len = 900;
    EXPECT_OK(m_tag_prepend(mb, m, m_tag_alloc(mb, 1, 2, 8, SM_M_NOWAIT)));
    held[2] = m;
    held[3] = m_copym(mb, m, 0, M_COPYALL, SM_M_NOWAIT);
    EXPECT_TRUE(held[3] != NULL);
    EXPECT_OK(sm_sockbuf_create(mb, "sb", 4096, 0, &sb));
    for (int i = 0; i < 2; i++) {
        struct mbuf *r = m_get(mb, SM_M_NOWAIT, MT_DATA);
        m_set_len(r, 100);
        EXPECT_OK(sbappendrecord(sb, r));
    }
    sm_sockbuf_close(sb);
}

static struct sm_arena *world(struct harness *h, void **held, struct sm_queue **queue) {
    struct sm_arena *a = h->h_arena, *reader = NULL;
    struct sm_zone *z = harness_zone(a, "z", 1300, SM_ZONE_TRACE), *s = NULL, *m;
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "z"};
    static void *item[200];
    uint32_t n, type;
    uint64_t pages;
    EXPECT_OK(sm_zone_create(a, &p, &s));
    EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 200, item, &n));
    EXPECT_OK(sm_zone_free_bulk(z, 195, item, &n));
    EXPECT_OK(sm_queue_create(a, "q", 8, queue));
    for (int i = 195; i < 200; i++) {
        EXPECT_OK(sm_queue_put(*queue, z, item[i], 0));
    }
    EXPECT_OK(sm_malloc_type(a, "t", &type));
    EXPECT_OK(sm_malloc(a, 100, type, SM_M_NOWAIT, 0, &m, &held[0]));
    EXPECT_OK(sm_malloc(a, 200000, type, SM_M_NOWAIT, 0, &m, &held[1]));
    mbufs(a, held);
    EXPECT_OK(sm_arena_reclaim(a, SM_RECLAIM_TRIM, &pages)); /* holes too */
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "reader", &reader));
    return reader;
}

static void end(struct harness *h, struct sm_arena *reader, void **held, struct sm_queue *queue) {
    struct sm_zone *z;
    void *item;
    sm_arena_close(reader);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0); /* everything was put back */
    while (sm_queue_get(queue, 0, &z, &item) == SM_OK) {
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
    EXPECT_OK(sm_malloc_free(h->h_arena, held[0]));
    EXPECT_OK(sm_malloc_free(h->h_arena, held[1]));
    struct sm_mb *mb;
    struct sm_sockbuf *sb;
    EXPECT_OK(sm_mb_find(h->h_arena, &mb));
    EXPECT_OK(m_freem(mb, held[2]));
    EXPECT_OK(m_freem(mb, held[3]));
    EXPECT_OK(sm_sockbuf_open(mb, "sb", &sb));
    EXPECT_OK(sbflush(sb));
    sm_sockbuf_close(sb);
    sm_queue_close(queue);
}

/* Everything derived and true that the checker follows; the header's own fields are test_arena's. */
static uint32_t targets(struct sm_arena *a, void **held, struct target *t) {
    const struct sm_control_shm *ctl = a->a_ctl;
    const struct target all[] = {
        {(uint8_t *)&a->a_ctl->ctl_frontier, sizeof *ctl - offsetof(struct sm_control_shm, ctl_frontier)},
        {(uint8_t *)a->a_cpus, 2 * sizeof *a->a_cpus},
        {(uint8_t *)a->a_zones, ctl->ctl_zones * sizeof *a->a_zones},
        {(uint8_t *)a->a_kegs, ctl->ctl_zones * sizeof *a->a_kegs},
        {(uint8_t *)a->a_queues, 2 * sizeof *a->a_queues},
        {(uint8_t *)sm_cache_of(a, 0, 0), ctl->ctl_zones * sizeof *a->a_caches},
        {(uint8_t *)a->a_types, 2 * sizeof *a->a_types},
        {(uint8_t *)a->a_type_stats, 2 * sizeof *a->a_type_stats},
        {(uint8_t *)a->a_sites, ctl->ctl_sites * sizeof *a->a_sites},
        {(uint8_t *)a->a_buckets, ctl->ctl_bucket_next * sizeof *a->a_buckets},
        {(uint8_t *)a->a_pagedir, (ctl->ctl_frontier + 8) * 8},
        {(uint8_t *)a->a_links, ctl->ctl_frontier * 8},
        {(uint8_t *)a->a_metadir, (ctl->ctl_meta_frontier + 2) * 8},
        {a->a_meta + SM_PAGE, (ctl->ctl_meta_frontier - 1) << SM_PAGE_SHIFT},
        {sm_at(a, a->a_queues[0].q_ring), 8 * sizeof(struct sm_place_shm)},
        {(uint8_t *)((uintptr_t)held[2] & ~(SM_PAGE - 1)), SM_PAGE},
        {sm_at(a, a->a_ctl->ctl_mbuf), offsetof(struct sm_mb_shm, mb_sockbuf) + 2 * sizeof(struct sm_sockbuf_shm)},
    };
    memcpy(t, all, sizeof all);
    return sizeof all / sizeof all[0];
}

/* Reads all that is told of an item, and its site. */
static int look(void *ctx, const struct sm_who_item *w) {
    char text[SM_SITE_TEXT];
    uint64_t *told = ctx;
    EXPECT_TRUE(w->wi_kind >= SM_HELD && w->wi_kind <= SM_ATTACHED);
    told[0]++;
    told[1] += sm_site_text((struct sm_arena *)(uintptr_t)told[2], w->wi_site, text);
    EXPECT_LT(strnlen(text, sizeof text), sizeof text);
    return 0;
}

/* How many items are told to be out; it must come back from any image. */
static uint64_t walk(struct sm_arena *reader) {
    uint64_t told[3] = {0, 0, (uintptr_t)reader};
    EXPECT_OK(sm_who_each(reader, look, told));
    return told[0];
}

static uint64_t hostile(uint64_t old, uint64_t *random) {
    switch (harness_below(random, 8)) {
    case 0:
        return old ^ 1ull << harness_below(random, 64);
    case 1:
        return harness_random(random);
    case 2:
        return old + 1;
    case 3:
        return old - 1;
    case 4:
        return UINT64_MAX;
    case 5:
        return (old & 0xffffffff00000000ull) | (uint32_t)harness_random(random);
    case 6:
        return harness_below(random, 300);
    default:
        return 0;
    }
}

TEST_GEOMETRY(flipped_words_in_any_table_never_crash_the_check, .g_max_bytes = 4 << 20, .g_max_cpus = 4,
              .g_max_zones = 40, .g_max_queues = 4, .g_max_types = 8, .g_max_buckets = 64, .g_max_sites = 8) {
    struct target t[20];
    struct undo undo[CHANGES];
    void *held[4];
    struct sm_queue *queue;
    struct sm_arena *reader = world(h, held, &queue);
    uint32_t tables = targets(h->h_arena, held, t), named = 0, other = 0;
    uint64_t out = walk(reader);
    EXPECT_EQ(out, 13); /* 7, two packets with their tags, two records */
    for (int round = 0; round < 15000; round++) {
        uint32_t changes = 1 + (uint32_t)harness_below(&h->h_random, round % 4 ? 3 : CHANGES);
        for (uint32_t i = 0; i < changes; i++) {
            const struct target *at = &t[harness_below(&h->h_random, tables)];
            undo[i].u_word = (uint64_t *)at->t_mem + harness_below(&h->h_random, at->t_bytes / 8);
            undo[i].u_old = *undo[i].u_word;
            *undo[i].u_word = hostile(undo[i].u_old, &h->h_random);
        }
        named += harness_findings(reader, false) != 0;
        other += walk(reader) != out;
        for (uint32_t i = changes; i-- > 0;) {
            *undo[i].u_word = undo[i].u_old;
        }
    }
    EXPECT_GT(named, 4000); /* it was not looking elsewhere */
    EXPECT_GT(other, 100);
    end(h, reader, held, queue);
}

TEST_GEOMETRY(tables_of_random_bytes_behind_a_good_header_never_crash_the_check, .g_max_bytes = 4 << 20,
              .g_max_cpus = 4, .g_max_zones = 40, .g_max_queues = 4, .g_max_types = 8, .g_max_buckets = 64,
              .g_max_sites = 8) {
    struct target t[20];
    void *held[4];
    struct sm_queue *queue;
    struct sm_arena *reader = world(h, held, &queue);
    uint32_t tables = targets(h->h_arena, held, t);
    for (int round = 0; round < 200; round++) {
        uint8_t *saved[20] = {NULL};
        for (uint32_t n = 0; n < tables; n++) {
            if (round != 0 && harness_below(&h->h_random, 3) == 0) {
                continue;
            }
            saved[n] = malloc(t[n].t_bytes);
            EXPECT_TRUE(saved[n] != NULL);
            memcpy(saved[n], t[n].t_mem, t[n].t_bytes);
            for (uint64_t i = 0; i + 8 <= t[n].t_bytes; i += 8) {
                *(uint64_t *)(t[n].t_mem + i) = harness_random(&h->h_random);
            }
        }
        EXPECT_GT(harness_findings(reader, false), 0);
        (void)walk(reader);
        for (uint32_t n = 0; n < tables; n++) {
            if (saved[n] != NULL) {
                memcpy(t[n].t_mem, saved[n], t[n].t_bytes);
                free(saved[n]);
            }
        }
    }
    end(h, reader, held, queue);
}
