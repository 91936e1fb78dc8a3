/* mbuf_pass.c - packets between processes. A packet travels as its head: QUEUED or TICKETED, with the rest of the
 * chain ATTACHED to it. Takes no lock; each change of the rest is one operation.
 *
 * Crash windows: the rest ATTACHED and the head still HELD by the dead: the head is freed, the rest is reached by nobody
 * and freed. The head HELD by a receiver that died, the rest still ATTACHED: the same. The head queued: all of it stays.
 */
#include "mbuf_impl.h"
#include "queue.h"

enum mbuf_pass_step { STEP_REST_ATTACHED = 0x860, STEP_REST_HELD };

enum sm_err sm_mb_attach_rest(struct sm_mb *mb, struct mbuf *m) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *word = NULL, most = sm_mb_most(mb);
    enum sm_err err = SM_OK;
    if (m->m_next == 0) {
        return SM_OK;
    }
    mb->mb_err = SM_OK;
    for (struct mbuf *n = m_nextm(mb, m); n != NULL; n = m_nextm(mb, n)) {
        if ((err = sm_mb_held(mb, n, SM_MBZ_MBUF, &word)) != SM_OK) {
            return err;
        }
        if (n == m || most-- == 0) {
            return SM_CORRUPT;
        }
    }
    if (mb->mb_err != SM_OK || (err = sm_op_enter(a, sm_mb_op(m, mb))) != SM_OK) {
        return mb->mb_err != SM_OK ? mb->mb_err : err;
    }
    for (struct mbuf *n = m_nextm(mb, m); n != NULL; n = m_nextm(mb, n)) {
        if (sm_mb_word(mb, SM_MBZ_MBUF, n, &word) == SM_OK) {
            sm_mb_attach(word);
            sm_crash_point(a, STEP_REST_ATTACHED);
        }
    }
    sm_op_leave(a);
    return SM_OK;
}

/* Stops at the first mbuf that is not ATTACHED: it is somebody's already. */
enum sm_err sm_mb_hold_rest(struct sm_mb *mb, struct mbuf *m) {
    struct sm_arena *a = mb->mb_arena;
    uint64_t *word = NULL;
    if (m->m_next == 0) {
        return SM_OK;
    }
    enum sm_err err = sm_op_enter(a, sm_mb_op(m, mb));
    if (err != SM_OK) {
        return err;
    }
    for (struct mbuf *n = m_nextm(mb, m); n != NULL; n = m_nextm(mb, n)) {
        if (sm_mb_word(mb, SM_MBZ_MBUF, n, &word) != SM_OK || SM_ST_KIND(sm_load_acq(word)) != SM_ATTACHED) {
            break;
        }
        sm_mb_hold(a, word);
        sm_crash_point(a, STEP_REST_HELD);
    }
    sm_op_leave(a);
    return SM_OK;
}

static enum sm_err head_zone(struct sm_mb *mb, const struct mbuf *m, struct sm_zone **z) {
    uint64_t *word = NULL;
    enum sm_err err = sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    return err == SM_OK ? sm_zone_by_id(mb->mb_arena, SM_ST_ZONE(sm_load_rlx(word)), z) : err;
}

enum sm_err m_enqueue(struct sm_mb *mb, struct sm_queue *q, struct mbuf *m, int64_t timeout_ns) {
    struct sm_zone *z = NULL;
    enum sm_err err = head_zone(mb, m, &z);
    if (err == SM_OK && (err = sm_mb_attach_rest(mb, m)) == SM_OK) {
        err = sm_queue_put(q, z, m, timeout_ns);
        if (err != SM_OK) {
            (void)sm_mb_hold_rest(mb, m); /* fails only when this CPU is lost, and its packets with it */
        }
    }
    return err;
}

enum sm_err m_arrived(struct sm_mb *mb, struct sm_zone *z, void *item, struct mbuf **m) {
    if (z->z_keg_id != mb->mb_zone[SM_MBZ_MBUF]->z_keg_id) {
        *m = NULL;
        return SM_NOT_OURS;
    }
    *m = item;
    return sm_mb_hold_rest(mb, *m);
}

/* An item of another zone is handed back to the queue's end: SM_NOT_OURS, and the caller asks sm_queue_get for it. */
enum sm_err m_dequeue(struct sm_mb *mb, struct sm_queue *q, int64_t timeout_ns, struct mbuf **m) {
    struct sm_zone *z = NULL;
    void *item = NULL;
    enum sm_err err = sm_queue_get(q, timeout_ns, &z, &item);
    if (err != SM_OK) {
        return err;
    }
    err = m_arrived(mb, z, item, m);
    if (err == SM_NOT_OURS) {
        enum sm_err back = sm_queue_put(q, z, item, 0);
        if (back != SM_OK) {
            (void)sm_zone_free(z, item, NULL);
        }
    }
    return err;
}

enum sm_err m_ticket(struct sm_mb *mb, struct mbuf *m, struct sm_handle *h) {
    struct sm_zone *z = NULL;
    enum sm_err err = head_zone(mb, m, &z);
    if (err == SM_OK && (err = sm_mb_attach_rest(mb, m)) == SM_OK && (err = sm_zone_ticket(z, m, h)) != SM_OK) {
        (void)sm_mb_hold_rest(mb, m);
    }
    return err;
}

/* A handle of another zone's item: SM_NOT_OURS, and the item stays in transit. */
enum sm_err m_adopt(struct sm_mb *mb, struct sm_handle h, struct mbuf **m) {
    struct sm_zone *z = NULL;
    void *item = NULL;
    if (h.h_zone != mb->mb_zone[SM_MBZ_MBUF]->z_id && h.h_zone != mb->mb_zone[SM_MBZ_PACKET]->z_id) {
        return SM_NOT_OURS;
    }
    enum sm_err err = sm_zone_adopt(mb->mb_arena, h, &z, &item);
    return err == SM_OK ? m_arrived(mb, z, item, m) : err;
}
