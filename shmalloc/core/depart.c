/* depart.c - what a leaving CPU still holds. Takes no lock itself; frees like any user. A layer above zones because
 * malloc's items have counters of their own.
 */
#include "depart.h"

#include "malloc.h"
#include "mbuf.h"
#include "slab.h"

struct held_scan {
    struct sm_arena *hs_arena;
    uint32_t hs_cpu;
    uint32_t hs_page, hs_index; /* where the next look starts */
    struct sm_entry hs_entry;
    uint64_t hs_word;
    bool hs_found;
};

static int find_held(const struct sm_slab_ref *s, void *ctx) {
    struct held_scan *hs = ctx;
    uint32_t items = hs->hs_arena->a_kegs[s->sr_keg].k_items;
    for (uint32_t i = s->sr_page == hs->hs_page ? hs->hs_index : 0; s->sr_page >= hs->hs_page && i < items; i++) {
        uint64_t w = sm_load_rlx(&s->sr_words[i]);
        if ((SM_ST_KIND(w) == SM_HELD || SM_ST_KIND(w) == SM_CONSTRUCTING) && SM_ST_CPU(w) == hs->hs_cpu) {
            hs->hs_page = s->sr_page;
            hs->hs_index = i + 1;
            hs->hs_entry =
                (struct sm_entry){sm_slab_item(hs->hs_arena, s, i), sm_off_of(hs->hs_arena, &s->sr_words[i])};
            hs->hs_word = w;
            hs->hs_found = true;
            return 1;
        }
    }
    return 0;
}

/* What this CPU still holds: freed with its dtor, or left without an owner where the zone keeps. Slabs with a held item
 * cannot go away, so the scan needs no lock. */
/* Frees or orphans one held item; false: it stays this CPU's. */
static bool let_go(struct sm_arena *a, const struct held_scan *hs) {
    struct sm_zone *z = NULL;
    if (SM_ST_KIND(hs->hs_word) != SM_HELD || sm_zone_by_id(a, SM_ST_ZONE(hs->hs_word), &z) != SM_OK) {
        return false;
    }
    if (z->z_flags & SM_ZONE_KEEP) {
        uint64_t *word = sm_at(a, hs->hs_entry.e_word);
        sm_store_rel(word, (hs->hs_word & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, z->z_id, SM_CPU_NONE));
        return true;
    }
    uint8_t *mem = z->z_base + hs->hs_entry.e_item + z->z_item_off;
    struct sm_mb *mb = a->a_mb;
    if (mb != NULL && z == mb->mb_zone[SM_MBZ_TAG]) { /* it may be a label: its policies hear of its end */
        return m_tag_free(mb, (struct m_tag *)(void *)mem) == SM_OK;
    }
    enum sm_err err = z->z_flags & SM_ZONE_MALLOC ? sm_malloc_free(a, mem) : sm_zone_free(z, mem, NULL);
    return err == SM_OK || err == SM_MODIFIED;
}

bool sm_depart_held(struct sm_arena *a) {
    struct held_scan hs = {.hs_arena = a, .hs_cpu = a->a_cpu_id};
    bool all = true;
    do {
        hs.hs_found = false;
        (void)sm_slab_each(a, hs.hs_page, find_held, &hs);
        all = (!hs.hs_found || let_go(a, &hs)) && all;
    } while (hs.hs_found);
    return all;
}
