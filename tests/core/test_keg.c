/* test_keg.c - the layout rule with exact expectations, slabs made and released, items taken and given, reserves.
 * Owns nothing. Drives keg.h below the zones.
 */
#include "harness.h"

#include "core/keg.h"
#include "core/quiesce.h"

static struct sm_keg_shm layout(uint32_t bytes, uint32_t flags) {
    struct sm_keg_shm k = {0};
    struct sm_keg_params p = {.kp_bytes = bytes, .kp_align = 16, .kp_flags = flags};
    EXPECT_OK(sm_keg_layout(&k, &p));
    return k;
}

struct expected {
    uint32_t x_bytes, x_stride, x_items, x_pages;
    bool x_offpage;
    uint32_t x_efficiency;
};

/* Stride rounded to 16; header of 8 bytes; pages grow until 90 % is reached; inside or outside by which is better. */
static const struct expected table[] = {
    {1, 16, 256, 1, true, 9980},          {16, 16, 256, 1, true, 9980},    {64, 64, 64, 1, true, 9980},
    {256, 256, 16, 1, true, 9980},        {272, 272, 15, 1, false, 9960},  {1300, 1312, 3, 1, false, 9609},
    {2048, 2048, 2, 1, true, 9980},       {4088, 4096, 1, 1, true, 9980},  {4096, 4096, 1, 1, true, 9980},
    {5000, 5008, 3, 4, false, 9169},      {9000, 9008, 3, 7, false, 9425}, {65536, 65536, 1, 16, true, 9998},
    {100000, 100000, 1, 25, false, 9765},
};

TEST_BARE(the_layout_rule_gives_these_slabs) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct expected *x = &table[i];
        struct sm_keg_shm k = layout(x->x_bytes, 0);
        EXPECT(k.k_stride_bytes == x->x_stride && k.k_items == x->x_items && k.k_pages == x->x_pages &&
                   ((k.k_flags & SM_KEG_OFFPAGE) != 0) == x->x_offpage && k.k_efficiency == x->x_efficiency,
               "%u bytes: stride %u, %u items in %u pages, off-page %d, efficiency %u; expected %u, %u in %u, %d, %u",
               x->x_bytes, k.k_stride_bytes, k.k_items, k.k_pages, (k.k_flags & SM_KEG_OFFPAGE) != 0, k.k_efficiency,
               x->x_stride, x->x_items, x->x_pages, x->x_offpage, x->x_efficiency);
    }
}

TEST_BARE(slabs_hold_at_least_what_the_classic_layout_held) {
    /* 2005: 15 mbufs of 256 bytes inside a page, 2 clusters of 2 KiB outside. */
    EXPECT_GE(layout(256, 0).k_items, 15);
    EXPECT_EQ(layout(2048, 0).k_items, 2);
    EXPECT_EQ(layout(2048, 0).k_pages, 1);
}

TEST_BARE(efficiency_is_at_least_90_percent_from_16_bytes_to_64_kib) {
    for (uint32_t bytes = 16; bytes <= 65536; bytes += 16) {
        struct sm_keg_shm k = layout(bytes, 0);
        EXPECT(k.k_efficiency >= 9000, "%u bytes: %u.%02u %% (%u items in %u pages)", bytes, k.k_efficiency / 100,
               k.k_efficiency % 100, k.k_items, k.k_pages);
    }
}

TEST_BARE(no_layout_overlaps_items_header_or_words) {
    uint64_t random = h->h_random;
    for (int n = 0; n < 20000; n++) {
        uint32_t bytes = 1 + (uint32_t)harness_below(&random, n % 2 ? 5000 : 300000);
        uint32_t align = 1u << harness_below(&random, 13), flags = (uint32_t)harness_below(&random, 8);
        struct sm_keg_shm k = {0};
        struct sm_keg_params p = {.kp_bytes = bytes, .kp_align = align, .kp_flags = flags};
        EXPECT_OK(sm_keg_layout(&k, &p));
        uint64_t items_end = (uint64_t)k.k_items * k.k_stride_bytes, slab = (uint64_t)k.k_pages << SM_PAGE_SHIFT;
        EXPECT_GE(k.k_stride_bytes, bytes);
        EXPECT_EQ(k.k_stride_bytes % align, 0);
        EXPECT_GT(k.k_items, 0);
        if (k.k_flags & SM_KEG_OFFPAGE) {
            EXPECT_LE(items_end, slab);
            EXPECT_LE(k.k_hdr_off + sizeof(struct sm_slab_shm), k.k_words_off);
        } else {
            EXPECT_LE(items_end, k.k_hdr_off);
            EXPECT_LE(k.k_hdr_off + sizeof(struct sm_slab_shm), slab);
        }
        EXPECT_EQ(k.k_words_off % 8, 0);
        uint64_t words_end = k.k_words_off + 8ull * k.k_items;
        if (flags & (SM_KEG_REFCNT | SM_KEG_TAGGED)) {
            EXPECT_GE(k.k_aux_off, words_end);
            EXPECT_EQ(k.k_aux_off % 4, 0);
            words_end = k.k_aux_off + 4ull * k.k_items;
        } else {
            EXPECT_EQ(k.k_aux_off, 0);
        }
        EXPECT_LE(words_end, k.k_block_bytes);
        EXPECT_EQ(k.k_block_bytes % SM_BLOCK_UNIT, 0);
        EXPECT_LE(k.k_block_bytes, (uint64_t)k.k_chunk_pages << SM_PAGE_SHIFT);
        EXPECT_LE(k.k_chunk_pages, SM_META_CHUNK_MAX);
    }
}

TEST_BARE(the_reciprocal_finds_every_item_and_no_place_between_items) {
    for (uint32_t bytes = 1; bytes <= 70000; bytes += bytes < 3000 ? 13 : 1009) {
        struct sm_keg_shm k = layout(bytes, 0);
        for (uint64_t in = 0; in < (uint64_t)k.k_pages << SM_PAGE_SHIFT; in++) {
            uint64_t i = (in * k.k_recip) >> 32;
            bool start = i * k.k_stride_bytes == in;
            EXPECT(start == (in % k.k_stride_bytes == 0), "%u bytes: offset %llu gives index %llu", bytes,
                   (unsigned long long)in, (unsigned long long)i);
        }
    }
}

TEST_BARE(overhead_of_state_blocks_stays_in_its_bounds) {
    struct sm_keg_shm large = layout(2048, 0), small = layout(256, SM_KEG_REFCNT);
    EXPECT_LE(large.k_block_bytes * 1000, 15 * 2048 * large.k_items); /* 1.5 % */
    EXPECT_LE(small.k_block_bytes * 100, 8 * 256 * small.k_items);    /* 8 % */
}

TEST_BARE(impossible_parameters_are_refused) {
    struct sm_keg_shm k = {0};
    EXPECT_ERR(sm_keg_layout(&k, &(struct sm_keg_params){.kp_bytes = 64, .kp_align = 0}), SM_INVALID);
    EXPECT_ERR(sm_keg_layout(&k, &(struct sm_keg_params){.kp_bytes = 64, .kp_align = 24}), SM_INVALID);
    EXPECT_ERR(sm_keg_layout(&k, &(struct sm_keg_params){.kp_bytes = 64, .kp_align = 2 * SM_MAX_ALIGN}), SM_INVALID);
    EXPECT_ERR(sm_keg_layout(&k, &(struct sm_keg_params){.kp_bytes = (1u << 31) + 1, .kp_align = 16}), SM_INVALID);
}

/* ---- slabs and items */

static uint32_t make_keg(struct sm_arena *a, uint32_t bytes, uint32_t flags) {
    struct sm_keg_params p = {.kp_bytes = bytes, .kp_align = 16, .kp_flags = flags};
    uint32_t keg = UINT32_MAX;
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_ADMIN, 0, 0)));
    EXPECT_OK(sm_arena_lock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0));
    EXPECT_OK(sm_keg_create(a, &p, &keg));
    sm_arena_unlock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0);
    sm_op_leave(a);
    return keg;
}

static uint32_t take(struct sm_arena *a, uint32_t keg, bool use_reserve, uint32_t n, struct sm_entry *out) {
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    EXPECT_OK(sm_keg_lock(a, keg));
    uint32_t got = sm_keg_take(a, keg, SM_ST_LOW(SM_HELD, 0, a->a_cpu_id), use_reserve, n, out);
    sm_keg_unlock(a, keg);
    sm_op_leave(a);
    return got;
}

static void give(struct sm_arena *a, uint32_t keg, struct sm_entry e) {
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    EXPECT_OK(sm_keg_lock(a, keg));
    EXPECT_OK(sm_keg_give(a, keg, e, true));
    sm_keg_unlock(a, keg);
    sm_op_leave(a);
}

static const struct sm_keg_init plain = {.ki_zone = "plain"};

TEST(items_come_from_partial_slabs_first_and_counts_follow_the_words) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 2048, 0);
    struct sm_entry e[8];
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_keg_grow(a, keg, &plain));
    }
    struct sm_keg_shm *k = &a->a_kegs[keg];
    EXPECT_EQ(k->k_slabs, 3);
    EXPECT_EQ(k->k_free, 6);
    EXPECT_EQ(k->k_empty_slabs, 3);
    EXPECT_EQ(take(a, keg, false, 1, e), 1);
    EXPECT_NE(k->k_partial, 0);
    EXPECT_EQ(take(a, keg, false, 1, e + 1), 1);
    EXPECT_EQ((e[0].e_item ^ e[1].e_item) >> SM_PAGE_SHIFT, 0); /* the partial slab, not another empty one */
    EXPECT_EQ(k->k_partial, 0);
    EXPECT_NE(k->k_full, 0);
    EXPECT_EQ(take(a, keg, false, 8, e + 2), 4);
    EXPECT_EQ(k->k_free, 0);
    EXPECT_EQ(take(a, keg, false, 1, e + 6), 0);
    uint64_t gen = SM_ST_GEN(*(uint64_t *)sm_at(a, e[3].e_word));
    for (int i = 0; i < 6; i++) {
        give(a, keg, e[i]);
    }
    EXPECT_EQ(SM_ST_GEN(*(uint64_t *)sm_at(a, e[3].e_word)), (uint32_t)(gen + 1));
    EXPECT_EQ(k->k_free, 6);
    EXPECT_EQ(k->k_empty_slabs, 3);
    uint64_t slabs = 0;
    EXPECT_OK(sm_keg_trim(a, keg, &plain, 1, &slabs));
    EXPECT_EQ(slabs, 2);
    EXPECT_OK(sm_keg_trim(a, keg, &plain, 0, &slabs));
    EXPECT_EQ(slabs, 1);
    EXPECT_EQ(k->k_slabs, 0);
    EXPECT_EQ(k->k_pages_used, 0);
}

TEST(the_reserve_is_left_to_those_who_may_use_it) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 512, 0);
    struct sm_entry e[16];
    EXPECT_OK(sm_keg_grow(a, keg, &plain));
    a->a_kegs[keg].k_reserve = 3;
    uint32_t items = a->a_kegs[keg].k_items, got = take(a, keg, false, 16, e);
    EXPECT_EQ(got, items - 3);
    EXPECT_EQ(take(a, keg, false, 1, e + got), 0);
    EXPECT_EQ(take(a, keg, true, 16, e + got), 3);
    for (uint32_t i = 0; i < items; i++) {
        give(a, keg, e[i]);
    }
}

TEST(slabs_stop_at_the_limit) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 4096, 0);
    a->a_kegs[keg].k_max_slabs = 2;
    EXPECT_OK(sm_keg_grow(a, keg, &plain));
    EXPECT_OK(sm_keg_grow(a, keg, &plain));
    EXPECT_ERR(sm_keg_grow(a, keg, &plain), SM_LIMIT);
    EXPECT_EQ(a->a_kegs[keg].k_slabs, 2);
}

TEST(items_larger_than_a_page_lie_in_pages_side_by_side) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 300000, 0);
    struct sm_entry e[2];
    EXPECT_OK(sm_keg_grow(a, keg, &plain));
    EXPECT_OK(sm_keg_grow(a, keg, &plain));
    EXPECT_EQ(take(a, keg, false, 2, e), 2);
    memset(sm_at(a, e[0].e_item), 1, 300000);
    memset(sm_at(a, e[1].e_item), 2, 300000);
    for (uint32_t i = 0; i < 300000; i++) {
        EXPECT_EQ(((uint8_t *)sm_at(a, e[0].e_item))[i], 1);
    }
    give(a, keg, e[0]);
    give(a, keg, e[1]);
}

TEST(giving_what_is_free_or_of_another_keg_is_refused) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 512, 0), other = make_keg(a, 512, 0);
    struct sm_entry e;
    EXPECT_OK(sm_keg_grow(a, keg, &plain));
    EXPECT_EQ(take(a, keg, false, 1, &e), 1);
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    EXPECT_OK(sm_keg_lock(a, other));
    EXPECT_ERR(sm_keg_give(a, other, e, true), SM_CORRUPT);
    sm_keg_unlock(a, other);
    sm_op_leave(a);
    give(a, keg, e);
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    EXPECT_OK(sm_keg_lock(a, keg));
    EXPECT_ERR(sm_keg_give(a, keg, e, true), SM_CORRUPT);
    sm_keg_unlock(a, keg);
    sm_op_leave(a);
}

TEST(a_page_run_is_one_slab_and_its_pages_return) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 0, SM_KEG_RUNS | SM_KEG_TAGGED);
    struct sm_entry e[3];
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(sm_keg_run_take(a, keg, 1 + i * 20, SM_ST_LOW(SM_HELD, 0, a->a_cpu_id), &e[i]));
        memset(sm_at(a, e[i].e_item), (int)i, (1 + i * 20) * SM_PAGE);
    }
    EXPECT_EQ(a->a_kegs[keg].k_slabs, 3);
    EXPECT_EQ(a->a_kegs[keg].k_pages_used, 63);
    struct sm_slab_ref s;
    EXPECT_OK(sm_slab_find(a, e[2].e_item, &s));
    EXPECT_EQ(s.sr_pages, 41);
    EXPECT_ERR(sm_slab_find(a, e[2].e_item + SM_PAGE, &s), SM_MISALIGNED);
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(sm_keg_run_give(a, keg, e[i]));
    }
    EXPECT_EQ(a->a_kegs[keg].k_slabs, 0);
    EXPECT_EQ(a->a_kegs[keg].k_pages_used, 0);
    EXPECT_ERR(sm_keg_run_give(a, keg, e[1]), SM_NOT_OURS);
}

TEST(a_destroyed_keg_gives_its_number_and_meta_pages_to_the_next) {
    struct sm_arena *a = h->h_arena;
    uint32_t first = make_keg(a, 64, 0);
    uint64_t slabs = 0;
    EXPECT_OK(sm_keg_grow(a, first, &plain));
    uint64_t frontier = a->a_ctl->ctl_meta_frontier;
    for (int round = 0; round < 20; round++) {
        EXPECT_OK(sm_keg_trim(a, first, &plain, 0, &slabs));
        EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_ADMIN, 0, 0)));
        EXPECT_OK(sm_arena_lock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0));
        EXPECT_OK(sm_keg_destroy(a, first));
        sm_arena_unlock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0);
        sm_op_leave(a);
        EXPECT_EQ(harness_findings(a, true), 0);
        EXPECT_EQ(make_keg(a, 64, 0), first);
        EXPECT_OK(sm_keg_grow(a, first, &plain));
        EXPECT_EQ(a->a_ctl->ctl_meta_frontier, frontier);
    }
}

/* ---- init and fini */

struct calls {
    uint32_t c_init, c_fini, c_fail_at;
    void *c_order[300];
    uint32_t c_ordered;
};

static int count_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct calls *c = ctx;
    (void)bytes, (void)arg, (void)how;
    if (c->c_init == c->c_fail_at) {
        return 12;
    }
    c->c_order[c->c_init++] = mem;
    return 0;
}

static int count_fini(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct calls *c = ctx;
    (void)bytes, (void)arg, (void)how;
    EXPECT(mem == c->c_order[c->c_init - 1 - c->c_fini], "fini does not run in the reverse order of init");
    c->c_fini++;
    return 0;
}

TEST(a_failing_keg_init_unwinds_in_reverse_and_returns_the_pages) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 256, 0), items = a->a_kegs[keg].k_items;
    for (uint32_t at = 0; at < items; at++) {
        struct calls c = {.c_fail_at = at};
        struct sm_keg_init ki = {
            .ki_init = count_init, .ki_fini = count_fini, .ki_init_ctx = &c, .ki_fini_ctx = &c, .ki_item_bytes = 256};
        EXPECT_ERR(sm_keg_grow(a, keg, &ki), SM_INIT_FAILED);
        EXPECT_EQ(a->a_callback_errno, 12);
        EXPECT_EQ(c.c_init, at);
        EXPECT_EQ(c.c_fini, at);
        EXPECT_EQ(a->a_kegs[keg].k_slabs, 0);
        EXPECT_EQ(a->a_kegs[keg].k_free, 0);
        EXPECT_EQ(a->a_kegs[keg].k_pages_used, 0);
        EXPECT_EQ(a->a_ctl->ctl_free_pages, a->a_ctl->ctl_frontier);
        EXPECT_EQ(harness_findings(a, true), 0);
    }
}

static int checking_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)mem, (void)bytes, (void)arg, (void)how;
    EXPECT_EQ(harness_findings(ctx, true), 0);
    return 0;
}

TEST(a_slab_in_the_making_is_no_finding) {
    struct sm_arena *a = h->h_arena;
    uint32_t keg = make_keg(a, 256, 0);
    struct sm_keg_init ki = {.ki_init = checking_init, .ki_init_ctx = a, .ki_item_bytes = 256};
    EXPECT_OK(sm_keg_grow(a, keg, &ki));
}
