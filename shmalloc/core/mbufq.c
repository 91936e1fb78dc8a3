/* mbufq.c - queues of packets that this CPU holds, linked by m_nextpkt. The queue is the caller's memory; takes no lock,
 * and a queue is nobody else's. After sys/mbuf.h.
 */
#include "mbuf_impl.h"

void mbufq_init(struct mbufq *q, uint32_t maxlen) {
    *q = (struct mbufq){.mq_maxlen = maxlen};
}

struct mbuf *mbufq_first(const struct sm_mb *mb, const struct mbufq *q) {
    return m_at(mb, q->mq_head);
}

struct mbuf *mbufq_last(const struct sm_mb *mb, const struct mbufq *q) {
    return m_at(mb, q->mq_tail);
}

bool mbufq_full(const struct mbufq *q) {
    return q->mq_maxlen > 0 && q->mq_len >= q->mq_maxlen;
}

uint32_t mbufq_len(const struct mbufq *q) {
    return q->mq_len;
}

static void empty(struct mbufq *q) {
    q->mq_head = q->mq_tail = 0;
    q->mq_len = 0;
}

struct mbuf *mbufq_flush(struct sm_mb *mb, struct mbufq *q) {
    struct mbuf *m = m_at(mb, q->mq_head);
    empty(q);
    return m;
}

struct mbuf *mbufq_dequeue(struct sm_mb *mb, struct mbufq *q) {
    struct mbuf *m = m_at(mb, q->mq_head), *next;
    mb->mb_err = SM_OK;
    if (m == NULL) {
        return NULL;
    }
    next = q->mq_head == q->mq_tail ? NULL : m_nextp(mb, m);
    if (next == NULL) {
        mb->mb_err = q->mq_head == q->mq_tail ? SM_OK : SM_CORRUPT; /* a link that leads nowhere: the rest is lost */
        empty(q);
    } else {
        q->mq_head = m_off(mb, next);
        q->mq_len--;
    }
    m->m_nextpkt = 0;
    return m;
}

/* A packet that cannot be freed (freed already, or another's) is left; the others are freed all the same. */
enum sm_err mbufq_drain(struct sm_mb *mb, struct mbufq *q) {
    enum sm_err first = SM_OK;
    while (q->mq_head != 0) {
        struct mbuf *m = mbufq_dequeue(mb, q);
        enum sm_err cut = mb->mb_err, err = m_freem(mb, m);
        first = first != SM_OK ? first : err != SM_OK ? err : cut;
    }
    return first;
}

/* One packet, and not one that is in a queue already as far as that can be seen. */
static enum sm_err linkable(struct sm_mb *mb, const struct mbufq *q, const struct mbuf *m) {
    uint64_t *word;
    enum sm_err err = m == NULL ? SM_INVALID : sm_mb_held(mb, m, SM_MBZ_MBUF, &word);
    return err == SM_OK && (m->m_nextpkt != 0 || m_off(mb, m) == q->mq_tail) ? SM_INVALID : err;
}

enum sm_err mbufq_enqueue(struct sm_mb *mb, struct mbufq *q, struct mbuf *m) {
    enum sm_err err = linkable(mb, q, m);
    if (err == SM_OK && mbufq_full(q)) {
        err = SM_FULL;
    }
    if (err != SM_OK) {
        return err;
    }
    if (q->mq_tail == 0) {
        q->mq_head = m_off(mb, m);
    } else {
        m_at(mb, q->mq_tail)->m_nextpkt = m_off(mb, m);
    }
    q->mq_tail = m_off(mb, m);
    q->mq_len++;
    return SM_OK;
}

void mbufq_prepend(struct sm_mb *mb, struct mbufq *q, struct mbuf *m) {
    mb->mb_err = linkable(mb, q, m);
    if (mb->mb_err != SM_OK) {
        return;
    }
    m->m_nextpkt = q->mq_head;
    q->mq_head = m_off(mb, m);
    q->mq_tail = q->mq_tail ? q->mq_tail : q->mq_head;
    q->mq_len++;
}

void mbufq_concat(struct sm_mb *mb, struct mbufq *dst, struct mbufq *src) {
    if (src->mq_head == 0 || dst == src) {
        return;
    }
    if (dst->mq_tail == 0) {
        dst->mq_head = src->mq_head;
    } else {
        m_at(mb, dst->mq_tail)->m_nextpkt = src->mq_head;
    }
    dst->mq_tail = src->mq_tail;
    dst->mq_len += src->mq_len;
    empty(src);
}
