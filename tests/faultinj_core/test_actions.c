/* test_actions.c - what happens at a point: the actions that need no interpreter, each in a child where it ends one. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "fault_fixture.h"

static void reach_and_act(struct fi_block *b, uint32_t point) {
    struct fi_request q = {.q_subject = "frame", .q_bytes = 64};
    struct fi_verdict v;
    EXPECT_TRUE(fi_reach(b, point, &q, &v));
    fi_act(b, &v);
}

/* Status of a child that reaches the point; what it writes to standard error is stored. */
static int status_of(struct fi_block *b, uint32_t point, char said[256]) {
    int ends[2], status;
    EXPECT_EQ(pipe(ends), 0);
    pid_t child = fork();
    EXPECT_GE(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        reach_and_act(b, point);
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], said, 255);
    said[got < 0 ? 0 : got] = 0;
    close(ends[0]);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
}

TEST_BARE(kill_panic_and_break_end_the_process_that_reaches_the_point_and_print_does_not) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    char said[256];
    set_one(b, 0, (struct fi_term){.t_action = FI_A_KILL});
    EXPECT_EQ(WTERMSIG(status_of(b, 0, said)), SIGKILL);
    set_one(b, 0, (struct fi_term){.t_action = FI_A_BREAK});
    EXPECT_EQ(WTERMSIG(status_of(b, 0, said)), SIGTRAP);
    set_one(b, 0, (struct fi_term){.t_action = FI_A_PANIC, .t_text = "so be it"});
    EXPECT_EQ(WTERMSIG(status_of(b, 0, said)), SIGABRT);
    EXPECT(strstr(said, "panic at page.supply of frame (64 bytes, pid ") != NULL &&
               strstr(said, ": so be it\n") != NULL,
           "%s", said);
    set_one(b, 0, (struct fi_term){.t_action = FI_A_PRINT});
    EXPECT_EQ(status_of(b, 0, said), 0);
    EXPECT(strstr(said, "faultinj: reached at page.supply") != NULL, "%s", said);
    EXPECT_EQ(b->b_points[0].p_injected, 3); /* a print injects nothing */
    struct fi_entry rows[8];
    EXPECT_EQ(fi_log_read(b, 0, rows, 8), 4);
    faults_end(f);
}

TEST_BARE(sleep_delay_and_yield_pass_after_a_while) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    set_one(b, 0, (struct fi_term){.t_action = FI_A_SLEEP, .t_number = 20});
    reach_and_act(b, 0);
    set_one(b, 0, (struct fi_term){.t_action = FI_A_DELAY, .t_number = 20000});
    reach_and_act(b, 0);
    set_one(b, 0, (struct fi_term){.t_action = FI_A_YIELD});
    reach_and_act(b, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    EXPECT_GE((after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec, 40000000ll);
    faults_end(f);
}

static void until_paused(struct fi_block *b, uint32_t count, struct fi_paused *rows) {
    struct timespec begun, now;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (fi_paused_list(b, rows, 4) != count) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        EXPECT_LT(now.tv_sec - begun.tv_sec, 60);
        sched_yield();
    }
}

static pid_t paused_child(struct fi_block *b, uint32_t point) {
    struct fi_paused rows[4];
    pid_t child = fork();
    EXPECT_GE(child, 0);
    if (child == 0) {
        reach_and_act(b, point);
        _exit(0);
    }
    until_paused(b, 1, rows);
    EXPECT_EQ(rows[0].z_pid, child);
    EXPECT_EQ(rows[0].z_point, point);
    return child;
}

TEST_BARE(a_pause_lasts_until_it_is_resumed_or_its_program_goes) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    struct fi_paused rows[4];
    int status;
    set_one(b, 3, (struct fi_term){.t_action = FI_A_PAUSE});
    pid_t child = paused_child(b, 3);
    fi_resume(b, 3);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    child = paused_child(b, 3);
    fi_resume(b, 4);
    EXPECT_EQ(fi_paused_list(b, rows, 4), 1);
    EXPECT_OK(fi_program_set(b, 3, NULL, 0));
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    set_one(b, 3, (struct fi_term){.t_action = FI_A_PAUSE});
    child = paused_child(b, 3);
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(fi_paused_list(b, rows, 4), 0); /* the dead are not listed */
    child = paused_child(b, 3); /* and their places are taken again */
    fi_resume(b, FI_NONE);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    faults_end(f);
}
