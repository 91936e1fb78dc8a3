/* thread.h - what each thread holds and waits for, in the shared block where others can read it. A slot is written by
 * its thread alone (W5). Takes no lock.
 */
#ifndef W_THREAD_H
#define W_THREAD_H

#include <unistd.h>

#include "block.h"

/* Per thread of this process: the slot in the block it used last. */
struct w_local {
    uint64_t l_serial; /* of that block, 0: none */
    uint32_t l_epoch;  /* w_thread_epoch when it was claimed */
    uint32_t l_busy;   /* inside a report or a capture: what happens in there is not judged */
    uint32_t l_quiet;  /* inside the allocator: nobody may be told now */
    struct w_thread_shm *l_slot; /* NULL: the table is full */
    uint64_t l_who; /* pid << 32 | tid */
};
extern __thread struct w_local w_local __attribute__((tls_model("initial-exec")));
extern uint32_t w_thread_epoch; /* grows in a forked child */

struct w_thread_shm *w_thread_claim(struct w_block *b);

/* The calling thread's slot; NULL when there is none left. */
static inline struct w_thread_shm *w_thread_self(struct w_block *b) {
    if (w_unlikely(w_local.l_serial != b->b_serial || w_local.l_epoch != w_thread_epoch)) {
        return w_thread_claim(b);
    }
    return w_local.l_slot;
}

uint64_t w_thread_who(void); /* pid << 32 | tid */
void w_thread_name(char out[W_THREAD_BYTES]);
/* The process enters the table of processes; forks are noticed from now on. */
void w_thread_enter(struct w_block *b);
void w_thread_title(struct w_block *b, const char *name); /* what tools call this process */
void w_thread_exit(void *slot); /* destructor of b_key */
/* This process leaves the block: its slots are given back, what is held is told of. */
void w_thread_leave(struct w_block *b);
/* Slots of threads that are gone: told of what they held, and freed. Returns how many. */
uint32_t w_thread_sweep(struct w_block *b);

/* What t_given says of a lock; never 0. */
static inline uint32_t w_given_word(uint32_t class_id, uint64_t instance) {
    uint64_t h = (instance ^ ((uint64_t)class_id << 40)) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(h >> 32) | 1u;
}
static inline bool w_given_is(const struct w_thread_shm *t, const struct w_held_shm *d) {
    return sm_load_acq(&t->t_given) == w_given_word(d->d_class, d->d_instance); /* pairs with w_given_elsewhere */
}

static inline uint32_t w_held_count(const struct w_thread_shm *t) {
    uint32_t n = sm_load_rlx(&t->t_count);
    return n < W_HELD ? n : W_HELD;
}

#endif
