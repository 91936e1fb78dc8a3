/* test_mbuf_tag.c - tags of packet headers: found, linked, freed, copied; wrong and damaged ones named; every failure
 * inside. Owns nothing beyond its arena.
 */
#include "mbuf_fixture.h"

static struct m_tag *tag(struct sm_mb *mb, struct mbuf *m, uint32_t cookie, uint32_t id) {
    struct m_tag *t = m_tag_alloc(mb, cookie, id, 8, SM_M_NOWAIT);
    EXPECT_TRUE(t != NULL);
    memset(t->t_data, (int)id & 0xff, 8);
    EXPECT_OK(m_tag_prepend(mb, m, t));
    return t;
}

static uint64_t tags(struct sm_mb *mb) {
    return in_use(mb).u_used[SM_MBZ_TAG];
}

TEST(a_tag_that_cannot_be_is_refused) {
    struct sm_mb *mb = mbufs(h);
    EXPECT_TRUE(m_tag_alloc(mb, 1, 1, MTAG_MAX + 1, SM_M_NOWAIT) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_tag_alloc(mb, 1, 1, UINT32_MAX, SM_M_NOWAIT) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_tag_alloc(mb, 1, 0x10000, 1, SM_M_NOWAIT) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_TRUE(m_tag_alloc(mb, MTAG_ABI_COMPAT, PACKET_TAG_MACLABEL, 8, SM_M_NOWAIT) == NULL);
    struct m_tag *t = m_tag_alloc(mb, UINT32_MAX, 0xf7ff | MTAG_PERSISTENT, MTAG_MAX, SM_M_NOWAIT);
    EXPECT_TRUE(t != NULL);
    EXPECT_EQ(t->t_len, MTAG_MAX);
    EXPECT_EQ(t->t_id, 0xf7ff);
    EXPECT_EQ(t->t_persistent, 1);
    EXPECT_EQ(t->t_data[MTAG_MAX - 1], 0);
    EXPECT_OK(m_tag_free(mb, t));
    EXPECT_OK(m_tag_free(mb, NULL));
}

TEST(tags_are_found_in_order_and_unlinked_from_any_place) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10), *other = CHAIN(mb, M_PKTHDR, 10), *plain = CHAIN(mb, 0, 10);
    struct m_tag *t[4];
    for (uint32_t i = 0; i < 4; i++) {
        t[i] = tag(mb, m, i % 2, 5); /* order: t3 t2 t1 t0 */
    }
    EXPECT_TRUE(m_tag_first(mb, m) == t[3] && m_tag_next(mb, t[3]) == t[2]);
    EXPECT_TRUE(m_tag_find(mb, m, 5, NULL) == t[2]); /* cookie MTAG_ABI_COMPAT */
    EXPECT_TRUE(m_tag_find(mb, m, 5, t[2]) == t[0]);
    EXPECT_TRUE(m_tag_find(mb, m, 5, t[0]) == NULL && mb->mb_err == SM_NOT_FOUND);
    EXPECT_TRUE(m_tag_locate(mb, m, 1, 5, t[3]) == t[1]);
    EXPECT_TRUE(m_tag_locate(mb, m, 9, 5, NULL) == NULL && mb->mb_err == SM_NOT_FOUND);
    EXPECT_ERR(m_tag_unlink(mb, other, t[1]), SM_NOT_FOUND);
    EXPECT_ERR(m_tag_prepend(mb, other, t[1]), SM_NOT_OWNER); /* it belongs to a header */
    EXPECT_ERR(m_tag_free(mb, t[1]), SM_NOT_OWNER);
    EXPECT_ERR(m_tag_prepend(mb, plain, t[1]), SM_INVALID);
    EXPECT_TRUE(m_tag_first(mb, plain) == NULL && mb->mb_err == SM_INVALID);
    EXPECT_OK(m_tag_unlink(mb, m, t[1]));
    EXPECT_ERR(m_tag_unlink(mb, m, t[1]), SM_NOT_FOUND);
    EXPECT_TRUE(m_tag_next(mb, t[2]) == t[0]);
    EXPECT_OK(m_tag_prepend(mb, other, t[1]));
    EXPECT_OK(m_tag_delete(mb, m, t[3]));
    EXPECT_OK(m_tag_delete(mb, m, t[0]));
    EXPECT_ERR(m_tag_free(mb, t[0]), SM_DOUBLE_FREE);
    EXPECT_ERR(m_tag_prepend(mb, m, t[0]), SM_DOUBLE_FREE);
    EXPECT_TRUE(m_tag_first(mb, m) == t[2] && m_tag_next(mb, t[2]) == NULL);
    EXPECT_EQ(tags(mb), 2);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    EXPECT_OK(m_freem(mb, m)); /* tags go with their header */
    EXPECT_OK(m_freem(mb, other));
    EXPECT_OK(m_freem(mb, plain));
    EXPECT_EQ(tags(mb), 0);
}

TEST(chains_of_tags_are_deleted_from_one_on_or_but_for_the_persistent) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10);
    struct m_tag *t[6];
    for (uint32_t i = 0; i < 6; i++) {
        t[i] = tag(mb, m, 3, i | (i % 2 ? MTAG_PERSISTENT : 0));
    }
    EXPECT_OK(m_tag_delete_chain(mb, m, t[1])); /* t1 and t0 */
    EXPECT_EQ(tags(mb), 4);
    EXPECT_OK(m_tag_delete_nonpersistent(mb, m));
    EXPECT_TRUE(m_tag_first(mb, m) == t[5] && m_tag_next(mb, t[5]) == t[3] && m_tag_next(mb, t[3]) == NULL);
    EXPECT_OK(m_tag_delete_chain(mb, m, NULL));
    EXPECT_EQ(tags(mb), 0);
    EXPECT_OK(m_tag_delete_chain(mb, m, NULL));
    EXPECT_OK(m_freem(mb, m));
    EXPECT_ERR(m_tag_delete_chain(mb, m, NULL), SM_DOUBLE_FREE);
}

TEST(a_copied_chain_has_the_order_and_replaces_what_was_there) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10), *n = CHAIN(mb, M_PKTHDR, 10);
    tag(mb, n, 1, 99);
    for (uint32_t i = 0; i < 5; i++) {
        tag(mb, m, 2, i | (i == 3 ? MTAG_PERSISTENT : 0));
    }
    EXPECT_OK(m_tag_copy_chain(mb, n, m, SM_M_NOWAIT));
    EXPECT_EQ(tags(mb), 10);
    struct m_tag *a = m_tag_first(mb, m), *b = m_tag_first(mb, n);
    for (int i = 0; i < 5; i++, a = m_tag_next(mb, a), b = m_tag_next(mb, b)) {
        EXPECT_TRUE(a != b && a->t_id == b->t_id && a->t_cookie == b->t_cookie && a->t_len == b->t_len);
        EXPECT_EQ(a->t_persistent, b->t_persistent);
        EXPECT_EQ(memcmp(a->t_data, b->t_data, 8), 0);
    }
    EXPECT_TRUE(a == NULL && b == NULL);
    SWEEP(mb, w) {
        enum sm_err err;
        struct mbuf *o = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
        INJECT(w, err = m_tag_copy_chain(mb, o, m, SM_M_NOWAIT), err != SM_OK);
        EXPECT_EQ(o->m_pkthdr.ph_tags != 0, err == SM_OK); /* all or none */
        EXPECT_OK(m_freem(mb, o));
    }
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_freem(mb, n));
}

TEST(a_damaged_tag_link_is_told_and_ends_the_walk) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10), *n = CHAIN(mb, M_PKTHDR, 10);
    struct m_tag *t1 = tag(mb, m, 1, 1), *t2 = tag(mb, m, 1, 2);
    static const sm_off_t links[] = {8, UINT64_MAX, UINT64_MAX - 255};
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        t2->t_next = links[i];
        EXPECT_TRUE(m_tag_locate(mb, m, 1, 1, NULL) == NULL);
        EXPECT_EQ(mb->mb_err, SM_CORRUPT);
        EXPECT_ERR(m_tag_unlink(mb, m, t1), SM_CORRUPT);
    }
    t2->t_next = m_off(mb, t2); /* a cycle */
    EXPECT_TRUE(m_tag_locate(mb, m, 1, 1, NULL) == NULL && mb->mb_err == SM_CORRUPT);
    EXPECT_ERR(m_tag_unlink(mb, m, t1), SM_CORRUPT);
    EXPECT_ERR(m_tag_copy_chain(mb, n, m, SM_M_NOWAIT), SM_CORRUPT);
    EXPECT_EQ(tags(mb), 2);
    t2->t_next = m_off(mb, t2) + 8;
    EXPECT_ERR(m_tag_copy_chain(mb, n, m, SM_M_NOWAIT), SM_CORRUPT);
    EXPECT_EQ(tags(mb), 2);
    EXPECT_TRUE(m_dup(mb, m, SM_M_NOWAIT) == NULL && mb->mb_err == SM_CORRUPT);
    t2->t_next = m_off(mb, t1);
    EXPECT_ERR(m_tag_copy_chain(mb, m, m, SM_M_NOWAIT), SM_INVALID);
    EXPECT_EQ(tags(mb), 2);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_freem(mb, n));
    EXPECT_EQ(tags(mb), 0);
}

TEST(a_copy_of_a_tag_has_its_payload_and_its_persistence_and_belongs_to_no_packet) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10);
    struct m_tag *t = m_tag_alloc(mb, 77, 5 | MTAG_PERSISTENT, MTAG_MAX, SM_M_NOWAIT);
    EXPECT_TRUE(t != NULL);
    memset(t->t_data, 0xa5, MTAG_MAX);
    EXPECT_OK(m_tag_prepend(mb, m, t));
    struct m_tag *copy = m_tag_copy(mb, t, SM_M_NOWAIT);
    EXPECT_TRUE(copy != NULL && copy != t);
    EXPECT_EQ(copy->t_cookie, 77);
    EXPECT_EQ(copy->t_id, 5);
    EXPECT_EQ(copy->t_persistent, 1);
    EXPECT_EQ(copy->t_len, MTAG_MAX);
    EXPECT_EQ(memcmp(copy->t_data, t->t_data, MTAG_MAX), 0);
    EXPECT_TRUE(m_tag_next(mb, t) == NULL);
    EXPECT_OK(m_freem(mb, m));
    EXPECT_OK(m_tag_free(mb, copy)); /* the packet's end was not its end */
}
