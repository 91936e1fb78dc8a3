/* test_mbuf_copy.c - copies: which share their storage, who may write, what of a header travels; every failure inside.
 * Owns nothing beyond its arena.
 */
#include "mbuf_fixture.h"

static struct m_tag *tag(struct sm_mb *mb, struct mbuf *m, uint32_t id) {
    struct m_tag *t = m_tag_alloc(mb, 77, id, 16, SM_M_NOWAIT);
    EXPECT_TRUE(t != NULL);
    memset(t->t_data, (int)id, 16);
    EXPECT_OK(m_tag_prepend(mb, m, t));
    return t;
}

static uint32_t tags_of(struct sm_mb *mb, const struct mbuf *m) {
    uint32_t n = 0;
    for (struct m_tag *t = m_tag_first(mb, m); t != NULL; t = m_tag_next(mb, t)) {
        n++;
    }
    return n;
}

TEST(a_copy_of_any_range_shares_clusters_and_copies_the_rest) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 100, 0, 600, 30, 4000, 0);
    for (uint32_t off = 0; off < 4730; off += 97) {
        for (uint32_t len = 1; len <= 4730 - off; len += 331) {
            struct mbuf *n = m_copym(mb, m, off, len, SM_M_NOWAIT);
            EXPECT_TRUE(n != NULL);
            expect_bytes(mb, n, off, len);
            EXPECT_EQ(n->m_flags & M_PKTHDR, off == 0 ? M_PKTHDR : 0);
            EXPECT_OK(m_freem(mb, n));
        }
        struct mbuf *rest = m_copym(mb, m, off, M_COPYALL, SM_M_NOWAIT);
        expect_bytes(mb, rest, off, 4730 - off);
        EXPECT_OK(m_freem(mb, rest));
    }
    struct mbuf *n = m_copym(mb, m, 0, M_COPYALL, SM_M_NOWAIT), *big = m_nextm(mb, m_nextm(mb, m));
    EXPECT_EQ(m_refcnt(mb, big), 2);
    EXPECT_FALSE(m_writable(mb, big) || m_writable(mb, m_nextm(mb, m_nextm(mb, n))));
    EXPECT_EQ(m_leadingspace(mb, big) + m_trailingspace(mb, big), 0);
    EXPECT_TRUE(m_writable(mb, n)); /* its bytes were copied */
    EXPECT_OK(m_freem(mb, m));
    expect_bytes(mb, n, 0, 4730);
    EXPECT_TRUE(m_writable(mb, m_nextm(mb, m_nextm(mb, n))));
    EXPECT_OK(m_freem(mb, n));
}

TEST(a_copy_of_what_is_not_there_is_refused) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 20), *empty = CHAIN(mb, M_PKTHDR, 0);
    static const uint32_t bad[][2] = {{0, 0},          {0, 31},         {30, 1},         {30, M_COPYALL},
                                      {31, M_COPYALL}, {UINT32_MAX, 1}, {1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX},
                                      {29, 2}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_TRUE(m_copym(mb, m, bad[i][0], bad[i][1], SM_M_NOWAIT) == NULL);
        EXPECT_EQ(mb->mb_err, SM_INVALID);
    }
    struct mbuf *n = m_copym(mb, empty, 0, M_COPYALL, SM_M_NOWAIT);
    EXPECT_TRUE(n != NULL && n->m_flags & M_PKTHDR);
    EXPECT_TRUE(m_copypacket(mb, m_nextm(mb, m), SM_M_NOWAIT) == NULL); /* no packet */
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    EXPECT_TRUE(m_dup(mb, NULL, SM_M_NOWAIT) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    EXPECT_OK(m_freem(mb, n));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_freem(mb, empty));
}

TEST(the_last_holder_of_a_packets_cluster_takes_it_to_the_packet_zone) {
    struct sm_mb *mb = mbufs(h);
    for (int original_first = 0; original_first < 2; original_first++) {
        struct mbuf *m = m_getcl(mb, SM_M_NOWAIT, MT_DATA, M_PKTHDR);
        EXPECT_EQ(m->m_ext.me_type, EXT_PACKET);
        fill(mb, m, 1000, 0);
        m->m_pkthdr.ph_len = 1000;
        struct mbuf *n = m_copypacket(mb, m, SM_M_NOWAIT);
        EXPECT_EQ(n->m_win.w_data, m->m_win.w_data);
        EXPECT_OK(m_free(mb, original_first ? m : n, NULL));
        expect_bytes(mb, original_first ? n : m, 0, 1000);
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
        EXPECT_OK(m_free(mb, original_first ? n : m, NULL));
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    }
    struct in_use u = in_use(mb);
    EXPECT_EQ(u.u_used[SM_MBZ_MBUF], 0);
}

TEST(a_duplicate_shares_nothing_and_may_be_written) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 200, 2048, 224, 9000, 16384);
    m->m_flags |= M_RDONLY | M_BCAST;
    tag(mb, m, 1);
    struct mbuf *n = m_dup(mb, m, SM_M_NOWAIT);
    EXPECT_TRUE(n != NULL);
    expect_bytes(mb, n, 0, 27856);
    EXPECT_TRUE(n->m_flags & M_BCAST);
    EXPECT_EQ(n->m_pkthdr.ph_len, 27856);
    EXPECT_EQ(tags_of(mb, n), 1);
    for (struct mbuf *o = n; o != NULL; o = m_nextm(mb, o)) {
        EXPECT_TRUE(m_writable(mb, o));
        memset(mtod(mb, o), 0, m_len(o));
    }
    expect_bytes(mb, m, 0, 27856);
    EXPECT_OK(m_freem(mb, n));
    EXPECT_OK(m_freem(mb, m));
    m = CHAIN(mb, 0, 100, 200); /* a plain chain, too */
    n = m_dup(mb, m, SM_M_NOWAIT);
    expect_bytes(mb, n, 0, 300);
    EXPECT_FALSE(n->m_flags & M_PKTHDR);
    EXPECT_OK(m_freem(mb, n));
    EXPECT_OK(m_freem(mb, m));
}

TEST(a_header_moves_with_its_tags_and_leaves_none_behind) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *from = CHAIN(mb, M_PKTHDR, 100), *to = m_get(mb, SM_M_NOWAIT, MT_DATA);
    struct mbuf *tagged = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    struct m_tag *t1 = tag(mb, from, 1), *t2 = tag(mb, from, 2);
    from->m_pkthdr.ph_rcvif = 42;
    tag(mb, tagged, 3);
    EXPECT_OK(m_move_pkthdr(mb, to, from));
    EXPECT_FALSE(from->m_flags & M_PKTHDR);
    EXPECT_EQ(to->m_pkthdr.ph_rcvif, 42);
    EXPECT_EQ(to->m_pkthdr.ph_len, 100);
    EXPECT_TRUE(m_tag_first(mb, to) == t2 && m_tag_next(mb, t2) == t1 && m_tag_next(mb, t1) == NULL);
    EXPECT_TRUE(m_tag_first(mb, from) == NULL);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    for (uint32_t i = 0; i < 100; i++) {
        EXPECT_EQ(mtod(mb, from)[i], pattern(i)); /* its bytes stay where they are */
    }
    EXPECT_OK(m_move_pkthdr(mb, tagged, to)); /* the tags of the receiver are freed */
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_TAG], 2);
    EXPECT_ERR(m_move_pkthdr(mb, to, from), SM_INVALID); /* no header */
    EXPECT_ERR(m_move_pkthdr(mb, tagged, tagged), SM_INVALID);
    EXPECT_ERR(m_move_pkthdr(mb, from, tagged), SM_INVALID); /* bytes where the header would be */
    EXPECT_ERR(m_move_pkthdr(mb, NULL, tagged), SM_INVALID);
    EXPECT_ERR(m_move_pkthdr(mb, to, NULL), SM_INVALID);
    EXPECT_OK(m_dup_pkthdr(mb, to, tagged, SM_M_NOWAIT));
    EXPECT_EQ(tags_of(mb, to), 2);
    EXPECT_EQ(tags_of(mb, tagged), 2);
    EXPECT_EQ(in_use(mb).u_used[SM_MBZ_TAG], 4);
    EXPECT_OK(m_freem(mb, to));
    EXPECT_ERR(m_move_pkthdr(mb, to, tagged), SM_DOUBLE_FREE);
    EXPECT_ERR(m_move_pkthdr(mb, from, to), SM_DOUBLE_FREE);
    EXPECT_OK(m_freem(mb, tagged));
    EXPECT_OK(m_freem(mb, from));
}

TEST(a_moved_header_does_not_make_its_new_mbuf_read_only) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 1000), *n = m_copypacket(mb, m, SM_M_NOWAIT);
    m->m_flags |= M_RDONLY;
    EXPECT_FALSE(m_writable(mb, m));
    m = m_prepend(mb, m, 20, SM_M_NOWAIT);
    EXPECT_TRUE(m_writable(mb, m) && m_nextm(mb, m)->m_flags & M_RDONLY);
    EXPECT_OK(m_freem(mb, n));
    EXPECT_FALSE(m_writable(mb, m_nextm(mb, m)));
    EXPECT_OK(m_freem(mb, m));
}

static void sweep_copies(struct sm_mb *mb) {
    struct mbuf *n, *m = CHAIN(mb, M_PKTHDR, 100, 500, 200, 3000);
    tag(mb, m, 1);
    tag(mb, m, 2);
    SWEEP(mb, w) {
        INJECT(w, n = m_copym(mb, m, 0, 3700, SM_M_NOWAIT), n == NULL);
        EXPECT_OK(m_freem(mb, n));
    }
    SWEEP(mb, w) {
        INJECT(w, n = m_copypacket(mb, m, SM_M_NOWAIT), n == NULL);
        EXPECT_OK(m_freem(mb, n));
    }
    SWEEP(mb, w) {
        INJECT(w, n = m_dup(mb, m, SM_M_NOWAIT), n == NULL);
        EXPECT_OK(m_freem(mb, n));
    }
    SWEEP(mb, w) {
        enum sm_err err;
        n = m_get(mb, SM_M_NOWAIT, MT_DATA);
        INJECT(w, err = m_dup_pkthdr(mb, n, m, SM_M_NOWAIT), err != SM_OK);
        EXPECT_EQ(tags_of(mb, n), err == SM_OK ? tags_of(mb, m) : 0);
        EXPECT_OK(m_freem(mb, n));
    }
    expect_bytes(mb, m, 0, 3800);
    EXPECT_OK(m_freem(mb, m));
}

TEST(every_failure_inside_a_copy_leaves_no_copy) {
    sweep_copies(mbufs(h));
}

TEST(every_failure_inside_a_copy_with_labels_leaves_no_copy_and_no_label) {
    struct sm_mb *mb = mbufs(h);
    uint32_t slot;
    EXPECT_OK(sm_mac_test_register(mb, &slot));
    EXPECT_OK(sm_mac_set_labelling(mb, MAC_LABELS_ALL));
    sweep_copies(mb);
    EXPECT_EQ(mb->mb_shm->mb_labels_made, mb->mb_shm->mb_labels_ended);
    EXPECT_EQ(mb->mb_shm->mb_mac_test.mt_violations, 0);
}
