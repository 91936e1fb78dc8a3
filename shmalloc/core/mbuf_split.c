/* mbuf_split.c - chains cut, joined and trimmed. Takes no lock; what is allocated is allocated before anything changes.
 * Every mbuf here is HELD by this CPU and private: a kill anywhere lets all of it be freed. After uipc_mbuf.c.
 */
#include <string.h>

#include "mbuf_impl.h"

/* ---------------------------------------------------------------- cutting */

/* The mbuf behind the cut: with a header when the packet has one, with room for `rest` bytes of its own or none. */
static struct mbuf *tail_new(struct sm_mb *mb, const struct mbuf *m0, int how, uint32_t rest) {
    bool header = m0->m_flags & M_PKTHDR;
    struct mbuf *n = header ? m_gethdr(mb, how, (int)m0->m_type) : m_get(mb, how, (int)m0->m_type);
    if (n != NULL && rest > 0) {
        (void)m_align(mb, n, rest);
    }
    return n;
}

/* Bytes at .. at + rest of m are n's, too: shared, or copied when they lie in m itself. */
static enum sm_err tail_take(struct sm_mb *mb, struct mbuf *n, const struct mbuf *m, uint32_t at, uint32_t rest) {
    if (m->m_flags & M_EXT) {
        enum sm_err err = sm_mb_share(mb, n, m);
        if (err == SM_OK) {
            m_set(n, m->m_win.w_data + at, rest);
        }
        return err;
    }
    memcpy(mtod(mb, n), mtod(mb, m) + at, rest);
    m_set_len(n, rest);
    return SM_OK;
}

/* A packet header's own room may be too small for what lies in a plain mbuf: then the header leads, empty. */
static struct mbuf *tail_make(struct sm_mb *mb, const struct mbuf *m0, const struct mbuf *m, uint32_t at, uint32_t rest,
                              int how) {
    bool second = m0->m_flags & M_PKTHDR && !(m->m_flags & M_EXT) && rest > MHLEN;
    struct mbuf *n = tail_new(mb, m0, how, second || m->m_flags & M_EXT ? 0 : rest), *body = n;
    if (n == NULL) {
        return NULL;
    }
    if (second && (body = m_get(mb, how, (int)m->m_type)) == NULL) {
        enum sm_err why = mb->mb_err;
        (void)m_free(mb, n, NULL);
        return sm_mb_fail(mb, why);
    }
    if (second) {
        n->m_next = m_off(mb, body);
        (void)m_align(mb, body, rest);
    }
    enum sm_err err = rest > 0 ? tail_take(mb, body, m, at, rest) : SM_OK;
    return err == SM_OK ? n : sm_mb_lose(mb, n, err);
}

struct mbuf *m_split(struct sm_mb *mb, struct mbuf *m0, uint32_t len, int how) {
    struct sm_mb_span span;
    struct mbuf *m = m0, *n, *end;
    uint32_t at = len;
    enum sm_err err = sm_mb_chain(mb, m0, true, SM_MB_WHOLE, &span);
    if (err == SM_OK && (len > span.sp_bytes || span.sp_bytes > UINT32_MAX)) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_fail(mb, err);
    }
    while (at > m_len(m)) {
        at -= m_len(m);
        m = m_nextm(mb, m);
    }
    if (!(m0->m_flags & M_PKTHDR) && at == m_len(m)) {
        mb->mb_err = SM_OK; /* nothing behind the cut: NULL is no failure then */
        n = m_nextm(mb, m);
        m->m_next = 0;
        return n;
    }
    if ((n = tail_make(mb, m0, m, at, m_len(m) - at, how)) == NULL) {
        return NULL;
    }
    end = n->m_next ? m_nextm(mb, n) : n;
    end->m_next = m->m_next;
    m->m_next = 0;
    m_set_len(m, at);
    if (m0->m_flags & M_PKTHDR) {
        n->m_pkthdr.ph_rcvif = m0->m_pkthdr.ph_rcvif;
        n->m_pkthdr.ph_len = (uint32_t)span.sp_bytes - len;
        m0->m_pkthdr.ph_len = len;
    }
    return n;
}

struct mbuf *m_fragment(struct sm_mb *mb, struct mbuf *m, int how, uint32_t len) {
    uint32_t piece = len < MCLBYTES ? len : MCLBYTES;
    struct mbuf *head = NULL, *tail = NULL;
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    if (err == SM_OK && (len == 0 || span.sp_bytes > UINT32_MAX)) {
        err = SM_INVALID;
    }
    for (uint64_t done = 0; err == SM_OK && (done < span.sp_bytes || head == NULL); done += piece) {
        uint64_t left = span.sp_bytes - done;
        bool first = head == NULL;
        struct mbuf *n = sm_mb_room(mb, left < piece ? (uint32_t)left : piece, how, (int)m->m_type, first);
        if (n == NULL) {
            err = mb->mb_err;
        } else if (first) {
            head = n;
        } else {
            tail->m_next = m_off(mb, n);
        }
        tail = n;
    }
    if (err == SM_OK && (err = sm_mb_replace(mb, head, m, piece)) == SM_OK) {
        return head;
    }
    (void)m_freem(mb, head);
    return sm_mb_lose(mb, m, err);
}

/* ---------------------------------------------------------------- joining */

static enum sm_err cat(struct sm_mb *mb, struct mbuf *m, struct mbuf *n) {
    struct sm_mb_span to, from;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &to);
    if (err != SM_OK || (err = sm_mb_chain(mb, n, true, SM_MB_WHOLE, &from)) != SM_OK) {
        return err;
    }
    if (to.sp_last == from.sp_last) { /* one is part of the other: a cycle in the making */
        return SM_INVALID;
    }
    m = to.sp_last;
    while (n != NULL && n->m_type == m->m_type && m_len(n) <= m_trailingspace(mb, m)) {
        memcpy(mtod(mb, m) + m_len(m), mtod(mb, n), m_len(n));
        m_set_len(m, m_len(m) + m_len(n));
        (void)m_free(mb, n, &n);
    }
    m->m_next = m_off(mb, n);
    return SM_OK;
}

enum sm_err m_cat(struct sm_mb *mb, struct mbuf *m, struct mbuf *n) {
    return n == NULL && m != NULL ? SM_OK : cat(mb, m, n);
}

enum sm_err m_catpkt(struct sm_mb *mb, struct mbuf *m, struct mbuf *n) {
    struct sm_mb_span to, from;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &to);
    if (err != SM_OK || (err = sm_mb_chain(mb, n, true, SM_MB_WHOLE, &from)) != SM_OK) {
        return err;
    }
    if (!(m->m_flags & n->m_flags & M_PKTHDR) || to.sp_last == from.sp_last ||
        n->m_pkthdr.ph_len > UINT32_MAX - m->m_pkthdr.ph_len) {
        return SM_INVALID;
    }
    uint32_t len = m->m_pkthdr.ph_len + n->m_pkthdr.ph_len;
    m_demote(mb, n, true);
    if (mb->mb_err == SM_OK && (err = cat(mb, m, n)) == SM_OK) {
        m->m_pkthdr.ph_len = len;
    }
    return mb->mb_err != SM_OK ? mb->mb_err : err;
}

/* ---------------------------------------------------------------- trimming */

void sm_mb_trim(struct sm_mb *mb, struct mbuf *m, uint64_t len) {
    for (; len > 0 && m != NULL; m = m_nextm(mb, m)) {
        uint32_t count = m_len(m) < len ? m_len(m) : (uint32_t)len;
        m_set(m, m->m_win.w_data + count, m_len(m) - count);
        len -= count;
    }
}

/* The chain keeps `keep` bytes; mbufs behind the last of them are freed. */
static enum sm_err cut_back(struct sm_mb *mb, struct mbuf *m, uint64_t keep) {
    while (keep > m_len(m)) {
        keep -= m_len(m);
        m = m_nextm(mb, m);
    }
    struct mbuf *rest = m_nextm(mb, m);
    m_set_len(m, (uint32_t)keep);
    m->m_next = 0;
    return m_freem(mb, rest);
}

enum sm_err m_adj(struct sm_mb *mb, struct mbuf *m, int64_t len) {
    uint64_t size = len < 0 ? 0 - (uint64_t)len : (uint64_t)len, *word;
    struct sm_mb_span span;
    enum sm_err err = m == NULL ? SM_INVALID : sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    if (sm_likely(err == SM_OK && len >= 0 && sm_mb_sane(mb, m) && size <= m_len(m) &&
                  !(m->m_flags & M_PKTHDR && size > m->m_pkthdr.ph_len))) {
        m_set(m, m->m_win.w_data + size, m_len(m) - (uint32_t)size);
        if (m->m_flags & M_PKTHDR) {
            m->m_pkthdr.ph_len -= (uint32_t)size;
        }
        return SM_OK;
    }
    if (err != SM_OK || (err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span)) != SM_OK) {
        return err;
    }
    if (size > span.sp_bytes) {
        return SM_INVALID;
    }
    if (m->m_flags & M_PKTHDR) {
        m->m_pkthdr.ph_len = (uint32_t)(span.sp_bytes - size);
    }
    if (len < 0) {
        return cut_back(mb, m, span.sp_bytes - size);
    }
    sm_mb_trim(mb, m, size);
    return SM_OK;
}
