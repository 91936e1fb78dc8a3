/* test_queue_kill.c - processes that pass items to each other die at a random step of a random operation, again and
 * again; the survivor finds every item once. Each round is replayed by its seed. Single steps are in test_queue.c.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define ROUNDS 60
#define ITEMS 24

struct doomed {
    uint64_t seed;
    int64_t steps; /* crash points to pass before the one that kills */
};

static void count_down(void *ctx, uint32_t step) {
    if (--((struct doomed *)ctx)->steps < 0) {
        kill(getpid(), SIGKILL);
    }
}

/* Takes messages out and puts them back, singly and in bulk; beside them allocates and frees of every kind, so that the
 * dead also hold locks, buckets and unfinished slabs. */
static void play(struct harness *h, void *ctx) {
    struct doomed *d = ctx;
    struct sm_arena *a = harness_attach(h, "doomed");
    struct sm_queue *q;
    struct sm_zone *z = harness_open_zone(a, "message"), *zones[8], *mz;
    uint64_t random = d->seed;
    uint32_t type, n;
    void *items[8];
    EXPECT_OK(sm_queue_open(a, "q", 0, &q));
    EXPECT_OK(sm_malloc_type(a, "scratch", &type));
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = d, .h_crash = count_down};
    sm_arena_set_hooks(a, &hooks);
    for (;;) {
        uint32_t want = 1 + (uint32_t)harness_below(&random, 8);
        if (sm_queue_get_bulk(q, want, 0, zones, items, &n) == SM_OK) {
            for (uint32_t i = 0; i < n; i++) {
                EXPECT_EQ(zones[i]->z_id, z->z_id);
            }
            for (uint32_t back = 0, more; back < n; back += more) {
                EXPECT_OK(sm_queue_put_bulk(q, zones[0], n - back, items + back, -1, &more));
            }
        }
        void *scratch;
        EXPECT_OK(sm_malloc(a, 1 + harness_below(&random, 100000), type, SM_M_WAITOK, -1, &mz, &scratch));
        if (harness_below(&random, 3) != 0) {
            EXPECT_OK(sm_malloc_free(a, scratch));
        }
    }
}

/* KEEP: a message whose taker died is nobody's, but there; all are found QUEUED or kept, none twice, none lost. */
static void kill_rounds(struct harness *h, uint32_t players) {
    struct sm_arena *a = h->h_arena;
    struct sm_zone_params p = {.zp_name = "message", .zp_bytes = 40, .zp_flags = SM_ZONE_KEEP};
    struct sm_zone *z, *from;
    struct sm_queue *q;
    struct sm_type_stats t;
    uint32_t type;
    void *item;
    EXPECT_OK(sm_zone_create(a, &p, &z));
    EXPECT_OK(sm_queue_create(a, "q", ITEMS, &q));
    EXPECT_OK(sm_malloc_type(a, "scratch", &type));
    for (uint32_t i = 0; i < ITEMS; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        *(uint32_t *)item = i;
        EXPECT_OK(sm_queue_put(q, z, item, 0));
    }
    uint32_t in_queue = ITEMS;
    for (uint32_t round = 0; round < ROUNDS / players && in_queue > 0; round++) {
        pid_t child[4];
        struct doomed d[4];
        for (uint32_t i = 0; i < players; i++) {
            d[i] = (struct doomed){harness_random(&h->h_random), (int64_t)harness_below(&h->h_random, 400)};
            child[i] = harness_fork(h, play, &d[i]);
        }
        for (uint32_t i = 0; i < players; i++) {
            siginfo_t end;
            EXPECT_EQ(waitid(P_PID, (id_t)child[i], &end, WEXITED | WNOWAIT), 0);
            EXPECT(end.si_code == CLD_KILLED && end.si_status == SIGKILL, "player %u ended with %d, %d", i, end.si_code,
                   end.si_status);
            harness_kill(h, child[i]);
        }
        EXPECT_OK(a->a_recover(a));
        EXPECT_EQ(harness_findings(a, true), 0);
        struct harness_census c = harness_census_zone(a, z->z_id);
        EXPECT_EQ(c.hc_kind[SM_QUEUED] + c.hc_kind[SM_HELD], ITEMS);
        EXPECT_EQ(c.hc_kind[SM_QUEUED], sm_queue_length(q));
        EXPECT_OK(sm_stats_type(a, type, &t));
        EXPECT_EQ(t.ms_in_use, 0); /* scratch belongs to the dead: freed by policy, and its type knows */
        EXPECT_EQ(t.ms_bytes, 0);
        in_queue = (uint32_t)c.hc_kind[SM_QUEUED];
    }
    uint32_t seen = 0;
    for (uint32_t i = 0; i < in_queue; i++) {
        EXPECT_OK(sm_queue_get(q, 0, &from, &item));
        EXPECT_LT(*(uint32_t *)item, ITEMS);
        EXPECT_EQ(seen & 1u << *(uint32_t *)item, 0);
        seen |= 1u << *(uint32_t *)item;
        EXPECT_OK(sm_zone_free(from, item, NULL));
    }
    EXPECT_ERR(sm_queue_get(q, 0, &from, &item), SM_EMPTY);
    sm_queue_close(q);
    h->h_may_leave_items = in_queue < ITEMS; /* the kept ones */
}

TEST(no_item_is_lost_or_doubled_when_its_only_player_dies_anywhere) {
    kill_rounds(h, 1);
}

TEST(no_item_is_lost_or_doubled_when_players_die_around_each_other) {
    kill_rounds(h, 3);
}
