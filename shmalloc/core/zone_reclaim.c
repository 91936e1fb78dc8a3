/* zone_reclaim.c - giving memory back: TRIM, DRAIN, DRAIN_CPU, and a CPU's farewell. Takes the keg lock in sections;
 * finis and dtors run outside them. After UMA's zone_reclaim and its working-set estimate.
 */
#include "quiesce.h"
#include "tunable.h"
#include "zone_impl.h"

enum reclaim_step { STEP_FAREWELL_SHELVED = 0x3c0, STEP_FAREWELL_COUNTED };

static int keg_fini_adapter(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct sm_zone *primary = ctx;
    return primary->z_fn[SM_CB_FINI](mem, bytes, arg, how, primary->z_fn_ctx[SM_CB_FINI]);
}

static int keg_init_adapter(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    struct sm_zone *primary = ctx;
    if (primary->z_flags & SM_ZONE_TRASH) {
        (void)sm_debug_trash_init(mem, bytes, arg, how, NULL);
    }
    return primary->z_fn[SM_CB_INIT] ? primary->z_fn[SM_CB_INIT](mem, bytes, arg, how, primary->z_fn_ctx[SM_CB_INIT])
                                     : 0;
}

enum sm_err sm_zone_keg_init(struct sm_zone *z, int how, struct sm_keg_init *ki) {
    struct sm_zone *primary = z;
    if (z->z_flags & SM_ZONE_SECONDARY) {
        enum sm_err err = sm_zone_by_id(z->z_arena, z->z_shm->z_master, &primary);
        if (err != SM_OK) {
            return err;
        }
    }
    bool init = primary->z_fn[SM_CB_INIT] || primary->z_flags & SM_ZONE_TRASH;
    *ki = (struct sm_keg_init){
        .ki_init = init ? keg_init_adapter : NULL,
        .ki_init_ctx = primary,
        .ki_fini = primary->z_fn[SM_CB_FINI] ? keg_fini_adapter : NULL,
        .ki_fini_ctx = primary,
        .ki_item_off = primary->z_item_off,
        .ki_item_bytes = primary->z_item_bytes,
        .ki_zone = primary->z_shm->z_name,
        .ki_how = how,
        .ki_zero = (primary->z_flags & SM_ZONE_ZINIT) != 0,
        .ki_asker = z->z_shm,
        .ki_asker_gen = z->z_gen,
    };
    return SM_OK;
}

/* UMA's estimate, every wss_ms: wss = (4 * (imax - imin) + wss) / 5. In a section. */
static uint64_t working_set(struct sm_zone *z) {
    struct sm_zone_shm *zs = z->z_shm;
    int64_t now = sm_os_now_ns();
    if (now - zs->z_wss_ns >= sm_tunable_get(z->z_arena, SM_TU_WSS_MS) * 1000000) {
        uint64_t span = zs->z_imax > zs->z_imin ? zs->z_imax - zs->z_imin : 0;
        zs->z_wss = (4 * span + zs->z_wss) / 5;
        zs->z_imin = zs->z_imax = zs->z_full_items;
        zs->z_wss_ns = now;
    }
    return zs->z_wss;
}

static enum sm_err shelve_own(struct sm_zone *z, enum sm_reclaim how, uint64_t *keep) {
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_OK) {
        uint64_t wss = working_set(z);
        *keep = how == SM_RECLAIM_TRIM ? wss : 0;
        if (how != SM_RECLAIM_TRIM) {
            sm_zone_shelve(z->z_arena, z->z_id, z->z_cache);
            if (z->z_shm->z_bucket_size > 1) {
                sm_store_rlx(&z->z_shm->z_bucket_size, z->z_shm->z_bucket_size - z->z_shm->z_bucket_size / 4);
            }
        }
        sm_zone_leave(z);
    }
    return err;
}

enum sm_err sm_zone_reclaim(struct sm_zone *z, enum sm_reclaim how, uint64_t *items, uint64_t *slabs) {
    struct sm_keg_init ki;
    uint64_t keep = 0;
    *items = *slabs = 0;
    enum sm_err err = shelve_own(z, how, &keep);
    if (err == SM_OK && how == SM_RECLAIM_DRAIN_CPU) {
        err = sm_zone_drain_cpus(z, SM_DRAIN_ZONE, items);
    }
    if (err == SM_OK) {
        err = sm_zone_flush_full(z, keep, items);
    }
    if (err == SM_OK && (err = sm_zone_keg_init(z, 0, &ki)) == SM_OK) {
        err = sm_keg_trim(z->z_arena, z->z_keg_id, &ki, 0, slabs);
    }
    return err;
}

static enum sm_err reclaim_id(struct sm_arena *a, uint32_t id, enum sm_reclaim how) {
    struct sm_zone *z = NULL;
    uint64_t items, slabs;
    if (sm_load_acq(&a->a_zones[id].z_state) != SM_ZONE_LIVE || a->a_zones[id].z_flags & SM_ZONE_RUNS) {
        return SM_OK;
    }
    enum sm_err err = sm_zone_by_id(a, id, &z);
    if (err == SM_OK) {
        err = sm_zone_reclaim(z, how, &items, &slabs);
    }
    /* Its callbacks live in other processes, which can reclaim it; or it just went. */
    return err == SM_UNRESOLVED || err == SM_GONE ? SM_OK : err;
}

static enum sm_err punch(struct sm_arena *a, uint64_t *pages) {
    enum sm_err err;
    int tries = 0;
    do {
        if ((err = sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0))) == SM_OK) {
            err = sm_page_punch(a, pages);
            sm_op_leave(a);
        }
    } while (sm_op_again(a, &err, &tries));
    return err;
}

enum sm_err sm_arena_reclaim(struct sm_arena *a, enum sm_reclaim how, uint64_t *pages) {
    enum sm_err err = SM_OK;
    uint32_t zones = sm_load_acq(&a->a_ctl->ctl_zones);
    zones = zones < a->a_header->h_max_zones ? zones : a->a_header->h_max_zones;
    /* First those whose items hold others': what their finis give back is then reclaimed, too. */
    for (int hoards = 1; hoards >= 0; hoards--) {
        for (uint32_t id = 0; err == SM_OK && id < zones; id++) {
            if ((a->a_zones[id].z_hoards != 0) == hoards) {
                err = reclaim_id(a, id, how);
            }
        }
    }
    return err == SM_OK ? punch(a, pages) : err;
}

/* ---------------------------------------------------------------- farewell */

/* Buckets to the slabs, counters into the zone. */
static enum sm_err flush_zone(struct sm_arena *a, uint32_t id, struct sm_cache_shm *c) {
    struct sm_zone *z = NULL;
    enum sm_err err = sm_zone_by_id(a, id, &z);
    if (err == SM_NOT_FOUND) {
        return SM_OK;
    }
    if (err != SM_OK || (err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, id, 0))) != SM_OK) {
        return err == SM_GONE ? SM_OK : err;
    }
    sm_zone_shelve(a, id, c);
    sm_crash_point(a, STEP_FAREWELL_SHELVED);
    z->z_shm->z_allocs += c->c_allocs;
    z->z_shm->z_frees += c->c_frees;
    z->z_shm->z_fails += c->c_fails;
    z->z_shm->z_sleeps += c->c_sleeps;
    sm_crash_point(a, STEP_FAREWELL_COUNTED);
    c->c_allocs = c->c_frees = c->c_fails = c->c_sleeps = 0;
    sm_zone_leave(z);
    return SM_OK;
}

static bool cache_used(const struct sm_cache_shm *c) {
    return c->c_alloc || c->c_free || c->c_allocs || c->c_frees || c->c_fails || c->c_sleeps;
}

bool sm_zone_flushed(const struct sm_arena *a, uint32_t cpu) {
    for (uint32_t id = 0; id < a->a_header->h_max_zones && id < sm_load_acq(&a->a_ctl->ctl_zones); id++) {
        if (a->a_zones[id].z_state != SM_ZONE_FREE && cache_used(sm_cache_of(a, cpu, id))) {
            return false;
        }
    }
    return true;
}

enum sm_err sm_zone_flush_cpu(struct sm_arena *a, uint32_t cpu) {
    enum sm_err err = SM_OK;
    for (uint32_t id = 0; id < a->a_header->h_max_zones && id < sm_load_acq(&a->a_ctl->ctl_zones); id++) {
        struct sm_cache_shm *c = sm_cache_of(a, cpu, id);
        if (cache_used(c)) {
            enum sm_err one = flush_zone(a, id, c);
            err = err == SM_OK ? one : err;
        }
    }
    return err;
}
