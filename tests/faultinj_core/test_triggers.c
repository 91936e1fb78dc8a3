/* test_triggers.c - which reachings a term happens at: counts, triggers, probability, filters, and terms after each other. */
#include <errno.h>

#include "fault_fixture.h"

static struct fi_verdict last;

static uint64_t bits_of(struct fi_block *b, uint32_t point, struct fi_term t, const struct fi_request *q, int times) {
    set_one(b, point, t);
    return pattern_of(b, point, q, times);
}

TEST_BARE(each_trigger_chooses_its_reachings) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    uint32_t p = declared(b, "app.point");
    struct fi_term t = {.t_action = FI_A_RETURN};
    EXPECT_EQ(bits_of(b, p, t, NULL, 5), 31);
    t = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_NTH, .t_nth = 3};
    EXPECT_EQ(bits_of(b, p, t, NULL, 8), 4);
    struct fi_setting nth;
    EXPECT_OK(fi_program_get(b, p, &nth));
    EXPECT_EQ(nth.s_seen[0], 8);
    EXPECT_EQ(nth.s_fired[0], 1);
    set_one(b, p, t);
    EXPECT_EQ(pattern_of(b, p, NULL, 2), 0);
    fi_block_reset(b); /* the program goes on counting where it was */
    EXPECT_EQ(pattern_of(b, p, NULL, 3), 1);
    t = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_EVERY, .t_every = 3};
    EXPECT_EQ(bits_of(b, p, t, NULL, 9), 4 + 32 + 256);
    t = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_COUNT, .t_count = 2};
    EXPECT_EQ(bits_of(b, p, t, NULL, 6), 3);
    t = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_INTERVAL, .t_interval = 4};
    EXPECT_EQ(bits_of(b, p, t, NULL, 9), 1 + 16 + 256);
    t = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_EVERY | FI_T_COUNT, .t_every = 2, .t_count = 2};
    EXPECT_EQ(bits_of(b, p, t, NULL, 10), 2 + 8);
    struct fi_request q = {.q_bytes = 100};
    t = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_SPACE, .t_space = 250};
    EXPECT_EQ(bits_of(b, p, t, &q, 5), 4 + 8 + 16);
    struct fi_setting s;
    EXPECT_OK(fi_program_get(b, p, &s));
    EXPECT_EQ(s.s_fired[0], 3);
    EXPECT_EQ(s.s_seen[0], 3);
    faults_end(f);
}

TEST_BARE(filters_choose_whom_a_term_concerns) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    uint32_t p = declared(b, "app.point");
    struct fi_request big = {.q_subject = "frame.rx", .q_bytes = 4096, .q_flags = 3, .q_step = 7};
    struct fi_request small = {.q_subject = "mbuf", .q_bytes = 64, .q_flags = 1, .q_step = 8};
    struct fi_term size = {.t_action = FI_A_RETURN, .t_flags = FI_T_SIZE, .t_size = 4096};
    struct fi_term zone = {.t_action = FI_A_RETURN, .t_flags = FI_T_SUBJECT, .t_subject = "fra*.?x"};
    struct fi_term flags = {.t_action = FI_A_RETURN, .t_flags = FI_T_FLAGS, .t_want = 2};
    struct fi_term step = {.t_action = FI_A_RETURN, .t_flags = FI_T_STEP, .t_step = 7};
    struct fi_term all[] = {size, zone, flags, step};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        EXPECT_EQ(bits_of(b, p, all[i], &big, 1), 1);
        EXPECT_EQ(bits_of(b, p, all[i], &small, 1), 0);
        EXPECT_EQ(bits_of(b, p, all[i], NULL, 1), 0);
    }
    struct fi_term pid = {.t_action = FI_A_RETURN, .t_flags = FI_T_PID, .t_pid = (uint32_t)getpid()};
    EXPECT_EQ(bits_of(b, p, pid, NULL, 1), 1);
    pid.t_pid++;
    EXPECT_EQ(bits_of(b, p, pid, NULL, 1), 0);
    struct fi_term stack = {.t_action = FI_A_RETURN, .t_flags = FI_T_STACK, .t_stack = "*"};
    EXPECT_EQ(bits_of(b, p, stack, NULL, 1), 0); /* nobody knows a stack here */
    stack.t_flags = FI_T_NOT_STACK;
    EXPECT_EQ(bits_of(b, p, stack, NULL, 1), 1);
    /* Those whom a term does not concern do not count for its triggers. */
    struct fi_term nth = {.t_action = FI_A_RETURN, .t_flags = FI_T_NTH | FI_T_SIZE, .t_nth = 2, .t_size = 4096};
    EXPECT_EQ(bits_of(b, p, nth, &small, 3), 0);
    EXPECT_EQ(pattern_of(b, p, &big, 3), 2);
    faults_end(f);
}

static uint32_t slot_seven(const void *arena) {
    (void)arena;
    return 7;
}

TEST_BARE(the_cpu_filter_asks_the_attachment) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    struct fi_request q = {.q_cpu = slot_seven};
    struct fi_term t = {.t_action = FI_A_RETURN, .t_flags = FI_T_CPU, .t_cpu = 7};
    EXPECT_EQ(bits_of(b, 0, t, &q, 1), 1);
    EXPECT_EQ(pattern_of(b, 0, NULL, 1), 0);
    t.t_cpu = 8;
    EXPECT_EQ(bits_of(b, 0, t, &q, 1), 0);
    faults_end(f);
}

TEST_BARE(the_first_term_that_applies_happens_and_a_spent_one_drops_out) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    struct fi_program g = {.g_terms = 3};
    g.g_term[0] = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_COUNT, .t_count = 2, .t_number = 1};
    g.g_term[1] = (struct fi_term){.t_action = FI_A_OFF, .t_flags = FI_T_COUNT, .t_count = 1};
    g.g_term[2] = (struct fi_term){.t_action = FI_A_RAISE, .t_number = 3};
    EXPECT_OK(fi_program_set(b, 0, &g, 1));
    int64_t seen[5];
    for (int i = 0; i < 5; i++) {
        seen[i] = fi_reach(b, 0, NULL, &last) ? last.v_number : 0;
    }
    EXPECT_EQ(seen[0], 1);
    EXPECT_EQ(seen[1], 1);
    EXPECT_EQ(seen[2], 0);
    EXPECT_EQ(seen[3], 3);
    EXPECT_EQ(seen[4], 3);
    faults_end(f);
}

TEST_BARE(a_probability_is_drawn_before_the_count_and_the_same_again_from_the_same_seed) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    struct fi_term t = {.t_action = FI_A_RETURN, .t_flags = FI_T_PERCENT, .t_millionths = 250000};
    fi_block_seed(b, 42);
    uint64_t first = bits_of(b, 0, t, NULL, 64);
    EXPECT_GT(__builtin_popcountll(first), 6); /* 16 of 64 on average; fixed by the seed */
    EXPECT_LT(__builtin_popcountll(first), 28);
    fi_block_seed(b, 42);
    EXPECT_EQ(pattern_of(b, 0, NULL, 64), first);
    EXPECT_NE(pattern_of(b, 0, NULL, 64), first);
    fi_block_seed(b, 43);
    EXPECT_NE(pattern_of(b, 0, NULL, 64), first);
    t.t_flags |= FI_T_COUNT;
    t.t_count = 3;
    fi_block_seed(b, 42);
    uint64_t three = bits_of(b, 0, t, NULL, 64);
    EXPECT_EQ(__builtin_popcountll(three), 3); /* what the probability passed over was not counted */
    EXPECT_EQ(three & first, three);
    t.t_flags = FI_T_PERCENT;
    t.t_millionths = 0;
    EXPECT_EQ(bits_of(b, 0, t, NULL, 64), 0);
    t.t_millionths = 1000000;
    EXPECT_EQ(bits_of(b, 0, t, NULL, 64), ~0ull);
    faults_end(f);
}

TEST_BARE(a_cascade_gives_another_point_its_program) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    uint32_t first = declared(b, "app.first"), second = declared(b, "app.second");
    struct fi_program g[2] = {{.g_terms = 1}, {.g_terms = 1}};
    g[0].g_term[0] = (struct fi_term){
        .t_action = FI_A_ARM, .t_flags = FI_T_EVERY, .t_every = 2, .t_target = second, .t_template = 1};
    g[1].g_term[0] = (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_COUNT, .t_count = 1};
    EXPECT_OK(fi_program_set(b, first, g, 2));
    uint32_t had = fi_slots_free(b);
    EXPECT_EQ(pattern_of(b, second, NULL, 2), 0);
    for (int turn = 0; turn < 300; turn++) { /* more often than there are slots */
        EXPECT_FALSE(fi_reach(b, first, NULL, &last));
        EXPECT_TRUE(fi_reach(b, first, NULL, &last));
        fi_act(b, &last);
        EXPECT_EQ(pattern_of(b, second, NULL, 3), 1); /* armed anew each time */
    }
    EXPECT_EQ(fi_slots_free(b), had - 1);
    EXPECT_TRUE(!fi_reach(b, first, NULL, &last) && fi_reach(b, first, NULL, &last));
    EXPECT_OK(fi_program_set(b, first, NULL, 0));
    EXPECT_OK(fi_program_set(b, second, NULL, 0));
    fi_act(b, &last); /* decided before its program was taken away: nothing is armed */
    EXPECT_EQ(pattern_of(b, second, NULL, 3), 0);
    EXPECT_EQ(fi_slots_free(b), b->b_max_slots);
    EXPECT_EQ(b->b_header->h_lost, 0);
    faults_end(f);
}

TEST_BARE(nonsense_is_refused_and_a_full_table_says_so) {
    struct faults *f = faults_of(&(struct fi_geometry){.g_slots = 2});
    struct fi_block *b = &f->f_block;
    struct fi_program g = one_term((struct fi_term){.t_action = FI_A_RETURN});
    EXPECT_ERR(fi_program_set(b, 9999, &g, 1), SM_NOT_FOUND);
    EXPECT_OK(fi_program_set(b, 0, &g, 1));
    EXPECT_OK(fi_program_set(b, 1, &g, 1));
    EXPECT_ERR(fi_program_set(b, 2, &g, 1), SM_TABLE_FULL);
    EXPECT_ERR(fi_program_set(b, 0, &g, 1), SM_TABLE_FULL); /* the new one is there before the old one goes */
    EXPECT_OK(fi_program_set(b, 0, NULL, 0));
    EXPECT_OK(fi_program_set(b, 2, &g, 1));
    g.g_terms = 0;
    EXPECT_ERR(fi_program_set(b, 0, &g, 1), SM_INVALID);
    g = one_term((struct fi_term){.t_action = FI_ACTION_COUNT});
    EXPECT_ERR(fi_program_set(b, 0, &g, 1), SM_INVALID);
    g = one_term((struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_EVERY});
    EXPECT_ERR(fi_program_set(b, 0, &g, 1), SM_INVALID);
    g = one_term((struct fi_term){.t_action = FI_A_ARM, .t_template = 1});
    EXPECT_ERR(fi_program_set(b, 0, &g, 1), SM_INVALID);
    g = one_term((struct fi_term){.t_action = FI_A_RETURN});
    memset(g.g_term[0].t_text, 'x', sizeof g.g_term[0].t_text);
    EXPECT_ERR(fi_program_set(b, 0, &g, 1), SM_INVALID);
    faults_end(f);
}

TEST_BARE(a_return_at_the_core_is_one_of_its_codes) {
    struct faults *f = faults_of(NULL);
    struct fi_block *b = &f->f_block;
    EXPECT_EQ(fi_core_error(b, SM_FP_LIMIT, FI_C_DEFAULT, 0), SM_LIMIT);
    EXPECT_EQ(fi_core_error(b, SM_FP_LIMIT, FI_C_SM, SM_STALLED), SM_STALLED);
    EXPECT_EQ(fi_core_error(b, SM_FP_LIMIT, FI_C_ERRNO, ETIMEDOUT), SM_TIMEOUT);
    EXPECT_EQ(fi_core_error(b, SM_FP_LIMIT, FI_C_ERRNO, EXDEV), SM_OK);
    EXPECT_EQ(fi_core_error(b, SM_FP_LIMIT, FI_C_NUMBER, 99999), SM_OK);
    EXPECT_EQ(fi_core_error(b, SM_FP_LIMIT, FI_C_NUMBER, -1), SM_OK);
    faults_end(f);
}

TEST_BARE(names_match_as_globs_do) {
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {{"zone.*", "zone.ctor", true},
                {"zone.*", "zone", false},
                {"*", "", true},
                {"a?c", "abc", true},
                {"a?c", "ac", false},
                {"*b*b", "abbb", true},
                {"*.put", "queue.put", true},
                {"*.put", "queue.puts", false},
                {"", "x", false},
                {"a*b*c*d", "a1b2b3c4c5d", true}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        EXPECT_EQ(fi_glob(rows[i].pattern, 64, rows[i].name, 64), rows[i].matches);
    }
}
