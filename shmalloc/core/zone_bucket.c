/* zone_bucket.c - buckets between a CPU's cache, the zone's list of full ones, and the slabs. Sections take the keg lock;
 * other CPUs are entered through quiesce. Every list and count here is derived from state words (I6, I8).
 */
#include <limits.h>

#include "base/assert.h"
#include "quiesce.h"
#include "zone_impl.h"

enum zone_bucket_step { STEP_SHELF_OFF = 0x340, STEP_CACHE_EMPTIED, STEP_BUCKET_FULL, STEP_FLUSH_TAKEN };

uint32_t sm_zone_bucket_size(const struct sm_zone *z) {
    uint64_t size = sm_load_rlx(&z->z_shm->z_bucket_size);
    const struct sm_keg_shm *const limits[2] = {z->z_keg, z->z_hoard};
    for (int i = 0; i < 2; i++) {
        const struct sm_keg_shm *k = limits[i];
        uint64_t most = sm_load_rlx(&k->k_max_slabs);
        if (most != 0) {
            /* Nobody may hoard what all have to share: a quarter of the limit, split between the attached CPUs. */
            uint64_t share = most * k->k_items / (4ull * (sm_load_rlx(&z->z_arena->a_ctl->ctl_attached) + 1ull)) + 1;
            size = size < share ? size : share;
        }
    }
    return size < SM_BUCKET_ITEMS ? (uint32_t)size : SM_BUCKET_ITEMS;
}

static void shelf_push(struct sm_arena *a, uint32_t zone, sm_off_t bucket, uint32_t count) {
    struct sm_zone_shm *zs = &a->a_zones[zone];
    struct sm_bucket_shm *b = sm_bucket_at(a, bucket);
    b->b_count = count;
    b->b_next = zs->z_full;
    zs->z_full = sm_bucket_id(a, bucket) + 1;
    zs->z_full_count++;
    sm_store_rlx(&zs->z_full_items, zs->z_full_items + count);
    if (zs->z_full_items > zs->z_imax) {
        zs->z_imax = zs->z_full_items;
    }
}

sm_off_t sm_zone_unshelve(struct sm_zone *z, uint32_t *count) {
    struct sm_zone_shm *zs = z->z_shm;
    if (zs->z_full == 0 || zs->z_full > z->z_arena->a_header->h_max_buckets) {
        return 0;
    }
    sm_off_t bucket = sm_bucket_off(z->z_arena, zs->z_full - 1);
    struct sm_bucket_shm *b = sm_bucket_at(z->z_arena, bucket);
    *count = b->b_count < SM_BUCKET_ITEMS ? b->b_count : SM_BUCKET_ITEMS;
    zs->z_full = b->b_next;
    zs->z_full_count--;
    sm_crash_point(z->z_arena, STEP_SHELF_OFF);
    sm_store_rlx(&zs->z_full_items, zs->z_full_items - *count);
    if (zs->z_full_items < zs->z_imin) {
        zs->z_imin = zs->z_full_items;
    }
    return bucket;
}

void sm_zone_shelve(struct sm_arena *a, uint32_t zone, struct sm_cache_shm *c) {
    const sm_off_t bucket[2] = {c->c_alloc, c->c_free};
    const uint32_t count[2] = {c->c_alloc_n, c->c_free_n};
    sm_store_rlx(&c->c_alloc_n, 0);
    sm_store_rlx(&c->c_free_n, 0);
    c->c_size = 0;
    c->c_alloc = c->c_free = 0;
    sm_crash_point(a, STEP_CACHE_EMPTIED);
    for (int i = 0; i < 2; i++) {
        if (bucket[i] != 0 && count[i] != 0) {
            shelf_push(a, zone, bucket[i], count[i]);
        } else if (bucket[i] != 0) {
            (void)sm_bucket_destroy(a, bucket[i]);
        }
    }
}

/* All entries of a bucket go back to their slabs; only for zones without a fini of their own. */
static void bucket_spill(struct sm_zone *z, sm_off_t bucket, uint32_t count) {
    const struct sm_bucket_shm *b = sm_bucket_at(z->z_arena, bucket);
    for (uint32_t i = 0; i < count; i++) {
        (void)sm_keg_give(z->z_arena, z->z_keg_id, b->b_entry[i], false);
    }
    sm_keg_wake(z->z_arena, z->z_keg_id, INT_MAX);
}

bool sm_zone_room(struct sm_zone *z) {
    struct sm_arena *a = z->z_arena;
    struct sm_cache_shm *c = z->z_cache;
    struct sm_zone_shm *zs = z->z_shm;
    uint32_t size = sm_zone_bucket_size(z);
    sm_off_t fresh = 0;
    if (size == 0 || (z->z_flags & SM_ZONE_NOBUCKET) || sm_load_rlx(&zs->z_state) != SM_ZONE_LIVE ||
        sm_load_rlx(z->z_waiters) != 0 || sm_load_rlx(&z->z_hoard->k_waiters) != 0) {
        return false; /* with sleepers: what is freed has to reach the slab, where they look */
    }
    if (c->c_alloc == 0) {
        if (sm_bucket_create(a, z->z_id, &c->c_alloc) != SM_OK) {
            return false;
        }
        sm_store_rlx(&c->c_alloc_n, 0);
    }
    c->c_size = size;
    if (c->c_alloc_n < size) {
        return true;
    }
    if (c->c_free == 0 && sm_bucket_create(a, z->z_id, &c->c_free) != SM_OK) {
        return false;
    }
    if (c->c_free_n != 0) {
        if (zs->z_full_items + c->c_free_n <= zs->z_cache_max && sm_bucket_create(a, z->z_id, &fresh) == SM_OK) {
            /* A crash between these lines loses track of a bucket, not of an item: both are found again by their words. */
            sm_off_t full = c->c_free;
            uint32_t count = c->c_free_n;
            c->c_free = fresh;
            sm_store_rlx(&c->c_free_n, 0);
            sm_crash_point(a, STEP_BUCKET_FULL);
            shelf_push(a, z->z_id, full, count);
        } else if (!sm_zone_has_zinit(z)) {
            bucket_spill(z, c->c_free, c->c_free_n);
            sm_store_rlx(&c->c_free_n, 0);
        } else {
            return false;
        }
    }
    sm_cache_swap(c);
    return true;
}

static void run_finis(struct sm_zone *z, const struct sm_entry *e, uint32_t n) {
    for (uint32_t i = 0; z->z_fn[SM_CB_FINI] && (z->z_flags & SM_ZONE_SECONDARY) && i < n; i++) {
        (void)sm_zone_run(z, SM_CB_FINI, e[i].e_item, NULL, 0);
    }
}

enum sm_err sm_zone_retire_stalled(struct sm_zone *z, const struct sm_entry *e, uint32_t n, bool bump, bool run_fini) {
    if (run_fini) {
        run_finis(z, e, n);
    }
    enum sm_err err = sm_op_enter(z->z_arena, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_OK) {
        sm_keg_give_stalled(z->z_arena, z->z_keg_id, e, n, bump);
        sm_bump(bump ? &z->z_cache->c_frees : &z->z_cache->c_allocs, bump ? n : (uint64_t)0 - n);
        sm_op_leave(z->z_arena);
    }
    return err;
}

enum sm_err sm_zone_retire(struct sm_zone *z, const struct sm_entry *e, uint32_t n, bool bump, bool run_fini) {
    if (run_fini) {
        run_finis(z, e, n);
    }
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_STALLED) {
        return sm_zone_retire_stalled(z, e, n, bump, false);
    }
    if (err != SM_OK) {
        return err; /* the words stay CONSTRUCTING under this CPU, and are freed when it leaves or is reaped */
    }
    for (uint32_t i = 0; i < n; i++) {
        (void)sm_keg_give(z->z_arena, z->z_keg_id, e[i], bump);
    }
    /* What left a user is a free; what never reached one was no allocation (I12). */
    sm_bump(bump ? &z->z_cache->c_frees : &z->z_cache->c_allocs, bump ? n : (uint64_t)0 - n);
    sm_keg_wake(z->z_arena, z->z_keg_id, INT_MAX);
    sm_zone_leave(z);
    return SM_OK;
}

/* One bucket of the list into the slabs. With a fini, its items first become CONSTRUCTING under this CPU. */
static enum sm_err flush_one(struct sm_zone *z, uint64_t keep, uint32_t *moved) {
    struct sm_arena *a = z->z_arena;
    struct sm_entry own[SM_BUCKET_ITEMS];
    bool zinit = sm_zone_has_zinit(z);
    uint32_t count = 0;
    *moved = 0;
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err != SM_OK) {
        return err;
    }
    sm_off_t bucket = z->z_shm->z_full_items > keep ? sm_zone_unshelve(z, &count) : 0;
    if (bucket != 0) {
        const struct sm_bucket_shm *b = sm_bucket_at(a, bucket);
        if (!zinit) {
            bucket_spill(z, bucket, count);
        }
        for (uint32_t i = 0; zinit && i < count; i++) {
            uint64_t *word = sm_at(a, b->b_entry[i].e_word);
            own[i] = b->b_entry[i];
            sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_constructing);
        }
        if (zinit) {
            sm_crash_point(a, STEP_FLUSH_TAKEN);
            sm_bump(&z->z_cache->c_allocs, count); /* CONSTRUCTING counts as out (I12) until it is given back */
        }
        (void)sm_bucket_destroy(a, bucket);
        *moved = count;
    }
    sm_zone_leave(z);
    return zinit && count > 0 ? sm_zone_retire(z, own, count, false, true) : SM_OK;
}

enum sm_err sm_zone_flush_full(struct sm_zone *z, uint64_t keep, uint64_t *items) {
    enum sm_err err = SM_OK;
    uint32_t moved = 1;
    while (err == SM_OK && moved != 0) {
        err = flush_one(z, keep, &moved);
        *items += moved;
    }
    return err;
}

static bool on_keg(const struct sm_zone *z, uint32_t id, bool whole_keg) {
    const struct sm_zone_shm *zs = &z->z_arena->a_zones[id];
    return id == z->z_id || (whole_keg && sm_load_acq(&zs->z_state) == SM_ZONE_LIVE && zs->z_keg == z->z_keg_id);
}

/* Items in the CPUs' buckets, read without stopping anybody: a hint whether stopping them is worth it. */
static uint64_t cached_hint(const struct sm_zone *z, bool whole_keg) {
    const struct sm_arena *a = z->z_arena;
    uint64_t n = 0;
    uint32_t zones = sm_load_rlx(&a->a_ctl->ctl_zones), cpus = sm_load_rlx(&a->a_ctl->ctl_cpu_high);
    for (uint32_t id = 0; id < zones && id < a->a_header->h_max_zones; id++) {
        if (!on_keg(z, id, whole_keg)) {
            continue;
        }
        n += sm_load_rlx(&a->a_zones[id].z_full_items);
        for (uint32_t cpu = 0; cpu < cpus && cpu < a->a_header->h_max_cpus; cpu++) {
            if (sm_load_acq(&a->a_cpus[cpu].cpu_state) != SM_CPU_FREE) {
                const struct sm_cache_shm *c = sm_cache_of(a, cpu, id);
                n += (uint64_t)sm_load_rlx(&c->c_alloc_n) + sm_load_rlx(&c->c_free_n);
            }
        }
    }
    return n;
}

/* With the world stopped and in a section: shelves every CPU's buckets of the zones asked for. */
static void shelve_all(struct sm_zone *z, bool whole_keg) {
    struct sm_arena *a = z->z_arena;
    for (uint32_t id = 0; id < sm_load_acq(&a->a_ctl->ctl_zones); id++) {
        for (uint32_t cpu = 0; on_keg(z, id, whole_keg) && cpu < a->a_ctl->ctl_cpu_high; cpu++) {
            if (a->a_cpus[cpu].cpu_state == SM_CPU_LIVE) {
                sm_zone_shelve(a, id, sm_cache_of(a, cpu, id));
            }
        }
    }
}

static enum sm_err shelve_stopped(struct sm_zone *z, bool whole_keg) {
    struct sm_arena *a = z->z_arena;
    enum sm_err err = sm_quiesce_begin(a);
    if (err != SM_OK) {
        return err;
    }
    if ((err = sm_quiesce_all(a)) == SM_OK && (err = sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, z->z_id, 0))) == SM_OK) {
        if ((err = sm_keg_lock(a, z->z_keg_id)) == SM_OK) {
            shelve_all(z, whole_keg);
            sm_keg_unlock(a, z->z_keg_id);
        }
        sm_op_leave(a);
    }
    sm_quiesce_end(a);
    return err;
}

enum sm_err sm_zone_drain_cpus(struct sm_zone *z, unsigned how, uint64_t *items) {
    struct sm_arena *a = z->z_arena;
    bool whole_keg = (how & SM_DRAIN_KEG) != 0;
    enum sm_err err;
    int tries = 0;
    if (!(how & SM_DRAIN_FORCE) && cached_hint(z, whole_keg) == 0) {
        return SM_OK;
    }
    do {
        err = shelve_stopped(z, whole_keg);
    } while (sm_op_again(a, &err, &tries));
    for (uint32_t id = 0; err == SM_OK && id < sm_load_acq(&a->a_ctl->ctl_zones); id++) {
        struct sm_zone *other = z;
        if (!on_keg(z, id, whole_keg)) {
            continue;
        }
        if (id == z->z_id || sm_zone_by_id(a, id, &other) == SM_OK) { /* a fini unknown here: leave its bucket alone */
            err = sm_zone_flush_full(other, 0, items);
        }
    }
    return err;
}

enum sm_err sm_zone_drain_hoarder(struct sm_zone *z, unsigned how, uint64_t *items) {
    struct sm_zone *hoarder = NULL;
    uint32_t id = sm_load_acq(&z->z_shm->z_hoarder);
    if (id == 0 || sm_zone_by_id(z->z_arena, id - 1, &hoarder) != SM_OK) {
        return SM_OK; /* callbacks unknown here: what its caches hold comes back when another process drains them */
    }
    return sm_zone_drain_cpus(hoarder, SM_DRAIN_ZONE | how, items);
}
