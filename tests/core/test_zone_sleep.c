/* test_zone_sleep.c - sleeping at a limit with threads acting as CPUs: nobody is forgotten, defect (e), timeouts, raised
 * limits, interruption. Runs under ThreadSanitizer too.
 * Owns nothing.
 */
#include "harness.h"

#include <stdlib.h>

#include "core/quiesce.h"

static struct sm_zone_stats stats(struct sm_zone *z) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(z->z_arena, z->z_id, &s));
    return s;
}

struct crowd {
    uint32_t c_rounds;
    uint32_t c_hold; /* items each takes before it frees them */
    uint32_t c_done; /* atomic */
};

static void squeeze(struct harness_cpu *c) {
    struct crowd *crowd = c->c_ctx;
    struct sm_zone *z = harness_open_zone(c->c_arena, "narrow");
    void *item[4];
    for (uint32_t round = 0; round < crowd->c_rounds; round++) {
        uint32_t n = 1 + (uint32_t)harness_below(&c->c_random, crowd->c_hold);
        for (uint32_t i = 0; i < n; i++) {
            EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item[i]));
            EXPECT(__atomic_exchange_n((uint32_t *)item[i], c->c_index + 1, __ATOMIC_RELAXED) == 0,
                   "an item went out twice");
        }
        for (uint32_t i = 0; i < n; i++) {
            __atomic_store_n((uint32_t *)item[i], 0, __ATOMIC_RELAXED);
            EXPECT_OK(sm_zone_free(z, item[i], NULL));
        }
    }
    sm_add_rlx(&crowd->c_done, 1);
}

static void run_crowd(struct harness *h, uint32_t cpus, uint32_t items, uint32_t hold, uint32_t rounds) {
    struct sm_zone_params p = {.zp_name = "narrow", .zp_bytes = 4096, .zp_flags = SM_ZONE_ZINIT};
    struct sm_zone *z = NULL;
    struct crowd crowd = {rounds, hold, 0};
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_set_max(z, items, &effective));
    EXPECT_EQ(effective, items);
    harness_run_threads(h, cpus, squeeze, &crowd);
    EXPECT_EQ(crowd.c_done, cpus);
    EXPECT_EQ(z->z_keg->k_waiters, 0);
    EXPECT_EQ(stats(z).zs_used, 0);
}

TEST(everybody_gets_through_one_item) {
    run_crowd(h, 4, 1, 1, 150);
}

TEST(everybody_gets_through_three_items) {
    run_crowd(h, 6, 3, 1, 200);
}

TEST(those_who_take_two_of_eight_never_wait_for_ever) {
    run_crowd(h, 4, 8, 2, 200); /* 4 x 2: enough for all, whoever caches what */
}

static void squeeze_processes(struct harness_cpu *c) {
    squeeze(c);
}

TEST(processes_get_through_two_items) {
    struct sm_zone_params p = {.zp_name = "narrow", .zp_bytes = 4096, .zp_flags = SM_ZONE_ZINIT};
    struct sm_zone *z = NULL;
    struct crowd crowd = {100, 1, 0};
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_set_max(z, 2, &effective));
    harness_run_processes(h, 4, squeeze_processes, &crowd);
    EXPECT_EQ(z->z_keg->k_waiters, 0);
    EXPECT_EQ(stats(z).zs_used, 0);
}

struct sleeper {
    struct sm_arena *s_arena;
    pthread_t s_thread;
    enum sm_err s_err;
    int64_t s_timeout_ns;
    void *s_item;
};

static void *sleep_for_an_item(void *arg) {
    struct sleeper *s = arg;
    struct sm_zone *z = harness_open_zone(s->s_arena, "z");
    s->s_err = sm_zone_alloc(z, SM_M_WAITOK, NULL, s->s_timeout_ns, &s->s_item);
    if (s->s_err == SM_OK) {
        EXPECT_OK(sm_zone_free(z, s->s_item, NULL));
    }
    return NULL;
}

static void put_to_sleep(struct harness *h, struct sleeper *s, uint32_t n, int64_t timeout_ns, struct sm_zone *z) {
    for (uint32_t i = 0; i < n; i++) {
        s[i] = (struct sleeper){.s_arena = harness_attach_shared(h, "sleeper"), .s_timeout_ns = timeout_ns};
        EXPECT_EQ(pthread_create(&s[i].s_thread, NULL, sleep_for_an_item, &s[i]), 0);
    }
    if (timeout_ns < 0) { /* with a timeout they may be gone again */
        HARNESS_UNTIL(sm_load_rlx(&z->z_keg->k_waiters) == n);
    }
}

static void wake_up(struct sleeper *s, uint32_t n, enum sm_err expected) {
    for (uint32_t i = 0; i < n; i++) {
        EXPECT_EQ(pthread_join(s[i].s_thread, NULL), 0);
        EXPECT_EQ(s[i].s_err, expected);
    }
}

/* A zone of one-item slabs with its limit taken up. */
static struct sm_zone *full_zone(struct harness *h, uint32_t limit, void **item) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 4096, 0);
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_set_max(z, limit, &effective));
    for (uint32_t i = 0; i < limit; i++) {
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[i]));
    }
    return z;
}

TEST(one_free_wakes_a_sleeper_and_each_sleeper_passes_it_on) {
    void *item[1];
    struct sleeper s[4];
    struct sm_zone *z = full_zone(h, 1, item);
    put_to_sleep(h, s, 4, -1, z);
    EXPECT_EQ(stats(z).zs_waiters, 4);
    EXPECT_EQ(harness_findings(h->h_arena, true), 0); /* I14 with sleepers */
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
    wake_up(s, 4, SM_OK);
    EXPECT_EQ(stats(z).zs_waiters, 0);
    EXPECT_EQ(stats(z).zs_sleeps, 4);
    EXPECT_EQ(stats(z).zs_fails, 0);
}

TEST(defect_e_as_many_frees_as_sleepers_wake_them_all) {
    void *item[4];
    struct sleeper s[4];
    struct sm_zone *z = full_zone(h, 4, item);
    put_to_sleep(h, s, 4, -1, z);
    for (int i = 0; i < 4; i++) {
        EXPECT_OK(sm_zone_free(z, item[i], NULL));
    }
    wake_up(s, 4, SM_OK);
}

TEST(raising_the_limit_wakes_all) {
    void *item[1];
    struct sleeper s[3];
    uint64_t effective = 0;
    struct sm_zone *z = full_zone(h, 1, item);
    put_to_sleep(h, s, 3, -1, z);
    EXPECT_OK(sm_zone_set_max(z, 4, &effective)); /* nothing is freed: room for all three at once */
    wake_up(s, 3, SM_OK);
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
}

TEST(lifting_the_limit_wakes_all) {
    void *item[1];
    struct sleeper s[3];
    uint64_t effective = 0;
    struct sm_zone *z = full_zone(h, 1, item);
    put_to_sleep(h, s, 3, -1, z);
    EXPECT_OK(sm_zone_set_max(z, 0, &effective));
    wake_up(s, 3, SM_OK);
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
}

TEST(a_timeout_ends_the_sleep_and_is_one_fail) {
    void *item[1];
    struct sleeper s[2];
    struct sm_zone *z = full_zone(h, 1, item);
    put_to_sleep(h, s, 2, 20000000, z);
    wake_up(s, 2, SM_LIMIT);
    EXPECT_EQ(stats(z).zs_waiters, 0);
    EXPECT_EQ(stats(z).zs_fails, 2);
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
}

TEST(a_timeout_of_zero_fails_at_once) {
    void *item[1], *more = NULL;
    struct sm_zone *z = full_zone(h, 1, item);
    EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, 0, &more), SM_LIMIT);
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
}

TEST(while_somebody_sleeps_frees_bypass_the_buckets_of_others) {
    void *item[8];
    struct sleeper s[1];
    struct sm_zone *z = full_zone(h, 8, item);
    EXPECT_OK(sm_zone_free(z, item[7], NULL)); /* cached here */
    s[0] = (struct sleeper){.s_arena = harness_attach_shared(h, "sleeper"), .s_timeout_ns = -1};
    EXPECT_EQ(pthread_create(&s[0].s_thread, NULL, sleep_for_an_item, &s[0]), 0);
    wake_up(s, 1, SM_OK); /* it drained our bucket instead of sleeping for ever */
    for (int i = 0; i < 7; i++) {
        EXPECT_OK(sm_zone_free(z, item[i], NULL));
    }
}

static int interrupt(void *ctx, void *token) {
    (void)ctx, (void)token;
    return 1;
}

TEST(an_interrupted_wait_ends_with_interrupted) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 4096, 0), *w = NULL;
    struct sm_runtime rt = {.rt_block_end = interrupt};
    struct sm_arena *b = NULL;
    void *item = NULL, *more = NULL;
    uint64_t effective = 0;
    EXPECT_OK(sm_zone_set_max(z, 1, &effective));
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_arena_attach(h->h_fd, true, &rt, "b", &b));
    EXPECT_OK(sm_zone_open(b, "z", NULL, &w));
    EXPECT_ERR(sm_zone_alloc(w, SM_M_WAITOK, NULL, 1000000, &more), SM_INTERRUPTED);
    EXPECT_EQ(z->z_keg->k_waiters, 0);
    sm_arena_close(b);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(the_nosleep_tunable_turns_waiting_into_failing) {
    void *item[1], *more = NULL;
    struct sm_zone *z = full_zone(h, 1, item);
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_NOSLEEP, 1));
    EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &more), SM_LIMIT);
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_NOSLEEP, 0));
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
}

static void sleep_and_be_killed(struct harness *h, void *ctx) {
    struct sm_zone *z = harness_open_zone(harness_attach(h, "doomed"), "z");
    void *item = NULL;
    (void)ctx;
    (void)sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item);
}

TEST(a_sleeper_that_is_killed_keeps_nobody_else_from_sleeping_and_waking) {
    void *item[1];
    struct sleeper s[2];
    struct sm_zone *z = full_zone(h, 1, item);
    pid_t child = harness_fork(h, sleep_and_be_killed, NULL);
    HARNESS_UNTIL(sm_load_rlx(&z->z_keg->k_waiters) == 1);
    harness_kill(h, child);
    for (int i = 0; i < 2; i++) {
        s[i] = (struct sleeper){.s_arena = harness_attach_shared(h, "sleeper"), .s_timeout_ns = -1};
        EXPECT_EQ(pthread_create(&s[i].s_thread, NULL, sleep_for_an_item, &s[i]), 0);
    }
    HARNESS_UNTIL(sm_load_rlx(&h->h_arena->a_kegs[z->z_keg_id].k_waiters) >= 2);
    EXPECT_OK(sm_zone_free(z, item[0], NULL));
    wake_up(s, 2, SM_OK);
}
