/* zone_impl.h - what the zone*.c files share. Private to them, to reap and to malloc.
 * A section is: op word set, keg lock held. Callbacks and waits happen between sections, never inside.
 */
#ifndef SM_ZONE_IMPL_H
#define SM_ZONE_IMPL_H

#include "bucket.h"
#include "cache.h"
#include "keg.h"
#include "zone.h"

/* A handle whose zone is gone: every fast path fails, every slow one finds the other generation. */
void sm_zone_disable(struct sm_zone *z);

/* Enters a section of the zone's keg; after a death it first recovers. SM_GONE: the zone was destroyed meanwhile. */
enum sm_err sm_zone_enter(struct sm_zone *z, uint64_t opword);
void sm_zone_leave(struct sm_zone *z);

/* Lets the inline lookup reach as far as the page directory is committed now. It is never read beyond: a wild address
 * must not make the kernel allocate a page of it. Called on the slow paths that a fresh address leads to. */
void sm_zone_widen(struct sm_zone *z);

/* Entries that a bucket of this zone may hold now: the adaptive size, less when a limit has to be shared. */
uint32_t sm_zone_bucket_size(const struct sm_zone *z);
/* In a section: makes room for one more entry in the alloc bucket. False: no bucket to be had, or not for this zone. */
bool sm_zone_room(struct sm_zone *z);
/* In a section: both buckets of a CPU's cache go to the zone's list of full buckets (however full they are). */
void sm_zone_shelve(struct sm_arena *a, uint32_t zone, struct sm_cache_shm *c);
/* In a section: the first full bucket of the list, 0 when there is none. */
sm_off_t sm_zone_unshelve(struct sm_zone *z, uint32_t *count);
/* Outside sections: entries whose words are CONSTRUCTING under this CPU run the zone's fini and go to their slabs.
 * bump: they leave a user (a free, the generation grows); else they never reached one (the allocation is taken back). */
enum sm_err sm_zone_retire(struct sm_zone *z, const struct sm_entry *e, uint32_t n, bool bump, bool run_fini);
/* The same where the keg lock was refused already: without it, for recovery to rebuild what it protects. */
enum sm_err sm_zone_retire_stalled(struct sm_zone *z, const struct sm_entry *e, uint32_t n, bool bump, bool run_fini);
/* Outside sections: empties the list of full buckets into the slabs down to `keep` items. */
enum sm_err sm_zone_flush_full(struct sm_zone *z, uint64_t keep, uint64_t *items);
/* Outside sections: the buckets of every CPU, of this zone or of all zones on its keg, go to the slabs. Without FORCE a
 * look at the counters decides whether stopping the CPUs is worth it; FORCE stops them always, so that every operation
 * begun before the call is over when it returns. */
#define SM_DRAIN_ZONE 0u
#define SM_DRAIN_KEG 1u
#define SM_DRAIN_FORCE 2u
enum sm_err sm_zone_drain_cpus(struct sm_zone *z, unsigned how, uint64_t *items);
/* The same for the zone whose cached items hold ours: its finis bring them back. */
enum sm_err sm_zone_drain_hoarder(struct sm_zone *z, unsigned how, uint64_t *items);

/* Does this zone have an init or fini of its own, run between keg and zone? (A primary's are its keg's.) */
static inline bool sm_zone_has_zinit(const struct sm_zone *z) {
    return (z->z_flags & SM_ZONE_SECONDARY) && (z->z_fn[SM_CB_INIT] || z->z_fn[SM_CB_FINI]);
}
enum sm_err sm_zone_keg_init(struct sm_zone *z, int how, struct sm_keg_init *ki);

/* Outside sections: one item with its word at `low`, from wherever UMA's order finds it first. */
enum sm_err sm_zone_obtain(struct sm_zone *z, int flags, int64_t deadline_ns, uint32_t low, struct sm_entry *out);
/* One try at what the keg has, without growing: SM_EMPTY when there is nothing. */
enum sm_err sm_zone_refill(struct sm_zone *z, int flags, uint32_t low, struct sm_entry *out);
/* Sleeps at the limit until an item is there; SM_EMPTY: try growing again, the limit was raised. feigned: a fault says
 * that the limit is reached, and nobody wakes us when it is taken away: SM_EMPTY after a slice at the latest. */
enum sm_err sm_zone_sleep(struct sm_zone *z, int flags, int64_t deadline_ns, bool feigned, uint32_t low,
                          struct sm_entry *out);
void sm_zone_limit_reached(struct sm_zone *z); /* warning and maxaction */

/* sm_zone_alloc past the inline path, for a caller of the caller: a traced zone records its address. */
enum sm_err sm_zone_alloc_for(struct sm_zone *z, int flags, void *arg, int64_t timeout_ns, void **item,
                              const void *caller);

/* Outside sections: makes a CONSTRUCTING item its user's: debug fills, M_ZERO, ctor; or refuses and unwinds. */
enum sm_err sm_zone_construct(struct sm_zone *z, struct sm_entry e, int flags, void *arg, void **item);

/* sm_zone_free past the fast path, and for mbuf zones without a look at what the mbuf refers to. */
enum sm_err sm_zone_free_item(struct sm_zone *z, void *mem, void *arg);

/* zone_callback.c */
enum sm_err sm_zone_resolve(struct sm_arena *a, const char *zone, const struct sm_callback_shm cb[SM_CB_SLOTS],
                            sm_callback_fn fn[SM_CB_SLOTS], void *ctx[SM_CB_SLOTS]);
void sm_zone_unresolve(struct sm_arena *a, void *ctx[SM_CB_SLOTS]);
/* One callback, of a zone or of a table of the mbuf layer; absent ones leave *fn as it is. */
enum sm_err sm_zone_resolve_one(struct sm_arena *a, const char *owner, enum sm_callback_slot slot,
                                const struct sm_callback_shm *cb, sm_callback_fn *fn, void **ctx);
void sm_zone_unresolve_one(struct sm_arena *a, void **ctx);
static inline int sm_zone_run(struct sm_zone *z, enum sm_callback_slot slot, sm_off_t item, void *arg, int how) {
    struct sm_arena *a = z->z_arena;
    a->a_inside++;
    int rc = z->z_fn[slot](z->z_base + item + z->z_item_off, z->z_item_bytes, arg, how, z->z_fn_ctx[slot]);
    a->a_inside--;
    return rc;
}

/* zone_debug.c: fill and verify; the verifying ones return SM_MODIFIED and log what they saw. */
int sm_debug_trash_init(void *mem, uint32_t bytes, void *arg, int how, void *ctx);
void sm_debug_trash(struct sm_zone *z, sm_off_t item);
enum sm_err sm_debug_trash_check(struct sm_zone *z, sm_off_t item);
void sm_debug_redzone(struct sm_zone *z, sm_off_t item);
enum sm_err sm_debug_redzone_check(struct sm_zone *z, sm_off_t item);
#define SM_REDZONE_BYTES 16

#endif
