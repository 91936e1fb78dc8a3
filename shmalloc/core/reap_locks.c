/* reap_locks.c - users' locks after a death: what the dead owned is free and marked, what they shared is not counted any
 * more, and who waits is counted anew. The world is stopped: for every live CPU hold cells, words and totals agree, or
 * disagree only by what a dead reaper began here. Takes no lock.
 *
 * A reaper that dies here is followed by one that does the same again: the mark goes into the word before the hold that
 * caused it goes out of it.
 */
#include <limits.h>

#include "reap_impl.h"
#include "userlock.h"

struct recount {
    uint64_t rc_shared;
    uint32_t rc_wait_shared, rc_wait_excl;
    bool rc_waiter_died;
};

/* Drops the cells of the dead and of slots that nobody has; adds up those of the living. */
static struct recount cells_recount(struct sm_reap_job *j, struct sm_userlock_shm *s,
                                    struct sm_userlock_hold_shm *cells) {
    struct sm_arena *a = j->rj_arena;
    struct recount r = {0};
    for (uint32_t c = 0; c < a->a_header->h_max_cpus; c++) {
        struct sm_userlock_hold_shm *cell = &cells[c];
        if (a->a_cpus[c].cpu_state != SM_CPU_FREE && !j->rj_dead[c]) {
            r.rc_shared += sm_load_rlx(&cell->uh_shared);
            r.rc_wait_shared += sm_load_rlx(&cell->uh_wait_shared);
            r.rc_wait_excl += sm_load_rlx(&cell->uh_wait_excl);
            continue;
        }
        if (sm_load_rlx(&cell->uh_shared) != 0 && s->ul_kind == SM_UL_SEMAPHORE) {
            sm_userlock_mourn(a, s, c, "died"); /* readers only looked; what a permit allows is not known */
            (void)sm_or_acqrel(&s->ul_word, SM_UL_DIED);
        }
        r.rc_waiter_died |= sm_load_rlx(&cell->uh_wait_shared) != 0 || sm_load_rlx(&cell->uh_wait_excl) != 0;
        sm_store_rel((uint64_t *)(void *)cell, 0);
    }
    return r;
}

static void lock_recover(struct sm_reap_job *j, uint32_t id) {
    struct sm_arena *a = j->rj_arena;
    struct sm_userlock_shm *s = &a->a_locks[id];
    struct recount r = cells_recount(j, s, sm_userlock_cells(a, id));
    uint64_t before = sm_load_rlx(&s->ul_word), w = before;
    uint32_t owner = SM_UL_OWNER(w);
    if (owner != 0 && owner <= a->a_header->h_max_cpus && j->rj_dead[owner - 1]) {
        sm_userlock_mourn(a, s, owner - 1, "died");
        w |= SM_UL_DIED;
        owner = 0;
    }
    if (owner == 0) {
        w = (w & SM_UL_DIED) | r.rc_shared << SM_UL_COUNT_SHIFT;
        sm_store_rel(&s->ul_word, w);
    }
    sm_store_rel(&s->ul_excl_waiters, r.rc_wait_excl);
    sm_store_rel(&s->ul_shared_waiters, r.rc_wait_shared);
    if (w != before || r.rc_waiter_died) { /* a dead waiter may have been woken in another's place */
        (void)sm_add_acqrel(&s->ul_excl_seq, 1);
        (void)sm_add_acqrel(&s->ul_shared_seq, 1);
        sm_os_futex_wake(&s->ul_excl_seq, INT_MAX);
        sm_os_futex_wake(&s->ul_shared_seq, INT_MAX);
    }
}

void sm_reap_locks(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    for (uint32_t id = 0, n = sm_userlock_used(a); id < n; id++) {
        if (sm_load_acq(&a->a_locks[id].ul_state) == SM_UL_LIVE) {
            lock_recover(j, id);
        }
    }
}
