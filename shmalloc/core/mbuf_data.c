/* mbuf_data.c - the bytes of chains: measured, read, written, appended. Takes no lock; what it changes is the bytes and
 * lengths of mbufs that this CPU holds, and the end of a chain. After uipc_mbuf.c.
 *
 * A chain is walked (mbuf_sane.c) before the first byte moves, and grown before the first byte is written: a call that
 * fails has changed nothing. Killed in between, all of it dies with its holder.
 */
#include <string.h>

#include "mbuf_impl.h"

uint64_t m_length(struct sm_mb *mb, const struct mbuf *m, struct mbuf **last) {
    uint64_t len = 0, most = sm_mb_most(mb);
    const struct mbuf *end = m;
    mb->mb_err = SM_OK;
    for (const struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        if (most-- == 0) {
            mb->mb_err = SM_CORRUPT; /* more mbufs than there are: a cycle */
            break;
        }
        len += m_len(n);
        end = n;
    }
    if (last != NULL) {
        *last = (struct mbuf *)end;
    }
    return len;
}

uint64_t m_fixhdr(struct sm_mb *mb, struct mbuf *m) {
    uint64_t len = m_length(mb, m, NULL);
    m->m_pkthdr.ph_len = (uint32_t)len;
    return len;
}

/* ---------------------------------------------------------------- reading */

/* off .. off + len of a chain that this CPU may read. */
static enum sm_err range_check(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len) {
    uint64_t need = (uint64_t)off + len;
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, false, need, &span);
    return err != SM_OK ? err : span.sp_bytes < need ? SM_INVALID : SM_OK;
}

/* The mbuf that has byte *off, or the last one; *off becomes the place in it. The chain was walked that far. */
static struct mbuf *seek(struct sm_mb *mb, const struct mbuf *m, uint32_t *off) {
    while (*off >= m_len(m) && m->m_next != 0) {
        *off -= m_len(m);
        m = m_nextm(mb, m);
    }
    return (struct mbuf *)m;
}

void sm_mb_read(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, uint8_t *to) {
    for (; len > 0 && m != NULL; m = m_nextm(mb, m)) {
        if (off >= m_len(m)) {
            off -= m_len(m);
            continue;
        }
        uint32_t n = m_len(m) - off < len ? m_len(m) - off : len;
        memcpy(to, mtod(mb, m) + off, n);
        to += n;
        len -= n;
        off = 0;
    }
}

enum sm_err m_copydata(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, void *to) {
    enum sm_err err = range_check(mb, m, off, len);
    if (err == SM_OK) {
        sm_mb_read(mb, m, off, len, to);
    }
    return err;
}

enum sm_err m_apply(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len,
                    int (*f)(void *arg, void *data, uint32_t len), void *arg, int *rc) {
    int stop = 0;
    enum sm_err err = range_check(mb, m, off, len);
    if (err == SM_OK && len > 0) {
        m = seek(mb, m, &off);
    }
    while (err == SM_OK && stop == 0 && len > 0) {
        /* f may have changed what it was shown; the window and the next link are read again, and looked at again. */
        if (m == NULL || !sm_mb_sane(mb, m) || off > m_len(m)) {
            err = SM_CORRUPT;
            break;
        }
        uint32_t n = m_len(m) - off < len ? m_len(m) - off : len;
        if (n > 0) {
            stop = f(arg, mtod(mb, m) + off, n);
        }
        len -= n;
        off = 0;
        m = m_nextm(mb, m);
    }
    if (rc != NULL) {
        *rc = stop;
    }
    return err;
}

struct mbuf *m_getptr(struct sm_mb *mb, struct mbuf *m, uint32_t loc, uint32_t *off) {
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, false, (uint64_t)loc + 1, &span); /* the byte itself: seek goes that far */
    if (err != SM_OK || span.sp_bytes < loc) {
        return sm_mb_fail(mb, err != SM_OK ? err : SM_INVALID);
    }
    *off = loc;
    return seek(mb, m, off);
}

/* ---------------------------------------------------------------- writing */

static uint32_t write_mbuf(const struct sm_mb *mb, struct mbuf *m, uint32_t off, uint32_t len, const uint8_t *from) {
    uint32_t n = m_len(m) - off < len ? m_len(m) - off : len;
    memcpy(mtod(mb, m) + off, from, n);
    return n;
}

/* The end of a chain grows by `bytes` zeros: in the last mbuf's room, then in new mbufs. Nothing has changed when this
 * fails. */
static enum sm_err grow(struct sm_mb *mb, struct mbuf *last, uint64_t bytes) {
    uint32_t room = m_trailingspace(mb, last);
    uint64_t in = bytes < room ? bytes : room, left = bytes - in;
    struct mbuf *more = NULL;
    if (left > M_LEN_MAX) {
        return SM_INVALID;
    }
    if (left > 0 && (more = m_getm2(mb, NULL, (uint32_t)left, SM_M_NOWAIT, (int)last->m_type, 0)) == NULL) {
        return mb->mb_err;
    }
    for (struct mbuf *n = more; n != NULL && left > 0; n = m_nextm(mb, n)) {
        uint32_t fill = left < m_size(n) ? (uint32_t)left : m_size(n);
        memset(mtod(mb, n), 0, fill);
        m_set_len(n, fill);
        left -= fill;
    }
    if (in > 0) {
        memset(mtod(mb, last) + m_len(last), 0, in);
        m_set_len(last, m_len(last) + (uint32_t)in);
    }
    last->m_next = m_off(mb, more);
    return SM_OK;
}

static bool range_writable(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len) {
    for (; len > 0 && m != NULL; m = m_nextm(mb, m)) {
        if (off >= m_len(m)) {
            off -= m_len(m);
            continue;
        }
        if (!m_writable(mb, m)) {
            return false;
        }
        len -= m_len(m) - off < len ? m_len(m) - off : len;
        off = 0;
    }
    return true;
}

enum sm_err m_copyback(struct sm_mb *mb, struct mbuf *m, uint32_t off, uint32_t len, const void *from) {
    uint64_t end = (uint64_t)off + len;
    const uint8_t *bytes = from;
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    if (err != SM_OK || len == 0) {
        return err;
    }
    if (end > UINT32_MAX) {
        return SM_INVALID;
    }
    if (!range_writable(mb, m, off, len)) {
        return SM_BUSY;
    }
    if (end > span.sp_bytes && (err = grow(mb, span.sp_last, end - span.sp_bytes)) != SM_OK) {
        return err;
    }
    for (struct mbuf *n = seek(mb, m, &off); n != NULL && len > 0; n = m_nextm(mb, n)) {
        uint32_t done = write_mbuf(mb, n, off, len, bytes);
        bytes += done;
        len -= done;
        off = 0;
    }
    if (m->m_flags & M_PKTHDR && m->m_pkthdr.ph_len < end) {
        m->m_pkthdr.ph_len = (uint32_t)end;
    }
    return SM_OK;
}

enum sm_err m_append(struct sm_mb *mb, struct mbuf *m, uint32_t len, const void *bytes) {
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    if (err != SM_OK || len == 0) {
        return err;
    }
    uint32_t before = m_len(span.sp_last);
    if ((m->m_flags & M_PKTHDR && len > UINT32_MAX - m->m_pkthdr.ph_len)) {
        return SM_INVALID;
    }
    if ((err = grow(mb, span.sp_last, len)) != SM_OK) {
        return err;
    }
    const uint8_t *from = bytes;
    uint32_t left = len;
    for (struct mbuf *n = span.sp_last; n != NULL && left > 0; n = m_nextm(mb, n)) {
        uint32_t done = write_mbuf(mb, n, before, left, from);
        from += done;
        left -= done;
        before = 0;
    }
    if (m->m_flags & M_PKTHDR) {
        m->m_pkthdr.ph_len += len;
    }
    return SM_OK;
}
