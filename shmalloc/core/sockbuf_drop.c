/* sockbuf_drop.c - bytes and records leave a sockbuf at its front. Takes sb_lock; what was unlinked is freed outside it.
 *
 * Crash windows, all under the lock, which the next one finds dirty and has rebuilt (mbuf_walk.c):
 *   the next record's link copied to the new head, sb_mb old    the old head's own link still counts: nothing dropped
 *   sb_mb moved, the mbuf still ATTACHED                        reached by nobody: freed
 *   the mbuf HELD by the dead                                   freed as any item
 * So a death leaves a prefix dropped, and nothing lost behind it.
 */
#include "sockbuf_impl.h"

enum sockbuf_drop_step {
    STEP_SB_RECORD_KEPT = 0x890,
    STEP_SB_UNLINKED,
    STEP_SB_LOOSE,
    STEP_SB_HELD,
    STEP_SB_UNCOUNTED,
    STEP_SB_TRIMMED,
    STEP_SB_RECORD_GONE
};

struct mbuf *sm_sockbuf_mbuf(const struct sm_sockbuf *sb, sm_off_t link, uint64_t **word) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *m = m_follow(mb, link);
    if (m == NULL || sm_mb_word(mb, SM_MBZ_MBUF, m, word) != SM_OK || SM_ST_KIND(sm_load_acq(*word)) != SM_ATTACHED) {
        return NULL;
    }
    uint64_t from = m->m_win.w_data, all = mb->mb_arena->a_bytes;
    return from < all && m_len(m) <= all - from ? m : NULL;
}

static enum sm_err broken(const struct sm_sockbuf *sb, sm_off_t link) {
    return sm_sockbuf_damaged(sb, "a link leads to %#llx, which is no mbuf of it", (unsigned long long)link);
}

/* sb_mb has moved: the mbuf becomes this CPU's, without links. */
static void take(struct sm_sockbuf *sb, struct mbuf *m, uint64_t *word) {
    m->m_next = 0;
    m->m_nextpkt = 0;
    sm_crash_point(sm_sockbuf_arena(sb), STEP_SB_LOOSE);
    sm_mb_hold(sm_sockbuf_arena(sb), word);
    sm_crash_point(sm_sockbuf_arena(sb), STEP_SB_HELD);
}

enum sm_err sm_sockbuf_unlink(struct sm_sockbuf *sb, struct mbuf **out, bool *ended) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_arena *a = sm_sockbuf_arena(sb);
    uint64_t *word = NULL, *next_word = NULL;
    sm_off_t off = s->sb_mb;
    struct mbuf *m = sm_sockbuf_mbuf(sb, off, &word), *next = NULL;
    if (m == NULL) {
        return broken(sb, off);
    }
    sm_off_t to = m->m_next != 0 ? m->m_next : m->m_nextpkt;
    if (to != 0 && (next = sm_sockbuf_mbuf(sb, to, &next_word)) == NULL) {
        return broken(sb, to);
    }
    *ended = m->m_next == 0;
    if (!*ended) {
        next->m_nextpkt = m->m_nextpkt;
        sm_crash_point(a, STEP_SB_RECORD_KEPT);
    }
    sm_store_rel(&s->sb_mb, to); /* the store that drops it, behind the new head's link */
    sm_crash_point(a, STEP_SB_UNLINKED);
    if (s->sb_lastrecord == off) {
        s->sb_lastrecord = to;
    }
    if (to == 0) {
        s->sb_mbtail = 0;
    }
    sm_sockbuf_count(s, -(uint64_t)m_len(m), -sm_mbuf_storage(m));
    sm_crash_point(a, STEP_SB_UNCOUNTED);
    take(sb, m, word);
    *out = m;
    return SM_OK;
}

/* From m on, unlinked already: ATTACHED becomes HELD, m_next stays. Ends where the chain does, or is damaged. */
static void hold_chain(struct sm_sockbuf *sb, struct mbuf *m) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *before = NULL;
    uint64_t *word = NULL;
    for (sm_off_t link = m_off(mb, m); link != 0; link = before->m_next) {
        struct mbuf *n = sm_sockbuf_mbuf(sb, link, &word);
        if (n == NULL) {
            if (before != NULL) {
                before->m_next = 0;
            }
            return;
        }
        n->m_nextpkt = 0;
        sm_mb_hold(mb->mb_arena, word);
        sm_crash_point(mb->mb_arena, STEP_SB_HELD);
        before = n;
    }
}

enum sm_err sm_sockbuf_unlink_record(struct sm_sockbuf *sb, struct mbuf **chain) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_mb *mb = sb->sb_mbufs;
    uint64_t *word = NULL, bytes = 0, storage = 0, most = sm_mb_most(mb);
    struct mbuf *head = NULL;
    *chain = NULL;
    for (sm_off_t link = s->sb_mb; link != 0;) {
        struct mbuf *m = sm_sockbuf_mbuf(sb, link, &word);
        if (m == NULL || most-- == 0) {
            return broken(sb, link);
        }
        head = head != NULL ? head : m;
        bytes += m_len(m);
        storage += sm_mbuf_storage(m);
        link = m->m_next;
    }
    if (head == NULL) {
        return SM_OK;
    }
    sm_off_t to = head->m_nextpkt;
    if (to != 0 && sm_sockbuf_mbuf(sb, to, &word) == NULL) {
        return broken(sb, to);
    }
    sm_store_rel(&s->sb_mb, to); /* the store that drops all of it */
    sm_crash_point(mb->mb_arena, STEP_SB_RECORD_GONE);
    if (to == 0) {
        s->sb_mbtail = s->sb_lastrecord = 0;
    }
    sm_sockbuf_count(s, -bytes, -storage);
    sm_crash_point(mb->mb_arena, STEP_SB_UNCOUNTED);
    hold_chain(sb, head);
    *chain = head;
    return SM_OK;
}

/* Lock held. The chain grows by what was unlinked, in order. */
static enum sm_err cut(struct sm_sockbuf *sb, uint64_t len, struct mbuf **chain) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *end = NULL, *m = NULL;
    bool ended = true;
    while (len > 0 || !ended) {
        uint64_t *word = NULL;
        struct mbuf *first = sm_sockbuf_mbuf(sb, s->sb_mb, &word);
        if (first == NULL) {
            return broken(sb, s->sb_mb);
        }
        if (m_len(first) > len) { /* also the end: the next mbuf of this record has bytes */
            union sm_mwindow w = {.w_len = m_len(first) - len, .w_data = first->m_win.w_data + len};
            sm_store_rel(&first->m_win.w_word, w.w_word);
            sm_crash_point(mb->mb_arena, STEP_SB_TRIMMED);
            sm_sockbuf_count(s, -len, 0);
            return SM_OK;
        }
        len -= m_len(first);
        enum sm_err err = sm_sockbuf_unlink(sb, &m, &ended);
        if (err != SM_OK) {
            return err;
        }
        if (end == NULL) {
            *chain = m;
        } else {
            end->m_next = m_off(mb, m);
        }
        end = m;
    }
    return SM_OK;
}

enum sm_err sbcut(struct sm_sockbuf *sb, uint64_t len, struct mbuf **chain) {
    *chain = NULL;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    err = len > sb->sb_shm->sb_cc ? SM_INVALID : len > 0 ? cut(sb, len, chain) : SM_OK;
    sm_sockbuf_leave(sb);
    sm_sockbuf_wake(sb, SB_SPACE);
    return err;
}

enum sm_err sbdrop(struct sm_sockbuf *sb, uint64_t len) {
    struct mbuf *chain = NULL;
    enum sm_err err = sbcut(sb, len, &chain), freed = m_freem(sb->sb_mbufs, chain);
    return err != SM_OK ? err : freed;
}

enum sm_err sbdroprecord(struct sm_sockbuf *sb) {
    struct mbuf *chain = NULL;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    err = sm_sockbuf_unlink_record(sb, &chain);
    sm_sockbuf_leave(sb);
    sm_sockbuf_wake(sb, SB_SPACE);
    enum sm_err freed = m_freem(sb->sb_mbufs, chain);
    return err != SM_OK ? err : freed;
}

/* ---------------------------------------------------------------- flushing */

/* Lock held. Counts and ends of an empty sockbuf; SM_CORRUPT when they, or the chain, said something else. */
static enum sm_err reset(struct sm_sockbuf *sb, sm_off_t was, bool counted) {
    struct sm_sockbuf_shm *s = sb->sb_shm;
    uint64_t cc = s->sb_cc, mbcnt = s->sb_mbcnt;
    sm_off_t left = s->sb_mb;
    if (left == 0 && cc == 0 && mbcnt == 0) {
        return SM_OK;
    }
    sm_store_rel(&s->sb_mb, 0);
    s->sb_mbtail = s->sb_lastrecord = 0;
    sm_store_rlx(&s->sb_cc, 0);
    sm_store_rlx(&s->sb_mbcnt, 0);
    if (!counted) {
        return sm_sockbuf_damaged(sb, "flush: empty but mbuf %#llx still attached", (unsigned long long)was);
    }
    return sm_sockbuf_damaged(sb,
                              "flush: all is out, but %lld bytes in %lld of storage are counted, mbuf %#llx attached",
                              (long long)cc, (long long)mbcnt, (unsigned long long)left);
}

enum sm_err sbflush(struct sm_sockbuf *sb) {
    struct sm_mb *mb = sb->sb_mbufs;
    struct mbuf *chain = NULL, *all = NULL, *end = NULL;
    enum sm_err err = sm_sockbuf_enter(sb);
    if (err != SM_OK) {
        return err;
    }
    sm_off_t was = sb->sb_shm->sb_mb;
    bool counted = sb->sb_shm->sb_cc != 0 || sb->sb_shm->sb_mbcnt != 0;
    while (sm_sockbuf_unlink_record(sb, &chain) == SM_OK && chain != NULL) {
        if (end == NULL) {
            all = chain;
        } else {
            end->m_next = m_off(mb, chain);
        }
        (void)m_length(mb, chain, &end);
    }
    enum sm_err damage = reset(sb, was, counted);
    sm_sockbuf_leave(sb);
    sm_sockbuf_wake(sb, SB_SPACE);
    err = m_freem(mb, all);
    return damage != SM_OK ? damage : err;
}
