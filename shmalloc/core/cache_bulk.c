/* cache_bulk.c - many items between a CPU's buckets and its user in one operation. Takes no lock, makes no call.
 *
 * The op word says SM_OP_BULK instead of an item, and op_arg the height of the alloc bucket before. A kill in the middle
 * of an allocation leaves HELD words in entries below that height: no user saw them, recovery takes them back. A kill in
 * the middle of a free leaves CACHED words that no bucket lists: free.
 */
#include "cache.h"

static bool enter(struct sm_zone *z, uint64_t op, uint32_t height) {
    struct sm_cpu_shm *cpu = z->z_fast_cpu;
    sm_store_rlx(&cpu->cpu_op_arg, height);
    sm_store_rlx(&cpu->cpu_op, op | SM_OP_BULK << 16);
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    return sm_likely(sm_load_acq(&cpu->cpu_claim) == 0);
}

static void leave(struct sm_zone *z) {
    sm_store_rel(&z->z_fast_cpu->cpu_op, 0);
}

/* Pops n entries of the alloc bucket, which has them. */
static void pop_row(struct sm_zone *z, struct sm_cache_shm *c, uint32_t n, void **items) {
    uint8_t *const base = z->z_base;
    const uint32_t low = z->z_low_held;
    const struct sm_entry *top = sm_cache_entry(z, c, c->c_alloc_n);
    for (uint32_t i = 0; i < n; i++) {
        const struct sm_entry e = *--top;
        /* A cached item's word is this CPU's alone and its generation stays: the low half is the whole transition. (Not so
         * in a single pop: the push that follows at once would wait for a half store to reach the cache.) */
        sm_store_rlx((uint32_t *)(base + e.e_word), low);
        items[i] = base + e.e_item;
    }
    sm_compiler_barrier(); /* the words before the height, as seen after a kill */
    sm_store_rlx(&c->c_alloc_n, c->c_alloc_n - n);
    sm_bump(&c->c_allocs, n);
}

/* Remembers the row just popped: until anything else happens in this cache its entries stay in the bucket's memory. */
static void row_note(struct sm_zone *z, const struct sm_cache_shm *c, uint32_t n) {
    z->z_row = (struct sm_zone_row){
        .row_bucket = c->c_alloc,
        .row_allocs = c->c_allocs,
        .row_frees = c->c_frees,
        .row_withdrawn = sm_load_acq(z->z_withdrawn),
        .row_at = c->c_alloc_n,
        .row_n = n,
    };
}

/* Has nothing happened since? Then the entries above the count are the row's, each with its item's own word: no slab was
 * withdrawn meanwhile, and within the life of a slab an item keeps its word. */
static bool row_stands(const struct sm_zone *z, const struct sm_cache_shm *c, uint32_t n) {
    const struct sm_zone_row *r = &z->z_row;
    return r->row_n == n && r->row_at == c->c_alloc_n && r->row_bucket == c->c_alloc && r->row_allocs == c->c_allocs &&
           r->row_frees == c->c_frees && r->row_withdrawn == sm_load_acq(z->z_withdrawn) && r->row_at + n <= c->c_size;
}

/* A whole row given back in the order it was taken: its entries are still right, so nothing is looked up. All are
 * verified before any is changed. False: not that row, or not all of it is this CPU's any more. */
static bool push_same_row(const struct sm_zone *z, struct sm_cache_shm *c, uint32_t n, void *const *items) {
    uint8_t *const base = z->z_base;
    const uint32_t low = z->z_low_held;
    const struct sm_entry *const row = sm_cache_entry(z, c, c->c_alloc_n);
    const struct sm_entry *e = row + n;
    for (uint32_t i = 0; i < n; i++) {
        e--;
        if (sm_unlikely(items[i] != base + e->e_item) ||
            sm_unlikely(sm_load_rlx((uint32_t *)(base + e->e_word)) != low)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t *word = (uint64_t *)(base + row[i].e_word);
        sm_store_rlx(word, sm_load_rlx(word) + SM_ST_FREE_DELTA);
    }
    sm_compiler_barrier();
    sm_store_rlx(&c->c_alloc_n, c->c_alloc_n + n);
    sm_bump(&c->c_frees, n);
    return true;
}

uint32_t sm_cache_alloc_bulk(struct sm_zone *z, uint32_t n, void **items) {
    uint32_t got = 0;
    struct sm_cache_shm *c = z->z_cache;
    if (!z->z_plain || c == NULL) { /* no slot yet, in a child after fork */
        return 0;
    }
    while (got < n && enter(z, z->z_op_alloc, c->c_alloc_n)) {
        if (c->c_alloc_n == 0 && c->c_free_n != 0) {
            sm_cache_swap(c);
            sm_store_rlx(&z->z_fast_cpu->cpu_op_arg, c->c_alloc_n);
            sm_compiler_barrier();
        }
        uint32_t row = n - got < c->c_alloc_n ? n - got : c->c_alloc_n;
        pop_row(z, c, row, items + got);
        row_note(z, c, got == 0 ? row : 0);
        got += row;
        if (row == 0) {
            break;
        }
    }
    leave(z);
    return got;
}

/* Pushes up to n items, for which there is room; stops at the first that is not ours. In a slab of one page that is filled
 * by strides of a power of two (one_page) the lookup is two tests and no multiplication. */
static inline __attribute__((always_inline)) uint32_t push_some(const struct sm_zone *z, struct sm_entry *e, uint32_t n,
                                                                void *const *items, bool one_page) {
    /* Private copies of what the loop reads: its stores cannot change them, so they stay in registers. */
    uint8_t *const base = z->z_base, *const words = z->z_words;
    const uint64_t *const pagedir = z->z_pagedir;
    const uint64_t bytes = z->z_data_bytes, first = (uint64_t)z->z_first;
    const uint64_t slack = z->z_stride - 1u;
    const uint32_t low = z->z_low_held;
    const uint16_t match = z->z_page_match;
    const uint8_t shift = z->z_shift;
    struct sm_entry *const from = e, *const end = e + n;
    for (; e < end; e++, items++) {
        uint64_t *word;
        if (one_page) {
            uint64_t d = (uint64_t)*items - first;
            if (sm_unlikely(d >= bytes)) {
                break;
            }
            uint64_t entry = sm_load_rlx(&pagedir[d >> SM_PAGE_SHIFT]);
            if (sm_unlikely((uint16_t)entry != match) || sm_unlikely(d & slack)) {
                break;
            }
            word = (uint64_t *)(words + (entry >> SM_PG_BLK_SHIFT) * SM_BLOCK_UNIT) + ((d & (SM_PAGE - 1)) >> shift);
        } else if (sm_unlikely((word = sm_cache_word(z, *items)) == NULL)) {
            break;
        }
        uint64_t st = sm_load_rlx(word);
        if (sm_unlikely((uint32_t)st != low)) {
            break;
        }
        sm_store_rlx(&e->e_item, (sm_off_t)((uint8_t *)*items - base));
        sm_store_rlx(&e->e_word, (sm_off_t)((uint8_t *)word - base));
        sm_store_rlx(word, st + SM_ST_FREE_DELTA);
    }
    return (uint32_t)(e - from);
}

static uint32_t push_row(const struct sm_zone *z, struct sm_cache_shm *c, uint32_t n, void *const *items) {
    const uint32_t room = c->c_size > c->c_alloc_n ? c->c_size - c->c_alloc_n : 0;
    struct sm_entry *e = sm_cache_entry(z, c, c->c_alloc_n);
    n = n < room ? n : room;
    n = z->z_shift != 0 && z->z_keg->k_pages == 1 ? push_some(z, e, n, items, true) : push_some(z, e, n, items, false);
    sm_compiler_barrier();
    sm_store_rlx(&c->c_alloc_n, c->c_alloc_n + n);
    sm_bump(&c->c_frees, n);
    return n;
}

uint32_t sm_cache_free_bulk(struct sm_zone *z, uint32_t n, void *const *items) {
    struct sm_cache_shm *c = z->z_cache;
    uint32_t done = 0;
    if (!z->z_plain || c == NULL) {
        return 0;
    }
    if (enter(z, z->z_op_free, 0)) {
        if (row_stands(z, c, n) && push_same_row(z, c, n, items)) {
            leave(z);
            return n;
        }
        done = push_row(z, c, n, items);
        if (done < n && c->c_alloc_n >= c->c_size && c->c_free != 0 && c->c_free_n == 0) {
            sm_cache_swap(c);
            done += push_row(z, c, n - done, items + done);
        }
    }
    leave(z);
    return done;
}
