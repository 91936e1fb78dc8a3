/* test_quiesce.c - stopping a CPU between two of its operations: what the visitor sees is whole, nothing is lost, in biased
 * and in fenced mode, with threads over one mapping and with processes; dead, stalled and absent CPUs.
 * Owns nothing. Runs under ThreadSanitizer too.
 */
#include "harness.h"

#include <unistd.h>

#include "core/quiesce.h"

#define OWNER_ROUNDS 10000
#define HOLD 12

struct board { /* in a region of the arena: threads and processes share it */
    uint32_t b_done;
};

static struct board *board_of(struct sm_arena *a) {
    void *mem = NULL;
    EXPECT_OK(sm_arena_region(a, "board", sizeof(struct board), 1, &mem));
    return mem;
}

static void own(struct harness_cpu *c, struct sm_zone *z) {
    void *item[HOLD];
    for (int round = 0; round < OWNER_ROUNDS; round++) {
        uint32_t n = 1 + (uint32_t)harness_below(&c->c_random, HOLD);
        for (uint32_t i = 0; i < n; i++) {
            item[i] = sm_cache_alloc(z);
            if (item[i] == NULL) {
                EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[i]));
            }
            uint64_t cookie = (uint64_t)c->c_index << 32 | (uint32_t)round;
            *(uint64_t *)item[i] = cookie;
        }
        for (uint32_t i = 0; i < n; i++) {
            EXPECT_EQ(*(uint64_t *)item[i] >> 32, c->c_index);
            if (!sm_cache_free(z, item[i])) {
                EXPECT_OK(sm_zone_free(z, item[i], NULL));
            }
        }
    }
}

/* A stopped CPU's buckets and words agree, and stand still. */
static void inspect(struct sm_arena *a, struct sm_zone *z, uint32_t cpu) {
    EXPECT_OK(sm_quiesce_begin(a));
    EXPECT_OK(sm_quiesce_cpu(a, cpu));
    if (a->a_cpus[cpu].cpu_state == SM_CPU_LIVE) {
        const struct sm_cache_shm *c = sm_cache_of(a, cpu, z->z_id);
        uint64_t allocs = sm_load_rlx(&c->c_allocs), frees = sm_load_rlx(&c->c_frees);
        const sm_off_t bucket[2] = {c->c_alloc, c->c_free};
        const uint32_t count[2] = {c->c_alloc_n, c->c_free_n};
        for (int b = 0; b < 2; b++) {
            EXPECT_LE(count[b], SM_BUCKET_ITEMS);
            for (uint32_t i = 0; i < count[b]; i++) {
                const struct sm_bucket_shm *s = sm_at(a, bucket[b]);
                const uint64_t *word = sm_at(a, s->b_entry[i].e_word);
                EXPECT_EQ(SM_ST_KIND(*word), SM_CACHED);
                EXPECT_EQ(SM_ST_ZONE(*word), z->z_id);
            }
        }
        sm_os_yield();
        EXPECT_EQ(sm_load_rlx(&c->c_allocs), allocs);
        EXPECT_EQ(sm_load_rlx(&c->c_frees), frees);
    }
    sm_quiesce_end(a);
}

/* CPU 0 of the run visits, the others own. */
static void visit_or_own(struct harness_cpu *c) {
    struct board *board = board_of(c->c_arena);
    struct sm_zone *z = harness_open_zone(c->c_arena, "z");
    if (c->c_index != 0) {
        own(c, z);
        sm_add_acqrel(&board->b_done, 1);
        return;
    }
    while (sm_load_acq(&board->b_done) < c->c_count - 1) {
        uint64_t items, slabs;
        switch (harness_below(&c->c_random, 3)) {
        case 0:
            EXPECT_OK(sm_zone_reclaim(z, SM_RECLAIM_DRAIN_CPU, &items, &slabs));
            break;
        case 1:
            EXPECT_EQ(harness_findings(c->c_arena, true), 0);
            break;
        default:
            for (uint32_t cpu = 0; cpu < c->c_arena->a_header->h_max_cpus; cpu++) {
                if (cpu != c->c_arena->a_cpu_id) {
                    inspect(c->c_arena, z, cpu);
                }
            }
        }
    }
}

static void conserve(struct harness *h, void (*run)(struct harness *, uint32_t, harness_cpu_fn, void *)) {
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    struct sm_zone_stats s;
    (void)board_of(h->h_arena);
    run(h, 3, visit_or_own, NULL);
    EXPECT_OK(sm_stats_zone(h->h_arena, z->z_id, &s));
    EXPECT_EQ(s.zs_used, 0);
    EXPECT_EQ(s.zs_allocs, s.zs_frees);
    EXPECT_EQ(s.zs_keg_free + s.zs_bucket_free + s.zs_cpu_free, s.zs_slabs * s.zs_items_per_slab);
}

TEST(a_visitor_sees_whole_buckets_and_loses_nothing_biased) {
    EXPECT_FALSE(h->h_arena->a_fenced);
    conserve(h, harness_run_threads);
}

TEST_GEOMETRY(a_visitor_sees_whole_buckets_and_loses_nothing_fenced, .g_max_bytes = 64ull << 20, .g_max_cpus = 16,
              .g_max_zones = 64, .g_fenced = true) {
    EXPECT_TRUE(h->h_arena->a_fenced);
    conserve(h, harness_run_threads);
}

TEST(processes_are_visited_like_threads_biased) {
    conserve(h, harness_run_processes);
}

TEST_GEOMETRY(processes_are_visited_like_threads_fenced, .g_max_bytes = 64ull << 20, .g_max_cpus = 16,
              .g_max_zones = 64, .g_fenced = true) {
    conserve(h, harness_run_processes);
}

TEST(a_live_cpu_that_stays_inside_an_operation_is_named_as_stalled) {
    struct sm_arena *b = harness_attach_shared(h, "slow");
    EXPECT_OK(sm_tunable_set(h->h_arena, SM_TU_STALL_MS, 20));
    sm_store_rel(&b->a_cpu->cpu_op, SM_OPWORD(SM_OP_SLOW, 0, 0));
    EXPECT_OK(sm_quiesce_begin(h->h_arena));
    EXPECT_ERR(sm_quiesce_cpu(h->h_arena, b->a_cpu_id), SM_STALLED);
    EXPECT_EQ(h->h_arena->a_blocker, b->a_cpu_id);
    sm_quiesce_end(h->h_arena);
    EXPECT_EQ(b->a_cpu->cpu_claim, 0);
    sm_store_rel(&b->a_cpu->cpu_op, 0);
    EXPECT_OK(sm_quiesce_begin(h->h_arena));
    EXPECT_OK(sm_quiesce_cpu(h->h_arena, b->a_cpu_id));
    sm_quiesce_end(h->h_arena);
}

struct stop {
    struct harness_gate s_ready;
    bool s_everybody;
};

static void stop_and_hang(struct harness *h, void *ctx) {
    struct stop *s = ctx;
    struct sm_arena *a = harness_attach(h, "doomed");
    if (s->s_everybody) {
        EXPECT_OK(sm_quiesce_begin(a));
        EXPECT_OK(sm_quiesce_all(a));
    } else {
        sm_store_rel(&a->a_cpu->cpu_op, SM_OPWORD(SM_OP_SLOW, 0, 0));
    }
    harness_gate_post(&s->s_ready);
    for (;;) {
        pause();
    }
}

TEST(a_dead_cpu_counts_as_quiet) {
    struct stop s = {.s_everybody = false};
    harness_gate_init(h, &s.s_ready);
    pid_t child = harness_fork(h, stop_and_hang, &s);
    harness_gate_wait(&s.s_ready);
    harness_kill(h, child);
    EXPECT_OK(sm_quiesce_begin(h->h_arena));
    EXPECT_OK(sm_quiesce_all(h->h_arena));
    sm_quiesce_end(h->h_arena);
}

TEST(a_visitor_that_dies_with_the_world_stopped_lets_it_go_on) {
    struct stop s = {.s_everybody = true};
    struct sm_zone *z = harness_zone(h->h_arena, "z", 64, 0);
    void *item = NULL;
    harness_gate_init(h, &s.s_ready);
    pid_t child = harness_fork(h, stop_and_hang, &s);
    harness_gate_wait(&s.s_ready);
    EXPECT_NE(h->h_arena->a_cpu->cpu_claim, 0);
    harness_kill(h, child);
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_EQ(h->h_arena->a_cpu->cpu_claim, 0);
    EXPECT_OK(sm_zone_free(z, item, NULL));
}

TEST(quiescing_a_free_slot_or_oneself_is_nothing) {
    EXPECT_OK(sm_quiesce_begin(h->h_arena));
    EXPECT_OK(sm_quiesce_cpu(h->h_arena, h->h_arena->a_cpu_id));
    EXPECT_OK(sm_quiesce_cpu(h->h_arena, 9));
    EXPECT_OK(sm_quiesce_all(h->h_arena));
    sm_quiesce_end(h->h_arena);
    EXPECT_EQ(h->h_arena->a_cpu->cpu_claim, 0);
}
