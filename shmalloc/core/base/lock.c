/* lock.c - robust process-shared mutex with a bounded wait. Owns nothing but the words of the lock it is given.
 * Source: pthread_mutex_consistent(3), pthread_mutex_clocklock(3).
 */
#include "lock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "atomic.h"
#include "os.h"

#define SPIN_ROUNDS 200

enum sm_err sm_lock_format(struct sm_lock_shm *l) {
    pthread_mutexattr_t attr;
    memset(l, 0, sizeof *l);
    int rc = pthread_mutexattr_init(&attr);
    if (rc != 0) {
        return sm_os_error(rc);
    }
    if ((rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED)) == 0 &&
        (rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST)) == 0) {
        rc = pthread_mutex_init(&l->l_mutex.m, &attr);
    }
    pthread_mutexattr_destroy(&attr);
    return rc == 0 ? SM_OK : sm_os_error(rc);
}

/* The mutex is ours with rc 0 or EOWNERDEAD. A crash here leaves it held by a dead thread: the next one gets
 * EOWNERDEAD; l_dirty stays until whoever rebuilds clears it. */
static enum sm_err lock_taken(struct sm_lock_shm *l, uint32_t cpu, int rc) {
    if (rc == EOWNERDEAD) {
        l->l_dirty = SM_LOCK_DIED;
        pthread_mutex_consistent(&l->l_mutex.m);
    }
    sm_store_rlx(&l->l_owner, cpu + 1);
    return sm_load_acq(&l->l_dirty) ? SM_DEAD_PEER : SM_OK; /* pairs with sm_arena_spoil */
}

enum sm_err sm_lock_acquire(struct sm_lock_shm *l, uint32_t cpu, int64_t stall_ns, bool *contended) {
    int rc = pthread_mutex_trylock(&l->l_mutex.m);
    *contended = rc == EBUSY;
    if (rc == EBUSY) {
        sm_add_rlx(&l->l_contended, 1);
        for (int i = 0; i < SPIN_ROUNDS && rc == EBUSY; i++) {
            sm_cpu_relax();
            if ((i & 15) == 15) {
                rc = pthread_mutex_trylock(&l->l_mutex.m);
            }
        }
    }
    if (rc == EBUSY) {
#ifdef __SANITIZE_THREAD__ /* its runtime does not see pthread_mutex_clocklock take a lock */
        int64_t at = sm_os_wall_ns() + stall_ns;
        struct timespec deadline = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
        rc = pthread_mutex_timedlock(&l->l_mutex.m, &deadline);
#else
        int64_t at = sm_os_now_ns() + stall_ns;
        struct timespec deadline = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
        rc = pthread_mutex_clocklock(&l->l_mutex.m, CLOCK_MONOTONIC, &deadline);
#endif
    }
    if (rc == 0 || rc == EOWNERDEAD) {
        return lock_taken(l, cpu, rc);
    }
    return rc == ETIMEDOUT ? SM_STALLED : sm_os_error(rc);
}

void sm_lock_release(struct sm_lock_shm *l) {
    sm_store_rlx(&l->l_owner, 0);
    pthread_mutex_unlock(&l->l_mutex.m);
}
