/* slab.c - finding slabs through the page directory, everything bound-checked. Takes no lock and changes nothing. */
#include "slab.h"

#include "base/assert.h"

static bool slab_fill(const struct sm_arena *a, uint32_t page, uint64_t e, struct sm_slab_ref *out) {
    uint32_t keg = SM_PG_KEG(e), block = SM_PG_BLK(e);
    if (keg >= a->a_header->h_max_zones) {
        return false;
    }
    const struct sm_keg_shm *k = &a->a_kegs[keg];
    uint64_t block_off = (uint64_t)block * SM_BLOCK_UNIT;
    uint64_t meta_bytes = a->a_header->h_region[SM_R_META].r_bytes;
    uint64_t slab_bytes = (uint64_t)k->k_pages << SM_PAGE_SHIFT;
    if (block == 0 || k->k_items == 0 || k->k_items > UINT16_MAX || k->k_block_bytes > meta_bytes ||
        block_off > meta_bytes - k->k_block_bytes || k->k_pages == 0 || page + (uint64_t)k->k_pages > a->a_data_pages ||
        k->k_words_off + (uint64_t)k->k_items * 8 > k->k_block_bytes ||
        (k->k_aux_off != 0 && k->k_aux_off + (uint64_t)k->k_items * 4 > k->k_block_bytes) ||
        (k->k_flags & SM_KEG_OFFPAGE ? k->k_hdr_off > k->k_block_bytes - sizeof(struct sm_slab_shm)
                                     : k->k_hdr_off > slab_bytes - sizeof(struct sm_slab_shm)) ||
        k->k_words_off % 8 != 0 || k->k_aux_off % 4 != 0 || k->k_hdr_off % 4 != 0) {
        return false;
    }
    uint8_t *mem = sm_block_mem(a, block);
    uint8_t *hdr = k->k_flags & SM_KEG_OFFPAGE ? mem + k->k_hdr_off : sm_page_mem(a, page) + k->k_hdr_off;
    *out = (struct sm_slab_ref){
        .sr_page = page,
        .sr_pages = k->k_pages,
        .sr_keg = keg,
        .sr_block = block,
        .sr_slab = (struct sm_slab_shm *)hdr,
        .sr_words = (uint64_t *)(mem + k->k_words_off),
        .sr_aux = k->k_aux_off ? (uint32_t *)(mem + k->k_aux_off) : NULL,
    };
    if (k->k_flags & SM_KEG_RUNS) {
        out->sr_pages = out->sr_slab->s_pages;
        if (out->sr_pages == 0 || page + (uint64_t)out->sr_pages > a->a_data_pages) {
            return false;
        }
    }
    return true;
}

enum sm_err sm_slab_at(const struct sm_arena *a, uint32_t page, struct sm_slab_ref *out) {
    if (page >= a->a_data_pages || page >= sm_load_rlx(&a->a_ctl->ctl_frontier)) {
        return SM_NOT_FOUND;
    }
    uint64_t e = sm_load_acq(&a->a_pagedir[page]);
    if (SM_PG_KIND(e) != SM_PG_SLAB || SM_PG_IDX(e) != 0) {
        return SM_NOT_FOUND;
    }
    return slab_fill(a, page, e, out) ? SM_OK : SM_CORRUPT;
}

enum sm_err sm_slab_find(const struct sm_arena *a, sm_off_t item, struct sm_slab_ref *out) {
    uint64_t d = item - a->a_data_off;
    uint64_t page = d >> SM_PAGE_SHIFT;
    if (item < a->a_data_off || page >= a->a_data_pages || page >= sm_load_rlx(&a->a_ctl->ctl_frontier)) {
        return SM_NOT_OURS;
    }
    uint64_t e = sm_load_acq(&a->a_pagedir[page]);
    uint32_t index = SM_PG_IDX(e);
    if (SM_PG_KIND(e) != SM_PG_SLAB) {
        return SM_NOT_OURS;
    }
    if (index == SM_PG_IDX_MAX) {
        return SM_MISALIGNED; /* far inside a run of one item */
    }
    if (index > page) {
        return SM_CORRUPT;
    }
    uint32_t head = (uint32_t)page - index;
    uint64_t he = sm_load_acq(&a->a_pagedir[head]);
    if (SM_PG_KIND(he) != SM_PG_SLAB || SM_PG_IDX(he) != 0 || SM_PG_KEG(he) != SM_PG_KEG(e) ||
        SM_PG_BLK(he) != SM_PG_BLK(e)) {
        return SM_NOT_OURS; /* a follower whose head was withdrawn */
    }
    if (!slab_fill(a, head, he, out)) {
        return SM_CORRUPT;
    }
    const struct sm_keg_shm *k = &a->a_kegs[out->sr_keg];
    uint64_t in = d - ((uint64_t)head << SM_PAGE_SHIFT);
    SM_CHECK(k->k_stride_bytes != 0);
    uint64_t i = in / k->k_stride_bytes;
    if (i * k->k_stride_bytes != in || i >= k->k_items) {
        return SM_MISALIGNED;
    }
    out->sr_index = (uint32_t)i;
    return SM_OK;
}

int sm_slab_each(const struct sm_arena *a, uint32_t first, int (*fn)(const struct sm_slab_ref *s, void *ctx),
                 void *ctx) {
    uint64_t frontier = sm_load_rlx(&a->a_ctl->ctl_frontier);
    frontier = frontier < a->a_data_pages ? frontier : a->a_data_pages;
    for (uint64_t page = first; page < frontier;) {
        struct sm_slab_ref s;
        if (sm_slab_at(a, (uint32_t)page, &s) == SM_OK) {
            int rc = fn(&s, ctx);
            if (rc != 0) {
                return rc;
            }
            page += s.sr_pages;
        } else {
            page++;
        }
    }
    return 0;
}
