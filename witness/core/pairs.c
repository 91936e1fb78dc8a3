/* pairs.c - the order of two locks of one class, by instance: classes that allow two of their locks at once hide a
 * reversal between these. Owns the table of pairs. Takes the slow lock for pairs that are new; known ones take none.
 *
 * What is missed: a pair that W_WAYS newer ones of its set pushed out before its reverse was seen, and cycles through
 * more than REACHED locks. A pair forgotten is learned again when it is taken again.
 *
 * Crash windows: i_class is 0 while the rest is written, so a pair of the dead is no pair (W8).
 */
#include "pairs.h"

#include <string.h>

#include "class.h"
#include "held.h"
#include "order.h"
#include "report.h"
#include "stack.h"

#define REACHED 64u

/* A lock by itself, whatever its class. */
static uint64_t key_of(uint32_t class_id, uint64_t instance) {
    uint64_t h = (instance + ((uint64_t)class_id << 52)) * 0x9e3779b97f4a7c15ull;
    return (h ^ h >> 29) | 1u;
}

static struct w_pair_shm *set_of(const struct w_block *b, uint32_t class_id, uint64_t first) {
    return &b->b_pairs[(key_of(class_id, first) >> 20) % (W_PAIRS / W_WAYS) * W_WAYS];
}

/* Without the slow lock a pair may be overwritten meanwhile: then it is unknown, or known too long by one taking. */
static struct w_pair_shm *pair_find(const struct w_block *b, uint32_t class_id, uint64_t first, uint64_t second) {
    struct w_pair_shm *set = set_of(b, class_id, first);
    for (uint32_t i = 0; i < W_WAYS; i++) {
        if (sm_load_acq(&set[i].i_class) == class_id + 1 && sm_load_rlx(&set[i].i_first) == first &&
            sm_load_rlx(&set[i].i_second) == second) { /* pairs with pair_enter */
            return &set[i];
        }
    }
    return NULL;
}

/* The locks held alone before entry `index` was taken. */
static uint32_t gates_of(const struct w_block *b, const struct w_thread_shm *t, uint32_t index, uint64_t out[W_GATES]) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < index && n < W_GATES; i++) {
        const struct w_held_shm *d = &t->t_held[i];
        if (d->d_mode == W_EXCLUSIVE && !(w_class_flags(b, d->d_class) & (W_CORE | W_FILE | W_SIGNAL))) {
            out[n++] = key_of(d->d_class, d->d_instance);
        }
    }
    return n;
}

/* Leaves in `gates` what is in the list too; returns how many. */
static uint32_t common(uint64_t *gates, uint32_t n, const uint64_t *list, uint32_t count) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < count && j < W_GATES; j++) {
            if (gates[i] == sm_load_rlx(&list[j])) {
                gates[left++] = gates[i];
                break;
            }
        }
    }
    return left;
}

/* Slow lock held. */
static void pair_enter(struct w_block *b, const struct w_pair_shm *p) {
    struct w_pair_shm *set = set_of(b, p->i_class - 1, p->i_first), *to = &set[0];
    uint32_t youngest = 0;
    for (uint32_t i = 0; i < W_WAYS; i++) {
        bool same = set[i].i_class == p->i_class && set[i].i_first == p->i_first && set[i].i_second == p->i_second;
        youngest = set[i].i_age > youngest ? set[i].i_age : youngest;
        if (same || (set[i].i_class == 0 && to->i_class != 0) || (to->i_class != 0 && set[i].i_age < to->i_age)) {
            to = &set[i];
            if (same) {
                break;
            }
        }
    }
    sm_store_rel(&to->i_class, 0);
    sm_store_rlx(&to->i_first, p->i_first);
    sm_store_rlx(&to->i_second, p->i_second);
    for (uint32_t i = 0; i < W_GATES; i++) {
        sm_store_rlx(&to->i_gate[i], p->i_gate[i]);
    }
    sm_store_rlx(&to->i_gates, p->i_gates);
    to->i_who = p->i_who;
    to->i_time_ns = p->i_time_ns;
    memcpy(to->i_stack, p->i_stack, sizeof to->i_stack);
    memcpy(to->i_name, p->i_name, sizeof to->i_name);
    to->i_age = youngest + 1;
    w_crash_point(W_STEP_PAIR_FILLED);
    sm_store_rel(&to->i_class, p->i_class); /* it is whole; pairs with pair_find */
}

/* Slow lock held: the way from the new pair's second back to its first, whose every step was made without a lock that
 * is common to all of them. Breadth first. Returns its first step, NULL: there is none. */
static const struct w_pair_shm *way_back(const struct w_block *b, const struct w_pair_shm *p, uint32_t *length) {
    struct {
        uint64_t n_at, n_gate[W_GATES];
        uint32_t n_gates, n_length;
        const struct w_pair_shm *n_step;
    } node[REACHED];
    uint32_t head = 0, tail = 1;
    memset(&node[0], 0, sizeof node[0]);
    node[0].n_at = p->i_second;
    node[0].n_gates = p->i_gates;
    node[0].n_length = 1;
    memcpy(node[0].n_gate, p->i_gate, sizeof node[0].n_gate);
    for (; head < tail; head++) {
        const struct w_pair_shm *set = set_of(b, p->i_class - 1, node[head].n_at);
        for (uint32_t i = 0; i < W_WAYS; i++) {
            bool seen = false;
            if (set[i].i_class != p->i_class || set[i].i_first != node[head].n_at) {
                continue;
            }
            uint64_t gate[W_GATES];
            memcpy(gate, node[head].n_gate, sizeof gate);
            uint32_t gates = common(gate, node[head].n_gates, set[i].i_gate, set[i].i_gates);
            if (set[i].i_second == p->i_first) {
                if (gates != 0) {
                    continue;
                }
                *length = node[head].n_length + 1;
                return node[head].n_step != NULL ? node[head].n_step : &set[i];
            }
            for (uint32_t j = 0; j < tail; j++) {
                seen = seen || (node[j].n_at == set[i].i_second && node[j].n_gates <= gates);
            }
            if (!seen && tail < REACHED) {
                node[tail].n_at = set[i].i_second;
                node[tail].n_gates = gates;
                memcpy(node[tail].n_gate, gate, sizeof gate);
                node[tail].n_length = node[head].n_length + 1;
                node[tail++].n_step = node[head].n_step != NULL ? node[head].n_step : &set[i];
            }
        }
    }
    return NULL;
}

static __attribute__((noinline)) void pair_learn(struct w_block *b, const struct w_thread_shm *t, uint32_t index,
                                                 uint64_t instance, void *address) {
    const struct w_held_shm *d = &t->t_held[index];
    uint32_t class_id = d->d_class, *cell = w_cell(b, class_id, class_id), length = 0;
    struct w_pair_shm p = {.i_class = class_id + 1, .i_first = d->d_instance, .i_second = instance};
    struct w_report_shm r = {.r_kind = W_R_REVERSAL, .r_cycles = 1};
    bool found = false;
    if (w_local.l_busy != 0 || b->b_paused) {
        return;
    }
    w_local.l_busy++;
    p.i_gates = gates_of(b, t, index, p.i_gate);
    p.i_who = w_local.l_who;
    p.i_time_ns = w_wall_ns();
    p.i_stack[0] = d->d_stack;
    p.i_stack[1] = w_stack_here(b, address);
    w_thread_name(p.i_name);
    if (w_block_lock(b)) {
        const struct w_pair_shm *known = pair_find(b, class_id, p.i_first, instance);
        if (known != NULL) {
            p.i_gates = common(p.i_gate, p.i_gates, known->i_gate, known->i_gates);
        }
        const struct w_pair_shm *back = way_back(b, &p, &length);
        if (back != NULL && !(sm_or_acqrel(cell, W_ORDER_KNOWN) & W_ORDER_KNOWN)) { /* told of once for each class */
            found = true;
            r.r_edge = w_order_inside(b, back, &p);
            r.r_class[0] = r.r_class[1] = r.r_cycle[0] = class_id;
            memcpy(r.r_stack, p.i_stack, sizeof r.r_stack);
            r.r_instance[0] = p.i_first;
            r.r_instance[1] = instance;
            r.r_flags = w_order_blessed(b, class_id, class_id) ? W_REPORT_BLESSED : 0;
        }
        pair_enter(b, &p);
        w_block_unlock(b);
    }
    if (found) {
        w_report_add(b, &r);
    }
    w_local.l_busy--;
}

void w_pair_check(struct w_block *b, const struct w_thread_shm *t, uint32_t index, uint64_t instance, void *address) {
    const struct w_held_shm *d = &t->t_held[index];
    const struct w_pair_shm *known = pair_find(b, d->d_class, d->d_instance, instance);
    uint64_t gate[W_GATES], had[W_GATES];
    if (known != NULL) {
        uint32_t n = sm_load_rlx(&known->i_gates);
        if (n == 0) {
            return;
        }
        n = n < W_GATES ? n : W_GATES;
        for (uint32_t i = 0; i < n; i++) {
            had[i] = sm_load_rlx(&known->i_gate[i]);
        }
        if (common(had, n, gate, gates_of(b, t, index, gate)) == n) {
            return;
        }
    }
    pair_learn(b, t, index, instance, address);
}
