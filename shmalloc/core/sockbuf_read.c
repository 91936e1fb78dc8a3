/* sockbuf_read.c - what is at a sockbuf's front is received without copying, or looked at. Takes sb_lock; allocates and
 * frees only outside it. After soreceive of uipc_socket.c.
 *
 * Crash windows: as in sockbuf_drop.c; and where an mbuf is cut in two, the receiver's half holds the bytes (or counts
 * itself on the storage) before one store takes them off the other: the dead receiver's half is freed and its count with
 * it, so that before this store nothing was taken.
 */
#include <string.h>

#include "sockbuf_impl.h"

enum sockbuf_read_step { STEP_SB_PIECE_READY = 0x8b8, STEP_SB_PIECE_TAKEN };

struct record {
    uint64_t r_bytes;
    bool r_cut; /* len ends inside one of its mbufs */
};

/* Lock held. The first record against the len bytes wanted of it; SM_EMPTY. */
static enum sm_err record_look(struct sm_sockbuf *sb, uint64_t len, struct record *r) {
    uint64_t *word = NULL, most = sm_mb_most(sb->sb_mbufs);
    *r = (struct record){0};
    if (sb->sb_shm->sb_mb == 0) {
        return SM_EMPTY;
    }
    for (sm_off_t link = sb->sb_shm->sb_mb; link != 0;) {
        const struct mbuf *m = sm_sockbuf_mbuf(sb, link, &word);
        if (m == NULL || most-- == 0) {
            return sm_sockbuf_damaged(sb, "a link leads to %#llx, which is no mbuf of it", (unsigned long long)link);
        }
        r->r_cut = r->r_cut || (r->r_bytes < len && len - r->r_bytes < m_len(m));
        r->r_bytes += m_len(m);
        link = m->m_next;
    }
    return SM_OK;
}

/* Lock held. The first len bytes of the first mbuf, which has more, become the private mbuf n's. A packet header stays. */
static enum sm_err piece(struct sm_sockbuf *sb, uint64_t len, struct mbuf *n) {
    struct sm_mb *mb = sb->sb_mbufs;
    uint32_t *count = NULL;
    uint64_t *word = NULL;
    struct mbuf *m = sm_sockbuf_mbuf(sb, sb->sb_shm->sb_mb, &word);
    if (m == NULL) {
        return SM_CORRUPT;
    }
    n->m_type = m->m_type;
    if (len <= MLEN) {
        memcpy(mtod(mb, n), mtod(mb, m), len);
        m_set_len(n, (uint32_t)len);
    } else if (sm_mb_counter(mb, m, &count) == SM_OK) {
        sm_mb_share_inside(mb, n, m, count);
        m_set(n, m->m_win.w_data, (uint32_t)len);
    } else {
        return sm_sockbuf_damaged(sb, "the storage of mbuf %#llx is none", (unsigned long long)m_off(mb, m));
    }
    sm_crash_point(mb->mb_arena, STEP_SB_PIECE_READY);
    union sm_mwindow w = {.w_len = m_len(m) - len, .w_data = m->m_win.w_data + len};
    sm_store_rel(&m->m_win.w_word, w.w_word);
    sm_crash_point(mb->mb_arena, STEP_SB_PIECE_TAKEN);
    sm_sockbuf_count(sb->sb_shm, -len, 0);
    return SM_OK;
}

/* Lock held. len bytes, fewer than the record has. *spare is NULL again when it was used. */
static enum sm_err take_some(struct sm_sockbuf *sb, uint64_t len, struct mbuf **spare, struct mbuf **chain) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *end = NULL, *m = NULL;
    enum sm_err err = SM_OK;
    while (err == SM_OK && len > 0) {
        uint64_t *word = NULL;
        const struct mbuf *first = sm_sockbuf_mbuf(sb, sb->sb_shm->sb_mb, &word);
        uint64_t all = first == NULL ? 0 : m_len(first);
        bool ended;
        if (all > len) {
            m = *spare;
            err = piece(sb, len, m);
            *spare = err == SM_OK ? NULL : *spare;
            len = 0;
        } else {
            err = sm_sockbuf_unlink(sb, &m, &ended);
            len -= all;
        }
        if (err == SM_OK && end == NULL) {
            *chain = m;
        } else if (err == SM_OK) {
            end->m_next = m_off(mb, m);
        }
        end = m;
    }
    return err;
}

/* Packet headers of the received chain say what follows them now. */
static void set_lengths(struct sm_mb *mb, struct mbuf *chain, uint64_t left) {
    for (struct mbuf *m = chain; m != NULL; m = m_nextm(mb, m)) {
        if (m->m_flags & M_PKTHDR) {
            m->m_pkthdr.ph_len = (uint32_t)left;
        }
        left -= m_len(m);
    }
}

/* SM_OK: the lock is held, the first record known, and a spare mbuf there if one is needed. Nobody allocates under the
 * lock: a cut that was not foreseen is looked at again with the mbuf at hand. */
static enum sm_err enter_ready(struct sm_sockbuf *sb, uint64_t len, int how, struct mbuf **spare, struct record *r) {
    for (;;) {
        enum sm_err err = sm_sockbuf_enter(sb);
        if (err != SM_OK) {
            return err;
        }
        err = record_look(sb, len, r);
        if (err == SM_OK && (!r->r_cut || *spare != NULL)) {
            return SM_OK;
        }
        sm_sockbuf_leave(sb);
        if (err != SM_OK) {
            return err;
        }
        if ((*spare = m_get(sb->sb_mbufs, how, MT_DATA)) == NULL) {
            return sb->sb_mbufs->mb_err;
        }
    }
}

enum sm_err sbreceive(struct sm_sockbuf *sb, uint64_t len, int how, struct mbuf **chain) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *spare = NULL, *taken = NULL;
    struct record r = {0};
    *chain = NULL;
    enum sm_err err = len == 0 ? SM_INVALID : enter_ready(sb, len, how, &spare, &r);
    if (err == SM_OK) {
        err = len >= r.r_bytes ? sm_sockbuf_unlink_record(sb, &taken) : take_some(sb, len, &spare, &taken);
        sm_sockbuf_leave(sb);
        sm_sockbuf_wake(sb, SB_SPACE);
    }
    (void)m_free(mb, spare, NULL); /* this CPU's, without storage */
    if (err != SM_OK) {
        (void)m_freem(mb, taken); /* err says more than what the damaged rest of it would */
        return err;
    }
    set_lengths(mb, taken, len < r.r_bytes ? len : r.r_bytes);
    *chain = taken;
    return SM_OK;
}

/* ---------------------------------------------------------------- looking */

struct cursor { /* over all mbufs of all records */
    struct sm_sockbuf *k_sb;
    sm_off_t k_record;
    uint64_t k_most;
    struct mbuf *k_m;
};

/* Lock held. The next mbuf in k_m; SM_CORRUPT at a broken link, or at the end: the caller asks for no more than sb_cc. */
static enum sm_err advance(struct cursor *k) {
    uint64_t *word = NULL;
    sm_off_t link = k->k_m == NULL ? k->k_sb->sb_shm->sb_mb : k->k_m->m_next;
    if (link == 0 && k->k_m != NULL) {
        const struct mbuf *head = sm_sockbuf_mbuf(k->k_sb, k->k_record, &word);
        link = head == NULL ? 0 : head->m_nextpkt;
        k->k_record = link;
    } else if (k->k_m == NULL) {
        k->k_record = link;
    }
    k->k_m = sm_sockbuf_mbuf(k->k_sb, link, &word);
    if (k->k_m == NULL || k->k_most-- == 0) {
        return sm_sockbuf_damaged(k->k_sb, "its chain ends at %#llx before its bytes do", (unsigned long long)link);
    }
    return SM_OK;
}

/* Lock held. Onto the mbuf with byte *off, which becomes the offset in it. */
static enum sm_err seek(struct cursor *k, struct sm_sockbuf *sb, uint64_t *off) {
    *k = (struct cursor){.k_sb = sb, .k_most = sm_mb_most(sb->sb_mbufs)};
    enum sm_err err = advance(k);
    while (err == SM_OK && *off >= m_len(k->k_m)) {
        *off -= m_len(k->k_m);
        err = advance(k);
    }
    return err;
}

enum sm_err sb_copydata(struct sm_sockbuf *sb, uint64_t off, uint64_t len, void *to) {
    struct cursor k;
    uint8_t *at = to;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    if (off > sb->sb_shm->sb_cc || len > sb->sb_shm->sb_cc - off) {
        err = SM_INVALID;
    } else if (len > 0) {
        err = seek(&k, sb, &off);
    }
    while (err == SM_OK && len > 0) {
        uint64_t here = m_len(k.k_m) - off, n = here < len ? here : len;
        memcpy(at, mtod(sb->sb_mbufs, k.k_m) + off, n);
        at += n;
        len -= n;
        off = 0;
        err = len > 0 ? advance(&k) : SM_OK;
    }
    sm_sockbuf_leave(sb);
    return err;
}

enum sm_err sbsndptr(struct sm_sockbuf *sb, uint64_t off, const struct mbuf **m, uint32_t *moff, uint32_t *follow) {
    struct cursor k;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    err = off >= sb->sb_shm->sb_cc ? SM_INVALID : seek(&k, sb, &off);
    if (err == SM_OK) {
        *m = k.k_m;
        *moff = (uint32_t)off;
        *follow = m_len(k.k_m) - (uint32_t)off;
    }
    sm_sockbuf_leave(sb);
    return err;
}
