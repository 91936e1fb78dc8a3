/* test_stalled.c - a live peer that does not give a lock: whatever is given back meanwhile is given back, and the next to
 * take the lock has rebuilt what it protects. Each lock of each operation is refused in turn, until none is left.
 */
#include "harness.h"

#include "core/keg.h"
#include "core/quiesce.h"

static struct {
    uint64_t r_from, r_to, r_seen; /* locks from the r_from-th to the r_to-th are refused */
    bool r_on;
} refusals;

static enum sm_err refuse(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    (void)ctx, (void)zone, (void)bytes, (void)flags;
    if (!refusals.r_on || point != SM_FP_LOCK) {
        return SM_OK;
    }
    uint64_t n = ++refusals.r_seen;
    return n >= refusals.r_from && n <= refusals.r_to ? SM_STALLED : SM_OK;
}

static int callback_calls[4];
static int counted(int which) {
    callback_calls[which]++;
    return 0;
}
#define COUNTED(name, which)                                                                                           \
    static int name(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {                                        \
        (void)mem, (void)bytes, (void)arg, (void)how, (void)ctx;                                                       \
        return counted(which);                                                                                         \
    }
COUNTED(init, 0)
COUNTED(fini, 1)
COUNTED(ctor, 2)
COUNTED(dtor, 3)

static struct sm_zone *made(struct harness *h, bool second) {
    struct sm_zone_params p = {
        .zp_name = "primary",
        .zp_bytes = 700,
        .zp_cb = {
            {SM_CB_NATIVE, "s.ctor"}, {SM_CB_NATIVE, "s.dtor"}, {SM_CB_NATIVE, "s.init"}, {SM_CB_NATIVE, "s.fini"}}};
    struct sm_zone *z = NULL;
    const struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_fault = refuse};
    EXPECT_OK(sm_zone_register("s.ctor", ctor));
    EXPECT_OK(sm_zone_register("s.dtor", dtor));
    EXPECT_OK(sm_zone_register("s.init", init));
    EXPECT_OK(sm_zone_register("s.fini", fini));
    if (second) {
        (void)harness_zone(h->h_arena, "plain", 700, 0);
        p.zp_name = "second";
        p.zp_master = "plain";
        p.zp_bytes = 0;
    }
    EXPECT_OK(sm_zone_create(h->h_arena, &p, &z));
    sm_arena_set_hooks(h->h_arena, &hooks);
    return z;
}

typedef void (*work)(struct sm_zone *z);

static void take_and_free(struct sm_zone *z) {
    void *item[7];
    uint32_t got = 0;
    (void)sm_zone_alloc_bulk(z, SM_M_NOWAIT, 0, 7, item, &got);
    while (got-- > 0) {
        EXPECT_OK(sm_zone_free(z, item[got], NULL)); /* a free is never refused */
    }
}

static void reclaim(struct sm_zone *z) {
    uint64_t items, slabs;
    take_and_free(z);
    (void)sm_zone_reclaim(z, SM_RECLAIM_DRAIN, &items, &slabs);
}

/* With the n-th lock refused, and with all from the n-th on, until there is no n-th: nothing is out, nothing is missing. */
static void refuse_each(struct harness *h, struct sm_zone *z, work w) {
    for (int forever = 0; forever < 2; forever++) {
        uint64_t n = 0;
        do {
            refusals.r_from = ++n;
            refusals.r_to = forever ? UINT64_MAX : n;
            refusals.r_seen = 0;
            refusals.r_on = true;
            w(z);
            refusals.r_on = false;
            uint64_t items, slabs;
            struct sm_zone_stats s;
            EXPECT_OK(sm_reap(h->h_arena, NULL));
            EXPECT_EQ(harness_findings(h->h_arena, true), 0);
            EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
            EXPECT_OK(sm_stats_zone(h->h_arena, z->z_id, &s));
            EXPECT_EQ(s.zs_used, 0);
            EXPECT_EQ(s.zs_slabs, 0);
            EXPECT_EQ(callback_calls[0], callback_calls[1]);
            EXPECT_EQ(callback_calls[2], callback_calls[3]);
        } while (refusals.r_seen >= n);
        EXPECT_TRUE(n > 3);
    }
}

TEST(a_refused_lock_leaves_no_item_and_no_page_behind) {
    refuse_each(h, made(h, false), take_and_free);
}

TEST(a_refused_lock_leaves_no_item_of_a_secondary_zone_behind) {
    refuse_each(h, made(h, true), take_and_free);
}

TEST(a_reclaim_that_is_refused_a_lock_loses_no_page) {
    refuse_each(h, made(h, false), reclaim);
    refuse_each(h, made(h, true), reclaim);
}

/* A run of pages is a slab of its own: its free takes the keg lock, and the page lock. */
TEST(a_free_of_a_run_of_pages_is_never_refused) {
    uint32_t type = 0;
    const struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_fault = refuse};
    struct sm_zone *z = NULL;
    EXPECT_OK(sm_malloc_type(h->h_arena, "runs", &type));
    sm_arena_set_hooks(h->h_arena, &hooks);
    for (int forever = 0; forever < 2; forever++) {
        uint64_t n = 0;
        do {
            void *run[3];
            for (int i = 0; i < 3; i++) {
                EXPECT_OK(sm_malloc(h->h_arena, 100000, type, SM_M_NOWAIT, 0, &z, &run[i]));
            }
            refusals.r_from = ++n;
            refusals.r_to = forever ? UINT64_MAX : n;
            refusals.r_seen = 0;
            refusals.r_on = true;
            for (int i = 0; i < 3; i++) {
                EXPECT_OK(sm_malloc_free(h->h_arena, run[i]));
                EXPECT_ERR(sm_malloc_free(h->h_arena, run[i]), SM_NOT_OURS); /* from now on there is no such item */
            }
            refusals.r_on = false;
            struct sm_zone_stats s;
            EXPECT_OK(sm_reap(h->h_arena, NULL));
            EXPECT_EQ(harness_findings(h->h_arena, true), 0);
            EXPECT_OK(sm_stats_zone(h->h_arena, z->z_id, &s));
            EXPECT_EQ(s.zs_used, 0);
            EXPECT_EQ(s.zs_slabs, 0);
        } while (refusals.r_seen >= n);
        EXPECT_TRUE(n > 2);
    }
}

TEST(what_was_spoiled_is_rebuilt_without_waiting_for_a_death) {
    struct sm_zone *z = made(h, false);
    take_and_free(z);
    struct sm_reap_report report;
    EXPECT_OK(sm_op_enter(h->h_arena, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    sm_keg_spoil(h->h_arena, z->z_keg_id);
    sm_op_leave(h->h_arena);
    struct sm_core_lock_stats l;
    EXPECT_OK(sm_stats_core_lock(h->h_arena, 3 + z->z_keg_id, &l));
    EXPECT_TRUE(l.cl_dirty);
    EXPECT_EQ(l.cl_cpu, SM_CPU_NONE);
    EXPECT_OK(sm_reap(h->h_arena, &report));
    EXPECT_EQ(report.rr_cpus, 0);
    EXPECT_TRUE(report.rr_stopped_ns > 0);
    EXPECT_ERR(sm_stats_core_lock(h->h_arena, 3 + z->z_keg_id, &l), SM_EMPTY);
}

/* A limit that is refused again and again although there is room: the wait ends in time. */
static enum sm_err no_room(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    (void)ctx, (void)zone, (void)bytes, (void)flags;
    return point == SM_FP_LIMIT ? SM_LIMIT : SM_OK;
}

static int rooms_refused, waits; /* of the test that runs: each has a process of its own */

static enum sm_err no_room_at_first(void *ctx, enum sm_fault_point point, const char *zone, uint64_t bytes, int flags) {
    (void)ctx, (void)zone, (void)bytes, (void)flags;
    return point == SM_FP_LIMIT && rooms_refused-- > 0 ? SM_LIMIT : SM_OK;
}

static void *count_wait(void *ctx) {
    (void)ctx;
    waits++;
    return NULL;
}

/* Else the caller's other threads, who are let run in waits alone, could not take the fault away. */
TEST(a_limit_that_is_refused_again_although_there_is_room_is_slept_at_and_looked_at_again) {
    struct sm_zone *z = harness_zone(h->h_arena, "limited", 256, 0);
    void *item = NULL;
    const struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_fault = no_room_at_first};
    sm_arena_set_hooks(h->h_arena, &hooks);
    h->h_arena->a_runtime.rt_block_begin = count_wait;
    rooms_refused = 5;
    int64_t began = sm_os_now_ns();
    EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, &item));
    EXPECT_GE(sm_os_now_ns() - began, 3 * 20000000ll);
    h->h_arena->a_runtime.rt_block_begin = NULL;
    EXPECT_GE(waits, 3); /* the first two refusals are looked at again at once */
    EXPECT_EQ(z->z_keg->k_waiters, 0);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(room_that_is_never_had_is_not_waited_for_beyond_the_time) {
    struct sm_zone *z = harness_zone(h->h_arena, "limited", 256, 0);
    uint64_t most;
    void *item = NULL;
    EXPECT_OK(sm_zone_set_max(z, 64, &most));
    const struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_fault = no_room};
    sm_arena_set_hooks(h->h_arena, &hooks);
    EXPECT_ERR(sm_zone_alloc(z, SM_M_WAITOK, NULL, 5000000, &item), SM_LIMIT);
}
