/* reap_mbuf.c - after every word has been decided: which ATTACHED items something still reaches, and what the counters of
 * storage are. The world is stopped. Derived from the mbufs alone (I18), so that a dead reaper's successor starts over.
 * Nothing that an mbuf says is followed before it is known to be an item of the right zone.
 */
#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "mbuf_impl.h"
#include "mbuf_walk.h"
#include "reap_impl.h"

enum reap_mbuf_step { STEP_REACHED_COUNTED = 0x780, STEP_UNREACHED_FREED, STEP_SOCKBUFS_REBUILT, STEP_LABELS_SETTLED };

static void reached(void *ctx, enum sm_reach what, const struct sm_slab_ref *s, uint32_t *count) {
    struct sm_reap_job *j = ctx;
    uint64_t key = sm_reap_key(j->rj_arena, sm_slab_item(j->rj_arena, s, s->sr_index));
    bool first = !sm_reap_bit(j->rj_reached, key);
    sm_reap_set_bit(j->rj_reached, key);
    if (what == SM_REACH_STORAGE && count) {
        *count = first ? 1 : *count + 1;
    }
}

static bool seen(void *ctx, const struct sm_slab_ref *s) {
    struct sm_reap_job *j = ctx;
    return sm_reap_bit(j->rj_reached, sm_reap_key(j->rj_arena, sm_slab_item(j->rj_arena, s, s->sr_index)));
}

/* ATTACHED and not reached: whoever it belonged to is gone. */
static int free_unreached(const struct sm_slab_ref *slab, void *ctx) {
    struct sm_reap_job *j = ctx;
    struct sm_arena *a = j->rj_arena;
    struct sm_slab_ref s = *slab;
    bool mbufs = sm_walk_is_mbuf_keg(j->rj_walk, s.sr_keg);
    for (uint32_t i = 0; i < a->a_kegs[s.sr_keg].k_items; i++) {
        uint64_t w = sm_load_rlx(&s.sr_words[i]);
        sm_off_t item = sm_slab_item(a, &s, i);
        s.sr_index = i;
        if (SM_ST_KIND(w) != SM_ATTACHED || sm_reap_bit(j->rj_reached, sm_reap_key(a, item))) {
            continue;
        }
        if (mbufs) {
            sm_walk_clear_mbuf(sm_at(a, item));
        }
        if (a->a_kegs[s.sr_keg].k_flags & SM_KEG_RUNS) { /* its pages go with the world running again */
            sm_store_rlx(&s.sr_words[i], (w & SM_ST_GEN_MASK) | SM_ST_LOW(SM_HELD, SM_ST_ZONE(w), a->a_cpu_id));
            sm_reap_later(j, (struct sm_entry){item, sm_off_of(a, &s.sr_words[i])}, SM_ST_ZONE(w), false);
        } else {
            sm_reap_untally(j, &s);
            sm_reap_set_free(j, &s, w, true);
        }
        sm_crash_point(a, STEP_UNREACHED_FREED);
    }
    return 0;
}

/* Labels whose tags are gone ended with their process; their policies are not called. A death in the middle of a change
 * of policies: what is derived from them is derived again, and every process looks at them again. */
static void settle_labels(struct sm_walk *w) {
    struct sm_mb_shm *shm = w->w_shm;
    struct sm_label_census census;
    sm_walk_labels(w, true, &census);
    uint64_t gone = sm_load_rlx(&shm->mb_labels_made) - sm_load_rlx(&shm->mb_labels_ended);
    sm_store_rlx(&shm->mb_labels_reaped, gone > census.lc_alive ? gone - census.lc_alive : 0);
    sm_crash_point(w->w_arena, STEP_LABELS_SETTLED);
    sm_store_rlx(&shm->mb_labelling, sm_mac_labelling_of(shm));
    sm_add_acqrel(&shm->mb_policy_gen, 1);
}

void sm_reap_mbufs(struct sm_reap_job *j) {
    struct sm_walk walk;
    if (!sm_walk_begin(j->rj_arena, &walk)) {
        return;
    }
    uint64_t bits = (j->rj_arena->a_ctl->ctl_frontier << SM_PAGE_SHIFT) / SM_MIN_ITEM / 8 + 1;
    j->rj_reached = calloc(1, bits);
    if (j->rj_reached == NULL) {
        j->rj_error = SM_NO_MEMORY;
        return;
    }
    j->rj_walk = &walk;
    walk.w_reached = reached;
    walk.w_seen = seen;
    walk.w_ctx = j;
    sm_walk_all(&walk);
    sm_crash_point(j->rj_arena, STEP_REACHED_COUNTED);
    (void)sm_slab_each(j->rj_arena, 0, free_unreached, j);
    sm_walk_rebuild_sockbufs(&walk);
    sm_crash_point(j->rj_arena, STEP_SOCKBUFS_REBUILT);
    settle_labels(&walk);
    j->rj_walk = NULL;
}
