/* zone_alloc.c - allocation beyond the fast path, in UMA's order: CPU buckets, full buckets, slabs, a new slab, other
 * CPUs' buckets, sleep. Takes the keg lock in sections; runs ctors and zone inits outside them.
 *
 * Unwinding (each row counts one fail and leaves no counter behind):
 *   zone init refuses item i of a fill   items i.. go back without fini, the fill ends at i; i == 0: one item is tried
 *   zone init refuses the single item    back to the keg, no fini
 *   ctor refuses                         no dtor, zone fini, back to the slab and not to a bucket, even under M_WAITOK
 */
#include <string.h>

#include "base/assert.h"
#include "quiesce.h"
#include "site.h"
#include "tunable.h"
#include "zone_impl.h"

enum zone_alloc_step {
    STEP_RAW_TAKEN = 0x300,
    STEP_RAW_SHARED,
    STEP_BUCKET_SWAPPED,
    STEP_CONSTRUCTED,
    STEP_REFUSED,
    STEP_WORDS_OWNED
};

enum sm_err sm_zone_enter(struct sm_zone *z, uint64_t opword) {
    struct sm_arena *a = z->z_arena;
    enum sm_err err;
    int tries = 0;
    do {
        if ((err = sm_op_enter(a, opword)) != SM_OK) {
            return err;
        }
        err = sm_keg_lock(a, z->z_keg_id);
        if (err == SM_OK) {
            if (z->z_shm->z_gen == z->z_gen && sm_load_acq(&z->z_shm->z_state) != SM_ZONE_FREE) {
                return SM_OK;
            }
            sm_keg_unlock(a, z->z_keg_id);
            err = SM_GONE;
        }
        sm_op_leave(a);
    } while (sm_op_again(a, &err, &tries));
    return err;
}

void sm_zone_leave(struct sm_zone *z) {
    sm_keg_unlock(z->z_arena, z->z_keg_id);
    sm_op_leave(z->z_arena);
}

/* ---------------------------------------------------------------- zone init between keg and zone */

/* Runs the zone's init over raw items (CONSTRUCTING). *n becomes how many it accepted; the others go back. */
static enum sm_err init_raw(struct sm_zone *z, int flags, struct sm_entry *e, uint32_t *n) {
    enum sm_err err = SM_OK;
    uint32_t i = 0;
    for (; i < *n; i++) {
        err = sm_fault_callback(z->z_arena, SM_FP_ZINIT, z->z_shm->z_name, z->z_item_bytes, flags);
        if (err == SM_OK && z->z_fn[SM_CB_INIT]) {
            /* Only the first is waited for: the others fill a bucket. */
            int how = i == 0 ? flags : (flags & ~SM_M_WAITOK) | SM_M_NOWAIT;
            int rc = sm_zone_run(z, SM_CB_INIT, e[i].e_item, NULL, how);
            if (rc != 0) {
                z->z_arena->a_callback_errno = rc;
                err = SM_INIT_FAILED;
            }
        }
        if (err != SM_OK) {
            break;
        }
    }
    if (i < *n) {
        enum sm_err back = sm_zone_retire(z, e + i, *n - i, false, false);
        sm_add_rlx(&z->z_shm->z_init_fails, 1);
        *n = i;
        return back == SM_OK ? err : back;
    }
    return SM_OK;
}

/* The first accepted item is the caller's, the others go into the alloc bucket. */
static enum sm_err share_raw(struct sm_zone *z, const struct sm_entry *e, uint32_t n, uint32_t low,
                             struct sm_entry *out) {
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err != SM_OK) {
        (void)sm_zone_retire(z, e, n, false, true);
        return err;
    }
    struct sm_cache_shm *c = z->z_cache;
    uint64_t *word = sm_at(z->z_arena, e[0].e_word);
    uint32_t i = 1;
    sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | low);
    for (; i < n && sm_zone_room(z); i++) {
        word = sm_at(z->z_arena, e[i].e_word);
        sm_bucket_at(z->z_arena, c->c_alloc)->b_entry[c->c_alloc_n] = e[i];
        sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_cached);
        sm_crash_point(z->z_arena, STEP_RAW_SHARED);
        sm_store_rlx(&c->c_alloc_n, c->c_alloc_n + 1);
        sm_bump(&c->c_allocs, (uint64_t)-1);
    }
    sm_zone_leave(z);
    *out = e[0];
    return i < n ? sm_zone_retire(z, e + i, n - i, false, true) : SM_OK;
}

static enum sm_err take_raw(struct sm_zone *z, int flags, uint32_t want, uint32_t low, struct sm_entry *out) {
    struct sm_entry raw[SM_BUCKET_ITEMS];
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_SLOW, z->z_id, 0));
    if (err != SM_OK) {
        return err;
    }
    uint32_t n =
        sm_keg_take(z->z_arena, z->z_keg_id, z->z_low_constructing, (flags & SM_M_USE_RESERVE) != 0, want, raw);
    sm_bump(&z->z_cache->c_allocs, n);
    sm_zone_leave(z);
    sm_crash_point(z->z_arena, STEP_RAW_TAKEN);
    if (n == 0) {
        return SM_EMPTY;
    }
    err = init_raw(z, flags, raw, &n);
    if (n > 0) {
        return share_raw(z, raw, n, low, out);
    }
    return err == SM_INIT_FAILED && want > 1 ? take_raw(z, flags, 1, low, out) : err;
}

/* ---------------------------------------------------------------- refill */

/* The words of a bucket that comes into a cache, CACHED under whoever filled it, become CACHED under this CPU: the inline
 * path adds a constant to them (I6). The low half is the whole transition, as in cache_bulk.c, and is stored unseen: a look
 * would wait for the lines, which another CPU often has. A crash among them leaves CACHED items in no bucket: free. */
static void own_words(const struct sm_zone *z, const struct sm_bucket_shm *b, uint32_t count) {
    for (uint32_t i = count; i-- > 0;) {
        sm_store_rlx((uint32_t *)(z->z_base + b->b_entry[i].e_word), z->z_low_cached);
    }
    sm_crash_point(z->z_arena, STEP_WORDS_OWNED);
}

/* In a section: a full bucket of the zone becomes the alloc bucket. */
static bool refill_from_shelf(struct sm_zone *z) {
    struct sm_cache_shm *c = z->z_cache;
    uint32_t count = 0;
    sm_off_t full = sm_zone_unshelve(z, &count);
    if (full == 0) {
        return false;
    }
    const struct sm_bucket_shm *b = sm_bucket_at(z->z_arena, full);
    for (uint32_t i = 0; i < count; i++) { /* often another CPU freed them: its lines are asked for together */
        __builtin_prefetch(z->z_base + b->b_entry[i].e_word, 1);
    }
    own_words(z, b, count);
    sm_off_t empty = c->c_alloc;
    /* A crash between the lines leaves buckets that nothing points at, with items that are CACHED: both are rebuilt. */
    c->c_alloc = full;
    sm_crash_point(z->z_arena, STEP_BUCKET_SWAPPED);
    sm_store_rlx(&c->c_alloc_n, count);
    c->c_size = sm_zone_bucket_size(z);
    if (empty != 0 && c->c_free == 0) {
        c->c_free = empty;
    } else if (empty != 0) {
        (void)sm_bucket_destroy(z->z_arena, empty);
    }
    return count > 0;
}

/* In a section: a bucket is filled from slabs, or one item taken when buckets must not be used. */
static bool refill_from_slabs(struct sm_zone *z, bool reserve, uint32_t low, struct sm_entry *out) {
    struct sm_arena *a = z->z_arena;
    struct sm_cache_shm *c = z->z_cache;
    if (sm_zone_room(z)) {
        sm_store_rlx(&c->c_alloc_n, sm_keg_take(a, z->z_keg_id, z->z_low_cached, reserve, sm_zone_bucket_size(z),
                                                sm_bucket_at(a, c->c_alloc)->b_entry));
        return sm_cache_take(z, low, out);
    }
    if (sm_keg_take(a, z->z_keg_id, low, reserve, 1, out) == 1) {
        sm_bump(&c->c_allocs, 1);
        return true;
    }
    return false;
}

enum sm_err sm_zone_refill(struct sm_zone *z, int flags, uint32_t low, struct sm_entry *out) {
    struct sm_zone_shm *zs = z->z_shm;
    sm_zone_widen(z);
    enum sm_err err = sm_zone_enter(z, SM_OPWORD(SM_OP_ALLOC, z->z_id, 0));
    if (err != SM_OK) {
        return err;
    }
    bool contended = z->z_arena->a_contended, zinit = sm_zone_has_zinit(z);
    bool waiters = sm_load_rlx(z->z_waiters) != 0 || sm_load_rlx(&z->z_hoard->k_waiters) != 0;
    bool done = false;
    if (contended && zs->z_bucket_size < zs->z_bucket_max) {
        sm_store_rlx(&zs->z_bucket_size,
                     zs->z_bucket_size + 1); /* UMA: the size grows when the lock was fought over, not by every miss */
    }
    if (sm_load_rlx(&zs->z_state) != SM_ZONE_LIVE) {
        err = SM_GONE;
    } else {
        done = sm_cache_take(z, low, out) || (!waiters && refill_from_shelf(z) && sm_cache_take(z, low, out)) ||
               (!zinit && refill_from_slabs(z, (flags & SM_M_USE_RESERVE) != 0, low, out));
    }
    sm_zone_leave(z);
    if (done || err != SM_OK) {
        return err;
    }
    uint32_t want = waiters ? 1 : sm_zone_bucket_size(z);
    return zinit ? take_raw(z, flags, want ? want : 1, low, out) : SM_EMPTY;
}

enum sm_err sm_zone_obtain(struct sm_zone *z, int flags, int64_t deadline_ns, uint32_t low, struct sm_entry *out) {
    struct sm_arena *a = z->z_arena;
    bool told = false, drained = false, slept = false;
    for (;;) {
        struct sm_keg_init ki;
        uint64_t moved = 0;
        enum sm_err err = sm_zone_refill(z, flags, low, out);
        if (err != SM_EMPTY) {
            return err;
        }
        if (flags & SM_M_NOVM) {
            return SM_NO_MEMORY;
        }
        if ((err = sm_zone_keg_init(z, flags, &ki)) != SM_OK) {
            return err;
        }
        err = sm_fault(a, SM_FP_LIMIT, z->z_shm->z_name, z->z_item_bytes, flags);
        bool feigned = err != SM_OK;
        if (err == SM_OK) {
            err = sm_keg_grow(a, z->z_keg_id, &ki);
        }
        if (err == SM_DEAD_PEER) {
            err = a->a_recover(a);
        }
        if (err == SM_OK) {
            continue;
        }
        if (err != SM_LIMIT && err != SM_NO_MEMORY) {
            return err;
        }
        /* Before anybody fails or sleeps: what idle peers cache, and what the dead left behind. */
        enum sm_err more = sm_zone_drain_cpus(z, SM_DRAIN_KEG, &moved);
        if (more == SM_OK && moved == 0) {
            more = sm_zone_drain_hoarder(z, 0, &moved);
        }
        if (more != SM_OK) {
            return more;
        }
        if (moved == 0 && !drained) {
            drained = true;
            if (a->a_recover(a) == SM_OK) {
                continue;
            }
        }
        if (moved > 0) {
            continue;
        }
        if (err == SM_NO_MEMORY) {
            return err; /* sleeping would not make /dev/shm larger */
        }
        if (!told) {
            told = true;
            sm_zone_limit_reached(z);
        }
        if (!(flags & SM_M_WAITOK) || (slept && sm_os_now_ns() >= deadline_ns)) {
            return SM_LIMIT; /* room that others take each time it is made would keep us here for ever */
        }
        /* A fault that stays would have us turn in circles, with the caller's other threads shut out. */
        feigned = feigned && slept;
        slept = true;
        if ((err = sm_zone_sleep(z, flags, deadline_ns, feigned, low, out)) != SM_EMPTY) {
            return err;
        }
    }
}

/* ---------------------------------------------------------------- from item to allocation */

/* The ctor (or a debug check) refused: no dtor, the zone's fini, and the slab, not a bucket. */
static enum sm_err refuse(struct sm_zone *z, struct sm_entry e, enum sm_err why) {
    uint64_t *word = sm_at(z->z_arena, e.e_word);
    if (z->z_flags & SM_ZONE_TRASH) {
        sm_debug_trash(z, e.e_item);
    }
    sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_constructing);
    sm_crash_point(z->z_arena, STEP_REFUSED);
    enum sm_err err;
    if (z->z_flags & SM_ZONE_RUNS) {
        sm_bump(&z->z_cache->c_allocs, (uint64_t)-1);
        err = sm_keg_run_give(z->z_arena, z->z_keg_id, e);
    } else {
        err = sm_zone_retire(z, &e, 1, false, true);
    }
    return err == SM_OK ? why : err;
}

/* The item's word is CONSTRUCTING (or HELD when nothing can refuse it): prepares it for its user. */
enum sm_err sm_zone_construct(struct sm_zone *z, struct sm_entry e, int flags, void *arg, void **item) {
    uint8_t *mem = z->z_base + e.e_item + z->z_item_off;
    uint64_t *word = sm_at(z->z_arena, e.e_word);
    enum sm_err err = SM_OK;
    if (z->z_flags & SM_ZONE_TRASH) {
        err = sm_debug_trash_check(z, e.e_item);
    }
    if (z->z_flags & SM_ZONE_REDZONE) {
        sm_debug_redzone(z, e.e_item);
    }
    if (z->z_flags & SM_ZONE_REFCNT) {
        uint32_t *count = NULL;
        if (sm_zone_find_refcnt(z, mem, &count) == SM_OK) {
            sm_store_rlx(count, 1);
        }
    }
    if (err == SM_OK && (flags & SM_M_ZERO)) {
        memset(mem, 0, z->z_item_bytes);
    }
    if (err == SM_OK) {
        err = sm_fault_callback(z->z_arena, SM_FP_CTOR, z->z_shm->z_name, z->z_item_bytes, flags);
    }
    if (err == SM_OK && z->z_fn[SM_CB_CTOR]) {
        int rc = sm_zone_run(z, SM_CB_CTOR, e.e_item, arg, flags);
        if (rc != 0) {
            z->z_arena->a_callback_errno = rc;
            err = SM_CTOR_FAILED;
        }
    }
    if (err != SM_OK) {
        return refuse(z, e, err);
    }
    sm_crash_point(z->z_arena, STEP_CONSTRUCTED);
    /* A crash before this store: CONSTRUCTING, recovery skips the dtor. After it: HELD, recovery runs it. */
    sm_store_rlx(word, (sm_load_rlx(word) & SM_ST_GEN_MASK) | z->z_low_held);
    *item = mem;
    return SM_OK;
}

static int64_t deadline_of(int64_t timeout_ns) {
    int64_t now = sm_os_now_ns();
    return timeout_ns < 0 || timeout_ns > SM_NEVER - now ? SM_NEVER : now + timeout_ns;
}

_Static_assert((SM_HOOK_FORCED & SM_M_FLAGS) == 0, "hooks.h has a bit of its own");
_Static_assert(SM_HOOK_NOWAIT == SM_M_NOWAIT && SM_HOOK_WAITOK == SM_M_WAITOK, "hooks.h names the same bits");

/* M_WAITOK as the tunables and a lock checker leave it; every n-th M_NOWAIT fails when asked to. */
static inline __attribute__((always_inline)) enum sm_err policy(struct sm_zone *z, int *flags) {
    struct sm_arena *a = z->z_arena;
    if ((*flags & SM_M_NOWAIT && *flags & SM_M_WAITOK) || *flags & ~SM_M_FLAGS ||
        (*flags & SM_M_ZERO && z->z_flags & SM_ZONE_MBUF)) { /* a packet mbuf's header names its cluster already */
        return SM_INVALID;
    }
    if (!(*flags & SM_M_NOWAIT)) {
        *flags |= SM_M_WAITOK;
        if (a->a_hooks.h_mask & SM_HOOK_SLEEP) {
            *flags = a->a_hooks.h_may_sleep(a->a_hooks.h_sleep_ctx, z->z_shm->z_name, *flags,
                                            (int)sm_tunable_get(a, SM_TU_NOSLEEP));
        } else if (sm_tunable_get(a, SM_TU_NOSLEEP)) {
            *flags = (*flags & ~SM_M_WAITOK) | SM_M_NOWAIT;
        }
    } else {
        int64_t rate = sm_tunable_get(a, SM_TU_FAIL_RATE);
        if (sm_unlikely(rate > 0)) {
            bool fails = ++a->a_nowait_count % (uint64_t)rate == 0;
            a->a_forced[SM_NO_MEMORY] = fails ? SM_FORCED_RATE : 0;
            if (fails) {
                if (a->a_hooks.h_mask & SM_HOOK_FAULT) {
                    (void)a->a_hooks.h_fault(a->a_hooks.h_fault_ctx, SM_FP_ALLOC, z->z_shm->z_name, z->z_item_bytes,
                                             *flags | SM_HOOK_FORCED);
                }
                return SM_NO_MEMORY;
            }
        }
    }
    return sm_fault(a, SM_FP_ALLOC, z->z_shm->z_name, z->z_item_bytes, *flags);
}

static inline __attribute__((always_inline)) enum sm_err
alloc_body(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item, bool traced, uint32_t site) {
    struct sm_entry e;
    enum sm_err err = policy(z, &flags);
    if (err == SM_INVALID) {
        return err;
    }
    if (err == SM_OK && sm_unlikely(z->z_arena->a_cpu == &z->z_arena->a_orphan)) {
        err = z->z_arena->a_ensure(
            z->z_arena); /* now: a forked child's z_low_constructing names no CPU until then (I3) */
    }
    if (err == SM_OK && !sm_cache_pop(z, z->z_low_constructing, &e)) {
        err = sm_zone_obtain(z, flags, deadline_of(timeout_ns), z->z_low_constructing, &e);
    }
    if (err == SM_OK && traced) {
        sm_site_record(z->z_arena, e.e_item, site); /* still CONSTRUCTING: nobody believes the record yet */
    }
    if (err == SM_OK) {
        err = sm_zone_construct(z, e, flags, arg, item);
    }
    if (err != SM_OK && z->z_cache) {
        sm_bump(&z->z_cache->c_fails, 1);
    }
    return err;
}

/* Both out of line, so that the inline path in front of them saves no register for them. */
#define OUT_OF_LINE __attribute__((noinline)) static

OUT_OF_LINE enum sm_err alloc_slow(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item) {
    return alloc_body(z, flags, arg, timeout_ns, item, false, SM_SITE_NONE);
}

/* Of a traced zone; or of page runs, whose sizes are malloc's to know. */
OUT_OF_LINE enum sm_err alloc_special(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item,
                                      const void *caller) {
    if (z->z_flags & SM_ZONE_RUNS) {
        return SM_INVALID;
    }
    return alloc_body(z, flags, arg, timeout_ns, item, true, sm_site_here(z->z_arena, caller));
}

static inline bool is_special(const struct sm_zone *z) {
    return sm_unlikely((z->z_flags & (SM_ZONE_RUNS | SM_ZONE_TRACE)) != 0);
}

enum sm_err sm_zone_alloc_for(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item,
                              const void *caller) {
    return is_special(z) ? alloc_special(z, flags, arg, timeout_ns, item, caller)
                         : alloc_slow(z, flags, arg, timeout_ns, item);
}

enum sm_err sm_zone_alloc(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item) {
    if (sm_likely((flags & ~(SM_M_NOWAIT | SM_M_WAITOK)) == 0)) {
        void *mem = sm_cache_alloc(z);
        if (sm_likely(mem != NULL)) {
            *item = mem;
            return SM_OK;
        }
        struct sm_entry e;
        if (z->z_plain && z->z_flags & SM_ZONE_KEEP && sm_cache_pop(z, z->z_low_held, &e)) {
            *item = z->z_base + e.e_item; /* the path of zones that keep: the op word names the item */
            return SM_OK;
        }
    }
    return is_special(z) ? alloc_special(z, flags, arg, timeout_ns, item, __builtin_return_address(0))
                         : alloc_slow(z, flags, arg, timeout_ns, item);
}

enum sm_err sm_zone_alloc_bulk(struct sm_zone *z, int flags, int64_t timeout_ns, uint32_t n, void **items,
                               uint32_t *got) {
    *got = 0;
    bool plain = z->z_plain && (flags & ~(SM_M_NOWAIT | SM_M_WAITOK)) == 0;
    int64_t deadline = 0;
    struct sm_arena *a = z->z_arena;
    uint32_t site = a->a_site; /* another thread's, or a ctor's, may stand there after an item that had to wait */
    while (*got < n) {
        if (plain) {
            *got += sm_cache_alloc_bulk(z, n - *got, items + *got);
        }
        if (*got < n) {
            if (deadline == 0) {
                deadline = deadline_of(timeout_ns);
            }
            int64_t left = deadline == SM_NEVER ? -1 : deadline - sm_os_now_ns();
            left = left < 0 && deadline != SM_NEVER ? 0 : left;
            a->a_site = site;
            enum sm_err err = sm_zone_alloc_for(z, flags, NULL, left, items + *got, __builtin_return_address(0));
            if (err != SM_OK) {
                return err;
            }
            (*got)++;
        }
    }
    return SM_OK;
}
