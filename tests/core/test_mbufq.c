/* test_mbufq.c - queues of packets in the caller's memory: order, bounds, damage, and draining. Owns nothing beyond its
 * arena.
 */
#include "mbuf_fixture.h"

static struct mbuf *packet(struct sm_mb *mb, uint32_t number) {
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 300);
    m->m_pkthdr.ph_rcvif = number;
    return m;
}

TEST(a_queue_keeps_the_order_and_its_bound) {
    struct sm_mb *mb = mbufs(h);
    struct mbufq q;
    mbufq_init(&q, 5);
    EXPECT_TRUE(mbufq_first(mb, &q) == NULL && mbufq_last(mb, &q) == NULL && mbufq_dequeue(mb, &q) == NULL);
    EXPECT_EQ(mb->mb_err, SM_OK);
    for (uint32_t i = 1; i <= 4; i++) {
        EXPECT_OK(mbufq_enqueue(mb, &q, packet(mb, i)));
        EXPECT_EQ(mbufq_len(&q), i);
        EXPECT_FALSE(mbufq_full(&q));
    }
    mbufq_prepend(mb, &q, packet(mb, 0));
    EXPECT_OK(mb->mb_err);
    EXPECT_TRUE(mbufq_full(&q));
    struct mbuf *more = packet(mb, 9);
    EXPECT_ERR(mbufq_enqueue(mb, &q, more), SM_FULL);
    EXPECT_EQ(more->m_nextpkt, 0);
    EXPECT_OK(m_freem(mb, more));
    EXPECT_EQ(mbufq_first(mb, &q)->m_pkthdr.ph_rcvif, 0);
    EXPECT_EQ(mbufq_last(mb, &q)->m_pkthdr.ph_rcvif, 4);
    for (uint32_t i = 0; i < 5; i++) {
        struct mbuf *m = mbufq_dequeue(mb, &q);
        EXPECT_EQ(m->m_pkthdr.ph_rcvif, i);
        EXPECT_EQ(m->m_nextpkt, 0);
        expect_bytes(mb, m, 0, 310);
        EXPECT_OK(m_freem(mb, m));
    }
    EXPECT_EQ(mbufq_len(&q), 0);
    EXPECT_TRUE(mbufq_last(mb, &q) == NULL);
}

TEST(queues_joined_flushed_and_drained_lose_nothing) {
    struct sm_mb *mb = mbufs(h);
    struct mbufq a, b, empty;
    mbufq_init(&a, 0);
    mbufq_init(&b, 0);
    mbufq_init(&empty, 0);
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(mbufq_enqueue(mb, &b, packet(mb, i)));
    }
    mbufq_concat(mb, &a, &b);
    mbufq_concat(mb, &a, &empty);
    mbufq_concat(mb, &a, &a);
    EXPECT_EQ(mbufq_len(&a), 3);
    EXPECT_EQ(mbufq_len(&b), 0);
    EXPECT_OK(mbufq_enqueue(mb, &b, packet(mb, 3)));
    mbufq_concat(mb, &a, &b);
    EXPECT_EQ(mbufq_len(&a), 4);
    uint32_t n = 0;
    for (struct mbuf *m = mbufq_flush(mb, &a), *next; m != NULL; m = next) {
        next = m_nextp(mb, m);
        EXPECT_EQ(m->m_pkthdr.ph_rcvif, n++);
        m->m_nextpkt = 0;
        EXPECT_OK(mbufq_enqueue(mb, &b, m));
    }
    EXPECT_EQ(n, 4);
    EXPECT_EQ(mbufq_len(&a), 0);
    EXPECT_OK(mbufq_drain(mb, &b));
    EXPECT_EQ(mbufq_len(&b), 0);
    EXPECT_OK(mbufq_drain(mb, &b));
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
}

TEST(what_is_queued_already_or_freed_is_refused) {
    struct sm_mb *mb = mbufs(h);
    struct mbufq q;
    mbufq_init(&q, 0);
    struct mbuf *m = packet(mb, 1), *n = packet(mb, 2), *gone = packet(mb, 3);
    EXPECT_OK(mbufq_enqueue(mb, &q, m));
    EXPECT_ERR(mbufq_enqueue(mb, &q, m), SM_INVALID);
    EXPECT_OK(mbufq_enqueue(mb, &q, n));
    EXPECT_ERR(mbufq_enqueue(mb, &q, m), SM_INVALID);
    mbufq_prepend(mb, &q, n);
    EXPECT_ERR(mb->mb_err, SM_INVALID);
    EXPECT_OK(m_freem(mb, gone));
    EXPECT_ERR(mbufq_enqueue(mb, &q, gone), SM_DOUBLE_FREE);
    EXPECT_ERR(mbufq_enqueue(mb, &q, NULL), SM_INVALID);
    EXPECT_EQ(mbufq_len(&q), 2);
    EXPECT_OK(m_freem(mb, n)); /* freed behind the queue's back */
    EXPECT_ERR(mbufq_drain(mb, &q), SM_DOUBLE_FREE);
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF], 0);
}

TEST(a_damaged_link_ends_the_queue_and_is_told) {
    struct sm_mb *mb = mbufs(h);
    struct mbufq q;
    mbufq_init(&q, 0);
    struct mbuf *m = packet(mb, 1), *n = packet(mb, 2);
    EXPECT_OK(mbufq_enqueue(mb, &q, m));
    EXPECT_OK(mbufq_enqueue(mb, &q, n));
    m->m_nextpkt = 12345;
    EXPECT_TRUE(mbufq_dequeue(mb, &q) == m);
    EXPECT_EQ(mb->mb_err, SM_CORRUPT);
    EXPECT_EQ(mbufq_len(&q), 0);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_freem(mb, n));
}
