/* pairs.h - the order of two locks of one class, by instance. Takes the slow lock for a pair that is new. */
#ifndef W_PAIRS_H
#define W_PAIRS_H

#include "thread.h"

/* The lock `instance` of the class of entry `index`, which is held, is about to be taken. Both are held alone, and the
 * class is W_PAIRED. */
void w_pair_check(struct w_block *b, const struct w_thread_shm *t, uint32_t index, uint64_t instance, void *address);

#endif
