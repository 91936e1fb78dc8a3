/* test_waiting.c - what a thread waits for as another one reads it, and a process that pauses the checks. */
#include "block_fixture.h"

static enum w_sighting own_slot(const struct w_block *b, struct w_thread_shm *out) {
    for (uint32_t i = 0; i < b->b_max_threads; i++) {
        enum w_sighting seen = w_waiting_read(b, i, out);
        if (seen != W_NOBODY && out->t_owner == w_thread_who()) {
            return seen;
        }
    }
    return W_NOBODY;
}

TEST_BARE(each_wait_has_a_number_of_its_own_and_is_seen_from_its_beginning_to_its_end) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    struct w_thread_shm first, second, t;
    uint32_t a = class_named(b, "a", 0), p = class_named(b, "p", 0);
    EXPECT_EQ(own_slot(b, &t), W_NOBODY);
    take(b, a, W_EXCLUSIVE);
    EXPECT_EQ(own_slot(b, &t), W_SEEN);
    EXPECT_EQ(t.t_wait_class, W_NO_CLASS);
    EXPECT_EQ(t.t_count, 1);
    EXPECT_EQ(t.t_held[0].d_class, a);

    w_before_acquire(b, p, 7, W_SHARED, 0, __builtin_return_address(0));
    EXPECT_EQ(own_slot(b, &first), W_SEEN);
    EXPECT_EQ(first.t_wait_class, p);
    EXPECT_EQ(first.t_wait_instance, 7);
    EXPECT_EQ(first.t_wait_mode, W_SHARED);
    EXPECT_TRUE(first.t_wait_since_ns > 0);
    EXPECT_EQ(own_slot(b, &t), W_SEEN);
    EXPECT_EQ(t.t_wait_number, first.t_wait_number);
    w_not_acquired(b, p, 7);
    EXPECT_EQ(own_slot(b, &t), W_SEEN);
    EXPECT_EQ(t.t_wait_class, W_NO_CLASS);

    w_before_acquire(b, p, 7, W_SHARED, 0, __builtin_return_address(0));
    EXPECT_EQ(own_slot(b, &second), W_SEEN);
    EXPECT_NE(second.t_wait_number, first.t_wait_number);
    w_acquired(b, p, 7, W_SHARED, 0, __builtin_return_address(0));
    EXPECT_EQ(own_slot(b, &t), W_SEEN);
    EXPECT_EQ(t.t_wait_class, W_NO_CLASS);
    EXPECT_EQ(t.t_count, 2);
    w_release(b, p, 7, true, NULL);
    give(b, a);
    fixture_end(&f);
}

TEST_BARE(what_another_process_gave_back_is_not_seen_held) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    struct w_thread_shm t;
    uint32_t a = class_named(b, "a", 0), p = class_named(b, "p", 0);
    take(b, a, W_EXCLUSIVE);
    take(b, p, W_EXCLUSIVE);
    w_given_elsewhere(b, a, 1);
    EXPECT_EQ(own_slot(b, &t), W_SEEN);
    EXPECT_EQ(t.t_count, 1);
    EXPECT_EQ(t.t_held[0].d_class, p);
    give(b, p);
    w_release(b, a, 1, false, __builtin_return_address(0));
    fixture_end(&f);
}

TEST_BARE(a_lock_taken_without_a_wait_leaves_the_number_alone) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    struct w_thread_shm before, after;
    uint32_t a = class_named(b, "a", 0);
    pair(b, a, class_named(b, "b", 0));
    EXPECT_EQ(own_slot(b, &before), W_SEEN);
    pair(b, a, class_named(b, "c", 0));
    EXPECT_EQ(own_slot(b, &after), W_SEEN);
    EXPECT_EQ(after.t_wait_number, before.t_wait_number);
    fixture_end(&f);
}

TEST_BARE(a_process_that_pauses_learns_no_order_reports_nothing_and_knows_what_it_holds) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0), m = class_named(b, "m", 0);
    pair(b, p, q);
    uint32_t edges = b->b_header->h_edges;
    b->b_paused = true;
    pair(b, q, p);
    pair(b, m, p);
    take(b, m, W_EXCLUSIVE);
    take(b, m, W_EXCLUSIVE);
    give(b, m);
    give(b, p);
    EXPECT_EQ(w_may_sleep(b, "sleep", NULL, false, NULL), 1);
    EXPECT_EQ(reports(b), 0);
    EXPECT_EQ(b->b_header->h_edges, edges);
    b->b_paused = false;
    take(b, q, W_EXCLUSIVE); /* under m, which was taken in the pause */
    EXPECT_EQ(b->b_header->h_edges, edges + 1);
    give(b, q);
    give(b, m);
    pair(b, q, p);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_kind, W_R_REVERSAL);
    fixture_end(&f);
}
