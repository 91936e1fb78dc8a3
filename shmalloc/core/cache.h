/* cache.h - the fast path: one CPU's two buckets of one zone. The owner uses plain stores between setting and clearing
 * its op word; everybody else comes in through quiesce.h. Takes no lock, makes no call, never fails halfway.
 *
 * The alloc bucket is used as a stack from both ends of life: allocations pop from it, frees push to it, so an item
 * comes back while it is still in the processor's cache. The free bucket is either empty or full and changes places
 * with it (the "magazine" pair of Bonwick and Adams, 2001; UMA's uc_allocbucket and uc_freebucket).
 *
 * Crash windows of what names its item in the op word, alloc (sm_cache_take):
 *   before the word is stored    nothing happened; the op word names an item that is still CACHED
 *   after it, before the count   the item is HELD; the bucket still lists it: derived, rebuilt from words (I6, I7)
 *   after the count              done but for counters and the op word; recovery undoes it: no user ever saw the item
 * and free (sm_cache_push): the same with HELD and CACHED exchanged; recovery finishes it.
 *
 * Crash windows of the inline paths (sm_cache_alloc, sm_cache_free), whose op words say ALLOC or FREE and no item:
 *   before the word is stored    nothing happened
 *   after it                     it is done; what the bucket lists does not matter (I6, I7)
 * so an item in flight is HELD by the dead CPU or CACHED in no bucket, and is freed either way: these paths serve plain
 * zones that do not keep. Where items of the dead are kept, one that no user has must be told from one that a user has:
 * such zones take the calls, which name it.
 *
 * The words of all entries in a cache are CACHED under its own CPU (I6; zone_alloc.c makes them so when a bucket comes
 * from the zone's list). The word of an item that leaves inline therefore changes by a constant: one addition in memory.
 *
 * SM_NO_CRASH_TOLERANCE is for the benchmark of what all this costs, and for nothing else: it compiles the op word and the
 * change of the state word out of the inline paths, and the look at the state word that a free takes before it. Such a
 * program runs alone, is never recovered, and its arena does not pass check. Not defined: the code is what it always was.
 */
#ifndef SM_CACHE_H
#define SM_CACHE_H

#include "bucket.h"
#include "zone.h"

#ifdef SM_NO_CRASH_TOLERANCE
static inline void sm_cache_say(struct sm_cpu_shm *cpu, uint64_t opword) {
    (void)cpu, (void)opword;
}
static inline void sm_cache_done(struct sm_cpu_shm *cpu) {
    (void)cpu;
}
static inline uint64_t sm_cache_state(const uint64_t *word, uint64_t low) {
    (void)word;
    return low;
}
static inline void sm_cache_become(uint64_t *word, uint64_t state) {
    (void)word, (void)state;
}
static inline void sm_cache_hold(uint64_t *word) {
    (void)word;
}
#else
static inline void sm_cache_say(struct sm_cpu_shm *cpu, uint64_t opword) {
    sm_store_rlx(&cpu->cpu_op, opword);
}
static inline void sm_cache_done(struct sm_cpu_shm *cpu) {
    sm_store_rel(&cpu->cpu_op, 0); /* pairs with the acquire load in sm_quiesce_cpu */
}
static inline uint64_t sm_cache_state(const uint64_t *word, uint64_t low) {
    (void)low;
    return sm_load_rlx(word);
}
static inline void sm_cache_become(uint64_t *word, uint64_t state) {
    sm_store_rlx(word, state);
}
static inline void sm_cache_hold(uint64_t *word) { /* still one aligned store: others read the word, only we write it */
    sm_bump(word, SM_ST_CACHED_TO_HELD);
}
#endif

static inline bool sm_cache_unclaimed(const struct sm_cpu_shm *cpu) {
    return sm_likely(sm_load_acq(&cpu->cpu_claim) == 0);
}

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
    sm_store_rlx(&c->c_alloc, c->c_free);
    sm_store_rlx(&c->c_alloc_n, c->c_free_n);
    sm_store_rlx(&c->c_free, b);
    sm_store_rlx(&c->c_free_n, n);
}

static inline struct sm_entry *sm_cache_entry_at(uint8_t *base, const struct sm_cache_shm *c, uint32_t n) {
    return &((struct sm_bucket_shm *)(base + c->c_alloc))->b_entry[n];
}

static inline struct sm_entry *sm_cache_entry(const struct sm_zone *z, const struct sm_cache_shm *c, uint32_t n) {
    return sm_cache_entry_at(z->z_base, c, n);
}

/* Entries in the alloc bucket, which changes places with the other when it is empty. 0: both are. */
static inline uint32_t sm_cache_height(struct sm_cache_shm *c) {
    if (sm_unlikely(c->c_alloc_n == 0) && c->c_free_n != 0) {
        sm_cache_swap(c);
    }
    return c->c_alloc_n;
}

/* The body of an allocation, inside an operation of this CPU. False: both buckets are empty. */
static inline bool sm_cache_take(struct sm_zone *z, uint32_t low, struct sm_entry *out) {
    struct sm_cache_shm *c = z->z_cache;
    uint32_t n = sm_cache_height(c);
    if (sm_unlikely(n == 0)) {
        return false;
    }
    n--;
    struct sm_entry e = *sm_cache_entry(z, c, n);
    sm_cache_say(z->z_cpu, z->z_op_alloc | SM_OP_ITEM_BITS(e.e_item));
    sm_compiler_barrier(); /* the op word names the item before its word changes, as seen after a kill */
    uint64_t *word = (uint64_t *)(z->z_base + e.e_word);
    sm_cache_become(word, (sm_cache_state(word, low) & SM_ST_GEN_MASK) | low);
    sm_compiler_barrier();
    sm_store_rlx(&c->c_alloc_n, n);
    sm_bump(&c->c_allocs, 1);
    *out = e;
    return true;
}

/* Pops one item and gives its word the low half `low`. False: nothing here, or somebody claims this CPU: go slow. */
static inline bool sm_cache_pop(struct sm_zone *z, uint32_t low, struct sm_entry *out) {
    struct sm_cpu_shm *cpu = z->z_cpu;
    sm_cache_say(cpu, z->z_op_alloc);
    sm_cache_order(z);
    bool done = sm_cache_unclaimed(cpu) && sm_cache_take(z, low, out);
    sm_cache_done(cpu);
    return done;
}

/* The state word behind an address, NULL when it is not the start of an item of this zone's keg. */
static inline uint64_t *sm_cache_word_below(const struct sm_zone *z, const void *mem, uint64_t bytes, uint32_t stride) {
    uint64_t d = (uint64_t)((const uint8_t *)mem - z->z_first);
    if (sm_unlikely(d >= bytes)) {
        return NULL;
    }
    uint64_t e = sm_load_rlx(&z->z_pagedir[d >> SM_PAGE_SHIFT]);
    uint64_t in = (d & (SM_PAGE - 1)) + ((uint64_t)SM_PG_IDX(e) << SM_PAGE_SHIFT);
    if (sm_unlikely((uint16_t)e != z->z_page_match)) {
        return NULL;
    }
    uint64_t i;
    if (sm_likely(z->z_shift != 0)) { /* the stride is a power of two and fills the slab: no slack to fall into */
        i = in >> z->z_shift;
        if (sm_unlikely(in & (stride - 1u))) {
            return NULL;
        }
    } else {
        i = (in * z->z_recip) >> 32;
        if (sm_unlikely(i * stride != in) || sm_unlikely(i >= z->z_items)) {
            return NULL;
        }
    }
    return (uint64_t *)(z->z_words + (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT) + i;
}

static inline uint64_t *sm_cache_word(const struct sm_zone *z, const void *mem) {
    return sm_cache_word_below(z, mem, z->z_data_bytes, z->z_stride);
}

/* A place above the alloc bucket's entries; it changes places with the other, empty one when it is full. False: none.
 * Sleepers need no look here: while a keg has any, no cache on it has a bucket (see zone_limit.c). */
static inline bool sm_cache_room(struct sm_cache_shm *c) {
    if (sm_unlikely(c->c_alloc_n >= c->c_size)) {
        if (c->c_free == 0 || c->c_free_n != 0) {
            return false;
        }
        sm_cache_swap(c);
    }
    return true;
}

/* With room, inside an operation: the item, this CPU's, is listed and its word becomes `next`. */
static inline void sm_cache_list(uint8_t *base, struct sm_cache_shm *c, sm_off_t item, uint64_t *word, uint64_t next) {
    const uint32_t n = c->c_alloc_n;
    struct sm_entry *e = sm_cache_entry_at(base, c, n);
    e->e_item = item;
    e->e_word = (sm_off_t)((uint8_t *)word - base);
    sm_compiler_barrier();
    sm_cache_become(word, next);
    sm_compiler_barrier();
    sm_store_rlx(&c->c_alloc_n, n + 1);
    sm_bump(&c->c_frees, 1);
}

/* The body of a free, inside an operation of this CPU: the word must have the low half `low`; delta takes it to CACHED of
 * the next generation. False: go slow, which finds out why: not held by this CPU, no room, sleepers. */
static inline bool sm_cache_give_at(uint8_t *base, struct sm_zone *z, uint32_t low, uint64_t delta, sm_off_t item,
                                    uint64_t *word) {
    struct sm_cache_shm *c = z->z_cache;
    const uint64_t st = sm_cache_state(word, low);
    if (sm_unlikely((uint32_t)st != low) || sm_unlikely(!sm_cache_room(c))) {
        return false;
    }
    sm_cache_list(base, c, item, word, st + delta);
    return true;
}

static inline bool sm_cache_give(struct sm_zone *z, uint32_t low, uint64_t delta, sm_off_t item, uint64_t *word) {
    return sm_cache_give_at(z->z_base, z, low, delta, item, word);
}

/* Pushes one item whose word has the low half `low` (HELD, or CONSTRUCTING after a dtor). False: go slow. */
static inline bool sm_cache_push(struct sm_zone *z, uint32_t low, sm_off_t item, uint64_t *word) {
    struct sm_cpu_shm *cpu = z->z_cpu;
    sm_cache_say(cpu, z->z_op_free | SM_OP_ITEM_BITS(item));
    sm_cache_order(z);
    uint64_t delta = SM_ST_GEN_ONE + z->z_low_cached - low;
    bool done = sm_cache_unclaimed(cpu) && sm_cache_give(z, low, delta, item, word);
    sm_cache_done(cpu);
    return done;
}

/* Allocation and free of a plain zone that does not keep, with no flag but NOWAIT or WAITOK, in an arena that is not
 * fenced. For any other zone z_inline_cpu is a slot whose claim is always raised, and for a zone that is not plain
 * z_fast_bytes is 0: both go slow without a test of their own.
 * What these two spend is loads and stores, so there is none that could be spared: the op words are constants, z_base is
 * read once (after a barrier it would be read again), and so are the two numbers in z_stride_held. */
static inline void *sm_cache_alloc_as(struct sm_zone *z, struct sm_cpu_shm *cpu, uint64_t **word) {
    uint8_t *const base = z->z_base;
    sm_cache_say(cpu, SM_OPWORD(SM_OP_ALLOC, 0, 0));
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    if (sm_cache_unclaimed(cpu)) {
        struct sm_cache_shm *c = z->z_cache;
        uint32_t n = sm_cache_height(c);
        if (sm_likely(n != 0)) {
            n--;
            const struct sm_entry *e = sm_cache_entry_at(base, c, n);
            const sm_off_t item = e->e_item;
            *word = (uint64_t *)(base + e->e_word);
            sm_cache_hold(*word);
            sm_compiler_barrier(); /* the word before the count, as seen after a kill */
            sm_store_rlx(&c->c_alloc_n, n);
            sm_bump(&c->c_allocs, 1);
            sm_cache_done(cpu);
            return base + item;
        }
    }
    sm_cache_done(cpu);
    return NULL;
}

static inline bool sm_cache_free_as(struct sm_zone *z, struct sm_cpu_shm *cpu, uint32_t low, void *mem,
                                    uint64_t *word) {
    uint8_t *const base = z->z_base;
    sm_off_t item = (sm_off_t)((uint8_t *)mem - base);
    sm_cache_say(cpu, SM_OPWORD(SM_OP_FREE, 0, 0));
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    bool done = sm_cache_unclaimed(cpu) && sm_likely(sm_cache_give_at(base, z, low, SM_ST_FREE_DELTA, item, word));
    sm_cache_done(cpu);
    return done;
}

static inline void *sm_cache_alloc(struct sm_zone *z) {
    uint64_t *word;
    return sm_cache_alloc_as(z, z->z_inline_cpu, &word);
}

static inline bool sm_cache_free(struct sm_zone *z, void *mem) {
    const uint64_t stride_held = z->z_stride_held;
    uint64_t *word = sm_cache_word_below(z, mem, z->z_fast_bytes, (uint32_t)stride_held);
    return sm_likely(word != NULL) && sm_cache_free_as(z, z->z_inline_cpu, (uint32_t)(stride_held >> 32), mem, word);
}

/* The same for a caller that does itself what the zone's native ctor and dtor would do (mbuf_cached.h); word: the item's. */
static inline void *sm_cache_alloc_raw(struct sm_zone *z, uint64_t **word) {
    return sm_cache_alloc_as(z, z->z_raw_cpu, word);
}

static inline bool sm_cache_free_raw(struct sm_zone *z, void *mem, uint64_t *word) {
    return sm_cache_free_as(z, z->z_raw_cpu, z->z_low_held, mem, word);
}

/* As many of n as the two buckets hold, or have room for, in one operation; stops before the first item that is not this
 * CPU's to free. Plain zones only, as above. cache_bulk.c. */
uint32_t sm_cache_alloc_bulk(struct sm_zone *z, uint32_t n, void **items);
uint32_t sm_cache_free_bulk(struct sm_zone *z, uint32_t n, void *const *items);

#endif
