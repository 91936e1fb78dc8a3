/* queue.c - queues by name: creation, opening, destruction, and the blocking calls. Takes the admin lock for the table;
 * destruction stops the world, because a CPU inside an attempt on the ring holds no lock. The ring is queue_ring.c, the
 * waiting queue_wait.c.
 */
#include "queue.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "page.h"
#include "queue_ring.h"
#include "queue_wait.h"
#include "quiesce.h"

#define QUEUE_MAX_PLACES (1ull << 28)

enum queue_step { STEP_RING_READY = 0x520, STEP_RING_PUBLISHED, STEP_QUEUE_DYING, STEP_RING_GIVEN };

static enum sm_err name_check(const char *name) {
    if (name == NULL || name[0] == 0) {
        return SM_INVALID;
    }
    return strnlen(name, SM_NAME_BYTES) < SM_NAME_BYTES ? SM_OK : SM_NAME_TOO_LONG;
}

static uint32_t table_used(const struct sm_arena *a) {
    uint32_t n = sm_load_acq(&a->a_ctl->ctl_queues);
    return n < a->a_header->h_max_queues ? n : a->a_header->h_max_queues;
}

/* Names are read while their slot may get its next life: by words, and *gen says which life was read. */
#define NAME_WORDS (SM_NAME_BYTES / sizeof(uint64_t))
union queue_name {
    char text[SM_NAME_BYTES];
    uint64_t words[NAME_WORDS];
};

static bool queue_find(const struct sm_arena *a, const char *name, uint32_t *id, uint32_t *gen) {
    for (uint32_t i = 0, n = table_used(a); i < n; i++) {
        const struct sm_queue_shm *s = &a->a_queues[i];
        union queue_name have;
        *gen = sm_load_acq(&s->q_gen);
        if (sm_load_acq(&s->q_state) != SM_ZONE_LIVE) {
            continue;
        }
        for (size_t w = 0; w < NAME_WORDS; w++) {
            have.words[w] = sm_load_rlx((const uint64_t *)(const void *)s->q_name + w);
        }
        if (strncmp(have.text, name, SM_NAME_BYTES) == 0) {
            *id = i;
            return true;
        }
    }
    return false;
}

static enum sm_err handle_make(struct sm_arena *a, uint32_t id, uint32_t gen, struct sm_queue **out) {
    struct sm_queue_shm *s = &a->a_queues[id];
    uint64_t places = sm_load_rlx(&s->q_depth), limit = sm_load_rlx(&s->q_limit), ring = sm_load_rlx(&s->q_ring);
    uint64_t ring_bytes = places * sizeof(struct sm_place_shm);
    uint64_t data_end = a->a_data_off + (a->a_data_pages << SM_PAGE_SHIFT);
    struct sm_queue *q = calloc(1, sizeof *q);
    if (q == NULL) {
        return SM_NO_MEMORY;
    }
    q->q_arena = a;
    q->q_shm = s;
    q->q_ring = (struct sm_place_shm *)(a->a_base + ring);
    q->q_mask = places - 1;
    q->q_limit = limit;
    q->q_op_put = SM_OPWORD(SM_OP_PUT, id, 0);
    q->q_op_get = SM_OPWORD(SM_OP_GET, id, 0);
    q->q_head_seen = sm_load_acq(&s->q_head);
    q->q_id = id;
    q->q_gen = gen;
    enum sm_err err = SM_OK;
    if (places < 2 || (places & (places - 1)) != 0 || places > QUEUE_MAX_PLACES || limit < 1 || limit > places ||
        ring % SM_PAGE != 0 || ring < a->a_data_off || ring >= data_end || ring_bytes > data_end - ring) {
        err = SM_CORRUPT;
    }
    sm_full_fence(); /* what was read above before the second look at the generation */
    if (sm_queue_gone(q)) {
        err = SM_NOT_FOUND; /* destroyed while it was read */
    }
    if (err != SM_OK) {
        free(q);
        return err;
    }
    *out = q;
    return SM_OK;
}

/* Fills a free slot of the table and publishes it. Admin lock held. */
static enum sm_err queue_make(struct sm_arena *a, const char *name, uint64_t limit, uint32_t *id, uint32_t *gen) {
    uint32_t slot = 0, page, block;
    union queue_name padded = {.words = {0}};
    uint64_t places = 2; /* with one place "taken" and "free for the next lap" would be the same turn */
    while (places < limit) {
        places *= 2;
    }
    uint32_t pages = (uint32_t)((places * sizeof(struct sm_place_shm) + SM_PAGE - 1) >> SM_PAGE_SHIFT);
    while (slot < a->a_header->h_max_queues && sm_load_acq(&a->a_queues[slot].q_state) != SM_ZONE_FREE) {
        slot++;
    }
    if (slot == a->a_header->h_max_queues) {
        return SM_TABLE_FULL;
    }
    enum sm_err err = sm_page_take(a, pages, SM_PAGE_NO_KEG, &page, &block);
    if (err != SM_OK) {
        return err;
    }
    /* Crash here leaves pages RESERVED by this CPU: recovery frees them. */
    struct sm_queue_shm *s = &a->a_queues[slot];
    struct sm_place_shm *ring = (struct sm_place_shm *)sm_page_mem(a, page);
    for (uint64_t i = 0; i < places; i++) {
        sm_store_rlx(&ring[i].pl_turn, i);
        sm_store_rlx(&ring[i].pl_item, 0);
    }
    /* The futex words and waiter counts go on: threads asleep at the slot's former queue still have to leave. */
    *gen = s->q_gen + 1;
    sm_store_rlx(&s->q_gen, *gen);
    sm_full_fence(); /* the new generation before the new contents; pairs with the one in handle_make */
    sm_store_rlx(&s->q_head, 0);
    sm_store_rlx(&s->q_tail, 0);
    sm_store_rlx(&s->q_depth, (uint32_t)places);
    sm_store_rlx(&s->q_pages, pages);
    sm_store_rlx(&s->q_ring, sm_off_of(a, ring));
    sm_store_rlx(&s->q_limit, limit);
    memcpy(padded.text, name, strlen(name));
    for (size_t w = 0; w < NAME_WORDS; w++) {
        sm_store_rlx((uint64_t *)(void *)s->q_name + w, padded.words[w]);
    }
    sm_crash_point(a, STEP_RING_READY);
    sm_page_publish(a, page, pages, SM_PG_RING, slot, 0);
    sm_crash_point(a, STEP_RING_PUBLISHED);
    /* Crash here leaves RING pages of a slot that is FREE: recovery frees them. */
    if (a->a_ctl->ctl_queues <= slot) {
        sm_store_rel(&a->a_ctl->ctl_queues, slot + 1);
    }
    sm_store_rel(&s->q_state, SM_ZONE_LIVE); /* publishes all of the above; pairs with queue_find's acquire */
    *id = slot;
    return SM_OK;
}

enum sm_err sm_queue_create(struct sm_arena *a, const char *name, uint64_t depth, struct sm_queue **out) {
    enum sm_err err = name_check(name);
    uint32_t id = 0, gen = 0;
    if (err != SM_OK) {
        return err;
    }
    if (depth == 0 || depth > QUEUE_MAX_PLACES) {
        return SM_INVALID;
    }
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    if ((err = sm_admin_enter(a)) == SM_OK) {
        err = queue_find(a, name, &id, &gen) ? SM_EXISTS : queue_make(a, name, depth, &id, &gen);
        sm_admin_leave(a);
    }
    return err == SM_OK ? handle_make(a, id, gen, out) : err;
}

enum sm_err sm_queue_open(struct sm_arena *a, const char *name, uint64_t depth, struct sm_queue **out) {
    uint32_t id, gen;
    enum sm_err err = name_check(name);
    if (err != SM_OK) {
        return err;
    }
    if (!queue_find(a, name, &id, &gen)) {
        return SM_NOT_FOUND;
    }
    if (depth != 0 && depth != sm_load_rlx(&a->a_queues[id].q_limit)) {
        return SM_MISMATCH;
    }
    return handle_make(a, id, gen, out);
}

void sm_queue_close(struct sm_queue *q) {
    free(q);
}

/* Every place free: no item, no blank, no hole, and no item of a CPU that died in the middle of a get. */
static bool ring_idle(const struct sm_queue *q) {
    uint64_t tail = sm_load_acq(&q->q_shm->q_tail);
    if (sm_load_acq(&q->q_shm->q_head) != tail) {
        return false;
    }
    for (uint64_t pos = tail; pos <= tail + q->q_mask; pos++) {
        if (sm_load_acq(&q->q_ring[pos & q->q_mask].pl_turn) != pos) {
            return false;
        }
    }
    return true;
}

/* World stopped, admin lock held, inside an operation. */
static enum sm_err queue_unmake(struct sm_queue *q) {
    struct sm_arena *a = q->q_arena;
    struct sm_queue_shm *s = q->q_shm;
    if (sm_queue_gone(q)) {
        return SM_GONE;
    }
    if (!ring_idle(q)) {
        return SM_BUSY;
    }
    uint32_t page = (uint32_t)((s->q_ring - a->a_data_off) >> SM_PAGE_SHIFT), pages = s->q_pages;
    sm_store_rel(&s->q_state, SM_ZONE_DYING); /* from here on nobody finds it */
    sm_store_rel(&s->q_gen, s->q_gen + 1);
    sm_crash_point(a, STEP_QUEUE_DYING);
    /* Crash here leaves a DYING queue, its ring still its own: recovery goes on from the next line. */
    sm_page_withdraw(a, page, pages, 0);
    enum sm_err err = sm_page_give(a, page, pages, SM_PAGE_NO_KEG, 0);
    sm_crash_point(a, STEP_RING_GIVEN);
    if (err == SM_OK) {
        sm_store_rel(&s->q_state, SM_ZONE_FREE);
    } else { /* the page lock was refused: nothing has changed, and the queue is what it was */
        sm_page_publish(a, page, pages, SM_PG_RING, q->q_id, 0);
        sm_store_rel(&s->q_gen, q->q_gen);
        sm_store_rel(&s->q_state, SM_ZONE_LIVE);
    }
    return err;
}

enum sm_err sm_queue_destroy(struct sm_queue *q) {
    struct sm_arena *a = q->q_arena;
    if (!a->a_writable) {
        return SM_READ_ONLY;
    }
    enum sm_err err;
    int tries = 0;
    do {
        if ((err = sm_admin_enter_stopped(a, q->q_id)) == SM_OK) {
            err = queue_unmake(q);
            sm_admin_leave_stopped(a);
        }
    } while (sm_op_again(a, &err, &tries));
    if (err == SM_OK) { /* sleepers find it gone */
        sm_wait_wake(&q->q_shm->q_item_seq, INT_MAX);
        sm_wait_wake(&q->q_shm->q_space_seq, INT_MAX);
    }
    return err;
}

/* ---------------------------------------------------------------- put and get */

static inline void notify_items(struct sm_queue *q, uint32_t count) {
    sm_wait_notify(q->q_arena, &q->q_shm->q_item_waiters, &q->q_shm->q_item_seq, count);
}

static inline void notify_space(struct sm_queue *q, uint32_t count) {
    sm_wait_notify(q->q_arena, &q->q_shm->q_space_waiters, &q->q_shm->q_space_seq, count);
}

static enum sm_err put_wait(struct sm_queue *q, struct sm_zone *z, void *item, int64_t timeout_ns) {
    struct sm_wait w = SM_WAIT_INIT(q, SM_FOR_SPACE, timeout_ns);
    enum sm_err err = SM_FULL;
    while (err == SM_FULL) {
        enum sm_err step = sm_wait_step(&w, err);
        if (step != SM_OK) {
            err = step;
            break;
        }
        err = sm_ring_put_one(q, z, item);
    }
    sm_wait_end(&w);
    return err;
}

enum sm_err sm_queue_put(struct sm_queue *q, struct sm_zone *z, void *item, int64_t timeout_ns) {
    enum sm_err err = sm_fault(q->q_arena, SM_FP_PUT, q->q_shm->q_name, 0, 0);
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    err = sm_ring_put_one(q, z, item);
    if (sm_unlikely(err == SM_FULL)) {
        err = put_wait(q, z, item, timeout_ns);
    }
    if (sm_likely(err == SM_OK)) {
        notify_items(q, 1);
    }
    return err;
}

enum sm_err sm_queue_put_bulk(struct sm_queue *q, struct sm_zone *z, uint32_t n, void *const *items, int64_t timeout_ns,
                              uint32_t *done) {
    enum sm_err err = sm_fault(q->q_arena, SM_FP_PUT, q->q_shm->q_name, 0, 0);
    *done = 0;
    if (err != SM_OK || n == 0) {
        return err;
    }
    err = sm_ring_put(q, z, n, items, done);
    if (err == SM_FULL) {
        struct sm_wait w = SM_WAIT_INIT(q, SM_FOR_SPACE, timeout_ns);
        enum sm_err step;
        while (err == SM_FULL) {
            if ((step = sm_wait_step(&w, err)) != SM_OK) {
                err = step;
                break;
            }
            err = sm_ring_put(q, z, n, items, done);
        }
        sm_wait_end(&w);
    }
    if (*done > 0) {
        notify_items(q, *done);
    }
    return err;
}

static enum sm_err get_wait(struct sm_queue *q, uint32_t n, int64_t timeout_ns, struct sm_zone **zones, void **items,
                            uint32_t *got) {
    struct sm_wait w = SM_WAIT_INIT(q, SM_FOR_ITEM, timeout_ns);
    enum sm_err err = SM_EMPTY;
    while (err == SM_EMPTY) {
        enum sm_err step = sm_wait_step(&w, err);
        if (step != SM_OK) {
            err = step;
            break;
        }
        err = n == 1 ? sm_ring_get_one(q, w.w_peek, zones, items) : sm_ring_get(q, w.w_peek, n, zones, items, got);
    }
    sm_wait_end(&w);
    return err;
}

enum sm_err sm_queue_get(struct sm_queue *q, int64_t timeout_ns, struct sm_zone **z, void **item) {
    enum sm_err err = sm_fault(q->q_arena, SM_FP_GET, q->q_shm->q_name, 0, 0);
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    err = sm_ring_get_one(q, timeout_ns != 0, z, item);
    if (err == SM_EMPTY) {
        err = get_wait(q, 1, timeout_ns, z, item, NULL);
    }
    if (sm_likely(err == SM_OK)) {
        notify_space(q, 1);
    }
    return err;
}

enum sm_err sm_queue_get_bulk(struct sm_queue *q, uint32_t n, int64_t timeout_ns, struct sm_zone **zones, void **items,
                              uint32_t *got) {
    enum sm_err err = sm_fault(q->q_arena, SM_FP_GET, q->q_shm->q_name, 0, 0);
    *got = 0;
    if (err != SM_OK || n == 0) {
        return err;
    }
    err = sm_ring_get(q, timeout_ns != 0, n, zones, items, got);
    if (err == SM_EMPTY) {
        err = get_wait(q, n, timeout_ns, zones, items, got);
        if (n == 1) {
            *got = err == SM_OK;
        }
    }
    if (*got > 0) {
        notify_space(q, *got);
    }
    return err;
}

uint64_t sm_queue_length(const struct sm_queue *q) {
    return sm_ring_length(q);
}

uint64_t sm_queue_depth(const struct sm_queue *q) {
    return q->q_limit;
}

const struct sm_queue_shm *sm_queue_shared(const struct sm_queue *q) {
    return q->q_shm;
}
