/* check_queues.c - I11: the ring of each queue against the QUEUED state words.
 * Owns nothing. A position is followed only inside a ring that lies whole in RING pages below the frontier.
 * Source: layout.h, queue_ring.c.
 */
#include "check_ctx.h"

#include <stdlib.h>

struct ring {
    const struct sm_place_shm *r_place;
    uint64_t r_places; /* a power of two */
    uint64_t r_head, r_tail;
};

/* Every page of the ring says whose it is. */
static bool ring_pages(const struct sm_check *c, uint32_t id, uint64_t off, uint64_t bytes) {
    uint64_t page = (off - c->c_data_off) >> SM_PAGE_SHIFT, pages = (bytes + SM_PAGE - 1) >> SM_PAGE_SHIFT;
    for (uint64_t i = 0; i < pages; i++) {
        if (sm_load_rlx(&c->c_pagedir[page + i]) != SM_PG_ENTRY(SM_PG_RING, id, i, 0)) {
            return false;
        }
    }
    return true;
}

/* False when the queue is not live or its ring cannot be followed. */
static bool ring_of(const struct sm_check *c, uint32_t id, struct ring *r) {
    const struct sm_queue_shm *q = &c->c_queues[id];
    uint64_t places = sm_load_rlx(&q->q_depth), off = sm_load_rlx(&q->q_ring);
    uint64_t end = c->c_data_off + ((uint64_t)c->c_frontier << SM_PAGE_SHIFT);
    if (!sm_check_queue_live(c, id) || places < 2 || (places & (places - 1)) != 0 || off < c->c_data_off ||
        off % SM_PAGE != 0 || off > end || places * sizeof(struct sm_place_shm) > end - off ||
        !ring_pages(c, id, off, places * sizeof(struct sm_place_shm))) {
        return false;
    }
    *r = (struct ring){(const struct sm_place_shm *)(c->c_base + off), places, sm_load_rlx(&q->q_head),
                       sm_load_rlx(&q->q_tail)};
    return r->r_tail >= r->r_head && r->r_tail - r->r_head <= places;
}

/* Item named by an occupied place; 0 for a blank, or when the turn says that the place is not occupied. */
static sm_off_t item_in(const struct ring *r, uint64_t pos) {
    const struct sm_place_shm *p = &r->r_place[pos & (r->r_places - 1)];
    return sm_load_acq(&p->pl_turn) == pos + 1 ? sm_load_rlx(&p->pl_item) : 0;
}

void sm_check_mark_queued(const struct sm_check *c, uint64_t *in_queue) {
    for (uint32_t id = 0; id < c->c_header.h_max_queues; id++) {
        struct sm_check_item item;
        struct ring r;
        if (!ring_of(c, id, &r)) {
            continue;
        }
        for (uint64_t pos = r.r_head; pos != r.r_tail; pos++) {
            sm_off_t off = item_in(&r, pos);
            if (off != 0 && sm_check_item_at(c, off, &item)) {
                sm_check_mark(in_queue, item.i_number);
            }
        }
    }
}

static void check_occupied(struct sm_check *c, uint32_t id, const struct ring *r, uint64_t pos, uint64_t *placed) {
    const struct sm_place_shm *p = &r->r_place[pos & (r->r_places - 1)];
    uint64_t turn = sm_load_rlx(&p->pl_turn);
    struct sm_check_item item;
    if (turn != pos + 1) {
        sm_check_found(c, 11, "queue %u: place of position %llu is between head and tail, but its turn is %llu", id,
                       (unsigned long long)pos, (unsigned long long)turn);
        return;
    }
    sm_off_t off = sm_load_rlx(&p->pl_item);
    if (off == 0) {
        return; /* a blank: claimed for nothing */
    }
    if (!sm_check_item_at(c, off, &item)) {
        sm_check_found(c, 11, "queue %u: position %llu names %#llx, where no item begins", id, (unsigned long long)pos,
                       (unsigned long long)off);
        return;
    }
    uint64_t w = sm_load_rlx(item.i_word);
    if (SM_ST_KIND(w) != SM_QUEUED || SM_ST_CPU(w) != id) {
        sm_check_found(c, 11, "queue %u: position %llu names item %#llx, whose state word is %#llx", id,
                       (unsigned long long)pos, (unsigned long long)off, (unsigned long long)w);
    }
    if (sm_check_mark(placed, item.i_number)) {
        sm_check_found(c, 11, "queue %u: item %#llx has more than one place, one at position %llu", id,
                       (unsigned long long)off, (unsigned long long)pos);
    }
}

static void check_queue(struct sm_check *c, uint32_t id, uint64_t *placed) {
    const struct sm_queue_shm *q = &c->c_queues[id];
    struct ring r;
    if (!ring_of(c, id, &r)) {
        sm_check_found(c, 11, "queue %u: a ring of %u places at %#llx with head %llu and tail %llu cannot be", id,
                       sm_load_rlx(&q->q_depth), (unsigned long long)sm_load_rlx(&q->q_ring),
                       (unsigned long long)sm_load_rlx(&q->q_head), (unsigned long long)sm_load_rlx(&q->q_tail));
        return;
    }
    uint64_t pos = r.r_head;
    for (; pos != r.r_tail; pos++) {
        check_occupied(c, id, &r, pos, placed);
    }
    for (uint64_t end = r.r_head + r.r_places; pos != end; pos++) { /* free: waiting for the next producer */
        uint64_t turn = sm_load_rlx(&r.r_place[pos & (r.r_places - 1)].pl_turn);
        if (turn != pos) {
            sm_check_found(c, 11, "queue %u: the place for position %llu is free, but its turn is %llu", id,
                           (unsigned long long)pos, (unsigned long long)turn);
        }
    }
}

enum sm_err sm_check_i11(struct sm_check *c) {
    uint64_t *placed = sm_check_bits(c->c_items);
    if (placed == NULL) {
        return SM_NO_MEMORY;
    }
    for (uint32_t id = 0; id < c->c_header.h_max_queues; id++) {
        if (sm_check_queue_live(c, id)) {
            check_queue(c, id, placed);
        }
    }
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        const struct sm_check_slab *s = &c->c_slab[n];
        for (uint32_t i = 0; i < s->s_items; i++) {
            uint64_t w = sm_load_rlx(&s->s_words[i]);
            if (SM_ST_KIND(w) == SM_QUEUED && !sm_check_bit(placed, s->s_first + i)) {
                sm_check_found(c, 11, "item %#llx is QUEUED on queue %u but has no place in it",
                               (unsigned long long)sm_check_item_off(c, s, i), SM_ST_CPU(w));
            }
        }
    }
    free(placed);
    return SM_OK;
}
