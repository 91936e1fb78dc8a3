/* mbuf_stats.c - see mbuf_stats.h. Changes nothing. Takes the keg locks of the mbuf zones one after the other where
 * sm_stats_zone does, none on a read-only attachment; so two zones are read at two moments.
 */
#include "mbuf_stats.h"

#include <string.h>

#include "mbuf_walk.h"
#include "stats.h"

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static struct sm_mb_use use_of(const struct sm_zone_stats *z) {
    return (struct sm_mb_use){.mu_item_bytes = z->zs_item_bytes,
                              .mu_current = z->zs_used,
                              .mu_cache = z->zs_free,
                              .mu_total = z->zs_used + z->zs_free,
                              .mu_max = z->zs_limit,
                              .mu_denied = z->zs_fails,
                              .mu_delayed = z->zs_sleeps};
}

/* ---------------------------------------------------------------- by type */

struct census {
    const struct sm_arena *c_arena;
    uint32_t c_keg;
    struct sm_mb_stats *c_out;
};

/* An mbuf that is out has a word that says so; what m_type says is believed only as far as it is a type. The slab may
 * be withdrawn while it is read: then words of a moment ago are counted, within its bounds. */
static int count_slab(const struct sm_slab_ref *s, void *ctx) {
    struct census *c = ctx;
    if (s->sr_keg != c->c_keg) {
        return 0;
    }
    const struct sm_keg_shm *k = &c->c_arena->a_kegs[s->sr_keg];
    uint64_t stride = k->k_stride_bytes, room = (uint64_t)s->sr_pages << SM_PAGE_SHIFT;
    if (stride == 0 || stride % MSIZE != 0) {
        return 0;
    }
    const uint8_t *mem = sm_page_mem(c->c_arena, s->sr_page);
    for (uint64_t i = 0, n = least(k->k_items, room / stride); i < n; i++) {
        /* Acquire: pairs with the releases that attach, queue and ticket; for a HELD mbuf its type may be a moment old. */
        enum sm_kind kind = SM_ST_KIND(sm_load_acq(&s->sr_words[i]));
        if (kind != SM_HELD && kind != SM_QUEUED && kind != SM_TICKETED && kind != SM_ATTACHED) {
            continue;
        }
        uint32_t type = sm_load_rlx(&((const struct mbuf *)(const void *)(mem + i * stride))->m_type);
        if (type < MT_NTYPES) {
            c->c_out->nm_type[type]++;
        } else {
            c->c_out->nm_type_unknown++;
        }
    }
    return 0;
}

/* ---------------------------------------------------------------- all of it */

enum sm_err sm_mb_stats(struct sm_arena *a, struct sm_mb_stats *out) {
    struct sm_zone_stats z[SM_MBZ_COUNT];
    struct sm_walk w;
    memset(out, 0, sizeof *out);
    if (sm_load_acq(&a->a_ctl->ctl_mbuf) == 0) { /* pairs with the release in sm_mb_open */
        return SM_NOT_FOUND;
    }
    if (!sm_walk_begin(a, &w)) {
        return SM_CORRUPT;
    }
    for (int i = 0; i < SM_MBZ_COUNT; i++) {
        if (sm_stats_zone(a, sm_load_rlx(&w.w_shm->mb_zone[i]), &z[i]) != SM_OK) {
            return SM_CORRUPT; /* zones of mbufs are never destroyed */
        }
    }
    out->nm_packets = use_of(&z[SM_MBZ_PACKET]);
    out->nm_mbufs = use_of(&z[SM_MBZ_MBUF]);
    out->nm_mbufs.mu_current += out->nm_packets.mu_current;
    out->nm_mbufs.mu_cache += out->nm_packets.mu_cache;
    out->nm_mbufs.mu_total += out->nm_packets.mu_total;
    out->nm_clusters = use_of(&z[SM_MBZ_CLUSTER]);
    uint64_t waiting = least(out->nm_packets.mu_cache, out->nm_clusters.mu_current);
    out->nm_clusters.mu_current -= waiting;
    out->nm_clusters.mu_cache += waiting;
    out->nm_jumbop = use_of(&z[SM_MBZ_JUMBOP]);
    out->nm_jumbo9 = use_of(&z[SM_MBZ_JUMBO9]);
    out->nm_jumbo16 = use_of(&z[SM_MBZ_JUMBO16]);
    out->nm_tags = use_of(&z[SM_MBZ_TAG]);
    out->nm_extrefs = use_of(&z[SM_MBZ_EXTREF]);
    const struct sm_mb_use *const counted[] = {&out->nm_mbufs, &out->nm_clusters, &out->nm_jumbop, &out->nm_jumbo9,
                                               &out->nm_jumbo16};
    for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
        out->nm_bytes.by_current += counted[i]->mu_current * counted[i]->mu_item_bytes;
        out->nm_bytes.by_cache += counted[i]->mu_cache * counted[i]->mu_item_bytes;
    }
    out->nm_bytes.by_current += out->nm_tags.mu_current * out->nm_tags.mu_item_bytes;
    out->nm_bytes.by_total = out->nm_bytes.by_current + out->nm_bytes.by_cache;
    out->nm_drain_calls = sm_load_rlx(&w.w_shm->mb_drain_calls);
    out->nm_drained_ns = sm_load_rlx(&w.w_shm->mb_drained_ns);
    out->nm_labels_made = sm_load_rlx(&w.w_shm->mb_labels_made);
    out->nm_labels_ended = sm_load_rlx(&w.w_shm->mb_labels_ended);
    out->nm_labels_reaped = sm_load_rlx(&w.w_shm->mb_labels_reaped);
    out->nm_label_mode = sm_load_rlx(&w.w_shm->mb_label_mode);
    out->nm_maxusers = sm_load_rlx(&w.w_shm->mb_maxusers);
    struct census c = {a, w.w_keg[SM_MBZ_MBUF], out};
    (void)sm_slab_each(a, 0, count_slab, &c);
    return SM_OK;
}
