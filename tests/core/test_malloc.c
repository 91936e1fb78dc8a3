/* test_malloc.c - size classes, page runs, types, tags, refusals. */
#include <stdlib.h>

#include "core/quiesce.h"
#include "harness.h"

static uint32_t type_of(struct sm_arena *a, const char *name) {
    uint32_t type;
    EXPECT_OK(sm_malloc_type(a, name, &type));
    return type;
}

static void *take(struct sm_arena *a, uint64_t bytes, uint32_t type, int flags) {
    struct sm_zone *z;
    void *item = NULL;
    EXPECT_OK(sm_malloc(a, bytes, type, flags, 0, &z, &item));
    return item;
}

static struct sm_type_stats stats_of(struct sm_arena *a, uint32_t type) {
    struct sm_type_stats s;
    EXPECT_OK(sm_stats_type(a, type, &s));
    return s;
}

TEST(every_size_gets_the_smallest_class_that_holds_it) {
    uint32_t type = type_of(h->h_arena, "t"), class = 0, got_type;
    uint64_t requested, usable;
    for (uint32_t bytes = 1; bytes <= SM_MALLOC_CLASS_MAX; bytes += bytes < 5000 ? 1 : 61) {
        while (sm_malloc_class_bytes[class] < bytes) {
            class++;
        }
        void *item = take(h->h_arena, bytes, type, SM_M_NOWAIT);
        EXPECT_OK(sm_malloc_usable(h->h_arena, item, &requested, &usable, &got_type));
        EXPECT_EQ(usable, sm_malloc_class_bytes[class]);
        EXPECT_EQ(requested, bytes);
        EXPECT_EQ(got_type, type);
        EXPECT_EQ((uintptr_t)item % 16, 0);
        memset(item, 0xee, usable);
        EXPECT_OK(sm_malloc_free(h->h_arena, item));
    }
    for (uint32_t i = 0; i < SM_MALLOC_CLASSES; i++) { /* each bound and its neighbours */
        for (int d = -1; d <= 1; d++) {
            uint32_t bytes = sm_malloc_class_bytes[i] + (uint32_t)d;
            void *item = take(h->h_arena, bytes, type, SM_M_NOWAIT);
            EXPECT_OK(sm_malloc_usable(h->h_arena, item, &requested, &usable, &got_type));
            EXPECT_EQ(usable, d <= 0                      ? sm_malloc_class_bytes[i]
                              : i + 1 < SM_MALLOC_CLASSES ? sm_malloc_class_bytes[i + 1]
                                                          : SM_MALLOC_CLASS_MAX + SM_PAGE);
            EXPECT_OK(sm_malloc_free(h->h_arena, item));
        }
    }
    EXPECT_EQ(stats_of(h->h_arena, type).ms_in_use, 0);
    EXPECT_EQ(stats_of(h->h_arena, type).ms_bytes, 0);
    EXPECT_EQ(stats_of(h->h_arena, type).ms_sizes, (1ull << (SM_MALLOC_CLASSES + 1)) - 1);
}

TEST(types_count_their_own_items_and_bytes) {
    struct sm_arena *a = h->h_arena;
    uint32_t one = type_of(a, "one"), two = type_of(a, "two");
    EXPECT_EQ(type_of(a, "one"), one);
    EXPECT_NE(one, two);
    void *x = take(a, 100, one, SM_M_NOWAIT), *y = take(a, 100000, one, SM_M_NOWAIT);
    void *w = take(a, 17, two, SM_M_WAITOK);
    struct sm_type_stats s = stats_of(a, one);
    EXPECT_STR_EQ(s.ms_name, "one");
    EXPECT_EQ(s.ms_in_use, 2);
    EXPECT_EQ(s.ms_bytes, 112 + 25 * SM_PAGE);
    EXPECT_EQ(s.ms_requests, 2);
    EXPECT_EQ(s.ms_sizes, 1ull << 6 | 1ull << SM_MALLOC_CLASSES);
    EXPECT_EQ(stats_of(a, two).ms_bytes, 32);
    EXPECT_OK(sm_malloc_free(a, x));
    EXPECT_OK(sm_malloc_free(a, y));
    EXPECT_EQ(stats_of(a, one).ms_in_use, 0);
    EXPECT_EQ(stats_of(a, one).ms_bytes, 0);
    EXPECT_EQ(stats_of(a, one).ms_requests, 2);
    EXPECT_EQ(stats_of(a, two).ms_in_use, 1);
    EXPECT_OK(sm_malloc_free(a, w));
}

TEST_GEOMETRY(type_names_are_checked, .g_max_bytes = 16 << 20, .g_max_types = 2) {
    uint32_t type, again;
    struct sm_zone *z;
    void *item;
    EXPECT_ERR(sm_malloc_type(h->h_arena, "", &type), SM_INVALID);
    EXPECT_ERR(sm_malloc_type(h->h_arena, "a-name-that-is-32-bytes-long-0123", &type), SM_NAME_TOO_LONG);
    EXPECT_OK(sm_malloc_type(h->h_arena, "one", &type));
    EXPECT_ERR(sm_malloc(h->h_arena, 8, type + 1, SM_M_NOWAIT, 0, &z, &item), SM_NOT_FOUND);
    EXPECT_OK(sm_malloc_type(h->h_arena, "two", &again));
    EXPECT_ERR(sm_malloc_type(h->h_arena, "three", &again), SM_TABLE_FULL);
    struct sm_arena *b = harness_attach(h, "other");
    EXPECT_OK(sm_malloc_type(b, "one", &again));
    EXPECT_EQ(again, type);
}

TEST(page_runs_take_whole_pages_and_give_them_back) {
    struct sm_arena *a = h->h_arena;
    uint32_t type = type_of(a, "big"), got_type;
    uint64_t requested, usable;
    struct sm_arena_stats before, after;
    EXPECT_OK(sm_malloc_free(a, take(a, SM_MALLOC_CLASS_MAX + 1, type, SM_M_NOWAIT))); /* the zone is made */
    EXPECT_OK(sm_stats_arena(a, &before));
    const uint64_t sizes[] = {SM_MALLOC_CLASS_MAX + 1, 100000, 1 << 20, (5 << 20) - 1, 20 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *item = take(a, sizes[i], type, SM_M_NOWAIT);
        memset(item, 0xa5, sizes[i]);
        EXPECT_OK(sm_malloc_usable(a, item, &requested, &usable, &got_type));
        EXPECT_EQ(requested, sizes[i]);
        EXPECT_EQ(usable, (sizes[i] + SM_PAGE - 1) / SM_PAGE * SM_PAGE);
        EXPECT_ERR(sm_malloc_free(a, item + 64), SM_MISALIGNED);
        EXPECT_ERR(sm_malloc_free(a, item + SM_PAGE), SM_MISALIGNED);
        EXPECT_OK(sm_malloc_free(a, item));
        EXPECT_ERR(sm_malloc_free(a, item), SM_NOT_OURS); /* its pages are nobody's now */
        item = take(a, sizes[i], type, SM_M_NOWAIT | SM_M_ZERO);
        for (uint64_t b = 0; b < sizes[i]; b += 509) {
            EXPECT_EQ(item[b], 0);
        }
        EXPECT_OK(sm_malloc_free(a, item));
    }
    EXPECT_OK(sm_stats_arena(a, &after));
    EXPECT_EQ(before.as_used_pages, after.as_used_pages);
}

TEST(what_the_arena_cannot_hold_fails_and_is_counted) {
    struct sm_arena *a = h->h_arena;
    uint32_t type = type_of(a, "big");
    struct sm_zone *z;
    void *item;
    EXPECT_ERR(sm_malloc(a, 0, type, SM_M_NOWAIT, 0, &z, &item), SM_INVALID);
    EXPECT_ERR(sm_malloc(a, 65ull << 20, type, SM_M_NOWAIT, 0, &z, &item), SM_NO_MEMORY);
    EXPECT_ERR(sm_malloc(a, 65ull << 20, type, SM_M_WAITOK, 0, &z, &item), SM_NO_MEMORY);
    EXPECT_ERR(sm_malloc(a, UINT64_MAX, type, SM_M_NOWAIT, 0, &z, &item), SM_NO_MEMORY);
    EXPECT_ERR(sm_malloc(a, 1ull << 44, type, SM_M_NOWAIT, 0, &z, &item), SM_NO_MEMORY);
    EXPECT_ERR(sm_malloc(a, 1 << 20, type, SM_M_NOWAIT | SM_M_WAITOK, 0, &z, &item), SM_INVALID);
    EXPECT_ERR(sm_malloc(a, 1 << 20, type, 0x40000, 0, &z, &item), SM_INVALID);
    EXPECT_EQ(stats_of(a, type).ms_fails, 6);
    EXPECT_EQ(stats_of(a, type).ms_requests, 0);
    /* Memory that only caches hold is found: fill, free into the caches, then ask for most of the arena at once. */
    enum { N = 6000 };
    void **small = calloc(N, sizeof *small);
    for (int i = 0; i < N; i++) {
        small[i] = take(a, 8192, type, SM_M_NOWAIT);
    }
    for (int i = 0; i < N; i++) {
        EXPECT_OK(sm_malloc_free(a, small[i]));
    }
    free(small);
    item = take(a, 40 << 20, type, SM_M_NOWAIT);
    EXPECT_OK(sm_malloc_free(a, item));
}

TEST(free_refuses_what_malloc_did_not_give) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "other");
    uint32_t type = type_of(a, "t");
    struct sm_zone *z = harness_zone(a, "frame", 128, 0);
    void *foreign;
    char outside[16];
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &foreign));
    uint8_t *item = take(a, 128, type, SM_M_NOWAIT), *theirs = take(b, 128, type, SM_M_NOWAIT);
    EXPECT_OK(sm_malloc_free(a, NULL));
    EXPECT_ERR(sm_malloc_free(a, outside), SM_NOT_OURS);
    EXPECT_ERR(sm_malloc_free(a, a->a_base), SM_NOT_OURS);
    EXPECT_ERR(sm_malloc_free(a, foreign), SM_NOT_OURS);
    EXPECT_ERR(sm_malloc_free(a, item + 16), SM_MISALIGNED);
    EXPECT_ERR(sm_malloc_free(a, a->a_base + sm_off_of(b, theirs)), SM_NOT_OWNER);
    EXPECT_EQ(stats_of(a, type).ms_in_use, 2);
    EXPECT_OK(sm_malloc_free(a, item));
    EXPECT_ERR(sm_malloc_free(a, item), SM_DOUBLE_FREE);
    uint64_t requested, usable;
    uint32_t got_type;
    EXPECT_ERR(sm_malloc_usable(a, item, &requested, &usable, &got_type), SM_DOUBLE_FREE);
    EXPECT_ERR(sm_malloc_usable(a, foreign, &requested, &usable, &got_type), SM_NOT_OURS);
    EXPECT_EQ(stats_of(a, type).ms_in_use, 1);
    EXPECT_OK(sm_malloc_free(b, theirs));
    EXPECT_EQ(stats_of(a, type).ms_in_use, 0);
    EXPECT_OK(sm_zone_free(z, foreign, NULL));
}

TEST(item_freed_by_the_cpu_that_received_it_leaves_its_type_at_zero) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "receiver");
    uint32_t type = type_of(a, "message");
    struct sm_queue *qa, *qb;
    EXPECT_OK(sm_queue_create(a, "q", 8, &qa));
    EXPECT_OK(sm_queue_open(b, "q", 0, &qb));
    const uint64_t sizes[] = {1, 40, 1000, 60000, 70000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sm_zone *z, *zb;
        void *item, *got;
        EXPECT_OK(sm_malloc(a, sizes[i], type, SM_M_NOWAIT, 0, &z, &item));
        EXPECT_OK(sm_queue_put(qa, z, item, 0));
        EXPECT_OK(sm_queue_get(qb, 0, &zb, &got));
        EXPECT_EQ(sm_off_of(b, got), sm_off_of(a, item));
        EXPECT_ERR(sm_malloc_free(a, item), SM_NOT_OWNER);
        EXPECT_EQ(stats_of(b, type).ms_in_use, 1);
        EXPECT_OK(sm_malloc_free(b, got));
    }
    EXPECT_EQ(stats_of(a, type).ms_in_use, 0);
    EXPECT_EQ(stats_of(a, type).ms_bytes, 0);
    EXPECT_EQ(stats_of(a, type).ms_requests, 6);
    sm_queue_close(qa);
    sm_queue_close(qb);
}

TEST(a_users_zone_under_a_class_name_is_not_taken_for_one) {
    uint32_t type = type_of(h->h_arena, "t");
    struct sm_zone *z;
    void *item;
    harness_zone(h->h_arena, "malloc-64", 64, 0);
    EXPECT_ERR(sm_malloc(h->h_arena, 60, type, SM_M_NOWAIT, 0, &z, &item), SM_MISMATCH);
    EXPECT_OK(sm_malloc_free(h->h_arena, take(h->h_arena, 70, type, SM_M_NOWAIT)));
}

TEST(folding_a_cpus_counters_changes_no_sum) {
    struct sm_arena *a = h->h_arena;
    uint32_t type = type_of(a, "t");
    void *keep = take(a, 500, type, SM_M_NOWAIT);
    EXPECT_OK(sm_malloc_free(a, take(a, 33, type, SM_M_NOWAIT)));
    struct sm_type_stats before = stats_of(a, type);
    EXPECT_EQ(before.ms_in_use, 1);
    EXPECT_OK(sm_quiesce_begin(a));
    sm_malloc_fold(a, a->a_cpu_id);
    sm_quiesce_end(a);
    struct sm_type_stats after = stats_of(a, type);
    EXPECT_EQ(memcmp(&before, &after, sizeof before), 0);
    EXPECT_EQ(a->a_types[type].ty_allocs, 2);
    EXPECT_OK(sm_malloc_free(a, keep));
    EXPECT_EQ(stats_of(a, type).ms_bytes, 0);
}

TEST(departed_cpus_counters_stay_in_the_sums) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "guest");
    uint32_t type = type_of(a, "t");
    for (int i = 0; i < 7; i++) {
        EXPECT_OK(sm_malloc_free(b, take(b, 200, type, SM_M_NOWAIT)));
    }
    (void)take(b, 200, type, SM_M_NOWAIT); /* goes with its holder, by the zone's policy */
    harness_close(h, b);
    EXPECT_EQ(stats_of(a, type).ms_requests, 8);
    EXPECT_EQ(stats_of(a, type).ms_in_use, 0);
    EXPECT_EQ(stats_of(a, type).ms_bytes, 0);
}

TEST(random_sizes_and_lives_keep_the_books) {
    struct sm_arena *a = h->h_arena;
    uint32_t types[3] = {type_of(a, "x"), type_of(a, "y"), type_of(a, "z")}, got_type;
    enum { LIVE = 64 };
    struct {
        uint8_t *item;
        uint64_t bytes;
        uint32_t type;
        uint8_t fill;
    } live[LIVE] = {{0}};
    uint64_t in_use[3] = {0}, requested, usable;
    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)harness_below(&h->h_random, LIVE);
        if (live[i].item) {
            EXPECT_EQ(live[i].item[0], live[i].fill);
            EXPECT_EQ(live[i].item[live[i].bytes - 1], live[i].fill);
            EXPECT_OK(sm_malloc_usable(a, live[i].item, &requested, &usable, &got_type));
            EXPECT_EQ(requested, live[i].bytes);
            EXPECT_EQ(got_type, types[live[i].type]);
            EXPECT_OK(sm_malloc_free(a, live[i].item));
            in_use[live[i].type]--;
            live[i].item = NULL;
        } else {
            uint64_t order = harness_below(&h->h_random, 18);
            live[i].bytes = 1 + harness_below(&h->h_random, 1ull << order);
            live[i].type = (uint32_t)harness_below(&h->h_random, 3);
            live[i].fill = (uint8_t)step;
            live[i].item = take(a, live[i].bytes, types[live[i].type], SM_M_NOWAIT);
            memset(live[i].item, live[i].fill, live[i].bytes);
            in_use[live[i].type]++;
        }
    }
    for (int t = 0; t < 3; t++) {
        EXPECT_EQ(stats_of(a, types[t]).ms_in_use, in_use[t]);
    }
    EXPECT_EQ(harness_findings(a, true), 0);
    for (int i = 0; i < LIVE; i++) {
        EXPECT_OK(sm_malloc_free(a, live[i].item));
    }
    for (int t = 0; t < 3; t++) {
        EXPECT_EQ(stats_of(a, types[t]).ms_in_use, 0);
        EXPECT_EQ(stats_of(a, types[t]).ms_bytes, 0);
    }
}
