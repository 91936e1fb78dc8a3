/* page.c - taking and giving runs of pages; the frontier; publishing entries. Takes the page lock.
 * Free runs carry their length in the entries of their first and last page (boundary tags, after Knuth), so a run that
 * comes back merges with its neighbours in constant time. State blocks are page_block.c, rebuilding is page_rebuild.c.
 */
#include "page.h"

#include "page_run.h"
#include "quiesce.h"
#include "tunable.h"

enum page_step {
    STEP_PAGES_MARKED = 0x100,
    STEP_FRONTIER_MOVED,
    STEP_RUN_TAKEN,
    STEP_PAGES_RESERVED,
    STEP_PAGES_FREED,
    STEP_HOLE_MARKED,
    STEP_HOLE_PUNCHED,
    STEP_PAGES_DISOWNED
};

#define DIR_STEP_PAGES 4096ull /* directory entries are committed for this many pages at a time: 32 + 32 KiB */

static enum sm_err commit(struct sm_arena *a, sm_off_t off, uint64_t bytes) {
    enum sm_err err = sm_fault(a, SM_FP_COMMIT, NULL, bytes, 0);
    if (err == SM_OK) {
        err = sm_os_commit(a->a_fd, off, bytes);
    }
    if (err == SM_NO_MEMORY) {
        (void)sm_os_free_space(a->a_fd, &a->a_space_bytes);
    }
    return err;
}

static enum sm_err commit_data(struct sm_arena *a, uint32_t page, uint64_t pages) {
    return commit(a, a->a_data_off + ((uint64_t)page << SM_PAGE_SHIFT), pages << SM_PAGE_SHIFT);
}

/* Directory and links for pages below `end`. */
static enum sm_err commit_directory(struct sm_arena *a, uint64_t end) {
    struct sm_control_shm *ctl = a->a_ctl;
    while (ctl->ctl_dir_committed < end) {
        uint64_t from = ctl->ctl_dir_committed;
        uint64_t to = from + DIR_STEP_PAGES < ctl->ctl_data_pages ? from + DIR_STEP_PAGES : ctl->ctl_data_pages;
        uint64_t bytes = (to - from) * sizeof(uint64_t);
        enum sm_err err = commit(a, sm_off_of(a, &a->a_pagedir[from]), bytes);
        if (err == SM_OK) {
            err = commit(a, sm_off_of(a, &a->a_links[from]), bytes);
        }
        if (err != SM_OK) {
            return err;
        }
        sm_store_rel(&ctl->ctl_dir_committed, to); /* A crash before this commits the same pages again: harmless. */
    }
    return SM_OK;
}

/* New pages from the frontier join the free runs; at least `pages` of them, contiguous, or an error. */
static enum sm_err frontier_advance(struct sm_arena *a, uint64_t pages) {
    struct sm_control_shm *ctl = a->a_ctl;
    uint64_t from = ctl->ctl_frontier, left = ctl->ctl_data_pages - from;
    uint64_t tail = from > 0 ? sm_run_ending(a, (uint32_t)from - 1, SM_PG_FREE) : 0;
    uint64_t need = pages > tail ? pages - tail : 1; /* what lies free just below the frontier counts */
    if (need > left) {
        return SM_NO_MEMORY;
    }
    uint64_t take = need > SM_COMMIT_PAGES ? need : SM_COMMIT_PAGES;
    take = take < left ? take : left;
    enum sm_err err = commit_directory(a, from + take);
    if (err == SM_OK) {
        err = commit_data(a, (uint32_t)from, take);
        if (err == SM_NO_MEMORY && take > need) {
            take = need; /* the file system may still hold exactly this */
            err = commit_data(a, (uint32_t)from, take);
        }
    }
    if (err != SM_OK) {
        return err;
    }
    sm_run_mark(a, (uint32_t)from, (uint32_t)take, SM_PG_FREE);
    ctl->ctl_free_pages += take;
    sm_crash_point(a, STEP_PAGES_MARKED);
    /* A crash before this store leaves free entries past the frontier (I2): rebuilding starts by clearing them. */
    sm_store_rel(&ctl->ctl_frontier, from + take); /* read by sm_slab_find without the lock */
    sm_crash_point(a, STEP_FRONTIER_MOVED);
    sm_run_insert(a, (uint32_t)from, (uint32_t)take, SM_PG_FREE);
    return SM_OK;
}

/* A free committed run of at least `pages` from the bins, removed from its bin; SM_EMPTY when there is none. */
static enum sm_err run_pick(struct sm_arena *a, uint32_t pages, uint32_t looks, uint32_t *page, uint32_t *length) {
    if (sm_run_best(a, pages, SM_PG_FREE, looks, page, length)) {
        sm_run_remove(a, *page, *length, SM_PG_FREE);
        return SM_OK;
    }
    if (!sm_run_best(a, pages, SM_PG_HOLE, looks, page, length)) {
        return SM_EMPTY;
    }
    enum sm_err err = commit_data(a, *page, pages);
    if (err == SM_OK) {
        /* Committed first, then marked: an entry never promises a page that is not there. */
        sm_run_remove(a, *page, *length, SM_PG_HOLE);
        if (*length > pages) {
            sm_run_insert(a, *page + pages, *length - pages, SM_PG_HOLE);
        }
        sm_run_mark(a, *page, pages, SM_PG_FREE);
        a->a_ctl->ctl_hole_pages -= pages;
        a->a_ctl->ctl_free_pages += pages;
        *length = pages;
    }
    return err;
}

/* From the bins at little cost, else from the frontier, else from whatever the bins have. */
static enum sm_err run_find(struct sm_arena *a, uint32_t pages, uint32_t *page, uint32_t *length) {
    enum sm_err err = run_pick(a, pages, SM_RUN_LOOKS, page, length);
    if (err != SM_EMPTY) {
        return err;
    }
    if ((err = frontier_advance(a, pages)) != SM_OK && err != SM_NO_MEMORY) {
        return err;
    }
    enum sm_err last = run_pick(a, pages, UINT32_MAX, page, length);
    return last != SM_EMPTY ? last : err == SM_OK ? SM_CORRUPT : err;
}

enum sm_err sm_page_take(struct sm_arena *a, uint32_t pages, uint32_t keg, uint32_t *page, uint32_t *block) {
    uint32_t length = 0;
    *block = 0;
    enum sm_err err = sm_fault(a, SM_FP_PAGE, NULL, (uint64_t)pages << SM_PAGE_SHIFT, 0);
    if (err != SM_OK || (err = sm_arena_lock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0)) != SM_OK) {
        return err;
    }
    if (keg != SM_PAGE_NO_KEG) {
        err = sm_block_take(a, keg, block);
    }
    if (err == SM_OK && (err = run_find(a, pages, page, &length)) != SM_OK && keg != SM_PAGE_NO_KEG) {
        sm_block_give(a, keg, *block);
    }
    if (err == SM_OK) {
        if (length > pages) {
            sm_run_insert(a, *page + pages, length - pages, SM_PG_FREE);
        }
        sm_crash_point(a, STEP_RUN_TAKEN);
        /* A crash anywhere above leaves pages and block free: the page directory names neither. */
        sm_page_publish(a, *page, pages, SM_PG_RESERVED, a->a_cpu_id, *block);
        sm_crash_point(a, STEP_PAGES_RESERVED);
        a->a_ctl->ctl_free_pages -= pages;
    }
    sm_arena_unlock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    return err;
}

/* Nobody's from the store of the head on: rebuilding finds them and their block free. Not marked free themselves, because
 * the lock's holder may be looking at its neighbours. A crash among the stores leaves them with a dead CPU: free. */
void sm_page_disown(struct sm_arena *a, uint32_t page, uint32_t pages) {
    sm_page_publish(a, page, pages, SM_PG_RESERVED, SM_CPU_NONE, 0);
    sm_crash_point(a, STEP_PAGES_DISOWNED);
    sm_arena_spoil(&a->a_ctl->ctl_page);
}

enum sm_err sm_page_give(struct sm_arena *a, uint32_t page, uint32_t pages, uint32_t keg, uint32_t block) {
    enum sm_err err = sm_arena_lock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    if (err == SM_STALLED) {
        sm_page_disown(a, page, pages);
        return SM_OK;
    }
    if (err != SM_OK) {
        return err;
    }
    sm_run_mark(a, page, pages, SM_PG_FREE);
    sm_crash_point(a, STEP_PAGES_FREED);
    if (keg != SM_PAGE_NO_KEG && block != 0) {
        sm_block_give(a, keg, block);
    }
    a->a_ctl->ctl_free_pages += pages;
    sm_run_insert(a, page, pages, SM_PG_FREE);
    sm_arena_unlock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    return SM_OK;
}

void sm_page_publish(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind, uint32_t keg,
                     uint32_t block) {
    for (uint64_t i = pages; i-- > 1;) {
        sm_store_rlx(&a->a_pagedir[page + i], SM_PG_ENTRY(kind, keg, i, block));
    }
    /* The head last, with release: pairs with the relaxed load of the free path, ordered there by the item's address,
     * which its user got from an allocation that came after. A crash before it leaves followers without a head. */
    sm_store_rel(&a->a_pagedir[page], SM_PG_ENTRY(kind, keg, 0, block));
}

void sm_page_withdraw(struct sm_arena *a, uint32_t page, uint32_t pages, uint32_t block) {
    sm_add_acqrel(&a->a_ctl->ctl_withdrawn, 1); /* before the entries: who sees an old entry sees the old count */
    sm_store_rel(&a->a_pagedir[page], SM_PG_ENTRY(SM_PG_RESERVED, a->a_cpu_id, 0, block));
    for (uint64_t i = 1; i < pages; i++) {
        sm_store_rlx(&a->a_pagedir[page + i], SM_PG_ENTRY(SM_PG_RESERVED, a->a_cpu_id, i, block));
    }
}

enum sm_err sm_page_punch(struct sm_arena *a, uint64_t *pages) {
    uint32_t least = (uint32_t)sm_tunable_get(a, SM_TU_PUNCH_PAGES);
    *pages = 0;
    enum sm_err err = sm_arena_lock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    while (err == SM_OK) {
        uint32_t page, length;
        if (!sm_run_best(a, least, SM_PG_FREE, UINT32_MAX, &page, &length)) {
            break;
        }
        sm_run_remove(a, page, length, SM_PG_FREE);
        /* Marked first, then given back: a crash in between leaves holes that still have their pages. */
        sm_run_mark(a, page, length, SM_PG_HOLE);
        sm_crash_point(a, STEP_HOLE_MARKED);
        err =
            sm_os_punch(a->a_fd, a->a_data_off + ((uint64_t)page << SM_PAGE_SHIFT), (uint64_t)length << SM_PAGE_SHIFT);
        sm_crash_point(a, STEP_HOLE_PUNCHED);
        a->a_ctl->ctl_free_pages -= length;
        a->a_ctl->ctl_hole_pages += length;
        a->a_ctl->ctl_punched += length;
        sm_run_insert(a, page, length, SM_PG_HOLE);
        *pages += length;
    }
    if (err == SM_OK || *pages > 0) {
        sm_arena_unlock(a, &a->a_ctl->ctl_page, SM_LC_PAGE, 0);
    }
    return err;
}
