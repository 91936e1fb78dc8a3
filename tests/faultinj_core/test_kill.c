/* test_kill.c - whoever sets, declares or logs is killed between its stores; the next one finds nothing in its way. */
#include <signal.h>

#include "fault_fixture.h"

static uint32_t deadly;

static void die_here(uint32_t step) {
    if (step == deadly) {
        kill(getpid(), SIGKILL);
    }
}

static void killed(uint32_t step, struct fi_block *b, void (*work)(struct fi_block *b)) {
    int status;
    pid_t child = fork();
    EXPECT_GE(child, 0);
    if (child == 0) {
        deadly = step;
        fi_crash_hook = die_here;
        work(b);
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "step %u was not come by", step);
}

static void set_two_terms(struct fi_block *b) {
    struct fi_program g[2] = {{.g_terms = 2}, {.g_terms = 1}};
    g[0].g_term[0] = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_NTH, .t_nth = 2, .t_number = 7};
    g[0].g_term[1] =
        (struct fi_term){.t_action = FI_A_ARM, .t_flags = FI_T_NTH, .t_nth = 9, .t_target = 1, .t_template = 1};
    g[1].g_term[0] = (struct fi_term){.t_action = FI_A_RETURN};
    EXPECT_OK(fi_program_set(b, 0, g, 2));
}

static void clear(struct fi_block *b) {
    EXPECT_OK(fi_program_set(b, 0, NULL, 0));
}

TEST_BARE(a_setter_killed_at_any_step_leaves_the_old_program_or_the_new_one_and_loses_no_slot) {
    static const uint32_t steps[] = {FI_STEP_CLAIMED, FI_STEP_WRITTEN, FI_STEP_PUBLISHED, FI_STEP_SETTLED};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct faults *f = faults_of(&(struct fi_geometry){.g_slots = 5});
        struct fi_block *b = &f->f_block;
        for (int turn = 0; turn < 20; turn++) { /* many more deaths than there are slots */
            set_one(b, 0, (struct fi_term){.t_action = FI_A_RETURN, .t_number = 5});
            killed(steps[i], b, set_two_terms);
            struct fi_verdict v;
            bool fired = fi_reach(b, 0, NULL, &v);
            bool is_new = steps[i] >= FI_STEP_PUBLISHED;
            EXPECT_EQ(fired, !is_new); /* the old one fires at once, the new one at the second reaching */
            EXPECT_TRUE(fi_reach(b, 0, NULL, &v));
            EXPECT_EQ(v.v_number, is_new ? 7 : 5);
            set_two_terms(b);
            clear(b);
            EXPECT_EQ(fi_slots_free(b), 5);
        }
        faults_end(f);
    }
}

TEST_BARE(a_clearer_killed_at_any_step_leaves_no_program) {
    static const uint32_t steps[] = {FI_STEP_PUBLISHED, FI_STEP_SETTLED};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct faults *f = faults_of(&(struct fi_geometry){.g_slots = 3});
        struct fi_block *b = &f->f_block;
        for (int turn = 0; turn < 10; turn++) {
            set_two_terms(b);
            killed(steps[i], b, clear);
            EXPECT_EQ(pattern_of(b, 0, NULL, 3), 0);
            EXPECT_EQ(fi_slots_free(b), 3);
        }
        faults_end(f);
    }
}

static void declare(struct fi_block *b) {
    (void)declared(b, "app.connect");
}

TEST_BARE(a_declarer_killed_at_any_step_leaves_no_name_twice_and_no_gap) {
    static const uint32_t steps[] = {FI_STEP_POINT_CLAIMED, FI_STEP_POINT_NAMED, FI_STEP_POINT_READY};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct faults *f = faults_of(NULL);
        struct fi_block *b = &f->f_block;
        killed(steps[i], b, declare);
        uint32_t other = declared(b, "app.other"), connect = declared(b, "app.connect");
        EXPECT_EQ(declared(b, "app.connect"), connect);
        EXPECT_NE(other, connect);
        EXPECT_EQ(fi_point_count(b), FI_CORE_POINTS + 2);
        faults_end(f);
    }
}

static void reach_logged(struct fi_block *b) {
    struct fi_verdict v;
    (void)fi_reach(b, 0, NULL, &v);
}

TEST_BARE(a_log_entry_whose_writer_was_killed_is_left_out) {
    static const uint32_t steps[] = {FI_STEP_LOG_BEGUN, FI_STEP_LOG_WRITTEN};
    struct faults *f = faults_of(&(struct fi_geometry){.g_log = 4});
    struct fi_block *b = &f->f_block;
    struct fi_entry rows[4];
    set_one(b, 0, (struct fi_term){.t_action = FI_A_RETURN});
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        reach_logged(b);
        killed(steps[i], b, reach_logged);
    }
    EXPECT_EQ(fi_log_read(b, 0, rows, 4), 2);
    EXPECT_EQ(rows[0].e_number, 0);
    EXPECT_EQ(rows[1].e_number, 2);
    for (int i = 0; i < 6; i++) {
        reach_logged(b);
    }
    EXPECT_EQ(fi_log_read(b, 0, rows, 4), 4); /* the ring holds the last four */
    EXPECT_EQ(rows[0].e_number, 6);
    EXPECT_EQ(rows[3].e_row.l_sequence, b->b_points[0].p_reached);
    faults_end(f);
}

static void format(struct fi_block *b) {
    b->b_header->h_former = (uint64_t)getpid(); /* as form_claim leaves it */
    kill(getpid(), SIGKILL);
}

TEST_BARE(memory_whose_formatter_died_is_formatted_by_the_next) {
    struct faults *f = faults_of(NULL);
    memset(f->f_mem, 0, f->f_bytes);
    killed(0, &f->f_block, format);
    struct fi_block b;
    EXPECT_ERR(fi_block_open(f->f_mem, f->f_bytes, &b), SM_NOT_ARENA);
    EXPECT_OK(fi_block_format(f->f_mem, f->f_bytes, NULL, "test:entry"));
    EXPECT_OK(fi_block_open(f->f_mem, f->f_bytes, &b));
    EXPECT_ERR(fi_block_open(f->f_mem, 64, &b), SM_TRUNCATED);
    EXPECT_ERR(fi_block_open(f->f_mem, f->f_bytes - 64, &b), SM_TRUNCATED);
    b.b_header->h_core++;
    EXPECT_ERR(fi_block_open(f->f_mem, f->f_bytes, &b), SM_VERSION); /* another catalogue of points */
    b.b_header->h_core--;
    b.b_header->h_max_log = 0;
    EXPECT_ERR(fi_block_open(f->f_mem, f->f_bytes, &b), SM_CORRUPT);
    faults_end(f);
}
