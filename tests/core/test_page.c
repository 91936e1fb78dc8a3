/* test_page.c - runs of data pages: taking, giving, merging, punching, rebuilding, running out; random against a model.
 * Owns nothing. Drives page.h below the kegs: pages without a state block.
 */
#include "harness.h"

#include <stdlib.h>

#include "core/page.h"
#include "core/quiesce.h"

static enum sm_err take(struct sm_arena *a, uint32_t pages, uint32_t *page) {
    uint32_t block = 0;
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    enum sm_err err = sm_page_take(a, pages, SM_PAGE_NO_KEG, page, &block);
    sm_op_leave(a);
    EXPECT_EQ(block, 0);
    return err;
}

static void give(struct sm_arena *a, uint32_t page, uint32_t pages) {
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    EXPECT_OK(sm_page_give(a, page, pages, SM_PAGE_NO_KEG, 0));
    sm_op_leave(a);
}

static uint64_t punch(struct sm_arena *a) {
    uint64_t pages = 0;
    EXPECT_OK(sm_op_enter(a, SM_OPWORD(SM_OP_SLOW, 0, 0)));
    EXPECT_OK(sm_page_punch(a, &pages));
    sm_op_leave(a);
    return pages;
}

static void clean(struct sm_arena *a) {
    EXPECT_EQ(harness_findings(a, true), 0);
}

TEST(taken_pages_are_reserved_for_this_cpu_and_carry_their_index) {
    struct sm_arena *a = h->h_arena;
    uint32_t page;
    EXPECT_OK(take(a, 5, &page));
    for (uint32_t i = 0; i < 5; i++) {
        EXPECT_EQ(a->a_pagedir[page + i], SM_PG_ENTRY(SM_PG_RESERVED, a->a_cpu_id, i, 0));
    }
    clean(a);
    give(a, page, 5);
}

TEST(a_run_given_back_merges_with_both_neighbours) {
    struct sm_arena *a = h->h_arena;
    uint32_t p[3];
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(take(a, 4, &p[i]));
    }
    EXPECT_EQ(p[1], p[0] + 4);
    EXPECT_EQ(p[2], p[1] + 4);
    give(a, p[0], 4);
    clean(a);
    EXPECT_EQ(SM_PG_BLK(a->a_pagedir[p[0]]), 4);
    give(a, p[2], 4); /* joins the rest of what the frontier brought */
    clean(a);
    give(a, p[1], 4);
    clean(a);
    EXPECT_EQ(SM_PG_BLK(a->a_pagedir[p[0]]), a->a_ctl->ctl_frontier);
    EXPECT_EQ(a->a_ctl->ctl_free_pages, a->a_ctl->ctl_frontier);
}

TEST(a_freed_run_is_taken_again_before_the_frontier_moves) {
    struct sm_arena *a = h->h_arena;
    uint32_t page, again;
    EXPECT_OK(take(a, SM_COMMIT_PAGES, &page));
    uint64_t frontier = a->a_ctl->ctl_frontier;
    give(a, page, SM_COMMIT_PAGES);
    EXPECT_OK(take(a, SM_COMMIT_PAGES, &again));
    EXPECT_EQ(again, page);
    EXPECT_EQ(a->a_ctl->ctl_frontier, frontier);
    give(a, again, SM_COMMIT_PAGES);
}

TEST(the_smallest_run_that_fits_is_preferred) {
    struct sm_arena *a = h->h_arena;
    uint32_t small, wall, large, got;
    EXPECT_OK(take(a, 2, &small));
    EXPECT_OK(take(a, 1, &wall));
    EXPECT_OK(take(a, 32, &large));
    give(a, small, 2);
    give(a, large, 32);
    EXPECT_OK(take(a, 2, &got));
    EXPECT_EQ(got, small);
    give(a, got, 2);
    give(a, wall, 1);
}

TEST(punched_pages_leave_memory_and_come_back_zeroed) {
    struct sm_arena *a = h->h_arena;
    uint64_t before = 0, after = 0;
    uint32_t page, again;
    EXPECT_OK(take(a, 1000, &page));
    memset(sm_page_mem(a, page), 0xa5, 1000 * SM_PAGE);
    give(a, page, 1000);
    EXPECT_OK(sm_os_allocated(h->h_fd, &before));
    uint64_t punched = punch(a);
    EXPECT_OK(sm_os_allocated(h->h_fd, &after));
    EXPECT_GE(punched, 1000);
    EXPECT_LE(after + 1000 * SM_PAGE, before);
    EXPECT_EQ(a->a_ctl->ctl_hole_pages, punched);
    EXPECT_EQ(a->a_ctl->ctl_free_pages, 0);
    EXPECT_EQ(a->a_ctl->ctl_punched, punched);
    clean(a);
    EXPECT_OK(take(a, 10, &again));
    for (uint64_t i = 0; i < 10 * SM_PAGE; i++) {
        EXPECT_EQ(sm_page_mem(a, again)[i], 0);
    }
    clean(a);
    give(a, again, 10);
    clean(a);
}

TEST(a_free_run_and_a_hole_side_by_side_stay_two_runs) {
    struct sm_arena *a = h->h_arena;
    uint32_t p, q;
    EXPECT_OK(take(a, 8, &p));
    EXPECT_OK(take(a, 8, &q));
    give(a, p, 8);
    punch(a);
    give(a, q, 8);
    EXPECT_EQ(SM_PG_KIND(a->a_pagedir[p]), SM_PG_HOLE);
    EXPECT_EQ(SM_PG_KIND(a->a_pagedir[q]), SM_PG_FREE);
    clean(a);
}

TEST_GEOMETRY(the_last_page_can_be_taken_and_the_one_after_it_is_no_memory, .g_max_bytes = 1ull << 20, .g_max_cpus = 4,
              .g_max_zones = 8) {
    struct sm_arena *a = h->h_arena;
    uint32_t page[256], n = 0, more;
    while (n < 256 && take(a, 1, &page[n]) == SM_OK) {
        n++;
    }
    EXPECT_EQ(n, 256);
    EXPECT_ERR(take(a, 1, &more), SM_NO_MEMORY);
    EXPECT_EQ(a->a_ctl->ctl_frontier, 256);
    clean(a);
    for (uint32_t i = 0; i < n; i += 2) {
        give(a, page[i], 1);
    }
    clean(a);
    EXPECT_ERR(take(a, 2, &more), SM_NO_MEMORY); /* 128 pages are free, no two of them side by side */
    for (uint32_t i = 1; i < n; i += 2) {
        give(a, page[i], 1);
    }
    EXPECT_OK(take(a, 256, &more));
    EXPECT_EQ(more, 0);
    give(a, more, 256);
}

TEST_GEOMETRY(a_run_larger_than_the_arena_is_no_memory, .g_max_bytes = 1ull << 20, .g_max_cpus = 4, .g_max_zones = 8) {
    uint32_t page;
    EXPECT_ERR(take(h->h_arena, 257, &page), SM_NO_MEMORY);
    EXPECT_ERR(take(h->h_arena, UINT32_MAX, &page), SM_NO_MEMORY);
}

TEST(a_run_that_needs_the_frontier_uses_the_free_pages_just_below_it) {
    struct sm_arena *a = h->h_arena;
    uint32_t first, page;
    EXPECT_OK(take(a, 10, &first));
    uint64_t frontier = a->a_ctl->ctl_frontier;
    EXPECT_OK(take(a, (uint32_t)frontier + 20, &page));
    EXPECT_EQ(page, first + 10);
    clean(a);
    give(a, page, (uint32_t)frontier + 20);
    give(a, first, 10);
}

static void rebuild(struct sm_arena *a) {
    static const bool nobody_is_dead[SM_CPU_NONE];
    EXPECT_OK(sm_quiesce_begin(a));
    EXPECT_OK(sm_quiesce_all(a));
    EXPECT_OK(sm_page_rebuild(a, nobody_is_dead));
    sm_quiesce_end(a);
}

TEST(rebuilding_restores_runs_bins_and_totals_from_the_page_directory) {
    struct sm_arena *a = h->h_arena;
    uint32_t page[40];
    for (uint32_t i = 0; i < 40; i++) {
        EXPECT_OK(take(a, 1 + i % 7, &page[i]));
    }
    for (uint32_t i = 0; i < 40; i += 2) {
        give(a, page[i], 1 + i % 7);
    }
    uint64_t free_pages = a->a_ctl->ctl_free_pages;
    memset(a->a_ctl->ctl_bins, 0xff, sizeof a->a_ctl->ctl_bins);
    memset(a->a_links, 0xee, a->a_ctl->ctl_frontier * sizeof a->a_links[0]);
    a->a_ctl->ctl_free_pages = 12345;
    EXPECT_GT(harness_findings(a, false), 0);
    rebuild(a);
    clean(a);
    EXPECT_EQ(a->a_ctl->ctl_free_pages, free_pages);
    for (uint32_t i = 1; i < 40; i += 2) {
        give(a, page[i], 1 + i % 7);
    }
    clean(a);
}

TEST(rebuilding_frees_followers_without_a_head) {
    struct sm_arena *a = h->h_arena;
    uint32_t page;
    EXPECT_OK(take(a, 6, &page));
    a->a_pagedir[page] = SM_PG_ENTRY(SM_PG_FREE, 0, 0, 0); /* what a withdrawal leaves that was cut short */
    a->a_ctl->ctl_free_pages = 0;
    rebuild(a);
    EXPECT_EQ(a->a_ctl->ctl_free_pages, a->a_ctl->ctl_frontier);
    clean(a);
}

struct model_run {
    uint32_t m_page, m_pages;
};

TEST(random_takes_and_gives_agree_with_a_model) {
    struct sm_arena *a = h->h_arena;
    static struct model_run run[400];
    uint8_t *taken = calloc(a->a_data_pages, 1);
    uint32_t runs = 0;
    EXPECT_TRUE(taken != NULL);
    for (int step = 0; step < 6000; step++) {
        uint64_t dice = harness_below(&h->h_random, 100);
        if (dice < 52 && runs < 400) {
            struct model_run *r = &run[runs];
            r->m_pages = 1 + (uint32_t)harness_below(&h->h_random, dice < 4 ? 700 : 24);
            if (take(a, r->m_pages, &r->m_page) == SM_OK) {
                EXPECT_LE(r->m_page + (uint64_t)r->m_pages, a->a_ctl->ctl_frontier);
                for (uint32_t i = 0; i < r->m_pages; i++) {
                    EXPECT(!taken[r->m_page + i], "page %u was given out twice", r->m_page + i);
                    taken[r->m_page + i] = 1;
                }
                memset(sm_page_mem(a, r->m_page), (int)step, SM_PAGE); /* it must be there */
                runs++;
            }
        } else if (dice == 99) {
            punch(a);
        } else if (runs > 0) {
            uint32_t i = (uint32_t)harness_below(&h->h_random, runs);
            memset(&taken[run[i].m_page], 0, run[i].m_pages);
            give(a, run[i].m_page, run[i].m_pages);
            run[i] = run[--runs];
        }
        if (step % 500 == 0) {
            clean(a);
            uint64_t out = 0;
            for (uint32_t i = 0; i < runs; i++) {
                out += run[i].m_pages;
            }
            EXPECT_EQ(a->a_ctl->ctl_free_pages + a->a_ctl->ctl_hole_pages + out, a->a_ctl->ctl_frontier);
        }
    }
    while (runs > 0) {
        runs--;
        give(a, run[runs].m_page, run[runs].m_pages);
    }
    EXPECT_EQ(a->a_ctl->ctl_free_pages + a->a_ctl->ctl_hole_pages, a->a_ctl->ctl_frontier);
    free(taken);
}

static enum sm_err refuse(void *ctx, enum sm_fault_point p, const char *zone, uint64_t bytes, int flags) {
    (void)zone, (void)bytes, (void)flags;
    return p == *(enum sm_fault_point *)ctx ? SM_NO_MEMORY : SM_OK;
}

TEST(a_refused_commit_leaves_no_page_behind) {
    struct sm_arena *a = h->h_arena;
    enum sm_fault_point point = SM_FP_COMMIT;
    struct sm_hooks hooks = {
        .h_version = SM_HOOKS_VERSION, .h_mask = SM_HOOK_FAULT, .h_ctx = &point, .h_fault = refuse};
    uint32_t page;
    sm_arena_set_hooks(a, &hooks);
    EXPECT_ERR(take(a, 3, &page), SM_NO_MEMORY);
    EXPECT_EQ(a->a_ctl->ctl_frontier, 0);
    point = SM_FP_PAGE;
    EXPECT_ERR(take(a, 3, &page), SM_NO_MEMORY);
    sm_arena_set_hooks(a, NULL);
    EXPECT_OK(take(a, 3, &page));
    give(a, page, 3);
}
