/* mbuf_cached.h - the shortest ways of getting and freeing an mbuf, inline: from this CPU's buckets and back into them, or
 * not at all. Takes no lock, sleeps never, calls nobody; what does not go this way goes through mbuf_get.c, which says
 * what a crash leaves. Public, for faces that may do nothing slow where they drop a packet.
 */
#ifndef SM_MBUF_CACHED_H
#define SM_MBUF_CACHED_H

#include "cache.h"
#include "mbuf.h"

static inline bool sm_mb_plain(const struct sm_mb *mb, int type, uint32_t flags) {
    return sm_likely((unsigned)type - 1 < MT_NTYPES - 1 && (flags & ~(M_COPYFLAGS & ~M_EXT)) == 0) &&
           !(flags & M_PKTHDR && sm_unlikely(sm_load_rlx(&mb->mb_shm->mb_labelling) != 0));
}

/* Of a fresh mbuf; links and packet header are cleared whatever its last life left in them. */
static inline void sm_mb_header(struct mbuf *m, int type, uint32_t flags, sm_off_t data) {
    m->m_next = 0;
    m->m_nextpkt = 0;
    m->m_win.w_word = (uint64_t)data << M_LEN_BITS;
    m->m_flags = flags;
    m->m_type = (uint32_t)type;
    if (flags & M_PKTHDR) {
        __builtin_memset(&m->m_pkthdr, 0, sizeof m->m_pkthdr);
    }
}

/* m_get or m_gethdr from the bucket, and the mbuf's state word; NULL: nothing happened, make the call. */
static inline struct mbuf *m_get_cached(struct sm_mb *mb, int type, uint32_t flags, uint64_t **word) {
    struct mbuf *m;
    if (!sm_mb_plain(mb, type, flags) ||
        sm_unlikely((m = (struct mbuf *)sm_cache_alloc_raw(mb->mb_zone[SM_MBZ_MBUF], word)) == NULL)) {
        return NULL;
    }
    sm_mb_header(m, type, flags, m_off(mb, m) + (flags & M_PKTHDR ? M_HDR_BYTES + M_PKTHDR_BYTES : M_HDR_BYTES));
    return m;
}

/* The same with its cluster: m_getcl. */
static inline struct mbuf *m_getcl_cached(struct sm_mb *mb, int type, uint32_t flags, uint64_t **word) {
    struct mbuf *m;
    if (!sm_mb_plain(mb, type, flags) ||
        sm_unlikely((m = (struct mbuf *)sm_cache_alloc_raw(mb->mb_zone[SM_MBZ_PACKET], word)) == NULL)) {
        return NULL;
    }
    sm_mb_header(m, type, flags | M_EXT, m->m_ext.me_buf);
    return m;
}

/* sm_cache_word for the keg of mbufs: their stride is MSIZE, a power of two that divides the page. */
static inline uint64_t *sm_mb_state(const struct sm_zone *z, const struct mbuf *m) {
    const uint64_t d = (uint64_t)((const uint8_t *)m - z->z_first);
    if (sm_unlikely(d >= z->z_raw_bytes)) {
        return NULL;
    }
    const uint64_t e = sm_load_rlx(&z->z_pagedir[d >> SM_PAGE_SHIFT]);
    const uint64_t in = (d & (SM_PAGE - 1)) + ((uint64_t)SM_PG_IDX(e) << SM_PAGE_SHIFT);
    if (sm_unlikely((uint16_t)e != z->z_page_match) || sm_unlikely(d % MSIZE != 0)) {
        return NULL;
    }
    return (uint64_t *)(z->z_words + (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT) + in / MSIZE;
}

/* Into the cache of zone z, when nothing hangs on it; link: its m_next. */
static inline bool sm_mb_put(struct mbuf *m, struct sm_zone *z, sm_off_t link) {
    uint64_t *word = sm_mb_state(z, m);
    const uint32_t low = z->z_low_held;
    struct sm_cpu_shm *cpu = z->z_raw_cpu;
    uint8_t *const base = z->z_base;
    bool done = false;
    if (sm_unlikely(word == NULL)) {
        return false;
    }
    sm_cache_say(cpu, SM_OPWORD(SM_OP_FREE, 0, 0));
    sm_compiler_barrier(); /* pairs with membarrier in quiesce.c */
    if (sm_cache_unclaimed(cpu)) {
        struct sm_cache_shm *c = z->z_cache;
        const uint64_t st = sm_cache_state(word, low);
        if (sm_likely((uint32_t)st == low) && sm_likely(sm_cache_room(c))) {
            if (link != 0) {
                m->m_next = 0; /* I18: nothing in a cache reaches anything but its own cluster */
            }
            sm_cache_list(base, c, (sm_off_t)((uint8_t *)m - base), word, st + SM_ST_FREE_DELTA);
            done = true;
        }
    }
    sm_cache_done(cpu);
    return done;
}

/* Is its storage a cluster that nobody else refers to? What an mbuf says about itself may have been overrun: buffer, size
 * and counter must be those of one cluster, by the page directory, or the mbuf goes the slow way. Acquire: pairs with the
 * release of the reference given up last. */
static inline bool sm_mb_own_cluster(const struct sm_mb *mb, const struct mbuf *m, const struct sm_zone *z) {
    const uint64_t d = m->m_ext.me_buf - mb->mb_first;
    if (sm_unlikely(d >= z->z_raw_bytes)) { /* the directory is committed as far for one zone as for another */
        return false;
    }
    const uint64_t e = sm_load_rlx(&z->z_pagedir[d >> SM_PAGE_SHIFT]);
    const uint64_t in = (d & (SM_PAGE - 1)) + ((uint64_t)SM_PG_IDX(e) << SM_PAGE_SHIFT);
    const uint64_t count = mb->mb_counts + (uint64_t)SM_PG_BLK(e) * SM_BLOCK_UNIT + in / MCLBYTES * sizeof(uint32_t);
    return sm_likely((uint16_t)e == mb->mb_cluster_match) && sm_likely(in % MCLBYTES == 0) &&
           sm_likely(m->m_ext.me_cnt == count) &&
           sm_load_acq((const uint32_t *)(const void *)(mb->mb_base + count)) == 1;
}

/* m_free of one mbuf without tags, with no storage or with its own cluster alone. False: nothing happened. */
static inline bool m_free_cached(struct sm_mb *mb, struct mbuf *m) {
    const sm_off_t link = m->m_next;
    const uint32_t flags = m->m_flags;
    if (flags & M_PKTHDR && sm_unlikely(m->m_pkthdr.ph_tags != 0)) {
        return false;
    }
    if (!(flags & M_EXT)) {
        return sm_mb_put(m, mb->mb_zone[SM_MBZ_MBUF], link);
    }
    struct sm_zone *z = mb->mb_zone[SM_MBZ_PACKET];
    return m->m_ext.me_type == EXT_PACKET && m->m_ext.me_size == MCLBYTES && sm_likely(sm_mb_own_cluster(mb, m, z)) &&
           sm_mb_put(m, z, link);
}

#endif
