/* test_queue_death.c - what a producer or a consumer killed between two steps leaves, and who finds it. */
#include "queue_fixture.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- death */

struct victim {
    uint32_t step; /* die at the first crash point with this number */
    bool putting;
};

static void die_at(void *ctx, uint32_t step) {
    if (step == ((struct victim *)ctx)->step) {
        kill(getpid(), SIGKILL);
    }
}

static void victim_child(struct harness *h, void *ctx) {
    struct victim *v = ctx;
    struct sm_arena *a = harness_attach(h, "victim");
    struct sm_queue *q = open_queue(a, "q");
    struct sm_zone *z = harness_open_zone(a, "frame");
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_CRASH, .h_ctx = v, .h_crash = die_at};
    void *item = v->putting ? alloc_item(z) : NULL;
    sm_arena_set_hooks(a, &hooks);
    if (v->putting) {
        EXPECT_OK(sm_queue_put(q, z, item, 0));
    } else {
        EXPECT_OK(sm_queue_get(q, 0, &z, &item));
    }
    sm_arena_set_hooks(a, NULL);
    pause();
}

/* One step: what the dead process leaves in the words and in the ring is what queue_ring.c says, and the next call that
 * would wait for it puts it right. kept: the item is, or is again, in the queue. */
static void crash_step(struct harness *h, bool putting, uint32_t step, enum sm_kind kind, bool placed, bool kept) {
    struct victim v = {.step = step, .putting = putting};
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 4);
    void *got;
    if (!putting) {
        EXPECT_OK(sm_queue_put(q, z, alloc_item(z), 0));
    }
    pid_t child = harness_fork(h, victim_child, &v);
    siginfo_t end;
    EXPECT_EQ(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    EXPECT_TRUE(end.si_code == CLD_KILLED && end.si_status == SIGKILL);
    harness_kill(h, child);

    struct harness_census c = harness_census_zone(h->h_arena, z->z_id);
    EXPECT_EQ(c.hc_kind[kind], 1);
    EXPECT_EQ(c.hc_kind[SM_HELD] + c.hc_kind[SM_QUEUED], 1); /* neither in two places nor in none */
    const struct sm_queue_shm *s = sm_queue_shared(q);
    const struct sm_place_shm *place = sm_at(h->h_arena, s->q_ring);
    EXPECT_EQ(placed, place->pl_turn == 1 && place->pl_item != 0);
    uint64_t op = 0;
    uint32_t victim = 0;
    for (uint32_t i = 0; i < 16 && op == 0; i++) {
        op = h->h_arena->a_cpus[i].cpu_op;
        victim = i;
    }
    EXPECT_EQ(SM_OP_OF(op), putting ? SM_OP_PUT : SM_OP_GET);
    EXPECT_EQ(SM_OP_ID(op), 0);
    EXPECT_EQ(h->h_arena->a_cpus[victim].cpu_op_arg, 0);

    if (putting && s->q_tail != 0) {
        EXPECT_ERR(sm_queue_destroy(q), SM_BUSY); /* a hole is not empty */
    }
    if (kept) {
        EXPECT_OK(sm_queue_get(q, -1, &zone, &got));
        EXPECT_EQ(SM_ST_CPU(word_of(zone, got)), h->h_arena->a_cpu_id);
        EXPECT_OK(sm_zone_free(zone, got, NULL));
    }
    EXPECT_ERR(sm_queue_get(q, 20000000, &zone, &got), SM_TIMEOUT); /* and it was there once */
    c = harness_census_zone(h->h_arena, z->z_id);
    EXPECT_EQ(c.hc_kind[SM_HELD] + c.hc_kind[SM_QUEUED], 0);
    EXPECT_EQ(h->h_arena->a_cpus[victim].cpu_state, SM_CPU_FREE);
    EXPECT_OK(sm_queue_put(q, z, alloc_item(z), 0)); /* the ring works on */
    EXPECT_OK(sm_queue_get(q, 0, &zone, &got));
    EXPECT_OK(sm_zone_free(zone, got, NULL));
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}

TEST(killed_after_checking_an_item_to_put_still_holds_it) {
    crash_step(h, true, 0x500, SM_HELD, false, false);
}
TEST(killed_after_claiming_a_place_leaves_a_hole_and_holds_the_item) {
    crash_step(h, true, 0x501, SM_HELD, false, false);
}
TEST(killed_after_queueing_leaves_a_hole_and_a_queued_item) {
    crash_step(h, true, 0x502, SM_QUEUED, false, true);
}
TEST(killed_after_naming_leaves_a_hole_and_a_queued_item) {
    crash_step(h, true, 0x503, SM_QUEUED, false, true);
}
TEST(killed_after_placing_has_put_the_item) {
    crash_step(h, true, 0x504, SM_QUEUED, true, true);
}
TEST(killed_before_claiming_from_a_queue_leaves_the_item_there) {
    crash_step(h, false, 0x510, SM_QUEUED, true, true);
}
TEST(killed_after_claiming_from_a_queue_leaves_the_item_queued_and_placed) {
    crash_step(h, false, 0x511, SM_QUEUED, true, true);
}
TEST(killed_after_taking_leaves_the_item_held_and_placed_and_it_is_put_back) {
    crash_step(h, false, 0x512, SM_HELD, true, true);
}
TEST(killed_after_releasing_the_place_has_taken_the_item_with_it) {
    crash_step(h, false, 0x513, SM_HELD, false, false);
}

/* A try that meets a hole closes it. */
TEST(hole_of_a_dead_producer_hides_no_item_from_a_call_that_does_not_wait) {
    struct victim v = {.step = 0x501, .putting = true};
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 4);
    pid_t child = harness_fork(h, victim_child, &v);
    siginfo_t end;
    EXPECT_EQ(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    harness_kill(h, child);
    void *item = alloc_item(z), *got;
    EXPECT_OK(sm_queue_put(q, z, item, 0)); /* behind the hole */
    EXPECT_OK(sm_queue_get(q, 0, &zone, &got));
    EXPECT_TRUE(got == item);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
}

static void sleeping_child(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "sleeper");
    struct sm_queue *q = open_queue(a, "q");
    struct sm_zone *z;
    void *item;
    EXPECT_OK(sm_queue_get(q, -1, &z, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
}

TEST(waiter_counts_are_right_again_after_a_sleeper_was_killed) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 4);
    void *got;
    pid_t dies = harness_fork(h, sleeping_child, NULL), lives = harness_fork(h, sleeping_child, NULL);
    HARNESS_UNTIL(sm_load_acq(&sm_queue_shared(q)->q_item_waiters) == 2);
    harness_kill(h, dies);
    EXPECT_EQ(sm_load_acq(&sm_queue_shared(q)->q_item_waiters), 2);
    EXPECT_ERR(sm_queue_get(q, 300000000, &zone, &got), SM_TIMEOUT); /* long enough to sleep: reaps before */
    EXPECT_EQ(sm_load_acq(&sm_queue_shared(q)->q_item_waiters), 1);
    EXPECT_OK(sm_queue_put(q, z, alloc_item(z), 0));
    harness_join(h, lives);
    EXPECT_EQ(sm_load_acq(&sm_queue_shared(q)->q_item_waiters), 0);
    sm_queue_close(q);
}

static void put_and_wait(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "sender");
    struct sm_queue *q = open_queue(a, "q");
    struct sm_zone *z = harness_open_zone(a, "frame");
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t *item = alloc_item(z);
        *item = i;
        EXPECT_OK(sm_queue_put(q, z, item, 0));
    }
    harness_gate_post(ctx);
    pause();
}

TEST(contents_outlive_the_process_that_put_them) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0);
    struct sm_queue *q = make_queue(h->h_arena, "q", 8);
    struct harness_gate gate;
    harness_gate_init(h, &gate);
    pid_t child = harness_fork(h, put_and_wait, &gate);
    harness_gate_wait(&gate);
    harness_kill(h, child);
    EXPECT_EQ(sm_queue_length(q), 5);
    for (uint32_t i = 0; i < 5; i++) {
        void *item;
        EXPECT_OK(sm_queue_get(q, 0, &z, &item));
        EXPECT_EQ(*(uint32_t *)item, i);
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
    sm_queue_close(q);
}
