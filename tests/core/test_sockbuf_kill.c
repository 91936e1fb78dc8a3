/* test_sockbuf_kill.c - processes die at each step of appending to, taking from and sleeping at a sockbuf while another
 * one reads it: an append is there whole or not at all, a drop leaves a prefix dropped, sleepers go on, nothing leaks.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sockbuf_fixture.h"

#define FIRST 3000u /* bytes there before: records of 1000, 1000 and 1000 */
#define SMALL 200u /* in mbufs of which no two fit into one */
#define LARGE 1000u /* in one cluster */

struct doomed {
    int64_t d_steps; /* crash points to pass before the one that kills */
    void (*d_act)(struct sm_sockbuf *sb);
    struct harness_gate d_ready;
};

static void count_down(void *ctx, uint32_t step) {
    if (--((struct doomed *)ctx)->d_steps < 0) {
        kill(getpid(), SIGKILL);
    }
}

static void die_at_a_step(struct harness *h, void *ctx) {
    struct doomed *d = ctx;
    struct sm_arena *a = harness_attach(h, "doomed");
    struct sm_sockbuf *sb = open_sockbuf(mbufs_of(a), "s");
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = d, .h_crash = count_down};
    sm_arena_set_hooks(a, &hooks);
    d->d_act(sb);
    sm_arena_set_hooks(a, NULL);
    EXPECT_OK(sm_arena_detach(a));
}

static bool has_ended(pid_t child, bool *killed) {
    siginfo_t end = {0};
    EXPECT_EQ(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT | WNOHANG), 0);
    *killed = end.si_code == CLD_KILLED && end.si_status == SIGKILL;
    return end.si_pid == child;
}

/* Bytes at the front, whatever happens to it meanwhile: some place of the stream, and the stream from there on. */
static void read_along(struct sm_sockbuf *sb, uint64_t most) {
    static uint8_t bytes[65536];
    uint64_t len = sbused(sb), at = 0;
    len = len > 64 ? len - (len > 1400 ? 1300 : len - 64) : 0;
    if (len == 0 || sb_copydata(sb, 0, len, bytes) != SM_OK) {
        return;
    }
    while (at <= most && (bytes[0] != stream_byte(at) || bytes[1] != stream_byte(at + 1) ||
                          bytes[2] != stream_byte(at + 2) || bytes[3] != stream_byte(at + 3))) {
        at++;
    }
    EXPECT_LE(at, most);
    expect_stream(bytes, at, len);
}

struct outcome {
    uint64_t o_from, o_to; /* the bytes of the stream that are there */
};

/* Kills the actor at its n-th step, for each n until it comes through, while this process reads. */
static void sweep(struct harness *h, uint32_t each, void (*act)(struct sm_sockbuf *sb),
                  bool (*fits)(struct outcome o, bool died)) {
    struct sm_arena *a = h->h_arena;
    struct sm_mb *mb = mbufs_of(a);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 20000, 0);
    static uint8_t bytes[65536];
    bool killed = true;
    int64_t n = 0;
    for (; killed; n++) {
        struct doomed d = {.d_steps = n, .d_act = act};
        for (uint64_t at = 0; at < FIRST; at += 1000) {
            EXPECT_OK(sbappendrecord(sb, stream_chain(mb, at, 1000, each)));
        }
        pid_t child = harness_fork(h, die_at_a_step, &d);
        while (!has_ended(child, &killed)) {
            read_along(sb, FIRST);
        }
        if (killed) {
            harness_kill(h, child);
        } else {
            harness_join(h, child);
        }
        EXPECT_OK(a->a_recover(a));
        EXPECT_EQ(harness_findings(a, true), 0);
        expect_whole(sb);
        struct outcome o = {0, 0};
        uint64_t len = sbused(sb);
        if (len > 0) {
            EXPECT_OK(sb_copydata(sb, 0, len, bytes));
            while (o.o_from < FIRST && memcmp(bytes,
                                              (uint8_t[4]){stream_byte(o.o_from), stream_byte(o.o_from + 1),
                                                           stream_byte(o.o_from + 2), stream_byte(o.o_from + 3)},
                                              len < 4 ? len : 4) != 0) {
                o.o_from++;
            }
            expect_stream(bytes, o.o_from, len);
        } else {
            o.o_from = FIRST;
        }
        o.o_to = o.o_from + len;
        EXPECT(fits(o, killed), "killed at step %lld: bytes %llu to %llu are there", (long long)n,
               (unsigned long long)o.o_from, (unsigned long long)o.o_to);
        EXPECT_OK(sbflush(sb));
        drain(mb);
        struct harness_census c = harness_census(a);
        EXPECT_EQ(c.hc_kind[SM_HELD] + c.hc_kind[SM_ATTACHED] + c.hc_kind[SM_CONSTRUCTING], 0);
    }
    EXPECT_GT(n, 5);
    finish_sockbuf(sb);
}

#define MORE 700u

static bool all_or_nothing(struct outcome o, bool died) {
    return o.o_from == 0 && (o.o_to == FIRST + MORE || (died && o.o_to == FIRST));
}

static void act_append(struct sm_sockbuf *sb) {
    EXPECT_OK(sbappend(sb, stream_chain(sb->sb_mbufs, FIRST, MORE, 60)));
}

static void act_record(struct sm_sockbuf *sb) {
    EXPECT_OK(sbappendrecord(sb, stream_chain(sb->sb_mbufs, FIRST, MORE, 600)));
}

TEST(an_append_whose_process_dies_is_there_whole_or_not_at_all) {
    sweep(h, SMALL, act_append, all_or_nothing);
}

TEST(a_record_whose_process_dies_is_there_whole_or_not_at_all) {
    sweep(h, SMALL, act_record, all_or_nothing);
}

static void act_address(struct sm_sockbuf *sb) {
    struct sm_mb *mb = sb->sb_mbufs;
    uint8_t name[40], control[60];
    stream_fill(name, FIRST, sizeof name); /* address and control are bytes of the stream, too */
    stream_fill(control, FIRST + sizeof name, sizeof control);
    EXPECT_OK(sbappendaddr(sb, name, sizeof name, stream_chain(mb, FIRST + 100, MORE - 100, 300),
                           mbuf_with(mb, control, sizeof control, MT_CONTROL, 0), SM_M_NOWAIT));
}

TEST(an_address_record_whose_process_dies_is_there_whole_or_not_at_all) {
    sweep(h, SMALL, act_address, all_or_nothing);
}

#define LITTLE 50u
static bool little_or_nothing(struct outcome o, bool died) {
    return o.o_from == 0 && (o.o_to == FIRST + LITTLE || (died && o.o_to == FIRST));
}

static void act_merge(struct sm_sockbuf *sb) {
    EXPECT_OK(sbappend(sb, stream_chain(sb->sb_mbufs, FIRST, LITTLE, 10)));
}

TEST(bytes_merged_into_the_tail_are_there_whole_or_not_at_all) {
    sweep(h, LARGE, act_merge, little_or_nothing);
}

#define GONE 1234u
static bool prefix_gone(struct outcome o, bool died) {
    return o.o_to == FIRST && o.o_from <= GONE && (died || o.o_from == GONE);
}

static void act_drop(struct sm_sockbuf *sb) {
    EXPECT_OK(sbdrop(sb, GONE));
}

TEST(a_drop_whose_process_dies_leaves_a_prefix_dropped) {
    sweep(h, SMALL, act_drop, prefix_gone);
    sweep(h, LARGE, act_drop, prefix_gone);
}

static bool first_record_gone(struct outcome o, bool died) {
    return o.o_to == FIRST && (o.o_from == 1000 || (died && o.o_from == 0));
}

static void act_droprecord(struct sm_sockbuf *sb) {
    EXPECT_OK(sbdroprecord(sb));
}

static void act_receive_record(struct sm_sockbuf *sb) {
    struct mbuf *m;
    EXPECT_OK(sbreceive(sb, 5000, SM_M_NOWAIT, &m));
    EXPECT_OK(m_freem(sb->sb_mbufs, m));
}

TEST(a_record_is_dropped_or_received_whole_or_not_at_all) {
    sweep(h, SMALL, act_droprecord, first_record_gone);
}

TEST(a_record_whose_receiver_dies_went_whole_or_stayed) {
    sweep(h, SMALL, act_receive_record, first_record_gone);
}

static bool at_most_770_gone(struct outcome o, bool died) {
    return o.o_to == FIRST && o.o_from <= 770 && (died || o.o_from == 770);
}

static void act_receive_pieces(struct sm_sockbuf *sb) {
    struct mbuf *m;
    EXPECT_OK(sbreceive(sb, 550, SM_M_NOWAIT, &m)); /* cuts the cluster: shared */
    EXPECT_OK(m_freem(sb->sb_mbufs, m));
    EXPECT_OK(sbreceive(sb, 220, SM_M_NOWAIT, &m)); /* and copied */
    EXPECT_OK(m_freem(sb->sb_mbufs, m));
}

TEST(pieces_whose_receiver_dies_are_a_prefix) {
    sweep(h, LARGE, act_receive_pieces, at_most_770_gone);
}

static bool flushed_from_the_front(struct outcome o, bool died) {
    return o.o_to == FIRST && o.o_from % 1000 == 0 && (died || o.o_from == FIRST);
}

static void act_flush(struct sm_sockbuf *sb) {
    EXPECT_OK(sbflush(sb));
}

TEST(a_flush_whose_process_dies_leaves_whole_records) {
    sweep(h, SMALL, act_flush, flushed_from_the_front);
}

static bool untouched(struct outcome o, bool died) {
    (void)died;
    return o.o_from == 0 && o.o_to == FIRST;
}

static void act_come_and_go(struct sm_sockbuf *sb) {
    struct sm_sockbuf *brief;
    enum sm_err err = sm_sockbuf_create(sb->sb_mbufs, "brief", 100, 0, &brief);
    if (err == SM_EXISTS) { /* of one who died before its end */
        err = sm_sockbuf_open(sb->sb_mbufs, "brief", &brief);
    }
    EXPECT_OK(err);
    EXPECT_OK(sbreserve(brief, 200, 0));
    EXPECT_ERR(sbwait(brief, SB_DATA, 0, 1000000), SM_TIMEOUT);
    EXPECT_OK(sm_sockbuf_destroy(brief));
    sm_sockbuf_close(brief);
}

TEST(sockbufs_made_and_destroyed_by_the_dying_do_no_harm) {
    sweep(h, SMALL, act_come_and_go, untouched);
    struct sm_sockbuf *brief;
    EXPECT_ERR(sm_sockbuf_open(mbufs_of(h->h_arena), "brief", &brief), SM_NOT_FOUND);
}

/* ---- sleepers */

static void sleep_for_data(struct harness *h, void *ctx) {
    const struct doomed *d = ctx;
    struct sm_arena *a = harness_attach(h, "sleeper");
    struct sm_sockbuf *sb = open_sockbuf(mbufs_of(a), "s");
    EXPECT_OK(sbwait(sb, SB_DATA, LITTLE, -1));
    harness_gate_post(&d->d_ready);
    EXPECT_OK(sm_arena_detach(a));
}

static void act_little(struct sm_sockbuf *sb) {
    EXPECT_OK(sbappend(sb, stream_chain(sb->sb_mbufs, 0, LITTLE, 10)));
}

/* The writer dies at each of its steps with a reader asleep. What was appended wakes the reader although nobody acts any
 * more: it looks for the dead itself. What was not, the survivor appends. */
TEST(a_sleeper_gets_what_the_dead_appended) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 20000, 0);
    struct doomed s = {0};
    uint64_t appended = 0, not_appended = 0;
    bool killed = true;
    harness_gate_init(h, &s.d_ready);
    for (int64_t n = 0; killed; n++) {
        struct doomed d = {.d_steps = n, .d_act = act_little};
        pid_t sleeper = harness_fork(h, sleep_for_data, &s);
        HARNESS_UNTIL(sm_load_acq(&sb->sb_shm->sb_data_waiters) == 1);
        pid_t writer = harness_fork(h, die_at_a_step, &d);
        HARNESS_UNTIL(has_ended(writer, &killed));
        if (killed) {
            harness_kill(h, writer);
        } else {
            harness_join(h, writer);
        }
        HARNESS_UNTIL(sm_load_acq(&sb->sb_shm->sb_mb) != 0 || sm_cpu_count_dead(h->h_arena) == 0);
        if (sm_load_acq(&sb->sb_shm->sb_mb) != 0) {
            appended++;
        } else {
            not_appended++;
            act_little(sb);
        }
        harness_gate_wait(&s.d_ready);
        harness_join(h, sleeper);
        EXPECT_OK(h->h_arena->a_recover(h->h_arena));
        EXPECT_OK(sbflush(sb));
        sm_store_rel(&sb->sb_shm->sb_data_waiters, 0);
    }
    EXPECT_GT(appended, 3);
    EXPECT_GT(not_appended, 3);
    finish_sockbuf(sb);
}

/* ---- at random moments, from outside: between any two instructions */

#define ROUNDS 60
#define PLAYERS 3u

struct parcel { /* at the head of each record: the stream's bytes from p_at on follow */
    uint64_t p_at, p_bytes;
};

static void play_sender(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "sender");
    struct sm_mb *mb = mbufs_of(a);
    struct sm_sockbuf *sb = open_sockbuf(mb, "s");
    uint64_t random = *(uint64_t *)ctx;
    for (;;) {
        struct parcel p = {harness_below(&random, 100000), harness_below(&random, 3000)};
        struct mbuf *m = mbuf_with(mb, &p, sizeof p, MT_DATA, 0);
        m->m_next = m_off(mb, stream_chain(mb, p.p_at, p.p_bytes, 1 + (uint32_t)harness_below(&random, 2048)));
        enum sm_err err;
        while ((err = sbappendrecord(sb, m)) == SM_FULL) {
            EXPECT_OK(sbwait(sb, SB_SPACE, sizeof p + p.p_bytes, -1));
        }
        EXPECT_OK(err);
    }
}

static void take_parcel(struct sm_sockbuf *sb) {
    uint8_t bytes[4096];
    struct parcel p;
    struct mbuf *m;
    enum sm_err err = sbreceive(sb, UINT64_MAX, SM_M_WAITOK, &m);
    if (err == SM_EMPTY) {
        return;
    }
    EXPECT_OK(err);
    uint64_t len = chain_bytes(sb->sb_mbufs, m, bytes, sizeof bytes);
    memcpy(&p, bytes, sizeof p);
    EXPECT_EQ(len, sizeof p + p.p_bytes);
    expect_stream(bytes + sizeof p, p.p_at, p.p_bytes);
    EXPECT_OK(m_freem(sb->sb_mbufs, m));
}

static void play_receiver(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "receiver");
    struct sm_sockbuf *sb = open_sockbuf(mbufs_of(a), "s");
    (void)ctx;
    for (;;) {
        EXPECT_OK(sbwait(sb, SB_DATA, 0, -1));
        take_parcel(sb);
    }
}

TEST(records_stay_whole_while_senders_and_receivers_are_killed) {
    struct sm_mb *mb = mbufs_of(h->h_arena);
    struct sm_sockbuf *sb = make_sockbuf(mb, "s", 20000, 0);
    uint64_t seed[PLAYERS];
    pid_t player[PLAYERS];
    for (uint32_t i = 0; i < PLAYERS; i++) {
        seed[i] = harness_seed_of(h, i);
        player[i] = harness_fork(h, i < 2 ? play_sender : play_receiver, &seed[i]);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t i = (uint32_t)harness_below(&h->h_random, PLAYERS);
        for (uint64_t n = harness_below(&h->h_random, 20); n > 0; n--) {
            EXPECT_OK(sbwait(sb, SB_DATA, 0, 20000000000ll)); /* they are at work, however often one dies */
            take_parcel(sb);
        }
        harness_kill(h, player[i]);
        seed[i] = harness_random(&h->h_random);
        player[i] = harness_fork(h, i < 2 ? play_sender : play_receiver, &seed[i]);
    }
    for (uint32_t i = 0; i < PLAYERS; i++) {
        harness_kill(h, player[i]);
    }
    EXPECT_OK(h->h_arena->a_recover(h->h_arena));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    while (sbused(sb) > 0) {
        take_parcel(sb);
    }
    finish_sockbuf(sb);
}
