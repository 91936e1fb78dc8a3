/* page.h - runs of data pages and the state blocks that go with them. Takes the page lock (innermost).
 * Free runs are kept in bins by length with boundary tags in the page directory; new pages come from the frontier and
 * are committed with posix_fallocate. Must not know kegs beyond their number and block size.
 */
#ifndef SM_PAGE_H
#define SM_PAGE_H

#include "arena.h"

#define SM_COMMIT_PAGES 64 /* the frontier advances by at least this many pages when /dev/shm allows */

#define SM_PAGE_NO_KEG UINT32_MAX /* pages without a state block */

/* Takes `pages` contiguous pages and marks them RESERVED for this CPU; with `keg`, also a state block of it, named in
 * the head entry. Inside an operation. *page is a data page number, *block is in units of SM_BLOCK_UNIT. */
enum sm_err sm_page_take(struct sm_arena *a, uint32_t pages, uint32_t keg, uint32_t *page, uint32_t *block);
/* Gives back what sm_page_take gave, or a withdrawn slab's pages, with its block (0: none). */
enum sm_err sm_page_give(struct sm_arena *a, uint32_t page, uint32_t pages, uint32_t keg, uint32_t block);
/* The same without the lock, for who cannot have it: they are free once recovery has rebuilt what it protects. */
void sm_page_disown(struct sm_arena *a, uint32_t page, uint32_t pages);
/* Returns the pages of free runs to the system. *pages: how many. */
enum sm_err sm_page_punch(struct sm_arena *a, uint64_t *pages);
/* Sets the entries of a run of reserved pages: followers first, the head last (publishing), or the head first (withdrawing). */
void sm_page_publish(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind, uint32_t keg,
                     uint32_t block);
void sm_page_withdraw(struct sm_arena *a, uint32_t page, uint32_t pages, uint32_t block);
/* Gives up every meta page of a keg that has no slab left. */
enum sm_err sm_block_release(struct sm_arena *a, uint32_t keg);
/* Rebuilds runs, bins, totals and the kegs' block lists from the page directory; pages RESERVED by a dead CPU are free.
 * dead: one flag for each CPU slot. The world is stopped. */
enum sm_err sm_page_rebuild(struct sm_arena *a, const bool *dead);

static inline uint8_t *sm_page_mem(const struct sm_arena *a, uint32_t page) {
    return a->a_data + ((uint64_t)page << SM_PAGE_SHIFT);
}
static inline uint8_t *sm_block_mem(const struct sm_arena *a, uint32_t block) {
    return a->a_meta + (uint64_t)block * SM_BLOCK_UNIT;
}

#endif
