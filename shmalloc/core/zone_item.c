/* zone_item.c - one item's identity and its passage between CPUs: handles, tickets, adoption, reference counters.
 * Takes no lock: a passage is one store by the holder, or one compare-and-swap by the adopter.
 */
#include "quiesce.h"
#include "zone_impl.h"

enum item_step { STEP_TICKETED = 0x380, STEP_ADOPTED };

static enum sm_err held_word(struct sm_zone *z, const void *item, uint64_t **word) {
    enum sm_err err = sm_zone_lookup(z, item, word);
    if (err != SM_OK) {
        return err;
    }
    uint64_t w = sm_load_rlx(*word);
    if ((uint32_t)w == z->z_low_held && !z->z_arena->a_forked) {
        return SM_OK;
    }
    switch (SM_ST_KIND(w)) {
    case SM_FREE:
    case SM_CACHED:
        return SM_STALE;
    case SM_CONSTRUCTING:
        return SM_IN_CALLBACK;
    default:
        z->z_arena->a_blocker = SM_ST_KIND(w) == SM_HELD ? SM_ST_CPU(w) : SM_CPU_NONE;
        return z->z_arena->a_forked ? SM_FORKED : SM_ST_ZONE(w) == z->z_id ? SM_NOT_OWNER : SM_NOT_OURS;
    }
}

static sm_off_t item_off(const struct sm_zone *z, const void *item) {
    return (sm_off_t)((const uint8_t *)item - z->z_base) - z->z_item_off;
}

enum sm_err sm_zone_handle(struct sm_zone *z, const void *item, struct sm_handle *h) {
    uint64_t *word = NULL;
    enum sm_err err = held_word(z, item, &word);
    if (err == SM_OK) {
        *h = (struct sm_handle){item_off(z, item), SM_ST_GEN(sm_load_rlx(word)), z->z_id};
    }
    return err;
}

enum sm_err sm_zone_ticket(struct sm_zone *z, void *item, struct sm_handle *h) {
    uint64_t *word = NULL;
    enum sm_err err = held_word(z, item, &word);
    if (err != SM_OK ||
        (err = sm_op_enter(z->z_arena, SM_OPWORD(SM_OP_XFER, z->z_id, SM_OP_ITEM(item_off(z, item))))) != SM_OK) {
        return err;
    }
    uint64_t next = (sm_load_rlx(word) & SM_ST_GEN_MASK) + SM_ST_GEN_ONE;
    next |= SM_ST_LOW(SM_TICKETED, z->z_id, z->z_arena->a_cpu_id);
    /* Release: the bytes of the item before its passage; pairs with the acquire of the adopter's compare-and-swap. */
    sm_store_rel(word, next);
    sm_crash_point(z->z_arena, STEP_TICKETED);
    sm_op_leave(z->z_arena);
    *h = (struct sm_handle){item_off(z, item), SM_ST_GEN(next), z->z_id};
    return SM_OK;
}

/* May this word be taken over under this handle? */
static enum sm_err adoptable(struct sm_arena *a, struct sm_handle h, uint64_t w) {
    enum sm_kind kind = SM_ST_KIND(w);
    if (SM_ST_GEN(w) != h.h_gen || SM_ST_ZONE(w) != h.h_zone || kind == SM_FREE || kind == SM_CACHED) {
        return SM_STALE;
    }
    if (kind == SM_TICKETED || (kind == SM_HELD && SM_ST_CPU(w) == SM_CPU_NONE)) {
        return SM_OK;
    }
    a->a_blocker = kind == SM_HELD ? SM_ST_CPU(w) : SM_CPU_NONE;
    return kind == SM_CONSTRUCTING ? SM_IN_CALLBACK : SM_NOT_OWNER;
}

enum sm_err sm_zone_adopt(struct sm_arena *a, struct sm_handle h, struct sm_zone **z, void **item) {
    struct sm_slab_ref s;
    enum sm_err err = sm_slab_find(a, h.h_item, &s);
    if (err != SM_OK) {
        return err == SM_NOT_OURS ? SM_STALE : err; /* the slab itself may be gone since */
    }
    uint64_t *word = &s.sr_words[s.sr_index];
    uint64_t w = sm_load_acq(word);
    if ((err = adoptable(a, h, w)) != SM_OK || (err = sm_zone_by_id(a, h.h_zone, z)) != SM_OK) {
        return err;
    }
    if ((*z)->z_keg_id != s.sr_keg) {
        return SM_CORRUPT;
    }
    if ((err = sm_op_enter(a, SM_OPWORD(SM_OP_XFER, h.h_zone, SM_OP_ITEM(h.h_item)))) != SM_OK) {
        return err;
    }
    if (!sm_cas(word, &w, (w & SM_ST_GEN_MASK) | (*z)->z_low_held)) {
        err = adoptable(a, h, w) == SM_OK ? SM_NOT_OWNER : adoptable(a, h, w);
    }
    sm_crash_point(a, STEP_ADOPTED);
    sm_op_leave(a);
    if (err == SM_OK) {
        *item = (*z)->z_base + h.h_item + (*z)->z_item_off;
    }
    return err;
}

enum sm_err sm_zone_find_refcnt(const struct sm_zone *z, const void *item, uint32_t **count) {
    struct sm_slab_ref s;
    uint64_t off = (uint64_t)((const uint8_t *)item - z->z_base);
    if (!(z->z_flags & SM_ZONE_REFCNT)) {
        return SM_INVALID;
    }
    if (off < z->z_item_off || off >= z->z_arena->a_bytes) {
        return SM_NOT_OURS;
    }
    enum sm_err err = sm_slab_find(z->z_arena, off - z->z_item_off, &s);
    if (err != SM_OK) {
        return err;
    }
    if (s.sr_keg != z->z_keg_id || s.sr_aux == NULL) {
        return SM_NOT_OURS;
    }
    *count = &s.sr_aux[s.sr_index];
    return SM_OK;
}
