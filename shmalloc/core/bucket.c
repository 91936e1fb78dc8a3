/* bucket.c - taking and returning buckets. Takes the page lock (innermost). The free list is derived (I8). */
#include "bucket.h"

#include "quiesce.h"

enum bucket_step { STEP_BUCKET_OFF_LIST = 0x180, STEP_BUCKET_TAKEN, STEP_BUCKET_UNNAMED };

#define STEP_BYTES (16 * SM_PAGE) /* of the bucket region, committed at a time */

/* The next bucket never used before. */
static enum sm_err bucket_fresh(struct sm_arena *a, uint32_t *id) {
    struct sm_control_shm *ctl = a->a_ctl;
    if (ctl->ctl_bucket_next >= a->a_header->h_max_buckets) {
        return SM_NO_MEMORY;
    }
    uint64_t end = ((uint64_t)ctl->ctl_bucket_next + 1) * sizeof(struct sm_bucket_shm);
    const struct sm_region_shm *r = &a->a_header->h_region[SM_R_BUCKETS];
    while (ctl->ctl_bucket_bytes < end) {
        uint64_t left = r->r_bytes - ctl->ctl_bucket_bytes;
        uint64_t step = STEP_BYTES < left ? STEP_BYTES : left;
        enum sm_err err = sm_os_commit(a->a_fd, r->r_off + ctl->ctl_bucket_bytes, step);
        if (err != SM_OK) {
            return err;
        }
        ctl->ctl_bucket_bytes += step;
    }
    *id = ctl->ctl_bucket_next;
    sm_store_rlx(&ctl->ctl_bucket_next, *id + 1); /* who looks without the lock sees one or the other */
    return SM_OK;
}

enum sm_err sm_bucket_create(struct sm_arena *a, uint32_t zone, sm_off_t *bucket) {
    uint32_t id = 0;
    struct sm_control_shm *ctl = a->a_ctl;
    enum sm_err err = sm_fault(a, SM_FP_BUCKET, NULL, sizeof(struct sm_bucket_shm), 0);
    if (err != SM_OK || (err = sm_arena_lock(a, &ctl->ctl_page, SM_LC_PAGE, 0)) != SM_OK) {
        return err;
    }
    if (ctl->ctl_bucket_free != 0) {
        id = ctl->ctl_bucket_free - 1;
        ctl->ctl_bucket_free = a->a_buckets[id].b_next;
    } else {
        err = bucket_fresh(a, &id);
    }
    if (err == SM_OK) {
        sm_crash_point(a, STEP_BUCKET_OFF_LIST);
        a->a_buckets[id].b_next = 0;
        a->a_buckets[id].b_count = 0;
        a->a_buckets[id].b_zone = zone + 1;
        *bucket = sm_bucket_off(a, id);
        sm_crash_point(a, STEP_BUCKET_TAKEN);
    }
    sm_arena_unlock(a, &ctl->ctl_page, SM_LC_PAGE, 0);
    return err;
}

enum sm_err sm_bucket_destroy(struct sm_arena *a, sm_off_t bucket) {
    uint32_t id = sm_bucket_id(a, bucket);
    enum sm_err err = sm_arena_lock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    if (err == SM_OK) {
        a->a_buckets[id].b_zone = 0;
        a->a_buckets[id].b_count = 0;
        sm_crash_point(a, STEP_BUCKET_UNNAMED);
        a->a_buckets[id].b_next = a->a_ctl->ctl_bucket_free;
        a->a_ctl->ctl_bucket_free = id + 1;
        sm_arena_unlock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    } else if (err == SM_STALLED) {
        sm_arena_spoil(&a->a_ctl->ctl_page); /* on no list, which is how rebuilding finds the free ones */
        err = SM_OK;
    }
    return err;
}
