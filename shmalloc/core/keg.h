/* keg.h - slab lists and item layout. Takes the keg lock; never calls a ctor. After UMA's keg_*. */
#ifndef SM_KEG_H
#define SM_KEG_H

#include "page.h"
#include "slab.h"

struct sm_keg_params {
    uint32_t kp_bytes; /* of an item */
    uint32_t kp_align; /* a power of two, at most SM_MAX_ALIGN */
    uint32_t kp_flags; /* SM_KEG_* */
};

/* The efficiency rule alone: fills the (c) fields of *k. SM_INVALID when no layout exists. */
enum sm_err sm_keg_layout(struct sm_keg_shm *k, const struct sm_keg_params *p);
/* Takes a free keg of the table. Admin lock held, inside an operation. */
enum sm_err sm_keg_create(struct sm_arena *a, const struct sm_keg_params *p, uint32_t *keg);
/* Releases every empty slab, then the keg. SM_BUSY when an item is out. Admin lock held, inside an operation. */
enum sm_err sm_keg_destroy(struct sm_arena *a, uint32_t keg);

enum sm_err sm_keg_lock(struct sm_arena *a, uint32_t keg);
void sm_keg_unlock(struct sm_arena *a, uint32_t keg);

/* Takes up to n FREE items, making their words `low` (kind, zone, cpu); keg lock held. Returns how many. Leaves
 * k_reserve items unless use_reserve. */
uint32_t sm_keg_take(struct sm_arena *a, uint32_t keg, uint64_t low, bool use_reserve, uint32_t n,
                     struct sm_entry *out);
/* Gives one item back to its slab: word FREE, generation + bump. Keg lock held. */
enum sm_err sm_keg_give(struct sm_arena *a, uint32_t keg, struct sm_entry e, bool bump);
/* The same without the lock, because a live peer does not give it: the words now, the rest by recovery. In an operation. */
void sm_keg_give_stalled(struct sm_arena *a, uint32_t keg, const struct sm_entry *e, uint32_t n, bool bump);
void sm_keg_spoil(struct sm_arena *a, uint32_t keg); /* lists and counts of this keg are to be rebuilt; see quiesce.h */
/* Wakes sleepers of the keg: 1, or INT_MAX for all. */
void sm_keg_wake(struct sm_arena *a, uint32_t keg, int count);

/* Makes one slab. init runs on every item without a lock and with the op word clear (it may be Python); on failure the
 * items before it get fini in reverse, the pages go back, and the error is SM_INIT_FAILED. SM_LIMIT at k_max_slabs.
 * The caller is outside any operation. `low` as in sm_keg_take is not needed: the new items are FREE. */
struct sm_keg_init {
    sm_callback_fn ki_init, ki_fini;
    void *ki_init_ctx, *ki_fini_ctx;
    uint32_t ki_item_off, ki_item_bytes; /* what the callbacks see of an item */
    const char *ki_zone;
    int ki_how;
    bool ki_zero;
    /* The zone that asks, and the generation it knew: its keg's number may belong to another by now. NULL: nobody asks. */
    const struct sm_zone_shm *ki_asker;
    uint32_t ki_asker_gen;
};
enum sm_err sm_keg_grow(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki);
/* Releases empty slabs beyond `keep`; fini runs on their items. Outside any operation. *slabs: how many. */
enum sm_err sm_keg_trim(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint64_t keep, uint64_t *slabs);

/* The same for every slab, whatever NOFREE and the reserve say: the keg is about to go. */
enum sm_err sm_keg_release_all(struct sm_arena *a, uint32_t keg, const struct sm_keg_init *ki, uint64_t *slabs);

/* Page runs: one slab of `pages` pages with one item, already in state `low`. */
enum sm_err sm_keg_run_take(struct sm_arena *a, uint32_t keg, uint32_t pages, uint64_t low, struct sm_entry *out);
/* Never fails for want of a lock, as sm_keg_give_stalled. */
enum sm_err sm_keg_run_give(struct sm_arena *a, uint32_t keg, struct sm_entry e);

#endif
