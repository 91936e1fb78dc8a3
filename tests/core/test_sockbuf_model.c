/* test_sockbuf_model.c - sockbufs against a model: random calls against arrays of bytes with records, and two processes
 * that send and receive a stream byte for byte, sleeping at both ends. Replayed by HARNESS_SEED.
 */
#include "sockbuf_fixture.h"

/* ---- one process, records */

#define MODEL_BYTES 20000
#define MODEL_RECORDS 64
#define MODEL_STEPS 20000

struct model { /* bytes in a row, cut into records */
    uint8_t o_bytes[MODEL_BYTES];
    uint64_t o_len, o_record[MODEL_RECORDS], o_records;
    bool o_ended[MODEL_RECORDS]; /* by M_EOR: the next append starts a record */
};

static void model_append(struct model *o, const uint8_t *bytes, uint64_t len, bool eor, bool record) {
    if (len == 0 && !eor && !record) {
        return;
    }
    if (record || o->o_records == 0 || o->o_ended[o->o_records - 1]) {
        EXPECT_LT(o->o_records, MODEL_RECORDS);
        o->o_record[o->o_records] = 0;
        o->o_ended[o->o_records++] = false;
    }
    EXPECT_LE(o->o_len + len, MODEL_BYTES);
    memcpy(o->o_bytes + o->o_len, bytes, len);
    o->o_len += len;
    o->o_record[o->o_records - 1] += len;
    o->o_ended[o->o_records - 1] |= eor;
}

static void model_pop(struct model *o) {
    o->o_records--;
    memmove(o->o_record, o->o_record + 1, o->o_records * sizeof o->o_record[0]);
    memmove(o->o_ended, o->o_ended + 1, o->o_records * sizeof o->o_ended[0]);
}

static void model_drop(struct model *o, uint64_t len) {
    memmove(o->o_bytes, o->o_bytes + len, o->o_len - len);
    o->o_len -= len;
    while (len > 0) {
        if (o->o_record[0] > len) {
            o->o_record[0] -= len;
            return;
        }
        len -= o->o_record[0];
        model_pop(o);
    }
}

/* Random sizes, random room before the bytes, empty mbufs among them, shared storage now and then. */
static struct mbuf *random_chain(struct sm_mb *mb, uint64_t *random, const uint8_t *bytes, uint64_t len, bool eor,
                                 struct mbuf **also) {
    struct mbuf *head = NULL, *tail = NULL;
    *also = NULL;
    do {
        uint64_t n = harness_below(random, 4) == 0 ? 0 : 1 + harness_below(random, 2100);
        n = n < len ? n : len;
        struct mbuf *m = m_get2(mb, (uint32_t)n, SM_M_NOWAIT, MT_DATA, 0);
        EXPECT_TRUE(m != NULL);
        uint32_t before = (uint32_t)harness_below(random, m_size(m) - n + 1);
        m_set(m, m_start(mb, m) + (harness_below(random, 2) ? before : 0), (uint32_t)n);
        memcpy(mtod(mb, m), bytes, n);
        if (m->m_flags & M_EXT && *also == NULL && harness_below(random, 3) == 0) {
            *also = m_get(mb, SM_M_NOWAIT, MT_DATA);
            EXPECT_OK(m_extaddref(mb, m, *also));
        }
        if (eor && (tail == NULL || harness_below(random, 2))) {
            m->m_flags |= M_EOR;
        }
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

static void step_append(struct sm_sockbuf *sb, struct model *o, uint64_t *random) {
    static uint8_t bytes[8192];
    struct sm_mb *mb = sb->sb_mbufs;
    uint64_t len = harness_below(random, 3) == 0 ? harness_below(random, 6000) : harness_below(random, 300);
    bool eor = harness_below(random, 6) == 0, record = harness_below(random, 3) == 0;
    struct mbuf *also = NULL;
    for (uint64_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)harness_random(random);
    }
    if (o->o_records == MODEL_RECORDS) {
        return;
    }
    struct mbuf *m = random_chain(mb, random, bytes, len, eor, &also);
    bool fits = len <= sbspace(sb) && sb->sb_shm->sb_mbcnt < sb->sb_shm->sb_mbmax;
    enum sm_err err = record ? sbappendrecord(sb, m) : sbappend(sb, m);
    EXPECT_ERR(err, fits ? SM_OK : SM_FULL);
    if (fits) {
        model_append(o, bytes, len, eor, record);
    } else {
        uint8_t same[8192];
        EXPECT_EQ(chain_bytes(mb, m, same, sizeof same), len);
        EXPECT_EQ(memcmp(same, bytes, len), 0);
        EXPECT_OK(m_freem(mb, m));
    }
    EXPECT_OK(m_freem(mb, also));
}

static void step_receive(struct sm_sockbuf *sb, struct model *o, uint64_t *random) {
    static uint8_t bytes[MODEL_BYTES];
    struct sm_mb *mb = sb->sb_mbufs;
    uint64_t len = 1 + harness_below(random, harness_below(random, 2) ? 200 : 8000);
    struct mbuf *m = NULL;
    if (o->o_records == 0) {
        EXPECT_ERR(sbreceive(sb, len, SM_M_NOWAIT, &m), SM_EMPTY);
        return;
    }
    uint64_t want = len < o->o_record[0] ? len : o->o_record[0];
    EXPECT_OK(sbreceive(sb, len, SM_M_NOWAIT, &m));
    EXPECT_EQ(chain_bytes(mb, m, bytes, sizeof bytes), want);
    EXPECT_EQ(memcmp(bytes, o->o_bytes, want), 0);
    EXPECT_OK(m_freem(mb, m));
    if (want == o->o_record[0] && want == 0) {
        model_pop(o);
    } else {
        model_drop(o, want);
    }
}

static void step_drop(struct sm_sockbuf *sb, struct model *o, uint64_t *random) {
    struct mbuf *m = NULL;
    uint64_t len = harness_below(random, o->o_len + 2);
    switch (harness_below(random, 8)) {
    case 0:
        EXPECT_OK(sbflush(sb));
        o->o_len = o->o_records = 0;
        return;
    case 1:
        EXPECT_OK(sbdroprecord(sb));
        if (o->o_records != 0 && o->o_record[0] == 0) {
            model_pop(o);
        } else if (o->o_records != 0) {
            model_drop(o, o->o_record[0]);
        }
        return;
    case 2:
        EXPECT_ERR(sbcut(sb, len, &m), len > o->o_len ? SM_INVALID : SM_OK);
        EXPECT_OK(m_freem(sb->sb_mbufs, m));
        break;
    default:
        len = len < o->o_len / 3 ? len : o->o_len / 3;
        EXPECT_OK(sbdrop(sb, len));
    }
    model_drop(o, len <= o->o_len ? len : 0);
}

static void compare(struct sm_sockbuf *sb, const struct model *o, uint64_t *random) {
    static uint8_t bytes[MODEL_BYTES];
    struct sm_mb *mb = sb->sb_mbufs;
    uint64_t off = harness_below(random, o->o_len + 1), n = 0;
    expect_whole(sb);
    EXPECT_EQ(sbused(sb), o->o_len);
    EXPECT_OK(sb_copydata(sb, off, o->o_len - off, bytes));
    EXPECT_EQ(memcmp(bytes, o->o_bytes + off, o->o_len - off), 0);
    for (sm_off_t r = sb->sb_shm->sb_mb; r != 0; r = m_at(mb, r)->m_nextpkt) {
        EXPECT_LT(n, o->o_records);
        EXPECT_EQ(m_length(mb, m_at(mb, r), NULL), o->o_record[n]);
        n++;
    }
    EXPECT_EQ(n, o->o_records);
}

TEST(random_calls_do_to_a_sockbuf_what_they_do_to_an_array) {
    static struct model o;
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", MODEL_BYTES, 60000);
    uint64_t random = h->h_seed;
    for (int i = 0; i < MODEL_STEPS; i++) {
        switch (harness_below(&random, 5)) {
        case 0:
            step_receive(sb, &o, &random);
            break;
        case 1:
            step_drop(sb, &o, &random);
            break;
        default:
            step_append(sb, &o, &random);
        }
        compare(sb, &o, &random);
    }
    finish_sockbuf(sb);
}

/* ---- two processes, a stream */

#define STREAM_BYTES 20000000ull

static void send_stream(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "sender");
    struct sm_mb *mb = mbufs_of(a);
    struct sm_sockbuf *sb = open_sockbuf(mb, "stream");
    uint64_t random = harness_seed_of(h, 1), at = 0;
    (void)ctx;
    while (at < STREAM_BYTES) {
        uint64_t len = 1 + harness_below(&random, harness_below(&random, 4) == 0 ? 7000 : 200);
        len = len < STREAM_BYTES - at ? len : STREAM_BYTES - at;
        struct mbuf *m = stream_chain(mb, at, len, 1 + (uint32_t)harness_below(&random, 2000));
        enum sm_err err;
        while ((err = sbappendstream(sb, m)) == SM_FULL) {
            EXPECT_OK(sbwait(sb, SB_SPACE, len, -1));
        }
        EXPECT_OK(err);
        at += len;
    }
    sm_sockbuf_close(sb);
    EXPECT_OK(sm_arena_detach(a));
}

/* Takes in every way there is; what it takes is the stream, whatever the sender does meanwhile. */
static void receive_stream(struct sm_sockbuf *sb, uint64_t *random) {
    static uint8_t bytes[65536];
    struct sm_mb *mb = sb->sb_mbufs;
    for (uint64_t at = 0; at < STREAM_BYTES;) {
        struct mbuf *m = NULL;
        uint64_t want = 1 + harness_below(random, 9000), got = 0;
        EXPECT_OK(sbwait(sb, SB_DATA, 0, -1));
        uint64_t there = sbused(sb);
        EXPECT_GT(there, 0);
        EXPECT_LE(there, sb->sb_shm->sb_hiwat);
        want = want < there ? want : there;
        switch (harness_below(random, 3)) {
        case 0:
            EXPECT_OK(sbreceive(sb, want, SM_M_WAITOK, &m));
            got = chain_bytes(mb, m, bytes, sizeof bytes);
            EXPECT_OK(m_freem(mb, m));
            break;
        case 1:
            EXPECT_OK(sb_copydata(sb, 0, want, bytes));
            EXPECT_OK(sbdrop(sb, want));
            got = want;
            break;
        default: {
            const struct mbuf *first;
            uint32_t moff, follow;
            EXPECT_OK(sbsndptr(sb, 0, &first, &moff, &follow));
            memcpy(bytes, mtod(mb, first) + moff, follow < want ? follow : want);
            got = follow < want ? follow : want;
            EXPECT_OK(sbdrop(sb, got));
        }
        }
        EXPECT_GT(got, 0);
        EXPECT_LE(got, want);
        expect_stream(bytes, at, got);
        at += got;
        if (harness_below(random, 64) == 0) {
            expect_whole(sb);
        }
    }
}

static void run_stream(struct harness *h, uint64_t hiwat) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "stream", hiwat, 0);
    uint64_t random = harness_seed_of(h, 2);
    pid_t sender = harness_fork(h, send_stream, NULL);
    receive_stream(sb, &random);
    harness_join(h, sender);
    EXPECT_EQ(sbused(sb), 0);
    finish_sockbuf(sb);
}

TEST(two_processes_pass_a_stream_byte_for_byte) {
    run_stream(h, 30000);
}

TEST(two_processes_pass_a_stream_through_room_for_one_append) {
    run_stream(h, 7000);
}
