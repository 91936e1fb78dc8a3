/* test_queue.c - queues: what put and get do to items, refusals, limits, destruction, callbacks, and many players. Waiting
 * is test_queue_wait.c, death test_queue_death.c and test_queue_kill.c, races between threads test_race_queue.c.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue_fixture.h"

TEST(item_changes_hands_with_its_bytes_and_a_new_generation) {
    struct sm_arena *b = harness_attach(h, "receiver");
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 2048, 0), *got_zone;
    struct sm_queue *qa = make_queue(h->h_arena, "q", 8), *qb = open_queue(b, "q");
    void *item = alloc_item(z), *got;
    memset(item, 0x5a, 2048);
    uint64_t before = word_of(z, item);
    EXPECT_OK(sm_queue_put(qa, z, item, 0));
    uint64_t queued = word_of(z, item);
    EXPECT_EQ(SM_ST_KIND(queued), SM_QUEUED);
    EXPECT_EQ(SM_ST_CPU(queued), 0); /* id of the first queue */
    EXPECT_EQ(SM_ST_GEN(queued), SM_ST_GEN(before) + 1);
    EXPECT_EQ(sm_queue_length(qb), 1);
    EXPECT_OK(sm_queue_get(qb, 0, &got_zone, &got));
    EXPECT_EQ(got_zone->z_id, z->z_id);
    EXPECT_EQ(sm_off_of(b, got), sm_off_of(h->h_arena, item));
    uint64_t held = word_of(got_zone, got);
    EXPECT_EQ(SM_ST_KIND(held), SM_HELD);
    EXPECT_EQ(SM_ST_CPU(held), b->a_cpu_id);
    EXPECT_EQ(SM_ST_GEN(held), SM_ST_GEN(queued));
    for (int i = 0; i < 2048; i++) {
        EXPECT_EQ(((uint8_t *)got)[i], 0x5a);
    }
    EXPECT_EQ(sm_queue_length(qa), 0);
    EXPECT_OK(sm_zone_free(got_zone, got, NULL));
    sm_queue_close(qb);
    sm_queue_close(qa);
}

TEST(what_is_not_held_here_cannot_be_put) {
    struct sm_arena *b = harness_attach(h, "other");
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 256, 0), *other = harness_zone(h->h_arena, "other", 256, 0);
    struct sm_zone *zb = harness_open_zone(b, "frame");
    struct sm_queue *q = make_queue(h->h_arena, "q", 8);
    uint8_t *item = alloc_item(z), *foreign = alloc_item(other), *theirs = alloc_item(zb);
    uint8_t *theirs_here = h->h_arena->a_base + sm_off_of(b, theirs), outside[256];
    EXPECT_ERR(sm_queue_put(q, z, outside, 0), SM_NOT_OURS);
    EXPECT_ERR(sm_queue_put(q, z, foreign, 0), SM_NOT_OURS);
    EXPECT_ERR(sm_queue_put(q, z, item + 8, 0), SM_MISALIGNED);
    EXPECT_ERR(sm_queue_put(q, z, theirs_here, 0), SM_NOT_OWNER);
    EXPECT_ERR(sm_queue_put(q, zb, theirs, 0), SM_NOT_OURS); /* a zone handle of another attachment */
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    EXPECT_ERR(sm_queue_put(q, z, item, 0), SM_NOT_OWNER);
    EXPECT_EQ(sm_queue_length(q), 1);
    struct sm_zone *got_zone;
    void *got;
    EXPECT_OK(sm_queue_get(q, 0, &got_zone, &got));
    EXPECT_TRUE(got == item);
    EXPECT_OK(sm_zone_free(z, item, NULL));
    EXPECT_ERR(sm_queue_put(q, z, item, 0), SM_DOUBLE_FREE);
    EXPECT_EQ(sm_queue_length(q), 0);
    EXPECT_OK(sm_zone_free(other, foreign, NULL));
    EXPECT_OK(sm_zone_free(zb, theirs, NULL));
    sm_queue_close(q);
}

TEST(limit_is_exact_for_any_depth_over_many_laps) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *got_zone;
    for (uint64_t depth = 1; depth <= 9; depth++) {
        char name[16];
        void *items[10], *got;
        snprintf(name, sizeof name, "q%d", (int)depth);
        struct sm_queue *q = make_queue(h->h_arena, name, depth);
        EXPECT_EQ(sm_queue_depth(q), depth);
        for (uint64_t i = 0; i <= depth; i++) {
            items[i] = alloc_item(z);
        }
        for (int lap = 0; lap < 20; lap++) {
            EXPECT_ERR(sm_queue_get(q, 0, &got_zone, &got), SM_EMPTY);
            for (uint64_t i = 0; i < depth; i++) {
                EXPECT_OK(sm_queue_put(q, z, items[i], 0));
            }
            EXPECT_ERR(sm_queue_put(q, z, items[depth], 0), SM_FULL);
            EXPECT_EQ(sm_queue_length(q), depth);
            for (uint64_t i = 0; i < depth; i++) {
                EXPECT_OK(sm_queue_get(q, 0, &got_zone, &got));
                EXPECT_TRUE(got == items[i]);
            }
        }
        for (uint64_t i = 0; i <= depth; i++) {
            EXPECT_OK(sm_zone_free(z, items[i], NULL));
        }
        EXPECT_OK(sm_queue_destroy(q));
        sm_queue_close(q);
    }
}

#define BULK 200

TEST(bulk_calls_move_as_many_as_fit_in_order) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zones[BULK];
    struct sm_queue *q = make_queue(h->h_arena, "q", 150);
    void *items[BULK], *got[BULK];
    uint32_t n;
    for (int i = 0; i < BULK; i++) {
        items[i] = alloc_item(z);
    }
    EXPECT_OK(sm_queue_put_bulk(q, z, BULK, items, 0, &n));
    EXPECT_EQ(n, 150);
    EXPECT_ERR(sm_queue_put_bulk(q, z, BULK - 150, items + 150, 0, &n), SM_FULL);
    EXPECT_EQ(n, 0);
    EXPECT_OK(sm_queue_get_bulk(q, 70, 0, zones, got, &n));
    EXPECT_EQ(n, 70);
    EXPECT_OK(sm_queue_put_bulk(q, z, BULK - 150, items + 150, 0, &n));
    EXPECT_EQ(n, BULK - 150);
    EXPECT_OK(sm_queue_get_bulk(q, BULK, 0, zones + 70, got + 70, &n));
    EXPECT_EQ(n, BULK - 70);
    EXPECT_ERR(sm_queue_get_bulk(q, BULK, 0, zones, got, &n), SM_EMPTY);
    EXPECT_EQ(n, 0);
    for (int i = 0; i < BULK; i++) {
        EXPECT_TRUE(got[i] == items[i] && zones[i]->z_id == z->z_id);
        EXPECT_OK(sm_zone_free(z, got[i], NULL));
    }
    EXPECT_OK(sm_queue_put_bulk(q, z, 0, items, 0, &n));
    sm_queue_close(q);
}

TEST(bulk_put_stops_at_a_bad_item_and_puts_those_before_it) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zones[4];
    struct sm_queue *q = make_queue(h->h_arena, "q", 16);
    void *items[4] = {alloc_item(z), alloc_item(z), NULL, alloc_item(z)}, *got[4];
    uint32_t n;
    items[2] = (uint8_t *)items[0] + 4;
    EXPECT_ERR(sm_queue_put_bulk(q, z, 4, items, 0, &n), SM_MISALIGNED);
    EXPECT_EQ(n, 2);
    EXPECT_EQ(SM_ST_KIND(word_of(z, items[3])), SM_HELD);
    EXPECT_OK(sm_queue_get_bulk(q, 4, 0, zones, got, &n));
    EXPECT_EQ(n, 2);
    items[2] = items[3];
    EXPECT_OK(sm_zone_free_bulk(z, 3, (void *const[]){items[0], items[1], items[3]}, &n));
    sm_queue_close(q);
}

TEST(item_named_twice_in_one_bulk_put_goes_in_once) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zones[8], *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 4);
    void *a = alloc_item(z), *b = alloc_item(z), *got[8], *one;
    void *items[4] = {a, b, a, b};
    uint32_t n;
    for (int lap = 0; lap < 10; lap++) { /* the blanks it leaves are passed over, singly and in bulk */
        EXPECT_ERR(sm_queue_put_bulk(q, z, 4, items, 0, &n), SM_NOT_OWNER);
        EXPECT_EQ(n, 2);
        if (lap % 2) {
            EXPECT_OK(sm_queue_get_bulk(q, 8, 0, zones, got, &n));
            EXPECT_EQ(n, 2);
            EXPECT_TRUE(got[0] == a && got[1] == b);
        } else {
            EXPECT_OK(sm_queue_get(q, 0, &zone, &one));
            EXPECT_TRUE(one == a);
            EXPECT_OK(sm_queue_get(q, 0, &zone, &one));
            EXPECT_TRUE(one == b);
        }
        EXPECT_ERR(sm_queue_get(q, 0, &zone, &one), SM_EMPTY);
    }
    EXPECT_OK(sm_zone_free(z, a, NULL));
    EXPECT_OK(sm_zone_free(z, b, NULL));
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}

TEST_GEOMETRY(names_and_depths_are_checked, .g_max_bytes = 16 << 20, .g_max_queues = 3) {
    struct sm_queue *q = make_queue(h->h_arena, "q", 5), *other = NULL;
    EXPECT_ERR(sm_queue_create(h->h_arena, "q", 5, &other), SM_EXISTS);
    EXPECT_ERR(sm_queue_create(h->h_arena, "", 5, &other), SM_INVALID);
    EXPECT_ERR(sm_queue_create(h->h_arena, "x", 0, &other), SM_INVALID);
    EXPECT_ERR(sm_queue_create(h->h_arena, "x", 1ull << 40, &other), SM_INVALID);
    EXPECT_ERR(sm_queue_create(h->h_arena, "x", 1ull << 27, &other), SM_NO_MEMORY);
    EXPECT_ERR(sm_queue_create(h->h_arena, "a-name-that-is-32-bytes-long-0123", 5, &other), SM_NAME_TOO_LONG);
    EXPECT_ERR(sm_queue_open(h->h_arena, "missing", 0, &other), SM_NOT_FOUND);
    EXPECT_ERR(sm_queue_open(h->h_arena, "q", 6, &other), SM_MISMATCH);
    EXPECT_OK(sm_queue_open(h->h_arena, "q", 5, &other));
    sm_queue_close(other);
    sm_queue_close(make_queue(h->h_arena, "r", 1));
    sm_queue_close(make_queue(h->h_arena, "s", 1));
    EXPECT_ERR(sm_queue_create(h->h_arena, "t", 1, &other), SM_TABLE_FULL);
    sm_queue_close(q);
}

TEST(destroyed_queue_is_gone_for_everybody_and_returns_its_pages) {
    struct sm_arena *b = harness_attach(h, "other");
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    void *item = alloc_item(z), *got;
    sm_queue_close(make_queue(h->h_arena, "anchor", 1));
    struct sm_arena_stats before, after;
    for (int round = 0; round < 3; round++) {
        struct sm_queue *q = make_queue(h->h_arena, "q", 1000), *qb = open_queue(b, "q");
        EXPECT_OK(sm_queue_put(q, z, item, 0));
        EXPECT_ERR(sm_queue_destroy(qb), SM_BUSY);
        EXPECT_OK(sm_queue_get(q, 0, &zone, &got));
        EXPECT_OK(sm_queue_destroy(qb));
        EXPECT_ERR(sm_queue_destroy(qb), SM_GONE);
        EXPECT_ERR(sm_queue_put(q, z, item, 0), SM_GONE);
        EXPECT_ERR(sm_queue_get(q, -1, &zone, &got), SM_GONE);
        EXPECT_ERR(sm_queue_get(qb, 0, &zone, &got), SM_GONE);
        struct sm_queue *again = make_queue(h->h_arena, "q", 4);
        EXPECT_ERR(sm_queue_put(q, z, item, 0), SM_GONE); /* the slot's next life is not this handle's */
        EXPECT_OK(sm_queue_put(again, z, item, 0));
        EXPECT_OK(sm_queue_get(again, 0, &zone, &got));
        EXPECT_OK(sm_queue_destroy(again));
        sm_queue_close(again);
        sm_queue_close(q);
        sm_queue_close(qb);
        EXPECT_OK(sm_stats_arena(h->h_arena, round == 0 ? &before : &after));
    }
    EXPECT_EQ(before.as_used_pages, after.as_used_pages);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

/* ---------------------------------------------------------------- faults and callbacks */

static enum sm_err deny(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    return p == *(enum sm_fault_point *)ctx ? (p == SM_FP_PUT ? SM_FULL : SM_EMPTY) : SM_OK;
}

TEST(injected_failures_reach_the_caller_and_move_nothing) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 64, 0), *zone;
    struct sm_queue *q = make_queue(h->h_arena, "q", 2);
    void *item = alloc_item(z), *got;
    enum sm_fault_point point = SM_FP_PUT;
    struct sm_hooks hooks = {.h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &point, .h_fault = deny};
    sm_arena_set_hooks(h->h_arena, &hooks);
    EXPECT_ERR(sm_queue_put(q, z, item, -1), SM_FULL);
    point = SM_FP_GET;
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    EXPECT_ERR(sm_queue_get(q, -1, &zone, &got), SM_EMPTY);
    sm_arena_set_hooks(h->h_arena, NULL);
    EXPECT_OK(sm_queue_get(q, 0, &zone, &got));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
}

static int accept_item(void *mem, uint32_t bytes, void *arg, int how, void *ctx) {
    return 0;
}

static enum sm_err resolve_any(void *ctx, const char *zone, enum sm_callback_slot slot,
                               const struct sm_callback_shm *cb, sm_callback_fn *fn, void **fn_ctx) {
    *fn = accept_item;
    *fn_ctx = NULL;
    return SM_OK;
}

TEST(item_of_a_zone_that_cannot_be_opened_here_stays_in_the_queue) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "stranger");
    a->a_runtime.rt_resolve = resolve_any;
    struct sm_zone_params p = {.zp_name = "named", .zp_bytes = 64};
    p.zp_cb[SM_CB_CTOR].cb_kind = SM_CB_NAMED;
    strcpy(p.zp_cb[SM_CB_CTOR].cb_name, "somewhere:ctor");
    struct sm_zone *named, *plain = harness_zone(a, "plain", 64, 0), *zone, *zones[3];
    EXPECT_OK(sm_zone_create(a, &p, &named));
    struct sm_queue *qa = make_queue(a, "q", 4), *qb = open_queue(b, "q");
    void *first = alloc_item(plain), *second = alloc_item(named), *got, *many[3];
    uint32_t n;
    EXPECT_OK(sm_queue_put(qa, plain, first, 0));
    EXPECT_OK(sm_queue_put(qa, named, second, 0));
    EXPECT_OK(sm_queue_get_bulk(qb, 3, 0, zones, many, &n)); /* up to the one that cannot be taken */
    EXPECT_EQ(n, 1);
    EXPECT_ERR(sm_queue_get(qb, 0, &zone, &got), SM_UNRESOLVED);
    EXPECT_ERR(sm_queue_get(qb, -1, &zone, &got), SM_UNRESOLVED);
    EXPECT_EQ(sm_queue_length(qa), 1);
    EXPECT_OK(sm_queue_get(qa, 0, &zone, &got));
    EXPECT_TRUE(got == second);
    EXPECT_OK(sm_zone_free(named, second, NULL));
    EXPECT_OK(sm_zone_free(zones[0], many[0], NULL));
    sm_queue_close(qa);
    sm_queue_close(qb);
}

/* ---------------------------------------------------------------- many */

#define SENT 4000

struct cookie {
    uint32_t owner, number, sum;
};

static void ring_worker(struct harness_cpu *c) {
    struct sm_arena *a = c->c_arena;
    struct sm_queue *q = open_queue(a, "q");
    struct sm_zone *z = harness_open_zone(a, "frame"), *zones[16];
    uint32_t sent = 0, received = 0, n, last[16] = {0};
    uint64_t sum = 0;
    void *items[16];
    while (sent < SENT || received < SENT) { /* every process sends and receives as many */
        if (sent < SENT) {
            uint32_t want = 1 + (uint32_t)harness_below(&c->c_random, 8);
            want = want < SENT - sent ? want : SENT - sent;
            for (uint32_t i = 0; i < want; i++) {
                struct cookie *k = items[i] = alloc_item(z);
                *k = (struct cookie){c->c_index, sent + i + 1, (c->c_index * 31 + sent + i + 1) * 2654435761u};
            }
            enum sm_err err = sm_queue_put_bulk(q, z, want, items, 0, &n);
            EXPECT_TRUE(err == SM_OK || err == SM_FULL);
            sent += n;
            for (uint32_t i = n; i < want; i++) {
                EXPECT_OK(sm_zone_free(z, items[i], NULL));
            }
        }
        if (received < SENT) {
            uint32_t want = SENT - received < 16 ? SENT - received : 16;
            enum sm_err err = sm_queue_get_bulk(q, want, sent < SENT ? 0 : -1, zones, items, &n);
            EXPECT_TRUE(err == SM_OK || err == SM_EMPTY);
            received += n;
            for (uint32_t i = 0; i < n; i++) {
                struct cookie *k = items[i];
                EXPECT_EQ(k->sum, (k->owner * 31 + k->number) * 2654435761u);
                EXPECT_LT(k->owner, c->c_count);
                EXPECT_LT(last[k->owner], k->number); /* one producer's items arrive here in its order */
                last[k->owner] = k->number;
                sum += k->number;
                EXPECT_OK(sm_zone_free(zones[i], k, NULL));
            }
        }
    }
    sm_add_acqrel((uint64_t *)c->c_ctx, sum);
    sm_queue_close(q);
}

TEST(every_item_arrives_once_and_in_order_between_processes) {
    uint64_t off, bytes;
    uint32_t version;
    void *total;
    harness_zone(h->h_arena, "frame", 64, 0);
    struct sm_queue *q = make_queue(h->h_arena, "q", 48);
    EXPECT_OK(sm_arena_region(h->h_arena, "test", SM_PAGE, 1, &total));
    EXPECT_OK(sm_arena_find_region(h->h_arena, "test", &off, &bytes, &version));
    harness_run_processes(h, 3, ring_worker, total);
    EXPECT_EQ(*(uint64_t *)total, 3ull * SENT * (SENT + 1) / 2);
    EXPECT_EQ(sm_queue_length(q), 0);
    EXPECT_OK(sm_queue_destroy(q));
    sm_queue_close(q);
}
