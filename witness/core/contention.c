/* contention.c - lock_stat's figures of each class. Takes the slow lock to reset; counting is single atomic operations.
 *
 * Counts and sums only grow; a reset remembers what they were, and a reader takes that away. So nobody who is counting can
 * bring old figures back. What is no sum, the extremes and the points, is emptied, and changed by compare-and-swap alone:
 * whoever was about to change it sees that it is empty, and counts for the new time. A wait or hold that spans a reset
 * belongs to the time in which it ends; one that is counted during the reset, to either.
 *
 * Crash windows: killed between two figures of one wait, a writer leaves a sum that lacks one wait, for good. Killed in a
 * reset, some classes begin at zero and the rest do not, each as a whole but for its extremes and points; the next reset
 * does them all.
 */
#include "contention.h"

#include "class.h"
#include "thread.h"

static void most(uint64_t *word, uint64_t value) {
    uint64_t seen = sm_load_rlx(word);
    while (value > seen && !sm_cas(word, &seen, value)) {
    }
}

static void least(uint64_t *word, uint64_t value) { /* 0: none yet */
    uint64_t seen = sm_load_rlx(word);
    while ((seen == 0 || value < seen) && !sm_cas(word, &seen, value)) {
    }
}

static void measured(struct w_contention_shm *n, enum w_sum count, uint64_t extreme[2], int64_t since_ns) {
    int64_t took = w_now_ns() - since_ns;
    uint64_t ns = took > 0 ? (uint64_t)took : 1;
    (void)sm_add_rlx(&n->n_sum[count + 1], ns);
    w_crash_point(W_STEP_MEASURED);
    (void)sm_add_rlx(&n->n_sum[count], 1);
    least(&extreme[0], ns);
    most(&extreme[1], ns);
}

void w_contention_waited(struct w_block *b, uint32_t class_id, int64_t since_ns) {
    struct w_contention_shm *n = &b->b_contention[class_id];
    measured(n, W_SUM_WAITS, n->n_wait, since_ns);
}

void w_contention_held(struct w_block *b, uint32_t class_id, int64_t since_ns) {
    struct w_contention_shm *n = &b->b_contention[class_id];
    measured(n, W_SUM_HOLDS, n->n_hold, since_ns);
}

/* The innermost frame: one place, however it was come to. */
static uint32_t frame_of(const struct w_block *b, uint32_t stack) {
    uint32_t n = sm_load_acq(&b->b_header->h_stacks);
    if (stack == W_NONE || stack > n || stack > b->b_max_stacks || b->b_stacks[stack - 1].s_count == 0) {
        return W_NONE;
    }
    return b->b_stacks[stack - 1].s_frame[0];
}

/* The first W_POINTS places are counted; of others the count of contentions tells. */
static void point(uint64_t points[W_POINTS], uint32_t frame) {
    for (uint32_t i = 0; frame != W_NONE && i < W_POINTS;) {
        uint64_t seen = sm_load_rlx(&points[i]);
        if (seen != 0 && seen >> 32 != frame) {
            i++;
        } else if ((uint32_t)seen == UINT32_MAX ||
                   sm_cas(&points[i], &seen, ((uint64_t)frame << 32 | (uint32_t)seen) + 1)) {
            return;
        } /* else it changed: this entry again */
    }
}

/* Where the thread that has the lock took it. Another process's slot, read while its thread writes: the lock may be given
 * back and another be taken in its entry meanwhile, and then one count goes to a place that is not to blame. */
static uint32_t holder_of(const struct w_block *b, uint32_t class_id, uint64_t instance) {
    uint32_t high = sm_load_rlx(&b->b_header->h_thread_high);
    for (uint32_t i = 0; i < high && i < b->b_max_threads; i++) {
        const struct w_thread_shm *t = &b->b_threads[i];
        uint32_t count = sm_load_acq(&t->t_count); /* pairs with w_held_push */
        for (uint32_t j = 0; j < count && j < W_HELD; j++) {
            const struct w_held_shm *d = &t->t_held[j];
            if (sm_load_rlx(&d->d_instance) == instance && sm_load_rlx(&d->d_class) == class_id && !w_given_is(t, d)) {
                return sm_load_rlx(&d->d_stack);
            }
        }
    }
    return W_NONE;
}

void w_contention_found(struct w_block *b, uint32_t class_id, uint64_t instance, uint32_t stack) {
    struct w_contention_shm *n = &b->b_contention[class_id];
    (void)sm_add_rlx(&n->n_sum[W_SUM_CONTENDED], 1);
    w_crash_point(W_STEP_CONTENDED);
    point(n->n_point[W_WAITER], frame_of(b, stack));
    point(n->n_point[W_HOLDER], frame_of(b, holder_of(b, class_id, instance)));
}

static uint64_t sum_of(const struct w_block *b, uint32_t class_id, enum w_sum which) {
    return which == W_SUM_ACQUIRES ? sm_load_rlx(&b->b_classes[class_id].c_acquires)
                                   : sm_load_rlx(&b->b_contention[class_id].n_sum[which]);
}

static void reset_one(struct w_block *b, uint32_t class_id) {
    struct w_contention_shm *n = &b->b_contention[class_id];
    uint32_t spare = (sm_load_rlx(&n->n_turn) + 1) % 2;
    for (uint32_t i = 0; i < W_SUMS; i++) {
        /* Release: who reads it for the base before the last finds the last turn too, and begins again. */
        sm_store_rel(&n->n_before[spare][i], sum_of(b, class_id, i));
        w_crash_point(W_STEP_RESETTING);
    }
    sm_store_rel(&n->n_turn, n->n_turn + 1); /* from here the new ones count; pairs with w_contention_read */
    for (uint32_t i = 0; i < 2; i++) {
        sm_store_rlx(&n->n_wait[i], 0);
        sm_store_rlx(&n->n_hold[i], 0);
    }
    w_crash_point(W_STEP_RESET);
    for (uint32_t i = 0; i < W_SIDES * W_POINTS; i++) {
        sm_store_rlx(&n->n_point[i / W_POINTS][i % W_POINTS], 0);
    }
}

enum sm_err w_contention_reset(struct w_block *b) {
    if (!w_block_lock(b)) {
        return SM_STALLED;
    }
    for (uint32_t id = 0, n = w_class_count(b); id < n; id++) {
        reset_one(b, id);
    }
    sm_store_rlx(&b->b_header->h_reset_ns, w_wall_ns());
    w_block_unlock(b);
    return SM_OK;
}

void w_contention_read(const struct w_block *b, uint32_t class_id, struct w_contention *out) {
    const struct w_contention_shm *n = &b->b_contention[class_id];
    uint64_t since[W_SUMS];
    uint32_t turn = sm_load_acq(&n->n_turn), again;
    for (int tries = 0; tries < 8; tries++) { /* a base is rewritten by the second reset from now at the earliest */
        for (uint32_t i = 0; i < W_SUMS; i++) {
            uint64_t now = sum_of(b, class_id, i), before = sm_load_acq(&n->n_before[turn % 2][i]);
            since[i] = now > before ? now - before : 0;
        }
        again = sm_load_rlx(&n->n_turn);
        if (again == turn) {
            break;
        }
        turn = again;
    }
    *out = (struct w_contention){
        .g_acquires = since[W_SUM_ACQUIRES],
        .g_contended = since[W_SUM_CONTENDED],
        .g_waits = since[W_SUM_WAITS],
        .g_wait_min = sm_load_rlx(&n->n_wait[0]),
        .g_wait_max = sm_load_rlx(&n->n_wait[1]),
        .g_wait_total = since[W_SUM_WAITED],
        .g_holds = since[W_SUM_HOLDS],
        .g_hold_min = sm_load_rlx(&n->n_hold[0]),
        .g_hold_max = sm_load_rlx(&n->n_hold[1]),
        .g_hold_total = since[W_SUM_HELD],
    };
    for (uint32_t side = 0; side < W_SIDES; side++) {
        for (uint32_t i = 0; i < W_POINTS; i++) {
            uint64_t seen = sm_load_rlx(&n->n_point[side][i]);
            out->g_point[side][i].p_frame = (uint32_t)(seen >> 32);
            out->g_point[side][i].p_count = (uint32_t)seen;
        }
    }
}
