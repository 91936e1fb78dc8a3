/* mbuf_shape.c - the front of a chain: room before it, and bytes made contiguous. Takes no lock. After uipc_mbuf.c, and
 * KAME's uipc_mbuf2.c for m_pulldown.
 *
 * Every mbuf here is HELD by this CPU and private: a kill anywhere lets all of it be freed. What is shared with others,
 * storage and tags, changes in m_free, m_move_pkthdr and sm_mb_share only, each one operation.
 */
#include <string.h>

#include "mbuf_impl.h"

/* ---------------------------------------------------------------- room */

uint32_t m_leadingspace(struct sm_mb *mb, const struct mbuf *m) {
    return sm_mb_sane(mb, m) && m_writable(mb, m) ? (uint32_t)(m->m_win.w_data - m_start(mb, m)) : 0;
}

uint32_t m_trailingspace(struct sm_mb *mb, const struct mbuf *m) {
    return sm_mb_sane(mb, m) && m_writable(mb, m) ? (uint32_t)(m_start(mb, m) + m_size(m) - m->m_win.w_data - m_len(m))
                                                  : 0;
}

static void align(const struct sm_mb *mb, struct mbuf *m, uint32_t len) {
    m_set(m, m_start(mb, m) + ((m_size(m) - len) & ~7u), 0);
}

enum sm_err m_align(struct sm_mb *mb, struct mbuf *m, uint32_t len) {
    uint64_t *word;
    enum sm_err err = m == NULL ? SM_INVALID : sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    if (err == SM_OK && !sm_mb_sane(mb, m)) {
        err = SM_CORRUPT;
    }
    if (err == SM_OK && (m_len(m) != 0 || len > m_size(m))) {
        err = SM_INVALID;
    }
    if (err == SM_OK) {
        align(mb, m, len);
    }
    return err;
}

/* ---------------------------------------------------------------- prepending */

/* A new first mbuf: m's packet header moves to it. NULL, and m is gone. */
static struct mbuf *head_new(struct sm_mb *mb, struct mbuf *m, int how) {
    struct mbuf *n = m_get(mb, how, (int)m->m_type);
    if (n == NULL) {
        return sm_mb_lose(mb, m, mb->mb_err);
    }
    enum sm_err err = m->m_flags & M_PKTHDR ? m_move_pkthdr(mb, n, m) : SM_OK;
    if (err != SM_OK) {
        (void)m_free(mb, n, NULL);
        return sm_mb_lose(mb, m, err);
    }
    n->m_nextpkt = m->m_nextpkt; /* it is the head's: dirty in the middle of a chain it corrupts socket buffers */
    m->m_nextpkt = 0;
    return n;
}

static struct mbuf *prepend(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how) {
    struct mbuf *n;
    if (len > (m->m_flags & M_PKTHDR ? MHLEN : MLEN)) {
        return sm_mb_lose(mb, m, SM_INVALID);
    }
    if ((n = head_new(mb, m, how)) == NULL) {
        return NULL;
    }
    n->m_next = m_off(mb, m);
    align(mb, n, len);
    m_set_len(n, len);
    return n;
}

static enum sm_err head_check(struct sm_mb *mb, const struct mbuf *m) {
    uint64_t *word;
    enum sm_err err = m == NULL ? SM_INVALID : sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    return err == SM_OK && !sm_mb_sane(mb, m) ? SM_CORRUPT : err;
}

struct mbuf *m_prepend(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how) {
    enum sm_err err = head_check(mb, m);
    return err == SM_OK ? prepend(mb, m, len, how) : sm_mb_lose(mb, m, err);
}

struct mbuf *m_prepend_fast(struct sm_mb *mb, struct mbuf *m, uint32_t len, int how) {
    enum sm_err err = head_check(mb, m);
    if (err == SM_OK && m->m_flags & M_PKTHDR && len > UINT32_MAX - m->m_pkthdr.ph_len) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_lose(mb, m, err);
    }
    if (m->m_win.w_data - m_start(mb, m) >= len && m_writable(mb, m)) {
        m_set(m, m->m_win.w_data - len, m_len(m) + len);
    } else {
        m = prepend(mb, m, len, how);
    }
    if (m != NULL && m->m_flags & M_PKTHDR) {
        m->m_pkthdr.ph_len += len;
    }
    return m;
}

/* ---------------------------------------------------------------- contiguous at the front */

/* len bytes move from n's front to m's end; what is left of n. The chain was walked and has them. */
static struct mbuf *gather(struct sm_mb *mb, struct mbuf *m, struct mbuf *n, uint32_t len) {
    while (len > 0 && n != NULL) {
        uint32_t count = m_len(n) < len ? m_len(n) : len;
        memcpy(mtod(mb, m) + m_len(m), mtod(mb, n), count);
        m_set_len(m, m_len(m) + count);
        len -= count;
        if (count < m_len(n)) {
            m_set(n, n->m_win.w_data + count, m_len(n) - count);
        } else {
            (void)m_free(mb, n, &n);
        }
    }
    return n;
}

static enum sm_err front_check(struct sm_mb *mb, const struct mbuf *m, uint32_t len) {
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    return err == SM_OK && len > span.sp_bytes ? SM_INVALID : err;
}

struct mbuf *m_pullup(struct sm_mb *mb, struct mbuf *m, uint32_t len) {
    enum sm_err err = head_check(mb, m);
    if (sm_likely(err == SM_OK && len <= MHLEN && len <= m_len(m))) {
        return m;
    }
    if (err == SM_OK && (err = front_check(mb, m, len)) == SM_OK && len > MHLEN) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_lose(mb, m, err);
    }
    uint64_t end = m_start(mb, m) + m_size(m);
    struct mbuf *n = m;
    if (!(m->m_flags & (M_EXT | M_RDONLY)) && m->m_win.w_data + len <= end) {
        n = m_nextm(mb, m);
        len -= m_len(m);
    } else if ((m = head_new(mb, n, SM_M_NOWAIT)) == NULL) {
        return NULL;
    }
    n = gather(mb, m, n, len);
    m->m_next = m_off(mb, n);
    return m;
}

struct mbuf *m_copyup(struct sm_mb *mb, struct mbuf *m, uint32_t len, uint32_t dstoff) {
    enum sm_err err = front_check(mb, m, len);
    if (err == SM_OK && (dstoff > MHLEN || len > MHLEN - dstoff)) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_lose(mb, m, err);
    }
    struct mbuf *n = m;
    if ((m = head_new(mb, n, SM_M_NOWAIT)) == NULL) {
        return NULL;
    }
    m_set(m, m->m_win.w_data + dstoff, 0);
    n = gather(mb, m, n, len);
    m->m_next = m_off(mb, n);
    return m;
}

/* ---------------------------------------------------------------- contiguous anywhere */

/* n is cut at off: what lies behind is a new mbuf, copied, or sharing n's storage when it is too much for a cluster. */
static struct mbuf *chop(struct sm_mb *mb, struct mbuf *n, uint32_t off) {
    uint32_t rest = m_len(n) - off;
    bool share = rest > MCLBYTES;
    struct mbuf *o = share ? m_get(mb, SM_M_NOWAIT, (int)n->m_type) : m_get2(mb, rest, SM_M_NOWAIT, (int)n->m_type, 0);
    if (o == NULL) {
        return NULL;
    }
    if (share) {
        enum sm_err err = sm_mb_share(mb, o, n);
        if (err != SM_OK) {
            (void)m_free(mb, o, NULL);
            return sm_mb_fail(mb, err);
        }
        m_set(o, n->m_win.w_data + off, rest);
    } else {
        memcpy(mtod(mb, o), mtod(mb, n) + off, rest);
        m_set_len(o, rest);
    }
    m_set_len(n, off);
    o->m_next = n->m_next;
    n->m_next = m_off(mb, o);
    return o;
}

/* len bytes from byte off of n become contiguous; they end behind n. *at: where in the mbuf that comes back. */
static struct mbuf *join(struct sm_mb *mb, struct mbuf *n, uint32_t off, uint32_t len, bool anywhere, uint32_t *at) {
    uint32_t have = m_len(n) - off, tail = len - have;
    struct mbuf *next = m_nextm(mb, n), *o;
    *at = off;
    if ((off == 0 || anywhere) && m_trailingspace(mb, n) >= tail) {
        sm_mb_read(mb, next, 0, tail, mtod(mb, n) + m_len(n));
        m_set_len(n, m_len(n) + tail);
        sm_mb_trim(mb, next, tail);
        return n;
    }
    *at = 0;
    if (m_leadingspace(mb, next) >= have && m_len(next) >= tail) {
        m_set(next, next->m_win.w_data - have, m_len(next) + have);
        memcpy(mtod(mb, next), mtod(mb, n) + off, have);
        m_set_len(n, off);
        return next;
    }
    if ((o = m_get2(mb, len, SM_M_NOWAIT, (int)n->m_type, 0)) == NULL) {
        return NULL;
    }
    memcpy(mtod(mb, o), mtod(mb, n) + off, have);
    sm_mb_read(mb, next, 0, tail, mtod(mb, o) + have);
    m_set_len(o, len);
    m_set_len(n, off);
    sm_mb_trim(mb, next, tail);
    o->m_next = n->m_next;
    n->m_next = m_off(mb, o);
    return o;
}

struct mbuf *m_pulldown(struct sm_mb *mb, struct mbuf *m, uint32_t off, uint32_t len, uint32_t *offp) {
    uint64_t end = (uint64_t)off + len;
    struct sm_mb_span span;
    struct mbuf *n = m;
    uint32_t at = 0;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    if (err == SM_OK && (len > MCLBYTES || end > span.sp_bytes || off >= span.sp_bytes)) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_lose(mb, m, err);
    }
    while (off >= m_len(n)) {
        off -= m_len(n);
        n = m_nextm(mb, n);
    }
    if (len > m_len(n) - off) {
        n = join(mb, n, off, len, offp != NULL, &at);
    } else if (off == 0 || offp != NULL) {
        at = off;
    } else {
        n = chop(mb, n, off);
    }
    if (n == NULL) {
        return sm_mb_lose(mb, m, mb->mb_err);
    }
    if (offp != NULL) {
        *offp = at;
    }
    return n;
}
