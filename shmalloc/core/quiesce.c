/* quiesce.c - the slow half of biased ownership: stopping a CPU between two of its operations, waiting while somebody
 * stopped us. Takes the quiesce lock, and none while it waits for an op word. Source: membarrier(2).
 */
#include "quiesce.h"

#include "base/assert.h"
#include "cpu.h"
#include "tunable.h"

#define SPIN_ROUNDS 256
#define ALIVE_EVERY 64 /* yields between two looks at a CPU's lock byte */

static int64_t stall_ns(const struct sm_arena *a) {
    return sm_tunable_get(a, SM_TU_STALL_MS) * 1000000;
}

enum sm_err sm_arena_lock(struct sm_arena *a, struct sm_lock_shm *l, enum sm_lock_class cls, uint64_t instance) {
    enum sm_err err = sm_fault(a, SM_FP_LOCK, NULL, 0, 0);
    if (err != SM_OK) {
        return err;
    }
    err = sm_lock_acquire(l, a->a_cpu_id, stall_ns(a), &a->a_contended);
    if (err == SM_OK) {
        if (sm_unlikely(a->a_hooks.h_mask & SM_HOOK_LOCK)) {
            a->a_hooks.h_lock(a->a_hooks.h_lock_ctx, cls, instance, 1);
        }
        return SM_OK;
    }
    if (err == SM_DEAD_PEER) {
        sm_lock_release(l); /* still dirty: nobody gets in before recovery has rebuilt what it protects */
    } else if (err == SM_STALLED) {
        a->a_blocker = sm_load_rlx(&l->l_owner) - 1;
    }
    return err;
}

void sm_arena_unlock(struct sm_arena *a, struct sm_lock_shm *l, enum sm_lock_class cls, uint64_t instance) {
    if (sm_unlikely(a->a_hooks.h_mask & SM_HOOK_LOCK)) {
        a->a_hooks.h_lock(a->a_hooks.h_lock_ctx, cls, instance, 0);
    }
    sm_lock_release(l);
}

void sm_arena_spoil(struct sm_lock_shm *l) {
    uint32_t clean = 0;
    (void)sm_cas(&l->l_dirty, &clean,
                 SM_LOCK_SPOILED); /* after the truth; pairs with the next taker's look, lock_taken */
}

static void claims_lower(struct sm_arena *a) {
    for (uint32_t i = 0; i < a->a_header->h_max_cpus; i++) {
        if (sm_load_rlx(&a->a_cpus[i].cpu_claim) & SM_CLAIM_QUIESCE) {
            /* Release: what was done to the buckets is visible to the owner, whose load of the claim acquires. */
            sm_and_acqrel(&a->a_cpus[i].cpu_claim, ~SM_CLAIM_QUIESCE);
        }
    }
}

enum sm_err sm_quiesce_take(struct sm_arena *a) {
    struct sm_lock_shm *l = &a->a_ctl->ctl_quiesce;
    enum sm_err err = sm_lock_acquire(l, a->a_cpu_id, stall_ns(a), &a->a_contended);
    if (err == SM_DEAD_PEER) {
        /* The holder died with claims raised, or halfway through a slot. Claims are ours to lower; a slot is LIVE with
         * its lock byte free, or FREE: both are states that slot_find understands. If it was rebuilding, nobody may move
         * before that is done again from the start. */
        l->l_dirty = 0;
        if (!a->a_ctl->ctl_reaping) {
            claims_lower(a);
        }
        err = SM_OK;
    } else if (err == SM_STALLED) {
        a->a_blocker = sm_load_rlx(&l->l_owner) - 1;
    }
    if (err == SM_OK && sm_unlikely(a->a_hooks.h_mask & SM_HOOK_LOCK)) {
        a->a_hooks.h_lock(a->a_hooks.h_lock_ctx, SM_LC_QUIESCE, 0, 1);
    }
    return err;
}

enum sm_err sm_quiesce_begin(struct sm_arena *a) {
    enum sm_err err = sm_quiesce_take(a);
    while (err == SM_OK && a->a_ctl->ctl_reaping) { /* its reaper died, or failed, at work */
        err = a->a_rebuild(a);
        if (err == SM_OK) {
            err = sm_quiesce_take(a);
        }
    }
    return err;
}

void sm_quiesce_end(struct sm_arena *a) {
    if (!a->a_ctl->ctl_reaping) { /* else recovery failed halfway: everybody waits until somebody's succeeds */
        claims_lower(a);
    }
    sm_arena_unlock(a, &a->a_ctl->ctl_quiesce, SM_LC_QUIESCE, 0);
}

/* The claim is up and a full fence has passed on every processor: wait for the operation in progress to end. */
static enum sm_err wait_quiet(struct sm_arena *a, uint32_t cpu) {
    struct sm_cpu_shm *c = &a->a_cpus[cpu];
    int64_t deadline = 0;
    for (uint32_t round = 0;; round++) {
        if (sm_load_acq(&c->cpu_op) == 0) { /* pairs with the release store in sm_op_leave */
            return SM_OK;
        }
        if (round < SPIN_ROUNDS) {
            sm_cpu_relax();
            continue;
        }
        if (round % ALIVE_EVERY == 0) {
            if (!sm_cpu_alive(a, cpu)) {
                return SM_OK; /* dead: it will not move again */
            }
            int64_t now = sm_os_now_ns();
            if (deadline == 0) {
                deadline = now + stall_ns(a);
            } else if (now > deadline) {
                a->a_blocker = cpu;
                return SM_STALLED;
            }
        }
        if (round < 16 * SPIN_ROUNDS) {
            sm_os_yield();
        } else {
            sm_os_nap_ns(50000);
        }
    }
}

static bool quiesce_raise(struct sm_arena *a, uint32_t cpu) {
    struct sm_cpu_shm *c = &a->a_cpus[cpu];
    if (cpu == a->a_cpu_id || sm_load_acq(&c->cpu_state) == SM_CPU_FREE) {
        return false;
    }
    sm_or_acqrel(&c->cpu_claim, SM_CLAIM_QUIESCE);
    c->cpu_visits++;
    return true;
}

static void fence_everywhere(const struct sm_arena *a) {
    if (a->a_fenced) {
        sm_full_fence(); /* pairs with the owner's own fence in sm_op_order */
    } else {
        sm_os_membarrier(); /* pairs with the owner's compiler barrier in sm_op_order */
    }
}

enum sm_err sm_quiesce_cpu(struct sm_arena *a, uint32_t cpu) {
    if (!quiesce_raise(a, cpu)) {
        return SM_OK;
    }
    fence_everywhere(a);
    return wait_quiet(a, cpu);
}

enum sm_err sm_quiesce_all(struct sm_arena *a) {
    enum sm_err err = SM_OK;
    uint32_t high = sm_load_rlx(&a->a_ctl->ctl_cpu_high);
    if (high > a->a_header->h_max_cpus) {
        return SM_CORRUPT;
    }
    bool any = false;
    for (uint32_t i = 0; i < high; i++) {
        any = quiesce_raise(a, i) || any;
    }
    if (!any) {
        return SM_OK;
    }
    fence_everywhere(a);
    for (uint32_t i = 0; i < high && err == SM_OK; i++) {
        if (i != a->a_cpu_id && sm_load_rlx(&a->a_cpus[i].cpu_claim) & SM_CLAIM_QUIESCE) {
            err = wait_quiet(a, i);
        }
    }
    return err;
}

enum sm_err sm_op_enter(struct sm_arena *a, uint64_t opword) {
    for (;;) {
        if (sm_unlikely(a->a_cpu == &a->a_orphan)) {
            enum sm_err err = a->a_ensure(a);
            if (err != SM_OK) {
                return err;
            }
        }
        struct sm_cpu_shm *c = a->a_cpu;
        if (SM_PROBED(a, SM_HOOK_FAULT) && sm_load_rlx(&c->cpu_op) != 0) {
            return SM_CORRUPT; /* an error path left an operation open: under test it stays so, to be seen */
        }
        SM_ASSERT(sm_load_rlx(&c->cpu_op) == 0);
        sm_store_rlx(&c->cpu_op, opword);
        sm_op_order(a);
        if (sm_likely((sm_load_acq(&c->cpu_claim) & SM_CLAIM_QUIESCE) == 0)) {
            return SM_OK;
        }
        sm_store_rel(&c->cpu_op, 0);
        /* Whoever raised the claim holds the quiesce lock until it is lowered; if it died, taking the lock lowers it. */
        enum sm_err err = sm_quiesce_begin(a);
        if (err != SM_OK) {
            return err;
        }
        sm_quiesce_end(a);
    }
}

enum sm_err sm_admin_enter(struct sm_arena *a) {
    enum sm_err err;
    int tries = 0;
    do {
        if ((err = sm_op_enter(a, SM_OPWORD(SM_OP_ADMIN, 0, 0))) != SM_OK) {
            return err;
        }
        if ((err = sm_arena_lock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0)) == SM_OK) {
            return SM_OK;
        }
        sm_op_leave(a);
    } while (sm_op_again(a, &err, &tries));
    return err;
}

void sm_admin_leave(struct sm_arena *a) {
    sm_arena_unlock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0);
    sm_op_leave(a);
}

enum sm_err sm_admin_enter_stopped(struct sm_arena *a, uint32_t id) {
    enum sm_err err = a->a_cpu == &a->a_orphan ? a->a_ensure(a) : SM_OK;
    if (err != SM_OK || (err = sm_quiesce_begin(a)) != SM_OK) {
        return err;
    }
    if ((err = sm_quiesce_all(a)) == SM_OK && (err = sm_op_enter(a, SM_OPWORD(SM_OP_ADMIN, id, 0))) == SM_OK) {
        if ((err = sm_arena_lock(a, &a->a_ctl->ctl_admin, SM_LC_ADMIN, 0)) == SM_OK) {
            return SM_OK;
        }
        sm_op_leave(a);
    }
    sm_quiesce_end(a);
    return err;
}

void sm_admin_leave_stopped(struct sm_arena *a) {
    sm_admin_leave(a);
    sm_quiesce_end(a);
}
