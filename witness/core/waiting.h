/* waiting.h - what another thread waits for and holds, read while it runs. Owns the reading alone; writes nothing, takes
 * no lock.
 */
#ifndef W_WAITING_H
#define W_WAITING_H

#include "block.h"

enum w_sighting {
    W_NOBODY, /* the slot is free */
    W_SEEN, /* the copy is of one moment, as far as the wait goes (W7) */
    W_MOVING, /* the thread came and went too fast: the copy says that it waits for nothing */
};

/* A copy of thread slot `i`, below b_max_threads. What the thread holds is exact when it waits: it cannot change it then;
 * else it is as it passed by. Two sightings that tell of the same t_wait_number and t_wait_since_ns, with t_wait_class set, are of one wait
 * that lasted all the time between them. So when a ring of threads, each of which holds what the one before it waits
 * for, is seen twice with the same numbers, all of them waited at once at the moment between the two looks. */
enum w_sighting w_waiting_read(const struct w_block *b, uint32_t i, struct w_thread_shm *out);

#endif
