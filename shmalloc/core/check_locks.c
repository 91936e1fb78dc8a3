/* check_locks.c - I16: users' locks against the hold cells of their CPUs.
 * Owns nothing; reads cells only of locks in use, because those of others may not be committed. Source: layout.h.
 */
#include "check_ctx.h"

static const struct sm_userlock_hold_shm *cell_of(const struct sm_check *c, uint32_t id, uint32_t cpu) {
    return &c->c_holds[(uint64_t)id * c->c_header.h_max_cpus + cpu];
}

struct hold_sum {
    uint64_t hs_shared, hs_wait_shared, hs_wait_excl;
};

static struct hold_sum sum_cells(struct sm_check *c, uint32_t id) {
    struct hold_sum sum = {0};
    for (uint32_t cpu = 0; cpu < c->c_header.h_max_cpus; cpu++) {
        const struct sm_userlock_hold_shm *cell = cell_of(c, id, cpu);
        uint32_t shared = sm_load_rlx(&cell->uh_shared), wait_shared = sm_load_rlx(&cell->uh_wait_shared),
                 wait_excl = sm_load_rlx(&cell->uh_wait_excl);
        sum.hs_shared += shared;
        sum.hs_wait_shared += wait_shared;
        sum.hs_wait_excl += wait_excl;
        if ((shared | wait_shared | wait_excl) != 0 && !sm_check_cpu_taken(c, cpu)) {
            sm_check_found(c, 16, "lock %u: the free CPU slot %u has %u holds and %u waiters", id, cpu, shared,
                           wait_shared + wait_excl);
        }
    }
    return sum;
}

static void check_word(struct sm_check *c, uint32_t id, uint32_t kind, const struct hold_sum *sum) {
    const struct sm_userlock_shm *s = &c->c_locks[id];
    uint64_t w = sm_load_acq(&s->ul_word);
    uint32_t owner = SM_UL_OWNER(w), permits = sm_load_rlx(&s->ul_permits);
    if (owner != 0 && (!sm_check_cpu_taken(c, owner - 1) || kind == SM_UL_SEMAPHORE || kind == SM_UL_CONDITION)) {
        sm_check_found(c, 16, "lock %u of kind %u: its word %#llx names CPU %u, which cannot own it", id, kind,
                       (unsigned long long)w, owner - 1);
    }
    if (SM_UL_COUNT(w) != sum->hs_shared) {
        sm_check_found(c, 16, "lock %u: its word counts %llu holds, the cells have %llu", id,
                       (unsigned long long)SM_UL_COUNT(w), (unsigned long long)sum->hs_shared);
    }
    if (sum->hs_shared != 0 && (kind == SM_UL_MUTEX || kind == SM_UL_CONDITION)) {
        sm_check_found(c, 16, "lock %u of kind %u is shared %llu times", id, kind, (unsigned long long)sum->hs_shared);
    }
    if (kind == SM_UL_SEMAPHORE && SM_UL_COUNT(w) > permits) {
        sm_check_found(c, 16, "semaphore %u: %llu of %u permits are out", id, (unsigned long long)SM_UL_COUNT(w),
                       permits);
    }
}

static void check_lock(struct sm_check *c, uint32_t id) {
    const struct sm_userlock_shm *s = &c->c_locks[id];
    uint32_t kind = sm_load_rlx(&s->ul_kind), excl = sm_load_rlx(&s->ul_excl_waiters),
             shared = sm_load_rlx(&s->ul_shared_waiters), mutex = sm_load_rlx(&s->ul_mutex);
    struct hold_sum sum = sum_cells(c, id);
    if (kind < SM_UL_MUTEX || kind >= SM_UL_KIND_END) {
        sm_check_found(c, 16, "lock %u is of no known kind: %u", id, kind);
    }
    check_word(c, id, kind, &sum);
    if (excl != sum.hs_wait_excl || shared != sum.hs_wait_shared) {
        sm_check_found(c, 16, "lock %u: counts %u and %u waiters, the cells have %llu and %llu", id, excl, shared,
                       (unsigned long long)sum.hs_wait_excl, (unsigned long long)sum.hs_wait_shared);
    }
    if (kind == SM_UL_CONDITION && mutex >= SM_MAX_LOCKS) {
        sm_check_found(c, 16, "condition %u: its mutex has the impossible id %u", id, mutex);
    }
}

enum sm_err sm_check_i16(struct sm_check *c) {
    uint32_t used = sm_load_acq(&c->c_ctl->ctl_locks);
    if (used > SM_MAX_LOCKS) {
        sm_check_found(c, 16, "%u locks in a table of %u", used, SM_MAX_LOCKS);
        used = SM_MAX_LOCKS;
    }
    for (uint32_t id = 0; id < SM_MAX_LOCKS; id++) {
        uint32_t state = sm_load_acq(&c->c_locks[id].ul_state);
        if (state > SM_UL_LIVE || (state == SM_UL_LIVE && id >= used)) {
            sm_check_found(c, 16, "lock %u has state %u, %u locks are in use", id, state, used);
        } else if (state == SM_UL_LIVE) {
            check_lock(c, id);
        }
    }
    return SM_OK;
}
