/* zone_limit.c - limits: setting, sleeping at them ("zonelimit"), warnings, reserve, prealloc. Takes the keg lock in
 * sections; sleeps with no lock held and the op word clear.
 *
 * No lost wake-ups: a sleeper registers (k_waiters, under the keg lock), then stops every CPU once and takes its buckets
 * of this keg away. A free begun before that is over and its item drained; one begun after finds no bucket, goes slow,
 * gets none while there are waiters (sm_zone_room, under the keg lock), puts the item into its slab, bumps k_seq and
 * wakes. The sleeper reads k_seq before its last look at the slabs.
 */
#include <limits.h>
#include <string.h>

#include "cpu.h"
#include "event.h"
#include "quiesce.h"
#include "tunable.h"
#include "zone_impl.h"

#define FEIGNED_SLICE_NS 20000000ll

enum limit_step { STEP_WAITER_COUNTED = 0x360, STEP_BEFORE_SLEEP, STEP_LIMIT_SET };

static enum sm_err waiters_add(struct sm_zone *z, bool leave) {
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_OK) {
        struct sm_keg_shm *k = z->z_keg;
        /* A crash between the two leaves a waiter too many or too few: derived from the caches of live CPUs (I14). */
        z->z_cache->c_waiters += leave ? -1u : 1u;
        sm_crash_point(z->z_arena, STEP_WAITER_COUNTED);
        sm_store_rlx(&k->k_waiters, k->k_waiters + (leave ? -1u : 1u));
        if (leave && k->k_free > 0) {
            sm_keg_wake(z->z_arena, z->z_keg_id, 1); /* the wake-up we may have consumed is somebody else's now */
        }
        sm_zone_leave(z);
    } else if (leave && err == SM_STALLED &&
               (err = sm_op_enter(z->z_arena, SM_OPWORD(SM_OP_SLOW, z->z_id, 0))) == SM_OK) {
        z->z_cache->c_waiters--; /* the keg's count is made anew from these */
        sm_keg_spoil(z->z_arena, z->z_keg_id);
        sm_op_leave(z->z_arena);
    }
    return err;
}

static bool may_grow(const struct sm_zone *z) {
    uint64_t most = sm_load_rlx(&z->z_keg->k_max_slabs);
    return most == 0 || sm_load_rlx(&z->z_keg->k_slabs) < most;
}

/* Whoever holds the items may die after we fell asleep, and the dead wake nobody: so a sleeper looks for them, too, every
 * SM_DEATH_LOOK_NS and before it gives up. Recovery bumps k_seq, and so ends the sleep. */
static enum sm_err sleep_once(struct sm_zone *z, uint32_t seen, int64_t deadline_ns) {
    struct sm_arena *a = z->z_arena;
    sm_crash_point(a, STEP_BEFORE_SLEEP);
    for (;;) {
        int64_t look = sm_os_now_ns() + SM_DEATH_LOOK_NS;
        int64_t until = look < deadline_ns ? look : deadline_ns;
        void *token = sm_block_begin(a);
        enum sm_err err = sm_os_futex_wait(&z->z_keg->k_seq, seen, until);
        enum sm_err end = sm_block_end(a, token);
        if (end != SM_OK) {
            return end;
        }
        if (err != SM_TIMEOUT) {
            return err == SM_INTERRUPTED ? SM_OK : err;
        }
        if (a->a_cpu != &a->a_orphan && sm_cpu_count_dead(a) > 0 && (err = a->a_recover(a)) != SM_OK &&
            err != SM_STALLED) {
            return err;
        }
        if (until == deadline_ns) {
            return SM_LIMIT;
        }
    }
}

enum sm_err sm_zone_sleep(struct sm_zone *z, int flags, int64_t deadline_ns, bool feigned, uint32_t low,
                          struct sm_entry *out) {
    struct sm_arena *a = z->z_arena;
    int64_t slice = feigned ? sm_os_now_ns() + FEIGNED_SLICE_NS : SM_NEVER;
    uint32_t epoch = a->a_epoch;
    unsigned how = SM_DRAIN_KEG | SM_DRAIN_FORCE;
    bool timed_out = false;
    enum sm_err err = waiters_add(z, false);
    if (err != SM_OK) {
        return err;
    }
    sm_bump(&z->z_cache->c_sleeps, 1);
    for (;;) {
        uint64_t moved = 0;
        uint32_t seen = sm_load_acq(&z->z_keg->k_seq); /* pairs with the bump in sm_keg_wake */
        if ((err = sm_zone_drain_cpus(z, how, &moved)) != SM_OK ||
            (err = sm_zone_drain_hoarder(z, how & SM_DRAIN_FORCE, &moved)) != SM_OK ||
            (err = sm_zone_refill(z, flags, low, out)) != SM_EMPTY || (may_grow(z) && !feigned)) {
            break;
        }
        if (timed_out) {
            err = SM_LIMIT;
            break;
        }
        how = SM_DRAIN_KEG;
        err = sleep_once(z, seen, slice < deadline_ns ? slice : deadline_ns);
        timed_out = err == SM_LIMIT;
        if (err != SM_OK && !timed_out) {
            break;
        }
        if (a->a_epoch != epoch) {
            return SM_CLOSED; /* detached by another thread meanwhile: the slot and its waiter count are gone */
        }
        if (feigned) {
            err = SM_EMPTY;
            break;
        }
    }
    enum sm_err left = waiters_add(z, true);
    if (left != SM_OK && err != SM_OK) {
        return left;
    }
    return err;
}

void sm_zone_limit_reached(struct sm_zone *z) {
    struct sm_arena *a = z->z_arena;
    char text[sizeof z->z_shm->z_warning] = "";
    int64_t now = sm_os_now_ns(), every = sm_tunable_get(a, SM_TU_WARN_S) * 1000000000;
    struct sm_zone_shm *zs = z->z_shm;
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_OK) {
        if (zs->z_warn_on && (zs->z_warned_ns == 0 || now - zs->z_warned_ns >= every)) {
            zs->z_warned_ns = now;
            memcpy(text, zs->z_warning, sizeof text);
            text[sizeof text - 1] = 0;
        }
        sm_zone_leave(z);
    } else if (err != SM_STALLED) {
        return;
    } /* else the warning waits for another time; the maxaction may be what makes room, and nobody calls it again */
    if (text[0]) {
        sm_event_log(a, SM_EV_WARNING, "[zone: %s] %s", zs->z_name, text);
    }
    if (z->z_fn[SM_CB_MAXACTION]) {
        a->a_inside++;
        (void)z->z_fn[SM_CB_MAXACTION](NULL, 0, zs->z_name, 0, z->z_fn_ctx[SM_CB_MAXACTION]);
        a->a_inside--;
    }
}

enum sm_err sm_zone_set_max(struct sm_zone *z, uint64_t items, uint64_t *effective) {
    struct sm_keg_shm *k = z->z_keg;
    uint64_t slabs = items / k->k_items + (items % k->k_items != 0);
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err != SM_OK) {
        return err;
    }
    sm_store_rlx(&k->k_max_slabs, slabs);
    sm_crash_point(z->z_arena, STEP_LIMIT_SET);
    z->z_shm->z_limit_items = items;
    *effective = slabs * k->k_items;
    sm_keg_wake(z->z_arena, z->z_keg_id, INT_MAX);
    sm_zone_leave(z);
    return SM_OK;
}

uint64_t sm_zone_get_max(const struct sm_zone *z) {
    return sm_load_rlx(&z->z_keg->k_max_slabs) * z->z_keg->k_items;
}

bool sm_zone_exhausted(const struct sm_zone *z) {
    return !may_grow(z) && sm_load_rlx(&z->z_keg->k_free) == 0 && sm_load_rlx(&z->z_shm->z_full_items) == 0;
}

enum sm_err sm_zone_set_maxcache(struct sm_zone *z, uint64_t items) {
    uint64_t moved = 0;
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_OK) {
        z->z_shm->z_cache_max = items;
        sm_zone_leave(z);
        err = sm_zone_flush_full(z, items, &moved);
    }
    return err;
}

enum sm_err sm_zone_set_warning(struct sm_zone *z, const char *text) {
    struct sm_zone_shm *zs = z->z_shm;
    if (text && strlen(text) >= sizeof zs->z_warning) {
        return SM_NAME_TOO_LONG;
    }
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err == SM_OK) {
        memset(zs->z_warning, 0, sizeof zs->z_warning);
        if (text) {
            memcpy(zs->z_warning, text, strlen(text));
        }
        zs->z_warn_on = text != NULL;
        zs->z_warned_ns = 0;
        sm_zone_leave(z);
    }
    return err;
}

enum sm_err sm_zone_reserve(struct sm_zone *z, uint64_t items) {
    enum sm_err err = sm_zone_prealloc(z, items);
    if (err == SM_OK && (err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0))) == SM_OK) {
        z->z_keg->k_reserve = items;
        sm_zone_leave(z);
    }
    return err;
}

/* Reads one byte of each page, so that this process's page tables know them: the first use then costs no fault. */
static void touch(const struct sm_zone *z) {
    const struct sm_arena *a = z->z_arena;
    for (uint32_t at = sm_load_rlx(&z->z_keg->k_empty); at != 0 && at <= a->a_data_pages;) {
        uint32_t page = at - 1;
        for (uint32_t i = 0; i < z->z_keg->k_pages; i++) {
            (void)*(volatile uint8_t *)sm_page_mem(a, page + i);
        }
        at = sm_load_rlx(&a->a_links[page].pl_next);
    }
}

enum sm_err sm_zone_prealloc(struct sm_zone *z, uint64_t items) {
    struct sm_keg_shm *k = z->z_keg;
    struct sm_keg_init ki;
    if (z->z_flags & SM_ZONE_RUNS) {
        return SM_INVALID;
    }
    enum sm_err err = sm_zone_keg_init(z, SM_M_WAITOK, &ki);
    while (err == SM_OK && sm_load_rlx(&k->k_free) < items) {
        if ((err = sm_keg_grow(z->z_arena, z->z_keg_id, &ki)) == SM_DEAD_PEER) {
            err = z->z_arena->a_recover(z->z_arena);
        }
    }
    if (err == SM_OK && (err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0))) == SM_OK) {
        touch(z);
        sm_zone_leave(z);
    }
    return err;
}

enum sm_err sm_zone_set_maxaction(struct sm_zone *z, const struct sm_callback_shm *cb) {
    struct sm_arena *a = z->z_arena;
    struct sm_callback_shm all[SM_CB_SLOTS] = {0};
    sm_callback_fn fn[SM_CB_SLOTS];
    void *ctx[SM_CB_SLOTS];
    if (cb) {
        all[SM_CB_MAXACTION] = *cb;
    }
    enum sm_err err = sm_zone_resolve(a, z->z_shm->z_name, all, fn, ctx);
    if (err != SM_OK) {
        return err;
    }
    if ((err = sm_zone_enter(z, SM_OPWORD(SM_OP_ADMIN, z->z_id, 0))) != SM_OK) {
        sm_zone_unresolve(a, ctx);
        return err;
    }
    void *old = z->z_fn_ctx[SM_CB_MAXACTION];
    z->z_shm->z_cb[SM_CB_MAXACTION] = all[SM_CB_MAXACTION];
    z->z_fn[SM_CB_MAXACTION] = fn[SM_CB_MAXACTION];
    z->z_fn_ctx[SM_CB_MAXACTION] = ctx[SM_CB_MAXACTION];
    sm_zone_leave(z);
    if (old && a->a_runtime.rt_release) {
        a->a_runtime.rt_release(a->a_runtime.rt_ctx, old);
    }
    return SM_OK;
}
