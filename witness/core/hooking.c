/* hooking.c - from an arena's hooks to the witness's calls. Takes no lock of its own.
 *
 * h_lock comes with the allocator's lock held, and perhaps inside an operation: no foreign code may run there, so no
 * stack of the language on top is taken and nobody is told before the operation is over.
 */
#include "hooking.h"

#include <string.h>

#include "check.h"
#include "class.h"
#include "held.h"
#include "order.h"
#include "report.h"
#include "thread.h"

static const char *const kind_names[] = {"?", "mutex", "rwlock", "sx", "semaphore", "condition"};

static uint32_t rules_of(const struct sm_userlock_face *f) {
    uint32_t flags = f->f_flags & SM_LN_RECURSIVE ? W_RECURSABLE : 0;
    if (f->f_kind == SM_LOCK_SX || f->f_kind == SM_LOCK_SEMAPHORE) {
        flags |= W_SLEEPABLE;
    }
    if (f->f_kind == SM_LOCK_SEMAPHORE && f->f_permits > 1) {
        flags |= W_RECURSABLE | W_DUPOK; /* it has a permit more */
    }
    return flags;
}

static __attribute__((noinline)) uint32_t class_learn(struct w_hooking *k, const struct sm_userlock_face *f,
                                                      uint64_t life) {
    char name[W_NAME_BYTES] = {0};
    uint32_t id = W_NO_CLASS, kinds = sizeof kind_names / sizeof *kind_names;
    const char *called = f->f_type != NULL ? f->f_type : f->f_name;
    memcpy(name, called, strnlen(called, 32));
    enum sm_err err =
        w_class_get(k->k_block, name, kind_names[f->f_kind < kinds ? f->f_kind : 0], f->f_subclass, rules_of(f), &id);
    if (err != SM_OK && err != SM_MISMATCH) {
        return W_NO_CLASS;
    }
    if (f->f_id < W_ARENA_LOCKS) {
        k->k_lock[f->f_id].k_class = id;
        k->k_lock[f->f_id].k_role = f->f_role;
        sm_store_rel(&k->k_lock[f->f_id].k_life, life);
    }
    return id;
}

static inline __attribute__((always_inline)) uint32_t class_of(struct w_hooking *k, const struct sm_userlock_face *f,
                                                               uint64_t instance) {
    if (f->f_id < W_ARENA_LOCKS && sm_load_acq(&k->k_lock[f->f_id].k_life) == instance &&
        k->k_lock[f->f_id].k_role == f->f_role) {
        return k->k_lock[f->f_id].k_class;
    }
    return class_learn(k, f, instance);
}

static __attribute__((noinline)) void on_rest(struct w_hooking *k, uint32_t id, uint64_t instance,
                                              enum sm_userlock_event event, uint32_t flags, void *caller,
                                              enum sm_err err) {
    struct w_block *b = k->k_block;
    bool reads = flags & SM_LN_READS;
    enum w_mode mode = reads ? W_SHARED_RECURSIVE : W_EXCLUSIVE;
    switch (event) {
    case SM_LOCK_ACQUIRED:
    case SM_LOCK_RELEASED:
        break; /* on_userlock's */
    case SM_LOCK_WAITS:
        w_before_acquire(b, id, instance, mode, 0, caller);
        break;
    case SM_LOCK_FAILED:
        w_not_acquired(b, id, instance);
        if (err == SM_DEADLOCK) {
            w_recursion(b, id, instance, mode, caller);
        }
        break;
    case SM_LOCK_NOT_HELD:
        w_report_misuse(b, "release of a lock that is not held", id, instance, mode, caller, NULL);
        break;
    case SM_LOCK_UPGRADED:
        w_upgrade(b, id, instance, caller);
        break;
    case SM_LOCK_DOWNGRADED:
        w_downgrade(b, id, instance, caller);
        break;
    case SM_LOCK_NOT_TURNED:
        w_report_misuse(
            b, reads ? "upgrade of a lock that is not held shared" : "downgrade of a lock that is not held alone", id,
            instance, mode, caller, NULL);
        break;
    case SM_LOCK_DESTROYED:
        w_lock_destroyed(b, id, instance, caller);
        break;
    }
}

/* Given back by another handle than it was taken by, which is of another role: the class that it is held as. */
static __attribute__((noinline)) uint32_t class_held(const struct w_hooking *k, const struct sm_userlock_face *f,
                                                     uint32_t id, uint64_t instance) {
    const struct w_thread_shm *t = w_thread_self(k->k_block);
    uint32_t found = id, kinds = sizeof kind_names / sizeof *kind_names;
    const char *kind = kind_names[f->f_kind < kinds ? f->f_kind : 0];
    for (uint32_t i = t != NULL ? w_held_count(t) : 0; i-- > 0;) {
        const struct w_held_shm *d = &t->t_held[i];
        if (d->d_instance == instance && d->d_class == id) {
            return id;
        }
        if (d->d_instance == instance && d->d_class < k->k_block->b_max_classes &&
            strncmp(k->k_block->b_classes[d->d_class].c_kind, kind, W_KIND_BYTES) == 0) {
            found = d->d_class;
        }
    }
    return found;
}

static void on_userlock(void *ctx, const struct sm_userlock_face *f, enum sm_userlock_event event, uint32_t flags,
                        void *caller, enum sm_err err) {
    struct w_hooking *k = ctx;
    struct w_block *b = k->k_block;
    uint64_t instance = (uint64_t)f->f_gen << 32 | (f->f_id + 1);
    uint32_t id = class_of(k, f, instance);
    if (w_unlikely(id == W_NO_CLASS)) {
        return;
    }
    if (event == SM_LOCK_ACQUIRED) {
        /* A reader of these locks waits for an owner, and for waiting writers no longer than a slice. */
        w_acquired(b, id, instance, flags & SM_LN_READS ? W_SHARED_RECURSIVE : W_EXCLUSIVE,
                   flags & SM_LN_TRY ? W_TRY : 0, caller);
    } else if (event == SM_LOCK_RELEASED) {
        struct w_thread_shm *t = w_thread_self(b);
        if (w_unlikely(t == NULL || !w_held_pop(b, t, id, instance))) {
            w_release(b, class_held(k, f, id, instance), instance, false,
                      caller); /* taken before we watched, if it is not known */
        }
    } else {
        on_rest(k, id, instance, event, flags, caller, err);
    }
    if (w_unlikely(sm_load_rlx(&b->b_pendings) != 0)) {
        w_report_flush(b);
    }
}

static void on_lock(void *ctx, enum sm_lock_class cls, uint64_t instance, int taken) {
    struct w_hooking *k = ctx;
    w_local.l_quiet++;
    if (taken) {
        w_acquired(k->k_block, k->k_core[cls], instance, W_EXCLUSIVE, W_QUIET, NULL);
    } else {
        w_release(k->k_block, k->k_core[cls], instance, false, NULL);
    }
    w_local.l_quiet--;
}

/* The matrix of uma.md: with locks held and nosleep set the caller goes on with M_NOWAIT. */
static int on_may_sleep(void *ctx, const char *zone, int flags, int nosleep) {
    struct w_hooking *k = ctx;
    uint32_t held = w_may_sleep(k->k_block, "malloc(M_WAITOK)", zone, nosleep != 0, __builtin_return_address(0));
    return held != 0 && nosleep ? (flags & ~SM_HOOK_WAITOK) | SM_HOOK_NOWAIT : flags;
}

enum sm_err w_hooking_init(struct w_hooking *k, struct w_block *b) {
    static const struct {
        const char *name;
        int rank;
    } core[] = {
#define W_CORE_ROW(id, name, rank, text) [id] = {name, rank},
        SM_LOCK_CLASSES(W_CORE_ROW)
#undef W_CORE_ROW
    };
    memset(k, 0, sizeof *k);
    k->k_block = b;
    for (int i = 0; i < SM_LC_COUNT; i++) {
        enum sm_err err = w_class_get(b, core[i].name, "core", 0, W_CORE, &k->k_core[i]);
        if (err != SM_OK && err != SM_MISMATCH) {
            return err;
        }
    }
    for (int i = 0; i < SM_LC_COUNT; i++) {
        for (int j = 0; j < SM_LC_COUNT; j++) {
            uint32_t cell = sm_load_acq(w_cell(b, k->k_core[i], k->k_core[j]));
            if (core[i].rank < core[j].rank && !w_order_known(cell, W_EN)) {
                enum sm_err err = w_declare(b, k->k_core[i], k->k_core[j]);
                if (err != SM_OK) {
                    return err;
                }
            }
        }
    }
    return SM_OK;
}

void w_hooking_table(struct w_hooking *k, struct sm_hooks *out) {
    *out = (struct sm_hooks){.h_version = SM_HOOKS_VERSION,
                             .h_mask = W_HOOKS,
                             .h_ctx = k,
                             .h_lock = on_lock,
                             .h_may_sleep = on_may_sleep,
                             .h_userlock = on_userlock};
}
