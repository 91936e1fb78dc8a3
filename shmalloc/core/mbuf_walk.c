/* mbuf_walk.c - see mbuf_walk.h. */
#include "mbuf_walk.h"

#include <limits.h>
#include <string.h>

bool sm_walk_begin(struct sm_arena *a, struct sm_walk *w) {
    static const uint32_t least[SM_MBZ_COUNT] = {MSIZE,      MCLBYTES,    MSIZE,      MJUMPAGESIZE,
                                                 MJUM9BYTES, MJUM16BYTES, MTAG_BYTES, sizeof(struct sm_extref_shm)};
    sm_off_t off = sm_load_acq(&a->a_ctl->ctl_mbuf);
    *w = (struct sm_walk){.w_arena = a};
    if (off == 0 || off % SM_PAGE != 0 || off > a->a_bytes - sizeof(struct sm_mb_shm)) {
        return false;
    }
    w->w_shm = sm_at(a, off);
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        uint32_t zone = sm_load_rlx(&w->w_shm->mb_zone[i]);
        if (zone >= a->a_header->h_max_zones) {
            return false;
        }
        w->w_keg[i] = a->a_zones[zone].z_keg;
        if (w->w_keg[i] >= a->a_header->h_max_zones || a->a_kegs[w->w_keg[i]].k_stride_bytes < least[i]) {
            return false;
        }
    }
    return true;
}

static void bad(const struct sm_walk *w, sm_off_t from, const char *text) {
    if (w->w_bad) {
        w->w_bad(w->w_ctx, from, text);
    }
}

/* A damaged keg may say that items begin anywhere; no more than MSIZE bytes of ours are looked into. */
static bool sane(const struct sm_walk *w, sm_off_t off) {
    return off >= w->w_arena->a_data_off && off <= w->w_arena->a_bytes - MSIZE && off % SM_MIN_ITEM == 0;
}

static bool find(const struct sm_walk *w, sm_off_t off, uint32_t keg, struct sm_slab_ref *s) {
    return sane(w, off) && sm_slab_find(w->w_arena, off, s) == SM_OK && s->sr_keg == keg;
}

static bool attached(const struct sm_slab_ref *s) {
    return SM_ST_KIND(sm_load_rlx(&s->sr_words[s->sr_index])) == SM_ATTACHED;
}

/* ---------------------------------------------------------------- from one mbuf */

static void reach_external(struct sm_walk *w, const struct mbuf *m, sm_off_t from) {
    struct sm_slab_ref s, item;
    if (!find(w, m->m_ext.me_ref, w->w_keg[SM_MBZ_EXTREF], &s) || !attached(&s)) {
        bad(w, from, "its counter of external storage is none");
        return;
    }
    struct sm_extref_shm *xr = sm_at(w->w_arena, m->m_ext.me_ref);
    w->w_reached(w->w_ctx, SM_REACH_STORAGE, &s, &xr->xr_count);
    if (xr->xr_item >= w->w_arena->a_data_off && xr->xr_item < w->w_arena->a_bytes &&
        sm_slab_find(w->w_arena, xr->xr_item, &item) == SM_OK && attached(&item)) {
        w->w_reached(w->w_ctx, SM_REACH_ITEM, &item, NULL);
    } else {
        bad(w, from, "its external storage is no item");
    }
}

static void reach_storage(struct sm_walk *w, const struct mbuf *m, sm_off_t from) {
    enum sm_mb_zone which = SM_MBZ_COUNT;
    struct sm_slab_ref s;
    switch (m->m_ext.me_type) {
    case EXT_CLUSTER:
    case EXT_PACKET:
        which = SM_MBZ_CLUSTER;
        break;
    case EXT_JUMBOP:
        which = SM_MBZ_JUMBOP;
        break;
    case EXT_JUMBO9:
        which = SM_MBZ_JUMBO9;
        break;
    case EXT_JUMBO16:
        which = SM_MBZ_JUMBO16;
        break;
    default:
        reach_external(w, m, from);
        return;
    }
    if (find(w, m->m_ext.me_buf, w->w_keg[which], &s) && attached(&s) && s.sr_aux) {
        w->w_reached(w->w_ctx, SM_REACH_STORAGE, &s, &s.sr_aux[s.sr_index]);
    } else {
        bad(w, from, "its cluster is none");
    }
}

static void reach_tags(struct sm_walk *w, const struct mbuf *m, sm_off_t from) {
    struct sm_slab_ref s;
    for (sm_off_t at = m->m_pkthdr.ph_tags; at != 0;) {
        if (!find(w, at, w->w_keg[SM_MBZ_TAG], &s) || !attached(&s)) {
            bad(w, from, "its tag is none");
            return;
        }
        bool again = w->w_seen(w->w_ctx, &s);
        w->w_reached(w->w_ctx, SM_REACH_TAG, &s, NULL);
        if (again) {
            return;
        }
        at = ((const struct m_tag *)sm_at(w->w_arena, at))->t_next;
    }
}

static void reach_parts(struct sm_walk *w, const struct mbuf *m, sm_off_t from) {
    if (m->m_flags & M_EXT) {
        reach_storage(w, m, from);
    }
    if (m->m_flags & M_PKTHDR && m->m_pkthdr.ph_tags != 0) {
        reach_tags(w, m, from);
    }
}

/* The mbuf at a link, if it is ATTACHED and was not reached before; it is now. */
static struct mbuf *reach_mbuf(struct sm_walk *w, sm_off_t link) {
    struct sm_slab_ref s;
    if (!find(w, link, w->w_keg[SM_MBZ_MBUF], &s) || !attached(&s)) {
        return NULL;
    }
    bool again = w->w_seen(w->w_ctx, &s);
    w->w_reached(w->w_ctx, SM_REACH_CHAIN, &s, NULL);
    if (again) {
        return NULL;
    }
    struct mbuf *m = sm_at(w->w_arena, link);
    reach_parts(w, m, link);
    return m;
}

/* ---------------------------------------------------------------- from all of them */

static int walk_slab(const struct sm_slab_ref *s, void *ctx) {
    struct sm_walk *w = ctx;
    if (s->sr_keg != w->w_keg[SM_MBZ_MBUF]) {
        return 0;
    }
    for (uint32_t i = 0; i < w->w_arena->a_kegs[s->sr_keg].k_items; i++) {
        enum sm_kind kind = SM_ST_KIND(sm_load_rlx(&s->sr_words[i]));
        if (kind == SM_FREE || kind == SM_ATTACHED || kind >= SM_KIND_END) {
            continue;
        }
        sm_off_t off = sm_slab_item(w->w_arena, s, i);
        if (!sane(w, off)) {
            continue;
        }
        struct mbuf *m = sm_at(w->w_arena, off);
        reach_parts(w, m, off);
        /* A private chain's neighbours are HELD and roots themselves. */
        while (m != NULL && m->m_next != 0) {
            m = reach_mbuf(w, m->m_next);
        }
    }
    return 0;
}

void sm_walk_all(struct sm_walk *w) {
    (void)sm_slab_each(w->w_arena, 0, walk_slab, w);
    for (uint32_t i = 0; i < SM_SOCKBUFS; i++) {
        struct sm_sockbuf_shm *sb = &w->w_shm->mb_sockbuf[i];
        if (sm_load_acq(&sb->sb_state) != SM_ZONE_LIVE) {
            continue;
        }
        for (sm_off_t record = sb->sb_mb; record != 0;) {
            struct mbuf *head = reach_mbuf(w, record), *m = head;
            while (m != NULL && m->m_next != 0) {
                m = reach_mbuf(w, m->m_next);
            }
            record = head ? head->m_nextpkt : 0;
        }
    }
}

/* ---------------------------------------------------------------- sockbufs */

void sm_walk_sockbuf(struct sm_walk *w, struct sm_sockbuf_shm *sb, struct sm_sockbuf_sum *sum) {
    uint64_t most = (sm_load_rlx(&w->w_arena->a_ctl->ctl_frontier) << SM_PAGE_SHIFT) / MSIZE;
    struct sm_slab_ref s;
    *sum = (struct sm_sockbuf_sum){0};
    for (sm_off_t *record = &sb->sb_mb; *record != 0;) {
        struct mbuf *head = NULL;
        sum->ss_last = *record;
        for (sm_off_t *link = record; *link != 0;) {
            if (!find(w, *link, w->w_keg[SM_MBZ_MBUF], &s) || !attached(&s) || sum->ss_mbufs++ > most) {
                sum->ss_broken = link;
                return;
            }
            struct mbuf *m = sm_at(w->w_arena, *link);
            head = head ? head : m;
            sum->ss_cc += m->m_win.w_len;
            sum->ss_mbcnt += sm_mbuf_storage(m);
            sum->ss_tail = *link;
            link = &m->m_next;
        }
        record = &head->m_nextpkt;
    }
}

void sm_walk_rebuild_sockbufs(struct sm_walk *w) {
    for (uint32_t i = 0; i < SM_SOCKBUFS; i++) {
        struct sm_sockbuf_shm *sb = &w->w_shm->mb_sockbuf[i];
        struct sm_sockbuf_sum sum;
        if (sm_load_acq(&sb->sb_state) != SM_ZONE_LIVE) {
            continue;
        }
        sm_walk_sockbuf(w, sb, &sum);
        if (sum.ss_broken) { /* damage: what lies behind is reached by nobody and was freed */
            *sum.ss_broken = 0;
            sm_walk_sockbuf(w, sb, &sum);
        }
        sm_store_rlx(&sb->sb_cc, sum.ss_cc);
        sm_store_rlx(&sb->sb_mbcnt, sum.ss_mbcnt);
        sb->sb_mbtail = sum.ss_tail;
        sb->sb_lastrecord = sum.ss_last;
    }
}

/* Whether a sleeper's flag stands or not: the dead may have cleared it and not come to the wake. */
void sm_walk_wake_sockbufs(struct sm_arena *a) {
    struct sm_walk w;
    bool mbufs = sm_walk_begin(a, &w);
    for (uint32_t i = 0; mbufs && i < SM_SOCKBUFS; i++) {
        struct sm_sockbuf_shm *sb = &w.w_shm->mb_sockbuf[i];
        if (sm_load_acq(&sb->sb_gen) != 0) {
            sm_add_acqrel(&sb->sb_data_seq, 1);
            sm_os_futex_wake(&sb->sb_data_seq, INT_MAX);
            sm_add_acqrel(&sb->sb_space_seq, 1);
            sm_os_futex_wake(&sb->sb_space_seq, INT_MAX);
        }
    }
}

/* ---------------------------------------------------------------- labels */

struct label_look {
    struct sm_walk *ll_walk;
    struct sm_label_census *ll_census;
    bool ll_bury;
};

static int labels_slab(const struct sm_slab_ref *s, void *ctx) {
    struct label_look *ll = ctx;
    struct sm_walk *w = ll->ll_walk;
    if (s->sr_keg != w->w_keg[SM_MBZ_TAG]) {
        return 0;
    }
    for (uint32_t i = 0; i < w->w_arena->a_kegs[s->sr_keg].k_items; i++) {
        enum sm_kind kind = SM_ST_KIND(sm_load_rlx(&s->sr_words[i]));
        if (!sane(w, sm_slab_item(w->w_arena, s, i))) {
            continue;
        }
        struct m_tag *t = sm_at(w->w_arena, sm_slab_item(w->w_arena, s, i));
        struct mac_label *l = (struct mac_label *)(void *)t->t_data;
        if (t->t_cookie != MTAG_ABI_COMPAT || t->t_id != PACKET_TAG_MACLABEL ||
            sm_load_rlx(&l->l_magic) != MAC_LABEL_MAGIC) {
            continue;
        }
        if (kind == SM_FREE || kind == SM_CACHED) {
            if (ll->ll_bury) {
                sm_store_rlx(&l->l_magic, MAC_LABEL_DEAD);
            }
            continue;
        }
        ll->ll_census->lc_alive++;
        for (uint32_t p = 0; p < MAC_SLOTS; p++) {
            ll->ll_census->lc_of[p] += l->l_policies >> p & 1;
        }
    }
    return 0;
}

void sm_walk_labels(struct sm_walk *w, bool bury, struct sm_label_census *census) {
    struct label_look ll = {w, census, bury};
    *census = (struct sm_label_census){0};
    (void)sm_slab_each(w->w_arena, 0, labels_slab, &ll);
}
