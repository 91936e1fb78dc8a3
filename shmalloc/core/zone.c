/* zone.c - the table of zones and this process's handles on them. Takes the admin lock, and the keg lock inside it.
 * What a zone does is in zone_alloc.c, zone_free.c, zone_destroy.c, zone_limit.c, zone_bucket.c, zone_reclaim.c, zone_item.c.
 */
#include "zone.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "quiesce.h"
#include "site.h"
#include "tunable.h"
#include "zone_impl.h"

#define LARGEST_ITEM (1ull << 31)

enum zone_step { STEP_RECORD_FILLED = 0x3a0, STEP_KEG_COUNTED, STEP_ZONE_LIVE };

/* ---------------------------------------------------------------- handles */

void sm_zone_widen(struct sm_zone *z) {
    const struct sm_arena *a = z->z_arena;
    uint64_t pages = sm_load_acq(&a->a_ctl->ctl_dir_committed);
    z->z_data_bytes = (pages < a->a_data_pages ? pages : a->a_data_pages) << SM_PAGE_SHIFT;
    z->z_fast_bytes = z->z_plain ? z->z_data_bytes : 0;
    z->z_raw_bytes = z->z_raw_cpu == &a->a_orphan ? 0 : z->z_data_bytes;
}

static void handle_bind(struct sm_zone *z) {
    struct sm_arena *a = z->z_arena;
    bool orphan = a->a_cpu == &a->a_orphan;
    uint32_t cpu = orphan ? SM_CPU_NONE : a->a_cpu_id;
    z->z_cpu = a->a_cpu;
    z->z_cache = orphan ? NULL : sm_cache_of(a, cpu, z->z_id); /* never followed: the orphan's claim is always raised */
    z->z_low_held = (uint32_t)SM_ST_LOW(SM_HELD, z->z_id, cpu);
    z->z_stride_held = z->z_stride | (uint64_t)z->z_low_held << 32;
    z->z_low_cached = (uint32_t)SM_ST_LOW(SM_CACHED, z->z_id, cpu);
    z->z_low_constructing = (uint32_t)SM_ST_LOW(SM_CONSTRUCTING, z->z_id, cpu);
    if (!orphan && z->z_cache->c_zone_gen != z->z_gen) {
        sm_store_rlx(&z->z_cache->c_zone_gen,
                     z->z_gen); /* the counters of a former zone in this place were cleared at its end */
    }
    z->z_epoch = a->a_epoch;
    z->z_row.row_n = 0;
    z->z_plain = !z->z_fn[SM_CB_CTOR] && !z->z_fn[SM_CB_DTOR] && a->a_hooks.h_mask == 0 && !a->a_fenced &&
                 !(z->z_flags &
                   (SM_ZONE_TRASH | SM_ZONE_REDZONE | SM_ZONE_RUNS | SM_ZONE_REFCNT | SM_ZONE_MALLOC | SM_ZONE_TRACE));
    z->z_fast_cpu = z->z_plain ? z->z_cpu : &a->a_orphan;
    bool raw = a->a_hooks.h_mask == 0 && !a->a_fenced &&
               !(z->z_flags & (SM_ZONE_TRASH | SM_ZONE_REDZONE | SM_ZONE_RUNS | SM_ZONE_MALLOC | SM_ZONE_TRACE));
    z->z_raw_cpu = raw ? z->z_cpu : &a->a_orphan;
    z->z_inline_cpu = z->z_flags & SM_ZONE_KEEP ? &a->a_orphan : z->z_fast_cpu;
    sm_zone_widen(z);
}

static bool fills_slab(const struct sm_keg_shm *k) {
    return (k->k_stride_bytes & (k->k_stride_bytes - 1)) == 0 &&
           (uint64_t)k->k_items * k->k_stride_bytes == (uint64_t)k->k_pages << SM_PAGE_SHIFT;
}

static void handle_fill(struct sm_zone *z, struct sm_arena *a, uint32_t id) {
    struct sm_zone_shm *zs = &a->a_zones[id];
    struct sm_keg_shm *k = &a->a_kegs[zs->z_keg];
    z->z_arena = a;
    z->z_shm = zs;
    z->z_keg = k;
    z->z_id = id;
    z->z_keg_id = zs->z_keg;
    z->z_gen = zs->z_gen;
    z->z_flags = zs->z_flags;
    z->z_base = a->a_base;
    z->z_op_alloc = SM_OPWORD(SM_OP_ALLOC, id, 0);
    z->z_op_free = SM_OPWORD(SM_OP_FREE, id, 0);
    z->z_fenced = a->a_fenced;
    z->z_page_match = (uint16_t)SM_PG_ENTRY(SM_PG_SLAB, zs->z_keg, 0, 0);
    z->z_first = a->a_data + zs->z_item_off;
    z->z_pagedir = a->a_pagedir;
    z->z_withdrawn = &a->a_ctl->ctl_withdrawn;
    z->z_words = a->a_meta + k->k_words_off;
    z->z_recip = k->k_recip;
    z->z_stride = k->k_stride_bytes;
    z->z_items = k->k_items;
    z->z_shift = fills_slab(k) ? (uint8_t)__builtin_ctz(k->k_stride_bytes) : 0;
    z->z_item_off = zs->z_item_off;
    z->z_item_bytes = zs->z_item_bytes;
    z->z_waiters = &k->k_waiters;
    z->z_hoard = zs->z_hoards != 0 ? &a->a_kegs[a->a_zones[zs->z_hoards - 1].z_keg] : k;
    handle_bind(z);
}

/* A handle whose zone is gone: every fast path fails, every slow one finds the other generation. */
void sm_zone_disable(struct sm_zone *z) {
    z->z_cpu = z->z_fast_cpu = z->z_inline_cpu = z->z_raw_cpu = &z->z_arena->a_orphan;
    z->z_fast_bytes = z->z_raw_bytes = 0;
    z->z_plain = false;
}

static void handle_drop(struct sm_zone *z) {
    sm_zone_unresolve(z->z_arena, z->z_fn_ctx);
    free(z);
}

void sm_zone_rebind(struct sm_arena *a) {
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        if (a->a_zone[i]) {
            handle_bind(a->a_zone[i]);
        }
    }
}

void sm_zone_close_all(struct sm_arena *a) {
    for (uint32_t i = 0; i < a->a_header->h_max_zones; i++) {
        if (a->a_zone[i]) {
            handle_drop(a->a_zone[i]);
            a->a_zone[i] = NULL;
        }
    }
    while (a->a_zone_gone) {
        struct sm_zone *z = a->a_zone_gone;
        a->a_zone_gone = z->z_next_gone;
        handle_drop(z);
    }
}

static bool record_sane(const struct sm_arena *a, const struct sm_zone_shm *zs) {
    return zs->z_keg < a->a_header->h_max_zones && zs->z_master < a->a_header->h_max_zones &&
           memchr(zs->z_name, 0, SM_NAME_BYTES) != NULL && zs->z_hoards <= a->a_header->h_max_zones &&
           (zs->z_hoards == 0 || a->a_zones[zs->z_hoards - 1].z_keg < a->a_header->h_max_zones) &&
           a->a_kegs[zs->z_keg].k_stride_bytes != 0 &&
           zs->z_item_off + (uint64_t)zs->z_item_bytes <= a->a_kegs[zs->z_keg].k_stride_bytes;
}

enum sm_err sm_zone_by_id(struct sm_arena *a, uint32_t id, struct sm_zone **out) {
    if (id >= a->a_header->h_max_zones) {
        return SM_INVALID;
    }
    struct sm_zone_shm *zs = &a->a_zones[id];
    struct sm_zone *z = a->a_zone[id];
    uint32_t gen = sm_load_acq(&zs->z_gen);
    if (sm_load_acq(&zs->z_state) == SM_ZONE_FREE) {
        return SM_NOT_FOUND;
    }
    if (z && z->z_gen == zs->z_gen) {
        *out = z;
        return SM_OK;
    }
    SM_CHECK(record_sane(a, zs));
    struct sm_zone *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        return SM_NO_MEMORY;
    }
    enum sm_err err = sm_zone_resolve(a, zs->z_name, zs->z_cb, fresh->z_fn, fresh->z_fn_ctx);
    if (err != SM_OK) {
        free(fresh);
        return err;
    }
    handle_fill(fresh, a, id);
    if (sm_load_acq(&zs->z_gen) != gen) { /* the record was given to another zone while it was read */
        handle_drop(fresh);
        return SM_GONE;
    }
    z = a->a_zone[id]; /* a callback's resolution may have opened this zone meanwhile */
    if (z && z->z_gen == fresh->z_gen) {
        handle_drop(fresh);
        *out = z;
        return SM_OK;
    }
    if (z) { /* somebody may still hold the old handle: it stays, disabled, until the arena is closed */
        sm_zone_disable(z);
        z->z_next_gone = a->a_zone_gone;
        a->a_zone_gone = z;
    }
    a->a_zone[id] = fresh;
    *out = fresh;
    return SM_OK;
}

/* ---------------------------------------------------------------- the table */

static enum sm_err name_check(const char *name) {
    if (name == NULL || name[0] == 0) {
        return SM_INVALID;
    }
    return strlen(name) < SM_NAME_BYTES ? SM_OK : SM_NAME_TOO_LONG;
}

static bool name_find(const struct sm_arena *a, const char *name, uint32_t *id) {
    for (uint32_t i = 0; i < a->a_header->h_max_zones && i < sm_load_acq(&a->a_ctl->ctl_zones); i++) {
        if (sm_load_acq(&a->a_zones[i].z_state) == SM_ZONE_LIVE &&
            strncmp(a->a_zones[i].z_name, name, SM_NAME_BYTES) == 0) {
            *id = i;
            return true;
        }
    }
    return false;
}

static uint32_t default_align(uint64_t bytes, uint32_t align) {
    (void)bytes;
    return align ? align : SM_MIN_ITEM;
}

static enum sm_err params_check(const struct sm_zone_params *p) {
    enum sm_err err = name_check(p->zp_name);
    const uint32_t internal = SM_ZONE_MALLOC | SM_ZONE_RUNS | SM_ZONE_INTERNAL | SM_ZONE_MBUF;
    if (err != SM_OK) {
        return err;
    }
    if (p->zp_flags & ~(SM_ZONE_USER_FLAGS | internal) || (p->zp_align & (p->zp_align - 1)) != 0 ||
        p->zp_align > SM_MAX_ALIGN) {
        return SM_INVALID;
    }
    if (!p->zp_master && !(p->zp_flags & SM_ZONE_RUNS) && (p->zp_bytes == 0 || p->zp_bytes > LARGEST_ITEM)) {
        return SM_INVALID;
    }
    /* Trash fill and type-stable memory exclude each other, as in UMA. */
    if (p->zp_flags & SM_ZONE_TRASH && (p->zp_cb[SM_CB_INIT].cb_kind || p->zp_cb[SM_CB_FINI].cb_kind)) {
        return SM_INVALID;
    }
    return SM_OK;
}

static struct sm_keg_params keg_params(const struct sm_zone_params *p) {
    struct sm_keg_params kp = {.kp_bytes = (uint32_t)p->zp_bytes, .kp_align = default_align(p->zp_bytes, p->zp_align)};
    const uint32_t map[][2] = {{SM_ZONE_REFCNT, SM_KEG_REFCNT}, {SM_ZONE_OFFPAGE, SM_KEG_OFFPAGE},
                               {SM_ZONE_NOFREE, SM_KEG_NOFREE}, {SM_ZONE_MALLOC, SM_KEG_TAGGED},
                               {SM_ZONE_RUNS, SM_KEG_RUNS},     {SM_ZONE_TRACE, SM_KEG_TRACE}};
    for (unsigned i = 0; i < sizeof map / sizeof map[0]; i++) {
        kp.kp_flags |= p->zp_flags & map[i][0] ? map[i][1] : 0;
    }
    if (p->zp_flags & SM_ZONE_REDZONE) {
        kp.kp_bytes += 2 * SM_REDZONE_BYTES;
    }
    return kp;
}

static uint32_t bucket_limit(const struct sm_arena *a, const struct sm_zone_shm *zs) {
    if (zs->z_flags & (SM_ZONE_NOBUCKET | SM_ZONE_RUNS)) {
        return 0;
    }
    uint64_t fit = (uint64_t)sm_tunable_get(a, SM_TU_BUCKET_BYTES) / (zs->z_item_bytes ? zs->z_item_bytes : 1);
    return fit < SM_BUCKET_ITEMS ? (uint32_t)fit : SM_BUCKET_ITEMS;
}

/* Fills a free record and makes it LIVE last: a crash before that leaves the record free (and perhaps a keg without
 * zones, which recovery releases). */
static void record_publish(struct sm_arena *a, uint32_t id, const struct sm_zone_params *p, uint32_t keg,
                           uint32_t master, uint32_t hoards) {
    struct sm_zone_shm *zs = &a->a_zones[id];
    struct sm_zone_shm r = {.z_gen = zs->z_gen + 1, .z_keg = keg, .z_master = master, .z_flags = p->zp_flags};
    bool second = p->zp_master != NULL;
    if (second) {
        r.z_flags &= ~SM_ZONE_TRACE;
        r.z_flags |= SM_ZONE_SECONDARY | (a->a_zones[master].z_flags & (SM_ZONE_REFCNT | SM_ZONE_TRACE));
    }
    r.z_item_bytes = second ? a->a_zones[master].z_item_bytes : (uint32_t)p->zp_bytes;
    r.z_item_off = second ? a->a_zones[master].z_item_off : p->zp_flags & SM_ZONE_REDZONE ? SM_REDZONE_BYTES : 0;
    memcpy(r.z_name, p->zp_name, strlen(p->zp_name));
    memcpy(r.z_cb, p->zp_cb, sizeof r.z_cb);
    r.z_bucket_max = bucket_limit(a, &r);
    uint32_t first = (uint32_t)sm_tunable_get(a, SM_TU_BUCKET_FIRST);
    r.z_bucket_size = r.z_flags & SM_ZONE_MAXBUCKET || first > r.z_bucket_max ? r.z_bucket_max : first;
    r.z_cache_max = UINT64_MAX;
    r.z_wss_ns = sm_os_now_ns();
    r.z_hoards = hoards;
    memcpy((uint8_t *)zs + sizeof zs->z_state, (uint8_t *)&r + sizeof r.z_state, sizeof r - sizeof r.z_state);
    sm_crash_point(a, STEP_RECORD_FILLED);
    a->a_kegs[keg].k_zones++;
    sm_crash_point(a, STEP_KEG_COUNTED);
    if (a->a_ctl->ctl_zones <= id) {
        sm_store_rel(&a->a_ctl->ctl_zones, id + 1);
    }
    sm_store_rel(&zs->z_state, SM_ZONE_LIVE); /* pairs with the acquire in name_find and sm_zone_by_id */
    sm_crash_point(a, STEP_ZONE_LIVE);
    if (hoards != 0) { /* A crash before this: the other zone fails sooner than it had to. */
        sm_store_rel(&a->a_zones[hoards - 1].z_hoarder, id + 1);
    }
}

/* Admin lock held. */
static enum sm_err table_add(struct sm_arena *a, const struct sm_zone_params *p, uint32_t *id) {
    uint32_t n = a->a_header->h_max_zones, i = 0, keg = 0, master = 0, hoards = 0;
    if (name_find(a, p->zp_name, id)) {
        return SM_EXISTS;
    }
    if (p->zp_hoards) {
        if (!name_find(a, p->zp_hoards, &hoards)) {
            return SM_NOT_FOUND;
        }
        hoards++;
    }
    while (i < n && sm_load_rlx(&a->a_zones[i].z_state) != SM_ZONE_FREE) {
        i++;
    }
    if (i == n) {
        return SM_TABLE_FULL;
    }
    if (p->zp_master) {
        if (!name_find(a, p->zp_master, &master)) {
            return SM_NOT_FOUND;
        }
        if (a->a_zones[master].z_flags & (SM_ZONE_SECONDARY | SM_ZONE_RUNS)) {
            return SM_INVALID; /* zones stand on kegs, not on each other */
        }
        keg = a->a_zones[master].z_keg;
    } else {
        struct sm_keg_params kp = keg_params(p);
        enum sm_err err = p->zp_flags & SM_ZONE_TRACE ? sm_site_commit(a) : SM_OK;
        if (err != SM_OK || (err = sm_keg_create(a, &kp, &keg)) != SM_OK) {
            return err;
        }
        master = i;
    }
    record_publish(a, i, p, keg, master, hoards);
    *id = i;
    return SM_OK;
}

enum sm_err sm_zone_create(struct sm_arena *a, const struct sm_zone_params *asked, struct sm_zone **out) {
    struct sm_zone_params all = *asked, *p = &all;
    sm_callback_fn fn[SM_CB_SLOTS];
    void *ctx[SM_CB_SLOTS];
    uint32_t id = 0;
    p->zp_flags |= a->a_header->h_flags & SM_ARENA_TRACE ? SM_ZONE_TRACE : 0;
    enum sm_err err = params_check(p);
    if (err != SM_OK) {
        return err;
    }
    /* A zone that even its creator cannot serve must not exist. */
    if ((err = sm_zone_resolve(a, p->zp_name, p->zp_cb, fn, ctx)) != SM_OK) {
        return err;
    }
    sm_zone_unresolve(a, ctx);
    if ((err = sm_admin_enter(a)) == SM_OK) {
        err = table_add(a, p, &id);
        sm_admin_leave(a);
    }
    return err == SM_OK ? sm_zone_by_id(a, id, out) : err;
}

static bool params_agree(const struct sm_arena *a, const struct sm_zone_shm *zs, const struct sm_zone_params *p) {
    const uint32_t own = SM_ZONE_SECONDARY | SM_ZONE_INTERNAL | (p->zp_master ? SM_ZONE_REFCNT | SM_ZONE_TRACE : 0) |
                         (a->a_header->h_flags & SM_ARENA_TRACE ? SM_ZONE_TRACE : 0);
    if (p->zp_master) {
        return zs->z_flags & SM_ZONE_SECONDARY &&
               strncmp(a->a_zones[zs->z_master].z_name, p->zp_master, SM_NAME_BYTES) == 0 &&
               (zs->z_flags & ~own) == (p->zp_flags & ~own) && memcmp(zs->z_cb, p->zp_cb, sizeof zs->z_cb[0] * 4) == 0;
    }
    return zs->z_item_bytes == p->zp_bytes && !(zs->z_flags & SM_ZONE_SECONDARY) &&
           a->a_kegs[zs->z_keg].k_align == default_align(p->zp_bytes, p->zp_align) &&
           (zs->z_flags & ~own) == (p->zp_flags & ~own) && memcmp(zs->z_cb, p->zp_cb, sizeof zs->z_cb[0] * 4) == 0;
}

enum sm_err sm_zone_open(struct sm_arena *a, const char *name, const struct sm_zone_params *p, struct sm_zone **out) {
    uint32_t id = 0, gen = 0;
    enum sm_err err = name_check(name);
    /* Under the lock, so that no name is compared while its place is given to another zone. A reader has no lock: the
     * generation tells it afterwards. */
    if (err != SM_OK || (a->a_writable && (err = sm_admin_enter(a)) != SM_OK)) {
        return err;
    }
    if (!name_find(a, name, &id)) {
        err = SM_NOT_FOUND;
    } else if (p && !params_agree(a, &a->a_zones[id], p)) {
        err = SM_MISMATCH;
    }
    gen = sm_load_acq(&a->a_zones[id].z_gen);
    if (a->a_writable) {
        sm_admin_leave(a);
    }
    if (err != SM_OK || (err = sm_zone_by_id(a, id, out)) != SM_OK) {
        return err;
    }
    return (*out)->z_gen == gen ? SM_OK : SM_NOT_FOUND; /* destroyed since, and its place taken again */
}
