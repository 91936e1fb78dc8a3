/* test_sweep.c - the n-th reached point fails or kills, counted over all processes that share the block. */
#include <fcntl.h>

#include "fault_fixture.h"

static uint64_t only(uint32_t point, uint64_t bits[FI_SELECTED_WORDS]) {
    memset(bits, 0, FI_SELECTED_WORDS * 8);
    bits[point / 64] |= 1ull << (point % 64);
    return bits[0];
}

TEST_BARE(a_transient_sweep_fails_the_nth_reaching_and_a_persistent_one_all_from_it_on) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    EXPECT_OK(fi_sweep_set(b, FI_COUNT, 0, 0, NULL));
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 5), 0);
    EXPECT_EQ(b->b_header->w_reached, 5);
    EXPECT_OK(fi_sweep_set(b, FI_TRANSIENT, 3, 0, NULL));
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 5), 4);
    EXPECT_EQ(b->b_header->w_injected, 1);
    EXPECT_OK(fi_sweep_set(b, FI_PERSISTENT, 3, 0, NULL));
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 5), 4 + 8 + 16);
    EXPECT_OK(fi_sweep_set(b, FI_PAIR, 2, 2, NULL));
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 5), 2 + 8);
    EXPECT_EQ(b->b_points[SM_FP_CTOR].p_reached, 20);
    EXPECT_EQ(b->b_points[SM_FP_CTOR].p_injected, 6);
    fi_block_reset(b);
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 5), 0);
    EXPECT_EQ(b->b_points[SM_FP_CTOR].p_reached, 5);
    EXPECT_EQ(b->b_header->w_reached, 0);
    EXPECT_ERR(fi_sweep_set(b, FI_TRANSIENT, 0, 0, NULL), SM_INVALID);
    EXPECT_ERR(fi_sweep_set(b, FI_PAIR, 1, 0, NULL), SM_INVALID);
    faults_end(f);
}

TEST_BARE(points_that_are_not_selected_neither_count_nor_fail) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    uint64_t bits[FI_SELECTED_WORDS];
    uint32_t mine = declared(b, "db.connect");
    EXPECT_EQ(only(mine, bits), 1ull << mine);
    EXPECT_OK(fi_sweep_set(b, FI_TRANSIENT, 1, 0, bits));
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 5), 0);
    EXPECT_EQ(b->b_header->w_reached, 0);
    EXPECT_EQ(pattern_of(b, mine, NULL, 3), 1);
    EXPECT_EQ(b->b_header->w_reached, 3);
    faults_end(f);
}

TEST(the_core_reports_the_catalogue_s_error_and_goes_on_afterwards) {
    struct faults *f = faults_of(NULL);
    struct sm_zone *z = harness_zone(h->h_arena, "frame", 256, 0);
    void *item;
    faults_arm(f, h->h_arena);
    EXPECT_OK(fi_sweep_set(&f->f_block, FI_TRANSIENT, 1, 0, NULL));
    EXPECT_ERR(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item), SM_NO_MEMORY);
    struct fi_entry rows[4];
    EXPECT_EQ(fi_log_read(&f->f_block, 0, rows, 4), 1);
    EXPECT_EQ(rows[0].e_row.l_point, SM_FP_ALLOC);
    EXPECT_EQ(rows[0].e_row.l_action, FI_A_RETURN);
    EXPECT_EQ(rows[0].e_row.l_sequence, 1);
    EXPECT_EQ(rows[0].e_row.l_pid, getpid());
    EXPECT_STR_EQ(rows[0].e_row.l_subject, "frame");
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_arena_clear_hooks(h->h_arena, FI_HOOKS);
    faults_end(f);
}

static void victim(struct harness *h, struct faults *f) {
    struct sm_arena *a = harness_attach(h, "victim");
    faults_arm(f, a);
    struct sm_zone *z = harness_open_zone(a, "frame");
    void *item;
    EXPECT_OK(sm_zone_alloc(z, SM_M_NOWAIT, NULL, 0, &item));
    EXPECT_OK(sm_zone_free(z, item, NULL));
    sm_arena_clear_hooks(a, FI_HOOKS);
    harness_close(h, a);
}

static bool killed_at(struct harness *h, struct faults *f, enum fi_sweep kind, uint64_t n) {
    int status;
    static const uint64_t none[FI_SELECTED_WORDS]; /* no fault point is selected: crash points alone count */
    EXPECT_OK(fi_sweep_set(&f->f_block, kind, n, kind == FI_KILL_PAIR, none));
    pid_t child = fork();
    EXPECT_GE(child, 0);
    if (child == 0) {
        victim(h, f);
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

TEST(a_kill_sweep_ends_with_a_run_that_was_not_killed_and_every_kill_is_recovered_from) {
    struct faults *f = faults_of(NULL);
    struct sm_reap_report report;
    harness_zone(h->h_arena, "frame", 256, 0);
    uint64_t n = 1;
    for (; killed_at(h, f, FI_KILL, n); n++) {
        struct fi_entry rows[4];
        EXPECT_LT(n, 500);
        EXPECT_EQ(f->f_block.b_header->w_injected, 1);
        uint32_t got = fi_log_read(&f->f_block, 0, rows, 4);
        EXPECT_GE(got, 1);
        EXPECT_EQ(rows[got - 1].e_row.l_action, FI_A_KILL);
        EXPECT_EQ(rows[got - 1].e_row.l_sequence, n);
        EXPECT_NE(rows[got - 1].e_row.l_step, 0);
        fi_block_reset(&f->f_block);
        EXPECT_OK(sm_reap(h->h_arena, &report));
        EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    }
    EXPECT_GT(n, 3);
    EXPECT_EQ(f->f_block.b_header->w_injected, 0);
    faults_end(f);
}

TEST(after_the_first_kill_the_second_fault_of_a_pair_hits_whoever_recovers) {
    struct faults *f = faults_of(NULL);
    struct sm_reap_report report;
    harness_zone(h->h_arena, "frame", 256, 0);
    EXPECT_TRUE(killed_at(h, f, FI_KILL_PAIR, 2));
    EXPECT_EQ(f->f_block.b_header->w_stage, 1);
    int status;
    pid_t reaper = fork();
    EXPECT_GE(reaper, 0);
    if (reaper == 0) {
        struct sm_hooks hooks;
        struct sm_runtime rt = {.rt_hooks = &hooks}; /* attaching may reap: armed before that */
        struct sm_arena *a;
        fi_hooking_table(&f->f_hooking, &hooks);
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", h->h_fd);
        EXPECT_OK(sm_arena_attach(open(path, O_RDWR), true, &rt, "reaper", &a));
        (void)sm_reap(a, &report);
        _exit(0);
    }
    EXPECT_EQ(waitpid(reaper, &status, 0), reaper);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(f->f_block.b_header->w_injected, 2);
    EXPECT_OK(sm_reap(h->h_arena, &report));
    EXPECT_EQ(harness_findings(h->h_arena, true), 0);
    faults_end(f);
}

TEST_BARE(a_sweep_of_deaths_kills_who_reaches_the_nth_selected_point) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    struct fi_verdict v;
    struct fi_entry rows[4];
    uint64_t bits[FI_SELECTED_WORDS];
    uint32_t mine = declared(b, "db.write");
    (void)only(mine, bits);
    EXPECT_ERR(fi_sweep_set(b, FI_DIE, 0, 0, bits), SM_INVALID);
    EXPECT_OK(fi_sweep_set(b, FI_DIE, 3, 0, bits));
    EXPECT_EQ(pattern_of(b, SM_FP_CTOR, NULL, 9), 0);
    EXPECT_EQ(pattern_of(b, mine, NULL, 2), 0);
    EXPECT_TRUE(fi_reach(b, mine, NULL, &v));
    EXPECT_EQ(v.v_action, FI_A_KILL);
    EXPECT_EQ(pattern_of(b, mine, NULL, 5), 0);
    EXPECT_EQ(b->b_header->w_injected, 1);
    EXPECT_EQ(fi_log_read(b, 0, rows, 4), 1);
    EXPECT_EQ(rows[0].e_row.l_action, FI_A_KILL);
    EXPECT_EQ(rows[0].e_row.l_sequence, 3);
    faults_end(f);
}

TEST_BARE(one_count_is_shared_by_all_processes) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    EXPECT_OK(fi_sweep_set(b, FI_TRANSIENT, 1500, 0, NULL));
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        EXPECT_GE(children[i], 0);
        if (children[i] == 0) {
            for (int turn = 0; turn < 20; turn++) {
                (void)pattern_of(b, SM_FP_CTOR, NULL, 50);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(waitpid(children[i], NULL, 0), children[i]);
    }
    EXPECT_EQ(b->b_header->w_reached, 4000);
    EXPECT_EQ(b->b_header->w_injected, 1);
    EXPECT_EQ(b->b_points[SM_FP_CTOR].p_reached, 4000);
    faults_end(f);
}
