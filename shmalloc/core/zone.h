/* zone.h - zones: creation, allocation, freeing, limits, sleeping, reclaim. Takes the keg lock; for tables the admin
 * lock; for other CPUs' buckets the quiesce lock. Callbacks run with no lock held and the op word clear.
 * After UMA's zone_*, zalloc and zfree. The fast path is cache.h.
 */
#ifndef SM_ZONE_H
#define SM_ZONE_H

#include "arena.h"

#define SM_M_NOWAIT 0x0001 /* fail at once */
#define SM_M_WAITOK 0x0002 /* sleep at the limit */
#define SM_M_ZERO 0x0100   /* zero the item before the ctor sees it */
#define SM_M_NOVM 0x0200   /* only from what the zone already has: never a new slab */
#define SM_M_USE_RESERVE 0x0400
#define SM_M_FLAGS (SM_M_NOWAIT | SM_M_WAITOK | SM_M_ZERO | SM_M_NOVM | SM_M_USE_RESERVE)

struct sm_zone_params {
    const char *zp_name;
    uint64_t zp_bytes; /* of an item, 1 .. 2^31; a secondary zone takes its master's */
    uint32_t zp_align; /* 0: 16, or less for items smaller than that */
    uint32_t zp_flags; /* SM_ZONE_USER_FLAGS */
    struct sm_callback_shm zp_cb[SM_CB_SLOTS];
    const char *zp_master; /* name of the zone whose keg is shared; NULL: a keg of its own */
    const char *zp_hoards; /* name of a zone: each item of ours, cached or not, holds one of its items. NULL: none */
};

/* The last row of items popped by one bulk allocation, see cache_bulk.c. */
struct sm_zone_row {
    sm_off_t row_bucket;
    uint64_t row_allocs, row_frees, row_withdrawn; /* counters as they were */
    uint32_t row_at, row_n;                        /* height of the alloc bucket after it, items */
};

/* Process-local handle of a zone; one per zone and attachment. The first lines are what the fast path reads. */
struct sm_zone {
    struct sm_cpu_shm *z_fast_cpu;  /* z_cpu for a plain zone, else a slot whose claim is always raised */
    struct sm_cache_shm *z_cache;
    uint8_t *z_base;
    uint64_t z_op_alloc, z_op_free;
    uint32_t z_low_held, z_low_cached; /* low half of state words with this CPU in them */
    struct sm_cpu_shm *z_inline_cpu; /* z_fast_cpu, but for a zone that keeps: a slot whose claim is always raised */
    uint8_t *z_first;                  /* where the first item could be: data region + z_item_off */
    uint64_t z_fast_bytes;             /* z_data_bytes for a plain zone, else 0 */
    uint64_t *z_pagedir;
    uint8_t *z_words; /* meta region + k_words_off */
    uint32_t z_stride, z_items;
    uint64_t z_stride_held; /* z_stride, and z_low_held in the high half: an inline free reads both at once */
    uint16_t z_page_match; /* low 16 bits of a page entry of this keg */
    uint8_t z_shift;       /* log2(stride) when whole strides fill the slab, else 0 */
    bool z_plain;          /* no ctor, dtor, debug, run or fence: the inline paths may do everything */
    bool z_fenced;
    struct sm_cpu_shm *z_raw_cpu; /* as z_fast_cpu, z_fast_bytes for a caller that does a native ctor's work itself */
    uint64_t z_raw_bytes;
    uint64_t z_recip;
    const uint64_t *z_withdrawn; /* ctl_withdrawn */
    struct sm_zone_row z_row;
    /* ---- slow path */
    struct sm_cpu_shm *z_cpu;
    uint64_t z_data_bytes; /* of the data region, as far as its directory was committed when last looked */
    uint32_t z_low_constructing;
    uint32_t z_item_off, z_item_bytes;
    uint32_t *z_waiters; /* the keg's */
    const struct sm_keg_shm *z_hoard; /* keg of the zone whose items lie in ours; without one the own keg */
    struct sm_arena *z_arena;
    struct sm_zone_shm *z_shm;
    struct sm_keg_shm *z_keg;
    uint32_t z_id, z_keg_id, z_gen, z_flags, z_epoch;
    sm_callback_fn z_fn[SM_CB_SLOTS];
    void *z_fn_ctx[SM_CB_SLOTS];
    uint64_t z_refs; /* for the language on top */
    struct sm_zone *z_next_gone;
};

struct sm_handle { /* names one life of one item in this arena */
    sm_off_t h_item;
    uint32_t h_gen;
    uint32_t h_zone;
};

/* Native callbacks: a process registers them under a name before it opens the zone. Their ctx is the attachment. */
enum sm_err sm_zone_register(const char *key, sm_callback_fn fn);

/* SM_EXISTS: the name is taken (an equal zone is then opened with sm_zone_open). */
enum sm_err sm_zone_create(struct sm_arena *a, const struct sm_zone_params *p, struct sm_zone **out);
/* By name; with p, also verifies that the parameters agree (SM_MISMATCH). */
enum sm_err sm_zone_open(struct sm_arena *a, const char *name, const struct sm_zone_params *p, struct sm_zone **out);
enum sm_err sm_zone_by_id(struct sm_arena *a, uint32_t id, struct sm_zone **out);
enum sm_err sm_zone_destroy(struct sm_zone *z, uint64_t *live); /* SM_BUSY: *live items are out */

/* timeout_ns: relative, for M_WAITOK; negative waits for ever. arg goes to the ctor. */
enum sm_err sm_zone_alloc(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item);
enum sm_err sm_zone_free(struct sm_zone *z, void *item, void *arg);
/* All or as many as there are: *got counts; the error is the one that stopped it, SM_OK when got == n. */
enum sm_err sm_zone_alloc_bulk(struct sm_zone *z, int flags, int64_t timeout_ns, uint32_t n, void **items,
                               uint32_t *got);
enum sm_err sm_zone_free_bulk(struct sm_zone *z, uint32_t n, void *const *items, uint32_t *done);

enum sm_err sm_zone_handle(struct sm_zone *z, const void *item, struct sm_handle *h); /* held by this CPU */
/* Held by this CPU: gives it up to whoever adopts the handle first. */
enum sm_err sm_zone_ticket(struct sm_zone *z, void *item, struct sm_handle *h);
/* Takes over an item in transit, or one kept from a dead or departed CPU. SM_STALE, SM_NOT_OWNER. */
enum sm_err sm_zone_adopt(struct sm_arena *a, struct sm_handle h, struct sm_zone **z, void **item);
/* The word and slab behind an address of this zone; the error tells what is wrong with it. */
enum sm_err sm_zone_lookup(const struct sm_zone *z, const void *item, uint64_t **word);
enum sm_err sm_zone_find_refcnt(const struct sm_zone *z, const void *item, uint32_t **count); /* use atomics on it */

/* Items; the effective limit is rounded up to whole slabs; 0 lifts it. Wakes all sleepers. */
enum sm_err sm_zone_set_max(struct sm_zone *z, uint64_t items, uint64_t *effective);
uint64_t sm_zone_get_max(const struct sm_zone *z);
enum sm_err sm_zone_set_maxcache(struct sm_zone *z, uint64_t items);
enum sm_err sm_zone_set_warning(struct sm_zone *z, const char *text); /* NULL: none; at most 63 bytes */
enum sm_err sm_zone_set_maxaction(struct sm_zone *z, const struct sm_callback_shm *cb);
enum sm_err sm_zone_reserve(struct sm_zone *z, uint64_t items);
enum sm_err sm_zone_prealloc(struct sm_zone *z, uint64_t items);
bool sm_zone_exhausted(const struct sm_zone *z);

enum sm_reclaim { SM_RECLAIM_TRIM, SM_RECLAIM_DRAIN, SM_RECLAIM_DRAIN_CPU };
enum sm_err sm_zone_reclaim(struct sm_zone *z, enum sm_reclaim how, uint64_t *items, uint64_t *slabs);
enum sm_err sm_arena_reclaim(struct sm_arena *a, enum sm_reclaim how, uint64_t *pages); /* all zones, then punch */

/* Inside the core: frees every handle (close). */
void sm_zone_close_all(struct sm_arena *a);
/* Inside the core: hands this CPU's buckets of every zone back (detach), rebinds handles to a new CPU (fork). */
enum sm_err sm_zone_flush_cpu(struct sm_arena *a, uint32_t cpu);
bool sm_zone_flushed(const struct sm_arena *a, uint32_t cpu); /* nothing left to hand back */
void sm_zone_rebind(struct sm_arena *a);

#endif
