/* queue_fixture.h - what the queue tests share: a queue, an item, a look at an item's word. */
#ifndef TESTS_CORE_QUEUE_FIXTURE_H
#define TESTS_CORE_QUEUE_FIXTURE_H

#include "harness.h"

static inline struct sm_queue *make_queue(struct sm_arena *a, const char *name, uint64_t depth) {
    struct sm_queue *q = NULL;
    EXPECT_OK(sm_queue_create(a, name, depth, &q));
    return q;
}

static inline struct sm_queue *open_queue(struct sm_arena *a, const char *name) {
    struct sm_queue *q = NULL;
    EXPECT_OK(sm_queue_open(a, name, 0, &q));
    return q;
}

static inline void *alloc_item(struct sm_zone *z) {
    void *item = NULL;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    return item;
}

static inline uint64_t word_of(struct sm_zone *z, const void *item) {
    uint64_t *word;
    EXPECT_OK(sm_zone_lookup(z, item, &word));
    return sm_load_acq(word);
}

#endif
