/* userlock_watch.c - users' locks under a lock checker: the same calls, and what they came to is told through h_userlock.
 * Takes no lock; tells only outside of operations, so that the checker may run foreign code and take its own locks. Off,
 * none of this is entered.
 */
#include "userlock_impl.h"

_Static_assert((int)SM_LOCK_MUTEX == (int)SM_UL_MUTEX && (int)SM_LOCK_RWLOCK == (int)SM_UL_RWLOCK &&
                   (int)SM_LOCK_SX == (int)SM_UL_SX && (int)SM_LOCK_SEMAPHORE == (int)SM_UL_SEMAPHORE &&
                   (int)SM_LOCK_CONDITION == (int)SM_UL_CONDITION,
               "hooks.h names the same kinds");

enum sm_err sm_ul_acquired_watched(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns,
                                   enum sm_err err, void *caller) {
    uint32_t flags = (timeout_ns == 0 ? SM_LN_TRY : 0) | (sm_ul_reads(l, mode) ? SM_LN_READS : 0);
    if (sm_unlikely(err == SM_BUSY)) {
        if (timeout_ns != 0) { /* before anybody waits: a reversal is seen while all can move */
            sm_ul_tell(l, SM_LOCK_WAITS, flags, err, caller);
        }
        err = sm_ul_acquire_busy(l, mode, timeout_ns);
    }
    sm_ul_tell(l, err == SM_OK || err == SM_OWNER_DIED ? SM_LOCK_ACQUIRED : SM_LOCK_FAILED, flags, err, caller);
    return err;
}

enum sm_err sm_ul_released_watched(struct sm_userlock *l, enum sm_userlock_mode mode, enum sm_err err, void *caller) {
    uint32_t flags = sm_ul_reads(l, mode) ? SM_LN_READS : 0;
    if (sm_likely(err == SM_OK || err == SM_NOT_OWNER)) {
        sm_ul_tell(l, err == SM_OK ? SM_LOCK_RELEASED : SM_LOCK_NOT_HELD, flags, err, caller);
    }
    return err;
}

void sm_ul_turned_watched(struct sm_userlock *l, bool up, enum sm_err err, void *caller) {
    if (err == SM_OK || err == SM_OWNER_DIED) {
        sm_ul_tell(l, up ? SM_LOCK_UPGRADED : SM_LOCK_DOWNGRADED, 0, err, caller);
    } else if (err == SM_NOT_OWNER) {
        sm_ul_tell(l, SM_LOCK_NOT_TURNED, up ? SM_LN_READS : 0, err, caller);
    }
}

void sm_ul_destroyed_watched(struct sm_userlock *l) {
    sm_ul_tell(l, SM_LOCK_DESTROYED, 0, SM_OK, __builtin_return_address(0));
}
