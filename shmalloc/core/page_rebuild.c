/* page_rebuild.c - free runs, bins, totals and the kegs' free state blocks, anew from the page directory and the meta
 * directory. The world is stopped; page lock not needed, nobody else moves. Idempotent: it only reads the truth.
 */
#include <stdlib.h>
#include <string.h>

#include "page_run.h"
#include "slab.h"

/* Does a slab begin here, published or being made by a live CPU? *pages, *block: what it owns. */
static bool head_lives(const struct sm_arena *a, uint32_t page, const bool *dead, uint32_t *pages, uint32_t *block) {
    uint64_t e = sm_load_rlx(&a->a_pagedir[page]);
    uint32_t owner = SM_PG_KEG(e);
    struct sm_slab_ref s;
    if (SM_PG_IDX(e) != 0) {
        return false;
    }
    *block = SM_PG_BLK(e);
    switch (SM_PG_KIND(e)) {
    case SM_PG_SLAB:
        if (sm_slab_at(a, page, &s) != SM_OK) {
            return false;
        }
        *pages = s.sr_pages;
        return true;
    case SM_PG_RING:
        if (owner >= a->a_header->h_max_queues) {
            return false;
        }
        *block = 0;
        *pages = a->a_queues[owner].q_pages;
        return a->a_queues[owner].q_state == SM_ZONE_LIVE && *pages > 0 &&
               a->a_queues[owner].q_ring == a->a_data_off + ((uint64_t)page << SM_PAGE_SHIFT);
    case SM_PG_RESERVED: /* as long as its followers say the same; a slab of a keg, or the ring of a queue to be */
        if (owner >= a->a_header->h_max_cpus || dead[owner] || a->a_cpus[owner].cpu_state == SM_CPU_FREE) {
            return false;
        }
        *pages = 1;
        while ((uint64_t)page + *pages < a->a_ctl->ctl_frontier &&
               sm_load_rlx(&a->a_pagedir[page + *pages]) == SM_PG_ENTRY(SM_PG_RESERVED, owner, *pages, *block)) {
            (*pages)++;
        }
        return true;
    default:
        return false;
    }
}

static void mark_block(uint8_t *used, uint32_t block, uint64_t limit) {
    if (block != 0 && block < limit) {
        used[block >> 3] |= (uint8_t)(1u << (block & 7));
    }
}

/* Every free block of every chunk, per keg. */
static void blocks_rebuild(struct sm_arena *a, const uint8_t *used) {
    struct sm_control_shm *ctl = a->a_ctl;
    for (uint32_t keg = 0; keg < a->a_header->h_max_zones; keg++) {
        a->a_kegs[keg].k_block_free = 0;
    }
    ctl->ctl_meta_free = 0;
    for (uint64_t page = 1; page < ctl->ctl_meta_frontier; page++) {
        uint64_t e = sm_load_rlx(&a->a_metadir[page]);
        uint32_t keg = SM_META_KEG(e);
        if (e == 0 || keg >= a->a_header->h_max_zones || a->a_kegs[keg].k_state == SM_KEG_FREE) {
            sm_store_rlx(&a->a_metadir[page], 0);
            ctl->ctl_meta_free++;
            continue;
        }
        const struct sm_keg_shm *k = &a->a_kegs[keg];
        if (SM_META_IDX(e) != 0 || k->k_block_bytes == 0) {
            continue;
        }
        uint32_t first = (uint32_t)((page << SM_PAGE_SHIFT) / SM_BLOCK_UNIT), step = k->k_block_bytes / SM_BLOCK_UNIT;
        for (uint32_t n = (uint32_t)(((uint64_t)k->k_chunk_pages << SM_PAGE_SHIFT) / k->k_block_bytes); n-- > 0;) {
            uint32_t block = first + n * step;
            if (!(used[block >> 3] & 1u << (block & 7))) {
                sm_block_give(a, keg, block);
            }
        }
    }
}

enum sm_err sm_page_rebuild(struct sm_arena *a, const bool *dead) {
    struct sm_control_shm *ctl = a->a_ctl;
    uint64_t blocks = (ctl->ctl_meta_frontier << SM_PAGE_SHIFT) / SM_BLOCK_UNIT;
    uint8_t *used = calloc(1, blocks / 8 + 1);
    if (used == NULL) {
        return SM_NO_MEMORY;
    }
    memset(ctl->ctl_bins, 0, sizeof ctl->ctl_bins);
    ctl->ctl_free_pages = ctl->ctl_hole_pages = 0;
    for (uint64_t page = ctl->ctl_frontier; page < ctl->ctl_dir_committed && page < ctl->ctl_data_pages; page++) {
        sm_store_rlx(&a->a_pagedir[page], 0); /* a frontier that was about to move */
    }
    /* First every page that no slab owns becomes free or stays a hole, so that no stale length is left; then the runs. */
    for (uint64_t page = 0; page < ctl->ctl_frontier;) {
        uint32_t pages = 0, block = 0;
        if (head_lives(a, (uint32_t)page, dead, &pages, &block)) {
            mark_block(used, block, blocks);
            page += pages;
            continue;
        }
        bool hole = SM_PG_KIND(sm_load_rlx(&a->a_pagedir[page])) == SM_PG_HOLE;
        sm_run_mark(a, (uint32_t)page, 1, hole ? SM_PG_HOLE : SM_PG_FREE);
        page++;
    }
    for (uint64_t page = 0; page < ctl->ctl_frontier;) {
        uint64_t kind = SM_PG_KIND(sm_load_rlx(&a->a_pagedir[page]));
        uint64_t end = page + 1;
        if (kind == SM_PG_FREE || kind == SM_PG_HOLE) {
            while (end < ctl->ctl_frontier && SM_PG_KIND(sm_load_rlx(&a->a_pagedir[end])) == kind) {
                end++;
            }
            sm_run_insert(a, (uint32_t)page, (uint32_t)(end - page), (enum sm_page_kind)kind);
            *(kind == SM_PG_FREE ? &ctl->ctl_free_pages : &ctl->ctl_hole_pages) += end - page;
        }
        page = end;
    }
    blocks_rebuild(a, used);
    free(used);
    return SM_OK;
}
