/* test_sockbuf.c - sockbufs: names and limits, appending in all its forms, taking away, reading, hostile arguments.
 * One process; two in test_sockbuf_model.c, deaths in test_sockbuf_kill.c.
 */
#include <stdlib.h>

#include "core/sockbuf_impl.h"
#include "sockbuf_fixture.h"

static uint8_t buffer[65536];

static void expect_content(struct sm_sockbuf *sb, uint64_t at, uint64_t len) {
    EXPECT_EQ(sbused(sb), len);
    EXPECT_OK(sb_copydata(sb, 0, len, buffer));
    expect_stream(buffer, at, len);
    expect_whole(sb);
}

static uint64_t mbufs_in(struct sm_sockbuf *sb) {
    struct sm_mb *mb = sb->sb_mbufs;
    uint64_t n = 0;
    for (sm_off_t r = sb->sb_shm->sb_mb; r != 0; r = m_at(mb, r)->m_nextpkt) {
        n += chain_length(mb, m_at(mb, r));
    }
    return n;
}

static uint64_t records_in(struct sm_sockbuf *sb) {
    uint64_t n = 0;
    for (sm_off_t r = sb->sb_shm->sb_mb; r != 0; r = m_at(sb->sb_mbufs, r)->m_nextpkt) {
        n++;
    }
    return n;
}

/* ---- names and limits */

TEST(a_sockbuf_is_found_by_its_name_until_it_is_destroyed) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "in", 4096, 0), *same = open_sockbuf(mb, "in"), *none;
    EXPECT_ERR(sm_sockbuf_create(mb, "in", 10, 0, &none), SM_EXISTS);
    EXPECT_ERR(sm_sockbuf_open(mb, "out", &none), SM_NOT_FOUND);
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 100, 50)));
    EXPECT_EQ(sbused(same), 100);
    EXPECT_ERR(sm_sockbuf_destroy(same), SM_BUSY);
    EXPECT_OK(sbdrop(same, 100));
    EXPECT_OK(sm_sockbuf_destroy(same));
    struct mbuf *m = stream_chain(mb, 0, 10, 10), *got;
    struct sm_sockbuf *next = make_sockbuf(mb, "in", 4096, 0); /* in the same place, another life */
    EXPECT_EQ(next->sb_id, sb->sb_id);
    EXPECT_ERR(sbappend(sb, m), SM_GONE);
    EXPECT_ERR(sbreceive(sb, 1, SM_M_NOWAIT, &got), SM_GONE);
    EXPECT_ERR(sbdrop(sb, 0), SM_GONE);
    EXPECT_ERR(sbflush(sb), SM_GONE);
    EXPECT_ERR(sbreserve(sb, 10, 0), SM_GONE);
    EXPECT_ERR(sbwait(sb, SB_DATA, 0, 0), SM_GONE);
    EXPECT_ERR(sbcheck(sb), SM_GONE);
    EXPECT_ERR(sb_copydata(sb, 0, 0, buffer), SM_GONE);
    EXPECT_ERR(sm_sockbuf_destroy(sb), SM_GONE);
    EXPECT_EQ(sbspace(sb), 0);
    EXPECT_OK(m_freem(mb, m));
    sm_sockbuf_close(sb);
    sm_sockbuf_close(same);
    finish_sockbuf(next);
}

TEST(names_and_limits_that_cannot_be_are_refused) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    uint64_t all = h->h_arena->a_data_pages << SM_PAGE_SHIFT;
    struct sm_sockbuf *sb;
    EXPECT_ERR(sm_sockbuf_create(mb, "", 10, 0, &sb), SM_INVALID);
    EXPECT_ERR(sm_sockbuf_create(mb, NULL, 10, 0, &sb), SM_INVALID);
    EXPECT_ERR(sm_sockbuf_create(mb, "0123456789012345678901234567890X", 10, 0, &sb), SM_NAME_TOO_LONG);
    EXPECT_ERR(sm_sockbuf_open(mb, "0123456789012345678901234567890X", &sb), SM_NAME_TOO_LONG);
    EXPECT_ERR(sm_sockbuf_create(mb, "x", 0, 0, &sb), SM_INVALID);
    EXPECT_ERR(sm_sockbuf_create(mb, "x", all + 1, 0, &sb), SM_INVALID);
    EXPECT_ERR(sm_sockbuf_create(mb, "x", 10, all + 1, &sb), SM_INVALID);
    EXPECT_OK(sm_sockbuf_create(mb, "012345678901234567890123456789X", all, 0, &sb));
    EXPECT_EQ(sb->sb_shm->sb_mbmax, all);
    EXPECT_ERR(sbreserve(sb, UINT64_MAX, 0), SM_INVALID);
    EXPECT_ERR(sbreserve(sb, 10, UINT64_MAX), SM_INVALID);
    EXPECT_ERR(sbreserve(sb, 0, 0), SM_INVALID);
    EXPECT_OK(sbreserve(sb, 1, 0));
    EXPECT_EQ(sb->sb_shm->sb_mbmax, MSIZE);
    EXPECT_EQ(sbspace(sb), 1);
    EXPECT_OK(sbreserve(sb, 100000, 5000));
    EXPECT_EQ(sbspace(sb), 5000);
    finish_sockbuf(sb);
}

TEST(the_table_holds_256_sockbufs) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb[SM_SOCKBUFS], *more;
    char name[16];
    for (uint32_t i = 0; i < SM_SOCKBUFS; i++) {
        snprintf(name, sizeof name, "s%u", i);
        sb[i] = make_sockbuf(mb, name, 100, 0);
    }
    EXPECT_ERR(sm_sockbuf_create(mb, "more", 100, 0, &more), SM_TABLE_FULL);
    for (uint32_t i = 0; i < SM_SOCKBUFS; i++) {
        finish_sockbuf(sb[i]);
    }
    finish_sockbuf(make_sockbuf(mb, "more", 100, 0));
}

/* ---- appending */

TEST(small_mbufs_of_a_chain_and_of_the_stream_share_storage) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 60000, 0);
    EXPECT_OK(sbappendstream(sb, stream_chain(mb, 0, 200, 10)));
    EXPECT_EQ(mbufs_in(sb), 1); /* 20 mbufs of 10 bytes */
    EXPECT_OK(sbappendstream(sb, stream_chain(mb, 200, MLEN - 200, 5)));
    EXPECT_EQ(mbufs_in(sb), 1); /* merged into the tail */
    EXPECT_OK(sbappendstream(sb, stream_chain(mb, MLEN, 1, 1)));
    EXPECT_EQ(mbufs_in(sb), 2); /* no room there */
    EXPECT_OK(sbappendstream(sb, stream_chain(mb, MLEN + 1, MLEN, MLEN)));
    EXPECT_EQ(mbufs_in(sb), 3); /* all of a chain or none of it */
    EXPECT_OK(sbappendstream(sb, stream_chain(mb, 2 * MLEN + 1, 5000, 2048)));
    EXPECT_EQ(records_in(sb), 1);
    expect_content(sb, 0, 2 * MLEN + 1 + 5000);
    finish_sockbuf(sb);
}

TEST(a_tail_whose_storage_is_shared_is_not_written_to) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 60000, 0);
    struct mbuf *m = stream_chain(mb, 0, 1000, 1000), *other = m_get(mb, SM_M_NOWAIT, MT_DATA);
    EXPECT_OK(m_extaddref(mb, m, other));
    EXPECT_OK(sbappend(sb, m));
    EXPECT_OK(sbappend(sb, stream_chain(mb, 1000, 100, 100)));
    EXPECT_EQ(mbufs_in(sb), 2);
    expect_content(sb, 0, 1100);
    EXPECT_OK(m_freem(mb, other));
    finish_sockbuf(sb);
}

TEST(records_end_where_they_were_ended) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 60000, 0);
    struct mbuf *m = stream_chain(mb, 0, 300, 100), *got;
    m->m_flags |= M_EOR; /* wherever it stands, the chain's end is meant */
    EXPECT_OK(sbappend(sb, m));
    EXPECT_OK(sbappend(sb, stream_chain(mb, 300, 50, 50)));
    EXPECT_EQ(records_in(sb), 2);
    EXPECT_OK(sbappend(sb, stream_chain(mb, 350, 50, 50)));
    EXPECT_EQ(records_in(sb), 2);
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 400, 70, 7)));
    EXPECT_EQ(records_in(sb), 3);
    m = stream_chain(mb, 0, 10, 10);
    EXPECT_ERR(sbappendstream(sb, m), SM_INVALID);
    EXPECT_OK(m_freem(mb, m));
    expect_content(sb, 0, 470);
    EXPECT_OK(sbreceive(sb, 1000, SM_M_NOWAIT, &got)); /* never beyond the first record */
    EXPECT_EQ(chain_bytes(mb, got, buffer, sizeof buffer), 300);
    expect_stream(buffer, 0, 300);
    EXPECT_OK(m_freem(mb, got));
    EXPECT_OK(sbdroprecord(sb));
    EXPECT_EQ(records_in(sb), 1);
    expect_content(sb, 400, 70);
    EXPECT_OK(sbdroprecord(sb));
    EXPECT_OK(sbdroprecord(sb)); /* of nothing */
    EXPECT_EQ(sbused(sb), 0);
    finish_sockbuf(sb);
}

TEST(empty_chains_append_nothing_and_empty_records_are_records) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 1000, 0);
    struct mbuf *got;
    EXPECT_OK(sbappend(sb, NULL));
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 0, 1)));
    EXPECT_EQ(mbufs_in(sb), 0);
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 0, 0, 1)));
    EXPECT_EQ(records_in(sb), 1);
    EXPECT_OK(sbwait(sb, SB_DATA, 0, 0));
    EXPECT_ERR(sbwait(sb, SB_DATA, 1, 0), SM_TIMEOUT);
    EXPECT_OK(sbreceive(sb, 1, SM_M_NOWAIT, &got));
    EXPECT_EQ(chain_length(mb, got), 1);
    EXPECT_OK(m_freem(mb, got));
    EXPECT_ERR(sbreceive(sb, 1, SM_M_NOWAIT, &got), SM_EMPTY);
    EXPECT_TRUE(got == NULL);
    finish_sockbuf(sb);
}

TEST(an_address_control_and_data_are_one_record) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 1000, 0);
    struct mbuf *control = mbuf_with(mb, "rights", 6, MT_CONTROL, 0), *got, *m;
    EXPECT_OK(sbappendaddr(sb, "peer", 4, stream_chain(mb, 0, 300, 300), control, SM_M_NOWAIT));
    EXPECT_OK(sbappendaddr(sb, "nobody", 6, NULL, NULL, SM_M_NOWAIT));
    EXPECT_OK(sbappendcontrol(sb, stream_chain(mb, 0, 5, 5), mbuf_with(mb, "fd", 2, MT_CONTROL, 0)));
    EXPECT_EQ(records_in(sb), 3);
    expect_whole(sb);
    EXPECT_OK(sbreceive(sb, 1000, SM_M_NOWAIT, &got));
    EXPECT_EQ(chain_length(mb, got), 3);
    EXPECT_EQ(got->m_type, MT_SONAME);
    EXPECT_EQ(m_len(got), 4);
    EXPECT_EQ(memcmp(mtod(mb, got), "peer", 4), 0);
    m = m_nextm(mb, got);
    EXPECT_EQ(m->m_type, MT_CONTROL);
    EXPECT_EQ(memcmp(mtod(mb, m), "rights", 6), 0);
    m = m_nextm(mb, m);
    EXPECT_EQ(m->m_type, MT_DATA);
    expect_stream(mtod(mb, m), 0, 300);
    EXPECT_OK(m_freem(mb, got));
    EXPECT_OK(sbreceive(sb, 1000, SM_M_NOWAIT, &got));
    EXPECT_EQ(chain_bytes(mb, got, buffer, sizeof buffer), 6);
    EXPECT_OK(m_freem(mb, got));
    EXPECT_OK(sbreceive(sb, 1, SM_M_NOWAIT, &got)); /* half of the control is control */
    EXPECT_EQ(got->m_type, MT_CONTROL);
    EXPECT_EQ(*mtod(mb, got), 'f');
    EXPECT_OK(m_freem(mb, got));
    EXPECT_OK(sbdroprecord(sb));
    finish_sockbuf(sb);
}

TEST(what_does_not_fit_stays_the_callers_as_it_was) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 100, 1000);
    struct mbuf *control = mbuf_with(mb, "c", 1, MT_CONTROL, 0), *m = stream_chain(mb, 0, 90, 45);
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 20, 20)));
    EXPECT_ERR(sbappend(sb, m), SM_FULL);
    EXPECT_ERR(sbappendrecord(sb, m), SM_FULL);
    EXPECT_ERR(sbappendaddr(sb, "peer", 4, m, control, SM_M_NOWAIT), SM_FULL);
    EXPECT_ERR(sbappendcontrol(sb, m, control), SM_FULL);
    EXPECT_EQ(chain_length(mb, m), 2);
    EXPECT_EQ(chain_length(mb, control), 1);
    EXPECT_EQ(chain_bytes(mb, m, buffer, sizeof buffer), 90);
    expect_stream(buffer, 0, 90);
    expect_content(sb, 0, 20);
    EXPECT_OK(sbreserve(sb, 110, 1000));
    EXPECT_OK(sbappend(sb, m));
    EXPECT_EQ(sbspace(sb), 0);
    EXPECT_OK(m_freem(mb, control));
    EXPECT_OK(sbflush(sb));
    EXPECT_OK(sbreserve(sb, 1000, 2 * MSIZE)); /* storage runs out before bytes do */
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 0, 1, 1)));
    EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 0, 0, 1)));
    m = stream_chain(mb, 0, 0, 1);
    EXPECT_ERR(sbappendrecord(sb, m), SM_FULL);
    EXPECT_OK(m_freem(mb, m));
    finish_sockbuf(sb);
}

TEST(a_stream_keeps_no_packet_headers_and_a_received_header_says_what_follows) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0);
    struct mbuf *m = mbuf_with(mb, "packet", 6, MT_DATA, M_PKTHDR), *got;
    struct m_tag *t = m_tag_alloc(mb, 77, 1, 8, SM_M_NOWAIT);
    m->m_pkthdr.ph_len = 6;
    EXPECT_OK(m_tag_prepend(mb, m, t));
    EXPECT_OK(sbappendstream(sb, m));
    EXPECT_OK(sbreceive(sb, 10, SM_M_NOWAIT, &got));
    EXPECT_EQ(got->m_flags & M_PKTHDR, 0);
    EXPECT_OK(m_freem(mb, got));
    m = mbuf_with(mb, "packet", 6, MT_DATA, M_PKTHDR);
    m->m_pkthdr.ph_len = 106;
    m->m_next = m_off(mb, stream_chain(mb, 0, 100, 100));
    t = m_tag_alloc(mb, 77, 1, 8, SM_M_NOWAIT);
    EXPECT_OK(m_tag_prepend(mb, m, t));
    EXPECT_OK(sbappendrecord(sb, m));
    EXPECT_OK(sbdrop(sb, 2));
    EXPECT_OK(sbreceive(sb, 1000, SM_M_NOWAIT, &got));
    EXPECT_EQ(got->m_flags & M_PKTHDR, M_PKTHDR);
    EXPECT_EQ(got->m_pkthdr.ph_len, 104);
    EXPECT_TRUE(m_tag_locate(mb, got, 77, 1, NULL) == t);
    EXPECT_OK(m_freem(mb, got));
    finish_sockbuf(sb);
}

TEST(nothing_is_merged_behind_the_end_of_a_record) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 10000, 0);
    struct mbuf *m = stream_chain(mb, 0, 10, 10);
    m->m_flags |= M_EOR;
    EXPECT_OK(sbappendstream(sb, m));
    EXPECT_OK(sbappendstream(sb, stream_chain(mb, 10, 10, 10)));
    EXPECT_EQ(mbufs_in(sb), 2);
    EXPECT_EQ(m->m_flags & M_EOR, M_EOR);
    EXPECT_EQ(m_len(m), 10);
    finish_sockbuf(sb);
}

/* ---- taking away and reading */

TEST(drops_end_anywhere_and_never_take_more_than_asked) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 60000, 0);
    struct mbuf *chain;
    for (uint64_t cut = 0; cut <= 900; cut += 50) {
        for (uint64_t r = 0; r < 3; r++) {
            EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 300 * r, 300, 100)));
        }
        EXPECT_ERR(sbdrop(sb, 901), SM_INVALID);
        EXPECT_ERR(sbcut(sb, UINT64_MAX, &chain), SM_INVALID);
        EXPECT_TRUE(chain == NULL);
        EXPECT_OK(sbdrop(sb, cut));
        expect_content(sb, cut, 900 - cut);
        EXPECT_EQ(records_in(sb), 3 - cut / 300);
        EXPECT_OK(sbcut(sb, 900 - cut, &chain));
        EXPECT_EQ(mbufs_in(sb), 0);
        EXPECT_OK(m_freem(mb, chain));
    }
    finish_sockbuf(sb);
}

TEST(receiving_part_of_an_mbuf_shares_or_copies_it_and_leaves_the_rest) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 60000, 0);
    struct mbuf *got, *more;
    EXPECT_OK(sbappend(sb, stream_chain(mb, 0, 2000, 2000)));
    EXPECT_OK(sbreceive(sb, 1000, SM_M_NOWAIT, &got));
    EXPECT_EQ(got->m_flags & M_EXT, M_EXT);
    EXPECT_EQ(m_refcnt(mb, got), 2);
    EXPECT_OK(sbreceive(sb, 10, SM_M_NOWAIT, &more));
    EXPECT_EQ(more->m_flags & M_EXT, 0);
    EXPECT_EQ(chain_bytes(mb, got, buffer, sizeof buffer), 1000);
    expect_stream(buffer, 0, 1000);
    EXPECT_EQ(chain_bytes(mb, more, buffer, sizeof buffer), 10);
    expect_stream(buffer, 1000, 10);
    expect_content(sb, 1010, 990);
    EXPECT_OK(m_freem(mb, more));
    EXPECT_OK(m_freem(mb, got));
    EXPECT_ERR(sbreceive(sb, 0, SM_M_NOWAIT, &got), SM_INVALID);
    finish_sockbuf(sb);
}

TEST(bytes_are_copied_and_pointed_at_across_mbufs_and_records) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 60000, 0);
    const struct mbuf *m;
    uint32_t moff, follow;
    EXPECT_ERR(sbsndptr(sb, 0, &m, &moff, &follow), SM_INVALID);
    EXPECT_OK(sb_copydata(sb, 0, 0, buffer));
    for (uint64_t r = 0; r < 4; r++) {
        EXPECT_OK(sbappendrecord(sb, stream_chain(mb, 500 * r, 500, 200)));
    }
    for (uint64_t off = 0; off < 2000; off += 37) {
        EXPECT_OK(sb_copydata(sb, off, 2000 - off, buffer));
        expect_stream(buffer, off, 2000 - off);
        EXPECT_OK(sbsndptr(sb, off, &m, &moff, &follow));
        EXPECT_GT(follow, 0);
        expect_stream(mtod(mb, m) + moff, off, follow);
    }
    EXPECT_ERR(sb_copydata(sb, 1, 2000, buffer), SM_INVALID);
    EXPECT_ERR(sb_copydata(sb, UINT64_MAX, 2, buffer), SM_INVALID);
    EXPECT_ERR(sbsndptr(sb, 2000, &m, &moff, &follow), SM_INVALID);
    finish_sockbuf(sb);
}

/* After the three of the arena and those of the kegs. */
static enum sm_err lock_seen(struct sm_arena *a, uint32_t sockbuf, struct sm_core_lock_stats *l) {
    return sm_stats_core_lock(a, 3 + a->a_header->h_max_zones + sockbuf, l);
}

TEST(a_sockbufs_lock_is_among_the_locks_that_are_looked_at) {
    struct sm_core_lock_stats l;
    EXPECT_ERR(lock_seen(h->h_arena, 0, &l), SM_NOT_FOUND); /* an arena without mbufs has none */
    struct sm_sockbuf *sb = make_sockbuf(mbufs_of(h->h_arena), "looked at", 1000, 4000);
    EXPECT_ERR(lock_seen(h->h_arena, sb->sb_id, &l), SM_EMPTY);
    EXPECT_ERR(lock_seen(h->h_arena, sb->sb_id + 1, &l), SM_EMPTY);
    EXPECT_ERR(lock_seen(h->h_arena, SM_SOCKBUFS, &l), SM_NOT_FOUND);
    EXPECT_OK(sm_sockbuf_enter(sb));
    EXPECT_OK(lock_seen(h->h_arena, sb->sb_id, &l));
    EXPECT_EQ(l.cl_class, SM_LC_SOCKBUF);
    EXPECT_EQ(l.cl_instance, sb->sb_id);
    EXPECT_EQ(l.cl_cpu, h->h_arena->a_cpu_id);
    EXPECT_TRUE(!l.cl_dirty);
    sm_sockbuf_leave(sb);
    EXPECT_ERR(lock_seen(h->h_arena, sb->sb_id, &l), SM_EMPTY);
    EXPECT_OK(sm_sockbuf_destroy(sb));
    sm_sockbuf_close(sb);
}
