/* queue_ring.h - the handle of a queue and one attempt at its ring. Inside the core only.
 * Owns struct sm_queue (process-local). The attempts take no lock, never wait, and never call a callback.
 */
#ifndef SM_QUEUE_RING_H
#define SM_QUEUE_RING_H

#include "queue.h"

#define SM_RING_CLAIM 64 /* places claimed at most with one compare-and-swap */

struct sm_queue {
    struct sm_arena *q_arena;
    struct sm_queue_shm *q_shm;
    struct sm_place_shm *q_ring;
    uint64_t q_mask;
    uint64_t q_limit;
    uint64_t q_op_put, q_op_get; /* op words without operand */
    uint64_t q_head_seen; /* producers: a past value of q_head, to read its line once a lap, not once an item */
    struct sm_zone *q_zone; /* consumers: zone of the last item */
    uint32_t q_id, q_gen;
    bool q_busy; /* the last attempt met a place that another CPU has claimed but not finished */
};

/* Up to n items, 1 <= n; *done: how many went in, a prefix. SM_OK with 1 <= *done <= n when room ended it; SM_FULL with
 * 0; the refusal of item *done otherwise. */
enum sm_err sm_ring_put(struct sm_queue *q, struct sm_zone *z, uint32_t n, void *const *items, uint32_t *done);
enum sm_err sm_ring_put_one(struct sm_queue *q, struct sm_zone *z, void *item);
/* Up to n items in the order they were put; SM_OK with *got >= 1, else SM_EMPTY or what is wrong with the first.
 * peek: an unfilled first place is SM_EMPTY at once. Without it, a producer at work on that place gets a moment to
 * finish, at the price of a look at q_tail, whose line belongs to the producers. */
enum sm_err sm_ring_get(struct sm_queue *q, bool peek, uint32_t n, struct sm_zone **zones, void **items, uint32_t *got);
enum sm_err sm_ring_get_one(struct sm_queue *q, bool peek, struct sm_zone **zone, void **item);

static inline uint64_t sm_ring_length(const struct sm_queue *q) {
    uint64_t head = sm_load_acq(&q->q_shm->q_head), tail = sm_load_acq(&q->q_shm->q_tail);
    return tail > head ? (tail - head < q->q_limit ? tail - head : q->q_limit) : 0;
}

static inline bool sm_queue_gone(const struct sm_queue *q) {
    return sm_unlikely(sm_load_rlx(&q->q_shm->q_gen) != q->q_gen || sm_load_rlx(&q->q_shm->q_state) != SM_ZONE_LIVE);
}

#endif
