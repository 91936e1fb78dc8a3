/* mbuf_pack.c - the same bytes in other mbufs: fewer, writable, without headers. Takes no lock. After uipc_mbuf.c.
 *
 * New mbufs are complete before old ones go; all of them are HELD by this CPU, so a kill anywhere lets all be freed.
 */
#include <string.h>

#include "mbuf_impl.h"

/* ---------------------------------------------------------------- replacing a chain */

struct mbuf *sm_mb_room(struct sm_mb *mb, uint32_t size, int how, int type, bool header) {
    /* Asked for without a header, so that no label is made for one that is to be replaced at once. */
    return m_get2(mb, header && size > MHLEN && size < MINCLSIZE + M_PKTHDR_BYTES ? MINCLSIZE + M_PKTHDR_BYTES : size,
                  how, type, 0);
}

enum sm_err sm_mb_replace(struct sm_mb *mb, struct mbuf *n, struct mbuf *m, uint32_t piece) {
    uint64_t left = 0;
    enum sm_err err = m->m_flags & M_PKTHDR ? m_move_pkthdr(mb, n, m) : SM_OK;
    if (err != SM_OK) {
        return err;
    }
    n->m_nextpkt = m->m_nextpkt;
    m->m_nextpkt = 0;
    const struct mbuf *from = m;
    uint32_t off = 0;
    for (const struct mbuf *f = m; f != NULL; f = m_nextm(mb, f)) {
        left += m_len(f);
    }
    for (; n != NULL && left > 0; n = m_nextm(mb, n)) {
        uint32_t room = m_size(n) < piece ? m_size(n) : piece, take = left < room ? (uint32_t)left : room;
        for (uint32_t done = 0; done < take;) {
            uint32_t have = m_len(from) - off, count = take - done < have ? take - done : have;
            memcpy(mtod(mb, n) + done, mtod(mb, from) + off, count);
            done += count;
            off += count;
            if (off == m_len(from)) {
                from = m_nextm(mb, from);
                off = 0;
            }
        }
        m_set_len(n, take);
        left -= take;
    }
    (void)m_freem(mb, m);
    return SM_OK;
}

/* ---------------------------------------------------------------- fewer mbufs */

/* Clusters for what is more than an mbuf takes, pages for what is more than a cluster: as m_getm2 does. */
static uint64_t fewest(uint64_t bytes) {
    uint64_t pages = bytes > MCLBYTES ? (bytes - MCLBYTES + MJUMPAGESIZE - 1) / MJUMPAGESIZE : 0;
    uint64_t rest = bytes > pages * MJUMPAGESIZE ? bytes - pages * MJUMPAGESIZE : 0;
    return pages + (rest > 0 || pages == 0);
}

struct mbuf *m_defrag(struct sm_mb *mb, struct mbuf *m, int how) {
    struct sm_mb_span span;
    struct mbuf *head = NULL, *tail = NULL;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    if (err == SM_OK && span.sp_bytes > UINT32_MAX) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_fail(mb, err);
    }
    if (m->m_flags & M_PKTHDR) {
        m->m_pkthdr.ph_len = (uint32_t)span.sp_bytes;
    }
    if (span.sp_mbufs <= fewest(span.sp_bytes)) {
        return m;
    }
    for (uint64_t left = span.sp_bytes; err == SM_OK && (left > 0 || head == NULL);) {
        uint32_t take = left > MCLBYTES ? MJUMPAGESIZE : (uint32_t)left;
        struct mbuf *n = sm_mb_room(mb, take, how, (int)m->m_type, head == NULL);
        if (n == NULL) {
            err = mb->mb_err;
        } else if (head == NULL) {
            head = n;
        } else {
            tail->m_next = m_off(mb, n);
        }
        tail = n;
        left -= left < take ? left : take;
    }
    if (err == SM_OK && (err = sm_mb_replace(mb, head, m, MJUMPAGESIZE)) == SM_OK) {
        return head;
    }
    (void)m_freem(mb, head);
    return sm_mb_fail(mb, err);
}

/* What follows m moves into m's room where it fits; true once the chain has no more than `most` mbufs. */
static bool squeeze(struct sm_mb *mb, struct mbuf *m, uint64_t *mbufs, uint64_t most) {
    struct mbuf *n;
    while (*mbufs > most && (n = m_nextm(mb, m)) != NULL) {
        if (m_len(n) > m_trailingspace(mb, m)) {
            m = n;
            continue;
        }
        memcpy(mtod(mb, m) + m_len(m), mtod(mb, n), m_len(n));
        m_set_len(m, m_len(m) + m_len(n));
        m->m_next = n->m_next;
        (void)m_free(mb, n, NULL);
        --*mbufs;
    }
    return *mbufs <= most;
}

/* Two neighbours behind the first mbuf, which keeps the header where it is, become one cluster. */
static enum sm_err merge_pair(struct sm_mb *mb, struct mbuf *m, int how) {
    for (struct mbuf *prev = m, *n = m_nextm(mb, m); n != NULL; prev = n, n = m_nextm(mb, n)) {
        struct mbuf *next = m_nextm(mb, n), *cl;
        if (next == NULL || (uint64_t)m_len(n) + m_len(next) > MCLBYTES) {
            continue;
        }
        if ((cl = m_getcl(mb, how, (int)n->m_type, 0)) == NULL) {
            return mb->mb_err;
        }
        memcpy(mtod(mb, cl), mtod(mb, n), m_len(n));
        memcpy(mtod(mb, cl) + m_len(n), mtod(mb, next), m_len(next));
        m_set_len(cl, m_len(n) + m_len(next));
        cl->m_next = next->m_next;
        prev->m_next = m_off(mb, cl);
        (void)m_free(mb, n, NULL);
        (void)m_free(mb, next, NULL);
        return SM_OK;
    }
    return SM_INVALID; /* no two that fit a cluster together: the packet cannot have so few */
}

struct mbuf *m_collapse(struct sm_mb *mb, struct mbuf *m, int how, uint32_t maxfrags) {
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    if (err == SM_OK && maxfrags == 0) {
        err = SM_INVALID;
    }
    while (err == SM_OK && !squeeze(mb, m, &span.sp_mbufs, maxfrags)) {
        if ((err = merge_pair(mb, m, how)) == SM_OK) {
            span.sp_mbufs--;
        }
    }
    return err == SM_OK ? m : sm_mb_fail(mb, err);
}

/* ---------------------------------------------------------------- writable */

/* m's bytes in storage that is nobody else's, as a chain that has m's header and flags; m is still there. */
static struct mbuf *copy_private(struct sm_mb *mb, struct mbuf *m, int how) {
    uint32_t len = m_len(m), done = 0;
    /* From MINCLSIZE on it gives clusters, so a header finds room in the first mbuf in any case. */
    struct mbuf *first = m_getm2(mb, NULL, len, how, (int)m->m_type, 0);
    if (first == NULL) {
        return NULL;
    }
    first->m_flags |= m->m_flags & M_COPYFLAGS & ~(M_PKTHDR | M_RDONLY);
    enum sm_err err = m->m_flags & M_PKTHDR ? m_move_pkthdr(mb, first, m) : SM_OK;
    if (err != SM_OK) {
        return sm_mb_lose(mb, first, err);
    }
    for (struct mbuf *n = first; n != NULL && done < len; n = m_nextm(mb, n)) {
        uint32_t count = len - done < m_size(n) ? len - done : m_size(n);
        memcpy(mtod(mb, n), mtod(mb, m) + done, count);
        m_set_len(n, count);
        done += count;
    }
    first->m_nextpkt = m->m_nextpkt;
    return first;
}

struct mbuf *m_unshare(struct sm_mb *mb, struct mbuf *m0, int how) {
    struct sm_mb_span span;
    struct mbuf *prev = NULL, *first, *last;
    enum sm_err err = sm_mb_chain(mb, m0, true, SM_MB_WHOLE, &span);
    if (err != SM_OK) {
        return sm_mb_lose(mb, m0, err);
    }
    for (struct mbuf *m = m0, *next; m != NULL; m = next) {
        next = m_nextm(mb, m);
        bool writable = m_writable(mb, m), plain = !(m->m_flags & M_EXT);
        if (prev != NULL && prev->m_flags & M_EXT && (plain || !writable) && prev->m_type == m->m_type &&
            m_len(m) <= m_trailingspace(mb, prev)) {
            /* Has to be copied anyway, or stands between two that could become one: into the cluster before it. */
            memcpy(mtod(mb, prev) + m_len(prev), mtod(mb, m), m_len(m));
            m_set_len(prev, m_len(prev) + m_len(m));
            prev->m_next = m->m_next;
            (void)m_free(mb, m, NULL);
            continue;
        }
        if (writable) {
            prev = m;
            continue;
        }
        if ((first = copy_private(mb, m, how)) == NULL) {
            return sm_mb_lose(mb, m0, mb->mb_err);
        }
        (void)m_length(mb, first, &last);
        last->m_next = m->m_next;
        if (prev == NULL) {
            m0 = first;
        } else {
            prev->m_next = m_off(mb, first);
        }
        (void)m_free(mb, m, NULL);
        prev = last;
    }
    return m0;
}

/* ---------------------------------------------------------------- without headers */

void m_demote(struct sm_mb *mb, struct mbuf *m, bool all) {
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, true, SM_MB_WHOLE, &span);
    for (m = err == SM_OK && !all ? m_nextm(mb, m) : m; err == SM_OK && m != NULL; m = m_nextm(mb, m)) {
        if (m->m_flags & M_PKTHDR && (err = m_tag_delete_chain(mb, m, NULL)) != SM_OK) {
            break;
        }
        m->m_flags &= M_EXT | M_RDONLY;
        m->m_nextpkt = 0;
    }
    mb->mb_err = err;
}
