/* hooks.h - the slots through which companions watch and torment the core.
 * Owns the catalogue of points and the table type; holds no table itself: each attachment has one.
 * A probe whose bit is clear in the attachment's mask costs one predictable branch. Nobody on this side of the
 * table may depend on what a hook does beyond what is said here.
 */
#ifndef SM_HOOKS_H
#define SM_HOOKS_H

#include <stdint.h>

#include "base/err.h"

#define SM_HOOKS_VERSION 3u
#define SM_HOOKS_CAPSULE "shmalloc._native.hooks"

/* X(id, name, fails with, text): places where a failure can be injected. Append only. */
#define SM_FAULT_POINTS(X)                                                                                             \
    X(SM_FP_PAGE, "page.supply", SM_NO_MEMORY, "the page allocator finds no run of pages")                             \
    X(SM_FP_COMMIT, "page.commit", SM_NO_MEMORY, "posix_fallocate reports a full file system")                         \
    X(SM_FP_META, "meta.block", SM_NO_MEMORY, "no memory for a slab's state block")                                    \
    X(SM_FP_SLAB, "slab.create", SM_NO_MEMORY, "a new slab is refused")                                                \
    X(SM_FP_BUCKET, "bucket.create", SM_NO_MEMORY, "no bucket: the cache is bypassed")                                 \
    X(SM_FP_INIT, "keg.init", SM_INIT_FAILED, "the keg's init refuses an item of a new slab")                          \
    X(SM_FP_ZINIT, "zone.init", SM_INIT_FAILED, "a secondary zone's init refuses an item")                             \
    X(SM_FP_CTOR, "zone.ctor", SM_CTOR_FAILED, "the ctor refuses an item")                                             \
    X(SM_FP_LIMIT, "zone.limit", SM_LIMIT, "the zone behaves as if it were at its limit")                              \
    X(SM_FP_ALLOC, "zone.alloc", SM_NO_MEMORY, "an allocation fails before it starts")                                 \
    X(SM_FP_PUT, "queue.put", SM_FULL, "the queue behaves as if it were full")                                         \
    X(SM_FP_GET, "queue.get", SM_EMPTY, "the queue behaves as if it were empty")                                       \
    X(SM_FP_ATTACH, "cpu.attach", SM_NO_CPU, "no CPU slot is found")                                                   \
    X(SM_FP_LOCK, "lock.acquire", SM_STALLED, "a lock's holder does not answer in time")                               \
    X(SM_FP_MALLOC, "malloc.alloc", SM_NO_MEMORY, "a malloc of any size fails")                                        \
    X(SM_FP_MAC, "mac.init", SM_CTOR_FAILED, "a MAC policy refuses a label; filter by the policy's name")              \
    X(SM_FP_TAG, "mbuf.tag", SM_NO_MEMORY, "no memory for a tag of a packet header")                                   \
    X(SM_FP_FORK, "cpu.fork", SM_NO_CPU, "a forked child finds no CPU slot of its own")                                \
    X(SM_FP_BARRIER, "cpu.membarrier", SM_UNSUPPORTED, "the kernel refuses membarrier(2)")

enum sm_fault_point {
#define SM_FP_ENUM(id, name, err, text) id,
    SM_FAULT_POINTS(SM_FP_ENUM)
#undef SM_FP_ENUM
        SM_FP_COUNT
};

/* X(id, name, rank, text): the allocator's own lock classes; ranks grow from the outermost to the innermost. Append
 * only. */
#define SM_LOCK_CLASSES(X)                                                                                             \
    X(SM_LC_QUIESCE, "quiesce", 10, "stops other CPUs, attaches, detaches")                                            \
    X(SM_LC_ADMIN, "admin", 20, "tables of zones, kegs, queues, types")                                                \
    X(SM_LC_KEG, "keg", 30, "slabs of one keg, full buckets of its zones")                                             \
    X(SM_LC_PAGE, "page", 40, "page runs, state blocks, bucket free list")                                             \
    X(SM_LC_SOCKBUF, "sockbuf", 25, "records and counts of one sockbuf")

enum sm_lock_class {
#define SM_LC_ENUM(id, name, rank, text) id,
    SM_LOCK_CLASSES(SM_LC_ENUM)
#undef SM_LC_ENUM
        SM_LC_COUNT
};

/* The flags of h_may_sleep that a lock checker trades; zone.h's SM_M_NOWAIT and SM_M_WAITOK. */
#define SM_HOOK_NOWAIT 1
#define SM_HOOK_WAITOK 2

/* What happened to a user's lock. All but WAITS are told after it happened, and all outside of the core's operations, with
 * none of its locks held: foreign code may run. */
enum sm_userlock_event {
    SM_LOCK_WAITS,      /* found taken; the thread is about to wait */
    SM_LOCK_ACQUIRED,   /* also when its former holder died */
    SM_LOCK_FAILED,     /* err says why: not waited for, timed out, would wait for itself */
    SM_LOCK_RELEASED,
    SM_LOCK_NOT_HELD,   /* a release by who does not hold it */
    SM_LOCK_UPGRADED,
    SM_LOCK_DOWNGRADED,
    SM_LOCK_NOT_TURNED, /* an upgrade (SM_LN_READS) or downgrade by who does not hold it so */
    SM_LOCK_DESTROYED,
};
enum sm_hook_lock_kind { SM_LOCK_MUTEX = 1, SM_LOCK_RWLOCK, SM_LOCK_SX, SM_LOCK_SEMAPHORE, SM_LOCK_CONDITION };
#define SM_LN_TRY 1u       /* would not wait */
#define SM_LN_READS 2u     /* as a reader */
#define SM_LN_RECURSIVE 4u /* its owner may take it again */

struct sm_userlock_face { /* what is constant about a user's lock as long as it lives */
    uint32_t f_id, f_gen; /* the same lock as long as both are the same */
    uint32_t f_kind;      /* enum sm_hook_lock_kind */
    uint32_t f_flags;     /* SM_LN_RECURSIVE */
    uint32_t f_permits;   /* of a semaphore */
    const char *f_name;   /* 32 bytes of shared memory, NUL-padded */
};

/* Bits of the mask: which hooks are armed. */
#define SM_HOOK_FAULT 1u   /* h_fault at every fault point */
#define SM_HOOK_LOCK 2u    /* h_lock around the core's locks */
#define SM_HOOK_SLEEP 4u   /* h_may_sleep before an M_WAITOK allocation */
#define SM_HOOK_CRASH 8u   /* h_crash between the steps of every operation */
#define SM_HOOK_USERLOCK 32u /* h_userlock at every call about a user's lock */
#define SM_HOOK_TRACE 16u  /* no hook: the arena's zones are all traced, so nothing may take the inline paths */

/* A bit of h_fault's flags: the point fails already, by debug.malloc.failure_rate; the hook is told, its answer counts for
 * nothing. No bit of the callers' flags (zone.h). */
#define SM_HOOK_FORCED 0x40000000

/* SM_OK lets the point pass; anything else is the error that the point then reports. Called with or without locks held:
 * must not call back into the arena. zone: name or NULL; bytes: size asked for, 0 if unknown. */
typedef enum sm_err sm_fault_hook(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags);
/* taken: 1 after acquiring, 0 before releasing. instance: tells locks of a class apart. */
typedef void sm_lock_hook(void *ctx, enum sm_lock_class cls, uint64_t instance, int taken);
/* Returns the flags to go on with: a lock checker may turn SM_HOOK_WAITOK into SM_HOOK_NOWAIT. nosleep: what
 * debug.nosleepwithlocks says. No lock of the core is held. */
typedef int sm_sleep_hook(void *ctx, const char *zone, int flags, int nosleep);
/* Between two steps of an operation; step is a constant unique in the source. */
typedef void sm_crash_hook(void *ctx, uint32_t step);
/* flags: SM_LN_TRY, SM_LN_READS; caller: return address of the call; err: why, of SM_LOCK_FAILED. */
typedef void sm_userlock_hook(void *ctx, const struct sm_userlock_face *lock, enum sm_userlock_event event,
                              uint32_t flags, void *caller, enum sm_err err);

struct sm_hooks { /* what one companion arms: the hooks of its mask, all with its ctx */
    uint32_t h_version; /* SM_HOOKS_VERSION */
    uint32_t h_mask;
    void *h_ctx;
    sm_fault_hook *h_fault;
    sm_lock_hook *h_lock;
    sm_sleep_hook *h_may_sleep;
    sm_crash_hook *h_crash;
    sm_userlock_hook *h_userlock;
};

struct sm_armed_hooks { /* what an attachment has armed: each hook with the ctx of the companion that it came from */
    uint32_t h_mask;
    void *h_fault_ctx, *h_lock_ctx, *h_sleep_ctx, *h_crash_ctx, *h_userlock_ctx;
    sm_fault_hook *h_fault;
    sm_lock_hook *h_lock;
    sm_sleep_hook *h_may_sleep;
    sm_crash_hook *h_crash;
    sm_userlock_hook *h_userlock;
};

#endif
