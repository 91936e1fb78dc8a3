/* userlock_impl.h - what the userlock_*.c files share. Private to them. */
#ifndef SM_USERLOCK_IMPL_H
#define SM_USERLOCK_IMPL_H

#include "quiesce.h"
#include "userlock.h"

struct sm_userlock {
    struct sm_arena *l_arena;
    struct sm_userlock_shm *l_shm;
    struct sm_userlock_hold_shm *l_cells; /* by CPU */
    struct sm_userlock *l_mutex;          /* of a condition: its own handle */
    uint64_t l_op;
    uint32_t l_id, l_gen, l_kind;
    uint32_t l_untakable; /* 1: a condition */
    bool l_recursive;
    struct sm_userlock_face l_face; /* what a watcher is told */
    char l_type[SM_NAME_BYTES];     /* l_face.f_type, if it has one */
};

enum sm_userlock_step {
    SM_STEP_UL_TAKEN = 0x800, /* the word is ours, the depth is the last owner's */
    SM_STEP_UL_OWNED,
    SM_STEP_UL_COUNTED,       /* the word counts a hold that no cell has */
    SM_STEP_UL_SHARED,
    SM_STEP_UL_FREED,         /* nobody has it, nobody was woken */
    SM_STEP_UL_CELL_DOWN,     /* the word counts one more than the cells */
    SM_STEP_UL_DOWN,
    SM_STEP_UL_UPGRADED,      /* owner, and still a reader by its cell */
    SM_STEP_UL_DOWNGRADING,   /* owner, and a reader by its cell already */
    SM_STEP_UL_DOWNGRADED,
    SM_STEP_UL_REPAIRED,
    SM_STEP_UL_WAIT_CELL,     /* a cell says that we wait, the total does not */
    SM_STEP_UL_WAIT_COUNTED,
    SM_STEP_UL_CELL_COMMITTED = 0x820,
    SM_STEP_UL_READY,
    SM_STEP_UL_GOING,
};

/* As a reader: counted, and asleep on the shared futex. */
static inline bool sm_ul_reads(const struct sm_userlock *l, enum sm_userlock_mode mode) {
    return mode == SM_SHARED && (l->l_kind == SM_UL_RWLOCK || l->l_kind == SM_UL_SX);
}

static inline bool sm_ul_counts(const struct sm_userlock *l, enum sm_userlock_mode mode) {
    return l->l_kind == SM_UL_SEMAPHORE || sm_ul_reads(l, mode);
}

/* The owner as the word has it. A thread is named by the address of its descriptor, over 16: nobody follows it, and two
 * threads that live at one time in one process differ in it; of two processes, the CPU differs. */
static inline uint64_t sm_ul_self(const struct sm_arena *a) {
    return ((uint64_t)(uintptr_t)pthread_self() >> 4) << SM_UL_COUNT_SHIFT | (a->a_cpu_id + 1);
}

static inline uint64_t sm_ul_who(uint64_t word) {
    return word & ~SM_UL_DIED;
}

static inline bool sm_ul_gone(const struct sm_userlock *l) {
    return sm_load_acq(&l->l_shm->ul_gen) != l->l_gen;
}

static inline struct sm_userlock_hold_shm *sm_ul_cell(const struct sm_userlock *l) {
    return &l->l_cells[l->l_arena->a_cpu_id];
}

/* Starts an operation on the lock; SM_GONE leaves it again. */
static inline enum sm_err sm_ul_enter(const struct sm_userlock *l) {
    struct sm_arena *a = l->l_arena;
    struct sm_cpu_shm *c = a->a_cpu;
    sm_store_rlx(&c->cpu_op, l->l_op);
    sm_op_order(a);
    if (sm_unlikely((sm_load_acq(&c->cpu_claim) & SM_CLAIM_QUIESCE) != 0)) {
        sm_store_rel(&c->cpu_op, 0);
        enum sm_err err = sm_op_enter(a, l->l_op);
        if (err != SM_OK) {
            return err;
        }
    }
    if (sm_unlikely(sm_ul_gone(l))) {
        sm_op_leave(a);
        return SM_GONE;
    }
    return SM_OK;
}

/* One attempt. patient: this reader has waited its time behind writers. SM_BUSY: taken. */
enum sm_err sm_ul_try(struct sm_userlock *l, enum sm_userlock_mode mode, bool patient);
/* The rest of an acquisition whose first attempt found the lock taken. */
enum sm_err sm_ul_acquire_busy(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns);
enum sm_err sm_ul_give(struct sm_userlock *l, enum sm_userlock_mode mode);

/* A lock checker listens (userlock_watch.c). */
static inline bool sm_ul_watched(const struct sm_userlock *l) {
    return (l->l_arena->a_hooks.h_mask & SM_HOOK_USERLOCK) != 0;
}
/* Taking and giving back is not the plain case: the lock cannot be taken, a lock checker listens, or the steps are crash
 * points. One branch for all of it, where the first alone would need one; the plain case then has no crash points.
 * SM_NO_USERLOCK_HOOKS is for the benchmark of what this costs with no hooks set, and for nothing else. */
static inline bool sm_ul_special(const struct sm_userlock *l) {
#ifdef SM_NO_USERLOCK_HOOKS
    return l->l_untakable != 0;
#else
    return ((l->l_arena->a_hooks.h_mask & (SM_HOOK_USERLOCK | SM_HOOK_CRASH)) | l->l_untakable) != 0;
#endif
}
static inline void sm_ul_tell(const struct sm_userlock *l, enum sm_userlock_event event, uint32_t flags,
                              enum sm_err err, void *caller) {
    const struct sm_armed_hooks *k = &l->l_arena->a_hooks;
    if (sm_likely(k->h_mask & SM_HOOK_USERLOCK)) { /* a wait in between may have disarmed it */
        k->h_userlock(k->h_userlock_ctx, &l->l_face, event, flags, caller, err);
    }
}
/* The rest of a watched call, after its first attempt. */
enum sm_err sm_ul_acquired_watched(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns,
                                   enum sm_err err, void *caller);
enum sm_err sm_ul_released_watched(struct sm_userlock *l, enum sm_userlock_mode mode, enum sm_err err, void *caller);
void sm_ul_turned_watched(struct sm_userlock *l, bool up, enum sm_err err, void *caller);
void sm_ul_destroyed_watched(struct sm_userlock *l);
/* Waits between attempts. */
enum sm_err sm_ul_wait(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns);
/* Wakes whoever may have something to gain from a lock that became free; outside operations. */
void sm_ul_wake_next(const struct sm_userlock *l);
void sm_ul_wake(uint32_t *seq, int count);
/* Reaps the dead, if there are any. */
void sm_ul_reap(struct sm_arena *a);

#endif
