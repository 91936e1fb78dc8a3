/* test_mbuf_pass.c - packets between processes, through a queue and by ticket: the whole chain with its shared clusters
 * and tags; refusals leave the packet with its holder; senders and receivers that are killed. Owns its children.
 */
#include "mbuf_fixture.h"

#define BYTES 2460u

static struct mbuf *packet(struct sm_mb *mb) {
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 2000, 200, 250);
    struct m_tag *t = m_tag_alloc(mb, 5, 6, 4, SM_M_NOWAIT);
    EXPECT_TRUE(t != NULL);
    memcpy(t->t_data, "tag", 4);
    EXPECT_OK(m_tag_prepend(mb, m, t));
    return m;
}

static void expect_packet(struct sm_mb *mb, struct mbuf *m) {
    expect_bytes(mb, m, 0, BYTES);
    struct m_tag *t = m_tag_locate(mb, m, 5, 6, NULL);
    EXPECT_TRUE(t != NULL && memcmp(t->t_data, "tag", 4) == 0);
}

struct pass {
    struct sm_handle p_handle;
    int p_packets;
    struct harness_gate p_ready, p_never;
};

static struct sm_mb *open_other(struct harness *h, struct sm_queue **q) {
    struct sm_mb *mb = NULL;
    EXPECT_OK(sm_mb_open(harness_attach(h, "other"), NULL, &mb));
    EXPECT_OK(sm_queue_open(mb->mb_arena, "q", 0, q));
    return mb;
}

static void receive(struct harness *h, void *ctx) {
    struct pass *p = ctx;
    struct sm_queue *q;
    struct sm_mb *mb = open_other(h, &q);
    struct mbuf *m = NULL;
    for (int i = 0; i < p->p_packets; i++) {
        EXPECT_OK(m_dequeue(mb, q, -1, &m));
        expect_packet(mb, m);
        EXPECT_TRUE((m = m_pullup(mb, m, 100)) != NULL); /* it is this process's to change */
        expect_packet(mb, m);
        EXPECT_OK(m_freem(mb, m));
    }
    EXPECT_OK(m_adopt(mb, p->p_handle, &m));
    expect_packet(mb, m);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_ERR(m_adopt(mb, p->p_handle, &m), SM_STALE);
    sm_queue_close(q);
    harness_close(h, mb->mb_arena);
}

TEST(packets_pass_whole_through_a_queue_and_by_ticket) {
    struct sm_mb *mb = mbufs(h);
    struct sm_queue *q = NULL;
    struct pass p = {.p_packets = 50};
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 4, &q));
    struct mbuf *mine = packet(mb), *m = packet(mb);
    EXPECT_OK(m_ticket(mb, m, &p.p_handle));
    EXPECT_ERR(m_ticket(mb, m, &p.p_handle), SM_NOT_OWNER);
    pid_t child = harness_fork(h, receive, &p);
    for (int i = 0; i < p.p_packets; i++) {
        m = i % 2 ? packet(mb) : m_copypacket(mb, mine, SM_M_NOWAIT);
        struct mbuf *second = m_nextm(mb, m);
        EXPECT_OK(m_enqueue(mb, q, m, -1));
        if (i == 0) { /* neither head nor rest is ours any more */
            EXPECT_NE(m_free(mb, second, NULL), SM_OK);
        }
    }
    harness_join(h, child);
    expect_packet(mb, mine);
    EXPECT_TRUE(m_writable(mb, m_nextm(mb, mine))); /* the copies are gone */
    EXPECT_OK(m_freem(mb, mine));
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF] + in_use(mb).u_used[SM_MBZ_TAG], 0);
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}

static void send_and_wait(struct harness *h, void *ctx) {
    struct pass *p = ctx;
    struct sm_queue *q;
    struct sm_mb *mb = open_other(h, &q);
    (void)packet(mb); /* held when it dies */
    EXPECT_OK(m_enqueue(mb, q, packet(mb), 0));
    harness_gate_post(&p->p_ready);
    harness_gate_wait(&p->p_never);
}

static void take_and_wait(struct harness *h, void *ctx) {
    struct pass *p = ctx;
    struct sm_queue *q;
    struct sm_mb *mb = open_other(h, &q);
    struct mbuf *m = NULL;
    EXPECT_OK(m_dequeue(mb, q, -1, &m));
    expect_packet(mb, m);
    harness_gate_post(&p->p_ready);
    harness_gate_wait(&p->p_never);
}

TEST(a_queued_packet_outlives_its_sender_and_a_taken_one_goes_with_its_receiver) {
    struct sm_mb *mb = mbufs(h);
    struct sm_queue *q = NULL;
    struct pass p;
    struct mbuf *m = NULL, *mine;
    struct sm_reap_report report;
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 4, &q));
    harness_gate_init(h, &p.p_ready);
    harness_gate_init(h, &p.p_never);
    pid_t child = harness_fork(h, send_and_wait, &p);
    harness_gate_wait(&p.p_ready);
    harness_kill(h, child);
    EXPECT_OK(sm_reap(h->h_arena, &report));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    EXPECT_OK(m_dequeue(mb, q, 0, &m));
    expect_packet(mb, m);
    mine = m_copypacket(mb, m, SM_M_NOWAIT);
    EXPECT_OK(m_enqueue(mb, q, m, 0));
    child = harness_fork(h, take_and_wait, &p);
    harness_gate_wait(&p.p_ready);
    EXPECT_FALSE(m_writable(mb, m_nextm(mb, mine)));
    harness_kill(h, child);
    EXPECT_OK(sm_reap(h->h_arena, &report));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    expect_packet(mb, mine);
    EXPECT_TRUE(m_writable(mb, m_nextm(mb, mine))); /* recounted */
    EXPECT_OK(m_freem(mb, mine));
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_MBUF] + in_use(mb).u_used[SM_MBZ_TAG], 0);
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}

TEST(a_packet_that_is_refused_is_the_callers_as_before) {
    struct sm_mb *mb = mbufs(h);
    struct sm_zone *z = harness_zone(h->h_arena, "frames", 100, 0);
    struct sm_queue *q = NULL;
    struct sm_handle handle;
    struct mbuf *m = packet(mb), *n = packet(mb), *got = NULL, *last = NULL;
    void *item = NULL;
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 1, &q));
    EXPECT_ERR(m_dequeue(mb, q, 0, &got), SM_EMPTY);
    EXPECT_OK(m_enqueue(mb, q, n, 0));
    EXPECT_ERR(m_enqueue(mb, q, m, 0), SM_FULL);
    expect_packet(mb, m);
    EXPECT_ERR(m_enqueue(mb, q, n, 0), SM_NOT_OWNER);
    EXPECT_OK(m_dequeue(mb, q, 0, &got));
    EXPECT_TRUE(got == n);
    (void)m_length(mb, m, &last);
    last->m_next = m_off(mb, m);
    EXPECT_ERR(m_enqueue(mb, q, m, 0), SM_CORRUPT);
    EXPECT_ERR(m_ticket(mb, m, &handle), SM_CORRUPT);
    last->m_next = 40;
    EXPECT_ERR(m_enqueue(mb, q, m, 0), SM_CORRUPT);
    last->m_next = 0;
    expect_packet(mb, m);
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    EXPECT_ERR(m_dequeue(mb, q, 0, &got), SM_NOT_OURS); /* it stays */
    EXPECT_EQ(sm_queue_length(q), 1);
    EXPECT_OK(sm_queue_get(q, 0, &z, &item));
    EXPECT_OK(sm_zone_ticket(z, item, &handle));
    EXPECT_ERR(m_adopt(mb, handle, &got), SM_NOT_OURS);
    EXPECT_OK(sm_zone_adopt(h->h_arena, handle, &z, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_freem(mb, n));
    EXPECT_ERR(m_enqueue(mb, q, m, 0), SM_DOUBLE_FREE);
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}
