/* test_order.c - what is reported of an order and what is not: reversals, cycles, readers, duplicates, tries, blessings. */
#include "block_fixture.h"

#define X W_EXCLUSIVE
#define R W_SHARED_RECURSIVE

TEST_BARE(an_order_and_its_reverse_are_reported_once_with_four_stacks) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    pair(b, p, q);
    EXPECT_EQ(reports(b), 0);
    pair(b, q, p);
    EXPECT_EQ(reports(b), 1);
    const struct w_report_shm *r = last_report(b);
    EXPECT_EQ(r->r_kind, W_R_REVERSAL);
    EXPECT_EQ(r->r_class[0], q);
    EXPECT_EQ(r->r_class[1], p);
    EXPECT_NE(r->r_stack[0], W_NONE);
    EXPECT_NE(r->r_stack[1], W_NONE);
    EXPECT_NE(r->r_edge, W_NONE);
    EXPECT_EQ(b->b_edges[r->r_edge - 1].e_first, p);
    EXPECT_NE(b->b_edges[r->r_edge - 1].e_stack[0], W_NONE);
    EXPECT_NE(b->b_edges[r->r_edge - 1].e_stack[1], W_NONE);
    for (int i = 0; i < 10; i++) {
        pair(b, q, p);
        pair(b, p, q);
    }
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(b->b_edges[r->r_edge - 1].e_count, 11);
    fixture_end(&f);
}

TEST_BARE(a_cycle_through_others_is_told_in_full_and_is_a_shortest_one) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t c[5];
    char name[2] = "a";
    for (int i = 0; i < 5; i++, name[0]++) {
        c[i] = class_named(b, name, 0);
    }
    for (int i = 0; i + 1 < 5; i++) {
        pair(b, c[i], c[i + 1]);
    }
    pair(b, c[1], c[4]); /* a shorter way */
    EXPECT_TRUE(*w_cell(b, c[0], c[4]) & W_ANCESTOR);
    EXPECT_TRUE(*w_cell(b, c[4], c[0]) & W_DESCENDANT);
    EXPECT_EQ(reports(b), 0);
    pair(b, c[4], c[0]);
    EXPECT_EQ(reports(b), 1);
    const struct w_report_shm *r = last_report(b);
    EXPECT_EQ(r->r_cycles, 3);
    EXPECT_EQ(r->r_cycle[0], c[0]);
    EXPECT_EQ(r->r_cycle[1], c[1]);
    EXPECT_EQ(r->r_cycle[2], c[4]);
    EXPECT_FALSE(*w_cell(b, c[4], c[0]) & W_PARENT); /* not adopted */
    fixture_end(&f);
}

/* Three orders round a circle; the letters are those of the kernel's self-test. */
static uint32_t circle(enum w_mode a1, enum w_mode a2, enum w_mode b2, enum w_mode b3, enum w_mode c3, enum w_mode c1) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t one = class_named(b, "1", 0), two = class_named(b, "2", 0), three = class_named(b, "3", 0);
    nest(b, one, a1, two, a2);
    nest(b, two, b2, three, b3);
    nest(b, three, c3, one, c1);
    uint32_t found = reports(b);
    fixture_end(&f);
    return found;
}

TEST_BARE(only_a_closed_path_that_blocks_counts) {
    EXPECT_EQ(circle(X, R, X, R, X, R), 1); /* W1R2_W2R3_W3R1 */
    EXPECT_EQ(circle(X, X, R, R, X, R), 1); /* W1W2_R2R3_W3R1 */
    EXPECT_EQ(circle(X, X, R, R, R, X), 0); /* W1W2_R2R3_R3W1 */
    EXPECT_EQ(circle(X, R, R, R, X, X), 0); /* W1R2_R2R3_W3W1 */
    EXPECT_EQ(circle(R, R, R, R, R, R), 0);
    EXPECT_EQ(circle(W_SHARED, W_SHARED, W_SHARED, W_SHARED, W_SHARED, W_SHARED), 1); /* fair readers wait */
}

TEST_BARE(an_order_of_readers_that_writers_take_later_is_judged_again) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    nest(b, p, R, q, R);
    nest(b, q, R, p, R);
    EXPECT_EQ(reports(b), 0);
    nest(b, p, X, q, X); /* waits for the reader of q, who waits for us */
    EXPECT_EQ(reports(b), 1);
    nest(b, q, X, p, X); /* the same pair */
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(two_of_a_class_are_told_of_unless_the_class_allows_it) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), d = class_named(b, "d", W_DUPOK), r = class_named(b, "r", W_RECURSABLE);
    w_acquired(b, d, 1, X, 0, NULL);
    w_acquired(b, d, 2, X, 0, NULL);
    w_acquired(b, r, 1, X, 0, NULL);
    w_acquired(b, r, 1, X, 0, NULL);
    EXPECT_EQ(reports(b), 0);
    w_acquired(b, p, 1, X, 0, NULL);
    w_acquired(b, p, 2, X, 0, NULL);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_kind, W_R_DUPLICATE);
    w_before_acquire(b, p, 2, X, 0, NULL);
    EXPECT_EQ(reports(b), 2);
    EXPECT_EQ(last_report(b)->r_kind, W_R_RECURSION);
    fixture_end(&f);
}

TEST_BARE(a_try_is_not_judged_but_what_is_taken_after_it_is) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    pair(b, p, q);
    take(b, q, X);
    w_acquired(b, p, 1, X, W_TRY, NULL);
    EXPECT_EQ(reports(b), 0);
    give(b, p);
    give(b, q);
    uint32_t s = class_named(b, "s", 0);
    w_acquired(b, s, 1, X, W_TRY, NULL);
    take(b, p, X);
    give(b, p);
    give(b, s);
    pair(b, p, s);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(a_sleepable_lock_comes_before_the_others_and_none_under_a_spin_lock) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t sx = class_named(b, "sx", W_SLEEPABLE), m = class_named(b, "m", 0), spin = class_named(b, "spin", W_SPIN);
    pair(b, sx, m);
    pair(b, m, spin);
    EXPECT_EQ(reports(b), 0);
    uint32_t other = class_named(b, "other", W_SLEEPABLE);
    pair(b, m, other);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_kind, W_R_SLEEPABLE);
    uint32_t inner = class_named(b, "inner", 0);
    pair(b, spin, inner);
    EXPECT_EQ(reports(b), 2);
    EXPECT_STR_EQ(last_report(b)->r_what, "sleep lock taken under a spin lock");
    fixture_end(&f);
}

TEST_BARE(declared_orders_bind_and_blessed_reversals_are_marked) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0), r = class_named(b, "r", 0);
    EXPECT_OK(w_declare(b, p, q));
    EXPECT_ERR(w_declare(b, q, p), SM_DEADLOCK);
    pair(b, q, p);
    EXPECT_EQ(reports(b), 1);
    EXPECT_OK(w_bless(b, r, p));
    pair(b, p, r);
    pair(b, r, p);
    EXPECT_EQ(reports(b), 2);
    EXPECT_EQ(last_report(b)->r_flags, W_REPORT_BLESSED);
    fixture_end(&f);
}

TEST_BARE(a_gate_is_what_was_held_every_time) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t g = class_named(b, "gate", 0), p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    take(b, g, X);
    pair(b, p, q);
    pair(b, p, q);
    give(b, g);
    struct w_edge_shm *e = w_edge_of(b, *w_cell(b, p, q));
    EXPECT_EQ(e->e_gates, 1);
    EXPECT_EQ(e->e_gate[0], g);
    pair(b, p, q);
    EXPECT_EQ(e->e_gates, 0);
    EXPECT_EQ(e->e_count, 3);
    fixture_end(&f);
}

TEST_BARE(full_tables_switch_the_checks_off_and_nothing_else) {
    struct w_geometry g = {.g_classes = 4, .g_edges = 2, .g_reports = 1, .g_stacks = 1, .g_frames = 1, .g_threads = 1};
    struct fixture f = fixture_of(&g);
    struct w_block *b = f.f_block;
    uint32_t c[4], one_more;
    char name[2] = "a";
    for (int i = 0; i < 4; i++, name[0]++) {
        c[i] = class_named(b, name, 0);
    }
    pair(b, c[0], c[1]);
    pair(b, c[1], c[2]);
    pair(b, c[2], c[3]);
    EXPECT_EQ(b->b_header->h_watch, -1);
    EXPECT_EQ(b->b_header->h_off_reason, W_OFF_EDGES);
    EXPECT_ERR(w_class_get(b, "e", "mutex", 0, 0, &one_more), SM_TABLE_FULL);
    EXPECT_EQ(b->b_header->h_off_reason, W_OFF_EDGES);
    pair(b, c[3], c[0]);
    EXPECT_EQ(reports(b), 0);
    fixture_end(&f);
}

TEST_BARE(watch_0_checks_nothing_and_1_checks_again) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    pair(b, p, q);
    b->b_header->h_watch = 0;
    pair(b, q, p);
    EXPECT_EQ(reports(b), 0);
    b->b_header->h_watch = 1;
    pair(b, q, p);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(a_thousand_types_are_checked_like_two) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "t%d", i);
        EXPECT_EQ(class_named(b, name, 0), i);
    }
    for (uint32_t i = 0; i + 1 < 1000; i++) {
        pair(b, i, i + 1);
    }
    EXPECT_EQ(reports(b), 0);
    pair(b, 999, 0);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_cycles, W_CYCLE); /* its beginning */
    fixture_end(&f);
}

TEST_BARE(an_order_counts_every_taking_of_whatever_kind_and_a_declared_one_begins_at_none) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0), r = class_named(b, "r", 0);
    nest(b, p, R, q, R);
    EXPECT_EQ(b->b_edges[0].e_count, 1);
    nest(b, p, X, q, R);
    nest(b, p, R, q, X);
    EXPECT_EQ(b->b_edges[0].e_count, 3);
    EXPECT_OK(w_declare(b, q, r));
    EXPECT_EQ(b->b_edges[1].e_count, 0);
    pair(b, q, r);
    EXPECT_EQ(b->b_edges[1].e_count, 1);
    EXPECT_EQ(b->b_header->h_edges, 2);
    fixture_end(&f);
}

TEST_BARE(an_order_that_closes_what_was_reached_already_leaves_the_closure_as_it_was) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0), r = class_named(b, "r", 0), s;
    pair(b, p, q);
    pair(b, q, r);
    uint32_t before = *w_cell(b, p, r);
    EXPECT_EQ(before & (W_PARENT | W_ANCESTOR), W_ANCESTOR);
    pair(b, p, r); /* a short cut */
    EXPECT_EQ(*w_cell(b, p, r) & (W_PARENT | W_ANCESTOR), W_PARENT | W_ANCESTOR);
    EXPECT_EQ(*w_cell(b, r, p) & (W_CHILD | W_DESCENDANT), W_CHILD | W_DESCENDANT);
    s = class_named(b, "s", 0);
    pair(b, r, s); /* what comes after is reached by all */
    EXPECT_TRUE(*w_cell(b, p, s) & W_ANCESTOR);
    pair(b, s, p);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_cycles, 3);
    fixture_end(&f);
}
