/* thread.h - what each thread holds and waits for, in the shared block where others can read it. A slot is written by
 * its thread alone, or its task's process (W5). Takes no lock.
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
    bool l_wait_taken; /* what it waits for was found taken, so the wait is a figure */
};
extern __thread struct w_local w_local __attribute__((tls_model("initial-exec")));
extern uint32_t w_thread_epoch; /* grows in a forked child */

struct w_thread_shm *w_thread_claim(struct w_block *b);

/* A free slot for this owner, a thread of this process or a task of it; NULL: there is none. */
struct w_thread_shm *w_thread_take(struct w_block *b, uint64_t who, const char name[W_THREAD_BYTES]);

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
void w_thread_seat(struct w_block *b, uint32_t cpu); /* its slot in the arena */
void w_thread_exit(void *slot); /* destructor of b_key */
/* This process leaves the block: its slots are given back, what is held is told of. */
void w_thread_leave(struct w_block *b);
/* Slots of threads that are gone: told of what they held, and freed. Returns how many. */
uint32_t w_thread_sweep(struct w_block *b);

/* The slot's owner begins to wait. W7: the wait before is over, then the number grows, then the rest is written: whoever
 * sees a part of it sees the number too. Pairs with w_waiting_read. */
static inline void w_wait_begin(struct w_thread_shm *t, uint32_t class_id, uint64_t instance, uint32_t mode,
                                uint32_t stack) {
    sm_store_rel(&t->t_wait_number, (uint16_t)(t->t_wait_number + 1));
    sm_store_rel(&t->t_wait_mode, (uint16_t)mode);
    sm_store_rel(&t->t_wait_instance, instance);
    sm_store_rel(&t->t_wait_stack, stack);
    sm_store_rel(&t->t_wait_since_ns, w_now_ns());
    sm_store_rel(&t->t_wait_class, class_id); /* what it waits for is whole */
}

/* What t_given says of a lock; never 0. */
static inline uint32_t w_given_word(uint32_t class_id, uint64_t instance) {
    uint64_t h = (instance ^ ((uint64_t)class_id << 40)) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(h >> 32) | 1u;
}
static inline bool w_given_is(const struct w_thread_shm *t, const struct w_held_shm *d) {
    uint32_t word = sm_load_acq(&t->t_given); /* pairs with w_given_elsewhere */
    return w_unlikely(word != 0) && word == w_given_word(sm_load_rlx(&d->d_class), sm_load_rlx(&d->d_instance));
}

static inline uint32_t w_held_count(const struct w_thread_shm *t) {
    uint32_t n = sm_load_rlx(&t->t_count);
    return n < W_HELD ? n : W_HELD;
}

#endif
