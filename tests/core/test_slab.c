/* test_slab.c - from an address to slab, index and state word; every wrong address has its own error.
 * Owns nothing.
 */
#include "harness.h"

#include "core/keg.h"

static const uint32_t sizes[] = {16, 40, 256, 272, 1300, 2048, 4096, 9000, 100000};
#define SIZES (sizeof sizes / sizeof sizes[0])

TEST(every_item_is_found_with_its_own_index_and_word) {
    struct sm_arena *a = h->h_arena;
    for (size_t n = 0; n < SIZES; n++) {
        char name[16];
        snprintf(name, sizeof name, "z%u", sizes[n]);
        struct sm_zone *z = harness_zone(a, name, sizes[n], SM_ZONE_NOBUCKET);
        void *item = NULL;
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        struct sm_slab_ref s, each;
        EXPECT_OK(sm_slab_find(a, sm_off_of(a, item), &s));
        EXPECT_EQ(s.sr_keg, z->z_keg_id);
        EXPECT_EQ(s.sr_pages, z->z_keg->k_pages);
        EXPECT_EQ(SM_ST_KIND(s.sr_words[s.sr_index]), SM_HELD);
        for (uint32_t i = 0; i < z->z_keg->k_items; i++) {
            sm_off_t off = sm_slab_item(a, &s, i);
            EXPECT_OK(sm_slab_find(a, off, &each));
            EXPECT_EQ(each.sr_index, i);
            EXPECT_EQ(each.sr_page, s.sr_page);
            EXPECT_TRUE(each.sr_words == s.sr_words);
            EXPECT_TRUE(sm_cache_word(z, sm_at(a, off)) == &s.sr_words[i]);
            EXPECT_ERR(sm_slab_find(a, off + 1, &each), SM_MISALIGNED);
            EXPECT_ERR(sm_slab_find(a, off + sizes[n] - 1, &each), SM_MISALIGNED);
            EXPECT_TRUE(sm_cache_word(z, sm_at(a, off + 1)) == NULL);
        }
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
}

TEST(the_slack_behind_the_last_item_is_misaligned) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "slack", 1300, SM_ZONE_NOBUCKET);
    void *item = NULL;
    struct sm_slab_ref s, other;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_slab_find(a, sm_off_of(a, item), &s));
    EXPECT_LT(s.sr_index, z->z_keg->k_items);
    EXPECT_ERR(sm_slab_find(a, sm_slab_item(a, &s, z->z_keg->k_items), &other), SM_MISALIGNED);
    EXPECT_TRUE(sm_cache_word(z, sm_at(a, sm_slab_item(a, &s, z->z_keg->k_items))) == NULL);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(addresses_outside_every_slab_are_not_ours) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "z", 2048, SM_ZONE_NOBUCKET);
    struct sm_slab_ref s;
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_ERR(sm_slab_find(a, 0, &s), SM_NOT_OURS);
    EXPECT_ERR(sm_slab_find(a, a->a_data_off - 16, &s), SM_NOT_OURS);
    EXPECT_ERR(sm_slab_find(a, a->a_data_off + (a->a_ctl->ctl_frontier << SM_PAGE_SHIFT), &s), SM_NOT_OURS);
    EXPECT_ERR(sm_slab_find(a, a->a_bytes, &s), SM_NOT_OURS);
    EXPECT_ERR(sm_slab_find(a, UINT64_MAX, &s), SM_NOT_OURS);
    EXPECT_ERR(sm_slab_find(a, a->a_data_off + (a->a_ctl->ctl_frontier - 1) * SM_PAGE, &s), SM_NOT_OURS); /* free */
    EXPECT_TRUE(sm_cache_word(z, a) == NULL);
    EXPECT_TRUE(sm_cache_word(z, a->a_base) == NULL);
    EXPECT_TRUE(sm_cache_word(z, (void *)UINTPTR_MAX) == NULL);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(a_slab_begins_only_at_its_head) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "wide", 9000, SM_ZONE_NOBUCKET);
    struct sm_slab_ref s, other;
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_slab_find(a, sm_off_of(a, item), &s));
    EXPECT_OK(sm_slab_at(a, s.sr_page, &other));
    for (uint32_t i = 1; i < s.sr_pages; i++) {
        EXPECT_ERR(sm_slab_at(a, s.sr_page + i, &other), SM_NOT_FOUND);
    }
    EXPECT_ERR(sm_slab_at(a, UINT32_MAX, &other), SM_NOT_FOUND);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

struct seen {
    uint32_t s_count, s_last;
};

static int see(const struct sm_slab_ref *s, void *ctx) {
    struct seen *seen = ctx;
    EXPECT_TRUE(seen->s_count == 0 || s->sr_page > seen->s_last);
    seen->s_last = s->sr_page;
    return ++seen->s_count == 7 ? 42 : 0;
}

TEST(each_slab_is_seen_once_in_page_order_until_told_to_stop) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "z", 2048, SM_ZONE_NOBUCKET);
    void *item[20];
    struct seen seen = {0, 0};
    for (int i = 0; i < 10; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[i]));
    }
    EXPECT_EQ(sm_slab_each(a, 0, see, &seen), 0);
    EXPECT_EQ(seen.s_count, 5);
    for (int i = 10; i < 20; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[i]));
    }
    seen = (struct seen){0, 0};
    EXPECT_EQ(sm_slab_each(a, 0, see, &seen), 42);
    EXPECT_EQ(seen.s_count, 7);
    for (int i = 0; i < 20; i++) {
        EXPECT_OK(sm_zone_free(z, item[i], NULL));
    }
}

TEST(a_damaged_page_entry_is_corrupt_not_a_crash) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone *z = harness_zone(a, "z", 2048, SM_ZONE_NOBUCKET);
    struct sm_slab_ref s, other;
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    sm_off_t off = sm_off_of(a, item);
    EXPECT_OK(sm_slab_find(a, off, &s));
    uint64_t *entry = &a->a_pagedir[s.sr_page], good = *entry;
    const uint64_t bad[] = {
        SM_PG_ENTRY(SM_PG_SLAB, 0xfff, 0, SM_PG_BLK(good)),          /* a keg that no table has */
        SM_PG_ENTRY(SM_PG_SLAB, z->z_keg_id + 1, 0, SM_PG_BLK(good)), /* a keg that is not in use */
        SM_PG_ENTRY(SM_PG_SLAB, z->z_keg_id, 0, UINT32_MAX),         /* a block past the region */
        SM_PG_ENTRY(SM_PG_SLAB, z->z_keg_id, 0, 0),                  /* no block */
        SM_PG_ENTRY(SM_PG_SLAB, z->z_keg_id, 0xfff0, SM_PG_BLK(good)), /* a head before the first page */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        *entry = bad[i];
        enum sm_err err = sm_slab_find(a, off, &other);
        EXPECT(err == SM_CORRUPT || err == SM_NOT_OURS, "entry %zu gave %s", i, sm_err_name(err));
    }
    *entry = good;
    EXPECT_OK(sm_zone_free(z, item, NULL));
}
