/* test_zone_limit.c - limits without sleeping: rounding, failing at once, lowering and raising, reserve, warning,
 * maxaction, prealloc, and what reclaim gives back at each level.
 * Owns nothing.
 */
#include "harness.h"

static struct sm_zone_stats stats(struct sm_zone *z) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(z->z_arena, z->z_id, &s));
    return s;
}

static uint32_t alloc_all(struct sm_zone *z, void **item, uint32_t most) {
    uint32_t n = 0;
    while (n < most && sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[n]) == SM_OK) {
        n++;
    }
    return n;
}

static void free_all(struct sm_zone *z, void **item, uint32_t n) {
    while (n > 0) {
        EXPECT_OK(sm_zone_free(z, item[--n], NULL));
    }
}

TEST(a_limit_is_rounded_up_to_whole_slabs_and_holds) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item[64];
    uint64_t effective = 0;
    EXPECT_EQ(sm_zone_get_max(z), 0);
    EXPECT_OK(sm_zone_set_max(z, 5, &effective));
    EXPECT_EQ(effective, 6);
    EXPECT_EQ(sm_zone_get_max(z), 6);
    EXPECT_EQ(alloc_all(z, item, 64), 6);
    EXPECT_TRUE(sm_zone_exhausted(z));
    void *more = NULL;
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &more), SM_LIMIT);
    EXPECT_EQ(stats(z).zs_fails, 2); /* alloc_all's last and this one */
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    free_all(z, item, 6);
}

TEST(a_raised_limit_lets_more_in_and_a_lifted_one_everything) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item[64];
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_set_max(z, 2, &effective));
    uint32_t n = alloc_all(z, item, 64);
    EXPECT_EQ(n, 2);
    EXPECT_OK(sm_zone_set_max(z, 4, &effective));
    n += alloc_all(z, item + n, 64 - n);
    EXPECT_EQ(n, 4);
    EXPECT_OK(sm_zone_set_max(z, 0, &effective));
    EXPECT_EQ(effective, 0);
    n += alloc_all(z, item + n, 64 - n);
    EXPECT_EQ(n, 64);
    free_all(z, item, n);
}

TEST(a_limit_below_use_takes_nothing_away_and_holds_once_items_are_back) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item[64];
    uint64_t effective = 0;
    EXPECT_EQ(alloc_all(z, item, 20), 20);
    EXPECT_OK(sm_zone_set_max(z, 4, &effective));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0); /* lowered: no finding of I5 */
    free_all(z, item, 20);
    uint64_t items, slabs;
    EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
    EXPECT_EQ(alloc_all(z, item, 64), 4);
    free_all(z, item, 4);
}

TEST(before_failing_at_the_limit_an_idle_peers_buckets_are_drained) {
    struct sm_arena *b = harness_attach_shared(h, "idle");
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0), *w = harness_open_zone(b, "z");
    void *item[64];
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_set_max(z, 64, &effective));
    uint32_t n = alloc_all(w, item, 64);
    EXPECT_EQ(n, 64);
    free_all(w, item, n); /* some now lie in the idle peer's buckets */
    EXPECT_EQ(alloc_all(z, item, 64), 64);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    free_all(z, item, 64);
}

TEST(a_secondary_zone_shares_the_limit_and_the_caches_of_its_keg) {
    struct sm_zone *z = harness_zone(h->h_arena, "master", 2048, 0), *s = NULL;
    struct sm_zone_params p = {.zp_name = "second", .zp_master = "master"};
    void *item[64];
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &s));
    EXPECT_OK(sm_zone_set_max(z, 32, &effective));
    EXPECT_EQ(alloc_all(z, item, 64), 32);
    free_all(z, item, 32); /* all cached by the master now, as far as its buckets go */
    EXPECT_EQ(alloc_all(s, item, 64), 32);
    free_all(s, item, 32);
    EXPECT_EQ(alloc_all(z, item, 64), 32);
    free_all(z, item, 32);
}

TEST(the_reserve_is_for_those_who_ask_for_it) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item[64], *more = NULL;
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_set_max(z, 16, &effective));
    EXPECT_OK(sm_zone_reserve(z, 4));
    EXPECT_EQ(stats(z).zs_reserve, 4);
    uint32_t n = alloc_all(z, item, 64);
    EXPECT_EQ(n, 12);
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT | SM_M_USE_RESERVE, NULL, 0, &item[n++]));
    }
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT | SM_M_USE_RESERVE, NULL, 0, &more), SM_LIMIT);
    free_all(z, item, n);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
}

static uint32_t events_with(struct sm_arena *a, const char *text) {
    struct sm_event_shm ev;
    uint32_t n = 0;
    for (uint64_t after = 0; sm_event_next(a, after, &ev) == SM_OK; after = ev.ev_seq) {
        n += strstr(ev.ev_text, text) != NULL;
    }
    return n;
}

TEST(the_warning_comes_once_in_its_interval) {
    struct sm_zone *z = harness_zone(h->h_arena, "mbuf", 2048, 0);
    void *item[8], *more = NULL;
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_set_warning(z, "kern.ipc.nmbufs limit reached"));
    EXPECT_OK(sm_zone_set_max(z, 2, &effective));
    EXPECT_EQ(alloc_all(z, item, 8), 2);
    for (int i = 0; i < 10; i++) {
        EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &more), SM_LIMIT);
    }
    EXPECT_EQ(events_with(h->h_arena, "[zone: mbuf] kern.ipc.nmbufs limit reached"), 1);
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_WARN_S, 0));
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &more), SM_LIMIT);
    EXPECT_EQ(events_with(h->h_arena, "[zone: mbuf] kern.ipc.nmbufs limit reached"), 2);
    EXPECT_OK(sm_zone_set_warning(z, NULL));
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &more), SM_LIMIT);
    EXPECT_EQ(events_with(h->h_arena, "[zone: mbuf] kern.ipc.nmbufs limit reached"), 2);
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = 0;
    EXPECT_ERR(sm_zone_set_warning(z, longest), SM_NAME_TOO_LONG);
    free_all(z, item, 2);
}

static int actions;
static int count_action(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)mem, (void)bytes, (void)how, (void)ctx;
    EXPECT_STR_EQ(arg, "z");
    actions++;
    return 0;
}

TEST(the_maxaction_runs_when_the_limit_is_hit) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    struct sm_callback_shm cb = {SM_CB_NATIVE, "t.action"}, unknown = {SM_CB_NATIVE, "t.unknown"};
    void *item[8];
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_register("t.action", count_action));
    EXPECT_ERR(sm_zone_set_maxaction(z, &unknown), SM_UNRESOLVED);
    EXPECT_OK(sm_zone_set_maxaction(z, &cb));
    EXPECT_OK(sm_zone_set_max(z, 2, &effective));
    EXPECT_EQ(alloc_all(z, item, 8), 2);
    EXPECT_EQ(actions, 1);
    EXPECT_OK(sm_zone_set_maxaction(z, NULL));
    EXPECT_EQ(alloc_all(z, item + 2, 1), 0);
    EXPECT_EQ(actions, 1);
    free_all(z, item, 2);
}

TEST(prealloc_makes_slabs_ahead_and_no_more_than_asked) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    EXPECT_OK(sm_zone_prealloc(z, 99));
    EXPECT_EQ(stats(z).zs_slabs, 50);
    EXPECT_EQ(stats(z).zs_keg_free, 100);
    EXPECT_OK(sm_zone_prealloc(z, 99));
    EXPECT_EQ(stats(z).zs_slabs, 50);
    EXPECT_NE(sm_zone_prealloc(z, 1ull << 40), SM_OK); /* more than the arena has: an error, not a hang */
}

/* ---- reclaim */

TEST(reclaim_drain_empties_the_own_buckets_and_the_zones_and_drain_cpu_everybodys) {
    struct sm_arena *b = harness_attach_shared(h, "idle");
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0), *w = harness_open_zone(b, "z");
    void *item[600];
    uint64_t items = 0, slabs = 0, pages = 0;
    EXPECT_EQ(alloc_all(z, item, 600), 600);
    free_all(z, item, 600);
    EXPECT_EQ(alloc_all(w, item, 40), 40);
    free_all(w, item, 40);
    EXPECT_GT(stats(z).zs_cpu_free, 0);
    struct sm_cpu_zone_stats idle;
    EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN, &items, &slabs));
    EXPECT_GT(items, 0);
    EXPECT_EQ(stats(z).zs_bucket_free, 0);
    EXPECT_OK(sm_stats_cpu_zone(h->h_arena, h->h_arena->a_cpu_id, z->z_id, &idle));
    EXPECT_EQ(idle.cz_cached, 0);
    EXPECT_OK(sm_stats_cpu_zone(h->h_arena, b->a_cpu_id, z->z_id, &idle));
    EXPECT_GT(idle.cz_cached, 0);
    EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
    EXPECT_GE(items, idle.cz_cached);
    EXPECT_EQ(stats(z).zs_cpu_free, 0);
    EXPECT_EQ(stats(z).zs_slabs, 0);
    EXPECT_OK(sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages));
    EXPECT_EQ(h->h_arena->a_ctl->ctl_free_pages, 0);
    EXPECT_EQ(h->h_arena->a_ctl->ctl_hole_pages, h->h_arena->a_ctl->ctl_frontier);
    EXPECT_EQ(alloc_all(w, item, 40), 40); /* the drained peer goes on */
    free_all(w, item, 40);
}

TEST(reclaim_trim_keeps_the_working_set) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0);
    void *item[600];
    uint64_t items = 0, slabs = 0;
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_WSS_MS, 10));
    EXPECT_EQ(alloc_all(z, item, 600), 600);
    free_all(z, item, 600);
    int64_t until = sm_os_now_ns() + 11000000;
    HARNESS_UNTIL(sm_os_now_ns() > until);
    uint64_t shelved = stats(z).zs_bucket_free;
    EXPECT_GT(shelved, 0);
    EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_TRIM, &items, &slabs));
    EXPECT_GT(stats(z).zs_wss, 0);
    EXPECT_LE(stats(z).zs_bucket_free, stats(z).zs_wss);
    EXPECT_GT(stats(z).zs_cpu_free, 0); /* the CPU's own buckets are left alone */
    EXPECT_EQ(stats(z).zs_bucket_free + items, shelved);
}

TEST(reclaim_never_takes_the_reserve_or_a_nofree_slab) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 2048, 0),
                   *n = harness_zone(h->h_arena, "n", 2048, SM_ZONE_NOFREE);
    uint64_t items, slabs, live;
    EXPECT_OK(sm_zone_prealloc(z, 20));
    EXPECT_OK(sm_zone_reserve(z, 4));
    EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
    EXPECT_EQ(stats(z).zs_keg_free, 4);
    EXPECT_OK(sm_zone_prealloc(n, 20));
    EXPECT_OK(sm_zone_reclaim(n, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
    EXPECT_EQ(stats(n).zs_keg_free, 20);
    EXPECT_OK(sm_zone_destroy(n, &live));
}

TEST(set_maxcache_bounds_the_full_buckets) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    static void *item[5000];
    EXPECT_OK(sm_zone_set_maxcache(z, 100));
    EXPECT_EQ(alloc_all(z, item, 5000), 5000);
    free_all(z, item, 5000);
    EXPECT_LE(stats(z).zs_bucket_free, 100);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    EXPECT_OK(sm_zone_set_maxcache(z, 0));
    EXPECT_EQ(stats(z).zs_bucket_free, 0);
}

TEST(every_nth_m_nowait_fails_when_the_tunable_says_so) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *item[30];
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_FAIL_RATE, 3));
    uint32_t n = 0, failed = 0;
    for (int i = 0; i < 30; i++) {
        if (sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[n]) == SM_OK) {
            n++;
        } else {
            failed++;
        }
    }
    EXPECT_EQ(failed, 10);
    EXPECT_EQ(stats(z).zs_fails, 10);
    free_all(z, item, n);
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_FAIL_RATE, 0));
}
