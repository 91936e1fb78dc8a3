/* page_block.c - state blocks: fixed-size pieces of the meta region, each kept for one keg. Page lock held by the caller.
 * A keg takes meta pages a chunk at a time and keeps them; its free blocks are a list through their first word.
 */
#include "page_run.h"
#include "quiesce.h"

enum block_step { STEP_META_MARKED = 0x110, STEP_META_FRONTIER_MOVED, STEP_META_RELEASED };

static uint32_t *block_link(const struct sm_arena *a, uint32_t block) {
    return (uint32_t *)sm_block_mem(a, block);
}

static enum sm_err commit_meta(struct sm_arena *a, uint64_t page, uint32_t pages) {
    struct sm_control_shm *ctl = a->a_ctl;
    enum sm_err err =
        sm_os_commit(a->a_fd, sm_off_of(a, a->a_meta) + (page << SM_PAGE_SHIFT), (uint64_t)pages << SM_PAGE_SHIFT);
    while (err == SM_OK && ctl->ctl_metadir_committed < page + pages) {
        uint64_t from = ctl->ctl_metadir_committed;
        uint64_t step = SM_PAGE / sizeof(uint64_t);
        err = sm_os_commit(a->a_fd, sm_off_of(a, &a->a_metadir[from]), SM_PAGE);
        if (err == SM_OK) {
            sm_store_rlx(&ctl->ctl_metadir_committed, from + step);
        }
    }
    if (err == SM_NO_MEMORY) {
        (void)sm_os_free_space(a->a_fd, &a->a_space_bytes);
    }
    return err;
}

void sm_block_give(struct sm_arena *a, uint32_t keg, uint32_t block) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    *block_link(a, block) = k->k_block_free;
    k->k_block_free = block;
}

/* A run of meta pages that a destroyed keg left; 0 when there is none. */
static uint64_t chunk_reuse(struct sm_arena *a, uint32_t pages) {
    struct sm_control_shm *ctl = a->a_ctl;
    uint64_t run = 0;
    for (uint64_t page = 1; ctl->ctl_meta_free >= pages && page < ctl->ctl_meta_frontier; page++) {
        run = sm_load_rlx(&a->a_metadir[page]) == 0 ? run + 1 : 0;
        if (run == pages) {
            ctl->ctl_meta_free -= pages;
            return page + 1 - pages;
        }
    }
    return 0;
}

/* New meta pages, committed; the frontier moves when their entries are written. */
static enum sm_err chunk_new(struct sm_arena *a, uint32_t pages, uint64_t *page) {
    struct sm_control_shm *ctl = a->a_ctl;
    if ((*page = chunk_reuse(a, pages)) != 0) {
        return SM_OK;
    }
    *page = ctl->ctl_meta_frontier;
    if (*page + pages > ctl->ctl_meta_pages) {
        return SM_NO_MEMORY;
    }
    return commit_meta(a, *page, pages);
}

static enum sm_err chunk_add(struct sm_arena *a, uint32_t keg) {
    struct sm_control_shm *ctl = a->a_ctl;
    struct sm_keg_shm *k = &a->a_kegs[keg];
    uint64_t page = 0;
    uint32_t pages = k->k_chunk_pages;
    enum sm_err err = sm_fault(a, SM_FP_META, NULL, (uint64_t)pages << SM_PAGE_SHIFT, 0);
    if (err != SM_OK || (err = chunk_new(a, pages, &page)) != SM_OK) {
        return err;
    }
    for (uint32_t i = 0; i < pages; i++) {
        sm_store_rlx(&a->a_metadir[page + i], SM_META_ENTRY(keg, i));
    }
    sm_crash_point(a, STEP_META_MARKED);
    /* A crash before this store leaves entries past the frontier: the next chunk writes over them. */
    if (page + pages > ctl->ctl_meta_frontier) {
        sm_store_rlx(&ctl->ctl_meta_frontier, page + pages);
    }
    sm_crash_point(a, STEP_META_FRONTIER_MOVED);
    uint32_t first = (uint32_t)((page << SM_PAGE_SHIFT) / SM_BLOCK_UNIT);
    uint32_t step = k->k_block_bytes / SM_BLOCK_UNIT;
    for (uint32_t n = (uint32_t)(((uint64_t)pages << SM_PAGE_SHIFT) / k->k_block_bytes); n-- > 0;) {
        sm_block_give(a, keg, first + n * step);
    }
    return SM_OK;
}

enum sm_err sm_block_take(struct sm_arena *a, uint32_t keg, uint32_t *block) {
    struct sm_keg_shm *k = &a->a_kegs[keg];
    if (k->k_block_free == 0) {
        enum sm_err err = chunk_add(a, keg);
        if (err != SM_OK) {
            return err;
        }
    }
    *block = k->k_block_free;
    k->k_block_free = *block_link(a, *block);
    return SM_OK;
}

enum sm_err sm_block_release(struct sm_arena *a, uint32_t keg) {
    struct sm_control_shm *ctl = a->a_ctl;
    enum sm_err err = sm_arena_lock(a, &ctl->ctl_page, SM_LC_PAGE, 0);
    if (err != SM_OK) {
        return err;
    }
    a->a_kegs[keg].k_block_free = 0;
    for (uint64_t page = 1; page < ctl->ctl_meta_frontier; page++) {
        uint64_t e = sm_load_rlx(&a->a_metadir[page]);
        if (e != 0 && SM_META_KEG(e) == keg) {
            sm_store_rlx(&a->a_metadir[page], 0);
            sm_crash_point(a, STEP_META_RELEASED);
            ctl->ctl_meta_free++;
        }
    }
    sm_arena_unlock(a, &ctl->ctl_page, SM_LC_PAGE, 0);
    return SM_OK;
}
