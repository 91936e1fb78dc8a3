/* test_stats.c - records agree with each other and with what was done; the event log. */
#include <stdlib.h>

#include "harness.h"

static struct sm_zone_stats zone_stats(struct sm_arena *a, const struct sm_zone *z) {
    struct sm_zone_stats s;
    EXPECT_OK(sm_stats_zone(a, z->z_id, &s));
    return s;
}

/* slabs * items per slab = free in slabs + out + in buckets, over the zones of one keg. */
static void expect_balance(struct sm_arena *a, const struct sm_zone *primary, const struct sm_zone *secondary) {
    struct sm_zone_stats p = zone_stats(a, primary), s = {0};
    if (secondary) {
        s = zone_stats(a, secondary);
        EXPECT_EQ(s.zs_slabs, p.zs_slabs);
        EXPECT_EQ(s.zs_free, s.zs_bucket_free + s.zs_cpu_free);
    }
    EXPECT_EQ(p.zs_slabs * p.zs_items_per_slab, p.zs_used + p.zs_free + s.zs_used + s.zs_free);
    EXPECT_EQ(p.zs_used, p.zs_allocs - p.zs_frees);
    EXPECT_EQ(p.zs_pages, p.zs_slabs * p.zs_pages_per_slab);
}

TEST(zone_figures_balance_while_items_move_through_every_place) {
    struct sm_arena *a = h->h_arena, *b = harness_attach(h, "second");
    struct sm_zone *z = harness_zone(a, "frame", 500, 0), *zb = harness_open_zone(b, "frame"), *second;
    struct sm_zone_params p = {.zp_name = "framed", .zp_master = "frame"};
    EXPECT_OK(sm_zone_create(a, &p, &second));
    enum { N = 1000 };
    void **items = calloc(N, sizeof *items);
    uint64_t out = 0;
    for (int i = 0; i < N; i++) {
        struct sm_zone *from = i % 3 == 0 ? second : i % 3 == 1 ? zb : z;
        EXPECT_OK(sm_zone_alloc(from, SM_M_NOWAIT, NULL, 0, &items[i]));
        out += from != second;
    }
    EXPECT_EQ(zone_stats(a, z).zs_used, out);
    EXPECT_EQ(zone_stats(b, zb).zs_used, out);
    EXPECT_EQ(zone_stats(a, second).zs_used, N - out);
    EXPECT_EQ(zone_stats(a, z).zs_allocs, out);
    expect_balance(a, z, second);
    struct sm_cpu_zone_stats c;
    EXPECT_OK(sm_stats_cpu_zone(a, b->a_cpu_id, z->z_id, &c));
    EXPECT_EQ(c.cz_allocs, N / 3);
    EXPECT_EQ(c.cz_frees, 0);
    for (int i = 0; i < N; i += 1 + i % 2) {
        EXPECT_OK(sm_zone_free(i % 3 == 0 ? second : i % 3 == 1 ? zb : z, items[i], NULL));
        items[i] = NULL;
        if (i % 100 == 0) {
            expect_balance(a, z, second);
        }
    }
    for (int i = 0; i < N; i++) {
        if (items[i]) {
            EXPECT_OK(sm_zone_free(i % 3 == 0 ? second : i % 3 == 1 ? zb : z, items[i], NULL));
        }
    }
    free(items);
    expect_balance(a, z, second);
    struct sm_zone_stats s = zone_stats(a, z);
    EXPECT_EQ(s.zs_used, 0);
    EXPECT_EQ(s.zs_frees, s.zs_allocs);
    EXPECT_STR_EQ(s.zs_name, "frame");
    EXPECT_STR_EQ(zone_stats(a, second).zs_master, "frame");
    EXPECT_EQ(s.zs_item_bytes, 500);
    EXPECT_GE(s.zs_stride_bytes, 500);
    harness_close(h, b); /* its counters move into the zone's */
    EXPECT_EQ(zone_stats(a, z).zs_allocs, s.zs_allocs);
    EXPECT_EQ(zone_stats(a, z).zs_frees, s.zs_frees);
    expect_balance(a, z, second);
}

TEST(limit_is_reported_as_it_works) {
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 256, 0);
    uint64_t effective;
    EXPECT_EQ(zone_stats(h->h_arena, z).zs_limit, 0);
    EXPECT_OK(sm_zone_set_max(z, 50, &effective));
    EXPECT_EQ(zone_stats(h->h_arena, z).zs_limit, effective);
    EXPECT_GE(effective, 50);
}

TEST(unused_ids_are_not_found) {
    struct sm_zone_stats z;
    struct sm_cpu_zone_stats c;
    struct sm_cpu_stats p;
    struct sm_queue_stats q;
    struct sm_type_stats t;
    const uint32_t ids[] = {0, 1, 63, 64, 1u << 20, UINT32_MAX};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        EXPECT_ERR(sm_stats_zone(h->h_arena, ids[i], &z), SM_NOT_FOUND);
        EXPECT_ERR(sm_stats_queue(h->h_arena, ids[i], &q), SM_NOT_FOUND);
        EXPECT_ERR(sm_stats_type(h->h_arena, ids[i], &t), SM_NOT_FOUND);
        EXPECT_ERR(sm_stats_cpu_zone(h->h_arena, 0, ids[i], &c), SM_NOT_FOUND);
        if (ids[i] != h->h_arena->a_cpu_id) {
            EXPECT_ERR(sm_stats_cpu(h->h_arena, ids[i], &p), SM_NOT_FOUND);
        }
    }
}

TEST(read_only_attachment_sees_the_same_figures_and_a_cpu_less) {
    struct sm_arena *a = h->h_arena, *r;
    struct sm_zone *z = harness_zone(a, "frame", 300, 0);
    void *item;
    struct sm_queue *q;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_queue_create(a, "q", 3, &q));
    EXPECT_OK(sm_queue_put(q, z, item, 0));
    EXPECT_OK(sm_arena_attach(h->h_fd, false, NULL, "watcher", &r));
    struct sm_zone_stats mine = zone_stats(a, z), seen = zone_stats(r, z);
    EXPECT_EQ(memcmp(&mine, &seen, sizeof mine), 0);
    struct sm_queue_stats qs;
    EXPECT_OK(sm_stats_queue(r, 0, &qs));
    EXPECT_STR_EQ(qs.qs_name, "q");
    EXPECT_EQ(qs.qs_length, 1);
    EXPECT_EQ(qs.qs_depth, 3);
    EXPECT_EQ(qs.qs_puts, 1);
    EXPECT_EQ(qs.qs_gets, 0);
    struct sm_queue *qr;
    struct sm_zone *got_zone;
    void *got;
    EXPECT_OK(sm_queue_open(r, "q", 0, &qr));
    EXPECT_EQ(sm_queue_length(qr), 1);
    EXPECT_ERR(sm_queue_get(qr, 0, &got_zone, &got), SM_READ_ONLY);
    EXPECT_ERR(sm_queue_destroy(qr), SM_READ_ONLY);
    EXPECT_ERR(sm_queue_create(r, "r", 3, &qr), SM_READ_ONLY);
    sm_event_log(r, SM_EV_NOTE, "a watcher writes nothing");
    struct sm_cpu_stats cpu;
    EXPECT_OK(sm_stats_cpu(r, a->a_cpu_id, &cpu));
    EXPECT_TRUE(cpu.cs_alive);
    EXPECT_EQ(cpu.cs_state, SM_CPU_LIVE);
    struct sm_arena_stats as;
    EXPECT_OK(sm_stats_arena(r, &as));
    EXPECT_EQ(as.as_live_cpus, 1);
    EXPECT_EQ(as.as_dead_cpus, 0);
    EXPECT_EQ(as.as_zones, 1);
    EXPECT_EQ(as.as_queues, 1);
    EXPECT_EQ(as.as_events, 0);
    EXPECT_GE(as.as_allocated_bytes, SM_PAGE);
    EXPECT_LE(as.as_allocated_bytes, as.as_object_bytes);
    EXPECT_EQ(as.as_used_pages, mine.zs_pages + 1); /* and the ring */
    sm_queue_close(qr);
    sm_arena_close(r);
    EXPECT_OK(sm_queue_get(q, 0, &z, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_queue_close(q);
}

TEST_GEOMETRY(event_log_keeps_the_newest_lines_in_order, .g_max_bytes = 16 << 20, .g_max_events = 16) {
    struct sm_arena *a = h->h_arena;
    struct sm_event_shm e;
    struct sm_arena_stats s;
    uint32_t lines = a->a_header->h_max_events;
    EXPECT_OK(sm_stats_arena(a, &s));
    EXPECT_EQ(s.as_events, 0);
    EXPECT_ERR(sm_event_next(a, 0, &e), SM_EMPTY);
    for (uint32_t n = 1; n <= 3 * lines; n++) {
        sm_event_log(a, n % 2 ? SM_EV_WARNING : SM_EV_NOTE, "line %u", n);
        uint64_t first = n > lines ? n - lines + 1 : 1, after = 0;
        for (uint64_t want = first; want <= n; want++) {
            char text[32];
            snprintf(text, sizeof text, "line %u", (unsigned)want);
            EXPECT_OK(sm_event_next(a, after, &e));
            EXPECT_EQ(e.ev_seq, want);
            EXPECT_STR_EQ(e.ev_text, text);
            EXPECT_EQ(e.ev_kind, want % 2 ? SM_EV_WARNING : SM_EV_NOTE);
            EXPECT_EQ(e.ev_cpu, a->a_cpu_id);
            after = e.ev_seq;
        }
        EXPECT_ERR(sm_event_next(a, after, &e), SM_EMPTY);
        EXPECT_ERR(sm_event_next(a, after + 100, &e), SM_EMPTY);
    }
}

TEST(event_longer_than_a_line_is_cut_and_terminated) {
    char text[600];
    struct sm_event_shm e;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    sm_event_log(h->h_arena, SM_EV_NOTE, "%s", text);
    EXPECT_OK(sm_event_next(h->h_arena, 0, &e));
    EXPECT_EQ(strlen(e.ev_text), sizeof e.ev_text - 1);
    EXPECT_EQ(e.ev_text[0], 'x');
}

TEST(event_left_half_written_hides_no_later_one) {
    struct sm_arena *a = h->h_arena;
    struct sm_event_shm e;
    sm_event_log(a, SM_EV_NOTE, "first");
    sm_event_log(a, SM_EV_NOTE, "second");
    sm_event_log(a, SM_EV_NOTE, "third");
    a->a_events[1].ev_seq = 2 | SM_EV_WRITING; /* as its writer leaves it when it is killed */
    EXPECT_OK(sm_event_next(a, 1, &e));
    EXPECT_STR_EQ(e.ev_text, "third");
    a->a_events[2].ev_seq = 3 | SM_EV_WRITING;
    EXPECT_ERR(sm_event_next(a, 1, &e), SM_EMPTY);
    for (uint32_t i = 0; i < a->a_header->h_max_events; i++) {
        sm_event_log(a, SM_EV_NOTE, "lap");
    }
    EXPECT_OK(sm_event_next(a, 1, &e)); /* a lap later the places are whole again */
    EXPECT_EQ(e.ev_seq, 4);
    EXPECT_EQ(a->a_events[1].ev_seq, a->a_header->h_max_events + 2);
}
