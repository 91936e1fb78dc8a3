/* userlock.h - locks for users, by name, whose holder may die: mutex, rwlock, sx, semaphore, condition. The next one to
 * take a lock whose holder died gets SM_OWNER_DIED, holds it, may repair what it protects, and goes on; no lock ever
 * becomes unusable. Takes the admin lock to create. Must not be confused with base/lock.h, the core's own locks.
 *
 * Who holds: a mutex and a writer are a (CPU, thread) pair; readers and permits are counted for each CPU. Holds of a
 * CPU that dies or detaches are given back by recovery (reap_locks.c) or by the detach itself.
 * After the robust mutexes of POSIX, and FreeBSD's rwlock(9), sx(9), sema(9) and condvar(9).
 */
#ifndef SM_USERLOCK_H
#define SM_USERLOCK_H

#include "arena.h"

struct sm_userlock; /* process-local handle, used through the attachment that opened it */

enum sm_userlock_mode { SM_EXCLUSIVE, SM_SHARED }; /* of an rwlock or sx; other kinds have but one, and ignore it */

struct sm_userlock_params {
    const char *up_name;
    enum sm_userlock_kind up_kind;
    bool up_recursive; /* mutex: its owner may take it again */
    uint32_t up_permits; /* semaphore: 1 or more; opening with 0 takes what is there */
    struct sm_userlock *up_mutex; /* condition: what it is used with; must be a mutex of the same attachment */
};

/* SM_EXISTS: the name is taken, by a lock of whatever kind. */
enum sm_err sm_userlock_create(struct sm_arena *a, const struct sm_userlock_params *p, struct sm_userlock **out);
/* SM_NOT_FOUND; SM_MISMATCH when it is of another kind or was made with other parameters. */
enum sm_err sm_userlock_open(struct sm_arena *a, const struct sm_userlock_params *p, struct sm_userlock **out);
/* What a lock checker is to take this handle's lock for: one of the locks of `type`, in the order of subclasses. A matter
 * of the handle alone: whoever opens the lock says the same. SM_INVALID: no type, or a condition. SM_NAME_TOO_LONG. */
enum sm_err sm_userlock_role(struct sm_userlock *l, const char *type, uint32_t subclass);
void sm_userlock_close(struct sm_userlock *l);
enum sm_err sm_userlock_destroy(struct sm_userlock *l); /* SM_BUSY: somebody holds it, or waits */

/* timeout_ns: 0 does not wait (SM_BUSY), negative waits for ever, else SM_TIMEOUT. SM_OWNER_DIED: held, like SM_OK; this
 * goes on until sm_userlock_repaired. SM_DEADLOCK: this thread owns it. SM_GONE: destroyed, maybe while waiting.
 * Writers go first: a new reader waits while a writer does, unless its CPU reads already, or it has waited so long that
 * the writers may be stopped. Among equals there is no order. */
enum sm_err sm_userlock_acquire(struct sm_userlock *l, enum sm_userlock_mode mode, int64_t timeout_ns);
/* SM_NOT_OWNER: this thread does not own it, or this CPU has no such hold. */
enum sm_err sm_userlock_release(struct sm_userlock *l, enum sm_userlock_mode mode);
/* What the lock protects is whole again. The owner says so, or whoever holds a permit; else SM_NOT_OWNER. A lock given
 * back without it tells the next one again. */
enum sm_err sm_userlock_repaired(struct sm_userlock *l);
/* sx: the one reader becomes the owner, SM_BUSY when there are others; the owner becomes a reader. */
enum sm_err sm_userlock_upgrade(struct sm_userlock *l);
enum sm_err sm_userlock_downgrade(struct sm_userlock *l);
bool sm_userlock_held(const struct sm_userlock *l, enum sm_userlock_mode mode);

/* Gives the mutex back, sleeps until notified, takes it again however often it was held. May return without a reason:
 * look at what is waited for. SM_TIMEOUT: not notified in time; the mutex is held again. SM_OWNER_DIED: the same, and its
 * owner died meanwhile. SM_INTERRUPTED: held again, unless every attempt to take it was interrupted too: ask
 * sm_userlock_held. SM_NOT_OWNER. */
enum sm_err sm_condition_wait(struct sm_userlock *c, int64_t timeout_ns);
enum sm_err sm_condition_notify(struct sm_userlock *c, uint32_t waiters);

struct sm_userlock_stats {
    char ls_name[SM_NAME_BYTES];
    char ls_mutex[SM_NAME_BYTES]; /* of a condition */
    uint32_t ls_id, ls_kind;
    bool ls_recursive, ls_died;
    uint32_t ls_owner; /* CPU, SM_CPU_NONE */
    uint32_t ls_permits;
    uint64_t ls_holds; /* readers, permits that are out; 1 for an owner */
    uint64_t ls_waiters, ls_acquires, ls_contended, ls_deaths;
    uint32_t ls_dead_cpu, ls_dead_pid; /* the last of the deaths */
};
/* SM_NOT_FOUND for an id not in use: count ids from 0 to SM_MAX_LOCKS. */
enum sm_err sm_userlock_stats(const struct sm_arena *a, uint32_t id, struct sm_userlock_stats *out);
uint32_t sm_userlock_id(const struct sm_userlock *l);
const struct sm_userlock_shm *sm_userlock_shared(const struct sm_userlock *l);

/* Inside the core. A CPU that detaches gives back what it holds: as if it had died, with an event. */
enum sm_err sm_userlock_depart(struct sm_arena *a);
/* Records and logs a holder that is gone, `how` ("died", "left"); the caller then sets SM_UL_DIED in the word. */
void sm_userlock_mourn(struct sm_arena *a, struct sm_userlock_shm *s, uint32_t cpu, const char *how);
static inline uint32_t sm_userlock_used(const struct sm_arena *a) { /* ids below this may be in use */
    uint32_t n = sm_load_acq(&a->a_ctl->ctl_locks);
    return n < SM_MAX_LOCKS ? n : SM_MAX_LOCKS;
}
static inline struct sm_userlock_hold_shm *sm_userlock_cells(const struct sm_arena *a, uint32_t id) {
    return &a->a_holds[(uint64_t)id * a->a_header->h_max_cpus];
}

#endif
