/* userlock.c - taking a user's lock and giving it back. Takes no lock of the core; every transition is inside one
 * operation of the CPU, and is one store or compare-and-swap of the lock word, for holds that are counted together with
 * this CPU's hold cell. Tables are userlock_table.c, waiting is userlock_wait.c.
 *
 * Crash windows. Alone (mutex, writer): before the swap nothing happened; after it the word names a dead CPU, and
 * recovery frees the lock and marks the death. After the store that gives it back, sleepers were perhaps not woken: none
 * sleeps longer than a slice without looking. Counted (readers, permits): word and cell are two stores; recovery drops
 * the dead CPU's cell and counts the cells of the living anew, whichever of the two was done.
 */
#include "userlock.h"

#include <limits.h>

#include "cpu.h"
#include "userlock_impl.h"

/* `stepped`, a constant wherever these are inlined: with crash points, see sm_ul_special. */
static inline __attribute__((always_inline)) void step(const struct sm_userlock *l, bool stepped, uint32_t which) {
    if (stepped) {
        sm_crash_point(l->l_arena, which);
    }
}

static inline enum sm_err acquired(uint64_t word) {
    return sm_unlikely(word & SM_UL_DIED) ? SM_OWNER_DIED : SM_OK;
}

static inline __attribute__((always_inline)) enum sm_err take_alone(struct sm_userlock *l, bool stepped) {
    struct sm_userlock_shm *s = l->l_shm;
    uint64_t self = sm_ul_self(l->l_arena), w = sm_load_rlx(&s->ul_word);
    do {
        if (sm_unlikely(sm_ul_who(w) != 0)) {
            if (sm_ul_who(w) != self) {
                return SM_BUSY;
            }
            if (!l->l_recursive) {
                return SM_DEADLOCK;
            }
            sm_store_rlx(&s->ul_depth, sm_load_rlx(&s->ul_depth) + 1);
            return acquired(w);
        }
        /* Acquires what the last owner wrote; pairs with the store in give_alone. */
    } while (sm_unlikely(!sm_cas(&s->ul_word, &w, self | w)));
    step(l, stepped, SM_STEP_UL_TAKEN);
    sm_store_rlx(&s->ul_depth, 1);
    sm_bump(&s->ul_acquires, 1);
    step(l, stepped, SM_STEP_UL_OWNED);
    return acquired(w);
}

static inline __attribute__((always_inline)) enum sm_err take_counted(struct sm_userlock *l, bool patient,
                                                                      bool stepped) {
    struct sm_userlock_shm *s = l->l_shm;
    struct sm_userlock_hold_shm *cell = sm_ul_cell(l);
    uint64_t w = sm_load_rlx(&s->ul_word);
    do {
        if (SM_UL_OWNER(w) != 0) {
            return sm_ul_who(w) == sm_ul_self(l->l_arena) ? SM_DEADLOCK : SM_BUSY;
        }
        if (l->l_kind == SM_UL_SEMAPHORE) {
            if (SM_UL_COUNT(w) >= s->ul_permits) {
                return SM_BUSY;
            }
        } else if (!patient && sm_load_rlx(&cell->uh_shared) == 0 && sm_load_rlx(&s->ul_excl_waiters) != 0) {
            return SM_BUSY; /* writers first; who reads already may read again, or it would wait for itself */
        }
    } while (!sm_cas(&s->ul_word, &w, w + SM_UL_COUNT_ONE));
    step(l, stepped, SM_STEP_UL_COUNTED);
    sm_store_rlx(&cell->uh_shared, sm_load_rlx(&cell->uh_shared) + 1);
    (void)sm_add_rlx(&s->ul_acquires, 1);
    step(l, stepped, SM_STEP_UL_SHARED);
    return acquired(w);
}

static inline __attribute__((always_inline)) enum sm_err take(struct sm_userlock *l, enum sm_userlock_mode mode,
                                                              bool patient, bool stepped) {
    enum sm_err err = sm_ul_enter(l);
    if (sm_likely(err == SM_OK)) {
        err = sm_ul_counts(l, mode) ? take_counted(l, patient, stepped) : take_alone(l, stepped);
        sm_op_leave(l->l_arena);
    }
    return err;
}

enum sm_err sm_ul_try(struct sm_userlock *l, enum sm_userlock_mode mode, bool patient) {
    return take(l, mode, patient, true);
}

/* A dead owner keeps nobody out, not even those who will not wait. */
static bool owner_dead(const struct sm_userlock *l) {
    const struct sm_arena *a = l->l_arena;
    uint32_t owner = SM_UL_OWNER(sm_load_rlx(&l->l_shm->ul_word));
    return owner != 0 && owner <= a->a_header->h_max_cpus && !sm_cpu_alive(a, owner - 1);
}

enum sm_err sm_ul_acquire_busy(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns) {
    (void)sm_add_rlx(&l->l_shm->ul_contended, 1);
    if (timeout_ns != 0) {
        return sm_ul_wait(l, mode, timeout_ns);
    }
    if (owner_dead(l) || (sm_ul_counts(l, mode) && sm_cpu_count_dead(l->l_arena) != 0)) {
        sm_ul_reap(l->l_arena);
        return sm_ul_try(l, mode, false);
    }
    return SM_BUSY;
}

static __attribute__((noinline)) enum sm_err acquire_special(struct sm_userlock *l, enum sm_userlock_mode mode,
                                                             int64_t timeout_ns, void *caller) {
    if (sm_unlikely(l->l_untakable)) {
        return SM_INVALID;
    }
    bool stepped = (l->l_arena->a_hooks.h_mask & SM_HOOK_CRASH) != 0;
    enum sm_err err = sm_unlikely(stepped) ? sm_ul_try(l, mode, false) : take(l, mode, false, false);
    if (sm_likely(sm_ul_watched(l))) {
        return sm_ul_acquired_watched(l, mode, timeout_ns, err, caller);
    }
    return err != SM_BUSY ? err : sm_ul_acquire_busy(l, mode, timeout_ns);
}

enum sm_err sm_userlock_acquire(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns) {
    if (sm_unlikely(sm_ul_special(l))) {
        return acquire_special(l, mode, timeout_ns, __builtin_return_address(0));
    }
    enum sm_err err = take(l, mode, false, false);
    return sm_likely(err != SM_BUSY) ? err : sm_ul_acquire_busy(l, mode, timeout_ns);
}

/* Sequentially consistent, like the waiters' counting: either the loads in sm_ul_wake_next see a waiter, or its next
 * attempt sees the free word. */
static inline __attribute__((always_inline)) enum sm_err give_alone(struct sm_userlock *l, bool *wake, bool stepped) {
    struct sm_userlock_shm *s = l->l_shm;
    uint64_t w = sm_load_rlx(&s->ul_word);
    if (sm_unlikely(sm_ul_who(w) != sm_ul_self(l->l_arena))) {
        return SM_NOT_OWNER;
    }
    uint32_t depth = sm_load_rlx(&s->ul_depth);
    if (sm_unlikely(depth > 1)) {
        sm_store_rlx(&s->ul_depth, depth - 1);
        return SM_OK;
    }
    sm_store_seq(&s->ul_word, w & SM_UL_DIED); /* an owned word is its owner's alone to change */
    step(l, stepped, SM_STEP_UL_FREED);
    *wake = true;
    return SM_OK;
}

static inline __attribute__((always_inline)) enum sm_err give_counted(struct sm_userlock *l, bool *wake, bool stepped) {
    struct sm_userlock_shm *s = l->l_shm;
    struct sm_userlock_hold_shm *cell = sm_ul_cell(l);
    uint32_t mine = sm_load_rlx(&cell->uh_shared);
    if (mine == 0) {
        return SM_NOT_OWNER;
    }
    sm_store_rlx(&cell->uh_shared, mine - 1);
    step(l, stepped, SM_STEP_UL_CELL_DOWN);
    uint64_t w = __atomic_sub_fetch(&s->ul_word, SM_UL_COUNT_ONE, __ATOMIC_SEQ_CST); /* see give_alone */
    step(l, stepped, SM_STEP_UL_DOWN);
    *wake = l->l_kind == SM_UL_SEMAPHORE || SM_UL_COUNT(w) == 0;
    return SM_OK;
}

static inline __attribute__((always_inline)) enum sm_err give(struct sm_userlock *l, enum sm_userlock_mode mode,
                                                              bool stepped) {
    bool wake = false;
    enum sm_err err = sm_ul_enter(l);
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    err = sm_ul_counts(l, mode) ? give_counted(l, &wake, stepped) : give_alone(l, &wake, stepped);
    sm_op_leave(l->l_arena);
    if (wake) {
        sm_ul_wake_next(l);
    }
    return err;
}

enum sm_err sm_ul_give(struct sm_userlock *l, enum sm_userlock_mode mode) {
    return give(l, mode, true);
}

static __attribute__((noinline)) enum sm_err release_special(struct sm_userlock *l, enum sm_userlock_mode mode,
                                                             void *caller) {
    if (sm_unlikely(l->l_untakable)) {
        return SM_INVALID;
    }
    bool stepped = (l->l_arena->a_hooks.h_mask & SM_HOOK_CRASH) != 0;
    enum sm_err err = sm_unlikely(stepped) ? sm_ul_give(l, mode) : give(l, mode, false);
    return sm_ul_watched(l) ? sm_ul_released_watched(l, mode, err, caller) : err;
}

enum sm_err sm_userlock_release(struct sm_userlock *l, enum sm_userlock_mode mode) {
    if (sm_unlikely(sm_ul_special(l))) {
        return release_special(l, mode, __builtin_return_address(0));
    }
    return give(l, mode, false);
}

enum sm_err sm_userlock_repaired(struct sm_userlock *l) {
    enum sm_err err = sm_ul_enter(l);
    if (err != SM_OK) {
        return err;
    }
    uint64_t w = sm_load_rlx(&l->l_shm->ul_word);
    bool permit = l->l_kind == SM_UL_SEMAPHORE && sm_load_rlx(&sm_ul_cell(l)->uh_shared) != 0;
    if (permit || sm_ul_who(w) == sm_ul_self(l->l_arena)) {
        (void)sm_and_acqrel(&l->l_shm->ul_word, ~SM_UL_DIED);
        sm_crash_point(l->l_arena, SM_STEP_UL_REPAIRED);
    } else {
        err = SM_NOT_OWNER;
    }
    sm_op_leave(l->l_arena);
    return err;
}

enum sm_err sm_userlock_upgrade(struct sm_userlock *l) {
    struct sm_userlock_shm *s = l->l_shm;
    if (l->l_kind != SM_UL_SX) {
        return SM_INVALID;
    }
    enum sm_err err = sm_ul_enter(l);
    if (err != SM_OK) {
        return err;
    }
    struct sm_userlock_hold_shm *cell = sm_ul_cell(l);
    uint64_t w = sm_load_rlx(&s->ul_word);
    if (sm_load_rlx(&cell->uh_shared) == 0) {
        err = SM_NOT_OWNER;
    } else {
        do {
            err = SM_UL_COUNT(w) == 1 ? SM_OK : SM_BUSY;
        } while (err == SM_OK && !sm_cas(&s->ul_word, &w, sm_ul_self(l->l_arena) | (w & SM_UL_DIED)));
    }
    if (err == SM_OK) {
        sm_crash_point(l->l_arena, SM_STEP_UL_UPGRADED);
        sm_store_rlx(&cell->uh_shared, 0);
        sm_store_rlx(&s->ul_depth, 1);
        err = acquired(w);
    }
    sm_op_leave(l->l_arena);
    if (sm_unlikely(sm_ul_watched(l))) {
        sm_ul_turned_watched(l, true, err, __builtin_return_address(0));
    }
    return err;
}

enum sm_err sm_userlock_downgrade(struct sm_userlock *l) {
    struct sm_userlock_shm *s = l->l_shm;
    if (l->l_kind != SM_UL_SX) {
        return SM_INVALID;
    }
    enum sm_err err = sm_ul_enter(l);
    if (err != SM_OK) {
        return err;
    }
    uint64_t w = sm_load_rlx(&s->ul_word);
    if (sm_ul_who(w) == sm_ul_self(l->l_arena)) {
        sm_store_rlx(&sm_ul_cell(l)->uh_shared, 1);
        sm_crash_point(l->l_arena, SM_STEP_UL_DOWNGRADING);
        sm_store_seq(&s->ul_word, SM_UL_COUNT_ONE | (w & SM_UL_DIED)); /* see give_alone */
        sm_crash_point(l->l_arena, SM_STEP_UL_DOWNGRADED);
    } else {
        err = SM_NOT_OWNER;
    }
    sm_op_leave(l->l_arena);
    if (err == SM_OK && sm_load_seq(&s->ul_shared_waiters) != 0) {
        sm_ul_wake(&s->ul_shared_seq, INT_MAX);
    }
    if (sm_unlikely(sm_ul_watched(l))) {
        sm_ul_turned_watched(l, false, err, __builtin_return_address(0));
    }
    return err;
}

bool sm_userlock_held(const struct sm_userlock *l, enum sm_userlock_mode mode) {
    if (l->l_arena->a_cpu_id == SM_CPU_NONE || sm_ul_gone(l)) {
        return false;
    }
    return sm_ul_counts(l, mode) ? sm_load_rlx(&sm_ul_cell(l)->uh_shared) != 0
                                 : sm_ul_who(sm_load_rlx(&l->l_shm->ul_word)) == sm_ul_self(l->l_arena);
}
