/* bucket.h - the arrays that carry ready items between a CPU, its zone and the slabs. Buckets are numbered from the
 * bucket region; the free list belongs to the page lock, full lists to the keg lock of their zone. */
#ifndef SM_BUCKET_H
#define SM_BUCKET_H

#include "arena.h"

/* Inside an operation; the keg lock may be held. SM_NO_MEMORY: go without a bucket. *bucket is its offset. */
enum sm_err sm_bucket_create(struct sm_arena *a, uint32_t zone, sm_off_t *bucket);
enum sm_err sm_bucket_destroy(struct sm_arena *a, sm_off_t bucket);

static inline struct sm_bucket_shm *sm_bucket_at(const struct sm_arena *a, sm_off_t bucket) {
    return (struct sm_bucket_shm *)(a->a_base + bucket);
}
static inline uint32_t sm_bucket_id(const struct sm_arena *a, sm_off_t bucket) {
    return (uint32_t)((struct sm_bucket_shm *)(a->a_base + bucket) - a->a_buckets);
}
static inline sm_off_t sm_bucket_off(const struct sm_arena *a, uint32_t id) {
    return sm_off_of(a, &a->a_buckets[id]);
}

#endif
