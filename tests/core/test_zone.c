/* test_zone.c - zones by name, allocation and free, and each wrong free or handle with its own error.
 * Owns nothing.
 */
#include "harness.h"

#include <stdlib.h>

static void *alloc(struct sm_zone *z) {
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    return item;
}

static struct sm_zone_stats stats(struct sm_zone *z) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(z->z_arena, z->z_id, &s));
    return s;
}

/* ---- by name */

TEST(a_zone_is_found_by_name_and_compared_with_its_parameters) {
    struct sm_zone_params p = {.zp_name = "frame", .zp_bytes = 100};
    struct sm_zone *z = NULL, *w = NULL;
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_ERR(sm_zone_create(h->h_arena, &p, &w), SM_EXISTS);
    EXPECT_OK(sm_zone_open(h->h_arena, "frame", &p, &w));
    EXPECT_TRUE(w == z);
    p.zp_bytes = 101;
    EXPECT_ERR(sm_zone_open(h->h_arena, "frame", &p, &w), SM_MISMATCH);
    p.zp_bytes = 100;
    p.zp_align = 64;
    EXPECT_ERR(sm_zone_open(h->h_arena, "frame", &p, &w), SM_MISMATCH);
    p.zp_align = 0;
    p.zp_flags = SM_ZONE_NOBUCKET;
    EXPECT_ERR(sm_zone_open(h->h_arena, "frame", &p, &w), SM_MISMATCH);
    EXPECT_ERR(sm_zone_open(h->h_arena, "other", NULL, &w), SM_NOT_FOUND);
}

TEST(bad_parameters_are_refused) {
    struct sm_zone *z = NULL;
    const struct sm_zone_params bad[] = {
        {.zp_name = "z", .zp_bytes = 0},
        {.zp_name = "z", .zp_bytes = (1ull << 31) + 1},
        {.zp_name = "z", .zp_bytes = UINT64_MAX},
        {.zp_name = "z", .zp_bytes = 64, .zp_align = 3},
        {.zp_name = "z", .zp_bytes = 64, .zp_align = 8192},
        {.zp_name = "z", .zp_bytes = 64, .zp_flags = 1u << 31},
        {.zp_name = "", .zp_bytes = 64},
        {.zp_name = NULL, .zp_bytes = 64},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_ERR(sm_zone_create(h->h_arena, &bad[i], &z), SM_INVALID);
    }
    struct sm_zone_params p = {.zp_name = "a-name-of-thirty-two-characters!", .zp_bytes = 64};
    EXPECT_ERR(sm_zone_create(h->h_arena, &p, &z), SM_NAME_TOO_LONG);
    p = (struct sm_zone_params){.zp_name = "second", .zp_bytes = 64, .zp_master = "nobody"};
    EXPECT_ERR(sm_zone_create(h->h_arena, &p, &z), SM_NOT_FOUND);
    p = (struct sm_zone_params){.zp_name = "cb", .zp_bytes = 64, .zp_cb = {{SM_CB_NATIVE, "not registered"}}};
    EXPECT_ERR(sm_zone_create(h->h_arena, &p, &z), SM_UNRESOLVED);
    EXPECT_ERR(sm_zone_open(h->h_arena, "cb", NULL, &z), SM_NOT_FOUND);
}

TEST_GEOMETRY(a_full_table_is_an_error_and_a_destroyed_zone_makes_room, .g_max_bytes = 1 << 20, .g_max_cpus = 2,
              .g_max_zones = 3) {
    struct sm_zone *z[3], *more = NULL;
    uint64_t live = 7;
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "z%d", i);
        z[i] = harness_zone(h->h_arena, name, 64, 0);
    }
    struct sm_zone_params p = {.zp_name = "more", .zp_bytes = 64};
    EXPECT_ERR(sm_zone_create(h->h_arena, &p, &more), SM_TABLE_FULL);
    EXPECT_OK(sm_zone_destroy(z[1], &live));
    EXPECT_EQ(live, 0);
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &more));
    EXPECT_ERR(sm_zone_open(h->h_arena, "z1", NULL, &z[1]), SM_NOT_FOUND);
}

TEST(a_zone_with_live_items_is_not_destroyed_and_counts_them) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *a = alloc(z), *b = alloc(z);
    uint64_t live = 0;
    EXPECT_ERR(sm_zone_destroy(z, &live), SM_BUSY);
    EXPECT_EQ(live, 2);
    EXPECT_OK(sm_zone_free(z, a, NULL)); /* it goes on working */
    a = alloc(z);
    EXPECT_OK(sm_zone_free(z, a, NULL));
    EXPECT_OK(sm_zone_free(z, b, NULL));
    EXPECT_OK(sm_zone_destroy(z, &live));
    EXPECT_EQ(h->h_arena->a_ctl->ctl_free_pages, h->h_arena->a_ctl->ctl_frontier); /* its pages came back */
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &a), SM_GONE);
    EXPECT_ERR(sm_zone_destroy(z, &live), SM_GONE);
}

TEST(a_handle_on_a_destroyed_zone_says_gone_even_when_the_place_is_taken_again) {
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *w = harness_open_zone(b, "z"), *n = NULL;
    void *item = NULL;
    uint64_t live;
    EXPECT_OK(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(w, item, NULL));
    EXPECT_OK(sm_zone_destroy(z, &live));
    EXPECT_ERR(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item), SM_GONE);
    n = harness_zone(h->h_arena, "new", 128, 0);
    EXPECT_EQ(n->z_id, w->z_id);
    EXPECT_ERR(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item), SM_GONE);
    struct sm_zone *again = harness_open_zone(b, "new");
    EXPECT_OK(sm_zone_alloc(again, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(again, item, NULL));
    EXPECT_ERR(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item), SM_GONE);
}

/* ---- items of every sort */

TEST(items_of_every_size_and_alignment_are_aligned_and_disjoint) {
    static const uint32_t sizes[] = {1, 8, 16, 100, 2048, 5000, 70000};
    for (uint32_t align = 0; align <= SM_MAX_ALIGN; align = align ? align * 4 : 1) {
        for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
            struct sm_zone_params p = {.zp_name = "z", .zp_bytes = sizes[n], .zp_align = align};
            struct sm_zone *z = NULL;
            uint8_t *item[20];
            uint64_t live;
            EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
            for (int i = 0; i < 20; i++) {
                item[i] = alloc(z);
                EXPECT_EQ(((uintptr_t)item[i] - (uintptr_t)h->h_arena->a_base) % (align ? align : 1), 0);
                memset(item[i], i, sizes[n]);
            }
            for (int i = 0; i < 20; i++) {
                EXPECT_EQ(item[i][0], i);
                EXPECT_EQ(item[i][sizes[n] - 1], i);
                EXPECT_OK(sm_zone_free(z, item[i], NULL));
            }
            EXPECT_OK(sm_zone_destroy(z, &live));
        }
    }
}

TEST(m_zero_gives_zeroed_items_even_of_used_ones) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 3000, 0);
    uint8_t *item = alloc(z);
    memset(item, 0xff, 3000);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    void *again = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT | SM_M_ZERO, NULL, 0, &again));
    EXPECT_TRUE(again == item);
    for (int i = 0; i < 3000; i++) {
        EXPECT_EQ(item[i], 0);
    }
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(bulk_calls_give_and_take_all) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *items[500];
    uint32_t n = 0;
    EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 500, items, &n));
    EXPECT_EQ(n, 500);
    for (uint32_t i = 0; i < 500; i++) {
        *(uint32_t *)items[i] = i;
    }
    for (uint32_t i = 0; i < 500; i++) {
        EXPECT_EQ(*(uint32_t *)items[i], i);
    }
    EXPECT_EQ(stats(z).zs_used, 500);
    EXPECT_OK(sm_zone_free_bulk(z, 500, items, &n));
    EXPECT_EQ(n, 500);
    EXPECT_EQ(stats(z).zs_used, 0);
    EXPECT_ERR(sm_zone_free_bulk(z, 500, items, &n), SM_DOUBLE_FREE);
    EXPECT_EQ(n, 0);
}

TEST(flags_that_exclude_each_other_are_invalid) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *item = NULL;
    EXPECT_ERR(sm_zone_alloc(z, 0x10000, NULL, 0, &item), SM_INVALID);
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT | SM_M_WAITOK | SM_M_ZERO, NULL, 0, &item), SM_INVALID);
    EXPECT_EQ(stats(z).zs_fails, 0);
}

TEST(m_novm_takes_only_what_is_there) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item = NULL, *more = NULL;
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT | SM_M_NOVM, NULL, 0, &item), SM_NO_MEMORY);
    EXPECT_EQ(stats(z).zs_fails, 1);
    item = alloc(z);
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT | SM_M_NOVM, NULL, 0, &more));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_OK(sm_zone_free(z, more, NULL));
}

/* ---- wrong frees */

TEST(a_second_free_is_a_double_free) {
    for (uint32_t flags = 0; flags <= SM_ZONE_NOBUCKET; flags += SM_ZONE_NOBUCKET) {
        struct sm_zone *z = harness_zone(h->h_arena, flags ? "nobucket" : "z", 64, flags);
        void *item = alloc(z);
        EXPECT_OK(sm_zone_free(z, item, NULL));
        EXPECT_ERR(sm_zone_free(z, item, NULL), SM_DOUBLE_FREE);
        EXPECT_EQ(stats(z).zs_frees, 1);
    }
}

TEST(freeing_null_does_nothing) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    EXPECT_OK(sm_zone_free(z, NULL, NULL));
    EXPECT_EQ(stats(z).zs_frees, 0);
}

TEST(an_address_that_is_no_item_of_the_zone_is_not_ours) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *w = harness_zone(h->h_arena, "w", 64, 0);
    void *item = alloc(z), *other = alloc(w);
    int on_the_stack;
    EXPECT_ERR(sm_zone_free(z, &on_the_stack, NULL), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_free(z, h->h_arena->a_base, NULL), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_free(z, h->h_arena->a_base + h->h_arena->a_bytes, NULL), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_free(z, other, NULL), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_free(w, item, NULL), SM_NOT_OURS);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_OK(sm_zone_free(w, other, NULL));
}

TEST(an_address_inside_an_item_is_misaligned) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 100, 0);
    uint8_t *item = alloc(z);
    for (int i = 1; i < 100; i += 7) {
        EXPECT_ERR(sm_zone_free(z, item + i, NULL), SM_MISALIGNED);
    }
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(items_of_a_secondary_zone_belong_to_it_and_not_to_its_master) {
    struct sm_zone *master = harness_zone(h->h_arena, "master", 256, 0), *second = NULL;
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "master"};
    uint64_t live;
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &second));
    EXPECT_EQ(second->z_keg_id, master->z_keg_id);
    EXPECT_EQ(second->z_item_bytes, 256);
    void *a = alloc(master), *b = alloc(second);
    EXPECT_ERR(sm_zone_free(master, b, NULL), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_free(second, a, NULL), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_destroy(master, &live), SM_BUSY);
    EXPECT_OK(sm_zone_free(master, a, NULL));
    EXPECT_OK(sm_zone_free(second, b, NULL));
    EXPECT_OK(sm_zone_destroy(second, &live));
    EXPECT_OK(sm_zone_destroy(master, &live));
}

TEST(an_item_of_another_cpu_is_not_freed) {
    struct sm_arena *b = harness_attach_shared(h, "b");
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *w = harness_open_zone(b, "z");
    void *item = alloc(z);
    EXPECT_ERR(sm_zone_free(w, item, NULL), SM_NOT_OWNER);
    EXPECT_EQ(b->a_blocker, h->h_arena->a_cpu_id);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_ERR(sm_zone_free(w, item, NULL), SM_DOUBLE_FREE);
}

/* ---- handles and tickets */

TEST(a_ticket_is_adopted_once_and_its_sender_is_out) {
    struct sm_arena *b = harness_attach(h, "b");
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *w = NULL;
    char *item = alloc(z);
    struct sm_handle t;
    void *got = NULL;
    strcpy(item, "zero copy");
    EXPECT_OK(sm_zone_ticket(z, item, &t));
    EXPECT_ERR(sm_zone_free(z, item, NULL), SM_NOT_OWNER);
    EXPECT_ERR(sm_zone_ticket(z, item, &t), SM_NOT_OWNER);
    EXPECT_OK(sm_zone_adopt(b, t, &w, &got));
    EXPECT_STR_EQ(got, "zero copy");
    EXPECT_ERR(sm_zone_adopt(h->h_arena, t, &z, &got), SM_NOT_OWNER);
    EXPECT_OK(sm_zone_free(w, sm_at(b, t.h_item), NULL));
    EXPECT_ERR(sm_zone_adopt(b, t, &w, &got), SM_STALE);
}

TEST(a_handle_of_an_earlier_life_is_stale) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *w = NULL;
    void *item = alloc(z), *again, *got = NULL;
    struct sm_handle first, second;
    EXPECT_OK(sm_zone_handle(z, item, &first));
    EXPECT_ERR(sm_zone_adopt(h->h_arena, first, &w, &got), SM_NOT_OWNER); /* held: nobody gave it up */
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_ERR(sm_zone_handle(z, item, &second), SM_STALE);
    again = alloc(z);
    EXPECT_TRUE(again == item);
    EXPECT_OK(sm_zone_handle(z, again, &second));
    EXPECT_NE(first.h_gen, second.h_gen);
    EXPECT_ERR(sm_zone_adopt(h->h_arena, first, &w, &got), SM_STALE);
    EXPECT_OK(sm_zone_free(z, again, NULL));
}

TEST(nonsense_handles_are_refused) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0), *w = NULL;
    void *item = alloc(z), *got = NULL;
    struct sm_handle good, bad;
    EXPECT_OK(sm_zone_ticket(z, item, &good));
    for (int i = 0; i < 2000; i++) {
        bad = (struct sm_handle){harness_random(&h->h_random), (uint32_t)harness_random(&h->h_random),
                                 (uint32_t)harness_random(&h->h_random)};
        if (i % 4 == 1) {
            bad.h_item = good.h_item + harness_below(&h->h_random, 4096);
        } else if (i % 4 == 2) {
            bad.h_item = good.h_item;
            bad.h_gen = good.h_gen;
        } else if (i % 4 == 3) {
            bad.h_item = good.h_item;
            bad.h_zone = good.h_zone;
        }
        EXPECT_NE(sm_zone_adopt(h->h_arena, bad, &w, &got), SM_OK);
    }
    EXPECT_OK(sm_zone_adopt(h->h_arena, good, &w, &got));
    EXPECT_OK(sm_zone_free(z, got, NULL));
}

TEST(the_reference_counter_starts_at_one_and_is_off_to_the_side) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, SM_ZONE_REFCNT), *w = harness_zone(h->h_arena, "w", 64, 0);
    uint32_t *a = NULL, *b = NULL;
    void *x = alloc(z), *y = alloc(z);
    EXPECT_OK(sm_zone_find_refcnt(z, x, &a));
    EXPECT_OK(sm_zone_find_refcnt(z, y, &b));
    EXPECT_TRUE(a != b);
    EXPECT_EQ(*a, 1);
    *a = 5;
    memset(x, 0xff, 2048);
    EXPECT_EQ(*a, 5);
    EXPECT_EQ(*b, 1);
    EXPECT_ERR(sm_zone_find_refcnt(z, (char *)x + 1, &b), SM_MISALIGNED);
    EXPECT_ERR(sm_zone_find_refcnt(z, &b, &b), SM_NOT_OURS);
    EXPECT_ERR(sm_zone_find_refcnt(w, x, &b), SM_INVALID);
    EXPECT_OK(sm_zone_free(z, x, NULL));
    EXPECT_OK(sm_zone_free(z, y, NULL));
    x = alloc(z);
    EXPECT_OK(sm_zone_find_refcnt(z, x, &a));
    EXPECT_EQ(*a, 1);
    EXPECT_OK(sm_zone_free(z, x, NULL));
}

/* ---- debug zones */

TEST(trash_finds_a_write_after_free) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, SM_ZONE_TRASH);
    uint32_t *item = alloc(z);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_EQ(item[3], 0xdeadc0de);
    item[5] = 1;
    void *again = NULL;
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &again), SM_MODIFIED);
    struct sm_event_shm ev;
    EXPECT_OK(sm_event_next(h->h_arena, 0, &ev));
    EXPECT_TRUE(strstr(ev.ev_text, "Memory modified after free") != NULL);
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &again)); /* another item, or the same made whole */
    EXPECT_OK(sm_zone_free(z, again, NULL));
}

TEST(redzones_find_an_overrun_on_both_sides) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 100, SM_ZONE_REDZONE);
    for (int side = 0; side < 2; side++) {
        uint8_t *item = alloc(z);
        memset(item, 7, 100);
        EXPECT_OK(sm_zone_free(z, item, NULL));
        item = alloc(z);
        item[side ? 100 : -1] = 7;
        EXPECT_ERR(sm_zone_free(z, item, NULL), SM_MODIFIED);
        EXPECT_ERR(sm_zone_free(z, item, NULL), SM_DOUBLE_FREE); /* it was freed all the same */
    }
}

/* ---- a zone that goes while another CPU is on its way to make a slab of it */

struct destroyer {
    struct sm_arena *d_arena;
    struct sm_zone *d_zone;
    bool d_again;
};

static enum sm_err destroy_on_the_way(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    struct destroyer *d = ctx;
    uint64_t live;
    (void)zone, (void)bytes, (void)flags;
    if (p == SM_FP_SLAB && d->d_zone != NULL) {
        EXPECT_OK(sm_zone_destroy(d->d_zone, &live));
        d->d_zone = NULL;
        if (d->d_again) {
            (void)harness_zone(d->d_arena, "heir", 9000, 0); /* takes over zone and keg number */
        }
    }
    return SM_OK;
}

TEST(no_slab_is_made_for_a_zone_that_was_destroyed_on_the_way) {
    struct sm_arena *b = harness_attach_shared(h, "late");
    for (int again = 0; again < 2; again++) {
        struct destroyer d = {h->h_arena, harness_zone(h->h_arena, "z", 64, 0), again};
        struct sm_hooks hooks = {
            .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &d, .h_fault = destroy_on_the_way};
        struct sm_zone *w = harness_open_zone(b, "z");
        void *item = NULL;
        sm_arena_set_hooks(b, &hooks);
        EXPECT_ERR(sm_zone_alloc(w, SM_M_NOWAIT, NULL, 0, &item), SM_GONE);
        sm_arena_set_hooks(b, NULL);
        EXPECT_EQ(harness_census(h->h_arena).hc_slabs, 0);
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    }
}
