/* mbuf_tag.c - tags: small annotations that travel with a packet header. Takes no lock; linking and unlinking are one
 * operation each. After mbuf_tags(9); payloads are bounded (MTAG_MAX) because a tag is an item of one zone.
 *
 * Crash windows: a tag is HELD until it is linked and ATTACHED from then on; a dead CPU's HELD tags are freed, and so are
 * ATTACHED ones that no packet header reaches any more.
 */
#include <string.h>

#include "mbuf_impl.h"

enum mbuf_tag_step { STEP_TAG_ATTACHED = 0x840, STEP_TAG_LINKED, STEP_TAG_CUT, STEP_TAG_HELD };

struct m_tag *m_tag_alloc(struct sm_mb *mb, uint32_t cookie, uint32_t id, uint32_t len, int how) {
    void *mem = NULL;
    if (len > MTAG_MAX || (id & ~MTAG_PERSISTENT) > UINT16_MAX ||
        (cookie == MTAG_ABI_COMPAT && (id & ~MTAG_PERSISTENT) == PACKET_TAG_MACLABEL)) { /* labels are mac_label.c's */
        return sm_mb_fail(mb, SM_INVALID);
    }
    enum sm_err err = sm_fault(mb->mb_arena, SM_FP_TAG, "mbuf_tag", MTAG_BYTES, how);
    if (err != SM_OK) {
        return sm_mb_fail(mb, err);
    }
    err = sm_zone_alloc(mb->mb_zone[SM_MBZ_TAG], how, NULL, -1, &mem);
    if (err != SM_OK) {
        return sm_mb_fail(mb, err);
    }
    struct m_tag *t = mem;
    memset(t, 0, MTAG_HDR_BYTES + len);
    t->t_cookie = cookie;
    t->t_id = (uint16_t)(id & ~MTAG_PERSISTENT);
    t->t_len = (uint16_t)len;
    t->t_persistent = (id & MTAG_PERSISTENT) != 0;
    return t;
}

enum sm_err m_tag_free(struct sm_mb *mb, struct m_tag *t) {
    uint64_t *word;
    if (t == NULL) {
        return SM_OK;
    }
    enum sm_err err = sm_mb_held(mb, t, SM_MBZ_TAG, &word);
    if (err != SM_OK) {
        return err;
    }
    if (sm_mac_is_label(t) && (err = sm_mac_destroy_tag(mb, t)) != SM_OK) {
        return err;
    }
    return sm_zone_free(mb->mb_zone[SM_MBZ_TAG], t, NULL);
}

/* ---------------------------------------------------------------- links */

/* A link that can be one: an item of the tag zone. */
static struct m_tag *tag_at(struct sm_mb *mb, sm_off_t link) {
    uint64_t *word;
    if (link == 0) {
        return NULL;
    }
    if (link >= mb->mb_arena->a_bytes || sm_mb_word(mb, SM_MBZ_TAG, sm_at(mb->mb_arena, link), &word) != SM_OK ||
        SM_ST_KIND(sm_load_rlx(word)) != SM_ATTACHED) {
        return sm_mb_fail(mb, SM_CORRUPT);
    }
    return sm_at(mb->mb_arena, link);
}

/* A packet header of this CPU's, also while its dtor runs. */
static enum sm_err header_ours(struct sm_mb *mb, const struct mbuf *m) {
    uint64_t *word;
    enum sm_err err = sm_mb_word(mb, SM_MBZ_MBUF, m, &word);
    if (err == SM_OK) {
        uint64_t w = sm_load_rlx(word);
        if (SM_ST_KIND(w) != SM_CONSTRUCTING || SM_ST_CPU(w) != mb->mb_arena->a_cpu_id) {
            err = sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
        }
    }
    return err != SM_OK ? err : m->m_flags & M_PKTHDR ? SM_OK : SM_INVALID;
}

struct m_tag *m_tag_first(struct sm_mb *mb, const struct mbuf *m) {
    return m->m_flags & M_PKTHDR ? tag_at(mb, m->m_pkthdr.ph_tags) : sm_mb_fail(mb, SM_INVALID);
}

struct m_tag *m_tag_next(struct sm_mb *mb, const struct m_tag *t) {
    return tag_at(mb, t->t_next);
}

enum sm_err m_tag_prepend(struct sm_mb *mb, struct mbuf *m, struct m_tag *t) {
    uint64_t *word = NULL;
    enum sm_err err = header_ours(mb, m);
    if (err != SM_OK || (err = sm_mb_held(mb, t, SM_MBZ_TAG, &word)) != SM_OK ||
        (err = sm_op_enter(mb->mb_arena, sm_mb_op(m, mb))) != SM_OK) {
        return err;
    }
    t->t_next = m->m_pkthdr.ph_tags;
    sm_mb_attach(word);
    sm_crash_point(mb->mb_arena, STEP_TAG_ATTACHED);
    sm_store_rlx(&m->m_pkthdr.ph_tags, m_off(mb, t));
    sm_crash_point(mb->mb_arena, STEP_TAG_LINKED);
    sm_op_leave(mb->mb_arena);
    return SM_OK;
}

enum sm_err m_tag_unlink(struct sm_mb *mb, struct mbuf *m, struct m_tag *t) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *word = NULL, most = sm_mb_most(mb);
    enum sm_err err = header_ours(mb, m);
    if (err != SM_OK || (err = sm_mb_word(mb, SM_MBZ_TAG, t, &word)) != SM_OK) {
        return err;
    }
    sm_off_t *link = &m->m_pkthdr.ph_tags, target = m_off(mb, t);
    while (*link != target && most-- > 0) {
        struct m_tag *at = tag_at(mb, *link);
        if (at == NULL) {
            return *link == 0 ? SM_NOT_FOUND : SM_CORRUPT;
        }
        link = &at->t_next;
    }
    if (*link != target || SM_ST_KIND(sm_load_rlx(word)) != SM_ATTACHED) {
        return SM_CORRUPT;
    }
    if ((err = sm_op_enter(a, sm_mb_op(m, mb))) != SM_OK) {
        return err;
    }
    sm_store_rlx(link, t->t_next);
    sm_crash_point(a, STEP_TAG_CUT);
    sm_mb_hold(a, word);
    t->t_next = 0;
    sm_crash_point(a, STEP_TAG_HELD);
    sm_op_leave(a);
    return SM_OK;
}

enum sm_err m_tag_delete(struct sm_mb *mb, struct mbuf *m, struct m_tag *t) {
    enum sm_err err = m_tag_unlink(mb, m, t);
    return err == SM_OK ? m_tag_free(mb, t) : err;
}

enum sm_err m_tag_delete_chain(struct sm_mb *mb, struct mbuf *m, struct m_tag *t) {
    enum sm_err err = header_ours(mb, m);
    for (sm_off_t at = t ? m_off(mb, t) : m->m_pkthdr.ph_tags; err == SM_OK && at != 0;) {
        struct m_tag *tag = tag_at(mb, at);
        if (tag == NULL) {
            return SM_CORRUPT;
        }
        at = tag->t_next;
        err = m_tag_delete(mb, m, tag);
    }
    return err;
}

enum sm_err m_tag_delete_nonpersistent(struct sm_mb *mb, struct mbuf *m) {
    enum sm_err err = header_ours(mb, m);
    for (sm_off_t at = err == SM_OK ? m->m_pkthdr.ph_tags : 0; err == SM_OK && at != 0;) {
        struct m_tag *tag = tag_at(mb, at);
        if (tag == NULL) {
            return SM_CORRUPT;
        }
        at = tag->t_next;
        if (!tag->t_persistent) {
            err = m_tag_delete(mb, m, tag);
        }
    }
    return err;
}

/* ---------------------------------------------------------------- finding and copying */

struct m_tag *m_tag_locate(struct sm_mb *mb, const struct mbuf *m, uint32_t cookie, uint32_t id, struct m_tag *start) {
    uint64_t most = sm_mb_most(mb);
    mb->mb_err = SM_NOT_FOUND;
    struct m_tag *t = start ? m_tag_next(mb, start) : m_tag_first(mb, m);
    while (t != NULL && most-- > 0 && (t->t_cookie != cookie || t->t_id != id)) {
        t = m_tag_next(mb, t);
    }
    return t != NULL && (t->t_cookie != cookie || t->t_id != id) ? sm_mb_fail(mb, SM_CORRUPT) : t; /* a cycle */
}

struct m_tag *m_tag_find(struct sm_mb *mb, const struct mbuf *m, uint32_t id, struct m_tag *start) {
    return m_tag_locate(mb, m, MTAG_ABI_COMPAT, id, start);
}

struct m_tag *m_tag_copy(struct sm_mb *mb, const struct m_tag *t, int how) {
    uint32_t id = t->t_id | (t->t_persistent ? MTAG_PERSISTENT : 0u), len = t->t_len <= MTAG_MAX ? t->t_len : MTAG_MAX;
    struct m_tag *p = m_tag_alloc(mb, t->t_cookie, id, len, how);
    if (p != NULL) {
        memcpy(p->t_data, t->t_data, len);
    }
    return p;
}

/* A chain that ends, where it should. */
static enum sm_err copyable(struct sm_mb *mb, const struct mbuf *m) {
    uint64_t most = sm_mb_most(mb);
    mb->mb_err = SM_OK;
    const struct m_tag *t = m_tag_first(mb, m);
    while (t != NULL && most-- > 0) {
        t = m_tag_next(mb, t);
    }
    return t != NULL ? SM_CORRUPT : mb->mb_err;
}

/* Every tag of `from` in its order; those that `to` has go first. A label is copied by its policies, not byte by byte. On
 * failure `to` has none. */
enum sm_err m_tag_copy_chain(struct sm_mb *mb, struct mbuf *to, const struct mbuf *from, int how) {
    sm_off_t *end;
    if (to == from || !(from->m_flags & M_PKTHDR)) {
        return SM_INVALID;
    }
    enum sm_err err = copyable(mb, from);
    if (err != SM_OK || (err = m_tag_delete_chain(mb, to, NULL)) != SM_OK) {
        return err;
    }
    end = &to->m_pkthdr.ph_tags;
    for (struct m_tag *t = m_tag_first(mb, from); t != NULL; t = m_tag_next(mb, t)) {
        if (sm_mac_is_label(t)) {
            continue;
        }
        struct m_tag *copy = m_tag_copy(mb, t, how);
        uint64_t *word = NULL;
        err = copy == NULL ? mb->mb_err : sm_mb_held(mb, copy, SM_MBZ_TAG, &word);
        if (err == SM_OK && (err = sm_op_enter(mb->mb_arena, sm_mb_op(to, mb))) == SM_OK) {
            sm_mb_attach(word);
            sm_crash_point(mb->mb_arena, STEP_TAG_ATTACHED);
            sm_store_rlx(end, m_off(mb, copy));
            sm_crash_point(mb->mb_arena, STEP_TAG_LINKED);
            sm_op_leave(mb->mb_arena);
            end = &copy->t_next;
        } else if (copy != NULL) {
            (void)m_tag_free(mb, copy);
        }
        if (err != SM_OK) {
            (void)m_tag_delete_chain(mb, to, NULL);
            return err;
        }
    }
    err = sm_mac_copy_mbuf(mb, to, from, how);
    if (err != SM_OK) {
        (void)m_tag_delete_chain(mb, to, NULL);
    }
    return err;
}
