/* test_misuse.c - locks used as they must not be, sleeping with locks held, and threads that go with locks held. */
#include <pthread.h>

#include "block_fixture.h"

#define X W_EXCLUSIVE

TEST_BARE(what_is_not_held_cannot_be_given_back_or_turned) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", W_SLEEPABLE);
    give(b, p);
    EXPECT_STR_EQ(last_report(b)->r_what, "release of a lock that is not held");
    w_upgrade(b, p, 1, NULL);
    EXPECT_STR_EQ(last_report(b)->r_what, "upgrade of a lock that is not held shared");
    take(b, p, W_SHARED_RECURSIVE);
    uint32_t before = reports(b);
    w_upgrade(b, p, 1, NULL);
    w_downgrade(b, p, 1, NULL);
    EXPECT_EQ(reports(b), before);
    w_downgrade(b, p, 1, NULL);
    EXPECT_STR_EQ(last_report(b)->r_what, "downgrade of a lock that is not held alone");
    give(b, p);
    uint32_t kept = class_named(b, "kept", W_NORELEASE);
    take(b, kept, X);
    give(b, kept);
    EXPECT_STR_EQ(last_report(b)->r_what, "release of a lock that must not be released");
    fixture_end(&f);
}

TEST_BARE(one_name_for_two_kinds_is_told_of_once) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t id, again;
    (void)class_named(b, "p", 0);
    EXPECT_ERR(w_class_get(b, "p", "sx", 0, 0, &id), SM_MISMATCH);
    EXPECT_STR_EQ(last_report(b)->r_what, "same name with another kind");
    EXPECT_OK(w_class_get(b, "p", "sx", 0, 0, &again));
    EXPECT_EQ(id, again);
    EXPECT_EQ(reports(b), 1);
    fixture_end(&f);
}

TEST_BARE(sleeping_under_a_lock_is_counted_and_told_of_with_every_lock_that_forbids_it) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t sx = class_named(b, "sx", W_SLEEPABLE), m = class_named(b, "m", 0), n = class_named(b, "n", 0);
    take(b, sx, X);
    EXPECT_EQ(w_may_sleep(b, "sleep", "zone", false, __builtin_return_address(0)), 0);
    EXPECT_EQ(reports(b), 0);
    take(b, m, X);
    take(b, n, X);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(w_may_sleep(b, "sleep", "zone", true, __builtin_return_address(0)), 2);
    }
    EXPECT_EQ(reports(b), 1);
    const struct w_report_shm *r = last_report(b);
    EXPECT_EQ(r->r_count, 3);
    EXPECT_EQ(r->r_helds, 2);
    EXPECT_EQ(r->r_held[0].o_class, m);
    EXPECT_EQ(r->r_held[1].o_class, n);
    EXPECT_NE(r->r_held[0].o_stack, W_NONE);
    EXPECT_EQ(r->r_flags, W_REPORT_FORCED);
    EXPECT_STR_EQ(r->r_zone, "zone");
    give(b, n);
    give(b, m);
    give(b, sx);
    fixture_end(&f);
}

static void *hold_and_end(void *arg) {
    struct w_block *b = arg;
    take(b, class_named(b, "p", 0), X);
    return NULL;
}

TEST_BARE(a_thread_that_ends_with_a_lock_is_told_of) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    pthread_t thread;
    EXPECT_EQ(pthread_create(&thread, NULL, hold_and_end, b), 0);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    HARNESS_UNTIL(w_thread_sweep(b) == 1 || reports(b) != 0); /* joined a moment before the kernel forgets it */
    EXPECT_STR_EQ(last_report(b)->r_what, "thread ended with a lock held");
    EXPECT_EQ(w_thread_sweep(b), 0);
    fixture_end(&f);
}

static void *give_for_another(void *arg) {
    struct w_block *b = arg;
    give(b, class_named(b, "p", 0));
    return NULL;
}

TEST_BARE(a_lock_may_be_given_back_by_another_thread) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    pthread_t thread;
    take(b, class_named(b, "p", 0), X);
    EXPECT_EQ(pthread_create(&thread, NULL, give_for_another, b), 0);
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    EXPECT_EQ(w_thread_self(b)->t_count, 0);
    EXPECT_EQ(reports(b), 0);
    fixture_end(&f);
}

static void hold_until_killed(struct harness *h, void *ctx) {
    struct fixture *f = ctx;
    struct w_block *b;
    EXPECT_OK(w_block_open(f->f_mem, f->f_bytes, false, &b));
    take(b, class_named(b, "p", 0), X);
    for (;;) {
        sm_os_yield();
    }
}

TEST_BARE(a_process_killed_with_a_lock_is_told_of_and_its_hold_can_be_read_before) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    pid_t child = harness_fork(h, hold_until_killed, &f);
    const struct w_thread_shm *t = NULL;
    HARNESS_UNTIL(({
        for (uint32_t i = 0; i < b->b_max_threads; i++) {
            if (sm_load_acq(&b->b_threads[i].t_owner) >> 32 == (uint64_t)child &&
                sm_load_acq(&b->b_threads[i].t_count)) {
                t = &b->b_threads[i];
            }
        }
        t != NULL;
    }));
    EXPECT_EQ(t->t_held[0].d_class, class_named(b, "p", 0));
    harness_kill(h, child);
    EXPECT_EQ(w_thread_sweep(b), 1);
    EXPECT_STR_EQ(last_report(b)->r_what, "died with a lock held");
    EXPECT_EQ(last_report(b)->r_who >> 32, child);
    fixture_end(&f);
}
