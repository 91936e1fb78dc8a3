/* test_race_site.c - CPUs that insert the same sites at the same time, and one that walks while the others allocate:
 * threads over one mapping, so that ThreadSanitizer sees what orders a site's text.
 */
#include "harness.h"

#define CPUS 4
#define TEXTS 40
#ifdef __SANITIZE_THREAD__
#define ROUNDS 400
#else
#define ROUNDS 2000
#endif

static void insert_all(struct harness_cpu *c) {
    char want[SM_SITE_TEXT], text[SM_SITE_TEXT];
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t site;
        snprintf(want, sizeof want, "site number %u", (uint32_t)harness_below(&c->c_random, TEXTS));
        EXPECT_OK(sm_site_intern(c->c_arena, want, &site));
        EXPECT_NE(site, SM_SITE_FULL);
        EXPECT_TRUE(sm_site_text(c->c_arena, site, text));
        EXPECT_STR_EQ(text, want);
    }
}

TEST_GEOMETRY(a_number_stands_for_its_text_whoever_else_inserts, .g_max_bytes = 4 << 20, .g_max_cpus = 8,
              .g_max_sites = CPUS * TEXTS) {
    uint32_t finished = 0;
    (void)harness_zone(h->h_arena, "traced", 64, SM_ZONE_TRACE);
    harness_run_threads(h, CPUS, insert_all, NULL);
    for (uint32_t i = 0; i < CPUS * TEXTS; i++) {
        uint64_t w = h->h_arena->a_sites[i].si_word;
        EXPECT_TRUE(w == 0 || SM_SITE_KIND(w) == SM_SITE_FINISHED);
        finished += w != 0;
    }
    EXPECT_GE(finished, TEXTS);
    EXPECT_LE(finished, CPUS * TEXTS); /* at worst each made one of its own */
}

struct walk {
    struct sm_arena *w_arena;
    uint32_t w_stop;
    uint64_t w_seen;
};

static int look(void *ctx, const struct sm_who_item *item) {
    struct walk *w = ctx;
    char text[SM_SITE_TEXT];
    if (item->wi_site != SM_SITE_NONE) {
        EXPECT_TRUE(sm_site_text(w->w_arena, item->wi_site, text)); /* a record never names what is not finished */
        EXPECT_EQ(strncmp(text, "of cpu ", 7), 0);
        w->w_seen++;
    }
    return 0;
}

static void churn_or_walk(struct harness_cpu *c) {
    struct walk *w = c->c_ctx;
    struct sm_zone *z = harness_open_zone(c->c_arena, "traced");
    void *item[8] = {NULL};
    if (c->c_index == 0) {
        struct walk mine = {.w_arena = c->c_arena};
        while (sm_load_acq(&w->w_stop) < CPUS - 1 || mine.w_seen == 0) {
            EXPECT_OK(sm_who_each(c->c_arena, look, &mine));
        }
        w->w_seen = mine.w_seen;
        sm_add_acqrel(&w->w_stop, 1);
        return;
    }
    for (int i = 0; i < ROUNDS; i++) {
        void **at = &item[harness_below(&c->c_random, 8)];
        char text[SM_SITE_TEXT];
        uint32_t site;
        if (*at != NULL) {
            EXPECT_OK(sm_zone_free(z, *at, NULL));
            *at = NULL;
            continue;
        }
        snprintf(text, sizeof text, "of cpu %u, round %d", c->c_index, i % 100);
        EXPECT_OK(sm_site_intern(c->c_arena, text, &site));
        EXPECT_OK(sm_site_set(c->c_arena, site));
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, at));
    }
    if (item[0] == NULL) { /* something stays for the walker until it has seen it */
        EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item[0]));
    }
    sm_add_acqrel(&w->w_stop, 1);
    HARNESS_UNTIL(sm_load_acq(&w->w_stop) == CPUS);
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(sm_zone_free(z, item[i], NULL));
    }
}

TEST_GEOMETRY(a_walk_beside_allocations_never_meets_a_site_without_its_text, .g_max_bytes = 4 << 20, .g_max_cpus = 8) {
    struct walk w = {.w_arena = h->h_arena};
    (void)harness_zone(h->h_arena, "traced", 300, SM_ZONE_TRACE);
    harness_run_threads(h, CPUS, churn_or_walk, &w);
    EXPECT_GT(w.w_seen, 0);
}
