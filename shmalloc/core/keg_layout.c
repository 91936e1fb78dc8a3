/* keg_layout.c - how many items fit a slab, and where its header goes. Pure arithmetic on the (c) fields of a keg.
 * The rule is UMA's of today: efficiency = items * stride / (slab + header outside it), at least 90 % if any slab of up
 * to GROW_PAGES reaches it, the slab growing a page at a time, header inside or outside by which is better.
 */
#include "keg.h"

#include <string.h>

#define LEAST_EFFICIENCY 9000 /* percent x 100 */
#define GROW_PAGES 21 /* items of up to 64 KiB then waste less than a tenth: some slab of 11 to 21 pages fits them */
#define HEADER sizeof(struct sm_slab_shm)

static uint32_t round_up(uint32_t v, uint32_t to) {
    return (v + to - 1) / to * to;
}

static uint32_t percent(uint64_t part, uint64_t whole) {
    return (uint32_t)(part * 10000 / whole);
}

/* One candidate; keeps it in *k when it beats what is there. */
static void consider(struct sm_keg_shm *k, uint32_t pages, bool offpage) {
    uint64_t slab = (uint64_t)pages << SM_PAGE_SHIFT;
    uint64_t items = (offpage ? slab : slab - HEADER) / k->k_stride_bytes;
    if (items == 0 || items > UINT16_MAX) {
        return;
    }
    uint32_t eff = percent(items * k->k_stride_bytes, slab + (offpage ? HEADER : 0));
    if (eff <= k->k_efficiency) {
        return;
    }
    k->k_efficiency = eff;
    k->k_items = (uint32_t)items;
    k->k_pages = pages;
    k->k_flags = (k->k_flags & ~SM_KEG_OFFPAGE) | (offpage ? SM_KEG_OFFPAGE : 0);
}

static void place_block(struct sm_keg_shm *k) {
    bool offpage = (k->k_flags & SM_KEG_OFFPAGE) != 0;
    uint32_t at = offpage ? HEADER : 0;
    k->k_hdr_off = offpage ? 0 : (uint32_t)(((uint64_t)k->k_pages << SM_PAGE_SHIFT) - HEADER);
    k->k_words_off = at;
    at += k->k_items * (uint32_t)sizeof(uint64_t);
    k->k_aux_off = 0;
    if (k->k_flags & (SM_KEG_REFCNT | SM_KEG_TAGGED)) {
        k->k_aux_off = at;
        at += k->k_items * (uint32_t)sizeof(uint32_t);
    }
    k->k_trace_off = 0;
    if (k->k_flags & SM_KEG_TRACE) {
        k->k_trace_off = round_up(at, sizeof(uint64_t));
        at = k->k_trace_off + k->k_items * (uint32_t)sizeof(struct sm_trace_shm);
    }
    k->k_block_bytes = round_up(at, SM_BLOCK_UNIT);
    /* Meta pages are taken in the smallest chunk that wastes at most a sixteenth, or the thriftiest one. */
    uint64_t best_waste = UINT64_MAX;
    for (uint32_t pages = 1; pages <= SM_META_CHUNK_MAX; pages++) {
        uint64_t chunk = (uint64_t)pages << SM_PAGE_SHIFT;
        if (chunk < k->k_block_bytes) {
            continue;
        }
        uint64_t waste = chunk % k->k_block_bytes * 10000 / chunk;
        if (waste < best_waste) {
            best_waste = waste;
            k->k_chunk_pages = pages;
        }
        if (best_waste <= 625) {
            break;
        }
    }
}

enum sm_err sm_keg_layout(struct sm_keg_shm *k, const struct sm_keg_params *p) {
    if (p->kp_align == 0 || (p->kp_align & (p->kp_align - 1)) != 0 || p->kp_align > SM_MAX_ALIGN ||
        p->kp_bytes > 1u << 31) {
        return SM_INVALID;
    }
    k->k_flags = p->kp_flags & ~SM_KEG_OFFPAGE;
    k->k_item_bytes = p->kp_bytes;
    k->k_align = p->kp_align;
    k->k_efficiency = 0;
    if (p->kp_flags & SM_KEG_RUNS) {
        /* One item a slab, of any number of pages: stride and reciprocal accept offset 0 only. */
        k->k_stride_bytes = 1u << 31;
        k->k_items = 1;
        k->k_pages = 1;
        k->k_flags |= SM_KEG_OFFPAGE;
        k->k_efficiency = 10000;
    } else {
        uint32_t bytes = p->kp_bytes < SM_MIN_ITEM ? SM_MIN_ITEM : p->kp_bytes;
        k->k_stride_bytes = round_up(bytes, p->kp_align < SM_MIN_ITEM ? SM_MIN_ITEM : p->kp_align);
        uint32_t first = (uint32_t)((k->k_stride_bytes + SM_PAGE - 1) >> SM_PAGE_SHIFT);
        uint32_t last = first > GROW_PAGES ? first : GROW_PAGES;
        for (uint32_t pages = first; pages <= last && k->k_efficiency < LEAST_EFFICIENCY; pages++) {
            if (!(p->kp_flags & SM_KEG_OFFPAGE)) {
                consider(k, pages, false);
            }
            consider(k, pages, true);
        }
        if (k->k_items == 0) {
            return SM_INVALID;
        }
    }
    k->k_recip = ((1ull << 32) + k->k_stride_bytes - 1) / k->k_stride_bytes;
    place_block(k);
    return SM_OK;
}
