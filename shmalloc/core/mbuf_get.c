/* mbuf_get.c - getting mbufs and giving them back. The inline paths (mbuf_cached.h) do what the native ctors and dtors of mbuf_zone.c
 * would do; with hooks armed, labels on or a fenced arena those run instead. Takes no lock itself. After uipc_mbuf.c.
 *
 * Crash windows of the inline paths: between the pop and the header's first store the mbuf is HELD with the header of its
 * last life, which by I18 names no storage but its own cluster and no tag or neighbour: m_free leaves it so.
 */
#include <string.h>

#include "mbuf_cached.h"
#include "mbuf_impl.h"
#include "mbuf_zone.h"
#include "zone_impl.h"

enum mbuf_get_step { STEP_CHAIN_GROWN = 0x810 };

struct mbuf *m_follow(struct sm_mb *mb, sm_off_t link) {
    if (link == 0) {
        return NULL;
    }
    if (sm_unlikely(!m_link_sane(mb, link))) {
        sm_zone_widen(mb->mb_zone[SM_MBZ_MBUF]);
        if (!m_link_sane(mb, link)) {
            return sm_mb_fail(mb, SM_CORRUPT);
        }
    }
    return m_at(mb, link);
}

/* ---------------------------------------------------------------- words */

enum sm_err sm_mb_word(const struct sm_mb *mb, enum sm_mb_zone which, const void *item, uint64_t **word) {
    struct sm_zone *z = mb->mb_zone[which];
    uint64_t *found = sm_cache_word(z, item);
    if (sm_likely(found != NULL)) {
        *word = found;
        return SM_OK;
    }
    sm_zone_widen(z);
    return sm_zone_lookup(z, item, word);
}

enum sm_err sm_mb_held(const struct sm_mb *mb, const void *item, enum sm_mb_zone which, uint64_t **word) {
    struct sm_arena *a = mb->mb_arena;
    enum sm_err err = sm_mb_word(mb, which, item, word);
    if (err != SM_OK) {
        return err;
    }
    uint64_t w = sm_load_rlx(*word);
    switch (SM_ST_KIND(w)) {
    case SM_FREE:
    case SM_CACHED:
        return SM_DOUBLE_FREE;
    case SM_CONSTRUCTING:
        return SM_IN_CALLBACK;
    case SM_HELD:
        a->a_blocker = SM_ST_CPU(w);
        return a->a_forked ? SM_FORKED : SM_ST_CPU(w) == a->a_cpu_id ? SM_OK : SM_NOT_OWNER;
    default:
        a->a_blocker = SM_CPU_NONE;
        return SM_NOT_OWNER;
    }
}

/* ---------------------------------------------------------------- getting */

/* Through the zone and its ctor: every hook, limit and label. */
static struct mbuf *get_slow(struct sm_mb *mb, enum sm_mb_zone which, int how, int type, uint32_t flags) {
    struct sm_mb_args args = {.ma_mb = mb, .ma_flags = flags, .ma_type = type};
    void *mem = NULL;
    if (flags & ~(M_COPYFLAGS & ~M_EXT) || type <= MT_NOTMBUF || type >= MT_NTYPES) {
        return sm_mb_fail(mb, SM_INVALID);
    }
    mb->mb_err = SM_OK;
    enum sm_err err = sm_zone_alloc(mb->mb_zone[which], how, &args, -1, &mem);
    if (err == SM_INIT_FAILED && which == SM_MBZ_PACKET && mb->mb_err != SM_OK) {
        err = mb->mb_err; /* zone init left it there: why there is no cluster */
    } else if (err == SM_CTOR_FAILED && args.ma_err != SM_OK) {
        err = args.ma_err;
    }
    return err == SM_OK ? mem : sm_mb_fail(mb, err);
}

static inline struct mbuf *get(struct sm_mb *mb, int how, int type, uint32_t flags) {
    uint64_t *word;
    struct mbuf *m = m_get_cached(mb, type, flags, &word);
    return sm_likely(m != NULL) ? m : get_slow(mb, SM_MBZ_MBUF, how, type, flags);
}

struct mbuf *m_get(struct sm_mb *mb, int how, int type) {
    return get(mb, how, type, 0);
}

struct mbuf *m_gethdr(struct sm_mb *mb, int how, int type) {
    return get(mb, how, type, M_PKTHDR);
}

struct mbuf *m_getcl(struct sm_mb *mb, int how, int type, uint32_t flags) {
    uint64_t *word;
    struct mbuf *m = m_getcl_cached(mb, type, flags, &word);
    return sm_likely(m != NULL) ? m : get_slow(mb, SM_MBZ_PACKET, how, type, flags);
}

static bool cluster_zone(uint32_t size, enum sm_mb_zone *which) {
    switch (size) {
    case MCLBYTES:
        *which = SM_MBZ_CLUSTER;
        return true;
    case MJUMPAGESIZE:
        *which = SM_MBZ_JUMBOP;
        return true;
    case MJUM9BYTES:
        *which = SM_MBZ_JUMBO9;
        return true;
    case MJUM16BYTES:
        *which = SM_MBZ_JUMBO16;
        return true;
    default:
        return false;
    }
}

bool m_cljget(struct sm_mb *mb, struct mbuf *m, int how, uint32_t size) {
    enum sm_mb_zone which;
    uint64_t *word;
    if (!cluster_zone(size, &which) || m->m_flags & M_EXT) {
        mb->mb_err = SM_INVALID;
        return false;
    }
    enum sm_err err = sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    if (err == SM_OK) {
        err = sm_mb_cluster(mb, m, which, how);
    }
    if (err != SM_OK) {
        mb->mb_err = err;
        return false;
    }
    m_set(m, m->m_ext.me_buf, 0);
    return true;
}

bool m_clget(struct sm_mb *mb, struct mbuf *m, int how) {
    return m_cljget(mb, m, how, MCLBYTES);
}

struct mbuf *m_getjcl(struct sm_mb *mb, int how, int type, uint32_t flags, uint32_t size) {
    enum sm_mb_zone which;
    if (size == MCLBYTES) {
        return m_getcl(mb, how, type, flags);
    }
    if (!cluster_zone(size, &which)) {
        return sm_mb_fail(mb, SM_INVALID);
    }
    struct mbuf *m = get(mb, how, type, flags);
    if (m != NULL && !m_cljget(mb, m, how, size)) {
        enum sm_err why = mb->mb_err;
        (void)m_free(mb, m, NULL);
        return sm_mb_fail(mb, why);
    }
    return m;
}

struct mbuf *m_get2(struct sm_mb *mb, uint32_t size, int how, int type, uint32_t flags) {
    if (size <= MHLEN || (size <= MLEN && !(flags & M_PKTHDR))) {
        return get(mb, how, type, flags);
    }
    if (size <= MCLBYTES) {
        return m_getcl(mb, how, type, flags);
    }
    uint32_t fit = size <= MJUMPAGESIZE ? MJUMPAGESIZE : size <= MJUM9BYTES ? MJUM9BYTES : MJUM16BYTES;
    return size > fit ? sm_mb_fail(mb, SM_INVALID) : m_getjcl(mb, how, type, flags, fit);
}

struct mbuf *m_getm2(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how, int type, uint32_t flags) {
    struct mbuf *head = NULL, *tail = NULL;
    uint32_t left = len;
    flags &= m != NULL ? 0 : ~0u; /* no packet header in the middle of a chain */
    if (len > M_LEN_MAX) {
        return sm_mb_fail(mb, SM_INVALID);
    }
    do {
        struct mbuf *n;
        if (left > MCLBYTES) {
            n = m_getjcl(mb, how, type, flags, MJUMPAGESIZE);
        } else if (left >= MINCLSIZE) {
            n = m_getcl(mb, how, type, flags);
        } else {
            n = get(mb, how, type, flags);
        }
        if (n == NULL) {
            enum sm_err why = mb->mb_err;
            (void)m_freem(mb, head);
            return sm_mb_fail(mb, why);
        }
        flags &= ~M_PKTHDR;
        left -= left < m_size(n) ? left : m_size(n);
        if (tail == NULL) {
            head = n;
        } else {
            tail->m_next = m_off(mb, n);
        }
        tail = n;
        sm_crash_point(mb->mb_arena, STEP_CHAIN_GROWN);
    } while (left > 0);
    if (m == NULL) {
        return head;
    }
    (void)m_length(mb, m, &tail);
    tail->m_next = m_off(mb, head);
    return m;
}

/* ---------------------------------------------------------------- giving back */

static enum sm_err free_slow(struct sm_mb *mb, struct mbuf *m, bool tags) {
    uint64_t *word = NULL;
    bool keep = false;
    enum sm_err err = sm_mb_held(mb, m, SM_MBZ_MBUF, &word), damage = SM_OK;
    if (err != SM_OK) {
        return err;
    }
    if (m->m_flags & M_EXT) {
        err = sm_mb_release(mb, m, word, &keep);
        if (err != SM_OK && err != SM_CORRUPT) {
            return err;
        }
        damage = err; /* what it said about its storage made no sense: the mbuf itself can go, the storage is left */
        if (!tags && sm_mb_put(m, mb->mb_zone[keep ? SM_MBZ_PACKET : SM_MBZ_MBUF], m->m_next)) {
            return damage;
        }
    }
    struct sm_zone *z = NULL;
    err = sm_zone_by_id(mb->mb_arena, SM_ST_ZONE(sm_load_rlx(word)), &z);
    if (err == SM_OK) {
        err = sm_zone_free_item(z, m, NULL);
    }
    return err == SM_OK ? damage : err;
}

static bool tagged(const struct mbuf *m) {
    return m->m_flags & M_PKTHDR && m->m_pkthdr.ph_tags != 0;
}

enum sm_err m_free(struct sm_mb *mb, struct mbuf *m, struct mbuf **next) {
    if (m == NULL) {
        return SM_OK;
    }
    if (next != NULL) {
        mb->mb_err = SM_OK;
        *next = m_follow(mb, m->m_next);
    }
    return sm_likely(m_free_cached(mb, m)) ? SM_OK : free_slow(mb, m, tagged(m));
}

enum sm_err m_freem(struct sm_mb *mb, struct mbuf *m) {
    while (m != NULL) {
        sm_off_t link = m->m_next;
        enum sm_err err;
        if (sm_unlikely(!m_free_cached(mb, m)) && (err = free_slow(mb, m, tagged(m))) != SM_OK) {
            return err;
        }
        if (sm_likely(link == 0)) {
            return SM_OK;
        }
        if ((m = m_follow(mb, link)) == NULL) {
            return mb->mb_err; /* a link that led nowhere */
        }
    }
    return SM_OK;
}

enum sm_err sm_mb_free_item(struct sm_arena *a, void *m) {
    struct sm_mb *mb = NULL;
    enum sm_err err = sm_mb_find(a, &mb);
    return err == SM_OK ? m_free(mb, m, NULL) : err;
}
