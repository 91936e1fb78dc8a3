/* held.h - the list of what a thread holds: entering, leaving, and where it was taken. Must not judge; takes no lock. */
#ifndef W_HELD_H
#define W_HELD_H

#include <string.h>

#include "class.h"
#include "contention.h"
#include "thread.h"

/* An entry of b_places: 44 bits of the place's number, 20 of the stack, so that both are read and written at once. Two
 * places that share an entry take turns. */
#define W_PLACE_MASK ((1u << 20) - 1)
_Static_assert(W_MOST_STACKS <= W_PLACE_MASK, "a stack's id fits");
uint32_t w_held_place_learn(struct w_block *b, uint32_t class_id, uint64_t *entry, uint64_t tag, void *address);

/* The stack of where this thread takes the lock: taken once for each place in the program that this process comes
 * through, so its innermost frame is right, and those further out are those of the first time. */
static inline uint32_t w_held_place(struct w_block *b, uint32_t class_id, void *address) {
    uint64_t place = w_unlikely(b->b_place != NULL) ? b->b_place(b, b->b_ctx, address) : (uint64_t)(uintptr_t)address;
    uint64_t hash = place * 0x9e3779b97f4a7c15ull;
    uint64_t *entry = &b->b_places[(hash >> 16) % W_PLACES], tag = (hash | 1ull << 63) & ~(uint64_t)W_PLACE_MASK;
    uint64_t seen = sm_load_rlx(entry);
    if (w_unlikely((seen & ~(uint64_t)W_PLACE_MASK) != tag)) {
        return place != 0 ? w_held_place_learn(b, class_id, entry, tag, address) : W_NONE;
    }
    return (uint32_t)(seen & W_PLACE_MASK);
}

/* Other threads look at entries while their owner writes them, and judge what they find. */
static inline void w_held_write(struct w_held_shm *d, struct w_held_shm to) {
    sm_store_rlx(&d->d_instance, to.d_instance);
    sm_store_rlx(&d->d_class, to.d_class);
    sm_store_rlx(&d->d_mode, to.d_mode);
    sm_store_rlx(&d->d_flags, to.d_flags);
    sm_store_rlx(&d->d_depth, to.d_depth);
    sm_store_rlx(&d->d_stack, to.d_stack);
    sm_store_rlx(&d->d_since_ns, to.d_since_ns);
}

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
        w_contention_held(b, t->t_held[i].d_class, t->t_held[i].d_since_ns);
    }
    for (; w_unlikely(i + 1 < n); i++) {
        w_held_write(&t->t_held[i], t->t_held[i + 1]);
    }
    sm_store_rel(&t->t_count, n - 1);
}

/* The lock taken last is given back, which is the plain case. False: it is another one, or there is more to do. */
static inline bool w_held_pop(struct w_block *b, struct w_thread_shm *t, uint32_t class_id, uint64_t instance) {
    uint32_t n = w_held_count(t);
    if (n == 0 || (w_class_flags(b, class_id) & W_NORELEASE) != 0) {
        return false;
    }
    const struct w_held_shm *d = &t->t_held[n - 1];
    if (d->d_class != class_id || d->d_instance != instance || d->d_depth != 1 || d->d_since_ns != 0) {
        return false;
    }
    sm_store_rel(&t->t_count, n - 1);
    return true;
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
    w_held_write(&t->t_held[n], (struct w_held_shm){
                                    .d_instance = instance,
                                    .d_class = class_id,
                                    .d_mode = (uint16_t)mode,
                                    .d_flags = flags & 1 ? W_HELD_TRIED : 0,
                                    .d_depth = 1,
                                    .d_stack = stack,
                                    .d_since_ns = w_unlikely(sm_load_rlx(&b->b_header->h_stat) != 0) ? w_now_ns() : 0,
                                });
    sm_store_rel(&t->t_count, n + 1); /* the entry is whole; pairs with readers of other processes */
}

#endif
