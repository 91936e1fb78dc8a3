/* mbuf_walk.h - what mbufs reach: one walk for recovery, which rebuilds from it, and for check, which compares. The world
 * is stopped, or the arena is a copy. Takes no lock, owns nothing; every link is looked up before it is followed, and a
 * walker that remembers what it has seen makes every walk end.
 */
#ifndef SM_MBUF_WALK_H
#define SM_MBUF_WALK_H

#include "layout_mbuf.h"
#include "slab.h"

enum sm_reach {
    SM_REACH_CHAIN, /* an mbuf behind a head or in a sockbuf */
    SM_REACH_TAG, /* a tag of a packet header */
    SM_REACH_STORAGE, /* what has the counter: a cluster, or an sm_extref_shm */
    SM_REACH_ITEM /* the item behind an sm_extref_shm */
};

struct sm_walk {
    struct sm_arena *w_arena;
    struct sm_mb_shm *w_shm;
    uint32_t w_keg[SM_MBZ_COUNT];
    void *w_ctx;
    /* s->sr_index is the item. count: of storage. */
    void (*w_reached)(void *ctx, enum sm_reach what, const struct sm_slab_ref *s, uint32_t *count);
    bool (*w_seen)(void *ctx, const struct sm_slab_ref *s); /* was it reached before? */
    void (*w_bad)(void *ctx, sm_off_t from, const char *text); /* a link that leads nowhere; NULL: not told */
};

/* False: this arena has no mbufs, or their region makes no sense. */
bool sm_walk_begin(struct sm_arena *a, struct sm_walk *w);
/* From every mbuf that is neither FREE nor ATTACHED, and from every sockbuf. */
void sm_walk_all(struct sm_walk *w);

struct sm_sockbuf_sum { /* what a sockbuf's chain adds up to */
    uint64_t ss_cc, ss_mbcnt, ss_mbufs;
    sm_off_t ss_tail, ss_last;
    sm_off_t *ss_broken; /* the link that leads nowhere, NULL when the chain is whole */
};
void sm_walk_sockbuf(struct sm_walk *w, struct sm_sockbuf_shm *sb, struct sm_sockbuf_sum *sum);
/* Counts and tails from the chains, locks' marks apart; a chain that breaks ends there. */
void sm_walk_rebuild_sockbufs(struct sm_walk *w);
/* After a death, with the world going again: everybody who sleeps at a sockbuf looks again (sockbuf_wait.c). */
void sm_walk_wake_sockbufs(struct sm_arena *a);

struct sm_label_census { /* labels that are alive, and how many of them carry each policy's bit */
    uint64_t lc_alive;
    uint64_t lc_of[MAC_SLOTS];
};
/* bury: recovery. What a freed tag still says is made to say that the label is dead. */
void sm_walk_labels(struct sm_walk *w, bool bury, struct sm_label_census *census);
static inline bool sm_walk_is_mbuf_keg(const struct sm_walk *w, uint32_t keg) {
    return keg == w->w_keg[SM_MBZ_MBUF];
}
/* What a FREE mbuf must be: no M_EXT, no link. The mbuf's word still says that it is not free. */
static inline void sm_walk_clear_mbuf(void *mem) {
    struct mbuf *m = (struct mbuf *)mem;
    sm_store_rlx(&m->m_flags, 0);
    m->m_next = m->m_nextpkt = 0;
}
static inline uint64_t sm_mbuf_storage(const struct mbuf *m) { /* what sb_mbcnt counts for one mbuf */
    return MSIZE + (m->m_flags & M_EXT ? m->m_ext.me_size : 0);
}

#endif
