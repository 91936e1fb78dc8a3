/* malloc.c - malloc(9): size classes, page runs, types. Takes the admin lock to add a type; calls no callback (its
 * zones have none). After kern_malloc.c, with the type kept in the item's tag (tag.c) instead of asked for at free.
 *
 * The tag (aux word of a TAGGED keg, see layout.h) is the truth of I15: an item counts for its type while its tag is
 * set. In the zone of page runs the zone's own counters change with the tag too: I12 counts tags there. Crash window:
 *   item HELD, tag 0    allocated, not counted, no user saw it; or freed by its user, counted, not yet returned: the
 *                       dead CPU's item, its zone's policy decides
 */
#include "malloc.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cache.h"
#include "keg.h"
#include "quiesce.h"
#include "site.h"
#include "slab.h"
#include "tag.h"
#include "zone_impl.h"

const uint32_t sm_malloc_class_bytes[SM_MALLOC_CLASSES] = {
    16,  32,  48,  64,  80,   96,   112,  128,  160,  192,  224,   256,   320,   384,
    448, 512, 640, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768, 65536,
};
#define SMALL_MAX 1024u
#define RUN_CLASS SM_MALLOC_CLASSES /* place of the zone of page runs in a_malloc, and its bit in ty_sizes */

_Static_assert(sizeof(((struct sm_arena *)0)->a_malloc) / sizeof(struct sm_zone *) == SM_MALLOC_CLASSES + 1, "arena.h");

/* Class by (bytes + 15) / 16 up to 1024, by (bytes + 511) / 512 above: every class bound is a multiple of its step. */
static const uint8_t class_of_16[65] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  8,  9,  9,  10, 10, 11, 11, 12, 12, 12, 12, 13,
    13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 15, 16, 16, 16, 16, 16, 16, 16, 16, 17, 17, 17,
    17, 17, 17, 17, 17, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18, 18,
};
static const uint8_t class_of_512[129] = {
    19, 19, 19, 19, 20, 21, 21, 22, 22, 23, 23, 23, 23, 23, 23, 23, 23, 24, 24, 24, 24, 24, 24, 24, 24, 24,
    24, 24, 24, 24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25,
    25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26,
    26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26,
    26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26, 26,
};

static inline uint32_t class_of(uint64_t bytes) {
    return bytes <= SMALL_MAX ? class_of_16[(bytes + 15) / 16] : class_of_512[(bytes + 511) / 512];
}

enum type_step { STEP_TYPE_NAMED = 0x610 };

/* ---------------------------------------------------------------- types */

static bool type_find(const struct sm_arena *a, const char *name, uint32_t *type) {
    for (uint32_t i = 0, n = sm_tag_types(a); i < n; i++) {
        if (strncmp(a->a_types[i].ty_name, name, SM_NAME_BYTES) == 0) {
            *type = i;
            return true;
        }
    }
    return false;
}

/* Admin lock held. A crash before the last store leaves a name past the count: written over by the next type. */
static enum sm_err type_add(struct sm_arena *a, const char *name, uint32_t *type) {
    uint32_t i = sm_tag_types(a);
    if (i >= a->a_header->h_max_types || i >= SM_TYPES_LIMIT) {
        return SM_TABLE_FULL;
    }
    memset(&a->a_types[i], 0, sizeof a->a_types[i]);
    memcpy(a->a_types[i].ty_name, name, strlen(name) + 1);
    sm_crash_point(a, STEP_TYPE_NAMED);
    sm_store_rel(&a->a_ctl->ctl_types, i + 1);
    *type = i;
    return SM_OK;
}

enum sm_err sm_malloc_type(struct sm_arena *a, const char *name, uint32_t *type) {
    if (name == NULL || name[0] == 0) {
        return SM_INVALID;
    }
    if (strnlen(name, SM_NAME_BYTES) >= SM_NAME_BYTES) {
        return SM_NAME_TOO_LONG;
    }
    if (type_find(a, name, type)) {
        return SM_OK;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    enum sm_err err = sm_admin_enter(a);
    if (err == SM_OK) {
        err = type_find(a, name, type) ? SM_OK : type_add(a, name, type);
        sm_admin_leave(a);
    }
    return err;
}

static void count_fail(struct sm_arena *a, uint32_t type) {
    if (sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)) == SM_OK) {
        sm_bump(&sm_tag_stat(a, a->a_cpu_id, type)->ts_fails, 1);
        sm_op_leave(a);
    }
}

/* ---------------------------------------------------------------- zones */

static enum sm_err class_zone_make(struct sm_arena *a, uint32_t class, struct sm_zone **z) {
    char name[SM_NAME_BYTES];
    struct sm_zone_params p = {.zp_name = name, .zp_bytes = SM_PAGE, .zp_flags = SM_ZONE_MALLOC | SM_ZONE_RUNS};
    if (class == RUN_CLASS) {
        snprintf(name, sizeof name, "malloc-large");
    } else {
        snprintf(name, sizeof name, "malloc-%u", sm_malloc_class_bytes[class]);
        p.zp_bytes = sm_malloc_class_bytes[class];
        p.zp_flags = SM_ZONE_MALLOC;
    }
    enum sm_err err = sm_zone_open(a, name, NULL, z);
    if (err == SM_NOT_FOUND && (err = sm_zone_create(a, &p, z)) == SM_EXISTS) {
        err = sm_zone_open(a, name, NULL, z); /* somebody made it between the two calls */
    }
    if (err == SM_OK && ((*z)->z_flags & SM_ZONE_MALLOC) == 0) {
        return SM_MISMATCH; /* a user's zone has the name */
    }
    if (err == SM_OK) {
        a->a_malloc[class] = *z;
    }
    return err;
}

static inline enum sm_err class_zone(struct sm_arena *a, uint32_t class, struct sm_zone **z) {
    *z = a->a_malloc[class];
    if (sm_likely(*z != NULL && (*z)->z_gen == sm_load_rlx(&(*z)->z_shm->z_gen))) {
        return SM_OK;
    }
    return class_zone_make(a, class, z);
}

/* The tag of an item that this CPU holds, so nothing needs a check. */
static inline uint32_t *item_tag(const struct sm_zone *z, const void *item) {
    uint64_t d = (uint64_t)((const uint8_t *)item - z->z_first);
    uint64_t e = sm_load_rlx(&z->z_pagedir[d >> SM_PAGE_SHIFT]);
    uint64_t in = (d & (SM_PAGE - 1)) + ((uint64_t)SM_PG_IDX(e) << SM_PAGE_SHIFT);
    uint8_t *block = z->z_arena->a_meta + (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT;
    return (uint32_t *)(void *)(block + z->z_keg->k_aux_off) + ((in * z->z_recip) >> 32);
}

/* ---------------------------------------------------------------- allocation */

/* Page runs do not sleep: when pages are short, everything reclaimable is reclaimed once. */
static enum sm_err run_alloc(struct sm_arena *a, struct sm_zone *z, uint64_t bytes, int flags, void **item,
                             const void *caller) {
    uint64_t pages = ((bytes - 1) >> SM_PAGE_SHIFT) + 1, gone;
    uint32_t site = z->z_flags & SM_ZONE_TRACE ? sm_site_here(a, caller) : SM_SITE_NONE;
    struct sm_entry e;
    if ((flags & ~SM_M_FLAGS) != 0 || (flags & (SM_M_NOWAIT | SM_M_WAITOK)) == (SM_M_NOWAIT | SM_M_WAITOK)) {
        return SM_INVALID;
    }
    if (pages > a->a_data_pages) {
        return SM_NO_MEMORY;
    }
    if (flags & SM_M_NOVM) {
        return SM_NO_MEMORY; /* a zone of runs has nothing in store */
    }
    enum sm_err err = sm_fault(a, SM_FP_ALLOC, z->z_shm->z_name, bytes, flags);
    if (err != SM_OK) {
        return err;
    }
    if (a->a_cpu == &a->a_orphan && (err = a->a_ensure(a)) != SM_OK) {
        return err;
    }
    err = sm_keg_run_take(a, z->z_keg_id, (uint32_t)pages, z->z_low_held, &e);
    if (err == SM_NO_MEMORY) {
        if ((err = sm_arena_reclaim(a, SM_RECLAIM_DRAIN_CPU, &gone)) != SM_OK) {
            return err;
        }
        err = sm_keg_run_take(a, z->z_keg_id, (uint32_t)pages, z->z_low_held, &e);
    }
    if (err != SM_OK) {
        return err;
    }
    if (z->z_flags & SM_ZONE_TRACE) {
        sm_site_record(a, e.e_item, site); /* a crash before it: the new slab's empty record */
    }
    *item = a->a_base + e.e_item;
    if (flags & SM_M_ZERO) {
        memset(*item, 0, pages << SM_PAGE_SHIFT);
    }
    return SM_OK;
}

/* Always inlined: the return address in it is that of sm_malloc. */
static inline __attribute__((always_inline)) enum sm_err class_alloc(struct sm_arena *a, struct sm_zone *z, int flags,
                                                                     int64_t timeout_ns, void **item) {
    if (sm_likely((flags & ~(SM_M_NOWAIT | SM_M_WAITOK)) == 0 && a->a_hooks.h_mask == 0)) {
        struct sm_entry e;
        if (sm_likely(sm_cache_pop(z, z->z_low_held, &e))) {
            *item = z->z_base + e.e_item;
            return SM_OK;
        }
    }
    return sm_zone_alloc_for(z, flags, NULL, timeout_ns, item, __builtin_return_address(0));
}

enum sm_err sm_malloc(struct sm_arena *a, uint64_t bytes, uint32_t type, int flags, int64_t timeout_ns,
                      struct sm_zone **z, void **item) {
    if (sm_unlikely(bytes == 0)) {
        return SM_INVALID;
    }
    if (sm_unlikely(type >= sm_tag_types(a))) {
        return SM_NOT_FOUND;
    }
    uint32_t class = bytes <= SM_MALLOC_CLASS_MAX ? class_of(bytes) : RUN_CLASS;
    uint64_t usable = class < RUN_CLASS ? sm_malloc_class_bytes[class]
                                        : ((bytes - 1) | (SM_PAGE - 1)) + 1; /* 0 only for sizes no arena has */
    enum sm_err err = sm_fault(a, SM_FP_MALLOC, a->a_types[type].ty_name, bytes, flags);
    if (sm_likely(err == SM_OK) && sm_likely((err = class_zone(a, class, z)) == SM_OK)) {
        err = class < RUN_CLASS ? class_alloc(a, *z, flags, timeout_ns, item)
                                : run_alloc(a, *z, bytes, flags, item, __builtin_return_address(0));
    }
    if (sm_unlikely(err != SM_OK)) {
        count_fail(a, type);
        return err;
    }
    err = sm_tag_set(a, item_tag(*z, *item), type, usable, bytes, class < RUN_CLASS ? NULL : (*z)->z_cache);
    if (sm_unlikely(err != SM_OK)) { /* the item is ours, its tag is 0: a free without counting */
        (void)sm_malloc_free(a, *item);
        return err;
    }
    uint64_t bit = 1ull << class;
    if (sm_unlikely((sm_load_rlx(&a->a_types[type].ty_sizes) & bit) == 0)) {
        sm_or_acqrel(&a->a_types[type].ty_sizes, bit);
    }
    return SM_OK;
}

/* ---------------------------------------------------------------- free */

static enum sm_err item_find(const struct sm_arena *a, const void *item, struct sm_slab_ref *s) {
    enum sm_err err = sm_slab_find(a, sm_off_of(a, item), s);
    if (err != SM_OK) {
        return err;
    }
    return (a->a_kegs[s->sr_keg].k_flags & SM_KEG_TAGGED) && s->sr_aux != NULL ? SM_OK : SM_NOT_OURS;
}

static enum sm_err free_refusal(struct sm_arena *a, uint64_t st) {
    switch (SM_ST_KIND(st)) {
    case SM_FREE:
    case SM_CACHED:
        return SM_DOUBLE_FREE;
    case SM_CONSTRUCTING:
        return SM_IN_CALLBACK;
    case SM_HELD:
        a->a_blocker = SM_ST_CPU(st);
        return a->a_forked ? SM_FORKED : SM_NOT_OWNER;
    case SM_QUEUED:
    case SM_TICKETED:
    case SM_ATTACHED:
        a->a_blocker = SM_CPU_NONE;
        return SM_NOT_OWNER;
    default:
        return SM_CORRUPT;
    }
}

enum sm_err sm_malloc_free(struct sm_arena *a, void *item) {
    struct sm_slab_ref s;
    struct sm_zone *z;
    if (item == NULL) {
        return SM_OK;
    }
    enum sm_err err = item_find(a, item, &s);
    if (err != SM_OK) {
        return err;
    }
    uint64_t *word = &s.sr_words[s.sr_index], st = sm_load_acq(word);
    if (SM_ST_KIND(st) != SM_HELD || SM_ST_CPU(st) != a->a_cpu_id) {
        return free_refusal(a, st);
    }
    if (SM_ST_ZONE(st) >= a->a_header->h_max_zones) {
        return SM_CORRUPT;
    }
    z = a->a_zone[SM_ST_ZONE(st)];
    if (z == NULL || z->z_gen != sm_load_rlx(&z->z_shm->z_gen)) {
        if ((err = sm_zone_by_id(a, SM_ST_ZONE(st), &z)) != SM_OK) {
            return err;
        }
    }
    if ((err = sm_tag_clear(a, &s, z->z_flags & SM_ZONE_RUNS ? z->z_cache : NULL)) != SM_OK) {
        return err;
    }
    if (sm_likely((z->z_flags & SM_ZONE_RUNS) == 0 && a->a_hooks.h_mask == 0) &&
        sm_likely(sm_cache_push(z, z->z_low_held, sm_off_of(a, item), word))) {
        return SM_OK;
    }
    return sm_zone_free(z, item, NULL);
}

enum sm_err sm_malloc_usable(struct sm_arena *a, const void *item, uint64_t *requested, uint64_t *usable,
                             uint32_t *type) {
    struct sm_slab_ref s;
    enum sm_err err = item_find(a, item, &s);
    if (err != SM_OK) {
        return err;
    }
    enum sm_kind kind = SM_ST_KIND(sm_load_acq(&s.sr_words[s.sr_index]));
    uint32_t tag = sm_load_rlx(&s.sr_aux[s.sr_index]);
    if (kind == SM_FREE || kind == SM_CACHED || tag == 0) {
        return SM_DOUBLE_FREE;
    }
    uint64_t bytes = sm_tag_usable(a, &s);
    SM_CHECK(SM_TAG_TYPE(tag) < sm_tag_types(a) && SM_TAG_SLACK(tag) < bytes);
    *requested = bytes - SM_TAG_SLACK(tag);
    *usable = bytes;
    *type = SM_TAG_TYPE(tag);
    return SM_OK;
}

/* ---------------------------------------------------------------- departure and recovery */

void sm_malloc_drop(struct sm_arena *a, const struct sm_slab_ref *s) {
    uint32_t *tag = &s->sr_aux[s->sr_index], was = sm_load_rlx(tag);
    sm_store_rlx(tag, 0);
    if (was != 0 && SM_TAG_TYPE(was) < sm_tag_types(a)) {
        struct sm_type_shm *t = &a->a_types[SM_TAG_TYPE(was)];
        sm_bump(&t->ty_bytes_out, sm_tag_usable(a, s));
        sm_bump(&t->ty_frees, 1);
    }
}

void sm_malloc_fold(struct sm_arena *a, uint32_t cpu) {
    for (uint32_t i = 0, n = sm_tag_types(a); i < n; i++) {
        struct sm_type_shm *t = &a->a_types[i];
        struct sm_type_stat_shm *s = sm_tag_stat(a, cpu, i);
        sm_bump(&t->ty_allocs, sm_load_rlx(&s->ts_allocs));
        sm_bump(&t->ty_frees, sm_load_rlx(&s->ts_frees));
        sm_bump(&t->ty_bytes_in, sm_load_rlx(&s->ts_bytes_in));
        sm_bump(&t->ty_bytes_out, sm_load_rlx(&s->ts_bytes_out));
        sm_bump(&t->ty_fails, sm_load_rlx(&s->ts_fails));
        memset(s, 0, sizeof *s);
    }
}
