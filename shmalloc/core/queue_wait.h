/* queue_wait.h - how a queue call waits between two attempts. Inside the core only. */
#ifndef SM_QUEUE_WAIT_H
#define SM_QUEUE_WAIT_H

#include "queue_ring.h"
#include "quiesce.h"

enum sm_wait_side { SM_FOR_ITEM, SM_FOR_SPACE };
enum sm_wait_phase { SM_WAIT_NEW, SM_WAIT_SPIN, SM_WAIT_REGISTER, SM_WAIT_SLEEP, SM_WAIT_LAST };

struct sm_wait { /* one call's wait, on its stack */
    struct sm_queue *w_queue;
    enum sm_wait_side w_side;
    enum sm_wait_phase w_phase;
    int64_t w_timeout_ns;  /* as the caller gave it */
    int64_t w_started_ns;  /* CLOCK_MONOTONIC, taken when the first attempt has failed */
    int64_t w_deadline_ns; /* CLOCK_MONOTONIC */
    uint32_t w_rounds;
    uint32_t w_seen;       /* value of the futex word before the attempt that precedes a sleep */
    uint32_t w_record;     /* index in cpu_wait, SM_CPU_WAITS: none */
    uint32_t w_epoch;      /* a_epoch when it registered */
    bool w_registered;
    bool w_peek; /* for the next attempt */
};

#define SM_WAIT_INIT(queue, side, timeout) {.w_queue = (queue), .w_side = (side), .w_timeout_ns = (timeout)}

/* After an attempt failed with SM_FULL or SM_EMPTY (`failed`): SM_OK: try again. Else what the call returns. */
enum sm_err sm_wait_step(struct sm_wait *w, enum sm_err failed);
/* After the last attempt, however it ended. */
void sm_wait_end(struct sm_wait *w);
void sm_wait_wake(uint32_t *seq, int count);

/* Waker's half of the pairing with wait_register: place stored (release), then the waiter count loaded. The compiler
 * barrier is enough because the waiter executes membarrier(2) between its increment and its attempt: either this load
 * sees the increment, or that attempt sees the place. In fenced mode both sides pay a full fence. Outside the
 * operation: a kill between the place and the wake costs a sleeper at most SLEEP_SLICE_NS (queue_wait.c). */
static inline void sm_wait_notify(const struct sm_arena *a, uint32_t *waiters, uint32_t *seq, uint32_t count) {
    sm_op_order(a);
    if (sm_unlikely(sm_load_rlx(waiters) != 0)) {
        sm_wait_wake(seq, (int)count);
    }
}

#endif
