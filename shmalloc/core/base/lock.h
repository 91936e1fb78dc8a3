/* lock.h - the slow path's lock: a process-shared robust mutex that remembers which CPU holds it.
 * Owns struct sm_lock_shm. Must not be taken with a callback to run, nor held when an op word is cleared
 * (quiesce waits on op words). Source: pthread_mutexattr_setrobust(3).
 */
#ifndef SM_BASE_LOCK_H
#define SM_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#define SM_LOCK_BYTES 64

/*  OFFSET SIZE FIELD
 *       0   40 l_mutex      robust, process-shared, not recursive
 *      40    4 l_owner      CPU id + 1 of the holder, 0 when free; a hint for reports and for the reaper
 *      44    4 l_contended  times the lock was found taken; feeds the bucket size (UMA grows on contention)
 *      48    4 l_dirty      nonzero: what the lock protects must be rebuilt before use: SM_LOCK_DIED, a holder died;
 *                           SM_LOCK_SPOILED, something was given back without the lock
 */
enum sm_lock_dirt { SM_LOCK_DIED = 1, SM_LOCK_SPOILED };

struct sm_lock_shm {
    union {
        pthread_mutex_t m;
        uint8_t bytes[40];
    } l_mutex;
    uint32_t l_owner;     /* (x) */
    uint32_t l_contended; /* (x) */
    uint32_t l_dirty;     /* (the lock itself) */
    uint32_t l_pad[3];
};
_Static_assert(sizeof(pthread_mutex_t) <= 40, "the lock's place in the layout holds this platform's mutex");
_Static_assert(sizeof(struct sm_lock_shm) == SM_LOCK_BYTES, "layout");

enum sm_err sm_lock_format(struct sm_lock_shm *l);
/* SM_OK: held. SM_DEAD_PEER: held too, but a former holder died inside: the caller must rebuild, or mark and back off.
 * SM_STALLED: not held; a live process has held it for longer than the bound. */
enum sm_err sm_lock_acquire(struct sm_lock_shm *l, uint32_t cpu, int64_t stall_ns, bool *contended);
void sm_lock_release(struct sm_lock_shm *l);

#endif
