/* mac.c - MAC policies and the switch that says whether labels are made: the shared table, and each process's view of it.
 * Takes the admin lock to add a policy or to turn the switch, and stops the world to remove one. Never looks into a label.
 * After mac_framework.c.
 *
 * Crash windows: a policy is there from the store of mp_state on. mb_labelling is derived from mode and policies and
 * mb_policy_gen only has to grow: recovery does both again (reap_mbuf.c), so a death between the stores costs nothing.
 */
#include "mac.h"

#include <string.h>

#include "mbuf_impl.h"
#include "mbuf_walk.h"
#include "zone_impl.h"

enum mac_step { STEP_POLICY_WRITTEN = 0x8c0, STEP_POLICY_LIVE, STEP_POLICY_LEAVES, STEP_POLICY_FREE, STEP_MODE_SET };

static const enum sm_callback_slot slots[SM_MAC_CALLS] = {SM_CB_MAC_INIT, SM_CB_MAC_DESTROY, SM_CB_MAC_COPY};

static bool live(const struct sm_mac_policy_shm *mp) {
    return sm_load_acq(&mp->mp_state) == SM_MAC_LIVE; /* pairs with the release in sm_mac_register */
}

/* ---------------------------------------------------------------- this process's view */

void sm_mac_release(struct sm_mb *mb) {
    for (uint32_t i = 0; i < MAC_SLOTS * SM_MAC_CALLS; i++) {
        sm_zone_unresolve_one(mb->mb_arena, &mb->mb_policy_ctx[i / SM_MAC_CALLS][i % SM_MAC_CALLS]);
        mb->mb_policy_fn[i / SM_MAC_CALLS][i % SM_MAC_CALLS] = NULL;
    }
    mb->mb_policy_live = mb->mb_policy_lost = 0;
}

static void view_one(struct sm_mb *mb, uint32_t i, const struct sm_mac_policy_shm *mp) {
    const struct sm_callback_shm *cb[SM_MAC_CALLS] = {&mp->mp_init, &mp->mp_destroy, &mp->mp_copy};
    char name[SM_NAME_BYTES];
    memcpy(name, mp->mp_name, sizeof name);
    name[sizeof name - 1] = 0;
    mb->mb_policy_live |= 1u << i;
    for (int k = 0; k < SM_MAC_CALLS; k++) {
        if (sm_zone_resolve_one(mb->mb_arena, name, slots[k], cb[k], &mb->mb_policy_fn[i][k],
                                &mb->mb_policy_ctx[i][k]) != SM_OK) {
            mb->mb_policy_fn[i][k] = NULL;
            mb->mb_policy_lost |= 1u << i;
        }
    }
}

enum sm_err sm_mac_refresh(struct sm_mb *mb, bool again) {
    struct sm_mac_policy_shm table[MAC_SLOTS];
    if (sm_load_acq(&mb->mb_shm->mb_policy_gen) == mb->mb_policy_gen && !(again && mb->mb_policy_lost != 0)) {
        return SM_OK;
    }
    if (mb->mb_policy_inside != 0) {
        return SM_IN_CALLBACK; /* its context must not be released under it */
    }
    /* Copied under the lock, resolved outside: resolving may import a module, which may use the arena. */
    enum sm_err err = sm_admin_enter(mb->mb_arena);
    if (err != SM_OK) {
        return err;
    }
    memcpy(table, mb->mb_shm->mb_policy, sizeof table);
    uint32_t gen = sm_load_rlx(&mb->mb_shm->mb_policy_gen);
    sm_admin_leave(mb->mb_arena);
    sm_mac_release(mb);
    for (uint32_t i = 0; i < MAC_SLOTS; i++) {
        if (table[i].mp_state == SM_MAC_LIVE) {
            view_one(mb, i, &table[i]);
        }
    }
    mb->mb_policy_gen = gen;
    return SM_OK;
}

int sm_mac_run(struct sm_mb *mb, uint32_t i, enum sm_mac_call which, uint64_t *slot, void *arg, int how) {
    sm_callback_fn fn = mb->mb_policy_fn[i][which];
    if (fn == NULL) {
        return 0;
    }
    mb->mb_arena->a_inside++;
    mb->mb_policy_inside++;
    int rc = fn(slot, sizeof *slot, arg, how, mb->mb_policy_ctx[i][which]);
    mb->mb_policy_inside--;
    mb->mb_arena->a_inside--;
    return rc;
}

/* ---------------------------------------------------------------- the table */

static enum sm_err name_look(const char *name) {
    if (name == NULL || name[0] == 0) {
        return SM_INVALID;
    }
    return memchr(name, 0, SM_NAME_BYTES) ? SM_OK : SM_NAME_TOO_LONG;
}

/* Well formed, and to be found here: a policy that even its creator cannot call must not exist. */
static enum sm_err callback_look(struct sm_mb *mb, const char *name, enum sm_mac_call which,
                                 const struct sm_callback_shm *cb) {
    sm_callback_fn fn = NULL;
    void *ctx = NULL;
    if (cb->cb_kind > SM_CB_NAMED || (cb->cb_kind != SM_CB_ABSENT && cb->cb_name[0] == 0)) {
        return SM_INVALID;
    }
    if (cb->cb_kind != SM_CB_ABSENT && !memchr(cb->cb_name, 0, SM_CALLBACK_BYTES)) {
        return SM_NAME_TOO_LONG;
    }
    enum sm_err err = sm_zone_resolve_one(mb->mb_arena, name, slots[which], cb, &fn, &ctx);
    if (err == SM_OK) {
        sm_zone_unresolve_one(mb->mb_arena, &ctx);
    }
    return err;
}

/* The admin lock is held, or the world stopped. */
static bool place_of(const struct sm_mb *mb, const char *name, uint32_t *at) {
    for (*at = 0; *at < MAC_SLOTS; (*at)++) {
        const struct sm_mac_policy_shm *mp = &mb->mb_shm->mb_policy[*at];
        if (live(mp) && strncmp(mp->mp_name, name, SM_NAME_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static uint32_t place_free(const struct sm_mb *mb) {
    uint32_t at = 0;
    while (at < MAC_SLOTS && live(&mb->mb_shm->mb_policy[at])) {
        at++;
    }
    return at;
}

static void labelling_derive(struct sm_mb *mb) {
    sm_store_rlx(&mb->mb_shm->mb_labelling, sm_mac_labelling_of(mb->mb_shm));
}

/* In the admin section. */
static void policy_write(struct sm_mb *mb, uint32_t at, const char *name, uint32_t flags,
                         const struct sm_callback_shm *const cb[SM_MAC_CALLS]) {
    struct sm_mac_policy_shm *mp = &mb->mb_shm->mb_policy[at];
    *mp = (struct sm_mac_policy_shm){
        .mp_flags = flags, .mp_init = *cb[SM_MAC_INIT], .mp_destroy = *cb[SM_MAC_DESTROY], .mp_copy = *cb[SM_MAC_COPY]};
    memcpy(mp->mp_name, name, strlen(name));
    sm_crash_point(mb->mb_arena, STEP_POLICY_WRITTEN);
    sm_store_rel(&mp->mp_state, SM_MAC_LIVE); /* pairs with the acquire in live */
    sm_crash_point(mb->mb_arena, STEP_POLICY_LIVE);
    sm_add_acqrel(&mb->mb_shm->mb_policy_gen, 1); /* pairs with the acquire in sm_mac_refresh */
    labelling_derive(mb);
}

enum sm_err sm_mac_register(struct sm_mb *mb, const char *name, uint32_t flags, const struct sm_callback_shm *init,
                            const struct sm_callback_shm *destroy, const struct sm_callback_shm *copy, uint32_t *slot) {
    const struct sm_callback_shm *const cb[SM_MAC_CALLS] = {init, destroy, copy};
    uint32_t at, kinds = 0;
    enum sm_err err = name_look(name);
    if (err == SM_OK && flags & ~MAC_LABEL_MBUFS) {
        err = SM_INVALID;
    }
    if (err == SM_OK && !mb->mb_arena->a_writable) {
        err = SM_READ_ONLY;
    }
    for (int k = 0; err == SM_OK && k < SM_MAC_CALLS; k++) {
        err = callback_look(mb, name, (enum sm_mac_call)k, cb[k]);
        kinds |= cb[k]->cb_kind;
    }
    if (err == SM_OK && kinds == SM_CB_ABSENT) {
        err = SM_INVALID;
    }
    if (err != SM_OK || (err = sm_admin_enter(mb->mb_arena)) != SM_OK) {
        return err;
    }
    if (place_of(mb, name, &at)) {
        err = SM_EXISTS;
    } else if ((at = place_free(mb)) == MAC_SLOTS) {
        err = SM_TABLE_FULL;
    } else {
        policy_write(mb, at, name, flags, cb);
        *slot = at;
    }
    sm_admin_leave(mb->mb_arena);
    return err;
}

/* The world is stopped: no label is being made, so those that carry the policy's bit are all of them. A crash leaves a
 * policy that is there, or gone; the generation grows first, so that nobody goes on with the old view. */
static enum sm_err remove_stopped(struct sm_mb *mb, const char *name) {
    struct sm_label_census census;
    struct sm_walk walk;
    uint32_t at;
    if (!place_of(mb, name, &at)) {
        return SM_NOT_FOUND;
    }
    if (!sm_walk_begin(mb->mb_arena, &walk)) {
        return SM_CORRUPT;
    }
    sm_walk_labels(&walk, false, &census);
    if (census.lc_of[at] != 0) {
        return SM_BUSY;
    }
    sm_add_acqrel(&mb->mb_shm->mb_policy_gen, 1); /* pairs with the look inside the operation that makes a label */
    sm_crash_point(mb->mb_arena, STEP_POLICY_LEAVES);
    sm_store_rel(&mb->mb_shm->mb_policy[at].mp_state, SM_MAC_FREE);
    sm_crash_point(mb->mb_arena, STEP_POLICY_FREE);
    labelling_derive(mb);
    return SM_OK;
}

static enum sm_err remove_once(struct sm_mb *mb, const char *name) {
    struct sm_arena *a = mb->mb_arena;
    enum sm_err err = sm_quiesce_begin(a);
    if (err != SM_OK) {
        return err;
    }
    if ((err = sm_quiesce_all(a)) == SM_OK) {
        err = remove_stopped(mb, name);
    }
    sm_quiesce_end(a);
    return err;
}

enum sm_err sm_mac_unregister(struct sm_mb *mb, const char *name) {
    enum sm_err err = name_look(name);
    if (err == SM_OK && !mb->mb_arena->a_writable) {
        err = SM_READ_ONLY;
    }
    if (err != SM_OK || (err = mb->mb_arena->a_ensure(mb->mb_arena)) != SM_OK) {
        return err;
    }
    err = remove_once(mb, name);
    if (err == SM_BUSY && mb->mb_arena->a_recover(mb->mb_arena) == SM_OK) {
        err = remove_once(mb, name); /* the labels may have been a dead process's */
    }
    return err;
}

enum sm_err sm_mac_set_labelling(struct sm_mb *mb, uint32_t mode) {
    if (mode > MAC_LABELS_BY_POLICY) {
        return SM_INVALID;
    }
    if (!mb->mb_arena->a_writable) {
        return SM_READ_ONLY;
    }
    enum sm_err err = sm_admin_enter(mb->mb_arena);
    if (err == SM_OK) {
        sm_store_rlx(&mb->mb_shm->mb_label_mode, mode);
        sm_crash_point(mb->mb_arena, STEP_MODE_SET);
        labelling_derive(mb);
        sm_admin_leave(mb->mb_arena);
    }
    return err;
}

/* ---------------------------------------------------------------- looking at it */

/* Without the lock, for observers: copied until no policy came or went meanwhile. */
enum sm_err sm_mac_policy(const struct sm_mb *mb, uint32_t slot, struct sm_mac_policy *out) {
    uint32_t gen;
    bool there;
    if (slot >= MAC_SLOTS) {
        return SM_INVALID;
    }
    const struct sm_mac_policy_shm *mp = &mb->mb_shm->mb_policy[slot];
    do {
        gen = sm_load_acq(&mb->mb_shm->mb_policy_gen);
        there = live(mp);
        *out = (struct sm_mac_policy){.mo_slot = slot,
                                      .mo_flags = mp->mp_flags,
                                      .mo_init = mp->mp_init,
                                      .mo_destroy = mp->mp_destroy,
                                      .mo_copy = mp->mp_copy,
                                      .mo_refused = sm_load_rlx(&mp->mp_refused),
                                      .mo_missed = sm_load_rlx(&mp->mp_missed)};
        memcpy(out->mo_name, mp->mp_name, sizeof out->mo_name);
        out->mo_name[sizeof out->mo_name - 1] = 0;
        sm_full_fence(); /* the copy before the second look; pairs with the release of the generation */
    } while (gen != sm_load_rlx(&mb->mb_shm->mb_policy_gen));
    return there ? SM_OK : SM_NOT_FOUND;
}

enum sm_err sm_mac_find(const struct sm_mb *mb, const char *name, uint32_t *slot) {
    enum sm_err err = name_look(name);
    return err != SM_OK ? err : place_of(mb, name, slot) ? SM_OK : SM_NOT_FOUND;
}
