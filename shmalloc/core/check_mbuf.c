/* check_mbuf.c - I18, I19: what mbufs reach, the counters of storage, and the sums of sockbufs. Owns nothing.
 * Source: layout_mbuf.h; the walk itself is mbuf_walk.c's.
 */
#include <stdlib.h>

#include "check_ctx.h"
#include "mbuf_walk.h"

struct reach_look {
    struct sm_check *rl_check;
    uint32_t *rl_refs; /* by item number: times reached */
};

static bool number_of(const struct reach_look *rl, const struct sm_slab_ref *s, uint64_t *n) {
    struct sm_check_item item;
    sm_off_t off = sm_slab_item(rl->rl_check->c_arena, s, s->sr_index);
    if (!sm_check_item_at(rl->rl_check, off, &item)) {
        return false;
    }
    *n = item.i_number;
    return true;
}

static void reached(void *ctx, enum sm_reach what, const struct sm_slab_ref *s, uint32_t *count) {
    struct reach_look *rl = ctx;
    uint64_t n;
    (void)count;
    if (!number_of(rl, s, &n)) {
        return;
    }
    if (rl->rl_refs[n]++ != 0 && (what == SM_REACH_CHAIN || what == SM_REACH_TAG)) {
        sm_check_found(rl->rl_check, 18, "item %#llx is in two chains, or in one twice",
                       (unsigned long long)sm_slab_item(rl->rl_check->c_arena, s, s->sr_index));
    }
}

static bool seen(void *ctx, const struct sm_slab_ref *s) {
    const struct reach_look *rl = ctx;
    uint64_t n;
    return !number_of(rl, s, &n) || rl->rl_refs[n] != 0;
}

static void bad_link(void *ctx, sm_off_t from, const char *text) {
    const struct reach_look *rl = ctx;
    sm_check_found(rl->rl_check, 18, "mbuf %#llx: %s", (unsigned long long)from, text);
}

static void compare_slab(struct sm_check *c, const struct sm_check_slab *s, const uint32_t *refs,
                         const struct sm_walk *w) {
    bool counted = c->c_keg[s->s_keg].k_flags & SM_KEG_REFCNT && s->s_aux;
    for (uint32_t i = 0; i < s->s_items; i++) {
        uint64_t word = sm_load_rlx(&s->s_words[i]);
        sm_off_t off = sm_check_item_off(c, s, i);
        uint32_t have = refs ? refs[s->s_first + i] : 0, says = have;
        if (SM_ST_KIND(word) != SM_ATTACHED) {
            continue;
        }
        if (have == 0) {
            sm_check_found(c, 18, "item %#llx is ATTACHED, but nothing reaches it", (unsigned long long)off);
            continue;
        }
        if (counted) {
            says = sm_load_rlx(&s->s_aux[i]);
        } else if (w && s->s_keg == w->w_keg[SM_MBZ_EXTREF]) {
            says = sm_load_rlx(&((const struct sm_extref_shm *)sm_at(c->c_arena, off))->xr_count);
        }
        if (says != have) {
            sm_check_found(c, 18, "storage %#llx counts %u references, %u mbufs refer to it", (unsigned long long)off,
                           says, have);
        }
    }
}

static void compare_labels(struct sm_check *c, struct sm_walk *w) {
    struct sm_label_census census;
    uint64_t made = sm_load_rlx(&w->w_shm->mb_labels_made), ended = sm_load_rlx(&w->w_shm->mb_labels_ended);
    uint64_t reaped = sm_load_rlx(&w->w_shm->mb_labels_reaped);
    sm_walk_labels(w, false, &census);
    if (made != ended + reaped + census.lc_alive) {
        sm_check_found(c, 18, "labels: %llu made, but %llu ended, %llu reaped and %llu are alive",
                       (unsigned long long)made, (unsigned long long)ended, (unsigned long long)reaped,
                       (unsigned long long)census.lc_alive);
    }
}

enum sm_err sm_check_i18(struct sm_check *c) {
    struct reach_look rl = {c, calloc(c->c_items + 1, sizeof(uint32_t))};
    struct sm_walk w;
    if (rl.rl_refs == NULL) {
        return SM_NO_MEMORY;
    }
    bool mbufs = sm_walk_begin(c->c_arena, &w);
    if (mbufs) {
        w.w_reached = reached;
        w.w_seen = seen;
        w.w_bad = bad_link;
        w.w_ctx = &rl;
        sm_walk_all(&w);
        compare_labels(c, &w);
    } else if (sm_load_rlx(&c->c_ctl->ctl_mbuf) != 0) {
        sm_check_found(c, 18, "the region of mbufs at %#llx makes no sense",
                       (unsigned long long)sm_load_rlx(&c->c_ctl->ctl_mbuf));
    }
    for (uint32_t n = 0; n < c->c_slabs; n++) {
        compare_slab(c, &c->c_slab[n], rl.rl_refs, mbufs ? &w : NULL);
    }
    free(rl.rl_refs);
    return SM_OK;
}

enum sm_err sm_check_i19(struct sm_check *c) {
    struct sm_walk w;
    bool mbufs = sm_walk_begin(c->c_arena, &w);
    for (uint32_t i = 0; mbufs && i < SM_SOCKBUFS; i++) {
        struct sm_sockbuf_shm *sb = &w.w_shm->mb_sockbuf[i];
        struct sm_sockbuf_sum sum;
        if (sm_load_acq(&sb->sb_state) != SM_ZONE_LIVE) {
            continue;
        }
        sm_walk_sockbuf(&w, sb, &sum);
        if (sum.ss_broken) {
            sm_check_found(c, 19, "sockbuf %u: its chain breaks after %llu mbufs", i, (unsigned long long)sum.ss_mbufs);
        } else if (sum.ss_cc != sb->sb_cc || sum.ss_mbcnt != sb->sb_mbcnt) {
            sm_check_found(c, 19, "sockbuf %u: counts %llu bytes in %llu of storage, its chain has %llu in %llu", i,
                           (unsigned long long)sb->sb_cc, (unsigned long long)sb->sb_mbcnt,
                           (unsigned long long)sum.ss_cc, (unsigned long long)sum.ss_mbcnt);
        } else if (sum.ss_tail != sb->sb_mbtail || sum.ss_last != sb->sb_lastrecord) {
            sm_check_found(c, 19, "sockbuf %u: last mbuf %#llx and record %#llx are not its chain's %#llx and %#llx", i,
                           (unsigned long long)sb->sb_mbtail, (unsigned long long)sb->sb_lastrecord,
                           (unsigned long long)sum.ss_tail, (unsigned long long)sum.ss_last);
        }
    }
    return SM_OK;
}
