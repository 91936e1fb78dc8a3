/* sockbuf_fixture.h - what the sockbuf tests share: mbufs of an arena, chains of known bytes, the end of a test. */
#ifndef TESTS_CORE_SOCKBUF_FIXTURE_H
#define TESTS_CORE_SOCKBUF_FIXTURE_H

#include "harness.h"

static inline struct sm_mb *mbufs_of(struct sm_arena *a) {
    struct sm_mb *mb = NULL;
    EXPECT_OK(sm_mb_open(a, NULL, &mb));
    return mb;
}

static inline struct sm_sockbuf *make_sockbuf(struct sm_mb *mb, const char *name, uint64_t hiwat, uint64_t mbmax) {
    struct sm_sockbuf *sb = NULL;
    EXPECT_OK(sm_sockbuf_create(mb, name, hiwat, mbmax, &sb));
    return sb;
}

static inline struct sm_sockbuf *open_sockbuf(struct sm_mb *mb, const char *name) {
    struct sm_sockbuf *sb = NULL;
    EXPECT_OK(sm_sockbuf_open(mb, name, &sb));
    return sb;
}

/* Byte number `at` of the one stream that all tests send: no two places look alike for long. */
static inline uint8_t stream_byte(uint64_t at) {
    uint64_t z = (at + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    return (uint8_t)(z >> 56);
}

static inline void stream_fill(uint8_t *to, uint64_t at, uint64_t len) {
    for (uint64_t i = 0; i < len; i++) {
        to[i] = stream_byte(at + i);
    }
}

static inline void expect_stream(const uint8_t *bytes, uint64_t at, uint64_t len) {
    for (uint64_t i = 0; i < len; i++) {
        EXPECT(bytes[i] == stream_byte(at + i), "byte %llu of %llu differs from the stream's at %llu",
               (unsigned long long)i, (unsigned long long)len, (unsigned long long)(at + i));
    }
}

/* One mbuf of this type with room for len bytes, and the bytes in it. */
static inline struct mbuf *mbuf_with(struct sm_mb *mb, const void *bytes, uint32_t len, int type, uint32_t flags) {
    struct mbuf *m = m_get2(mb, len, SM_M_NOWAIT, type, flags);
    EXPECT(m != NULL, "m_get2 of %u: %s", len, sm_err_name(mb->mb_err));
    memcpy(mtod(mb, m), bytes, len);
    m_set_len(m, len);
    return m;
}

/* len bytes as a chain of mbufs with at most `each` bytes, at least one mbuf. */
static inline struct mbuf *chain_with(struct sm_mb *mb, const uint8_t *bytes, uint64_t len, uint32_t each) {
    struct mbuf *head = NULL, *tail = NULL;
    do {
        uint32_t n = len < each ? (uint32_t)len : each;
        struct mbuf *m = mbuf_with(mb, bytes, n, MT_DATA, 0);
        if (tail == NULL) {
            head = m;
        } else {
            tail->m_next = m_off(mb, m);
        }
        tail = m;
        bytes += n;
        len -= n;
    } while (len > 0);
    return head;
}

static inline struct mbuf *stream_chain(struct sm_mb *mb, uint64_t at, uint64_t len, uint32_t each) {
    static _Thread_local uint8_t bytes[65536];
    EXPECT_LE(len, sizeof bytes);
    stream_fill(bytes, at, len);
    return chain_with(mb, bytes, len, each);
}

/* The bytes of a private chain; how many there are. */
static inline uint64_t chain_bytes(struct sm_mb *mb, const struct mbuf *m, uint8_t *to, uint64_t room) {
    uint64_t len = 0;
    for (; m != NULL; m = m_nextm(mb, m)) {
        EXPECT_LE(len + m_len(m), room);
        memcpy(to + len, mtod(mb, m), m_len(m));
        len += m_len(m);
    }
    return len;
}

static inline uint64_t chain_length(struct sm_mb *mb, const struct mbuf *m) {
    uint64_t n = 0;
    for (; m != NULL; m = m_nextm(mb, m)) {
        n++;
    }
    return n;
}

static inline void expect_whole(struct sm_sockbuf *sb) {
    EXPECT_OK(sbcheck(sb));
    EXPECT_OK(sblastrecordchk(sb));
    EXPECT_OK(sblastmbufchk(sb));
}

/* Clusters that wait in the packet zone's caches with their mbufs go back: then nothing at all may be out. */
static inline void drain(struct sm_mb *mb) {
    uint64_t items = 0, slabs = 0;
    EXPECT_OK(sm_zone_reclaim(mb->mb_zone[SM_MBZ_PACKET], SM_RECLAIM_DRAIN_CPU, &items, &slabs));
}

static inline void finish_sockbuf(struct sm_sockbuf *sb) {
    struct sm_mb *mb = sb->sb_mbufs;
    expect_whole(sb);
    EXPECT_OK(sbflush(sb));
    EXPECT_EQ(sbused(sb), 0);
    EXPECT_OK(sm_sockbuf_destroy(sb));
    sm_sockbuf_close(sb);
    drain(mb);
}

#endif
