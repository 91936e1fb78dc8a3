/* test_race_zone.c - zones under contention, with threads acting as CPUs over one mapping: allocation, free and drain,
 * items that cross CPUs by ticket and by queue, zones that come and go, reclaim and check beside everything.
 * Owns nothing. Made for ThreadSanitizer; runs with real processes too, where it stands.
 */
#include "harness.h"

#include <stdlib.h>

static struct sm_zone_stats stats(struct sm_arena *a, const char *name) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(a, harness_open_zone(a, name)->z_id, &s));
    return s;
}

static void expect_conserved(struct sm_arena *a, const char *name) {
    struct sm_zone_stats s = stats(a, name);
    EXPECT_EQ(s.zs_used, 0);
    EXPECT_EQ(s.zs_allocs, s.zs_frees);
    EXPECT_EQ(s.zs_keg_free + s.zs_bucket_free + s.zs_cpu_free, s.zs_slabs * s.zs_items_per_slab);
}

/* ---- alloc, free, drain */

static int even_ctor(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    (void)arg, (void)how, (void)ctx;
    memset(mem, 0x5a, bytes);
    return 0;
}

static void churn(struct harness_cpu *c) {
    static const char *const names[] = {"plain", "constructed", "second"};
    struct sm_zone *z[3];
    void *item[30];
    uint32_t of[30], n = 0;
    for (int i = 0; i < 3; i++) {
        z[i] = harness_open_zone(c->c_arena, names[i]);
    }
    for (int step = 0; step < 12000; step++) {
        uint64_t dice = harness_below(&c->c_random, 1000), items, slabs, pages;
        if (dice < 3) {
            enum sm_reclaim how = (enum sm_reclaim)harness_below(&c->c_random, 3);
            EXPECT_OK(sm_zone_reclaim(z[harness_below(&c->c_random, 3)], how, &items, &slabs));
        } else if (dice == 3) {
            EXPECT_OK(sm_arena_reclaim(c->c_arena, SM_RECLAIM_DRAIN_CPU, &pages));
        } else if (dice == 4) {
            EXPECT_EQ(harness_findings(c->c_arena, true), 0);
        } else if (n < 30 && (n == 0 || dice < 510)) {
            of[n] = (uint32_t)harness_below(&c->c_random, 3);
            EXPECT_OK(sm_zone_alloc(z[of[n]], SM_M_NOWAIT, NULL, 0, &item[n]));
            memset(item[n], (int)c->c_index, 200);
            n++;
        } else {
            uint32_t i = (uint32_t)harness_below(&c->c_random, n);
            EXPECT_EQ(*(uint8_t *)item[i], c->c_index);
            EXPECT_EQ(((uint8_t *)item[i])[199], c->c_index);
            EXPECT_OK(sm_zone_free(z[of[i]], item[i], NULL));
            item[i] = item[--n];
            of[i] = of[n];
        }
    }
    while (n > 0) {
        n--;
        EXPECT_OK(sm_zone_free(z[of[n]], item[n], NULL));
    }
}

static void churn_zones(struct harness *h) {
    struct sm_zone_params p = {.zp_name = "constructed", .zp_bytes = 300, .zp_cb = {{SM_CB_NATIVE, "t.even"}}};
    struct sm_zone_params q = {.zp_name = "second", .zp_master = "plain"};
    struct sm_zone *z;
    strcpy(q.zp_cb[SM_CB_INIT].cb_name, "t.even");
    q.zp_cb[SM_CB_INIT].cb_kind = SM_CB_NATIVE;
    EXPECT_OK(sm_zone_register("t.even", even_ctor));
    (void)harness_zone(h->h_arena, "plain", 256, 0);
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    EXPECT_OK(sm_zone_create(h->h_arena, &q, &z));
}

static void expect_all_conserved(struct harness *h) {
    uint64_t pages;
    EXPECT_OK(sm_arena_reclaim(h->h_arena, SM_RECLAIM_DRAIN_CPU, &pages));
    expect_conserved(h->h_arena, "constructed");
    struct sm_zone_stats plain = stats(h->h_arena, "plain"), second = stats(h->h_arena, "second");
    EXPECT_EQ(plain.zs_used + second.zs_used, 0);
    EXPECT_EQ(plain.zs_slabs, 0);
}

TEST(threads_that_allocate_free_and_drain_lose_nothing) {
    churn_zones(h);
    harness_run_threads(h, 3, churn, NULL);
    expect_all_conserved(h);
}

TEST(processes_that_allocate_free_and_drain_lose_nothing) {
    churn_zones(h);
    harness_run_processes(h, 3, churn, NULL);
    expect_all_conserved(h);
}

/* ---- allocate here, free there */

static void pass_on(struct harness_cpu *c) {
    struct sm_queue *q = NULL;
    struct sm_zone *z = harness_open_zone(c->c_arena, "z"), *w = NULL;
    void *item = NULL;
    EXPECT_OK(sm_queue_open(c->c_arena, "q", 0, &q));
    for (uint64_t n = 0; n < 8000; n++) {
        if (c->c_index % 2 == 0) {
            EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item));
            ((uint64_t *)item)[0] = n;
            ((uint64_t *)item)[1] = ~n;
            EXPECT_OK(sm_queue_put(q, z, item, -1));
        } else {
            EXPECT_OK(sm_queue_get(q, -1, &w, &item));
            EXPECT_EQ(((uint64_t *)item)[0], ~((uint64_t *)item)[1]);
            EXPECT_OK(sm_zone_free(w, item, NULL));
        }
    }
    sm_queue_close(q);
}

static void cross(struct harness *h, void (*run)(struct harness *, uint32_t, harness_cpu_fn, void *), uint64_t limit) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 256, 0);
    struct sm_queue *q = NULL;
    uint64_t effective;
    EXPECT_OK(sm_zone_set_max(z, limit, &effective));
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 16, &q));
    run(h, 4, pass_on, NULL);
    EXPECT_EQ(sm_queue_length(q), 0);
    sm_queue_close(q);
    expect_conserved(h->h_arena, "z");
}

TEST(items_that_cross_threads_by_queue_are_freed_where_they_arrive) {
    cross(h, harness_run_threads, 0);
}

TEST(items_that_cross_threads_at_a_limit_never_lock_up) {
    cross(h, harness_run_threads, 32);
}

TEST(items_that_cross_processes_by_queue_are_freed_where_they_arrive) {
    cross(h, harness_run_processes, 64);
}

struct mailbox {
    struct sm_handle m_handle;
    uint64_t m_full; /* atomic */
};

static void adopt_race(struct harness_cpu *c) {
    struct mailbox *m = c->c_ctx;
    struct sm_zone *z = harness_open_zone(c->c_arena, "z"), *w = NULL;
    for (uint32_t round = 0; round < 600; round++) {
        void *item = NULL;
        if (c->c_index == 0) {
            EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
            *(uint32_t *)item = round;
            EXPECT_OK(sm_zone_ticket(z, item, &m->m_handle));
        }
        pthread_barrier_wait(c->c_barrier);
        if (sm_zone_adopt(c->c_arena, m->m_handle, &w, &item) == SM_OK) { /* all at once: one may have it */
            EXPECT_EQ(*(uint32_t *)item, round);
            sm_add_rlx(&m->m_full, 1);
            EXPECT_OK(sm_zone_free(w, item, NULL));
        }
        pthread_barrier_wait(c->c_barrier);
    }
}

TEST(a_ticket_that_all_adopt_at_once_goes_to_exactly_one) {
    struct mailbox m = {.m_full = 0};
    (void)harness_zone(h->h_arena, "z", 64, 0);
    harness_run_threads(h, 3, adopt_race, &m);
    EXPECT_EQ(m.m_full, 600);
    expect_conserved(h->h_arena, "z");
}

/* ---- zones that come and go */

static void come_and_go(struct harness_cpu *c) {
    for (int round = 0; round < 400; round++) {
        bool second = harness_below(&c->c_random, 2);
        struct sm_zone_params p = {
            .zp_name = second ? "second" : "fleeting", .zp_bytes = 512, .zp_master = second ? "base" : NULL};
        struct sm_zone *z = NULL;
        void *item[20];
        uint32_t n = 0;
        uint64_t live;
        enum sm_err err = sm_zone_create(c->c_arena, &p, &z);
        if (err == SM_EXISTS) {
            err = sm_zone_open(c->c_arena, p.zp_name, NULL, &z);
        }
        if (err != SM_OK) {
            EXPECT(err == SM_NOT_FOUND || err == SM_GONE, "opening gave %s", sm_err_name(err));
            continue;
        }
        while (n < 20 && (err = sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[n])) == SM_OK) {
            memset(item[n++], 1, 512);
        }
        EXPECT(err == SM_OK || err == SM_GONE, "allocating gave %s", sm_err_name(err));
        while (n > 0) { /* a zone with items out cannot go */
            EXPECT_OK(sm_zone_free(z, item[--n], NULL));
        }
        err = sm_zone_destroy(z, &live);
        EXPECT(err == SM_OK || err == SM_BUSY || err == SM_GONE, "destroying gave %s", sm_err_name(err));
    }
}

static void end_fleeting(struct harness *h) {
    static const char *const names[] = {"second", "fleeting"};
    for (int i = 0; i < 2; i++) {
        struct sm_zone *z = NULL;
        uint64_t live;
        if (sm_zone_open(h->h_arena, names[i], NULL, &z) == SM_OK) {
            EXPECT_OK(sm_zone_destroy(z, &live));
        }
    }
}

TEST(zones_that_threads_create_use_and_destroy_leave_nothing) {
    (void)harness_zone(h->h_arena, "base", 512, 0);
    harness_run_threads(h, 3, come_and_go, NULL);
    end_fleeting(h);
    EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_CACHED], 0);
}

TEST(zones_that_processes_create_use_and_destroy_leave_nothing) {
    (void)harness_zone(h->h_arena, "base", 512, 0);
    harness_run_processes(h, 3, come_and_go, NULL);
    end_fleeting(h);
    EXPECT_EQ(harness_census(h->h_arena).hc_kind[SM_CACHED], 0);
}

/* ---- processes that come and go while others work */

static void attach_and_leave(struct harness_cpu *c) {
    for (int round = 0; round < 60; round++) {
        struct sm_arena *a = harness_attach_shared(c->c_harness, "fleeting");
        struct sm_zone *z = harness_open_zone(a, "z");
        void *item[10], *mine = NULL;
        uint32_t n = 0;
        EXPECT_OK(sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 10, item, &n));
        EXPECT_OK(sm_zone_free_bulk(z, 5, item, &n)); /* the other five leave with it */
        harness_close(c->c_harness, a);
        struct sm_zone *own = harness_open_zone(c->c_arena, "z");
        EXPECT_OK(sm_zone_alloc(own, SM_M_NOWAIT, NULL, 0, &mine));
        EXPECT_OK(sm_zone_free(own, mine, NULL));
    }
}

TEST(cpus_that_attach_and_leave_beside_each_other_leave_nothing) {
    (void)harness_zone(h->h_arena, "z", 64, 0);
    harness_run_threads(h, 3, attach_and_leave, NULL);
    expect_conserved(h->h_arena, "z");
    EXPECT_EQ(h->h_arena->a_ctl->ctl_attached, 1);
}
