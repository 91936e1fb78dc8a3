/* held.h - the list of what a thread holds: entering, leaving, and where it was taken. Must not judge; takes no lock. */
#ifndef W_HELD_H
#define W_HELD_H

#include <string.h>

#include "class.h"
#include "thread.h"

/* The stack of where this thread takes the lock: taken once for each place in the program that this process comes
 * through, so its innermost frame is right, and those further out are those of the first time. */
uint32_t w_held_place(struct w_block *b, uint32_t class_id, void *address);
/* The wait that ends now, in the class's figures. */
void w_held_waited(struct w_class_shm *c, const struct w_thread_shm *t);
void w_held_ended(struct w_class_shm *c, int64_t since_ns);
/* Gives back once; false: the slot has no such entry. */
bool w_held_give(struct w_block *b, struct w_thread_shm *t, uint32_t class_id, uint64_t instance);
/* Takes out what another process says that it gave back. By the slot's owner. */
void w_held_given(struct w_block *b, struct w_thread_shm *t);
/* Says so to whatever thread of another process has the lock among what it holds. */
void w_given_elsewhere(struct w_block *b, uint32_t class_id, uint64_t instance);
/* Takes out the file locks that the process does not have any more. */
void w_held_fresh(struct w_block *b, struct w_thread_shm *t);
/* Takes entry `i` out. */
static inline void w_held_drop(struct w_block *b, struct w_thread_shm *t, uint32_t i) {
    uint32_t n = w_held_count(t);
    if (w_unlikely(t->t_held[i].d_since_ns != 0)) {
        w_held_ended(&b->b_classes[t->t_held[i].d_class], t->t_held[i].d_since_ns);
    }
    if (w_unlikely(i + 1 < n)) {
        memmove(&t->t_held[i], &t->t_held[i + 1], (n - i - 1) * sizeof t->t_held[0]);
    }
    sm_store_rel(&t->t_count, n - 1);
}

static inline void w_held_push(struct w_block *b, struct w_thread_shm *t, uint32_t class_id, uint64_t instance,
                               uint32_t mode, uint32_t flags, uint32_t stack) {
    uint32_t n = w_held_count(t);
    for (uint32_t i = n; w_unlikely(n != 0 && t->t_held[n - 1].d_class == class_id) && i-- > 0;) {
        struct w_held_shm *d = &t->t_held[i];
        if (d->d_class == class_id && d->d_instance == instance && d->d_mode == mode) {
            sm_store_rlx(&d->d_depth, d->d_depth + 1);
            return;
        }
    }
    if (w_unlikely(n == W_HELD)) {
        (void)sm_add_rlx(&b->b_header->h_lost, 1);
        return;
    }
    t->t_held[n] = (struct w_held_shm){
        .d_instance = instance,
        .d_class = class_id,
        .d_mode = (uint16_t)mode,
        .d_flags = flags & 1 ? W_HELD_TRIED : 0,
        .d_depth = 1,
        .d_stack = stack,
        .d_since_ns = w_unlikely(sm_load_rlx(&b->b_header->h_stat) != 0) ? w_now_ns() : 0,
    };
    sm_store_rel(&t->t_count, n + 1); /* the entry is whole; pairs with readers of other processes */
}

#endif
