/* reap_queue.c - the ring of each queue, anew: occupied places in the order of their turns, then QUEUED items that lost
 * theirs. Positions only grow, so a producer's stale copy of the head stays a past one.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "queue.h"
#include "reap_impl.h"

enum reap_queue_step { STEP_PLACES_WRITTEN = 0x760, STEP_HEAD_MOVED };

struct spot {
    uint64_t sp_pos;
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

static int by_pos(const void *a, const void *b) {
    uint64_t x = ((const struct spot *)a)->sp_pos, y = ((const struct spot *)b)->sp_pos;
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

struct lost_scan {
    struct sm_reap_job *ls_job;
    struct spot *ls_spot;
    uint64_t ls_n, ls_room;
    uint32_t ls_queue;
};

/* QUEUED on this queue, but in none of its places. */
static int find_lost(const struct sm_slab_ref *s, void *ctx) {
    struct lost_scan *ls = ctx;
    const struct sm_arena *a = ls->ls_job->rj_arena;
    for (uint32_t i = 0; i < a->a_kegs[s->sr_keg].k_items && ls->ls_n < ls->ls_room; i++) {
        uint64_t w = sm_load_rlx(&s->sr_words[i]);
        sm_off_t item = sm_slab_item(a, s, i);
        if (SM_ST_KIND(w) == SM_QUEUED && SM_ST_CPU(w) == ls->ls_queue &&
            !sm_reap_bit(ls->ls_job->rj_placed, sm_reap_key(a, item))) {
            ls->ls_spot[ls->ls_n++] = (struct spot){UINT64_MAX, item};
            ls->ls_job->rj_report.rr_requeued++;
        }
    }
    return 0;
}

static void ring_write(const struct sm_arena *a, struct sm_queue_shm *q, struct sm_place_shm *ring,
                       const struct spot *spot, uint64_t n) {
    uint64_t tail = sm_load_rlx(&q->q_tail), head = (tail / q->q_depth + 1) * q->q_depth;
    for (uint64_t i = 0; i < q->q_depth; i++) {
        bool full = i < n;
        sm_store_rlx(&ring[i].pl_item, full ? spot[i].sp_item : 0);
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
    struct lost_scan ls = {.ls_job = j, .ls_room = q->q_depth, .ls_queue = id};
    if ((ls.ls_spot = calloc(q->q_depth, sizeof *ls.ls_spot)) == NULL) {
        j->rj_error = SM_NO_MEMORY;
        return;
    }
    for (uint32_t i = 0; i < q->q_depth; i++) {
        if (occupied(q, &ring[i], i) && queued_here(a, ring[i].pl_item, id)) {
            ls.ls_spot[ls.ls_n++] = (struct spot){ring[i].pl_turn - 1, ring[i].pl_item};
        }
    }
    (void)sm_slab_each(a, 0, find_lost, &ls);
    qsort(ls.ls_spot, ls.ls_n, sizeof *ls.ls_spot, by_pos);
    /* An item can be in two places only after a reaper died in ring_write: the older place goes. */
    uint64_t kept = 0;
    for (uint64_t i = 0; i < ls.ls_n; i++) {
        uint64_t key = sm_reap_key(a, ls.ls_spot[i].sp_item);
        if (ls.ls_spot[i].sp_pos == UINT64_MAX || sm_reap_bit(j->rj_placed, key)) {
            ls.ls_spot[kept++] = ls.ls_spot[i];
        }
        j->rj_placed[key >> 3] &= (uint8_t)~(1u << (key & 7)); /* QUEUED here, so no other queue asks for its bit */
    }
    ring_write(a, q, ring, ls.ls_spot, kept);
    free(ls.ls_spot);
    sm_add_acqrel(&q->q_item_seq, 1);
    sm_add_acqrel(&q->q_space_seq, 1);
    sm_os_futex_wake(&q->q_item_seq, INT_MAX);
    sm_os_futex_wake(&q->q_space_seq, INT_MAX);
}

void sm_reap_queues(struct sm_reap_job *j) {
    sm_queue_recover(j->rj_arena, j->rj_dead);
    for (uint32_t id = 0; id < j->rj_arena->a_header->h_max_queues; id++) {
        if (queue_sane(j->rj_arena, &j->rj_arena->a_queues[id])) {
            queue_rebuild(j, id);
        }
    }
}
