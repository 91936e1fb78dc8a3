/* order.c - edges, cells, closure and cycles. Called with the slow lock held. After WITNESS's adopt() and lockdep's
 * strong paths.
 *
 * Crash windows: an edge is filled, made live and published by the count, then named in its cell, then the closure is
 * widened. Killed after the count, the next holder of the slow lock names it and derives the closure again
 * (w_order_derive); a reader without the lock meanwhile sees the order as unknown and comes to the slow lock too.
 */
#include "order.h"

#include <string.h>

#include "class.h"
#include "thread.h"

#define STATES 2u /* a class was reached by an N, or only by an R */

static void cell_or(struct w_block *b, uint32_t row, uint32_t column, uint32_t bits) {
    uint32_t *cell = w_cell(b, row, column);
    if ((sm_load_rlx(cell) & bits) != bits) {
        (void)sm_or_acqrel(cell, bits);
    }
}

static bool reaches(const struct w_block *b, uint32_t row, uint32_t column) {
    return (sm_load_rlx(w_cell(b, row, column)) & (W_PARENT | W_ANCESTOR)) != 0;
}

/* WITNESS's adopt(): whatever reaches the first now reaches whatever the second reaches. */
static void adopt(struct w_block *b, uint32_t first, uint32_t second) {
    uint32_t n = w_class_count(b);
    /* Reached by another way: so is what follows, from whatever comes before. A closure left half done by a killed
     * process is no witness of that: it was derived anew, from nothing, before anybody came here (W3). */
    bool closed = (sm_load_rlx(w_cell(b, first, second)) & (W_PARENT | W_ANCESTOR)) == W_ANCESTOR;
    cell_or(b, first, second, W_PARENT);
    cell_or(b, second, first, W_CHILD);
    w_crash_point(W_STEP_ADOPTING);
    if (closed) {
        return;
    }
    for (uint32_t a = 0; a < n; a++) {
        if (a != first && !reaches(b, a, first)) {
            continue;
        }
        for (uint32_t d = 0; d < n; d++) {
            if ((d == second || reaches(b, second, d)) && a != d && !(a == first && d == second)) {
                cell_or(b, a, d, W_ANCESTOR);
                cell_or(b, d, a, W_DESCENDANT);
            }
        }
    }
}

static uint32_t edge_count(const struct w_block *b) {
    uint32_t n = sm_load_acq(&b->b_header->h_edges);
    return n < b->b_max_edges ? n : b->b_max_edges;
}

static void edge_name(struct w_block *b, uint32_t id, uint32_t kinds) {
    const struct w_edge_shm *e = &b->b_edges[id - 1];
    uint32_t *cell = w_cell(b, e->e_first, e->e_second), seen = sm_load_rlx(cell), want;
    uint32_t bits = kinds | W_ORDER_KNOWN | (e->e_flags & W_EDGE_REVERSED ? W_REVERSAL : 0);
    do { /* release: who finds the id finds the edge whole; pairs with the acquire load of the cell in check.c */
        want = (seen & ((1u << W_EDGE_SHIFT) - 1)) | bits | id << W_EDGE_SHIFT;
    } while (!sm_cas(cell, &seen, want));
}

void w_order_derive(struct w_block *b) {
    uint32_t classes = w_class_count(b), edges = edge_count(b);
    for (uint32_t row = 0; row < classes; row++) {
        for (uint32_t column = 0; column < classes; column++) {
            uint32_t *cell = w_cell(b, row, column);
            if (sm_load_rlx(cell) & (W_ANCESTOR | W_DESCENDANT)) {
                (void)sm_and_acqrel(cell, ~(W_ANCESTOR | W_DESCENDANT));
            }
        }
    }
    for (uint32_t id = 1; id <= edges; id++) {
        const struct w_edge_shm *e = &b->b_edges[id - 1];
        if (!(e->e_flags & W_EDGE_LIVE) || e->e_flags & W_EDGE_INSIDE || e->e_first >= classes ||
            e->e_second >= classes) {
            continue;
        }
        uint32_t cell = sm_load_rlx(w_cell(b, e->e_first, e->e_second));
        if (cell >> W_EDGE_SHIFT == 0) { /* its kinds were not said yet: those of its first ends */
            edge_name(b, id, w_order_kind(e->e_mode[0], e->e_mode[1]));
        }
        if (!(e->e_flags & W_EDGE_REVERSED)) {
            adopt(b, e->e_first, e->e_second);
        }
    }
}

/* Whether a path that came in by `in` (an N, or only an R) may go on by an edge of these kinds, and how it then comes
 * in: 0 N, 1 R, -1 not at all. An R is never followed by an S. */
static int follow(int in, uint32_t kinds) {
    if (in == 1) {
        kinds &= W_EN | W_ER;
    }
    return kinds & (W_EN | W_SN) ? 0 : kinds & (W_ER | W_SR) ? 1 : -1;
}

uint32_t w_order_path(struct w_block *b, uint32_t from, uint32_t to, uint32_t kind, uint32_t cycle[W_CYCLE]) {
    uint32_t n = w_class_count(b), head = 0, tail = 0, end = W_NO_CLASS;
    uint32_t *queue = b->b_scratch, *before = b->b_scratch + (uint64_t)b->b_max_classes * STATES;
    bool last_shared = (kind & (W_SN | W_SR)) != 0;
    int in = kind & (W_EN | W_SN) ? 0 : 1;
    if (!reaches(b, from, to)) {
        return 0;
    }
    memset(before, 0xff, (uint64_t)n * STATES * sizeof *before);
    queue[tail++] = from * STATES + (uint32_t)in;
    before[from * STATES + (uint32_t)in] = from * STATES + (uint32_t)in;
    while (head < tail && end == W_NO_CLASS) { /* breadth first: the cycle told of is a shortest one */
        uint32_t state = queue[head++], at = state / STATES;
        for (uint32_t next = 0; next < n; next++) {
            uint32_t cell = sm_load_rlx(w_cell(b, at, next));
            if (!(cell & W_PARENT) || (next != to && !reaches(b, next, to))) {
                continue;
            }
            int came = follow((int)(state % STATES), cell & W_KINDS);
            if (came < 0) {
                continue;
            }
            uint32_t reached = next * STATES + (uint32_t)came;
            if (before[reached] != 0xffffffffu) {
                continue;
            }
            before[reached] = state;
            if (next == to && !(came == 1 && last_shared)) {
                end = reached;
                break;
            }
            queue[tail++] = reached;
        }
    }
    if (end == W_NO_CLASS) {
        return 0;
    }
    uint32_t length = 1;
    for (uint32_t s = end; before[s] != s; s = before[s]) {
        length++;
    }
    uint32_t at = length;
    for (uint32_t s = end;; s = before[s]) { /* of a cycle too long to be told, its beginning is */
        if (--at < W_CYCLE) {
            cycle[at] = s / STATES;
        }
        if (before[s] == s) {
            break;
        }
    }
    return length < W_CYCLE ? length : W_CYCLE;
}

uint32_t w_order_enter(struct w_block *b, uint32_t first, uint32_t second, uint32_t kind,
                       const struct w_order_ends *ends) {
    uint32_t cell = sm_load_rlx(w_cell(b, first, second)), id = cell >> W_EDGE_SHIFT;
    struct w_edge_shm *e;
    if (id == 0) {
        uint32_t count = edge_count(b);
        if (count == b->b_max_edges) {
            w_block_off(b, W_OFF_EDGES);
            return W_NONE;
        }
        e = &b->b_edges[count];
        memset(e, 0, sizeof *e);
        e->e_first = first;
        e->e_second = second;
        e->e_gates = ends->o_gates;
        memcpy(e->e_gate, ends->o_gate, sizeof e->e_gate);
        memcpy(e->e_stack, ends->o_stack, sizeof e->e_stack);
        memcpy(e->e_mode, ends->o_mode, sizeof e->e_mode);
        e->e_who = ends->o_who;
        e->e_thread[0] = ends->o_who;
        w_thread_name(e->e_name);
        e->e_time_ns = w_wall_ns();
        e->e_count = ends->o_flags & W_EDGE_DECLARED ? 0 : 1;
        e->e_flags = ends->o_flags | W_EDGE_LIVE;
        w_crash_point(W_STEP_EDGE_FILLED);
        id = count + 1;
        sm_store_rel(&b->b_header->h_edges, id); /* pairs with edge_count */
        w_crash_point(W_STEP_EDGE_PUBLISHED);
    } else {
        e = &b->b_edges[id - 1];
        e->e_flags |= ends->o_flags;
        if (!(ends->o_flags & W_EDGE_DECLARED)) { /* seen again, by another kind of holding or asking */
            sm_store_rlx(&e->e_count, sm_load_rlx(&e->e_count) + 1);
        }
    }
    edge_name(b, id, kind);
    w_crash_point(W_STEP_EDGE_NAMED);
    if (!(e->e_flags & W_EDGE_REVERSED)) {
        adopt(b, first, second);
    }
    return id;
}

uint32_t w_order_inside(struct w_block *b, const struct w_pair_shm *older, const struct w_pair_shm *newer) {
    uint32_t count = edge_count(b);
    if (count == b->b_max_edges) {
        return W_NONE;
    }
    struct w_edge_shm *e = &b->b_edges[count];
    memset(e, 0, sizeof *e);
    e->e_first = e->e_second = older->i_class - 1;
    e->e_count = 1;
    e->e_thread[0] = older->i_who;
    e->e_thread[1] = newer->i_who != older->i_who ? newer->i_who : 0;
    memcpy(e->e_stack, older->i_stack, sizeof e->e_stack);
    e->e_who = older->i_who;
    memcpy(e->e_name, older->i_name, sizeof e->e_name);
    e->e_time_ns = older->i_time_ns;
    e->e_flags = W_EDGE_LIVE | W_EDGE_REVERSED | W_EDGE_INSIDE;
    w_crash_point(W_STEP_EDGE_FILLED);
    sm_store_rel(&b->b_header->h_edges, count + 1); /* pairs with edge_count */
    return count + 1;
}

void w_order_regate(struct w_block *b, struct w_edge_shm *e, const uint32_t *gates, uint32_t count) {
    uint32_t left = 0, was = e->e_gates < W_GATES ? e->e_gates : W_GATES;
    (void)b;
    for (uint32_t i = 0; i < was; i++) {
        for (uint32_t j = 0; j < count; j++) {
            if (gates[j] == e->e_gate[i]) {
                sm_store_rlx(&e->e_gate[left], e->e_gate[i]);
                left++;
                break;
            }
        }
    }
    sm_store_rlx(&e->e_gates, left); /* a crash before this leaves a gate too many or twice: the next taking drops it */
}

bool w_order_blessed(const struct w_block *b, uint32_t first, uint32_t second) {
    uint32_t n = b->b_header->h_blessed;
    for (uint32_t i = 0; i < n && i < W_MAX_BLESSED; i++) {
        const uint32_t *pair = b->b_header->h_bless[i];
        if ((pair[0] == first && pair[1] == second) || (pair[0] == second && pair[1] == first)) {
            return true;
        }
    }
    return false;
}

enum sm_err w_order_bless(struct w_block *b, uint32_t first, uint32_t second) {
    uint32_t n = b->b_header->h_blessed;
    if (w_order_blessed(b, first, second)) {
        return SM_OK;
    }
    if (n >= W_MAX_BLESSED) {
        return SM_TABLE_FULL;
    }
    b->b_header->h_bless[n][0] = first;
    b->b_header->h_bless[n][1] = second;
    sm_store_rel(&b->b_header->h_blessed, n + 1);
    return SM_OK;
}
