/* test_race_set.c - programs set, cleared and cascaded from outside while threads reach the points. */
#include "fault_fixture.h"

#define REACHERS 3
#define TURNS 4000

struct shared {
    struct fi_block *s_block;
    uint32_t s_point, s_other;
    uint32_t s_done; /* (x) */
    uint64_t s_fired; /* (x) */
};

/* Two programs whose fields belong together: a mixture of them is seen at once. */
static struct fi_program program_of(int which) {
    struct fi_term t = {.t_action = FI_A_RETURN, .t_code = FI_C_NUMBER, .t_number = which};
    memset(t.t_text, 'a' + which, 40);
    t.t_flags = which & 1 ? FI_T_EVERY : FI_T_COUNT;
    t.t_every = 1;
    t.t_count = 1000000;
    return one_term(t);
}

static void *reach_all_the_time(void *arg) {
    struct shared *s = arg;
    struct fi_verdict v;
    while (!sm_load_acq(&s->s_done)) {
        if (fi_reach(s->s_block, s->s_point, NULL, &v)) {
            (void)sm_add_rlx(&s->s_fired, 1);
            EXPECT_EQ(v.v_action, FI_A_RETURN);
            for (int i = 0; i < 40; i++) {
                EXPECT_EQ(v.v_text[i], 'a' + (int)v.v_number);
            }
        }
        if (fi_reach(s->s_block, s->s_other, NULL, &v)) {
            fi_act(s->s_block, &v);
        }
    }
    return NULL;
}

TEST_BARE(a_program_replaced_while_it_is_read_is_never_seen_in_halves) {
    struct faults *f = faults_of(&(struct fi_geometry){.g_slots = 6, .g_log = 16});
    struct shared s = {.s_block = &f->f_block, .s_point = declared(&f->f_block, "app.point")};
    s.s_other = declared(&f->f_block, "app.other");
    pthread_t threads[REACHERS];
    for (int i = 0; i < REACHERS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, reach_all_the_time, &s), 0);
    }
    for (int turn = 0; turn < TURNS || sm_load_rlx(&s.s_fired) < 100; turn++) {
        struct fi_program g = program_of(turn % 5);
        EXPECT_OK(fi_program_set(s.s_block, s.s_point, &g, 1));
        if (turn % 7 == 0) {
            EXPECT_OK(fi_program_set(s.s_block, s.s_point, NULL, 0));
        }
    }
    sm_store_rel(&s.s_done, 1);
    for (int i = 0; i < REACHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_OK(fi_program_set(s.s_block, s.s_point, NULL, 0));
    EXPECT_EQ(fi_slots_free(s.s_block), 6);
    faults_end(f);
}

static void *set_all_the_time(void *arg) {
    struct shared *s = arg;
    for (int turn = 0; turn < TURNS / 4; turn++) {
        struct fi_program g = program_of(turn % 5);
        enum sm_err err = fi_program_set(s->s_block, s->s_point, &g, turn % 3 != 0);
        EXPECT(err == SM_OK || err == SM_TABLE_FULL, "%s", sm_err_name(err));
        uint32_t number;
        char name[32];
        snprintf(name, sizeof name, "app.point%d", turn % 20);
        EXPECT_OK(fi_point_get(s->s_block, name, true, &number));
    }
    return NULL;
}

TEST_BARE(setters_and_declarers_do_not_lose_slots_or_enter_a_name_twice) {
    struct faults *f = faults_of(&(struct fi_geometry){.g_slots = 16, .g_log = 16});
    struct shared s = {.s_block = &f->f_block, .s_point = declared(&f->f_block, "app.point")};
    s.s_other = s.s_point;
    pthread_t setters[2], reacher;
    EXPECT_EQ(pthread_create(&reacher, NULL, reach_all_the_time, &s), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(pthread_create(&setters[i], NULL, set_all_the_time, &s), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(setters[i], NULL);
    }
    sm_store_rel(&s.s_done, 1);
    pthread_join(reacher, NULL);
    EXPECT_OK(fi_program_set(s.s_block, s.s_point, NULL, 0));
    EXPECT_EQ(fi_slots_free(s.s_block), 16);
    EXPECT_EQ(fi_point_count(s.s_block), FI_CORE_POINTS + 21);
    faults_end(f);
}

static void *reach_some(void *arg) {
    struct shared *s = arg;
    struct fi_verdict v;
    for (int i = 0; i < TURNS; i++) {
        if (fi_reach(s->s_block, s->s_point, NULL, &v)) {
            (void)sm_add_rlx(&s->s_fired, 1);
        }
    }
    return NULL;
}

TEST_BARE(counts_are_exact_whoever_takes_them) {
    struct faults *f = faults_of(NULL);
    struct shared s = {.s_block = &f->f_block};
    pthread_t threads[REACHERS];
    set_one(
        s.s_block, 0,
        (struct fi_term){.t_action = FI_A_RETURN, .t_flags = FI_T_COUNT | FI_T_EVERY, .t_every = 2, .t_count = 1000});
    for (int i = 0; i < REACHERS; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, reach_some, &s), 0);
    }
    for (int i = 0; i < REACHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    EXPECT_EQ(s.s_fired, 1000);
    EXPECT_EQ(s.s_block->b_points[0].p_reached, REACHERS * TURNS);
    EXPECT_EQ(s.s_block->b_points[0].p_injected, 1000);
    faults_end(f);
}
