/* waiting.c - what another thread waits for and holds, read while it runs. Writes nothing, takes no lock. */
#include "waiting.h"

#include <string.h>

#include "thread.h"

#define TRIES 16

static void held_copy(const struct w_thread_shm *t, struct w_thread_shm *out) {
    uint32_t n = sm_load_acq(&t->t_count), count = n < W_HELD ? n : W_HELD; /* pairs with w_held_push */
    out->t_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct w_held_shm *d = &t->t_held[i];
        if (w_given_is(t, d)) {
            continue; /* by another process, and its thread did not look yet */
        }
        out->t_held[out->t_count++] = (struct w_held_shm){
            .d_instance = sm_load_rlx(&d->d_instance),
            .d_class = sm_load_rlx(&d->d_class),
            .d_mode = sm_load_rlx(&d->d_mode),
            .d_flags = sm_load_rlx(&d->d_flags),
            .d_depth = sm_load_rlx(&d->d_depth),
            .d_stack = sm_load_rlx(&d->d_stack),
            .d_since_ns = sm_load_rlx(&d->d_since_ns),
        };
    }
}

enum w_sighting w_waiting_read(const struct w_block *b, uint32_t i, struct w_thread_shm *out) {
    const struct w_thread_shm *t = &b->b_threads[i];
    memset(out, 0, sizeof *out);
    out->t_wait_class = W_NO_CLASS;
    for (int tries = 0; tries < TRIES; tries++) {
        uint64_t owner = sm_load_acq(&t->t_owner);
        if (owner == 0) {
            return W_NOBODY;
        }
        uint16_t number = sm_load_acq(&t->t_wait_number); /* who sees it sees the wait before ended */
        uint32_t class_id = sm_load_acq(&t->t_wait_class); /* who sees it set sees the wait's record whole */
        out->t_wait_mode = sm_load_acq(&t->t_wait_mode);
        out->t_wait_instance = sm_load_acq(&t->t_wait_instance);
        out->t_wait_stack = sm_load_acq(&t->t_wait_stack);
        out->t_wait_since_ns = sm_load_acq(&t->t_wait_since_ns);
        out->t_namespace = sm_load_rlx(&t->t_namespace);
        memcpy(out->t_name, t->t_name, sizeof out->t_name);
        held_copy(t, out);
        /* A part of the next wait, if one was read, shows the next number from here on. */
        if (sm_load_rlx(&t->t_wait_number) == number && sm_load_rlx(&t->t_wait_class) == class_id &&
            sm_load_rlx(&t->t_wait_since_ns) == out->t_wait_since_ns && sm_load_rlx(&t->t_owner) == owner) {
            out->t_owner = owner;
            out->t_wait_number = number;
            out->t_wait_class = class_id < b->b_max_classes ? class_id : W_NO_CLASS;
            return W_SEEN;
        }
    }
    out->t_owner = sm_load_acq(&t->t_owner);
    return out->t_owner != 0 ? W_MOVING : W_NOBODY;
}
