/* cache.h - the fast path: one CPU's two buckets of one zone. The owner uses plain stores between setting and clearing
 * its op word; everybody else comes in through quiesce.h. Takes no lock, makes no call, never fails halfway.
 *
 * The alloc bucket is used as a stack from both ends of life: allocations pop from it, frees push to it, so an item
 * comes back while it is still in the processor's cache. The free bucket is either empty or full and changes places
 * with it (the "magazine" pair of Bonwick and Adams, 2001; UMA's uc_allocbucket and uc_freebucket).
 *
 * Crash windows, alloc:
 *   before the word is stored    nothing happened; the op word names an item that is still CACHED
 *   after it, before the count   the item is HELD; the bucket still lists it: derived, rebuilt from words (I6, I7)
 *   after the count              done but for counters and the op word; recovery undoes it: no user ever saw the item
 * Crash windows, free: the same with HELD and CACHED exchanged; recovery finishes it.
 */
#ifndef SM_CACHE_H
#define SM_CACHE_H

#include "bucket.h"
#include "zone.h"

static inline void sm_cache_order(const struct sm_zone *z) {
    if (sm_unlikely(z->z_fenced)) {
        sm_full_fence();
    } else {
        sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    }
}

static inline void sm_cache_swap(struct sm_cache_shm *c) {
    sm_off_t b = c->c_alloc;
    uint32_t n = c->c_alloc_n;
    c->c_alloc = c->c_free;
    c->c_alloc_n = c->c_free_n;
    c->c_free = b;
    c->c_free_n = n;
}

/* The body of an allocation, inside an operation of this CPU. False: both buckets are empty. */
static inline bool sm_cache_take(struct sm_zone *z, uint32_t low, struct sm_entry *out) {
    struct sm_cache_shm *c = z->z_cache;
    uint32_t n = c->c_alloc_n;
    if (sm_unlikely(n == 0)) {
        if (c->c_free_n == 0) {
            return false;
        }
        sm_cache_swap(c);
        n = c->c_alloc_n;
    }
    struct sm_entry e = ((struct sm_bucket_shm *)(z->z_base + c->c_alloc))->b_entry[n - 1];
    uint64_t *word = (uint64_t *)(z->z_base + e.e_word);
    sm_store_rlx(&z->z_cpu->cpu_op, z->z_op_alloc | SM_OP_ITEM(e.e_item) << 16);
    sm_compiler_barrier(); /* the op word names the item before its word changes, as seen after a kill */
    sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | low);
    sm_compiler_barrier();
    c->c_alloc_n = n - 1;
    sm_bump(&c->c_allocs, 1);
    *out = e;
    return true;
}

/* Pops one item and gives its word the low half `low`. False: nothing here, or somebody claims this CPU: go slow. */
static inline bool sm_cache_pop(struct sm_zone *z, uint32_t low, struct sm_entry *out) {
    struct sm_cpu_shm *cpu = z->z_cpu;
    sm_store_rlx(&cpu->cpu_op, z->z_op_alloc);
    sm_cache_order(z);
    bool done = sm_likely(sm_load_acq(&cpu->cpu_claim) == 0) && sm_cache_take(z, low, out);
    sm_store_rel(&cpu->cpu_op, 0); /* pairs with the acquire load in sm_quiesce_cpu */
    return done;
}

/* The state word behind an address, NULL when it is not the start of an item of this zone's keg. */
static inline uint64_t *sm_cache_word(const struct sm_zone *z, const void *mem) {
    uint64_t d = (uint64_t)((const uint8_t *)mem - z->z_base) - z->z_item_off - z->z_data_off;
    if (sm_unlikely(d >= z->z_data_bytes)) {
        return NULL;
    }
    uint64_t e = sm_load_rlx(&z->z_pagedir[d >> SM_PAGE_SHIFT]);
    if (sm_unlikely((uint16_t)e != z->z_page_match)) {
        return NULL;
    }
    uint64_t in = (d & (SM_PAGE - 1)) + ((uint64_t)SM_PG_IDX(e) << SM_PAGE_SHIFT);
    uint64_t i = (in * z->z_recip) >> 32;
    if (sm_unlikely(i * z->z_stride != in || i >= z->z_items)) {
        return NULL;
    }
    return (uint64_t *)(z->z_words + (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT) + i;
}

/* Pushes one item whose word has the low half `low` (HELD, or CONSTRUCTING after a dtor). False: go slow, which finds
 * out why: not held by this CPU, no room, sleepers, a claim. */
static inline bool sm_cache_push(struct sm_zone *z, uint32_t low, sm_off_t item, uint64_t *word) {
    struct sm_cpu_shm *cpu = z->z_cpu;
    struct sm_cache_shm *c = z->z_cache;
    struct sm_entry *e; /* declared here, and without a value, because C++ programs jump over them too */
    uint64_t st;
    uint32_t n;
    sm_store_rlx(&cpu->cpu_op, z->z_op_free | SM_OP_ITEM(item) << 16);
    sm_cache_order(z);
    if (sm_unlikely(sm_load_acq(&cpu->cpu_claim))) {
        goto slow;
    }
    st = sm_load_rlx(word);
    /* The waiters are read after the claim: a sleeper registers, then quiesces this CPU, so either it drains what is
     * pushed here or this load sees it (no lost wake-up). */
    if (sm_unlikely((uint32_t)st != low || sm_load_rlx(z->z_waiters) != 0)) {
        goto slow;
    }
    n = c->c_alloc_n;
    if (sm_unlikely(n >= c->c_size)) {
        if (c->c_free == 0 || c->c_free_n != 0) {
            goto slow;
        }
        sm_cache_swap(c);
        n = 0;
    }
    e = &((struct sm_bucket_shm *)(z->z_base + c->c_alloc))->b_entry[n];
    e->e_item = item;
    e->e_word = (sm_off_t)((uint8_t *)word - z->z_base);
    sm_compiler_barrier();
    sm_store_rlx(word, ((st & SM_ST_GEN_MASK) + SM_ST_GEN_ONE) | z->z_low_cached);
    sm_compiler_barrier();
    c->c_alloc_n = n + 1;
    sm_bump(&c->c_frees, 1);
    sm_store_rel(&cpu->cpu_op, 0);
    return true;
slow:
    sm_store_rel(&cpu->cpu_op, 0);
    return false;
}

/* Allocation and free of a plain zone with no flag but NOWAIT or WAITOK; everything else goes through zone.c. */
static inline void *sm_cache_alloc(struct sm_zone *z) {
    struct sm_entry e;
    if (sm_likely(z->z_plain) && sm_likely(sm_cache_pop(z, z->z_low_held, &e))) {
        return z->z_base + e.e_item;
    }
    return NULL;
}

static inline bool sm_cache_free(struct sm_zone *z, void *mem) {
    uint64_t *word = sm_cache_word(z, mem);
    return sm_likely(z->z_plain && word != NULL) &&
           sm_likely(sm_cache_push(z, z->z_low_held, (sm_off_t)((uint8_t *)mem - z->z_base), word));
}

#endif
