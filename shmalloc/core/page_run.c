/* page_run.c - the bins of free runs. Page lock held by the caller. All of it is derived from the page directory (I9). */
#include "page_run.h"

static unsigned bin_of(uint32_t pages) {
    return 31u - (unsigned)__builtin_clz(pages);
}

static uint32_t *bin_head(struct sm_arena *a, uint32_t pages, enum sm_page_kind kind) {
    return &a->a_ctl->ctl_bins[kind == SM_PG_HOLE][bin_of(pages)];
}

static uint64_t entry_free(enum sm_page_kind kind, uint32_t length) {
    return SM_PG_ENTRY(kind, 0, 0, length);
}

void sm_run_mark(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind) {
    /* The head first: it is what makes a slab a slab; then no follower can be taken for a part of one. */
    for (uint32_t i = 0; i < pages; i++) {
        sm_store_rlx(&a->a_pagedir[page + i], entry_free(kind, 0));
    }
}

uint32_t sm_run_ending(const struct sm_arena *a, uint32_t page, enum sm_page_kind kind) {
    uint64_t e = sm_load_rlx(&a->a_pagedir[page]);
    uint32_t length = SM_PG_BLK(e);
    return SM_PG_KIND(e) == kind && length <= page + 1 ? length : 0;
}

void sm_run_insert(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind) {
    if (page > 0) {
        uint32_t before = sm_run_ending(a, page - 1, kind);
        if (before != 0) {
            sm_run_remove(a, page - before, before, kind);
            page -= before;
            pages += before;
        }
    }
    if ((uint64_t)page + pages < a->a_ctl->ctl_frontier) {
        uint64_t e = sm_load_rlx(&a->a_pagedir[page + pages]);
        uint32_t after = SM_PG_KIND(e) == kind ? SM_PG_BLK(e) : 0;
        if (after != 0) {
            sm_run_remove(a, page + pages, after, kind);
            pages += after;
        }
    }
    uint32_t *head = bin_head(a, pages, kind);
    struct sm_page_link_shm *link = &a->a_links[page];
    link->pl_prev = 0;
    link->pl_next = *head;
    if (*head) {
        a->a_links[*head - 1].pl_prev = page + 1;
    }
    *head = page + 1;
    sm_store_rlx(&a->a_pagedir[page], entry_free(kind, pages));
    sm_store_rlx(&a->a_pagedir[page + pages - 1], entry_free(kind, pages));
}

void sm_run_remove(struct sm_arena *a, uint32_t page, uint32_t pages, enum sm_page_kind kind) {
    struct sm_page_link_shm *link = &a->a_links[page];
    if (link->pl_prev) {
        a->a_links[link->pl_prev - 1].pl_next = link->pl_next;
    } else {
        *bin_head(a, pages, kind) = link->pl_next;
    }
    if (link->pl_next) {
        a->a_links[link->pl_next - 1].pl_prev = link->pl_prev;
    }
    /* The ends lose their length, so that a merge in between never finds half a run. */
    sm_store_rlx(&a->a_pagedir[page], entry_free(kind, 0));
    sm_store_rlx(&a->a_pagedir[page + pages - 1], entry_free(kind, 0));
}

bool sm_run_best(const struct sm_arena *a, uint32_t pages, enum sm_page_kind kind, uint32_t looks, uint32_t *page,
                 uint32_t *length) {
    const uint32_t *bins = a->a_ctl->ctl_bins[kind == SM_PG_HOLE];
    for (unsigned b = bin_of(pages); b < SM_RUN_BINS; b++) {
        uint32_t at = bins[b];
        for (uint32_t n = 0; at != 0 && n < looks; n++, at = a->a_links[at - 1].pl_next) {
            uint32_t have = SM_PG_BLK(sm_load_rlx(&a->a_pagedir[at - 1]));
            if (have >= pages) {
                *page = at - 1;
                *length = have;
                return true;
            }
        }
    }
    return false;
}
