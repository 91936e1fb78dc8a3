/* test_cache.c - the fast path: order of items, the pair of buckets, claims, counters, words.
 * Owns nothing. Calls the inline functions of cache.h as a program does.
 */
#include "harness.h"

#include "core/quiesce.h"

static void *alloc(struct sm_zone *z) {
    void *item = sm_cache_alloc(z);
    if (item == NULL) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    }
    return item;
}

static void release(struct sm_zone *z, void *item) {
    if (!sm_cache_free(z, item)) {
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
}

TEST(the_item_freed_last_comes_back_first) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *a = alloc(z), *b = alloc(z);
    release(z, a);
    release(z, b);
    EXPECT_TRUE(alloc(z) == b);
    EXPECT_TRUE(alloc(z) == a);
    release(z, a);
    release(z, b);
}

TEST(a_filled_cache_serves_a_whole_bucket_without_the_slow_path) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *item[SM_BUCKET_ITEMS];
    release(z, alloc(z)); /* brings the buckets */
    uint32_t n = 0;
    while (n < SM_BUCKET_ITEMS && (item[n] = sm_cache_alloc(z)) != NULL) {
        n++;
    }
    EXPECT_GE(n, 32);
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(sm_cache_free(z, item[i]), "free %u of %u went the slow way", i, n);
    }
    EXPECT_EQ(z->z_cache->c_alloc_n + z->z_cache->c_free_n, n);
}

TEST(a_pop_makes_the_word_held_and_a_push_starts_a_new_generation) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    release(z, alloc(z));
    void *item = sm_cache_alloc(z);
    uint64_t *word = sm_cache_word(z, item), was = *word;
    EXPECT_EQ(SM_ST_KIND(was), SM_HELD);
    EXPECT_EQ(SM_ST_ZONE(was), z->z_id);
    EXPECT_EQ(SM_ST_CPU(was), h->h_arena->a_cpu_id);
    EXPECT_TRUE(sm_cache_free(z, item));
    EXPECT_EQ(SM_ST_KIND(*word), SM_CACHED);
    EXPECT_EQ(SM_ST_GEN(*word), (uint32_t)(SM_ST_GEN(was) + 1));
    EXPECT_TRUE(sm_cache_alloc(z) == item);
    EXPECT_EQ(SM_ST_GEN(*word), (uint32_t)(SM_ST_GEN(was) + 1));
    release(z, item);
}

TEST(a_bucket_that_another_cpu_filled_becomes_this_cpus_own) {
    struct sm_arena *b = harness_attach(h, "second");
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *y = harness_open_zone(b, "z");
    void *item[400];
    for (int i = 0; i < 400; i++) {
        item[i] = alloc(z);
    }
    for (int i = 0; i < 400; i++) {
        release(z, item[i]);
    }
    EXPECT_GT(z->z_shm->z_full_count, 0);
    release(y, alloc(y)); /* takes a full bucket from the zone's list */
    EXPECT_EQ(harness_findings(b, true), 0);
    uint32_t n = y->z_cache->c_alloc_n;
    EXPECT_GT(n, 8);
    for (uint32_t i = 0; i < n; i++) {
        item[i] = sm_cache_alloc(y);
        EXPECT_TRUE(item[i] != NULL);
        EXPECT_EQ((uint32_t)*sm_cache_word(y, item[i]), SM_ST_LOW(SM_HELD, y->z_id, b->a_cpu_id));
    }
    EXPECT_EQ(harness_findings(b, true), 0);
    for (uint32_t i = 0; i < n; i++) {
        EXPECT_TRUE(sm_cache_free(y, item[i]));
    }
}

TEST(a_zone_that_keeps_names_its_items_and_takes_no_inline_path) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, SM_ZONE_KEEP);
    release(z, alloc(z));
    uint32_t n = z->z_cache->c_alloc_n;
    EXPECT_TRUE(sm_cache_alloc(z) == NULL);
    EXPECT_EQ(z->z_cache->c_alloc_n, n);
    void *item = alloc(z); /* by the call, and still from the bucket */
    EXPECT_EQ(z->z_cache->c_alloc_n, n - 1);
    EXPECT_FALSE(sm_cache_free(z, item));
    release(z, item);
    EXPECT_EQ(z->z_cache->c_alloc_n, n);
}

TEST(the_op_word_is_clear_after_every_fast_call) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    release(z, alloc(z));
    void *item = sm_cache_alloc(z);
    EXPECT_EQ(z->z_cpu->cpu_op, 0);
    EXPECT_TRUE(sm_cache_free(z, item));
    EXPECT_EQ(z->z_cpu->cpu_op, 0);
    EXPECT_FALSE(sm_cache_free(z, item)); /* it is free: the slow path says so */
    EXPECT_EQ(z->z_cpu->cpu_op, 0);
    EXPECT_ERR(sm_zone_free(z, item, NULL), SM_DOUBLE_FREE);
    EXPECT_EQ(z->z_cpu->cpu_op, 0);
}

TEST(a_raised_claim_sends_both_ways_to_the_slow_path) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    release(z, alloc(z));
    void *item = sm_cache_alloc(z);
    uint32_t n = z->z_cache->c_alloc_n;
    z->z_cpu->cpu_claim |= SM_CLAIM_QUIESCE;
    EXPECT_TRUE(sm_cache_alloc(z) == NULL);
    EXPECT_FALSE(sm_cache_free(z, item));
    EXPECT_EQ(z->z_cpu->cpu_op, 0);
    EXPECT_EQ(z->z_cache->c_alloc_n, n);
    z->z_cpu->cpu_claim &= ~SM_CLAIM_QUIESCE;
    EXPECT_TRUE(sm_cache_free(z, item));
}

TEST(counters_count_every_call) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *item[300];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) {
            item[i] = alloc(z);
        }
        for (int i = 0; i < 300; i++) {
            release(z, item[i]);
        }
    }
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(h->h_arena, z->z_id, &s));
    EXPECT_EQ(s.zs_allocs, 900);
    EXPECT_EQ(s.zs_frees, 900);
    EXPECT_EQ(s.zs_fails, 0);
    EXPECT_EQ(s.zs_used, 0);
}

TEST(a_zone_without_buckets_keeps_nothing_in_its_cache) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, SM_ZONE_NOBUCKET);
    void *item = alloc(z);
    release(z, item);
    EXPECT_EQ(z->z_cache->c_alloc_n + z->z_cache->c_free_n, 0);
    EXPECT_TRUE(sm_cache_alloc(z) == NULL);
    EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_CACHED], 0);
}

TEST(no_item_is_given_out_twice_in_a_long_random_run) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "z", 48, 0);
    static void *held[2000];
    uint32_t n = 0;
    for (int step = 0; step < 60000; step++) {
        if (n < 2000 && (n == 0 || harness_below(&h->h_random, 2) == 0)) {
            uint32_t *item = alloc(z);
            EXPECT(item[0] != 0x1ce1ce, "an item that is out was given out again");
            item[0] = 0x1ce1ce;
            held[n++] = item;
        } else {
            uint32_t i = (uint32_t)harness_below(&h->h_random, n);
            EXPECT_EQ(((uint32_t *)held[i])[0], 0x1ce1ce);
            ((uint32_t *)held[i])[0] = 0;
            release(z, held[i]);
            held[i] = held[--n];
        }
        if (step % 20000 == 0) {
            EXPECT_EQ(harness_findings(a, true), 0);
            EXPECT_EQ(harness_census(a).hc_kind[SM_HELD], n);
        }
    }
    while (n > 0) {
        ((uint32_t *)held[--n])[0] = 0;
        release(z, held[n]);
    }
}

/* The short way of a bulk free must not outlive what makes it right. */
TEST(row_given_back_is_the_row_only_while_nothing_happened_in_between) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "row", 2048, 0);
    void *row[32], *again[32], *one = NULL;
    uint32_t n = 0;
    EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 32, row, &n)); /* fills the bucket */
    EXPECT_OK(sm_zone_free_bulk(z, 32, row, &n));
    for (int round = 0; round < 4; round++) {
        EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 32, row, &n));
        EXPECT_EQ(n, 32);
        if (round == 1) { /* a single pair in between */
            EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &one));
            EXPECT_OK(sm_zone_free(z, one, NULL));
        }
        if (round == 2) { /* one of the row freed alone: the row stops there */
            EXPECT_OK(sm_zone_free(z, row[5], NULL));
            EXPECT_ERR(sm_zone_free_bulk(z, 32, row, &n), SM_DOUBLE_FREE);
            EXPECT_EQ(n, 5);
            EXPECT_OK(sm_zone_free_bulk(z, 26, row + 6, &n));
            continue;
        }
        if (round == 3) { /* named twice */
            row[9] = row[4];
            EXPECT_ERR(sm_zone_free_bulk(z, 32, row, &n), SM_DOUBLE_FREE);
            EXPECT_EQ(n, 9);
            EXPECT_OK(sm_zone_free_bulk(z, 22, row + 10, &n));
            continue;
        }
        EXPECT_OK(sm_zone_free_bulk(z, 32, row, &n));
        EXPECT_EQ(n, 32);
        EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 32, again, &n));
        EXPECT_TRUE(round != 0 || memcmp(row, again, sizeof row) == 0); /* given back the short way: the same order */
        EXPECT_OK(sm_zone_free_bulk(z, 32, again, &n));
    }
    h->h_may_leave_items = true; /* the one that row[9] pushed out of the array */
}
