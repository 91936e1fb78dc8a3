/* test_mbuf_data.c - bytes read, written, appended and found; ranges that are not there; every failure inside; m_sanity
 * and m_print. Owns nothing beyond its arena.
 */
#include "mbuf_fixture.h"

TEST(copydata_reads_any_range_and_refuses_what_is_not_there) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 0, 200, 1500, 40);
    uint8_t out[1751];
    for (uint32_t off = 0; off <= 1750; off += 7) {
        for (uint32_t len = 0; len <= 1750 - off; len += 301) {
            memset(out, 0xee, sizeof out);
            EXPECT_OK(m_copydata(mb, m, off, len, out));
            for (uint32_t i = 0; i < len; i++) {
                EXPECT_EQ(out[i], pattern(off + i));
            }
            EXPECT_EQ(out[len], 0xee);
        }
    }
    static const uint32_t bad[][2] = {{0, 1751}, {1750, 1}, {1751, 0}, {UINT32_MAX, UINT32_MAX}, {1, UINT32_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_ERR(m_copydata(mb, m, bad[i][0], bad[i][1], out), SM_INVALID);
    }
    EXPECT_ERR(m_copydata(mb, NULL, 0, 0, out), SM_INVALID);
    EXPECT_OK(m_freem(mb, m));
}

TEST(copyback_overwrites_extends_and_fills_gaps_with_zeros) {
    struct sm_mb *mb = mbufs(h);
    for (uint32_t off = 0; off < 700; off += 13) {
        for (uint32_t len = 1; len < 6000; len += 977) {
            struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 200, 90);
            uint8_t in[6000], out[6700], want[6700] = {0};
            uint32_t end = off + len > 300 ? off + len : 300;
            memset(in, 0xcd, len);
            for (uint32_t i = 0; i < 300; i++) {
                want[i] = pattern(i);
            }
            memset(want + off, 0xcd, len);
            EXPECT_OK(m_copyback(mb, m, off, len, in));
            EXPECT_OK(m_sanity(mb, m, false));
            EXPECT_EQ(m->m_pkthdr.ph_len, end);
            EXPECT_OK(m_copydata(mb, m, 0, end, out));
            EXPECT_EQ(memcmp(out, want, end), 0);
            EXPECT_OK(m_freem(mb, m));
        }
    }
}

TEST(copyback_does_not_write_what_is_shared) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 1000), *n = m_copypacket(mb, m, SM_M_NOWAIT);
    EXPECT_ERR(m_copyback(mb, n, 5, 6, "abcdef"), SM_BUSY);
    EXPECT_OK(m_copyback(mb, n, 5, 5, "abcde")); /* its own bytes */
    EXPECT_ERR(m_copyback(mb, n, UINT32_MAX, 1, "a"), SM_INVALID);
    EXPECT_ERR(m_copyback(mb, n, UINT32_MAX - 6, 6, "abcdef"), SM_INVALID); /* more than a chain can be made to have */
    EXPECT_OK(m_copyback(mb, n, 1010, 3, "xyz")); /* behind them: a new mbuf */
    EXPECT_EQ(mbufs_of(mb, n), 3);
    expect_bytes(mb, m, 0, 1010);
    EXPECT_OK(m_freem(mb, n));
    EXPECT_OK(m_freem(mb, m));
}

TEST(append_uses_the_room_at_the_end_then_new_mbufs) {
    struct sm_mb *mb = mbufs(h);
    static uint8_t bytes[20000];
    for (uint32_t len = 0; len <= 20000; len += 1777) {
        struct mbuf *m = CHAIN(mb, M_PKTHDR, 100, 50);
        for (uint32_t i = 0; i < len; i++) {
            bytes[i] = pattern(150 + i);
        }
        EXPECT_OK(m_append(mb, m, len, bytes));
        expect_bytes(mb, m, 0, 150 + len);
        EXPECT_EQ(mbufs_of(mb, m) == 2, len == 0);
        EXPECT_OK(m_freem(mb, m));
    }
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 100);
    EXPECT_OK(m_append(mb, m, 92, bytes));
    EXPECT_EQ(mbufs_of(mb, m), 1);
    EXPECT_ERR(m_append(mb, m, UINT32_MAX, bytes), SM_INVALID); /* never read */
    m->m_pkthdr.ph_len = UINT32_MAX;
    EXPECT_ERR(m_append(mb, m, 1, bytes), SM_INVALID);
    EXPECT_OK(m_freem(mb, m));
}

struct seen {
    uint32_t s_calls, s_bytes, s_stop_at;
    uint64_t s_from;
};

static int look(void *arg, void *data, uint32_t len) {
    struct seen *s = arg;
    for (uint32_t i = 0; i < len; i++) {
        EXPECT_EQ(((uint8_t *)data)[i], pattern(s->s_from + s->s_bytes + i));
    }
    s->s_bytes += len;
    return ++s->s_calls == s->s_stop_at ? -7 : 0;
}

TEST(apply_shows_each_piece_once_and_stops_when_told) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 0, 200, 1500, 40);
    struct seen s = {.s_from = 5};
    int rc = 99;
    EXPECT_OK(m_apply(mb, m, 5, 1700, look, &s, &rc));
    EXPECT_EQ(rc, 0);
    EXPECT_EQ(s.s_calls, 3);
    EXPECT_EQ(s.s_bytes, 1700);
    s = (struct seen){.s_from = 0, .s_stop_at = 2};
    EXPECT_OK(m_apply(mb, m, 0, 1750, look, &s, &rc));
    EXPECT_EQ(rc, -7);
    EXPECT_EQ(s.s_calls, 2);
    EXPECT_ERR(m_apply(mb, m, 1000, 751, look, &s, &rc), SM_INVALID);
    EXPECT_EQ(s.s_calls, 2);
    EXPECT_OK(m_apply(mb, m, 1750, 0, look, &s, NULL));
    EXPECT_EQ(s.s_calls, 2);
    EXPECT_OK(m_freem(mb, m));
}

TEST(getptr_finds_every_byte_and_the_end) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 10, 0, 200, 1500, 40);
    uint32_t off = 0;
    for (uint32_t i = 0; i < 1750; i++) {
        struct mbuf *n = m_getptr(mb, m, i, &off);
        EXPECT_TRUE(n != NULL && off < m_len(n));
        EXPECT_EQ(mtod(mb, n)[off], pattern(i));
    }
    struct mbuf *end = m_getptr(mb, m, 1750, &off);
    EXPECT_TRUE(end != NULL && end->m_next == 0);
    EXPECT_EQ(off, 40);
    EXPECT_TRUE(m_getptr(mb, m, 1751, &off) == NULL);
    EXPECT_EQ(mb->mb_err, SM_INVALID);
    EXPECT_TRUE(m_getptr(mb, m, UINT32_MAX, &off) == NULL);
    m->m_pkthdr.ph_len = 3;
    EXPECT_EQ(m_fixhdr(mb, m), 1750);
    EXPECT_EQ(m->m_pkthdr.ph_len, 1750);
    EXPECT_OK(m_freem(mb, m));
}

TEST(every_failure_inside_a_growing_call_leaves_the_chain_as_before) {
    struct sm_mb *mb = mbufs(h);
    static uint8_t bytes[9000];
    for (int back = 0; back < 2; back++) {
        SWEEP(mb, w) {
            enum sm_err err;
            struct mbuf *m = CHAIN(mb, M_PKTHDR, 100, 50);
            INJECT(w, err = back ? m_copyback(mb, m, 149, 9000, bytes) : m_append(mb, m, 9000, bytes), err != SM_OK);
            if (err != SM_OK) {
                expect_bytes(mb, m, 0, 150);
                EXPECT_EQ(mbufs_of(mb, m), 2);
            }
            EXPECT_OK(m_sanity(mb, m, false));
            EXPECT_OK(m_freem(mb, m));
        }
    }
}

TEST(align_puts_an_empty_mbuf_at_the_end_of_its_room) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = m_gethdr(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_OK(m_align(mb, m, 20));
    EXPECT_EQ(m_leadingspace(mb, m), (MHLEN - 20) & ~7u);
    EXPECT_OK(m_align(mb, m, 0));
    EXPECT_OK(m_align(mb, m, MHLEN));
    EXPECT_EQ(m_leadingspace(mb, m), 0);
    EXPECT_EQ(m_trailingspace(mb, m), MHLEN);
    EXPECT_ERR(m_align(mb, m, MHLEN + 1), SM_INVALID);
    EXPECT_ERR(m_align(mb, m, UINT32_MAX), SM_INVALID);
    fill(mb, m, 1, 0);
    EXPECT_ERR(m_align(mb, m, 1), SM_INVALID); /* it has a byte */
    EXPECT_OK(m_free(mb, m, NULL));
    EXPECT_ERR(m_align(mb, m, 1), SM_DOUBLE_FREE);
    EXPECT_ERR(m_align(mb, NULL, 1), SM_INVALID);
}

TEST(a_print_is_freebsds_and_counts_like_snprintf) {
    struct sm_mb *mb = mbufs(h);
    struct mbuf *m = CHAIN(mb, M_PKTHDR, 3, 300), *n = m_nextm(mb, m);
    char text[2000], want[2000], small[40];
    m->m_flags |= M_EOR;
    snprintf(want, sizeof want,
             "mbuf: %#llx len: 3, next: %#llx, 6<eor,pkthdr>, %02x-%02x-%02x\n"
             "mbuf: %#llx len: 300, next: 0, 1<ext>, %02x-%02x-%02x\n",
             (unsigned long long)m_off(mb, m), (unsigned long long)m_off(mb, n), pattern(0), pattern(1), pattern(2),
             (unsigned long long)m_off(mb, n), pattern(3), pattern(4), pattern(5));
    EXPECT_EQ(m_print(mb, m, 3, NULL, 0), strlen(want));
    EXPECT_EQ(m_print(mb, m, 3, text, sizeof text), strlen(want));
    EXPECT_STR_EQ(text, want);
    memset(small, 'x', sizeof small);
    EXPECT_EQ(m_print(mb, m, 3, small, 20), strlen(want));
    EXPECT_EQ(strlen(small), 19);
    EXPECT_EQ(strncmp(small, want, 19), 0);
    EXPECT_EQ(small[20], 'x');
    m->m_pkthdr.ph_len = 310;
    m_print(mb, m, 0, text, sizeof text);
    EXPECT_TRUE(strstr(text, "7 bytes unaccounted for.\n") != NULL);
    m->m_pkthdr.ph_len = 303;
    EXPECT_EQ(m_print(mb, NULL, 0, text, sizeof text), strlen("mbuf: (null)\n"));
    EXPECT_STR_EQ(text, "mbuf: (null)\n");
    n->m_next = m_off(mb, m);
    m_print(mb, m, -1, text, sizeof text);
    EXPECT_TRUE(strstr(text, "the chain breaks after ") != NULL);
    n->m_next = 0;
    EXPECT_OK(m_freem(mb, m));
}
