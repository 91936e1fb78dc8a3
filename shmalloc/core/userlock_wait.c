/* userlock_wait.c - waiting for a user's lock, and on a condition. Takes no lock; sleeps only outside operations.
 *
 * A wait goes through phases, with an attempt between any two steps: a few microseconds in the caller's time; up to the
 * tunable SM_TU_SPIN_US with the caller's other threads running; then the waiter count + 1 and a futex.
 *
 * No wake-up is lost: the futex word is read before the attempt that precedes the sleep; counting a waiter and freeing
 * the lock word are sequentially consistent, so either the attempt sees the free lock or the releaser sees the waiter.
 * A releaser that is killed before its wake, or a woken CPU that is killed before it looks, leaves a free lock without a
 * wake: so nobody sleeps longer than SLICE_NS without an attempt, and looks for dead CPUs each time.
 *
 * Crash windows: a waiter is counted in its CPU's hold cell and in the total. The total is recounted from the cells of
 * the living whenever somebody died (reap_locks.c).
 */
#include <limits.h>

#include "cpu.h"
#include "tunable.h"
#include "userlock_impl.h"

#define SLICE_NS 20000000ll
#define HELD_SPIN_NS 2000 /* the caller's own time */
#define CLOCK_ROUNDS 16
#define YIELD_ROUNDS 32
#define RETAKES 100 /* an attachment that is being closed interrupts every wait */
#define MOST_WAITERS UINT16_MAX /* of one CPU; more of its threads look again every slice */

struct ul_wait { /* one call's wait, on its stack */
    struct sm_userlock *w_lock;
    enum sm_userlock_mode w_mode;
    uint32_t *w_seq, *w_total;
    int64_t w_deadline_ns; /* CLOCK_MONOTONIC */
    uint32_t w_epoch;      /* a_epoch when it was counted */
    bool w_counted;
};

void sm_ul_wake(uint32_t *seq, int count) {
    (void)__atomic_fetch_add(seq, 1, __ATOMIC_SEQ_CST); /* a sleeper that sees the new number sees the free word */
    sm_os_futex_wake(seq, count);
}

void sm_ul_wake_next(const struct sm_userlock *l) {
    struct sm_userlock_shm *s = l->l_shm;
    if (sm_unlikely(sm_load_seq(&s->ul_excl_waiters) != 0)) {
        sm_ul_wake(&s->ul_excl_seq, 1);
    } else if (sm_unlikely(sm_load_seq(&s->ul_shared_waiters) != 0)) {
        sm_ul_wake(&s->ul_shared_seq, INT_MAX);
    }
}

void sm_ul_reap(struct sm_arena *a) {
    if (sm_cpu_count_dead(a) != 0) {
        (void)a->a_recover(a); /* a failure to recover is not this call's: it goes on waiting */
    }
}

static struct ul_wait wait_new(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns) {
    struct sm_userlock_shm *s = l->l_shm;
    bool reads = sm_ul_reads(l, mode);
    int64_t now = sm_os_now_ns();
    return (struct ul_wait){
        .w_lock = l,
        .w_mode = mode,
        .w_seq = reads ? &s->ul_shared_seq : &s->ul_excl_seq,
        .w_total = reads ? &s->ul_shared_waiters : &s->ul_excl_waiters,
        .w_deadline_ns = timeout_ns < 0 || timeout_ns > SM_NEVER - 1 - now ? SM_NEVER : now + timeout_ns,
    };
}

static uint16_t *wait_cell(const struct ul_wait *w) {
    struct sm_userlock_hold_shm *cell = sm_ul_cell(w->w_lock);
    return sm_ul_reads(w->w_lock, w->w_mode) ? &cell->uh_wait_shared : &cell->uh_wait_excl;
}

static enum sm_err wait_count(struct ul_wait *w) {
    struct sm_arena *a = w->w_lock->l_arena;
    enum sm_err err = sm_ul_enter(w->w_lock);
    if (err != SM_OK) {
        return err;
    }
    uint16_t *cell = wait_cell(w);
    if (sm_load_rlx(cell) < MOST_WAITERS) {
        sm_store_rlx(cell, (uint16_t)(sm_load_rlx(cell) + 1));
        sm_crash_point(a, SM_STEP_UL_WAIT_CELL);
        (void)__atomic_fetch_add(w->w_total, 1, __ATOMIC_SEQ_CST); /* before the next attempt; see give_alone */
        sm_crash_point(a, SM_STEP_UL_WAIT_COUNTED);
        w->w_counted = true;
        w->w_epoch = a->a_epoch;
    }
    sm_op_leave(a);
    return SM_OK;
}

/* A slot that was given up meanwhile has taken its counts along (sm_userlock_depart). */
static void wait_uncount(struct ul_wait *w) {
    struct sm_arena *a = w->w_lock->l_arena;
    if (!w->w_counted || w->w_epoch != a->a_epoch || a->a_cpu == &a->a_orphan) {
        return;
    }
    w->w_counted = false;
    bool inside = sm_op_enter(a, w->w_lock->l_op) == SM_OK; /* a lock that is waited for cannot be destroyed */
    uint16_t *cell = wait_cell(w);
    uint32_t n = sm_load_rlx(w->w_total);
    sm_store_rlx(cell, (uint16_t)(sm_load_rlx(cell) - 1));
    sm_crash_point(a, SM_STEP_UL_WAIT_CELL);
    while (n != 0 && !__atomic_compare_exchange_n(w->w_total, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    if (inside) {
        sm_op_leave(a);
    }
}

/* From the lock word alone: may be called while other threads of this process use the attachment. */
static bool hopeful(const struct ul_wait *w) {
    const struct sm_userlock *l = w->w_lock;
    uint64_t word = sm_load_seq(&l->l_shm->ul_word);
    if (SM_UL_OWNER(word) != 0) {
        return sm_ul_gone(l);
    }
    return l->l_kind == SM_UL_SEMAPHORE ? SM_UL_COUNT(word) < l->l_shm->ul_permits
                                        : sm_ul_reads(l, w->w_mode) || SM_UL_COUNT(word) == 0;
}

static void spin(const struct ul_wait *w, int64_t until) {
    for (uint32_t i = 1; !hopeful(w); i++) {
        sm_cpu_relax();
        if (i % YIELD_ROUNDS == 0) {
            sm_os_yield(); /* with more processes than processors the owner needs ours */
        }
        if (i % CLOCK_ROUNDS == 0 && sm_os_now_ns() >= until) {
            break;
        }
    }
}

/* The attempts before anybody has to wake us. */
static enum sm_err wait_spinning(struct ul_wait *w) {
    struct sm_arena *a = w->w_lock->l_arena;
    int64_t start = sm_os_now_ns(), spin_ns = sm_tunable_get(a, SM_TU_SPIN_US) * 1000;
    for (int64_t now = start; now - start < HELD_SPIN_NS && now - start < spin_ns; now = sm_os_now_ns()) {
        for (uint32_t i = 0; i < CLOCK_ROUNDS && !hopeful(w); i++) {
            sm_cpu_relax();
        }
        if (hopeful(w)) {
            enum sm_err err = sm_ul_try(w->w_lock, w->w_mode, false);
            if (err != SM_BUSY) {
                return err;
            }
        }
    }
    if (spin_ns <= HELD_SPIN_NS) {
        return SM_BUSY;
    }
    void *token = sm_block_begin(a);
    spin(w, start + spin_ns < w->w_deadline_ns ? start + spin_ns : w->w_deadline_ns);
    enum sm_err err = sm_block_end(a, token);
    return err == SM_OK ? sm_ul_try(w->w_lock, w->w_mode, false) : err;
}

/* Sleeps until the futex word is not `seen` any more, a slice has passed, or the deadline. */
static enum sm_err wait_sleep(const struct ul_wait *w, uint32_t seen, int64_t now, bool *slice_passed) {
    struct sm_arena *a = w->w_lock->l_arena;
    int64_t until = now + SLICE_NS;
    void *token = sm_block_begin(a);
    enum sm_err err = sm_os_futex_wait(w->w_seq, seen, until < w->w_deadline_ns ? until : w->w_deadline_ns);
    enum sm_err stop = sm_block_end(a, token);
    *slice_passed = err == SM_TIMEOUT;
    if (stop != SM_OK) {
        return stop;
    }
    return err == SM_OK || err == SM_TIMEOUT || err == SM_INTERRUPTED ? SM_OK : err;
}

static enum sm_err wait_sleeping(struct ul_wait *w) {
    bool patient = false;
    sm_ul_reap(w->w_lock->l_arena);
    for (;;) {
        uint32_t seen = sm_load_seq(w->w_seq);
        enum sm_err err = sm_ul_try(w->w_lock, w->w_mode, patient);
        if (err != SM_BUSY) {
            return err;
        }
        int64_t now = sm_os_now_ns();
        if (now >= w->w_deadline_ns) {
            return SM_TIMEOUT;
        }
        bool slice_passed;
        err = wait_sleep(w, seen, now, &slice_passed);
        if (err != SM_OK) {
            return err;
        }
        if (slice_passed) {
            patient = true; /* the writers had their chance; one of them may be stopped */
            sm_ul_reap(w->w_lock->l_arena);
        }
    }
}

enum sm_err sm_ul_wait(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns) {
    struct ul_wait w = wait_new(l, mode, timeout_ns);
    enum sm_err err = wait_spinning(&w);
    if (err == SM_BUSY && (err = wait_count(&w)) == SM_OK) {
        err = wait_sleeping(&w);
        wait_uncount(&w);
        /* A wake may have been meant for us, or readers may have waited only because we did. */
        if (err != SM_OK && err != SM_OWNER_DIED && err != SM_GONE) {
            sm_ul_wake_next(l);
        }
    }
    return err;
}

/* ---------------------------------------------------------------- conditions */

static enum sm_err notified(struct ul_wait *w, uint32_t seen) {
    for (;;) {
        int64_t now = sm_os_now_ns();
        if (sm_load_seq(w->w_seq) != seen) {
            return SM_OK;
        }
        if (now >= w->w_deadline_ns) {
            return SM_TIMEOUT;
        }
        bool slice_passed;
        enum sm_err err = wait_sleep(w, seen, now, &slice_passed);
        if (err != SM_OK) {
            return err;
        }
        if (slice_passed) {
            sm_ul_reap(
                w->w_lock->l_arena); /* a dead waiter may have taken our notification along: recovery wakes all */
        }
    }
}

enum sm_err sm_condition_wait(struct sm_userlock *c, int64_t timeout_ns) {
    struct sm_userlock *m = c->l_mutex;
    if (c->l_kind != SM_UL_CONDITION) {
        return SM_INVALID;
    }
    if (!sm_userlock_held(m, SM_EXCLUSIVE)) {
        return sm_ul_gone(m) ? SM_GONE : SM_NOT_OWNER;
    }
    struct ul_wait w = wait_new(c, SM_EXCLUSIVE, timeout_ns);
    enum sm_err err = wait_count(&w);
    if (err != SM_OK) {
        return err;
    }
    uint32_t seen = sm_load_seq(w.w_seq), depth = sm_load_rlx(&m->l_shm->ul_depth);
    sm_store_rlx(&m->l_shm->ul_depth, 1);
    err = sm_userlock_release(m, SM_EXCLUSIVE);
    if (err != SM_OK) { /* somebody stalls this CPU: nothing was given back */
        sm_store_rlx(&m->l_shm->ul_depth, depth);
        wait_uncount(&w);
        return err;
    }
    err = notified(&w, seen);
    wait_uncount(&w);
    enum sm_err again = sm_userlock_acquire(m, SM_EXCLUSIVE, -1);
    for (int i = 0; i < RETAKES && again == SM_INTERRUPTED; i++) { /* told of at the end, with the mutex held */
        err = again;
        again = sm_userlock_acquire(m, SM_EXCLUSIVE, -1);
    }
    if (again != SM_OK && again != SM_OWNER_DIED) {
        return again;
    }
    sm_store_rlx(&m->l_shm->ul_depth, depth);
    return again == SM_OK || err == SM_INTERRUPTED ? err : again;
}

enum sm_err sm_condition_notify(struct sm_userlock *c, uint32_t waiters) {
    if (c->l_kind != SM_UL_CONDITION) {
        return SM_INVALID;
    }
    enum sm_err err = sm_ul_enter(c);
    if (err != SM_OK) {
        return err;
    }
    (void)sm_add_rlx(&c->l_shm->ul_acquires, 1);
    sm_op_leave(c->l_arena);
    sm_ul_wake(&c->l_shm->ul_excl_seq, waiters < INT_MAX ? (int)waiters : INT_MAX);
    return SM_OK;
}
