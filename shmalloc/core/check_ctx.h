/* check_ctx.h - what the check_*.c files share: one look at an arena, with bound-checked ways into it.
 * Owns struct sm_check (process-local; nothing in it is shared). Nobody in here writes to the arena, takes its locks or
 * trusts a number found in it: an id, offset, page or length is compared with a bound of c_header (a verified copy)
 * before it is followed, and every list walk marks what it has seen.
 */
#ifndef SM_CHECK_CTX_H
#define SM_CHECK_CTX_H

#include "check.h"
#include "keg.h"

struct sm_check_keg { /* a keg's constants, loaded once */
    bool k_live;
    bool k_sane; /* live, and its geometry stays inside slab and block */
    uint32_t k_flags;
    uint32_t k_items, k_pages, k_stride_bytes;
    uint32_t k_block_bytes, k_words_off, k_aux_off, k_trace_off, k_hdr_off, k_chunk_pages;
    uint64_t k_slabs, k_reserved_slabs; /* counted: published, and being made */
    uint64_t k_slab_pages;              /* counted, both sorts */
    uint64_t k_empty_slabs;             /* counted: every word FREE */
    uint64_t k_free;                    /* FREE words, counted */
    uint64_t k_blocks_used;             /* state blocks named by page entries */
};

struct sm_check_slab {
    uint32_t s_page, s_pages, s_keg, s_block, s_items;
    uint32_t s_free;  /* FREE words, counted */
    uint32_t s_lists; /* times found on a list of its keg */
    uint64_t s_first; /* number of its item 0 among all items of the arena */
    const uint64_t *s_words;
    const uint32_t *s_aux;             /* NULL without aux words */
    const struct sm_trace_shm *s_trace; /* NULL without trace records */
    const struct sm_slab_shm *s_shared; /* the slab header */
};

enum sm_check_place { SM_BK_NOWHERE, SM_BK_CACHE, SM_BK_FULL, SM_BK_FREE };
struct sm_check_bucket {
    uint32_t b_seen; /* times found anywhere */
    uint8_t b_place; /* the first place */
    uint32_t b_zone, b_cpu, b_count;
};

struct sm_check {
    struct sm_arena *c_arena;
    sm_finding_fn c_fn;
    void *c_ctx;
    uint32_t c_most;
    uint64_t c_found[SM_INVARIANTS + 1];
    struct sm_check_result *c_result;
    struct sm_header_shm c_header; /* copied once, then only this is believed */
    bool c_usable;                 /* I1 found the regions in bounds: the rest may be looked at */
    uint32_t c_unfinished_cpu;     /* a dead CPU with an open operation, SM_CPU_NONE */

    const uint8_t *c_base;
    const struct sm_control_shm *c_ctl;
    const struct sm_cpu_shm *c_cpus;
    const struct sm_zone_shm *c_zones;
    const struct sm_keg_shm *c_kegs;
    const struct sm_queue_shm *c_queues;
    const struct sm_userlock_shm *c_locks;
    const struct sm_userlock_hold_shm *c_holds;
    const struct sm_cache_shm *c_caches;
    const struct sm_type_shm *c_types;
    const struct sm_type_stat_shm *c_type_stats; /* NULL when it does not fit its region */
    const struct sm_site_shm *c_sites;
    const struct sm_bucket_shm *c_buckets;
    const uint64_t *c_pagedir;
    const struct sm_page_link_shm *c_links;
    const uint64_t *c_metadir;
    uint64_t c_data_off;
    uint32_t c_data_pages, c_meta_pages;         /* what the regions hold */
    uint32_t c_frontier, c_dir_pages;            /* clamped to c_data_pages */
    uint32_t c_meta_frontier, c_metadir_pages;   /* clamped to c_meta_pages */
    uint32_t c_bucket_count;                     /* ctl_bucket_next, clamped */

    struct sm_check_keg *c_keg;       /* [h_max_zones] */
    struct sm_check_slab *c_slab;     /* in page order */
    uint32_t c_slabs;
    uint32_t *c_slab_of;              /* [c_frontier] number of the slab + 1 */
    uint64_t c_items;                 /* of all slabs */
    struct sm_check_bucket *c_bucket; /* [c_bucket_count] */
};

/* ---- check.c */
void sm_check_found(struct sm_check *c, uint32_t invariant, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* ---- check_survey.c: the tables above. SM_NO_MEMORY when this process has none left. */
enum sm_err sm_check_survey(struct sm_check *c);
enum sm_err sm_check_survey_items(struct sm_check *c); /* kegs and slabs alone */
void sm_check_survey_end(struct sm_check *c);

struct sm_check_item { /* where an offset points */
    const struct sm_check_slab *i_slab;
    uint32_t i_index;
    const uint64_t *i_word;
    uint64_t i_number; /* among all items of the arena */
};
/* False when no item starts at this offset. */
bool sm_check_item_at(const struct sm_check *c, sm_off_t off, struct sm_check_item *out);
sm_off_t sm_check_item_off(const struct sm_check *c, const struct sm_check_slab *s, uint32_t index);
/* Whether a state block number lies whole in a chunk of the keg, at a block's start. */
bool sm_check_block_fits(const struct sm_check *c, uint32_t keg, uint32_t block);
/* Bucket behind an offset, UINT32_MAX when there is none. */
uint32_t sm_check_bucket_at(const struct sm_check *c, sm_off_t off);

static inline bool sm_check_zone_live(const struct sm_check *c, uint32_t zone) {
    return zone < c->c_header.h_max_zones && sm_load_rlx(&c->c_zones[zone].z_state) != SM_ZONE_FREE;
}
static inline bool sm_check_cpu_taken(const struct sm_check *c, uint32_t cpu) {
    return cpu < c->c_header.h_max_cpus && sm_load_rlx(&c->c_cpus[cpu].cpu_state) != SM_CPU_FREE;
}
static inline bool sm_check_queue_live(const struct sm_check *c, uint32_t queue) {
    return queue < c->c_header.h_max_queues && sm_load_rlx(&c->c_queues[queue].q_state) != SM_ZONE_FREE;
}
static inline const struct sm_cache_shm *sm_check_cache(const struct sm_check *c, uint32_t cpu, uint32_t zone) {
    return &c->c_caches[(uint64_t)cpu * c->c_header.h_max_zones + zone];
}

/* Marks the items that occupied places of live queues name. (check_queues.c) */
void sm_check_mark_queued(const struct sm_check *c, uint64_t *in_queue);

/* Sets of numbers, one bit each. */
uint64_t *sm_check_bits(uint64_t count);
static inline bool sm_check_bit(const uint64_t *bits, uint64_t i) {
    return bits[i / 64] >> (i % 64) & 1;
}
static inline bool sm_check_mark(uint64_t *bits, uint64_t i) { /* whether it was marked before */
    bool was = sm_check_bit(bits, i);
    bits[i / 64] |= 1ull << (i % 64);
    return was;
}

/* ---- the invariants. SM_NO_MEMORY or SM_OK; findings go through sm_check_found. i1 needs no survey and decides
 * c_usable; the others need both. */
enum sm_err sm_check_i1(struct sm_check *c);
enum sm_err sm_check_i2(struct sm_check *c);
enum sm_err sm_check_i3(struct sm_check *c);
enum sm_err sm_check_i4(struct sm_check *c);
enum sm_err sm_check_i5(struct sm_check *c);
enum sm_err sm_check_i6(struct sm_check *c);
enum sm_err sm_check_i7(struct sm_check *c);
enum sm_err sm_check_i8(struct sm_check *c);
enum sm_err sm_check_i9(struct sm_check *c);
enum sm_err sm_check_i10(struct sm_check *c);
enum sm_err sm_check_i11(struct sm_check *c);
enum sm_err sm_check_i12(struct sm_check *c);
enum sm_err sm_check_i13(struct sm_check *c);
enum sm_err sm_check_i14(struct sm_check *c);
enum sm_err sm_check_i15(struct sm_check *c);
enum sm_err sm_check_i16(struct sm_check *c);
enum sm_err sm_check_i17(struct sm_check *c);
enum sm_err sm_check_i18(struct sm_check *c);
enum sm_err sm_check_i19(struct sm_check *c);

#endif
