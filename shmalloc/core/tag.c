/* tag.c - setting, clearing and counting malloc tags. Takes no lock: tag and counters change inside one operation of
 * the CPU that holds the item, so whoever stops the world sees both changed or neither. Crash windows:
 *   tag set, not counted        op word set: counters are recounted from the tags
 *   tag cleared, not counted    the same; the item is HELD by a dead CPU, its zone's policy decides
 */
#include "tag.h"

#include <string.h>

#include "quiesce.h"

enum tag_step { STEP_TAG_SET = 0x600, STEP_COUNTED_IN, STEP_TAG_CLEARED, STEP_COUNTED_OUT };

static uint64_t tag_op(const struct sm_arena *a, const uint32_t *tag) {
    return SM_OPWORD(SM_OP_SLOW, 0, SM_OP_ITEM(sm_off_of(a, tag)));
}

uint64_t sm_tag_usable(const struct sm_arena *a, const struct sm_slab_ref *s) {
    const struct sm_keg_shm *k = &a->a_kegs[s->sr_keg];
    return k->k_flags & SM_KEG_RUNS ? (uint64_t)s->sr_pages << SM_PAGE_SHIFT : k->k_item_bytes;
}

enum sm_err sm_tag_set(struct sm_arena *a, uint32_t *tag, uint32_t type, uint64_t usable, uint64_t bytes,
                       struct sm_cache_shm *runs) {
    enum sm_err err = sm_op_enter(a, tag_op(a, tag));
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    struct sm_type_stat_shm *s = sm_tag_stat(a, a->a_cpu_id, type);
    sm_store_rlx(tag, SM_TAG(type, usable - bytes));
    sm_crash_point(a, STEP_TAG_SET);
    sm_bump(&s->ts_bytes_in, usable);
    sm_bump(&s->ts_allocs, 1);
    if (runs != NULL) {
        sm_bump(&runs->c_allocs, 1);
    }
    sm_crash_point(a, STEP_COUNTED_IN);
    sm_op_leave(a);
    return SM_OK;
}

enum sm_err sm_tag_clear(struct sm_arena *a, const struct sm_slab_ref *s, struct sm_cache_shm *runs) {
    if (s->sr_aux == NULL) {
        return SM_OK;
    }
    uint32_t *tag = &s->sr_aux[s->sr_index], was = sm_load_rlx(tag);
    if (was == 0) {
        return SM_OK; /* never counted, or a free that failed after this point and is tried again */
    }
    if (SM_TAG_TYPE(was) >= sm_tag_types(a)) {
        return SM_CORRUPT;
    }
    enum sm_err err = sm_op_enter(a, tag_op(a, tag));
    if (sm_unlikely(err != SM_OK)) {
        return err;
    }
    struct sm_type_stat_shm *t = sm_tag_stat(a, a->a_cpu_id, SM_TAG_TYPE(was));
    sm_store_rlx(tag, 0);
    sm_crash_point(a, STEP_TAG_CLEARED);
    sm_bump(&t->ts_bytes_out, sm_tag_usable(a, s));
    sm_bump(&t->ts_frees, 1);
    if (runs != NULL) {
        sm_bump(&runs->c_frees, 1);
    }
    sm_crash_point(a, STEP_COUNTED_OUT);
    sm_op_leave(a);
    return SM_OK;
}
