/* test_mbuf_shape.c - chains shaped: prepended, pulled up and down, split, joined, trimmed, fragmented, packed; with every
 * failure at every allocation, and with damaged chains. Owns nothing beyond its arena.
 */
#include "mbuf_fixture.h"

TEST(prepending_uses_the_room_before_the_data_and_a_new_mbuf_without) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 100, 50), *head = m;
    m_set(m, m->m_win.w_data + 14, 86);
    m->m_pkthdr.ph_len = 136;
    EXPECT_EQ(m_leadingspace(mb, m), 14);
    EXPECT_TRUE((m = M_PREPEND(mb, m, 14, SM_M_NOWAIT)) == head);
    expect_bytes(mb, m, 0, 150);
    m = M_PREPEND(mb, m, 20, SM_M_NOWAIT);
    EXPECT_TRUE(m != NULL && m != head && m_nextm(mb, m) == head);
    EXPECT_EQ(m->m_pkthdr.ph_len, 170);
    EXPECT_FALSE(head->m_flags & M_PKTHDR);
    EXPECT_EQ(m_len(m), 20);
    EXPECT_EQ(m->m_win.w_data - m_start(mb, m), (MHLEN - 20) & ~7u); /* at the end, aligned */
    memset(mtod(mb, m), 0, 20);
    EXPECT_OK(m_adj(mb, m, 20));
    expect_bytes(mb, m, 0, 150);
    EXPECT_OK(m_freem(mb, m));
}

TEST(a_prepend_of_more_than_an_mbuf_takes_frees_the_chain) {
    struct sm_mb *mb = mbufs(h);
    const struct in_use before = in_use(mb);
    EXPECT_TRUE(m_prepend(mb, CHAIN(mb, M_PKTHDR, 10), MHLEN + 1, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    EXPECT_TRUE(m_prepend(mb, CHAIN(mb, 0, 10), UINT32_MAX, SM_M_NOWAIT) == NULL);
    EXPECT_TRUE(m_prepend_fast(mb, CHAIN(mb, M_PKTHDR, 10), UINT32_MAX - 5, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    EXPECT_TRUE(m_prepend(mb, NULL, 1, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    expect_in_use(mb, &before);
}

TEST(pullup_makes_the_front_contiguous_and_moves_header_and_tags) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 20, 1000, 100);
    struct m_tag *t = m_tag_alloc(mb, 7, 9, 4, SM_M_NOWAIT);
    EXPECT_OK(m_tag_prepend(mb, m, t));
    EXPECT_TRUE((m = m_pullup(mb, m, 100)) != NULL);
    EXPECT_EQ(m_len(m), 100);
    expect_bytes(mb, m, 0, 1130);
    struct mbuf *cl = CHAIN(mb, M_PKTHDR, 300, 300);
    m_set_len(cl, 5);
    cl->m_pkthdr.ph_len = 305;
    struct mbuf *pulled = m_pullup(mb, cl, 20); /* a cluster in front: a new mbuf */
    EXPECT_TRUE(pulled != NULL && pulled != cl && !(pulled->m_flags & M_EXT));
    EXPECT_EQ(m_len(pulled), 20);
    EXPECT_OK(m_sanity(mb, pulled, false));
    EXPECT_OK(m_freem(mb, pulled));
    EXPECT_TRUE((m = m_copyup(mb, m, 60, 16)) != NULL);
    EXPECT_EQ(m->m_win.w_data - m_start(mb, m), 16);
    EXPECT_EQ(m_len(m), 60);
    EXPECT_TRUE(m_tag_locate(mb, m, 7, 9, NULL) == t);
    expect_bytes(mb, m, 0, 1130);
    EXPECT_TRUE(m_pullup(mb, m, MHLEN + 1) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
}

TEST(pulldown_makes_any_bytes_contiguous) {
    struct sm_mb *mb = mbufs(h);
    for (uint32_t off = 0; off < 700; off += 23) {
        for (uint32_t len = 0; len <= 200; len += 40) {
            for (int anywhere = 0; anywhere < 2; anywhere++) {
                struct mbuf *m = CHAIN(mb, M_PKTHDR, 50, 0, 3, 224, 500, 10, 150);
                uint32_t at = 0;
                struct mbuf *n = m_pulldown(mb, m, off, len, anywhere ? &at : NULL);
                EXPECT_TRUE(n != NULL && m_len(n) >= at + len);
                for (uint32_t i = 0; i < len; i++) {
                    EXPECT_EQ(mtod(mb, n)[at + i], pattern(off + i));
                }
                expect_bytes(mb, m, 0, 937);
                EXPECT_OK(m_freem(mb, m));
            }
        }
    }
}

TEST(a_split_packet_joined_again_is_the_packet) {
    struct sm_mb *mb = mbufs(h);
    for (uint32_t flags = 0; flags <= M_PKTHDR; flags += M_PKTHDR) {
        for (uint32_t at = 0; at <= 1090; at += at < 20 ? 1 : 10) {
            struct mbuf *m = CHAIN(mb, flags, 10, 200, 800, 80);
            struct mbuf *n = m_split(mb, m, at, SM_M_NOWAIT);
            EXPECT_EQ(mb->mb_err, SM_OK);
            EXPECT_TRUE(n != NULL || (at == 1090 && !flags));
            expect_bytes(mb, m, 0, at);
            if (n != NULL) {
                expect_bytes(mb, n, at, 1090 - at);
                EXPECT_EQ(n->m_flags & M_PKTHDR, flags);
                EXPECT_OK(flags ? m_catpkt(mb, m, n) : m_cat(mb, m, n));
            }
            expect_bytes(mb, m, 0, 1090);
            EXPECT_OK(m_freem(mb, m));
        }
    }
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 20);
    EXPECT_TRUE(m_split(mb, m, 31, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    expect_bytes(mb, m, 0, 30);
    EXPECT_ERR(m_cat(mb, m, m), SM_INVALID);
    EXPECT_ERR(m_cat(mb, m, m_nextm(mb, m)), SM_INVALID);
    EXPECT_ERR(m_catpkt(mb, m, m), SM_INVALID);
    EXPECT_OK(m_freem(mb, m));
}

TEST(adj_trims_both_ends_and_refuses_more_than_there_is) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 20, 300, 40);
    EXPECT_OK(m_adj(mb, m, 15));
    expect_bytes(mb, m, 15, 355);
    EXPECT_OK(m_adj(mb, m, -45));
    expect_bytes(mb, m, 15, 310);
    EXPECT_EQ(mbufs_of(mb, m), 3); /* what was cut off is freed */
    EXPECT_ERR(m_adj(mb, m, 311), SM_INVALID);
    EXPECT_ERR(m_adj(mb, m, -311), SM_INVALID);
    EXPECT_ERR(m_adj(mb, m, INT64_MIN), SM_INVALID);
    EXPECT_ERR(m_adj(mb, m, INT64_MAX), SM_INVALID);
    expect_bytes(mb, m, 15, 310);
    EXPECT_OK(m_adj(mb, m, -310));
    expect_bytes(mb, m, 0, 0);
    EXPECT_OK(m_adj(mb, m, 0));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_ERR(m_adj(mb, NULL, 1), SM_INVALID);
}

TEST(packing_keeps_the_bytes) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 20, 30, 40, 500, 5, 1000, 6);
    EXPECT_TRUE((m = m_fragment(mb, m, SM_M_NOWAIT, 100)) != NULL);
    expect_bytes(mb, m, 0, 1611);
    EXPECT_EQ(mbufs_of(mb, m), 17);
    EXPECT_EQ(m_len(m), 100);
    struct mbuf *copy = m_copypacket(mb, m, SM_M_NOWAIT);
    EXPECT_TRUE((m = m_collapse(mb, m, SM_M_NOWAIT, 4)) != NULL);
    EXPECT_LE(mbufs_of(mb, m), 4);
    expect_bytes(mb, m, 0, 1611);
    expect_bytes(mb, copy, 0, 1611);
    EXPECT_TRUE((m = m_defrag(mb, m, SM_M_NOWAIT)) != NULL);
    EXPECT_EQ(mbufs_of(mb, m), 1);
    expect_bytes(mb, m, 0, 1611);
    struct mbuf *shared = m_copym(mb, m, 0, M_COPYALL, SM_M_NOWAIT);
    EXPECT_FALSE(m_writable(mb, m));
    EXPECT_TRUE((m = m_unshare(mb, m, SM_M_NOWAIT)) != NULL);
    EXPECT_TRUE(m_writable(mb, m));
    expect_bytes(mb, m, 0, 1611);
    expect_bytes(mb, shared, 0, 1611);
    EXPECT_OK(m_freem(mb, shared));
    EXPECT_OK(m_freem(mb, copy));
    EXPECT_OK(m_freem(mb, m));
}

TEST(every_failure_inside_a_call_leaves_what_its_contract_says) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m, *n;
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 192, 20);
        INJECT(w, m = m_prepend_fast(mb, m, 30, SM_M_NOWAIT), m == NULL);
        EXPECT_OK(m_freem(mb, m));
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 500, 20);
        m_set_len(m, 3);
        INJECT(w, m = m_pullup(mb, m, 20), m == NULL);
        EXPECT_OK(m_freem(mb, m));
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 10, 20);
        INJECT(w, m = m_copyup(mb, m, 20, 8), m == NULL);
        EXPECT_OK(m_freem(mb, m));
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 2048, 2048);
        INJECT(w, n = m_pulldown(mb, m, 2000, 300, NULL), n == NULL);
        EXPECT_OK(n != NULL ? m_freem(mb, m) : SM_OK);
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 10, 220, 20);
        INJECT(w, n = m_split(mb, m, 15, SM_M_NOWAIT), n == NULL);
        expect_bytes(mb, m, 0, n != NULL ? 15 : 250);
        EXPECT_OK(m_freem(mb, n));
        EXPECT_OK(m_freem(mb, m));
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 100, 2000, 300);
        INJECT(w, m = m_fragment(mb, m, SM_M_NOWAIT, 1000), m == NULL);
        EXPECT_OK(m_freem(mb, m));
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 100, 2000, 300, 3000, 2000);
        INJECT(w, n = m_defrag(mb, m, SM_M_NOWAIT), n == NULL);
        expect_bytes(mb, n ? n : m, 0, 7400);
        EXPECT_OK(m_freem(mb, n ? n : m));
    }
    SWEEP(mb, w) {
        struct mbuf *shared = CHAIN(mb, M_PKTHDR, 100, 800, 1100, 1200, 800); /* nothing fits into what is shared */
        m = m_copypacket(mb, shared, SM_M_NOWAIT);
        INJECT(w, n = m_collapse(mb, m, SM_M_NOWAIT, 3), n == NULL);
        EXPECT_TRUE(n == NULL || mbufs_of(mb, n) == 3);
        expect_bytes(mb, m, 0, 4000);
        EXPECT_OK(m_freem(mb, shared));
        EXPECT_OK(m_freem(mb, m));
    }
    SWEEP(mb, w) {
        m = CHAIN(mb, M_PKTHDR, 500, 800, 9000);
        n = m_copypacket(mb, m, SM_M_NOWAIT);
        INJECT(w, m = m_unshare(mb, m, SM_M_NOWAIT), m == NULL);
        expect_bytes(mb, n, 0, 10300);
        EXPECT_OK(m_freem(mb, m));
        EXPECT_OK(m_freem(mb, n));
    }
}
