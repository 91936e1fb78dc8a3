/* slab.h - from an address to its slab, index and state word; state words of one slab. Takes no lock. */
#ifndef SM_SLAB_H
#define SM_SLAB_H

#include "page.h"

struct sm_slab_ref {
    uint32_t sr_page;  /* head page */
    uint32_t sr_pages;
    uint32_t sr_keg;
    uint32_t sr_block;
    uint32_t sr_index; /* of the item asked for */
    struct sm_slab_shm *sr_slab;
    uint64_t *sr_words;
    uint32_t *sr_aux; /* NULL without aux words */
};

/* The slab whose head is `page`. SM_NOT_FOUND if no slab begins there; SM_CORRUPT if its entry cannot be. */
enum sm_err sm_slab_at(const struct sm_arena *a, uint32_t page, struct sm_slab_ref *out);
/* The slab and index of the item at byte offset `item`, everything bound-checked.
 * SM_NOT_OURS outside every slab, SM_MISALIGNED inside an item or in slack. */
enum sm_err sm_slab_find(const struct sm_arena *a, sm_off_t item, struct sm_slab_ref *out);
/* Calls fn for every slab from page `first` on, in page order; stops at the first nonzero return and returns it. */
int sm_slab_each(const struct sm_arena *a, uint32_t first, int (*fn)(const struct sm_slab_ref *s, void *ctx),
                 void *ctx);

static inline sm_off_t sm_slab_item(const struct sm_arena *a, const struct sm_slab_ref *s, uint32_t index) {
    return a->a_data_off + ((uint64_t)s->sr_page << SM_PAGE_SHIFT) +
           (uint64_t)index * a->a_kegs[s->sr_keg].k_stride_bytes;
}

/* The trace record of item sr_index; NULL when its keg has none. Bound-checked like the rest of the slab. */
static inline struct sm_trace_shm *sm_slab_trace(const struct sm_arena *a, const struct sm_slab_ref *s) {
    const struct sm_keg_shm *k = &a->a_kegs[s->sr_keg];
    uint64_t end = k->k_trace_off + (uint64_t)k->k_items * sizeof(struct sm_trace_shm);
    if (k->k_trace_off == 0 || end > k->k_block_bytes) {
        return NULL;
    }
    return (struct sm_trace_shm *)(void *)(sm_block_mem(a, s->sr_block) + k->k_trace_off) + s->sr_index;
}

#endif
