/* reap_queue.c - the ring of each queue, anew: occupied places in the order of their turns, then QUEUED items that have
 * none, which the sweep has noted. A ring that is whole stays as it is, so that only a queue which a dead process was in
 * the middle of is ever half written. Positions only grow, so a producer's stale copy of the head stays a past one.
 *
 * An item without a place is the last that a dead producer put, in a put that never returned: behind all others is a
 * place that it could have got. A reaper that died in ring_write may leave more of them, in no known order: what it had
 * written comes first, then what it had not reached, then those.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "queue.h"
#include "reap_impl.h"

enum reap_queue_step { STEP_PLACES_WRITTEN = 0x760, STEP_HEAD_MOVED };

struct spot {
    uint64_t sp_key; /* position - tail, unsigned: first what a dead reaper wrote past the tail, then what was there */
    sm_off_t sp_item;
};

static bool queue_sane(const struct sm_arena *a, const struct sm_queue_shm *q) {
    return q->q_state != SM_ZONE_FREE && q->q_depth != 0 && (q->q_depth & (q->q_depth - 1)) == 0 &&
           q->q_ring >= a->a_data_off && q->q_ring < a->a_bytes &&
           (uint64_t)q->q_depth * sizeof(struct sm_place_shm) <= a->a_bytes - q->q_ring;
}

static bool occupied(const struct sm_queue_shm *q, const struct sm_place_shm *p, uint32_t i) {
    return p->pl_item != 0 && p->pl_turn != 0 && ((p->pl_turn - 1) & (q->q_depth - 1)) == i;
}

static int by_key(const void *a, const void *b) {
    uint64_t x = ((const struct spot *)a)->sp_key, y = ((const struct spot *)b)->sp_key;
    return (x > y) - (x < y);
}

static bool queued_here(const struct sm_arena *a, sm_off_t item, uint32_t id) {
    struct sm_slab_ref s;
    if (sm_slab_find(a, item, &s) != SM_OK) {
        return false;
    }
    uint64_t w = sm_load_rlx(&s.sr_words[s.sr_index]);
    return SM_ST_KIND(w) == SM_QUEUED && SM_ST_CPU(w) == id;
}

/* Before the sweep: which items have a place, so that an unfinished get can be undone. */
void sm_reap_places(struct sm_reap_job *j) {
    struct sm_arena *a = j->rj_arena;
    uint64_t end = a->a_data_off + (a->a_ctl->ctl_frontier << SM_PAGE_SHIFT);
    for (uint32_t id = 0; id < a->a_header->h_max_queues; id++) {
        const struct sm_queue_shm *q = &a->a_queues[id];
        const struct sm_place_shm *ring = sm_at(a, q->q_ring);
        for (uint32_t i = 0; queue_sane(a, q) && i < q->q_depth; i++) {
            if (occupied(q, &ring[i], i) && ring[i].pl_item >= a->a_data_off && ring[i].pl_item < end) {
                sm_reap_set_bit(j->rj_placed, sm_reap_key(a, ring[i].pl_item));
            }
        }
    }
}

/* What a ring holds, in order, and is written from. */
struct ring_plan {
    struct spot *rp_spot;
    uint64_t rp_n, rp_placed; /* all, and those that had a place */
};

static enum sm_err ring_plan(struct sm_reap_job *j, uint32_t id, struct ring_plan *plan) {
    struct sm_arena *a = j->rj_arena;
    const struct sm_queue_shm *q = &a->a_queues[id];
    const struct sm_place_shm *ring = sm_at(a, q->q_ring);
    *plan = (struct ring_plan){.rp_spot = calloc(q->q_depth, sizeof *plan->rp_spot)};
    if (plan->rp_spot == NULL) {
        return SM_NO_MEMORY;
    }
    uint64_t n = 0;
    for (uint32_t i = 0; i < q->q_depth; i++) {
        if (occupied(q, &ring[i], i) && queued_here(a, ring[i].pl_item, id)) {
            plan->rp_spot[n++] = (struct spot){ring[i].pl_turn - 1 - q->q_tail, ring[i].pl_item};
        }
    }
    qsort(plan->rp_spot, n, sizeof *plan->rp_spot, by_key);
    /* An item can be in two places only after a reaper died in ring_write: the new place, which sorts first, counts. */
    for (uint64_t i = 0; i < n; i++) {
        uint64_t key = sm_reap_key(a, plan->rp_spot[i].sp_item);
        if (sm_reap_bit(j->rj_placed, key)) {
            plan->rp_spot[plan->rp_placed++] = plan->rp_spot[i];
        }
        j->rj_placed[key >> 3] &= (uint8_t)~(1u << (key & 7)); /* QUEUED here, so no other queue asks for its bit */
    }
    plan->rp_n = plan->rp_placed;
    for (uint64_t i = 0; i < j->rj_lost_n && plan->rp_n < q->q_depth; i++) {
        if (j->rj_lost[i].lo_queue == id) {
            plan->rp_spot[plan->rp_n++] = (struct spot){0, j->rj_lost[i].lo_item};
        }
    }
    return SM_OK;
}

/* Nothing to do: the items stand side by side from head to tail, and every other place waits for its next lap. */
static bool ring_whole(const struct sm_queue_shm *q, const struct sm_place_shm *ring, const struct ring_plan *plan) {
    uint64_t head = q->q_head, n = plan->rp_n;
    if (n != plan->rp_placed || q->q_tail - head != n) {
        return false;
    }
    for (uint64_t i = 0; i < q->q_depth; i++) {
        const struct sm_place_shm *p = &ring[(head + i) & (q->q_depth - 1)];
        if (p->pl_turn != head + i + (i < n ? 1 : 0) || (i < n && plan->rp_spot[i].sp_key != i - n)) {
            return false;
        }
    }
    return true;
}

static void ring_write(const struct sm_arena *a, struct sm_queue_shm *q, struct sm_place_shm *ring,
                       const struct spot *spot, uint64_t n) {
    uint64_t tail = sm_load_rlx(&q->q_tail), head = (tail / q->q_depth + 1) * q->q_depth;
    for (uint64_t i = 0; i < q->q_depth; i++) {
        bool full = i < n;
        /* No turn while the item changes: a reaper that dies here leaves a place that nobody takes for the old item's. */
        sm_store_rlx(&ring[i].pl_turn, 0);
        sm_compiler_barrier();
        sm_store_rlx(&ring[i].pl_item, full ? spot[i].sp_item : 0);
        sm_compiler_barrier();
        sm_store_rlx(&ring[i].pl_turn, head + i + (full ? 1 : 0));
    }
    sm_crash_point(a, STEP_PLACES_WRITTEN);
    sm_store_rlx(&q->q_head, head);
    sm_crash_point(a, STEP_HEAD_MOVED);
    sm_store_rlx(&q->q_tail, head + n);
}

static void queue_rebuild(struct sm_reap_job *j, uint32_t id) {
    struct sm_arena *a = j->rj_arena;
    struct sm_queue_shm *q = &a->a_queues[id];
    struct sm_place_shm *ring = sm_at(a, q->q_ring);
    struct ring_plan plan;
    if ((j->rj_error = ring_plan(j, id, &plan)) != SM_OK) {
        return;
    }
    if (!ring_whole(q, ring, &plan)) {
        ring_write(a, q, ring, plan.rp_spot, plan.rp_n);
        j->rj_report.rr_requeued += plan.rp_n - plan.rp_placed;
    }
    free(plan.rp_spot);
    sm_add_acqrel(&q->q_item_seq, 1);
    sm_add_acqrel(&q->q_space_seq, 1);
    sm_os_futex_wake(&q->q_item_seq, INT_MAX);
    sm_os_futex_wake(&q->q_space_seq, INT_MAX);
}

void sm_reap_queues(struct sm_reap_job *j) {
    sm_queue_recover(j->rj_arena, j->rj_dead);
    for (uint32_t id = 0; id < j->rj_arena->a_header->h_max_queues && j->rj_error == SM_OK; id++) {
        if (queue_sane(j->rj_arena, &j->rj_arena->a_queues[id])) {
            queue_rebuild(j, id);
        }
    }
}
