/* test_check.c - the checker itself: each invariant damaged by hand and named, with no other than those that follow from
 * the same damage. Every test undoes its damage, and the harness then wants the arena clean.
 * Owns a small world of zones, buckets, a queue and malloc types.
 */
#include "harness.h"

#include <unistd.h>

#include "core/keg.h"

struct world {
    struct sm_arena *w_arena, *w_peer;
    struct sm_zone *w_zone, *w_second;
    struct sm_queue *w_queue;
    void *w_held[3], *w_malloc[3];
    struct sm_zone *w_malloc_zone[3];
    struct sm_slab_ref w_slab; /* of w_held[0] */
};

static struct world made(struct harness *h) {
    struct world w = {.w_arena = h->h_arena, .w_peer = harness_attach_shared(h, "peer")};
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "zone"};
    void *item[300];
    uint32_t type = 0, n = 0;
    w.w_zone = harness_zone(h->h_arena, "zone", 1300, 0);
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &w.w_second));
    EXPECT_OK(sm_zone_alloc_bulk(w.w_zone, SM_M_NOWAIT, 0, 300, item, &n));
    EXPECT_OK(sm_zone_free_bulk(w.w_zone, 300, item, &n)); /* full buckets on the list, two in the cache */
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_zone_alloc(w.w_zone, SM_M_NOWAIT, NULL, 0, &w.w_held[i]));
    }
    EXPECT_OK(sm_queue_create(h->h_arena, "queue", 8, &w.w_queue));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_zone_alloc(w.w_zone, SM_M_NOWAIT, NULL, 0, &item[i]));
        EXPECT_OK(sm_queue_put(w.w_queue, w.w_zone, item[i], 0));
    }
    EXPECT_OK(sm_malloc_type(h->h_arena, "test", &type));
    static const uint64_t bytes[] = {100, 3000, 300000};
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_malloc(h->h_arena, bytes[i], type, SM_M_NOWAIT, 0, &w.w_malloc_zone[i], &w.w_malloc[i]));
    }
    EXPECT_OK(sm_slab_find(h->h_arena, sm_off_of(h->h_arena, w.w_held[0]), &w.w_slab));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    return w;
}

static void unmade(struct world *w) {
    struct sm_zone *z;
    void *item;
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(sm_zone_free(w->w_zone, w->w_held[i], NULL));
        EXPECT_OK(sm_queue_get(w->w_queue, 0, &z, &item));
        EXPECT_OK(sm_zone_free(z, item, NULL));
        EXPECT_OK(sm_malloc_free(w->w_arena, w->w_malloc[i]));
    }
    sm_queue_close(w->w_queue);
}

/* ---- what fired */

static void mark(void *ctx, const struct sm_finding *f) {
    EXPECT(f->f_invariant >= 1 && f->f_invariant <= SM_INVARIANTS, "finding of I%u", f->f_invariant);
    EXPECT_TRUE(f->f_detail[0] != 0);
    *(uint32_t *)ctx |= 1u << f->f_invariant;
}

static uint32_t fired(struct sm_arena *a) {
    struct sm_check_result r;
    uint32_t bits = 0;
    EXPECT_OK(sm_check(a, 3, mark, &bits, &r));
    EXPECT_EQ(r.cr_findings != 0, bits != 0);
    return bits;
}

#define I(n) (1u << (n))
/* The wanted one fires, and only it or what `also` allows. */
#define EXPECT_FIRES(w, n, also)                                                                                       \
    do {                                                                                                               \
        uint32_t bits = fired((w)->w_arena);                                                                           \
        EXPECT(bits & I(n), "I%d did not fire, but %#x", n, bits);                                                     \
        EXPECT((bits & ~(I(n) | (also))) == 0, "besides I%d there fired %#x", n, bits & ~I(n));                        \
    } while (0)

/* Stores a value, wants the invariant to fire, and puts the old value back. */
#define DAMAGE(w, place, value, n, also)                                                                               \
    do {                                                                                                               \
        __typeof__(place) *spot = &(place), old = *spot;                                                               \
        *spot = (__typeof__(place))(value);                                                                            \
        EXPECT_FIRES(w, n, also);                                                                                      \
        *spot = old;                                                                                                   \
        EXPECT_EQ(fired((w)->w_arena), 0);                                                                             \
    } while (0)

TEST(i1_names_a_damaged_header) {
    struct world w = made(h);
    struct sm_header_shm *hd = w.w_arena->a_header;
    void *mem;
    EXPECT_OK(sm_arena_region(w.w_arena, "mine", SM_PAGE, 1, &mem));
    DAMAGE(&w, hd->h_magic, 1, 1, 0);
    DAMAGE(&w, hd->h_version, 77, 1, 0);
    DAMAGE(&w, hd->h_checksum, hd->h_checksum ^ 1, 1, 0);
    DAMAGE(&w, hd->h_created_ns, 1, 1, 0);
    DAMAGE(&w, hd->h_uuid, 0, 1, 0);
    DAMAGE(&w, hd->h_max_bytes, UINT64_MAX, 1, 0);
    for (int i = 0; i < SM_R_FIXED; i++) {
        DAMAGE(&w, hd->h_region[i].r_off, hd->h_region[i].r_off + SM_PAGE, 1, 0);
        DAMAGE(&w, hd->h_region[i].r_bytes, UINT64_MAX, 1, 0);
    }
    DAMAGE(&w, hd->h_region[SM_R_FIXED].r_off, 0, 1, 0);
    DAMAGE(&w, hd->h_region[SM_R_FIXED].r_bytes, 1ull << 63, 1, 0);
    DAMAGE(&w, hd->h_region[SM_R_FIXED].r_bytes, 5, 1, 0);
    hd->h_region[SM_R_FIXED + 3] = hd->h_region[SM_R_FIXED];
    EXPECT_FIRES(&w, 1, 0);
    memset(&hd->h_region[SM_R_FIXED + 3], 0, sizeof hd->h_region[0]);
    DAMAGE(&w, w.w_arena->a_ctl->ctl_data_pages, 3, 1, 0);
    unmade(&w);
}

TEST(i2_names_a_damaged_page_directory) {
    struct world w = made(h);
    struct sm_arena *a = w.w_arena;
    struct sm_slab_ref wide;
    EXPECT_OK(sm_slab_find(a, sm_off_of(a, w.w_malloc[2]), &wide));
    uint64_t *follower = &a->a_pagedir[wide.sr_page + 1];
    DAMAGE(&w, *follower, *follower + (1ull << SM_PG_IDX_SHIFT), 2, 0);
    DAMAGE(&w, *follower, *follower ^ 1ull << SM_PG_BLK_SHIFT, 2, 0);
    DAMAGE(&w, a->a_pagedir[a->a_ctl->ctl_frontier], 1, 2, 0);
    DAMAGE(&w, a->a_pagedir[wide.sr_page + 5], 0, 2, 0);
    uint32_t all = I(3) | I(4) | I(5) | I(6) | I(7) | I(10) | I(12) | I(15); /* a slab has vanished */
    DAMAGE(&w, a->a_pagedir[w.w_slab.sr_page], SM_PG_ENTRY(SM_PG_SLAB, 0xfff, 0, 1), 2, all);
    DAMAGE(&w, a->a_pagedir[w.w_slab.sr_page], SM_PG_ENTRY(SM_PG_RESERVED, 9, 0, w.w_slab.sr_block), 2, all);
    uint32_t last = (uint32_t)a->a_ctl->ctl_frontier - 1;
    EXPECT_EQ(SM_PG_KIND(a->a_pagedir[last]), SM_PG_FREE);
    DAMAGE(&w, a->a_pagedir[last], SM_PG_ENTRY(SM_PG_RING, 7, 0, 0), 2, I(9));
    DAMAGE(&w, a->a_ctl->ctl_frontier, UINT64_MAX, 2, I(9));
    unmade(&w);
}

TEST(i3_names_a_state_word_that_cannot_be) {
    struct world w = made(h);
    uint64_t *word = &w.w_slab.sr_words[w.w_slab.sr_index], gen = *word & SM_ST_GEN_MASK;
    uint32_t zone = w.w_zone->z_id, self = w.w_arena->a_cpu_id;
    DAMAGE(&w, *word, 0, 3, I(12));
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_KIND_END, zone, self), 3, I(12));
    DAMAGE(&w, *word, gen | 15, 3, I(12));
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_HELD, 63, self), 3, I(12)); /* no such zone */
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_HELD, w.w_malloc_zone[0]->z_id, self), 3, I(12)); /* another keg's zone */
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_HELD, zone, 0xabc), 3, 0); /* no such CPU */
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_HELD, zone, 9), 3, I(13)); /* a free slot */
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_CONSTRUCTING, zone, SM_CPU_NONE), 3, 0); /* and who would end that? */
    DAMAGE(&w, *word, gen | SM_ST_LOW(SM_QUEUED, zone, 5), 3, I(11)); /* no such queue */
    unmade(&w);
}

TEST(i4_names_a_slab_header_or_list_that_is_wrong) {
    struct world w = made(h);
    struct sm_arena *a = w.w_arena;
    struct sm_keg_shm *k = w.w_zone->z_keg;
    struct sm_slab_shm *s = w.w_slab.sr_slab;
    DAMAGE(&w, s->s_free, s->s_free + 1, 4, 0);
    DAMAGE(&w, s->s_pages, 9, 4, 0);
    DAMAGE(&w, k->k_full, 0, 4, 0);
    DAMAGE(&w, k->k_full, UINT32_MAX, 4, 0);
    DAMAGE(&w, k->k_partial, k->k_full, 4, 0);
    uint32_t head = k->k_full - 1;
    DAMAGE(&w, a->a_links[head].pl_next, head + 1, 4, 0); /* a cycle */
    DAMAGE(&w, a->a_links[head].pl_prev, 77, 4, 0);
    void *extra = NULL; /* a slab with FREE words below a hint that is too high */
    struct sm_zone *sparse = harness_zone(a, "sparse", 512, SM_ZONE_NOBUCKET);
    EXPECT_OK(sm_zone_alloc(sparse, SM_M_NOWAIT, NULL, 0, &extra));
    struct sm_slab_ref r;
    EXPECT_OK(sm_slab_find(a, sm_off_of(a, extra), &r));
    DAMAGE(&w, r.sr_slab->s_hint, 7, 4, 0);
    EXPECT_OK(sm_zone_free(sparse, extra, NULL));
    unmade(&w);
}

TEST(i5_names_a_keg_counter_that_is_wrong) {
    struct world w = made(h);
    struct sm_keg_shm *k = w.w_zone->z_keg;
    DAMAGE(&w, k->k_slabs, k->k_slabs + 1, 5, 0);
    DAMAGE(&w, k->k_slabs, 0, 5, 0);
    DAMAGE(&w, k->k_free, k->k_free + 1, 5, 0);
    DAMAGE(&w, k->k_pages_used, k->k_pages_used - 1, 5, 0);
    DAMAGE(&w, k->k_empty_slabs, k->k_empty_slabs + 1, 5, 0);
    uint32_t all = I(2) | I(3) | I(4) | I(6) | I(7) | I(10) | I(11) | I(12); /* none of its slabs can be read */
    DAMAGE(&w, k->k_items, 60000, 5, all);
    DAMAGE(&w, k->k_words_off, 3, 5, all);
    DAMAGE(&w, k->k_stride_bytes, 0, 5, all);
    DAMAGE(&w, k->k_hdr_off, UINT32_MAX - 3, 5, all);
    unmade(&w);
}

static struct sm_bucket_shm *own_bucket(struct world *w) {
    struct sm_cache_shm *c = w->w_zone->z_cache;
    EXPECT_GT(c->c_alloc_n, 3);
    return sm_at(w->w_arena, c->c_alloc);
}

TEST(i6_names_a_bucket_entry_that_is_no_cached_item_of_its_zone) {
    struct world w = made(h);
    struct sm_bucket_shm *b = own_bucket(&w);
    DAMAGE(&w, b->b_entry[0].e_word, b->b_entry[0].e_word + 8, 6, 0);
    DAMAGE(&w, b->b_entry[0].e_item, 12345, 6, I(7));
    DAMAGE(&w, b->b_entry[0].e_item, UINT64_MAX, 6, I(7));
    DAMAGE(&w, b->b_entry[0].e_item, b->b_entry[0].e_item + 16, 6, I(7));
    uint64_t *word = sm_at(w.w_arena, b->b_entry[1].e_word);
    DAMAGE(&w, *word, (*word & SM_ST_GEN_MASK) | SM_ST_LOW(SM_CACHED, w.w_second->z_id, 0), 6, 0);
    DAMAGE(&w, *word, *word ^ 1ull << SM_ST_CPU_SHIFT, 6, I(3)); /* another CPU's, in this one's cache */
    struct sm_zone_shm *z = w.w_zone->z_shm;
    EXPECT_NE(z->z_full, 0);
    DAMAGE(&w, w.w_arena->a_buckets[z->z_full - 1].b_count, 1000, 6, I(7) | I(8));
    unmade(&w);
}

TEST(i7_names_an_item_in_two_places_or_in_none) {
    struct world w = made(h);
    struct sm_bucket_shm *b = own_bucket(&w);
    struct sm_cache_shm *c = w.w_zone->z_cache;
    DAMAGE(&w, c->c_alloc_n, c->c_alloc_n - 1, 7, 0); /* the last one is CACHED and in no bucket */
    uint64_t *word = sm_at(w.w_arena, b->b_entry[1].e_word);
    DAMAGE(&w, *word, (*word & SM_ST_GEN_MASK) | w.w_zone->z_low_held, 7, I(6) | I(12)); /* a user has it too */
    struct sm_entry first = b->b_entry[0];
    b->b_entry[0] = b->b_entry[1]; /* one twice, the other nowhere */
    EXPECT_FIRES(&w, 7, 0);
    b->b_entry[0] = first;
    uint64_t *held = &w.w_slab.sr_words[w.w_slab.sr_index];
    DAMAGE(&w, *held, (*held & SM_ST_GEN_MASK) | w.w_zone->z_low_cached, 7, I(12));
    unmade(&w);
}

TEST(i8_names_a_bucket_in_two_places_or_in_none) {
    struct world w = made(h);
    struct sm_bucket_shm *b = own_bucket(&w);
    struct sm_cache_shm *c = w.w_zone->z_cache;
    struct sm_zone_shm *z = w.w_zone->z_shm;
    struct sm_arena *a = w.w_arena;
    DAMAGE(&w, b->b_zone, 0, 8, 0);
    DAMAGE(&w, b->b_zone, w.w_second->z_id + 1, 8, 0);
    DAMAGE(&w, c->c_alloc, 4096, 8, I(7));
    DAMAGE(&w, c->c_alloc, UINT64_MAX, 8, I(7));
    DAMAGE(&w, c->c_free, c->c_alloc, 8, I(7));
    DAMAGE(&w, z->z_full, 0, 8, I(7));
    DAMAGE(&w, z->z_full, UINT32_MAX, 8, I(7));
    DAMAGE(&w, z->z_full_count, 99, 8, 0);
    DAMAGE(&w, z->z_full_items, 0, 8, 0);
    DAMAGE(&w, a->a_buckets[z->z_full - 1].b_next, z->z_full, 8, I(7)); /* a cycle */
    DAMAGE(&w, a->a_ctl->ctl_bucket_free, z->z_full, 8, I(7));
    DAMAGE(&w, a->a_ctl->ctl_bucket_free, UINT32_MAX, 8, 0);
    DAMAGE(&w, a->a_ctl->ctl_bucket_next, a->a_ctl->ctl_bucket_next - 1, 8, I(7));
    unmade(&w);
}

TEST(i9_names_a_free_run_that_is_wrong) {
    struct world w = made(h);
    struct sm_arena *a = w.w_arena;
    struct sm_control_shm *ctl = a->a_ctl;
    uint32_t last = (uint32_t)ctl->ctl_frontier - 1, length = SM_PG_BLK(a->a_pagedir[last]), first = last + 1 - length;
    EXPECT_EQ(SM_PG_KIND(a->a_pagedir[last]), SM_PG_FREE);
    EXPECT_GT(length, 4);
    DAMAGE(&w, ctl->ctl_free_pages, ctl->ctl_free_pages + 1, 9, 0);
    DAMAGE(&w, ctl->ctl_hole_pages, 5, 9, 0);
    DAMAGE(&w, a->a_pagedir[first], SM_PG_ENTRY(SM_PG_FREE, 0, 0, length - 1), 9, 0);
    DAMAGE(&w, a->a_pagedir[last], SM_PG_ENTRY(SM_PG_FREE, 0, 0, length + 1), 9, 0);
    DAMAGE(&w, a->a_pagedir[first + 1], SM_PG_ENTRY(SM_PG_FREE, 0, 0, 1), 9, 0);
    DAMAGE(&w, a->a_links[first].pl_next, first + 1, 9, 0); /* a cycle */
    DAMAGE(&w, a->a_links[first].pl_next, UINT32_MAX, 9, 0);
    DAMAGE(&w, a->a_links[first].pl_prev, 5, 9, 0);
    unsigned bin = 31u - (unsigned)__builtin_clz(length);
    DAMAGE(&w, ctl->ctl_bins[0][bin], 0, 9, 0);
    DAMAGE(&w, ctl->ctl_bins[0][(bin + 1) % SM_RUN_BINS], first + 1, 9, 0);
    DAMAGE(&w, ctl->ctl_bins[1][bin], first + 1, 9, 0);
    unmade(&w);
}

TEST(i10_names_a_state_block_that_is_shared_lost_or_foreign) {
    struct world w = made(h);
    struct sm_arena *a = w.w_arena;
    struct sm_keg_shm *k = w.w_zone->z_keg, *other = w.w_malloc_zone[0]->z_keg;
    EXPECT_NE(k->k_block_free, 0);
    DAMAGE(&w, k->k_block_free, 0, 10, 0);
    DAMAGE(&w, k->k_block_free, other->k_block_free, 10, 0);
    DAMAGE(&w, k->k_block_free, UINT32_MAX, 10, 0);
    DAMAGE(&w, k->k_block_free, w.w_slab.sr_block, 10, 0);
    uint32_t *link = (uint32_t *)(a->a_meta + (uint64_t)k->k_block_free * SM_BLOCK_UNIT);
    DAMAGE(&w, *link, k->k_block_free, 10, 0); /* a cycle */
    uint64_t meta_page = ((uint64_t)w.w_slab.sr_block * SM_BLOCK_UNIT) >> SM_PAGE_SHIFT;
    uint32_t all = I(2) | I(3) | I(4) | I(5) | I(6) | I(7) | I(11) | I(12) | I(13);
    DAMAGE(&w, a->a_metadir[meta_page], 0, 10, all);
    DAMAGE(&w, a->a_ctl->ctl_meta_free, 3, 10, 0);
    uint32_t page = w.w_slab.sr_page, next = k->k_full - 1 != page ? k->k_full - 1 : a->a_links[page].pl_next - 1;
    DAMAGE(&w, a->a_pagedir[next], a->a_pagedir[page], 10, all); /* two slabs with one block */
    unmade(&w);
}

TEST(i11_names_a_queue_that_disagrees_with_its_items) {
    struct world w = made(h);
    struct sm_queue_shm *q = &w.w_arena->a_queues[0];
    struct sm_place_shm *place = sm_at(w.w_arena, q->q_ring);
    EXPECT_NE(place[1].pl_item, 0);
    DAMAGE(&w, place[1].pl_item, 4711, 11, 0);
    DAMAGE(&w, place[1].pl_item, place[0].pl_item, 11, 0);
    DAMAGE(&w, place[1].pl_item, sm_off_of(w.w_arena, w.w_held[0]), 11, I(7));
    DAMAGE(&w, place[1].pl_turn, 1000, 11, 0);
    DAMAGE(&w, place[6].pl_turn, 1000, 11, 0);
    DAMAGE(&w, q->q_head, q->q_head + 1, 11, 0);
    DAMAGE(&w, q->q_tail, UINT64_MAX, 11, 0);
    DAMAGE(&w, q->q_depth, 7, 11, 0);
    DAMAGE(&w, q->q_depth, 1u << 31, 11, 0);
    DAMAGE(&w, q->q_ring, UINT64_MAX - 4095, 11, I(2));
    /* A ring whose page is on its way to somebody else: nobody may follow it, so its items have no place either. */
    uint64_t page = (q->q_ring - w.w_arena->a_data_off) >> SM_PAGE_SHIFT;
    DAMAGE(&w, w.w_arena->a_pagedir[page], SM_PG_ENTRY(SM_PG_RESERVED, w.w_peer->a_cpu_id, 0, 0), 11, I(2) | I(7));
    uint64_t *held = &w.w_slab.sr_words[w.w_slab.sr_index];
    DAMAGE(&w, *held, (*held & SM_ST_GEN_MASK) | SM_ST_LOW(SM_QUEUED, w.w_zone->z_id, 0), 11, 0);
    unmade(&w);
}

TEST(i12_names_counters_that_disagree_with_the_items_that_are_out) {
    struct world w = made(h);
    DAMAGE(&w, w.w_zone->z_shm->z_allocs, w.w_zone->z_shm->z_allocs + 1, 12, 0);
    DAMAGE(&w, w.w_zone->z_cache->c_frees, 0, 12, 0);
    DAMAGE(&w, w.w_second->z_shm->z_frees, 1, 12, 0);
    unmade(&w);
}

TEST(i13_names_a_free_slot_that_is_not_empty) {
    struct world w = made(h);
    struct sm_arena *gone = harness_attach_shared(h, "gone");
    uint32_t slot = gone->a_cpu_id;
    harness_close(h, gone);
    DAMAGE(&w, w.w_arena->a_cpus[slot].cpu_op, SM_OPWORD(SM_OP_ALLOC, 1, 2), 13, 0);
    DAMAGE(&w, sm_cache_of(w.w_arena, slot, 0)->c_alloc, w.w_zone->z_cache->c_alloc, 13, 0);
    uint64_t *held = &w.w_slab.sr_words[w.w_slab.sr_index];
    DAMAGE(&w, *held, (*held & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, w.w_zone->z_id, slot), 13, I(3));
    unmade(&w);
}

TEST(i14_names_sleepers_that_nobody_is) {
    struct world w = made(h);
    DAMAGE(&w, w.w_zone->z_keg->k_waiters, 1, 14, 0);
    DAMAGE(&w, w.w_second->z_cache->c_waiters, 2, 14, 0);
    unmade(&w);
}

TEST(i15_names_a_type_whose_counters_disagree_with_the_tags) {
    struct world w = made(h);
    struct sm_slab_ref s;
    EXPECT_OK(sm_slab_find(w.w_arena, sm_off_of(w.w_arena, w.w_malloc[0]), &s));
    uint32_t type = SM_TAG_TYPE(s.sr_aux[s.sr_index]);
    DAMAGE(&w, w.w_arena->a_types[type].ty_allocs, 5, 15, 0);
    DAMAGE(&w, w.w_arena->a_types[type].ty_bytes_out, 1, 15, 0);
    DAMAGE(&w, s.sr_aux[s.sr_index], 0, 15, 0);
    DAMAGE(&w, s.sr_aux[s.sr_index], SM_TAG(type + 1, 0), 15, 0);
    DAMAGE(&w, s.sr_aux[s.sr_index], SM_TAG(250, 0), 15, 0);
    uint32_t free_index = (s.sr_index + 1) % w.w_malloc_zone[0]->z_items;
    DAMAGE(&w, s.sr_aux[free_index], SM_TAG(type, 0), 15, 0);
    unmade(&w);
}

TEST(i16_names_a_lock_whose_word_cells_and_waiters_disagree) {
    struct world w = made(h);
    struct sm_userlock_params p = {.up_name = "mutex", .up_kind = SM_UL_MUTEX};
    struct sm_userlock *m, *s, *c;
    EXPECT_OK(sm_userlock_create(w.w_arena, &p, &m));
    p = (struct sm_userlock_params){.up_name = "permits", .up_kind = SM_UL_SEMAPHORE, .up_permits = 2};
    EXPECT_OK(sm_userlock_create(w.w_arena, &p, &s));
    p = (struct sm_userlock_params){.up_name = "condition", .up_kind = SM_UL_CONDITION, .up_mutex = m};
    EXPECT_OK(sm_userlock_create(w.w_arena, &p, &c));
    EXPECT_OK(sm_userlock_acquire(m, SM_EXCLUSIVE, 0));
    EXPECT_OK(sm_userlock_acquire(s, SM_SHARED, 0));
    struct sm_userlock_shm *ms = &w.w_arena->a_locks[0], *ss = &w.w_arena->a_locks[1], *cs = &w.w_arena->a_locks[2];
    struct sm_userlock_hold_shm *cell = sm_userlock_cells(w.w_arena, 1);
    DAMAGE(&w, ms->ul_word, 9 + 1, 16, 0); /* a free slot */
    DAMAGE(&w, ms->ul_word, 0xfff, 16, 0);
    DAMAGE(&w, ms->ul_word, SM_UL_COUNT_ONE, 16, 0);
    DAMAGE(&w, ms->ul_kind, 0, 16, 0);
    DAMAGE(&w, ms->ul_kind, SM_UL_KIND_END, 16, 0);
    DAMAGE(&w, ms->ul_kind, SM_UL_SEMAPHORE, 16, 0); /* semaphores have no owner */
    DAMAGE(&w, ms->ul_excl_waiters, 1, 16, 0);
    DAMAGE(&w, ms->ul_shared_waiters, 1, 16, 0);
    DAMAGE(&w, ms->ul_state, 2, 16, 0);
    DAMAGE(&w, ss->ul_word, 0, 16, 0);
    DAMAGE(&w, ss->ul_word, 2 * SM_UL_COUNT_ONE, 16, 0);
    DAMAGE(&w, ss->ul_permits, 0, 16, 0);
    DAMAGE(&w, ss->ul_kind, SM_UL_MUTEX, 16, 0); /* nobody shares a mutex */
    DAMAGE(&w, cell[0].uh_shared, 0, 16, 0);
    DAMAGE(&w, cell[1].uh_shared, 1, 16, 0);
    DAMAGE(&w, cell[9].uh_wait_excl, 1, 16, 0);
    DAMAGE(&w, cell[0].uh_wait_shared, 1, 16, 0);
    DAMAGE(&w, cs->ul_mutex, SM_MAX_LOCKS, 16, 0);
    DAMAGE(&w, w.w_arena->a_ctl->ctl_locks, 1, 16, 0);
    DAMAGE(&w, w.w_arena->a_ctl->ctl_locks, SM_MAX_LOCKS + 1, 16, 0);
    EXPECT_OK(sm_userlock_release(m, SM_EXCLUSIVE));
    EXPECT_OK(sm_userlock_release(s, SM_SHARED));
    sm_userlock_close(c);
    sm_userlock_close(s);
    sm_userlock_close(m);
    unmade(&w);
}

static void copy_detail(void *ctx, const struct sm_finding *f) {
    memcpy(ctx, f->f_detail, sizeof f->f_detail);
}

static void die_inside_an_operation(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "doomed");
    sm_store_rel(&a->a_cpu->cpu_op, SM_OPWORD(SM_OP_SLOW, 0, 0));
    harness_gate_post(ctx);
    for (;;) {
        pause();
    }
}

TEST(a_finding_while_a_dead_cpu_has_an_operation_open_says_so) {
    struct world w = made(h);
    struct harness_gate ready;
    struct sm_check_result r;
    char detail[sizeof((struct sm_finding *)0)->f_detail] = "";
    harness_gate_init(h, &ready);
    pid_t child = harness_fork(h, die_inside_an_operation, &ready);
    harness_gate_wait(&ready);
    harness_kill(h, child);
    EXPECT_OK(sm_check(w.w_arena, 1, copy_detail, detail, &r));
    EXPECT_EQ(r.cr_findings, 0); /* a dead CPU alone is no finding */
    EXPECT_EQ(r.cr_dead_cpus, 1);
    w.w_zone->z_keg->k_slabs++;
    EXPECT_OK(sm_check(w.w_arena, 1, copy_detail, detail, &r));
    EXPECT_EQ(r.cr_findings, 1);
    EXPECT_TRUE(strstr(detail, "(cpu 2 is dead: run recovery)") != NULL);
    w.w_zone->z_keg->k_slabs--;
    unmade(&w);
}

TEST(titles_are_the_lines_of_the_layout) {
    EXPECT_STR_EQ(sm_check_title(7), "an item is in exactly one of slab, bucket, user, queue, ticket, mbuf or sockbuf");
    EXPECT_STR_EQ(sm_check_title(0), "no such invariant");
    EXPECT_STR_EQ(sm_check_title(SM_INVARIANTS + 1), "no such invariant");
}

static void count_calls(void *ctx, const struct sm_finding *f) {
    (void)f;
    ++*(uint32_t *)ctx;
}

TEST(no_more_findings_are_told_than_asked_for_but_all_are_counted) {
    struct world w = made(h);
    struct sm_cache_shm *c = w.w_zone->z_cache;
    struct sm_check_result r;
    uint32_t calls = 0, n = c->c_alloc_n;
    c->c_alloc_n = 0; /* so many items CACHED in no bucket */
    EXPECT_OK(sm_check(w.w_arena, 2, count_calls, &calls, &r));
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(r.cr_findings, n);
    EXPECT_OK(sm_check(w.w_arena, 0, NULL, NULL, &r));
    EXPECT_EQ(r.cr_findings, n);
    c->c_alloc_n = n;
    unmade(&w);
}

TEST(the_check_counts_what_it_looked_at) {
    struct world w = made(h);
    struct sm_check_result r;
    EXPECT_OK(sm_check(w.w_arena, 1, NULL, NULL, &r));
    EXPECT_EQ(r.cr_pages, w.w_arena->a_ctl->ctl_frontier);
    EXPECT_EQ(r.cr_buckets, w.w_arena->a_ctl->ctl_bucket_next);
    EXPECT_EQ(r.cr_slabs, harness_census(w.w_arena).hc_slabs);
    EXPECT_GE(r.cr_items, 300);
    EXPECT_EQ(r.cr_live_cpus, 2);
    EXPECT_EQ(r.cr_dead_cpus, 0);
    EXPECT_GT(r.cr_world_stopped_ns, 0);
    unmade(&w);
}
