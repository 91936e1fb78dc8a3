/* mbuf_copy.c - copies of chains, which share their storage or not, and of packet headers. Takes no lock. After
 * uipc_mbuf.c; but M_RDONLY stays with the storage that it speaks of and does not travel with a header.
 *
 * Crash windows of m_move_pkthdr (one operation; the CPU is dead, and both mbufs are freed):
 *   the tags in neither header    unreached: freed
 *   the tags in `to`, `from` still a header, without tags
 */
#include <string.h>

#include "mbuf_impl.h"

enum mbuf_copy_step { STEP_TAGS_OUT = 0x8a0, STEP_HEADER_FILLED, STEP_TAGS_IN, STEP_HEADER_MOVED };

/* ---------------------------------------------------------------- headers */

/* `to` can take a header: held here, and empty if the header would lie where its bytes are. Tags that it has go. */
static enum sm_err header_room(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from) {
    uint64_t *word;
    if (to == NULL || from == NULL || to == from || !(from->m_flags & M_PKTHDR)) {
        return SM_INVALID;
    }
    enum sm_err err = sm_mb_held(mb, to, SM_MBZ_MBUF, &word);
    if (err == SM_OK && !(to->m_flags & M_EXT) && m_len(to) != 0) {
        err = SM_INVALID;
    }
    return err == SM_OK && to->m_flags & M_PKTHDR ? m_tag_delete_chain(mb, to, NULL) : err;
}

/* Everything but the tags. M_PKTHDR last: what it vouches for is there, as seen after a kill. */
static void header_fill(const struct sm_mb *mb, struct mbuf *to, const struct mbuf *from) {
    struct sm_pkthdr header = from->m_pkthdr;
    header.ph_tags = 0;
    to->m_pkthdr = header;
    if (!(to->m_flags & M_EXT)) {
        m_set(to, m_off(mb, to->m_pktdat), 0);
    }
    sm_compiler_barrier();
    sm_store_rlx(&to->m_flags, (from->m_flags & M_COPYFLAGS & ~M_RDONLY) | (to->m_flags & (M_EXT | M_RDONLY)));
}

enum sm_err m_move_pkthdr(struct sm_mb *mb, struct mbuf *to, struct mbuf *from) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *word;
    enum sm_err err = from == NULL ? SM_INVALID : sm_mb_held(mb, from, SM_MBZ_MBUF, &word);
    if (err != SM_OK || (err = header_room(mb, to, from)) != SM_OK ||
        (err = sm_op_enter(a, sm_mb_op(to, mb))) != SM_OK) {
        return err;
    }
    sm_off_t tags = from->m_pkthdr.ph_tags;
    sm_store_rlx(&from->m_pkthdr.ph_tags, 0); /* never in both: a tag that two headers reach would be freed twice */
    sm_crash_point(a, STEP_TAGS_OUT);
    sm_compiler_barrier();
    header_fill(mb, to, from);
    sm_crash_point(a, STEP_HEADER_FILLED);
    sm_compiler_barrier();
    sm_store_rlx(&to->m_pkthdr.ph_tags, tags);
    sm_crash_point(a, STEP_TAGS_IN);
    sm_store_rlx(&from->m_flags, from->m_flags & ~M_PKTHDR);
    sm_crash_point(a, STEP_HEADER_MOVED);
    sm_op_leave(a);
    return SM_OK;
}

enum sm_err m_dup_pkthdr(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how) {
    enum sm_err err = from == NULL ? SM_INVALID : sm_mb_readable(mb, from);
    if (err == SM_OK && (err = header_room(mb, to, from)) == SM_OK) {
        header_fill(mb, to, from);
        err = m_tag_copy_chain(mb, to, from, how);
    }
    return err;
}

/* ---------------------------------------------------------------- sharing copies */

/* One mbuf: len bytes from off of m. lead: bytes left free before them when they are copied. */
static struct mbuf *copy_one(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, bool header,
                             bool place, int how) {
    struct mbuf *n = m_get(mb, how, (int)m->m_type);
    enum sm_err err = n == NULL ? mb->mb_err : SM_OK;
    if (err == SM_OK && header) {
        err = m_dup_pkthdr(mb, n, m, how);
    }
    if (err == SM_OK && m->m_flags & M_EXT) {
        err = sm_mb_share(mb, n, m);
    }
    if (err != SM_OK) {
        (void)m_free(mb, n, NULL);
        return sm_mb_fail(mb, err);
    }
    if (m->m_flags & M_EXT) {
        m_set(n, m->m_win.w_data + off, len);
    } else {
        m_set(n, m_start(mb, n) + (place ? m->m_win.w_data - m_start(mb, m) : 0), len);
        memcpy(mtod(mb, n), mtod(mb, m) + off, len);
    }
    return n;
}

struct mbuf *m_copym(struct sm_mb *mb, const struct mbuf *m, uint32_t off, uint32_t len, int how) {
    bool header = off == 0 && m != NULL && m->m_flags & M_PKTHDR, all = len == M_COPYALL;
    struct mbuf *head = NULL, *tail = NULL;
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, false, all ? SM_MB_WHOLE : (uint64_t)off + len, &span);
    if (err == SM_OK && (len == 0 || off > span.sp_bytes || (!all && len > span.sp_bytes - off) ||
                         (all && off > 0 && off == span.sp_bytes))) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_fail(mb, err);
    }
    uint64_t left = all ? span.sp_bytes - off : len;
    while (off > 0 && off >= m_len(m)) {
        off -= m_len(m);
        m = m_nextm(mb, m);
    }
    while (m != NULL && (left > 0 || head == NULL)) {
        uint32_t count = m_len(m) - off < left ? m_len(m) - off : (uint32_t)left;
        struct mbuf *n = copy_one(mb, m, off, count, header && head == NULL, false, how);
        if (n == NULL) {
            return sm_mb_lose(mb, head, mb->mb_err);
        }
        if (head == NULL) {
            head = n;
        } else {
            tail->m_next = m_off(mb, n);
        }
        tail = n;
        left -= count;
        off = 0;
        m = m_nextm(mb, m);
    }
    if (header && !all) {
        head->m_pkthdr.ph_len = len;
    }
    return head;
}

struct mbuf *m_copypacket(struct sm_mb *mb, const struct mbuf *m, int how) {
    struct mbuf *head = NULL, *tail = NULL;
    struct sm_mb_span span;
    enum sm_err err = sm_mb_chain(mb, m, false, SM_MB_WHOLE, &span);
    if (err == SM_OK && !(m->m_flags & M_PKTHDR)) {
        err = SM_INVALID;
    }
    if (err != SM_OK) {
        return sm_mb_fail(mb, err);
    }
    for (; m != NULL; m = m_nextm(mb, m)) {
        struct mbuf *n = copy_one(mb, m, 0, m_len(m), head == NULL, head == NULL, how);
        if (n == NULL) {
            return sm_mb_lose(mb, head, mb->mb_err);
        }
        if (head == NULL) {
            head = n;
        } else {
            tail->m_next = m_off(mb, n);
        }
        tail = n;
    }
    return head;
}

/* ---------------------------------------------------------------- copies of every byte */

struct mbuf *m_dup(struct sm_mb *mb, const struct mbuf *m, int how) {
    struct mbuf *head = NULL, *tail = NULL;
    struct sm_mb_span span;
    uint64_t done = 0;
    enum sm_err err = sm_mb_chain(mb, m, false, SM_MB_WHOLE, &span);
    if (err == SM_OK && span.sp_bytes > UINT32_MAX) {
        err = SM_INVALID;
    }
    while (err == SM_OK && (done < span.sp_bytes || head == NULL)) {
        uint64_t left = span.sp_bytes - done;
        uint32_t size = left < MCLBYTES ? (uint32_t)left : MCLBYTES;
        bool header = head == NULL && m->m_flags & M_PKTHDR;
        struct mbuf *n = sm_mb_room(mb, size, how, (int)m->m_type, header);
        if (n == NULL) {
            err = mb->mb_err;
            break;
        }
        if (head == NULL) {
            head = n;
        } else {
            tail->m_next = m_off(mb, n);
        }
        tail = n;
        if (header && (err = m_dup_pkthdr(mb, n, m, how)) != SM_OK) {
            break;
        }
        sm_mb_read(mb, m, (uint32_t)done, size, mtod(mb, n));
        m_set_len(n, size);
        done += size;
    }
    return err == SM_OK ? head : sm_mb_lose(mb, head, err);
}
