/* test_contention.c - what is counted of locks that are found taken, where, and how it begins at zero again. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block_fixture.h"

static struct w_contention read_of(const struct w_block *b, uint32_t id) {
    struct w_contention g;
    w_contention_read(b, id, &g);
    return g;
}

/* Found taken at `place`, waited for, and got. */
static void wait_for(struct w_block *b, uint32_t id, void *place) {
    w_before_acquire(b, id, 1, W_EXCLUSIVE, 0, place);
    w_acquired(b, id, 1, W_EXCLUSIVE, 0, place);
    w_release(b, id, 1, true, place);
}

static uint32_t frame_at(struct w_block *b, void *place) {
    uint32_t stack = w_stack_of_address(b, place);
    EXPECT_NE(stack, W_NONE);
    return b->b_stacks[stack - 1].s_frame[0];
}

/* Places of a program: addresses of different functions. */
static void here(void) {
}
static void there(void) {
}
static void *const places[] = {(void *)here,     (void *)there,    (void *)read_of,
                               (void *)wait_for, (void *)frame_at, (void *)class_named};

TEST_BARE(a_lock_that_is_free_is_no_contention_and_a_try_and_an_unsure_one_neither) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0);
    take(b, p, W_EXCLUSIVE);
    give(b, p);
    w_acquired(b, p, 1, W_EXCLUSIVE, W_TRY, here);
    give(b, p);
    w_before_acquire(b, p, 1, W_EXCLUSIVE, W_UNSURE, here);
    take(b, p, W_EXCLUSIVE);
    give(b, p);
    struct w_contention g = read_of(b, p);
    EXPECT_EQ(g.g_acquires, 3);
    EXPECT_EQ(g.g_contended, 0);
    EXPECT_EQ(g.g_waits, 0);
    EXPECT_EQ(g.g_wait_max, 0);
    EXPECT_EQ(g.g_point[W_WAITER][0].p_count, 0);
    fixture_end(&f);
}

TEST_BARE(a_wait_is_counted_where_it_was_and_one_that_ends_without_the_lock_is_not_measured) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0);
    wait_for(b, p, here);
    wait_for(b, p, here);
    wait_for(b, p, there);
    w_before_acquire(b, p, 1, W_EXCLUSIVE, 0, there);
    w_not_acquired(b, p, 1);
    struct w_contention g = read_of(b, p);
    EXPECT_EQ(g.g_acquires, 3);
    EXPECT_EQ(g.g_contended, 4);
    EXPECT_EQ(g.g_waits, 3);
    EXPECT_GT(g.g_wait_min, 0);
    EXPECT_GE(g.g_wait_max, g.g_wait_min);
    EXPECT_GE(g.g_wait_total, g.g_wait_max);
    EXPECT_LE(g.g_wait_total, 3 * g.g_wait_max);
    EXPECT_EQ(g.g_point[W_WAITER][0].p_frame, frame_at(b, here));
    EXPECT_EQ(g.g_point[W_WAITER][0].p_count, 2);
    EXPECT_EQ(g.g_point[W_WAITER][1].p_frame, frame_at(b, there));
    EXPECT_EQ(g.g_point[W_WAITER][1].p_count, 2);
    EXPECT_EQ(g.g_point[W_HOLDER][0].p_count, 0); /* nobody of this block had it */
    EXPECT_EQ(g.g_holds, 0); /* not asked for */
    fixture_end(&f);
}

TEST_BARE(a_contention_that_is_told_of_only_when_it_is_over_is_counted_once) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0);
    w_acquired(b, p, 1, W_EXCLUSIVE, W_CONTENDED, here);
    give(b, p);
    EXPECT_EQ(read_of(b, p).g_contended, 1);
    w_before_acquire(b, p, 1, W_EXCLUSIVE, 0, here);
    w_acquired(b, p, 1, W_EXCLUSIVE, W_CONTENDED, here);
    give(b, p);
    EXPECT_EQ(read_of(b, p).g_contended, 2);
    EXPECT_EQ(read_of(b, p).g_waits, 1);
    fixture_end(&f);
}

static void hold_there(struct harness *h, void *ctx) {
    struct fixture *f = ctx;
    struct w_block *b;
    (void)h;
    EXPECT_OK(w_block_open(f->f_mem, f->f_bytes, false, &b));
    w_acquired(b, 0, 7, W_EXCLUSIVE, 0, there);
    sm_store_rel(&b->b_header->h_lost, 77);
    for (;;) {
        sm_os_yield();
    }
}

TEST_BARE(the_holder_is_found_in_another_process_by_its_lock_not_by_its_class) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0);
    EXPECT_EQ(p, 0);
    pid_t child = harness_fork(h, hold_there, &f);
    HARNESS_UNTIL(sm_load_acq(&b->b_header->h_lost) == 77);
    w_before_acquire(b, p, 8, W_EXCLUSIVE, 0, here); /* another lock of the class */
    w_not_acquired(b, p, 8);
    EXPECT_EQ(read_of(b, p).g_point[W_HOLDER][0].p_count, 0);
    w_before_acquire(b, p, 7, W_EXCLUSIVE, 0, here);
    w_not_acquired(b, p, 7);
    struct w_contention g = read_of(b, p);
    EXPECT_EQ(g.g_point[W_HOLDER][0].p_frame, frame_at(b, there));
    EXPECT_EQ(g.g_point[W_HOLDER][0].p_count, 1);
    EXPECT_EQ(g.g_point[W_WAITER][0].p_count, 2);
    harness_kill(h, child);
    fixture_end(&f);
}

TEST_BARE(places_beyond_the_fourth_are_in_the_count_of_contentions_alone) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), told = 0;
    for (uint32_t i = 0; i < sizeof places / sizeof *places; i++) {
        wait_for(b, p, places[i]);
    }
    wait_for(b, p, places[0]);
    struct w_contention g = read_of(b, p);
    for (uint32_t i = 0; i < W_POINTS; i++) {
        EXPECT_EQ(g.g_point[W_WAITER][i].p_frame, frame_at(b, places[i]));
        told += g.g_point[W_WAITER][i].p_count;
    }
    EXPECT_EQ(g.g_contended, sizeof places / sizeof *places + 1);
    EXPECT_EQ(told, W_POINTS + 1);
    fixture_end(&f);
}

TEST_BARE(holds_are_figures_while_they_are_timed) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0);
    sm_store_rlx(&b->b_header->h_stat, 1);
    for (int i = 0; i < 5; i++) {
        take(b, p, W_EXCLUSIVE);
        give(b, p);
    }
    sm_store_rlx(&b->b_header->h_stat, 0);
    take(b, p, W_EXCLUSIVE);
    give(b, p);
    struct w_contention g = read_of(b, p);
    EXPECT_EQ(g.g_holds, 5);
    EXPECT_GT(g.g_hold_min, 0);
    EXPECT_GE(g.g_hold_total, g.g_hold_max);
    EXPECT_EQ(g.g_acquires, 6);
    fixture_end(&f);
}

TEST_BARE(a_reset_begins_at_zero_and_what_was_under_way_belongs_to_the_time_in_which_it_ends) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0);
    for (int round = 0; round < 3; round++) { /* the bases take turns */
        for (int i = 0; i < 4; i++) {
            wait_for(b, p, here);
        }
        w_before_acquire(b, p, 1, W_EXCLUSIVE, 0, there);
        EXPECT_EQ(read_of(b, p).g_contended, 5);
        EXPECT_OK(w_contention_reset(b));
        struct w_contention g = read_of(b, p);
        EXPECT_EQ(g.g_acquires + g.g_contended + g.g_waits + g.g_wait_total + g.g_wait_min + g.g_wait_max, 0);
        EXPECT_EQ(g.g_point[W_WAITER][0].p_frame, W_NONE);
        take(b, p, W_EXCLUSIVE); /* the wait ends */
        give(b, p);
        g = read_of(b, p);
        EXPECT_EQ(g.g_acquires, 1);
        EXPECT_EQ(g.g_contended, 0);
        EXPECT_EQ(g.g_waits, 1);
        EXPECT_EQ(g.g_wait_min, g.g_wait_max);
        EXPECT_EQ(g.g_wait_total, g.g_wait_max);
        EXPECT_OK(w_contention_reset(b));
    }
    EXPECT_GT(b->b_header->h_reset_ns, 0);
    fixture_end(&f);
}

/* ---------------------------------------------------------------- killed at every step */

static uint32_t kill_at, kill_turn;

static void die_at(uint32_t step) {
    if (step == kill_at && kill_turn-- == 0) {
        (void)kill(getpid(), SIGKILL);
        abort();
    }
}

static void count_and_die(struct fixture *f) {
    struct w_block *b;
    if (w_block_open(f->f_mem, f->f_bytes, false, &b) != SM_OK) {
        _exit(4);
    }
    w_crash_hook = die_at;
    wait_for(b, 0, here);
    (void)w_contention_reset(b);
    wait_for(b, 1, there);
    _exit(3);
}

TEST_BARE(a_kill_at_any_step_leaves_figures_that_count_on_and_a_reset_that_the_next_one_does) {
    uint32_t killed = 0;
    for (kill_at = W_STEP_LOCKED; kill_at < W_STEP_END; kill_at++) {
        for (uint32_t turn = 0, going = 1; going != 0 && turn < 20; turn++) {
            struct w_geometry g = {.g_classes = 16, .g_edges = 64, .g_stacks = 64, .g_frames = 64, .g_reports = 16};
            struct fixture f = fixture_of(&g);
            struct w_block *b = f.f_block;
            int status = 0;
            uint32_t id[2] = {class_named(b, "p", 0), class_named(b, "q", 0)};
            wait_for(b, id[0], there);
            wait_for(b, id[1], here);
            kill_turn = turn;
            pid_t child = fork();
            if (child == 0) {
                count_and_die(&f);
            }
            EXPECT_EQ(waitpid(child, &status, 0), child);
            EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 3);
            going = WIFSIGNALED(status);
            killed += going;
            for (int i = 0; i < 2; i++) { /* never more than there were, and waits no more than contentions */
                struct w_contention c = read_of(b, id[i]);
                EXPECT_LE(c.g_contended, 2);
                EXPECT_LE(c.g_waits, c.g_contended);
                EXPECT_LE(c.g_wait_min, c.g_wait_max);
            }
            EXPECT_OK(w_contention_reset(b));
            for (int i = 0; i < 2; i++) {
                struct w_contention c = read_of(b, id[i]);
                EXPECT_EQ(c.g_acquires + c.g_contended + c.g_waits + c.g_wait_total + c.g_wait_max, 0);
                EXPECT_EQ(c.g_point[W_WAITER][0].p_count, 0);
                wait_for(b, id[i], here);
                c = read_of(b, id[i]);
                EXPECT_EQ(c.g_contended, 1);
                EXPECT_EQ(c.g_waits, 1);
                EXPECT_EQ(c.g_point[W_WAITER][0].p_count, 1);
            }
            EXPECT_EQ(b->b_header->h_missed, 0);
            fixture_end(&f);
        }
    }
    EXPECT_GT(killed, 2 * W_SUMS);
}
