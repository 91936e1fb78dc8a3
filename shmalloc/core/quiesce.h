/* quiesce.h - entering and leaving operations, and stopping other CPUs between theirs.
 * Owns the protocol between cpu_op (owner) and cpu_claim (visitor). Takes the quiesce lock. After the "biased locking"
 * idea: the owner uses plain stores, the visitor pays membarrier(2).
 *
 *   owner                                visitor (holds the quiesce lock)
 *     cpu_op = op                          cpu_claim = 1
 *     compiler barrier     <-- pairs -->   membarrier(2)
 *     if (cpu_claim) back off              wait until cpu_op == 0, or the owner is dead
 *     ... work ...                         ... work on the owner's buckets ...
 *     cpu_op = 0 (release)                 cpu_claim = 0 (release)
 * Either the owner's load sees the claim, or the visitor's load sees the op word: the membarrier is a full fence between
 * the owner's store and its load, wherever it lands (Dekker). In fenced mode the owner executes the fence itself.
 */
#ifndef SM_QUIESCE_H
#define SM_QUIESCE_H

#include "arena.h"

/* Order the owner's op store before its claim load. */
static inline void sm_op_order(const struct sm_arena *a) {
    if (sm_unlikely(a->a_fenced)) {
        sm_full_fence();
    } else {
        sm_compiler_barrier();
    }
}

/* Starts an operation; waits while somebody holds this CPU's claim. No lock held by the caller. SM_STALLED, SM_FORKED. */
enum sm_err sm_op_enter(struct sm_arena *a, uint64_t opword);
static inline void sm_op_leave(struct sm_arena *a) {
    sm_store_rel(&a->a_cpu->cpu_op, 0);
}

/* The core's locks, with the hooks and the owner's name. SM_DEAD_PEER: held, and dirty. */
enum sm_err sm_arena_lock(struct sm_arena *a, struct sm_lock_shm *l, enum sm_lock_class cls, uint64_t instance);
void sm_arena_unlock(struct sm_arena *a, struct sm_lock_shm *l, enum sm_lock_class cls, uint64_t instance);
/* What is given back cannot be kept because a live peer does not answer: the giver stores the truth without the lock and
 * spoils it, so that whoever takes it next has what it protects rebuilt (SM_DEAD_PEER, recovery). Inside an operation:
 * no recovery is at work meanwhile. */
void sm_arena_spoil(struct sm_lock_shm *l);

/* A lock's holder died: runs recovery, which rebuilds what the lock protects, and says whether to begin the operation
 * again. Op word clear, no lock held; tries bounds how often one call does it. */
static inline bool sm_op_again(struct sm_arena *a, enum sm_err *err, int *tries) {
    if (sm_likely(*err != SM_DEAD_PEER) || (*tries)++ > 8) {
        return false;
    }
    *err = a->a_recover(a);
    return *err == SM_OK;
}

/* One operation with the admin lock held, begun again after a death that left the tables in doubt. */
enum sm_err sm_admin_enter(struct sm_arena *a);
void sm_admin_leave(struct sm_arena *a);
/* The same once, and with every other CPU stopped: for what an attempt that holds no lock must not see change. id: the
 * object's, for the op word. Recovery cannot run here, so SM_DEAD_PEER comes out: leave, then sm_op_again. */
enum sm_err sm_admin_enter_stopped(struct sm_arena *a, uint32_t id);
void sm_admin_leave_stopped(struct sm_arena *a);

/* Takes the quiesce lock. Own op word clear, no lock held. If a reaper died at work its work is done again first, dtors
 * and all: on return this CPU may have freed items of others, so its buckets need not be what they were. */
enum sm_err sm_quiesce_begin(struct sm_arena *a);
enum sm_err sm_quiesce_take(struct sm_arena *a); /* the reaper's own: the lock alone */
/* Stops one CPU, or every live CPU but this one, until sm_quiesce_end. SM_STALLED names the CPU in a_blocker. */
enum sm_err sm_quiesce_cpu(struct sm_arena *a, uint32_t cpu);
enum sm_err sm_quiesce_all(struct sm_arena *a);
void sm_quiesce_end(struct sm_arena *a);

/* Brackets a wait for another process (futex, queue): op word clear, no lock held. */
static inline void *sm_block_begin(struct sm_arena *a) {
    return a->a_runtime.rt_block_begin ? a->a_runtime.rt_block_begin(a->a_runtime.rt_ctx) : NULL;
}
static inline enum sm_err sm_block_end(struct sm_arena *a, void *token) {
    if (a->a_runtime.rt_block_end && a->a_runtime.rt_block_end(a->a_runtime.rt_ctx, token)) {
        return SM_INTERRUPTED;
    }
    return SM_OK;
}

#endif
