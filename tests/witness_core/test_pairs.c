/* test_pairs.c - locks of one class in contrary orders: which are told of, which are not, and what is forgotten. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block_fixture.h"

#define PAIRED (W_DUPOK | W_PAIRED)

static void hold(struct w_block *b, uint32_t id, uint64_t instance) {
    w_acquired(b, id, instance, W_EXCLUSIVE, 0, __builtin_return_address(0));
}

static void chain(struct w_block *b, uint32_t id, const uint64_t *instances, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        hold(b, id, instances[i]);
    }
    while (n-- != 0) {
        w_release(b, id, instances[n], true, NULL);
    }
}

static void two(struct w_block *b, uint32_t id, uint64_t first, uint64_t second) {
    chain(b, id, (uint64_t[]){first, second}, 2);
}

TEST_BARE(two_of_a_class_in_both_orders_are_told_of_once_with_where_either_was) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t c = class_named(b, "c", PAIRED);
    for (uint64_t i = 1; i < 40; i++) { /* always upwards: no order is contrary */
        two(b, c, i, i + 1);
        two(b, c, i, i + 7);
    }
    EXPECT_EQ(reports(b), 0);
    two(b, c, 8, 1);
    EXPECT_EQ(reports(b), 1);
    const struct w_report_shm *r = last_report(b);
    EXPECT_EQ(r->r_kind, W_R_REVERSAL);
    EXPECT_EQ(r->r_class[0], c);
    EXPECT_EQ(r->r_class[1], c);
    EXPECT_EQ(r->r_instance[0], 8);
    EXPECT_EQ(r->r_instance[1], 1);
    EXPECT_NE(r->r_edge, W_NONE);
    EXPECT_TRUE(b->b_edges[r->r_edge - 1].e_flags & W_EDGE_INSIDE);
    EXPECT_NE(b->b_edges[r->r_edge - 1].e_stack[0], W_NONE);
    EXPECT_NE(b->b_edges[r->r_edge - 1].e_stack[1], W_NONE);
    EXPECT_FALSE(*w_cell(b, c, c) & W_PARENT);
    two(b, c, 2, 1);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(two_of_a_class_of_signals_have_no_order_and_a_paused_process_learns_none) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t c = class_named(b, "c", PAIRED), p = class_named(b, "p", PAIRED | W_PRIVATE | W_FILE);
    EXPECT_EQ(w_class_flags(b, p) & ~W_MANY, PAIRED | W_PRIVATE | W_FILE);
    two(b, c, 1, 2);
    w_class_signal(b, c);
    two(b, c, 2, 1);
    b->b_paused = true;
    two(b, p, 1, 2);
    b->b_paused = false;
    two(b, p, 2, 1);
    EXPECT_EQ(reports(b), 0);
    two(b, p, 1, 2);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(a_circle_of_one_class_is_told_of) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t forks = class_named(b, "forks", PAIRED);
    for (uint64_t i = 0; i < 5; i++) {
        EXPECT_EQ(reports(b), 0);
        two(b, forks, 10 + i, 10 + (i + 1) % 5);
    }
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(a_lock_held_around_both_orders_excuses_them_until_one_is_made_without) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t c = class_named(b, "c", PAIRED), outer = class_named(b, "outer", PAIRED);
    hold(b, outer, 1);
    two(b, c, 1, 2);
    two(b, c, 2, 1);
    w_release(b, outer, 1, true, NULL);
    EXPECT_EQ(reports(b), 0);
    hold(b, outer, 2); /* another lock of the class of gates keeps nobody out */
    two(b, c, 1, 2);
    w_release(b, outer, 2, true, NULL);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(classes_whose_instances_come_back_and_locks_taken_again_are_left_alone) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t plain = class_named(b, "plain", W_DUPOK), again = class_named(b, "again", PAIRED | W_RECURSABLE);
    two(b, plain, 1, 2);
    two(b, plain, 2, 1);
    chain(b, again, (uint64_t[]){1, 2, 1}, 3); /* 1 is held: nobody waits for it */
    EXPECT_EQ(reports(b), 0);
    two(b, again, 2, 1);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(a_recursive_lock_taken_again_under_another_makes_no_order) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t r = class_named(b, "r", W_RECURSABLE), m = class_named(b, "m", 0);
    take(b, r, W_EXCLUSIVE);
    take(b, m, W_EXCLUSIVE);
    take(b, r, W_EXCLUSIVE);
    give(b, r);
    give(b, m);
    give(b, r);
    EXPECT_EQ(reports(b), 0);
    pair(b, m, r);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(more_pairs_than_the_table_holds_are_forgotten_and_learned_again) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t c = class_named(b, "c", PAIRED);
    for (uint64_t i = 0; i < 3 * W_PAIRS; i++) {
        two(b, c, 1000 + 2 * i, 1001 + 2 * i);
    }
    EXPECT_EQ(reports(b), 0);
    two(b, c, 1, 2);
    two(b, c, 2, 1);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(the_halves_may_be_in_two_processes) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t c = class_named(b, "c", PAIRED);
    pid_t child = fork();
    if (child == 0) {
        two(b, c, 1, 2);
        _exit(0);
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    two(b, c, 2, 1);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(b->b_edges[last_report(b)->r_edge - 1].e_who >> 32, (uint64_t)child);
    fixture_end(&f);
}

static uint32_t kill_at, kill_turn;

static void die_at(uint32_t step) {
    if (step == kill_at && kill_turn-- == 0) {
        (void)kill(getpid(), SIGKILL);
        abort();
    }
}

static void both_ways(struct w_block *b) {
    uint32_t c = class_named(b, "c", PAIRED);
    two(b, c, 1, 2);
    two(b, c, 2, 1);
}

TEST_BARE(a_kill_at_any_step_leaves_pairs_that_the_next_one_goes_on_with) {
    uint32_t killed = 0;
    for (kill_at = W_STEP_LOCKED; kill_at < W_STEP_END; kill_at++) {
        for (uint32_t turn = 0; turn < 12; turn++) {
            struct w_geometry g = {.g_classes = 16, .g_edges = 64, .g_stacks = 64, .g_frames = 64, .g_reports = 16};
            struct fixture f = fixture_of(&g);
            struct w_block *b = f.f_block;
            int status = 0;
            kill_turn = turn;
            pid_t child = fork();
            if (child == 0) {
                w_crash_hook = die_at;
                both_ways(b);
                _exit(3); /* not killed: the step came less often than asked for */
            }
            EXPECT_EQ(waitpid(child, &status, 0), child);
            EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 3);
            killed += WIFSIGNALED(status);
            both_ways(b);
            uint32_t whole = 0, found = 0;
            for (uint32_t i = 0; i < W_PAIRS; i++) { /* W8 */
                whole += b->b_pairs[i].i_class == 1;
                EXPECT_TRUE(b->b_pairs[i].i_class <= 1);
            }
            EXPECT_EQ(whole, 2);
            for (uint32_t i = 0; i < reports(b); i++) {
                found += b->b_reports[i].r_kind == W_R_REVERSAL;
            }
            EXPECT_LE(found, 1);
            bool marked = kill_at == W_STEP_LOCKED || kill_at == W_STEP_UNLOCKING || kill_at >= W_STEP_EDGE_FILLED;
            if (!WIFSIGNALED(status) || !marked) { /* marked, and its writer killed: that one report is lost */
                EXPECT_EQ(found, 1);
            }
            fixture_end(&f);
            if (!WIFSIGNALED(status)) {
                break;
            }
        }
    }
    EXPECT_GT(killed, W_STEP_END);
}
