/* check.c - the rules about taking locks. Takes the slow lock for orders that are new; the known ones are judged by one
 * load for each lock held. Source: FreeBSD subr_witness.c, Linux lockdep.
 */
#include "check.h"

#include <string.h>

#include "class.h"
#include "contention.h"
#include "held.h"
#include "order.h"
#include "pairs.h"
#include "report.h"
#include "stack.h"
#include "thread.h"

#define PAIRS 32u

/* One order that was not judged yet, and what came out. */
struct pair {
    struct w_held_shm p_held;
    struct w_report_shm p_report;
    bool p_found;
};

/* Locks held alone when the one at `upto` was taken, of classes with one lock: whoever takes the pair otherwise waits
 * there first. */
static uint32_t gates_of(const struct w_block *b, const struct w_thread_shm *t, uint32_t upto, uint32_t out[W_GATES]) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < upto && n < W_GATES; i++) {
        const struct w_held_shm *d = &t->t_held[i];
        if (d->d_mode == W_EXCLUSIVE && !(w_class_flags(b, d->d_class) & (W_MANY | W_CORE))) {
            out[n++] = d->d_class;
        }
    }
    return n;
}

static bool gates_same(const struct w_edge_shm *e, const uint32_t *gates, uint32_t n) {
    uint32_t have = sm_load_rlx(&e->e_gates);
    for (uint32_t i = 0; i < have && i < W_GATES; i++) {
        bool found = false;
        for (uint32_t j = 0; j < n; j++) {
            found = found || gates[j] == e->e_gate[i];
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static __attribute__((noinline)) void edge_thread(struct w_edge_shm *e, uint64_t who) {
    for (uint32_t i = 0; i < W_EDGE_THREADS; i++) {
        uint64_t seen = sm_load_rlx(&e->e_thread[i]);
        if (seen == who || (seen == 0 && (sm_cas(&e->e_thread[i], &seen, who) || seen == who))) {
            return;
        }
    }
}

/* Fewer gates than at the time before? */
static __attribute__((noinline)) void edge_regate(struct w_block *b, struct w_edge_shm *e, const struct w_thread_shm *t,
                                                  uint32_t index) {
    uint32_t gates[W_GATES], n = gates_of(b, t, index, gates);
    if (!gates_same(e, gates, n) && w_block_lock(b)) {
        w_order_regate(b, e, gates, n);
        w_block_unlock(b);
    }
}

/* A known order was taken again. */
static inline __attribute__((always_inline)) void edge_again(struct w_block *b, const struct w_thread_shm *t,
                                                             uint32_t index, uint32_t cell) {
    struct w_edge_shm *e = w_edge_of(b, cell);
    if (w_unlikely(e == NULL)) {
        return;
    }
    sm_store_rlx(&e->e_count, sm_load_rlx(&e->e_count) + 1);
    if (w_unlikely(e->e_thread[0] != w_local.l_who && sm_load_rlx(&e->e_thread[W_EDGE_THREADS - 1]) == 0)) {
        edge_thread(e, w_local.l_who);
    }
    if (w_unlikely(sm_load_rlx(&e->e_gates) != 0)) {
        edge_regate(b, e, t, index);
    }
}

static struct w_report_shm report_of(const struct w_held_shm *d, enum w_report_kind kind, uint32_t class_id,
                                     uint64_t instance, uint32_t mode, uint32_t stack) {
    return (struct w_report_shm){.r_kind = kind,
                                 .r_class = {d->d_class, class_id},
                                 .r_mode = {d->d_mode, mode},
                                 .r_stack = {d->d_stack, stack},
                                 .r_instance = {d->d_instance, instance},
                                 .r_cycle = {d->d_class, class_id},
                                 .r_cycles = 2};
}

/* Slow lock held: judges one order, enters it, says what is wrong with it in p_report. False: the table is full. */
static bool pair_judge(struct w_block *b, struct pair *p, uint32_t class_id, uint64_t instance, uint32_t mode,
                       uint32_t stack, const struct w_order_ends *given) {
    const struct w_held_shm *d = &p->p_held;
    uint32_t kind = w_order_kind(d->d_mode, mode), flags = w_class_flags(b, class_id);
    uint32_t held_flags = w_class_flags(b, d->d_class);
    struct w_order_ends ends = *given;
    if (w_order_known(sm_load_acq(w_cell(b, d->d_class, class_id)), kind)) {
        return true; /* another one was faster */
    }
    if (flags & W_SLEEPABLE && !(held_flags & W_SLEEPABLE) && !(flags & W_FILE)) {
        p->p_report = report_of(d, W_R_SLEEPABLE, class_id, instance, mode, stack);
        p->p_found = true;
    } else {
        uint32_t cycle[W_CYCLE], n = w_order_path(b, class_id, d->d_class, kind, cycle);
        bool told = n == 2 && sm_load_rlx(w_cell(b, class_id, d->d_class)) & W_REVERSAL; /* the other way round */
        if (n != 0 && !told) {
            p->p_report = report_of(d, W_R_REVERSAL, class_id, instance, mode, stack);
            p->p_report.r_edge = n > 1 ? sm_load_rlx(w_cell(b, class_id, cycle[1])) >> W_EDGE_SHIFT : W_NONE;
            memcpy(p->p_report.r_cycle, cycle, n * sizeof *cycle);
            p->p_report.r_cycles = n;
            p->p_found = true;
        }
    }
    if (p->p_found) {
        ends.o_flags |= W_EDGE_REVERSED;
        if (w_order_blessed(b, d->d_class, class_id)) {
            ends.o_flags |= W_EDGE_BLESSED;
            p->p_report.r_flags |= W_REPORT_BLESSED;
        }
    }
    return w_order_enter(b, d->d_class, class_id, kind, &ends) != W_NONE;
}

/* Orders nobody has judged: the stack is taken before the slow lock, reports are written after it. */
static __attribute__((noinline)) uint32_t order_learn(struct w_block *b, struct w_thread_shm *t, uint32_t class_id,
                                                      uint64_t instance, uint32_t mode, uint32_t flags, void *address) {
    struct pair pairs[PAIRS];
    uint32_t count = 0, held;
    if (w_local.l_busy != 0 || b->b_paused) {
        return W_NONE;
    }
    w_local.l_busy++;
    w_held_fresh(b, t);
    held = w_held_count(t);
    uint32_t stack = flags & W_QUIET ? W_NONE : w_stack_here(b, address);
    if (w_block_lock(b)) {
        for (uint32_t i = 0; i < held && count < PAIRS; i++) {
            const struct w_held_shm *d = &t->t_held[i];
            uint32_t kind = w_order_kind(d->d_mode, mode);
            if (d->d_class == class_id || d->d_class >= b->b_max_classes ||
                w_order_known(sm_load_acq(w_cell(b, d->d_class, class_id)), kind)) {
                continue;
            }
            struct w_order_ends ends = {.o_stack = {d->d_stack, stack}, .o_mode = {d->d_mode, mode}};
            ends.o_who = w_local.l_who;
            ends.o_gates = gates_of(b, t, i, ends.o_gate);
            pairs[count] = (struct pair){.p_held = *d};
            if (!pair_judge(b, &pairs[count++], class_id, instance, mode, stack, &ends)) {
                break;
            }
        }
        w_block_unlock(b);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (pairs[i].p_found) {
            w_report_add(b, &pairs[i].p_report);
        }
    }
    w_local.l_busy--;
    return stack;
}

/* A lock of the class is held already. */
static __attribute__((noinline)) void same_class(struct w_block *b, const struct w_thread_shm *t,
                                                 const struct w_held_shm *d, uint32_t class_id, uint64_t instance,
                                                 uint32_t mode, uint32_t flags, void *address) {
    uint32_t rules = w_class_flags(b, class_id), *cell = w_cell(b, class_id, class_id);
    bool same = d->d_instance == instance, reads = mode == W_SHARED_RECURSIVE && d->d_mode != W_EXCLUSIVE;
    if (!same && rules & W_PAIRED && !(rules & W_SIGNAL) && mode == W_EXCLUSIVE && d->d_mode == W_EXCLUSIVE) {
        w_pair_check(b, t, (uint32_t)(d - t->t_held), instance, address);
    }
    if (same ? (rules & W_RECURSABLE || reads) : (rules & W_DUPOK || reads)) {
        return;
    }
    uint32_t bit = same ? W_REVERSAL : W_ORDER_KNOWN;
    if (w_local.l_busy != 0 || b->b_paused || sm_or_acqrel(cell, bit) & bit) {
        return; /* told of once for each class */
    }
    w_local.l_busy++;
    uint32_t stack = flags & W_QUIET ? W_NONE : w_stack_here(b, address);
    struct w_report_shm r = report_of(d, same ? W_R_RECURSION : W_R_DUPLICATE, class_id, instance, mode, stack);
    w_report_add(b, &r);
    w_local.l_busy--;
}

static __attribute__((noinline)) void spin_rule(struct w_block *b, const struct w_held_shm *d, uint32_t class_id,
                                                uint64_t instance, uint32_t mode, void *address) {
    if (w_class_flags(b, d->d_class) & W_SPIN && !(w_class_flags(b, class_id) & (W_SPIN | W_CORE))) {
        w_report_misuse(b, "sleep lock taken under a spin lock", class_id, instance, mode, address,
                        b->b_classes[d->d_class].c_name);
    }
}

/* Whether the thread has this very lock already: taking it again waits for nobody, so it makes no order. */
static bool again(const struct w_block *b, const struct w_thread_shm *t, uint32_t class_id, uint64_t instance) {
    for (uint32_t i = 0, n = w_class_flags(b, class_id) & W_RECURSABLE ? w_held_count(t) : 0; i < n; i++) {
        if (t->t_held[i].d_class == class_id && t->t_held[i].d_instance == instance) {
            return true;
        }
    }
    return false;
}

/* Every rule about taking this lock while those are held. Returns the stack, if it was taken. */
static inline __attribute__((always_inline)) uint32_t list_check(struct w_block *b, struct w_thread_shm *t,
                                                                 uint32_t class_id, uint64_t instance, uint32_t mode,
                                                                 uint32_t flags, void *address) {
    bool unknown = false;
    uint32_t n = w_held_count(t);
    for (uint32_t i = 0; i < n; i++) {
        const struct w_held_shm *d = &t->t_held[i];
        if (w_unlikely(d->d_class == class_id)) {
            if (!again(b, t, class_id, instance) || d->d_instance == instance) {
                same_class(b, t, d, class_id, instance, mode, flags, address);
            }
            continue;
        }
        if (w_unlikely(d->d_class >= b->b_max_classes)) {
            continue;
        }
        uint32_t cell = sm_load_acq(w_cell(b, d->d_class, class_id)); /* pairs with edge_name */
        if (w_unlikely(!w_order_known(cell, w_order_kind(d->d_mode, mode)))) {
            if (again(b, t, class_id, instance)) {
                continue;
            }
            unknown = true;
            spin_rule(b, d, class_id, instance, mode, address);
        } else {
            edge_again(b, t, i, cell);
        }
    }
    return w_unlikely(unknown) ? order_learn(b, t, class_id, instance, mode, flags, address) : W_NONE;
}

/* The same after what the task holds that this thread runs. */
static __attribute__((noinline)) uint32_t task_check(struct w_block *b, const struct w_thread_shm *t, uint32_t class_id,
                                                     uint64_t instance, uint32_t mode, uint32_t flags, void *address) {
    struct w_thread_shm *task = b->b_task != NULL && w_local.l_busy == 0 ? b->b_task(b, b->b_ctx) : NULL;
    return task != NULL && task != t ? list_check(b, task, class_id, instance, mode, flags, address) : W_NONE;
}

/* The same after what the thread holds, and after what its task does. */
static inline __attribute__((always_inline)) uint32_t order_check(struct w_block *b, struct w_thread_shm *t,
                                                                  uint32_t class_id, uint64_t instance, uint32_t mode,
                                                                  uint32_t flags, void *address) {
    uint32_t stack = W_NONE;
    if (w_unlikely(sm_load_rlx(&t->t_given) != 0)) {
        w_held_given(b, t);
    }
    if (sm_load_rlx(&b->b_header->h_watch) <= 0) {
        return W_NONE;
    }
    if (w_held_count(t) != 0) {
        stack = list_check(b, t, class_id, instance, mode, flags, address);
    }
    if (w_unlikely(sm_load_rlx(&b->b_tasks) != 0)) {
        uint32_t other = task_check(b, t, class_id, instance, mode, flags, address);
        stack = stack != W_NONE ? stack : other;
    }
    return stack;
}

uint32_t w_order_now(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, void *address) {
    struct w_thread_shm *t = w_thread_self(b);
    if (t == NULL || class_id >= b->b_max_classes || sm_load_rlx(&b->b_header->h_watch) < 0) {
        return W_NONE;
    }
    uint32_t stack = order_check(b, t, class_id, instance, mode, 0, address);
    return stack != W_NONE ? stack : w_held_place(b, class_id, address);
}

void w_before_acquire(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, uint32_t flags,
                      void *address) {
    struct w_thread_shm *t = w_thread_self(b);
    if (t == NULL || class_id >= b->b_max_classes || sm_load_rlx(&b->b_header->h_watch) < 0) {
        return;
    }
    uint32_t stack = flags & W_TRY ? W_NONE : order_check(b, t, class_id, instance, mode, flags, address);
    if (stack == W_NONE && !(flags & W_QUIET)) {
        stack = w_held_place(b, class_id, address);
    }
    w_local.l_wait_taken = !(flags & W_UNSURE);
    if (w_local.l_wait_taken) {
        w_contention_found(b, class_id, instance, stack);
    }
    w_wait_begin(t, class_id, instance, mode, stack);
}

void w_acquired(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, uint32_t flags,
                void *address) {
    struct w_thread_shm *t = w_thread_self(b);
    uint32_t stack = W_NONE;
    if (w_unlikely(t == NULL || class_id >= b->b_max_classes || sm_load_rlx(&b->b_header->h_watch) < 0)) {
        return;
    }
    struct w_class_shm *c = &b->b_classes[class_id];
    if (w_unlikely(sm_load_rlx(&t->t_wait_class) == class_id && t->t_wait_instance == instance)) {
        stack = t->t_wait_stack;
        if (w_local.l_wait_taken) {
            w_contention_waited(b, class_id, t->t_wait_since_ns);
        }
        sm_store_rel(&t->t_wait_class, W_NO_CLASS);
    } else {
        if (!(flags & W_TRY)) {
            stack = order_check(b, t, class_id, instance, mode, flags, address);
        } else if (w_unlikely(sm_load_rlx(&t->t_given) != 0)) {
            w_held_given(b, t);
        }
        if (w_unlikely(flags & W_CONTENDED)) { /* nobody told of the wait, and how long it was is not known */
            w_contention_found(b, class_id, instance, stack);
        }
    }
    if (w_unlikely(sm_load_rlx(&c->c_instance) != instance + 1)) {
        w_class_seen(b, class_id, instance);
    }
    sm_store_rlx(&c->c_acquires, sm_load_rlx(&c->c_acquires) + 1);
    if (stack == W_NONE && !(flags & W_QUIET)) {
        stack = w_held_place(b, class_id, address);
    }
    w_held_push(b, t, class_id, instance, mode, flags, stack);
}

void w_not_acquired(struct w_block *b, uint32_t class_id, uint64_t instance) {
    struct w_thread_shm *t = w_thread_self(b);
    if (t != NULL && sm_load_rlx(&t->t_wait_class) == class_id && t->t_wait_instance == instance) {
        sm_store_rel(&t->t_wait_class, W_NO_CLASS);
    }
}

void w_recursion(struct w_block *b, uint32_t class_id, uint64_t instance, enum w_mode mode, void *address) {
    struct w_thread_shm *t = w_thread_self(b);
    for (uint32_t i = 0, n = t ? w_held_count(t) : 0; i < n; i++) {
        if (t->t_held[i].d_class == class_id && t->t_held[i].d_instance == instance) {
            same_class(b, t, &t->t_held[i], class_id, instance, mode, 0, address);
            return;
        }
    }
}

enum sm_err w_declare(struct w_block *b, uint32_t first, uint32_t second) {
    uint32_t cycle[W_CYCLE];
    struct w_order_ends ends = {.o_flags = W_EDGE_DECLARED, .o_who = w_thread_who()};
    if (first >= w_class_count(b) || second >= w_class_count(b) || first == second) {
        return SM_INVALID;
    }
    if (!w_block_lock(b)) {
        return SM_STALLED;
    }
    enum sm_err err = SM_OK;
    if (w_order_path(b, second, first, W_EN, cycle) != 0) {
        err = SM_DEADLOCK;
    } else if (w_order_enter(b, first, second, W_EN | W_ER | W_SN | W_SR, &ends) == W_NONE) {
        err = SM_TABLE_FULL;
    }
    w_block_unlock(b);
    return err;
}

enum sm_err w_bless(struct w_block *b, uint32_t first, uint32_t second) {
    if (first >= w_class_count(b) || second >= w_class_count(b)) {
        return SM_INVALID;
    }
    if (!w_block_lock(b)) {
        return SM_STALLED;
    }
    enum sm_err err = w_order_bless(b, first, second);
    w_block_unlock(b);
    return err;
}
