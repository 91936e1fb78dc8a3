/* test_race_queue.c - queues, malloc and the event log under threads that act as CPUs over one mapping, for
 * ThreadSanitizer: user bytes are written and read plainly, so a missing release or acquire is a report.
 */
#include "harness.h"

#ifdef __SANITIZE_THREAD__
#define SENT 3000
#else
#define SENT 20000
#endif

struct shared {
    uint64_t received, sum;
    uint32_t type;
};

static struct sm_queue *open_queue(struct sm_arena *a, const char *name) {
    struct sm_queue *q = NULL;
    EXPECT_OK(sm_queue_open(a, name, 0, &q));
    return q;
}

/* Even CPUs send, odd ones receive, all blocking: both sides spin, sleep and are woken. */
static void relay(struct harness_cpu *c) {
    struct shared *s = c->c_ctx;
    struct sm_queue *q = open_queue(c->c_arena, "q");
    struct sm_zone *z = harness_open_zone(c->c_arena, "frame");
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SENT; i++) {
        uint64_t *item;
        if (c->c_index % 2 == 0) {
            EXPECT_OK(sm_zone_alloc(z, SM_M_WAITOK, NULL, -1, (void **)&item));
            for (int w = 0; w < 8; w++) {
                item[w] = (uint64_t)c->c_index << 32 | (i * 8u + (uint32_t)w);
            }
            EXPECT_OK(sm_queue_put(q, z, item, -1));
        } else {
            struct sm_zone *from;
            EXPECT_OK(sm_queue_get(q, -1, &from, (void **)&item));
            for (int w = 1; w < 8; w++) {
                EXPECT_EQ(item[w], item[0] + (uint64_t)w);
            }
            sum += (uint32_t)item[0] / 8;
            item[0] = 0;
            EXPECT_OK(sm_zone_free(from, item, NULL));
        }
    }
    if (c->c_index % 2 == 1) {
        sm_add_acqrel(&s->received, SENT);
        sm_add_acqrel(&s->sum, sum);
    }
    sm_queue_close(q);
}

static void run_relay(struct harness *h, uint64_t depth) {
    struct shared s = {0};
    struct sm_queue *q;
    harness_zone(h->h_arena, "frame", 64, 0);
    EXPECT_OK(sm_queue_create(h->h_arena, "q", depth, &q));
    harness_run_threads(h, 4, relay, &s);
    EXPECT_EQ(s.received, 2 * SENT);
    EXPECT_EQ(s.sum, 2 * ((uint64_t)SENT * (SENT - 1) / 2));
    EXPECT_EQ(sm_queue_length(q), 0);
    EXPECT_EQ(sm_queue_shared(q)->q_item_waiters, 0);
    EXPECT_EQ(sm_queue_shared(q)->q_space_waiters, 0);
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}

TEST(items_pass_between_threads_without_a_race_through_one_place) {
    run_relay(h, 1);
}

TEST(items_pass_between_threads_without_a_race_through_many_places) {
    run_relay(h, 64);
}

TEST_GEOMETRY(items_pass_between_threads_without_a_race_in_fenced_mode, .g_max_bytes = 16 << 20, .g_fenced = true) {
    run_relay(h, 3);
}

/* Nobody spins: every wait goes through the futex. */
TEST(no_wake_up_is_lost_when_every_wait_sleeps) {
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_SPIN_US, 0));
    int64_t start = sm_os_now_ns();
    run_relay(h, 2);
    EXPECT_LT(sm_os_now_ns() - start, 60000000000ll);
}

static void bulk_relay(struct harness_cpu *c) {
    struct shared *s = c->c_ctx;
    struct sm_queue *q = open_queue(c->c_arena, "q");
    struct sm_zone *z = harness_open_zone(c->c_arena, "frame"), *zones[100];
    void *items[100];
    for (uint32_t moved = 0; moved < SENT;) {
        uint32_t n = 0, want = 1 + (uint32_t)harness_below(&c->c_random, 100);
        want = want < SENT - moved ? want : SENT - moved;
        if (c->c_index % 2 == 0) {
            for (uint32_t i = 0; i < want; i++) {
                EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &items[i]));
                *(uint32_t *)items[i] = c->c_index;
            }
            for (uint32_t put = 0; put < want; put += n) {
                EXPECT_OK(sm_queue_put_bulk(q, z, want - put, items + put, -1, &n));
            }
            n = want;
        } else {
            EXPECT_OK(sm_queue_get_bulk(q, want, -1, zones, items, &n));
            for (uint32_t i = 0; i < n; i++) {
                EXPECT_EQ(*(uint32_t *)items[i] % 2, 0);
                EXPECT_OK(sm_zone_free(zones[i], items[i], NULL));
            }
            sm_add_acqrel(&s->received, n);
        }
        moved += n;
    }
    sm_queue_close(q);
}

TEST(bulk_calls_of_several_threads_move_every_item_once) {
    struct shared s = {0};
    struct sm_queue *q;
    harness_zone(h->h_arena, "frame", 64, 0);
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 150, &q));
    harness_run_threads(h, 4, bulk_relay, &s);
    EXPECT_EQ(s.received, 2 * SENT);
    EXPECT_EQ(sm_queue_length(q), 0);
    sm_queue_close(q);
}

static void destroy_and_create(struct harness_cpu *c) {
    struct sm_zone *z = harness_open_zone(c->c_arena, "frame");
    for (uint32_t i = 0; i < SENT / 20; i++) {
        struct sm_queue *q = NULL;
        enum sm_err err = sm_queue_create(c->c_arena, "q", 4, &q);
        if (err == SM_EXISTS) {
            err = sm_queue_open(c->c_arena, "q", 4, &q);
        }
        if (err == SM_NOT_FOUND) {
            continue;
        }
        EXPECT_OK(err);
        void *item, *got;
        struct sm_zone *from;
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
        err = sm_queue_put(q, z, item, 0);
        if (err == SM_OK) {
            EXPECT_OK(sm_queue_get(q, -1, &from, &got)); /* mine or another's; a queue with an item cannot go */
            EXPECT_OK(sm_zone_free(from, got, NULL));
        } else {
            EXPECT_TRUE(err == SM_GONE || err == SM_FULL);
            EXPECT_OK(sm_zone_free(z, item, NULL));
        }
        err = sm_queue_destroy(q);
        EXPECT_TRUE(err == SM_OK || err == SM_GONE || err == SM_BUSY);
        sm_queue_close(q);
    }
}

TEST(queues_come_and_go_under_their_users) {
    struct sm_queue *q;
    harness_zone(h->h_arena, "frame", 64, 0);
    harness_run_threads(h, 4, destroy_and_create, NULL);
    if (sm_queue_open(h->h_arena, "q", 0, &q) == SM_OK) {
        EXPECT_EQ(sm_queue_length(q), 0);
        EXPECT_OK(sm_queue_destroy(q));
        sm_queue_close(q);
    }
}

static void allocate_here_free_there(struct harness_cpu *c) {
    struct shared *s = c->c_ctx;
    struct sm_queue *q = open_queue(c->c_arena, "q");
    for (uint32_t i = 0; i < SENT; i++) {
        struct sm_zone *z;
        uint32_t *item;
        uint64_t bytes = 4 + harness_below(&c->c_random, i % 64 == 0 ? 100000 : 3000);
        EXPECT_OK(sm_malloc(c->c_arena, bytes, s->type, SM_M_WAITOK, -1, &z, (void **)&item));
        *item = c->c_index;
        if (sm_queue_put(q, z, item, 0) != SM_OK) {
            EXPECT_OK(sm_malloc_free(c->c_arena, item));
        }
        if (sm_queue_get(q, 0, &z, (void **)&item) == SM_OK) {
            EXPECT_LT(*item, c->c_count);
            EXPECT_OK(sm_malloc_free(c->c_arena, item));
        }
    }
    sm_queue_close(q);
}

TEST(malloc_counters_balance_when_threads_free_each_others_items) {
    struct shared s = {0};
    struct sm_queue *q;
    struct sm_type_stats t;
    struct sm_zone *z;
    void *item;
    EXPECT_OK(sm_malloc_type(h->h_arena, "shared", &s.type));
    EXPECT_OK(sm_queue_create(h->h_arena, "q", 32, &q));
    harness_run_threads(h, 3, allocate_here_free_there, &s);
    EXPECT_OK(sm_stats_type(h->h_arena, s.type, &t));
    EXPECT_EQ(t.ms_requests, 3 * SENT);
    EXPECT_EQ(t.ms_in_use, sm_queue_length(q));
    while (sm_queue_get(q, 0, &z, &item) == SM_OK) {
        EXPECT_OK(sm_malloc_free(h->h_arena, item));
    }
    EXPECT_OK(sm_stats_type(h->h_arena, s.type, &t));
    EXPECT_EQ(t.ms_in_use, 0);
    EXPECT_EQ(t.ms_bytes, 0);
    sm_queue_close(q);
}

/* The writer repeats one letter over the line; no reader may see two. One writer, because a second one could be
 * overtaken by a lap of this short ring, which the log allows to mix two texts. */
static void log_and_read(struct harness_cpu *c) {
    uint64_t *written = c->c_ctx, after = 0;
    struct sm_event_shm e;
    for (uint32_t i = 0; c->c_index == 0 && i < SENT; i++) {
        char text[200];
        memset(text, 'a' + (char)(i % 26), sizeof text - 1);
        text[sizeof text - 1] = 0;
        sm_event_log(c->c_arena, SM_EV_NOTE, "%s", text);
        sm_store_rel(written, i + 1);
    }
    while (c->c_index != 0 && after < SENT) {
        if (sm_event_next(c->c_arena, after, &e) == SM_OK) {
            EXPECT_GT(e.ev_seq, after);
            after = e.ev_seq;
            EXPECT_EQ(strlen(e.ev_text), 199);
            EXPECT_EQ(e.ev_text[0], 'a' + (char)((e.ev_seq - 1) % 26));
            EXPECT_EQ(strspn(e.ev_text, (char[]){e.ev_text[0], 0}), 199);
        }
    }
}

TEST_GEOMETRY(event_readers_see_whole_lines_while_the_writer_overtakes_them, .g_max_bytes = 16 << 20,
              .g_max_events = 16) {
    uint64_t written = 0;
    struct sm_arena_stats s;
    harness_run_threads(h, 3, log_and_read, &written);
    EXPECT_OK(sm_stats_arena(h->h_arena, &s));
    EXPECT_EQ(s.as_events, written);
}

/* Two writers: every line that is read is one that was written, and numbers only grow. */
static void log_together(struct harness_cpu *c) {
    uint64_t after = 0;
    struct sm_event_shm e;
    for (uint32_t i = 0; i < SENT / 4; i++) {
        if (c->c_index < 2) {
            sm_event_log(c->c_arena, SM_EV_NOTE, "line");
        } else if (sm_event_next(c->c_arena, after, &e) == SM_OK) {
            EXPECT_GT(e.ev_seq, after);
            EXPECT_STR_EQ(e.ev_text, "line");
            after = e.ev_seq;
        }
    }
}

TEST(events_of_two_writers_are_numbered_once) {
    struct sm_arena_stats s;
    harness_run_threads(h, 3, log_together, NULL);
    EXPECT_OK(sm_stats_arena(h->h_arena, &s));
    EXPECT_EQ(s.as_events, 2 * (SENT / 4));
}
