/* queue_wait.c - spinning and sleeping at a full or empty queue. Takes no lock; sleeps only outside operations.
 *
 * A wait goes through phases, with an attempt (queue_ring.c) between any two steps:
 *   SPIN      a few microseconds in the caller's time, looking at the ring place itself: one cache line moves
 *   SPIN      up to the tunable SM_TU_SPIN_US with the caller's other threads running (sm_block_begin), looking at the
 *             positions in the queue's record, which unlike the ring never goes away
 *   REGISTER  waiter count + 1, membarrier, remember the futex word; one more attempt
 *   SLEEP     futex; remember the futex word; one more attempt; and again
 *
 * No wake-up is lost: the futex word is read before the attempt that precedes the sleep, and a waker changes it after
 * the place. A waker that is killed between its place and its wake, or a woken CPU that is killed before it looks,
 * would leave an item without a wake: so nobody sleeps longer than SLEEP_SLICE_NS without an attempt.
 *
 * Registration is an operation that stores the waiter count and a record in the CPU's slot. Crash windows:
 *   count raised, no record       the count is too high: wakes that find nobody; recounted from records of live CPUs
 *   record, CPU dead              the same
 */
#include "queue_wait.h"

#include <limits.h>

#include "base/assert.h"
#include "cpu.h"
#include "tunable.h"

#define SLEEP_SLICE_NS 100000000ll
#define HELD_SPIN_NS 3000      /* the caller's own time */
#define CLOCK_ROUNDS 8         /* attempts between two looks at the clock */
#define SPACE_RELAX 16         /* a producer at a full queue leaves q_head's line to the consumers for so long */
#define YIELD_ROUNDS 32        /* with more processes than processors the peer needs ours */
#define BUSY_YIELDS 100        /* for a call that may not wait */

static uint32_t *wait_count(const struct sm_wait *w) {
    struct sm_queue_shm *s = w->w_queue->q_shm;
    return w->w_side == SM_FOR_ITEM ? &s->q_item_waiters : &s->q_space_waiters;
}

static uint32_t *wait_seq(const struct sm_wait *w) {
    struct sm_queue_shm *s = w->w_queue->q_shm;
    return w->w_side == SM_FOR_ITEM ? &s->q_item_seq : &s->q_space_seq;
}

void sm_wait_wake(uint32_t *seq, int count) {
    sm_add_acqrel(seq, 1); /* release: a sleeper that sees the new number sees the place */
    sm_os_futex_wake(seq, count);
}

/* From the queue's record alone: may be called while other threads of this process use the attachment. */
static bool wait_hopeful(const struct sm_wait *w) {
    const struct sm_queue *q = w->w_queue;
    if (sm_queue_gone(q)) {
        return true;
    }
    uint64_t head = sm_load_acq(&q->q_shm->q_head), tail = sm_load_acq(&q->q_shm->q_tail);
    return w->w_side == SM_FOR_ITEM ? tail != head : tail - head < q->q_limit;
}

static enum sm_err wait_register(struct sm_wait *w) {
    struct sm_queue *q = w->w_queue;
    struct sm_arena *a = q->q_arena;
    enum sm_err err = sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, q->q_id, 0));
    if (err != SM_OK) {
        return err;
    }
    uint32_t i = 0;
    while (i < SM_CPU_WAITS && a->a_cpu->cpu_wait[i] != 0) {
        i++;
    }
    w->w_record = i;
    w->w_epoch = a->a_epoch;
    if (i < SM_CPU_WAITS) {
        sm_add_acqrel(wait_count(w), 1);
        sm_store_rlx(&a->a_cpu->cpu_wait[i], w->w_side == SM_FOR_ITEM ? SM_WAIT_ITEM(q->q_id) : SM_WAIT_SPACE(q->q_id));
        w->w_registered = true;
    } /* else so many threads of this process wait that this one only looks again every slice */
    sm_op_leave(a);
    /* Pairs with sm_wait_notify. */
    if (a->a_fenced) {
        sm_full_fence();
    } else {
        sm_os_membarrier();
    }
    return SM_OK;
}

/* Not below zero: a recount (recovery) may have run since this wait registered on a CPU slot that is gone. */
static void wait_uncount(struct sm_wait *w) {
    uint32_t *count = wait_count(w), n = sm_load_rlx(count);
    while (n != 0 && !sm_cas(count, &n, n - 1)) {
    }
}

static void wait_unregister(struct sm_wait *w) {
    struct sm_queue *q = w->w_queue;
    struct sm_arena *a = q->q_arena;
    if (!w->w_registered) {
        return;
    }
    w->w_registered = false;
    if (a->a_epoch != w->w_epoch || a->a_cpu == &a->a_orphan ||
        sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, q->q_id, 0)) != SM_OK) {
        wait_uncount(w); /* the slot with the record was given up meanwhile, or cannot be entered */
        if (a->a_epoch == w->w_epoch) {
            sm_store_rlx(&a->a_cpu->cpu_wait[w->w_record], 0);
        }
        return;
    }
    sm_store_rlx(&a->a_cpu->cpu_wait[w->w_record], 0);
    wait_uncount(w);
    sm_op_leave(a);
}

/* A place that stays claimed: if its claimer is dead, only recovery can close the hole. SM_OK: done, or nobody is. */
static enum sm_err wait_blocker(struct sm_queue *q) {
    struct sm_arena *a = q->q_arena;
    uint32_t high = sm_load_rlx(&a->a_ctl->ctl_cpu_high);
    for (uint32_t c = 0; c < high && c < a->a_header->h_max_cpus; c++) {
        uint64_t op = sm_load_acq(&a->a_cpus[c].cpu_op);
        if ((SM_OP_OF(op) == SM_OP_PUT || SM_OP_OF(op) == SM_OP_GET) && SM_OP_ID(op) == q->q_id && c != a->a_cpu_id &&
            sm_load_acq(&a->a_cpus[c].cpu_state) != SM_CPU_FREE && !sm_cpu_alive(a, c)) {
            enum sm_err err = a->a_recover(a);
            a->a_blocker = c;
            return err == SM_OK ? SM_OK : SM_DEAD_PEER;
        }
    }
    return SM_OK;
}

/* What a dead CPU was taking out when it died, or what it held room with, may be just what is waited for. A failure to
 * recover is not this call's: it goes on waiting. */
static void wait_reap(struct sm_wait *w) {
    struct sm_arena *a = w->w_queue->q_arena;
    if (sm_cpu_count_dead(a) != 0) {
        (void)a->a_recover(a);
    }
}

static enum sm_err wait_spin_open(struct sm_wait *w, int64_t until) {
    struct sm_arena *a = w->w_queue->q_arena;
    void *token = sm_block_begin(a);
    for (uint32_t i = 1; !wait_hopeful(w); i++) {
        for (uint32_t r = w->w_side == SM_FOR_SPACE ? SPACE_RELAX : 1; r > 0; r--) {
            sm_cpu_relax();
        }
        if (i % YIELD_ROUNDS == 0) {
            sm_os_yield();
        }
        if (i % CLOCK_ROUNDS == 0 && sm_os_now_ns() >= until) {
            break;
        }
    }
    return sm_block_end(a, token);
}

static enum sm_err wait_sleep(struct sm_wait *w, int64_t now) {
    struct sm_arena *a = w->w_queue->q_arena;
    int64_t slice = now + SLEEP_SLICE_NS;
    void *token = sm_block_begin(a);
    enum sm_err err = sm_os_futex_wait(wait_seq(w), w->w_seen, slice < w->w_deadline_ns ? slice : w->w_deadline_ns);
    enum sm_err stop = sm_block_end(a, token);
    if (stop != SM_OK) {
        return stop;
    }
    if (err == SM_TIMEOUT) {
        wait_reap(w);
    }
    return err == SM_OK || err == SM_TIMEOUT || err == SM_INTERRUPTED ? SM_OK : err;
}

enum sm_err sm_wait_step(struct sm_wait *w, enum sm_err failed) {
    struct sm_arena *a = w->w_queue->q_arena;
    enum sm_err err;
    w->w_peek = false;
    if (w->w_queue->q_busy && (err = wait_blocker(w->w_queue)) != SM_OK) {
        return err;
    }
    if (w->w_timeout_ns == 0) {
        /* Another CPU is between claiming and finishing a place: it may need this processor for the last few stores. */
        if (!w->w_queue->q_busy || w->w_rounds++ == BUSY_YIELDS) {
            return failed;
        }
        sm_os_yield();
        return SM_OK;
    }
    if (w->w_phase == SM_WAIT_NEW) {
        w->w_started_ns = sm_os_now_ns();
        w->w_deadline_ns = w->w_timeout_ns < 0 || w->w_timeout_ns > SM_NEVER - 1 - w->w_started_ns
                               ? SM_NEVER
                               : w->w_started_ns + w->w_timeout_ns;
        w->w_phase = SM_WAIT_SPIN;
    }
    switch (w->w_phase) {
    case SM_WAIT_SPIN: {
        for (uint32_t r = w->w_side == SM_FOR_SPACE ? SPACE_RELAX : 1; r > 0; r--) {
            sm_cpu_relax();
        }
        w->w_peek = true;
        if (++w->w_rounds % CLOCK_ROUNDS != 0) {
            return SM_OK;
        }
        int64_t now = sm_os_now_ns(), spin_end = w->w_started_ns + sm_tunable_get(a, SM_TU_SPIN_US) * 1000;
        if (now >= w->w_deadline_ns) {
            w->w_phase = SM_WAIT_LAST;
            w->w_peek = false;
            return SM_OK;
        }
        if (now < spin_end && now - w->w_started_ns < HELD_SPIN_NS) {
            return SM_OK;
        }
        w->w_peek = false; /* from here on each attempt gives a slow producer a moment, and notices a dead one */
        if (now < spin_end) {
            return wait_spin_open(w, spin_end < w->w_deadline_ns ? spin_end : w->w_deadline_ns);
        }
        w->w_phase = SM_WAIT_REGISTER;
    }
        /* fall through */
    case SM_WAIT_REGISTER:
        wait_reap(w);
        err = wait_register(w);
        w->w_phase = SM_WAIT_SLEEP;
        w->w_seen = sm_load_acq(wait_seq(w)); /* before the attempt; pairs with sm_wait_wake */
        return err;
    case SM_WAIT_SLEEP: {
        int64_t now = sm_os_now_ns();
        err = now < w->w_deadline_ns ? wait_sleep(w, now) : SM_OK;
        if (err == SM_OK && sm_os_now_ns() >= w->w_deadline_ns) {
            w->w_phase = SM_WAIT_LAST;
        }
        w->w_seen = sm_load_acq(wait_seq(w));
        return err;
    }
    case SM_WAIT_NEW:
    case SM_WAIT_LAST:
        break;
    }
    return SM_TIMEOUT;
}

/* A wake may have been meant for a call that ends for another reason, and then belongs to the next sleeper. */
void sm_wait_end(struct sm_wait *w) {
    if (w->w_registered) {
        wait_unregister(w);
        if (sm_load_rlx(wait_count(w)) != 0 && wait_hopeful(w)) {
            sm_wait_wake(wait_seq(w), 1);
        }
    }
}

void sm_queue_recover(struct sm_arena *a, const bool *dead) {
    for (uint32_t id = 0; id < a->a_header->h_max_queues; id++) {
        struct sm_queue_shm *q = &a->a_queues[id];
        uint32_t item = 0, space = 0;
        for (uint32_t c = 0; c < a->a_header->h_max_cpus; c++) {
            for (uint32_t i = 0; i < SM_CPU_WAITS && a->a_cpus[c].cpu_state != SM_CPU_FREE && !dead[c]; i++) {
                item += a->a_cpus[c].cpu_wait[i] == SM_WAIT_ITEM(id);
                space += a->a_cpus[c].cpu_wait[i] == SM_WAIT_SPACE(id);
            }
        }
        sm_store_rlx(&q->q_item_waiters, item);
        sm_store_rlx(&q->q_space_waiters, space);
        if (q->q_state == SM_ZONE_DYING) {
            sm_store_rel(&q->q_state, SM_ZONE_FREE);
        }
    }
}
