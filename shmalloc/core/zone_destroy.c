/* zone_destroy.c - the end of a zone: no new item, every bucket drained, the keg released, the record freed; or, when an
 * item is out, everything as it was. Takes the admin lock, and the keg lock inside it. What recovery does with a zone
 * whose destroyer died is in reap_lists.c.
 */
#include "quiesce.h"
#include "zone_impl.h"

enum zone_destroy_step { STEP_STATE_MOVED = 0x3b0, STEP_KEG_ENDED };

/* Items of this zone that are out, by the truth: words that name the zone and are neither FREE nor CACHED. */
struct live_count {
    const struct sm_zone *lc_zone;
    uint64_t lc_live;
};

static int count_live(const struct sm_slab_ref *s, void *ctx) {
    struct live_count *lc = ctx;
    for (uint32_t i = 0; s->sr_keg == lc->lc_zone->z_keg_id && i < lc->lc_zone->z_items; i++) {
        uint64_t w = sm_load_rlx(&s->sr_words[i]);
        lc->lc_live += SM_ST_KIND(w) > SM_CACHED && SM_ST_KIND(w) < SM_KIND_END && SM_ST_ZONE(w) == lc->lc_zone->z_id;
    }
    return 0;
}

static uint64_t live_items(const struct sm_zone *z) {
    struct live_count lc = {z, 0};
    (void)sm_slab_each(z->z_arena, 0, count_live, &lc);
    return lc.lc_live;
}

static bool has_secondaries(const struct sm_zone *z) {
    return !(z->z_flags & SM_ZONE_SECONDARY) && z->z_keg->k_zones > 1;
}

/* From LIVE to DYING; admin lock. From here on no refill, no new item. */
static enum sm_err dying_begin(struct sm_zone *z) {
    enum sm_err err = sm_admin_enter(z->z_arena);
    if (err != SM_OK) {
        return err;
    }
    if (z->z_shm->z_gen != z->z_gen || sm_load_rlx(&z->z_shm->z_state) != SM_ZONE_LIVE) {
        err = SM_GONE;
    } else if (has_secondaries(z) || z->z_shm->z_hoarder != 0) {
        err = SM_BUSY;
    } else {
        sm_store_rel(&z->z_shm->z_state, SM_ZONE_DYING);
        sm_crash_point(z->z_arena, STEP_STATE_MOVED);
    }
    sm_admin_leave(z->z_arena);
    return err;
}

/* Back to LIVE, as recovery would set it: whatever stood in the way, the zone is never left DYING by somebody who lives.
 * So it takes no lock, which could be refused; only the CPU that began, and recovery, move a DYING zone. */
static void dying_undo(struct sm_zone *z) {
    uint32_t dying = SM_ZONE_DYING;
    bool inside = sm_op_enter(z->z_arena, SM_OPWORD(SM_OP_ADMIN, z->z_id, 0)) == SM_OK;
    if (sm_load_rlx(&z->z_shm->z_gen) == z->z_gen) {
        (void)sm_cas(&z->z_shm->z_state, &dying, SM_ZONE_LIVE);
    }
    if (inside) {
        sm_op_leave(z->z_arena);
    }
}

static enum sm_err record_end(struct sm_zone *z) {
    struct sm_arena *a = z->z_arena;
    enum sm_err err = sm_admin_enter(a);
    if (err != SM_OK) {
        return err;
    }
    if (z->z_shm->z_gen != z->z_gen || z->z_shm->z_state != SM_ZONE_DYING) {
        sm_admin_leave(a);
        return SM_DEAD_PEER; /* recovery set it back to LIVE in between: once more */
    }
    if (z->z_keg->k_zones == 1 && (err = sm_keg_destroy(a, z->z_keg_id)) != SM_OK) {
        sm_admin_leave(a);
        return err; /* SM_BUSY: another CPU has just made a slab of it */
    }
    sm_crash_point(a, STEP_KEG_ENDED);
    z->z_keg->k_zones--;
    for (uint32_t cpu = 0; cpu < a->a_header->h_max_cpus && cpu < a->a_ctl->ctl_cpu_high; cpu++) {
        struct sm_cache_shm *c = sm_cache_of(a, cpu, z->z_id);
        sm_store_rlx(&c->c_allocs, 0);
        sm_store_rlx(&c->c_frees, 0);
        sm_store_rlx(&c->c_fails, 0);
        sm_store_rlx(&c->c_sleeps, 0);
    }
    if (z->z_shm->z_hoards != 0 && z->z_shm->z_hoards <= a->a_header->h_max_zones) {
        sm_store_rel(&a->a_zones[z->z_shm->z_hoards - 1].z_hoarder, 0);
    }
    sm_store_rel(&z->z_shm->z_state, SM_ZONE_FREE);
    sm_admin_leave(a);
    sm_zone_disable(z);
    return SM_OK;
}

static enum sm_err destroy_once(struct sm_zone *z, uint64_t *live) {
    uint64_t items = 0, slabs = 0;
    *live = 0;
    enum sm_err err = dying_begin(z);
    if (err != SM_OK) {
        *live = err == SM_BUSY ? live_items(z) : 0;
        return err;
    }
    err = sm_zone_drain_cpus(z, SM_DRAIN_ZONE | SM_DRAIN_FORCE, &items);
    if (err == SM_OK && (*live = live_items(z)) != 0) {
        err = SM_BUSY;
    }
    if (err == SM_OK && !(z->z_flags & SM_ZONE_SECONDARY)) {
        struct sm_keg_init ki;
        if ((err = sm_zone_keg_init(z, 0, &ki)) == SM_OK) {
            err = sm_keg_release_all(z->z_arena, z->z_keg_id, &ki, &slabs);
        }
        if (err == SM_OK && z->z_keg->k_slabs != 0) {
            /* Another CPU is just making a slab of it, or the count waits to be made anew. */
            err = sm_load_acq(&z->z_keg->k_lock.l_dirty) != 0 ? SM_DEAD_PEER : SM_BUSY;
        }
    }
    if (err == SM_OK) {
        err = record_end(z);
    }
    if (err != SM_OK) {
        dying_undo(z);
    }
    return err;
}

enum sm_err sm_zone_destroy(struct sm_zone *z, uint64_t *live) {
    enum sm_err err;
    int tries = 0;
    do {
        err = destroy_once(z, live);
    } while (sm_op_again(z->z_arena, &err, &tries));
    return err;
}
