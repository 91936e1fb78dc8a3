/* point.c - entering a point that a program declares. Takes no lock: the entry behind the last one is claimed by its
 * maker's pid, and taken over from the dead, so that a name cannot be entered twice (F1).
 */
#define _GNU_SOURCE
#include "point.h"

#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 2000000000ll

static bool found(struct fi_block *b, const char *name, uint32_t from, uint32_t to, uint32_t *number) {
    for (uint32_t i = from; i < to; i++) {
        if (strncmp(b->b_points[i].p_name, name, FI_NAME_BYTES) == 0) {
            *number = i;
            return true;
        }
    }
    return false;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Crash in here: the entry stays MAKING under a dead pid, and the next maker writes it anew. Crash between READY and the
 * count: the next maker finds it READY and counts it. */
static bool enter(struct fi_block *b, uint32_t at, const char *name) {
    struct fi_point_shm *p = &b->b_points[at];
    uint64_t was = sm_load_acq(&p->p_state);
    uint32_t state = (uint32_t)was;
    if (state == FI_P_FREE || (state == FI_P_MAKING && fi_pid_gone((uint32_t)(was >> 32)))) {
        if (!sm_cas(&p->p_state, &was, (uint64_t)getpid() << 32 | FI_P_MAKING)) {
            return false;
        }
        fi_crash_point(FI_STEP_POINT_CLAIMED);
        char whole[FI_NAME_BYTES] = {0};
        memcpy(whole, name, strlen(name));
        fi_words_store(p->p_name, whole, sizeof whole);
        sm_store_rlx(&p->p_error, SM_OK);
        sm_store_rlx(&p->p_live, 0);
        fi_crash_point(FI_STEP_POINT_NAMED);
        sm_store_rel(&p->p_state, FI_P_DECLARED);
        fi_crash_point(FI_STEP_POINT_READY);
    } else if (state == FI_P_MAKING) {
        sched_yield();
        return false;
    }
    uint32_t count = at;
    (void)sm_cas(&b->b_header->h_points, &count, at + 1); /* pairs with fi_point_count; another may have counted it */
    return true;
}

enum sm_err fi_point_get(struct fi_block *b, const char *name, bool make, uint32_t *number) {
    size_t length = strlen(name);
    if (length == 0) {
        return SM_INVALID;
    }
    if (length >= FI_NAME_BYTES) {
        return SM_NAME_TOO_LONG;
    }
    uint32_t seen = 0;
    for (int64_t start = now_ns(); now_ns() - start < PATIENCE_NS;) {
        uint32_t count = fi_point_count(b);
        if (found(b, name, seen, count, number)) {
            return SM_OK;
        }
        if (!make) {
            return SM_NOT_FOUND;
        }
        if (count == b->b_max_points) {
            return SM_TABLE_FULL;
        }
        seen = count;
        (void)enter(b, count, name); /* ours or another's: looked at in the next turn */
    }
    return SM_STALLED;
}
