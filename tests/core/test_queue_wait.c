/* test_queue_wait.c - waiting at a full or an empty queue: deadlines, wake-ups, the end of a wait. */
#include "queue_fixture.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- waiting */

TEST(timeout_ends_a_wait_not_earlier_than_asked) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 1);
    void *item = alloc_item(z), *second = alloc_item(z), *got;
    const int64_t waits[] = {1, 1000, 20000, 300000, 5000000, 130000000};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        int64_t start = sm_os_now_ns();
        EXPECT_ERR(sm_queue_get(q, waits[i], &zone, &got), SM_TIMEOUT);
        EXPECT_GE(sm_os_now_ns() - start, waits[i]);
    }
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        int64_t start = sm_os_now_ns();
        EXPECT_ERR(sm_queue_put(q, z, second, waits[i]), SM_TIMEOUT);
        EXPECT_GE(sm_os_now_ns() - start, waits[i]);
    }
    EXPECT_EQ(sm_queue_shared(q)->q_item_waiters, 0);
    EXPECT_EQ(sm_queue_shared(q)->q_space_waiters, 0);
    EXPECT_OK(sm_queue_get(q, 1000, &zone, &got));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_OK(sm_zone_free(z, second, NULL));
    sm_queue_close(q);
}

struct sleeper {
    uint32_t laps;
    struct harness_gate gate; /* posted by the child after each lap */
};

static void echo_child(struct harness *h, void *ctx) {
    struct sleeper *s = ctx;
    struct sm_arena *a = harness_attach(h, "echo");
    struct sm_queue *in = open_queue(a, "in"), *out = open_queue(a, "out");
    for (uint32_t i = 0; i < s->laps; i++) {
        struct sm_zone *z;
        void *item;
        EXPECT_OK(sm_queue_get(in, -1, &z, &item));
        EXPECT_EQ(*(uint32_t *)item, i);
        EXPECT_OK(sm_queue_put(out, z, item, -1));
    }
    sm_queue_close(in);
    sm_queue_close(out);
}

/* The echo has registered to sleep each time the item is put: nothing but the wake brings it back. */
static void wake_sleepers(struct harness *h) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0);
    struct sm_queue *in = make_queue(h->h_arena, "in", 4), *out = make_queue(h->h_arena, "out", 4);
    struct sleeper s = {.laps = 50};
    pid_t child = harness_fork(h, echo_child, &s);
    void *item = alloc_item(z);
    int64_t start = sm_os_now_ns();
    for (uint32_t i = 0; i < s.laps; i++) {
        HARNESS_UNTIL(sm_load_acq(&sm_queue_shared(in)->q_item_waiters) == 1);
        *(uint32_t *)item = i;
        EXPECT_OK(sm_queue_put(in, z, item, 0));
        EXPECT_OK(sm_queue_get(out, -1, &z, &item));
    }
    /* Were wakes lost, each would cost a slice of 100 ms. */
    EXPECT_LT(sm_os_now_ns() - start, 2500000000ll);
    harness_join(h, child);
    EXPECT_EQ(sm_queue_shared(in)->q_item_waiters, 0);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(in);
    sm_queue_close(out);
}

TEST(sleeping_consumer_is_woken_by_each_item) {
    wake_sleepers(h);
}

TEST_GEOMETRY(sleeping_consumer_is_woken_in_fenced_mode, .g_max_bytes = 16 << 20, .g_fenced = true) {
    wake_sleepers(h);
}

static void fill_child(struct harness *h, void *ctx) {
    struct sleeper *s = ctx;
    struct sm_arena *a = harness_attach(h, "filler");
    struct sm_queue *q = open_queue(a, "q");
    struct sm_zone *z = harness_open_zone(a, "frame");
    for (uint32_t i = 0; i < s->laps; i++) {
        uint32_t *item = alloc_item(z);
        *item = i;
        EXPECT_OK(sm_queue_put(q, z, item, -1));
    }
    sm_queue_close(q);
}

TEST(sleeping_producer_is_woken_by_each_space) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0);
    struct sm_queue *q = make_queue(h->h_arena, "q", 2);
    struct sleeper s = {.laps = 50};
    pid_t child = harness_fork(h, fill_child, &s);
    int64_t start = sm_os_now_ns();
    for (uint32_t i = 0; i < s.laps; i++) {
        void *item;
        if (i + 2 < s.laps) {
            HARNESS_UNTIL(sm_load_acq(&sm_queue_shared(q)->q_space_waiters) == 1);
        }
        EXPECT_OK(sm_queue_get(q, -1, &z, &item));
        EXPECT_EQ(*(uint32_t *)item, i);
        EXPECT_OK(sm_zone_free(z, item, NULL));
    }
    EXPECT_LT(sm_os_now_ns() - start, 2500000000ll);
    harness_join(h, child);
    sm_queue_close(q);
}

static void gone_child(struct harness *h, void *ctx) {
    struct sm_arena *a = harness_attach(h, "waiter");
    struct sm_queue *q = open_queue(a, "q");
    struct sm_zone *z;
    void *item;
    EXPECT_ERR(sm_queue_get(q, -1, &z, &item), SM_GONE);
    sm_queue_close(q);
}

TEST(destroying_a_queue_ends_the_sleep_of_its_waiters) {
    struct sm_queue *q = make_queue(h->h_arena, "q", 2);
    pid_t one = harness_fork(h, gone_child, NULL), two = harness_fork(h, gone_child, NULL);
    HARNESS_UNTIL(sm_load_acq(&sm_queue_shared(q)->q_item_waiters) == 2);
    EXPECT_OK(sm_queue_destroy(q));
    harness_join(h, one);
    harness_join(h, two);
    EXPECT_EQ(sm_queue_shared(q)->q_item_waiters, 0);
    sm_queue_close(q);
}

static int refuse_to_go_on(void *ctx, void *token) {
    return ++*(int *)ctx >= 2;
}

TEST(a_wait_ends_when_the_runtime_says_so) {
    struct sm_queue *q = make_queue(h->h_arena, "q", 2);
    struct sm_zone *z;
    void *item;
    int asked = 0;
    h->h_arena->a_runtime.rt_ctx = &asked;
    h->h_arena->a_runtime.rt_block_end = refuse_to_go_on;
    EXPECT_ERR(sm_queue_get(q, -1, &z, &item), SM_INTERRUPTED);
    h->h_arena->a_runtime.rt_block_end = NULL;
    EXPECT_EQ(asked, 2);
    EXPECT_EQ(sm_queue_shared(q)->q_item_waiters, 0);
    for (int i = 0; i < SM_CPU_WAITS; i++) {
        EXPECT_EQ(h->h_arena->a_cpu->cpu_wait[i], 0);
    }
    sm_queue_close(q);
}

static void *put_while_blocked(void *ctx) {
    void **call = ctx; /* another thread of this process, let in by the wait: queue, zone, item */
    if (call[2] != NULL) {
        EXPECT_OK(sm_queue_put(call[0], call[1], call[2], 0));
        call[2] = NULL;
    }
    return NULL;
}

TEST(a_wait_lets_the_same_cpu_work_meanwhile) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 2);
    void *item = alloc_item(z), *got;
    void *call[3] = {q, z, item};
    h->h_arena->a_runtime.rt_ctx = call;
    h->h_arena->a_runtime.rt_block_begin = put_while_blocked;
    EXPECT_OK(sm_queue_get(q, -1, &zone, &got));
    h->h_arena->a_runtime.rt_block_begin = NULL;
    EXPECT_TRUE(got == item);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
}
