/* sockbuf_append.c - chains become part of a sockbuf. Takes sb_lock; allocates and frees only outside it.
 *
 * Crash windows, all under the lock, which the next one finds dirty and has rebuilt (mbuf_walk.c):
 *   words ATTACHED, not linked yet        reached by nobody: freed with what else the dead held; nothing was appended
 *   linked, counts and tails old          all of it is there; counts and tails are recomputed
 *   bytes copied behind the last mbuf's   not part of it; overwritten by the next append
 *   that mbuf's window stored             all of it is there; the dead CPU's own chain is freed
 */
#include <string.h>

#include "sockbuf_impl.h"

enum sockbuf_append_step {
    STEP_SB_COMPRESSED = 0x880,
    STEP_SB_CHECKED,
    STEP_SB_ATTACHED,
    STEP_SB_LINKED,
    STEP_SB_TAIL_SET,
    STEP_SB_BYTES_COPIED,
    STEP_SB_MERGED,
    STEP_SB_COUNTED
};

#define MERGE_BYTES (MCLBYTES / 4) /* no more than this is copied to save an mbuf */

struct chain {
    struct mbuf *c_first, *c_last;
    uint64_t c_bytes, c_storage;
    bool c_one_type, c_eor;
};
enum place { PLACE_APPEND, PLACE_STREAM, PLACE_RECORD };

/* ---------------------------------------------------------------- private work on the chain */

static bool inside(const struct sm_mb *mb, const struct mbuf *m) {
    uint64_t start = m_start(mb, m), size = m_size(m), from = m->m_win.w_data, len = m_len(m);
    uint64_t all = mb->mb_arena->a_bytes;
    return start < all && size <= all - start && from >= start && from - start <= size && len <= size - (from - start);
}

static uint64_t room_behind(struct sm_mb *mb, const struct mbuf *m) {
    return m_writable(mb, m) ? m_start(mb, m) + m_size(m) - (m->m_win.w_data + m_len(m)) : 0;
}

/* Every mbuf is this CPU's, no other packet hangs on it, its bytes lie in its storage, and the chain ends. */
static enum sm_err chain_look(struct sm_mb *mb, struct mbuf *m, struct chain *c) {
    uint64_t *word = NULL, most = sm_mb_most(mb);
    *c = (struct chain){.c_first = m, .c_one_type = true};
    mb->mb_err = SM_OK;
    for (struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        enum sm_err err = sm_mb_held(mb, n, SM_MBZ_MBUF, &word);
        if (err != SM_OK) {
            return err;
        }
        if (n->m_nextpkt != 0) {
            return SM_INVALID;
        }
        if (!inside(mb, n) || most-- == 0) {
            return SM_CORRUPT;
        }
        c->c_bytes += m_len(n);
        c->c_storage += sm_mbuf_storage(n);
        c->c_one_type = c->c_one_type && n->m_type == m->m_type;
        c->c_eor = c->c_eor || n->m_flags & M_EOR;
        c->c_last = n;
    }
    return mb->mb_err;
}

/* The packet header goes, the bytes stay where they are. */
static enum sm_err demote(struct sm_mb *mb, struct mbuf *m) {
    for (struct mbuf *n = m; n != NULL; n = m_nextm(mb, n)) {
        if (n->m_flags & M_PKTHDR) {
            enum sm_err err = m_tag_delete_chain(mb, n, NULL);
            if (err != SM_OK) {
                return err;
            }
            n->m_flags &= ~M_PKTHDR;
        }
    }
    return SM_OK;
}

static bool empty_goes(const struct mbuf *before, const struct mbuf *m, bool eor) {
    return m_len(m) == 0 && !(m->m_flags & M_PKTHDR) && (!eor || m->m_type == before->m_type);
}

static bool moves_into(struct sm_mb *mb, const struct mbuf *before, const struct mbuf *m) {
    return m_len(m) <= MERGE_BYTES && m->m_type == before->m_type && !(m->m_flags & M_PKTHDR) &&
           room_behind(mb, before) >= m_len(m);
}

enum sm_err sbcompress(struct sm_mb *mb, struct mbuf *m) {
    struct chain c;
    enum sm_err err = m == NULL ? SM_OK : chain_look(mb, m, &c);
    if (err != SM_OK || m == NULL) {
        return err;
    }
    m->m_flags &= ~M_EOR;
    for (struct mbuf *before = m, *n = m_nextm(mb, m); n != NULL && err == SM_OK; n = m_nextm(mb, before)) {
        n->m_flags &= ~M_EOR;
        bool merge = m_len(n) > 0 && moves_into(mb, before, n);
        if (!merge && !empty_goes(before, n, c.c_eor)) {
            before = n;
            continue;
        }
        if (merge) {
            memcpy(mtod(mb, before) + m_len(before), mtod(mb, n), m_len(n));
            m_set_len(before, m_len(before) + m_len(n));
        }
        before->m_next = n->m_next;
        err = m_free(mb, n, NULL);
        sm_crash_point(mb->mb_arena, STEP_SB_COMPRESSED);
    }
    struct mbuf *last = m;
    if (c.c_eor) {
        (void)m_length(mb, m, &last);
        last->m_flags |= M_EOR;
    }
    return err;
}

/* ---------------------------------------------------------------- under the lock */

/* The ends say what they must say; both are NULL in an empty sockbuf. */
static enum sm_err ends(const struct sm_sockbuf *sb, struct mbuf **last, struct mbuf **tail) {
    const struct sm_sockbuf_shm *s = sb->sb_shm;
    uint64_t *word;
    *last = *tail = NULL;
    if (s->sb_mb == 0 && s->sb_mbtail == 0 && s->sb_lastrecord == 0) {
        return SM_OK;
    }
    *last = sm_sockbuf_mbuf(sb, s->sb_lastrecord, &word);
    *tail = sm_sockbuf_mbuf(sb, s->sb_mbtail, &word);
    if (s->sb_mb == 0 || *last == NULL || *tail == NULL || (*last)->m_nextpkt != 0 || (*tail)->m_next != 0) {
        return sm_sockbuf_damaged(sb, "first mbuf %#llx, last record %#llx and last mbuf %#llx do not belong together",
                                  (unsigned long long)s->sb_mb, (unsigned long long)s->sb_lastrecord,
                                  (unsigned long long)s->sb_mbtail);
    }
    return SM_OK;
}

static void attach(struct sm_sockbuf *sb, const struct chain *c) {
    struct sm_mb *mb = sb->sb_mbufs;
    uint64_t *word = NULL;
    for (struct mbuf *m = c->c_first; m != NULL; m = m_nextm(mb, m)) {
        if (sm_mb_word(mb, SM_MBZ_MBUF, m, &word) == SM_OK) { /* seen to be HELD by this CPU */
            sm_mb_attach(word);
            sm_crash_point(mb->mb_arena, STEP_SB_ATTACHED);
        }
    }
}

static void link_chain(struct sm_sockbuf *sb, const struct chain *c, sm_off_t *link, bool record) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_arena *a = sm_sockbuf_arena(sb);
    attach(sb, c);
    /* The store that appends. Release: recovery, and check on another processor, find the words and links behind it. */
    sm_store_rel(link, m_off(sb->sb_mbufs, c->c_first));
    sm_crash_point(a, STEP_SB_LINKED);
    if (record) {
        s->sb_lastrecord = m_off(sb->sb_mbufs, c->c_first);
    }
    s->sb_mbtail = m_off(sb->sb_mbufs, c->c_last);
    sm_crash_point(a, STEP_SB_TAIL_SET);
    sm_sockbuf_count(s, c->c_bytes, c->c_storage);
    sm_crash_point(a, STEP_SB_COUNTED);
}

/* All of the chain's bytes into the room behind the last mbuf's: one store. False: they do not fit. */
static bool merge_chain(struct sm_sockbuf *sb, const struct chain *c, struct mbuf *tail) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct sm_arena *a = mb->mb_arena;
    if (c->c_bytes > MERGE_BYTES || !c->c_one_type || c->c_eor || c->c_first->m_type != tail->m_type ||
        tail->m_flags & M_EOR || !inside(mb, tail) || room_behind(mb, tail) < c->c_bytes) {
        return false;
    }
    uint8_t *to = mtod(mb, tail) + m_len(tail);
    for (const struct mbuf *m = c->c_first; m != NULL; m = m_nextm(mb, m)) {
        memcpy(to, mtod(mb, m), m_len(m));
        to += m_len(m);
    }
    sm_crash_point(a, STEP_SB_BYTES_COPIED);
    union sm_mwindow w = {.w_len = m_len(tail) + c->c_bytes, .w_data = tail->m_win.w_data};
    sm_store_rel(&tail->m_win.w_word, w.w_word); /* the store that appends, behind the bytes */
    sm_crash_point(a, STEP_SB_MERGED);
    sm_sockbuf_count(sb->sb_shm, c->c_bytes, 0);
    sm_crash_point(a, STEP_SB_COUNTED);
    return true;
}

/* Lock held. *left: what is the caller's to free now. */
static enum sm_err commit(struct sm_sockbuf *sb, struct chain *c, enum place place, struct mbuf **left) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    struct mbuf *last = NULL, *tail = NULL;
    enum sm_err err = ends(sb, &last, &tail);
    if (err != SM_OK) {
        return err;
    }
    if (place == PLACE_STREAM && s->sb_mb != s->sb_lastrecord) {
        return SM_INVALID;
    }
    if (!sm_sockbuf_fits(s, c->c_bytes)) {
        return SM_FULL;
    }
    bool record = tail == NULL || place == PLACE_RECORD || (place == PLACE_APPEND && tail->m_flags & M_EOR);
    if (place != PLACE_RECORD && m_len(c->c_first) == 0 && (!c->c_eor || c->c_first->m_next != 0)) {
        *left = c->c_first; /* sbcompress kept the head for the caller's sake */
        c->c_first = m_nextm(sb->sb_mbufs, *left);
        c->c_storage -= sm_mbuf_storage(*left);
        (*left)->m_next = 0;
        if (c->c_first == NULL) {
            return SM_OK;
        }
    }
    if (!record && merge_chain(sb, c, tail)) {
        if (*left != NULL) {
            (*left)->m_next = m_off(sb->sb_mbufs, c->c_first);
        } else {
            *left = c->c_first;
        }
        return SM_OK;
    }
    link_chain(sb, c, tail == NULL ? &s->sb_mb : record ? &last->m_nextpkt : &tail->m_next, record);
    return SM_OK;
}

/* The chain was looked at. What is left over is freed with the lock given back. */
static enum sm_err append(struct sm_sockbuf *sb, struct chain *c, enum place place) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *left = NULL;
    sm_crash_point(mb->mb_arena, STEP_SB_CHECKED);
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    err = commit(sb, c, place, &left);
    sm_sockbuf_leave(sb);
    if (err == SM_OK) {
        sm_sockbuf_wake(sb, SB_DATA);
        (void)m_freem(mb, left); /* appended all the same: a storage found damaged here was seen by m_free */
    }
    return err;
}

/* ---------------------------------------------------------------- the calls */

/* Before the chain is reshaped: one that will not go most likely is left as it is. The look that counts is commit's. */
static enum sm_err fits_now(struct sm_sockbuf *sb, uint64_t bytes) {
    if (sm_sockbuf_fits(sb->sb_shm, bytes)) {
        return SM_OK;
    }
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err == SM_OK) {
        err = sm_sockbuf_fits(sb->sb_shm, bytes) ? SM_OK : SM_FULL;
        sm_sockbuf_leave(sb);
    }
    return err;
}

static enum sm_err append_shaped(struct sm_sockbuf *sb, struct mbuf *m, enum place place) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct chain c;
    enum sm_err err = m == NULL ? SM_OK : chain_look(mb, m, &c);
    if (err != SM_OK || m == NULL || (err = fits_now(sb, c.c_bytes)) != SM_OK) {
        return err;
    }
    if ((place == PLACE_STREAM && (err = demote(mb, m)) != SM_OK) || (err = sbcompress(mb, m)) != SM_OK ||
        (err = chain_look(mb, m, &c)) != SM_OK) {
        return err;
    }
    return append(sb, &c, place);
}

enum sm_err sbappend(struct sm_sockbuf *sb, struct mbuf *m) {
    return append_shaped(sb, m, PLACE_APPEND);
}

enum sm_err sbappendstream(struct sm_sockbuf *sb, struct mbuf *m) {
    return append_shaped(sb, m, PLACE_STREAM);
}

enum sm_err sbappendrecord(struct sm_sockbuf *sb, struct mbuf *m) {
    return append_shaped(sb, m, PLACE_RECORD);
}

/* The parts in their order become one chain for the append, and are parted again when it fails. */
static enum sm_err append_parts(struct sm_sockbuf *sb, struct mbuf *const part[3]) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct chain whole = {0}, c[3] = {{0}};
    enum sm_err err = SM_OK;
    for (int i = 0; i < 3 && err == SM_OK; i++) {
        err = part[i] == NULL ? SM_OK : chain_look(mb, part[i], &c[i]);
        for (int j = 0; j < i && err == SM_OK; j++) {
            if (part[i] != NULL && c[i].c_last == c[j].c_last) {
                err = SM_INVALID; /* one chain runs into the other */
            }
        }
    }
    for (int i = 0; i < 3 && err == SM_OK; i++) {
        if (part[i] == NULL) {
            continue;
        }
        if (whole.c_last == NULL) {
            whole.c_first = part[i];
        } else {
            whole.c_last->m_next = m_off(mb, part[i]);
        }
        whole.c_last = c[i].c_last;
        whole.c_bytes += c[i].c_bytes;
        whole.c_storage += c[i].c_storage;
    }
    if (err == SM_OK) {
        err = append(sb, &whole, PLACE_RECORD);
        for (int i = 0; i < 3 && err != SM_OK; i++) {
            if (c[i].c_last != NULL) {
                c[i].c_last->m_next = 0;
            }
        }
    }
    return err;
}

enum sm_err sbappendaddr(struct sm_sockbuf *sb, const void *addr, uint32_t len, struct mbuf *m, struct mbuf *control,
                         int how) {
    struct sm_mb *mb = sb->sb_mbufs;
    if (addr == NULL || len == 0 || len > MLEN || (control != NULL && control->m_type != MT_CONTROL)) {
        return SM_INVALID;
    }
    struct mbuf *name = m_get(mb, how, MT_SONAME);
    if (name == NULL) {
        return mb->mb_err;
    }
    memcpy(mtod(mb, name), addr, len);
    m_set_len(name, len);
    enum sm_err err = append_parts(sb, (struct mbuf *const[3]){name, control, m});
    if (err != SM_OK) {
        (void)m_free(mb, name, NULL);
    }
    return err;
}

enum sm_err sbappendcontrol(struct sm_sockbuf *sb, struct mbuf *m, struct mbuf *control) {
    if (control == NULL || control->m_type != MT_CONTROL) {
        return SM_INVALID;
    }
    return append_parts(sb, (struct mbuf *const[3]){NULL, control, m});
}
