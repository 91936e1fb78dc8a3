/* test_task.c - what tasks of one thread hold, and locks that another process gives back. */
#include <sys/wait.h>

#include "block_fixture.h"

static struct w_thread_shm *running;

static struct w_thread_shm *running_task(struct w_block *b, void *ctx) {
    (void)b;
    (void)ctx;
    return running;
}

static struct w_thread_shm *task_takes(struct w_block *b, struct w_thread_shm *slot, uint32_t number, uint32_t id) {
    running = slot;
    w_task_before(b, slot, number, id, 1, W_UNSURE, __builtin_return_address(0));
    if (slot == NULL) {
        slot = w_task_claim(b, number, "task");
        EXPECT_TRUE(slot != NULL);
    }
    w_task_acquired(b, slot, id, 1, 0, __builtin_return_address(0));
    running = slot;
    return slot;
}

TEST_BARE(tasks_that_interleave_on_a_thread_hold_apart) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    b->b_task = running_task;
    uint32_t p = class_named(b, "p", W_SLEEPABLE), q = class_named(b, "q", W_SLEEPABLE);
    struct w_thread_shm *one = task_takes(b, NULL, 1, p), *two = task_takes(b, NULL, 2, q);
    EXPECT_EQ(b->b_header->h_edges, 0); /* neither holds the other's */
    EXPECT_TRUE(w_task_release(b, two, q, 1));
    EXPECT_FALSE(w_task_release(b, two, p, 1));
    EXPECT_EQ(task_takes(b, one, 1, q), one);
    EXPECT_EQ(b->b_header->h_edges, 1);
    EXPECT_EQ(b->b_edges[0].e_who & 0xffffffffu, W_TASK | 1);
    EXPECT_TRUE(w_task_release(b, one, q, 1));
    EXPECT_TRUE(w_release(b, p, 1, true, NULL)); /* whoever gives it back */
    w_task_free(b, one);
    one = task_takes(b, NULL, 2, q);
    (void)task_takes(b, one, 2, p);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_kind, W_R_REVERSAL);
    w_task_free(b, one);
    w_task_free(b, two);
    EXPECT_EQ(b->b_tasks, 0);
    fixture_end(&f);
}

TEST_BARE(a_threads_lock_and_a_tasks_have_an_order_both_ways) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    b->b_task = running_task;
    uint32_t lock = class_named(b, "lock", 0), task = class_named(b, "task", W_SLEEPABLE);
    struct w_thread_shm *one = task_takes(b, NULL, 1, task);
    pair(b, lock, class_named(b, "inner", 0));
    EXPECT_TRUE(*w_cell(b, task, lock) & W_PARENT); /* the thread's lock came after the task's */
    EXPECT_TRUE(w_task_release(b, one, task, 1));
    w_task_free(b, one);
    running = NULL;
    EXPECT_EQ(reports(b), 0);
    take(b, lock, W_EXCLUSIVE);
    w_task_before(b, NULL, 3, task, 1, W_UNSURE, __builtin_return_address(0));
    give(b, lock);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_kind, W_R_SLEEPABLE);
    fixture_end(&f);
}

TEST_BARE(what_a_task_holds_at_the_end_is_no_misuse_and_its_place_is_swept) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", W_SLEEPABLE);
    pid_t child = fork();
    if (child == 0) {
        (void)task_takes(b, NULL, 1, p);
        _exit(0);
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(w_thread_sweep(b), 2); /* the thread and its task */
    EXPECT_EQ(reports(b), 0);
    fixture_end(&f);
}

TEST_BARE(a_lock_that_another_process_gives_back_is_not_held_any_more) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    take(b, p, W_EXCLUSIVE);
    pid_t child = fork();
    if (child == 0) {
        if (w_release(b, p, 1, false, NULL)) {
            _exit(1);
        }
        w_given_elsewhere(b, p, 1);
        _exit(0);
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    take(b, q, W_EXCLUSIVE);
    give(b, q);
    EXPECT_EQ(b->b_header->h_edges, 0);
    EXPECT_FALSE(w_release(b, p, 1, false, NULL));
    fixture_end(&f);
}

TEST_BARE(a_lock_that_its_dead_holders_peer_gave_back_is_not_told_of) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", 0), q = class_named(b, "q", 0);
    pid_t child = fork();
    if (child == 0) {
        take(b, p, W_EXCLUSIVE);
        take(b, q, W_EXCLUSIVE);
        _exit(0);
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    w_given_elsewhere(b, p, 1);
    EXPECT_EQ(w_thread_sweep(b), 1);
    EXPECT_EQ(reports(b), 1);
    EXPECT_EQ(last_report(b)->r_class[0], q);
    fixture_end(&f);
}

static bool gone(struct w_block *b, void *ctx, uint32_t id, uint64_t instance) {
    (void)b;
    (void)ctx;
    (void)instance;
    return id != *(const uint32_t *)ctx;
}

TEST_BARE(a_file_lock_that_was_closed_unseen_makes_no_order) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t closed = class_named(b, "closed", W_FILE | W_SLEEPABLE),
             open = class_named(b, "open", W_FILE | W_SLEEPABLE);
    uint32_t lock = class_named(b, "lock", 0);
    b->b_alive = gone;
    b->b_ctx = &closed;
    take(b, closed, W_EXCLUSIVE);
    take(b, open, W_EXCLUSIVE);
    take(b, lock, W_EXCLUSIVE);
    EXPECT_FALSE(*w_cell(b, closed, lock) & W_PARENT);
    EXPECT_TRUE(*w_cell(b, open, lock) & W_PARENT);
    give(b, lock);
    give(b, open);
    take(b, lock, W_EXCLUSIVE);
    take(b, closed, W_EXCLUSIVE); /* a file lock under a mutex is in order */
    EXPECT_EQ(reports(b), 0);
    give(b, lock);
    fixture_end(&f);
}

TEST_BARE(a_wait_of_a_task_has_a_number_and_is_a_figure_if_the_lock_was_taken) {
    struct fixture f = fixture_of(NULL);
    struct w_block *b = f.f_block;
    uint32_t p = class_named(b, "p", W_SLEEPABLE), q = class_named(b, "q", W_SLEEPABLE);
    const struct w_contention_shm *n = &b->b_contention[q];
    struct w_thread_shm *one = task_takes(b, NULL, 1, p);
    EXPECT_GT(b->b_header->h_thread_high, one - b->b_threads); /* who looks for holders looks there too */
    uint16_t number = one->t_wait_number;
    w_task_before(b, one, 1, q, 1, 0, __builtin_return_address(0));
    EXPECT_EQ(one->t_wait_number, (uint16_t)(number + 1));
    EXPECT_EQ(one->t_wait_class, q);
    w_task_acquired(b, one, q, 1, W_CONTENDED, __builtin_return_address(0));
    EXPECT_EQ(one->t_wait_class, W_NO_CLASS);
    EXPECT_EQ(n->n_sum[W_SUM_CONTENDED], 1);
    EXPECT_EQ(n->n_sum[W_SUM_WAITS], 1);
    EXPECT_EQ(b->b_contention[p].n_sum[W_SUM_CONTENDED], 0);
    w_task_free(b, one);
    fixture_end(&f);
}
